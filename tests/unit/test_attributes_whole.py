"""The real data set: every thing to describe is there, recoloured pictures have their colour, every voice says all."""

import numpy as np
from test_scenes import stamps

from vgs_lib.data.attribute_design import SPLITS
from vgs_lib.data.attribute_scenes import AttributeScenes
from vgs_lib.data.attribute_speech import is_complete, present
from vgs_lib.data.attributes import COLOURS, NOUNS, recolour, to_oklab
from vgs_lib.data.voices import VOICES


def test_all_things_are_there_and_all_words_are_spoken():
    found, missing = present(stamps())
    assert found == NOUNS and not missing
    assert is_complete(stamps())


def test_every_picture_takes_every_colour():
    """All visible pixels have its hue, their mean enough of its chroma; what was light and dark is not flat."""
    anchors = to_oklab(np.array(list(COLOURS.values()), np.uint8))[:, 1:]
    for concept in stamps().concepts:
        if concept.key not in NOUNS:
            continue
        picture = stamps().picture(concept.id)[::3, ::3]
        opaque = picture[..., 3] > 127
        for colour, anchor in zip(COLOURS, anchors, strict=True):
            shown = to_oklab(recolour(picture, colour)[opaque][:, :3])
            mean, full = shown[:, 1:].mean(axis=0), np.linalg.norm(anchor)
            if colour == "grey":
                assert np.abs(shown[:, 1:]).max() < 1e-6
            else:
                assert mean @ anchor / full > 0.3 * full, (concept.id, colour)
                assert mean @ anchor / full > 0.99 * np.linalg.norm(mean), (concept.id, colour)
            assert np.ptp(shown[:, 0]) > 0.1, (concept.id, colour)


def test_voices_and_pairs_of_the_splits():
    of = {split: AttributeScenes(stamps(), split) for split in SPLITS}
    for split, scenes in of.items():
        heard = {scenes[i].caption.speaker for i in range(40)}
        assert heard <= {v.name for v in VOICES if v.split == split.removesuffix("-unseen")} and len(heard) > 1
    trained = {p for i in range(of["train"].num_classes) for _, d in of["train"][i].things for p in d.pairs}
    assert trained.isdisjoint(of["train"].design.unseen)
    assert {split: scenes.num_classes for split, scenes in of.items()} == dict.fromkeys(SPLITS, 104) | {"train": 400}
