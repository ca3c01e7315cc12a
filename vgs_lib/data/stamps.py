"""Spoken Stamps: pictures of things with alpha, their names in many languages, and people and synthesisers saying them.

:class:`Stamps` opens the built data set; :mod:`vgs_lib.data.stamps_build` makes it. Layout of the folder::

    concepts.jsonl          one concept a line (:class:`Concept`)
    manifest.jsonl          one spoken clip a line, in the format of :mod:`vgs_lib.data.manifest`
    build.json              what was kept and dropped and why, and the programs that spoke
    pictures/ sounds/       RGBA pictures cut to their content; natural sounds
    people/LANGUAGE/        recordings by people, 16 kHz
    speech/VOICE/           synthetic speech, 16 kHz, one clip a text

Legend: N samples at 16 kHz, H W pixels.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from vgs_lib.data.manifest_check import UNREADABLE
from vgs_lib.data.voices import VOICES, engine_available, slug
from vgs_lib.errors import DataError
from vgs_lib.paths import home

CARRIERS = ("a photo of", "a picture of", "here is", "there is", "I see", "and", "next to", "with")
FORMAT = 2
BUILD = "python -m vgs_lib data stamps"
LANGUAGES = ("en", "fr", "ru", "ro", "ca", "bg", "es", "be", "el", "da", "nl")


@dataclass(frozen=True)
class Concept:
    """One thing: its picture, its names and its recordings. Paths are relative to the data set's folder."""

    id: str
    text: str
    key: str
    category: tuple[str, ...]
    picture: str
    texts: dict[str, str]
    people: dict[str, str]
    sound: str | None = None

    def to_json(self) -> str:
        """The concept as one line of ``concepts.jsonl``."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, line: str) -> "Concept":
        """The concept of one line of ``concepts.jsonl``."""
        fields = json.loads(line)
        return cls(**{**fields, "category": tuple(fields["category"])})


def human_split(concept_id: str, language: str) -> str:
    """The split of a person's recording: a third by hash is ``validation-human-LL``, the rest ``test-human-LL``.

    The hash is of the concept alone, so a thing is in the same part in every language.
    """
    third = int.from_bytes(hashlib.sha256(concept_id.encode()).digest()[:4], "big") % 3 == 0
    return f"{'validation' if third else 'test'}-human-{language}"


def is_complete(folder: Path | None = None) -> bool:
    """Whether the data set is built, with every voice that can be built on this machine, and no file was deleted."""
    folder = Path(folder) if folder is not None else home() / "stamps"
    wanted = {v.name for v in VOICES if engine_available(v.engine)}
    try:
        facts = json.loads((folder / "build.json").read_text(encoding="utf-8"))
        if facts["format"] != FORMAT or not wanted <= set(facts["voices"]):
            return False
        lines = (folder / "concepts.jsonl").read_text(encoding="utf-8").splitlines()
        concepts = [Concept.from_json(line) for line in lines]
        clips = (folder / "manifest.jsonl").read_bytes().count(b"\n")
        if (len(concepts), clips) != (facts["concepts"], facts["clips"]):
            return False
        return all(
            names <= {entry.name for entry in os.scandir(folder / place)}
            for place, names in _files(concepts, facts["voices"])
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return False


def _files(concepts: list[Concept], voices: Iterable[str]) -> Iterator[tuple[str, set[str]]]:
    """Each folder of the data set and the names of the files that belong there."""
    places: dict[str, set[str]] = {}
    for concept in concepts:
        mask = concept.picture.replace("pictures/", "masks/")
        for path in filter(None, (concept.picture, mask, concept.sound, *concept.people.values())):
            place, _, name = path.rpartition("/")
            places.setdefault(place, set()).add(name)
    yield from places.items()
    spoken = {f"{slug(text)}.flac" for text in {*CARRIERS, *(concept.text for concept in concepts)}}
    yield from ((f"speech/{name}", spoken) for name in voices)


class Stamps:
    """The built data set. ``concepts`` are in a fixed order (by id); everything else is read when asked for."""

    def __init__(self, folder: Path, concepts: tuple[Concept, ...]):
        self.folder = folder
        self.concepts = concepts
        listing = "\n".join(concept.to_json() for concept in concepts)
        self.digest = hashlib.sha256(listing.encode()).hexdigest()[:16]
        self._sharing: dict[str, dict[str, str]] = {}
        self._by_id = {concept.id: concept for concept in concepts}
        self.picture = lru_cache(maxsize=64)(self._picture)  # half a megabyte each
        self.clip = lru_cache(maxsize=4096)(self._clip)

    def forget(self) -> None:
        """Let go of the pictures and clips that were read, up to 200 MB; they are read again when asked for."""
        self.picture.cache_clear()
        self.clip.cache_clear()

    @classmethod
    def open(cls, folder: Path | str | None = None) -> "Stamps":
        """The data set in ``folder``, by default ``$VGS_HOME/stamps``; :class:`DataError` if it is not built."""
        folder = Path(folder) if folder is not None else home() / "stamps"
        listing = folder / "concepts.jsonl"
        if not listing.is_file() or not (folder / "build.json").is_file():
            raise DataError(f"{folder}: Spoken Stamps is not built there; run '{BUILD}'")
        concepts = []
        try:
            lines = listing.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise DataError(f"{listing}: damaged ({error}); delete it and run '{BUILD}'") from error
        if not lines:
            raise DataError(f"{listing}: found no concept, expected hundreds; delete it and run '{BUILD}'")
        for number, line in enumerate(lines, start=1):
            try:
                concepts.append(Concept.from_json(line))
            except (ValueError, TypeError, KeyError) as error:
                raise DataError(f"{listing}:{number}: damaged ({error}); run '{BUILD}' again") from error
        return cls(folder, tuple(concepts))

    def concept(self, concept_id: str) -> Concept:
        """The concept of that id; :class:`DataError` if there is none."""
        if concept_id not in self._by_id:
            raise DataError(f"{self.folder}: no concept {concept_id!r}; ids look like {self.concepts[0].id!r}")
        return self._by_id[concept_id]

    def _picture(self, concept_id: str) -> np.ndarray:
        """The picture of a concept, RGBA uint8 [H, W, 4], cut to its content, at most 384 pixels a side."""
        path = self.folder / self.concept(concept_id).picture
        try:
            with Image.open(path) as picture:
                return np.asarray(picture.convert("RGBA"))
        except UNREADABLE as error:
            raise DataError(f"{path}: missing or damaged picture ({error}); delete it and run '{BUILD}'") from error

    def alone(self, concept_id: str, *, size: int = 224) -> tuple[np.ndarray, np.ndarray]:
        """A concept's picture alone on white, as single things are shown and evaluated, and its mask.

        ``size``: side in pixels. Returns uint8 [size, size, 3], the longer side of the content 0.8 of it, and
        bool [size, size].
        """
        stamp = Image.fromarray(self.picture(concept_id))
        scale = 0.8 * size / max(stamp.size)
        stamp = stamp.resize(tuple(max(1, round(side * scale)) for side in stamp.size), Image.Resampling.LANCZOS)
        canvas = Image.new("RGB", (size, size), "white")
        corner = tuple((size - side) // 2 for side in stamp.size)
        canvas.paste(stamp, corner, stamp)
        mask = Image.new("L", (size, size))
        mask.paste(stamp.getchannel("A"), corner)
        return np.asarray(canvas), np.asarray(mask) > 127

    def clip_path(self, voice_name: str, text: str) -> Path:
        """Where a synthetic voice's clip of ``text`` is."""
        return self.folder / "speech" / voice_name / f"{slug(text)}.flac"

    def _clip(self, voice_name: str, text: str) -> np.ndarray:
        """A synthetic voice saying ``text``: int16 [N]."""
        return self._samples(self.clip_path(voice_name, text))

    def recording(self, concept_id: str, language: str = "en") -> np.ndarray:
        """A person naming the concept: float32 [N]; :class:`DataError` if nobody did in that language."""
        concept = self.concept(concept_id)
        if language not in concept.people:
            spoken = ", ".join(concept.people) or "none"
            raise DataError(f"{concept_id}: nobody reads it in {language!r}; recorded languages: {spoken}")
        return self._samples(self.folder / concept.people[language]).astype(np.float32) / 32768

    def _samples(self, path: Path) -> np.ndarray:
        try:
            return soundfile.read(path, dtype="int16")[0]
        except (OSError, soundfile.SoundFileError) as error:
            voice_folder = path.parent.name
            missing = voice_folder in {v.name for v in VOICES} and not path.parent.is_dir()
            cause = f"voice {voice_folder} was not built" if missing else f"missing or damaged clip ({error})"
            advice = f"install what 'build.json' names under missing_voices and run '{BUILD}'"
            raise DataError(f"{path}: {cause}; {advice if missing else f'delete it and run {BUILD!r}'}") from error

    def voices(self, split: str) -> list[str]:
        """The names of the synthetic voices of a split that were built here."""
        names = (v.name for v in VOICES if v.split == split)
        return [name for name in names if (self.folder / "speech" / name).is_dir()]

    def human_split(self, concept_id: str, language: str) -> str:
        """The split of a person's recording: :func:`human_split` of the first concept that shares the recording.

        Some stamps have one recording between them (two pairs of glasses); it must not be in two splits.
        """
        return human_split(self._first_sharing(language)[concept_id], language)

    def _first_sharing(self, language: str) -> dict[str, str]:
        """For each concept read in ``language``, the first one whose recording is the same, byte for byte."""
        if language not in self._sharing:
            first: dict[bytes, str] = {}
            for concept in self.concepts:
                if language in concept.people:
                    sound = (self.folder / concept.people[language]).read_bytes()
                    owner = first.setdefault(hashlib.sha256(sound).digest(), concept.id)
                    self._sharing.setdefault(language, {})[concept.id] = owner
        return self._sharing.get(language, {})

    def people(self, split: str) -> list[Concept]:
        """The concepts whose recordings by people make up ``split``, such as ``test-human-en``."""
        language = split.rsplit("-", 1)[-1]
        found = [c for c in self.concepts if language in c.people and self.human_split(c.id, language) == split]
        if not found:
            raise DataError(f"no split {split!r}: expected validation-human-LL or test-human-LL, LL in {LANGUAGES}")
        return found
