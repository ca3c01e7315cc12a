"""Batches: padded, cut into parts for processes, made by workers, drawn from torch's generator."""

import itertools

import pytest
import torch
from tiny_training import TinyBatches, losses_of, start

from vgs_lib.data.loading import Batch, collate, iterate
from vgs_lib.errors import TrainingError


def test_workers_make_the_same_batches():
    assert losses_of(start(steps=4, num_workers=2)) == losses_of(start(steps=4))


class DrawnBatches:
    """A source that draws from torch's own generator."""

    def __getitem__(self, step: int) -> Batch:
        return collate([torch.rand(3, 8, 8) for _ in range(2)], [torch.randn(40, 20) for _ in range(2)])


def test_a_batch_may_draw_from_torchs_generator():
    first = list(iterate(DrawnBatches(), range(0, 3), seed=1))
    later = list(iterate(DrawnBatches(), range(1, 3), seed=1, num_workers=1))
    assert torch.equal(first[2].audio, later[1].audio)
    assert not torch.equal(first[1].audio, first[2].audio)
    other = next(iter(iterate(DrawnBatches(), range(0, 1), seed=2)))
    assert not torch.equal(first[0].audio, other.audio)


def test_parts_of_a_batch():
    batch = TinyBatches()[0]
    parts = [batch.part(index, 2) for index in range(2)]
    assert [part.audio.shape[-1] for part in parts] == [70, 40]
    assert torch.equal(torch.cat([part.image[0] for part in parts]), batch.image[0])
    assert torch.equal(torch.cat([part.audio_lengths for part in parts]), batch.audio_lengths)
    assert torch.equal(parts[1].audio, batch.audio[2:, :, :40])
    assert parts[1].same_image.shape == (4, 4)
    with pytest.raises(TrainingError, match="4 pairs does not divide among 3"):
        batch.part(0, 3)


def test_collate_pads_and_masks_pairs_of_one_picture():
    batch = TinyBatches()[0]
    assert batch.audio_lengths.tolist() == [70, 33, 17, 40]
    assert bool((batch.audio[1, :, 33:] == -80.0).all()) and bool((batch.audio[1, :, :33] != -80.0).all())
    pairs = {(i, j) for i, j in itertools.product(range(4), repeat=2) if batch.same_image[i, j]}
    assert pairs == {(0, 3), (3, 0)}
    with pytest.raises(ValueError, match="found 1 images and 2 captions"):
        collate([torch.rand(3, 4, 4)], [torch.rand(4, 2)] * 2)
    with pytest.raises(ValueError, match="found 1 classes of 2 pairs"):
        collate([torch.rand(3, 4, 4)] * 2, [torch.rand(4, 2)] * 2, classes=[0])
    with pytest.raises(ValueError, match="empty list"):
        collate([], [])
