"""Checks of ``04_localization``. Shapes: h w grid, Y X pixels, K thresholds."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vgs_lib import localization
from vgs_lib.exercises import RIGHT, blank, not_a_number

CLOSE = 1e-3


def check_iou(answer, region: Tensor, mask: Tensor) -> str:
    """Is ``answer`` the intersection over union of two bool masks [Y, X]?"""
    if unfit := blank(answer, "a number from 0 to 1") or not_a_number(answer):
        return unfit
    answer = float(answer)
    both, either = int((region & mask).sum()), int((region | mask).sum())
    if abs(answer - both / max(1, either)) < CLOSE:  # two empty masks share nothing
        return RIGHT
    if answer in (both, either):
        return "That is a number of pixels. IoU is a share: one number of pixels over another."
    for name, part in (("region", region), ("mask", mask)):
        if part.any() and abs(answer - both / int(part.sum())) < CLOSE:
            return f"You divided by the pixels of the {name} alone: which pixels lie in the one or in the other?"
    if either and abs(answer - both / int(region.sum() + mask.sum())) < CLOSE:
        return "You divided by the sum of both areas: what they share is counted twice there."
    if abs(answer - both / region.numel()) < CLOSE:
        return "You divided by the whole picture: only pixels of the region or the mask count."
    if not 0 <= answer <= 1:
        return f"A share lies between 0 and 1, and {answer:g} does not: which number is the greater one?"
    return f"{answer:.3f} is off by more than {CLOSE:g}: `&` gives the shared pixels; which sign gives the union?"


def check_pointing(function: Callable) -> str:
    """Does ``function(heat, mask)`` say whether the hottest place of heat [Y, X] lies in the mask [Y, X]?"""
    if function is None or function is ...:
        return "Not answered yet: write a function of a heatmap and a mask."
    if not callable(function):
        return f"Expected a function of a heatmap and a mask, found {type(function).__name__}."
    for heat, mask, wanted, hint in _pointing_cases():
        try:
            found = function(heat, mask)
        except Exception as error:  # whatever a student's code does
            return f"On a heatmap {list(heat.shape)} your function fails with {type(error).__name__}: {error}"
        if found is None or found is ...:
            return "Not answered yet: the function returns nothing."
        if math.prod(getattr(found, "shape", ())) != 1:  # a tensor or a numpy array
            return f"Expected one value (true or false), found a tensor {list(found.shape)}."
        if bool(found) != wanted:
            return hint
    return RIGHT


def _pointing_cases() -> list[tuple[Tensor, Tensor, bool, str]]:
    """Heatmaps and masks, the right answer, and what an answer that is not may have missed."""

    def case(size: tuple[int, int], peak: tuple[int, int], rows: slice, columns: slice, offset: float = 0.0):
        heat, mask = torch.full(size, 0.2 + offset), torch.zeros(size, dtype=torch.bool)
        heat[peak], mask[rows, columns] = 0.9 + offset, True
        return heat, mask

    corner = (slice(0, 2), slice(0, 2))
    inside, outside = case((4, 4), (1, 1), *corner), case((4, 4), (3, 3), *corner)
    wide = case((4, 6), (1, 4), slice(0, 2), slice(3, 6))
    warm = case((4, 6), (3, 0), slice(0, 4), slice(1, 6))
    cold = case((4, 6), (1, 4), slice(0, 2), slice(3, 6), offset=-2.0)
    return [
        (*inside, True, "A heatmap whose hottest place lies in the mask: your function says it does not."),
        (*outside, False, "A heatmap whose hottest place lies outside of the mask: your function says it lies inside."),
        (*wide, True, "On a heatmap [4, 6] the answer is wrong: are row and column in the right order?"),
        (*warm, False, "Most of the heat lies in the mask, the hottest place does not: only that one counts."),
        (*cold, True, "On a heatmap of cosines below 0 the answer is wrong: the hottest place need not be above 0."),
    ]


def check_threshold(answer, thresholds: Tensor | Sequence[float], means: Tensor | Sequence[float]) -> str:
    """Is ``answer`` the threshold [K] with the greatest mean IoU [K]?"""
    if unfit := blank(answer, "a cosine") or not_a_number(answer):
        return unfit
    answer = float(answer)
    thresholds, means = (torch.as_tensor(x, dtype=torch.float64) for x in (thresholds, means))
    best = means == means.max()
    if (thresholds[best] - answer).abs().min() < 1e-6:
        return RIGHT
    if answer == int(means.argmax()):
        return "That is a place in the list of thresholds. Which threshold stands there?"
    if abs(answer - float(means.max())) < 1e-6:
        return "That is the greatest mean IoU itself. At which threshold is it reached?"
    if abs(answer - float(thresholds[means.argmin()])) < 1e-6:
        return "There the mean IoU is smallest: look for the other end."
    low, high = float(thresholds.min()), float(thresholds.max())
    if not low <= answer <= high:
        return f"The thresholds go from {low:.3f} to {high:.3f}; {answer:g} is none of them."
    here = float(means[(thresholds - answer).abs().argmin()])
    return f"At {answer:.3f} the mean IoU is {float(means.max()) - here:.3f} below the best one."


def check_random_pointing(answer, mask: Tensor) -> str:
    """Is ``answer`` the probability that a place drawn at random lies in the mask [Y, X]?"""
    if unfit := blank(answer, "a number from 0 to 1") or not_a_number(answer):
        return unfit
    answer, share = float(answer), localization.chance_pointing(mask)
    if abs(answer - share) < CLOSE:
        return RIGHT
    if answer == int(mask.sum()):
        return "That is how many pixels the thing has. Of how many?"
    if abs(answer - 100 * share) < 100 * CLOSE:
        return "That is in percent: give it as a share from 0 to 1."
    if abs(answer - (1 - share)) < CLOSE:
        return "That is the probability to miss it."
    if abs(answer - 1 / mask.numel()) < 1e-9:
        return "That is the probability to hit one certain pixel: the thing has more than one."
    if not 0 <= answer <= 1:
        return f"A probability lies between 0 and 1, and {answer:g} does not."
    return f"{answer:.3f} is off by more than {CLOSE:g}: of all places, which are hits?"
