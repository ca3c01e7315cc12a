"""Figures of training runs: curves over steps."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from vgs_lib.studies.history import LABELS, Run
from vgs_lib.viz import COLOURS


def curves_figure(
    runs: Mapping[str, Run] | Sequence[Run], figure: str = "speech_to_image_r10", *, title: str = ""
) -> Figure:
    """One figure of several runs over their steps, with its chance level where it has one."""
    chosen = list(runs.values()) if isinstance(runs, Mapping) else list(runs)
    drawn = Figure(figsize=(8, 4), dpi=72, layout="constrained")
    axes = drawn.add_subplot()
    for index, run in enumerate(chosen):
        axes.plot(*run.curve(figure), marker="os^Dv<>P"[index % 8], color=COLOURS[index % len(COLOURS)], label=run.name)
    if chance := next((run.chance[figure] for run in chosen if figure in run.chance), None):
        axes.axhline(chance, color="0.4", linestyle="--", label=f"chance ({chance:.3g})")
    axes.set(xlabel="step", ylabel=LABELS.get(figure, figure), title=title)
    axes.legend(fontsize=9)
    return drawn
