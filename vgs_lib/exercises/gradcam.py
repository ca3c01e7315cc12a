"""Checks of ``06_gradcam``. Shapes: C channels, D embedding, h w grid, T frames, Y X pixels of a mask."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from vgs_lib.exercises import RIGHT, blank

SIGNS = ("positive", "negative", "zero")


def check_target(target: Callable, image_map: Tensor, query: Tensor) -> str:
    """Does ``target(image_map)`` give the mean over frames of each frame's best place, with a gradient?

    ``image_map`` is [D, h, w] and ``query`` [D, T].
    """
    leaf = image_map.detach().clone().requires_grad_(True)
    try:
        found = target(leaf)
    except Exception as error:  # the student's code: say what it said
        return f"It raises {type(error).__name__}: {error}"
    if unfit := blank(found, "a function that returns a number"):
        return unfit
    if isinstance(found, float | int) or not isinstance(found, Tensor):
        return f"It returns {type(found).__name__}; a target must stay a tensor, or no gradient can flow back."
    if found.numel() != 1:
        return f"It returns shape {list(found.shape)}, expected one number. Which axes are left to reduce?"
    gradient = torch.autograd.grad(found.sum(), leaf, allow_unused=True)[0] if found.requires_grad else None
    if gradient is None:
        return "The number is cut off from its argument: no item, detach or no_grad on the way."
    products = torch.einsum("dhw,dt->hwt", leaf.detach(), query).flatten(0, 1)  # [h w, T]
    value = float(found.detach())
    if _close(value, products.amax(dim=0).mean()):
        return RIGHT if gradient.abs().sum() > 0 else "The value is right, but its gradient is zero."
    known = {
        "That is the mean over places and frames: take the best place of each frame first.": products.mean(),
        "That is the best place of the best frame: every frame of the word should count.": products.max(),
        "That takes the best frame of each place: it is each frame that should choose its place.": products.amax(
            dim=1
        ).mean(),
        "That is the sum over the frames: a longer word would score higher. Take the mean.": products.amax(dim=0).sum(),
        "The sign is turned around: more alike should be higher.": -products.amax(dim=0).mean(),
    }
    for sentence, wrong in known.items():
        if _close(value, wrong):
            return sentence
    return f"It gives {value:.3g}, which is off by {value - float(products.amax(dim=0).mean()):+.3g}."


def check_gradcam(answer, activations: np.ndarray, gradients: np.ndarray) -> str:
    """Is ``answer`` the Grad-CAM map [h, w] of activations and gradients [C, h, w]?"""
    if unfit := blank(answer, "a map"):
        return unfit
    answer = np.asarray(answer, dtype=np.float64)
    if answer.shape != activations.shape[1:]:
        return f"The map has shape {list(answer.shape)}, expected {list(activations.shape[1:])}: sum over the channels."
    activations, gradients = activations.astype(np.float64), gradients.astype(np.float64)
    signed = np.einsum("c,chw->hw", gradients.mean(axis=(1, 2)), activations)
    if _alike(answer, signed.clip(min=0)):
        return RIGHT
    if _alike(answer, signed):
        return "All but the last step: places that lower the score are negative in it. Keep what raises it."
    if (answer < 0).any():
        return "Some places are negative; a Grad-CAM map keeps what raises the score only."
    placewise = (activations * gradients).sum(axis=0)
    if _alike(answer, placewise.clip(min=0)):
        return (
            "Each place was weighted by its own gradient (that is HiResCAM). Grad-CAM has one weight for each channel."
        )
    if _alike(answer, activations.mean(axis=0)) or _alike(answer, activations.sum(axis=0)):
        return "The gradients are not used yet: every channel has the same weight."
    if _alike(answer / max(answer.max(), 1e-30), signed.clip(min=0) / max(signed.max(), 1e-30)):
        return "The shape is right, the scale is not: is the weight of a channel the mean of its gradients?"
    return "That is another map. Which number says how much one whole channel matters?"


def check_sign(answer, raw: np.ndarray, mask: np.ndarray) -> str:
    """Is ``answer`` ("positive", "negative" or "zero") the sign of a signed map [h, w], summed over a mask [Y, X]?"""
    if unfit := blank(answer, f"one of {', '.join(SIGNS)}"):
        return unfit
    if answer not in SIGNS:
        return f"Found {answer!r}, expected one of {', '.join(SIGNS)}."
    rows = ((np.arange(raw.shape[0]) + 0.5) / raw.shape[0] * mask.shape[0]).astype(int)
    columns = ((np.arange(raw.shape[1]) + 0.5) / raw.shape[1] * mask.shape[1]).astype(int)
    inside = raw[mask[np.ix_(rows, columns)]]
    total = float(inside.sum())
    found = "zero" if abs(total) <= 1e-3 * float(np.abs(raw).sum()) else "positive" if total > 0 else "negative"
    if answer == found:
        return RIGHT
    if {answer, found} == {"positive", "negative"}:
        return "The sign is the other one. What happens to the difference when this thing becomes more visible?"
    return f"The values there add up to {abs(total):.2g} in size: compare that with the whole map's."


def check_ignores(answer, maps: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """Is ``answer`` the name of the one method in ``maps`` whose two maps, of two queries, are equal and not zero?"""
    if unfit := blank(answer, "the name of a method"):
        return unfit
    if answer not in maps:
        return f"Found {answer!r}, expected one of {', '.join(maps)}."
    one, other = maps[answer]
    if not np.any(one) and not np.any(other):
        return f"Both maps of {answer} are zero everywhere and say nothing. Look for one that shows something, twice."
    if np.array_equal(one, other):
        return RIGHT
    share = float(np.abs(one - other).sum() / max(np.abs(one).sum(), 1e-30))
    return f"The two maps of {answer} differ, by {share:.0%} of what they hold. Look for two that do not differ at all."


def _close(one, other) -> bool:
    return bool(np.isclose(float(one), float(other), rtol=1e-3, atol=1e-6))


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.allclose(one, other, rtol=1e-3, atol=1e-4 * float(np.abs(other).max())))
