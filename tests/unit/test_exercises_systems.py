"""The checks of 07_systems: right answers, and the mistakes they name."""

import math

import numpy as np
import pytest

from vgs_lib.exercises.systems import check_chances, check_interval, check_mcnemar, check_parameters


@pytest.mark.parametrize(
    "answer, said",
    [
        (64 * 32 * 11 + 64, "Right."),
        (64 * 32 * 11, "has a bias"),
        (256 * 128 * 11 + 256, "document's size"),
        ((256 * 128 * 11 + 256) // 4, "Both numbers of channels shrink"),
        (256 * 32 * 11 + 256, "go out are fewer"),
        (32 * 11, "one output channel"),
        (64 * 32, "every frame"),
        (5, "too few"),
        (10**6, "too many"),
        (0.5, "whole"),
        (None, "Not answered yet"),
        ("many", "Expected one number"),
    ],
)
def test_parameters_of_a_layer(answer, said):
    assert said in check_parameters(answer, 128, 11, 256, share=0.25)


@pytest.mark.parametrize(
    "answer, said",
    [
        ({100: 0.1, 1000: 0.01, 1024: 10 / 1024}, "Right."),
        ({100: 0.1, 1000: 0.01, 1024: 0.0098}, "Right."),
        ({100: 0.1, 1000: 0.01, 1024: 0.01}, "For 1024: 0.01 is too high"),
        ({100: 10.0, 1000: 1.0, 1024: 1.0}, "in percent"),
        ({100: 0.01, 1000: 0.001, 1024: 1 / 1024}, "first place"),
        ({100: 0.1, 1000: 0.5, 1024: 0.01}, "For 1000: 0.5 is too high"),
        ({100: 0.1, 1000: None, 1024: 0.01}, "Not answered yet"),
        ({100: -0.1, 1000: 1, 1024: 1}, "between 0 and 1"),
        ({100: 0.1}, "keys 100, 1000, 1024"),
        (0.1, "found float"),
        (None, "Not answered yet"),
    ],
)
def test_chances(answer, said):
    assert said in check_chances(answer, (100, 1000, 1024), 10)


def bootstrap(statistic, level=0.95):
    def function(first, second):
        draw = np.random.default_rng(7)
        found = [statistic(first, second, draw) for _ in range(2000)]
        return np.quantile(found, [(1 - level) / 2, (1 + level) / 2])

    return function


def together(first, second, draw):
    chosen = draw.integers(len(first), size=len(first))
    return (first[chosen] - second[chosen]).mean()


def apart(first, second, draw):
    return draw.choice(first, len(first)).mean() - draw.choice(second, len(second)).mean()


@pytest.mark.parametrize(
    "function, said",
    [
        (bootstrap(together), "Right."),
        (bootstrap(apart), "draw the same queries for both"),
        (lambda a, b: bootstrap(together)(b, a), "first less the second"),
        (lambda a, b: bootstrap(together)(a, b)[::-1], "wrong way round"),
        (bootstrap(together, level=0.9), "leave out 2.5 %"),
        (bootstrap(together, level=0.99), "leave out 2.5 %"),
        (lambda a, b: (0.1, 0.1), "the same"),
        (lambda a, b: (0.3, 0.32), "not these ends"),
        (lambda a, b: np.quantile(a - b, [0.025, 0.975]), "single queries"),
        (lambda a, b: 0.1, "two numbers"),
        (lambda a, b: None, "Not answered yet"),
        (lambda a: a, "It fails"),
        (None, "Not answered yet"),
    ],
)
def test_a_paired_interval(function, said):
    assert said in check_interval(function)


def p_value(a, b):
    return min(1.0, 2 * sum(math.comb(a + b, i) for i in range(min(a, b) + 1)) / 2 ** (a + b))


@pytest.mark.parametrize(
    "function, said",
    [
        (p_value, "Right."),
        (lambda a, b: sum(math.comb(a + b, i) for i in range(min(a, b) + 1)) / 2 ** (a + b), "one side"),
        (lambda a, b: 2 * sum(math.comb(a + b, i) for i in range(min(a, b) + 1)) / 2 ** (a + b), "at most 1"),
        (lambda a, b: math.comb(a + b, min(a, b)) / 2 ** (a + b), "exactly this split"),
        (lambda a, b: 1 - p_value(a, b), "one less"),
        (lambda a, b: 0.5, "probability one half"),
        (lambda a, b: ..., "Not answered yet"),
        (lambda a, b: a / 0, "it fails: ZeroDivisionError"),
        (lambda a, b: "low", "Expected one number"),
        (..., "Not answered yet"),
    ],
)
def test_mcnemar(function, said):
    assert said in check_mcnemar(function)
