"""The checks of 04_localization: what is right, and a hint for each likely mistake."""

import numpy as np
import pytest
import torch

from vgs_lib.exercises import RIGHT
from vgs_lib.exercises.localization import check_iou, check_pointing, check_random_pointing, check_threshold


@pytest.fixture
def masks():
    """A region of 6 and a mask of 8 of 50 pixels that share 4: IoU 4 / 10."""
    region, mask = torch.zeros(5, 10, dtype=torch.bool), torch.zeros(5, 10, dtype=torch.bool)
    region[0, :6] = True
    mask[0, 2:] = True
    return region, mask


def test_the_right_iou(masks):
    region, mask = masks
    for answer in (0.4, np.float64(0.4), torch.tensor(0.4), (region & mask).sum() / (region | mask).sum()):
        assert check_iou(answer, *masks) == RIGHT


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (None, "Not answered yet: set it to a number from 0 to 1."),
        ([0.4], "Expected one number, found list."),
        (4, "That is a number of pixels. IoU is a share: one number of pixels over another."),
        (10, "That is a number of pixels. IoU is a share: one number of pixels over another."),
        (4 / 6, "You divided by the pixels of the region alone: which pixels lie in the one or in the other?"),
        (4 / 8, "You divided by the pixels of the mask alone: which pixels lie in the one or in the other?"),
        (4 / 14, "You divided by the sum of both areas: what they share is counted twice there."),
        (4 / 50, "You divided by the whole picture: only pixels of the region or the mask count."),
        (2.5, "A share lies between 0 and 1, and 2.5 does not: which number is the greater one?"),
        (0.41, "0.410 is off by more than 0.001: `&` gives the shared pixels; which sign gives the union?"),
        (float("nan"), "A share lies between 0 and 1, and nan does not: which number is the greater one?"),
    ],
)
def test_each_wrong_iou_has_its_hint(masks, answer, hint):
    assert check_iou(answer, *masks) == hint


def test_iou_of_an_empty_region_or_two():
    empty, mask = torch.zeros(5, 10, dtype=torch.bool), torch.eye(5, 10) > 0
    for pair in ((empty, mask), (mask, empty), (empty, empty)):
        assert check_iou(0.0, *pair) == RIGHT
        assert "0.300 is off" in check_iou(0.3, *pair)


def unflattened(heat, mask):
    row, column = divmod(int(heat.argmax()), heat.shape[1])
    return mask[row, column]


@pytest.mark.parametrize(
    "function",
    [
        unflattened,
        lambda heat, mask: mask.flatten()[heat.argmax()],
        lambda h, m: bool(m[h == h.max()].all()),
        lambda h, m: m.numpy().flatten()[h.numpy().argmax()],
        lambda h, m: m.numpy()[h.numpy() == h.numpy().max()][:1],
    ],
)
def test_right_pointing(function):
    assert check_pointing(function) == RIGHT


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (None, "Not answered yet: write a function of a heatmap and a mask."),
        (True, "Expected a function of a heatmap and a mask, found bool."),
        (lambda heat, mask: ..., "Not answered yet: the function returns nothing."),
        (lambda heat, mask: None, "Not answered yet: the function returns nothing."),
        (lambda heat, mask: mask, "Expected one value (true or false), found a tensor [4, 4]."),
        (lambda heat, mask: mask.numpy(), "Expected one value (true or false), found a tensor [4, 4]."),
        (lambda heat, mask: mask.numpy()[:0, 0], "Expected one value (true or false), found a tensor [0]."),
        (lambda heat, mask: False, "your function says it does not."),
        (lambda heat, mask: True, "your function says it lies inside."),
        (lambda heat, mask: heat[mask].sum() > heat[~mask].sum() / 3, "only that one counts."),
        (lambda heat, mask: mask[heat > 0.5].any(), "On a heatmap of cosines below 0"),
        (lambda heat, mask: mask.T.flatten()[heat.argmax()], "are row and column in the right order?"),
        (lambda heat, mask: mask[heat.argmax()], "fails with IndexError"),
    ],
)
def test_each_wrong_pointing_has_its_hint(function, hint):
    found = check_pointing(function)
    assert hint in found and found != RIGHT


THRESHOLDS, MEANS = torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([0.30, 0.45, 0.60, 0.15], dtype=torch.float64)


def test_the_right_threshold():
    for answer in (THRESHOLDS[MEANS.argmax()], 0.3, np.float64(0.3)):
        assert check_threshold(answer, THRESHOLDS, MEANS) == RIGHT
    assert check_threshold(0.2, [0.1, 0.2], [0.5, 0.5]) == RIGHT  # the best one twice


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (None, "Not answered yet: set it to a cosine."),
        (2, "That is a place in the list of thresholds. Which threshold stands there?"),
        (0.6, "That is the greatest mean IoU itself. At which threshold is it reached?"),
        (0.4, "There the mean IoU is smallest: look for the other end."),
        (0.9, "The thresholds go from 0.100 to 0.400; 0.9 is none of them."),
        (0.2, "At 0.200 the mean IoU is 0.150 below the best one."),
    ],
)
def test_each_wrong_threshold_has_its_hint(answer, hint):
    assert check_threshold(answer, THRESHOLDS, MEANS) == hint


def test_the_right_chance(masks):
    assert check_random_pointing(8 / 50, masks[1]) == RIGHT
    assert check_random_pointing(masks[1].double().mean(), masks[1]) == RIGHT


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (None, "Not answered yet: set it to a number from 0 to 1."),
        ("0.16", "Expected one number, found str."),
        (8, "That is how many pixels the thing has. Of how many?"),
        (16.0, "That is in percent: give it as a share from 0 to 1."),
        (42 / 50, "That is the probability to miss it."),
        (1 / 50, "That is the probability to hit one certain pixel: the thing has more than one."),
        (-0.2, "A probability lies between 0 and 1, and -0.2 does not."),
        (0.5, "0.500 is off by more than 0.001: of all places, which are hits?"),
    ],
)
def test_each_wrong_chance_has_its_hint(masks, answer, hint):
    assert check_random_pointing(answer, masks[1]) == hint
