"""Which candidates are right for which query, in the three forms the retrieval figures take, checked.

Several captions of a picture are one mask ``[picture, caption]``: as it is, a picture is found by any of its captions;
transposed, each caption is found by its picture. Rows are queries ``[Q]``, columns candidates ``[C]``.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Targets = Tensor | Sequence[Sequence[int]] | None


def target_mask(targets: Targets, num_queries: int, num_candidates: int) -> Tensor:
    """Which candidates are right: [Q, C] bool; ``targets`` are those of :func:`vgs_lib.retrieval.recall_at_k`."""
    checked = _check_targets(targets, num_queries, num_candidates)
    return right_candidates(checked, 0, torch.empty(num_queries, num_candidates))


def checked(scores: Tensor, targets: Targets) -> tuple[Tensor, Tensor | list[list[int]] | None]:
    """Scores [Q, C] in floating point and targets as the figures use them, once both have been found right."""
    scores = torch.as_tensor(scores)
    if scores.dim() != 2 or 0 in scores.shape:
        raise ValueError(f"scores are {list(scores.shape)}; expected [Q, C], none of them 0")
    scores = scores if scores.is_floating_point() else scores.double()
    return scores, _check_targets(targets, *scores.shape)


def right_candidates(targets: Tensor | list[list[int]] | None, first: int, part: Tensor) -> Tensor:
    """The bool matrix of the queries from ``first`` on, shaped like ``part``; no row is empty."""
    if isinstance(targets, Tensor):
        return targets[first : first + len(part)].to(part.device)
    queries = torch.arange(len(part))
    if targets is None:
        columns = queries + first
    else:
        lists = targets[first : first + len(part)]
        queries = queries.repeat_interleave(torch.tensor([len(x) for x in lists]))
        columns = torch.tensor([i for x in lists for i in x])
    right = torch.zeros(part.shape, dtype=torch.bool)
    right[queries, columns] = True
    return right.to(part.device)


def _check_targets(targets: Targets, num_queries: int, num_candidates: int) -> Tensor | list[list[int]] | None:
    if targets is None:
        if num_queries != num_candidates:
            raise ValueError(
                f"scores are [{num_queries}, {num_candidates}], so the diagonal cannot be the true pairs; give targets"
            )
        return None
    if hasattr(targets, "shape"):
        targets = torch.as_tensor(targets)
        if targets.shape != (num_queries, num_candidates) or targets.dtype != torch.bool:
            raise ValueError(
                f"targets are {list(targets.shape)} {targets.dtype}; "
                f"expected [{num_queries}, {num_candidates}] torch.bool, or a list of indices for each query"
            )
        empty = (~targets.any(1)).nonzero().flatten().tolist()
    else:
        targets = [[int(i) for i in x] for x in targets]
        if len(targets) != num_queries:
            raise ValueError(f"targets hold {len(targets)} lists; expected one for each of {num_queries} queries")
        for query, columns in enumerate(targets):
            if any(not 0 <= i < num_candidates for i in columns):
                raise ValueError(f"targets[{query}] is {columns}; expected indices from 0 to {num_candidates - 1}")
        empty = [query for query, columns in enumerate(targets) if not columns]
    if empty:
        raise ValueError(f"query {empty[0]} has no right candidate ({len(empty)} such queries); leave them out")
    return targets


def check_numbers(num_candidates: int, num_right: int | Sequence[int]) -> list[int]:
    numbers = [num_right] if isinstance(num_right, int) else [int(x) for x in num_right]
    if not numbers or not all(1 <= x <= num_candidates for x in numbers):
        raise ValueError(f"num_right is {num_right}; expected numbers from 1 to {num_candidates}")
    return numbers
