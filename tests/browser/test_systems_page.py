"""The comparison of two systems in JupyterLab in Chromium, on toy records and the toy world."""

from pathlib import Path

import pytest
import toy_tour as toy
from toy_records import record

pytestmark = pytest.mark.browser
SCREENSHOTS = Path(__file__).parent / "screenshots"
FIRST = [1, 2, 3, 40, 11, 1, 1, 99, 10, 50, 60, 7]
SECOND = [1, 30, 12, 41, 10, 80, 1, 3, 11, 50, 60, 8]
SOURCE = f"""
import sys
sys.path.insert(0, {str(Path(toy.__file__).parent)!r})
import toy_tour as toy
from toy_records import record
from vgs_lib.widgets import SystemComparison
records = [record("ni2018-baseline"), record("tian2020"), record("harwath2019-misa")]
records[0]["figures"]["ranks"]["speech_to_image"] = {FIRST}
records[1]["figures"]["ranks"]["speech_to_image"] = {SECOND}
"""
SLOW = """
import time
view = SystemComparison(records, toy.scenes(12).__getitem__)
choose, compare = view.controller.choose, view.controller.compare
view.controller.choose = lambda *args: time.sleep(1) or choose(*args)
view.controller.compare = lambda *args: time.sleep(1) or compare(*args)
view
"""
COUNT_PLAYS = """() => {
  const play = HTMLMediaElement.prototype.play;
  window.plays = 0;
  HTMLMediaElement.prototype.play = function () { window.plays += 1; return play.call(this); };
}"""


@pytest.fixture(scope="module")
def notebooks(lab):
    lab.write("systems.ipynb", SOURCE + "SystemComparison(records, toy.scenes(12).__getitem__)")
    lab.write("slow-systems.ipynb", SOURCE + SLOW)
    lab.write("no-systems.ipynb", SOURCE + "SystemComparison([], toy.scenes(12).__getitem__)")


def alone(page, side: int) -> list[int]:
    buttons = page.locator(".vgs-alone ol").nth(side).locator("button")
    return [int(n) for n in buttons.evaluate_all("all => all.map(one => one.dataset.query)")]


def test_two_systems_are_chosen_and_a_query_is_looked_at_and_heard(open_notebook, notebooks):
    pictures = toy.scenes(12)
    with open_notebook("systems.ipynb") as page:
        page.wait_for_selector(".vgs-systems-canvas[data-queries='12'][data-first-only='4'][data-second-only='2']")
        canvas = page.locator(".vgs-systems-canvas")
        assert (alone(page, 0), alone(page, 1)) == ([5, 1, 2, 8], [7, 4])
        heads = page.locator(".vgs-alone h4").all_text_contents()
        assert heads == ["4 queries that only ni2018-baseline finds", "2 queries that only tian2020 finds"]
        assert "ni2018-baseline alone finds 4" in page.locator(".vgs-systems-status").text_content()
        assert "only tian2020 finds it" in page.locator(".vgs-systems-legend").text_content()
        page.locator('.vgs-alone-query[data-query="7"]').click()
        page.wait_for_selector(".vgs-systems-canvas[data-chosen='7']")
        assert page.locator(".vgs-query-words").text_content().split() == [w.text for w in pictures[7].caption.words]
        assert "rank 99 by ni2018-baseline, 3 by tian2020" in page.locator(".vgs-query-places").text_content()
        page.wait_for_function("() => document.querySelector('.vgs-query img').naturalWidth > 100")
        waveform, rate = pictures[7].caption.load()
        seconds = page.wait_for_function("() => document.querySelector('.vgs-query audio').duration").json_value()
        assert seconds == pytest.approx(len(waveform) / rate, abs=0.01)
        assert page.locator('.vgs-alone-query[aria-pressed="true"]').get_attribute("data-query") == "7"
        page.wait_for_function("() => document.querySelector('.vgs-query audio').currentTime > 0.1")  # it plays
        page.locator(".vgs-heard").first.wait_for()

        canvas.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(".vgs-systems-canvas[data-chosen='8']")
        page.locator("select.vgs-second").select_option("harwath2019-misa")
        page.wait_for_selector(".vgs-systems-canvas[data-second='harwath2019-misa']")
        page.locator("select.vgs-way").select_option("image_to_speech")
        page.wait_for_selector(".vgs-systems-canvas[data-way='image_to_speech']")
        ranks = [
            record(name)["figures"]["ranks"]["image_to_speech"] for name in ("ni2018-baseline", "harwath2019-misa")
        ]
        only = [sum(a <= 10 < b for a, b in zip(*pair, strict=True)) for pair in (ranks, ranks[::-1])]
        assert [int(canvas.get_attribute(f"data-{name}-only")) for name in ("first", "second")] == only
        assert not page.errors


def test_a_point_of_the_plot_is_a_query(open_notebook, notebooks):
    with open_notebook("systems.ipynb") as page:
        page.wait_for_selector(".vgs-systems-canvas[data-queries='12']")
        canvas = page.locator(".vgs-systems-canvas")
        box = canvas.bounding_box()
        page.mouse.click(box["x"] + 0.97 * box["width"], box["y"] + 0.66 * box["height"])  # ranks 99 and 3
        page.wait_for_selector(".vgs-systems-canvas[data-chosen='7']")
        assert not page.errors


def test_what_is_chosen_before_an_answer_is_not_lost(open_notebook, notebooks):
    with open_notebook("slow-systems.ipynb") as page:
        page.wait_for_selector(".vgs-systems-canvas[data-queries='12']")
        page.evaluate(COUNT_PLAYS)
        page.locator(".vgs-systems-canvas").focus()
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        page.wait_for_selector(".vgs-systems-canvas[data-chosen='4']")
        page.keyboard.press("ArrowLeft")
        page.wait_for_selector(".vgs-systems-canvas[data-chosen='3']")
        assert page.evaluate("window.plays") == 2  # one sound for each that somebody stayed at

        first, second = page.locator("select.vgs-first"), page.locator("select.vgs-second")
        first.select_option("harwath2019-misa")
        second.select_option("ni2018-baseline")
        page.wait_for_selector(".vgs-systems-canvas[data-first='harwath2019-misa'][data-second='tian2020']")
        assert second.input_value() == "ni2018-baseline"  # though this answer is to the first choice
        page.locator("select.vgs-way").select_option("image_to_speech")
        wanted = "[data-first='harwath2019-misa'][data-second='ni2018-baseline'][data-way='image_to_speech']"
        page.wait_for_selector(f".vgs-systems-canvas{wanted}")
        assert (first.input_value(), second.input_value()) == ("harwath2019-misa", "ni2018-baseline")
        second.select_option("tian2020")  # the lists are released again
        page.wait_for_selector(".vgs-systems-canvas[data-second='tian2020']")
        assert not page.errors


def test_without_records_it_says_how_they_are_made(open_notebook, notebooks):
    with open_notebook("no-systems.ipynb") as page:
        page.locator(".vgs-systems-status", has_text="python -m vgs_lib reproduce makes them").wait_for()
        assert page.locator("select.vgs-first").is_disabled() and not page.locator(".vgs-systems-main").is_visible()
        assert not page.errors


@pytest.mark.slow
def test_the_notebook_of_systems_is_used_from_top_to_bottom(open_notebook):
    with open_notebook("07_systems.ipynb") as page:
        page.wait_for_selector(".vgs-systems-canvas[data-queries]", state="attached", timeout=240_000)
        canvas = page.locator(".vgs-systems-canvas")
        page.locator(".vgs-systems").scroll_into_view_if_needed()
        if canvas.get_attribute("data-queries") != "0":
            canvas.focus()
            page.keyboard.press("ArrowRight")
            page.wait_for_selector(".vgs-systems-canvas[data-chosen='0']")
            page.wait_for_function("() => document.querySelector('.vgs-query img').naturalWidth > 100")
        page.wait_for_timeout(300)
        SCREENSHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SCREENSHOTS / "systems.png")
        page.get_by_text("Not answered yet").nth(2).wait_for(state="attached", timeout=60_000)
        assert not page.errors
