"""mAP at 50, several captions for each picture, the documents' numbers of pairs: against loops and at chance."""

import itertools
import statistics

import numpy as np
import pytest
import torch

from vgs_lib.retrieval import (
    average_precision,
    chance_average_precision,
    chance_recall,
    hits_at_k,
    mean_average_precision,
    median_rank,
    ranks,
    recall_at_k,
)
from vgs_lib.retrieval.measures import PROTOCOL_PAIRS, subset
from vgs_lib.retrieval.targets import target_mask


def generator(seed):
    return torch.Generator().manual_seed(seed)


def naive_precision_at(row, right, at):
    """tian2020's equation 5.3, with min(relevant, n) as its denominator."""
    order = sorted(range(len(row)), key=lambda i: -row[i])
    total = 0.0
    for k in range(1, min(at, len(row)) + 1):
        if order[k - 1] in right:
            total += sum(i in right for i in order[:k]) / k
    return total / min(len(right), at)


@pytest.mark.parametrize("at", [1, 3, 7, 50, 200])
def test_average_precision_at_the_best_few_equals_walking_down_the_ranking(at):
    classes_of_queries = torch.arange(12) % 3
    classes_of_candidates = torch.randint(0, 3, (180,), generator=generator(1))
    same = classes_of_queries[:, None] == classes_of_candidates
    scores = torch.randn(12, 180, generator=generator(0)) + 0.7 * same
    expected = [
        naive_precision_at(row, set(mask.nonzero().flatten().tolist()), at)
        for row, mask in zip(scores.tolist(), same, strict=True)
    ]
    assert average_precision(scores, same, at=at).tolist() == pytest.approx(expected)
    assert mean_average_precision(scores, same, at=at) == pytest.approx(statistics.fmean(expected))
    assert 0 < mean_average_precision(scores, same, at=at) < 1
    whole = average_precision(scores, same).tolist()
    assert (average_precision(scores, same, at=at).tolist() == pytest.approx(whole)) == (at >= 180)


def test_more_right_candidates_than_places_can_still_reach_one():
    scores = torch.arange(100.0, 0, -1)[None]
    first_eighty = [range(80)]
    assert average_precision(scores, first_eighty, at=50).item() == pytest.approx(1)
    assert average_precision(scores, [range(50, 100)], at=50).item() == 0
    assert average_precision(scores, [range(40, 100)], at=50).item() == pytest.approx(
        sum((k - 40) / k for k in range(41, 51)) / 50
    )


@pytest.mark.parametrize("seed", range(8))
def test_ties_at_the_edge_equal_the_average_over_every_order(seed):
    row = torch.randint(0, 3, (6,), generator=generator(seed)).float()
    right = set(torch.randperm(6, generator=generator(seed + 50))[: 1 + seed % 4].tolist())
    for at in (1, 2, 4):
        values = [
            naive_precision_at([-order.index(i) for i in range(6)], right, at)
            for order in itertools.permutations(range(6))
            if all(row[a] >= row[b] for a, b in itertools.pairwise(order))
        ]
        found = average_precision(row[None], [sorted(right)], at=at).item()
        assert found == pytest.approx(statistics.fmean(values)), at


@pytest.mark.parametrize(("num_candidates", "num_right", "at"), [(12, 3, 5), (30, 20, 10), (60, 2, 50)])
def test_chance_at_the_best_few_is_that_of_random_order_and_of_equal_scores(num_candidates, num_right, at):
    rng = np.random.default_rng(0)
    drawn = [naive_precision_at(rng.random(num_candidates), set(range(num_right)), at) for _ in range(3000)]
    chance = chance_average_precision(num_candidates, num_right, at=at)
    assert chance == pytest.approx(np.mean(drawn), abs=0.01)
    equal = torch.zeros(2, num_candidates)
    assert mean_average_precision(equal, [range(num_right)] * 2, at=at) == pytest.approx(chance)
    assert chance < chance_average_precision(num_candidates, num_right) or num_right > at


def test_no_place_is_an_error():
    for function in (average_precision, mean_average_precision):
        with pytest.raises(ValueError, match="at is 0; expected 1 or more"):
            function(torch.zeros(2, 2), at=0)
    with pytest.raises(ValueError, match="at is -1"):
        chance_average_precision(4, 2, at=-1)


def five_captions(num_pictures, seed=0):
    """Scores [picture, caption] without ties of pictures with five captions each, and which belong together."""
    owner = torch.arange(num_pictures).repeat_interleave(5)
    belongs = torch.arange(num_pictures)[:, None] == owner
    scores = torch.randn(num_pictures, 5 * num_pictures, generator=generator(seed)) + 1.5 * belongs
    return scores, belongs


def test_a_picture_is_found_by_any_of_its_captions_and_a_caption_by_its_picture():
    scores, belongs = five_captions(8)
    for k in (1, 5, 10):
        pictures = [
            any(belongs[i, c] for c in sorted(range(40), key=lambda c, i=i: -scores[i, c])[:k]) for i in range(8)
        ]
        captions = [c // 5 in sorted(range(8), key=lambda i, c=c: -scores[i, c])[:k] for c in range(40)]
        assert hits_at_k(scores, k, belongs).tolist() == [float(x) for x in pictures]
        assert hits_at_k(scores.T, k, belongs.T).tolist() == [float(x) for x in captions]
    best = [1 + min(int((scores[i] > scores[i, c]).sum()) for c in range(40) if belongs[i, c]) for i in range(8)]
    assert ranks(scores, belongs).tolist() == best
    own = [1 + int((scores[:, c] > scores[c // 5, c]).sum()) for c in range(40)]
    assert ranks(scores.T, belongs.T).tolist() == own
    assert median_rank(scores, belongs) < median_rank(scores, belongs & (torch.arange(40) % 5 == 0))
    assert torch.equal(target_mask([[c // 5] for c in range(40)], 40, 8), belongs.T)


def test_a_collapsed_model_with_five_captions_stands_at_chance_both_ways():
    _, belongs = five_captions(20)
    flat = torch.full((20, 100), 3.0)
    assert recall_at_k(flat, 10, belongs) == pytest.approx(chance_recall(100, 10, 5))
    assert recall_at_k(flat.T, 10, belongs.T) == pytest.approx(chance_recall(20, 10, 1)) == pytest.approx(0.5)


def test_the_first_pairs_are_what_a_model_would_score_on_them_alone():
    assert PROTOCOL_PAIRS["zhang2020"] == 100 and PROTOCOL_PAIRS["ni2018"] == 1024
    pictures, captions = torch.randn(2, 130, 6, generator=generator(0))
    whole = pictures @ captions.T
    few = subset(whole, 100)
    torch.testing.assert_close(few, pictures[:100] @ captions[:100].T)
    # P@k of zhang2020: the share of the 100 whose own is among the k best of the 100
    for k in (1, 5, 10):
        found = [i in few[i].topk(k).indices.tolist() for i in range(100)]
        assert recall_at_k(few, k) == pytest.approx(sum(found) / 100)
    assert recall_at_k(torch.zeros(100, 100), 10) == chance_recall(100, 10) == 0.1
    assert torch.equal(subset(torch.eye(5, dtype=torch.bool), 3), torch.eye(3, dtype=torch.bool))
    assert chance_recall(PROTOCOL_PAIRS["ni2018"], 10) == pytest.approx(10 / 1024)


def test_errors_of_subsets():
    for matrix, number, message in (
        (torch.zeros(3, 4), 2, r"scores are \[3, 4\]; expected \[Q, Q\]"),
        (torch.zeros(4), 2, r"scores are \[4\]"),
        (torch.zeros(90, 90), 100, "num_pairs is 100; expected 1 to 90"),
        (torch.zeros(4, 4), 0, "num_pairs is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            subset(matrix, number)
