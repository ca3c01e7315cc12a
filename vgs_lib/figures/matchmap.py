"""Figures of whole matchmaps: the 3-D density over x, y and time, and what co-segmentation finds.

Both are figures of harwath2019: the density of figure 3, the projections on picture and spectrogram of figures 13 to
15 (section 5.6). Shapes: H W grid, T frames, Y X pixels, N samples. Times are in seconds.
"""

import json
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from plotly import graph_objects

from vgs_lib.clock import Clock
from vgs_lib.discovery import Component, TimedWord
from vgs_lib.front_ends import LogMel

MAX_CELLS = 9000  # of a 3-D figure: about 120 kB in a notebook
PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2")  # Okabe and Ito, 2008


def pool(matchmap: np.ndarray, max_cells: int = MAX_CELLS) -> tuple[np.ndarray, tuple[int, int, int]]:
    """A matchmap [H, W, T] of at most ``max_cells`` cells, each the greatest of those that it stands for.

    Returns it and the cells (rows, columns, frames) that one stands for. Rows and columns are halved first, until 16
    or fewer are left; then frames.
    """
    values, factors = np.asarray(matchmap, dtype=np.float32), [1, 1, 1]
    while values.size > max_cells and max(values.shape) > 1:
        space = max(values.shape[:2]) > 16 or values.shape[2] == 1
        for axis in (0, 1) if space else (2,):
            starts = np.arange(0, values.shape[axis], 2)
            values = np.maximum.reduceat(values, starts, axis=axis)
            factors[axis] *= 2
    return values, tuple(factors)


def density_figure(
    matchmap,
    *,
    threshold: float,
    clock: Clock,
    words: Sequence[TimedWord] = (),
    title: str = "",
    max_cells: int = MAX_CELLS,
) -> graph_objects.Figure:
    """A matchmap as a density in 3-D: surfaces of equal similarity over time (s), x and y (% of the picture).

    Args:
        matchmap: [H, W, T] similarities; pooled by `pool` so that the figure stays small.
        threshold: similarity of the outermost surface.
        clock: when the frames are heard: ``DualEncoder.clock``.
        words: written along the time axis.
        title: heading.
        max_cells: how many cells are kept.

    Returns:
        A plotly figure; `InteractiveFigure` shows it with a sentence for readers who cannot see it.
    """
    full = np.asarray(matchmap, dtype=np.float32)
    values, (rows, columns, frames) = pool(full, max_cells)
    centre = lambda count, step, whole: np.minimum((np.arange(count) + 0.5) * step, whole)
    y, x, time = np.meshgrid(
        (centre(values.shape[0], rows, full.shape[0]) / full.shape[0] * 100).round().astype(np.uint8),
        (centre(values.shape[1], columns, full.shape[1]) / full.shape[1] * 100).round().astype(np.uint8),
        clock.seconds(centre(values.shape[2], frames, full.shape[2])).astype(np.float32),
        indexing="ij",
    )
    top = max(float(values.max()), threshold + 1e-3)
    surfaces = graph_objects.Isosurface(
        x=time.ravel(),
        y=x.ravel(),
        z=y.ravel(),
        value=values.ravel(),
        isomin=threshold,
        isomax=threshold + 0.8 * (top - threshold),
        surface={"count": 3},
        opacity=0.45,
        caps={"x_show": False, "y_show": False, "z_show": False},
        colorscale="Cividis",
        cmin=threshold,
        cmax=top,
        colorbar={"title": {"text": "similarity<br>(no unit)"}, "len": 0.7},
        hovertemplate="%{x:.2f} s, x %{y} %, y %{z} %: similarity %{value:.1f}<extra></extra>",
    )
    labels = graph_objects.Scatter3d(
        x=[(word.start + word.end) / 2 for word in words],
        y=[0] * len(words),
        z=[108] * len(words),
        text=[word.text for word in words],
        mode="text",
        hoverinfo="skip",
        showlegend=False,
    )
    figure = graph_objects.Figure([surfaces, labels])
    seconds = clock.seconds(full.shape[2])
    figure.update_layout(
        title={"text": title},
        height=480,
        margin={"l": 10, "r": 0, "t": 40, "b": 0},
        scene={
            "xaxis": {"title": {"text": "time (s)"}, "range": [0, seconds]},
            "yaxis": {"title": {"text": "x (% of the picture)"}, "range": [0, 100]},
            "zaxis": {"title": {"text": "y (% from the top)"}, "range": [110, 0]},
            "aspectmode": "manual",
            "aspectratio": {"x": 2.2, "y": 1, "z": 1},
            "camera": {"eye": {"x": 0.6, "y": -2.6, "z": 0.9}},
        },
        template="plotly_white",
    )
    return figure


def density_sentence(found: Sequence[Component], threshold: float) -> str:
    """What a 3-D density shows, for readers who cannot see it."""
    if not found:
        return f"Nowhere and at no moment does the similarity reach {threshold:.1f}."
    parts = []
    for component in sorted(found, key=lambda component: component.span):
        y, x = (int(place.mean() / side * 100) for place, side in _places(component))
        start, end = component.span
        parts.append(f"{start:.1f} to {end:.1f} s around x {x} %, y {y} %")
    return f"Similarity of at least {threshold:.1f} in {len(found)} places and times: {'; '.join(parts)}."


def _places(component: Component):
    """Rows, then columns (cell centres) of a component's mask, each with the number of cells of that axis."""
    mask = component.mask
    return [(places + 0.5, side) for places, side in zip(np.nonzero(mask), mask.shape, strict=True)]


class InteractiveFigure:
    """A plotly figure as a notebook output, drawn by JupyterLab's own plotly renderer; ``alt`` is its text."""

    def __init__(self, figure: graph_objects.Figure, alt: str):
        self.figure, self.alt = figure, alt

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"application/vnd.plotly.v1+json": json.loads(self.figure.to_json()), "text/plain": self.alt}


def components_figure(
    picture: np.ndarray,
    waveform: np.ndarray,
    found: Sequence[Component],
    *,
    names: Sequence[str] = (),
    words: Sequence[TimedWord] = (),
    title: str = "",
    rate: int = 16000,
) -> Figure:
    """Components projected on the picture and on the spectrogram, in the same colours and with the same numbers.

    Args:
        picture: uint8 [Y, X, 3].
        waveform: [N] at ``rate``.
        found: from `vgs_lib.discovery.components`.
        names: what to call each in the legend, such as the word that it meets.
        words: written over the spectrogram at their time.
        title: heading of the picture.
        rate: samples per second.
    """
    figure = Figure(figsize=(9.6, 4.0), dpi=72, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.6])
    left.imshow(_tinted(picture, found))
    left.set_title(title or "Picture")
    left.set_axis_off()
    duration = len(waveform) / rate
    features, _ = LogMel(sample_rate=rate)([torch.from_numpy(np.array(waveform, np.float32))])
    bands = features.shape[1]
    edges = (0, duration, 0, bands)
    shown = right.imshow(
        features[0].numpy(), origin="lower", aspect="auto", cmap="gray", extent=edges, vmin=-80, vmax=0
    )
    figure.colorbar(shown, ax=right, label="level (dB below the loudest)", shrink=0.7)
    for index, component in enumerate(found):
        colour = PALETTE[index % len(PALETTE)]
        name = f"{index + 1}: {names[index]}" if names else str(index + 1)
        start, end = component.span
        end = min(end, duration)
        right.axvspan(start, end, color=colour, alpha=0.35)
        right.axvspan(start, end, ymin=0.88, color=colour, label=name)
        right.text((start + end) / 2, bands * 0.94, str(index + 1), ha="center", va="center", weight="bold")
        y, x = (float(place.mean() / side) for place, side in _places(component))
        box = {"boxstyle": "circle", "facecolor": colour, "edgecolor": "black"}
        left.text(x * picture.shape[1], y * picture.shape[0], str(index + 1), ha="center", va="center", bbox=box)
    right.set(xlim=(0, duration), xlabel="time (s)", ylabel="mel band", title="Spectrogram (log-mel)")
    heard = right.secondary_xaxis("top")
    heard.set_xticks([(word.start + word.end) / 2 for word in words], [word.text for word in words], fontsize=9)
    heard.tick_params(length=0)
    if found:
        right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=min(3, len(found)), fontsize=9)
    return figure


def _tinted(picture: np.ndarray, found: Sequence[Component]) -> np.ndarray:
    """The picture, darker, with each component's mask in its colour."""
    tinted = picture * 0.45
    for index, component in enumerate(found):
        mask = component.pixels(picture.shape[:2])
        colour = np.array(to_rgb(PALETTE[index % len(PALETTE)])) * 255
        tinted[mask] = 0.6 * picture[mask] + 0.4 * colour
    return tinted.round().astype(np.uint8)
