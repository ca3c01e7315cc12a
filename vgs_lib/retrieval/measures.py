"""Retrieval figures from a score matrix: recall at k, ranks, mean average precision, chance levels, intervals.

Rows are queries ``[Q]``, columns candidates ``[C]``. For speech to image that is the transpose of what
``score_matrix`` gives. Ties are never resolved in a model's favour: a figure is what it would be on average
if tied candidates were put in random order, so a model whose scores are all equal stands at chance.
"""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction

import torch
from torch import Tensor

from vgs_lib.retrieval.targets import Targets, check_numbers, checked, right_candidates

WAYS = ("speech_to_image", "image_to_speech")  # which asks, and what it asks for
WAY_LABELS = dict(zip(WAYS, ("speech to picture", "picture to speech"), strict=True))
PROTOCOL_PAIRS = {"zhang2020": 100, "harwath2019": 1000, "aytar2017": 1000, "ni2018": 1024}  # a document's pairs

_CHUNK_ELEMENTS = 1 << 24  # scores compared at once


def recall_at_k(scores: Tensor, k: int, targets: Targets = None, *, chunk: int | None = None) -> float:
    """The share of queries with a right candidate among their k best: 0 to 1.

    Args:
        scores: ``[Q, C]``, higher is better.
        k: 1 or more.
        targets: which candidates are right: ``[Q, C]`` bool, or for each query a list of indices, or None for
            the diagonal. A query is found if any of its right candidates is.
        chunk: queries handled at once; by default as many as fit a fixed memory. The result is the same.

    Raises:
        ValueError: no targets with a matrix that is not square, a query without a right candidate, an index
            out of range, targets of another shape, scores with NaN, k or chunk below 1.

    Source: harwath2019, section 5.1; any caption of a picture counts as in tian2020. Ties: :func:`hits_at_k`.
    """
    return statistics.fmean(hits_at_k(scores, k, targets, chunk=chunk).tolist())


def hits_at_k(scores: Tensor, k: int, targets: Targets = None, *, chunk: int | None = None) -> Tensor:
    """For each query, the probability that a random order of ties puts a right candidate among the k best.

    It is 0 or 1 without ties. If ``higher`` wrong candidates beat the best right one, and m wrong and j right
    ones (itself included) share its score, then the ``s = k - higher`` places left all go to wrong ones with
    probability C(m, s) / C(m + j, s) (hypergeometric). All scores equal, one right candidate: k / C.

    Arguments and errors are those of :func:`recall_at_k`. Returns ``[Q]`` float64.
    """
    if k < 1:
        raise ValueError(f"k is {k}; expected 1 or more")
    counts = _tie_counts(scores, targets, chunk).tolist()
    return torch.tensor([_hit(k - higher, wrong, right) for higher, wrong, right in counts], dtype=torch.float64)


def median_rank(scores: Tensor, targets: Targets = None, *, chunk: int | None = None) -> float:
    """The median over queries of :func:`ranks` (1 is best), with its arguments and errors."""
    return statistics.median(ranks(scores, targets, chunk=chunk).tolist())


def ranks(scores: Tensor, targets: Targets = None, *, chunk: int | None = None) -> Tensor:
    """For each query, the place of its best right candidate, 1 being the first: ``[Q]`` float64.

    It is 1 + the wrong candidates with a strictly higher score + m / (j + 1), the expected number of the m
    tied wrong candidates in front of the first of j tied right ones: half the ties where j is 1.

    Arguments and errors are those of :func:`recall_at_k`.
    """
    higher, wrong, right = _tie_counts(scores, targets, chunk).double().unbind(1)
    return 1 + higher + wrong / (right + 1)


def average_precision(scores: Tensor, targets: Targets = None, *, at: int | None = None) -> Tensor:
    """For each query, the mean over its right candidates of the share of right ones down to there: ``[Q]``, 0 to 1.

    With ``at``, only the ``at`` best candidates count (AP@50): the shares at the right ones among them are added and
    divided by the number of right candidates, or by ``at`` where there are more, so that the best order still gets 1.
    The document divides by the "number of relevant images" and leaves open whether that is bounded; without a bound a
    class of 100 could never pass 0.5.

    Ties stand in random order, and the figure is the mean over all orders: the i-th of n tied candidates, j of them
    right, is right with probability j / n and then has (i - 1)(j - 1) / (n - 1) right ones of the tie in front of it.
    With one right candidate and no ties it is 1 / rank, so that its mean is the mean reciprocal rank.

    Other arguments and errors are those of :func:`recall_at_k`; ValueError for ``at`` below 1.

    Source: McSherry and Najork, Computing information retrieval performance measures efficiently in the presence of
    tied scores (2008), section 3; tian2020, equation 5.3, with ``at`` 50 and the queries' class as what is right.
    """
    if at is not None and at < 1:
        raise ValueError(f"at is {at}; expected 1 or more candidates")
    scores, targets = checked(scores, targets)
    found = []
    for query, row in enumerate(scores):
        if row.isnan().any():
            raise ValueError(f"the scores of query {query} hold NaN; a model that gives it cannot be ranked")
        right = right_candidates(targets, query, row[None])[0]
        _, group, sizes = (-row).unique(return_inverse=True, return_counts=True)  # groups of ties, best first
        rights = torch.zeros(len(sizes), dtype=torch.float64, device=row.device)
        rights.index_add_(0, group, right.double())
        sizes = sizes.double()
        place = torch.arange(1, len(row) + 1, dtype=torch.float64, device=row.device)
        spread = lambda values: values.repeat_interleave(sizes.long())  # noqa: B023 from groups to places
        inside = place - spread(sizes.cumsum(0) - sizes)  # place within the tie, from 1
        others = (inside - 1) * spread((rights - 1).clamp(min=0) / (sizes - 1).clamp(min=1))
        precision = (spread(rights.cumsum(0) - rights) + 1 + others) / place
        most = len(row) if at is None else at
        found.append((spread(rights / sizes) * precision)[:most].sum() / rights.sum().clamp(max=most))
    return torch.stack(found).cpu()


def mean_average_precision(scores: Tensor, targets: Targets = None, *, at: int | None = None) -> float:
    """The mean over queries of :func:`average_precision` (mAP, or mAP@``at``), with its arguments and errors."""
    return statistics.fmean(average_precision(scores, targets, at=at).tolist())


def chance_average_precision(
    num_candidates: int, num_right: int | Sequence[int] = 1, *, at: int | None = None
) -> float:
    """The mean average precision of random order among ``num_candidates``, of which ``num_right`` are right.

    ``at`` is that of :func:`average_precision`.

    Raises:
        ValueError: numbers of right candidates outside 1 to ``num_candidates``, ``at`` below 1.
    """
    numbers = Counter(check_numbers(num_candidates, num_right))
    row = torch.zeros(1, num_candidates)
    alone = {right: float(average_precision(row, [range(right)], at=at)) for right in numbers}
    return sum(count * alone[right] for right, count in numbers.items()) / numbers.total()


def subset(scores: Tensor, num_pairs: int) -> Tensor:
    """The scores ``[num_pairs, num_pairs]`` of the first pairs of a square matrix; a mask is cut the same way.

    For the documents' protocols on so many pairs (``PROTOCOL_PAIRS``): figures on 100 and on 1,024 cannot be compared.
    zhang2020 calls P@k what is recall at k here: with one right candidate among 100, the share of queries whose own is
    among the k best. Its mean precision there could not pass 1 / k.

    Raises:
        ValueError: a matrix that is not square or has fewer pairs, num_pairs below 1.
    """
    if scores.dim() != 2 or scores.shape[0] != scores.shape[1]:
        raise ValueError(f"scores are {list(scores.shape)}; expected [Q, Q] with true pairs on the diagonal")
    if not 1 <= num_pairs <= len(scores):
        raise ValueError(f"num_pairs is {num_pairs}; expected 1 to {len(scores)}, the pairs there are")
    return scores[:num_pairs, :num_pairs]


def chance_recall(num_candidates: int, k: int, num_right: int | Sequence[int] = 1) -> float:
    """Recall at k of random order among ``num_candidates``, of which ``num_right`` (of each query) are right.

    Raises:
        ValueError: k below 1, or numbers of right candidates outside 1 to ``num_candidates``.
    """
    if k < 1:
        raise ValueError(f"k is {k}; expected 1 or more")
    numbers = check_numbers(num_candidates, num_right)
    return statistics.fmean(_hit(k, num_candidates - right, right) for right in numbers)


def chance_median_rank(num_candidates: int, num_right: int | Sequence[int] = 1) -> float:
    """The median place of the first right candidate in random order; ``(C + 1) / 2`` where one is right.

    With several right candidates it is a little lower than what equal scores get from :func:`ranks`,
    since there the median of the place is below its mean.

    Raises:
        ValueError: numbers of right candidates outside 1 to ``num_candidates``.
    """
    numbers = Counter(check_numbers(num_candidates, num_right))

    def found_by(
        place: int,
    ) -> Fraction:  # probability that the first right candidate is not behind this place
        missed = sum(
            count * Fraction(math.comb(num_candidates - place, right), math.comb(num_candidates, right))
            for right, count in numbers.items()
        )
        return 1 - missed / numbers.total()

    low, high = 1, num_candidates
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if found_by(middle) >= Fraction(1, 2) else (middle + 1, high)
    return low + 0.5 if found_by(low) == Fraction(1, 2) else float(low)


def bootstrap_interval(
    values: Tensor | Sequence[float],
    *,
    seed: int,
    num: int = 1000,
    level: float = 0.95,
    statistic: str | Callable[[Tensor], Tensor] = "mean",
    groups: Sequence[int] | None = None,
) -> tuple[float, float]:
    """A percentile bootstrap interval of a statistic of independent values (hits, ranks, one per query).

    Args:
        values: ``[N]``.
        seed: fixes the resampling.
        num: resamples.
        level: share of the resampled statistics inside the interval, between 0 and 1.
        statistic: ``mean``, ``median``, or a function from ``[num, N]`` to ``[num]``.
        groups: ``[N]``, which group each value is of, where only groups are independent (words of one scene). Whole
            groups are drawn; the statistic, which must be the mean, is the sum of all their values by their number.

    Returns:
        The lower and the upper end.

    Raises:
        ValueError: no values, values that are not finite, num below 1, level outside 0 to 1, groups of another number
            than values or with another statistic than the mean.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    values = torch.as_tensor(values, dtype=torch.float64).flatten().cpu()
    if not len(values) or not values.isfinite().all():
        raise ValueError(f"got {len(values)} values, {int((~values.isfinite()).sum())} not finite; expected 1 or more")
    if num < 1 or not 0 < level < 1:
        raise ValueError(f"num is {num} and level {level}; expected num >= 1 and 0 < level < 1")
    counts = None
    if groups is not None:
        if len(groups) != len(values) or statistic != "mean":
            raise ValueError(
                f"got {len(groups)} groups of {len(values)} values for {statistic!r}; only means have groups"
            )
        _, place = torch.as_tensor(groups).cpu().unique(return_inverse=True)
        counts = place.bincount().double()
        values = torch.zeros_like(counts).index_add(0, place, values)
    # quantile(0.5) is the mean of the two middle values, as in median_rank; torch.median takes the lower one
    known = {"mean": lambda x: x.mean(1), "median": lambda x: x.quantile(0.5, dim=1)}
    function = known[statistic] if isinstance(statistic, str) else statistic
    generator = torch.Generator().manual_seed(seed)
    per_draw = max(1, _CHUNK_ELEMENTS // 16 // len(values))
    drawn = []
    for first in range(0, num, per_draw):
        size = (min(per_draw, num - first), len(values))
        chosen = torch.randint(len(values), size, generator=generator)
        drawn.append(function(values[chosen]) if counts is None else values[chosen].sum(1) / counts[chosen].sum(1))
    tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = torch.cat(drawn).double().quantile(tails).tolist()
    return low, high


def _hit(places: int, wrong: int, right: int) -> float:
    """The probability that ``places`` draws from wrong and right candidates hold a right one."""
    if places <= 0:
        return 0.0
    if places > wrong:
        return 1.0
    if right == 1:
        return places / (wrong + 1)
    return float(1 - Fraction(math.comb(wrong, places), math.comb(wrong + right, places)))


def _tie_counts(scores: Tensor, targets: Targets, chunk: int | None) -> Tensor:
    """For each query: wrong candidates above its best right one, wrong ones and right ones tied: [Q, 3]."""
    scores, targets = checked(scores, targets)
    num_queries, num_candidates = scores.shape
    if chunk is None:
        chunk = max(1, _CHUNK_ELEMENTS // num_candidates)
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; expected 1 or more queries")
    counts = []
    for first in range(0, num_queries, chunk):
        part = scores[first : first + chunk]
        if part.isnan().any():
            query = first + int(part.isnan().any(1).nonzero()[0])
            raise ValueError(f"the scores of query {query} hold NaN; a model that gives it cannot be ranked")
        right = right_candidates(targets, first, part)
        best = part.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
        tied = part == best
        counts.append(torch.stack([(part > best).sum(1), (tied & ~right).sum(1), (tied & right).sum(1)], 1))
    return torch.cat(counts).cpu()
