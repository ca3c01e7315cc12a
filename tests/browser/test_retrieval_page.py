"""The score matrix and the explorers in JupyterLab in Chromium: on the toy world, and once in the real notebook."""

from pathlib import Path

import pytest
import toy_tour as toy

from vgs_lib.widgets import Collection

pytestmark = pytest.mark.browser
SCREENSHOTS = Path(__file__).parent / "screenshots"
SOURCE = """
import sys
sys.path.insert(0, {folder!r})
import toy_tour as toy
from vgs_lib.widgets import Collection, ImageAnnotation, ImageSearch, ScoreMatrix
collection = Collection.of(toy.ToyModel(), toy.scenes(12))
"""
WIDGETS = {
    "matrix": "ScoreMatrix(collection)",
    "search": "ImageSearch(collection, toy.clips(), num_best=4)",
    "annotation": "ImageAnnotation(collection, transcribe=lambda waveform, rate: 'red and blue', num_best=3)",
}


@pytest.fixture(scope="module")
def collection():
    """The same as in the notebook."""
    return Collection.of(toy.ToyModel(), toy.scenes(12))


@pytest.fixture(scope="module")
def notebooks(lab):
    """A notebook with each widget, in the folder that JupyterLab serves."""
    for name, widget in WIDGETS.items():
        source = SOURCE.format(folder=str(toy.__file__).rsplit("/", 1)[0]) + widget
        lab.write(f"{name}.ipynb", source)


def wait_shown(page, picture, title):
    page.wait_for_selector(f'.vgs-picture[data-picture="{picture}"][data-title="{title}"][data-peak-x]')


def test_a_cell_is_chosen_by_mouse_and_by_keys_and_played(open_notebook, notebooks, collection):
    with open_notebook("matrix.ipynb") as page:
        canvas = page.locator(".vgs-matrix-canvas")
        page.wait_for_selector(".vgs-matrix-canvas[data-rows='12'][data-columns='12'][data-true-cells='12']")
        data = lambda name: canvas.get_attribute(f"data-{name}")
        box = canvas.bounding_box()
        step = box["width"] / 12
        page.mouse.click(box["x"] + 7.5 * step, box["y"] + 2.5 * step)
        page.wait_for_selector(".vgs-matrix-canvas[data-chosen='2,7']")
        wait_shown(page, collection.pictures[7].id, collection.captions[2].title)
        assert (data("row"), data("column"), data("right")) == ("2", "7", "false")
        assert float(data("score")) == pytest.approx(float(collection.scores[2, 7]), abs=1e-4)
        scores = collection.scores[2].tolist()
        ties = scores.count(scores[7]) - 1
        assert float(data("place")) == 1 + sum(s > scores[7] for s in scores) + ties / 2
        assert "Caption 3 " in page.locator(".vgs-matrix-status").text_content()

        canvas.focus()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowDown")
        assert (data("row"), data("column"), data("chosen")) == ("3", "6", "2,7")
        page.keyboard.press("Home")
        assert (data("row"), data("column"), data("right")) == ("3", "3", "true")
        assert "They belong together" in page.locator(".vgs-matrix-status").text_content()
        page.keyboard.press("Enter")
        page.wait_for_selector(".vgs-matrix-canvas[data-chosen='3,3']")
        wait_shown(page, collection.pictures[3].id, collection.captions[3].title)
        page.wait_for_selector('.vgs-picture[data-mode="time"]')  # it plays
        page.locator(".vgs-top").click()
        assert int(data("column")) == int(collection.scores[3].argmax())
        canvas.focus()
        for _ in range(15):
            page.keyboard.press("ArrowRight")
        assert data("column") == "11"

        assert page.locator(".vgs-matrix .vgs-legend").text_content().startswith("similarity (no unit)")
        page.locator(".vgs-by-place").click()
        assert data("mode") == "place"
        assert page.locator(".vgs-matrix .vgs-legend").text_content().startswith("place in its row12")
        assert not page.errors


def test_a_word_finds_pictures_and_the_right_ones_are_marked(open_notebook, notebooks, collection):
    reds = {p.id for p in collection.pictures if "red" in p.masks}
    with open_notebook("search.ipynb") as page:
        page.locator("select.vgs-clips").select_option("clip-red")
        page.wait_for_selector(".vgs-results[data-count]")
        page.locator(".vgs-status", has_text="at place").wait_for()
        items = page.locator(".vgs-results li")
        right = items.evaluate_all("all => all.filter(li => li.dataset.right == 'true').map(li => li.dataset.id)")
        assert set(right) == reds and items.first.get_attribute("data-id") in reds
        wait_shown(page, items.first.get_attribute("data-id"), "red")
        second = items.nth(1).get_attribute("data-id")
        items.nth(1).locator("button").click()
        wait_shown(page, second, "red")
        page.wait_for_selector(f'.vgs-results[data-selected="{second}"]')
        assert items.nth(1).locator("img").evaluate("image => image.naturalWidth") > 50
        page.locator('.vgs-recorder input[type="file"]').set_input_files(
            {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"only words"}
        )
        page.locator(".vgs-status.vgs-failed", has_text="notes.txt").wait_for()
        assert not page.errors


def test_a_picture_finds_captions_with_their_transcripts(open_notebook, notebooks, collection):
    picture = collection.pictures[4]
    with open_notebook("annotation.ipynb") as page:
        page.locator(f'.vgs-thumb[data-id="{picture.id}"]').click()
        page.wait_for_selector(".vgs-results li[data-right='true'][data-id='4']")
        page.wait_for_selector(".vgs-results li[data-heard='red and blue']")
        page.locator(".vgs-transcript", has_text="word errors").first.wait_for()
        assert "12 captions ranked" in page.locator(".vgs-ranking-status").text_content()
        page.locator(".vgs-results li[data-id='4'] button").click()
        wait_shown(page, picture.id, collection.captions[4].title)
        page.wait_for_selector(".vgs-results[data-selected='4']")
        assert not page.errors


def test_a_caption_that_is_pressed_while_its_transcript_comes_is_chosen(open_notebook, lab, collection, tmp_path):
    gate = tmp_path / "go-on"
    source = f"""
import pathlib, time
def transcribe(waveform, rate):
    while not pathlib.Path({str(gate)!r}).exists():
        time.sleep(0.05)
    return "red and blue"
ImageAnnotation(collection, transcribe=transcribe, num_best=3)"""
    source = SOURCE.format(folder=str(toy.__file__).rsplit("/", 1)[0]) + source
    with open_notebook(lab.write("slow-annotation.ipynb", source)) as page:
        page.locator(f'.vgs-thumb[data-id="{collection.pictures[4].id}"]').click()
        page.wait_for_selector(".vgs-results li[data-id='4'][data-heard='…']")
        page.locator(".vgs-results li[data-id='4'] .vgs-transcript").hover()
        page.mouse.down()
        gate.touch()
        page.wait_for_selector(".vgs-results li[data-id='4'][data-heard='red and blue']")
        page.mouse.up()
        page.wait_for_selector(".vgs-results[data-selected='4']")
        assert "red and blue" in page.locator(".vgs-results li[data-id='4'] .vgs-transcript").text_content()
        assert not page.errors


@pytest.mark.slow
def test_the_notebook_is_used_from_top_to_bottom(open_notebook):
    with open_notebook("03_retrieval.ipynb") as page:
        said = page.locator('[data-mime-type="application/vnd.jupyter.stdout"]')
        said.filter(has_text="effort 16").wait_for(timeout=240_000, state="attached")
        page.wait_for_selector(".vgs-matrix-canvas[data-rows='40'][data-true-cells='40']", state="attached")
        canvas = page.locator(".vgs-matrix-canvas")
        canvas.scroll_into_view_if_needed()
        step = canvas.bounding_box()["width"] / 40
        canvas.click(position={"x": 5.5 * step, "y": 5.5 * step})
        page.wait_for_selector(".vgs-matrix-canvas[data-chosen='5,5'][data-right='true']")
        page.wait_for_selector('.vgs-picture[data-picture="scene-5"][data-peak-x]')
        heard = ".vgs-ranking li[data-heard]:not([data-heard='']):not([data-heard='…'])"
        page.wait_for_selector(heard, timeout=240_000, state="attached")
        page.locator(heard).first.scroll_into_view_if_needed()
        assert page.get_by_text("Not answered yet").count() >= 4
        SCREENSHOTS.mkdir(exist_ok=True)
        for place, part in enumerate((".vgs-matrix", ".vgs-recorder", ".vgs-transcript")):
            page.locator(part).first.scroll_into_view_if_needed()
            page.wait_for_timeout(300)
            page.screenshot(path=SCREENSHOTS / f"retrieval-{place}.png")
        assert not page.errors
