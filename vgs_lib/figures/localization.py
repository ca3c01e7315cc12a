"""Figures and tables of localization: regions over pictures, the sweep of the threshold, scores beside baselines.

All heat is drawn in cividis; regions and masks differ by line style as well as colour. Shapes: H W pixels of a
picture, h w grid, N words, K thresholds.
"""

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from vgs_lib import localization, viz
from vgs_lib.evaluation.localization_scores import MEASURES, SIZES, LocatedWord, by_label, summary

HEAT_RANGE = (0.0, 0.5)  # cosines drawn as dark blue and yellow
REGION, MASK = "#ff8c1a", "white"
TITLES = {"iou": "IoU", "iod": "IoD", "iot": "IoT", "pointing": "pointing", "average_precision": "average precision"}
_SHADES = ("#00224e", "#7d7c78", "#b9a94b", "#fee838")  # of cividis, dark to light


def draw_region(axes, picture: np.ndarray, heat: Tensor, mask: Tensor, threshold: float) -> None:
    """Heat over a picture, the outline of what is at least as hot as ``threshold`` and, dashed, that of the mask.

    Args:
        axes: of matplotlib.
        picture: uint8 [H, W, 3].
        heat: ``[h, w]`` cosines.
        mask: ``[H, W]`` bool.
        threshold: a cosine.
    """
    (low, high), heat = HEAT_RANGE, heat.detach().float().cpu()
    axes.imshow(viz.overlay(picture, ((heat - low) / (high - low)).numpy()))
    marked = localization.upsample(heat, tuple(mask.shape)) >= threshold
    for region, colour, line in ((mask, MASK, "--"), (marked, REGION, "-")):
        if region.any() and not region.all():
            axes.contour(region.float(), levels=[0.5], colors="black", linewidths=2.6, linestyles="-")
            axes.contour(region.float(), levels=[0.5], colors=colour, linewidths=1.4, linestyles=line)
    axes.set(xticks=[], yticks=[])  # not set_axis_off: the layout leaves no room for the titles of such axes
    axes.spines[:].set_visible(False)


def region_figure(
    pictures: Sequence[np.ndarray], words: Sequence[LocatedWord], threshold: float, *, titles: Sequence[str]
) -> Figure:
    """One picture for each word: its heat, the marked region and, dashed, the mask.

    Args:
        pictures: the scene of each word, uint8 [H, W, 3].
        words: of :func:`vgs_lib.evaluation.localization_scores.locate_words`.
        threshold: a cosine.
        titles: one for each picture.
    """
    columns = min(4, len(words))
    rows = -(-len(words) // columns)
    height = 3.1 * rows + 0.95  # inches: the layouts of matplotlib forget the titles of pictures with a fixed aspect
    figure = Figure(figsize=(max(4.6, 2.45 * columns), height), dpi=72)
    drawn = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(0.01, 0.95 / height, 0.99, 1 - 0.65 / height, wspace=0.04, hspace=0.27)
    for axes in drawn.flat[len(words) :]:
        axes.set_visible(False)
    for axes, picture, word, title in zip(drawn.flat, pictures, words, titles, strict=False):
        draw_region(axes, picture, word.heat, word.mask, threshold)
        axes.set_title("\n".join(textwrap.fill(line, 26) for line in title.split("\n")), fontsize=9)
    scale = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(*HEAT_RANGE), viz.COLOUR_MAP)
    bar = figure.add_axes((0.03, 0.6 / height, 0.42, 0.14 / height))
    figure.colorbar(scale, cax=bar, orientation="horizontal", label="heat: cosine (no unit)")
    lines = [Line2D([], [], color=REGION, linewidth=2), Line2D([], [], color="0.4", linestyle="--", linewidth=2)]
    labels = ["marked region", "mask of the thing (white)"]
    figure.legend(lines, labels, loc="lower right", bbox_to_anchor=(0.98, 0.12 / height), fontsize=9)
    return figure


def sweep_figure(
    thresholds: Sequence[float], means: Mapping[str, Sequence[float]], *, marks: Mapping[str, float] | None = None
) -> Figure:
    """Means over validation words at each threshold, one line for each measure.

    Args:
        thresholds: ``[K]`` cosines.
        means: measure -> ``[K]``, each 0 to 1.
        marks: label -> a threshold that is marked by a vertical line.
    """
    figure = Figure(figsize=(9.2, 3.6), dpi=72, layout="constrained")
    axes = figure.subplots()
    for (name, values), colour, line in zip(means.items(), _SHADES, ("-", "--", "-."), strict=False):
        axes.plot(thresholds, values, line, color=colour, linewidth=2.2, label=TITLES.get(name, name))
    for (label, value), line in zip((marks or {}).items(), ("-", ":"), strict=False):
        axes.axvline(value, color="#b3261e", linestyle=line, linewidth=1.5, label=f"{label}: {value:.3f}")
    axes.set(xlabel="threshold (cosine, no unit)", ylabel="mean over validation words (share)", ylim=(0, 1))
    axes.set_title("The threshold trades what is found for what is missed")
    figure.legend(loc="outside right upper", fontsize=9)
    axes.grid(alpha=0.3)
    return figure


def size_figure(scores: Mapping[str, Mapping[str, Tensor]], sizes: Sequence[str], scenes: Sequence[int]) -> Figure:
    """IoU, pointing and average precision for each size of things, beside baselines, with 95 % intervals.

    Args:
        scores: method -> scores of :func:`vgs_lib.evaluation.localization_scores.word_scores`.
        sizes: ``[N]``, of :func:`vgs_lib.evaluation.localization_scores.object_size`.
        scenes: ``[N]``, the scene of each word; whole scenes are drawn for the intervals.
    """
    measures = ("iou", "pointing", "average_precision")
    present = [size for size in SIZES if size in sizes]
    figure = Figure(figsize=(9.4, 3.4), dpi=72, layout="constrained")
    for axes, measure in zip(figure.subplots(1, 3, sharey=True), measures, strict=True):
        for place, (method, values) in enumerate(scores.items()):
            found = _of_sizes({measure: values[measure]}, sizes, scenes, present)
            mean, low, high = (np.array(row) for row in zip(*found, strict=True))
            across = np.arange(len(present)) + (place - (len(scores) - 1) / 2) * 0.8 / len(scores)
            errors = [np.maximum(0, mean - low), np.maximum(0, high - mean)]
            colour = _SHADES[place % len(_SHADES)]
            axes.bar(
                across, mean, 0.8 / len(scores), yerr=errors, capsize=2, color=colour, edgecolor="0.3", label=method
            )
        counts = [f"{size}\n({sizes.count(size)} words)" for size in present]
        axes.set_xticks(range(len(present)), counts, fontsize=9)
        axes.set_title(TITLES[measure])
    figure.axes[0].set(ylabel="mean (share, 0 to 1)", ylim=(0, 1.05))
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    return figure


def _of_sizes(scores: Mapping[str, Tensor], sizes: Sequence[str], scenes: Sequence[int], present: Sequence[str]):
    """(mean, low, high) of the only measure of ``scores`` for each size."""
    parts = by_label(scores, sizes)
    for size in present:
        groups = [scene for scene, other in zip(scenes, sizes, strict=True) if other == size]
        (found,) = summary(parts[size], groups=groups).values()
        yield found


def scores_table(rows: Mapping[str, Mapping[str, tuple[float, float, float]]], *, first: str = "") -> str:
    """A table in Markdown: one row for each method, mean and 95 % interval of each measure, as shares from 0 to 1.

    Args:
        rows: method -> summary of :func:`vgs_lib.evaluation.localization_scores.summary`.
        first: heading of the first column.
    """
    lines = [f"| {first} | " + " | ".join(TITLES[name] for name in MEASURES) + " |"]
    lines.append("|---" * (len(MEASURES) + 1) + "|")
    for label, found in rows.items():
        cells = [f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in (found[name] for name in MEASURES)]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def words_table(words: Sequence[LocatedWord], scores: Mapping[str, Tensor], *, num: int = 5) -> str:
    """A table in Markdown: the ``num`` words with the best and the ``num`` with the worst IoU, worst first."""
    order = torch.argsort(scores["iou"]).tolist()
    chosen = order if len(order) <= 2 * num else order[:num] + order[-num:]
    lines = ["| word | share of the picture | " + " | ".join(TITLES[name] for name in MEASURES) + " |"]
    lines.append("|---" * (len(MEASURES) + 2) + "|")
    for row in chosen:
        values = " | ".join(f"{float(scores[name][row]):.2f}" for name in MEASURES)
        lines.append(f"| {words[row].text} | {localization.chance_pointing(words[row].mask):.3f} | {values} |")
    return "\n".join(lines)
