"""Tables of records beside that of ``benchmark.leaderboard``: each protocol with its intervals, systems in pairs."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

from vgs_lib.benchmark.agreement import SPREAD, compared
from vgs_lib.benchmark.leaderboard import ARROWS
from vgs_lib.benchmark.records import one_of_each
from vgs_lib.markdown import markdown_table
from vgs_lib.retrieval import WAYS
from vgs_lib.retrieval.paired import Paired, hits, paired, sentence

Record = Mapping[str, Any]
# What is shown of each set of candidates: whose protocol it is, and the figures in our records.
PROTOCOLS = {
    "100 scenes": ("zhang2020: P@k of 100 pairs", ("r1", "r5", "r10")),
    "1000 scenes": ("harwath2019: R@k of 1,000", ("r1", "r5", "r10")),
    "1024 scenes": ("ni2018: R@k of 1,024", ("r1", "r5", "r10")),
    "words": ("single names: R@1, mAP@50", ("r1", "map50")),
}


def ranked(records: Sequence[Record]) -> list[Record]:
    """The records by recall at 10 among 1,000 scenes (mean of both ways), the best first."""
    return sorted(records, key=lambda r: -sum(r["figures"]["1000 scenes"][way]["r10"] for way in WAYS))


def protocol_table(records: Sequence[Record], way: str = "speech_to_image") -> str:
    """A Markdown table of one direction: every protocol's figures, the last of each with its 95 % interval."""
    heads = ["system", "seed", *(f"{ARROWS[way]} {title}" for title, _ in PROTOCOLS.values())]
    rows = []
    for record in ranked(records):
        cells = [record["system"], str(record["seed"])]
        for kind, (_, names) in PROTOCOLS.items():
            found = record["figures"][kind][way]
            low, high = found[f"{names[-1]}_ci"]
            cells.append(" / ".join(f"{found[name]:.3f}" for name in names) + f" ({low:.3f} to {high:.3f})")
        rows.append(cells)
    return markdown_table(heads, rows)


def untrained_table(records: Sequence[Record], way: str = "speech_to_image") -> str:
    """A Markdown table of P@1, P@5 and P@10 of 100 scenes before and after training, as zhang2020's Table 1.

    The 95 % intervals are of P@10, over queries.
    """

    def cell(found: Mapping[str, Any]) -> str:
        low, high = found["r10_ci"]
        return " / ".join(f"{found[name]:.2f}" for name in ("r1", "r5", "r10")) + f" ({low:.2f} to {high:.2f})"

    heads = ["system", "seed", f"{ARROWS[way]} P@1 / P@5 / P@10 untrained", "trained"]
    cells = lambda one: [cell(one["untrained"][way]), cell(one["figures"]["100 scenes"][way])]
    return markdown_table(heads, [[one["system"], str(one["seed"]), *cells(one)] for one in ranked(records)])


def neighbour_table(records: Sequence[Record], way: str = "speech_to_image", *, k: int = 10) -> str:
    """A Markdown table: each system against the next lower one in this direction, on the same queries.

    Of several seeds the first is taken; a system that took another's run is left out.
    """
    heads = ["higher", "lower", f"only the higher finds (of {ARROWS[way]} R@{k})", "only the lower", "difference", "p"]
    rows = []
    trained = sorted((r for r in records if not r.get("trained_as")), key=lambda r: r["seed"])
    found_at = lambda record: fmean(hits(record["figures"]["ranks"][way], k))
    for higher, lower in pairwise(sorted(one_of_each(trained), key=found_at, reverse=True)):
        found = _paired(higher, lower, way, k)
        difference = f"{found.difference:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
        alone = (str(found.first_only), str(found.second_only))
        rows.append([_name(higher), _name(lower), *alone, difference, f"{found.p_value:.2g}"])
    return markdown_table(heads, rows)


def comparison(records: Sequence[Record], first: str, second: str, *, k: int = 10) -> str:
    """Two systems compared both ways in sentences, seed by seed, and where there are three seeds or more over seeds.

    Which of the two has no record yet where one has none. k: 1, 5 or 10.
    """
    by_name = {name: {r["seed"]: r for r in records if r["system"] == name} for name in (first, second)}
    if absent := [name for name, found in by_name.items() if not found]:
        return f"There is no record of {' or '.join(absent)} yet, so the two cannot be compared."
    shared = sorted(by_name[first].keys() & by_name[second].keys())
    if not shared:
        return f"{first} and {second} have no seed in common."
    lines = []
    for seed in shared:
        for way in WAYS:
            found = _paired(by_name[first][seed], by_name[second][seed], way, k)
            lines.append(f"Seed {seed}, {ARROWS[way]}: {sentence(found, first, second)}")
    if len(shared) >= SPREAD and (all_seeds := compared(records, first, second, f"r{k}")):
        lines.append(
            f"Over {len(shared)} seeds and both ways R@{k} differs by {all_seeds.ours:+.3f}, 95 % interval "
            f"{all_seeds.low:+.3f} to {all_seeds.high:+.3f}: this one knows that seeds differ."
        )
    return "\n\n".join(lines)


def _paired(first: Record, second: Record, way: str, k: int) -> Paired:
    return paired(first["figures"]["ranks"][way], second["figures"]["ranks"][way], k=k)


def _name(record: Record) -> str:
    return f"{record['system']}, seed {record['seed']}"
