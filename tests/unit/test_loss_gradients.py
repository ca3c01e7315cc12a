"""Gradients of losses by the scores, against differences; their shares among impostors, against loops."""

import pytest
import torch

from vgs_lib import losses
from vgs_lib.embedding_losses import cmpm, projection_matching
from vgs_lib.figures.losses import gamma_figure, gradient_figure, hardness_figure
from vgs_lib.loss_gradients import impostor_shares, score_gradient, shares_by_hardness
from vgs_lib.viz import figure_png


@pytest.fixture
def scores():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 6, generator=generator, dtype=torch.double) + 2 * torch.eye(6)


@pytest.mark.parametrize("name", ["all_pairs_hinge", "info_nce", "masked_matching"])
def test_the_gradient_equals_differences(scores, name):
    loss = getattr(losses, name)
    found = score_gradient(scores, loss)
    for place in ((0, 0), (2, 4), (5, 1)):
        near = torch.zeros_like(scores)
        near[place] = 1e-6
        assert found[place].item() == pytest.approx(float(loss(scores + near) - loss(scores - near)) / 2e-6, abs=1e-5)


def test_random_impostors_are_averaged_and_the_generator_is_put_back(scores):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    found = score_gradient(scores, lambda s: losses.sampled_triplet(s, margin=100.0), draws=4000)
    assert torch.equal(torch.rand(3), expected)
    off = ~torch.eye(6, dtype=torch.bool)
    assert found[off] == pytest.approx(torch.full((30,), 2 / 5), abs=0.05)  # 1 of 5 captions, 1 of 5 pictures
    assert found.diagonal().tolist() == pytest.approx([-2.0] * 6)


def test_shares_are_those_of_a_loop(scores):
    gradient = score_gradient(scores, losses.info_nce)
    shares, total = impostor_shares(gradient), 0.0
    for i in range(6):
        for j in range(6):
            total += float(gradient[i, j]) if i != j else 0.0
    assert shares[1, 3].item() == pytest.approx(float(gradient[1, 3]) / total) and shares.sum().item() == pytest.approx(
        1
    )
    assert shares.diagonal().tolist() == [0] * 6
    ranked = [0.0] * 5
    for i in range(6):
        for s, share in ((scores[i], shares[i]), (scores[:, i], shares[:, i])):
            order = sorted((j for j in range(6) if j != i), key=lambda j: -float(s[j]))
            for place, j in enumerate(order):
                ranked[place] += float(share[j]) / 2
    found = shares_by_hardness(scores, gradient)
    assert found.tolist() == pytest.approx(ranked) and found.sum().item() == pytest.approx(1)


def test_no_push_gives_no_shares():
    easy = 10 * torch.eye(4)
    gradient = score_gradient(easy, losses.all_pairs_hinge)
    assert not impostor_shares(gradient).any() and not shares_by_hardness(easy, gradient).any()


def test_a_larger_gamma_presses_on_fewer(scores):
    axes = gamma_figure(scores / scores.abs().max(), (1, 10, 100)).axes[0]
    hardest = axes.lines[0].get_ydata()
    assert 1 / 5 < hardest[0] < hardest[1] < hardest[2] <= 1


def test_one_direction_of_cmpm_on_unit_vectors():
    vectors = torch.nn.functional.normalize(torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(1)), dim=-1)
    labels = torch.tensor([0, 1, 1, 2, 3])
    cosines, same = vectors[0] @ vectors[1].T, labels[:, None] == labels[None, :]
    both = projection_matching(cosines, same) + projection_matching(cosines.T, same)
    assert both.item() == pytest.approx(cmpm(*vectors, labels).item(), rel=1e-5)
    p = cosines[1].softmax(0)
    row = sum(float(p[j]) * float((p[j] / ((0.5 if j in (1, 2) else 0.0) + 1e-8)).log()) for j in range(5))
    assert projection_matching(cosines[[1, 0, 2, 3, 4]], same[[1, 0, 2, 3, 4]]).item() * 5 == pytest.approx(
        row + sum(_row(cosines, same, i) for i in (0, 2, 3, 4)), rel=1e-4
    )


def _row(cosines, same, i):
    p, q = cosines[i].softmax(0), same[i].float() / same[i].sum()
    return float((p * (p / (q + 1e-8)).log()).sum())


def test_figures_can_be_drawn(scores):
    gradients = {name: score_gradient(scores, getattr(losses, name)) for name in ("info_nce", "all_pairs_hinge")}
    assert figure_png(gradient_figure(scores, gradients)).startswith(b"\x89PNG")
    curves = {name: shares_by_hardness(scores, gradient) for name, gradient in gradients.items()}
    figure = hardness_figure(curves)
    assert figure.axes[0].lines[0].get_ydata()[-1] == pytest.approx(1) and figure_png(figure)
