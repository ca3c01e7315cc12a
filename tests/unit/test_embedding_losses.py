"""Losses on embeddings against loops over pairs and classes; gradients, collapse and errors; what their heads add."""

import math

import pytest
import torch
from torch import nn

from vgs_lib.embedding_losses import (
    cmpc,
    cmpm,
    dscmr,
    dscmr_terms,
    modality_adversarial,
    model_transfer,
    norm_softmax,
    reverse_gradient,
)
from vgs_lib.training.embedding_heads import CMPC, CMPM, DSCMR, TIMAM, ModalityDiscriminator

LABELS = torch.tensor([0, 2, 1, 0, 2])
CLASSES, DIM = 4, 6


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def embeddings(seed=0):
    return drawn(5, DIM, seed=seed), drawn(5, DIM, seed=seed + 1), drawn(CLASSES, DIM, seed=seed + 2)


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def length(a):
    return math.sqrt(dot(a, a))


def unit(a):
    return [x / length(a) for x in a]


def log_softmax_at(logits, index):
    top = max(logits)
    return logits[index] - top - math.log(sum(math.exp(x - top) for x in logits))


def naive_cmpm(images, audio, labels, eps=1e-8):
    total = 0.0
    for xs, zs in ((images, audio), (audio, images)):
        for i, x in enumerate(xs):
            logits = [dot(x, unit(z)) for z in zs]
            matches = [float(labels[i] == label) for label in labels]
            for j in range(len(zs)):
                p, q = math.exp(log_softmax_at(logits, j)), matches[j] / sum(matches)
                total += p * math.log(p / (q + eps)) / len(xs)
    return total


def naive_norm_softmax(xs, labels, weights):
    losses = [-log_softmax_at([dot(unit(w), x) for w in weights], label) for x, label in zip(xs, labels, strict=True)]
    return sum(losses) / len(losses)


def naive_cmpc(images, audio, labels, weights):
    total = 0.0
    for xs, zs in ((images, audio), (audio, images)):
        projected = [[dot(x, unit(z)) * c for c in unit(z)] for x, z in zip(xs, zs, strict=True)]
        total += naive_norm_softmax(projected, labels, weights)
    return total


def naive_dscmr(images, audio, labels, weights, shares=(1.0, 1e-3, 0.1)):
    size = len(images)
    label_space = 0.0
    for xs in (images, audio):
        squares = [
            (dot(x, w) - (c == label)) ** 2 for x, label in zip(xs, labels, strict=True) for c, w in enumerate(weights)
        ]
        label_space += math.sqrt(sum(squares)) / size
    likelihoods = 0.0
    for xs, zs in ((images, audio), (images, images), (audio, audio)):
        for i, x in enumerate(xs):
            for j, z in enumerate(zs):
                theta = dot(unit(x), unit(z)) / 2
                likelihoods += (math.log(1 + math.exp(theta)) - (labels[i] == labels[j]) * theta) / size**2
    apart = math.sqrt(sum((a - b) ** 2 for x, z in zip(images, audio, strict=True) for a, b in zip(x, z, strict=True)))
    return shares[0] * label_space + shares[1] * likelihoods + shares[2] * apart / size


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("labels", [LABELS, torch.arange(5) % 4, torch.tensor([3, 3, 3, 3, 3])])
def test_every_loss_equals_its_loop(labels, seed):
    images, audio, weights = embeddings(seed)
    lists = [x.tolist() for x in (images, audio, labels)]
    approx = lambda value: pytest.approx(value, rel=1e-9)
    assert cmpm(images, audio, labels).item() == approx(naive_cmpm(*lists))
    assert cmpm(images, audio, labels, eps=1e-3).item() == approx(naive_cmpm(*lists, eps=1e-3))
    assert norm_softmax(images, labels, weights).item() == approx(
        naive_norm_softmax(lists[0], lists[2], weights.tolist())
    )
    assert cmpc(images, audio, labels, weights).item() == approx(naive_cmpc(*lists, weights.tolist()))
    assert dscmr(images, audio, labels, weights).item() == approx(naive_dscmr(*lists, weights.tolist()))
    shares = dscmr(images, audio, labels, weights, discrimination=2.0, invariance=0.5)
    assert shares.item() == approx(naive_dscmr(*lists, weights.tolist(), (1.0, 2.0, 0.5)))


def test_cmpm_knows_matches_by_label_and_not_by_place():
    images, audio, _ = embeddings()
    alone = cmpm(images, audio, torch.arange(5))
    assert cmpm(images, audio, LABELS).item() != pytest.approx(alone.item())
    assert cmpm(images, audio, LABELS + 40).item() == cmpm(images, audio, LABELS).item()
    order = torch.tensor([3, 0, 4, 1, 2])
    assert cmpm(images[order], audio[order], LABELS[order]).item() == pytest.approx(
        cmpm(images, audio, LABELS).item(), rel=1e-12
    )
    # where p is q, shared equally by the pairs of a class, nothing is left but eps
    perfect = 60 * nn.functional.one_hot(LABELS, DIM).double()
    assert abs(cmpm(perfect, perfect, LABELS).item()) < 1e-6


def test_only_the_direction_of_class_weights_matters():
    images, audio, weights = embeddings()
    longer = weights * torch.tensor([[2.0], [0.1], [30.0], [1.0]], dtype=torch.float64)
    assert cmpc(images, audio, LABELS, longer).item() == pytest.approx(cmpc(images, audio, LABELS, weights).item())
    assert dscmr(images, audio, LABELS, longer).item() != pytest.approx(dscmr(images, audio, LABELS, weights).item())


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_model_transfer_equals_its_loop_and_is_zero_for_a_student_that_knows(reduction):
    teacher, student = drawn(5, CLASSES).softmax(1), drawn(5, CLASSES, seed=1)
    teacher[2] = torch.tensor([0.0, 1.0, 0.0, 0.0])  # a sure teacher: 0 log 0 is 0
    expected = 0.0
    for row, logits in zip(teacher.tolist(), student.tolist(), strict=True):
        expected += sum(p * (math.log(p) - log_softmax_at(logits, c)) for c, p in enumerate(row) if p)
    expected /= 5 if reduction == "mean" else 1
    assert model_transfer(teacher, student, reduction=reduction).item() == pytest.approx(expected)
    known = teacher.clamp_min(1e-30).log()
    assert model_transfer(teacher, known + 7.0, reduction=reduction).item() == pytest.approx(0, abs=1e-12)


def test_no_gradient_flows_into_the_teacher():
    teacher, student = drawn(5, CLASSES).requires_grad_(), drawn(5, CLASSES, seed=1).requires_grad_()
    model_transfer(teacher.softmax(1), student).backward()
    assert teacher.grad is None and student.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["cmpm", "cmpc", "norm_softmax", "dscmr", "model_transfer"])
def test_gradcheck(name):
    images, audio, weights = (x.requires_grad_() for x in embeddings())
    functions = {
        "cmpm": (lambda x, z: cmpm(x, z, LABELS), (images, audio)),
        "cmpc": (lambda x, z, w: cmpc(x, z, LABELS, w), (images, audio, weights)),
        "norm_softmax": (lambda x, w: norm_softmax(x, LABELS, w), (images, weights)),
        "dscmr": (lambda x, z, w: dscmr(x, z, LABELS, w, discrimination=1.0), (images, audio, weights)),
        "model_transfer": (lambda x: model_transfer(drawn(5, DIM, seed=9).softmax(1), x), (images,)),
    }
    assert torch.autograd.gradcheck(*functions[name])


@pytest.mark.parametrize("value", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("make", [CMPM, CMPC, DSCMR, TIMAM])
def test_collapsed_embeddings_give_finite_losses_and_gradients(make, value):
    torch.manual_seed(0)
    head = CMPM() if make is CMPM else make(DIM, CLASSES)
    images, audio = (torch.full((5, DIM), value, requires_grad=True) for _ in range(2))
    loss = head(images, audio, LABELS)
    loss.backward()
    for tensor in (images, audio, *head.parameters()):
        assert tensor.grad.isfinite().all()
    assert loss.isfinite()


def test_collapse_is_not_cheap():
    """All embeddings alike: CMPM is at chance, the discriminator sees one modality."""
    alike = torch.full((5, DIM), 0.3, dtype=torch.float64)
    apart = 30 * nn.functional.one_hot(LABELS, DIM).double()
    assert cmpm(alike, alike, LABELS) > 5 > cmpm(apart, apart, LABELS)
    discriminator = ModalityDiscriminator(DIM).double()
    assert modality_adversarial(alike, alike, discriminator).item() >= 2 * math.log(2)


def test_the_discriminator_learns_and_the_encoders_unlearn():
    """One step of one optimizer along the gradient: what the discriminator does helps it, what encoders do does not."""
    torch.manual_seed(0)
    discriminator = ModalityDiscriminator(DIM, 16).double()
    images, audio, _ = embeddings()
    images, audio = (x.requires_grad_() for x in (images, audio))
    loss = modality_adversarial(images, audio, discriminator)

    def plain(x, z):
        """Equation 2.20 in a loop, without reversal."""
        told = 0.0
        for caption, picture in zip(z, x, strict=True):
            told -= discriminator(caption).sigmoid().log() + (1 - discriminator(picture).sigmoid()).log()
        return told / len(x)

    assert loss.item() == pytest.approx(plain(images, audio).item())
    parameters = list(discriminator.parameters())
    wanted = torch.autograd.grad(plain(images, audio), [images, audio, *parameters])
    found = torch.autograd.grad(loss, [images, audio, *parameters])
    for index, (ours, truth) in enumerate(zip(found, wanted, strict=True)):
        torch.testing.assert_close(ours, -truth if index < 2 else truth)
    with torch.no_grad():
        moved = [images - 0.1 * found[0], audio - 0.1 * found[1]]
        assert plain(*moved) > plain(images, audio)
        for parameter, gradient in zip(parameters, found[2:], strict=True):
            parameter -= 0.1 * gradient
        assert plain(images, audio) < loss


def test_the_strength_scales_only_what_is_reversed():
    x = drawn(3, 2).requires_grad_()
    assert torch.equal(reverse_gradient(x, 0.25), x)
    reverse_gradient(x, 0.25).pow(2).sum().backward()
    torch.testing.assert_close(x.grad, -0.5 * x.detach())
    torch.manual_seed(0)
    discriminator = ModalityDiscriminator(DIM, 8).double()
    found = []
    for strength in (1.0, 0.25):
        images, audio = (y.requires_grad_() for y in embeddings()[:2])
        loss = modality_adversarial(images, audio, discriminator, strength=strength)
        found.append(torch.autograd.grad(loss, [images, *discriminator.parameters()]))
    torch.testing.assert_close(found[1][0], 0.25 * found[0][0])
    torch.testing.assert_close(found[1][1:], found[0][1:])


def test_heads_add_up_their_terms():
    torch.manual_seed(0)
    images, audio, _ = (x.float() for x in embeddings())
    assert CMPM()(images, audio, LABELS) == cmpm(images, audio, LABELS) and not list(CMPM().parameters())
    both = CMPC(DIM, CLASSES, matching=True)
    terms = both.terms(images, audio, LABELS)
    assert terms["cmpc"] == cmpc(images, audio, LABELS, both.weights) and terms["cmpm"] == CMPM()(images, audio, LABELS)
    assert both(images, audio, LABELS) == sum(terms.values())
    both.matching = False
    assert both(images, audio, LABELS) == terms["cmpc"]
    head = DSCMR(DIM, CLASSES, discrimination=0.2, invariance=0.3)
    assert head(images, audio, LABELS) == dscmr(images, audio, LABELS, head.weights, discrimination=0.2, invariance=0.3)
    assert (
        dscmr_terms(images, audio, LABELS, head.weights, invariance=0.3)["invariance"]
        == (head.terms(images, audio, LABELS)["invariance"])
    )
    timam = TIMAM(DIM, CLASSES, hidden=7)
    terms = timam.terms(images, audio, LABELS)
    identity = norm_softmax(images, LABELS, timam.weights) + norm_softmax(audio, LABELS, timam.weights)
    assert terms["identification"] == identity and terms["cmpm"] == cmpm(images, audio, LABELS)
    assert terms["adversarial"] == modality_adversarial(images, audio, timam.discriminator)
    assert timam(images, audio, LABELS).item() == pytest.approx(sum(terms.values()).item())
    assert [tuple(p.shape) for p in timam.parameters()] == [(CLASSES, DIM), (7, DIM), (7,), (1, 7), (1,)]


@pytest.mark.parametrize("loss", [cmpm, cmpc, dscmr])
def test_wrong_arguments(loss):
    images, audio, weights = embeddings()
    more = () if loss is cmpm else (weights,)
    with pytest.raises(ValueError, match=r"images are \[5, 6\] and audio \[4, 6\]; expected \[B, D\] for both"):
        loss(images, audio[:4], LABELS, *more)
    with pytest.raises(ValueError, match=r"images are \[6\]"):
        loss(images[0], audio[0], LABELS, *more)
    with pytest.raises(ValueError, match=r"the batch has 1 pair\(s\)"):
        loss(images[:1], audio[:1], LABELS[:1], *more)
    with pytest.raises(ValueError, match=r"labels are \[4\] torch.int64; expected \[5\] torch.int64"):
        loss(images, audio, LABELS[:4], *more)
    with pytest.raises(ValueError, match=r"torch.float32; expected \[5\] torch.int64"):
        loss(images, audio, LABELS.float(), *more)


@pytest.mark.parametrize("loss", [cmpc, dscmr])
def test_wrong_classes(loss):
    images, audio, weights = embeddings()
    with pytest.raises(
        ValueError, match=r"labels go from 0 to 2, but there are weights for 2 classes; expected 0 to 1"
    ):
        loss(images, audio, LABELS, weights[:2])
    with pytest.raises(ValueError, match="labels go from -1 to 1"):
        loss(images, audio, LABELS - 1, weights)
    with pytest.raises(ValueError, match=r"class weights are \[4, 5\]; expected \[C, 6\]"):
        loss(images, audio, LABELS, weights[:, :5])


def test_errors_of_the_rest():
    with pytest.raises(ValueError, match=r"teacher is \[2, 3\] and student \[2, 4\]"):
        model_transfer(torch.ones(2, 3), torch.ones(2, 4))
    for teacher in (torch.ones(2, 3), torch.tensor([[0.5, 0.5, 0.0], [1.2, -0.2, 0.0]])):
        with pytest.raises(ValueError, match=r"teacher\[\d\] is not a row of probabilities"):
            model_transfer(teacher, torch.ones(2, 3))
    with pytest.raises(ValueError, match="reduction is 'none'"):
        model_transfer(torch.ones(2, 1), torch.ones(2, 1), reduction="none")
    with pytest.raises(ValueError, match=r"1 pair\(s\)"):
        modality_adversarial(torch.ones(1, 3), torch.ones(1, 3), ModalityDiscriminator(3))
    for make in (CMPC, DSCMR, TIMAM):
        with pytest.raises(ValueError, match="num_classes is 1; expected 2 or more"):
            make(DIM, 1)
