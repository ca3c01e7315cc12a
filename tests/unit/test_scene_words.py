"""Scenes with a single stamp in batches: their share, their further takes, and the bank that holds those."""

import dataclasses

import pytest
import torch
from tiny_batches import DATA, check_contents, make

from vgs_lib.batches import banks
from vgs_lib.batches.banks import Filling
from vgs_lib.batches.scene_batches import SceneBatches, SceneData
from vgs_lib.errors import TrainingError

# Scenes 0, 4, 8 and 12 have one stamp; each batch of four takes one of them.
TOLD_MORE = dataclasses.replace(DATA, word_takes=5, word_share=0.25, phases=())


@pytest.fixture
def told(monkeypatch):
    """(take, scene) of everything that is told."""
    seen, tell = [], SceneBatches.told

    def follow(batches, take, index):
        seen.append((take, index))
        return tell(batches, take, index)

    monkeypatch.setattr(SceneBatches, "told", follow)
    return seen


@pytest.mark.parametrize(("share", "words"), [(0.0, 0), (0.25, 2), (0.45, 4), (1.0, 8)])
def test_single_stamps_are_their_share_of_each_batch(home, share, words):
    data = dataclasses.replace(DATA, num_scenes=64, batch_size=8, word_share=share, phases=())
    batches = make(home, data, fill=False)
    for step in range(20):
        scenes = [index for _, index in batches.tellings(step)]
        assert len(set(scenes)) == 8
        assert sum(len(batches.scenes[index].objects) == 1 for index in scenes) == words


def test_the_share_begins_where_scenes_do(home):
    data = dataclasses.replace(DATA, num_scenes=64, batch_size=8, word_share=0.5, phases=((2, 1), (2, 2)))
    batches = make(home, data, fill=False)
    counts = [sorted(1 + index % 4 for _, index in batches.tellings(step)) for step in range(20)]
    assert counts[:4] == [[1] * 8] * 2 + [[1] * 4 + [2] * 4] * 2
    assert all(count[:5] == [1, 1, 1, 1, 2] or count[4] > 2 for count in counts[4:])
    assert {n for count in counts[4:] for n in count} == {1, 2, 3, 4}


def test_single_stamps_are_told_more_often_and_found_in_the_right_bank(home):
    batches = make(home, TOLD_MORE)
    assert (len(batches.speech), len(batches.words)) == (32, 12)
    told = [telling for step in range(20) for telling in batches.tellings(step)]
    words = [(take, index) for take, index in told if index % 4 == 0]
    assert sorted(words) == [(take, index) for take in range(5) for index in (0, 4, 8, 12)]
    assert {take for take, index in told if index % 4} == {0, 1}
    for step in range(0, 20, 3):  # each take of words, from either bank
        check_contents(batches, step)
    first = [batches.told(take, 0) for take in range(5)]
    assert len({tuple(waveform[:400].tolist()) for waveform in first}) == 5


def test_fewer_takes_of_words_than_of_scenes_are_as_many(home):
    batches = make(home, dataclasses.replace(TOLD_MORE, word_takes=1))
    assert len(batches.words) == 0
    takes = [take for step in range(12) for take, index in batches.tellings(step) if index % 4 == 0]
    assert takes == [0] * 4 + [1] * 4 + [0] * 4
    check_contents(batches, 5)


def test_the_bank_of_words_goes_on_where_it_was_cut_off_and_grows(home, told, monkeypatch):
    monkeypatch.setattr(banks, "SHARD", 3)
    for event in make(home, TOLD_MORE, fill=False).fill():
        if event == Filling("words", 6, 12):
            break
    told.clear()
    again = make(home, TOLD_MORE, fill=False)
    assert list(again.fill())[-1] == Filling("words", 12, 12)
    assert sorted(told) == [(3, 8), (3, 12), (4, 0), (4, 4), (4, 8), (4, 12)]
    for step in (8, 12, 16):
        check_contents(again, step)
    before = again[8]
    told.clear()
    grown = make(home, dataclasses.replace(TOLD_MORE, word_takes=7))
    assert sorted(told) == [(take, index) for take in (5, 6) for index in (0, 4, 8, 12)]
    assert torch.equal(grown[8].audio, before.audio)
    check_contents(grown, 24)
    told.clear()
    make(home, TOLD_MORE)
    assert told == []


def test_words_after_other_takes_are_another_bank(home):
    batches, other = (make(home, dataclasses.replace(TOLD_MORE, takes=takes), fill=False) for takes in (2, 3))
    assert batches.words.folder != other.words.folder and batches.speech.folder == other.speech.folder
    list(batches.fill())
    list(other.fill())
    for step in (12, 16):
        check_contents(other, step)


def test_the_time_that_filling_took_is_that_of_all_banks(home):
    batches = make(home, TOLD_MORE)
    for bank, seconds in ((batches.pictures, 1.0), (batches.speech, 2.5), (batches.words, 4.0)):
        (bank.folder / "seconds").write_text(str(seconds))
    assert batches.seconds == 7.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_scenes": 3}, "takes 3 scenes with 2 to 4 stamps, found 2"),
        ({"batch_size": 8, "phases": ((3, 1),)}, "takes 8 scenes with 1 to 1 stamps, found 4"),
        ({"batch_size": 12, "phases": ((3, 2),)}, "takes 9 scenes with 2 to 2 stamps, found 4"),
        ({"batch_size": 8, "word_share": 0.75}, "takes 6 scenes with 1 to 1 stamps, found 4"),
        ({"batch_size": 14, "word_share": 0.0}, "takes 14 scenes with 2 to 4 stamps, found 12"),
    ],
)
def test_too_large_a_batch_is_an_error_that_says_so(home, changes, message):
    with pytest.raises(TrainingError, match=f"batch_size: a batch {message}; choose a smaller batch"):
        make(home, dataclasses.replace(TOLD_MORE, **changes))


def test_the_largest_batch_that_the_scenes_allow(home):
    batches = make(home, dataclasses.replace(TOLD_MORE, batch_size=16), fill=False)
    assert sorted(index for _, index in batches.tellings(7)) == list(range(16))


@pytest.mark.parametrize("name", ["word_share", "people_share"])
@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_outside_0_to_1_is_refused(name, share):
    with pytest.raises(TrainingError, match=f"{name}: found {share}, expected a share from 0 to 1"):
        SceneData(**{name: share})
