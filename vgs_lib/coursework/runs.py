"""Runs notebooks in kernels of their own and measures them: seconds, peak memory, size with all outputs.

Used by ``python -m vgs_lib notebooks --record`` and ``--measure`` and, for the watch alone, by the tests. It needs
nbclient and psutil, which come with the test tools.
"""

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from vgs_lib.errors import NotebookError

CELL_SECONDS = 900  # a cell that takes longer is stuck
STARTING = 1.0  # seconds in which a child may still be a copy of its parent, before it becomes another program
Seen = dict[tuple[int, float], float]  # (id, time of creation) of a process: when it was first looked at, by our clock
Progress = Callable[[int, int], None]  # (code cells done, all code cells)


@dataclass(frozen=True)
class Run:
    """An executed notebook: ``seconds`` with the start of the kernel, ``peak_bytes`` resident, ``size_bytes`` as JSON.

    ``peak_bytes`` counts the kernel and the processes that it started; what they share is counted in each of them.
    """

    notebook: NotebookNode
    seconds: float
    peak_bytes: int
    size_bytes: int


class MemoryWatch:
    """The most memory that a process and its children were resident in while the ``with`` block ran.

    Args:
        pid: gives the id of the process, or None while there is none; asked at every look.
        interval: seconds between two looks.
    """

    def __init__(self, pid: Callable[[], int | None], *, interval: float = 0.1):
        self.pid, self.interval = pid, interval
        self.peak_bytes = 0
        self._seen: Seen = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def _look_on(self) -> None:
        while not self._done.wait(self.interval):
            self._look()

    def _look(self) -> None:
        if (pid := self.pid()) is not None:
            self.peak_bytes = max(self.peak_bytes, resident_bytes(pid, self._seen))


def resident_bytes(pid: int, seen: Seen | None = None) -> int:
    """Memory that process ``pid`` and its children are resident in, in bytes; 0 if it has ended.

    A child that has only just begun and is a copy of its parent still has its parent's memory, which is counted once.
    How old a child is counts from the first look at it, which ``seen`` keeps: the system's clock may have been set
    since it started, and times of creation are then off by a second and more.
    """
    import psutil

    seen = {} if seen is None else seen

    def is_copy(child: psutil.Process) -> bool:
        now = time.monotonic()
        young = now - seen.setdefault((child.pid, child.create_time()), now) < STARTING
        return young and child.cmdline() == psutil.Process(child.ppid()).cmdline()

    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        total = process.memory_info().rss
        for one in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += 0 if is_copy(one) else one.memory_info().rss
    return total


def fresh_runs() -> tempfile.TemporaryDirectory:
    """An empty folder for ``$VGS_RUNS``, gone after ``with`` or ``cleanup()``: nothing was trained before."""
    return tempfile.TemporaryDirectory(prefix="vgs-runs-", ignore_cleanup_errors=True)


def kernel_environment(threads: int | None = None, *, runs: str) -> dict[str, str]:
    """What a kernel's environment needs beside this process's: this very library, ``OMP_NUM_THREADS``, ``VGS_RUNS``."""
    paths = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    found = {"PYTHONPATH": os.pathsep.join(path for path in paths if path), "VGS_RUNS": runs}
    return found if threads is None else found | {"OMP_NUM_THREADS": str(threads)}


def execute(
    notebook: NotebookNode,
    folder: Path,
    *,
    name: str,
    threads: int | None = None,
    progress: Progress = lambda done, total: None,
) -> Run:
    """Run a notebook from top to bottom in a fresh kernel whose working folder is ``folder``.

    Its training runs are kept in a temporary folder and are gone at the end.

    Args:
        notebook: what to run; it is given its outputs and the state of its widgets.
        folder: an existing folder.
        name: what errors call the notebook.
        threads: ``OMP_NUM_THREADS`` of the kernel; None leaves the environment as it is.
        progress: called with (done, all) code cells after each one.

    Raises:
        NotebookError: a cell fails or takes longer than 15 minutes, or the kernel does not start or dies; the message
            names the notebook, the cell and the error.
    """
    try:
        import psutil  # noqa: F401  (the watch needs it)
        from nbclient import NotebookClient, exceptions
    except ImportError as error:
        raise NotebookError(f"{error.name} is needed to run notebooks: pip install -e '.[test]' installs it") from error
    code = [number for number, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        on_cell_executed=lambda cell_index, **_: progress(code.index(cell_index) + 1, len(code)),
    )
    started = time.monotonic()
    try:
        with fresh_runs() as runs, MemoryWatch(lambda: _kernel_pid(client)) as watch:
            client.execute(env=os.environ | kernel_environment(threads, runs=runs))
    except exceptions.CellExecutionError as error:
        place = next((i for i, cell in enumerate(notebook.cells) if _failed(cell)), "?")
        raise NotebookError(f"{name}: cell {place} fails with {error.ename}: {error.evalue}") from error
    except exceptions.CellTimeoutError as error:
        raise NotebookError(f"{name}: a cell took longer than {CELL_SECONDS} s") from error
    except (exceptions.DeadKernelError, RuntimeError) as error:
        raise NotebookError(f"{name}: the kernel died or did not start ({error}); was there enough memory?") from error
    seconds = time.monotonic() - started
    return Run(notebook, seconds, watch.peak_bytes, len(nbformat.writes(notebook).encode()))


def _kernel_pid(client) -> int | None:
    """The process of a client's kernel, or None before it starts and after it ends."""
    manager = client.km
    return getattr(manager.provisioner, "pid", None) if manager is not None and manager.has_kernel else None


def _failed(cell: NotebookNode) -> bool:
    return any(output.output_type == "error" for output in cell.get("outputs", ()))


def table(rows: list[tuple[str, Run]]) -> str:
    """A Markdown table of (notebook, run): seconds, peak resident MB (10**6 bytes), executed size in KB (1000)."""
    lines = ["| notebook | seconds | peak resident MB | executed size KB |", "|---|---:|---:|---:|"]
    for name, run in rows:
        lines.append(f"| `{name}` | {run.seconds:.0f} | {run.peak_bytes / 1e6:.0f} | {run.size_bytes / 1e3:.0f} |")
    return "\n".join(lines)
