"""The tour as a widget: its views pass on what a person does, and nothing is left running."""

import json
import threading

import numpy as np
import pytest
import toy_tour as toy

from vgs_lib.errors import DataError
from vgs_lib.prompting import Prompter
from vgs_lib.widgets import Picture, Tour
from vgs_lib.widgets.buffers import wav


@pytest.fixture
def view():
    made = Tour(toy.ToyModel(), pictures=toy.scenes(12), clips=toy.clips()).wait()
    made.sent = []
    for name in ("gallery", "recorder", "player", "best"):
        piece = getattr(made, name)
        piece.send = lambda content, buffers=None, name=name: made.sent.append((name, content, buffers))
    yield made
    made.close()


def test_the_views_pass_on_what_a_person_does(view):
    red = next(p.id for p in view.pictures.values() if "red" in p.masks)
    view.gallery._receive(view.gallery, {"type": "choose", "id": red}, [])
    assert view.gallery.selected == red
    view.recorder._receive(view.recorder, {"type": "recording"}, [memoryview(wav(toy.say("red")))])
    assert "12 pictures" in view.recorder.status and not view.recorder.failed and not view.recorder.busy
    kinds = [(name, content["type"]) for name, content, _ in view.sent]
    assert ("player", "show") in kinds and ("best", "items") in kinds
    view.recorder._receive(view.recorder, {"type": "recording"}, [b"text"])
    assert view.recorder.failed


def test_an_unexpected_error_is_shown_not_only_logged(view, caplog):
    view.gallery._receive(view.gallery, {"type": "choose", "id": "no such picture"}, [])
    assert view.sent[-1][1]["type"] == "broken" and "no such picture" in view.sent[-1][1]["sentence"]


def test_pictures_that_cannot_be_encoded_are_named(caplog):
    bad = Picture("flat", "a flat thing", lambda: np.zeros((20, 200, 3), np.uint8))
    tour = Tour(toy.ToyModel(), pictures=[*toy.scenes(3), bad]).wait()
    assert tour.recorder.failed and "flat" in tour.recorder.status
    tour.close()


def test_the_saved_state_holds_no_pictures_and_no_sound(view):
    view.recorder._receive(view.recorder, {"type": "clip", "id": "clip-red"}, [])
    state = sum(
        len(json.dumps(w.get_state(), default=str)) for w in (view.gallery, view.recorder, view.player, view.best)
    )
    assert state < 100_000


def test_the_tour_takes_the_range_of_a_checkpoint():
    tour = Tour(toy.ToyModel(), pictures=toy.scenes(3), clips=toy.clips(), heat_range=[0.25, 0.5]).wait()
    assert tour.prompter.heat_range == (0.25, 0.5)
    tour.close()
    with pytest.raises(DataError, match="heat_range: a Prompter has one of its own"):
        Tour(Prompter(toy.ToyModel()), pictures=toy.scenes(3), heat_range=(0.25, 0.5))


def test_closing_ends_the_background_work():
    tour = Tour(toy.ToyModel(), pictures=toy.scenes(200))
    tour.close()
    assert "tour-pictures" not in {thread.name for thread in threading.enumerate()}
