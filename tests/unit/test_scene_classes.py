"""Classes of scenes: the same number in every batch, for scenes whose captions name the same things."""

import dataclasses

import torch
from tiny_batches import DATA, make
from tiny_stamps import NAMES
from tiny_training import make_model

from vgs_lib.batches.word_batches import WordBatches
from vgs_lib.data.classes import class_numbers, names_of
from vgs_lib.data.loading import same_class


def spoken(batches, index):
    """What the caption of a scene says, read off its words."""
    keys = {concept.id: concept.key for concept in batches.scenes.stamps.concepts}
    return sorted(keys[word.concept] for word in batches.scenes[index].words if word.concept)


def test_a_class_is_what_the_caption_names(home):
    data = dataclasses.replace(DATA, num_scenes=64, word_share=0.5, phases=())
    batches = make(home, data)
    assert sorted(batches.classes.values()) == list(range(len(batches.classes)))
    named = {number: list(names) for names, number in batches.classes.items()}
    seen = set()
    for step in range(12):
        batch, told = batches[step], batches.tellings(step)
        for label, (_, index) in zip(batch.labels.tolist(), told, strict=True):
            assert named[label] == spoken(batches, index)
            seen.add(label)
        mask = same_class(batch.labels)
        assert torch.equal(mask, batch.same_image if batch.same_image is not None else torch.zeros_like(mask))
    assert len(seen) > 12
    assert list(batches.classes) == sorted({tuple(spoken(batches, index)) for index in range(64)})


def test_numbers_depend_on_the_scenes_alone(home):
    data = dataclasses.replace(DATA, num_scenes=64)
    one = make(home, data, fill=False)
    other = make(home, dataclasses.replace(data, seed=9, batch_size=8, phases=()), fill=False)
    assert one.classes == other.classes == class_numbers(one.scenes, 64)
    fewer = class_numbers(one.scenes, 32)
    assert fewer.keys() < one.classes.keys()


def test_classes_of_single_things_are_their_names(home):
    scenes = make(home, fill=False)
    batches = WordBatches(make_model().eval(), scenes.scenes, DATA)
    list(batches.fill())
    assert set(batches.classes) <= {(name,) for name in NAMES}
    numbers = {(names, batches.classes[names]) for names in (names_of(batches.scenes[i]) for i in range(8))}
    assert len(numbers) == len(batches.classes)
    batch, told = batches[0], batches.tellings(0)
    assert batch.labels.tolist() == [batches.classes[names_of(batches.scenes[index])] for _, index in told]
