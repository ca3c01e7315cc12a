"""A check that several notebooks share: the recall of guessing."""

import math

from vgs_lib.exercises import RIGHT, blank, not_a_number
from vgs_lib.retrieval import chance_recall


def check_chance(answer, num_candidates: int, k: int = 10) -> str:
    """Is ``answer`` the recall at ``k`` of random order among ``num_candidates``, one of them right, to 0.1 %?"""
    if unfit := blank(answer, "a share from 0 to 1") or not_a_number(answer):
        return unfit
    answer, right = float(answer), chance_recall(num_candidates, k)
    close = lambda other: math.isclose(answer, other, rel_tol=1e-3)
    if close(right):
        return RIGHT
    if close(100 * right):
        return "That is a percentage. Give a share from 0 to 1."
    if close(1 / right):
        return "That is how many times better than guessing a perfect model is: turn the fraction round."
    if not 0 <= answer <= 1:
        return f"A share lies from 0 to 1; found {answer:g}."
    if close(1 / num_candidates):
        return f"That is the chance of the first place alone; here the first {k} places count."
    if close(1 - right):
        return "That is the chance to miss."
    if close(1 - (1 - 1 / num_candidates) ** k):
        return "Close, but that draws with replacement: no candidate stands at two places."
    side = "low" if answer < right else "high"
    return f"{answer:g} is too {side}: how many of the {num_candidates} candidates fit into the first {k} places?"
