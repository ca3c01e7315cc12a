"""What is checked in a manifest: first the values of each line, then, if asked, the files that they name.

Each check yields findings (field, found, expected, advice); `vgs_lib.data.manifest` adds the file and line.
"""

import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import soundfile
from PIL import Image

from vgs_lib.errors import ImageError

Finding = tuple[str, str, str, str]

TIME_TOLERANCE = 0.01  # seconds: one frame of the usual front ends
LENGTH_TOLERANCE = 0.05  # seconds: headers of compressed sound are no more exact
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow raises
_TEXT_KEYS = ("text", "speaker", "class", "engine", "licence", "source")
_PATTERNS = {
    "split": (re.compile(r"[a-z0-9]+([-_][a-z0-9]+)*"), "a lowercase name such as train or test-human-en"),
    "language": (re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*"), "a language tag such as en or pt-BR"),
}
_ENTRY_KEYS = ("image", "audio", "split", "seconds", "language", *_TEXT_KEYS, "words", "objects")


def show(value: object) -> str:
    """A value as JSON, cut after 60 characters."""
    try:
        text = json.dumps(value, default=repr, ensure_ascii=False)
    except RecursionError:
        text = "a deeply nested value"
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")  # lone surrogates cannot be shown
    return text if len(text) <= 60 else text[:57] + "..."


def _is_text(value: object) -> bool:
    """Whether it is a string with something in it that UTF-8 can hold (JSON allows lone surrogates)."""
    return isinstance(value, str) and bool(value.strip()) and not re.search("[\x00\ud800-\udfff]", value)


def _is_number(value: object) -> bool:
    """Whether it is a number below 1e9 (a bool is none, nor is NaN, infinity or a text)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e9


class Inside:
    """Tells why a path does not stay inside a folder; remembers the folders that it has resolved."""

    def __init__(self, folder: Path):
        self.root = os.path.realpath(folder)
        self.real: dict[str, str] = {}

    def finding(self, field: str, value: object) -> Finding | None:
        expected = "a path inside the manifest's folder"
        if not _is_text(value):
            return field, show(value), expected, "write one as a string, such as audio/1.wav"
        if "\\" in value or PureWindowsPath(value).drive:
            return field, show(value), f"{expected} written with /", "write it relative and with /"
        if value.startswith("/"):
            return field, f"the absolute path {show(value)}", expected, "write it relative to that folder"
        if ".." in PurePosixPath(value).parts or not PurePosixPath(value).name:
            return field, show(value), f"{expected} without ..", "move the file there and name it directly"
        parent, name = os.path.split(value)
        if parent not in self.real:
            self.real[parent] = os.path.realpath(os.path.join(self.root, parent))
        target = os.path.join(self.real[parent], name)
        if os.path.islink(target):
            target = os.path.realpath(target)
        if os.path.commonpath([self.root, target]) != self.root:
            found = f"{show(value)}, a symbolic link that leads to {show(target)}"
            return field, found, expected, "copy what it links to into that folder"
        return None


def _check_keys(record: dict, known: tuple[str, ...], prefix: str) -> Iterator[Finding]:
    for key in record:
        if key not in known:
            advice = "correct its spelling or remove it"
            yield f"{prefix}{show(key)[1:-1]}", "an unknown field", f"one of {', '.join(known)}", advice


def check_record(record: object, inside: Inside) -> Iterator[Finding]:
    """What is wrong in one line's value, without looking into the files that it names."""
    if not isinstance(record, dict):
        yield "line", show(record), "a JSON object", "write one entry in braces"
        return
    yield from _check_keys(record, _ENTRY_KEYS, "")
    for key in ("image", "audio", "split"):
        if key not in record:
            yield key, "nothing", "this field in every line", f'add "{key}"'
        elif key != "split" and (finding := inside.finding(key, record[key])):
            yield finding
    for key in _TEXT_KEYS:
        if key in record and not _is_text(record[key]):
            yield key, show(record[key]), "a string that is not empty", "write one or leave the field out"
    for key, (pattern, expected) in _PATTERNS.items():
        if key in record and not (_is_text(record[key]) and pattern.fullmatch(record[key])):
            yield key, show(record[key]), expected, "write it so"
    seconds = record.get("seconds", math.inf)
    if "seconds" in record and not (_is_number(seconds) and seconds > 0):
        yield "seconds", show(seconds), "the length of the audio, above 0", "write it or leave the field out"
        seconds = math.inf
    yield from _check_objects(record, inside)
    yield from _check_words(record, seconds)


def _dicts(record: dict, key: str) -> Iterator[tuple[str, dict | None, Finding | None]]:
    """Each item of a list of objects: (field, item, None), or (field, None, what is wrong with it)."""
    items = record.get(key, [])
    if not isinstance(items, list):
        yield key, None, (key, show(items), "a list", "write [] or leave the field out")
        return
    for index, item in enumerate(items):
        field = f"{key}[{index}]"
        if isinstance(item, dict):
            yield field, item, None
        else:
            yield field, None, (field, show(item), "a JSON object", "write it in braces")


def _check_objects(record: dict, inside: Inside) -> Iterator[Finding]:
    for field, item, finding in _dicts(record, "objects"):
        if item is None:
            yield finding
            continue
        yield from _check_keys(item, ("concept", "mask"), f"{field}.")
        if not _is_text(item.get("concept")):
            yield f"{field}.concept", show(item.get("concept")), "a name", "say what the object is"
        if finding := inside.finding(f"{field}.mask", item.get("mask")):
            yield finding


def _check_words(record: dict, seconds: float) -> Iterator[Finding]:
    """Words have a text and times, follow one another, end inside the audio, name an object of the line."""
    objects = record.get("objects")
    concepts = [o.get("concept") for o in objects if isinstance(o, dict)] if isinstance(objects, list) else []
    last_end = -math.inf
    for field, word, finding in _dicts(record, "words"):
        if word is None:
            yield finding
            continue
        yield from _check_keys(word, ("text", "start", "end", "concept"), f"{field}.")
        if not _is_text(word.get("text")):
            yield f"{field}.text", show(word.get("text")), "a string that is not empty", "write the word"
        concept = word.get("concept")
        if "concept" in word and not _is_text(concept):
            yield f"{field}.concept", show(concept), "a name", "write it or leave the field out"
        elif concept is not None and concepts and concept not in concepts:
            expected = f"the concept of one of the line's objects ({show(concepts)})"
            yield f"{field}.concept", show(concept), expected, "correct it or add the object"
        times = [word.get("start"), word.get("end")]
        wrong = [key for key, time in zip(("start", "end"), times, strict=True) if not _is_number(time)]
        for key in wrong:
            yield f"{field}.{key}", show(word.get(key)), "a time in seconds", "write a number"
        if wrong:
            continue
        start, end = times
        if start < 0:
            yield f"{field}.start", show(start), "0 or more", "count from the start of the audio"
        if end <= start:
            yield f"{field}.end", show(end), f"more than the start, {start:g}", "correct the word's times"
        if start < last_end - TIME_TOLERANCE:
            expected = f"at least {last_end:g}, the end of the word before"
            yield f"{field}.start", show(start), expected, "put the words in the order they are spoken"
        if end > seconds + TIME_TOLERANCE:
            expected = f"at most {seconds:g}, the length of the audio"
            yield f"{field}.end", show(end), expected, "correct the times or the audio"
        last_end = max(last_end, end)


def read_mask(path: str | os.PathLike) -> np.ndarray:
    """A mask picture of one channel as bool [H, W], true where it is not zero; raises ImageError."""
    try:
        with Image.open(path) as picture:
            if len(picture.getbands()) == 1:
                return np.asarray(picture) != 0
            found = f"a picture of {len(picture.getbands())} channels"
    except UNREADABLE as error:
        found = str(error) or type(error).__name__
    raise ImageError(f"{path}: found {found}, expected a mask of one channel, save it as a grey PNG")


def check_files_of(record: dict, folder: Path) -> Iterator[Finding]:
    """What is wrong in the files of one line that `check_record` found right."""
    missing = set()
    named = [("image", record["image"]), ("audio", record["audio"])]
    masks = [(f"objects[{i}].mask", item["mask"]) for i, item in enumerate(record.get("objects", ()))]
    for field, path in named + masks:
        if not (folder / path).is_file():
            missing.add(field)
            yield field, f"no file {show(path)}", "a file of this name", "put it there or correct the path"
    size = None
    if "image" not in missing:
        try:
            with Image.open(folder / record["image"]) as picture:
                picture.load()
                size = picture.size
        except UNREADABLE as error:
            found = f"{show(record['image'])} ({error})"
            yield "image", found, "a picture that can be read", "replace the file"
    if "audio" not in missing:
        yield from _check_audio(record, folder)
    for field, path in masks:
        if field not in missing:
            yield from _check_mask(field, folder / path, size)


def _check_audio(record: dict, folder: Path) -> Iterator[Finding]:
    """The recording can be read, is as long as the line says, and its words end inside it."""
    try:
        length = soundfile.info(folder / record["audio"]).duration
    except soundfile.SoundFileError as error:
        found = f"{show(record['audio'])} ({error})"
        yield "audio", found, "a recording that can be read", "replace the file"
        return
    if length == 0:
        yield "audio", "a recording without samples", "some sound", "replace the file"
    elif abs(record.get("seconds", length) - length) > LENGTH_TOLERANCE:
        expected = f"the length of the audio, {length:.3f}"
        yield "seconds", show(record["seconds"]), expected, "correct it or leave it out"
    for index, word in enumerate(record.get("words", ())):
        if word["end"] > length + TIME_TOLERANCE:
            expected = f"at most {length:.3f}, the length of the audio"
            yield f"words[{index}].end", show(word["end"]), expected, "correct the times or the audio"


def _check_mask(field: str, path: Path, size: tuple[int, int] | None) -> Iterator[Finding]:
    """The mask can be read, is as large as the picture (width and height in pixels), and is not empty."""
    try:
        mask = read_mask(path)
    except ImageError as error:
        yield field, str(error), "a readable mask", "replace the file"
        return
    height, width = mask.shape
    if size is not None and (width, height) != size:
        found, expected = f"{width} x {height} pixels", f"the picture's {size[0]} x {size[1]}"
        yield field, found, expected, "make the mask anew at that size"
    if not mask.any():
        yield field, "no pixel above zero", "at least one", "draw the object or remove it from the line"
