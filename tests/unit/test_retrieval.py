"""Recall and ranks against loops, ties against every order of them, chance levels and bootstrap intervals."""

import itertools
import math
import statistics

import numpy as np
import pytest
import torch

from vgs_lib.retrieval import (
    average_precision,
    bootstrap_interval,
    chance_average_precision,
    chance_median_rank,
    chance_recall,
    hits_at_k,
    mean_average_precision,
    median_rank,
    ranks,
    recall_at_k,
)
from vgs_lib.retrieval.targets import target_mask


def random_scores(queries, candidates, seed=0):
    """Distinct scores: no ties."""
    order = torch.randperm(queries * candidates, generator=torch.Generator().manual_seed(seed))
    return order.view(queries, candidates).double()


def place(row, right):
    """The place of the best right candidate of a row without ties, by sorting."""
    order = sorted(range(len(row)), key=lambda i: -row[i])
    return 1 + min(order.index(i) for i in right)


def average_over_tie_orders(row, right, figure):
    """The mean of ``figure(place)`` over every order that the scores allow."""
    values = []
    for order in itertools.permutations(range(len(row))):
        if all(row[a] >= row[b] for a, b in itertools.pairwise(order)):
            values.append(figure(1 + min(order.index(i) for i in right)))
    return statistics.fmean(values)


def test_recall_and_ranks_equal_sorting():
    scores = random_scores(30, 30)
    places = [place(row, [i]) for i, row in enumerate(scores.tolist())]
    assert ranks(scores).tolist() == places
    assert median_rank(scores) == statistics.median(places)
    for k in (1, 5, 10, 30, 100):
        assert recall_at_k(scores, k) == pytest.approx(sum(p <= k for p in places) / 30)


def test_several_right_candidates_and_more_candidates_than_queries():
    scores = random_scores(8, 20)
    targets = [[0, 3], [5], [19, 0, 7], [1], [2, 4], [6], [8, 9, 10, 11], [12]]
    mask = torch.zeros(8, 20, dtype=torch.bool)
    for query, columns in enumerate(targets):
        mask[query, columns] = True
    places = [place(row, right) for row, right in zip(scores.tolist(), targets, strict=True)]
    for form in (targets, mask, mask.numpy(), [np.array(x) for x in targets]):
        assert ranks(scores, form).tolist() == places
        assert recall_at_k(scores, 5, form) == pytest.approx(sum(p <= 5 for p in places) / 8)
        assert median_rank(scores, form) == statistics.median(places)


def test_the_median_of_an_even_number_of_ranks_lies_between_the_middle_two():
    scores = torch.tensor([[3.0, 2, 1, 0], [3, 2, 1, 0], [3, 2, 1, 0], [3, 2, 1, 0]])
    assert ranks(scores).tolist() == [1, 2, 3, 4]
    assert median_rank(scores) == 2.5


@pytest.mark.parametrize("size", [2, 3, 7, 10, 50, 333, 1000])
def test_constant_scores_give_chance_exactly(size):
    for value in (0.0, -3.5, torch.inf, -torch.inf):
        scores = torch.full((size, size), value)
        assert median_rank(scores) == (size + 1) / 2 == chance_median_rank(size)
        for k in (1, 5, 10):
            assert recall_at_k(scores, k) == min(1, k / size) == chance_recall(size, k)


@pytest.mark.parametrize("num_right", [1, 2, 3, 6])
def test_constant_scores_give_chance_recall_with_several_right_candidates(num_right):
    targets = [[(q + j) % 12 for j in range(num_right)] for q in range(12)]
    for k in (1, 3, 7, 12):
        expected = 1 - math.comb(12 - num_right, k) / math.comb(12, k)
        assert recall_at_k(torch.zeros(12, 12), k, targets) == pytest.approx(expected)
        assert chance_recall(12, k, num_right) == pytest.approx(expected)
    assert median_rank(torch.zeros(12, 12), targets) == pytest.approx(13 / (num_right + 1))


@pytest.mark.parametrize("seed", range(12))
def test_ties_equal_the_average_over_every_order(seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 3, (1, 6), generator=generator).float()
    right = torch.randperm(6, generator=generator)[: 1 + seed % 3].tolist()
    row = scores[0].tolist()
    expected = average_over_tie_orders(row, right, lambda p: p)
    assert ranks(scores, [right]).item() == pytest.approx(expected)
    for k in range(1, 7):
        expected = average_over_tie_orders(row, right, lambda p: p <= k)  # noqa: B023
        assert hits_at_k(scores, k, [right]).item() == pytest.approx(expected)


def test_one_right_candidate_shares_its_place_with_half_the_ties():
    scores = torch.tensor([[5.0, 9, 5, 5, 1]])
    assert ranks(scores, [[0]]).item() == 1 + 1 + 2 / 2
    assert [hits_at_k(scores, k, [[0]]).item() for k in (1, 2, 3, 4)] == pytest.approx([0, 1 / 3, 2 / 3, 1])


@pytest.mark.parametrize("form", ["diagonal", "lists", "mask"])
def test_chunks_do_not_change_the_result(form):
    scores = torch.randint(0, 5, (23, 23), generator=torch.Generator().manual_seed(0))
    targets = {
        "diagonal": None,
        "lists": [[q, (q * 7) % 23] for q in range(23)],
        "mask": torch.eye(23, dtype=torch.bool).roll(3, 1),
    }[form]
    whole = ranks(scores, targets), hits_at_k(scores, 5, targets)
    for chunk in (1, 4, 22, 100):
        assert torch.equal(ranks(scores, targets, chunk=chunk), whole[0])
        assert torch.equal(hits_at_k(scores, 5, targets, chunk=chunk), whole[1])
        assert recall_at_k(scores, 5, targets, chunk=chunk) == recall_at_k(scores, 5, targets)
        assert median_rank(scores, targets, chunk=chunk) == median_rank(scores, targets)


@pytest.mark.parametrize("num_right", [1, 2, 5])
def test_chance_median_rank_is_that_of_random_order(num_right):
    generator = torch.Generator().manual_seed(0)
    places = torch.rand(4000, 30, generator=generator).argsort(1)[:, :num_right].amin(1) + 1
    assert abs(chance_median_rank(30, num_right) - places.double().quantile(0.5)) <= 1


def test_chance_of_queries_with_different_numbers_of_right_candidates():
    numbers = [1, 2, 5]
    assert chance_recall(20, 4, numbers) == pytest.approx(
        sum(1 - math.comb(20 - r, 4) / math.comb(20, 4) for r in numbers) / 3
    )
    assert chance_median_rank(20, [5] * 9 + [1]) == chance_median_rank(20, 5) < chance_median_rank(20, 1)


def test_bootstrap_interval_covers_the_truth_about_as_often_as_it_says():
    generator = torch.Generator().manual_seed(0)
    covered = 0
    for seed in range(200):
        hits = (torch.rand(100, generator=generator) < 0.3).double()
        low, high = bootstrap_interval(hits, seed=seed, num=400)
        assert low <= hits.mean() <= high
        covered += low <= 0.3 <= high
    assert 0.89 <= covered / 200 <= 0.99


def test_bootstrap_interval_narrows_with_more_values_and_less_confidence():
    values = torch.rand(400, generator=torch.Generator().manual_seed(0))
    width = lambda *arguments, **options: -float(np.subtract(*bootstrap_interval(*arguments, **options)))
    assert width(values, seed=0) < width(values[:50], seed=0)
    assert width(values, seed=0, level=0.5) < width(values, seed=0, level=0.95)
    normal = 2 * 1.96 * float(values.std()) / 20
    assert width(values, seed=0) == pytest.approx(normal, rel=0.1)


def test_bootstrap_interval_is_a_function_of_its_seed_and_takes_other_statistics():
    values = list(range(101))
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)
    low, high = bootstrap_interval(values, seed=0, statistic="median")
    assert low < 50 < high
    assert bootstrap_interval(values, seed=0, statistic=lambda x: x.amax(1))[1] == 100
    assert bootstrap_interval([0.25], seed=0) == (0.25, 0.25)


def test_bootstrap_interval_draws_whole_groups():
    """Against a naive bootstrap over groups of different sizes; copies of a value tell nothing new."""
    groups = [7, 7, 7, 2, 5, 5, 2, 9, 9, 9, 9]
    values = [1.0, 1.0, 0.5, 0.0, 1.0, 0.0, 0.0, 0.25, 0.0, 0.5, 1.0]
    found = bootstrap_interval(values, seed=0, num=4000, groups=groups)
    rng, means = np.random.default_rng(0), []
    for _ in range(4000):
        drawn = [v for one in rng.choice([2, 5, 7, 9], 4) for v, g in zip(values, groups, strict=True) if g == one]
        means.append(np.mean(drawn))
    assert found == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.03)

    hits = (torch.rand(60, generator=torch.Generator().manual_seed(1)) < 0.6).double()
    alone = bootstrap_interval(hits, seed=3)
    assert bootstrap_interval(hits, seed=3, groups=range(60)) == pytest.approx(alone)
    assert bootstrap_interval(hits.repeat(5), seed=3, groups=list(range(60)) * 5) == pytest.approx(alone)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (torch.zeros(3, 4), 1),
            r"scores are \[3, 4\], so the diagonal cannot be the true pairs; give targets",
        ),
        ((torch.zeros(3), 1), r"scores are \[3\]; expected \[Q, C\]"),
        ((torch.zeros(0, 4), 1, []), r"scores are \[0, 4\]; expected \[Q, C\], none of them 0"),
        ((torch.zeros(3, 3), 0), "k is 0; expected 1 or more"),
        ((torch.full((2, 2), torch.nan), 1), "the scores of query 0 hold NaN"),
        ((torch.zeros(2, 3), 1, [[0], []]), r"query 1 has no right candidate \(1 such queries\)"),
        ((torch.zeros(2, 3), 1, torch.zeros(2, 3, dtype=torch.bool)), r"query 0 has no right candidate \(2"),
        ((torch.zeros(2, 3), 1, [[0], [3]]), r"targets\[1\] is \[3\]; expected indices from 0 to 2"),
        ((torch.zeros(2, 3), 1, [[0], [-1]]), r"targets\[1\] is \[-1\]; expected indices from 0 to 2"),
        ((torch.zeros(2, 3), 1, [[0]]), "targets hold 1 lists; expected one for each of 2 queries"),
        ((torch.zeros(2, 3), 1, torch.zeros(2, 3)), r"torch.float32; expected \[2, 3\] torch.bool"),
        ((torch.zeros(2, 3), 1, torch.ones(3, 2, dtype=torch.bool)), r"targets are \[3, 2\]"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        recall_at_k(*arguments)
    if arguments[1]:
        with pytest.raises(ValueError, match=message):
            median_rank(arguments[0], *arguments[2:])


def test_a_nan_deep_in_the_matrix_is_found_in_its_query():
    scores = torch.zeros(9, 9)
    scores[7, 2] = torch.nan
    with pytest.raises(ValueError, match="query 7 hold NaN"):
        median_rank(scores, chunk=3)


def test_errors_of_the_rest():
    with pytest.raises(ValueError, match="chunk is 0"):
        ranks(torch.zeros(3, 3), chunk=0)
    with pytest.raises(ValueError, match="num_right is 4; expected numbers from 1 to 3"):
        chance_recall(3, 1, 4)
    with pytest.raises(ValueError, match="num_right is 0"):
        chance_median_rank(3, 0)
    with pytest.raises(ValueError, match="k is 0"):
        chance_recall(3, 0)
    for values in ([], [1.0, float("nan")]):
        with pytest.raises(ValueError, match="values"):
            bootstrap_interval(values, seed=0)
    for options in ({"num": 0}, {"level": 1.0}):
        with pytest.raises(ValueError, match="expected num >= 1 and 0 < level < 1"):
            bootstrap_interval([1.0], seed=0, **options)
    for options in ({"groups": [1]}, {"groups": [1, 2], "statistic": "median"}):
        with pytest.raises(ValueError, match="groups of 2 values"):
            bootstrap_interval([1.0, 0.0], seed=0, **options)


def naive_precision(row, right):
    order = sorted(range(len(row)), key=lambda i: -row[i])
    shares = [sum(j in right for j in order[: n + 1]) / (n + 1) for n, i in enumerate(order) if i in right]
    return statistics.fmean(shares)


def test_average_precision_equals_walking_down_the_ranking():
    scores = random_scores(9, 14, seed=4)
    targets = [[q, (q + 5) % 14, (3 * q + 1) % 14] for q in range(9)]
    expected = [naive_precision(row, set(right)) for row, right in zip(scores.tolist(), targets, strict=True)]
    assert average_precision(scores, targets).tolist() == pytest.approx(expected)
    assert mean_average_precision(scores, targets) == pytest.approx(statistics.fmean(expected))
    square = random_scores(12, 12)
    assert average_precision(square).tolist() == pytest.approx((1 / ranks(square)).tolist())  # the reciprocal rank


@pytest.mark.parametrize("seed", range(12))
def test_ties_of_average_precision_equal_the_average_over_every_order(seed):
    generator = torch.Generator().manual_seed(seed)
    row = torch.randint(0, 3, (6,), generator=generator).float()
    right = set(torch.randperm(6, generator=generator)[: 1 + seed % 4].tolist())
    values = []
    for order in itertools.permutations(range(6)):
        if all(row[a] >= row[b] for a, b in itertools.pairwise(order)):
            values.append(naive_precision([-order.index(i) for i in range(6)], right))
    found = average_precision(row[None], [sorted(right)]).item()
    assert found == pytest.approx(statistics.fmean(values))


def test_chance_of_average_precision_is_that_of_random_order():
    assert chance_average_precision(4) == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert chance_average_precision(7, 7) == pytest.approx(1)
    rng, drawn = np.random.default_rng(0), []
    for _ in range(4000):
        drawn.append(naive_precision(rng.random(12).tolist(), {0, 1, 2}))
    assert chance_average_precision(12, 3) == pytest.approx(np.mean(drawn), abs=0.01)
    mixed = (2 * chance_average_precision(12, 3) + chance_average_precision(12, 1)) / 3
    assert chance_average_precision(12, [3, 1, 3]) == pytest.approx(mixed)
    with pytest.raises(ValueError, match="num_right is 5"):
        chance_average_precision(4, 5)


def test_errors_of_average_precision():
    with pytest.raises(ValueError, match=r"scores are \[3, 4\]"):
        average_precision(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="query 1 hold NaN"):
        mean_average_precision(torch.tensor([[1.0, 0], [math.nan, 0]]))


def test_a_target_mask_is_the_same_for_every_form():
    lists = [[0, 2], [1], [2]]
    mask = torch.tensor([[1, 0, 1], [0, 1, 0], [0, 0, 1]], dtype=torch.bool)
    assert torch.equal(target_mask(lists, 3, 3), mask) and torch.equal(target_mask(mask, 3, 3), mask)
    assert torch.equal(target_mask(None, 3, 3), torch.eye(3, dtype=torch.bool))
    with pytest.raises(ValueError, match="the diagonal cannot"):
        target_mask(None, 2, 3)
