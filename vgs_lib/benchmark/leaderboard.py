"""Tables of what the systems reached on Spoken Stamps, and of what their documents published on other data.

The two are never mixed: :func:`table` is ours, :func:`published_table` theirs, each row with the name of its data.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vgs_lib.benchmark.records import CHOSEN, reads_text, row, unit_of
from vgs_lib.markdown import markdown_table
from vgs_lib.recipes import SYSTEMS
from vgs_lib.recipes.published import published, published_localization
from vgs_lib.retrieval import WAYS
from vgs_lib.safe_files import write_atomically

ARROWS = {"speech_to_image": "S→I", "image_to_speech": "I→S"}
_BOTH = " / ".join(ARROWS.values())


def write_csv(records: Iterable[Mapping[str, Any]], file: Path) -> None:
    """One line for each record, columns as in ``records.row``; what a system does not have is left empty."""
    rows = [row(record) for record in records]

    def write(path: Path) -> None:
        with open(path, "w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(file, write)


# Columns of a table by what is judged: the head, and the keys of the row that share its cell.
_SCENE_COLUMNS = [
    *((f"{ARROWS[way]} R@1 / R@5 / R@10", [f"{way}_{name}" for name in ("r1", "r5", "r10")]) for way in WAYS),
    (f"median rank {_BOTH}", [f"{way}_median_rank" for way in WAYS]),
    (f"mAP@50 {_BOTH}", [f"{way}_map50" for way in WAYS]),
    ("pointing", ["pointing"]),
]
_DESCRIBED_COLUMNS = [
    *(
        (f"{ARROWS[way]} {head} seen / unseen", [f"{way}_{pairs}_{name}" for pairs in ("seen", "unseen")])
        for way in WAYS
        for head, name in (("R@1", "r1"), ("mAP@50", "map50"))
    ),
    *((f"{ARROWS[way]} colour seen / unseen / both", [f"{way}_{name}_colour" for name in CHOSEN]) for way in WAYS),
]


def table(records: Iterable[Mapping[str, Any]], *, order: Sequence[str] | None = None) -> str:
    """A Markdown table, one line for each system, of records of one benchmark.

    The best comes first by the mean of both ways, of recall at 10 or, on described things, of recall at 1 of unseen
    pairs. Of several seeds the mean is shown with the smallest and the largest value. ``order``: the systems in this
    order instead, and only these.
    """
    systems: dict[str, list[dict[str, Any]]] = {}
    readers, records = set(), list(records)
    for record in records:
        systems.setdefault(record["system"], []).append(row(record))
        if reads_text(record):
            readers.add(record["system"])
    described = any(f"{WAYS[0]}_unseen_r1" in rows[0] for rows in systems.values())
    columns, by = (_DESCRIBED_COLUMNS, "unseen_r1") if described else (_SCENE_COLUMNS, "r10")
    heads = ["system", "seeds", *(head for head, _ in columns), "trained parameters", "steps"]
    heads.append(unit_of(records))
    ordered = sorted(systems.items(), key=lambda item: -sum(_mean(item[1], f"{way}_{by}") for way in WAYS))
    if order is not None:
        ordered = [(system, systems[system]) for system in order if system in systems]
    lines = []
    for system, rows in ordered:
        notes = _twins(rows)
        notes += ["reads text"] if system in readers else []
        cells = [f"{system} ({', '.join(notes)})" if notes else system, str(len(rows))]
        cells += [" / ".join(_cell(rows, key) for key in keys) for _, keys in columns]
        cells += [f"{rows[0]['trained_parameters']:,}", f"{_mean(rows, 'steps'):,.0f}"]
        lines.append([*cells, f"{_mean(rows, 'minutes'):.1f}"])
    return markdown_table(heads, lines)


def published_table(systems: Sequence[str] | None = None) -> str:
    """A Markdown table of the published figures, one line for each system, data set and initialisation."""
    groups: dict[tuple[str, ...], dict[tuple[str, str], float]] = {}
    for one in published():
        if systems is None or one.system in systems:
            key = (one.system, one.data, one.pairs, one.initialisation, one.source)
            groups.setdefault(key, {})[one.direction, one.figure] = one.value
    names = {"r1": "R@1", "r5": "R@5", "r10": "R@10", "p1": "P@1", "p5": "P@5", "p10": "P@10"}
    names |= {"median_rank": "median rank", "map50": "mAP@50"}
    heads = ["system", "data", "among", "begun with", *(ARROWS[way] for way in WAYS), "source"]
    lines = []
    for (system, data, pairs, begun, source), values in groups.items():
        ways = [", ".join(f"{names[figure]} {v:g}" for (d, figure), v in values.items() if d == way) for way in WAYS]
        among = f"{int(pairs):,}" if pairs.isdecimal() else pairs or "all, any of the class is right"
        reads = " (reads text)" if SYSTEMS[system].audio.name == "text" else ""
        lines.append([system + reads, data, among, begun, *ways, source])
    return markdown_table(heads, lines)


def published_localization_table(systems: Sequence[str] | None = None) -> str:
    """A Markdown table of harwath2019's Tables 4 and 5 with the baseline of the whole frame; "" if it has no system."""
    rows = [row for row in published_localization() if systems is None or row.system in (*systems, "full frame")]
    heads = ["system", "begun with", "mAP", "mean IoU", "mean IoD", "mean IoT", "concepts"]
    lines = [
        [
            row.system,
            row.initialisation,
            f"{row.mean_ap:.3f}",
            *(f"{share:.2f}" for share in (row.iou, row.iod, row.iot)),
            "" if row.concepts is None else str(row.concepts),
        ]
        for row in rows
    ]
    return markdown_table(heads, lines) if len(rows) > 1 else ""


def _twins(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of which systems the runs of one are, with their seeds where not all are of one."""
    twins: dict[str | None, list[str]] = {}
    for one in rows:
        twins.setdefault(one["trained_as"], []).append(str(one["seed"]))
    if len(twins) == 1:
        return [f"the run of {twin}" for twin in twins if twin]
    return [f"seed {', '.join(seeds)} the run of {twin}" for twin, seeds in twins.items() if twin]


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    return sum(one[name] for one in rows) / len(rows)


def _cell(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    values = [one[name] for one in rows if one[name] is not None]
    if not values:
        return ""
    show = "{:.1f}".format if name.endswith("median_rank") else "{:.3f}".format
    mean = show(sum(values) / len(values))
    return mean if len(values) == 1 else f"{mean} ({show(min(values))} to {show(max(values))})"
