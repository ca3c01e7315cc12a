"""Trains a `Reranker` on candidates that the dual encoder itself takes for right.

Legend: B scenes, Q queries, K candidates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vgs_lib import retrieval
from vgs_lib.batches.held_out import Maps
from vgs_lib.encoders.cross_attention import Reranker
from vgs_lib.errors import TrainingError
from vgs_lib.retrieval import WAYS
from vgs_lib.search.reranking import pair_scores, rerank
from vgs_lib.seeds import seed_for, seeded


@dataclass(frozen=True)
class RerankSettings:
    """How a re-ranker is trained.

    steps, learning_rate (falls to 0 along a cosine), weight_decay: of AdamW. queries: captions in a step, and as many
    pictures. candidates: K of each, the right one among them; impostors are drawn from the ``pool`` that the dual
    encoder scores highest. k: candidates that are put in order on validation, every ``evaluate_every`` steps.
    :class:`TrainingError` for values that cannot be meant.
    """

    steps: int = 160
    queries: int = 12
    candidates: int = 6
    pool: int = 12
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    evaluate_every: int = 40
    k: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("queries", 1), ("candidates", 2), ("evaluate_every", 1), ("k", 1)):
            if getattr(self, name) < least:
                raise TrainingError(f"{name}: found {getattr(self, name)}, expected at least {least}")
        if self.pool < self.candidates - 1:
            raise TrainingError(
                f"pool: found {self.pool}, expected at least {self.candidates - 1}, the impostors of a query"
            )


@dataclass(frozen=True)
class RerankEvent:
    """``recall_at_1``: mean of both ways over the validation sets after ``step`` steps; ``loss``: of the last step."""

    step: int
    loss: float
    recall_at_1: float
    is_best: bool


def fit_reranker(
    reranker: Reranker, train: Maps, validation: Sequence[Maps], settings: RerankSettings | None = None
) -> Iterator[RerankEvent]:
    """Train on candidates that the dual encoder itself takes for right, yielding each evaluation.

    The loss is the cross-entropy of the right one among K candidates by their new scores. At the end ``reranker`` has
    the weights of the best evaluation; the first, before any step, is the dual encoder's order. ``train``: best of
    scenes that the dual encoder was not trained on, whose true pairs it has not learnt by heart.

    Raises :class:`TrainingError` where a query has fewer impostors than ``candidates`` asks for.
    """
    chosen = settings or RerankSettings()
    reranker.to(train.image.device)
    optimizer = torch.optim.AdamW(reranker.parameters(), lr=chosen.learning_rate, weight_decay=chosen.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, chosen.steps)
    impostors = [_hardest(train, way, chosen) for way in WAYS]
    best, weights, loss = -1.0, {}, float("nan")
    for step in range(chosen.steps + 1):
        if step % chosen.evaluate_every == 0 or step == chosen.steps:
            found = _recall_at_1(reranker, validation, chosen.k)
            if is_best := found > best:
                best, weights = found, {name: x.clone() for name, x in reranker.state_dict().items()}
            yield RerankEvent(step, loss, found, is_best)
        if step < chosen.steps:
            loss = _step(reranker.train(), train, impostors, chosen, step, optimizer)
            schedule.step()
    reranker.load_state_dict(weights)
    reranker.eval()


def _hardest(maps: Maps, way: str, settings: RerankSettings) -> Tensor:
    """For each query its impostors [Q, pool] of the highest score."""
    scores, right = (maps.scores.T, maps.right.T) if way == WAYS[0] else (maps.scores, maps.right)
    fewest = int((~right).sum(dim=1).min())
    if fewest < settings.candidates - 1:
        raise TrainingError(f"candidates: found {settings.candidates}, a query has {fewest} impostors; choose fewer")
    return scores.masked_fill(right, -torch.inf).topk(min(settings.pool, fewest), dim=1).indices


def _step(
    reranker: Reranker,
    maps: Maps,
    impostors: list[Tensor],
    settings: RerankSettings,
    step: int,
    optimizer: torch.optim.Optimizer,
) -> float:
    draw = torch.Generator().manual_seed(seed_for(settings.seed, "rerank", step))
    losses = []
    with seeded(settings.seed, "rerank dropout", step):
        for way, hardest in zip(WAYS, impostors, strict=True):
            queries = torch.randperm(len(hardest), generator=draw)[: settings.queries].to(hardest.device)
            mixed = torch.rand(len(queries), hardest.shape[1], generator=draw).argsort(dim=1)
            wrong = hardest[queries].gather(1, mixed[:, : settings.candidates - 1].to(hardest.device))
            candidates = torch.cat([queries[:, None], wrong], dim=1)
            asks = queries[:, None].expand_as(candidates)
            new = pair_scores(reranker, maps, *((candidates, asks) if way == WAYS[0] else (asks, candidates)))
            losses.append(functional.cross_entropy(new, torch.zeros_like(queries)))
        loss = torch.stack(losses).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(reranker.parameters(), 1.0)
        optimizer.step()
    return float(loss.detach())


def _recall_at_1(reranker: Reranker, validation: Sequence[Maps], k: int) -> float:
    found = []
    for maps in validation:
        for way in WAYS:
            right = maps.right.T if way == WAYS[0] else maps.right
            found.append(retrieval.recall_at_k(rerank(reranker, maps, k=k, way=way)[1].cpu(), 1, right.cpu()))
    return sum(found) / len(found)
