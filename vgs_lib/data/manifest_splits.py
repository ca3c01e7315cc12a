"""Which lines of a manifest are trained on and which are held out, and which of them show or say the same.

A picture is known by what is in its file, not by its name: a copy under another name is the same picture, which must
not be trained on and judged on at once and is no impostor of the other.
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vgs_lib.data.manifest import Entry, Manifest
from vgs_lib.errors import DataError
from vgs_lib.seeds import seed_for

MIN_TRAIN, MIN_VALIDATION = 4, 2  # pictures; with fewer there is no impostor to tell from, or nothing to find
_PIECE = 4096  # bytes


@dataclass(frozen=True)
class Lines:
    """Lines of a manifest that are used together, and what marks the content of each file that they name."""

    entries: tuple[Entry, ...]
    marks: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def pictures(self) -> list[str]:
        """A path for each different picture, in the order of the lines."""
        first: dict[str, str] = {}
        for entry in self.entries:
            first.setdefault(self.marks[entry.image], entry.image)
        return list(first.values())

    @property
    def digest(self) -> str:
        """Of the content of all files and of the texts: other data, another digest."""
        lines = [f"{self.marks[e.image]} {self.marks[e.audio]} {_plain(e.text)}" for e in self.entries]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:24]

    def same(self, rows: Sequence[int]) -> Tensor:
        """[B, B] bool: line ``rows[i]`` and line ``rows[j]`` show the same picture, or their texts are the same.

        Texts are compared without regard to case and punctuation; lines without a text say nothing in common.
        """
        shown = _numbers([self.marks[self.entries[row].image] for row in rows])
        said = _numbers([_plain(self.entries[row].text) or row for row in rows])
        return (shown[:, None] == shown) | (said[:, None] == said)


@dataclass(frozen=True)
class Division:
    """Lines to train on, lines to judge on, and in a sentence where the latter come from."""

    train: Lines
    validation: Lines
    said: str


def divide(manifest: Manifest, *, name: str, share: float = 0.2, most: int = 1000, seed: int = 0) -> Division:
    """The lines of the splits "train" and "validation"; without the latter, a share of the training pictures.

    Args:
        manifest: its other splits are left alone.
        name: of the manifest, for errors.
        share: of the pictures of "train" that are held out where there is no split "validation". Lines that share a
            picture or a recording stay together; which are held out depends on ``seed`` and their names alone, so that
            what is added later hardly moves others.
        most: recordings that are judged on; of more than that, the first.

    Raises:
        DataError: a file is missing, or there are too few pictures; the message says what to do.
    """
    if not 0 < share < 1:
        raise DataError(f"share: found {share:g}, expected a part of the pictures, above 0 and below 1, such as 0.2")
    train = [entry for entry in manifest.entries if entry.split == "train"]
    held = [entry for entry in manifest.entries if entry.split == "validation"]
    if not train:
        splits = ", ".join(sorted({entry.split for entry in manifest.entries}))
        raise DataError(f"{name}: found no line of the split 'train' (only {splits}); write the manifest with one")
    marks = _marks(manifest, [*train, *held])
    if held:
        both = {marks[entry.image] for entry in train} & {marks[entry.image] for entry in held}
        said = "the split 'validation' of the manifest"
        if both:
            number = "1 picture is" if len(both) == 1 else f"{len(both)} pictures are"
            said += (
                f" ({number} in 'train' too, so that recall tells of recordings not heard, not of pictures not seen)"
            )
        if heard := {marks[entry.audio] for entry in train} & {marks[entry.audio] for entry in held}:
            number = "1 recording is" if len(heard) == 1 else f"{len(heard)} recordings are"
            said += f" ({number} in 'train' too: recall is too good where these are found)"
    else:
        train, held = _hold_out(train, marks, share, seed)
        said = f"{share:.0%} of the pictures, held out because the manifest has no split 'validation'"
    division = Division(Lines(tuple(train), marks), Lines(tuple(held[:most]), marks), said)
    _check_sizes(division, name)
    return division


def _check_sizes(division: Division, name: str) -> None:
    train, held = (len(lines.pictures) for lines in (division.train, division.validation))
    if train < MIN_TRAIN or held < MIN_VALIDATION:
        raise DataError(
            f"{name}: found {train} different pictures to train on and {held} to judge on, expected at least "
            f"{MIN_TRAIN} and {MIN_VALIDATION}; add pictures with recordings (a hundred are a good start, several of "
            "each thing) and write the manifest again"
        )


def _hold_out(
    entries: Sequence[Entry], marks: Mapping[str, str], share: float, seed: int
) -> tuple[list[Entry], list[Entry]]:
    """(train, held out), each in the order of the lines."""
    group_of = _groups(entries, marks)
    pictures: dict[str, set[str]] = {}
    for entry, group in zip(entries, group_of, strict=True):
        pictures.setdefault(group, set()).add(marks[entry.image])
    wanted = max(MIN_VALIDATION, round(share * sum(map(len, pictures.values()))))
    chosen, count = set(), 0
    for group in sorted(pictures, key=lambda group: seed_for(seed, "validation", group)):
        if count >= wanted:
            break
        chosen.add(group)
        count += len(pictures[group])
    parts: tuple[list[Entry], list[Entry]] = ([], [])
    for entry, group in zip(entries, group_of, strict=True):
        parts[group in chosen].append(entry)
    return parts


def _groups(entries: Sequence[Entry], marks: Mapping[str, str]) -> list[str]:
    """For each line the first name of a picture among those tied to it by shared pictures and recordings."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for entry in entries:
        parent[root(marks[entry.image])] = root(marks[entry.audio])
    names: dict[str, str] = {}
    for entry in entries:
        group = root(marks[entry.image])
        names[group] = min(names.get(group, entry.image), entry.image)
    return [names[root(marks[entry.image])] for entry in entries]


def _marks(manifest: Manifest, entries: Sequence[Entry]) -> dict[str, str]:
    """A digest of each file's size and of its first, middle and last 4 kB: quick for large sets, the same anywhere."""
    paths = {path for entry in entries for path in (entry.image, entry.audio)}
    return {path: _mark(manifest.path(path)) for path in paths}


def _mark(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.sha256(str(size).encode())
            for place in (0, size // 2, size - _PIECE):
                file.seek(max(0, place))
                digest.update(file.read(_PIECE))
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}), although the manifest names it; put it there, or write the "
            "manifest again"
        ) from error
    return digest.hexdigest()[:24]


def _plain(text: str | None) -> str:
    return " ".join(re.findall(r"\w+", (text or "").casefold()))


def _numbers(keys: Sequence[object]) -> Tensor:
    """[B] int64, the same number for the same key."""
    known: dict[object, int] = {}
    return torch.tensor([known.setdefault(key, len(known)) for key in keys])
