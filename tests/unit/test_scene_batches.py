"""Batches of scenes: a pure function of the step; what is in them is what the encoders give."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch
from tiny_batches import DATA, check_contents, make, same
from tiny_stamps import TEST, TRAIN, use_voices
from tiny_training import TinyImages

from vgs_lib.batches.frozen_features import speech_features
from vgs_lib.batches.scene_batches import SceneBatches, SceneData
from vgs_lib.data.augment import Augmentation
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.stamps import Stamps
from vgs_lib.encoders import DAVEnet
from vgs_lib.errors import VgsError
from vgs_lib.model import DualEncoder
from vgs_lib.seeds import seeded


def test_a_batch_holds_the_features_of_its_scenes_and_tellings(home):
    batches = make(home)
    assert batches[0].image_is_features and not batches[0].audio_is_features and len(batches[0]) == 4
    for step in (0, 3, 4, 8):
        check_contents(batches, step)


def test_a_batch_is_a_function_of_its_step(home):
    batches, fresh = make(home), make(home)
    steps = [0, 5, 11, 2]
    forward = {step: batches[step] for step in steps}
    for step in reversed(steps):
        assert same(fresh[step], forward[step])
        assert fresh.tellings(step) == batches.tellings(step)
    assert len({tuple(batches.tellings(step)) for step in range(3, 15)}) == 12
    assert make(home, dataclasses.replace(DATA, seed=4)).tellings(4) != batches.tellings(4)


def test_every_scene_comes_once_an_epoch_and_the_next_epoch_is_told_anew(home):
    batches = make(home, fill=False)
    for epoch in range(4):
        told = [telling for step in range(4) for telling in batches.tellings(3 + 4 * epoch + step)]
        assert sorted(index for _, index in told) == list(range(16))
        assert {take for take, _ in told} == {epoch % 2}


def test_phases_take_scenes_with_few_stamps_first(home):
    data = dataclasses.replace(DATA, num_scenes=64, phases=((5, 1), (4, 2), (2, 3)))
    batches = make(home, data, fill=False)
    most = []
    for step in range(20):
        told = batches.tellings(step)
        assert len(told) == 4 == len(set(told))
        most.append(max(1 + index % 4 for _, index in told))
    assert most[:5] == [1] * 5
    assert max(most[5:9]) == 2 and max(most[9:11]) == 3 and max(most[11:]) == 4
    assert Counter(i for step in range(4) for _, i in batches.tellings(step)).most_common(1)[0][1] == 1
    assert all(len(batches.scenes[i].concepts) == 1 for _, i in batches.tellings(2))


def test_a_number_of_scenes_that_the_batch_does_not_divide(home):
    batches = make(home, dataclasses.replace(DATA, num_scenes=18, phases=()), fill=False)
    for epoch in range(3):
        scenes = [index for step in range(4) for _, index in batches.tellings(4 * epoch + step) if index % 4]
        assert len(scenes) == len(set(scenes)) == 12  # of 13 with more than one stamp
    for epoch in range(3):
        words = [index for step in range(5) for _, index in batches.tellings(5 * epoch + step) if index % 4 == 0]
        assert sorted(words) == [0, 4, 8, 12, 16]


def test_pairs_that_name_the_same_things_are_no_impostors(home):
    batches = make(home)
    seen = 0
    for step in range(3, 40):
        labels = [frozenset(c.key for c, _ in batches.scenes[i].concepts) for _, i in batches.tellings(step)]
        expected = [[i != j and labels[i] == labels[j] for j in range(4)] for i in range(4)]
        found = batches[step].same_image
        if found is None:
            assert not np.any(expected)
        else:
            assert found.tolist() == expected
            seen += 1
    # Eight names in 16 scenes: scenes 0 and 32, say, may name the same; with more scenes they do.
    more = make(home, dataclasses.replace(DATA, num_scenes=64, batch_size=16, phases=((1, 1),)))
    labels = [next(c.key for c, _ in more.scenes[i].concepts) for _, i in more.tellings(0)]
    expected = [[i != j and labels[i] == labels[j] for j in range(16)] for i in range(16)]
    assert more[0].same_image.tolist() == expected and np.sum(expected) == 16


def test_more_scenes_or_takes_never_mix_up_what_was_told(home):
    """Features on disk of a smaller run must not be taken for those of other scenes."""
    make(home, dataclasses.replace(DATA, num_scenes=8, phases=()))
    grown = make(home, dataclasses.replace(DATA, num_scenes=12, phases=()))
    for step in range(6):  # two epochs: both takes
        check_contents(grown, step)
    three = make(home, dataclasses.replace(DATA, num_scenes=8, takes=3, phases=()))
    for step in range(6):
        check_contents(three, step)


class OtherImages(TinyImages):
    """The same kind of backbone with other weights."""

    def __init__(self):
        super().__init__(package_seed=6)


@pytest.mark.parametrize("change", ["backbone", "front end", "seed", "augmentation", "stamps"])
def test_what_the_features_depend_on_makes_another_bank(home, tmp_path, change):
    one = make(home, fill=False)
    folders = {one.pictures.folder, one.speech.folder, one.words.folder}
    assert len(folders) == 3
    if change == "backbone":
        with seeded(0, "model"):
            other = make(home, model=DualEncoder(OtherImages(), DAVEnet(width=1 / 32, dim=8)), fill=False)
        assert other.pictures.folder not in folders
    elif change == "front end":
        front_end = dataclasses.replace(one.audio_encoder.front_end, range_db=60.0)
        speech = DAVEnet(width=1 / 32, dim=8, front_end=front_end)
        other = make(home, model=DualEncoder(TinyImages(), speech), fill=False)
        assert folders & {other.pictures.folder, other.speech.folder, other.words.folder} == {one.pictures.folder}
    elif change == "seed":
        other = make(home, seed=2, fill=False)
        assert folders.isdisjoint({other.pictures.folder, other.speech.folder, other.words.folder})
    elif change == "augmentation":
        other = make(home, dataclasses.replace(DATA, augmentation=Augmentation(speed_chance=0.0)), fill=False)
        assert folders & {other.pictures.folder, other.speech.folder, other.words.folder} == {one.pictures.folder}
    else:  # as many concepts, but others
        stamps = Stamps.open(home)
        concepts = (dataclasses.replace(stamps.concepts[0], text="a barn owl"), *stamps.concepts[1:])
        with seeded(0, "model"):
            model = DualEncoder(TinyImages(), DAVEnet(width=1 / 32, dim=8))
        other = SceneBatches(model, Scenes(Stamps(home, concepts), "train", seed=1, size=32), DATA)
        assert folders.isdisjoint({other.pictures.folder, other.speech.folder, other.words.folder})


def test_settings_tell_runs_apart(home):
    one = make(home, fill=False)
    assert one.settings == make(home, fill=False).settings
    for other in (
        make(home, dataclasses.replace(DATA, seed=9), fill=False),
        make(home, dataclasses.replace(DATA, mask_frames=5), fill=False),
        make(home, dataclasses.replace(DATA, augmentation=Augmentation(gain_db=(0, 0))), fill=False),
        make(home, dataclasses.replace(DATA, word_share=0.5), fill=False),
        make(home, dataclasses.replace(DATA, word_takes=3), fill=False),
        make(home, seed=7, fill=False),  # other scenes
    ):
        assert other.settings != one.settings


def test_blanked_spans_are_a_function_of_the_step_whatever_was_drawn_before(home):
    plain = make(home)[4]
    masked = make(home, dataclasses.replace(DATA, mask_frames=20))
    with seeded(1, "batch", 4):
        first = masked[4]
    with seeded(2, "batch", 4):
        again = masked[4]
    assert same(first, again) and not same(first, plain)
    pad = masked.audio_encoder.front_end.pad_value
    for row, length in enumerate(first.audio_lengths.tolist()):
        changed = (first.audio[row, :, :length] != plain.audio[row, :, :length]).any(dim=0)
        assert (first.audio[row][:, :length][:, changed] == pad).all()
        assert changed.sum() <= 40
    assert torch.equal(first.audio_lengths, plain.audio_lengths)
    assert same(make(home)[4], plain)  # the bank itself is left alone


def test_speech_features_are_those_of_each_waveform_alone():
    encoder = DAVEnet(width=1 / 32, dim=8).eval()
    generator = torch.Generator().manual_seed(0)
    waveforms = [torch.randn(n, generator=generator) * 0.1 for n in (4000, 16000, 1600, 9000, 12345)]
    found = speech_features(encoder, waveforms, batch_size=2)
    for waveform, features in zip(waveforms, found, strict=True):
        alone, lengths = encoder.front_end([waveform])
        assert features.shape[1] == lengths[0]
        torch.testing.assert_close(features, alone[0], atol=1e-3, rtol=1e-4)


def test_people_tell_what_they_have_named_and_never_in_english(home):
    data = dataclasses.replace(DATA, num_scenes=64, people=("fr", "be"), people_share=1.0)
    batches = make(home, data, fill=False)
    by_people = 0
    for index in range(64):
        named = [c for c, spoken in batches.scenes[index].concepts if spoken]
        able = {f"person-{lang}" for lang in ("fr", "be") if all(lang in c.people for c in named)}
        speaker = batches._speaker(index, 0)
        assert speaker in able if able else speaker is None
        by_people += bool(able)
        assert batches.told(0, index).isfinite().all()
    assert by_people >= 4
    assert batches.speech.folder != make(home, dataclasses.replace(DATA, num_scenes=64), fill=False).speech.folder
    with pytest.raises(VgsError, match="'en'"):
        SceneData(people=("fr", "en"))


def test_people_tell_their_share(home):
    data = dataclasses.replace(DATA, num_scenes=400, people=("fr",), people_share=0.5)
    batches = make(home, data, fill=False)
    alone = [i for i in range(0, 400, 4) if "fr" in batches.scenes[i].concepts[0][0].people]
    told = [batches._speaker(i, take) for i in alone for take in range(4)]
    assert 0.35 < told.count("person-fr") / len(told) < 0.65


def test_even_engines_speak_equally_often(home, monkeypatch):
    extra = tuple(dataclasses.replace(TRAIN, name=f"espeak-{n}") for n in range(5))
    one_more = dataclasses.replace(TEST, name="flite-train", split="train")
    use_voices(monkeypatch, (*extra, one_more, TEST))
    batches = make(home, dataclasses.replace(DATA, num_scenes=400, even_engines=True), fill=False)
    told = Counter(batches._speaker(index, 0) for index in range(400))
    assert told.keys() == {*(v.name for v in extra), "flite-train"}
    assert 160 < told["flite-train"] < 240
    plain = make(home, fill=False)
    assert {plain._speaker(index, 0) for index in range(16)} == {None}


def test_the_model_takes_the_batches(home):
    with seeded(0, "model"):
        model = DualEncoder(TinyImages(), DAVEnet(width=1 / 32, dim=8))
    scores = model(make(home, model=model)[3])
    assert scores.shape == (4, 4) and scores.isfinite().all() and scores.std() > 0
