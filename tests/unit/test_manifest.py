"""The manifest: what is written is read back; any damage is reported with file, line, field and remedy."""

import dataclasses
import json
import os

import numpy as np
import pytest
import soundfile
from PIL import Image

from vgs_lib.data.manifest import Entry, MaskedObject, Word, read_manifest, validate_manifest, write_manifest
from vgs_lib.errors import ImageError, ManifestError

LINE = {
    "image": "images/1.png",
    "audio": "audio/1.wav",
    "split": "train",
    "seconds": 2.0,
    "language": "pt-BR",
    "text": "um cão, o sol",
    "speaker": "slt",
    "class": "animals",
    "engine": "flite",
    "licence": "GPL-2.0",
    "source": "recorded for the test",
    "words": [
        {"text": "cão", "start": 0.25, "end": 0.75, "concept": "animals/dog"},
        {"text": "o", "start": 1.0, "end": 1.25},
    ],
    "objects": [{"concept": "animals/dog", "mask": "masks/1.png"}],
}
ENTRY = Entry(
    image="images/1.png",
    audio="audio/1.wav",
    split="train",
    seconds=2.0,
    language="pt-BR",
    text="um cão, o sol",
    speaker="slt",
    class_name="animals",
    engine="flite",
    licence="GPL-2.0",
    source="recorded for the test",
    words=(Word("cão", 0.25, 0.75, "animals/dog"), Word("o", 1.0, 1.25)),
    objects=(MaskedObject("animals/dog", "masks/1.png"),),
)
SHORT = Entry(image="images/1.png", audio="audio/1.wav", split="test-human-en")


@pytest.fixture
def folder(tmp_path):
    """A folder with one picture of 8 x 6 pixels, its mask, and two seconds of sound."""
    for name in ("images", "audio", "masks"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (8, 6), "white").save(tmp_path / "images/1.png")
    mask = np.zeros((6, 8), np.uint8)
    mask[2:4, 1:5] = 1
    Image.fromarray(mask).save(tmp_path / "masks/1.png")
    soundfile.write(tmp_path / "audio/1.wav", np.full(32000, 0.1), 16000)
    return tmp_path


def write_lines(folder, *lines):
    """Writes lines (a dict as JSON, bytes as they are) and returns the manifest's path."""
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    (folder / "train.jsonl").write_bytes(b"\n".join(raw) + b"\n")
    return folder / "train.jsonl"


def with_word(**changes):
    return {**LINE, "words": [{**LINE["words"][0], **changes}, LINE["words"][1]]}


def with_object(**changes):
    return {**LINE, "objects": [{**LINE["objects"][0], **changes}]}


def test_round_trip(folder):
    path = folder / "new" / "train.jsonl"
    write_manifest([ENTRY, SHORT], path)
    read = read_manifest(path)
    assert read.entries == (ENTRY, SHORT)
    assert read.folder == path.parent
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == [LINE, {
        "image": "images/1.png", "audio": "audio/1.wav", "split": "test-human-en"
    }]  # fmt: skip


def test_entries_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ENTRY.split = "test"


def test_right_manifest_has_no_problem_and_gives_files(folder):
    path = write_lines(folder, LINE)
    assert validate_manifest(path, check_files=True) == []
    read = read_manifest(path, check_files=True)
    assert read.path(read.entries[0].audio) == folder / "audio" / "1.wav"
    mask = read.mask(read.entries[0].objects[0])
    assert mask.dtype == bool and mask.shape == (6, 8) and mask.sum() == 8 and mask[2, 1] and not mask[0, 0]


@pytest.mark.parametrize(
    ("line", "field", "found"),
    [
        (b"{", "line", "in double quotes at character 2)"),
        (b"", "line", "Expecting"),
        (b"[1]", "line", "[1]"),
        (b'{"text": "\xff"}', "line", "utf-8"),
        (b"\xef\xbb\xbf{}", "line", "BOM"),
        (b'{"text": "a", "text": "b"}', "line", "twice"),
        (b'{"seconds": NaN}', "line", "NaN"),
        (b"[" * 100_000, "line", "recursion"),
        (b'{"seconds": ' + b"1" * 5000 + b"}", "line", "limit"),
        ({k: v for k, v in LINE.items() if k != "audio"}, "audio", "nothing"),
        ({k: v for k, v in LINE.items() if k != "split"}, "split", "nothing"),
        ({**LINE, "speeker": "slt"}, "speeker", "unknown field"),
        ({**LINE, "text": ""}, "text", '""'),
        ({**LINE, "text": None}, "text", "null"),
        ({**LINE, "speaker": "\ud800"}, "speaker", "ud800"),
        ({**LINE, "class": 3}, "class", "3"),
        ({**LINE, "split": "Train"}, "split", '"Train"'),
        ({**LINE, "split": ["train"]}, "split", '["train"]'),
        ({**LINE, "language": "pt_BR"}, "language", "pt_BR"),
        ({**LINE, "seconds": 0}, "seconds", "0"),
        ({**LINE, "seconds": True}, "seconds", "true"),
        ({**LINE, "seconds": "2"}, "seconds", '"2"'),
        ({**LINE, "image": ""}, "image", '""'),
        ({**LINE, "image": 7}, "image", "7"),
        ({**LINE, "image": "."}, "image", '"."'),
        ({**LINE, "image": "/etc/passwd"}, "image", "absolute path"),
        ({**LINE, "image": "../other/1.png"}, "image", ".."),
        ({**LINE, "image": "images/../../1.png"}, "image", ".."),
        ({**LINE, "image": "images\\1.png"}, "image", "\\"),
        ({**LINE, "image": "C:1.png"}, "image", "C:1.png"),
        ({**LINE, "image": "a\x00.png"}, "image", "u0000"),
        ({**LINE, "words": {}}, "words", "{}"),
        ({**LINE, "words": ["cat"]}, "words[0]", '"cat"'),
        (with_word(stop=1.0), "words[0].stop", "unknown field"),
        (with_word(text=" "), "words[0].text", '" "'),
        (with_word(concept=""), "words[0].concept", '""'),
        (with_word(concept="animals/cat"), "words[0].concept", "animals/cat"),
        (with_word(start=None), "words[0].start", "null"),
        (with_word(end=False), "words[0].end", "false"),
        (with_word(end=float("1e300")), "words[0].end", "1e+300"),
        (with_word(start=-0.5), "words[0].start", "-0.5"),
        (with_word(start=0.75), "words[0].end", "0.75"),
        (with_word(end=1.1), "words[1].start", "1.0"),
        ({**LINE, "seconds": 1.2}, "words[1].end", "1.25"),
        ({**LINE, "words": [], "objects": [1]}, "objects[0]", "1"),
        (with_object(box=[0, 0, 1, 1]), "objects[0].box", "unknown field"),
        (with_object(mask="/m.png"), "objects[0].mask", "absolute path"),
        ({**LINE, "words": [], "objects": [{"concept": "a"}]}, "objects[0].mask", "null"),
        ({**LINE, "words": [], "objects": [{"mask": "m.png"}]}, "objects[0].concept", "null"),
    ],
)
def test_each_problem_is_reported_with_its_line_and_field(folder, line, field, found):
    path = write_lines(folder, LINE, line, LINE)
    (problem,) = validate_manifest(path)
    assert (problem.file, problem.line, problem.field) == (str(path), 2, field)
    assert found in problem.found
    assert str(problem) == (f"{path}:2: {field}: found {problem.found}, expected {problem.expected}, {problem.advice}")
    assert "\n" not in str(problem) and len(str(problem)) < 400 + len(str(path))
    with pytest.raises(ManifestError) as error:
        read_manifest(path)
    assert str(error.value) == str(problem)


def test_a_word_may_end_within_the_tolerance_of_the_next_and_of_the_audio(folder):
    words = [{"text": "a", "start": 0, "end": 1.009}, {"text": "b", "start": 1.0, "end": 2.009}]
    assert validate_manifest(write_lines(folder, {**LINE, "words": words})) == []


def test_all_problems_of_all_lines_are_collected(folder):
    path = write_lines(folder, {**LINE, "image": "/a", "text": 1, "split": ""}, b"{", LINE, {"image": "a"})
    assert [(p.line, p.field) for p in validate_manifest(path)] == [
        (1, "image"), (1, "text"), (1, "split"), (2, "line"), (4, "audio"), (4, "split")
    ]  # fmt: skip
    with pytest.raises(ManifestError, match=r"train\.jsonl:1: image: found") as error:
        read_manifest(path)
    assert str(error.value).splitlines() == [str(problem) for problem in validate_manifest(path)]


def test_long_error_says_how_many_more(folder):
    with pytest.raises(ManifestError) as error:
        read_manifest(write_lines(folder, *[b"{"] * 27))
    assert len(str(error.value).splitlines()) == 21 and str(error.value).endswith("and 7 more problems")


def test_links_may_not_leave_the_folder(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "1.png").write_bytes((folder / "images/1.png").read_bytes())
    (folder / "away").symlink_to(outside)
    (folder / "images/2.png").symlink_to(outside / "1.png")
    (folder / "images/3.png").symlink_to("1.png")  # stays inside
    lines = [{**LINE, "image": image} for image in ("away/1.png", "images/2.png", "images/3.png")]
    problems = validate_manifest(write_lines(folder, *lines))
    assert [(p.line, p.field) for p in problems] == [(1, "image"), (2, "image")]
    assert all("symbolic link" in p.found and str(outside) in p.found for p in problems)


def test_a_folder_reached_through_a_link_is_no_escape(folder, tmp_path_factory):
    link = tmp_path_factory.mktemp("links") / "data"
    link.symlink_to(folder)
    write_lines(folder, LINE)
    assert read_manifest(link / "train.jsonl", check_files=True).entries == (ENTRY,)


def test_missing_and_empty_manifests_are_named(tmp_path):
    with pytest.raises(ManifestError, match=r"none\.jsonl:0: file: found No such file"):
        read_manifest(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(ManifestError, match=r"empty\.jsonl:1: line: found an empty file"):
        read_manifest(tmp_path / "empty.jsonl")


@pytest.mark.parametrize(
    ("damage", "field", "found"),
    [
        (lambda f: (f / "images/1.png").unlink(), "image", "no file"),
        (lambda f: (f / "images/1.png").write_text("text"), "image", "cannot identify"),
        (lambda f: os.truncate(f / "images/1.png", 45), "image", "images/1.png"),
        (lambda f: (f / "audio/1.wav").unlink(), "audio", "no file"),
        (lambda f: (f / "audio/1.wav").write_text("text"), "audio", "audio/1.wav"),
        (lambda f: soundfile.write(f / "audio/1.wav", np.zeros(24000), 16000), "seconds", "2.0"),
        (lambda f: (f / "masks/1.png").unlink(), "objects[0].mask", "no file"),
        (lambda f: (f / "masks/1.png").write_text("text"), "objects[0].mask", "cannot identify"),
        (lambda f: Image.new("RGB", (8, 6)).save(f / "masks/1.png"), "objects[0].mask", "3 channels"),
        (lambda f: Image.new("L", (8, 6)).save(f / "masks/1.png"), "objects[0].mask", "no pixel"),
        (lambda f: Image.new("L", (6, 8), 1).save(f / "masks/1.png"), "objects[0].mask", "6 x 8"),
    ],
)
def test_files_are_opened_on_request(folder, damage, field, found):
    path = write_lines(folder, LINE)
    damage(folder)
    assert validate_manifest(path) == []
    (problem,) = validate_manifest(path, check_files=True)
    assert (problem.line, problem.field) == (1, field) and found in problem.found
    with pytest.raises(ManifestError):
        read_manifest(path, check_files=True)


def test_words_must_end_inside_the_recording(folder):
    line = {key: value for key, value in LINE.items() if key != "seconds"}
    soundfile.write(folder / "audio/1.wav", np.full(16000, 0.1), 16000)
    path = write_lines(folder, line)
    assert validate_manifest(path) == []
    (problem,) = validate_manifest(path, check_files=True)
    assert (problem.field, problem.found, problem.expected) == (
        "words[1].end", "1.25", "at most 1.000, the length of the audio"
    )  # fmt: skip


def test_mask_of_several_channels_is_refused(folder):
    Image.new("RGBA", (8, 6)).save(folder / "masks/1.png")
    read = read_manifest(write_lines(folder, LINE))
    with pytest.raises(ImageError, match="4 channels"):
        read.mask(read.entries[0].objects[0])


@pytest.mark.parametrize("entries", [[ENTRY, dataclasses.replace(ENTRY, image="../1.png")], []])
def test_writer_refuses_what_could_not_be_read_back(folder, entries):
    path = folder / "train.jsonl"
    write_manifest([SHORT], path)
    with pytest.raises(ManifestError, match=r"train\.jsonl:(2: image: found|1: line: found an empty)"):
        write_manifest(entries, path)
    assert read_manifest(path).entries == (SHORT,)


def test_interrupted_write_leaves_the_old_manifest(folder, monkeypatch):
    path = folder / "train.jsonl"
    write_manifest([SHORT], path)

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_manifest([ENTRY], path)
    assert read_manifest(path).entries == (SHORT,)
    assert [file.name for file in folder.iterdir() if file.is_file()] == ["train.jsonl"]
