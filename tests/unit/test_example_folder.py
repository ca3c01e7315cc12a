"""The small folder of pictures and recordings that stands for one's own."""

import csv

import pytest
import soundfile
import tiny_stamps

from vgs_lib.data.example_folder import write_example
from vgs_lib.data.folder import scan_folder, write_folder_manifest
from vgs_lib.data.manifest import read_manifest
from vgs_lib.data.manifest_splits import divide
from vgs_lib.data.stamps import Stamps
from vgs_lib.errors import DataError

NAMES = ("bus", "cat", "dog", "pear")


def test_it_is_a_folder_as_a_person_would_make_one(home, tmp_path):
    stamps = Stamps.open(home)
    folder = write_example(stamps, tmp_path / "mine", names=NAMES, num_pictures=8, size=48)
    scan = scan_folder(folder)
    assert not scan.problems and len(scan.entries) == scan.num_pictures == scan.num_sounds == 8
    rows = list(csv.DictReader((folder / "captions.csv").open(encoding="utf-8")))
    assert sorted(row["text"] for row in rows) == sorted(NAMES * 2)
    for row in rows:
        assert row["speaker"] == tiny_stamps.TRAIN.name, row  # people's English recordings are never trained on
        words = [len(stamps.clip(row["speaker"], c.text)) / 16000 for c in stamps.concepts if c.key == row["text"]]
        length = soundfile.info(folder / row["audio"]).duration
        assert any(word + 0.1 <= length <= word + 2.5 for word in words)
    division = divide(read_manifest(write_folder_manifest(scan)), name="m")
    assert (len(division.train), len(division.validation)) == (6, 2)


def test_a_folder_that_is_done_is_left_as_it_is_and_one_that_was_cut_off_is_made_again(home, tmp_path):
    stamps = Stamps.open(home)
    folder = write_example(stamps, tmp_path / "mine", names=NAMES, num_pictures=4, size=48)
    made = {path: path.read_bytes() for path in folder.iterdir()}
    (folder / "note.txt").write_text("kept")
    assert write_example(stamps, folder, names=("bus",), num_pictures=9) == folder
    assert {path: path.read_bytes() for path in folder.iterdir() if path.suffix != ".txt"} == made
    (folder / "captions.csv").unlink()
    write_example(stamps, folder, names=NAMES, num_pictures=4, size=48)
    assert {path: path.read_bytes() for path in folder.iterdir() if path.suffix != ".txt"} == made


def test_names_that_cannot_be_had_are_said(home, tmp_path):
    stamps = Stamps.open(home)
    with pytest.raises(DataError, match="names: found unicorn, expected names of Spoken Stamps, such as apple"):
        write_example(stamps, tmp_path / "mine", names=("unicorn", *NAMES))
    with pytest.raises(DataError, match="found 2 names"):
        write_example(stamps, tmp_path / "mine", names=NAMES[:2])
