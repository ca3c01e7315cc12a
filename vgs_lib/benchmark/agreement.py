"""Whether our systems come in the documents' order, by figures or in words: with records of ours, two at a time.

Figures of different data are not comparable, but their order is. A document's order of two systems *agrees* with ours
where the 95 % interval of our difference lies above 0, *disagrees* where it lies below, and is *undecided* otherwise.

The interval is over the queries, of described things over their classes. They are drawn for both systems together
where their ranks are known, and as if they were independent, which is too wide, where only intervals are (mAP@50). With
three seeds or more, whose queries are averaged, the spread of the seeds is added to it by Student's t; what of it goes
with the queries is then in both parts, so that the interval is a little too wide. With one it says nothing about
another seed and is too narrow for two trainings. A seed changes the first weights, a pre-training where there is one,
what a loss draws and dropout; the scenes, voices, blanks and order of the batches are those of every seed, so that the
spread of whole trainings may be larger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, stdev
from typing import Any

import numpy as np
from scipy.stats import t

from vgs_lib.recipes.published import WORDED, published
from vgs_lib.retrieval import WAYS, bootstrap_interval
from vgs_lib.retrieval.paired import hits

Record = Mapping[str, Any]
# How a system's name here says what the document's encoders began with; the rest is not compared.
STARTS = {"none": "", "natural sounds": "-sounds", "pre-trained pictures": ""}
SPREAD = 3  # seeds from which a spread is taken; of two, Student's t is as wide as 12.7 standard errors
MAIN = ("r10", "p10")  # the figure of a document's table that is compared, the first that it has
NORMAL = 2 * 1.959964  # standard errors from end to end of a 95 % interval


@dataclass(frozen=True)
class Compared:
    """Two systems of which a document found ``better`` better, and our difference, mean of ``ways``.

    low, high: its 95 % interval.
    """

    better: str
    worse: str
    ours: float
    low: float
    high: float
    seeds: int
    ways: tuple[str, ...] = tuple(WAYS)

    @property
    def verdict(self) -> str:
        """ "agrees", "disagrees" or "undecided"."""
        return "agrees" if self.low > 0 else "disagrees" if self.high < 0 else "undecided"


@dataclass(frozen=True)
class Order:
    """Systems that a document orders on one data set with one ``start`` of the encoders, in pairs.

    figure: by which it does, "words" where it says so without figures.
    """

    document: str
    data: str
    start: str
    figure: str
    pairs: tuple[Compared, ...]

    @property
    def systems(self) -> tuple[str, ...]:
        """The systems of the pairs, each once."""
        return tuple(dict.fromkeys(name for pair in self.pairs for name in (pair.better, pair.worse)))

    @property
    def tau(self) -> float:
        """Kendall's tau of its order and ours: the share of pairs in the same order less that of the others.

        Pairs that tie here count for neither.
        """
        return fmean(np.sign(pair.ours) for pair in self.pairs)


def compared(
    records: Sequence[Record], better: str, worse: str, figure: str = "r10", ways: Sequence[str] = WAYS
) -> Compared | None:
    """Our difference of two systems on the seeds that both have, mean of ``ways``; None where they share no seed.

    Of fewer than ``SPREAD`` seeds the first is taken.

    figure: "r1", "r5" or "r10" of 1,000 scenes, "map50" of single names, "unseen_r1" or "unseen_map50" of described
    things (colour pairs).
    """
    first, second = ({r["seed"]: r for r in records if r["system"] == name} for name in (better, worse))
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        return None
    if len(seeds) < SPREAD:
        seeds = seeds[:1]
    ours, theirs = [first[seed] for seed in seeds], [second[seed] for seed in seeds]
    differences = [value(a, figure, ways) - value(b, figure, ways) for a, b in zip(ours, theirs, strict=True)]
    middle = fmean(differences)
    low, high = _over_queries(ours, theirs, figure, ways)
    if len(seeds) > 1:
        seeds_half = float(t.ppf(0.975, len(seeds) - 1)) * stdev(differences) / len(seeds) ** 0.5
        low, high = middle - np.hypot(middle - low, seeds_half), middle + np.hypot(high - middle, seeds_half)
    return Compared(better, worse, middle, float(low), float(high), len(seeds), tuple(ways))


def value(record: Record, figure: str, ways: Sequence[str] = WAYS) -> float:
    """A figure of a record, mean of ``ways``."""
    return fmean(_part(record, figure)[way][figure.removeprefix("unseen_")] for way in ways)


def seeds_apart(records: Sequence[Record], figure: str) -> str:
    """How far apart the seeds of each system are, as a sentence that begins with a blank; "" without several."""
    values: dict[str, list[float]] = {}
    for record in records:
        values.setdefault(record["system"], []).append(value(record, figure))
    spans = {name: (float(np.ptp(v)), len(v)) for name, v in values.items() if len(v) > 1}
    if not spans:
        return ""
    widest = sorted(spans, key=lambda name: -spans[name][0])
    told = "; ".join(f"{spans[name][0]:.3f} over {spans[name][1]} of {name}" for name in widest)
    return (
        f" Seeds alone move the mean of both ways by as much ({told}): a difference of about this size, decided with "
        "one seed, might not be with another."
    )


def _part(record: Record, figure: str) -> Mapping[str, Any]:
    figures = record["figures"]
    if figure.startswith("unseen_"):
        return figures["unseen"]["colour"]
    return figures["words"] if figure == "map50" else figures["1000 scenes"]


def _ranks(record: Record, figure: str, way: str) -> Sequence[float]:
    if figure.startswith("unseen_"):
        return _part(record, figure)[way]["ranks"]
    return record["figures"]["ranks"][way]


def _classes(record: Record, figure: str) -> Sequence[int] | None:
    """The class of each query where several of one class ask for the same candidates."""
    return _part(record, figure)[WAYS[0]]["classes"] if figure.startswith("unseen_") else None


def _over_queries(
    ours: Sequence[Record], theirs: Sequence[Record], figure: str, ways: Sequence[str]
) -> tuple[float, float]:
    """The interval over queries of the difference, each query's answers averaged over ways and seeds."""
    name = figure.removeprefix("unseen_")
    if name.startswith("r"):
        k = int(name[1:])
        means = [
            np.mean([hits(_ranks(one, figure, way), k).astype(float) for one in side for way in ways], axis=0)
            for side in (ours, theirs)
        ]
        return bootstrap_interval(means[0] - means[1], seed=0, groups=_classes(ours[0], figure))
    errors = [
        fmean(np.ptp(_part(one, figure)[way][f"{name}_ci"]) / NORMAL for one in side for way in ways)
        for side in (ours, theirs)
    ]
    middle = fmean(value(a, figure, ways) - value(b, figure, ways) for a, b in zip(ours, theirs, strict=True))
    half = NORMAL / 2 * float(np.hypot(*errors))
    return middle - half, middle + half


def orders(records: Sequence[Record]) -> list[Order]:
    """Every order of a document of which we have two systems or more, judged by our R@10.

    Orders are by the document's R@10 (P@10), in the ways it gives, or in its words, both ways. Compared are systems
    whose encoders began with the same there; zhang2020's with the same picture network. tian2020's birds and flowers
    are not compared with scenes (:mod:`vgs_lib.benchmark.experiments` has described things).
    """
    there = {record["system"] for record in records}
    groups: dict[tuple[str, ...], dict[str, dict[tuple[str, str], float]]] = {}
    for one in published():
        name = one.system + STARTS.get(one.initialisation, "")
        document = one.source.split(",")[0]
        network = name.split("-")[1] if document == "zhang2020" else ""
        if one.initialisation in STARTS and name in there and one.figure in MAIN:
            key = (document, one.data, one.initialisation, network)
            groups.setdefault(key, {}).setdefault(name, {})[one.direction, one.figure] = one.value
    found = [_order(*key[:3], systems, records) for key, systems in groups.items()]
    return [order for order in (*found, *_worded(records)) if order.pairs]


def _worded(records: Sequence[Record]) -> list[Order]:
    """The orders that documents give in words alone."""
    groups: dict[tuple[str, str, str], list[Compared | None]] = {}
    for one in WORDED:
        key = (one.source.split(",")[0], one.data, one.initialisation)
        groups.setdefault(key, []).append(compared(records, one.better, one.worse))
    return [Order(*key, "words", tuple(pair for pair in pairs if pair)) for key, pairs in groups.items()]


def _order(
    document: str,
    data: str,
    start: str,
    systems: Mapping[str, Mapping[tuple[str, str], float]],
    records: Sequence[Record],
) -> Order:
    figure = next(f for f in MAIN if any(f == key for values in systems.values() for _, key in values))
    pairs = []
    for a, b in combinations(systems, 2):
        ways = [way for way in WAYS if (way, figure) in systems[a] and (way, figure) in systems[b]]
        theirs = sum(systems[a][way, figure] - systems[b][way, figure] for way in ways)
        if theirs:
            pairs.append(compared(records, *((a, b) if theirs > 0 else (b, a)), "r10", ways))
    return Order(document, data, start, figure, tuple(pair for pair in pairs if pair))
