"""Tables of ``benchmark.agreement``: orders of the documents beside ours, and the claims of an experiment."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vgs_lib.benchmark.agreement import Compared, Order, compared
from vgs_lib.benchmark.experiments import Experiment
from vgs_lib.benchmark.leaderboard import ARROWS
from vgs_lib.markdown import markdown_table

NAMES = {
    "r1": "R@1",
    "r10": "R@10",
    "p10": "P@10 of 100, ours R@10 of 1,000",
    "words": "in words, ours R@10",
    "unseen_r1": "R@1 of unseen pairs",
}
KINDS = ("same order, decided", "same, undecided", "tied or other, undecided", "other order, decided")


def kind(pair: Compared) -> str:
    """Which of ``KINDS`` a pair is."""
    if pair.verdict != "undecided":
        return KINDS[0] if pair.verdict == "agrees" else KINDS[3]
    return KINDS[1] if pair.ours > 0 else KINDS[2]


def orders_table(orders: Sequence[Order]) -> str:
    """A Markdown table: how many pairs of each document and data set come in its order here."""
    heads = ["document", "its data", "begun with", "figure", "systems", "pairs", *KINDS, "Kendall's tau"]
    rows = []
    for one in orders:
        counts = [str(sum(kind(pair) == name for pair in one.pairs)) for name in KINDS]
        numbers = [", ".join(one.systems), str(len(one.pairs)), *counts, f"{one.tau:+.2f}"]
        rows.append([one.document, one.data, one.start, NAMES[one.figure], *numbers])
    return markdown_table(heads, rows)


def pairs_table(orders: Sequence[Order], records: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of every pair of the orders: our difference and what it decides, reversals first."""
    verdicts = ("disagrees", "agrees", "undecided")
    rows = sorted(((one, pair) for one in orders for pair in one.pairs), key=lambda row: verdicts.index(row[1].verdict))
    heads = ["document", "better there", "worse there", "ways", "our R@10, difference", "95 % interval", "seeds"]
    heads += ["steps of the two", "verdict"]
    ways = lambda pair: " and ".join(ARROWS[way] for way in pair.ways)
    taken = _taken(records)
    return markdown_table(
        heads,
        [
            [one.document, pair.better, pair.worse, ways(pair), *_numbers(pair), taken(pair), pair.verdict]
            for one, pair in rows
        ],
    )


def judged(records: Sequence[Mapping[str, Any]], one: Experiment) -> list[Compared]:
    """The claims of an experiment of which both runs are trained.

    records: comparable ones (:meth:`vgs_lib.benchmark.experiments.Experiment.comparable`).
    """
    return [pair for claim in one.claims if (pair := compared(records, *claim, one.figure))]


def claims_table(pairs: Sequence[Compared], figure: str, records: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of what the document of an experiment claims and what we found; "" where nothing is trained."""
    heads = ["better there", "worse there", f"our difference of {NAMES[figure]}, mean of both ways", "95 % interval"]
    heads += ["seeds", "steps of the two", "verdict"]
    taken = _taken(records)
    rows = [[pair.better, pair.worse, *_numbers(pair), taken(pair), pair.verdict] for pair in pairs]
    return markdown_table(heads, rows) if rows else ""


def seeds_table(pairs: Sequence[tuple[str, str, Compared]]) -> str:
    """A Markdown table of the pairs judged over several seeds (`SPREAD` or more); "" where none is.

    pairs: each with its document and the figure that is compared.
    """
    heads = ["document", "better there", "worse there", "figure", "our difference", "95 % interval", "seeds", "verdict"]
    rows = [
        [document, pair.better, pair.worse, NAMES[figure], *_numbers(pair), pair.verdict]
        for document, figure, pair in pairs
        if pair.seeds > 1
    ]
    return markdown_table(heads, rows) if rows else ""


def _taken(records: Sequence[Mapping[str, Any]]) -> Callable[[Compared], str]:
    """What says the steps of the two systems of a pair; "a to b" where those of their seeds differ."""
    steps: dict[str, set[int]] = {}
    for record in records:
        steps.setdefault(record["system"], set()).add(record["steps"])
    said = {name: " to ".join(f"{n:,}" for n in sorted({min(ns), max(ns)})) for name, ns in steps.items()}
    return lambda pair: f"{said[pair.better]}, {said[pair.worse]}"


def _numbers(pair: Compared) -> list[str]:
    return [f"{pair.ours:+.3f}", f"{pair.low:+.3f} to {pair.high:+.3f}", str(pair.seeds)]
