"""The three-anchor triplet and the masked matching loss against loops; each loss of the documents has a function and
trains.
"""

import math
from statistics import fmean

import pytest
import torch
from tiny_training import DIM, TinyBatches, make_model, start

from vgs_lib import embedding_losses, losses
from vgs_lib.losses import info_nce, masked_matching, sampled_triplet, three_anchor_triplet
from vgs_lib.training import ScoreLoss
from vgs_lib.training.embedding_objective import EmbeddingLoss


def random_scores(size=6, seed=0):
    return torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# Every loss of the documents' table: its function, and what trains with it.
TABLE = {
    "sampled triplet": (losses.sampled_triplet, ScoreLoss("sampled_triplet")),
    "three-anchor triplet": (losses.three_anchor_triplet, ScoreLoss("three_anchor_triplet")),
    "all-pairs hinge": (losses.all_pairs_hinge, ScoreLoss("all_pairs_hinge")),
    "ranking on cosines": (losses.all_pairs_hinge, ScoreLoss("all_pairs_hinge", "cosine", options={"margin": 0.2})),
    "semi-hard": (losses.semi_hard_triplet, ScoreLoss("semi_hard_triplet")),
    "SHN": (losses.shn, ScoreLoss("shn")),
    "masked matching": (losses.masked_matching, ScoreLoss("masked_matching", "cosine", options={"gamma": 13.0})),
    "model transfer": (embedding_losses.model_transfer, None),  # between two networks, not in one dual encoder
    "CMPM": (embedding_losses.cmpm, EmbeddingLoss("cmpm")),
    "CMPC": (embedding_losses.cmpc, EmbeddingLoss("cmpc")),
    "CMPM + CMPC": (embedding_losses.cmpc, EmbeddingLoss("cmpm_cmpc")),
    "DSCMR": (embedding_losses.dscmr, EmbeddingLoss("dscmr")),
    "TIMAM": (embedding_losses.modality_adversarial, EmbeddingLoss("timam")),
    "InfoNCE": (losses.info_nce, ScoreLoss("info_nce")),
    "margin-InfoNCE": (losses.info_nce, ScoreLoss("info_nce", options={"margin": 0.1})),
}
SOURCES = {
    "sampled_triplet": "harwath2019, equations 9 to 11",
    "three_anchor_triplet": "ni2018, First Optimization",
    "all_pairs_hinge": "zhang2020, equation 2; aytar2017",
    "semi_hard_triplet": "harwath2019, equations 12 to 14",
    "shn": "harwath2019, equation 15",
    "masked_matching": "tian2020, equations 4.8 to 4.10",
    "model_transfer": "aytar2017, Alignment by Model Transfer",
    "cmpm": "tian2020, equation 2.18",
    "cmpc": "tian2020, equation 2.19",
    "dscmr": "tian2020, equation 2.17",
    "modality_adversarial": "tian2020, equation 2.20",
    "info_nce": "van den Oord et al. 2018",
}


@pytest.mark.parametrize("name", list(TABLE))
def test_each_loss_of_the_documents_has_a_function_that_names_its_source(name):
    function, _ = TABLE[name]
    assert SOURCES[function.__name__] in function.__doc__


class Same:
    """The same batch in every step, with two pairs of one class."""

    batch = TinyBatches()[0]

    def __getitem__(self, step):
        return self.batch


@pytest.mark.parametrize("name", [name for name, (_, objective) in TABLE.items() if objective is not None])
def test_each_loss_of_the_documents_falls_as_it_trains(name):
    """In 20 steps on one batch, as the mean of what it draws, and both sides learn; so does a loss's own head."""
    _, objective = TABLE[name]
    model = make_model(dropout=0.0).train()
    if isinstance(objective, EmbeddingLoss):
        model.loss_head = objective.head(DIM, 3)
    before = {key: value.detach().clone() for key, value in model.named_parameters() if value.requires_grad}

    @torch.no_grad()
    def loss_now():
        return fmean(objective(model, Same.batch, 0, generator(seed))[0].item() for seed in range(12))

    first = loss_now()
    list(start(model, batches=Same(), loss=objective, steps=20, warmup_steps=0))
    assert 0 < loss_now() < 0.95 * first
    still = {key for key, value in model.named_parameters() if key in before and torch.equal(value, before[key])}
    assert still == (set() if "InfoNCE" in name else {"logit_scale"})  # the learnt temperature


def test_model_transfer_trains_a_student_towards_its_teacher():
    teacher = torch.randn(6, 5, generator=generator(0)).softmax(dim=1)
    heard = torch.randn(6, 8, generator=generator(1))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        student = torch.nn.Linear(8, 5)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    found = []
    for _ in range(200):
        optimizer.zero_grad()
        loss = embedding_losses.model_transfer(teacher, student(heard))
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert found[1] < found[0] and 0 < found[-1] < 0.05 * found[0]
    torch.testing.assert_close(student(heard).softmax(dim=1), teacher, atol=0.1, rtol=0)


def hinge(impostor, true, margin):
    return max(0.0, float(impostor) - float(true) + margin)


def naive_three_anchors(scores, captions, images, margin):
    """ni2018's printed terms, S(caption of one, image of the other) as there; g, imp1, imp2 are numbers of pairs."""
    s = lambda caption, image: scores[image, caption]
    total = 0.0
    for g in range(len(scores)):
        imp1, imp2 = captions[g], images[g]
        total += hinge(s(imp1, g), s(g, g), margin) + hinge(s(g, imp2), s(g, g), margin)
        total += hinge(s(g, imp1), s(imp1, imp1), margin) + hinge(s(imp1, g), s(imp1, imp1), margin)
        total += hinge(s(g, imp2), s(imp2, imp2), margin) + hinge(s(imp2, g), s(imp2, imp2), margin)
    return total


@pytest.mark.parametrize("margin", [1.0, 0.2])
@pytest.mark.parametrize("seed", range(4))
def test_three_anchors_equal_the_printed_terms(monkeypatch, margin, seed):
    scores, drawn, draw = random_scores(7, seed), [], losses._draw

    def remembered(*arguments):
        drawn.append(draw(*arguments))
        return drawn[-1]

    monkeypatch.setattr(losses, "_draw", remembered)
    value = three_anchor_triplet(scores, margin=margin, generator=generator(seed))
    captions, images = (one.tolist() for one in drawn)
    assert captions != images
    assert all(c != g != i for g, (c, i) in enumerate(zip(captions, images, strict=True)))
    expected = naive_three_anchors(scores, captions, images, margin)
    assert value.item() == pytest.approx(expected) and expected > 0
    mean = three_anchor_triplet(scores, margin=margin, generator=generator(seed), reduction="mean")
    assert mean.item() == pytest.approx(expected / 7)


def test_the_first_anchor_is_the_sampled_triplet_on_the_same_impostors():
    """Where the pairs drawn as impostors are never close, only t1 is left."""
    scores = random_scores(2)
    scores[1, 1] = 100.0  # pair 1 as an anchor, for whichever pair drew it, has no open hinge
    s = scores
    only_first = hinge(s[0, 1], s[0, 0], 1) + hinge(s[1, 0], s[0, 0], 1)
    assert sampled_triplet(scores).item() == pytest.approx(only_first)
    # pair 1 drew pair 0 twice (t2 and t3), whose hinges against pair 1 are open again
    assert three_anchor_triplet(scores).item() == pytest.approx(3 * only_first)


def test_three_anchors_never_use_the_same_picture_in_either_direction():
    scores = random_scores(5)
    mask = torch.zeros(5, 5, dtype=torch.bool)
    mask[3, 1] = mask[0, 2] = True
    for seed in range(30):
        watched = scores.clone().requires_grad_()
        three_anchor_triplet(watched, margin=1e3, generator=generator(seed), same_image=mask).backward()
        assert not watched.grad[mask | mask.T].any()
        assert (watched.grad.diagonal() <= -2).all() and watched.grad.diagonal().sum() == -30
    with pytest.raises(ValueError, match="leaves pair 0 without an impostor"):
        lonely = torch.tensor([[0, 1, 1], [0, 0, 0], [0, 0, 0]], dtype=torch.bool)
        three_anchor_triplet(random_scores(3), same_image=lonely)


def test_collapsed_scores_cost_six_margins_a_pair():
    assert three_anchor_triplet(torch.zeros(8, 8), margin=0.5).item() == pytest.approx(8 * 6 * 0.5)


def naive_masked_matching(scores, gamma, same):
    total = 0.0
    for i in range(len(scores)):
        pictures = sum(math.exp(gamma * float(scores[j, i])) for j in range(len(scores)) if j == i or not same[j][i])
        captions = sum(math.exp(gamma * float(scores[i, j])) for j in range(len(scores)) if j == i or not same[i][j])
        total -= math.log(math.exp(gamma * float(scores[i, i])) / pictures)
        total -= math.log(math.exp(gamma * float(scores[i, i])) / captions)
    return total


@pytest.mark.parametrize("gamma", [1.0, 13.0, 100.0])
def test_masked_matching_equals_loops_over_pairs_of_other_classes(gamma):
    labels = [0, 1, 0, 2, 2, 0]
    same = torch.tensor([[a == b for b in labels] for a in labels])
    scores = random_scores().tanh()
    expected = naive_masked_matching(scores, gamma, same.tolist())
    assert masked_matching(scores, gamma=gamma, same_image=same).item() == pytest.approx(expected)
    no_mask = naive_masked_matching(scores, gamma, torch.eye(6).bool().tolist())
    assert masked_matching(scores, gamma=gamma).item() == pytest.approx(no_mask) and no_mask > expected
    mean = masked_matching(scores, gamma=gamma, same_image=same, reduction="mean")
    assert mean.item() == pytest.approx(expected / 6)
    assert info_nce(scores, temperature=1 / gamma, same_image=same).item() == pytest.approx(expected / 12)


def test_masked_matching_takes_thirteen_by_default_and_refuses_what_is_no_factor():
    scores = random_scores().tanh()
    assert masked_matching(scores).item() == masked_matching(scores, gamma=13).item()
    for gamma in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="; expected a number above 0"):
            masked_matching(scores, gamma=gamma)


def test_masked_matching_of_collapsed_scores_is_chance_among_what_is_not_masked():
    assert masked_matching(torch.ones(8, 8)).item() == pytest.approx(2 * 8 * math.log(8))
    one_class = masked_matching(torch.ones(8, 8, requires_grad=True), same_image=torch.ones(8, 8).bool())
    assert one_class.item() == pytest.approx(0)
