"""The matchmap player and its notebook in JupyterLab in Chromium: words, threshold, speed, loop, keyboard, video."""

from itertools import pairwise

import numpy as np
import pytest
import toy_tour as toy

from vgs_lib.prompting import Prompter
from vgs_lib.viz import upsample
from vgs_lib.widgets import PlayerController

pytestmark = pytest.mark.browser
FINE = 96  # points a side that the player colours
PICTURE = toy.scene("one", {"red": (0.25, 0.25), "blue": (0.75, 0.75)})
WORDS = toy.words("red", "blue")
SOURCE = """
import sys
sys.path.insert(0, {folder!r})
import toy_tour as toy
from vgs_lib.prompting import Prompter
from vgs_lib.widgets import MatchmapPlayer
picture = toy.scene("one", {{"red": (0.25, 0.25), "blue": (0.75, 0.75)}})
prompter = Prompter({model}, heat_range=(0.0, 0.5))
prompter.add_pictures([picture.id], [picture.load()])
prompt = prompter.prompt({sound}, toy.RATE)
player = MatchmapPlayer(threshold=0.2, speed=0.5)
player.show(picture, prompt, title="red and blue", words={words})
player
"""


def written(lab, name: str, **toys: str) -> str:
    """Write a notebook with the player alone, on a toy world."""
    return lab.write(name, SOURCE.format(folder=str(toy.__file__).rsplit("/", 1)[0], **toys))


@pytest.fixture(scope="module")
def player_notebook(lab):
    toys = {"model": "toy.ToyModel()", "sound": 'toy.say("red", "blue")', "words": 'toy.words("red", "blue")'}
    return written(lab, "toy_player.ipynb", **toys)


@pytest.fixture(scope="module")
def late_notebook(lab):
    toys = {"model": "toy.LateModel()", "sound": "toy.say_late()", "words": "toy.LATE_WORDS"}
    return written(lab, "toy_late_player.ipynb", **toys)


@pytest.fixture(scope="module")
def controller():
    """What the notebook's player knows."""
    prompter = Prompter(toy.ToyModel(), heat_range=(0.0, 0.5))
    prompter.add_pictures([PICTURE.id], [PICTURE.load()])
    player = PlayerController()
    prompt = prompter.prompt(toy.say("red", "blue"), toy.RATE)
    player.show_prompt(PICTURE, prompt, title="red and blue", words=WORDS)
    return player


class Player:
    """Reads and uses the player through the page alone."""

    def __init__(self, page):
        self.page = page
        page.wait_for_selector(".vgs-picture[data-peak-x]")

    def data(self, name: str) -> str | None:
        return self.page.locator(".vgs-picture").get_attribute(f"data-{name}")

    def wait(self, **data) -> None:
        """Until the canvas has these data attributes."""
        self.page.wait_for_selector(".vgs-picture" + "".join(f'[data-{k}="{v}"]' for k, v in data.items()))

    def wait_time(self, condition: str) -> None:
        """Until ``condition``, JavaScript over ``time`` in seconds, is true."""
        self.page.wait_for_function(
            f"() => {{ const time = Number(document.querySelector('.vgs-picture').dataset.time); return {condition}; }}"
        )

    def word(self, text: str):
        return self.page.locator(".vgs-word", has_text=text)

    def peak_inside(self, mask: np.ndarray) -> bool:
        x, y = float(self.data("peak-x")), float(self.data("peak-y"))
        return bool(mask[int(y * mask.shape[0]), int(x * mask.shape[1])])

    def status(self) -> str:
        return self.page.locator(".vgs-answer").text_content()


def test_words_and_threshold(open_notebook, player_notebook, controller):
    with open_notebook(player_notebook) as page:
        player = Player(page)
        assert player.data("mode") == "whole" and player.data("threshold") == "0.20" and player.data("speed") == "0.5"
        assert page.locator(".vgs-least").text_content() == "≥ 0.20"
        assert page.locator(".vgs-legend").text_content() == "similarity0.000.50"
        for index, word in enumerate(WORDS):
            player.word(word.text).click()
            player.wait(mode="word", word=word.text)
            assert player.peak_inside(PICTURE.masks[word.text])
            assert float(player.data("time")) == pytest.approx(word.start, abs=0.001)
            assert player.word(word.text).get_attribute("aria-pressed") == "true"
            assert page.locator('.vgs-word[aria-pressed="true"]').count() == 1
            assert player.status() == controller.note(index)
        heat = upsample(np.round(controller.word_heat(1) * 255) / 255, (FINE, FINE))
        for share in (0.0, 0.3, 0.6):
            page.locator(".vgs-threshold").fill(str(share))
            player.wait(threshold=f"{share / 2:.2f}" if share else "")
            assert float(player.data("lit")) == pytest.approx((heat >= share).mean(), abs=0.01), share
        assert 0 < float(player.data("lit")) < 0.2
        page.locator(".vgs-threshold").fill("0")
        assert page.locator(".vgs-least").text_content() == "off"
        player.word("blue").click()
        player.wait(mode="whole", word="")
        assert player.status() == controller.description()
        player.word("red").click()
        player.wait(mode="word", word="red")
        page.locator(".vgs-time").fill("1.3")
        player.wait(mode="time", word="", frame="32")
        assert page.locator(".vgs-heard").text_content() == "blue" and player.status() == controller.description()
        assert not page.errors


def test_keyboard_speed_and_loop(open_notebook, player_notebook):
    with open_notebook(player_notebook) as page:
        player = Player(page)
        page.locator(".vgs-stage").focus()
        page.keyboard.press("ArrowRight")
        player.wait(mode="time", time="0.040", frame="1")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowLeft")
        player.wait(time="0.040")
        page.keyboard.press("End")
        player.wait_time("time > 1.79")
        page.keyboard.press("Home")
        player.wait(time="0.000")
        page.keyboard.press("Space")
        player.wait(playing="true")
        player.wait_time("time > 0.1")
        page.keyboard.press("Space")
        player.wait(playing="false")
        assert page.evaluate("document.querySelector('.jp-Notebook .jp-mod-editMode') === null")

        sound = "document.querySelector('.vgs-player audio')"
        assert page.evaluate(f"[{sound}.playbackRate, {sound}.preservesPitch]") == [0.5, True]
        page.locator(".vgs-speed").select_option("2")
        assert page.evaluate(f"[{sound}.playbackRate, {sound}.preservesPitch]") == [2, True]

        page.locator(".vgs-loop").click()
        player.wait(loop="true")
        player.word("blue").click()
        player.wait(playing="true", word="blue")
        word = WORDS[1]
        times = page.evaluate(
            """async () => {
                const times = [], data = document.querySelector(".vgs-picture").dataset;
                for (let i = 0; i < 60; i++) {
                    times.push(Number(data.time));
                    await new Promise((done) => setTimeout(done, 25));
                }
                return times;
            }"""
        )
        assert min(times) >= word.start - 0.02 and max(times) < word.end + 0.25, times  # 0.25: a slow machine at 2x
        assert sum(b < a for a, b in pairwise(times)) >= 2, times  # it came around more than once
        assert page.locator(".vgs-heard").text_content() == "blue" and player.peak_inside(PICTURE.masks["blue"])
        page.locator(".vgs-loop").click()
        player.wait(loop="false", playing="false")
        assert float(player.data("time")) > 1.75
        assert not page.errors


def test_frames_that_lag_are_lit_while_they_are_heard(open_notebook, late_notebook):
    """`toy.LateModel`: frames of 0.16 s centred on t x 0.16 s; frames 2 and 5 hear red and blue."""
    with open_notebook(late_notebook) as page:
        player = Player(page)
        for word, frame in zip(toy.LATE_WORDS, (2, 5), strict=True):
            player.word(word.text).click()
            player.wait(mode="word", word=word.text)
            assert player.peak_inside(PICTURE.masks[word.text]) and float(player.data("peak-value")) > 0.9
            for time in (word.start + 0.02, word.end):  # from begin to end of the frame
                page.locator(".vgs-time").fill(f"{time:.2f}")
                player.wait(mode="time", frame=str(frame), time=f"{time:.3f}")
                assert player.peak_inside(PICTURE.masks[word.text])
            page.locator(".vgs-time").fill(f"{0.16 * frame:.2f}")
            player.wait(time=f"{0.16 * frame:.3f}")
            assert float(player.data("peak-value")) > 0.9  # the frame's own heat, not a mixture of two
        strip = page.evaluate(
            """() => {
                const canvas = document.querySelector(".vgs-wave"), { width, height } = canvas;
                const row = canvas.getContext("2d").getImageData(0, height - 3, width, 1).data;
                return Array.from({ length: width }, (_, x) => row[4 * x] > 200 && row[4 * x + 2] < 120);
            }"""
        )
        lit = np.flatnonzero(strip) / len(strip) * 1.12  # seconds
        for part, edges in ((lit[lit < 0.5], (0.24, 0.40)), (lit[lit > 0.5], (0.72, 0.88))):
            assert (part.min(), part.max()) == pytest.approx(edges, abs=0.01)
        assert not page.errors


@pytest.mark.slow
def test_the_notebook_as_a_person_uses_it(open_notebook):
    from vgs_lib.data.scenes import Scenes
    from vgs_lib.data.stamps import Stamps

    scene = Scenes(Stamps.open(), "test", size=448)[2]
    masks = {thing.text: thing.mask for thing in scene.objects}
    with open_notebook("05_matchmap.ipynb") as page:
        page.locator("video").wait_for(timeout=180_000)
        player = Player(page)
        for word in scene.words:
            player.word(word.text).click()
            player.wait(mode="word", word=word.text)
            assert player.peak_inside(masks[word.text])
        page.locator(".vgs-stage").focus()
        page.keyboard.press("Space")
        player.wait(playing="true", mode="time")
        page.keyboard.press("Space")
        player.wait(playing="false")

        page.wait_for_selector(".js-plotly-plot .gl-container canvas")
        assert page.locator(".js-plotly-plot").text_content().count("similarity") >= 1
        page.locator("video").scroll_into_view_if_needed()
        page.wait_for_function("document.querySelector('video').readyState >= 1")
        assert page.evaluate("document.querySelector('video').duration") == pytest.approx(3.6, abs=0.1)
        assert page.get_by_text("Not answered yet").count() == 4
        assert page.get_by_text("Of 24 things, at least nine in ten are found: True").count() == 1
        assert page.locator('[data-mime-type="application/vnd.jupyter.stderr"]').count() == 0
        assert not page.errors
