"""Figures of records (:mod:`vgs_lib.benchmark.reproduce`): recall with intervals, recall against cost, data and steps.

Every function takes whatever records there are and says in words which are not there yet.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from vgs_lib.benchmark.records import one_of_each
from vgs_lib.errors import DataError
from vgs_lib.retrieval import WAY_LABELS, WAYS
from vgs_lib.viz import COLOURS

Record = Mapping[str, Any]
_MARKS = "osD^vP*X"
CHANCE = 10 / 1000  # of recall at 10 among 1,000


def recall_figure(records: Sequence[Record], *, title: str, order: Sequence[str] | None = None, k: int = 10) -> Figure:
    """Recall at ``k`` (1, 5 or 10) among 1,000 scenes, both ways, one line for each system and seed, with intervals.

    The intervals are 95 % over queries. ``order``: the systems in this order; None puts the best recall first.

    Raises:
        DataError: no records.
    """
    records = _some(records)
    recall = lambda record, way: record["figures"]["1000 scenes"][way][f"r{k}"]
    if order is None:
        means = {name: np.mean([_mean(r, k) for r in found]) for name, found in _by_system(records).items()}
        order = sorted(means, key=means.get, reverse=True)
    seeds = {name: sorted(found, key=lambda r: r["seed"]) for name, found in _by_system(records).items()}
    rows = [record for name in order for record in seeds.get(name, [])]
    figure = Figure(figsize=(8, 1.3 + 0.27 * len(rows)), dpi=72, layout="constrained")
    axes = figure.add_subplot()
    for number, way in enumerate(WAYS):
        values = np.array([recall(record, way) for record in rows])
        ends = np.array([record["figures"]["1000 scenes"][way][f"r{k}_ci"] for record in rows]).reshape(-1, 2)
        sides = np.maximum([values - ends[:, 0], ends[:, 1] - values], 0)
        at = np.arange(len(rows)) + 0.2 * number - 0.1
        style = {"color": COLOURS[number], "marker": _MARKS[number], "markersize": 5, "capsize": 3, "linestyle": "none"}
        axes.errorbar(values, at, xerr=sides, label=WAY_LABELS[way], **style)
    axes.axvline(k / 1000, color="0.4", linestyle="--", label=f"chance ({k / 1000:g})")
    label = lambda r: f"{r['system']}, seed {r['seed']}" if len(seeds[r["system"]]) > 1 else r["system"]
    names = [label(record) for record in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel=f"recall at {k} among 1,000 scenes (share)", title=title)
    axes.set_xlim(left=0)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def cost_figure(records: Sequence[Record], *, named: int = 6) -> Figure:
    """Recall at 10 (mean of both ways) against trained parameters and against steps, coloured by document.

    Vertical lines span the two ways' intervals together. The ``named`` best systems carry their names. DataError
    without records.
    """
    records = _some(records)
    documents = list(dict.fromkeys(_document(record) for record in records))
    best = one_of_each(sorted(records, key=_mean, reverse=True))[:named]
    figure = Figure(figsize=(10, 4.4), dpi=72, layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    labels = ("trained parameters (millions)", "steps in the budget")
    costs = (lambda r: r["parameters"]["trained"] / 1e6, lambda r: r["steps"])
    for axes, label, cost in zip(panels, labels, costs, strict=True):
        for number, document in enumerate(documents):
            rows = [record for record in records if _document(record) == document]
            values = np.array([_mean(record) for record in rows])
            ends = np.array([_span(record) for record in rows])
            style = {"color": COLOURS[number % len(COLOURS)], "marker": _MARKS[number % len(_MARKS)]}
            sides = np.maximum([values - ends[:, 0], ends[:, 1] - values], 0)
            axes.errorbar([cost(r) for r in rows], values, yerr=sides, linestyle="none", label=document, **style)
        _name(axes, [(cost(record), _mean(record), record["system"]) for record in best], list(map(cost, records)))
        axes.axhline(CHANCE, color="0.4", linestyle="--", label=f"chance ({CHANCE:g})")
        axes.set(xscale="log", xlabel=label)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
    panels[0].set(ylabel="recall at 10 among 1,000 scenes (share)", ylim=(0, None))
    panels[1].legend(fontsize=8)
    figure.suptitle("Recall at 10, mean of both ways, against size and steps", fontsize=11)
    return figure


def _name(axes: Axes, points: Sequence[tuple[float, float, str]], along: Sequence[float]) -> None:
    """Names beside points (x, y, name), towards the middle of all x ``along`` the axis, none over another."""
    middle, lines = np.sqrt(min(along) * max(along)), {}
    gap = 0.045 * max(y for _, y, _ in points)  # of two lines of text
    for x, y, name in sorted(points, key=lambda point: -point[1]):
        right = x > middle
        lines[right] = min(y, lines.get(right, np.inf) - gap)
        style = {"ha": "right" if right else "left", "va": "center", "fontsize": 7}
        axes.annotate(name, (x, y), xytext=(x / 1.1 if right else x * 1.1, lines[right]), textcoords="data", **style)


def terms_figure(records: Sequence[Record], terms: Sequence[str] = ("sampled", "semi_hard")) -> Figure:
    """The terms of a loss over the steps of each record that has them, as harwath2019's Fig. 5 (DataError if none)."""
    rows = _some(with_terms(records, terms))
    figure = Figure(figsize=(min(10, 1.5 + 3.6 * len(rows)), 3.6), dpi=72, layout="constrained")
    for axes, record in zip(figure.subplots(1, len(rows), squeeze=False)[0], rows, strict=True):
        steps = [line["step"] for line in record["history"]]
        for number, term in enumerate(terms):
            style = {"color": COLOURS[number], "linestyle": ("-", "--")[number % 2]}
            axes.plot(steps, [line[term] for line in record["history"]], label=term.replace("_", "-"), **style)
        if (begin := _scenes_begin(record)) is not None:
            axes.axvline(begin, color="0.6", linestyle=":", label="scenes begin")
        axes.set(xlabel="step", ylim=(0, None))
        minutes = record["conditions"]["minutes"]
        axes.set_title(f"{record['system']}\nseed {record['seed']}, {minutes:g} min", fontsize=8)
        axes.legend(fontsize=8)
    figure.axes[0].set_ylabel("term of the loss (sum over a batch)")
    return figure


def with_terms(records: Sequence[Record], terms: Sequence[str] = ("sampled", "semi_hard")) -> list[Record]:
    """The records whose history has these terms."""
    return [record for record in records if record["history"] and set(terms) <= set(record["history"][0])]


def amount_figure(records: Sequence[Record], series: Mapping[str, str]) -> Figure:
    """Recall at 10 against the number of training scenes, as harwath2019's Fig. 6; DataError without records.

    Vertical lines span the two ways' intervals together; of several seeds the first is drawn. The axis of
    recall is logarithmic, so that lines near chance can be told apart too; a recall of 0 has no mark on it.

    series: the name of the line that a system's point is on.
    """
    rows = _some(one_of_each([record for record in records if record["system"] in series]))
    figure = Figure(figsize=(7.6, 4), dpi=72, layout="constrained")
    axes = figure.add_subplot()
    for number, name in enumerate(dict.fromkeys(series.values())):
        points = sorted((scenes_of(r), _mean(r), *_span(r)) for r in rows if series[r["system"]] == name)
        if points:
            at, values, low, high = np.array(points).T
            style = {
                "color": COLOURS[number],
                "marker": _MARKS[number],
                "linestyle": ("-", "--", "-.", ":")[number % 4],
            }
            axes.errorbar(at, values, yerr=np.maximum([values - low, high - values], 0), capsize=3, label=name, **style)
    axes.axhline(CHANCE, color="0.4", linestyle="--", label=f"chance ({CHANCE:g})")
    axes.set(xlabel="training scenes", ylabel="recall at 10 among 1,000 scenes (share)", yscale="log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title("Recall at 10, mean of both ways, against the amount of training data", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def scenes_of(record: Record) -> int:
    """How many training scenes a record's run used."""
    data = record["conditions"]["data"]
    return data.get("used") or data["num_scenes"]


def _scenes_begin(record: Record) -> int | None:
    """The step from which on a run trained on scenes, None where it did from the start."""
    phases = record["plan"]["data"]["phases"]
    return phases[0][0] if phases else None


def _document(record: Record) -> str:
    """The document of a system: the part of its name before the first hyphen."""
    return record["system"].split("-")[0]


def _mean(record: Record, k: int = 10) -> float:
    return float(np.mean([record["figures"]["1000 scenes"][way][f"r{k}"] for way in WAYS]))


def _span(record: Record) -> tuple[float, float]:
    """The lowest and the highest end of the two ways' intervals."""
    ends = [record["figures"]["1000 scenes"][way]["r10_ci"] for way in WAYS]
    return min(low for low, _ in ends), max(high for _, high in ends)


def _by_system(records: Sequence[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record["system"], []).append(record)
    return found


def _some(records: Sequence[Record]) -> list[Record]:
    if not records:
        raise DataError("there are no such records yet; python -m vgs_lib reproduce makes them")
    return list(records)
