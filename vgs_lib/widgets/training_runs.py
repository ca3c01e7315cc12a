"""The runs in a folder, for the training dashboard: who writes which, which names are free, what is sent of them.

One kernel may hold several controllers over the same folder, such as after its cell was run again. Each run has at
most one of them that trains it.
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
from vgs_lib.training_history import COLOURS, Run, read_runs

MAX_POINTS = 600  # of a curve that is sent to the browser

_claimed: set[Path] = set()  # folders of the runs that go on in this process
_lock = threading.Lock()


def claim(folder: Path) -> None:
    """Take a run's folder for oneself until `release`; :class:`TrainingError` if that run goes on in this process."""
    with _lock:
        if folder.resolve() in _claimed:
            raise TrainingError(
                f"The run {folder.name} is going on already, begun by another dashboard of this kernel. Wait for its "
                "end, stop it there, or restart the kernel and resume it."
            )
        _claimed.add(folder.resolve())


def release(folder: Path) -> None:
    """Give back what `claim` took."""
    with _lock:
        _claimed.discard(folder.resolve())


def is_claimed(folder: Path) -> bool:
    """Whether that run goes on in this process."""
    with _lock:
        return folder.resolve() in _claimed


def free_name(folder: Path, stem: str) -> str:
    """``stem-1``, or with the first number that no run in ``folder`` has."""
    stem = re.sub(r"[^\w]+", "-", stem).strip("-") or "run"
    names = (f"{stem}-{number}" for number in range(1, 10**6))
    return next(name for name in names if not ((folder / name).exists() or is_claimed(folder / name)))


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
