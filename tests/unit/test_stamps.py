"""Spoken Stamps built from a tree of a few stamps: what is kept, dropped and why; damage."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from tiny_stamps import KEPT, NAMES, VOICES, report_of, spoil

from vgs_lib.data.manifest import read_manifest, validate_manifest
from vgs_lib.data.stamps import CARRIERS, LANGUAGES, Stamps, human_split
from vgs_lib.data.voices import slug
from vgs_lib.errors import DataError


def test_keeps_what_has_a_name_and_a_picture_and_leaves_symbols_out(tiny_set):
    stamps = Stamps.open()
    assert tuple(c.id for c in stamps.concepts) == KEPT
    assert {c.key for c in stamps.concepts} == set(NAMES)
    dog = stamps.concept("animals/dog")
    assert (dog.text, dog.category) == ("a dog", ("animals",))
    assert dog.texts == {"en": "a dog", "fr": "Un chien.", "pt_br": "Um cão."}
    assert set(dog.people) == {"en", "fr", "be"} and dog.sound == "sounds/animals__dog.flac"
    assert stamps.concept("animals/birds/owl").category == ("animals", "birds")
    assert stamps.concept("food/apple").text == "an apple"
    assert stamps.concept("vehicles/car").sound == "sounds/vehicles__car.flac"


def test_the_report_names_every_dropped_file_and_why(tiny_set):
    report = report_of(tiny_set)
    why = {item["file"]: item["why"] for item in report["dropped"]}
    expected = {
        "food/joke.txt": "names nothing",
        "food/long.txt": "longer than 6 words",
        "food/plum.txt": "no picture",
        "food/empty.txt": "no first clause",
        "vehicles/clear.png": "nothing in it is opaque",
        "vehicles/tram.png": "cannot be used",
        "vehicles/van.svg": "no <svg> element",
        "animals/birds/owl_desc_fr.ogg": "lasts 6.0 s, over 5 s",
        "animals/cow_desc.ogg": "silent",
        "vehicles/car_desc.ogg": "cannot be read",
    }
    assert why.keys() == expected.keys()
    for file, reason in expected.items():
        assert reason in why[file], file
    assert not any("symbols" in file for file in why)
    assert report["concepts"] == len(KEPT) and report["names"] == len(NAMES)
    assert report["people"] == {"en": 4, "fr": 2, "be": 1} and report["sounds"] == 2
    assert report["voices"] == [v.name for v in VOICES] and report["missing_voices"] == {}
    assert report["clips"] == len(KEPT) * len(VOICES) + 7


def test_pictures_are_cut_to_their_content_with_alpha(tiny_set):
    stamps = Stamps.open()
    dog = stamps.picture("animals/dog")
    assert dog.shape == (30, 50, 4) and dog.dtype == np.uint8
    # An ellipse fills pi / 4 of its box; its corners are clear and its middle is brown.
    assert abs((dog[..., 3] > 127).mean() - np.pi / 4) < 0.03
    assert dog[0, 0, 3] == 0 and dog[15, 25].tolist() == [165, 42, 42, 255]
    assert stamps.picture("animals/cow").shape == (190, 384, 4)  # 790 x 390, at most 384 a side
    mask = np.asarray(Image.open(tiny_set / "masks/animals__dog.png"))
    np.testing.assert_array_equal(mask, np.where(dog[..., 3] > 127, 255, 0))


def test_a_vector_picture_in_points_is_drawn_at_its_whole_size(tiny_set):
    apple = Stamps.open().picture("food/apple")
    # 96 x 48 pixels: were points taken for pixels, the right and lower quarter would be missing.
    assert apple.shape[1] == 384 and abs(apple.shape[0] - 192) <= 2
    assert abs((apple[..., 3] > 127).mean() - np.pi / 4) < 0.01
    assert apple[apple.shape[0] // 2, 192].tolist() == [0xC0, 0x10, 0x20, 255]


def test_sound_is_mono_16k_trimmed_and_of_one_level(tiny_set):
    stamps = Stamps.open()
    for concept, language, seconds in (
        ("animals/dog", "en", 0.6),
        ("animals/dog", "fr", 0.5),
        ("animals/cat", "en", 0.7),
    ):
        samples = stamps.recording(concept, language)
        assert samples.dtype == np.float32 and samples.ndim == 1
        assert abs(len(samples) / 16000 - seconds) < 0.06  # without the 0.3 s of silence at both ends
        assert np.abs(samples).max() == pytest.approx(0.7, abs=0.01)
    assert soundfile.info(tiny_set / "people/fr/animals__dog.flac").samplerate == 16000
    assert soundfile.info(tiny_set / "sounds/animals__dog.flac").duration == pytest.approx(10.0, abs=0.01)


def test_every_voice_says_every_name_and_carrier(tiny_set):
    stamps = Stamps.open()
    texts = {c.text for c in stamps.concepts} | set(CARRIERS)
    for voice in VOICES:
        files = {p.name for p in (tiny_set / "speech" / voice.name).iterdir()}
        assert files == {f"{slug(text)}.flac" for text in texts}
        clip = stamps.clip(voice.name, "a dog")
        assert clip.dtype == np.int16 and 0.15 < len(clip) / 16000 < 1.5
        assert np.abs(clip).max() == pytest.approx(0.7 * 32768, rel=0.01)
    assert stamps.voices("train") == ["tiny-espeak"] and stamps.voices("test") == ["tiny-flite"]
    assert stamps.voices("validation") == []


def test_the_manifest_is_right_down_to_its_files(tiny_set):
    path = tiny_set / "manifest.jsonl"
    assert validate_manifest(path, check_files=True) == []
    entries = read_manifest(path).entries
    assert {(e.split, e.speaker, e.engine) for e in entries if e.engine != "person"} == {
        ("train", "tiny-espeak", "espeak-ng"),
        ("test", "tiny-flite", "flite"),
    }
    people = [e for e in entries if e.engine == "person"]
    assert {e.split for e in people} <= {
        f"{part}-human-{lang}" for part in ("validation", "test") for lang in LANGUAGES
    }
    (silent,) = [e for e in people if e.language == "be"]
    assert silent.text is None and silent.words == ()
    french = next(e for e in people if e.audio == "people/fr/animals__dog.flac")
    assert french.text == "Un chien." and french.words[0].concept == "animals/dog"


def test_a_picture_that_is_too_large_is_named(copy, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow's guard against decompression bombs
    with pytest.raises(DataError, match=r"animals__dog\.png: missing or damaged picture"):
        Stamps.open(copy).picture("animals/dog")


def cut(path, share=0.5):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


@pytest.mark.parametrize("damage", [cut, spoil, Path.unlink, lambda path: path.write_text("no picture")])
def test_a_damaged_picture_is_named(copy, damage):
    path = copy / "pictures/animals__dog.png"
    damage(path)
    with pytest.raises(DataError) as error:
        Stamps.open(copy).picture("animals/dog")
    assert str(path) in str(error.value) and "python -m vgs_lib data stamps" in str(error.value)


@pytest.mark.parametrize(
    "damage", [Path.unlink, lambda path: path.write_text("no sound"), lambda path: cut(path, 0.02)]
)
def test_a_damaged_clip_is_named(copy, damage):
    path = copy / "speech/tiny-flite" / f"{slug('a dog')}.flac"
    damage(path)
    with pytest.raises(DataError) as error:
        Stamps.open(copy).clip("tiny-flite", "a dog")
    assert str(path) in str(error.value) and "python -m vgs_lib data stamps" in str(error.value)


def test_a_voice_that_was_not_built_is_named(copy):
    shutil.rmtree(copy / "speech/tiny-flite")
    with pytest.raises(DataError, match=r"voice tiny-flite was not built.*missing_voices"):
        Stamps.open(copy).clip("tiny-flite", "a dog")
    assert Stamps.open(copy).voices("test") == []


@pytest.mark.parametrize("line", ["{", "[]", '{"id": "x"}', "null", '"text"'])
def test_a_damaged_listing_is_named_with_its_line(copy, line):
    listing = copy / "concepts.jsonl"
    lines = listing.read_text(encoding="utf-8").splitlines()
    lines[2] = line
    listing.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match=r"concepts\.jsonl:3: damaged"):
        Stamps.open(copy)


def test_what_is_not_there_is_said_with_what_is(tiny_set):
    stamps = Stamps.open()
    with pytest.raises(DataError, match=r"no concept 'animals/unicorn'.*animals/birds/owl"):
        stamps.concept("animals/unicorn")
    with pytest.raises(DataError, match=r"animals/dog: nobody reads it in 'el'.*be, en, fr"):
        stamps.recording("animals/dog", "el")
    for split in ("test-human-xx", "test-human-el", "training"):
        with pytest.raises(DataError, match=split):
            stamps.people(split)


def test_people_are_split_by_concept_alone(tiny_set):
    stamps = Stamps.open()
    for language in ("en", "fr"):
        parts = {}
        for part in ("validation", "test"):
            with_them = [c.id for c in stamps.concepts if human_split(c.id, language) == f"{part}-human-{language}"]
            spoken = [c for c in with_them if language in stamps.concept(c).people]
            if spoken:
                assert [c.id for c in stamps.people(f"{part}-human-{language}")] == spoken
            parts[part] = set(spoken)
        assert parts["validation"].isdisjoint(parts["test"])
        assert parts["validation"] | parts["test"] == {c.id for c in stamps.concepts if language in c.people}


def test_a_concept_alone_is_on_white_with_its_mask(tiny_set):
    stamps = Stamps.open()
    for concept, height, width in (("animals/dog", 30, 50), ("animals/dog2", 50, 30)):
        picture, mask = stamps.alone(concept, size=100)
        assert picture.shape == (100, 100, 3) and picture.dtype == np.uint8 and mask.shape == (100, 100)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert abs(len(rows) - 80 * height / 50) <= 2 and abs(len(columns) - 80 * width / 50) <= 2
        assert abs(rows.mean() - 49.5) <= 1 and abs(columns.mean() - 49.5) <= 1
        assert (picture[~mask] == 255).mean() > 0.95 and (picture[mask] < 200).any(axis=1).mean() > 0.95
    assert Image.fromarray(picture).getpixel((0, 0)) == (255, 255, 255)
