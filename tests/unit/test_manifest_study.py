"""Training on pictures and recordings of one's own: what is held out, what batches hold, learning, exact resume."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import tiny_manifest
import torch
from PIL import Image
from tiny_manifest import SPLITS, build_tiny, prepared, study_of

from vgs_lib import retrieval
from vgs_lib.data import manifest_splits
from vgs_lib.data.manifest import Entry, read_manifest, write_manifest
from vgs_lib.errors import AudioError, DataError, ManifestError, TrainingError
from vgs_lib.recipes import recipe
from vgs_lib.studies.history import LABELS
from vgs_lib.studies.manifest_study import ManifestStudy


@pytest.fixture(autouse=True)
def own_banks(tmp_path, monkeypatch):
    monkeypatch.setenv("VGS_HOME", str(tmp_path / "home"))


@pytest.fixture
def tiny_model(monkeypatch):
    monkeypatch.setattr("vgs_lib.studies.manifest_study.build_model", build_tiny)


def images(lines) -> set[str]:
    return {entry.image for entry in lines.entries}


# What is held out


def test_no_picture_and_no_copy_of_it_is_on_both_sides(tmp_path):
    path = tiny_manifest.make(tmp_path / "own", each=6, takes=3)
    shutil.copy(path.parent / "red_0.png", path.parent / "again.png")  # the same picture under another name
    tiny_manifest.sing(path.parent / "again.wav", "red", 99)
    shutil.copy(path.parent / "blue_1_0.wav", path.parent / "shared.wav")  # one recording of two pictures
    tiny_manifest.draw(path.parent / "other.png", "blue", 50)
    more = [Entry("again.png", "again.wav", "train"), Entry("other.png", "shared.wav", "train")]
    write_manifest([*read_manifest(path).entries, *more], path)
    pairs = {("red_0.png", "again.png"), ("blue_1.png", "other.png")}
    for seed in range(8):
        division = study_of(path, seed=seed).division
        train, held = images(division.train), images(division.validation)
        assert train.isdisjoint(held) and len(train | held) == 26
        for one, other in pairs:
            assert {one, other} <= train or {one, other} <= held
        assert len(division.validation.pictures) in (5, 6)  # a fifth of 25; two that stay together may come last
        for entry in division.validation.entries:
            assert sum(entry.image == e.image for e in division.validation.entries) in (1, 3)
    assert len({frozenset(images(study_of(path, seed=seed).division.validation)) for seed in range(8)}) > 1
    assert "20% of the pictures, held out because" in study_of(path).said


def test_what_is_added_later_moves_hardly_anything(tmp_path):
    path = tiny_manifest.make(tmp_path / "own", each=6)
    before = images(study_of(path).division.validation)
    tiny_manifest.draw(path.parent / "late.png", "red", 70)
    tiny_manifest.sing(path.parent / "late.wav", "red", 70)
    write_manifest([*read_manifest(path).entries, Entry("late.png", "late.wav", "train")], path)
    assert len(before & images(study_of(path).division.validation)) >= len(before) - 1


def test_a_validation_split_is_taken_as_it_is(tmp_path):
    path = tiny_manifest.make(tmp_path / "own", splits=SPLITS)
    entries = list(read_manifest(path).entries)
    write_manifest([*entries, replace(entries[-1], split="test")], path)
    study = study_of(path)
    assert images(study.division.validation) == {f"{colour}_0.png" for colour in tiny_manifest.COLOURS}
    assert study.said == (
        "12 recordings of 12 pictures to train on; 4 of 4 to judge on: the split 'validation' of the manifest."
    )
    assert len(study_of(path, num_validation=3).division.validation) == 3
    write_manifest([*entries, replace(entries[0], split="train")], path)
    assert "1 picture is in 'train' too" in study_of(path).said
    assert "1 recording is in 'train' too" in study_of(path).said
    write_manifest(entries, path)
    assert "too" not in study_of(path).said


def test_pairs_that_show_or_say_the_same_are_no_impostors_and_count_as_found(tmp_path):
    path = tiny_manifest.make(tmp_path / "own", each=2, takes=2, texts=False)
    entries = list(read_manifest(path).entries)
    said = {"red_0.png": "A  red disc.", "red_1.png": "a red disc"}
    entries = [replace(entry, text=said.get(entry.image)) for entry in entries]
    write_manifest(entries, path)
    lines = manifest_splits.divide(read_manifest(path), name="m", share=0.3).train
    rows = range(len(lines))
    found = lines.same(rows)
    for i in rows:
        for j in rows:
            one, other = lines.entries[i], lines.entries[j]
            assert found[i, j] == (one.image == other.image or bool({one.image, other.image} <= set(said))), (i, j)


@pytest.mark.parametrize(
    ("each", "splits", "options", "expected"),
    [
        (1, None, {}, "found 2 different pictures to train on and 2 to judge on"),
        (1, lambda number: "dev", {}, "found no line of the split 'train' \\(only dev\\)"),
        (2, None, {"share": 0.0}, "share: found 0"),
        (2, None, {"share": 1.0}, "share: found 1"),
        (2, None, {"share": 0.9}, "found 1 different pictures to train on"),
    ],
)
def test_what_is_too_little_is_said_with_what_to_do(tmp_path, each, splits, options, expected):
    path = tiny_manifest.make(tmp_path / "own", each=each, splits=splits)
    with pytest.raises(DataError, match=expected) as error:
        study_of(path, **options)
    assert str(path) in str(error.value) or "share" in options


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("harwath2019-sisa-sounds", "it begins with natural-sounds"),
        ("harwath2019-text-sisa", "it reads text"),
        ("tian2020-timam", "its loss is on classes"),
    ],
)
def test_a_recipe_that_a_manifest_cannot_train_is_refused(tmp_path, name, found):
    path = tiny_manifest.make(tmp_path / "own", each=4)
    with pytest.raises(TrainingError, match=f"{name}: {found}.*choose another recipe"):
        ManifestStudy(path, base=recipe(name))


def test_files_that_are_missing_or_too_long_are_named(tmp_path):
    path = tiny_manifest.make(tmp_path / "own")
    with pytest.raises(ManifestError):
        study_of(tmp_path / "nowhere.jsonl")
    entries = read_manifest(path).entries
    write_manifest([replace(entries[0], seconds=31.0), *entries[1:]], path)
    with pytest.raises(DataError, match=r"more than 30 s: red_0_0.wav \(31 s\); cut them"):
        study_of(path)
    write_manifest(entries, path)
    (path.parent / "red_0.png").unlink()
    with pytest.raises(DataError, match=r"red_0\.png: cannot be read .* put it there"):
        study_of(path)


def test_a_recording_that_is_longer_than_its_line_knows_is_named_when_it_is_read(tmp_path, tiny_model):
    path = tiny_manifest.make(tmp_path / "own")
    entries = [replace(entry, seconds=None) for entry in read_manifest(path).entries]
    write_manifest(entries, path)
    soundfile.write(path.parent / entries[3].audio, np.full(31 * 16000, 0.1), 16000)
    with pytest.raises(AudioError, match=f"{entries[3].audio}: the recording lasts 31.0 s"):
        prepared(study_of(path))


# Batches


def test_batches_hold_the_pictures_and_recordings_of_their_lines(tmp_path, tiny_model):
    path = tiny_manifest.make(tmp_path / "own", each=4)
    made = prepared(study_of(path))
    batches, model = made.batches, made.model
    seen = []
    for step in range(6):
        batch, tellings = batches[step], batches.tellings(step)
        seen += tellings
        assert len(batch) == 8 and len({row for _, row in tellings}) == 8
        for place, (take, row) in enumerate(tellings):
            entry = batches.train.lines.entries[row]
            shown = Image.open(path.parent / entry.image)  # 72 x 64: the middle 64 columns
            pixels = torch.from_numpy(np.array(shown.crop((4, 0, 68, 64)))).permute(2, 0, 1)[None].float() / 255
            torch.testing.assert_close(batch.image[0][place], model.image_encoder.features(pixels)[0][0].half())
            waveform = torch.from_numpy(soundfile.read(path.parent / entry.audio, dtype="float32")[0])
            features, lengths = model.audio_encoder.front_end([waveform])
            heard = batch.audio[place, :, : batch.audio_lengths[place]]
            blank = model.audio_encoder.front_end.pad_value
            kept = (heard != blank).any(dim=0)
            assert kept.sum() >= len(kept) - 8  # two spans of up to 4 frames are blanked
            if take == 0:
                assert batch.audio_lengths[place] == lengths[0]
                torch.testing.assert_close(heard[:, kept], features[0].half()[:, kept], atol=0.05, rtol=1e-3)
        for i, (_, one) in enumerate(tellings):
            for j, (_, other) in enumerate(tellings):
                texts = {batches.train.lines.entries[row].text for row in (one, other)}
                assert bool(batch.same_image[i, j]) == (i != j and len(texts) == 1)
    count = len(batches.train.lines)
    per_round = count // 8
    assert len({row for _, row in seen[: 8 * per_round]}) == 8 * per_round and {take for take, _ in seen} == {0, 1}
    plain, changed = batches.train.told(0, 0), batches.train.told(1, 0)
    assert plain.shape != changed.shape or not torch.equal(plain, changed)
    assert torch.equal(changed, batches.train.told(1, 0))


def test_a_photo_of_a_phone_stands_upright(tmp_path, tiny_model):
    path = tiny_manifest.make(tmp_path / "own", each=4)
    photo = Image.new("RGB", (320, 240), "black")
    photo.paste((255, 0, 0), (0, 0, 320, 60))  # at the top of the file's pixels
    note = Image.Exif()
    note[0x0112] = 6  # turn it a quarter to the right
    photo.save(path.parent / "phone.jpg", exif=note)
    tiny_manifest.sing(path.parent / "phone.wav", "red", 5)
    write_manifest([*read_manifest(path).entries, Entry("phone.jpg", "phone.wav", "train")], path)
    lines = prepared(study_of(path, seed=next(s for s in range(9) if _trains(path, "phone.jpg", s)))).batches.train
    picture = lines.picture(lines.paths.index("phone.jpg"))
    assert picture.shape == (3, 64, 64)
    assert picture[0, :, -4:].float().mean() > 200 and picture[0, :, :32].float().mean() < 20


def _trains(path, image, seed) -> bool:
    return image in images(study_of(path, seed=seed).division.train)


def test_features_are_computed_once_for_all_runs_and_anywhere(tmp_path, tiny_model):
    path = tiny_manifest.make(tmp_path / "own")
    first = prepared(study_of(path)).batches
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "home").rglob("*.npy")}
    moved = shutil.copytree(path.parent, tmp_path / "moved") / "manifest.jsonl"
    again = prepared(study_of(moved), learning_rate=0.1).batches
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "home").rglob("*.npy")} == stamps
    assert again.settings == first.settings and torch.equal(again[3].audio, first[3].audio)
    tiny_manifest.sing(moved.parent / "red_1_0.wav", "red", 77)
    assert prepared(study_of(moved)).batches.settings != first.settings
    assert len({p for p in (tmp_path / "home").rglob("*.npy")}) > len(stamps)


def test_sizes_fit_the_manifest(tmp_path, tiny_model):
    path = tiny_manifest.make(tmp_path / "own", each=4)
    study = ManifestStudy(path)
    count = len(study.division.train)
    assert study.base.data.batch_size == count == 13 and study.base.data.takes == 8
    name = study.base.name
    assert re.fullmatch("own-[0-9a-f]{6}", name) and ManifestStudy(path).base.name == name
    tiny_manifest.sing(path.parent / study.division.train.entries[0].audio, "red", 79)
    assert ManifestStudy(path).base.name != name
    assert study.base.fit.keep_best == "speech_to_image_r1"
    with pytest.raises(TrainingError, match="found 14, but there are 13 recordings"):
        study.prepare(replace(study.base, data=replace(study.base.data, batch_size=14)))


# Figures and training


def test_figures_are_those_of_the_score_matrix_with_each_picture_once(tmp_path, tiny_model):
    path = tiny_manifest.make(tmp_path / "own", each=4, takes=3, splits=SPLITS, texts=False)
    made = prepared(study_of(path))
    found = made.evaluate(made.model)
    entries = [entry for entry in read_manifest(path).entries if entry.split == "validation"]
    pictures = list(dict.fromkeys(entry.image for entry in entries))
    with torch.no_grad():
        scores = torch.empty(len(pictures), len(entries))
        for i, image in enumerate(pictures):
            shown = np.array(Image.open(path.parent / image).crop((4, 0, 68, 64)))
            maps = made.model.embed_image(torch.from_numpy(shown).permute(2, 0, 1)[None])
            for j, entry in enumerate(entries):
                waveform = torch.from_numpy(soundfile.read(path.parent / entry.audio, dtype="float32")[0])
                scores[i, j] = made.model.score(maps, *made.model.embed_waveforms([waveform]))
    right = torch.tensor([[image == entry.image for entry in entries] for image in pictures])
    assert found["speech_to_image_r1"] == pytest.approx(retrieval.recall_at_k(scores.T, 1, right.T))
    assert found["image_to_speech_r1"] == pytest.approx(retrieval.recall_at_k(scores, 1, right))
    assert made.chance["speech_to_image_r1"] == 1 / 4 and made.chance["image_to_speech_r1"] == pytest.approx(3 / 12)
    assert made.chance["speech_to_image_r10"] == 1.0 and set(found) == set(made.chance) <= set(LABELS)
