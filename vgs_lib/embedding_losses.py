"""Losses on embeddings and classes: CMPM, CMPC, DSCMR, the parts of TIMAM (tian2020, 2.5), model transfer (aytar2017).

They take one vector for each picture and each caption, row i of both being a pair, and the class of each pair, a number
from 0 to C - 1. What is learnt with a loss (class weights, a discriminator) is an argument here and is kept by the
modules of ``training.embedding_heads``.

Legend: B pairs, D embedding, C classes.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def cmpm(images: Tensor, audio: Tensor, labels: Tensor, *, eps: float = 1e-8) -> Tensor:
    """Cross-modal projection matching: KL(p, q) of each picture over captions, and of each caption over pictures.

    p is the softmax of the projections of one embedding on all normalised ones of the other side, q the matches of
    labels shared equally. Each direction is the mean over the batch, and both are added.

    Args:
        images: ``[B, D]`` embeddings of pictures; they are not normalised before.
        audio: ``[B, D]`` embeddings of captions.
        labels: ``[B]`` integers, the class of each pair; pairs of one class match.
        eps: added to q, so that its zeros have a logarithm. 1e-8 leaves a pair of other classes that p takes for a
            match a cost of up to 18.

    Raises:
        ValueError: embeddings that are not two equal ``[B, D]``, B below 2, labels that are not ``[B]`` integers.

    Source: Zhang and Lu 2018 in tian2020, equation 2.18.
    """
    _check(images, audio, labels)
    matches = labels[:, None] == labels[None, :]
    ways = ((images, audio), (audio, images))
    return sum(
        (projection_matching(x @ _normalised(z).T, matches, eps=eps) for x, z in ways), start=images.new_zeros(())
    )


def projection_matching(projections: Tensor, matches: Tensor, *, eps: float = 1e-8) -> Tensor:
    """One direction of :func:`cmpm`: the mean KL(p, q) of rows, from projections ``[B, B]`` and bool ``[B, B]``."""
    wanted = matches.to(projections.dtype)
    log_q = (wanted / wanted.sum(1, keepdim=True) + eps).log()
    log_p = projections.log_softmax(1)
    return (log_p.exp() * (log_p - log_q)).sum(1).mean()


def norm_softmax(embeddings: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of the classes from embeddings ``[B, D]`` by class weights ``[C, D]`` taken at length 1, the mean.

    Raises:
        ValueError: labels that are not ``[B]`` integers from 0 to C - 1, weights of another dimension.

    Source: tian2020, equation 2.19 with r = 1; TIMAM's identification loss.
    """
    _check_classes(labels, weights, embeddings)
    return F.cross_entropy(embeddings @ _normalised(weights).T, labels)


def cmpc(images: Tensor, audio: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Cross-modal projection classification: :func:`norm_softmax` of each embedding projected on its pair's, both ways.

    The projection of x is its part along z, its pair's embedding of the other side: (x . z') z' where z' = z / |z|.

    Args:
        images, audio: ``[B, D]`` embeddings of pictures and of captions.
        labels: ``[B]`` integers from 0 to C - 1, the class of each pair.
        weights: ``[C, D]``, the same for both sides; only their directions matter.

    Raises:
        ValueError: as :func:`cmpm` and :func:`norm_softmax`.

    Source: Zhang and Lu 2018 in tian2020, equation 2.19.
    """
    _check(images, audio, labels)
    projected = lambda x, z: (x * _normalised(z)).sum(1, keepdim=True) * _normalised(z)
    return norm_softmax(projected(images, audio), labels, weights) + norm_softmax(
        projected(audio, images), labels, weights
    )


def dscmr(images: Tensor, audio: Tensor, labels: Tensor, classifier: Tensor, **shares: float) -> Tensor:
    """Deep supervised cross-modal retrieval: the sum of :func:`dscmr_terms`, with its arguments and errors.

    Source: Zhen et al. 2019 in tian2020, equation 2.17.
    """
    return sum(dscmr_terms(images, audio, labels, classifier, **shares).values(), images.new_zeros(()))


def dscmr_terms(
    images: Tensor,
    audio: Tensor,
    labels: Tensor,
    classifier: Tensor,
    *,
    discrimination: float = 1e-3,
    invariance: float = 0.1,
) -> dict[str, Tensor]:
    """The three parts of DSCMR as they are added up: J1, ``discrimination`` J2, ``invariance`` J3.

    Args:
        images, audio: ``[B, D]`` embeddings U of pictures and V of captions.
        labels: ``[B]`` integers from 0 to C - 1, the class of each pair; Y holds them one-hot.
        classifier: ``[C, D]``, the linear classifier P of both sides, without a bias.
        discrimination, invariance: the shares of J2 and J3, lambda and eta.

    Returns:
        ``label_space``: J1 = (1 / B) (|U P - Y| + |V P - Y|) with Frobenius norms, which are not squared, as printed.
        ``discrimination``: of J2, the three log-likelihoods that two embeddings (picture and caption, two pictures, two
        captions) are of one class, each a mean over the B x B pairs, with half their cosine as the log-odds.
        ``invariance``: of J3 = (1 / B) |U - V|.

    Raises:
        ValueError: as :func:`cmpm` and :func:`norm_softmax`.

    Source: tian2020, equations 2.14 to 2.17. It prints neither the log-odds nor the shares; half a cosine is Zhen et
    al.'s, 1e-3 and 0.1 their code's.
    """
    _check(images, audio, labels)
    _check_classes(labels, classifier, images)
    size = len(images)
    truth = F.one_hot(labels, len(classifier)).to(images.dtype)
    same = (labels[:, None] == labels[None, :]).to(images.dtype)
    u, v = _normalised(images), _normalised(audio)
    likelihoods = images.new_zeros(())
    for a, b in ((u, v), (u, u), (v, v)):
        log_odds = a @ b.T / 2
        likelihoods = likelihoods + (F.softplus(log_odds) - same * log_odds).mean()
    norm = torch.linalg.norm
    return {
        "label_space": (norm(images @ classifier.T - truth) + norm(audio @ classifier.T - truth)) / size,
        "discrimination": discrimination * likelihoods,
        "invariance": invariance * norm(images - audio) / size,
    }


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None


def reverse_gradient(x: Tensor, strength: float = 1.0) -> Tensor:
    """``x`` itself; its gradient comes back times - ``strength`` (Ganin and Lempitsky 2015)."""
    return _Reverse.apply(x, strength)


def modality_adversarial(
    images: Tensor, audio: Tensor, discriminator: Callable[[Tensor], Tensor], *, strength: float = 1.0
) -> Tensor:
    """The discriminator's loss in telling captions (1) from pictures (0); encoders get its gradient reversed.

    - log D(caption) - log(1 - D(picture)), the mean over the B pairs of a modality and the sum of both. Where the
    document trains discriminator and encoders by turns, one optimizer trains them together here: the discriminator
    goes down this loss and the encoders go up it, ``strength`` times as steeply. One set of moments, one learning
    rate and one checkpoint serve both.

    Args:
        images, audio: ``[B, D]`` embeddings of pictures and of captions.
        discriminator: embeddings ``[B, D]`` -> logits ``[B]`` or ``[B, 1]`` of being a caption.
        strength: what the reversed gradient is multiplied by.

    Source: Sarafianos et al. 2019 in tian2020, equation 2.20.
    """
    _check(images, audio)
    on_audio = discriminator(reverse_gradient(audio, strength))
    on_images = discriminator(reverse_gradient(images, strength))
    return F.softplus(-on_audio).mean() + F.softplus(on_images).mean()


def model_transfer(teacher: Tensor, student: Tensor, *, reduction: str = "sum") -> Tensor:
    """D_KL(teacher || student) of class probabilities: a picture classifier teaches another modality's network.

    Args:
        teacher: ``[B, C]`` probabilities, rows adding up to 1; no gradient flows into them.
        student: ``[B, C]`` logits of another modality's network on the pair of the same row.
        reduction: ``sum`` over the B pairs, as printed, or their ``mean``.

    Raises:
        ValueError: shapes that are not two equal ``[B, C]``, a teacher whose rows are no probabilities, an unknown
            reduction.

    Source: aytar2017, Alignment by Model Transfer.
    """
    if teacher.dim() != 2 or teacher.shape != student.shape:
        raise ValueError(
            f"teacher is {list(teacher.shape)} and student {list(student.shape)}; expected [B, C] for both"
        )
    if reduction not in ("sum", "mean"):
        raise ValueError(f"reduction is {reduction!r}; expected 'sum' or 'mean'")
    teacher = teacher.detach()
    wrong = (teacher < 0).any(1) | ((teacher.sum(1) - 1).abs() > 1e-3)
    if wrong.any():
        raise ValueError(
            f"teacher[{int(wrong.nonzero()[0])}] is not a row of probabilities; expected numbers of 0 or more that add "
            "up to 1 (take the softmax of logits)"
        )
    divergences = (torch.xlogy(teacher, teacher) - teacher * student.log_softmax(1)).sum(1)
    return divergences.sum() if reduction == "sum" else divergences.mean()


def _normalised(x: Tensor) -> Tensor:
    """Rows of length 1. The bound keeps the gradient of a row of zeros from overflowing."""
    return F.normalize(x, dim=1, eps=1e-6)


def _check(images: Tensor, audio: Tensor, labels: Tensor | None = None) -> None:
    if images.dim() != 2 or images.shape != audio.shape:
        raise ValueError(f"images are {list(images.shape)} and audio {list(audio.shape)}; expected [B, D] for both")
    if len(images) < 2:
        raise ValueError(f"the batch has {len(images)} pair(s), so nothing can be told apart; use 2 or more")
    if labels is not None:
        _check_labels(labels, images)


def _check_labels(labels: Tensor, embeddings: Tensor) -> None:
    if labels.shape != embeddings.shape[:1] or labels.dtype != torch.int64:
        raise ValueError(f"labels are {list(labels.shape)} {labels.dtype}; expected [{len(embeddings)}] torch.int64")


def _check_classes(labels: Tensor, weights: Tensor, embeddings: Tensor) -> None:
    _check_labels(labels, embeddings)
    if weights.dim() != 2 or weights.shape[1] != embeddings.shape[1]:
        raise ValueError(f"class weights are {list(weights.shape)}; expected [C, {embeddings.shape[1]}]")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(weights):
        raise ValueError(
            f"labels go from {low} to {high}, but there are weights for {len(weights)} classes; expected 0 to "
            f"{len(weights) - 1} (num_classes must be that of the training data)"
        )
