"""A data set as things to look at and to hear: each with a picture, names in some languages and recordings.

`of_stamps` lists Spoken Stamps, `of_manifest` any data set with a manifest; `select` filters both the same way.
Nothing is decoded before it is asked for. Shapes: H W pixels, N samples at 16 kHz.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vgs_lib.audio import read_audio, to_mono_16k
from vgs_lib.data.manifest import Manifest
from vgs_lib.data.manifest_check import UNREADABLE
from vgs_lib.data.stamps import LANGUAGES, Stamps
from vgs_lib.errors import ImageError


@dataclass(frozen=True, slots=True)
class Recording:
    """Somebody naming or describing a thing; ``person`` is False for a synthetic voice. ``words``: text, start, end."""

    path: Path
    split: str
    language: str = ""
    speaker: str = ""
    text: str = ""
    person: bool = True
    words: tuple[tuple[str, float, float], ...] = ()

    def load(self) -> np.ndarray:
        """The sound, float32 [N]; raises AudioError where it cannot be read."""
        return to_mono_16k(*read_audio(self.path, max_seconds=None)).numpy()


@dataclass(frozen=True, slots=True)
class Thing:
    """What a picture shows: ``category`` goes from wide to narrow, ``names`` maps languages to texts."""

    id: str
    title: str
    picture: Path
    category: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    recordings: tuple[Recording, ...] = ()

    def load(self) -> np.ndarray:
        """The picture on white, uint8 [H, W, 3]; raises ImageError where it cannot be read."""
        return read_picture(self.picture)


def read_picture(path: str | os.PathLike, *, least: int | None = None) -> np.ndarray:
    """A picture file as uint8 [H, W, 3], upright, what is transparent shown white; raises ImageError.

    ``least``: a JPEG may come smaller, with both sides of so many pixels or more: quicker, and in less memory.
    """
    try:
        with Image.open(path) as file:
            if least is not None:
                file.draft(None, (least, least))
            picture = ImageOps.exif_transpose(file).convert("RGBA")  # phones turn pictures by a note in the file
    except UNREADABLE as error:
        raise ImageError(f"{path}: cannot be read as a picture ({error}); expected a PNG or JPEG file.") from error
    canvas = Image.new("RGBA", picture.size, "white")
    canvas.alpha_composite(picture)
    return np.asarray(canvas.convert("RGB"))


def of_stamps(stamps: Stamps) -> tuple[Thing, ...]:
    """All things of Spoken Stamps by id, each with every recording by people and by every voice built here."""
    voices = [(name, split) for split in ("train", "validation", "test") for name in stamps.voices(split)]
    things = []
    for concept in stamps.concepts:
        read = []
        for language in (name for name in LANGUAGES if name in concept.people):
            path, text = stamps.folder / concept.people[language], concept.texts.get(language, "")
            read.append(Recording(path, stamps.human_split(concept.id, language), language, f"person-{language}", text))
        for name, split in voices:
            path = stamps.clip_path(name, concept.text)
            read.append(Recording(path, split, "en", name, concept.text, person=False))
        picture = stamps.folder / concept.picture
        things.append(Thing(concept.id, concept.text, picture, concept.category, concept.texts, tuple(read)))
    return tuple(things)


def of_manifest(manifest: Manifest) -> tuple[Thing, ...]:
    """The pictures of a manifest in the order of its lines, each with all its recordings."""
    lines: dict[str, list] = {}
    for entry in manifest.entries:
        lines.setdefault(entry.image, []).append(entry)
    things = []
    for image, entries in lines.items():
        read = tuple(
            Recording(
                manifest.path(entry.audio),
                entry.split,
                entry.language or "",
                entry.speaker or "",
                entry.text or "",
                person=entry.engine in (None, "person"),
                words=tuple((word.text, word.start, word.end) for word in entry.words),
            )
            for entry in entries
        )
        names = {entry.language or "": entry.text for entry in reversed(entries) if entry.text}
        title = entries[0].text or Path(image).stem
        category = tuple((entries[0].class_name or "").split("/")) if entries[0].class_name else ()
        things.append(Thing(image, title, manifest.path(image), category, names, read))
    return tuple(things)


def select(
    things: Iterable[Thing], *, category: Sequence[str] = (), language: str = "", speaker: str = "", text: str = ""
) -> list[Thing]:
    """The things that pass every filter given; an empty one lets all through.

    Args:
        things: of `of_stamps` or `of_manifest`.
        category: how the category of a thing has to begin, such as ``("animals", "birds")``.
        language: some recording is in this language.
        speaker: some recording (in ``language``, if given) is by this speaker.
        text: part of its title or of one of its names, whatever the case of the letters.
    """
    found, category, text = [], tuple(category), text.strip().lower()
    for thing in things:
        if thing.category[: len(category)] != category:
            continue
        if (language or speaker) and not any(map(partial(fits, language=language, speaker=speaker), thing.recordings)):
            continue
        if text and not any(text in name.lower() for name in (thing.title, *thing.names.values())):
            continue
        found.append(thing)
    return found


def fits(recording: Recording, *, language: str = "", speaker: str = "") -> bool:
    """Whether a recording is in that language and by that speaker, where they are given."""
    return language in ("", recording.language) and speaker in ("", recording.speaker)


def categories(things: Iterable[Thing]) -> dict[tuple[str, ...], int]:
    """Every category and subcategory and how many things lie in it, in alphabetical order."""
    counts = Counter(thing.category[:depth] for thing in things for depth in range(1, len(thing.category) + 1))
    return dict(sorted(counts.items()))


def languages(things: Iterable[Thing]) -> dict[str, int]:
    """The languages that are spoken and in how many recordings, the most frequent first."""
    counts = Counter(recording.language for thing in things for recording in thing.recordings)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def speakers(things: Iterable[Thing], *, person: bool | None = None) -> dict[str, dict[str, int]]:
    """For each split, in the order met, who speaks in it and how many recordings they made.

    ``person`` counts only people (True) or only synthetic voices (False).
    """
    found: dict[str, Counter] = {}
    for thing in things:
        for recording in thing.recordings:
            if person in (None, recording.person):
                found.setdefault(recording.split, Counter())[recording.speaker] += 1
    return {split: dict(sorted(counts.items())) for split, counts in found.items()}
