"""Pictures of things with the sounds they make: pairs for pre-training without speech (harwath2019, section 4.5).

The document pairs frames and sound of two million videos. Here the natural sounds of Spoken Stamps stand in: about a
hundred things that bark, ring or rattle, each heard and seen in many ways. Every fifth thing, in an order by hash, is
held out: neither its sound nor its picture is trained on. There is no voice in any of it.

Legend: B pairs, N samples at 16 kHz, H W pixels.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import soundfile
import torch
from PIL import Image
from torch import Tensor

from vgs_lib.audio import SAMPLE_RATE
from vgs_lib.batches.banks import Bank, Filling
from vgs_lib.batches.frozen_features import picture_features, picture_key, speech_features, speech_key
from vgs_lib.data import backgrounds
from vgs_lib.data.augment import Augmentation
from vgs_lib.data.loading import Batch, collate
from vgs_lib.data.scenes import generator
from vgs_lib.data.stamps import BUILD, Concept, Stamps
from vgs_lib.errors import DataError, TrainingError
from vgs_lib.model import DualEncoder

VERSION = 1  # of what is drawn and heard: raised when its code changes what is cached
HELD_OUT = 5  # every fifth thing
SHORTEST = 0.3  # seconds of a stretch
PICTURE_SIZE = 224
FEW = 32  # pictures that go through a backbone together


@dataclass(frozen=True)
class SoundData:
    """Which pairs are drawn.

    takes: in how many ways each thing is drawn, and in how many it is heard; a pair takes one of each.
    seconds: the longest stretch of a sound.
    seed: of the batches and of all that is drawn.
    augmentation: of the sounds.
    """

    batch_size: int = 64
    takes: int = 16
    seconds: float = 10.0
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if self.batch_size < 2:
            raise TrainingError(f"batch_size: found {self.batch_size}, expected at least 2")
        if self.takes < 1:
            raise TrainingError(f"takes: found {self.takes}, expected at least 1")
        if not self.seconds >= SHORTEST:
            raise TrainingError(f"seconds: found {self.seconds}, expected at least {SHORTEST}")


class NaturalSounds:
    """The things of Spoken Stamps that have a natural sound, and their classes.

    split: "train" or "validation". things: the split's concepts. classes: the class of each, a number that means the
    same in both splits; things of one name, or with the same recording, are of one class and so in one split.
    """

    def __init__(self, stamps: Stamps, split: str = "train"):
        if split not in ("train", "validation"):
            raise DataError(f"no split of natural sounds is called {split!r}; there are train and validation")
        self.stamps, self.split = stamps, split
        heard = [concept for concept in stamps.concepts if concept.sound]
        groups = self._groups(heard)
        order = sorted(set(groups), key=lambda name: hashlib.sha256(name.encode()).digest())
        wanted = {name for place, name in enumerate(order) if (place % HELD_OUT == 0) == (split == "validation")}
        numbers = {name: number for number, name in enumerate(sorted(order))}
        chosen = [(c, numbers[g]) for c, g in zip(heard, groups, strict=True) if g in wanted]
        if len({number for _, number in chosen}) < 2:
            raise DataError(
                f"{stamps.folder}: found {len(chosen)} things with a natural sound in the split {split!r}, expected 2 "
                f"or more; use a larger data set, or run '{BUILD}'"
            )
        self.things: tuple[Concept, ...] = tuple(c for c, _ in chosen)
        self.classes: tuple[int, ...] = tuple(number for _, number in chosen)
        self.num_classes = len(order)
        self.waveform = lru_cache(maxsize=128)(self._waveform)

    def _groups(self, concepts: Sequence[Concept]) -> list[str]:
        """For each concept the name of its class: the id of the first one that shares a name or a recording."""
        owner: dict[str, str] = {}
        for concept in concepts:
            marks = (f"name {concept.key}", f"sound {self._digest(concept)}")
            known = {owner[mark] for mark in marks if mark in owner}
            first = min(known, default=concept.id)
            owner = {mark: first if group in known else group for mark, group in owner.items()}
            owner |= dict.fromkeys(marks, first)
        return [owner[f"name {concept.key}"] for concept in concepts]

    def _path(self, concept: Concept):
        return self.stamps.folder / concept.sound

    def _digest(self, concept: Concept) -> str:
        try:
            return hashlib.sha256(self._path(concept).read_bytes()).hexdigest()
        except OSError as error:
            raise DataError(f"{self._path(concept)}: missing sound ({error.strerror}); run '{BUILD}'") from error

    def _waveform(self, index: int) -> np.ndarray:
        path = self._path(self.things[index])
        try:
            return soundfile.read(path, dtype="float32")[0]
        except (OSError, soundfile.SoundFileError) as error:
            raise DataError(f"{path}: damaged sound ({error}); delete it and run '{BUILD}'") from error

    def heard(self, index: int, take: int, data: SoundData) -> Tensor:
        """A stretch of the sound of thing ``index``, changed as ``data`` says: float32 [N]."""
        rng = generator("natural sound", self.things[index].id, data.seed, take)
        whole = self.waveform(index)
        length = round(len(whole) * rng.uniform(0.5, 1.0))
        length = min(max(length, round(SHORTEST * SAMPLE_RATE)), round(data.seconds * SAMPLE_RATE), len(whole))
        start = int(rng.integers(len(whole) - length + 1))
        return torch.from_numpy(data.augmentation(whole[start : start + length], rng)[0])

    def picture(self, index: int, take: int, data: SoundData, *, size: int = PICTURE_SIZE) -> np.ndarray:
        """Thing ``index``, cut at its edges and perhaps mirrored, somewhere on a background: uint8 [size, size, 3].

        Blurred backgrounds are made of things of this split only.
        """
        rng = generator("natural picture", self.things[index].id, data.seed, take)
        texture = lambda r: self.stamps.picture(self.things[r.integers(len(self.things))].id)
        canvas = Image.fromarray(backgrounds.draw(rng, size, texture))
        stamp = Image.fromarray(_cut(self.stamps.picture(self.things[index].id), rng))
        scale = rng.uniform(0.5, 0.85) * size / max(stamp.size)
        stamp = stamp.resize(tuple(max(4, round(side * scale)) for side in stamp.size), Image.Resampling.LANCZOS)
        canvas.paste(stamp, tuple(int(rng.integers(size - side + 1)) for side in stamp.size), stamp)
        return np.array(canvas)


def _cut(stamp: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A window of [H, W, 4] with at least 0.8 of each side, mirrored half of the time."""
    for axis in (0, 1):
        length = max(1, round(stamp.shape[axis] * rng.uniform(0.8, 1.0)))
        start = int(rng.integers(stamp.shape[axis] - length + 1))
        stamp = stamp.take(range(start, start + length), axis)
    return stamp[:, ::-1] if rng.random() < 0.5 else stamp


class SoundBatches:
    """``batches[step]``: ``batch_size`` pairs of different things, a pure function of the step.

    :meth:`fill` must have run before the first. Labels are classes; things of one class are no impostors of each other.
    pictures: False for batches of sounds alone.
    """

    def __init__(self, model: DualEncoder, sounds: NaturalSounds, data: SoundData, *, pictures: bool = True):
        self.sounds, self.data = sounds, data
        self.image_encoder, self.audio_encoder = model.image_encoder, model.audio_encoder
        if data.batch_size > len(sounds.things):
            raise TrainingError(
                f"batch_size: found {data.batch_size}, but {len(sounds.things)} things have a natural sound in the "
                f"split {sounds.split!r}; choose a smaller batch"
            )
        total = len(sounds.things) * data.takes
        what = {
            "version": VERSION,
            "stamps": sounds.stamps.digest,
            "things": [concept.id for concept in sounds.things],
            "seed": data.seed,
        }
        self.with_pictures, self.image_is_features = pictures, self.image_encoder.backbone_frozen
        self.audio_is_features = getattr(self.audio_encoder, "backbone_frozen", False)
        self._what = what
        heard = {**what, **speech_key(self.audio_encoder), "data": [data.seconds, asdict(data.augmentation)]}
        self.heard = Bank("natural-sounds", heard, total)
        self.seen = None
        if pictures and self.image_is_features:
            self.seen = Bank("natural-pictures", {**what, **picture_key(self.image_encoder)}, total)

    @property
    def settings(self) -> dict[str, Any]:
        """What a resumed run must have in common with this one."""
        return {**asdict(self.data), **self._what, "pictures": self.with_pictures}

    def fill(self) -> Iterator[Filling]:
        """Compute the features that are not on disk yet."""
        if self.seen is not None:
            yield from self.seen.fill(self._picture_features)
        yield from self.heard.fill(self._sound_features)
        self.sounds.stamps.forget()
        self.sounds.waveform.cache_clear()

    def _item(self, item: int) -> tuple[int, int]:
        """(thing, take) of an item of a bank."""
        take, thing = divmod(item, len(self.sounds.things))
        return thing, take

    def _picture(self, thing: int, take: int) -> Tensor:
        return torch.from_numpy(self.sounds.picture(thing, take, self.data)).permute(2, 0, 1)

    def _picture_features(self, items: range) -> list[tuple[Tensor, ...]]:
        found = []
        for first in range(items.start, items.stop, FEW):
            pictures = [self._picture(*self._item(i)) for i in items[first - items.start :][:FEW]]
            found += picture_features(self.image_encoder, torch.stack(pictures))
        return found

    def _sound_features(self, items: range) -> list[tuple[Tensor, ...]]:
        waveforms = [self.sounds.heard(*self._item(i), self.data) for i in items]
        return [(x.half(),) for x in speech_features(self.audio_encoder, waveforms)]

    def pairs(self, step: int) -> list[tuple[int, int, int]]:
        """(thing, take of its picture, take of its sound) of batch ``step``; a thing comes at most once in it."""
        num_things, size = len(self.sounds.things), self.data.batch_size
        round_, place = divmod(step, num_things // size)
        order = generator("natural batches", self.data.seed, round_).permutation(num_things)
        rng = generator("natural pairs", self.data.seed, step)
        takes = rng.integers(self.data.takes, size=(size, 2))
        things = order[place * size : (place + 1) * size]
        return [(int(thing), int(seen), int(heard)) for thing, (seen, heard) in zip(things, takes, strict=True)]

    def __getitem__(self, step: int) -> Batch:
        pairs, num_things = self.pairs(step), len(self.sounds.things)
        if not self.with_pictures:
            images = [() for _ in pairs]
        elif self.seen is not None:
            images = [self.seen[take * num_things + thing] for thing, take, _ in pairs]
        else:
            images = [(self._picture(thing, take),) for thing, take, _ in pairs]
        classes = [self.sounds.classes[thing] for thing, *_ in pairs]
        return collate(
            images,
            [self.heard[take * num_things + thing][0] for thing, _, take in pairs],
            labels=classes,
            classes=classes,
            pad_value=0.0 if self.audio_is_features else self.audio_encoder.front_end.pad_value,
            image_is_features=self.image_is_features,
            audio_is_features=self.audio_is_features,
        )
