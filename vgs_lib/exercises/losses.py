"""Checks of ``08_losses``. Shapes: B pairs; rows of scores are pictures, columns captions, the diagonal is true."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vgs_lib import losses
from vgs_lib.embedding_losses import projection_matching
from vgs_lib.exercises import RIGHT, blank, not_a_number


def check_three_anchor(function: Callable) -> str:
    """Does ``function(scores, g, a, b, margin)`` give ni2018's t1 + t2 + t3 of pair ``g``?

    The impostor caption is that of pair ``a``, the impostor picture that of pair ``b``.
    """
    if unfit := blank(function, "a function"):
        return unfit
    scores = _scores(5) / 3  # near enough to each other that the first hinges are all above 0
    for g, a, b, margin in ((0, 1, 2, 1.0), (3, 4, 1, 1.0), (2, 0, 4, 0.2)):
        value, unfit = _value(function, scores, g, a, b, margin)
        if unfit:
            return unfit
        terms = _anchors(scores, g, a, b, margin)
        if _close(value, sum(terms)):
            continue
        plain = _anchors(scores, g, a, b, margin, relu=False)
        mistakes = {
            "That is t1 alone: pairs a and b serve as anchors, too.": terms[0],
            "t3 is missing: pair b is an anchor, too.": terms[0] + terms[1],
            "t2 is missing: pair a is an anchor, too.": terms[0] + terms[2],
            "A hinge is never below 0: a pair that is told apart well enough adds nothing.": sum(plain),
            "The margin has no effect yet.": sum(_anchors(scores, g, a, b, 0.0)),
            "Rows are pictures and columns captions: is a transposed somewhere?": sum(
                _anchors(scores.T, g, a, b, margin)
            ),
        }
        for hint, mistake in mistakes.items():
            if _close(value, mistake):
                return hint
        return f"For g = {g}, a = {a}, b = {b} and margin {margin:g} found {value:.4f}: not the sum of the six hinges."
    return RIGHT


def _anchors(scores: Tensor, g: int, a: int, b: int, margin: float, *, relu: bool = True) -> list[float]:
    def hinge(impostor: Tensor, true: Tensor) -> float:
        value = float(impostor - true) + margin
        return max(0.0, value) if relu else value

    first = hinge(scores[g, a], scores[g, g]) + hinge(scores[b, g], scores[g, g])
    return [first, *(hinge(scores[o, g], scores[o, o]) + hinge(scores[g, o], scores[o, o]) for o in (a, b))]


def check_semi_hard(function: Callable) -> str:
    """Does ``function(row, right)`` give the column of the hardest impostor below the true pair, None without one?"""
    if unfit := blank(function, "a function of a row and the column of the true pair"):
        return unfit
    answered = False
    for row, right in (
        ([0.2, 3.0, 1.5, 2.0], 3),
        ([-5.0, -7.0, -9.0, -4.0], 0),
        ([-3.0, -1.0, -2.0], 0),
        ([0.5, 0.5, 0.1], 1),
    ):
        try:
            found = function(torch.tensor(row), right)
        except Exception as error:
            return f"It fails for {row} with the true pair in column {right}: {type(error).__name__}: {error}"
        if found is ...:
            return "Not answered yet: the function returns nothing."
        if found is not None and (unfit := not_a_number(found)):
            return unfit
        if found is not None and not float(found).is_integer():
            return f"It gives {float(found):g}; the number of a column is whole."
        if hint := _semi_hard_hint(None if found is None else int(found), row, right):
            return hint if answered or found is not None else "Not answered yet: the function returns nothing."
        answered = True
    return RIGHT


def _semi_hard_hint(found: int | None, row: list[float], right: int) -> str:
    below = [j for j in range(len(row)) if j != right and row[j] < row[right]]
    if found == (max(below, key=lambda j: row[j]) if below else None):
        return ""
    shown = f"In {[f'{x:g}' for x in row]} with the true pair in column {right} it gives {found}".replace("'", "")
    if found is None:
        return f"{shown}; there are impostors below the true pair."
    if not 0 <= found < len(row):
        return f"{shown}; the columns are 0 to {len(row) - 1}."
    if found == right:
        return f"{shown}, the true pair itself. Does a 0 stand for what is no candidate?"
    if not below:
        return f"{shown}, but no impostor is below the true pair: expected None."
    if row[found] >= row[right]:
        return f"{shown}, whose score is not below the true pair's. Does a 0 stand for what is no candidate?"
    return f"{shown}; another one below the true pair is harder."


def check_masked_matching(function: Callable) -> str:
    """Does ``function(scores, same, gamma)`` give tian2020's matching loss, both directions, summed over the pairs?

    ``same`` [B, B] bool is True for pairs of one class, the true pairs among them.
    """
    if unfit := blank(function, "a function"):
        return unfit
    scores, gamma = _scores(6) / 4, 13.0
    scores[2] += 0.3  # so that the two directions differ
    labels = torch.tensor([0, 1, 1, 2, 3, 0])
    same = labels[:, None] == labels[None, :]
    value, unfit = _value(function, scores, same, gamma)
    if unfit:
        return unfit
    right = float(losses.masked_matching(scores, gamma=gamma, same_image=same))
    if _close(value, right):
        small, two = scores[:4, :4], same[:4, :4]
        value, unfit = _value(function, small, two, 100.0)
        fits = not unfit and _close(value, float(losses.masked_matching(small, gamma=100.0, same_image=two)))
        return RIGHT if fits else "Right for six pairs, but not for four with gamma 100: is a size written into it?"
    if math.isnan(value) or math.isinf(value):
        return f"Found {value}: is the true pair masked out with those of its class? It must stay."
    rows = float(losses.info_nce(scores, temperature=1 / gamma, same_image=same, reduction="sum"))
    one = lambda s: float(
        -(s * gamma).masked_fill(same & ~torch.eye(6, dtype=torch.bool), -torch.inf).log_softmax(1).trace()
    )
    mistakes = {
        "The two directions are added here, not averaged.": rows,
        "One direction only: the other is the same on the transposed scores.": one(scores),
        "One direction only: that is the captions' alone.": one(scores.T),
        "Summed over the pairs, not averaged.": right / 6,
        "The sign: a high score of the true pair must make the loss small.": -right,
        "Pairs of one class are still among the impostors: mask them out.": float(
            losses.masked_matching(scores, gamma=gamma)
        ),
        "gamma multiplies the scores.": float(losses.masked_matching(scores, gamma=1 / gamma, same_image=same)),
        "gamma has no effect yet.": float(losses.masked_matching(scores, gamma=1.0, same_image=same)),
    }
    for hint, mistake in mistakes.items():
        if _close(value, mistake):
            return hint
    return f"Not equal yet: found {value:.3f} for six pairs. What is masked takes no part: its logit is minus infinity."


def check_cmpm(function: Callable) -> str:
    """Does ``function(projections, same)`` give one direction of CMPM, the mean over rows of KL(p, q)?"""
    if unfit := blank(function, "a function"):
        return unfit
    labels = torch.tensor([0, 1, 1, 2, 3])
    same, projections = labels[:, None] == labels[None, :], _scores(5)
    value, unfit = _value(function, projections, same)
    if unfit:
        return unfit
    right = float(projection_matching(projections, same))
    if _close(value, right):
        return RIGHT
    p, wanted = projections.softmax(1), same.float()
    q = wanted / wanted.sum(1, keepdim=True)
    mistakes = {
        "That is KL(q, p). CMPM takes the mean of the logarithm's difference under p.": (
            (q * ((q + 1e-8).log() - p.log())).sum(1).mean()
        ),
        "The matches of a row share 1 among them: divide each row by its sum.": (
            (p * (p.log() - (wanted + 1e-8).log())).sum(1).mean()
        ),
        "Averaged over the rows, not summed.": 5 * right,
        "The sign: a divergence is never negative.": -right,
        "The softmax goes along rows.": float(
            (projections.softmax(0) * (projections.softmax(0).log() - (q + 1e-8).log())).sum(1).mean()
        ),
    }
    for hint, mistake in mistakes.items():
        if _close(value, float(mistake)):
            return hint
    if not math.isfinite(value):
        return f"Found {value}: the logarithm of 0. Add 1e-8 to q before taking it."
    return f"Not equal yet: found {value:.3f}. p is the softmax of each row, q its matches divided by their number."


def _value(function: Callable, *arguments) -> tuple[float, str]:
    """What ``function`` gives for copies of ``arguments``, as a number, or a sentence that says why it gives none."""
    try:
        found = function(*(x.clone() if isinstance(x, Tensor) else x for x in arguments))
    except Exception as error:  # whatever a student's code does
        return math.nan, f"It fails: {type(error).__name__}: {error}"
    if found is None or found is ...:
        return math.nan, "Not answered yet: the function returns nothing."
    if unfit := not_a_number(found):
        return math.nan, unfit
    return float(found.detach() if isinstance(found, Tensor) else found), ""


def _scores(size: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(size, size, generator=generator) + 0.5 * torch.eye(size)


def _close(found: float, right: float) -> bool:
    return math.isclose(found, right, rel_tol=1e-3, abs_tol=1e-5)
