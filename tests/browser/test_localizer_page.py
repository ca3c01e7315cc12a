"""The localizer as a person uses it in JupyterLab: dragging, keys, numbers, playing, the threshold, the microphone."""

import numpy as np
import pytest
import soundfile
import torch
import toy_tour as toy
from widget_page import GATED

from vgs_lib import localization
from vgs_lib.data.stamps import Stamps
from vgs_lib.localization import iod, iot
from vgs_lib.widgets import LocalizerController, tour_material
from vgs_lib.widgets.buffers import wav

pytestmark = pytest.mark.browser
PICTURES = toy.scenes(8)
THREE = next(p for p in PICTURES if len(p.masks) == 3)
DURATION = 0.2 + 3 * 0.8
SOURCE = """
import sys
sys.path.insert(0, {folder!r})
import toy_tour as toy
from vgs_lib.widgets import Localizer
localizer = Localizer(toy.ToyModel(), toy.scenes(8), toy.clips(), threshold=0.3)
localizer
"""


@pytest.fixture(scope="module")
def toy_notebook(lab):
    """A notebook with the localizer of the toy world, in the folder that JupyterLab serves."""
    return lab.write("toy-localizer.ipynb", SOURCE.format(folder=str(toy.__file__).rsplit("/", 1)[0]))


class Page:
    """What can be done with a localizer on a page, and what is read there."""

    def __init__(self, page):
        self.page = page
        self.wave, self.canvas = page.locator(".vgs-span .vgs-wave"), page.locator(".vgs-region .vgs-picture")
        self.wave.wait_for()

    def span(self) -> tuple[float, float]:
        return tuple(float(self.wave.get_attribute(f"data-{edge}")) for edge in ("start", "end"))

    def wait_span(self, start: float, end: float, within: float = 0.011) -> None:
        self.page.wait_for_function(
            "([a, b, d]) => { const w = document.querySelector('.vgs-span .vgs-wave').dataset;"
            "return Math.abs(w.start - a) <= d && Math.abs(w.end - b) <= d; }",
            arg=[start, end, within],
        )

    def choose(self, picture: str) -> None:
        self.page.locator(f'.vgs-thumb[data-id="{picture}"]').click()
        self.page.wait_for_selector(f'.vgs-region .vgs-picture[data-picture="{picture}"][data-peak-x]')

    def wait_target(self, name: str) -> None:
        self.page.wait_for_selector(f'.vgs-region .vgs-picture[data-target="{name}"][data-peak-x]')

    def drag(self, first: float, second: float) -> None:
        """Drag over the waveform from one moment to another, in seconds."""
        box = self.wave.bounding_box()
        x = lambda moment: box["x"] + moment / DURATION * box["width"]
        y = box["y"] + box["height"] / 2
        self.page.mouse.move(x(first), y)
        self.page.mouse.down()
        self.page.mouse.move(x((first + second) / 2), y)
        self.page.mouse.move(x(second), y, steps=4)
        self.page.mouse.up()

    def value(self, name: str) -> float:
        return float(self.canvas.get_attribute(f"data-{name}"))

    def peak_inside(self, mask) -> bool:
        x, y = self.value("peak-x"), self.value("peak-y")
        return bool(mask[int(y * mask.shape[0]), int(x * mask.shape[1])])

    def threshold(self, value: float) -> None:
        self.page.locator(".vgs-threshold").fill(str(value))
        self.page.wait_for_selector(f'.vgs-region .vgs-picture[data-threshold="{value:.4f}"]')
        self.page.wait_for_function("() => document.querySelector('.vgs-scale output').textContent", timeout=5000)


def expected(start: float, end: float, threshold: float, name: str) -> dict[str, float]:
    """The scores of a span, computed here."""
    made = LocalizerController(toy.ToyModel(), PICTURES, threshold=threshold)
    made.choose_picture(THREE.id)
    made.span.select(start, end)
    heat, mask = made.region.heat, torch.from_numpy(THREE.masks[name])
    marked = localization.upsample(heat, tuple(mask.shape)) >= threshold
    measures = {"iou": localization.iou, "iod": iod, "iot": iot}
    return {key: measure(heat, mask, threshold) for key, measure in measures.items()} | {
        "region": float(marked.double().mean())
    }


def test_drag_a_span_and_see_what_it_lights_up(open_notebook, toy_notebook):
    with open_notebook(toy_notebook) as page:
        use = Page(page)
        use.choose(THREE.id)
        words = THREE.caption.words
        use.wait_target(words[0].text)
        assert use.span() == pytest.approx((words[0].start, words[0].end))
        assert [b.text_content() for b in page.locator(".vgs-span .vgs-words button").all()] == [w.text for w in words]

        for word in reversed(words):  # by the mouse, to the left and to the right
            ends = (word.start + 0.1, word.end - 0.1)
            use.drag(*(ends if word is words[1] else reversed(ends)))
            use.wait_span(*ends, within=0.03)
            use.wait_target(word.text)
            assert use.peak_inside(THREE.masks[word.text]), word
        heard = page.locator('.vgs-span .vgs-words button[aria-pressed="true"]')
        assert heard.all_text_contents() == [words[0].text]

        page.locator(".vgs-span .vgs-words button", has_text=words[2].text).click()  # a word's own button
        use.wait_span(words[2].start, words[2].end)
        use.wait_target(words[2].text)
        middle = (words[1].start + words[1].end) / 2
        box = use.wave.bounding_box()
        use.wave.click(position={"x": middle / DURATION * box["width"], "y": 30})  # a click on the sound: its word
        use.wait_span(words[1].start, words[1].end)
        use.wait_target(words[1].text)

        use.drag(words[1].end, words[1].end - 0.3)  # an edge
        use.wait_span(words[1].start, words[1].end - 0.3, within=0.03)
        assert not page.errors


def test_words_clicked_before_a_picture_has_answered_win(open_notebook, lab, tmp_path):
    gate = tmp_path / "gate"
    source = SOURCE.format(folder=str(toy.__file__).rsplit("/", 1)[0]) + GATED.format(gate=str(gate))
    source += 'gated(localizer.controller.model, "embed_waveforms")\nlocalizer'
    with open_notebook(lab.write("slow-localizer.ipynb", source)) as page:
        use = Page(page)
        use.choose(THREE.id)
        words = page.locator(".vgs-span .vgs-words button")
        third = THREE.caption.words[2]
        gate.touch()
        page.locator(f'.vgs-thumb[data-id="{THREE.id}"]').click()  # the picture that is shown already
        words.nth(1).click()  # on its way while the picture is not answered
        words.nth(2).click()  # waits for that one's answer
        gate.unlink()
        use.wait_target(third.text)
        use.wait_span(third.start, third.end)
        assert use.peak_inside(THREE.masks[third.text])

        shown = int(use.value("shown"))
        gate.touch()
        page.locator(f'.vgs-thumb[data-id="{THREE.id}"]').click()
        words.nth(1).click()  # on its way
        page.locator(f'.vgs-thumb[data-id="{THREE.id}"]').click()  # changes the span after it
        words.nth(1).click()  # the same word again
        gate.unlink()
        page.wait_for_selector(f'.vgs-region .vgs-picture[data-shown="{shown + 2}"]')  # both pictures are answered
        use.wait_target(THREE.caption.words[1].text)

        other = PICTURES[0].caption.words[0]
        gate.touch()
        page.locator(f'.vgs-thumb[data-id="{PICTURES[0].id}"]').click()
        words.nth(1).click()  # of the caption that is still shown
        gate.unlink()
        page.wait_for_selector(f'.vgs-region .vgs-picture[data-picture="{PICTURES[0].id}"]')
        page.wait_for_timeout(500)  # the answer to the click
        use.wait_span(other.start, other.end)
        use.wait_target(other.text)
        assert not page.errors


def test_keys_numbers_and_playing(open_notebook, toy_notebook):
    with open_notebook(toy_notebook) as page:
        use = Page(page)
        use.choose(THREE.id)
        page.locator(".vgs-from").fill("0.30")
        page.locator(".vgs-from").press("Enter")
        use.wait_span(0.3, 0.8)
        page.locator(".vgs-to").fill("0.70")
        page.locator(".vgs-to").press("Tab")
        use.wait_span(0.3, 0.7)
        use.wave.focus()
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        use.wait_span(0.36, 0.7)
        page.keyboard.press("Shift+ArrowLeft")
        use.wait_span(0.36, 0.68)
        page.keyboard.press("End")
        use.wait_span(0.36, DURATION)
        page.keyboard.press("Home")
        use.wait_span(0, DURATION)
        label = use.wave.get_attribute("aria-label")
        assert f"Selected: 0.00 s to {DURATION:.2f} s" in label

        page.locator(".vgs-from").fill("0.60")
        page.locator(".vgs-from").press("Enter")
        page.locator(".vgs-to").fill("1.40")
        page.locator(".vgs-to").press("Enter")
        use.wait_span(0.6, 1.4)
        page.locator(".vgs-play-span").click()
        page.wait_for_selector('.vgs-span .vgs-wave[data-playing="true"]')
        page.wait_for_function("() => document.querySelector('.vgs-span .vgs-wave').dataset.time > 0.7")
        page.wait_for_selector('.vgs-span .vgs-wave[data-playing="false"]', timeout=10_000)  # it ends by itself
        assert 0.7 < float(use.wave.get_attribute("data-time")) <= 1.4
        assert page.locator(".vgs-play-span").text_content() == "▶ Play span"
        use.wave.focus()
        page.keyboard.press(" ")
        page.wait_for_selector('.vgs-span .vgs-wave[data-playing="true"]')
        page.keyboard.press(" ")
        page.wait_for_selector('.vgs-span .vgs-wave[data-playing="false"]')
        assert not page.errors


def test_the_threshold_outlines_the_region_and_the_scores_follow(open_notebook, toy_notebook):
    with open_notebook(toy_notebook) as page:
        use = Page(page)
        use.choose(THREE.id)
        word = THREE.caption.words[0]
        use.wait_target(word.text)
        seen = []
        for threshold in (0.1, 0.25, 0.45):
            use.threshold(threshold)
            wanted = expected(word.start, word.end, threshold, word.text)
            page.wait_for_function(
                "iou => Math.abs(document.querySelector('.vgs-region .vgs-picture').dataset.iou - iou) < 2e-4",
                arg=wanted["iou"],
            )
            for name, value in wanted.items():
                assert use.value(name) == pytest.approx(value, abs=2e-3), (threshold, name)
            assert page.locator('[data-measure="iou"]').text_content() == f"{wanted['iou']:.2f}"
            seen.append(use.value("region"))
        assert seen == sorted(seen, reverse=True) and seen[0] > seen[-1]

        other = THREE.caption.words[1].text
        page.locator(".vgs-things").select_option(other)
        use.wait_target(other)
        assert use.value("pointing") == 0 and use.value("iou") < 0.1
        page.locator(".vgs-answer", has_text=f"not on “{other}”").wait_for()
        page.locator(".vgs-things").select_option("")
        use.wait_target(word.text)
        assert not page.errors


def test_speak_a_word_and_name_it(open_notebook, toy_notebook, tmp_path):
    name = THREE.caption.words[1].text
    soundfile.write(tmp_path / "word.wav", toy.say(name, rate=48000, length=1.0), 48000)
    with open_notebook(toy_notebook, microphone=tmp_path / "word.wav") as page:
        use = Page(page)
        use.choose(THREE.id)
        page.locator(".vgs-record").click()
        page.wait_for_selector('.vgs-recorder[data-recording="true"]')
        page.wait_for_timeout(1800)
        page.locator(".vgs-record").click()
        page.wait_for_selector('.vgs-span .vgs-wave[data-title="recording"]')
        page.locator(".vgs-answer", has_text="Choose below which thing was named").wait_for()
        assert page.locator('[data-measure="iou"]').text_content() == "–"
        page.locator(".vgs-things").select_option(name)
        use.wait_target(name)
        assert use.peak_inside(THREE.masks[name]) and use.value("pointing") > 0.9
        file = {"name": "silence.wav", "mimeType": "audio/wav", "buffer": silence()}
        page.locator('.vgs-recorder input[type="file"]').set_input_files(file)
        page.locator(".vgs-status.vgs-failed", has_text="silent").wait_for()
        assert use.wave.get_attribute("data-title") == "recording"  # what was heard before stays
        assert not page.errors


def silence() -> bytes:
    return wav(np.zeros(16000))


@pytest.mark.slow
def test_the_notebook_on_the_real_data(open_notebook):
    pictures, _ = tour_material(Stamps.open(), split="validation", num_scenes=12, num_pictures=12)
    picture = next(p for p in pictures if sum(word.text in p.masks for word in p.caption.words) > 1)
    with open_notebook("04_localization.ipynb") as page:
        use = Page(page)
        use.choose(picture.id)
        for word in (word for word in picture.caption.words if word.text in picture.masks):
            page.locator(".vgs-span .vgs-words button", has_text=word.text).first.click()
            use.wait_span(word.start, word.end)
            use.wait_target(word.text)
            assert use.value("pointing") == use.peak_inside(picture.masks[word.text])
        page.locator(".vgs-localizer").scroll_into_view_if_needed()
        sentence = "The model's IoU lies above every baseline's interval: True"
        page.get_by_text(sentence, exact=True).wait_for(timeout=150_000)
        assert page.get_by_text("Not answered yet").count() >= 1  # the blanks of the students' copy
        assert not page.errors
