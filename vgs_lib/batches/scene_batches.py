"""Training batches of scenes: a pure function of the step, from banks of frozen features and of captions told once.

Pictures of an encoder that is trained whole are drawn anew for each batch.

Legend: B pairs, C channels, H W grid, T frames.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vgs_lib.batches.banks import Bank, Filling
from vgs_lib.batches.frozen_features import blanked, picture_features, picture_key, speech_features, speech_key
from vgs_lib.data.augment import Augmentation
from vgs_lib.data.classes import Names, class_numbers, names_of
from vgs_lib.data.loading import Batch, collate
from vgs_lib.data.scenes import Scenes, generator
from vgs_lib.data.voices import voice
from vgs_lib.errors import TrainingError
from vgs_lib.model import DualEncoder
from vgs_lib.seeds import seed_for

VERSION = 1  # of scenes and augmentation: raised when their code changes what is cached


@dataclass(frozen=True)
class SceneData:
    """What a model is trained on.

    num_scenes, seed: scenes 0 to ``num_scenes`` - 1 of the ``train`` split.
    used: only the first so many of them are trained on; None takes all.
    takes: how often each scene is told; every telling has its own voice, order, pauses and augmentation.
    word_takes: how often each scene with a single stamp is told; at least ``takes``.
    word_share: share of a batch that scenes with a single stamp make up after the phases.
    phases: ((steps, most stamps), ...) of a curriculum from single words to scenes; afterwards all scenes.
    even_engines: draw the engine first and then one of its voices, instead of one of all voices.
    people, people_share: languages whose recordings by people are trained on, and the share of tellings that are
        theirs, where one of them names everything the caption names. Never "en", the language of the test.
    mask_frames: in training, spans of up to so many input frames of a caption are blanked (SpecAugment's time masks).
    """

    num_scenes: int = 8000
    batch_size: int = 64
    seed: int = 0
    takes: int = 2
    word_takes: int = 2
    word_share: float = 0.25
    phases: tuple[tuple[int, int], ...] = ()
    even_engines: bool = False
    people: tuple[str, ...] = ()
    people_share: float = 0.0
    mask_frames: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)
    used: int | None = None

    def __post_init__(self) -> None:
        least = {"num_scenes": 1, "batch_size": 2, "takes": 1, "word_takes": 0, "mask_frames": 0}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise TrainingError(f"{name}: found {getattr(self, name)}, expected at least {smallest}")
        if self.used is not None and not 1 <= self.used <= self.num_scenes:
            raise TrainingError(f"used: found {self.used}, expected 1 to num_scenes, {self.num_scenes}, or None")
        if any(steps < 1 or not 1 <= most <= 4 for steps, most in self.phases):
            raise TrainingError(f"phases: found {self.phases}, expected (steps, most stamps) with 1 to 4 stamps each")
        for name in ("word_share", "people_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainingError(f"{name}: found {getattr(self, name)}, expected a share from 0 to 1")
        if "en" in self.people:
            raise TrainingError("people: people's English recordings are for validation and test only; leave out 'en'")


class SceneBatches:
    """``batches[step]``: ``batch_size`` pairs; :meth:`fill` must have run before the first."""

    def __init__(self, model: DualEncoder, scenes: Scenes, data: SceneData):
        self.scenes, self.data = scenes, data
        image, speech = model.image_encoder, model.audio_encoder
        self.image_encoder, self.audio_encoder = image, speech
        self.image_is_features = image.backbone_frozen
        self.speech_is_features = getattr(speech, "backbone_frozen", False)
        self._check_sizes()
        self._what = {
            "version": VERSION,
            "split": scenes.split,
            "seed": scenes.seed,
            "size": scenes.size,
            "num_scenes": data.num_scenes,
            "stamps": scenes.stamps.digest,
        }
        self.pictures = Bank("pictures", {**self._what, **picture_key(image)}, data.num_scenes)
        spoken = {
            **speech_key(speech),
            "augmentation": asdict(data.augmentation),
            "speakers": [scenes.speakers, data.even_engines, data.people, data.people_share],
        }
        self.speech = Bank("speech", {**self._what, **spoken}, data.num_scenes * data.takes)
        self.words = Bank("words", {**self._what, **spoken, "after": data.takes}, self._num_words * self._more_takes)

    @property
    def _num_words(self) -> int:
        """How many scenes have a single stamp: every fourth one."""
        return -(-self.data.num_scenes // 4)

    @property
    def _more_takes(self) -> int:
        return max(0, self.data.word_takes - self.data.takes)

    def _check_sizes(self) -> None:
        """:class:`TrainingError` where a phase has fewer scenes than a batch takes."""
        for most in {most for _, most in self.data.phases} | {4}:
            for counts, size in self._shares(most):
                held = len(self._pool(counts))
                if held < size:
                    raise TrainingError(
                        f"batch_size: a batch takes {size} scenes with {counts.start} to {counts.stop - 1} stamps, "
                        f"found {held}; choose a smaller batch or a larger num_scenes"
                    )

    def _shares(self, most: int) -> list[tuple[range, int]]:
        """How many of a batch come from scenes with how many stamps."""
        size = self.data.batch_size
        if most == 1:
            return [(range(1, 2), size)]
        words = round(self.data.word_share * size)
        return [(range(1, 2), words), (range(2, most + 1), size - words)]

    def _pool(self, counts: range) -> list[int]:
        return [i for i in range(self.data.used or self.data.num_scenes) if 1 + i % 4 in counts]

    @property
    def settings(self) -> dict[str, Any]:
        """What a resumed run must have in common with this one."""
        seeds = {} if self.data.seed == self.scenes.seed else {"seed": [self.scenes.seed, self.data.seed]}
        # what earlier versions did not know is left out, so that their folders still go on
        data = {key: value for key, value in asdict(self.data).items() if (key, value) != ("used", None)}
        return {**data, **self._what, **seeds}

    @cached_property
    def classes(self) -> dict[Names, int]:
        """The number of each class of the scenes, 0 to ``len(classes)`` - 1 (:mod:`vgs_lib.data.classes`)."""
        return class_numbers(self.scenes, self.data.num_scenes)

    def fill(self) -> Iterator[Filling]:
        """Compute the features that are not on disk yet."""
        if self.image_is_features:
            yield from self.pictures.fill(self._picture_features)
        yield from self.speech.fill(lambda items: self._speech_features([self._telling(item) for item in items]))
        yield from self.words.fill(lambda items: self._speech_features([self._word_telling(item) for item in items]))

    @property
    def seconds(self) -> float:
        """How long filling has taken in all."""
        return self.pictures.seconds + self.speech.seconds + self.words.seconds

    def _picture_features(self, items: range) -> list[tuple[Tensor, ...]]:
        found = []
        for first in range(items.start, items.stop, 32):
            few = range(first, min(items.stop, first + 32))
            pictures = torch.from_numpy(np.stack([self.scenes[i].picture for i in few])).permute(0, 3, 1, 2)
            found += picture_features(self.image_encoder, pictures)
        return found

    def _speaker(self, index: int, take: int) -> str | None:
        """Who tells scene ``index`` for the ``take``-th time; None leaves it to the scene."""
        rng = generator("speaker", self.scenes.split, self.scenes.seed, index, take)
        if rng.random() < self.data.people_share:
            named = [concept for concept, spoken in self.scenes[index].concepts if spoken]
            languages = [lang for lang in self.data.people if all(lang in concept.people for concept in named)]
            if languages:
                return f"person-{languages[rng.integers(len(languages))]}"
        if not self.data.even_engines:
            return None
        engines: dict[str, list[str]] = {}
        for name in self.scenes.speakers:
            engines.setdefault(voice(name).engine, []).append(name)
        voices = engines[sorted(engines)[rng.integers(len(engines))]]
        return voices[rng.integers(len(voices))]

    def _telling(self, item: int) -> tuple[int, int]:
        """(take, scene) of an item of the bank of all scenes."""
        return divmod(item, self.data.num_scenes)

    def _word_telling(self, item: int) -> tuple[int, int]:
        """(take, scene) of an item of the bank of more takes of single stamps."""
        take, place = divmod(item, self._num_words)
        return self.data.takes + take, 4 * place

    def told(self, take: int, index: int) -> Tensor:
        """The augmented waveform [N] of scene ``index`` told for the ``take``-th time."""
        caption = self.scenes[index].tell(take, self._speaker(index, take))
        rng = generator("augment", self.scenes.split, self.scenes.seed, index, take)
        return torch.from_numpy(self.data.augmentation(caption.waveform, rng)[0])

    def _speech_features(self, tellings: Sequence[tuple[int, int]]) -> list[tuple[Tensor, ...]]:
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            waveforms = list(pool.map(lambda telling: self.told(*telling), tellings))
        return [(x.half(),) for x in speech_features(self.audio_encoder, waveforms)]

    def _heard(self, take: int, index: int) -> Tensor:
        """The cached features of a telling, [C, T]."""
        if take < self.data.takes:
            return self.speech[take * self.data.num_scenes + index][0]
        return self.words[(take - self.data.takes) * self._num_words + index // 4][0]

    def tellings(self, step: int) -> list[tuple[int, int]]:
        """(take, scene) of the pairs of batch ``step``; in a phase each comes at most once before one comes again."""
        most, first = 4, 0
        for steps, stamps in self.data.phases:
            if step < first + steps:
                most = stamps
                break
            first += steps
        chosen = []
        for counts, size in self._shares(most):
            if size == 0:
                continue
            pool = self._pool(counts)
            round_, place = divmod(step - first, len(pool) // size)
            order = generator("batches", self.data.seed, first, counts.start, round_).permutation(len(pool))
            takes = max(self.data.takes, self.data.word_takes) if counts.stop == 2 else self.data.takes
            chosen += [(round_ % takes, pool[i]) for i in order[place * size : (place + 1) * size]]
        return chosen

    def __getitem__(self, step: int) -> Batch:
        tellings = self.tellings(step)
        scenes = [index for _, index in tellings]
        blanks = torch.Generator().manual_seed(seed_for(self.data.seed, "blanks", step))
        blank = 0.0 if self.speech_is_features else self.audio_encoder.front_end.pad_value
        speech = [blanked(self._heard(*telling), self.data.mask_frames, blank, blanks) for telling in tellings]
        labels = [self._class(i) for i in scenes]
        return collate(
            [self._picture(i) for i in scenes],
            speech,
            labels=labels,
            classes=[self.classes[names] for names in labels],
            pad_value=blank,
            image_is_features=self.image_is_features,
            audio_is_features=self.speech_is_features,
        )

    def _class(self, index: int) -> Names:
        """The class of a scene, one of ``classes``."""
        return names_of(self.scenes[index])

    def _picture(self, index: int) -> tuple[Tensor, ...]:
        """The cached maps [C, H, W] of a scene's picture, or the picture itself, uint8 [3, H, W]."""
        if self.image_is_features:
            return self.pictures[index]
        return (torch.from_numpy(self.scenes[index].picture).permute(2, 0, 1),)
