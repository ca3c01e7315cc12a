"""Figures of the study of described things: the design, seen against unseen pairs, gamma, attention over time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vgs_lib.benchmark.records import one_of_each
from vgs_lib.data.attribute_design import Design
from vgs_lib.data.attributes import COLOURS, SIZES
from vgs_lib.retrieval import WAY_LABELS, WAYS
from vgs_lib.studies.history import Run
from vgs_lib.viz import COLOUR_MAP
from vgs_lib.viz import COLOURS as LINES

KINDS = {"train": ("", "#ffffff"), "validation-unseen": ("v", "#a6cee3"), "test-unseen": ("t", "#1f3b63")}
FIGURES = {"r1": "R@1", "map50": "mAP@50"}


def design_figure(design: Design, nouns: Sequence[str]) -> Figure:
    """Which pairs of an attribute (columns) and a noun (rows) training has, and which only a split of unseen pairs."""
    attributes = [*COLOURS, *SIZES]
    figure = Figure(figsize=(6.4, 0.8 + 0.24 * len(nouns)), dpi=72, layout="constrained")
    axes = figure.add_subplot()
    for row, noun in enumerate(nouns):
        for column, attribute in enumerate(attributes):
            split = next((s for s in KINDS if s != "train" and (attribute, noun) in design.pairs[s]), "train")
            letter, colour = KINDS[split]
            axes.add_patch(_square(column, row, colour))
            ink = "white" if split == "test-unseen" else "black"
            axes.text(column, row, letter, ha="center", va="center", color=ink, fontsize=9)
    axes.set(xlim=(-0.5, len(attributes) - 0.5), ylim=(len(nouns) - 0.5, -0.5))
    axes.set_xticks(range(len(attributes)), attributes, fontsize=9)
    axes.set_yticks(range(len(nouns)), nouns, fontsize=9)
    axes.xaxis.tick_top()
    axes.axvline(len(COLOURS) - 0.5, color="#b3261e", linewidth=2)
    axes.set_title("t: only in test-unseen, v: only in validation-unseen, empty: trained", fontsize=10)
    return figure


def _square(x: int, y: int, colour: str):
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="#b0b0b0", linewidth=0.5)


def seen_and_unseen_curves(run: Run, figure: str = "speech_to_image_r1") -> Figure:
    """A figure of a run's evaluations over its steps, on seen and on unseen pairs, with chance."""
    drawn = Figure(figsize=(8, 3.6), dpi=72, layout="constrained")
    axes = drawn.add_subplot()
    for prefix, name, marker, colour in (("", "seen pairs", "o", LINES[0]), ("unseen_", "unseen pairs", "s", LINES[1])):
        axes.plot(*run.curve(prefix + figure), marker=marker, color=colour, label=name)
    chance = run.chance[figure]
    axes.axhline(chance, color="0.4", linestyle="--", label=f"chance ({chance:.3f})")
    axes.set(xlabel="step", ylabel="R@1, speech to picture (share, validation)", title="Seen and unseen pairs")
    axes.legend(fontsize=9)
    return drawn


def compared_figure(figures: Mapping[str, Mapping[str, Any]], *, title: str) -> Figure:
    """R@1 and mAP@50 of several sets (name: by way, then by name, as `class_figures`) with intervals and chance."""
    drawn = Figure(figsize=(9.6, 3.2), dpi=72, layout="constrained")
    for place, (way, axes) in enumerate(zip(WAYS, drawn.subplots(1, 2, sharey=True), strict=True)):
        for number, (name, found) in enumerate(figures.items()):
            for column, key in enumerate(FIGURES):
                low, high = found[way][f"{key}_ci"]
                x = column + (number - (len(figures) - 1) / 2) * 0.22
                colour, label = LINES[number % len(LINES)], name if column == 0 else None
                axes.plot([x, x], [low, high], color=colour, linewidth=3, solid_capstyle="butt")
                axes.plot(x, found[way][key], "os^D"[number % 4], color=colour, markersize=8, label=label)
                axes.text(x + 0.04, found[way][key], f"{found[way][key]:.2f}", va="center", fontsize=9)
        for column, key in enumerate(FIGURES):
            chance = next(iter(figures.values()))[way][f"{key}_chance"]
            label = "chance" if column == 0 else None
            axes.plot([column - 0.4, column + 0.4], [chance] * 2, color="0.4", linestyle="--", label=label)
        axes.set_xticks(range(len(FIGURES)), FIGURES.values())
        axes.set(xlim=(-0.5, len(FIGURES) - 0.5), ylim=(0, 1), title=WAY_LABELS[way])
        if place == 0:
            axes.set_ylabel("share (0-1), 95 % intervals")
            axes.legend(fontsize=9)
    drawn.suptitle(title)
    return drawn


def gamma_records_figure(records: Sequence[Mapping[str, Any]]) -> Figure:
    """R@1 of seen and unseen colour pairs over gamma, with intervals over queries, of the experiment "gamma".

    Of several seeds the first, so that every point is one training.
    """
    drawn = Figure(figsize=(9.6, 3.4), dpi=72, layout="constrained")
    ordered = sorted(one_of_each(records), key=gamma_of)
    gammas = [gamma_of(record) for record in ordered]
    for way, axes in zip(WAYS, drawn.subplots(1, 2, sharey=True), strict=True):
        for name, colour, marker in zip(("seen", "unseen"), LINES, "os", strict=False):
            found = [record["figures"][name]["colour"][way] for record in ordered]
            middle = np.array([one["r1"] for one in found])
            ends = np.abs(np.array([one["r1_ci"] for one in found]).T - middle)
            axes.errorbar(gammas, middle, ends, color=colour, marker=marker, capsize=3, label=f"{name} pairs")
        chance = records[0]["figures"]["seen"]["colour"][way]["r1_chance"]
        axes.axhline(chance, color="0.4", linestyle="--", label=f"chance ({chance:.3f})")
        axes.set(xscale="log", xlabel="gamma (no unit, logarithmic)", title=WAY_LABELS[way], ylim=(0, None))
        axes.set_xticks(gammas, [f"{gamma:g}" for gamma in gammas])
        axes.minorticks_off()
    drawn.axes[0].set_ylabel("R@1 (share) of the first seed, 95 % intervals")
    drawn.axes[0].legend(fontsize=9)
    return drawn


def gamma_of(record: Mapping[str, Any]) -> float:
    """The gamma that a record was trained with."""
    return float(record["plan"]["loss"]["options"]["gamma"])


def place_weights_figure(pictures: Mapping[str, np.ndarray], weights: Sequence[np.ndarray]) -> Figure:
    """Pictures (title: uint8 [H, W, 3]) above the weights 0-1 of their places, [h, w] each, in one range of colours."""
    drawn = Figure(figsize=(2.3 * len(pictures) + 0.6, 4.6), dpi=72, layout="constrained")
    low, high = min(float(x.min()) for x in weights), max(float(x.max()) for x in weights)
    axes = drawn.subplots(2, len(pictures), squeeze=False)
    for (title, picture), heat, (above, below) in zip(pictures.items(), weights, axes.T, strict=True):
        above.imshow(picture)
        above.set_title(title, fontsize=9)
        shown = below.imshow(heat, cmap=COLOUR_MAP, vmin=low, vmax=high, interpolation="nearest")
        for one in (above, below):
            one.set_axis_off()
    drawn.colorbar(shown, ax=axes[1].tolist(), label="weight of a place (0-1)", pad=0.01)
    return drawn


def time_attention_figure(
    weights: np.ndarray, spans: Mapping[str, tuple[float, float]], *, seconds: float, title: str
) -> Figure:
    """How much each frame counts, weights [T] that sum to 1, as multiples of an even share; words marked.

    ``seconds``: of a frame.
    """
    drawn = Figure(figsize=(9.6, 2.4), dpi=72, layout="constrained")
    axes = drawn.add_subplot()
    shares = weights * len(weights)
    axes.stairs(shares, np.arange(len(weights) + 1) * seconds, fill=True, color="#5b7fb5")
    axes.axhline(1, color="0.3", linestyle="--", linewidth=1)
    top = 1.25 * float(shares.max())
    for number, (name, (start, end)) in enumerate(spans.items()):
        axes.axvspan(start, end, color="#e9d75b" if number % 2 else "#e07b39", alpha=0.25)
        axes.text((start + end) / 2, 0.97 * top, name, ha="center", va="top", fontsize=9)
    axes.set(xlim=(0, len(weights) * seconds), ylim=(0, top), xlabel="time (s)", title=title)
    axes.set_ylabel("weight (1: even share)")
    return drawn
