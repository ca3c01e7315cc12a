"""The views of retrieval without a browser: what messages do, what is sent, transcripts in the background."""

import threading

import pytest
import toy_tour as toy

from vgs_lib import transcripts
from vgs_lib.widgets import Collection, ImageAnnotation, ImageSearch, ScoreMatrix


@pytest.fixture(scope="module")
def collection():
    return Collection.of(toy.ToyModel(), toy.scenes(6))


def listen(view, monkeypatch):
    """The list of (content, buffers) that a view sends from now on."""
    sent = []
    monkeypatch.setattr(view, "send", lambda content, buffers=None: sent.append((content, buffers or [])))
    return sent


def test_a_chosen_cell_is_confirmed_and_shown(collection, monkeypatch):
    matrix = ScoreMatrix(collection)
    canvas, player = listen(matrix.canvas, monkeypatch), listen(matrix.player, monkeypatch)
    matrix.canvas._receive(None, {"type": "ready"}, [])
    assert canvas[0][0]["type"] == "matrix" and len(canvas[0][1][0]) == 4 * 6 * 6
    matrix.canvas._receive(None, {"type": "choose", "row": 1, "column": 4}, [])
    assert canvas[-1][0] == {"type": "chosen", "row": 1, "column": 4}
    assert player[-1][0]["picture"]["id"] == collection.pictures[4].id and player[-1][0]["prompt"]["play"]
    matrix.canvas._receive(None, {"type": "choose", "row": 9, "column": 0}, [])
    assert canvas[-1][0]["type"] == "broken" and "there is no cell (9, 0)" in canvas[-1][0]["sentence"]


def test_a_clip_brings_a_ranking_and_its_first_picture(collection, monkeypatch):
    search = ImageSearch(collection, toy.clips(), num_best=2)
    ranking, player = listen(search.ranking, monkeypatch), listen(search.player, monkeypatch)
    search.recorder._receive(None, {"type": "clip", "id": "clip-red"}, [])
    assert not search.recorder.failed and "6 pictures" in search.recorder.status
    first = ranking[-1][0]["items"][0]["id"]
    assert player[-1][0]["picture"]["id"] == first
    search.ranking._receive(None, {"type": "choose", "id": "no such picture"}, [])
    assert "there is no result" in ranking[-1][0]["sentence"]


def test_captions_are_heard_in_the_background_until_another_picture_is_chosen(collection, monkeypatch):
    heard, first, go_on = [], threading.Event(), threading.Event()

    def transcribe(waveform, rate):
        heard.append(rate)
        first.set()
        assert go_on.wait(20)
        return "red"

    notes = ImageAnnotation(collection, transcribe=transcribe, num_best=6)
    sent = listen(notes.ranking, monkeypatch)
    notes.gallery._receive(None, {"type": "choose", "id": collection.pictures[0].id}, [])
    assert first.wait(20) and sent[0][0]["items"][0]["heard"] == "…"
    notes.choose_picture(collection.pictures[1].id)  # stops the first after the caption it is at
    go_on.set()
    notes.wait(20)
    assert len(heard) == 6 and sent[-1][0]["items"][-1]["heard"] == "red"  # each caption once
    notes.ranking._receive(None, {"type": "choose", "id": "3"}, [])
    assert sent[-1][0]["selected"] == "3" and notes.player.controller.title == collection.captions[3].title
    notes.close()


def test_what_stops_the_transcripts_is_shown(collection, monkeypatch):
    def transcribe(waveform, rate):
        raise RuntimeError("no such layer")

    notes = ImageAnnotation(collection, transcribe=transcribe)
    sent = listen(notes.ranking, monkeypatch)
    notes.choose_picture(collection.pictures[0].id)
    notes.wait(20)
    assert sent[-1][0] == {"type": "broken", "sentence": "The transcripts stopped: no such layer"}


def test_without_whisper_the_title_says_so(collection, monkeypatch):
    monkeypatch.setattr(transcripts, "unavailable", lambda: "There are no transcripts: install them.")
    notes = ImageAnnotation(collection)
    assert notes.ranking.title == "Spoken captions, best first. There are no transcripts: install them."
    notes.choose_picture(collection.pictures[0].id)
    assert all(result.heard == "" for result in notes.wait(20).controller.ranking.results)
