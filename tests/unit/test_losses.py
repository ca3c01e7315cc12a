"""Every loss against a loop over pairs; masks, ties, negative scores, randomness and errors."""

import math

import pytest
import torch

from vgs_lib.losses import (
    all_pairs_hinge,
    info_nce,
    masked_matching,
    sampled_triplet,
    semi_hard_triplet,
    shn,
    three_anchor_triplet,
)

RANDOM_LOSSES = (sampled_triplet, semi_hard_triplet, shn, three_anchor_triplet)
LOSSES = (*RANDOM_LOSSES, all_pairs_hinge, info_nce, masked_matching)


def random_scores(size=6, seed=0):
    return torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def same_pictures(size=6):
    """Pairs 0 and 1 share a picture, and 2 and 4."""
    mask = torch.eye(size, dtype=torch.bool)
    for i, j in ((0, 1), (2, 4)):
        mask[i, j] = mask[j, i] = True
    return mask


def hinge(impostor, true, margin):
    return max(0.0, float(impostor) - float(true) + margin)


def naive_semi_hard(scores, margin, allowed):
    """Only for scores where every row and column has a candidate below the true score."""
    total = 0.0
    for j in range(len(scores)):
        captions = [float(scores[j, a]) for a in range(len(scores)) if allowed(j, a) and scores[j, a] < scores[j, j]]
        images = [float(scores[i, j]) for i in range(len(scores)) if allowed(i, j) and scores[i, j] < scores[j, j]]
        total += hinge(max(captions), scores[j, j], margin) + hinge(max(images), scores[j, j], margin)
    return total


def with_candidates(shift=0.0, size=6):
    """Random scores in which each true one beats some impostor of its row and of its column, not all."""
    scores = random_scores(size) + shift
    others = scores.clone().fill_diagonal_(torch.inf)
    lowest = torch.maximum(others.amin(0), others.amin(1))
    scores.diagonal().copy_(lowest + 0.3)
    return scores


@pytest.mark.parametrize("margin", [1.0, 0.2])
def test_all_pairs_hinge_equals_loops(margin):
    scores = random_scores()
    expected = sum(
        hinge(scores[j, other], scores[j, j], margin) + hinge(scores[other, j], scores[j, j], margin)
        for j in range(6)
        for other in range(6)
        if other != j
    )
    assert all_pairs_hinge(scores, margin=margin).item() == pytest.approx(expected)
    assert all_pairs_hinge(scores, margin=margin, reduction="mean").item() == pytest.approx(expected / 6)


def test_all_pairs_hinge_leaves_out_the_same_picture():
    scores, mask = random_scores(), same_pictures()
    expected = sum(
        hinge(scores[i, a], scores[i, i], 1.0) + hinge(scores[i, a], scores[a, a], 1.0)
        for i in range(6)
        for a in range(6)
        if not mask[i, a]
    )
    assert all_pairs_hinge(scores, same_image=mask).item() == pytest.approx(expected)


def test_sampled_triplet_with_two_pairs_has_no_choice():
    scores = torch.tensor([[1.0, 0.8], [1.5, 1.2]])
    expected = hinge(0.8, 1.0, 1) + hinge(1.5, 1.0, 1) + hinge(1.5, 1.2, 1) + hinge(0.8, 1.2, 1)
    assert sampled_triplet(scores, generator=generator()).item() == pytest.approx(expected)
    assert sampled_triplet(scores, generator=generator(), reduction="mean").item() == pytest.approx(expected / 2)


def drawn_impostors(scores, loss, seed, **options):
    """How often each score was chosen as an impostor (the margin keeps every hinge open)."""
    scores = scores.clone().requires_grad_()
    loss(scores, margin=1e3, generator=generator(seed), **options).backward()
    counts = scores.grad.clone()
    assert (counts.diagonal() == -2).all()
    return counts.fill_diagonal_(0)


def test_sampled_triplet_equals_the_loop_over_what_it_drew():
    scores = random_scores()
    for seed in range(5):
        counts = drawn_impostors(scores, sampled_triplet, seed)
        assert counts.sum() == 12 and (counts >= 0).all()
        # margin 1e3 keeps every hinge open, so the loss is a plain sum over the drawn impostors
        expected = float((counts * scores).sum() - 2 * scores.trace()) + 12e3
        value = sampled_triplet(scores, margin=1e3, generator=generator(seed))
        assert value.item() == pytest.approx(expected)


def test_sampled_impostors_are_uniform_and_never_the_pair_itself():
    size, draws = 4, 600
    scores = random_scores(size)
    counts = sum(drawn_impostors(scores, sampled_triplet, seed) for seed in range(draws))
    # each off-diagonal pair is drawn as a caption of its row and as an image of its column, each with 1/3
    expected = 2 * draws / (size - 1)
    off_diagonal = counts[~torch.eye(size, dtype=torch.bool)]
    assert counts.diagonal().eq(0).all()
    assert (off_diagonal - expected).abs().max() < 5 * math.sqrt(expected)


@pytest.mark.parametrize("loss", RANDOM_LOSSES)
def test_the_same_picture_is_never_an_impostor(loss):
    mask = same_pictures()
    mask[3, 5] = True  # not symmetric: caption 5 also says what is in picture 3
    scores = random_scores().masked_fill(mask & ~torch.eye(6, dtype=torch.bool), 5.0)
    for seed in range(20):
        counts = scores.clone().requires_grad_()
        loss(counts, margin=1e3, generator=generator(seed), same_image=mask).backward()
        assert not counts.grad[mask & ~torch.eye(6, dtype=torch.bool)].any()


@pytest.mark.parametrize("shift", [0.0, 10.0, -10.0])
@pytest.mark.parametrize("margin", [1.0, 0.1])
def test_semi_hard_equals_loops_whatever_the_sign_of_the_scores(shift, margin):
    """With all scores negative, multiplying by a mask would make 0 the hardest candidate of all."""
    scores = with_candidates(shift)
    expected = naive_semi_hard(scores, margin, lambda i, a: i != a)
    value = semi_hard_triplet(scores, margin=margin, generator=generator())
    assert value.item() == pytest.approx(expected)
    assert value.item() > 0
    mean = semi_hard_triplet(scores, margin=margin, generator=generator(), reduction="mean")
    assert mean.item() == pytest.approx(expected / 6)


def test_semi_hard_leaves_out_the_same_picture():
    mask = same_pictures()
    scores = random_scores()
    scores.diagonal().copy_(scores.diagonal() + 10)  # everything is a candidate
    scores[0, 1] = scores[2, 4] = 9  # the hardest, were they allowed
    expected = naive_semi_hard(scores, 20.0, lambda i, a: not mask[i, a])
    value = semi_hard_triplet(scores, margin=20.0, generator=generator(), same_image=mask)
    assert value.item() == pytest.approx(expected)


def test_semi_hard_ignores_impostors_that_tie_with_the_true_pair():
    scores = torch.tensor([[1.0, 1.0, 0.2], [0.3, 1.0, 0.1], [0.4, 0.5, 1.0]])
    # row 0: 1.0 is not lower than the true 1.0, so 0.2; column 1: the same, so 0.5
    expected = sum(hinge(x, 1.0, 1) for x in (0.2, 0.3, 0.5, 0.4, 0.5, 0.2))
    assert semi_hard_triplet(scores, generator=generator()).item() == pytest.approx(expected)


def test_semi_hard_falls_back_to_random_impostors():
    scores = random_scores(5)
    scores.diagonal().copy_(scores.diagonal() - 100)  # no impostor is lower than a true pair
    seen = torch.zeros(5, 5)
    for seed in range(60):
        counts = drawn_impostors(scores, semi_hard_triplet, seed)
        assert counts.sum() == 10
        seen += counts
    assert (seen[~torch.eye(5, dtype=torch.bool)] > 0).all(), "some impostors are never drawn"


def test_semi_hard_with_equal_scores_draws_at_random():
    value = semi_hard_triplet(torch.zeros(5, 5), generator=generator())
    assert value.item() == pytest.approx(10)
    assert (drawn_impostors(torch.zeros(5, 5), semi_hard_triplet, 0).sum(1) >= 1).all()


def test_shn_is_the_sum_of_both():
    scores = with_candidates()
    first, second = generator(3), generator(3)
    expected = sampled_triplet(scores, margin=0.7, generator=first)
    expected = expected + semi_hard_triplet(scores, margin=0.7, generator=first)
    assert shn(scores, margin=0.7, generator=second).item() == pytest.approx(expected.item())


def test_well_separated_pairs_cost_nothing():
    scores = 5 * torch.eye(4)
    for loss in (*RANDOM_LOSSES, all_pairs_hinge):
        assert loss(scores).item() == 0


@pytest.mark.parametrize("loss", RANDOM_LOSSES)
def test_a_generator_fixes_what_is_random(loss):
    scores = random_scores(20) - 100 * torch.eye(20, dtype=torch.float64)
    before = torch.get_rng_state()
    values = [loss(scores, generator=generator(seed)).item() for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]
    assert torch.equal(torch.get_rng_state(), before), "the global generator was used"
    torch.manual_seed(5)
    first = loss(scores).item()
    torch.manual_seed(5)
    assert loss(scores).item() == first


def naive_info_nce(scores, scale, margin=0.0, excluded=lambda i, a: False):
    size, total = len(scores), 0.0
    logit = lambda i, a: scale * (float(scores[i, a]) - (margin if i == a else 0.0))
    for j in range(size):
        row = [math.exp(logit(j, a)) for a in range(size) if a == j or not excluded(j, a)]
        column = [math.exp(logit(i, j)) for i in range(size) if i == j or not excluded(i, j)]
        total -= (2 * logit(j, j) - math.log(sum(row)) - math.log(sum(column))) / 2
    return total / size


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_info_nce_equals_loops(margin):
    scores = random_scores()
    expected = naive_info_nce(scores, 13.0, margin)
    for options in ({"log_scale": math.log(13)}, {"temperature": 1 / 13}):
        assert info_nce(scores, margin=margin, **options).item() == pytest.approx(expected)
    total = info_nce(scores, log_scale=torch.tensor(13.0).log(), margin=margin, reduction="sum")
    assert total.item() == pytest.approx(6 * expected, rel=1e-5)
    assert info_nce(scores, margin=margin).item() == pytest.approx(naive_info_nce(scores, 1.0, margin))


def test_info_nce_masks_negatives_of_the_same_picture_and_caption():
    scores, images = random_scores(), same_pictures()
    captions = torch.zeros(6, 6, dtype=torch.bool)
    captions[3, 5] = True
    expected = naive_info_nce(scores, 1.0, excluded=lambda i, a: images[i, a] or captions[i, a])
    value = info_nce(scores, same_image=images, same_caption=captions)
    assert value.item() == pytest.approx(expected)
    assert value.item() != pytest.approx(info_nce(scores, same_image=images).item())


def test_info_nce_at_chance_is_the_log_of_the_batch():
    assert info_nce(torch.zeros(8, 8)).item() == pytest.approx(math.log(8))


def test_info_nce_with_every_negative_masked_is_zero_and_has_a_finite_gradient():
    scores = random_scores(3).requires_grad_()
    loss = info_nce(scores, same_image=torch.ones(3, 3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == pytest.approx(0) and scores.grad.isfinite().all()


def test_info_nce_learns_its_scale():
    log_scale = torch.tensor(0.0, requires_grad=True)
    info_nce(3 * torch.eye(4), log_scale=log_scale).backward()
    assert log_scale.grad < 0, "right pairs win, so a larger scale lowers the loss"


@pytest.mark.parametrize("loss", LOSSES)
def test_gradcheck(loss):
    options = {"generator": True} if loss in RANDOM_LOSSES else {}
    scores = with_candidates(size=4).requires_grad_()

    def run(x):
        return loss(x, **({"generator": generator(1)} if options else {}))

    assert torch.autograd.gradcheck(run, (scores,))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_of_one_is_refused_with_advice(loss):
    with pytest.raises(ValueError, match=r"1 pair.*no impostor.*drop_last"):
        loss(torch.ones(1, 1))


@pytest.mark.parametrize("loss", LOSSES)
def test_wrong_arguments(loss):
    with pytest.raises(ValueError, match=r"scores are \[3, 4\]; expected \[B, B\]"):
        loss(torch.ones(3, 4))
    with pytest.raises(ValueError, match="reduction is 'none'"):
        loss(torch.ones(3, 3), reduction="none")
    with pytest.raises(ValueError, match=r"same_image is \[2, 2\] torch.bool; expected \[3, 3\]"):
        loss(torch.ones(3, 3), same_image=torch.eye(2, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"torch\.float32; expected"):
        loss(torch.ones(3, 3), same_image=torch.eye(3))


@pytest.mark.parametrize("loss", [*RANDOM_LOSSES, all_pairs_hinge])
def test_a_batch_of_one_picture_has_no_impostor(loss):
    with pytest.raises(ValueError, match="pair 0 without an impostor; use batches with at least two different"):
        loss(torch.ones(3, 3), same_image=torch.ones(3, 3, dtype=torch.bool))


def test_info_nce_refuses_contradictory_scales():
    with pytest.raises(ValueError, match="both log_scale and temperature"):
        info_nce(torch.ones(3, 3), log_scale=1.0, temperature=0.1)
    with pytest.raises(ValueError, match="temperature is 0"):
        info_nce(torch.ones(3, 3), temperature=0)
