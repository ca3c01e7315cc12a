"""Figures of what losses ask of a score matrix (:mod:`vgs_lib.loss_gradients`). Legend: B pairs."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from vgs_lib.loss_gradients import impostor_shares, score_gradient, shares_by_hardness
from vgs_lib.losses import masked_matching
from vgs_lib.viz import COLOUR_MAP, COLOURS


def gradient_figure(scores: Tensor, gradients: Mapping[str, Tensor]) -> Figure:
    """The score matrix, and beside it which impostors each loss presses down.

    A panel is as bright as an impostor's share, relative to the panel's largest, which is in its title; the square root
    lets small shares be seen beside it.
    """
    rows = 1 if len(gradients) < 4 else 2
    columns = -(-(len(gradients) + 1) // rows)
    figure = Figure(figsize=(2.3 * columns + 0.7, 2.7 * rows), dpi=72, layout="constrained")
    panels = figure.subplots(rows, columns).flatten()
    panels[0].imshow(scores.detach().numpy(), cmap=COLOUR_MAP)
    panels[0].set_title(f"scores\n{float(scores.min()):.1f} (dark) to {float(scores.max()):.1f}", fontsize=9)
    panels[0].set(xlabel="captions", ylabel="pictures")
    for axes, (name, gradient) in zip(panels[1:], gradients.items(), strict=False):
        shares = impostor_shares(gradient)
        largest = float(shares.max())
        image = axes.imshow((shares / (largest or 1)).sqrt().numpy(), cmap=COLOUR_MAP, vmin=0, vmax=1)
        axes.set_title(f"{name}\nlargest {100 * largest:.1f} %", fontsize=9)
    for axes in panels:
        axes.set(xticks=[], yticks=[])
    for axes in panels[1 + len(gradients) :]:
        axes.set_axis_off()
    bar = figure.colorbar(image, ax=list(panels), shrink=0.6, label="share of the push, relative to the largest")
    ticks = (0, 0.1, 0.25, 0.5, 1)
    bar.set_ticks([tick**0.5 for tick in ticks], labels=[f"{tick:g}" for tick in ticks])
    return figure


def hardness_figure(curves: Mapping[str, Tensor]) -> Figure:
    """Shares by hardness [B - 1] of several losses, added up from the hardest impostor on."""
    figure = Figure(figsize=(7.6, 4), dpi=72, layout="constrained")
    axes = figure.add_subplot()
    for number, (name, shares) in enumerate(curves.items()):
        style = {"color": COLOURS[number % len(COLOURS)], "linestyle": ("-", "--", "-.")[number % 3]}
        axes.plot(range(1, len(shares) + 1), shares.cumsum(0).tolist(), label=name, **style)
    most = max(map(len, curves.values()))
    axes.plot(range(1, most + 1), [x / most for x in range(1, most + 1)], color="0.4", linestyle=":", label="all alike")
    axes.set(xscale="log", ylim=(0, 1.03), xlabel="so many hardest impostors of a picture or caption")
    axes.set(ylabel="share of the push on them", title="On whom the losses press")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def gamma_figure(scores: Tensor, gammas: Sequence[float], same_image: Tensor | None = None) -> Figure:
    """Share of the hardest impostor under the matching loss for each gamma, and of those within the best tenth."""
    found = [
        shares_by_hardness(
            scores, score_gradient(scores, lambda s, g=g: masked_matching(s, gamma=g, same_image=same_image))
        )
        for g in gammas
    ]
    few = max(1, len(scores) // 10)
    figure = Figure(figsize=(7.6, 3.6), dpi=72, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(gammas, [float(f[0]) for f in found], marker="o", color=COLOURS[0], label="the hardest impostor")
    label = f"the {few} hardest"
    axes.plot(gammas, [float(f[:few].sum()) for f in found], marker="s", color=COLOURS[1], linestyle="--", label=label)
    axes.axhline(1 / (len(scores) - 1), color="0.4", linestyle=":", label="all pressed alike")
    axes.set(xscale="log", ylim=(0, 1.03), xlabel="gamma", ylabel="share of the push", title="What gamma does")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure
