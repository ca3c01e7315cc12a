"""The checks of 08_losses: right answers, and the mistakes they name."""

import math

import pytest
import torch
from torch.nn import functional as F

from vgs_lib.exercises.losses import check_cmpm, check_masked_matching, check_semi_hard, check_three_anchor


def three(scores, g, a, b, margin, *, last=3, hinge=torch.relu):
    t1 = hinge(scores[g, a] - scores[g, g] + margin) + hinge(scores[b, g] - scores[g, g] + margin)
    others = [hinge(scores[o, g] - scores[o, o] + margin) + hinge(scores[g, o] - scores[o, o] + margin) for o in (a, b)]
    return sum([t1, *others][:last])


@pytest.mark.parametrize(
    "function, said",
    [
        (three, "Right."),
        (lambda *x: three(*x, last=1), "t1 alone"),
        (lambda *x: three(*x, last=2), "t3 is missing"),
        (
            lambda s, g, a, b, m: three(s, g, a, b, m) - three(s, g, a, b, m, last=2) + three(s, g, a, b, m, last=1),
            "t2",
        ),
        (lambda *x: three(*x, hinge=lambda v: v), "never below 0"),
        (lambda s, g, a, b, m: three(s, g, a, b, 0.0), "margin has no effect"),
        (lambda s, g, a, b, m: three(s.T, g, a, b, m), "transposed"),
        (lambda *x: 1000.0, "not the sum"),
        (lambda *x: None, "Not answered yet"),
        (lambda *x: torch.zeros(2), "Expected one number"),
        (lambda: 0, "It fails"),
        (None, "Not answered yet"),
    ],
)
def test_three_anchors(function, said):
    assert said in check_three_anchor(function)


def semi_hard(row, right):
    below = row < row[right]
    return int(row.masked_fill(~below, -torch.inf).argmax()) if below.any() else None


@pytest.mark.parametrize(
    "function, said",
    [
        (semi_hard, "Right."),
        (lambda row, right: int((row * (row < row[right])).argmax()), "Does a 0 stand"),
        (lambda row, right: int(row.argmax()), "not below the true pair's"),
        (lambda row, right: int(row.argmin()), "is harder"),
        (lambda row, right: semi_hard(row, right) or 1, "expected None"),
        (lambda row, right: 7, "columns are 0 to 3"),
        (lambda row, right: 2.7, "is whole"),
        (lambda row, right: math.nan, "is whole"),
        (lambda row, right: None, "Not answered yet"),
        (lambda row, right: ..., "Not answered yet"),
        (lambda row, right: row, "Expected one number"),
        (lambda row: 0, "It fails"),
        (None, "Not answered yet"),
    ],
)
def test_semi_hard_candidates(function, said):
    assert said in check_semi_hard(function)


def one_way(scores, same, gamma, *, mask=True, keep=True):
    hidden = same & ~torch.eye(len(scores), dtype=torch.bool) if keep else same
    logits = gamma * scores
    logits = logits.masked_fill(hidden, -torch.inf) if mask else logits
    return F.cross_entropy(logits, torch.arange(len(scores)), reduction="sum")


def both(scores, same, gamma, **options):
    return one_way(scores, same, gamma, **options) + one_way(scores.T, same, gamma, **options)


@pytest.mark.parametrize(
    "function, said",
    [
        (both, "Right."),
        (lambda *x: both(*x) / 2, "added here, not averaged"),
        (one_way, "One direction only"),
        (lambda s, m, g: one_way(s.T, m, g), "captions' alone"),
        (lambda s, m, g: both(s, m, g) / len(s), "not averaged"),
        (lambda *x: -both(*x), "The sign"),
        (lambda *x: both(*x, mask=False), "mask them out"),
        (lambda *x: both(*x, keep=False), "It must stay"),
        (lambda s, m, g: both(s, m, 1 / g), "gamma multiplies"),
        (lambda s, m, g: both(s, m, 1.0), "no effect yet"),
        (lambda s, m, g: both(s, m, 13.0), "but not for four"),
        (lambda *x: 1.0, "minus infinity"),
        (lambda *x: ..., "Not answered yet"),
        (None, "Not answered yet"),
    ],
)
def test_masked_matching(function, said):
    assert said in check_masked_matching(function)


def divergence(projections, same, *, eps=1e-8, share=True, axis=1):
    p, q = projections.softmax(axis), same.float()
    q = q / q.sum(1, keepdim=True) if share else q
    return (p * (p.log() - (q + eps).log())).sum(1).mean()


def turned(projections, same):
    p, q = projections.softmax(1), same.float() / same.sum(1, keepdim=True)
    return (q * ((q + 1e-8).log() - p.log())).sum(1).mean()


@pytest.mark.parametrize(
    "function, said",
    [
        (divergence, "Right."),
        (turned, "That is KL(q, p)"),
        (lambda *x: divergence(*x, share=False), "divide each row"),
        (lambda *x: 5 * divergence(*x), "not summed"),
        (lambda *x: -divergence(*x), "never negative"),
        (lambda *x: divergence(*x, axis=0), "along rows"),
        (lambda *x: divergence(*x, eps=0), "logarithm of 0"),
        (lambda *x: 0.3, "Not equal yet"),
        (lambda *x: None, "Not answered yet"),
        (None, "Not answered yet"),
    ],
)
def test_cmpm(function, said):
    assert said in check_cmpm(function)
