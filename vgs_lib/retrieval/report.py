"""The figures of a score matrix in one report, each beside its chance level and its interval.

Legend: Q queries, C candidates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from vgs_lib.retrieval import measures
from vgs_lib.retrieval.targets import Targets, target_mask


@dataclass(frozen=True)
class Estimate:
    """A figure with the ends of its bootstrap interval and its chance level."""

    name: str
    value: float
    low: float
    high: float
    chance: float


def report(scores: Tensor, targets: Targets = None, *, seed: int = 0) -> tuple[Estimate, ...]:
    """R@1, R@5, R@10, mAP and the median rank of queries (rows), with 95 % intervals over queries.

    Args:
        scores: ``[Q, C]``, higher is better.
        targets: as in :func:`vgs_lib.retrieval.recall_at_k`, whose errors these are.
        seed: of the bootstrap.
    """
    num_right = target_mask(targets, *scores.shape).sum(dim=1).tolist()
    count = scores.shape[1]
    figures = []
    for k in (1, 5, 10):
        hits = measures.hits_at_k(scores, k, targets)
        figures.append(_estimate(f"R@{k}", hits, measures.chance_recall(count, k, num_right), seed))
    precision = measures.average_precision(scores, targets)
    figures.append(_estimate("mAP", precision, measures.chance_average_precision(count, num_right), seed))
    ranks = measures.ranks(scores, targets)
    ends = measures.bootstrap_interval(ranks, seed=seed, statistic="median")
    chance = measures.chance_median_rank(count, num_right)
    return (*figures, Estimate("median rank", measures.median_rank(scores, targets), *ends, chance))


def _estimate(name: str, values: Tensor, chance: float, seed: int) -> Estimate:
    return Estimate(name, float(values.mean()), *measures.bootstrap_interval(values, seed=seed), chance)


def table(reports: Mapping[str, Sequence[Estimate]]) -> str:
    """Reports as lines of text, one figure a line under the name of each report."""
    lines = []
    for title, figures in reports.items():
        lines.append(title)
        for found in figures:
            digits = 1 if found.name == "median rank" else 3
            value, low, high, chance = (f"{x:.{digits}f}" for x in (found.value, found.low, found.high, found.chance))
            lines.append(f"  {found.name:<12} {value:>6}  95 % interval {low} to {high:<6}  chance {chance}")
    return "\n".join(lines)
