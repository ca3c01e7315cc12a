"""Figures of maps: over pictures, over spectrograms, attention over time. Shapes: H W, h w, F mel bands, T frames."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from vgs_lib import viz
from vgs_lib.clock import Clock
from vgs_lib.explain.faithfulness import Faithfulness

Spans = Mapping[str, tuple[float, float]]


def maps_figure(
    picture: np.ndarray,
    maps: Mapping[str, np.ndarray],
    *,
    same_range: bool = False,
    unit: str = "relevance (unit of the method)",
    columns: int = 6,
) -> Figure:
    """Maps (title: [h, w], 0 and up) over one picture uint8 [H, W, 3] in grey, each with a colour bar of its own range.

    ``same_range``: one range for all, so that colours can be compared; only for maps of one method and one layer.
    """
    columns = min(columns, len(maps))
    rows = -(-len(maps) // columns)
    figure = Figure(figsize=(1.9 * columns, 2.35 * rows), dpi=72, layout="constrained")
    highest = max(float(heat.max()) for heat in maps.values())
    for number, (title, heat) in enumerate(maps.items(), start=1):
        axes = figure.add_subplot(rows, columns, number)
        top = (highest if same_range else float(heat.max())) or 1.0
        axes.imshow(_over_grey(picture, np.clip(heat / top, 0, 1)))
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
        _bar(figure, axes, top, unit if number == 1 else "")
    return figure


def spectrogram_figure(
    mel: np.ndarray, heats: Mapping[str, np.ndarray], spans: Spans, *, hop: float, clock: Clock, unit: str = "relevance"
) -> Figure:
    """A log-mel [F, T] above, below it maps (title: [F or 1, T'], 0 and up) over the same time, words marked.

    ``hop`` is the length of a mel frame in seconds; a map covers the same time in fewer frames, which lag as those of
    the model's ``clock``.
    """
    figure = Figure(figsize=(9.6, 1.7 * (1 + len(heats))), dpi=72, layout="constrained")
    every = figure.subplots(1 + len(heats), 1, sharex=True)
    every = np.atleast_1d(every)
    extent = (0, mel.shape[1] * hop, 0, mel.shape[0])
    every[0].imshow(mel, origin="lower", aspect="auto", extent=extent, cmap="gray_r")
    every[0].set(title="log-mel spectrogram", ylabel="mel band")
    for axes, (title, heat) in zip(every[1:], heats.items(), strict=True):
        bands = heat.shape[0] > 1
        top = float(heat.max()) or 1.0
        own = clock.of_layer(heat.shape[1], extent[1])
        edges = extent if bands else (own.seconds(0), own.seconds(heat.shape[1]), *extent[2:])
        axes.imshow(heat, origin="lower", aspect="auto", extent=edges, cmap=viz.COLOUR_MAP, vmin=0, vmax=top)
        axes.set(title=title, ylabel="mel band" if bands else "", yticks=axes.get_yticks() if bands else [])
        axes.set(xlim=extent[:2], ylim=(0, mel.shape[0]))
        figure.colorbar(ScalarMappable(Normalize(0, top), viz.COLOUR_MAP), ax=axes, label=unit, pad=0.01)
    for axes in every:
        _mark(axes, spans, mel.shape[0], named=axes is every[0])
    every[-1].set_xlabel("time (s)")
    return figure


def attention_figure(read: np.ndarray, spans: Spans, *, seconds: float) -> Figure:
    """How much each frame is read, by layer and head [L, heads, T], over time; 1 is an even share; words marked."""
    figure = Figure(figsize=(9.6, 1.2 + 0.9 * len(read)), dpi=72, layout="constrained")
    every = np.atleast_1d(figure.subplots(len(read), 1, sharex=True))
    top = float(np.quantile(read, 0.995))
    for number, (axes, heads) in enumerate(zip(every, read, strict=True), start=1):
        extent = (0, read.shape[-1] * seconds, len(heads) + 0.5, 0.5)
        axes.imshow(heads, aspect="auto", extent=extent, cmap=viz.COLOUR_MAP, vmin=0, vmax=top, interpolation="nearest")
        axes.set(ylabel=f"layer {number}\nhead", yticks=[1, len(heads)])
        _mark(axes, spans, 0.5, named=number == 1)
    every[-1].set_xlabel("time (s)")
    figure.colorbar(
        ScalarMappable(Normalize(0, top), viz.COLOUR_MAP), ax=list(every), label="attention received (1: even share)"
    )
    return figure


def faithfulness_figure(rows: Sequence[Faithfulness], *, title: str) -> Figure:
    """ROAD of each kind of map with its interval; 0 is a map that knows nothing."""
    figure = Figure(figsize=(7.2, 0.8 + 0.34 * len(rows)), dpi=72, layout="constrained")
    axes = figure.add_subplot()
    for place, row in enumerate(reversed(rows)):
        axes.plot([row.low, row.high], [place, place], color="#5b6673", linewidth=3, solid_capstyle="butt")
        axes.plot(row.mean, place, "o", color="#00224e", markersize=8)
    axes.axvline(0, color="#b3261e", linewidth=1)
    axes.set_yticks(range(len(rows)), [row.name for row in reversed(rows)])
    axes.set(title=title, xlabel="ROAD: similarity lost, most relevant minus least relevant pixels, halved (no unit)")
    return figure


def _over_grey(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A picture uint8 [H, W, 3] without its colours, so that all colour is that of heat [h, w], 0-1."""
    grey = (picture @ np.array([0.299, 0.587, 0.114]))[..., None]
    level = (viz.upsample(heat, picture.shape[:2]) * 255).round().astype(int)
    return (0.45 * grey + 0.55 * viz.colour_table()[level]).round().astype(np.uint8)


def _bar(figure: Figure, axes, top: float, label: str) -> None:
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, top), viz.COLOUR_MAP), ax=axes, orientation="horizontal", shrink=0.9, pad=0.02
    )
    bar.set_ticks([0, top], labels=["0", f"{top:.2g}"])
    bar.ax.tick_params(labelsize=8)
    bar.set_label(label, fontsize=8)


def _mark(axes, spans: Spans, height: float, *, named: bool) -> None:
    for name, (start, end) in spans.items():
        for moment in (start, end):
            axes.axvline(moment, color="#e07b39", linewidth=1.2)
        if named:
            options = {"ha": "center", "va": "top", "fontsize": 8, "color": "#222"}
            axes.text((start + end) / 2, height, name, bbox={"facecolor": "#fff", "alpha": 0.8, "lw": 0}, **options)
