"""The views of the localizer pass on what a person does and answer with what is drawn, on the toy world."""

import numpy as np
import pytest
import toy_tour as toy

from vgs_lib.errors import AudioError
from vgs_lib.widgets import Clip, Localizer, Picture, SpanSelector

PICTURES = toy.scenes(20)
THREE = next(p for p in PICTURES if len(p.masks) == 3)


@pytest.fixture
def view(monkeypatch):
    """A Localizer whose messages to the browser are kept."""
    made = Localizer(toy.ToyModel(), PICTURES, toy.clips(), threshold=0.3)
    made.sent = []
    for piece in (made.span, made.region):
        monkeypatch.setattr(
            piece, "send", lambda content, buffers=None, piece=piece: made.sent.append((piece, content))
        )
    return made


def test_a_span_from_the_browser_is_answered_with_its_heat(view):
    view.span._receive(view.span, {"type": "span", "sound": view.span.controller.sound, "start": 0.9, "end": 0.3}, [])
    assert [(piece, content["type"]) for piece, content in view.sent] == [(view.span, "span"), (view.region, "heat")]
    assert view.sent[0][1]["span"] == list(view.controller.span.span) == [0.3, 0.9]
    view.sent.clear()
    view.region._receive(view.region, {"type": "threshold", "value": 0.45}, [])
    assert (
        view.sent[0][1]["type"] == "scores" and view.sent[0][1]["threshold"] == view.controller.region.threshold == 0.45
    )


def test_a_span_of_a_recording_that_another_one_replaced_changes_nothing(view):
    before = view.span.controller.sound
    view.gallery._receive(view.gallery, {"type": "choose", "id": THREE.id}, [])
    chosen = view.span.span
    view.sent.clear()
    view.span._receive(view.span, {"type": "span", "sound": before, "start": 0.3, "end": 0.9}, [])
    after = view.span.controller.sound
    assert view.span.span == chosen and [(c["type"], c["sound"]) for _, c in view.sent] == [("show", after)]
    view.sent.clear()
    view.gallery._receive(view.gallery, {"type": "choose", "id": THREE.id}, [])  # the same again
    assert view.sent[0][1]["sound"] == view.span.controller.sound == after == before + 1
    view.span._receive(view.span, {"type": "span", "sound": after, "start": 0.3, "end": 0.9}, [])
    assert view.span.span == (0.3, 0.9)


def test_what_goes_wrong_is_shown_and_answered(view):
    view.span._receive(view.span, {"type": "span", "sound": view.span.controller.sound, "start": None, "end": 0.3}, [])
    assert [content["type"] for _, content in view.sent] == ["span", "broken"]
    assert "TypeError" in view.sent[1][1]["sentence"]
    view.sent.clear()
    view.region._receive(view.region, {"type": "threshold", "value": float("inf")}, [])
    assert [content["type"] for _, content in view.sent] == ["scores", "broken"]


def test_a_chosen_picture_brings_its_sound_and_heat(view):
    view.gallery._receive(view.gallery, {"type": "choose", "id": THREE.id}, [])
    assert [content["type"] for _, content in view.sent] == ["show", "show"]
    assert view.controller.picture is THREE and view.gallery.selected == THREE.id
    view.sent.clear()
    view.recorder._receive(view.recorder, {"type": "clip", "id": "clip-red"}, [])
    assert [(piece, content["type"]) for piece, content in view.sent] == [(view.span, "show"), (view.region, "heat")]
    assert view.sent[0][1]["play"] and "red" in view.recorder.status


def test_a_picture_whose_sound_cannot_be_heard_is_shown_with_what_was_heard_before(view):
    view.gallery._receive(view.gallery, {"type": "choose", "id": THREE.id}, [])
    title, other = view.controller.span.title, next(p for p in PICTURES if p is not THREE)
    silent = Picture(other.id, other.title, other.load, Clip("c", "silence", "", lambda: (np.zeros(16000), 16000)), {})
    view.controller.pictures[other.id] = silent
    view.sent.clear()
    with pytest.raises(AudioError, match="silent"):
        view.controller.choose_picture(other.id)
    assert view.sent[-1][1]["picture"]["id"] == other.id and view.controller.span.title == title
    view.span.select(0.3, 0.9)
    assert view.sent[-1][1]["type"] == "heat" and view.controller.region.heat is not None


def test_the_selector_alone_calls_back():
    found = []
    selector = SpanSelector(toy.say("red"), toy.RATE, on_span=lambda start, end: found.append((start, end)))
    selector.select(0.3, 0.5)
    assert selector.span == found[-1] == (0.3, 0.5)
