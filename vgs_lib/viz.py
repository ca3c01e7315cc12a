"""Heatmaps over pictures and what a prompt finds: as arrays, matplotlib figures and images with alt text.

All maps are drawn in cividis, which reads the same with and without colour blindness. Shapes: H W pixels, h w
grid, T frames, N samples.
"""

import io

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from vgs_lib import localization
from vgs_lib.prompting import Prompt

# Okabe and Ito's palette: told apart with and without colour blindness.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
COLOUR_MAP = "cividis"


def colour_table(name: str = COLOUR_MAP) -> np.ndarray:
    """uint8 [256, 3]: the colours of heat 0 to 1."""
    return (matplotlib.colormaps[name](np.arange(256))[:, :3] * 255).round().astype(np.uint8)


def upsample(heat: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A heatmap [h, w] as float32 of ``size`` (H, W) pixels, bilinear, grid cells centred."""
    return localization.upsample(torch.from_numpy(np.array(heat, dtype=np.float32)), size).numpy()


def heat_of(matchmap, heat_range: tuple[float, float]) -> np.ndarray:
    """A matchmap [H, W, T] of similarities as heat [T, H, W] float32, 0-1: low and high of the range become 0 and 1."""
    low, high = heat_range
    values = np.moveaxis(np.asarray(matchmap, dtype=np.float32), -1, 0)
    return np.clip((values - low) / (high - low), 0, 1)


def overlay(picture: np.ndarray, heat: np.ndarray, *, opacity: float = 0.75, threshold: float = 0.0) -> np.ndarray:
    """A picture lit by a heatmap: unrelated places turn dim and dark blue, the place that is named glows.

    Args:
        picture: uint8 [H, W, 3].
        heat: [h, w], 0-1.
        opacity: 0 (the picture alone) to 1.
        threshold: heat under it, 0-1, is drawn as 0.

    Returns:
        uint8 [H, W, 3].
    """
    heat = upsample(np.clip(heat, 0, 1), picture.shape[:2])
    heat = np.where(heat >= threshold, heat, 0)
    colours = colour_table()[(heat * 255).round().astype(int)]
    weight = opacity * heat_weight(heat)[..., None]
    return (picture * (1 - weight) + colours * weight).round().astype(np.uint8)


def heat_weight(heat: np.ndarray) -> np.ndarray:
    """How strongly heat (0-1) covers the picture: cold places are dimmed, the named place stays visible."""
    return 0.7 - 0.3 * np.clip(heat, 0, 1)


def prompt_figure(prompt: Prompt, picture: np.ndarray, *, title: str = "", num_moments: int = 4) -> Figure:
    """The whole prompt over its picture, a few moments of it, and its waveform with the span that matches
    best.

    Args:
        prompt: from `Prompter.prompt`.
        picture: uint8 [H, W, 3], the picture of ``prompt``.
        title: what was said.
        num_moments: how many moments of equal distance to show.
    """
    figure = Figure(figsize=(9.6, 4.2), dpi=72, layout="constrained")
    grid = figure.add_gridspec(2, num_moments + 3, height_ratios=[3, 1.2])
    big = figure.add_subplot(grid[:, :3])
    big.imshow(overlay(picture, prompt.whole))
    big.set_title(title or "The whole prompt")
    low, high = prompt.heat_range
    scale = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(low, high), COLOUR_MAP)
    figure.colorbar(scale, ax=big, orientation="horizontal", label="similarity (no unit)", shrink=0.8)
    for index in range(num_moments):
        seconds = (index + 0.5) * prompt.duration / num_moments
        axes = figure.add_subplot(grid[0, 3 + index])
        axes.imshow(overlay(picture, prompt.heat[prompt.frame_at(seconds)]))
        axes.set_title(f"{seconds:.2f} s")
        axes.set_axis_off()
    big.set_axis_off()
    _draw_waveform(figure.add_subplot(grid[1, 3:]), prompt)
    return figure


def _draw_waveform(axes, prompt: Prompt) -> None:
    step = max(1, len(prompt.waveform) // 4000)
    samples = prompt.waveform[::step]
    axes.plot(np.linspace(0, prompt.duration, len(samples)), samples, color="#00224e", linewidth=0.6)
    axes.axvspan(*prompt.span, color="#e9d75b", alpha=0.5, label="matches the picture best")
    axes.set(xlim=(0, prompt.duration), xlabel="time (s)", yticks=[])
    axes.legend(loc="upper right", fontsize=8)


def figure_png(figure: Figure, *, colours: int | None = None) -> bytes:
    """A figure as PNG bytes; reduced to ``colours``, if given: without photographs about a third of the bytes."""
    drawn, data = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    if colours is None:
        return drawn.getvalue()
    Image.open(drawn).convert("RGB").quantize(colours, dither=Image.Dither.NONE).save(data, "png", optimize=True)
    return data.getvalue()


def with_alt(figure: Figure, alt: str, *, photo: bool = False):
    """A figure as an IPython image with ``alt`` for screen readers; show it as a cell's last value.

    ``photo``: as JPEG, where most of the figure is pictures; otherwise as PNG of 256 colours.
    """
    from IPython.display import Image as Shown

    if not photo:
        return Shown(data=figure_png(figure, colours=256), alt=alt)
    data = io.BytesIO()
    figure.savefig(data, format="jpeg", pil_kwargs={"quality": 85})
    return Shown(data=data.getvalue(), format="jpeg", alt=alt)
