"""The lines of a run, one for each step: step, loss and its terms, seconds. Read back when it goes on, kept thinned."""

import json
import statistics
from pathlib import Path

from vgs_lib.errors import TrainingError


def thinned(history: list[dict], *, most: int = 100) -> list[dict]:
    """At most ``most`` lines of a history, evenly, each the mean of those it stands for; steps and seconds the last."""
    size = -(-len(history) // most)
    parts = [history[i : i + size] for i in range(0, len(history), size)]
    return [
        {
            key: part[-1][key] if key in ("step", "seconds") else round(statistics.fmean(line[key] for line in part), 4)
            for key in part[-1]
        }
        for part in parts
    ]


def read_history(folder: Path, step: int) -> list[dict]:
    """The lines up to ``step``, which the history of a run must reach where its checkpoint does."""
    file = folder / "history.json"
    try:
        lines = [line for line in json.loads(file.read_text(encoding="utf-8")) if line["step"] <= step]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{file}: damaged ({error!r}); delete {folder} to start anew") from error
    if not lines or lines[-1]["step"] != step:
        raise TrainingError(f"{file}: does not reach step {step} of the checkpoint; delete {folder} to start anew")
    return lines
