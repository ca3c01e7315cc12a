"""The checks of 02_train's exercises: what is right, and a hint for each likely mistake."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vgs_lib import losses
from vgs_lib.exercises import RIGHT
from vgs_lib.exercises.training import check_chance, check_first_loss, check_info_nce, check_temperature


@pytest.mark.parametrize("answer", [0.05, 10 / 200, np.float32(0.05), torch.tensor(0.05)])
def test_chance_is_ten_of_two_hundred(answer):
    assert check_chance(answer, 200) == RIGHT


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (None, "Not answered yet: set it to a share from 0 to 1."),
        ("0.05", "Expected one number, found str."),
        (5, "That is a percentage."),
        (20, "turn the fraction round"),
        (0.005, "the first place alone"),
        (1.5, "A share lies from 0 to 1; found 1.5."),
        (0.01, "too low"),
        (0.5, "too high"),
    ],
)
def test_each_mistake_about_chance_has_its_hint(answer, hint):
    found = check_chance(answer, 200)
    assert hint in found and "0.05" not in found


@pytest.mark.parametrize("answer", [math.log(64), 4.159, np.log(64), torch.tensor(64.0).log()])
def test_the_first_loss_is_the_logarithm_of_the_batch_size(answer):
    assert check_first_loss(answer, 64) == RIGHT


def test_a_model_that_knows_nothing_has_that_loss():
    assert check_first_loss(losses.info_nce(torch.zeros(64, 64), temperature=0.1), 64) == RIGHT


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (..., "Not answered yet"),
        ([4.2], "Expected one number, found list."),
        (-math.log(64), "The sign"),
        (6.0, "in bits"),
        (math.log10(64), "base 10"),
        (1 / 64, "What does the loss take of it?"),
        (math.log(63), "Nearly: the right pair is among those"),
        (4.16, "Nearly: give three decimals"),
        (2 * math.log(64), "averaged, not added"),
        (-1.0, "never negative; found -1."),
        (1.0, "Too small"),
        (30.0, "Too large"),
    ],
)
def test_each_mistake_about_the_first_loss_has_its_hint(answer, hint):
    found = check_first_loss(answer, 64)
    assert hint in found and "4.1" not in found


@pytest.mark.parametrize("batch_size", [8, 64, 192, 2000])
def test_the_first_loss_of_one_pair_less_is_never_right(batch_size):
    assert check_first_loss(math.log(batch_size), batch_size) == RIGHT
    assert "Nearly: the right pair" in check_first_loss(math.log(batch_size - 1), batch_size)


def test_the_temperature_undoes_the_logarithm_of_the_scale():
    parameter = torch.nn.Parameter(torch.tensor(2.5))
    assert check_temperature((-parameter).exp().item(), parameter) == RIGHT
    assert check_temperature(1 / math.exp(2.5), 2.5) == RIGHT


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (None, "Not answered yet"),
        (math.exp(2.5), "multiplied by. The temperature"),
        (-2.5, "logarithm of the temperature"),
        (0.4, "not the scale"),
        (-1.0, "above 0; found -1."),
        (0.7, "Not this value"),
    ],
)
def test_each_mistake_about_the_temperature_has_its_hint(answer, hint):
    found = check_temperature(answer, 2.5)
    assert hint in found and "0.08" not in found


def rows(scores, temperature):
    return F.cross_entropy(scores / temperature, torch.arange(len(scores)))


def natural(scores, temperature):
    return (rows(scores, temperature) + rows(scores.T, temperature)) / 2


def naive(scores, temperature):
    """The definition, pair by pair and direction by direction."""
    total, size = 0.0, len(scores)
    for i in range(size):
        for line in (scores[i], scores[:, i]):
            exponents = [float(x) / temperature for x in line]
            most = max(exponents)
            total += most + math.log(sum(math.exp(x - most) for x in exponents)) - exponents[i]
    return total / (2 * size)


@pytest.mark.parametrize("function", [natural, naive, lambda s, t: losses.info_nce(s, temperature=t)])
def test_right_losses_are_right(function):
    assert check_info_nce(function) == RIGHT


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (None, "Not answered yet"),
        (lambda s, t: None, "returns nothing"),
        (lambda s, t: ..., "returns nothing"),
        (rows, "One direction only"),
        (lambda s, t: rows(s.T, t), "One direction only"),
        (lambda s, t: rows(s, t) + rows(s.T, t), "averaged, not added."),
        (lambda s, t: natural(s, t) * len(s), "Averaged over the pairs"),
        (lambda s, t: natural(s, 1 / t), "divided by the temperature"),
        (lambda s, t: natural(s, 1), "no effect"),
        (lambda s, t: -natural(s, t), "The sign"),
        (lambda s, t: natural(-s, t), "The sign"),
        (lambda s, t: F.cross_entropy(s / t, torch.arange(6), reduction="none"), "found shape [6]"),
        (lambda s, t: "loss", "found str"),
        (lambda s, t: 1.0, "Not equal yet: found 1.000"),
        (lambda s, t: torch.tensor(math.nan), "overflow"),
        (lambda s, t: s @ t, "It fails for scores [6, 6]"),
        (lambda s, t: natural(s, 0.5), "Right for six pairs, but not"),
        (lambda s, t: natural(s, t) + 0 * s[5, 5], "is a size written into it"),
        (lambda s, t: natural(s, t) if len(s) == 6 else s[0], "is a size written into it"),
        (lambda s, t: -(torch.log((s / t).exp().diagonal() / (s / t).exp().sum(1)) +
                        torch.log((s / t).exp().diagonal() / (s / t).exp().sum(0))).mean() / 2,
         "Right for six pairs, but not"),
    ],
)  # fmt: skip
def test_each_mistake_about_the_loss_has_its_hint(function, hint):
    assert hint in check_info_nce(function)
