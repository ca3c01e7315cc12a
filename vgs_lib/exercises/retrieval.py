"""Checks of ``03_retrieval``. Shapes: Q queries, C candidates; candidate i is right for query i."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vgs_lib.exercises import RIGHT, blank, not_a_number
from vgs_lib.exercises.chance import check_chance as check_chance
from vgs_lib.retrieval import ranks, recall_at_k


def check_recall(answer, scores: Tensor, k: int) -> str:
    """Is ``answer`` the recall at ``k`` of the queries in the rows of ``scores`` [Q, C], to 0.001?"""
    if unfit := blank(answer, "a share between 0 and 1") or not_a_number(answer):
        return unfit
    answer, truth, count = float(answer), recall_at_k(scores, k), len(scores)
    close = lambda other: math.isclose(answer, other, abs_tol=1e-3)
    if close(truth):
        return RIGHT
    if answer > 1 and close(truth * count):
        return "That is the number of queries found. Recall is a share of all queries."
    if answer > 1 and close(100 * truth):
        return "That is a figure in percent. Recall is a share between 0 and 1."
    if not 0 <= answer <= 1:
        return f"A share lies between 0 and 1; found {answer:g}."
    if close(recall_at_k(scores.T, k)):
        return "That is the recall of the columns: queries are the rows, so rank along each row."
    if close(recall_at_k(-scores, k)):
        return "That ranks the lowest scores first; higher scores are better."
    if close(recall_at_k(scores, k + 1)) or (k > 1 and close(recall_at_k(scores, k - 1))):
        return f"Off by one place: count the queries whose picture is among the first {k}, the first place being 1."
    return f"{answer:.3f} is {'too high' if answer > truth else 'too low'}. How many candidates beat the right one?"


def check_place(answer: Callable, seed: int = 0) -> str:
    """Does ``answer(row, right)`` give the place of candidate ``right`` in ``row`` [C], ties sharing half?

    It is tried on rows with and without ties.
    """
    if unfit := blank(answer, "a function of a row and the index of the right candidate"):
        return unfit
    if not callable(answer):
        return f"Expected a function, found {type(answer).__name__}."
    generator = torch.Generator().manual_seed(seed)
    clear = [torch.randperm(9, generator=generator).float() for _ in range(6)]
    tied = [torch.randint(0, 3, (8,), generator=generator).float() for _ in range(6)] + [torch.zeros(5)]
    for rows, kind in ((clear, "all scores different"), (tied, "ties")):
        for number, row in enumerate(rows):
            right = number % len(row)
            try:
                found = answer(row, right)
            except Exception as error:
                return f"With {kind} it fails: {type(error).__name__}: {error}"
            if found is None or found is ...:
                return "Not answered yet: the function returns nothing."
            if unfit := not_a_number(found):
                return unfit
            if hint := _place_hint(float(found), row, right, kind):
                return hint
    return RIGHT


def _place_hint(found: float, row: Tensor, right: int, kind: str) -> str:
    """What is wrong with the place of a candidate, or ""."""
    score = row[right]
    higher, ties = int((row > score).sum()), int((row == score).sum()) - 1
    if math.isclose(found, 1 + higher + ties / 2, abs_tol=1e-6):
        return ""
    shown = f"In {[f'{x:g}' for x in row.tolist()]} the right candidate is number {right}".replace("'", "")
    if math.isclose(found, 1 + int((row < score).sum()) + ties / 2, abs_tol=1e-6):
        return f"{shown}; {found:g} counts the lower scores. Higher scores come first."
    if math.isclose(found, higher + ties / 2, abs_tol=1e-6):
        return f"{shown}; {found:g} counts from 0. The first place is 1."
    if ties and found == 1 + higher:
        return f"{shown}; {found:g} puts it before all that tie with it. A model with equal scores would look perfect."
    if ties and found == 1 + higher + ties:
        return f"{shown}; {found:g} puts it behind all that tie with it. On average half of them are in front."
    if ties and math.isclose(found, 1 + higher + (ties + 1) / 2, abs_tol=1e-6):
        return f"{shown}; {found:g} counts the right candidate among those that tie with it."
    return f"{shown}; {found:g} is not its place ({kind})."


def check_reciprocal_rank(answer, scores: Tensor) -> str:
    """Is ``answer`` the mean reciprocal rank of the queries in the rows of ``scores`` [Q, C], to 0.001?"""
    if unfit := blank(answer, "a number between 0 and 1") or not_a_number(answer):
        return unfit
    answer, places = float(answer), ranks(scores)
    truth = float((1 / places).mean())
    if math.isclose(answer, truth, abs_tol=1e-3):
        return RIGHT
    if math.isclose(answer, float(1 / places.mean()), abs_tol=1e-3):
        return "That is one over the mean rank. Take the reciprocal of each rank first, then the mean."
    if math.isclose(answer, float((1 / (places + 1)).mean()), abs_tol=1e-3):
        return "Your ranks seem to be one too high: the first place is 1."
    if math.isclose(answer, float(places.mean()), abs_tol=1e-3):
        return "That is the mean rank, not the mean of its reciprocal."
    if math.isclose(answer, float((1 / ranks(scores.T)).mean()), abs_tol=1e-3):
        return "That is the figure of the columns: queries are the rows."
    if not 0 < answer <= 1:
        return f"A mean of 1 / rank lies above 0 and at most at 1; found {answer:g}."
    return f"{answer:.3f} is {'too high' if answer > truth else 'too low'}. Are all your ranks 1 or more?"
