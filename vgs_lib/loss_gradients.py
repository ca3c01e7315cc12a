"""What a loss asks of a score matrix: its gradient, and how it is shared among the impostors.

The gradient of a loss by a score is how strongly the loss pushes that score down (an impostor) or up (a true pair); the
encoders get nothing else from it. Legend: B pairs; rows are pictures, columns captions, the diagonal is true.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Loss = Callable[[Tensor], Tensor]


def score_gradient(scores: Tensor, loss: Loss, *, draws: int = 1, seed: int = 0) -> Tensor:
    """[B, B]: the derivative of ``loss`` by each of ``scores`` [B, B], the mean over ``draws`` of what it draws.

    A loss that draws impostors from PyTorch's generator gets ``seed``, and the generator is put back afterwards.
    """
    total = torch.zeros_like(scores)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(draws):
            leaf = scores.detach().clone().requires_grad_()
            (found,) = torch.autograd.grad(loss(leaf), leaf)
            total += found
    return total / draws


def impostor_shares(gradient: Tensor) -> Tensor:
    """[B, B]: the share of each impostor in all that pushes impostors down; 0 on the diagonal, 0 where nothing does."""
    pushes = gradient.clamp(min=0).clone()
    pushes.fill_diagonal_(0)
    total = pushes.sum()
    return pushes / total if total > 0 else pushes


def shares_by_hardness(scores: Tensor, gradient: Tensor) -> Tensor:
    """[B - 1]: the share of the hardest impostors, of the second hardest and so on, hardest being the highest score.

    Each impostor is ranked twice, among those of its picture and among those of its caption, and counts half in each.
    """
    shares, size = impostor_shares(gradient), len(scores)
    total = scores.new_zeros(size - 1)
    for s, share in ((scores, shares), (scores.T, shares.T)):
        order = s.masked_fill(torch.eye(size, dtype=torch.bool), -torch.inf).argsort(1, descending=True)[:, :-1]
        total += share.gather(1, order).sum(0) / 2
    return total
