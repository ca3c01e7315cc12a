"""Scenes of the real data set: the same everywhere, exact masks and word times, splits that never leak."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from functools import cache
from itertools import combinations, islice

import numpy as np
import pytest
from PIL import Image

from vgs_lib.data import backgrounds
from vgs_lib.data.scenes import SPLITS, Scenes
from vgs_lib.data.single_stamps import SingleStamps
from vgs_lib.data.stamps import CARRIERS, Stamps
from vgs_lib.data.voices import VOICES
from vgs_lib.errors import DataError

SOME = [
    ("train", 0),
    ("train", 4003),
    ("validation", 1),
    ("test", 2),
    ("test", 999),
    ("test-hard", 3),
    ("test-hard", 6),
]
DIGESTS = """
import json, sys
from test_scenes import digest, scenes
print(json.dumps([digest(scenes(split)[index]) for split, index in json.loads(sys.argv[1])]))
"""


@cache
def stamps() -> Stamps:
    return Stamps.open()


@cache
def scenes(split: str, seed: int = 0) -> Scenes:
    return Scenes(stamps(), split, seed=seed)


def digest(scene, *, caption_first: bool = False) -> str:
    """A digest of all that a scene is made of."""
    words = repr(scene.words) if caption_first else None
    picture = scene.picture.tobytes()
    objects = [(o.concept, o.text, o.mentioned, o.mask.tobytes()) for o in scene.objects]
    sound = scene.waveform.tobytes()
    parts = (picture, repr(objects), sound, words or repr(scene.words), scene.caption.speaker)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def test_a_scene_is_the_same_in_another_process_and_in_any_order():
    expected = [digest(scenes(split)[index]) for split, index in SOME]
    fresh = {split: Scenes(Stamps.open(), split) for split in SPLITS}
    for (split, index), known in reversed(list(zip(SOME, expected, strict=True))):
        assert fresh[split][index + 4].picture.any()  # another scene in between
        assert digest(fresh[split][index], caption_first=True) == known, (split, index)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "123"}
    command = [sys.executable, "-c", DIGESTS, json.dumps(SOME)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected
    assert len(set(expected)) == len(expected)


def test_scenes_need_no_neighbours_and_have_no_end():
    scene = scenes("train")[10_000_001]
    assert scene.picture.shape == (224, 224, 3) and scene.picture.dtype == np.uint8
    assert len(scene.objects) == 1 + 10_000_001 % 4
    with pytest.raises(IndexError, match="-1"):
        scenes("train")[-1]
    with pytest.raises(DataError, match="'tests'; there are train, validation, test, test-hard"):
        Scenes(stamps(), "tests")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_scene_i_has_1_plus_i_mod_4_stamps_of_different_names(split):
    for index in range(400):
        concepts = scenes(split)[index].concepts
        assert len(concepts) == 1 + index % 4
        assert len({c.key for c, _ in concepts}) == len(concepts)
        assert all(mentioned for _, mentioned in concepts)


@pytest.mark.parametrize("split", ["train", "test"])
def test_scenes_with_one_stamp_have_different_names(split):
    names = [scenes(split)[index].concepts[0][0].key for index in range(0, 2000, 4)]
    assert len(set(names)) == len(names) == 500


def test_every_concept_comes_about_equally_often():
    counts = Counter(c.id for i in range(4000) for c, _ in scenes("train")[i].concepts)
    assert counts.keys() == {c.id for c in stamps().concepts}
    assert max(counts.values()) < 50  # 10,000 stamps of 679 concepts: 15 on average


def test_other_splits_and_seeds_are_other_scenes():
    made = {(split, 0): scenes(split) for split in SPLITS} | {("train", 1): scenes("train", 1)}
    captions = {key: [tuple(c.id for c, _ in one[i].concepts) for i in range(3, 203, 4)] for key, one in made.items()}
    for one, other in combinations(captions, 2):
        assert len(set(captions[one]) & set(captions[other])) <= 1, (one, other)
        assert not np.array_equal(made[one][1].picture, made[other][1].picture)


@pytest.mark.parametrize(("split", "indices"), [("train", range(12)), ("test", range(12)), ("test-hard", range(8))])
def test_masks_are_where_the_stamps_show_and_never_overlap(split, indices, monkeypatch):
    """Drawn on black and on white, a pixel differs by what its stamp lets through."""
    draw = backgrounds.draw

    def on(value):
        monkeypatch.setattr(backgrounds, "draw", lambda *arguments: np.full_like(draw(*arguments), value))
        return [Scenes(stamps(), split)[i].picture.astype(float) for i in indices]

    for index, black, white in zip(indices, on(0), on(255), strict=True):
        objects = scenes(split)[index].objects
        shows = 1 - (white - black).mean(axis=2) / 255
        masks = np.stack([o.mask for o in objects])
        assert masks.dtype == bool and masks.shape[1:] == (224, 224)
        assert (masks.sum(axis=0) <= 1).all(), "two masks overlap"
        sure = np.abs(shows - 0.5) > 0.01  # the pictures are rounded
        np.testing.assert_array_equal(masks.any(axis=0)[sure], (shows > 0.5)[sure])
        assert sure.mean() > 0.99 and masks.any(axis=(1, 2)).all()


@pytest.mark.parametrize(("split", "indices"), [("train", range(12)), ("test-hard", range(6))])
def test_each_mask_is_the_outline_of_its_own_concept(split, indices):
    for index in indices:
        scene = scenes(split)[index]
        for item in scene.objects:
            rows, columns = np.flatnonzero(item.mask.any(1)), np.flatnonzero(item.mask.any(0))
            window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
            height, width = rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]
            stamp = Image.fromarray(stamps().picture(item.concept))
            opaque = stamp.getchannel("A").point(lambda alpha: 255 if alpha > 127 else 0)
            stamp = np.asarray(stamp.crop(opaque.getbbox()).resize((width, height), Image.Resampling.LANCZOS)).astype(
                float
            )
            mask = item.mask[window]
            both = mask & (stamp[..., 3] > 127)
            assert both.sum() / (mask | (stamp[..., 3] > 127)).sum() > 0.8, item.concept
            inside = mask & (stamp[..., 3] > 250)
            if inside.sum() > 50:
                off = np.abs(scene.picture[window].astype(float) - stamp[..., :3])[inside].mean()
                assert off < 20, item.concept


def test_pictures_are_varied_and_of_the_size_asked_for():
    small = Scenes(stamps(), "train", size=96)[3]
    assert small.picture.shape == (96, 96, 3) and small.objects[0].mask.shape == (96, 96)
    corners = np.stack([scenes("train")[i].picture[:8, :8].reshape(-1, 3).mean(0) for i in range(40)])
    assert corners.std(axis=0).min() > 40
    shares = [[o.mask.mean() for o in scenes("train")[i].objects] for i in range(3, 43, 4)]
    assert 0.01 < np.mean(shares) < 0.2


@pytest.mark.parametrize("split", ["train", "test-hard"])
def test_what_is_said_needs_no_sound(split, monkeypatch):
    told = [[" ".join(word.text for word in scenes(split)[i].tell(take).words) for i in range(12)] for take in (0, 3)]
    monkeypatch.setattr("vgs_lib.data.scenes._join", lambda *args: pytest.fail("a sound was made"))
    assert [[scenes(split)[i].said(take) for i in range(12)] for take in (0, 3)] == told
    assert len({text for take in told for text in take}) > 15


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_each_word_is_heard_exactly_at_its_time(split):
    carriers = 0
    for index in range(40):
        scene = scenes(split)[index]
        sound, speaker = scene.waveform, scene.caption.speaker
        assert sound.dtype == np.float32 and sound.ndim == 1
        silence = np.ones(len(sound), dtype=bool)
        last = 0.0
        for word in scene.words:
            first, end = round(word.start * 16000), round(word.end * 16000)
            clip = stamps().clip(speaker, word.text).astype(np.float32) / 32768
            np.testing.assert_array_equal(sound[first:end], clip)
            assert 0.049 <= word.start - last <= 0.401, "a pause of 0.05 to 0.4 s"
            silence[first:end] = False
            last = word.end
        assert 0.049 <= len(sound) / 16000 - last <= 0.401
        assert not sound[silence].any()
        named = [word for word in scene.words if word.concept is not None]
        assert sorted(w.concept for w in named) == sorted(o.concept for o in scene.objects)
        assert all(w.text == stamps().concept(w.concept).text for w in named)
        others = [word for word in scene.words if word.concept is None]
        assert {w.text for w in others} <= set(CARRIERS)
        carriers += bool(others)
    assert 5 <= carriers <= 30, "sometimes carrier words"


def test_the_order_of_the_caption_is_not_that_of_the_picture():
    orders = []
    for index in range(3, 83, 4):
        scene = scenes("train")[index]
        place = [o.concept for o in scene.objects]
        orders.append(tuple(place.index(w.concept) for w in scene.words if w.concept))
    assert len(set(orders)) > 8


def test_another_take_is_another_telling_of_the_same_scene():
    scene = scenes("train")[7]
    takes = [scene.tell(take) for take in range(6)]
    np.testing.assert_array_equal(takes[0].waveform, scene.waveform)
    assert takes[0].words == scene.words
    names = [sorted(w.concept for w in take.words if w.concept) for take in takes]
    assert all(n == names[0] for n in names)
    assert len({take.waveform.tobytes() for take in takes}) == 6 and len({take.speaker for take in takes}) > 1
    by_joe = scene.tell(3, speaker="piper-joe")
    assert by_joe.speaker == "piper-joe"
    assert [w.text for w in by_joe.words] == [w.text for w in takes[3].words]
    assert scene.picture.tobytes() == scenes("train")[7].picture.tobytes()


def test_people_tell_a_scene_in_their_language_without_carrier_words():
    told = 0
    for index in range(200):
        scene = scenes("train")[index]
        if not all("fr" in concept.people for concept, _ in scene.concepts):
            continue
        caption = scene.tell(0, "person-fr")
        assert caption.speaker == "person-fr"
        assert sorted(w.concept for w in caption.words) == sorted(c.id for c, _ in scene.concepts)
        for word in caption.words:
            found = caption.waveform[round(word.start * 16000) : round(word.end * 16000)]
            np.testing.assert_array_equal(found, stamps().recording(word.concept, "fr"))
            assert word.text == stamps().concept(word.concept).texts["fr"], "what is said, not its translation"
        told += 1
        if told == 8:
            break
    assert told == 8


@pytest.mark.parametrize(("split", "most"), [("train", 4), ("test", 4), ("test-hard", 6)])
def test_too_few_names_for_a_scene_are_an_error(split, most):
    named = {concept.key: concept for concept in stamps().concepts}
    few = list(named.values())[: most - 1]
    for concepts in ([], few, [*few, *(c for c in stamps().concepts if c.key == few[0].key)]):
        with pytest.raises(DataError, match=rf"found {min(len(concepts), most - 1)} names.*{most} things"):
            Scenes(Stamps(stamps().folder, tuple(concepts)), split)
    enough = Scenes(Stamps(stamps().folder, tuple(list(named.values())[:most])), split)
    assert all(len({c.key for c, _ in enough[index].concepts}) <= most for index in range(20))


def test_hard_scenes_are_hard():
    hard = [scenes("test-hard")[i] for i in range(120)]
    sizes = Counter(len(scene.concepts) for scene in hard)
    assert sizes.keys() == {3, 4, 5, 6}
    unmentioned = sum(any(not mentioned for _, mentioned in scene.concepts) for scene in hard)
    assert 40 <= unmentioned <= 110
    for scene in hard:
        concepts = [c for c, _ in scene.concepts]
        assert len({c.key for c in concepts}) == len(concepts)
        assert sum(mentioned for _, mentioned in scene.concepts) >= 2
        categories = Counter(c.category[:2] for c in concepts)
        alone = all(sum(c.category[:2] == k for c in stamps().concepts) == 1 for k in categories)
        assert max(categories.values()) >= 2 or alone or len(categories) == len(concepts) < 2
    for scene in hard[:12]:
        spoken = {w.concept for w in scene.words if w.concept}
        assert spoken == {o.concept for o in scene.objects if o.mentioned}
        assert len(spoken) == sum(mentioned for _, mentioned in scene.concepts)
    without = [i for i, scene in enumerate(hard[:60]) if all(w.concept for w in scene.words)]
    assert without == [], "carrier words always"


def test_hard_captions_have_noise_in_the_pauses_and_words_at_their_times():
    ratios = []
    for scene in islice((scenes("test-hard")[i] for i in range(100)), 16):
        sound = scene.waveform.astype(np.float64)
        inside = np.zeros(len(sound), dtype=bool)
        for word in scene.words:
            inside[round(word.start * 16000) : round(word.end * 16000)] = True
        assert np.count_nonzero(sound) > 0.99 * len(sound)
        assert np.isfinite(sound).all() and np.abs(sound).max() < 4
        ratios.append(np.sqrt((sound[inside] ** 2).mean() / (sound[~inside] ** 2).mean()))
    assert np.median(ratios) > 2 and min(ratios) > 1


def test_no_voice_is_heard_in_two_splits():
    heard = {split: {scenes(split)[i].caption.speaker for i in range(160)} for split in ("train", "validation", "test")}
    heard["test-hard"] = {scenes("test-hard")[i].caption.speaker for i in range(20)}
    for split, speakers in heard.items():
        assert speakers == {v.name for v in VOICES if v.split == split.removesuffix("-hard")}, split
    for one, other in combinations(("train", "validation", "test"), 2):
        assert heard[one].isdisjoint(heard[other])
    assert len(heard["train"]) >= 10 and len(heard["test"]) >= 2


def test_scenes_of_one_stamp_are_every_fourth_and_no_hard_ones():
    singles = SingleStamps(Scenes(stamps(), "test"))
    assert all(len(singles[i].concepts) == 1 for i in range(6))
    with pytest.raises(DataError, match="test-hard"):
        SingleStamps(Scenes(stamps(), "test-hard"))
