"""Checks of ``07_systems``. Shapes: Q queries."""

import math
from collections.abc import Callable, Mapping

import numpy as np

from vgs_lib.exercises import RIGHT, blank, not_a_number
from vgs_lib.retrieval import bootstrap_interval


def check_parameters(answer, channels_in: int, kernel: int, channels_out: int, *, share: float = 1.0) -> str:
    """Is ``answer`` the number of weights and biases of a convolution with ``share`` of the channels on both sides?"""
    if unfit := blank(answer, "a whole number") or not_a_number(answer):
        return unfit
    count = lambda share_in, share_out, bias: round(
        share_out * channels_out * (share_in * channels_in * kernel + (1 if bias else 0))
    )
    answer, right = float(answer), count(share, share, True)
    if answer == right:
        return RIGHT
    mistakes = {
        count(share, share, False): "The weights are right. Each output channel has a bias, too.",
        count(1, 1, True): "That is the layer at the document's size.",
        count(share, 1, True): "The channels that go out are fewer, too.",
        round(share * count(1, 1, True)): "Both numbers of channels shrink, so the weights shrink by more than that.",
        round(share * channels_in) * kernel: "That is one output channel. How many are there?",
        round(share * channels_in) * round(share * channels_out): "Each pair of channels has a weight for every frame.",
    }
    hint = mistakes.get(int(answer)) if answer == int(answer) else "A number of parameters is whole."
    return (
        hint
        or f"{answer:,.0f} is too {'many' if answer > right else 'few'}: inputs x frames x outputs, and a bias each."
    )


def check_chances(answer, sizes: tuple[int, ...], k: int) -> str:
    """Is ``answer`` a mapping from each number of candidates in ``sizes`` to the recall at ``k`` of a blind guess?"""
    if unfit := blank(answer, "a dictionary"):
        return unfit
    if not isinstance(answer, Mapping) or set(answer) != set(sizes):
        found = sorted(answer) if isinstance(answer, Mapping) else type(answer).__name__
        return f"Expected a dictionary with the keys {', '.join(map(str, sizes))}; found {found}."
    for size in sizes:
        value = answer[size]
        if unfit := blank(value, f"a share for {size}") or not_a_number(value):
            return unfit
        if math.isclose(value, k / size, rel_tol=1e-2):
            continue
        if math.isclose(value, 100 * k / size, rel_tol=1e-2):
            return f"For {size}: that is in percent. Recall is a share between 0 and 1."
        if math.isclose(value, 1 / size, rel_tol=1e-3):
            return f"For {size}: that is the chance of the first place. The first {k} count."
        if not 0 <= value <= 1:
            return f"For {size}: a share lies between 0 and 1; found {value:g}."
        side = "high" if value > k / size else "low"
        return f"For {size}: {value:g} is too {side}. How likely is the right one among the {k} best?"
    return RIGHT


def check_interval(function: Callable, *, seed: int = 0) -> str:
    """Does ``function(first, second)`` give the ends of the paired 95 % bootstrap interval of a difference of recalls?

    ``first`` and ``second`` are hits [Q], 1.0 or 0.0, of two systems on the same queries.
    """
    if unfit := blank(function, "a function of the hits of two systems"):
        return unfit
    hardness = np.random.default_rng(seed).random(2000)
    first, second = (hardness < 0.58).astype(float), ((hardness < 0.5) | (hardness > 0.96)).astype(float)
    try:
        found = function(first.copy(), second.copy())
    except Exception as error:
        return f"It fails for the hits of {len(first)} queries: {type(error).__name__}: {error}"
    if found is None or found is ...:
        return "Not answered yet: the function returns nothing."
    try:
        low, high = (float(end) for end in found)
    except (TypeError, ValueError):
        return "Expected two numbers, the lower and the upper end."
    difference = first - second
    right = bootstrap_interval(difference, seed=1, num=20_000)
    error = difference.std() / math.sqrt(len(first))
    # Both ends of 1,000 draws or more are nearer than this together, those of a 90 % interval nearly always farther.
    near = lambda ends: abs(low - ends[0]) + abs(high - ends[1]) < 0.45 * error
    if near(right):
        return RIGHT
    if near(right[::-1]):
        return "The ends are the wrong way round."
    if near((-right[1], -right[0])):
        return "The sign: the difference is the first less the second."
    if low == high:
        return "Both ends are the same: draw the queries anew each time, with replacement."
    width, unpaired = high - low, 2 * 1.96 * math.sqrt((first.var() + second.var()) / len(first))
    if abs(width - unpaired) < 0.15 * unpaired:
        return f"The interval is {width:.3f} wide, as for independent queries: draw the same queries for both systems."
    if 0.5 <= width <= 2:
        return "That is the spread of single queries. Take the mean of each draw first."
    return f"Found {low:.3f} to {high:.3f}: not these ends. The middle 95 % leave out 2.5 % on each side."


def check_mcnemar(function: Callable) -> str:
    """Does ``function(first_only, second_only)`` give the two-sided exact p-value of McNemar's test?"""
    if unfit := blank(function, "a function of two numbers of queries"):
        return unfit
    for a, b in ((9, 2), (3, 14), (5, 5), (0, 4), (40, 25)):
        try:
            found = function(a, b)
        except Exception as error:
            return f"With {a} and {b} it fails: {type(error).__name__}: {error}"
        if found is None or found is ...:
            return "Not answered yet: the function returns nothing."
        if unfit := not_a_number(found):
            return unfit
        if hint := _mcnemar_hint(float(found), a, b):
            return f"With {a} and {b} the function gives {float(found):.4g}. {hint}"
    return RIGHT


def _mcnemar_hint(found: float, a: int, b: int) -> str:
    """What is wrong with a p-value, or ""."""
    n, few = a + b, min(a, b)
    exactly = [math.comb(n, i) / 2**n for i in range(n + 1)]
    tail = sum(exactly[: few + 1])
    if math.isclose(found, min(1.0, 2 * tail), rel_tol=1e-6):
        return ""
    if found > 1:
        return "A probability is at most 1: where both find equally many, the two tails overlap."
    if math.isclose(found, tail, rel_tol=1e-6):
        return "That is one side. So uneven a split in favour of the other system would have surprised as much."
    if math.isclose(found, exactly[few], rel_tol=1e-6) or math.isclose(found, 2 * exactly[few], rel_tol=1e-6):
        return "That is the probability of exactly this split. More uneven ones count, too."
    if math.isclose(found, 1 - min(1.0, 2 * tail), abs_tol=1e-6):
        return "That is one less the p-value."
    return "Each of the queries falls to either system with probability one half: which splits are as uneven as this?"
