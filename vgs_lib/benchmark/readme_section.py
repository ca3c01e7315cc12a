"""The README's section on the documents' systems, made of the records: what was done, orders, the best systems."""

import re
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vgs_lib.benchmark.agreement import Compared, Order, orders
from vgs_lib.benchmark.agreement_tables import seeds_table
from vgs_lib.benchmark.experiment_records import Recorded
from vgs_lib.benchmark.experiments import EXPERIMENTS
from vgs_lib.benchmark.paired_tables import ranked
from vgs_lib.benchmark.records import budget_of, comparable, one_of_each, read_records, reads_text, row, unit_of
from vgs_lib.errors import DataError
from vgs_lib.markdown import markdown_table
from vgs_lib.recipes import SYSTEMS
from vgs_lib.retrieval import WAYS
from vgs_lib.safe_files import write_atomically

Record = Mapping[str, Any]
BEGIN = "<!-- systems: written by `python -m vgs_lib reproduce --tables --readme README.md` -->"
END = "<!-- systems: end -->"
WIDTH = 124
BEST = 12  # systems that the README shows
# What the verdicts on comparisons and on claims are called.
ORDERED = {"agrees": "come in the same order here", "disagrees": "in the other", "undecided": "are undecided"}
COMPARISONS = (
    "Each experiment of the documents has a page of its own, made by `python -m vgs_lib reproduce --experiment NAME`. "
    "The runs of {steps} take equal steps, the others equal time, timed run by run; some of the pairs are among those "
    "above:"
)
REPEATED = (
    "Trained with three seeds or more (the interval is over queries, of described things over their classes, and "
    "seeds; a seed changes the first weights, a pre-training where there is one, what a loss draws and dropout). "
    "Unseen pairs are a colour or a size and a thing that training never has together:"
)
EQUAL_STEPS = ", ".join(f"`{one.name}`" for one in EXPERIMENTS.values() if one.steps)
CLAIMED = {"agrees": "found here too", "disagrees": "reversed", "undecided": "undecided"}


def write_section(readme: Path, results: Path) -> None:
    """Put the section made of the records in ``results`` between the two comments of ``readme``.

    Raises :class:`DataError` where the comments are not there, each once and in order, or no records that compare.
    """
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise DataError(f"{readme}: expected one line {BEGIN!r} and below it one line {END!r}")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    text = f"{before}{BEGIN}\n\n{section(results)}\n\n{END}{after}"
    write_atomically(readme, lambda path: path.write_text(text, encoding="utf-8"))


def section(results: Path) -> str:
    """The section, of the records with the conditions that most have; :class:`DataError` where there is none."""
    records = comparable(read_records(results / "systems"))
    if not records:
        raise DataError(f"{results / 'systems'}: found no record of a budget; 'python -m vgs_lib reproduce' makes them")
    least = min(record["seed"] for record in records)
    first = [record for record in ranked(records) if record["seed"] == least and not record.get("trained_as")]
    ordered, experiments = orders(records), [Recorded.read(name, results) for name in EXPERIMENTS]
    parts = [_filled(_made(records)), _filled(_ordered(ordered))]
    if repeated := seeds_table(_pairs(ordered, experiments)):
        parts += [_filled(REPEATED), repeated]
    if judged := _experiments(experiments):
        parts += [_filled(COMPARISONS.format(steps=EQUAL_STEPS)), judged]
    return "\n\n".join([*parts, _filled(_introduced(first[:BEST])), _best(first[:BEST])])


def _made(records: Sequence[Record]) -> str:
    have = len({record["system"] for record in records})
    minutes = [record["seconds"] / 60 for record in records]
    conditions, least = records[0]["conditions"], min(record["seed"] for record in records)
    more = Counter(record["system"] for record in records)
    drawn = f"seed {least}" + (", some with further seeds" if max(more.values()) > 1 else "")
    there = f"{have} of the {len(SYSTEMS)} systems have a record so far; the command goes on with the others. "
    return (
        f"Each system was given the steps that {budget_of(records[0])} hold, timed beforehand (the runs took "
        f"{min(minutes):.0f} to {max(minutes):.0f} {unit_of(records)}, more where the machine did other work, "
        f"{records[0]['machine']['processor']}), equal data, batches, optimizer and frozen picture network, hidden "
        f"channels times {conditions['scale']['width']:g}, {drawn}. Recall is among "
        "1,000 test scenes (chance R@10 .010), mAP@50 of 1,000 single names. `python -m vgs_lib reproduce` made the "
        "records in `results/systems`, which it keeps, and [the whole table](results/systems.md) with the published "
        "figures and where the order agrees with the documents; with `--out FOLDER` it trains anew. "
        f"{there if have < len(SYSTEMS) else ''}Systems that do not differ under these conditions share one run."
    )


def _experiments(experiments: Sequence[Recorded]) -> str:
    """A table of the documents' comparisons that have records, and of what became of their claims; "" without any."""
    rows = []
    for one in experiments:
        if one.records:
            name, counts = one.experiment.name, Counter(pair.verdict for pair in one.pairs)
            runs = f"{len(one_of_each(one.records))} of {len(one.names)}"
            claims = f"{counts.total()} of {len(one.experiment.claims)}"
            rows.append([f"[{name}](results/{name}.md)", runs, claims, *(str(counts[key]) for key in CLAIMED)])
    heads = ["the documents' comparisons", "runs", "claims with both runs", *CLAIMED.values()]
    return markdown_table(heads, rows) if rows else ""


def _pairs(ordered: Sequence[Order], experiments: Sequence[Recorded]) -> list[tuple[str, str, Compared]]:
    """Each two systems that a document orders, with the document and the figure; of the same two, the more seeds."""
    found = [(one.document, "r10", pair) for one in ordered for pair in one.pairs]
    for one in experiments:
        document = one.experiment.source.split(",")[0]
        found += [(document, one.experiment.figure, pair) for pair in one.pairs]
    kept: dict[tuple[str, str, str], tuple[str, str, Compared]] = {}
    for document, figure, pair in sorted(found, key=lambda row: -row[2].seeds):
        kept.setdefault((pair.better, pair.worse, figure), (document, figure, pair))
    return list(kept.values())


def _ordered(ordered: Sequence[Order]) -> str:
    pairs = [pair for order in ordered for pair in order.pairs]
    counts = Counter(pair.verdict for pair in pairs)
    told = [f"{counts[verdict]} {words}" for verdict, words in ORDERED.items()]
    return (
        f"Of the {len(pairs)} comparisons of two systems that a document makes on one data set, in figures or in "
        f"words, {told[0]}, {told[1]}, and {told[2]} (95 % intervals over queries and, where there are three or "
        "more, seeds; two runs that stand for several systems of a document are counted once for each pair). "
        "`results/systems.md` lists all of them with the interval and the steps that the two "
        "took; no run was continued to see what more time would give."
    )


def _introduced(best: Sequence[Record]) -> str:
    reading = sum(map(reads_text, best))
    told = f", of which {reading} read the exact words instead of hearing them (*text*)" if reading else ""
    return f"The {len(best)} best, seed {best[0]['seed']}{told}:"


def _best(records: Sequence[Record]) -> str:
    heads = ["system", *(f"{way.replace('_', ' ')} R@1 / R@10" for way in WAYS), "mAP@50", "million trained", "steps"]
    rows = []
    for record in records:
        one = row(record)
        low, high = (_share(one[f"{WAYS[0]}_r10_{end}"]) for end in ("low", "high"))
        recalls = [" / ".join(_share(one[f"{way}_{k}"]) for k in ("r1", "r10")) for way in WAYS]
        cells = [f"`{record['system']}`", f"{recalls[0]} [{low}, {high}]", recalls[1], _share(one[f"{WAYS[0]}_map50"])]
        rows.append([*cells, f"{one['trained_parameters'] / 1e6:.1f}", f"{one['steps']:,}"])
    return markdown_table(heads, rows)


def _share(value: float) -> str:
    return f"{value:.3f}".lstrip("0")


def _filled(paragraph: str) -> str:
    """Lines of at most ``WIDTH`` characters; what stands between backticks stays in one."""
    kept = re.sub(r"`[^`]*`", lambda code: code[0].replace(" ", "\0"), paragraph)
    lines = textwrap.fill(kept, WIDTH, break_long_words=False, break_on_hyphens=False)
    return lines.replace("\0", " ")
