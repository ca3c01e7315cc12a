"""Pairs of pictures and natural sounds: split by thing, drawn as a function of the step, nothing held out in them."""

import pytest
import torch
from tiny_sounds import add_sounds

from vgs_lib.batches.natural_sounds import NaturalSounds, SoundBatches, SoundData
from vgs_lib.data.stamps import Stamps
from vgs_lib.errors import DataError, TrainingError
from vgs_lib.recipes import Part, Recipe, build_model

DATA = SoundData(batch_size=3, takes=2)
PLAN = Recipe(
    name="tiny",
    image=Part("small_pictures", {"size": 64, "width": 1 / 16, "dim": 8}),
    audio=Part("davenet", {"width": 1 / 32, "dim": 8}),
)


@pytest.fixture
def stamps(copy, tmp_path, monkeypatch):
    monkeypatch.setenv("VGS_HOME", str(tmp_path / "home"))
    return add_sounds(copy)


def test_every_fifth_thing_is_held_out_with_its_name_and_recording(stamps):
    train, held_out = NaturalSounds(stamps), NaturalSounds(stamps, "validation")
    assert len(train.things) + len(held_out.things) == len(stamps.concepts) == 9
    assert not set(train.classes) & set(held_out.classes)
    classes = {c.id: n for part in (train, held_out) for c, n in zip(part.things, part.classes, strict=True)}
    assert classes["animals/dog"] == classes["animals/dog2"]  # one name
    assert classes["animals/cow"] == classes["animals/birds/owl"]  # one recording
    assert sorted(set(classes.values())) == list(range(7)) and train.num_classes == held_out.num_classes == 7
    assert len(set(held_out.classes)) == 2  # of seven


def test_a_batch_is_a_function_of_the_step(stamps):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(PLAN)
    one, other = (SoundBatches(model, NaturalSounds(stamps), DATA) for _ in range(2))
    list(one.fill())
    assert [f.done for f in other.fill()] == [len(other.heard)] * 2  # one shard of pictures, one of sounds
    first, second = one[3], other[3]
    assert torch.equal(first.audio, second.audio) and torch.equal(first.image[0], second.image[0])
    assert torch.equal(first.labels, second.labels)
    assert not torch.equal(one[4].audio, first.audio)
    things = [[thing for thing, *_ in one.pairs(step)] for step in range(2)]  # six things, then another order
    assert len(set(things[0] + things[1])) == 6 and all(len(set(t)) == 3 for t in things)
    takes = {take for step in range(20) for _, *pair in one.pairs(step) for take in pair}
    assert takes == {0, 1}
    assert first.image[0].shape == (3, 3, 64, 64) and first.image_is_features
    assert first.audio.shape[:2] == (3, 40) and len(first.labels) == 3
    alone = SoundBatches(model, NaturalSounds(stamps), DATA, pictures=False)
    assert alone[3].image == () and torch.equal(alone[3].audio, first.audio)


def test_things_of_one_class_are_no_impostors_of_each_other(stamps):
    sounds = NaturalSounds(stamps)
    batches = SoundBatches(build_model(PLAN), sounds, SoundData(batch_size=len(sounds.things), takes=1))
    list(batches.fill())
    batch = batches[0]
    same = batch.labels[:, None] == batch.labels[None]
    assert torch.equal(batch.same_image, same & ~torch.eye(len(batch), dtype=torch.bool))
    assert batch.same_image.any()


def test_takes_differ_and_are_drawn_the_same_again(stamps):
    sounds = NaturalSounds(stamps)
    a, b = (sounds.picture(0, take, DATA) for take in (0, 1))
    assert a.shape == (224, 224, 3) and (a != b).any() and (a == sounds.picture(0, 0, DATA)).all()
    heard = [sounds.heard(0, take, DATA) for take in (0, 1)]
    assert len(heard[0]) != len(heard[1]) and torch.equal(heard[0], sounds.heard(0, 0, DATA))
    whole = len(sounds.waveform(0))
    assert all(0.4 * whole < len(h) < 1.3 * whole for h in heard)  # half to all of it, played faster or slower


def test_what_cannot_be_is_said(stamps, tiny_set):
    with pytest.raises(TrainingError, match=r"batch_size: found 64, but \d things"):
        SoundBatches(build_model(PLAN), NaturalSounds(stamps), SoundData())
    with pytest.raises(DataError, match=r"found \d things with a natural sound in the split"):
        NaturalSounds(Stamps.open(tiny_set), "validation")
    with pytest.raises(DataError, match="'test'; there are train and validation"):
        NaturalSounds(stamps, "test")
    sounds = NaturalSounds(stamps)
    (stamps.folder / sounds.things[0].sound).write_text("no sound")
    with pytest.raises(DataError, match=r"\.flac: damaged sound"):
        sounds.heard(0, 0, DATA)
    (stamps.folder / sounds.things[0].sound).unlink()
    with pytest.raises(DataError, match=r"\.flac: missing sound"):
        NaturalSounds(stamps)


@pytest.mark.parametrize("wrong", [{"batch_size": 1}, {"takes": 0}, {"seconds": 0.1}])
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(TrainingError, match=next(iter(wrong))):
        SoundData(**wrong)
