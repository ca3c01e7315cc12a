"""Checks of ``09_fine_grained``. Shapes: B pairs of a batch."""

import math
from collections.abc import Callable

import torch

from vgs_lib import retrieval
from vgs_lib.data.attribute_design import Design
from vgs_lib.exercises import RIGHT, blank, not_a_number


def check_new_pairs(function: Callable, design: Design) -> str:
    """Does ``function(description, trained)`` give those of its (attribute, noun) pairs that training never has?

    ``trained`` is the set of pairs of the training classes.
    """
    trained = frozenset(pair for description in design.classes["train"] for pair in description.pairs)
    cases = [*design.classes["test-unseen"], *design.classes["test"], *design.classes["train"][:20]]
    for description in cases:
        try:
            found = function(description, trained)
        except Exception as error:  # the student's code: say what it said
            return f"It raises {type(error).__name__} for {description.text!r}: {error}"
        if unfit := blank(found, "a function that returns a set of pairs"):
            return unfit
        try:
            found = {tuple(pair) for pair in found}
        except TypeError:
            return f"It returns {type(found).__name__}; expected a set of (attribute, noun) pairs."
        right = description.pairs - trained
        if found == right:
            continue
        if found == {(b, a) for a, b in right} != right:
            return "The pairs are turned round: attribute first, then noun."
        if found == description.pairs & trained:
            return "These are the pairs that training has. Which ones has it not?"
        if found == description.pairs:
            return f"For {description.text!r} it gives all pairs: take away those that training has."
        if strange := found - description.pairs:
            return f"For {description.text!r} it gives {sorted(strange)[0]}, which is no pair of this description."
        extra, missing = len(found - right), len(right - found)
        return f"For {description.text!r} it gives {extra} too many and misses {missing}."
    return RIGHT


def check_class_chance(answer, num_classes: int, per_class: int) -> str:
    """Is ``answer`` the R@1 of random order where each of ``num_classes`` has ``per_class`` pictures, to 0.1 %?"""
    if unfit := blank(answer, "a share from 0 to 1") or not_a_number(answer):
        return unfit
    answer, right = float(answer), 1 / num_classes
    close = lambda other: math.isclose(answer, other, rel_tol=1e-3)
    if close(right):
        return RIGHT
    if close(100 * right):
        return "That is a percentage. Give a share from 0 to 1."
    if close(num_classes):
        return "That is how many times better than guessing a perfect model is: turn the fraction round."
    if not 0 <= answer <= 1:
        return f"A share lies from 0 to 1; found {answer:g}."
    if close(1 / (num_classes * per_class)):
        return "That counts one right picture; every picture of the caption's class is right."
    if close(1 - right):
        return "That is the chance to miss."
    side = "low" if answer < right else "high"
    return f"{answer:g} is too {side}: of all the pictures, which share is of the caption's class?"


def check_average_precision(function: Callable, at: int = 50) -> str:
    """Does ``function(right, num_right)`` give AP@``at`` of a ranked list of bool, ``num_right`` right in all?

    The list may end after ``at`` entries, before all right candidates are found.
    """
    generator = torch.Generator().manual_seed(0)
    lists = [[True, False, True, False], [False, False, True], [True] * 3 + [False] * 60]
    lists += [[False] * at + [True] * 2, [True] * (at + 10)]
    lists += [(torch.rand(at + 20, generator=generator) < 0.3).tolist()]
    for case, shown in [*((case, len(case)) for case in lists), (lists[-1], at)]:
        scores = torch.arange(len(case), 0, -1.0)[None]
        right = float(retrieval.average_precision(scores, torch.tensor([case]), at=at))
        try:
            found = function(case[:shown], sum(case))
        except Exception as error:
            return f"It raises {type(error).__name__}: {error}"
        if unfit := blank(found, "a function that returns a number") or not_a_number(found):
            return unfit
        value = float(found)
        if math.isclose(value, right, abs_tol=1e-6):
            continue
        begins = ", ".join("right" if one else "wrong" for one in case[:5]) + (", ..." if len(case) > 5 else "")
        return f"For a list that begins {begins}: {_ap_hint(value, right, case, at)}"
    return RIGHT


def _ap_hint(value: float, right: float, case: list[bool], at: int) -> str:
    shares = [sum(case[: place + 1]) / (place + 1) for place in range(len(case))]
    hits = [place for place, one in enumerate(case) if one]
    inside = [place for place in hits if place < at]
    mistakes = {
        sum(shares[place] for place in inside) / len(hits): (
            f"where more than {at} are right, divide by {at}: the best order gets 1."
        ),
        sum(shares[place] for place in hits) / len(hits): f"only the {at} best count; entries behind them add nothing.",
        sum(shares[:at]) / len(case[:at]): "take the share at the places of right entries only, not at every place.",
        sum(shares[place] for place in inside): "divide by the number of right candidates.",
        len(inside) / min(len(case), at): "that is the share of right ones, wherever they stand; their places matter.",
    }
    if inside:
        mistakes[sum(shares[place] for place in inside) / len(inside)] = (
            f"divide by all right candidates (at most {at}), also by those that were not found."
        )
    for wrong, hint in mistakes.items():
        if math.isclose(value, wrong, abs_tol=1e-6):
            return hint
    if not 0 <= value <= 1:
        return f"found {value:g}; an average precision lies from 0 to 1."
    return f"found {value:.3f}, which is too {'low' if value < right else 'high'}."


def check_matching(function: Callable) -> str:
    """Does ``function(scores, own, masked, gamma)`` give P of tian2020 (4.9)?

    ``scores`` [B] are cosines of one caption with all pictures, ``own`` the number of its own, ``masked`` bool [B] the
    others of its class.
    """
    generator = torch.Generator().manual_seed(1)
    for gamma in (1.0, 13.0, 100.0):
        scores = torch.rand(6, generator=generator) * 2 - 1
        masked = torch.tensor([False, True, False, False, True, False])
        right = float(_matching(scores, 2, masked, gamma))
        try:
            found = function(scores.clone(), 2, masked.clone(), gamma)
        except Exception as error:
            return f"It raises {type(error).__name__}: {error}"
        if unfit := blank(found, "a function that returns a probability") or not_a_number(found):
            return unfit
        value = float(found)
        if math.isclose(value, right, rel_tol=1e-4):
            continue
        nothing = torch.zeros(6, dtype=torch.bool)
        mistakes = {
            "pairs of the same class must not count among the impostors: leave them out of the sum.": _matching(
                scores, 2, nothing, gamma
            ),
            "gamma multiplies the cosines before the exponential.": _matching(scores, 2, masked, 1.0),
            "gamma multiplies the cosines; here they are divided by it.": _matching(scores, 2, masked, 1 / gamma),
            "that is the logarithm, or the loss: give the probability itself.": -math.log(right),
            "a masked cosine of 0 still adds exp(0) = 1 to the sum: leave it out.": _matching(
                scores.masked_fill(masked, 0.0), 2, nothing, gamma
            ),
            "the caption's own picture belongs into the sum below, too.": right / (1 - right),
        }
        for hint, wrong in mistakes.items():
            if math.isclose(value, float(wrong), rel_tol=1e-4):
                return f"For gamma {gamma:g}: {hint}"
        if not 0 <= value <= 1:
            return f"For gamma {gamma:g} it gives {value:g}; a probability lies from 0 to 1."
        return f"For gamma {gamma:g} it gives {value:.4g}, which is too {'low' if value < right else 'high'}."
    return RIGHT


def _matching(scores: torch.Tensor, own: int, masked: torch.Tensor, gamma: float) -> torch.Tensor:
    return (gamma * scores.double()).masked_fill(masked, -torch.inf).softmax(dim=0)[own]
