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


def test_an_interrupted_answer_is_shown_and_the_interrupt_goes_on(view, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setitem(view.gallery.handlers, "choose", interrupted)
    with pytest.raises(KeyboardInterrupt):
        view.gallery._receive(view.gallery, {"type": "choose", "id": "x"}, [])
    assert view.sent[-1][1]["type"] == "broken"


def test_the_answer_is_there_before_the_recorder_is_idle(view):
    told = []
    view.recorder.observe(lambda change: told.append((change.name, change.new)), ("busy", "status"))
    view.recorder._receive(view.recorder, {"type": "recording"}, [b"text"])
    assert told[0] == ("busy", True) and told[-1] == ("busy", False) and told[-2][0] == "status"


def test_the_kernels_microphone_records_once_at_a_time(view):
    begun, go_on, records = threading.Event(), threading.Event(), []

    def record(seconds):
        records.append(seconds)
        begun.set()
        assert go_on.wait(10)

    view.recorder.controller.record_local = record
    told = []
    view.recorder.observe(lambda change: told.append(change.new), ("busy", "status"))
    view.recorder._receive(view.recorder, {"type": "local"}, [])
    assert begun.wait(10) and told[0].startswith("Speak now") and told[1:] == [True]  # said while it is idle, so shown
    view.recorder._receive(view.recorder, {"type": "clip", "id": "clip-red"}, [])
    assert view.recorder.busy
    view.recorder._receive(view.recorder, {"type": "local"}, [])
    go_on.set()
    for thread in threading.enumerate():
        if "_record_local" in thread.name:  # named after its target
            thread.join(10)
    assert records == [3.0] and not view.recorder.busy


def test_what_went_wrong_stays_while_pictures_are_encoded():
    tour = Tour(toy.ToyModel(), pictures=toy.scenes(3), clips=toy.clips()).wait()
    tour.recorder.controller.fail("The recording is silent.")
    tour.controller.encode()
    assert (tour.recorder.status, tour.recorder.failed) == ("The recording is silent.", True)
    tour.recorder._receive(tour.recorder, {"type": "clip", "id": "clip-red"}, [])
    assert not tour.recorder.failed
    tour.controller.encode()
    assert tour.recorder.status.startswith("Ready: 3 pictures")
    tour.close()
    assert all(piece.comm is None for piece in (tour.gallery, tour.recorder, tour.player, tour.best, tour))


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
