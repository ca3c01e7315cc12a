"""Held-out scenes whose frozen features are computed once, so that many systems are judged on the same ones quickly.

Legend: B pictures or captions, C channels, D embedding, H W grid, T frames.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vgs_lib.batches.banks import Bank, Filling
from vgs_lib.batches.frozen_features import picture_features, picture_key, speech_features, speech_key
from vgs_lib.batches.scene_batches import VERSION
from vgs_lib.batches.text_batches import reads_text
from vgs_lib.data.classes import Names, names_of
from vgs_lib.data.loading import Batch, collate
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.single_stamps import SingleStamps
from vgs_lib.evaluation import Trial
from vgs_lib.model import DualEncoder

BATCH = 32


class HeldOut:
    """The first ``count`` scenes of a held-out split and the caption of each, told once by the split's voices.

    Features that an encoder computes with frozen weights are kept in banks, one for each kind of encoder; whatever is
    trained runs each time. ``words`` takes the scenes with a single stamp.
    """

    def __init__(self, scenes: Scenes, count: int, *, words: bool = False):
        self.scenes = SingleStamps(scenes) if words else scenes
        self.count = count
        self._what: dict[str, Any] = {
            "version": VERSION,
            "split": self.scenes.split,
            "seed": scenes.seed,
            "size": scenes.size,
            "stamps": scenes.stamps.digest,
            "held_out": True,
        }

    def __len__(self) -> int:
        return self.count

    @property
    def classes(self) -> list[Names]:
        """The class of each scene (:mod:`vgs_lib.data.classes`)."""
        return [names_of(self.scenes[i]) for i in range(self.count)]

    @property
    def same_class(self) -> Tensor:
        """[B, B] bool: the pairs of scenes whose captions say the same names."""
        classes = self.classes
        return torch.tensor([[a == b for b in classes] for a in classes])

    def trial(self) -> Trial:
        """The trial without its pictures and captions, which :meth:`embed` reads: right pairs and spoken names."""
        words = []
        for i in range(self.count):
            scene = self.scenes[i]
            masks = {item.concept: torch.from_numpy(item.mask) for item in scene.objects}
            words += [(i, i, w.start, w.end, masks[w.concept]) for w in scene.words if w.concept is not None]
        return Trial((), (), torch.eye(self.count, dtype=torch.bool), words)

    def fill(self, model: DualEncoder) -> Iterator[Filling]:
        """Compute the features of these scenes that are not on disk yet."""
        pictures, speech = self._banks(model)
        if pictures is not None:
            yield from pictures.fill(lambda items: self._picture_features(model, items))
        if speech is not None:
            yield from speech.fill(lambda items: [(x.half(),) for x in self._speech_features(model, items)])
        self.scenes.stamps.forget()

    def batches(self, model: DualEncoder, *, first: int | None = None) -> Iterator[Batch]:
        """The scenes, or the ``first`` of them, as ``model.embed_batch`` takes them, a few at a time."""
        count = min(first or self.count, self.count)
        return (self._batch(model, range(i, min(i + BATCH, count))) for i in range(0, count, BATCH))

    @torch.no_grad()
    def embed(self, model: DualEncoder, *, first: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Image maps [B, D, H, W], audio maps [B, D, T] and their lengths [B] of the scenes, on the model's device."""
        found = [model.embed_batch(batch.to(model.device)) for batch in self.batches(model, first=first)]
        longest = max(audio.shape[-1] for _, audio, _ in found)
        audio = torch.cat([functional.pad(maps, (0, longest - maps.shape[-1])) for _, maps, _ in found])
        return torch.cat([image for image, *_ in found]), audio, torch.cat([lengths for *_, lengths in found])

    def _banks(self, model: DualEncoder) -> tuple[Bank | None, Bank | None]:
        image, speech = model.image_encoder, model.audio_encoder
        pictures = spoken = None
        if image.backbone_frozen:
            pictures = Bank("held-out-pictures", {**self._what, **picture_key(image)}, self.count)
        if not reads_text(speech):
            spoken = Bank("held-out-speech", {**self._what, **speech_key(speech)}, self.count)
        return pictures, spoken

    def _batch(self, model: DualEncoder, items: range) -> Batch:
        pictures, speech = self._banks(model)
        heard = [speech[i][0] for i in items] if speech is not None else self._speech_features(model, items)
        frozen = getattr(model.audio_encoder, "backbone_frozen", False)
        return collate(
            [pictures[i] for i in items] if pictures is not None else [(self._picture(i),) for i in items],
            [x.float() for x in heard],
            pad_value=0.0 if frozen else model.audio_encoder.front_end.pad_value,
            image_is_features=pictures is not None,
            audio_is_features=frozen,
        )

    def _picture(self, index: int) -> Tensor:
        return torch.from_numpy(self.scenes[index].picture).permute(2, 0, 1)

    def _picture_features(self, model: DualEncoder, items: range) -> list[tuple[Tensor, ...]]:
        found = []
        for first in range(items.start, items.stop, BATCH):
            few = range(first, min(items.stop, first + BATCH))
            pictures = torch.from_numpy(np.stack([self.scenes[i].picture for i in few])).permute(0, 3, 1, 2)
            found += picture_features(model.image_encoder, pictures)
        return found

    def _speech_features(self, model: DualEncoder, items: range) -> list[Tensor]:
        if reads_text(model.audio_encoder):
            features, lengths = model.audio_encoder.front_end([self.scenes[i].said(0) for i in items])
            return [row[:, :length] for row, length in zip(features, lengths.tolist(), strict=True)]
        return speech_features(model.audio_encoder, [torch.from_numpy(self.scenes[i].waveform) for i in items])


@dataclass(frozen=True)
class Maps:
    """What a dual encoder makes of B scenes, computed once.

    image: [B, D, H, W]. audio: [B, D, T]. lengths: [B] frames. scores: [B, B] of pictures (rows) and captions. right:
    bool [B, B], caption j is true of picture i.
    """

    image: Tensor
    audio: Tensor
    lengths: Tensor
    scores: Tensor
    right: Tensor


@torch.no_grad()
def maps_of(model: DualEncoder, held_out: HeldOut, right: Tensor) -> Maps:
    """The maps of ``held_out`` scenes, whose bank must have been filled; ``right`` as in :class:`Maps`."""
    image, audio, lengths = held_out.embed(model.eval())
    return Maps(image, audio, lengths, model.score(image, audio, lengths), right.to(image.device))
