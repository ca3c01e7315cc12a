"""The checks of 03_retrieval: what is right, and a hint for each likely mistake."""

import pytest
import torch

from vgs_lib.exercises import RIGHT
from vgs_lib.exercises.retrieval import check_chance, check_place, check_recall, check_reciprocal_rank
from vgs_lib.retrieval import recall_at_k


@pytest.fixture(scope="module")
def scores():
    """Noisy true pairs, no ties; captions (rows) have levels of their own, so that columns rank otherwise."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(40, 40, generator=generator) + torch.randn(40, 1, generator=generator)
    return noise + 1.2 * torch.eye(40)


def test_right_answers(scores):
    true = scores.diagonal()[:, None]
    places = 1 + (scores > true).sum(dim=1)
    assert check_recall(((scores > true).sum(dim=1) < 5).double().mean(), scores, k=5) == RIGHT
    assert check_recall(float((places <= 1).float().mean()), scores, k=1) == RIGHT
    assert check_chance(0.1, 100, 10) == RIGHT and check_chance(1.0, 5, 10) == RIGHT
    assert check_reciprocal_rank((1 / places).mean(), scores) == RIGHT
    assert check_place(lambda row, right: 1 + (row > row[right]).sum() + ((row == row[right]).sum() - 1) / 2) == RIGHT


def test_mistakes_of_recall(scores):
    right, rows = recall_at_k(scores, 5), len(scores)
    cases = [
        (None, "Not answered yet: set it to a share between 0 and 1."),
        ([0.5], "Expected one number, found list."),
        (right * rows, "number of queries found"),
        (100 * right, "in percent"),
        (-0.5, "A share lies between 0 and 1; found -0.5."),
        (recall_at_k(scores.T, 5), "recall of the columns"),
        (recall_at_k(-scores, 5), "ranks the lowest scores first"),
        (recall_at_k(scores, 6), "Off by one place"),
        (recall_at_k(scores, 4), "Off by one place"),
        (0.999, "0.999 is too high"),
        (0.011, "0.011 is too low"),
    ]
    for answer, hint in cases:
        found = check_recall(answer, scores, k=5)
        assert hint in found, (answer, found)
        assert f"{right:.3f}" not in found


def test_mistakes_of_chance():
    cases = [
        (..., "Not answered yet"),
        (10.0, "a percentage"),
        (7, "A share lies from 0 to 1"),
        (0.01, "first 10 places count"),
        (0.9, "the chance to miss"),
        (1 - 0.99**10, "with replacement"),
        (0.5, "too high"),
        (0.05, "too low"),
    ]
    for answer, hint in cases:
        assert hint in check_chance(answer, 100, 10), answer


def test_mistakes_of_a_place():
    higher = lambda row, right: (row > row[right]).sum()
    tied = lambda row, right: (row == row[right]).sum() - 1

    def fails(row, right):
        raise IndexError("no such row")

    cases = [
        (None, "Not answered yet: set it to a function"),
        (3, "Expected a function, found int."),
        (lambda row, right: ..., "Not answered yet: the function returns nothing."),
        (lambda row, right: row, "Expected one number, found Tensor."),
        (fails, "With all scores different it fails: IndexError: no such row"),
        (lambda row, right: 1 + (row < row[right]).sum(), "counts the lower scores"),
        (lambda row, right: higher(row, right) + tied(row, right) / 2, "counts from 0"),
        (lambda row, right: 1 + higher(row, right), "before all that tie with it"),
        (lambda row, right: 1 + higher(row, right) + tied(row, right), "behind all that tie with it"),
        (
            lambda row, right: 1 + higher(row, right) + (tied(row, right) and (tied(row, right) + 1) / 2),
            "counts the right candidate among those that tie",
        ),
        (lambda row, right: 99, "99 is not its place"),
    ]
    for answer, hint in cases:
        assert hint in check_place(answer), (hint, check_place(answer))


def test_mistakes_of_the_reciprocal_rank(scores):
    places = 1 + (scores > scores.diagonal()[:, None]).sum(dim=1).double()
    columns = 1 + (scores > scores.diagonal()).sum(dim=0).double()
    cases = [
        (None, "Not answered yet"),
        ("x", "Expected one number, found str."),
        (1 / places.mean(), "one over the mean rank"),
        ((1 / (places + 1)).mean(), "one too high"),
        (places.mean(), "That is the mean rank"),
        ((1 / columns).mean(), "figure of the columns"),
        (float("inf"), "at most at 1; found inf"),
        (0.999, "too high"),
        (0.001, "too low"),
    ]
    for answer, hint in cases:
        assert hint in check_reciprocal_rank(answer, scores), (answer, hint)
