"""The checks of the notebook on attributes and things."""

import math

import pytest
import torch

from vgs_lib.data.attribute_design import design
from vgs_lib.exercises import RIGHT
from vgs_lib.exercises.fine_grained import (
    check_average_precision,
    check_class_chance,
    check_matching,
    check_new_pairs,
)

DESIGN = design()


@pytest.mark.parametrize(
    "function, said",
    [
        (lambda d, trained: d.pairs - trained, RIGHT),
        (lambda d, trained: [p for p in ((d.colour, d.noun), (d.size, d.noun)) if p not in trained], RIGHT),
        (lambda d, trained: None, "Not answered yet"),
        (lambda d, trained: ..., "Not answered yet"),
        (lambda d, trained: 3, "returns int"),
        (lambda d, trained: d.pairs, "all pairs"),
        (lambda d, trained: d.pairs & trained, "Which ones has it not"),
        (lambda d, trained: {(b, a) for a, b in d.pairs - trained}, "turned round"),
        (lambda d, trained: {(d.size, d.colour)}, "no pair of this description"),
        (lambda d, trained: set(), "misses 1"),
        (lambda d, trained: d.shape, "raises AttributeError"),
    ],
)
def test_new_pairs(function, said):
    assert said in check_new_pairs(function, DESIGN)


@pytest.mark.parametrize(
    "answer, said",
    [
        (1 / 52, RIGHT),
        (torch.tensor(1 / 52), RIGHT),
        (None, "Not answered yet"),
        ("1/52", "one number"),
        (100 / 52, "percentage"),
        (52, "turn the fraction round"),
        (1 / 156, "every picture of the caption's class"),
        (51 / 52, "to miss"),
        (0.5, "too high"),
        (0.001, "too low"),
        (-1, "from 0 to 1"),
    ],
)
def test_class_chance(answer, said):
    assert said in check_class_chance(answer, 52, 3)


def precision(right, num_right, *, at=50, bounded=True, inside=None):
    found, total = 0, 0.0
    for place, one in enumerate(right if inside is None else right[:inside], start=1):
        found += one
        total += one * found / place
    return total / (min(num_right, at) if bounded else num_right)


@pytest.mark.parametrize(
    "function, said",
    [
        (lambda right, n: precision(right, n, inside=50), RIGHT),
        (lambda right, n: None, "Not answered yet"),
        (lambda right, n: [1.0], "one number"),
        (lambda right, n: precision(right, n, bounded=False), "only the 50 best count"),
        (lambda right, n: precision(right, n, inside=50, bounded=False), "divide by 50"),
        (lambda right, n: precision(right, n, inside=50) * n, "divide by the number of right"),
        (lambda right, n: precision(right, sum(right), inside=50), "that were not found"),
        (
            lambda right, n: sum(sum(right[: i + 1]) / (i + 1) for i in range(len(right[:50]))) / len(right[:50]),
            "not at every place",
        ),
        (lambda right, n: sum(right[:50]) / len(right[:50]), "their places matter"),
        (lambda right, n: 2.0, "from 0 to 1"),
        (lambda right, n: 0.0, "too low"),
        (lambda right, n: right.mean(), "raises AttributeError"),
    ],
)
def test_average_precision(function, said):
    assert said in check_average_precision(function)


def probability(scores, own, masked, gamma, *, mask=True, multiply=True):
    scores = gamma * scores if multiply else scores / gamma
    kept = [math.exp(s) for s, m in zip(scores.tolist(), masked.tolist(), strict=True) if not (m and mask)]
    return math.exp(scores[own]) / sum(kept)


@pytest.mark.parametrize(
    "function, said",
    [
        (probability, RIGHT),
        (lambda s, i, m, g: (g * s).masked_fill(m, -torch.inf).softmax(0)[i], RIGHT),
        (lambda s, i, m, g: None, "Not answered yet"),
        (lambda s, i, m, g: s, "one number"),
        (lambda s, i, m, g: probability(s, i, m, g, mask=False), "same class"),
        (lambda s, i, m, g: probability(s, i, m, 1.0), "gamma multiplies the cosines before"),
        (lambda s, i, m, g: probability(s, i, m, g, multiply=False), "divided"),
        (lambda s, i, m, g: -math.log(probability(s, i, m, g)), "logarithm"),
        (lambda s, i, m, g: (g * s.masked_fill(m, 0)).softmax(0)[i], "exp(0)"),
        (lambda s, i, m, g: s[9], "raises IndexError"),
        (lambda s, i, m, g: 0.999, "too high"),
        (lambda s, i, m, g: probability(s, i, m, g) if g < 100 else 1e-12, "For gamma 100"),
    ],
)
def test_matching(function, said):
    assert said in check_matching(function)
