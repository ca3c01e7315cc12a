"""Losses on a score matrix (harwath2019, section 4.4, equations 9 to 15, and those of other documents).

Every loss takes scores ``[B, B]`` whose rows are pictures and whose columns are captions, the diagonal being
the true pairs, and returns a scalar. An impostor is a caption (picture) that belongs to another picture
(caption). What is random is drawn from a generator, so a seed fixes it. Reduction ``sum`` is the documents'
sum over the batch, ``mean`` divides it by B.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def sampled_triplet(
    scores: Tensor,
    *,
    margin: float = 1.0,
    generator: torch.Generator | None = None,
    reduction: str = "sum",
    same_image: Tensor | None = None,
) -> Tensor:
    """Hinges against one random impostor caption per picture and one random impostor picture per caption.

    Args:
        scores: ``[B, B]``, rows pictures, columns captions, true pairs on the diagonal.
        margin: by how much the true pair should win, in the unit of the scores.
        generator: source of the impostors; None uses PyTorch's default generator.
        reduction: ``sum`` over the B pairs or their ``mean``.
        same_image: ``[B, B]`` bool, true for pairs of the same picture, which are no impostors.

    Raises:
        ValueError: scores that are not square, B below 2, an unknown reduction, a mask of another shape, or a
            pair that the mask leaves without any impostor.

    Source: harwath2019, equations 9 to 11.
    """
    allowed = _impostors(scores, same_image)
    captions, images = _draw(allowed, generator), _draw(allowed.T, generator)
    return _reduce(_hinges(scores, captions, images, margin), reduction)


def semi_hard_triplet(
    scores: Tensor,
    *,
    margin: float = 1.0,
    generator: torch.Generator | None = None,
    reduction: str = "sum",
    same_image: Tensor | None = None,
) -> Tensor:
    """Hinges against the hardest impostors that score lower than the true pair, random ones where none does.

    Arguments, result and errors are those of :func:`sampled_triplet`. Choosing carries no gradient.

    Source: harwath2019, equations 12 to 14. What is not a candidate is masked with minus infinity:
    multiplying by a mask, as public code does, makes a 0 out of it, which beats every candidate when all
    scores are negative.
    """
    allowed = _impostors(scores, same_image)
    captions = _semi_hard(scores.detach(), allowed, generator)
    images = _semi_hard(scores.detach().T, allowed.T, generator)
    return _reduce(_hinges(scores, captions, images, margin), reduction)


def shn(
    scores: Tensor,
    *,
    margin: float = 1.0,
    generator: torch.Generator | None = None,
    reduction: str = "sum",
    same_image: Tensor | None = None,
) -> Tensor:
    """The sum of :func:`sampled_triplet` and :func:`semi_hard_triplet`, with their arguments and errors.

    Source: harwath2019, equation 15.
    """
    options = {"margin": margin, "generator": generator, "reduction": reduction, "same_image": same_image}
    terms = shn_terms(scores, **options)
    return terms["sampled"] + terms["semi_hard"]


def shn_terms(
    scores: Tensor,
    *,
    margin: float = 1.0,
    generator: torch.Generator | None = None,
    reduction: str = "sum",
    same_image: Tensor | None = None,
) -> dict[str, Tensor]:
    """The two terms of :func:`shn` by name, "sampled" and "semi_hard" (harwath2019, Fig. 5 shows them apart)."""
    options = {"margin": margin, "generator": generator, "reduction": reduction, "same_image": same_image}
    return {"sampled": sampled_triplet(scores, **options), "semi_hard": semi_hard_triplet(scores, **options)}


def three_anchor_triplet(
    scores: Tensor,
    *,
    margin: float = 1.0,
    generator: torch.Generator | None = None,
    reduction: str = "sum",
    same_image: Tensor | None = None,
) -> Tensor:
    """:func:`sampled_triplet`, and the pairs that its two impostors belong to serve as anchors in turn.

    For pair g an impostor caption (of pair 1) and an impostor picture (of pair 2; it may be pair 1) are drawn. With
    S(i, a) the score of picture i and caption a:

        t1 = max(0, S(g, 1) - S(g, g) + margin) + max(0, S(2, g) - S(g, g) + margin)
        t2 = max(0, S(1, g) - S(1, 1) + margin) + max(0, S(g, 1) - S(1, 1) + margin)
        t3 = max(0, S(2, g) - S(2, 2) + margin) + max(0, S(g, 2) - S(2, 2) + margin)

    so every picture and caption that is drawn is an anchor too. Arguments, result and errors are those of
    :func:`sampled_triplet`; since two pairs are each other's impostors here, ``same_image`` holds in both directions
    if it does in one.

    Source: ni2018, First Optimization. Its printed terms are these: in t2 and t3 caption and picture of g are the
    impostors of pair 1 and of pair 2. Only its scan is unclear ("glmage", an index i for j).
    """
    allowed = _impostors(scores, same_image)
    allowed = _with_impostors(allowed & allowed.T)
    first, second = _draw(allowed, generator), _draw(allowed, generator)
    anchor = torch.arange(len(scores), device=scores.device)
    losses = _hinges(scores, first, second, margin)  # t1
    for other in (first, second):  # t2 and t3
        true = scores[other, other]
        losses = (
            losses + (scores[other, anchor] - true + margin).relu() + (scores[anchor, other] - true + margin).relu()
        )
    return _reduce(losses, reduction)


def all_pairs_hinge(
    scores: Tensor, *, margin: float = 1.0, reduction: str = "sum", same_image: Tensor | None = None
) -> Tensor:
    """Hinges against every impostor caption of each picture and every impostor picture of each caption.

    Arguments, result and errors are those of :func:`sampled_triplet`; nothing is random. ``mean`` divides the
    sum over all impostors by B.

    Source: zhang2020, equation 2; aytar2017's ranking loss (there on cosines).
    """
    allowed = _impostors(scores, same_image)
    true = scores.diagonal()
    hinges = (scores - true[:, None] + margin).relu() + (scores - true[None, :] + margin).relu()
    return _reduce(hinges.masked_fill(~allowed, 0).sum(1), reduction)


def info_nce(
    scores: Tensor,
    *,
    log_scale: Tensor | float | None = None,
    temperature: float | None = None,
    margin: float = 0.0,
    same_image: Tensor | None = None,
    same_caption: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of the true pair among its row and among its column, averaged over the two directions.

    Args:
        scores: ``[B, B]``, rows pictures, columns captions, true pairs on the diagonal.
        log_scale: natural logarithm of what scores are multiplied by, usually a learnt parameter.
        temperature: what scores are divided by, above 0; instead of ``log_scale``. With neither, scores are
            taken as they are.
        margin: taken from the true scores before scaling (margin-InfoNCE).
        same_image: ``[B, B]`` bool, true for pairs of the same picture, which are no negatives.
        same_caption: the same for pairs whose captions say the same.
        reduction: ``mean`` over the B pairs or their ``sum``.

    Raises:
        ValueError: scores that are not square, B below 2, both ``log_scale`` and ``temperature``, a temperature that
            is not positive, a mask of another shape, an unknown reduction.

    Source: van den Oord et al. 2018; masked negatives as in tian2020, equations 4.8 to 4.10 (on cosines, with
    scale 13, and the two directions added, not averaged).
    """
    _check_square(scores)
    if log_scale is not None and temperature is not None:
        raise ValueError("both log_scale and temperature were given; give one of them")
    if temperature is not None and temperature <= 0:
        raise ValueError(f"temperature is {temperature}; expected a number above 0")
    diagonal = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    logits = scores - margin * diagonal.to(scores.dtype)
    if log_scale is not None:
        logits = logits * torch.as_tensor(log_scale, device=scores.device).exp()
    if temperature is not None:
        logits = logits / temperature
    for name, mask in (("same_image", same_image), ("same_caption", same_caption)):
        if mask is not None:
            logits = logits.masked_fill(_check_mask(mask, scores, name) & ~diagonal, -torch.inf)
    target = torch.arange(len(scores), device=scores.device)
    losses = F.cross_entropy(logits, target, reduction="none") + F.cross_entropy(logits.T, target, reduction="none")
    return _reduce(losses / 2, reduction)


def masked_matching(
    scores: Tensor, *, gamma: float = 13.0, same_image: Tensor | None = None, reduction: str = "sum"
) -> Tensor:
    """The matching loss ("batch loss"): - log P(picture | caption) - log P(caption | picture), added over the batch.

    P is the softmax of ``gamma`` times the scores over a row or a column, from which pairs of the same class are left
    out. It is twice :func:`info_nce` at temperature 1 / gamma, which averages the two directions.

    Args:
        scores: ``[B, B]`` cosines, rows pictures, columns captions, true pairs on the diagonal.
        gamma: the smoothing factor, above 0; 13 is the document's.
        same_image: ``[B, B]`` bool, true where caption j also describes picture i (a pair of one class): 0 in the
            document's mask M. The diagonal does not matter.
        reduction: ``sum`` over the B pairs, as printed, or their ``mean``.

    Raises:
        ValueError: scores that are not square, B below 2, a gamma that is not above 0, a mask of another shape, an
            unknown reduction.

    Source: tian2020, equations 4.8 to 4.10.
    """
    if not gamma > 0:
        raise ValueError(f"gamma is {gamma}; expected a number above 0")
    return 2 * info_nce(scores, temperature=1 / gamma, same_image=same_image, reduction=reduction)


def _hinges(scores: Tensor, captions: Tensor, images: Tensor, margin: float) -> Tensor:
    """The two hinges of each pair, added: [B]. ``captions[j]`` and ``images[j]`` are pair j's impostors."""
    true = scores.diagonal()
    against_caption = scores.gather(1, captions[:, None]).squeeze(1)
    against_image = scores.gather(0, images[None, :]).squeeze(0)
    return (against_caption - true + margin).relu() + (against_image - true + margin).relu()


def _draw(allowed: Tensor, generator: torch.Generator | None) -> Tensor:
    """One uniformly drawn true column per row of ``allowed [B, B]``: indices [B].

    Drawn on the generator's device (the CPU without one), so that a seed gives the same impostors everywhere.
    """
    device = generator.device if generator is not None else torch.device("cpu")
    counts = allowed.sum(1)
    uniform = torch.rand(len(allowed), generator=generator, device=device).to(allowed.device)
    nth = (uniform * counts).long().clamp_max(counts - 1)  # rand * count can round up to count
    return (allowed.cumsum(1) > nth[:, None]).long().argmax(1)


def _semi_hard(scores: Tensor, allowed: Tensor, generator: torch.Generator | None) -> Tensor:
    """For each row its best allowed column below the diagonal score, or a random allowed one: indices [B]."""
    candidates = allowed & (scores < scores.diagonal()[:, None])
    hardest = scores.masked_fill(~candidates, -torch.inf).argmax(1)
    return torch.where(candidates.any(1), hardest, _draw(allowed, generator))


def _impostors(scores: Tensor, same_image: Tensor | None) -> Tensor:
    """[B, B] bool: the pairs that are impostors. Every row and column has at least one."""
    _check_square(scores)
    allowed = ~torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    if same_image is not None:
        allowed &= ~_check_mask(same_image, scores, "same_image")
    return _with_impostors(allowed)


def _with_impostors(allowed: Tensor) -> Tensor:
    """``allowed [B, B]`` itself, once every row and every column has been found to have an impostor."""
    alone = ~(allowed.any(1) & allowed.any(0))
    if alone.any():
        raise ValueError(
            f"same_image leaves pair {int(alone.nonzero()[0])} without an impostor; "
            "use batches with at least two different pictures"
        )
    return allowed


def _check_square(scores: Tensor) -> None:
    if scores.dim() != 2 or scores.shape[0] != scores.shape[1]:
        raise ValueError(f"scores are {list(scores.shape)}; expected [B, B] with true pairs on the diagonal")
    if len(scores) < 2:
        raise ValueError(
            f"the batch has {len(scores)} pair(s), so there is no impostor; "
            "use a batch size of 2 or more and drop a last incomplete batch (drop_last)"
        )


def _check_mask(mask: Tensor, scores: Tensor, name: str) -> Tensor:
    if mask.shape != scores.shape or mask.dtype != torch.bool:
        raise ValueError(f"{name} is {list(mask.shape)} {mask.dtype}; expected {list(scores.shape)} torch.bool")
    return mask.to(scores.device)


def _reduce(losses: Tensor, reduction: str) -> Tensor:
    if reduction not in ("sum", "mean"):
        raise ValueError(f"reduction is {reduction!r}; expected 'sum' or 'mean'")
    return losses.sum() if reduction == "sum" else losses.mean()
