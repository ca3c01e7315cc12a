"""A folder of pictures and recordings as a manifest: what is paired, what is named as wrong, what is written."""

import shutil

import numpy as np
import pytest
import soundfile
from PIL import Image
from tiny_stamps import tone

from vgs_lib.data import folder as folders
from vgs_lib.data.folder import Parts, assign_splits, scan_folder, write_folder_manifest
from vgs_lib.data.manifest import Entry, read_manifest
from vgs_lib.errors import DataError, ManifestError


def picture(path, colour="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), colour).save(path)


def sound(path, seconds=0.5, *, samples=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(seconds) if samples is None else samples, 16000)


@pytest.fixture
def place(tmp_path):
    """Two pictures, one of them described twice."""
    root = tmp_path / "mine"
    picture(root / "cat.png")
    picture(root / "dog.png")
    sound(root / "cat.wav", 0.5)
    sound(root / "cat_2.flac", 0.7)
    sound(root / "dog-1.wav", 0.6)
    return root


def pairs(scan):
    return {(entry.image, entry.audio) for entry in scan.entries}


def sentences(scan):
    return [str(problem) for problem in scan.problems]


def test_names_decide_and_lengths_are_measured(place):
    steps = []
    scan = scan_folder(place, progress=lambda done, total: steps.append((done, total)))
    assert pairs(scan) == {("cat.png", "cat.wav"), ("cat.png", "cat_2.flac"), ("dog.png", "dog-1.wav")}
    assert {e.audio: round(e.seconds, 3) for e in scan.entries} == {"cat.wav": 0.5, "cat_2.flac": 0.7, "dog-1.wav": 0.6}
    assert not scan.problems and steps == [(1, 3), (2, 3), (3, 3)]
    assert (scan.num_pictures, scan.num_sounds, scan.table) == (2, 3, None)


def test_a_whole_name_comes_before_a_numbered_one_and_folders_may_differ(tmp_path):
    picture(tmp_path / "images/cat.png")
    picture(tmp_path / "images/cat_1.png")
    sound(tmp_path / "audio/cat_1.wav")
    sound(tmp_path / "audio/cat.wav")
    (tmp_path / ".hidden").mkdir()
    picture(tmp_path / ".hidden/ghost.png")
    scan = scan_folder(tmp_path)
    assert pairs(scan) == {("images/cat_1.png", "audio/cat_1.wav"), ("images/cat.png", "audio/cat.wav")}
    assert not scan.problems


def test_everything_that_does_not_fit_is_named_with_what_to_do(place):
    shutil.move(place / "dog-1.wav", place / "dgo.wav")
    sound(place / "quiet.wav", samples=np.zeros(8000, np.float32))
    picture(place / "quiet.png")
    (place / "broken.png").write_text("no picture")
    sound(place / "broken.wav")
    (place / "talk.m4a").write_bytes(b"x")
    picture(place / "a/owl.png")
    picture(place / "b/owl.png")
    sound(place / "owl.wav")
    found = "\n".join(sentences(scan := scan_folder(place)))
    assert pairs(scan) == {("cat.png", "cat.wav"), ("cat.png", "cat_2.flac")}
    assert "dgo.wav: audio: found no picture of this name" in found and "rename it if it describes dog.png" in found
    assert "dog.png: image: found no recording of this name, expected dog.wav or dog_1.wav" in found
    assert "quiet.wav: audio: found The recording is silent" in found
    assert 'broken.wav: image: found "broken.png"' in found and "a picture that can be read" in found
    assert "talk.m4a: audio: found a .m4a file" in found and "ffmpeg" in found
    assert "owl.wav: image: found a/owl.png and b/owl.png" in found
    assert len(scan.problems) == 6


def test_the_table_decides_line_by_line(place):
    rows = [
        "Image;Audio;Text;Speaker;Language",
        "cat.png;cat.wav;a cat, asleep;ann;en",
        "",
        "cow.png;cat_2.flac;a cow;bob;en",
        "cat.png;cat.wav;again;ann;en",
        "dog.png;dog-1.wav;a dog;bob;English",
        "dog.png;dog-1.wav",
        "../dog.png;dog-1.wav;;;",
    ]
    (place / "captions.csv").write_text("\ufeff" + "\n".join(rows), encoding="utf-8")
    scan = scan_folder(place)
    [entry] = scan.entries
    assert (entry.text, entry.speaker, entry.language) == ("a cat, asleep", "ann", "en")
    found = {(problem.file, problem.line, problem.field) for problem in scan.problems}
    assert found == {
        ("captions.csv", 4, "image"),
        ("captions.csv", 5, "line"),
        ("captions.csv", 6, "language"),
        ("captions.csv", 7, "line"),
        ("captions.csv", 8, "image"),
    }
    assert any(s.startswith("captions.csv:4: image: found no file") for s in sentences(scan))


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("picture,audio\n", 1, '"picture"'),
        ("image\n", 1, "no column audio"),
        ("image,audio,audio\n", 1, '"audio" twice'),
        ("", 1, "an empty file"),
        ('image,audio\ncat.png,"cat.wav\n', 2, "unexpected end"),
    ],
)
def test_a_table_that_is_none_is_refused_where_it_is_wrong(place, text, line, found):
    (place / "captions.csv").write_text(text, encoding="utf-8")
    problem = next(p for p in scan_folder(place).problems if p.file == "captions.csv")
    assert problem.line == line and found in problem.found


def test_a_table_in_another_encoding_is_named(place):
    (place / "captions.csv").write_bytes("image,audio,text\ncat.png,cat.wav,caf\xe9\n".encode("latin-1"))
    problem = next(p for p in scan_folder(place).problems if p.file == "captions.csv")
    assert problem.line == 2 and "UTF-8" in problem.expected


def test_files_that_the_table_forgets_are_named(place):
    (place / "captions.csv").write_text("image,audio\ncat.png,cat.wav\n", encoding="utf-8")
    assert [p.file for p in scan_folder(place).problems] == ["dog.png", "cat_2.flac", "dog-1.wav"]


def test_wrong_folders_are_named(tmp_path, place):
    with pytest.raises(DataError, match="no such folder"):
        scan_folder(tmp_path / "nowhere")
    empty = tmp_path / "empty"
    picture(empty / "a.png")
    with pytest.raises(DataError, match="found 1 pictures and 0 recordings, expected recordings"):
        scan_folder(empty)
    with pytest.raises(DataError, match="stopped after 1 of 3"):
        scan_folder(place, should_stop=iter([False, True]).__next__)


def test_a_picture_outside_the_folder_is_refused(place, tmp_path):
    picture(tmp_path / "secret.png")
    (place / "dog.png").unlink()
    (place / "dog.png").symlink_to(tmp_path / "secret.png")
    scan = scan_folder(place)
    assert pairs(scan) == {("cat.png", "cat.wav"), ("cat.png", "cat_2.flac")}
    assert "symbolic link" in sentences(scan)[0]


def test_the_manifest_is_written_whole_and_reads_back(place):
    path = write_folder_manifest(scan_folder(place), parts=Parts(0.0, 0.0))
    manifest = read_manifest(path, check_files=True)
    assert path == place / "manifest.jsonl" and len(manifest.entries) == 3
    assert {entry.split for entry in manifest.entries} == {"train"}
    assert not list(place.glob(".*partial"))


def test_problems_stop_the_writing_unless_they_are_left_out(place):
    (place / "dog-1.wav").unlink()
    scan = scan_folder(place)
    with pytest.raises(ManifestError, match=r"dog\.png"):
        write_folder_manifest(scan)
    assert not (place / "manifest.jsonl").exists()
    assert len(read_manifest(write_folder_manifest(scan, leave_out=True)).entries) == 2


def test_all_recordings_of_a_picture_are_in_one_split_and_new_files_move_none():
    entries = [Entry(f"{i}.png", f"{i}_{k}.wav", "train") for i in range(400) for k in range(3)]
    placed = assign_splits(entries, Parts(0.1, 0.2))
    by_picture = {}
    for entry in placed:
        by_picture.setdefault(entry.image, set()).add(entry.split)
    assert all(len(splits) == 1 for splits in by_picture.values())
    counts = {name: sum(splits == {name} for splits in by_picture.values()) for name in ("train", "validation", "test")}
    assert counts["test"] == pytest.approx(80, abs=25) and counts["validation"] == pytest.approx(40, abs=20)
    assert assign_splits(entries[:300], Parts(0.1, 0.2)) == placed[:300]


def test_splits_by_speaker_keep_a_speaker_together():
    entries = [Entry(f"{i}.png", f"{i}.wav", "train", speaker=f"s{i % 20}") for i in range(100)]
    placed = assign_splits(entries, Parts(0.2, 0.3, by="speaker"))
    splits = {entry.speaker: entry.split for entry in placed}
    assert all(splits[entry.speaker] == entry.split for entry in placed) and len(set(splits.values())) == 3
    with pytest.raises(DataError, match="speaker is not known"):
        assign_splits([Entry("a.png", "a.wav", "train")], Parts(by="speaker"))


@pytest.mark.parametrize(
    "wrong", [{"validation": -0.1}, {"test": 1.0}, {"validation": 0.6, "test": 0.4}, {"by": "sex"}]
)
def test_impossible_parts_are_refused(wrong):
    with pytest.raises(DataError, match="parts"):
        Parts(**wrong)


def test_a_folder_that_cannot_be_written_says_so(place, monkeypatch):
    def refuse(entries, path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folders, "write_manifest", refuse)
    with pytest.raises(ManifestError, match="Permission denied"):
        write_folder_manifest(scan_folder(place))
