"""Batches: pairs of pictures and spoken captions, padded, with lengths.

Shape legend: B pairs, C channels, H W grid or pixels, F feature bands, T frames.

A data source for training is any object with ``__getitem__(step) -> Batch`` that is a pure function of the
step, so a resumed run sees exactly the batches it would have seen. The parts of a batch may be raw inputs
(pictures, front-end features) or cached outputs of frozen backbones; two flags say which.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vgs_lib.errors import TrainingError
from vgs_lib.front_ends import pad_frames
from vgs_lib.seeds import seeded


@dataclass(frozen=True)
class Batch:
    """B pairs: picture i belongs to caption i.

    image: (pictures [B,3,H,W] uint8 or float 0..1,), or the backbone's maps, each [B,C,H,W], if
        ``image_is_features``.
    audio: front-end features [B,F,T], or frozen hidden states [B,C,T] if ``audio_is_features``.
    audio_lengths: valid frames of ``audio`` [B], int64.
    same_image: bool [B,B] or None; [i,j] is True where caption j also describes picture i without being its
        own caption, so that (i,j) is no impostor pair. In a part of a batch it still covers the whole batch.
    labels: the class of each pair, int64 [B], a number that means the same in every batch, or None where pairs have no
        classes. In a part of a batch they are the part's: whoever needs those of the whole batch gathers them
        (``distributed.gather_rows``) and makes the mask of pairs of one class with :func:`same_class`.
    """

    image: tuple[Tensor, ...]
    audio: Tensor
    audio_lengths: Tensor
    image_is_features: bool = False
    audio_is_features: bool = False
    same_image: Tensor | None = None
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.audio)

    def map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with ``function`` applied to every tensor."""
        return replace(
            self,
            image=tuple(function(x) for x in self.image),
            audio=function(self.audio),
            audio_lengths=function(self.audio_lengths),
            same_image=None if self.same_image is None else function(self.same_image),
            labels=None if self.labels is None else function(self.labels),
        )

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on ``device``; the copy does not wait for the device where the memory is pinned."""
        return self.map(lambda x: x.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory (PyTorch's DataLoader calls this)."""
        return self.map(lambda x: x.pin_memory())

    def part(self, index: int, count: int) -> "Batch":
        """Part ``index`` of ``count`` equal parts, its audio trimmed to its own longest caption.

        Raises TrainingError if the batch does not divide.
        """
        if len(self) % count:
            raise TrainingError(
                f"a batch of {len(self)} pairs does not divide among {count} processes; "
                f"choose a batch size that is a multiple of {count}"
            )
        if count == 1:
            return self
        size = len(self) // count
        rows = slice(index * size, (index + 1) * size)
        lengths = self.audio_lengths[rows]
        longest = max(int(lengths.max()), 1)
        return replace(
            self,
            image=tuple(x[rows] for x in self.image),
            audio=self.audio[rows, :, :longest],
            audio_lengths=lengths,
            labels=None if self.labels is None else self.labels[rows],
        )


class BatchSource(Protocol):
    """What ``fit`` trains on: batch ``step``, the same one whenever it is asked for."""

    def __getitem__(self, step: int) -> Batch: ...


def same_text(labels: Sequence[Any]) -> Tensor | None:
    """The ``same_image`` mask [B,B] of pairs that share a label (a picture, a text); None where no two do."""
    if len(set(labels)) == len(labels):
        return None
    ids = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return same_class(torch.tensor([ids[label] for label in labels]))


def same_class(labels: Tensor) -> Tensor:
    """Which pairs are of one class without being the same pair: bool [B,B] for labels [B]."""
    return (labels[:, None] == labels[None, :]) & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)


def collate(
    images: Sequence[Tensor | tuple[Tensor, ...]],
    audio: Sequence[Tensor],
    *,
    labels: Sequence[Any] | None = None,
    classes: Sequence[int] | None = None,
    pad_value: float = 0.0,
    image_is_features: bool = False,
    audio_is_features: bool = False,
) -> Batch:
    """A batch of single examples.

    images: pictures [3,H,W], or tuples of backbone maps [C,H,W] if ``image_is_features``.
    audio: features [F,T_i], padded with ``pad_value`` (the front end's; 0 for hidden states).
    labels: one per pair; pairs that share one are no impostors of each other (``Batch.same_image``).
    classes: the number of each pair's class (``Batch.labels``).
    """
    if len(images) != len(audio):
        raise ValueError(f"found {len(images)} images and {len(audio)} captions, expected as many of both")
    if classes is not None and len(classes) != len(audio):
        raise ValueError(f"found {len(classes)} classes of {len(audio)} pairs, expected one for each")
    maps = [image if isinstance(image, tuple) else (image,) for image in images]
    padded, lengths = pad_frames(audio, pad_value=pad_value)
    return Batch(
        image=tuple(torch.stack(level) for level in zip(*maps, strict=True)),
        audio=padded,
        audio_lengths=lengths,
        image_is_features=image_is_features,
        audio_is_features=audio_is_features,
        same_image=None if labels is None else same_text(labels),
        labels=None if classes is None else torch.tensor([int(x) for x in classes]),
    )


class _Steps(Dataset):
    """A batch source as a dataset of one process's parts; each is made under a seed of its own."""

    def __init__(self, batches: BatchSource, seed: int, index: int, count: int):
        self.batches, self.seed, self.index, self.count = batches, seed, index, count

    def __getitem__(self, step: int) -> Batch:
        with seeded(self.seed, "batch", step):
            if hasattr(self.batches, "part"):
                return self.batches.part(step, self.index, self.count)
            return self.batches[step].part(self.index, self.count)


def _as_it_is(batch: Batch) -> Batch:
    return batch


def iterate(
    batches: BatchSource,
    steps: range,
    *,
    seed: int = 0,
    part: tuple[int, int] = (0, 1),
    num_workers: int = 0,
    pin_memory: bool = False,
) -> Iterator[Batch]:
    """The batches of ``steps`` in order, made ahead by ``num_workers`` processes (0: in this one).

    part: (index, count) of the part of each batch that this process wants.
    """
    return iter(
        DataLoader(
            _Steps(batches, seed, *part),
            sampler=steps,
            batch_size=None,
            collate_fn=_as_it_is,
            num_workers=num_workers,
            pin_memory=pin_memory,
            generator=torch.Generator(),
        )
    )
