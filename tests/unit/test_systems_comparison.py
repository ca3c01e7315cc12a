"""Two systems compared query by query: the controller and the view, on toy records and the toy world."""

import json
import threading

import numpy as np
import pytest
import toy_tour as toy
from toy_records import record

from vgs_lib.errors import DataError
from vgs_lib.widgets import SystemComparison, SystemComparisonController

PICTURES = toy.scenes(12)
FIRST = [1, 2, 3, 40, 11, 1, 1, 99, 10, 50, 60, 7]
SECOND = [1, 30, 12, 41, 10, 80, 1, 3, 11, 50, 60, 8]


@pytest.fixture
def records():
    found = [record("ni2018-baseline"), record("tian2020"), record("tian2020", seed=1)]
    found[0]["figures"]["ranks"]["speech_to_image"] = FIRST
    found[1]["figures"]["ranks"]["speech_to_image"] = SECOND
    return found


@pytest.fixture
def controller(records):
    return SystemComparisonController(records, PICTURES.__getitem__, most=2)


def test_names_have_a_seed_where_there_are_several(controller):
    assert controller.names == ["ni2018-baseline", "tian2020, seed 0", "tian2020, seed 1"]
    assert (controller.first, controller.second) == ("ni2018-baseline", "tian2020, seed 0")


def test_the_queries_that_one_alone_finds_begin_with_the_others_worst_rank(controller):
    assert controller.found_alone() == ([5, 1, 2, 8], [7, 4])
    controller.compare("tian2020, seed 0", "ni2018-baseline", "speech_to_image")
    assert controller.found_alone() == ([7, 4], [5, 1, 2, 8])
    found = controller.result
    assert (found.first_only, found.second_only, found.difference) == (2, 4, -2 / 12)
    assert "tian2020, seed 0 alone finds 2" in controller.sentence()


def test_the_message_has_ranks_and_a_thumbnail_for_each_listed_query(controller):
    content, buffers = controller.message()
    json.dumps(content)
    assert content["counts"] == [4, 2] and [[i["query"] for i in items] for items in content["listed"]] == [
        [5, 1],
        [7, 4],
    ]
    assert content["listed"][0][0] == {"query": 5, "first": 1, "second": 80, "title": PICTURES[5].caption.title}
    assert np.frombuffer(buffers[0], "<f4").tolist() == FIRST and np.frombuffer(buffers[1], "<f4").tolist() == SECOND
    assert len(buffers) == 2 + 4 and all(data[:2] == b"\xff\xd8" for data in buffers[2:])


def test_a_query_is_shown_with_its_words_and_its_sound(controller):
    content, (picture, sound) = controller.choose(7)
    waveform, rate = PICTURES[7].caption.load()
    assert content["query"] == 7 and (content["first"], content["second"]) == (99, 3)
    assert [word["text"] for word in content["words"]] == [word.text for word in PICTURES[7].caption.words]
    assert content["seconds"] == pytest.approx(len(waveform) / rate)
    assert picture[:2] == b"\xff\xd8" and sound[:4] == b"RIFF"
    assert controller.message()[0]["chosen"] == 7


def test_a_query_is_shown_with_the_ranks_of_one_comparison(controller, monkeypatch):
    item = controller._item
    other = threading.Thread(target=controller.compare, args=("tian2020, seed 0", "ni2018-baseline", "speech_to_image"))

    def meanwhile(query):
        other.start()
        other.join(0.3)  # waits for the lock
        return item(query)

    monkeypatch.setattr(controller, "_item", meanwhile)
    content, _ = controller.choose(7)
    other.join()
    assert (content["first"], content["second"]) == (99, 3) and controller.first == "tian2020, seed 0"


def test_the_other_direction_has_ranks_of_its_own(controller, records):
    controller.compare("ni2018-baseline", "tian2020, seed 1", "image_to_speech")
    _, buffers = controller.message()
    assert np.frombuffer(buffers[0], "<f4").tolist() == records[0]["figures"]["ranks"]["image_to_speech"]
    assert np.frombuffer(buffers[1], "<f4").tolist() == records[2]["figures"]["ranks"]["image_to_speech"]


def test_without_records_a_sentence_says_how_they_are_made():
    controller = SystemComparisonController([], PICTURES.__getitem__)
    content, buffers = controller.message()
    assert "python -m vgs_lib reproduce" in content["sentence"] and content["names"] == [] and buffers == [b"", b""]
    with pytest.raises(DataError, match="no query 0"):
        controller.choose(0)


def test_one_record_is_compared_with_itself(records):
    controller = SystemComparisonController(records[:1], PICTURES.__getitem__)
    assert controller.sentence() == "ni2018-baseline with itself: choose another system."
    assert controller.message()[0]["counts"] == [0, 0]


def test_records_of_other_queries_are_refused(records):
    with pytest.raises(DataError, match=r"\[5, 12\] queries"):
        SystemComparisonController([records[0], record("tian2020", queries=5)], PICTURES.__getitem__)


@pytest.mark.parametrize(
    "choice, message",
    [
        (("x", "tian2020, seed 0", "speech_to_image"), "no record of 'x'"),
        (("ni2018-baseline", "tian2020", "speech_to_image"), "no record of 'tian2020'"),
        (("ni2018-baseline", "ni2018-baseline", "up"), "no direction is called 'up'"),
    ],
)
def test_what_is_not_there_is_named(controller, choice, message):
    before = controller.message()[0]
    with pytest.raises(DataError, match=message):
        controller.compare(*choice)
    assert controller.message()[0] == before


def test_the_view_answers_and_shows_errors(records, monkeypatch):
    view, sent = SystemComparison(records, PICTURES.__getitem__), []
    monkeypatch.setattr(view, "send", lambda content, buffers=None: sent.append((content, buffers)))
    view._receive(None, {"type": "ready"}, [])
    view._receive(
        None,
        {"type": "compare", "first": "tian2020, seed 1", "second": "ni2018-baseline", "way": "image_to_speech"},
        [],
    )
    assert [content["first"] for content, _ in sent] == ["ni2018-baseline", "tian2020, seed 1"]
    view._receive(None, {"type": "choose", "query": 3}, [])
    assert sent[-1][0]["type"] == "query" and len(sent[-1][1]) == 2
    view._receive(None, {"type": "choose", "query": 12}, [])
    assert sent[-1][0]["type"] == "broken" and "no query 12" in sent[-1][0]["sentence"]
