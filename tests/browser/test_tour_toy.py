"""The tour's widgets in JupyterLab in Chromium, on the toy world: coloured discs and tones."""

import io

import nbformat
import numpy as np
import pytest
import soundfile
import toy_tour as toy
from fronts import save
from tour_page import TourPage

from vgs_lib.widgets.buffers import wav

pytestmark = pytest.mark.browser
SCENES = toy.scenes(40)
TWO = next(p for p in SCENES[:16] if set(p.masks) == {"red", "green"} or {"red", "green"} < set(p.masks))
SOURCE = """
import sys
sys.path.insert(0, {folder!r})
import toy_tour as toy
from vgs_lib.widgets import Tour
tour = Tour(toy.ToyModel(), pictures=toy.scenes(40), clips=toy.clips())
tour
"""
BUSY = """
import pathlib, threading, time
def until(name):
    while not pathlib.Path({gates!r}, name).exists():
        time.sleep(0.05)
speak = tour.controller.recorder.on_sound
tour.controller.recorder.on_sound = lambda *args, **kwargs: until("answer") or speak(*args, **kwargs)
def show_again():
    while not pathlib.Path({gates!r}, "end").exists():
        time.sleep(0.3)
        tour.player.refresh()
threading.Thread(target=show_again).start()
display(tour)
until("end")
"""

# A browser that decodes no picture until three messages have come, and notes whether the sound plays.
SLOW = """() => {
    const decode = window.createImageBitmap, picture = document.querySelector(".vgs-picture");
    let come = 0, open;
    const gate = new Promise((done) => (open = done));
    window.createImageBitmap = async (...all) => { if (++come === 3) open(); await gate; return decode(...all); };
    window.playing = [];
    new MutationObserver(() => playing.push(picture.dataset.playing)).observe(picture, { attributes: true });
}"""


@pytest.fixture(scope="session")
def toy_notebook(lab):
    """A notebook with the tour of the toy world, in the folder that JupyterLab serves."""
    return lab.write("toy.ipynb", SOURCE.format(folder=str(toy.__file__).rsplit("/", 1)[0]))


def inside(mask, point) -> bool:
    return bool(mask[int(point[1] * mask.shape[0]), int(point[0] * mask.shape[1])])


def tone_file(path, *names, pause=0.2):
    soundfile.write(path, toy.say(*names, rate=48000, pause=pause), 48000)
    return path


def test_speak_and_the_picture_answers(open_notebook, toy_notebook, tmp_path):
    microphone = tone_file(tmp_path / "red.wav", "red")
    with open_notebook(toy_notebook, microphone=microphone) as page:
        tour = TourPage(page)
        tour.wait_ready()
        assert page.locator(".vgs-gallery:not(.vgs-compact) .vgs-thumb").count() == 16
        tour.choose(TWO.id)
        tour.record(2.2)
        tour.wait_shown(TWO.id, "recording")
        assert "Searched 40 pictures" in tour.status
        assert inside(TWO.masks["red"], tour.peak()) and float(tour.data("peak-value")) > 0.5
        assert tour.best() == tour.answers() and len(tour.best()) == 5
        reds = {p.id for p in SCENES if "red" in p.masks}
        assert set(tour.best()) <= reds
        other = next(name for name in tour.best() if name != TWO.id)
        page.locator(f'.vgs-compact .vgs-thumb[data-id="{other}"]').click()
        tour.wait_shown(other, "recording")
        assert inside(next(p for p in SCENES if p.id == other).masks["red"], tour.peak())
        assert not page.errors


def test_playback_follows_the_sound(open_notebook, toy_notebook):
    with open_notebook(toy_notebook) as page:
        tour = TourPage(page)
        tour.wait_ready()
        tour.caption(TWO.id)
        page.wait_for_selector('.vgs-picture[data-playing="true"][data-mode="time"]')
        page.wait_for_function("document.querySelector('.vgs-picture').dataset.time > 0.3")
        page.wait_for_selector('.vgs-picture[data-playing="false"]', timeout=10_000)  # it ends by itself
        for word in TWO.caption.words:
            tour.scrub((word.start + word.end) / 2)
            assert inside(TWO.masks[word.text], tour.peak()), word
            assert page.locator(".vgs-heard").text_content() == word.text
            assert int(tour.data("frame")) == int((word.start + word.end) / 2 / 0.04)
        tour.scrub(0.1)
        assert float(tour.data("peak-value")) < 0.05  # a pause: no place is lit
        page.locator(".vgs-time").focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("document.querySelector('.vgs-picture').dataset.time > 0.105")
        page.locator(".vgs-play").click()
        page.wait_for_selector('.vgs-picture[data-playing="true"]')
        page.locator(".vgs-play").click()
        page.wait_for_selector('.vgs-picture[data-playing="false"]')
        page.locator(".vgs-whole").click()
        page.wait_for_selector('.vgs-picture[data-mode="whole"]')
        box = page.locator(".vgs-wave").bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 10)
        page.wait_for_selector('.vgs-picture[data-mode="time"]')
        assert float(tour.data("time")) == pytest.approx(toy.say(*TWO.masks).size / toy.RATE / 2, abs=0.02)
        assert not page.errors


def test_every_wrong_input_gets_a_sentence(open_notebook, toy_notebook, tmp_path):
    silence = tmp_path / "silence.wav"
    soundfile.write(silence, np.zeros(48000, np.int16), 48000)
    with open_notebook(toy_notebook, microphone=silence) as page:
        tour = TourPage(page)
        tour.wait_ready()
        tour.record(0.8)
        tour.failure("silent")
        tour.upload("notes.txt", b"These are only words.")
        assert "WAV" in tour.failure("notes.txt")
        tour.upload("nothing.wav", b"")
        tour.failure("empty")
        hour = io.BytesIO()
        soundfile.write(hour, np.zeros(3600 * 8000, np.int16), 8000, format="FLAC")
        tour.upload("hour.flac", hour.getvalue())
        assert "30 s" in tour.failure("3600 s")
        tour.upload("film.mkv", bytes(40_000_000))
        tour.failure("too much")
        tour.upload("red.wav", wav(toy.say("red")))
        tour.wait_status("red.wav")
        assert page.locator(".vgs-failed").count() == 0
        page.locator(".vgs-clips").select_option("clip-blue")
        tour.wait_status("“blue”")
        assert not page.errors


def test_a_slow_kernel_that_runs_a_cell(open_notebook, lab, tmp_path):
    """The cell runs until the file "end" is there; each recording is answered once "answer" is."""
    source = SOURCE.format(folder=str(toy.__file__).rsplit("/", 1)[0]) + BUSY.format(gates=str(tmp_path))
    red = wav(np.concatenate([toy.say("red"), np.zeros(29 * toy.RATE)]).astype(np.float32))  # in several pieces
    with open_notebook(lab.write("busy-tour.ipynb", source)) as page:
        tour = TourPage(page)
        tour.wait_ready()
        tour.upload("nothing.wav", b"")
        tour.failure("empty")
        page.evaluate(
            "() => { window.said = []; const line = document.querySelector('.vgs-status');"
            "new MutationObserver(() => said.push(line.textContent)).observe(line, { childList: true }); }"
        )
        tour.upload("red.wav", red)
        page.wait_for_selector('.vgs-recorder[aria-busy="true"]')
        assert page.evaluate("window.said") == ["Reading red.wav…"]  # not what was said before
        (tmp_path / "answer").touch()
        tour.wait_status("Searched")
        source = page.locator(".vgs-player audio").get_attribute("src")
        other = wav(np.concatenate([toy.say("blue"), np.zeros(29 * toy.RATE)]).astype(np.float32))
        tour.upload("red.wav", other)  # as long and called the same
        page.wait_for_function("s => document.querySelector('.vgs-player audio').src !== s", arg=source)
        tour.caption(TWO.id)
        # what is shown again, as when all pictures are encoded, does not interrupt a person who listens
        page.wait_for_selector('.vgs-picture[data-playing="true"]')
        page.wait_for_function("document.querySelector('.vgs-picture').dataset.time > 1.2", timeout=10_000)
        words = page.locator(".vgs-word")
        words.nth(1).click()
        shown = int(tour.data("shown"))
        page.wait_for_function("n => document.querySelector('.vgs-picture').dataset.shown > n + 2", arg=shown)
        assert tour.data("word") == TWO.caption.words[1].text
        assert page.locator(".jp-InputArea-prompt").first.text_content() == "[*]:"  # the cell runs on
        (tmp_path / "end").touch()
        assert not page.errors


def test_a_sound_that_was_asked_for_starts_when_a_newer_message_overtakes_it(open_notebook, lab, tmp_path):
    source = SOURCE.format(folder=str(toy.__file__).rsplit("/", 1)[0]) + BUSY.format(gates=str(tmp_path))
    (tmp_path / "answer").touch()
    with open_notebook(lab.write("overtaken.ipynb", source)) as page:
        tour = TourPage(page)
        tour.wait_ready()
        page.evaluate(SLOW)
        tour.caption(TWO.id)
        page.wait_for_function("playing.includes('true')")
        (tmp_path / "end").touch()
        assert not page.errors


def test_a_refused_microphone_is_explained(open_notebook, toy_notebook):
    with open_notebook(toy_notebook, allow=False) as page:
        tour = TourPage(page)
        tour.wait_ready()
        page.locator(".vgs-record").click()
        assert "allow" in tour.failure("not allowed")
        page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
        page.locator(".vgs-record").click()
        tour.failure("https")
        assert page.locator(".vgs-local").is_disabled()  # no sound card where the tests run
        assert not page.errors


def test_the_saved_notebook_is_small(open_notebook, toy_notebook, lab):
    with open_notebook(toy_notebook) as page:
        tour = TourPage(page)
        tour.wait_ready()
        tour.caption(TWO.id)
        page.wait_for_selector(".vgs-picture[data-peak-x]")
        text = save(page, lab.folder / toy_notebook)
        notebook = nbformat.reads(text, as_version=4)
        assert any("widget-view" in key for key in notebook.cells[0].outputs[0]["data"])
        assert len(text.encode()) < 500_000
