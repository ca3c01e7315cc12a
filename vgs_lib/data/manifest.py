"""The one on-disk format of a data set: JSON Lines, one spoken caption of one picture a line.

::

    {"image": "images/7.png", "audio": "audio/7.ogg", "split": "train", "seconds": 2.1, "language": "en",
     "text": "a dog", "speaker": "slt", "engine": "flite", "class": "animals", "licence": "GPL-2.0",
     "source": "where it comes from",
     "words": [{"text": "dog", "start": 0.31, "end": 0.74, "concept": "animals/dog"}],
     "objects": [{"concept": "animals/dog", "mask": "masks/7-dog.png"}]}

``image``, ``audio`` and ``split`` are required, all else may be left out. Paths are relative to the
manifest's folder, written with ``/``, and stay inside it, also through symbolic links. Times are seconds
from the start of the audio. A mask is a one-channel picture of the size of the image (H x W pixels), not
zero where the object is.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from vgs_lib.data.manifest_check import Finding, Inside, check_files_of, check_record, read_mask, show
from vgs_lib.errors import ManifestError
from vgs_lib.safe_files import write_atomically

MAX_REPORTED = 20  # problems named in one error message


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a caption, from ``start`` to ``end`` seconds, and the concept that it names, if any."""

    text: str
    start: float
    end: float
    concept: str | None = None


@dataclass(frozen=True, slots=True)
class MaskedObject:
    """An object of a picture: its concept and the path of its mask."""

    concept: str
    mask: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: a picture and its spoken caption; the key ``class`` of the file is ``class_name`` here."""

    image: str
    audio: str
    split: str
    seconds: float | None = None
    language: str | None = None
    text: str | None = None
    speaker: str | None = None
    class_name: str | None = None
    engine: str | None = None
    licence: str | None = None
    source: str | None = None
    words: tuple[Word, ...] = ()
    objects: tuple[MaskedObject, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """The entries of a manifest, in the order of its lines, and the folder that their paths start from."""

    folder: Path
    entries: tuple[Entry, ...]

    def path(self, relative: str) -> Path:
        """The full path of an entry's ``image``, ``audio`` or ``mask``."""
        return self.folder / relative

    def mask(self, item: MaskedObject) -> np.ndarray:
        """The object's mask, bool [H, W]; raises ImageError where it cannot be read."""
        return read_mask(self.path(item.mask))


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in a field of a line; ``str`` gives ``file:line: field: found X, expected Y, do Z``."""

    file: str
    line: int
    field: str
    found: str
    expected: str
    advice: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: {self.field}"
        return f"{where}: found {self.found}, expected {self.expected}, {self.advice}"


def read_manifest(path: str | os.PathLike, *, check_files: bool = False) -> Manifest:
    """Reads a manifest; raises ManifestError, which names every problem up to 20, unless it is right.

    ``check_files`` also opens every picture, mask and recording, as `validate_manifest` does.
    """
    entries, problems = _read(Path(path), check_files)
    if problems:
        raise _error(problems)
    return Manifest(Path(path).parent, tuple(entries))


def validate_manifest(path: str | os.PathLike, *, check_files: bool = False) -> list[Problem]:
    """All problems of a manifest, in the order of its lines; an empty list when it is right.

    ``check_files`` also opens every picture, mask and recording: each has to be readable, a mask as large as
    its picture and not empty, a recording as long as ``seconds`` says, and the words inside it.
    """
    return _read(Path(path), check_files)[1]


def write_manifest(entries: Iterable[Entry], path: str | os.PathLike) -> None:
    """Writes a manifest so that at any time the old or the new one is there, whole; makes its folder.

    Raises ManifestError, and leaves what was there, if an entry would not be read back.
    """
    path = Path(path)
    inside = Inside(path.parent)
    records = [_to_record(entry) for entry in entries]
    problems = [
        Problem(str(path), line, *finding)
        for line, record in enumerate(records, 1)
        for finding in check_record(record, inside)
    ]
    if not records:
        problems.append(_empty(path))
    if problems:
        raise _error(problems)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records)
    write_atomically(path, lambda temporary: temporary.write_bytes(text.encode("utf-8")))


def _error(problems: list[Problem]) -> ManifestError:
    """A ManifestError with a line for each problem, and how many more there are."""
    lines = [str(problem) for problem in problems[:MAX_REPORTED]]
    if len(problems) > MAX_REPORTED:
        lines.append(f"and {len(problems) - MAX_REPORTED} more problems")
    return ManifestError("\n".join(lines))


def _empty(path: Path) -> Problem:
    return Problem(str(path), 1, "line", "an empty file", "one JSON object a line", "write at least one entry")


def _read(path: Path, check_files: bool) -> tuple[list[Entry], list[Problem]]:
    """The entries of the lines that are right, and the problems of those that are not."""
    entries, problems, line = [], [], 0
    inside = Inside(path.parent)
    try:
        with open(path, "rb") as file:
            for line, raw in enumerate(file, 1):
                record, findings = _parse(raw)
                if not findings:
                    findings = list(check_record(record, inside))
                if not findings and check_files:
                    findings = list(check_files_of(record, path.parent))
                problems += [Problem(str(path), line, *finding) for finding in findings]
                if not findings:
                    entries.append(_to_entry(record))
    except OSError as error:
        advice = "give the path of a manifest that can be read"
        problems.append(Problem(str(path), line, "file", error.strerror, "a JSON Lines file", advice))
        return entries, problems
    return entries, problems if line else [_empty(path)]


def _parse(raw: bytes) -> tuple[object, list[Finding]]:
    """The value of one line, or what keeps it from being JSON."""
    raw = raw.rstrip(b"\r\n")
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse), []
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.pos + 1}"
    except (ValueError, RecursionError) as error:  # not UTF-8, a key twice, NaN, a huge number, deep nesting
        reason = str(error)
    found = f"{show(raw[:80].decode('utf-8', 'replace'))} ({reason})"
    return None, [("line", found, "one JSON object in UTF-8", "correct the line or delete it")]


def _unique(pairs: list[tuple[str, object]]) -> dict:
    if len(record := dict(pairs)) < len(pairs):
        raise ValueError("a key occurs twice")
    return record


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def _compact(item: Entry | Word | MaskedObject) -> dict:
    """Its fields that are not None, under the keys of the file."""
    values = {field.name: getattr(item, field.name) for field in fields(item)}
    return {("class" if k == "class_name" else k): v for k, v in values.items() if v is not None}


def _to_record(entry: Entry) -> dict:
    """The JSON object of one line; empty lists are left out."""
    record = _compact(entry)
    for key in ("words", "objects"):
        items = [_compact(item) for item in record.pop(key)]
        if items:
            record[key] = items
    return record


def _to_entry(record: dict) -> Entry:
    """The entry of a line that `check_record` found right."""
    values = {("class_name" if k == "class" else k): v for k, v in record.items()}
    if "seconds" in values:
        values["seconds"] = float(values["seconds"])
    values["words"] = tuple(
        Word(word["text"], float(word["start"]), float(word["end"]), word.get("concept"))
        for word in record.get("words", ())
    )
    values["objects"] = tuple(MaskedObject(**item) for item in record.get("objects", ()))
    return Entry(**values)
