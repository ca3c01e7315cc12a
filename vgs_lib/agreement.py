"""Whether our systems come in the documents' order: published figures and records of ours, two systems at a time.

Figures of different data are not comparable, but their order is. A document's order of two systems *agrees* with ours
where the 95 % interval of our difference lies above 0, *disagrees* where it lies below, and is *undecided* otherwise.

With several seeds the interval is over seeds, by Student's t. With one it is over the queries, and says nothing about
another seed: the queries of both are drawn together where their ranks are known, and as if they were independent, which
is too wide, where only intervals are (mAP@50 and described things).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, stdev
from typing import Any

import numpy as np
from scipy.stats import t

from vgs_lib.leaderboard import WAYS, published
from vgs_lib.paired import hits
from vgs_lib.retrieval import bootstrap_interval

Record = Mapping[str, Any]
# Under which name a system stands here by what the document's encoders began with; the rest is not compared.
STARTS = {"": "", "none": "", "natural sounds": "-sounds", "ImageNet and AudioSet": "-imagenet"}
MAIN = ("r10", "p10", "map50")  # the figure of a document's table that is compared, the first that it has
NORMAL = 2 * 1.959964  # standard errors from end to end of a 95 % interval


@dataclass(frozen=True)
class Compared:
    """Two systems of which a document found ``better`` better, and our difference with its 95 % interval."""

    better: str
    worse: str
    ours: float
    low: float
    high: float
    seeds: int

    @property
    def verdict(self) -> str:
        """ "agrees", "disagrees" or "undecided"."""
        return "agrees" if self.low > 0 else "disagrees" if self.high < 0 else "undecided"


@dataclass(frozen=True)
class Order:
    """The systems that a document measures on one data set with one figure, in pairs.

    tau: Kendall's, of its order and ours: the share of pairs in the same order less that of the others.
    """

    document: str
    data: str
    figure: str
    systems: tuple[str, ...]
    pairs: tuple[Compared, ...]
    tau: float


def compared(
    records: Sequence[Record], better: str, worse: str, figure: str = "r10", ways: Sequence[str] = WAYS
) -> Compared | None:
    """Our difference of two systems on the seeds that both have, mean of ``ways``; None where they share no seed.

    figure: "r1", "r5" or "r10" of 1,000 scenes, "map50" of single names, "unseen_r1" or "unseen_map50" of described
    things (colour pairs).
    """
    first, second = ({r["seed"]: r for r in records if r["system"] == name} for name in (better, worse))
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        return None
    pairs = [(first[seed], second[seed]) for seed in seeds]
    differences = [value(a, figure, ways) - value(b, figure, ways) for a, b in pairs]
    middle = fmean(differences)
    if len(seeds) > 1:
        half = float(t.ppf(0.975, len(seeds) - 1)) * stdev(differences) / len(seeds) ** 0.5
        return Compared(better, worse, middle, middle - half, middle + half, len(seeds))
    return Compared(better, worse, middle, *_over_queries(*pairs[0], figure, ways), 1)


def value(record: Record, figure: str, ways: Sequence[str] = WAYS) -> float:
    """A figure of a record, mean of ``ways``."""
    return fmean(_part(record, figure)[way][figure.removeprefix("unseen_")] for way in ways)


def _part(record: Record, figure: str) -> Mapping[str, Any]:
    figures = record["figures"]
    if figure.startswith("unseen_"):
        return figures["unseen"]["colour"]
    return figures["words"] if figure == "map50" else figures["1000 scenes"]


def _over_queries(a: Record, b: Record, figure: str, ways: Sequence[str]) -> tuple[float, float]:
    if figure.startswith("r"):
        found = [[hits(one["figures"]["ranks"][way], int(figure[1:])).astype(float) for way in ways] for one in (a, b)]
        return bootstrap_interval(np.mean(found[0], axis=0) - np.mean(found[1], axis=0), seed=0)
    key = f"{figure.removeprefix('unseen_')}_ci"
    errors = [fmean(np.ptp(_part(one, figure)[way][key]) / NORMAL for way in ways) for one in (a, b)]
    middle, half = value(a, figure, ways) - value(b, figure, ways), NORMAL / 2 * float(np.hypot(*errors))
    return middle - half, middle + half


def orders(records: Sequence[Record]) -> list[Order]:
    """Every order of a document of which we have two systems or more; systems that share one run here count once.

    A pair is judged in the ways that the document gives for both, by R@10 (P@10) or else by mAP@50.
    """
    twins = {record["system"] for record in records if record.get("trained_as")}
    there = {record["system"] for record in records} - twins
    groups: dict[tuple[str, str], dict[str, dict[tuple[str, str], float]]] = {}
    for one in published():
        start = STARTS.get(one.initialisation, "" if one.system.startswith("zhang2020") else None)
        if start is None or one.initialisation == "untrained" or one.system + start not in there:
            continue
        key = (one.source.split(",")[0], one.data)
        groups.setdefault(key, {}).setdefault(one.system + start, {})[one.direction, one.figure] = one.value
    found = [_order(document, data, systems, records) for (document, data), systems in groups.items()]
    return [order for order in found if order.pairs]


def _order(
    document: str, data: str, systems: Mapping[str, Mapping[tuple[str, str], float]], records: Sequence[Record]
) -> Order:
    figure = next(f for f in MAIN if any(f == key for values in systems.values() for _, key in values))
    pairs, signs = [], []
    for a, b in combinations(systems, 2):
        ways = [way for way in WAYS if (way, figure) in systems[a] and (way, figure) in systems[b]]
        theirs = sum(systems[a][way, figure] - systems[b][way, figure] for way in ways)
        if not theirs:
            continue
        better, worse = (a, b) if theirs > 0 else (b, a)
        if one := compared(records, better, worse, figure.replace("p", "r") if figure != "map50" else figure, ways):
            pairs.append(one)
            signs.append(np.sign(one.ours))
    names = tuple(dict.fromkeys(name for pair in pairs for name in (pair.better, pair.worse)))
    return Order(document, data, figure, names, tuple(pairs), float(np.mean(signs)) if signs else float("nan"))
