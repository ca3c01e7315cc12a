"""Tests of the solutions: nbval runs every cell and compares the marked ones; after the last cell of a notebook its
memory and size are held to limits, and every exercise must have been found right. One run asserts all. How long each
notebook took is printed beside what it may take on two free cores; a busy or slow machine fails no test.

    python -m pytest --nbval-lax --nbval-current-env notebooks/solutions
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest
from nbval.plugin import IPyNbFile

from vgs_lib.coursework.runs import MemoryWatch, fresh_runs, kernel_environment
from vgs_lib.exercises import RIGHT

# What a notebook may take on two free cores, with the start of the kernel: told, not asserted.
SECONDS, SECONDS_OF = 60, {"02_train": 200, "03_retrieval": 120, "09_fine_grained": 300}
MAX_BYTES = 1.5e9  # resident, the kernel and what it starts
MAX_SIZE = 500_000  # bytes of the notebook with all outputs and the state of its widgets
THREADS = 2
KEPT = ("__pycache__", ".ipynb_checkpoints", ".pytest_cache")


@dataclass
class WidgetState:
    """The state of the widgets, which Jupyter may save with a notebook, put together from the kernel's messages."""

    states: dict[str, dict] = field(default_factory=dict)
    buffers: dict[tuple, int] = field(default_factory=dict)  # (widget, place in its state): bytes

    def hear(self, message: dict) -> None:
        """Take up a message of the kernel's output channel."""
        content, kind = message["content"], message["msg_type"]
        data = content.get("data", {}) if kind in ("comm_open", "comm_msg") else {}
        if kind == "comm_msg" and data.get("method") != "update":
            return
        widget, places = content.get("comm_id"), data.get("buffer_paths", ())
        if "state" in data:
            self.states.setdefault(widget, {}).update(data["state"])
        for place, buffer in zip(places, message.get("buffers", ()), strict=False):
            self.buffers[(widget, *place)] = memoryview(buffer).nbytes

    @property
    def size(self) -> int:
        """Bytes in a saved notebook; buffers are written as base 64, four characters for three bytes."""
        return len(json.dumps(self.states)) + sum(self.buffers.values()) * 4 // 3


def files_beside(notebook: Path) -> set[str]:
    """Names of what is in the folder of a notebook, but for notebooks and what Python and Jupyter keep there."""
    return {path.name for path in notebook.parent.iterdir() if path.suffix != ".ipynb" and path.name not in KEPT}


class Measure:
    """Time, memory and widgets of the kernel of one notebook, from the start of its kernel."""

    def __init__(self, file: IPyNbFile):
        self.file, self.widgets = file, WidgetState()
        self.files, self.runs = files_beside(file.path), fresh_runs()
        self.started = time.monotonic()
        self.watch = MemoryWatch(self._pid).__enter__()

    def _pid(self) -> int | None:
        manager = getattr(self.file.kernel, "km", None)
        return getattr(manager and manager.provisioner, "pid", None)

    def listen(self) -> None:
        """Hear the messages that nbval is going to read."""
        read = self.file.kernel.get_message

        def heard(stream, timeout=None):
            message = read(stream, timeout=timeout)
            if stream == "iopub":
                self.widgets.hear(message)
            return message

        self.file.kernel.get_message = heard

    def finish(self, cells: list) -> tuple[float, int, int]:
        """(seconds, peak resident bytes, bytes of the executed notebook)."""
        seconds = time.monotonic() - self.started
        self.watch.__exit__()
        self.runs.cleanup()
        for item in cells:
            item.cell.outputs = item.test_outputs or []
        return seconds, self.watch.peak_bytes, len(nbformat.writes(self.file.nb).encode()) + self.widgets.size


MEASURE, MEASURED = pytest.StashKey[Measure](), pytest.StashKey[dict]()


class Limits(pytest.Item):
    """The last test of a notebook: its solutions are right, it kept to its memory and stays small."""

    def __init__(self, *, cells, **kwargs):
        super().__init__(**kwargs)
        self.cells = cells

    def runtest(self):
        """Compare what was measured with the limits; every sentence that does not hold is said."""
        name, measure = self.path.stem, self.parent.stash[MEASURE]
        seconds, peak, size = measure.finish(self.cells)
        self.config.stash.setdefault(MEASURED, {})[name] = seconds, peak, size
        wrong = [
            f"the check of {cell.name} says {found}" for cell, found in self._checks() if not found.startswith(RIGHT)
        ]
        if not 0 < peak < MAX_BYTES:
            wrong.append(f"it took {peak / 1e6:.0f} MB; at most {MAX_BYTES / 1e6:.0f} are allowed")
        if size >= MAX_SIZE:
            wrong.append(f"it has {size / 1e3:.0f} KB executed; at most {MAX_SIZE / 1e3:.0f} are allowed")
        if left := sorted(files_beside(self.path) - measure.files):
            wrong.append(f"it left {', '.join(left)} beside itself; write to a temporary folder")
        assert not wrong, f"{name}: {'; '.join(wrong)}"

    def _checks(self) -> Iterator[tuple[pytest.Item, str]]:
        """Each exercise and what its check says, an empty text if it says nothing."""
        for item in self.cells:
            if "exercise" in item.cell.metadata.get("tags", ()):
                shown = [output.data.get("text/plain", "") for output in item.cell.outputs if "data" in output]
                yield item, shown[-1].strip("'\"") if shown else ""

    def repr_failure(self, excinfo):
        """The sentence alone."""
        return str(excinfo.value) if excinfo.errisinstance(AssertionError) else super().repr_failure(excinfo)

    def reportinfo(self):
        """Where it stands in the list of tests."""
        return self.path, 0, "memory and size"


def pytest_collection_modifyitems(items):
    """Put the limits of a notebook after its last cell, if all of its cells are run."""
    for file in dict.fromkeys(item.parent for item in items if isinstance(item.parent, IPyNbFile)):
        cells = [item for item in items if item.parent is file]
        if len(cells) == sum(cell.cell_type == "code" for cell in file.nb.cells):
            limits = Limits.from_parent(file, name="limits", cells=cells)
            items.insert(items.index(cells[-1]) + 1, limits)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """Measure from before the kernel starts; two threads, as on Binder, unless the environment says otherwise.

    No training run is there at the start: the notebook trains each time.
    """
    file, first = item.parent, MEASURE not in item.parent.stash
    if not isinstance(file, IPyNbFile):
        return (yield)
    if first:
        file.stash[MEASURE] = Measure(file)
    threads, runs = int(os.environ.get("OMP_NUM_THREADS", THREADS)), file.stash[MEASURE].runs.name
    with pytest.MonkeyPatch.context() as patch:
        for name, value in kernel_environment(threads, runs=runs).items():
            patch.setenv(name, value)
        result = yield
    if first:
        file.stash[MEASURE].listen()
    return result


def pytest_terminal_summary(terminalreporter, config):
    """One line for each notebook."""
    for name, (seconds, peak, size) in config.stash.get(MEASURED, {}).items():
        most = SECONDS_OF.get(name, SECONDS)
        slow = f" (more than the {most} s of two free cores)" if seconds >= most else ""
        terminalreporter.write_line(f"{name}: {seconds:.0f} s{slow}, {peak / 1e6:.0f} MB, {size / 1e3:.0f} KB executed")
