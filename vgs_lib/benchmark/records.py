"""Records of what systems reached: reading them, which are comparable, and each as one flat row."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mode
from typing import Any

from vgs_lib.benchmark.conditions import Conditions
from vgs_lib.benchmark.experiments import EXPERIMENTS
from vgs_lib.errors import DataError
from vgs_lib.retrieval import WAYS

FIGURES = ("r1", "r5", "r10", "median_rank")
# What a record has beside its row.
KEYS = ("plan", "conditions", "steps_were_asked_for", "untrained", "history", "machine")
CHOSEN = ("seen", "unseen", "both")  # of the choice between two colours


def read_records(folder: Path | str) -> list[dict[str, Any]]:
    """The records in a folder by system and seed; :class:`DataError` names a damaged file."""
    records = [read_record(file) for file in Path(folder).glob("*.json")]
    return sorted(records, key=lambda r: (r["system"], r["seed"]))


def read_record(file: Path) -> dict[str, Any]:
    """The record in a file; :class:`DataError` where it is none."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        row(record)
        reads_text(record)
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


def reads_text(record: Mapping[str, Any]) -> bool:
    """Whether the system of a record reads the words of a caption instead of hearing it."""
    return record["plan"]["audio"]["name"] == "text"


def one_of_each(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first record of each system, in order."""
    found: dict[str, Mapping[str, Any]] = {}
    for record in records:
        found.setdefault(record["system"], record)
    return list(found.values())


def made_by(records: Sequence[Mapping[str, Any]], experiment: str = "") -> str:
    """The commands that make the records: the first seed of all, then the further seeds of those that have them."""
    command = command_of(experiment, records[0])
    least, further = min(record["seed"] for record in records), {}
    for record in records:
        if record["seed"] != least:
            further.setdefault(record["system"], []).append(record["seed"])
    runs: dict[str, list[str]] = {}  # by their seeds
    for name, seeds in further.items():
        runs.setdefault(" ".join(map(str, sorted(seeds))), []).append(name)
    return " and ".join([f"`{command}`", *(f"`{command} {' '.join(n)} --seeds {s}`" for s, n in runs.items())])


def command_of(experiment: str = "", like: Mapping[str, Any] | None = None) -> str:
    """The command that makes the records of an experiment or of the systems, with budget and device of ``like``."""
    command = "python -m vgs_lib reproduce" + (f" --experiment {experiment}" if experiment else "")
    if like is None:
        return command
    minutes, device = like["conditions"]["minutes"], like["machine"]["device"]
    usual = EXPERIMENTS[experiment].minutes if experiment else Conditions().minutes
    command += f" --budget {minutes:g}" if minutes != usual else ""
    return command + (f" --device {device}" if device != "cpu" else "")


def budget_of(record: Mapping[str, Any]) -> str:
    """What a run was given: minutes of so many cores, or on another device minutes of the clock."""
    conditions, machine = record["conditions"], record["machine"]
    on = f"{conditions['cores']} cores" if machine["device"] == "cpu" else machine.get("gpu", machine["device"])
    return f"{conditions['minutes']:g} minutes on {on}"


def unit_of(records: Sequence[Mapping[str, Any]]) -> str:
    """What the minutes of these records are of: a core's, or, if another device computed, the clock's."""
    return "core minutes" if all(record["machine"]["device"] == "cpu" for record in records) else "minutes"


def row(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as one flat row of the table: the figures of its benchmark, and what they cost.

    Of scenes: recall and rank of 1,000 test scenes, mAP@50 of names, pointing. Of described things: R@1 and mAP@50 of
    the queries whose colour and noun were trained together ("seen") and of those that never were ("unseen"), and how
    often the named colour is chosen (:mod:`vgs_lib.studies.attribute_choice`). ``minutes`` are a core's on a CPU, else
    the clock's.
    """
    figures = record["figures"]
    flat: dict[str, Any] = {"system": record["system"], "seed": record["seed"]}
    flat["trained_as"] = record.get("trained_as")
    flat |= _described(figures) if "unseen" in figures else _scenes(figures)
    flat |= {f"{name}_parameters": record["parameters"][name] for name in ("trained", "all")}
    return flat | {"steps": record["steps"], "minutes": round(record["seconds"] / 60, 1)}


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
