"""Retrieval figures as tables and plots, each beside its chance level and its interval.

Legend: Q queries, C candidates.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure as Plot
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
from torch import Tensor

from vgs_lib import retrieval
from vgs_lib.retrieval import Targets
from vgs_lib.retrieval.mistakes import Mistake
from vgs_lib.retrieval.targets import target_mask
from vgs_lib.search.nearest import Found, PictureSearch, Quality, quality

if TYPE_CHECKING:
    from vgs_lib.widgets.collection import Collection

_BLUE, _GOLD, _GREY = "#00336f", "#c9a227", "#6b7280"


@dataclass(frozen=True)
class Figure:
    """A figure with the ends of its bootstrap interval and its chance level."""

    name: str
    value: float
    low: float
    high: float
    chance: float


def report(scores: Tensor, targets: Targets = None, *, seed: int = 0) -> tuple[Figure, ...]:
    """R@1, R@5, R@10, mAP and the median rank of queries (rows), with 95 % intervals over queries.

    Arguments and errors are those of :func:`vgs_lib.retrieval.recall_at_k`.
    """
    num_right = target_mask(targets, *scores.shape).sum(dim=1).tolist()
    count = scores.shape[1]
    figures = []
    for k in (1, 5, 10):
        hits = retrieval.hits_at_k(scores, k, targets)
        figures.append(_figure(f"R@{k}", hits, retrieval.chance_recall(count, k, num_right), seed))
    precision = retrieval.average_precision(scores, targets)
    figures.append(_figure("mAP", precision, retrieval.chance_average_precision(count, num_right), seed))
    ranks = retrieval.ranks(scores, targets)
    ends = retrieval.bootstrap_interval(ranks, seed=seed, statistic="median")
    chance = retrieval.chance_median_rank(count, num_right)
    return (*figures, Figure("median rank", retrieval.median_rank(scores, targets), *ends, chance))


def _figure(name: str, values: Tensor, chance: float, seed: int) -> Figure:
    return Figure(name, float(values.mean()), *retrieval.bootstrap_interval(values, seed=seed), chance)


def table(reports: Mapping[str, Sequence[Figure]]) -> str:
    """Reports as lines of text, one figure a line under the name of each report."""
    lines = []
    for title, figures in reports.items():
        lines.append(title)
        for found in figures:
            digits = 1 if found.name == "median rank" else 3
            value, low, high, chance = (f"{x:.{digits}f}" for x in (found.value, found.low, found.high, found.chance))
            lines.append(f"  {found.name:<12} {value:>6}  95 % interval {low} to {high:<6}  chance {chance}")
    return "\n".join(lines)


def recall_plot(reports: Mapping[str, Sequence[Figure]]) -> Plot:
    """The figures between 0 and 1 as points with their intervals; their chance levels as short lines."""
    plot = Plot(figsize=(7.2, 3.6), dpi=80, layout="constrained")
    axes = plot.add_subplot()
    colours = (_BLUE, _GOLD, _GREY, "#7b3f8c")
    names: list[str] = []
    for number, (title, figures) in enumerate(reports.items()):
        shares = [found for found in figures if found.name != "median rank"]
        names = [found.name for found in shares]
        places = np.arange(len(shares)) + 0.16 * (number - (len(reports) - 1) / 2)
        values = np.array([found.value for found in shares])
        ends = [values - [found.low for found in shares], [found.high for found in shares] - values]
        options = {"color": colours[number % 4], "marker": "os^D"[number % 4], "capsize": 4, "linestyle": "none"}
        axes.errorbar(places, values, yerr=np.maximum(ends, 0), label=title, **options)
        chance = [found.chance for found in shares]
        axes.hlines(chance, places - 0.07, places + 0.07, color="#b3261e", label="chance" if number == 0 else None)
    axes.set_xticks(range(len(names)), names)
    axes.set(
        ylim=(-0.03, 1.03), ylabel="share of queries (mAP: mean precision)", title="Retrieval, with 95 % intervals"
    )
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8, loc="center left")
    return plot


def mistake_plot(collection: "Collection", mistake: Mistake) -> Plot:
    """A mistake: the picture put first, the right one, and how much each word voted for the wrong one."""
    votes = collection.votes(mistake)
    first, right = (collection.pictures[place].load() for place in (mistake.first, mistake.right))
    plot = Plot(figsize=(9.6, 2.7), dpi=60, layout="constrained")
    axes = plot.subplots(1, 3, width_ratios=[1, 1, 1.8])
    titles = ("put first", f"true picture, place {mistake.rank:g}")
    for axis, picture, title in zip(axes, (first, right), titles, strict=False):
        axis.imshow(picture)
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
    names, values = zip(*votes, strict=True)
    colours = [_GOLD if value > 0 else _BLUE for value in values]
    axes[2].barh(range(len(values)), values, color=colours)
    axes[2].set_yticks(range(len(names)), names, fontsize=8)
    axes[2].invert_yaxis()
    axes[2].axvline(0, color="black", linewidth=0.8)
    axes[2].set_xlabel("vote for the wrong picture (similarity, no unit)")
    plot.suptitle(f"“{collection.captions[mistake.query].title}”", fontsize=10)
    return plot


def measure(
    search: PictureSearch, audio_maps: Sequence[Tensor], exact: Sequence[Found], *, efforts: Sequence[int], **options
) -> list[tuple[str, Quality]]:
    """The quality of a search at each effort (lists probed, or candidates kept), beside exact searches.

    Query i's own picture is picture i. ``options`` are those of :meth:`PictureSearch.search`.
    """
    rows = []
    for effort in efforts:
        search.index.set_effort(effort)
        found = [search.search(one, **options) for one in audio_maps]
        rows.append((f"effort {effort}", quality(found, exact, range(len(exact)))))
    return rows


def search_table(curves: Mapping[str, Sequence[tuple[object, Quality]]]) -> str:
    """The points of :func:`search_plot` as lines of text."""
    return "\n".join(
        f"{name:<22}{label!s:<12} exact ten {found.recall:.2f}  own {found.hits:.2f}  {found.milliseconds:6.1f} ms"
        for name, points in curves.items()
        for label, found in points
    )


def search_plot(curves: Mapping[str, Sequence[tuple[object, Quality]]]) -> Plot:
    """Recall and time of searches: one line of (label, quality) points for each name; upper left is better."""
    plot = Plot(figsize=(8.4, 3.9), dpi=80, layout="constrained")
    draw: list[tuple[str, Callable[[Quality], float]]] = [
        ("exact ten that were found", lambda found: found.recall),
        ("queries whose own picture was found", lambda found: found.hits),
    ]
    for axes, (title, value) in zip(plot.subplots(1, 2, sharey=True), draw, strict=True):
        for number, (name, points) in enumerate(curves.items()):
            times = [found.milliseconds for _, found in points]
            colour, marker = ("#111111", _GREY, _BLUE, _GOLD)[number % 4], "*sod"[number % 4]
            axes.plot(times, [value(found) for _, found in points], color=colour, marker=marker, label=name)
            for label, found in points:
                at = (found.milliseconds, value(found))
                axes.annotate(str(label), at, xytext=(6, -7), textcoords="offset points", fontsize=7)
        axes.set(xscale="log", xlabel="time of a query (ms, median)", ylim=(-0.06, 1.06))
        axes.xaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), minor_locator=NullLocator())
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.set_title(f"Share of the {title}" if "exact" in title else f"Share of {title}", fontsize=10)
        axes.grid(alpha=0.3)
    plot.axes[0].set_ylabel("share")
    handles, names = plot.axes[0].get_legend_handles_labels()
    plot.legend(handles, names, fontsize=8, loc="outside lower center", ncols=len(names))
    return plot
