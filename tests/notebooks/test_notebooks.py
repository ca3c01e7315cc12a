"""Every notebook runs from a clean kernel within its time and memory, stays small, and is committed without outputs.

The one exception is what nbval compares: the printed text of the cells marked ``NBVAL_CHECK_OUTPUT``.
"""

import threading
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))
MAX_SECONDS, MAX_BYTES, MAX_SIZE, MAX_LINES = 60, 1.5e9, 500_000, 15
COMPARED = "# NBVAL_CHECK_OUTPUT"
PRINTED = {"00_tour.ipynb": ["The hottest place lies inside what was named (a frog): True\n"]}


def read(name: str):
    return nbformat.read(FOLDER / name, as_version=4)


def test_the_tour_is_there():
    assert "00_tour.ipynb" in NOTEBOOKS


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_committed_without_outputs_in_short_cells(name):
    notebook = read(name)
    assert notebook.metadata.kernelspec.name == "python3" and "widgets" not in notebook.metadata
    for cell in notebook.cells:
        if cell.cell_type == "code":
            if not cell.source.startswith(COMPARED):
                assert not cell.outputs and cell.execution_count is None, cell.source
            assert len(cell.source.splitlines()) <= MAX_LINES, cell.source
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_cells_that_nbval_compares_keep_what_they_print_and_nothing_else(name):
    code = [cell for cell in read(name).cells if cell.cell_type == "code"]
    compared = {place: cell for place, cell in enumerate(code, start=1) if cell.source.startswith(COMPARED)}
    stdout = [[{"output_type": "stream", "name": "stdout", "text": text}] for text in PRINTED.get(name, [])]
    assert [cell.outputs for cell in compared.values()] == stdout
    # nbval refuses outputs without a number; it is that of a notebook run from top to bottom.
    assert [cell.execution_count for cell in compared.values()] == list(compared)


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_runs_in_time_and_memory_and_stays_small(name):
    notebook = read(name)
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}})
    peak, done = [0], threading.Event()

    def watch():
        while not done.wait(0.1):
            if client.km is not None and client.km.has_kernel:
                try:
                    process = psutil.Process(client.km.provisioner.pid)
                    peak[0] = max(peak[0], process.memory_info().rss)
                except psutil.NoSuchProcess:
                    pass

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.monotonic()
    try:
        client.execute()
    finally:
        done.set()
        watcher.join()
    seconds = time.monotonic() - started
    assert seconds < MAX_SECONDS, f"{seconds:.0f} s"
    assert 1e8 < peak[0] < MAX_BYTES, f"{peak[0] / 1e9:.2f} GB"
    assert len(nbformat.writes(notebook)) < MAX_SIZE
