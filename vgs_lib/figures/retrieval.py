"""Plots of retrieval: reports of figures, single mistakes, the quality and the time of searches."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from vgs_lib.retrieval.mistakes import Mistake
from vgs_lib.retrieval.report import Estimate
from vgs_lib.search.nearest import Quality

_BLUE, _GOLD, _GREY = "#00336f", "#c9a227", "#6b7280"


def recall_plot(reports: Mapping[str, Sequence[Estimate]]) -> Figure:
    """The figures between 0 and 1 as points with their intervals; their chance levels as short lines."""
    plot = Figure(figsize=(7.2, 3.6), dpi=80, layout="constrained")
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


class Collected(Protocol):
    """What is drawn of a set of pictures and captions, such as a :class:`vgs_lib.widgets.collection.Collection`."""

    pictures: Sequence[Any]
    captions: Sequence[Any]

    def votes(self, mistake: Mistake) -> list[tuple[str, float]]: ...


def mistake_plot(collection: Collected, mistake: Mistake) -> Figure:
    """A mistake: the picture put first, the right one, and how much each word voted for the wrong one."""
    votes = collection.votes(mistake)
    first, right = (collection.pictures[place].load() for place in (mistake.first, mistake.right))
    plot = Figure(figsize=(9.6, 2.7), dpi=60, layout="constrained")
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


def search_table(curves: Mapping[str, Sequence[tuple[object, Quality]]]) -> str:
    """The points of :func:`search_plot` as lines of text."""
    return "\n".join(
        f"{name:<22}{label!s:<12} exact ten {found.recall:.2f}  own {found.hits:.2f}  {found.milliseconds:6.1f} ms"
        for name, points in curves.items()
        for label, found in points
    )


def search_plot(curves: Mapping[str, Sequence[tuple[object, Quality]]]) -> Figure:
    """Recall and time of searches: one line of (label, quality) points for each name; upper left is better."""
    plot = Figure(figsize=(8.4, 3.9), dpi=80, layout="constrained")
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
