"""The CAM inspector in JupyterLab in Chromium, on the toy model, and the real notebook."""

import pytest
import toy_cam
import toy_tour as toy

pytestmark = pytest.mark.browser
SOURCE = """
import sys, time
sys.path.insert(0, {folder!r})
import toy_cam, toy_tour as toy
from vgs_lib.widgets import CamInspector
model = toy_cam.toy_model("sisa")
score = model.score
model.score = lambda *args, **options: (time.sleep({pause}), score(*args, **options))[1]
pictures = [toy_cam.two_discs(), toy.scene("blue", {{"blue": (0.5, 0.5)}})]
inspector = CamInspector(model, pictures)
inspector
"""


@pytest.fixture(scope="session")
def inspector_notebook(lab):
    """Writes a notebook with the inspector of the toy model, whose scores take ``pause`` seconds each."""

    def write(name: str, pause: float = 0.0) -> str:
        folder = str(toy.__file__).rsplit("/", 1)[0]
        return lab.write(name, SOURCE.format(folder=folder, pause=pause))

    return write


def data(page, name, canvas=".vgs-cam .vgs-picture"):
    return page.locator(canvas).get_attribute(f"data-{name}")


def explain(page, **choices):
    """Choose (word, method, layer, sound_layer, against), press Explain and wait for the map."""
    for name, value in choices.items():
        page.locator(f".vgs-cam-{name.replace('_', '-')}").select_option(str(value))
    before = int(data(page, "shown") or 0)
    page.locator(".vgs-explain").click()
    page.wait_for_function(
        "before => Number(document.querySelector('.vgs-cam .vgs-picture').dataset.shown) > before", arg=before
    )
    page.wait_for_selector('.vgs-cam[data-state="done"]')


def peak(page):
    return float(data(page, "peak-x")), float(data(page, "peak-y"))


def inside(mask, point):
    return bool(mask[int(point[1] * len(mask)), int(point[0] * len(mask[0]))])


def test_the_map_follows_the_word(open_notebook, inspector_notebook):
    masks = toy_cam.two_discs().masks
    with open_notebook(inspector_notebook("cam.ipynb")) as page:
        page.wait_for_selector(".vgs-cam .vgs-picture[data-peak-x]")  # the first map comes by itself
        assert data(page, "query") == "red" and inside(masks["red"], peak(page))
        for number, (name, start, end) in enumerate([("red", 0.2, 0.8), ("green", 1.0, 1.6)]):
            explain(page, word=number, method="HiResCAM", layer="image_map", sound_layer="audio_map")
            assert data(page, "query") == name and inside(masks[name], peak(page))
            assert start <= float(data(page, "peak-time", ".vgs-cam-spectrogram")) <= end
            assert page.locator(".vgs-cam .vgs-chosen").text_content() == name
            assert f"% on {name}" in page.locator(".vgs-status").text_content()
        explain(page, against="words")
        assert inside(masks["green"], peak(page)) and data(page, "against") == "words"
        explain(page, method="EigenCAM", layer="encoder.colours", against="nothing")
        assert "never looks at the query" in page.locator(".vgs-status").text_content()
        labels = page.locator(".vgs-cam-layer option").all_text_contents()
        assert "encoder.colours (4 × 14 × 14)" in labels
        page.locator('.vgs-thumb[data-id="blue"]').click()
        explain(page, method="GradCAM", layer="image_map", sound_layer="mel")
        assert data(page, "picture") == "blue" and data(page, "shape", ".vgs-cam-spectrogram") == "40x101"
        assert page.locator(".vgs-high").first.text_content() not in ("", "0")
        assert not page.errors


def test_the_colour_range_can_be_kept(open_notebook, inspector_notebook):
    with open_notebook(inspector_notebook("cam.ipynb")) as page:
        page.wait_for_selector(".vgs-cam .vgs-picture[data-peak-x]")
        explain(page, word=0, method="HiResCAM", layer="image_map")
        first = float(data(page, "top"))
        assert first == float(data(page, "greatest"))
        page.locator(".vgs-hold").check()
        explain(page, word=1)
        assert float(data(page, "top")) == first and data(page, "query") == "green"
        page.locator(".vgs-hold").uncheck()
        assert float(data(page, "top")) == float(data(page, "greatest"))
        page.locator(".vgs-hold").check()
        explain(page, method="GradCAM")  # another unit: the range cannot be kept
        assert float(data(page, "top")) == float(data(page, "greatest")) != first
        assert not page.errors


def test_long_work_can_be_stopped_and_errors_are_shown(open_notebook, inspector_notebook):
    with open_notebook(inspector_notebook("slow_cam.ipynb", pause=1.5)) as page:
        page.wait_for_selector('.vgs-cam[data-state="done"]')
        page.locator(".vgs-cam-method").select_option("ScoreCAM")
        page.locator(".vgs-cam-layer").select_option("encoder.colours")
        page.locator(".vgs-explain").click()
        page.wait_for_selector('.vgs-cam[data-state="running"]')
        page.wait_for_function("document.querySelector('.vgs-cam-bar').value > 0.2")
        assert "s left" in page.locator(".vgs-cam .vgs-clock").text_content()
        page.locator(".vgs-stop").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector('.vgs-cam[data-state="stopped"]')
        assert "Stopped" in page.locator(".vgs-status").text_content() and data(page, "method") == "LayerCAM"
        assert page.locator(".vgs-stop").is_disabled()
        page.locator(".vgs-cam-method").select_option("HiResCAM")
        page.locator(".vgs-cam-word").select_option("-1")
        page.locator(".vgs-cam-against").select_option("words")
        page.locator(".vgs-explain").click()
        page.locator(".vgs-status.vgs-failed", has_text="no other words").wait_for()
        explain(page, word=1, against="nothing")
        assert data(page, "query") == "green"
        assert not page.errors


@pytest.mark.slow
def test_the_real_notebook(open_notebook):
    with open_notebook("solutions/06_gradcam.ipynb") as page:
        page.wait_for_selector(".vgs-cam .vgs-picture[data-peak-x]", timeout=90_000)
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=240_000)
        queries = page.locator(".vgs-cam-word option").all_text_contents()
        explain(page, word=0, method="LayerCAM", layer="encoder.backbone.blocks.4", sound_layer="mel")
        assert data(page, "query") in queries[0]
        first = peak(page)
        explain(page, word=1)
        assert data(page, "query") in queries[1] and peak(page) != first
        assert data(page, "shape", ".vgs-cam-spectrogram").startswith("80x")
        label, drawn = (
            page.locator(place).bounding_box() for place in (".vgs-cam .vgs-chosen", ".vgs-cam-spectrogram")
        )
        assert label["x"] > drawn["x"] + 0.3 * drawn["width"]  # the second word stands where it is heard
        page.locator(".vgs-cam-sound").scroll_into_view_if_needed()
        assert not page.errors
