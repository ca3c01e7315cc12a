"""Training batches of scenes: a pure function of the step, from banks of frozen features or told anew.

Legend: B pairs, C channels, H W grid, T frames.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vgs_lib.data.augment import Augmentation
from vgs_lib.data.banks import Bank, Filling
from vgs_lib.data.loading import Batch, collate
from vgs_lib.data.scenes import Scenes, generator
from vgs_lib.data.voices import voice
from vgs_lib.errors import TrainingError
from vgs_lib.model import DualEncoder
from vgs_lib.safe_files import digest_tensors

VERSION = 1  # of scenes and augmentation: raised when their code changes what is cached


@dataclass(frozen=True)
class SceneData:
    """What a model is trained on.

    num_scenes, seed: scenes 0 to ``num_scenes`` - 1 of the ``train`` split.
    takes: how often each scene is told; every telling has its own voice, order, pauses and augmentation.
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
    phases: tuple[tuple[int, int], ...] = ()
    even_engines: bool = False
    people: tuple[str, ...] = ()
    people_share: float = 0.0
    mask_frames: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if "en" in self.people:
            raise TrainingError("people: people's English recordings are for validation and test only; leave out 'en'")


class SceneBatches:
    """``batches[step]``: ``batch_size`` pairs; :meth:`fill` must have run before the first."""

    def __init__(self, model: DualEncoder, scenes: Scenes, data: SceneData):
        self.scenes, self.data = scenes, data
        image, speech = model.image_encoder, model.audio_encoder
        if not image.backbone_frozen:
            raise TrainingError("the image encoder: scene batches hold cached features, so its backbone must be frozen")
        self.image_encoder, self.audio_encoder = image, speech
        self.speech_is_features = getattr(speech, "backbone_frozen", False)
        smallest = min(
            (sum(1 + i % 4 <= most for i in range(data.num_scenes)) for _, most in self._phases()), default=0
        )
        if smallest < data.batch_size:
            raise TrainingError(
                f"batch_size: a phase has {smallest} scenes and a batch {data.batch_size}; use more scenes"
            )
        self._what = {
            "version": VERSION,
            "split": scenes.split,
            "seed": scenes.seed,
            "size": scenes.size,
            "num_scenes": data.num_scenes,
            "stamps": scenes.stamps.digest,
        }
        pictures = {"strides": getattr(image, "strides", None), "weights": digest_tensors(image.backbone.state_dict())}
        self.pictures = Bank("pictures", {**self._what, **pictures}, data.num_scenes)
        spoken = {
            "front_end": repr(speech.front_end),
            "layers": getattr(speech, "cached_layers", None),
            "weights": digest_tensors(speech.encoder.state_dict()) if self.speech_is_features else None,
            "augmentation": asdict(data.augmentation),
            "speakers": [scenes.speakers, data.even_engines, data.people, data.people_share],
        }
        self.speech = Bank("speech", {**self._what, **spoken}, data.num_scenes * data.takes)

    def _phases(self) -> list[tuple[int, int]]:
        return [*self.data.phases, (0, 4)]

    @property
    def settings(self) -> dict[str, Any]:
        """What a resumed run must have in common with this one."""
        seeds = {} if self.data.seed == self.scenes.seed else {"seed": [self.scenes.seed, self.data.seed]}
        return {**asdict(self.data), **self._what, **seeds}

    def fill(self) -> Iterator[Filling]:
        """Compute the features that are not on disk yet."""
        yield from self.pictures.fill(self._picture_features)
        yield from self.speech.fill(self._speech_features)

    def _picture_features(self, items: range) -> list[tuple[Tensor, ...]]:
        found = []
        for first in range(items.start, items.stop, 32):
            few = range(first, min(items.stop, first + 32))
            pictures = torch.from_numpy(np.stack([self.scenes[i].picture for i in few])).permute(0, 3, 1, 2)
            maps = self.image_encoder.features(pictures.float() / 255)
            found += [tuple(level[n].half() for level in maps) for n in range(len(few))]
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

    def told(self, item: int) -> Tensor:
        """The augmented waveform [N] of telling ``item``: scene ``item`` mod ``num_scenes``."""
        take, index = divmod(item, self.data.num_scenes)
        caption = self.scenes[index].tell(take, self._speaker(index, take))
        rng = generator("augment", self.scenes.split, self.scenes.seed, index, take)
        return torch.from_numpy(self.data.augmentation(caption.waveform, rng)[0])

    def _speech_features(self, items: range) -> list[tuple[Tensor, ...]]:
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            waveforms = list(pool.map(self.told, items))
        return [(x.half(),) for x in speech_features(self.audio_encoder, waveforms)]

    def indices(self, step: int) -> list[int]:
        """The items of batch ``step``: within a phase every item comes at most once before one comes again."""
        most, first = 4, 0
        for steps, stamps in self.data.phases:
            if step < first + steps:
                most = stamps
                break
            first += steps
        pool = [i for i in range(self.data.num_scenes) if 1 + i % 4 <= most]
        size = self.data.batch_size
        round_, place = divmod(step - first, len(pool) // size)
        order = generator("batches", self.data.seed, first, round_).permutation(len(pool))
        take = round_ % self.data.takes
        return [take * self.data.num_scenes + pool[i] for i in order[place * size : (place + 1) * size]]

    def __getitem__(self, step: int) -> Batch:
        items = self.indices(step)
        scenes = [item % self.data.num_scenes for item in items]
        speech = [self._masked(self.speech[item][0]) for item in items]
        labels = [tuple(sorted(c.key for c, spoken in self.scenes[i].concepts if spoken)) for i in scenes]
        return collate(
            [self.pictures[i] for i in scenes],
            speech,
            labels=labels,
            pad_value=0.0 if self.speech_is_features else self.audio_encoder.front_end.pad_value,
            image_is_features=True,
            audio_is_features=self.speech_is_features,
        )

    def _masked(self, speech: Tensor) -> Tensor:
        """Blank two spans of the caption; drawn from torch's generator, which training seeds for each batch."""
        if self.data.mask_frames:
            blank = 0.0 if self.speech_is_features else self.audio_encoder.front_end.pad_value
            for _ in range(2):
                length = int(torch.randint(0, self.data.mask_frames + 1, ()))
                start = int(torch.randint(0, max(1, speech.shape[1] - length), ()))
                speech[:, start : start + length] = blank
        return speech


def speech_features(encoder, waveforms: Sequence[Tensor], *, batch_size: int = 32) -> list[Tensor]:
    """What :class:`Batch` takes for each waveform [N]: frozen hidden states or front-end features, [C, T] each.

    Waveforms of like length are encoded together, so that little is spent on padding.
    """
    compute: Callable = (
        encoder.features if getattr(encoder, "backbone_frozen", False) else lambda x, lengths: (x, lengths)
    )
    order = sorted(range(len(waveforms)), key=lambda i: len(waveforms[i]))
    found: list[Tensor] = [torch.empty(0)] * len(waveforms)
    with torch.no_grad():
        for first in range(0, len(order), batch_size):
            few = order[first : first + batch_size]
            states, lengths = compute(*encoder.front_end([waveforms[i] for i in few]))
            for row, i in enumerate(few):
                found[i] = states[row, :, : lengths[row]].clone()
    return found
