"""The CAM inspector's controller and view, without a browser, on the toy model."""

import re
import subprocess
import sys
import threading

import numpy as np
import pytest
import toy_cam
import toy_tour as toy

from vgs_lib.errors import DataError, ExplainError
from vgs_lib.widgets.cam import CamInspector
from vgs_lib.widgets.cam_controller import CamController
from vgs_lib.widgets.material import Picture

MODEL = toy_cam.toy_model("sisa")


def pictures():
    blue = toy.scene("blue", {"blue": (0.5, 0.5)})
    return [toy_cam.two_discs(), blue, Picture("silent", "no caption", lambda: np.zeros((32, 32, 3), np.uint8))]


@pytest.fixture
def inspector():
    return CamController(MODEL, pictures())


def test_it_needs_no_widget_library():
    code = (
        "import sys; sys.modules['ipywidgets'] = sys.modules['anywidget'] = None\n"
        "from vgs_lib.widgets import CamController"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_word_lights_up_its_disc_and_its_moment(inspector):
    for number, (name, place) in enumerate({"red": 0.25, "green": 0.75}.items()):
        inspector.start(inspector.choose(word=number, method="HiResCAM"))
        inspector.wait()
        assert inspector.state == "done", inspector.status
        found = inspector.result
        assert toy_cam.inside(toy_cam.two_discs().masks[name], found.cam.positive)
        assert found.span[0] <= inspector.peak_seconds() <= found.span[1]
        content, buffers = inspector.message()
        assert content["query"] == name and content["shape"] == [14, 14] and content["picture"]["id"] == "two"
        heat = np.frombuffer(buffers[2], np.float32).reshape(14, 14)
        assert heat.max() == pytest.approx(found.cam.raw.max()) and (heat.argmax() % 14 + 0.5) / 14 == pytest.approx(
            place, abs=0.15
        )
        assert len(buffers[4]) == np.prod(content["mel"]) and len(buffers[3]) == 4 * np.prod(content["sound"])
        shares = dict(zip(("red", "green"), re.findall(r"(\d+)% on", inspector.status), strict=True))
        assert int(shares.pop(name)) > 80 and set(shares.values()) == {"0"}
        assert f"Strongest in the sound at {inspector.peak_seconds():.2f} s" in inspector.status


def test_what_can_be_chosen(inspector):
    content, thumbnails = inspector.options()
    assert [item["id"] for item in content["pictures"]] == ["two", "blue"] and len(thumbnails) == 2
    assert content["pictures"][0]["words"][1] == ["green", 1.0, 1.6]
    assert ["encoder.colours", "encoder.colours (4 × 14 × 14)"] in content["layers"]
    assert content["sound_layers"][0][0] == "mel" and content["choice"]["word"] == 0
    assert [name for name, _ in content["methods"]][:2] == ["GradCAM", "HiResCAM"]
    assert inspector.message() == ({"type": "shown", "picture": None}, [])


def test_distractors_lower_the_score(inspector):
    alone = inspector.explain(inspector.choose())
    words = inspector.explain(inspector.choose(against="words"))
    captions = inspector.explain(inspector.choose(against="captions"))
    green = inspector.explain(inspector.choose(word=1))
    blue = inspector.explain(inspector.choose(picture="blue"))
    assert words.cam.score == pytest.approx(alone.cam.score - green.cam.score, rel=1e-4) and blue.cam.score > 0
    assert captions.cam.score == pytest.approx(alone.cam.score, rel=1e-4)  # nothing blue in the picture
    assert captions.sound.score == pytest.approx(alone.sound.score, rel=1e-4)


def test_choices_that_do_not_fit_are_said(inspector):
    wrong = {
        "no picture 'nowhere'": {"picture": "nowhere"},
        "no picture 'silent'": {"picture": "silent"},
        "word: found 2, expected 0 to 1": {"word": 2},
        "method: found 'Cam'": {"method": "Cam"},
        "layer: found 'top'": {"layer": "top"},
        "layer: found 'below'": {"sound_layer": "below"},
        "against: found 'all'": {"against": "all"},
        "no other words": {"word": -1, "against": "words"},
    }
    for sentence, changes in wrong.items():
        with pytest.raises((DataError, ExplainError), match=sentence):
            inspector.explain(inspector.choose(**changes))
    inspector.start(inspector.choose(layer="top"))
    inspector.wait()
    assert inspector.state == "failed" and "layer: found 'top'" in inspector.status and inspector.result is None
    with pytest.raises(ExplainError, match="no other picture"):
        CamController(MODEL, pictures()[:1]).explain(inspector.choose(against="captions"))
    with pytest.raises(DataError, match="1 pictures, none with"):
        CamController(MODEL, pictures()[2:])


def test_a_method_for_pictures_only_leaves_the_sound_with_a_note(inspector):
    found = inspector.explain(inspector.choose(method="ScoreCAM", layer="encoder.colours"))
    assert found.sound is None and "pictures only" in found.note and found.cam.method == "ScoreCAM"
    inspector.result = found
    content, _ = inspector.message()
    assert content["sound"] is None and "pictures only" in content["note"]
    assert "ScoreCAM" in inspector.description() and "sound" not in inspector.description()


def test_eigencam_is_said_to_ignore_the_query_and_an_empty_map_to_be_empty(inspector):
    inspector.result = inspector.explain(inspector.choose(method="EigenCAM", layer="encoder.colours"))
    assert "never looks at the query" in inspector.description()
    inspector.result = inspector.explain(inspector.choose(picture="blue", method="HiResCAM", against="captions"))
    assert re.search(r"for “blue”: of the map lie \d\d% on blue", inspector.description())
    nothing = toy.scene("grey", {})
    grey = Picture("grey", "nothing", nothing.load, toy_cam.two_discs().caption)
    alone = CamController(MODEL, [grey])
    alone.result = alone.explain(alone.choose(method="HiResCAM"))
    assert "no place raises the score" in alone.description() and "no moment raises" in alone.result.note


def test_stopping_keeps_what_was_shown_and_later_work_goes_on(inspector):
    first = inspector.explain(inspector.choose())
    inspector.result = first
    reached, go_on, progress = threading.Event(), threading.Event(), []

    def hold():
        progress.append((inspector.state, inspector.done, inspector.total))
        if inspector.state == "running" and inspector.done == 3:
            reached.set()
            assert go_on.wait(10)

    inspector.on_change = hold
    inspector.start(inspector.choose(method="ScoreCAM", layer="encoder.colours"))
    assert reached.wait(10)
    inspector.on_change = lambda: None
    inspector.stop()
    assert inspector.state == "stopped" and inspector.status.startswith("Stopped")
    go_on.set()
    inspector.wait()
    assert inspector.state == "stopped" and inspector.result is first
    assert ("running", 3, 6) in progress  # 4 channels, the recording and the sound
    inspector.start(inspector.choose(word=1, method="HiResCAM"))
    inspector.wait()
    assert inspector.state == "done" and inspector.result.choice.word == 1


def test_a_newer_choice_replaces_the_one_that_runs(inspector):
    for number in (0, 1, 0, 1):
        inspector.start(inspector.choose(word=number, method="HiResCAM"))
    for thread in threading.enumerate():
        if thread.name == "cam-inspector":
            thread.join()
    assert inspector.state == "done" and inspector.result.choice.word == 1


def test_the_view_sends_options_result_and_progress(inspector, monkeypatch):
    view = CamInspector(controller=inspector)
    sent = []
    monkeypatch.setattr(view, "send", lambda content, buffers=None: sent.append(content))
    view._receive(view, {"type": "ready"}, [])
    assert [content["type"] for content in sent] == ["options", "shown", "progress"]
    choice = {**inspector.options()[0]["choice"], "method": "HiResCAM", "unknown": 1}
    view._receive(view, {"type": "explain", "choice": choice}, [])
    view.wait()
    assert view.state == "done" and sent[-1]["state"] == "done" and sent[-2]["type"] == "shown"
    assert {content.get("state") for content in sent if content["type"] == "progress"} >= {"ready", "running", "done"}
    view._receive(view, {"type": "explain", "choice": {}}, [])
    assert "broken" in sent[-1]["type"] and "Something went wrong" in sent[-1]["sentence"]
    view.close()
