"""Scenes of Spoken Stamps: one to four stamps on a background and a spoken caption of their names, with exact truth.

A scene is a pure function of (split, seed, index): the picture and the caption draw from generators keyed by these
three alone, so any index can be made by itself and nothing is stored. Scene i has 1 + i mod 4 stamps, and its first
name goes through all names in a shuffled order before one comes back, so that no two of the first scenes with a single
stamp share their caption. A training scene can be told again by other voices: ``take`` keys the caption only.

Legend: H W pixels, N samples at 16 kHz; times in seconds.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from PIL import Image

from vgs_lib.audio import SAMPLE_RATE
from vgs_lib.data import backgrounds
from vgs_lib.data.augment import reverberate, with_noise
from vgs_lib.data.stamps import CARRIERS, Concept, Stamps
from vgs_lib.data.voices import VOICES
from vgs_lib.errors import DataError

SPLITS = ("train", "validation", "test", "test-hard")
SIDES = {1: (0.5, 0.85), 2: (0.4, 0.6), 3: (0.34, 0.5), 4: (0.3, 0.46), 5: (0.26, 0.4), 6: (0.24, 0.36)}
OPENINGS = CARRIERS[:5]
BETWEEN = CARRIERS[5:]


@dataclass(frozen=True)
class SceneObject:
    """A stamp in a scene: ``mask`` [H, W] is True where its pixels show; ``mentioned`` if the caption names it."""

    concept: str
    text: str
    mask: np.ndarray
    mentioned: bool = True


@dataclass(frozen=True)
class Word:
    """A span of the caption: the name of ``concept``, or carrier words if that is None. Seconds."""

    text: str
    concept: str | None
    start: float
    end: float


@dataclass(frozen=True)
class Caption:
    """A spoken caption: ``waveform`` float32 [N] at 16 kHz, its words in order of time, who speaks."""

    waveform: np.ndarray
    words: tuple[Word, ...]
    speaker: str


def generator(*keys: object) -> np.random.Generator:
    """A numpy generator that is a function of ``keys``, the same on every machine (Philox, keyed by SHA-256)."""
    digest = hashlib.sha256("|".join(map(str, keys)).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))


class Scenes:
    """``scenes[i]`` is the i-th scene of a split; there is no last one. ``size`` is the side of the picture.

    Splits: ``train``, ``validation``, ``test`` (voices never heard in training) and ``test-hard`` (up to six stamps,
    two of one category, some never mentioned, carrier words always, noise and reverberation; the test voices).
    """

    def __init__(self, stamps: Stamps, split: str, *, seed: int = 0, size: int = 224):
        if split not in SPLITS:
            raise DataError(f"no split of scenes is called {split!r}; there are {', '.join(SPLITS)}")
        self.stamps, self.split, self.seed, self.size = stamps, split, seed, size
        self.speakers = tuple(v.name for v in VOICES if v.split == split.removesuffix("-hard"))
        self._categories: dict[tuple[str, ...], list[Concept]] = {}
        self._names: dict[str, list[Concept]] = {}
        for concept in stamps.concepts:
            self._categories.setdefault(concept.category[:2], []).append(concept)
            self._names.setdefault(concept.key, []).append(concept)
        most = max(SIDES) if split == "test-hard" else 4
        if len(self._names) < most:
            raise DataError(
                f"{stamps.folder}: found {len(self._names)} names, but a scene of the split {split!r} shows up to "
                f"{most} things of different names; use a larger data set"
            )
        self._order = lru_cache(maxsize=16)(self._shuffled_names)

    def __getitem__(self, index: int) -> "Scene":
        if index < 0:
            raise IndexError(f"scene {index}: indices start at 0")
        return Scene(self, index)

    def _concepts(self, index: int) -> list[tuple[Concept, bool]]:
        """The concepts of a scene, no two with the same name, and whether the caption mentions each."""
        rng = generator("scene", self.split, self.seed, index)
        hard, round_, place = self.split == "test-hard", *divmod(index // 4, len(self._names))
        count = (3 if hard else 1) + index % 4
        pool = self.stamps.concepts
        first = self._names[self._order(count, round_)[place]]
        chosen = [first[rng.integers(len(first))]]
        if hard:  # two of one category, as alike as the data has them
            alike = [c for c in self._categories[chosen[0].category[:2]] if c.key != chosen[0].key]
            chosen += [alike[rng.integers(len(alike))]] if alike else []
        while len(chosen) < count:
            concept = pool[rng.integers(len(pool))]
            if concept.key not in {c.key for c in chosen}:
                chosen.append(concept)
        silent = int(rng.integers(0, min(2, count - 2) + 1)) if hard else 0
        order = rng.permutation(count)
        return [(chosen[i], rank >= silent) for rank, i in enumerate(order)]

    def _shuffled_names(self, count: int, round_: int) -> list[str]:
        names = sorted(self._names)
        order = generator("names", self.split, self.seed, count, round_).permutation(len(names))
        return [names[i] for i in order]


class DrawnAndTold:
    """What a scene gives that draws itself (``_drawn``) and tells itself (``tell``); made when first asked for."""

    @property
    def picture(self) -> np.ndarray:
        """The picture, uint8 [H, W, 3]."""
        return self._drawn[0]

    @property
    def objects(self) -> tuple:
        """The things in the picture with their masks; they never overlap."""
        return self._drawn[1]

    @cached_property
    def caption(self) -> Caption:
        """The spoken caption of this scene, by one voice of the split."""
        return self.tell(0)

    @property
    def waveform(self) -> np.ndarray:
        """The caption's sound, float32 [N] at 16 kHz."""
        return self.caption.waveform

    @property
    def words(self) -> tuple:
        """The caption's words with their times."""
        return self.caption.words


def paste(canvas: np.ndarray, picture: Image.Image, box: tuple[int, int, int, int]) -> np.ndarray:
    """Put an RGBA picture into ``box`` (x, y, width, height) of ``canvas``, uint8 [H, W, 3], in place; its mask."""
    x, y, width, height = box
    stamp = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))
    alpha = stamp[..., 3:].astype(np.float32) / 255
    window = (slice(y, y + height), slice(x, x + width))
    canvas[window] = np.rint(alpha * stamp[..., :3] + (1 - alpha) * canvas[window]).astype(np.uint8)
    mask = np.zeros(canvas.shape[:2], dtype=bool)
    mask[window] = alpha[..., 0] > 0.5
    return mask


@dataclass(frozen=True)
class Scene(DrawnAndTold):
    """One scene; its picture, objects and caption are made when first asked for."""

    scenes: Scenes
    index: int

    @cached_property
    def concepts(self) -> list[tuple[Concept, bool]]:
        """The concepts in the picture and whether the caption mentions them; no picture is drawn for this."""
        return self.scenes._concepts(self.index)

    @cached_property
    def _drawn(self) -> tuple[np.ndarray, tuple[SceneObject, ...]]:
        owner = self.scenes
        rng = generator("picture", owner.split, owner.seed, self.index)
        pool = owner.stamps.concepts
        canvas = backgrounds.draw(rng, owner.size, lambda r: owner.stamps.picture(pool[r.integers(len(pool))].id))
        canvas, objects, taken = canvas.copy(), [], []
        for concept, mentioned in self.concepts:
            picture = owner.stamps.picture(concept.id)
            x, y, width, height = _place(rng, picture.shape[:2], owner.size, len(self.concepts), taken)
            taken.append((x, y, width, height))
            mask = paste(canvas, Image.fromarray(picture), (x, y, width, height))
            objects.append(SceneObject(concept.id, concept.text, mask, mentioned))
        return canvas, tuple(objects)

    def tell(self, take: int, speaker: str | None = None) -> Caption:
        """The caption told for the ``take``-th time: another order, other pauses, and by default another voice.

        ``speaker`` is a synthetic voice or ``person-LL``, people who read the names in language LL (no carrier words).
        """
        owner = self.scenes
        rng, speaker, parts = self._parts(take, speaker)
        caption = _join(owner.stamps, speaker, parts, rng)
        if owner.split == "test-hard":
            sound = reverberate(caption.waveform, rng, seconds=rng.uniform(0.15, 0.5))
            caption = Caption(with_noise(sound, rng, snr_db=rng.uniform(5, 20)), caption.words, speaker)
        return caption

    def said(self, take: int) -> str:
        """The words that a synthetic voice says in telling ``take``, which no sound is made for."""
        return " ".join(text for text, _ in self._parts(take)[2])

    def _parts(
        self, take: int, speaker: str | None = None
    ) -> tuple[np.random.Generator, str, list[tuple[str, str | None]]]:
        """What is said, (text, concept or None) each, by whom, and what draws the pauses."""
        owner = self.scenes
        rng = generator("caption", owner.split, owner.seed, self.index, take)
        drawn = owner.speakers[rng.integers(len(owner.speakers))]
        speaker = speaker or drawn
        spoken = [concept for concept, mentioned in self.concepts if mentioned]
        spoken = [spoken[i] for i in rng.permutation(len(spoken))]
        person = speaker.startswith("person-")
        carriers = (owner.split == "test-hard" or rng.random() < 0.4) and not person
        parts: list[tuple[str, str | None]] = []
        opening, joints = rng.random() < 0.7, [rng.random() < 0.8 for _ in spoken[1:]]
        if carriers and (opening or (owner.split == "test-hard" and not any(joints))):
            parts.append((OPENINGS[rng.integers(len(OPENINGS))], None))
        for concept, joint in zip(spoken, [False, *joints], strict=True):
            if carriers and joint:
                parts.append((BETWEEN[rng.integers(len(BETWEEN))], None))
            parts.append((concept.text, concept.id))
        return rng, speaker, parts


def _join(stamps: Stamps, speaker: str, parts: list[tuple[str, str | None]], rng: np.random.Generator) -> Caption:
    """The clips of ``parts`` (text, concept or None) one after another with pauses of 0.05 to 0.4 s."""

    def pause() -> np.ndarray:
        return np.zeros(round(rng.uniform(0.05, 0.4) * SAMPLE_RATE), dtype=np.float32)

    pieces, words = [pause()], []
    for text, concept in parts:
        if speaker.startswith("person-"):
            language = speaker.removeprefix("person-")
            clip = stamps.recording(concept, language)
            text = stamps.concept(concept).texts.get(language, text)
        else:
            clip = stamps.clip(speaker, text).astype(np.float32) / 32768
        start = sum(map(len, pieces)) / SAMPLE_RATE
        words.append(Word(text, concept, start, start + len(clip) / SAMPLE_RATE))
        pieces += [clip, pause()]
    return Caption(np.concatenate(pieces), tuple(words), speaker)


def _place(
    rng: np.random.Generator,
    shape: tuple[int, int],
    size: int,
    count: int,
    taken: list[tuple[int, int, int, int]],
) -> tuple[int, int, int, int]:
    """A box (x, y, width, height) for a picture of ``shape`` (H, W) that touches none of ``taken``.

    Its longer side is drawn from ``SIDES[count]``; where nothing is free it shrinks until it fits.
    """
    side = rng.uniform(*SIDES[count])
    while True:
        longest = max(8, round(side * size))
        height, width = (max(4, round(edge * longest / max(shape))) for edge in shape)
        for _ in range(60):
            x, y = int(rng.integers(size - width + 1)), int(rng.integers(size - height + 1))
            if all(x + width <= a or a + w <= x or y + height <= b or b + h <= y for a, b, w, h in taken):
                return x, y, width, height
        side *= 0.92
