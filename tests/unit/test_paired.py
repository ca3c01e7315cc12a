"""Two systems query by query: counts, McNemar's test and the interval against loops."""

import math
import random

import numpy as np
import pytest

from vgs_lib.retrieval.paired import hits, paired, sentence


def naive(first, second, k):
    """The counts and McNemar's exact two-sided p-value, query by query and outcome by outcome."""
    counts = {"both": 0, "first_only": 0, "second_only": 0, "neither": 0}
    for a, b in zip(first, second, strict=True):
        if a <= k and b <= k:
            counts["both"] += 1
        elif a <= k:
            counts["first_only"] += 1
        elif b <= k:
            counts["second_only"] += 1
        else:
            counts["neither"] += 1
    uneven = counts["first_only"] + counts["second_only"]
    seen = abs(counts["first_only"] - counts["second_only"])
    p = sum(math.comb(uneven, n) for n in range(uneven + 1) if abs(2 * n - uneven) >= seen) / 2**uneven
    return counts, p


@pytest.mark.parametrize("seed", range(6))
def test_counts_and_p_value_equal_those_of_loops(seed):
    draw = random.Random(seed)
    first = [draw.randint(1, 20) for _ in range(60)]
    second = [draw.randint(1, 14 + 3 * seed) for _ in range(60)]
    found = paired(first, second, k=7)
    counts, p = naive(first, second, 7)
    assert {name: getattr(found, name) for name in counts} == counts
    assert found.p_value == pytest.approx(p, rel=1e-9)
    recall = lambda ranks: sum(rank <= 7 for rank in ranks) / 60
    assert found.difference == pytest.approx(recall(first) - recall(second))


def test_the_interval_keeps_the_answers_to_a_query_together():
    first = [1] * 30 + [99] * 30
    same = paired(first, first)
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)  # unpaired it would be about 0.25 wide
    second = [1] * 24 + [99] * 36
    found = paired(first, second, seed=3)
    draw = np.random.default_rng(0)
    gaps = np.array([(a <= 10) - (b <= 10) for a, b in zip(first, second, strict=True)], float)
    drawn = [gaps[draw.integers(60, size=60)].mean() for _ in range(4000)]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.02)
    assert found.p_value == pytest.approx(2 * 0.5**6)


def test_swapping_the_systems_turns_the_difference():
    first, second = [1, 1, 1, 40, 5], [30, 1, 12, 40, 50]
    one, other = paired(first, second), paired(second, first)
    assert one.difference == -other.difference == 0.6 and one.p_value == other.p_value
    assert (one.first_only, one.second_only) == (other.second_only, other.first_only) == (3, 0)


def test_a_rank_between_two_places_counts_as_it_stands():
    assert hits([10, 10.5, 9.5], 10).tolist() == [True, False, True]


def test_the_sentence_says_when_it_may_be_chance():
    assert "may be chance" in sentence(paired([1, 99], [99, 99]), "a", "b")
    sure = sentence(paired([1] * 20, [99] * 20), "a", "b")
    assert "chance" not in sure and "a alone finds 20 among its 10 best, b alone 0" in sure


@pytest.mark.parametrize(
    "first, second, k, message",
    [
        ([1, 2], [1], 10, "ranks of 2 and of 1 queries"),
        ([], [], 10, "one or more"),
        ([0.5], [1], 10, "each 1 or more"),
        ([1], [1], 0, "k is 0"),
    ],
)
def test_what_cannot_be_compared_is_named(first, second, k, message):
    with pytest.raises(ValueError, match=message):
        paired(first, second, k=k)
