"""Scenes of described things: a function of split, seed and index, held-out pairs, exact masks, places and words."""

import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from PIL import Image, ImageFilter
from tiny_stamps import NAMES, TEST, TRAIN, use_voices

from vgs_lib.__main__ import main
from vgs_lib.data import attribute_build, attribute_speech
from vgs_lib.data.attribute_build import build_speech
from vgs_lib.data.attribute_design import SPLITS
from vgs_lib.data.attribute_layout import boxes, overlap
from vgs_lib.data.attribute_scenes import AttributeScenes
from vgs_lib.data.attribute_speech import AttributeSpeech
from vgs_lib.data.attributes import COLOURS, PLACES, SIZES, Description, recolour
from vgs_lib.data.scenes import generator
from vgs_lib.data.stamps import Stamps
from vgs_lib.data.voices import slug
from vgs_lib.errors import DataError

SIZE = 96


def scenes(stamps, split="train", **options) -> AttributeScenes:
    return AttributeScenes(stamps, split, **{"size": SIZE, "nouns": NAMES, **options})


def content(scene) -> tuple:
    """All that a scene is made of."""
    objects = [(o.concept, o.text, o.mentioned, o.description, o.mask.tobytes()) for o in scene.objects]
    return scene.description, scene.picture.tobytes(), objects, scene.waveform.tobytes(), scene.words


def test_a_scene_is_a_function_of_split_seed_and_index(described):
    for split in ("train", "test", "test-unseen"):
        one, other = scenes(described, split), scenes(Stamps.open(described.folder), split)
        forward = [content(one[i]) for i in range(6)]
        assert [content(other[i]) for i in reversed(range(6))] == forward[::-1]
        seeded = [content(scenes(described, split, seed=1)[i]) for i in range(6)]
        assert all(a[1] != b[1] and a[3] != b[3] for a, b in zip(forward, seeded, strict=True))
    scene = scenes(described)[0]
    assert scene.tell(0).words == scene.words and scene.tell(1).words != scene.words


@pytest.mark.parametrize("split", SPLITS)
def test_every_round_has_each_class_once_and_things_keep_to_their_pairs(described, split):
    of = scenes(described, split)
    trained, unseen = set(of.design.classes["train"]), of.design.unseen
    own = set(of.design.classes[split])
    for first in (0, of.num_classes):
        assert {of.description(i) for i in range(first, first + of.num_classes)} == own
    seconds = Counter()
    for i in range(300):
        (_, first), *others = of[i].things
        assert len(others) <= 1 and first == of[i].description
        assert len(first.pairs & unseen) == (1 if split.endswith("-unseen") else 0)
        for concept, other in others:
            assert other in trained and not other.pairs & unseen and concept.key == other.noun
            differences = [a != b for a, b in zip(first[:3], other[:3], strict=True)]
            assert sum(differences) == 1, "one difference is what must be heard"
            seconds[("size", "colour", "noun")[differences.index(True)]] += 1
            assert split == "train" or other not in own
    assert 120 < seconds.total() < 230 and min(seconds["colour"], seconds["noun"]) > 50
    assert seconds["size"] > (20 if split == "train" else -1)  # few held-out classes have one of the other size


def test_a_thing_has_the_colour_and_the_size_that_are_said(described):
    for split in ("train", "test-unseen"):
        of = scenes(described, split)
        for i in range(60):
            scene = of[i]
            assert [o.mentioned for o in scene.objects] == [True, False][: len(scene.objects)]
            assert not (len(scene.objects) == 2 and (scene.objects[0].mask & scene.objects[1].mask).any())
            for item in scene.objects:
                rows, columns = (np.flatnonzero(item.mask.any(axis=axis)) for axis in (1, 0))
                longest = max(np.ptp(rows), np.ptp(columns)) + 1
                least, most = SIZES[item.description.size]
                assert least * SIZE - 2 <= longest <= most * SIZE + 2
                stamp = described.picture(item.concept)
                recoloured = recolour(stamp, item.description.colour)[stamp[..., 3] == 255]
                colour = np.median(recoloured[:, :3], axis=0)  # an ellipse of one colour
                inside = np.asarray(Image.fromarray(item.mask).convert("L").filter(ImageFilter.MinFilter(5))) > 0
                assert inside.sum() > 5
                assert np.abs(scene.picture[inside].astype(int) - colour).max() <= 8, "blending and resizing"


def test_a_place_is_a_half_and_is_said_and_is_part_of_the_class(described):
    of = scenes(described, "test", places=True)
    placed = Counter()
    for i in range(2 * of.num_classes):
        placed[of.description(i)] += 1
        if i > 60:
            continue
        scene, half = of[i], SIZE // 2
        for item in scene.objects:
            here = {"left": item.mask[:, :half], "right": item.mask[:, half:]}[item.description.place]
            assert here.sum() == item.mask.sum() > 0
        assert scene.words[-1].text == PLACES[scene.description.place] and scene.words[-1].kind == "place"
        assert len({o.description.place for o in scene.objects}) == len(scene.objects)
    assert set(placed.values()) == {1} and len(placed) == 2 * of.num_classes  # two rounds: once left, once right
    assert of.split != scenes(described, "test").split


def test_words_are_where_they_are_heard(described):
    opened = 0
    for split, voice in (("train", TRAIN), ("test", TEST), ("test-unseen", TEST)):
        of = scenes(described, split)
        for i in range(12):
            caption, description = of[i].caption, of[i].description
            assert caption.speaker == voice.name
            said = [(word.text, word.kind) for word in caption.words if word.kind]
            assert said == [
                (f"a {description.size}", "size"),
                (description.colour, "colour"),
                (description.noun, "noun"),
            ]
            assert {word.concept for word in caption.words if word.kind} == {of[i].things[0][0].id}
            silent = np.ones(len(caption.waveform), dtype=bool)
            for word in caption.words:
                span = slice(round(word.start * 16000), round(word.end * 16000))
                if word.kind is None:
                    clip, opened = described.clip(voice.name, word.text) / 32768, opened + 1
                    assert word.concept is None
                else:
                    clip = soundfile.read(of.speech.path(voice.name, word.text))[0]
                np.testing.assert_allclose(caption.waveform[span], clip, atol=1e-7)
                silent[span] = False
            assert not caption.waveform[silent].any() and silent.any()
            starts = [word.start for word in caption.words]
            assert starts == sorted(starts)
    assert 4 < opened < 30


def test_things_never_overlap_whatever_their_shapes():
    rng = generator("test of boxes")
    for _ in range(300):
        things = [Description(str(rng.choice(list(SIZES))), "red", "cat") for _ in range(2)]
        shapes = [(int(rng.integers(20, 400)), int(rng.integers(20, 400))) for _ in things]
        found = boxes(rng, shapes, things, 224)
        assert not overlap(*found)
        for (x, y, width, height), (h, w), thing in zip(found, shapes, things, strict=True):
            assert 0 <= x <= 224 - width and 0 <= y <= 224 - height
            assert abs(width / height - w / h) < 0.2 * w / h + 0.2
            assert SIZES[thing.size][0] * 224 - 1 <= max(width, height) <= SIZES[thing.size][1] * 224 + 1


def test_names_that_the_data_set_lacks_are_left_out_with_the_reason(described):
    of = scenes(described, nouns=(*NAMES, "unicorn", "gryphon"))
    assert set(of.nouns) == set(NAMES) and set(of.missing) == {"unicorn", "gryphon"}
    assert str(described.folder) in of.missing["unicorn"]
    assert {of.description(i).noun for i in range(of.num_classes)} == set(NAMES)
    assert of.split != scenes(described).split


def test_what_is_wrong_is_named(described):
    with pytest.raises(DataError, match="'tests'; there are train, validation"):
        scenes(described, "tests")
    with pytest.raises(IndexError, match="scene -1"):
        scenes(described)[-1]
    with pytest.raises(DataError, match="found nothing; expected two or more"):
        scenes(described, nouns=tuple(f"unicorn {i}" for i in range(7)))
    with pytest.raises(DataError) as error:
        AttributeSpeech(described).clip("nobody", "green")
    assert "'green'" in str(error.value) and "run 'python -m vgs_lib data attributes'" in str(error.value)


# speech


@pytest.fixture
def unspoken(tiny_set, tmp_path):
    """A copy of the small data set in which the words for attributes are not spoken yet."""
    return Stamps.open(shutil.copytree(tiny_set, tmp_path / "stamps"))


def test_every_voice_says_every_text_once(unspoken, monkeypatch):
    assert not attribute_speech.is_complete(unspoken, NAMES)
    events = list(build_speech(unspoken, NAMES, jobs=2))
    texts = attribute_speech.texts(unspoken, NAMES)
    assert {"a small", "a large", "on the left", *COLOURS, *NAMES} <= set(texts)
    assert events[-1].done == events[-1].total == 2 * len(texts)
    for voice in (TRAIN, TEST):
        folder = attribute_speech.folder_of(unspoken) / voice.name
        assert {path.name for path in folder.iterdir()} == {f"{slug(text)}.flac" for text in texts}
    assert attribute_speech.is_complete(unspoken, NAMES)
    # Another list of things asks for more; a voice that cannot be built here for nothing.
    assert attribute_speech.is_complete(unspoken, NAMES[:3])
    use_voices(monkeypatch, (TRAIN, TEST, replace(TEST, name="third")))
    assert not attribute_speech.is_complete(unspoken, NAMES)
    monkeypatch.setattr(attribute_speech, "engine_available", lambda engine: engine == "espeak-ng")
    assert attribute_speech.is_complete(unspoken, NAMES)


def test_a_build_that_was_cut_off_goes_on_where_it_was(unspoken):
    events = build_speech(unspoken, NAMES, jobs=1)
    for event in events:
        if event.done > event.total // 2 + 2:
            break
    events.close()
    folder = attribute_speech.folder_of(unspoken)
    assert (folder / TRAIN.name).is_dir() and not (folder / TEST.name).exists()
    assert not attribute_speech.is_complete(unspoken, NAMES)
    kept = {path: path.stat().st_mtime_ns for path in (folder / TRAIN.name).iterdir()}
    list(build_speech(unspoken, NAMES, jobs=1))
    assert attribute_speech.is_complete(unspoken, NAMES)
    assert {path: path.stat().st_mtime_ns for path in (folder / TRAIN.name).iterdir()} == kept


def test_the_command_builds_once_and_mends_what_was_deleted(unspoken, monkeypatch, capsys):
    command = ["data", "attributes", "--folder", str(unspoken.folder), "--jobs", "2"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "Left out tiger: no thing of" in out and "4 things" in out  # bus, cow, dog and owl
    clip = attribute_speech.folder_of(unspoken) / TEST.name / f"{slug('green')}.flac"
    old = clip.read_bytes()
    clip.unlink()
    assert main(command) == 0 and clip.read_bytes() == old
    monkeypatch.setattr(attribute_build, "build_speech", None)  # not asked for a third time
    assert main(command) == 0 and str(attribute_speech.folder_of(unspoken)) in capsys.readouterr().out
    assert main(["data", "attributes", "--folder", str(unspoken.folder / "none")]) == 1
    assert "python -m vgs_lib data stamps" in capsys.readouterr().err
