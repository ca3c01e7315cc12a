"""The runs in a folder, for the training dashboard: who writes which, which names are free, what is sent of them.

One kernel may hold several controllers, such as after its cell was run again. One run trains at a time: the steps
of two would take turns with torch's global generator, and neither could be repeated exactly. Of several kernels, each
run has at most one that trains it: see :class:`vgs_lib.training.state.RunFolder`.
"""

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from vgs_lib.errors import TrainingError
from vgs_lib.recipes import Recipe
from vgs_lib.studies.history import Run, read_runs
from vgs_lib.viz import COLOURS

MAX_POINTS = 600  # of a curve that is sent to the browser

_training: list[str] = []  # the name of the run that goes on in this process, if there is one
_lock = threading.Lock()


def claim(name: str) -> None:
    """Let a run train until `release`; :class:`TrainingError`, naming it, if one goes on in this process."""
    with _lock:
        if _training:
            raise TrainingError(
                f"The run {_training[0]} is going on in this kernel, and two at once would not be exact: they share "
                "one random generator. Wait for its end, or stop it in the dashboard that began it."
            )
        _training.append(name)


def release() -> None:
    """Give back what `claim` took."""
    with _lock:
        _training.clear()


def training() -> str:
    """The name of the run that goes on in this process, or ""."""
    with _lock:
        return "".join(_training)


def free_name(folder: Path, stem: str) -> str:
    """``stem-1``, or with the first number that no run in ``folder`` has."""
    stem = re.sub(r"[^\w]+", "-", stem).strip("-") or "run"
    names = (f"{stem}-{number}" for number in range(1, 10**6))
    return next(name for name in names if not (folder / name).exists())


def run_of(runs: Mapping[str, Run], folder: Path, name: str, plan: Callable[[str], Recipe]) -> tuple[Run | None, str]:
    """The run of that name and of the recipe that ``plan(name)`` gives, or None and a free name for it.

    Where a run of that name has another recipe, ``name-2`` and so on are looked at.
    """
    for number in count(1):
        candidate = name if number == 1 else f"{name}-{number}"
        run = runs.get(candidate)
        if run is not None and run.plan == plan(candidate):
            return run, candidate
        if run is None and not (folder / candidate).exists():
            return None, candidate


def read_again(runs: dict[str, Run], folder: Path) -> list[str]:
    """Bring ``runs`` up to what is in ``folder``, where others may have trained; the names of those that are new."""
    found = read_runs(folder)
    for name, run in found.items():
        if name in runs:
            runs[name].plan, runs[name].chance, runs[name].entries = run.plan, run.chance, run.entries
    new = [name for name in found if name not in runs]
    runs.update({name: found[name] for name in new})
    return new


def curves_of(runs: Iterable[Run]) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Of each run its summary, colour and dash, and one buffer: float32 steps and values of its curves in turn."""
    content, buffers = [], []
    for index, run in enumerate(runs):
        curves = {name: run.curve(name, most=MAX_POINTS) for name in run.figures()}
        buffers.append(b"".join(np.float32(points).tobytes() for points in curves.values()))
        look = {"colour": COLOURS[index % len(COLOURS)], "dash": index // len(COLOURS)}
        content.append(run.summary() | look | {"curves": [[k, len(v[0])] for k, v in curves.items()]})
    return content, buffers
