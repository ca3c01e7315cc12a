"""A folder of pictures and recordings as the entries of a manifest, with everything that does not fit named.

Without a table, names decide: ``cat.jpg`` is described by ``cat.wav``, ``cat_1.wav``, ``cat-2.flac``, in the same
folder or, if only one picture has that name, anywhere. With a table, ``captions.csv``, its lines decide: the columns
``image`` and ``audio`` are required, ``text``, ``speaker``, ``language`` and ``split`` may follow.
"""

import csv
import difflib
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import soundfile

from vgs_lib.audio import check_speech, read_audio
from vgs_lib.data.manifest import Entry, Problem, read_manifest, write_manifest
from vgs_lib.data.manifest_check import Inside, check_files_of, check_record, show
from vgs_lib.errors import AudioError, DataError, ManifestError

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
SOUNDS = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au"})
FOREIGN = frozenset({".m4a", ".aac", ".wma", ".amr", ".webm", ".mp4", ".mov"})  # sound that libsndfile cannot read
TABLE, MANIFEST = "captions.csv", "manifest.jsonl"
COLUMNS = ("image", "audio", "text", "speaker", "language", "split")
_NUMBER = re.compile(r"[-_ ]\d+$")


@dataclass(frozen=True, slots=True)
class FolderProblem(Problem):
    """A `Problem` of a file, or of a line of the table; line 0 means the file as a whole."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.field}: found {self.found}, expected {self.expected}, {self.advice}"


@dataclass(frozen=True)
class Scan:
    """What a folder holds: the pairs that are right as entries, and what is wrong with the rest.

    ``entries`` all have the split ``train`` unless the table gives another one; see `assign_splits`.
    """

    folder: Path
    entries: tuple[Entry, ...]
    problems: tuple[FolderProblem, ...]
    num_pictures: int
    num_sounds: int
    table: Path | None = None


@dataclass(frozen=True)
class Parts:
    """The shares of pictures for validation and test, 0 to 1; the rest is for training.

    ``by`` is what stays together: "image", so that all recordings of a picture are in one part, or "speaker".
    """

    validation: float = 0.1
    test: float = 0.2
    by: str = "image"

    def __post_init__(self):
        shares = (self.validation, self.test)
        if not all(0 <= share < 1 for share in shares) or sum(shares) >= 1 or self.by not in ("image", "speaker"):
            raise DataError(
                f"parts: found validation {self.validation:g}, test {self.test:g}, by {self.by!r}; expected shares of "
                "0 or more that leave some for training, by 'image' or 'speaker'"
            )


def scan_folder(
    folder: str | os.PathLike,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Scan:
    """Pair pictures and recordings of a folder and check each pair: readable, not silent, not empty.

    Args:
        folder: a folder of the machine on which Python runs; hidden files and folders are passed over.
        progress: called with (done, total) pairs.
        should_stop: asked before each pair.

    Raises:
        DataError: there is no such folder, it holds no pictures or no recordings, or the scan was stopped.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder on this machine; give the path of a folder")
    pictures, sounds, problems = _files(folder)
    table = folder / TABLE if (folder / TABLE).is_file() else None
    if not table and not (pictures and sounds):
        missing = "pictures (JPEG, PNG, WebP)" if not pictures else "recordings (WAV, FLAC, OGG, MP3)"
        raise DataError(f"{folder}: found {len(pictures)} pictures and {len(sounds)} recordings, expected {missing}")
    if table:
        named, wrong = _read_table(table)
    else:
        named, wrong = _match(pictures, sounds)
    problems += wrong
    entries, inside = [], Inside(folder)
    for done, (line, record) in enumerate(named, 1):
        if should_stop():
            raise DataError(f"{folder}: stopped after {done - 1} of {len(named)} pairs")
        findings = list(check_record(record, inside)) or list(check_files_of(record, folder))
        findings = findings or list(_check_sound(folder, record["audio"]))
        where = TABLE if line else str(record.get("audio"))
        problems += [FolderProblem(where, line, *finding) for finding in findings]
        if not findings:
            entries.append(Entry(**record, seconds=soundfile.info(folder / record["audio"]).duration))
        progress(done, len(named))
    if table:
        problems += _unused(pictures, sounds, named)
    return Scan(folder, tuple(entries), tuple(problems), len(pictures), len(sounds), table)


def assign_splits(entries: Sequence[Entry], parts: Parts) -> list[Entry]:
    """The entries, each in a part that depends on the name of its picture (or speaker) alone.

    So nothing that stays together is torn apart, and a file that is added later moves no other one. The shares are
    met on average: a small folder can leave a part empty. Raises DataError if the speaker of an entry is not known.
    """
    placed = []
    for entry in entries:
        key = entry.image if parts.by == "image" else entry.speaker
        if not key:
            raise DataError(f"{entry.audio}: its speaker is not known; name speakers in {TABLE} or split by image")
        point = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
        split = "test" if point < parts.test else "validation" if point < parts.test + parts.validation else "train"
        placed.append(replace(entry, split=split))
    return placed


def write_folder_manifest(scan: Scan, *, parts: Parts | None = None, leave_out: bool = False) -> Path:
    """Write ``manifest.jsonl`` into the folder, whole or not at all, and read it back.

    Args:
        scan: of `scan_folder`.
        parts: how to divide the entries; None keeps their splits.
        leave_out: leave out what has problems; otherwise any problem is an error.

    Raises:
        ManifestError: there are problems, which are named, or no pair is right.
    """
    if scan.problems and not leave_out:
        lines = "\n".join(map(str, scan.problems[:20]))
        raise ManifestError(f"{lines}\n{len(scan.problems)} problems: correct them, or leave out what they concern")
    if not scan.entries:
        raise ManifestError(f"{scan.folder}: no picture has a recording that fits; see the problems")
    path = scan.folder / MANIFEST
    try:
        write_manifest(assign_splits(scan.entries, parts) if parts else scan.entries, path)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be written ({error.strerror}); choose a folder that you own") from error
    read_manifest(path)
    return path


def _files(folder: Path) -> tuple[list[str], list[str], list[FolderProblem]]:
    """The pictures and recordings, relative and written with ``/``, and sound files that cannot be read here."""
    pictures, sounds, foreign = [], [], []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            path, kind = Path(place, name).relative_to(folder).as_posix(), Path(name).suffix.lower()
            if kind in PICTURES:
                pictures.append(path)
            elif kind in SOUNDS:
                sounds.append(path)
            elif kind in FOREIGN:
                expected, advice = "WAV, FLAC, OGG or MP3", "convert it, for example with ffmpeg -i IN OUT.wav"
                foreign.append(FolderProblem(path, 0, "audio", f"a {kind} file", expected, advice))
    return pictures, sounds, foreign


def _match(pictures: Sequence[str], sounds: Sequence[str]) -> tuple[list, list[FolderProblem]]:
    """(0, record) for each recording whose name leads to one picture, and problems for all other files."""
    by_place, by_name, problems = {}, {}, []
    for picture in pictures:
        place, name = os.path.split(os.path.splitext(picture)[0])
        by_place.setdefault((place, name), []).append(picture)
        by_name.setdefault(name, []).append(picture)
    records, described = [], set()
    for sound in sounds:
        place, name = os.path.split(os.path.splitext(sound)[0])
        base = _NUMBER.sub("", name)
        candidates = (by_place.get((place, name)), by_place.get((place, base)), by_name.get(name), by_name.get(base))
        found = next(filter(None, candidates), [])
        described.update(found)
        if len(found) == 1:
            records.append((0, {"image": found[0], "audio": sound, "split": "train"}))
        elif found:
            advice = "give the pictures different names, or write captions.csv"
            problems.append(FolderProblem(sound, 0, "image", " and ".join(found), "one picture of this name", advice))
        else:
            near = difflib.get_close_matches(base, by_name, n=1, cutoff=0.6)
            advice = f"rename it if it describes {by_name[near[0]][0]}" if near else "rename it after its picture"
            problems.append(FolderProblem(sound, 0, "audio", "no picture of this name", f"{base}.jpg or .png", advice))
    for picture in pictures:
        if picture not in described:
            name = os.path.splitext(os.path.basename(picture))[0]
            expected, advice = f"{name}.wav or {name}_1.wav", "record a caption or move the picture elsewhere"
            problems.append(FolderProblem(picture, 0, "image", "no recording of this name", expected, advice))
    return records, problems


def _read_table(table: Path) -> tuple[list, list[FolderProblem]]:
    """(line, record) for each line of the table, and what is wrong with the table itself."""
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = table.read_bytes()[: error.start].count(b"\n") + 1
        advice = "save the table as CSV in UTF-8"
        return [], [FolderProblem(TABLE, line, "line", "bytes that are not UTF-8", "text in UTF-8", advice)]
    first = text.partition("\n")[0]
    separator = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    records, problems, header, seen = [], [], None, {}
    try:
        for row in reader:
            line = reader.line_num
            if not any(cell.strip() for cell in row):
                continue
            if header is None:
                header = [cell.strip().lower() for cell in row]
                problems += _check_header(header)
                if problems:
                    return [], problems
                continue
            if len(row) != len(header):
                found, advice = f"{len(row)} columns", "put texts with a comma in double quotes"
                problems.append(FolderProblem(TABLE, line, "line", found, f"{len(header)} columns", advice))
                continue
            values = {key: value.strip() for key, value in zip(header, row, strict=True) if value.strip()}
            pair = (values.get("image"), values.get("audio"))
            if pair in seen:
                found, advice = f"the pair of line {seen[pair]} again", "delete one of the two lines"
                problems.append(FolderProblem(TABLE, line, "line", found, "each pair once", advice))
                continue
            seen[pair] = line
            records.append((line, {"split": "train", **values}))
    except csv.Error as error:
        problems.append(FolderProblem(TABLE, reader.line_num, "line", str(error), "a CSV line", "correct the quotes"))
    if header is None:
        problems.append(FolderProblem(TABLE, 1, "line", "an empty file", "a line with the columns", "delete the file"))
    return records, problems


def _check_header(header: list[str]) -> Iterator[FolderProblem]:
    for name, count in Counter(header).items():
        if name not in COLUMNS:
            expected = f"columns among {', '.join(COLUMNS)}"
            yield FolderProblem(TABLE, 1, "columns", show(name), expected, "rename the column or remove it")
        elif count > 1:
            yield FolderProblem(TABLE, 1, "columns", f"{show(name)} twice", "each column once", "remove one")
    for name in ("image", "audio"):
        if name not in header:
            yield FolderProblem(TABLE, 1, "columns", f"no column {name}", "image and audio", "add it to the first line")


def _check_sound(folder: Path, audio: str) -> Iterator[tuple[str, str, str, str]]:
    """Whether speech can be heard in a recording: at least 0.1 s, finite, not silent."""
    try:
        waveform, rate = read_audio(folder / audio, max_seconds=None, name=audio)
        check_speech(waveform, rate=rate)
    except AudioError as error:
        yield "audio", str(error).rstrip("."), "a recording in which somebody speaks", "replace the file"


def _unused(pictures: Sequence[str], sounds: Sequence[str], named: list) -> Iterator[FolderProblem]:
    """The files that the table does not name."""
    for key, paths in (("image", pictures), ("audio", sounds)):
        used = {record.get(key) for _, record in named}
        for path in paths:
            if path not in used:
                advice = "add a line for it or move the file elsewhere"
                yield FolderProblem(path, 0, key, f"no line in {TABLE}", "a line that names it", advice)
