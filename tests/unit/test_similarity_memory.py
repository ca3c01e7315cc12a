"""How much memory the scores of all pairs take: winners or one chunk, and no matchmap where means are enough."""

import pytest
import torch
from test_similarity import MAX_KINDS, dense_scores, maps

from vgs_lib.similarity import score_matrix


def largest_allocation(function):
    with torch.profiler.profile(profile_memory=True) as profiler:
        function()
    return max(event.self_cpu_memory_usage for event in profiler.events())


@pytest.mark.parametrize("kind", ["sisa", "dot", "cosine"])
def test_what_is_a_product_of_means_never_builds_a_matchmap(kind):
    num, frames, side, dim = 16, 24, 8, 4
    images, captions, _ = maps(num, 1, dim=dim, height=side, width=side, dtype=torch.float32)
    captions = torch.randn(num, dim, frames, generator=torch.Generator().manual_seed(2))
    images.requires_grad_(), captions.requires_grad_()

    def run():
        scores = score_matrix(images, captions, torch.full((num,), frames), kind=kind)
        torch.autograd.grad(scores.sum(), (images, captions))

    inputs = 4 * max(images.numel(), captions.numel())
    assert 0 < largest_allocation(run) <= inputs < num * num * frames * side * side * 4 / 20


@pytest.mark.parametrize("kind", MAX_KINDS)
def test_no_tensor_is_larger_than_winners_or_one_chunk(kind):
    num, frames, side, dim = 16, 24, 8, 4
    images, captions, _ = maps(num, 1, dim=dim, height=side, width=side, dtype=torch.float32)
    captions = torch.randn(num, dim, frames, generator=torch.Generator().manual_seed(2))
    lengths = torch.full((num,), frames)
    images.requires_grad_(), captions.requires_grad_()
    winners = num * num * (frames if kind == "misa" else side * side)
    everything = num * num * side * side * frames * 4

    def run(function):
        torch.autograd.grad(function().sum(), (images, captions))

    bounded = largest_allocation(lambda: run(lambda: score_matrix(images, captions, lengths, kind=kind, chunk=4)))
    dense = largest_allocation(lambda: run(lambda: dense_scores(images, captions, lengths, kind)))
    assert dense >= everything, "the measure does not see the dense form"
    assert bounded <= max(winners * 8, 4 * side * side * frames * 4)
