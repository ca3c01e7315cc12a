"""Tables of what the systems reached on Spoken Stamps, and of what their documents published on other data.

The two are never mixed: :func:`table` is ours, :func:`published` theirs, each row with the name of its data.
"""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from statistics import mode
from typing import Any

from vgs_lib.errors import DataError
from vgs_lib.markdown import markdown_table
from vgs_lib.safe_files import write_atomically
from vgs_lib.studies.study import WAYS

ARROWS = {"speech_to_image": "S→I", "image_to_speech": "I→S"}
FIGURES = ("r1", "r5", "r10", "median_rank")
KEYS = ("plan", "conditions", "steps_were_asked_for", "history", "machine")  # what a record has beside its row
CHOSEN = ("seen", "unseen", "both")  # of the choice between two colours
_BOTH = " / ".join(ARROWS.values())


@dataclass(frozen=True)
class Published:
    """One figure of a document: ``direction`` "speech_to_image" or "image_to_speech", ``figure`` such as "r10".

    ``initialisation`` is what the encoders began with, "untrained" for a model that was not trained at all.
    """

    system: str
    data: str
    pairs: str
    initialisation: str
    direction: str
    figure: str
    value: float
    source: str


def published(system: str | None = None) -> list[Published]:
    """The published figures of a system, or of all, in the order of the documents."""
    text = (files("vgs_lib") / "recipes" / "published.csv").read_text(encoding="utf-8")
    rows = [Published(**{**row, "value": float(row["value"])}) for row in csv.DictReader(text.splitlines())]
    return [row for row in rows if system in (None, row.system)]


def read_records(folder: Path | str) -> list[dict[str, Any]]:
    """The records in a folder by system and seed; :class:`DataError` names a damaged file."""
    records = [read_record(file) for file in Path(folder).glob("*.json")]
    return sorted(records, key=lambda r: (r["system"], r["seed"]))


def read_record(file: Path) -> dict[str, Any]:
    """The record in a file; :class:`DataError` where it is none."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        row(record)
        if absent := [key for key in KEYS if key not in record]:
            raise KeyError(*absent)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file}: no record of a system ({error!r}); delete it and run its system again") from error
    return record


def comparable(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The records of the conditions and the device that most have, without those whose steps were asked for."""
    timed = [record for record in records if not record["steps_were_asked_for"]]
    keys = [json.dumps([record["conditions"], record["machine"]["device"]], sort_keys=True) for record in timed]
    usual = mode(keys) if keys else None
    return [record for record, key in zip(timed, keys, strict=True) if key == usual]


def one_of_each(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first record of each system, in order."""
    found: dict[str, Mapping[str, Any]] = {}
    for record in records:
        found.setdefault(record["system"], record)
    return list(found.values())


def row(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as one flat row of the table: the figures of its benchmark, and what they cost.

    Of scenes: recall and rank of 1,000 test scenes, mAP@50 of names, pointing. Of described things: R@1 and mAP@50 of
    the queries whose colour and noun were trained together ("seen") and of those that never were ("unseen"), and how
    often the named colour is chosen (:mod:`vgs_lib.systems.attribute_choice`).
    """
    figures = record["figures"]
    flat: dict[str, Any] = {"system": record["system"], "seed": record["seed"]}
    flat["trained_as"] = record.get("trained_as")
    flat |= _described(figures) if "unseen" in figures else _scenes(figures)
    flat |= {f"{name}_parameters": record["parameters"][name] for name in ("trained", "all")}
    return flat | {"steps": record["steps"], "core_minutes": round(record["seconds"] / 60, 1)}


def _scenes(figures: Mapping[str, Any]) -> dict[str, Any]:
    flat = {}
    for way in WAYS:
        scenes = figures["1000 scenes"][way]
        flat |= {f"{way}_{name}": scenes[name] for name in FIGURES}
        flat |= {f"{way}_r10_low": scenes["r10_ci"][0], f"{way}_r10_high": scenes["r10_ci"][1]}
        flat[f"{way}_map50"] = figures["words"][way]["map50"]
    flat["pointing"] = figures.get("pointing", {}).get("pointing")
    return flat


def _described(figures: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        f"{way}_{pairs}_{name}": (one[name], one[f"{name}_ci"])
        for way in WAYS
        for pairs in ("seen", "unseen")
        for one in [figures[pairs]["colour"][way]]
        for name in ("r1", "map50")
    }
    chosen = figures["choice"]
    found |= {
        f"{way}_{n}_colour": (chosen[n][way]["share"], chosen[n][way]["share_ci"]) for way in WAYS for n in CHOSEN
    }
    ends = {key: (value, *interval) for key, (value, interval) in found.items()}
    return {f"{key}{end}": x for key, all_ in ends.items() for end, x in zip(("", "_low", "_high"), all_, strict=True)}


def write_csv(records: Iterable[Mapping[str, Any]], file: Path) -> None:
    """One line for each record, columns as in :func:`row`; what a system does not have is left empty."""
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
    for record in records:
        systems.setdefault(record["system"], []).append(row(record))
    described = any(f"{WAYS[0]}_unseen_r1" in rows[0] for rows in systems.values())
    columns, by = (_DESCRIBED_COLUMNS, "unseen_r1") if described else (_SCENE_COLUMNS, "r10")
    heads = ["system", "seeds", *(head for head, _ in columns), "trained parameters", "steps", "core minutes"]
    ordered = sorted(systems.items(), key=lambda item: -sum(_mean(item[1], f"{way}_{by}") for way in WAYS))
    if order is not None:
        ordered = [(system, systems[system]) for system in order if system in systems]
    lines = []
    for system, rows in ordered:
        twin = rows[0]["trained_as"]
        cells = [f"{system} (the run of {twin})" if twin else system, str(len(rows))]
        cells += [" / ".join(_cell(rows, key) for key in keys) for _, keys in columns]
        cells += [f"{rows[0]['trained_parameters']:,}", f"{_mean(rows, 'steps'):,.0f}"]
        lines.append([*cells, f"{_mean(rows, 'core_minutes'):.1f}"])
    return markdown_table(heads, lines)


def published_table(systems: Sequence[str] | None = None) -> str:
    """A Markdown table of the published figures, one line for each system, data set and initialisation."""
    groups: dict[tuple[str, str, str, str], dict[tuple[str, str], float]] = {}
    for one in published():
        if systems is None or one.system in systems:
            key = (one.system, one.data, one.initialisation, one.source)
            groups.setdefault(key, {})[one.direction, one.figure] = one.value
    names = {"r1": "R@1", "r5": "R@5", "r10": "R@10", "p1": "P@1", "p5": "P@5", "p10": "P@10"}
    names |= {"median_rank": "median rank", "map50": "mAP@50"}
    heads = ["system", "data", "initialisation", *(ARROWS[way] for way in WAYS), "source"]
    lines = []
    for (system, data, initialisation, source), values in groups.items():
        ways = [", ".join(f"{names[figure]} {v:g}" for (d, figure), v in values.items() if d == way) for way in WAYS]
        lines.append([system, data, initialisation, *ways, source])
    return markdown_table(heads, lines)


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    return sum(row[name] for row in rows) / len(rows)


def _cell(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    values = [row[name] for row in rows if row[name] is not None]
    if not values:
        return ""
    show = "{:.1f}".format if name.endswith("median_rank") else "{:.3f}".format
    mean = show(sum(values) / len(values))
    return mean if len(values) == 1 else f"{mean} ({show(min(values))} to {show(max(values))})"
