"""The widgets of 01_data in JupyterLab in Chromium, on coloured discs and tones; and the notebook itself."""

import numpy as np
import pytest
import soundfile
import toy_tour as toy
from PIL import Image

from vgs_lib.data.manifest import Entry, Word, read_manifest, write_manifest

pytestmark = pytest.mark.browser
START = """
import sys
sys.path.insert(0, {folder!r})
import toy_tour as toy
from vgs_lib import widgets
"""


@pytest.fixture
def with_widget(lab, open_notebook):
    """``with with_widget(source) as page``: a notebook whose only cell ends in ``source``."""

    def opened(source: str, **options):
        start = START.format(folder=toy.__file__.rsplit("/", 1)[0])
        return open_notebook(lab.write("widget.ipynb", start + source), **options)

    return opened


@pytest.fixture
def place(tmp_path):
    """A folder of four discs, each with the tone of its colour."""
    root = tmp_path / "discs"
    root.mkdir()
    for name in toy.NAMES:
        Image.fromarray(toy.scene(name, {name: (0.5, 0.5)}).load()).save(root / f"{name}.png")
        soundfile.write(root / f"{name}.wav", toy.say(name), toy.RATE)
    return root


@pytest.fixture
def manifest(place):
    """A manifest of the discs: two categories, two languages, two speakers."""
    entries = []
    for index, name in enumerate(toy.NAMES):
        language, engine = ("en", None) if index % 2 else ("fr", "flite")
        speaker, kind = ("ann" if index % 2 else "slt"), ("warm" if name in ("red", "yellow") else "cold")
        words = (Word(name, 0.2, 0.8),)
        entries.append(
            Entry(
                f"{name}.png",
                f"{name}.wav",
                "train",
                language=language,
                text=f"a {name} disc",
                words=words,
                speaker=speaker,
                engine=engine,
                class_name=f"discs/{kind}",
            )
        )
    write_manifest(entries, place / "manifest.jsonl")
    return place / "manifest.jsonl"


def data(page, selector, name):
    return page.locator(selector).get_attribute(f"data-{name}")


def wait(page, selector, name, value, *, seconds=30):
    page.wait_for_selector(f'{selector}[data-{name}="{value}"]', timeout=seconds * 1000)


def test_search_look_and_listen(with_widget, manifest):
    source = f"from vgs_lib.data.manifest import read_manifest\nwidgets.DataExplorer(read_manifest({str(manifest)!r}))"
    with with_widget(source) as page:
        wait(page, ".vgs-data", "found", 4)
        shown = lambda: page.locator(".vgs-grid .vgs-thumb").evaluate_all("all => all.map(e => e.dataset.id)")
        assert shown() == [f"{name}.png" for name in toy.NAMES]
        page.locator(".vgs-category").select_option(label="\u00a0\u00a0warm (2)")
        wait(page, ".vgs-data", "found", 2)
        assert shown() == ["red.png", "yellow.png"] and "2 of 4" in page.locator(".vgs-count").text_content()
        page.locator(".vgs-language").select_option(label="English (2)")
        wait(page, ".vgs-data", "found", 1)
        wait(page, ".vgs-data", "thing", "yellow.png")
        page.locator(".vgs-say").click()
        wait(page, ".vgs-sound", "playing", "true")
        wait(page, ".vgs-sound", "heard", "yellow")
        wait(page, ".vgs-sound", "playing", "false")  # it ends by itself
        assert data(page, ".vgs-sound", "duration") == "1.000"
        assert "a person" in page.locator(".vgs-sound-title").text_content()
        page.locator(".vgs-all").click()
        wait(page, ".vgs-data", "found", 4)
        page.locator(".vgs-search").fill("BLUE")
        page.keyboard.press("Enter")
        wait(page, ".vgs-data", "thing", "blue.png")
        assert page.locator(".vgs-names").first.text_content() == "Frencha blue disc"
        page.locator(".vgs-search").fill("unicorn")
        page.keyboard.press("Enter")
        wait(page, ".vgs-data", "found", 0)
        assert "Nothing fits" in page.locator(".vgs-count").text_content()
        page.locator(".vgs-all").click()
        wait(page, ".vgs-data", "found", 4)
        (manifest.parent / "green.wav").write_text("no sound")
        page.locator('.vgs-thumb[data-id="green.png"]').focus()
        page.keyboard.press("Enter")
        wait(page, ".vgs-data", "thing", "green.png")
        page.locator(".vgs-say").click()
        page.locator(".vgs-data .vgs-failed", has_text="cannot be read as sound").wait_for()
        assert not page.errors


def test_every_knob_of_the_front_ends_redraws_or_explains(with_widget):
    with with_widget("explorer = widgets.FrontEndExplorer(toy.clips())\nexplorer") as page:
        wait(page, ".vgs-log-mel", "frames", 101)
        assert (data(page, ".vgs-log-mel", "rows"), data(page, ".vgs-mfcc", "rows")) == ("40", "13")
        knob = lambda name: page.locator(f'.vgs-control [data-name="{name}"]')
        assert page.locator(".vgs-control").count() == 16
        knob("hop_seconds").fill("0.02")
        wait(page, ".vgs-log-mel", "frames", 51)
        wait(page, ".vgs-mfcc", "frames", 51)
        knob("num_bands").focus()
        page.keyboard.press("ArrowLeft")
        wait(page, ".vgs-log-mel", "rows", 39)
        knob("deltas").select_option("2 orders")
        wait(page, ".vgs-mfcc", "rows", 39)
        assert "LogMel(num_bands=39, hop_seconds=0.02)" in page.locator(".vgs-code").text_content()
        knob("n_fft").select_option("256 points")
        page.locator(".vgs-front-end .vgs-failed", has_text="400 samples, but n_fft is 256").wait_for()
        assert page.locator(".vgs-stale").count() == 1
        page.locator(".vgs-reset").click()
        wait(page, ".vgs-log-mel", "frames", 101)
        wait(page, ".vgs-front-end", "problem", "")
        page.locator(".vgs-sounds").select_option("clip-blue")
        wait(page, ".vgs-front-end", "title", "blue")
        # The tone of "blue" is lit in the band of 1,600 Hz while it is heard: read it off the picture.
        box = page.locator(".vgs-log-mel").bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * (224 / 250) * (1 - 18.5 / 40))
        page.locator(".vgs-readout", has_text="band 18").wait_for()
        picture = page.evaluate("""() => {
          const canvas = document.querySelector('.vgs-log-mel'), context = canvas.getContext('2d');
          const column = [...Array(40).keys()].map(row => {
            const y = Math.floor((224 * (39.5 - row)) / 40);
            return context.getImageData(500, y, 1, 1).data[0];
          });
          return column.indexOf(Math.max(...column));
        }""")
        from vgs_lib.front_ends.mel_scale import band_centres

        assert picture == int(np.abs(band_centres(40) - toy.TONES["blue"]).argmin())
        page.locator(".vgs-sound-play").click()
        wait(page, ".vgs-sound", "heard", "blue")
        wait(page, ".vgs-sound", "playing", "false")
        assert not page.errors


def test_a_scene_is_outlined_and_the_word_that_is_heard_is_marked(with_widget):
    scenes = toy.scenes(8)
    index = next(i for i, scene in enumerate(scenes) if len(scene.masks) == 3)
    with with_widget("widgets.SceneExplorer({'toy': toy.scenes(8), 'few': toy.scenes(2, seed=3)})") as page:
        wait(page, ".vgs-scene-picture", "index", 0)
        for step in range(index):
            page.locator(".vgs-next").click()
            wait(page, ".vgs-scene-picture", "index", step + 1)
        names = list(scenes[index].masks)
        assert (data(page, ".vgs-scene-picture", "objects"), data(page, ".vgs-scene-picture", "outlined")) == ("3", "3")
        assert page.locator(".vgs-sound-words span").all_text_contents() == names
        page.locator(".vgs-hear").nth(1).click()  # jump to the second word
        wait(page, ".vgs-scene-picture", "heard", names[1])
        assert float(data(page, ".vgs-sound", "time")) == pytest.approx(1.01, abs=0.02)
        page.locator(".vgs-objects input").first.uncheck()
        wait(page, ".vgs-scene-picture", "outlined", 2)
        page.locator(".vgs-sound-play").click()
        wait(page, ".vgs-scene-picture", "heard", names[2])
        wait(page, ".vgs-sound", "playing", "false")
        page.locator(".vgs-group").select_option("few")
        wait(page, ".vgs-scene-picture", "group", "few")
        assert "1 of 2" in page.locator(".vgs-scenes").text_content()
        page.locator(".vgs-back").click()  # before the first one comes the last one
        wait(page, ".vgs-scene-picture", "index", 1)
        assert not page.errors


def test_a_folder_with_a_mistake_becomes_a_manifest(with_widget, place):
    (place / "red.wav").rename(place / "rad.wav")
    with with_widget("widgets.ManifestMaker()") as page:
        page.locator(".vgs-check").click()
        page.locator(".vgs-manifest .vgs-failed", has_text="Give the path").wait_for()
        page.locator(".vgs-folder").fill(str(place / "nowhere"))
        page.keyboard.press("Enter")
        page.locator(".vgs-manifest .vgs-failed", has_text="no such folder").wait_for()
        page.locator(".vgs-folder").fill(str(place))
        page.locator(".vgs-check").click()
        wait(page, ".vgs-manifest", "problems", 2)
        assert data(page, ".vgs-manifest", "pairs") == "3"
        problems = page.locator(".vgs-problems li").all_text_contents()
        assert problems[0].startswith("rad.wav: audio: found no picture") and "red.png" in problems[0]
        page.locator(".vgs-write").click()
        page.locator(".vgs-manifest .vgs-failed", has_text="Nothing was written").wait_for()
        assert not (place / "manifest.jsonl").exists()
        (place / "rad.wav").rename(place / "red.wav")
        page.locator(".vgs-check").click()
        wait(page, ".vgs-manifest", "problems", 0)
        page.locator(".vgs-validation").fill("0")
        page.locator(".vgs-test").fill("50")
        page.locator(".vgs-write").click()
        wait(page, ".vgs-manifest", "written", place / "manifest.jsonl")
        entries = read_manifest(place / "manifest.jsonl", check_files=True).entries
        assert {entry.image for entry in entries} == {f"{name}.png" for name in toy.NAMES}
        assert {entry.split for entry in entries} <= {"train", "test"}
        assert not page.errors


def test_a_caption_is_spoken_heard_and_saved(with_widget, tmp_path):
    source = f"""
from vgs_lib.data import spoken_captions
from vgs_lib.widgets import caption_speaker
spoken_captions.engine_available = lambda engine: engine == "flite"
caption_speaker.say = lambda text, voice: toy.say("red", "blue")
widgets.CaptionSpeaker("a red disc", folder={str(tmp_path)!r})"""
    with with_widget(source) as page:
        page.locator(".vgs-caption-speaker .vgs-notes", has_text="apt-get install espeak-ng").wait_for()
        assert page.locator(".vgs-voice option:disabled", has_text="espeak-en-us (not installed)").count() == 1
        assert page.locator(".vgs-save").is_disabled()
        page.locator(".vgs-text").fill("a red disc and a blue one")
        page.locator(".vgs-voice").select_option("flite-rms")
        page.locator(".vgs-speak").click()
        wait(page, ".vgs-sound", "playing", "true")
        assert "flite-rms said “a red disc and a blue one” in 1.80 s" in page.locator(".vgs-status").text_content()
        wait(page, ".vgs-sound", "playing", "false")
        page.locator(".vgs-file").fill("disc")
        page.keyboard.press("Enter")
        wait(page, ".vgs-caption-speaker", "saved", tmp_path / "disc.wav")
        assert soundfile.info(tmp_path / "disc.wav").duration == pytest.approx(1.8)
        page.locator(".vgs-save").click()
        page.locator(".vgs-caption-speaker .vgs-failed", has_text="a file already").wait_for()
        assert not page.errors


@pytest.mark.slow
def test_the_notebook_as_a_student_uses_it(open_notebook, lab):
    with open_notebook("solutions/01_data.ipynb") as page:
        wait(page, ".vgs-data", "found", 679, seconds=90)
        page.locator(".vgs-speaker").first.select_option(label="people, English (65)")
        wait(page, ".vgs-data", "found", 65)
        page.locator('.vgs-thumb[data-id="animals/amphibians/frog"]').first.click()
        wait(page, ".vgs-data", "thing", "animals/amphibians/frog")
        page.locator(".vgs-say").first.click()
        wait(page, ".vgs-data", "playing", "person-en en")
        # Cells far below are drawn when they come near.
        scroll_to(page, ".vgs-front-end")
        page.locator(".vgs-sounds").select_option(index=13)
        page.locator('.vgs-control [data-name="hop_seconds"]').fill("0.005")
        page.locator(".vgs-code", has_text="LogMel(hop_seconds=0.005)").wait_for()
        scroll_to(page, ".vgs-scenes")
        page.locator(".vgs-group").select_option("test-hard")
        wait(page, ".vgs-scene-picture", "group", "test-hard")
        page.locator(".vgs-scenes .vgs-sound-play").click()
        wait(page, ".vgs-scenes .vgs-sound", "playing", "true")
        scroll_to(page, ".vgs-manifest")
        page.locator(".vgs-manifest .vgs-check").click()
        wait(page, ".vgs-manifest", "problems", 2)
        assert "rename it if it describes lion.png" in page.locator(".vgs-problems").text_content()
        scroll_to(page, ".vgs-caption-speaker")
        assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
        assert not page.errors


def scroll_to(page, selector: str) -> None:
    """Scroll down until the widget is drawn, and it to the top."""
    panel = page.locator(".jp-WindowedPanel-outer").first
    for _ in range(40):
        if page.locator(selector).count():
            return page.locator(selector).first.evaluate("e => e.scrollIntoView({ block: 'start' })")
        panel.evaluate("e => { e.scrollTop += 700 }")
        page.wait_for_timeout(150)
    raise AssertionError(f"no {selector} in the notebook")
