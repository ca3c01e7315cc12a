"""Checks of ``02_train``. Shapes: B pairs."""

import math
from collections.abc import Callable

import torch

from vgs_lib import losses
from vgs_lib.exercises import RIGHT, blank, not_a_number
from vgs_lib.exercises.chance import check_chance as check_chance


def check_first_loss(answer, batch_size: int) -> str:
    """Is ``answer`` the InfoNCE loss of a model for which all scores of a batch are equal, to 0.001?"""
    if unfit := blank(answer, "a number") or not_a_number(answer):
        return unfit
    answer, right = _value(answer), math.log(batch_size)
    if abs(answer - right) <= min(1e-3, 0.1 / batch_size):  # the logarithm of one pair less lies further away
        return RIGHT
    if abs(answer - right) <= min(0.01, 0.4 / batch_size):
        return "Nearly: give three decimals, or the expression itself."
    mistakes = {
        -right: "The sign: a probability below 1 has a negative logarithm, and the loss is its negative.",
        math.log2(batch_size): "That is in bits. The loss uses the natural logarithm.",
        math.log10(batch_size): "That is the logarithm to base 10. The loss uses the natural logarithm.",
        1 / batch_size: "That is the probability of the right caption. What does the loss take of it?",
        math.log(batch_size - 1): "Nearly: the right pair is among those that share the probability, too.",
        2 * right: "The two directions are averaged, not added.",
    }
    for mistake, hint in mistakes.items():
        if abs(answer - mistake) <= min(0.01, 0.4 / batch_size):
            return hint
    if answer < 0:
        return f"The loss is never negative; found {answer:g}."
    side = "small" if answer < right else "large"
    return f"Too {side}: with which probability does a model that knows nothing choose the right one of {batch_size}?"


def check_temperature(answer, logit_scale) -> str:
    """Is ``answer`` the temperature of a model whose parameter ``logit_scale`` is the logarithm of the scale?"""
    if unfit := blank(answer, "a number") or not_a_number(answer):
        return unfit
    answer, log_scale = _value(answer), _value(logit_scale)
    if _close(answer, math.exp(-log_scale)):
        return RIGHT
    if _close(answer, math.exp(log_scale)):
        return "That is the scale that scores are multiplied by. The temperature is what they are divided by."
    if _close(answer, -log_scale):
        return "That is the logarithm of the temperature. What undoes a natural logarithm?"
    if log_scale != 0 and _close(answer, 1 / log_scale):
        return "The parameter is the logarithm of the scale, not the scale: undo the logarithm first."
    if answer <= 0:
        return f"Scores are divided by the temperature, which is above 0; found {answer:g}."
    return "Not this value: the parameter is the natural logarithm of what scores are multiplied by."


def check_info_nce(function: Callable) -> str:
    """Does ``function(scores [B, B], temperature)`` give the InfoNCE loss, both directions averaged?"""
    if function is None or function is ...:
        return "Not answered yet: write the function."
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(6, 6, generator=generator) + 0.5 * torch.eye(6)
    try:
        found = function(scores.clone(), 0.5)
    except Exception as error:
        return f"It fails for scores [6, 6] and temperature 0.5: {type(error).__name__}: {error}"
    if found is None or found is ...:
        return "Not answered yet: the function returns nothing."
    if unfit := not_a_number(found):
        shape = getattr(found, "shape", None)
        return unfit if shape is None else f"Expected one number, found shape {list(shape)}: average over the pairs."
    value = _value(found)
    if not math.isfinite(value):
        return f"Found {value}: exponentials of large numbers overflow; logsumexp or cross_entropy do not."
    if _same(value, losses.info_nce(scores, temperature=0.5)):
        return _also_right(function, scores)
    return _info_nce_hint(value, scores)


def _info_nce_hint(value: float, scores: torch.Tensor) -> str:
    rows, columns = (_cross_entropy(x / 0.5) for x in (scores, scores.T))
    mistakes = {
        "One direction only: every caption must also find its picture.": (rows, columns),
        "The two directions are averaged, not added.": (rows + columns,),
        "Averaged over the pairs, not added up.": (6 * (rows + columns) / 2, 6 * rows, 6 * columns),
        "Scores are divided by the temperature, not multiplied.": (losses.info_nce(scores, temperature=2.0),),
        "The temperature has no effect yet.": (losses.info_nce(scores, temperature=1.0),),
        "The sign: a high score of the right pair must make the loss small.": (
            -losses.info_nce(scores, temperature=0.5),
            losses.info_nce(-scores, temperature=0.5),
        ),
    }
    for hint, values in mistakes.items():
        if any(_same(value, wrong) for wrong in values):
            return hint
    if value < 0:
        return f"The loss is never negative; found {value:.3f}. Is it the negative logarithm of a probability?"
    return f"Not equal yet: found {value:.3f} for six pairs. The right pairs are on the diagonal of the scores."


def _also_right(function: Callable, scores: torch.Tensor) -> str:
    """Large scores and another size of batch, too."""
    for other, temperature in ((scores[:4, :4], 0.05), (1000 * scores, 0.5)):
        try:
            found = _value(function(other.clone(), temperature))
        except Exception:  # whatever a student's code does; for six pairs it did not
            found = math.nan
        if not _same(found, losses.info_nce(other, temperature=temperature)):
            return "Right for six pairs, but not for other scores: is a size written into it, or does exp overflow?"
    return RIGHT


def _cross_entropy(logits: torch.Tensor) -> float:
    return float((logits.logsumexp(dim=1) - logits.diagonal()).mean())


def _value(number) -> float:
    """A number or a tensor of no dimensions, also one that wants gradients."""
    return float(number.detach() if isinstance(number, torch.Tensor) else number)


def _close(answer: float, right: float) -> bool:
    return math.isclose(answer, right, rel_tol=1e-3)


def _same(found: float, right) -> bool:
    return math.isclose(found, float(right), rel_tol=1e-3, abs_tol=1e-5)
