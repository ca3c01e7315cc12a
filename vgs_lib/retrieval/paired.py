"""Two systems on the same queries: which queries only one of them finds, and whether that may be chance.

Both are judged on the same scenes, so their recalls are not independent; what tells them apart are the queries that one
finds and the other does not. Legend: Q queries.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from vgs_lib.retrieval.measures import bootstrap_interval


@dataclass(frozen=True)
class Paired:
    """How two systems do on the same queries, of which a system finds those it ranks ``k`` or better.

    both, first_only, second_only, neither: numbers of queries.
    difference: recall of the first less recall of the second, with the ends ``low`` and ``high`` of its 95 % interval.
    p_value: of McNemar's test, exact and two-sided: how probable so uneven a split of the queries that one alone finds
        is, where each falls to either system with probability one half; 1 where there are none.
    """

    k: int
    both: int
    first_only: int
    second_only: int
    neither: int
    difference: float
    low: float
    high: float
    p_value: float


def paired(first: Sequence[float], second: Sequence[float], *, k: int = 10, seed: int = 0) -> Paired:
    """Compare two systems by the rank [Q] that each gives the right candidate of each query, 1 being the best.

    The interval draws queries with replacement and keeps the two answers to a query together.

    Raises:
        ValueError: ranks of different numbers of queries, no query, ranks below 1, k below 1.

    Source: McNemar, Note on the sampling error of the difference between correlated proportions or percentages (1947);
    Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    a, b = hits(first, k), hits(second, k)
    if len(a) != len(b):
        raise ValueError(
            f"found ranks of {len(a)} and of {len(b)} queries; expected the same queries in the same order"
        )
    alone, other = int((a & ~b).sum()), int((b & ~a).sum())
    low, high = bootstrap_interval(a.astype(float) - b.astype(float), seed=seed)
    p_value = float(binomtest(alone, alone + other).pvalue) if alone + other else 1.0
    difference = (alone - other) / len(a)
    return Paired(k, int((a & b).sum()), alone, other, int((~a & ~b).sum()), difference, low, high, p_value)


def hits(ranks: Sequence[float], k: int) -> np.ndarray:
    """[Q] bool: which queries are found, that is, ranked ``k`` or better."""
    places = np.asarray(ranks, dtype=float)
    if places.ndim != 1 or not len(places) or not (places >= 1).all():
        raise ValueError(f"found ranks {list(places.shape)}; expected [Q], one or more, each 1 or more")
    if k < 1:
        raise ValueError(f"k is {k}; expected 1 or more")
    return places <= k


def sentence(found: Paired, first: str, second: str) -> str:
    """What a comparison says, in words that claim no more than it shows."""
    total = found.both + found.first_only + found.second_only + found.neither
    recalls = [(found.both + alone) / total for alone in (found.first_only, found.second_only)]
    text = (
        f"Of {total} queries {first} alone finds {found.first_only} among its {found.k} best, {second} alone "
        f"{found.second_only}, both find {found.both}. R@{found.k} is {recalls[0]:.3f} and {recalls[1]:.3f} and "
        f"differs by {found.difference:+.3f}, 95 % interval {found.low:+.3f} to "
        f"{found.high:+.3f}; McNemar's test gives p = {found.p_value:.2g}"
    )
    return text + ("." if found.p_value < 0.05 else ": the difference may be chance.")
