"""What is asserted while nbval runs the solutions: printed text, memory, size with the state of the widgets."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]
CONFTEST = (ROOT / "notebooks" / "solutions" / "conftest.py").read_text("utf-8")


def run(folder: Path, cells: list[str], *, printed: str | None = None, limits: dict[str, str] | None = None):
    """Run nbval over a notebook of ``cells``, the first of which is recorded to print ``printed``."""
    text = CONFTEST
    for old, new in (limits or {}).items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / "conftest.py").write_text(text, encoding="utf-8")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    for cell in notebook.cells:
        cell.metadata = {"tags": ["exercise"]} if "# exercise" in cell.source else {}
    if printed is not None:
        notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text=printed)]
        notebook.cells[0].execution_count = 1
    nbformat.write(notebook, folder / "00_one.ipynb")
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "--color=no",
        "--nbval-lax",
        "--nbval-current-env",
        f"--rootdir={folder}",
    ]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


def test_a_notebook_within_its_limits_passes_and_is_reported(tmp_path):
    cells = ["# NBVAL_CHECK_OUTPUT\nimport os, vgs_lib\nprint(os.environ['OMP_NUM_THREADS'])", "# exercise\n'Right.'"]
    ran = run(tmp_path, cells, printed="1\n")
    assert ran.returncode == 0, ran.stdout
    assert "3 passed" in ran.stdout and "KB executed" in ran.stdout and "free cores" not in ran.stdout


def test_a_notebook_that_takes_long_passes_and_is_named(tmp_path):
    ran = run(
        tmp_path, ["import time\ntime.sleep(0.1)"], limits={"SECONDS, SECONDS_OF = 60,": "SECONDS, SECONDS_OF = 0.1,"}
    )
    assert ran.returncode == 0, ran.stdout
    assert "s (more than the 0.1 s of two free cores), " in ran.stdout


def test_no_training_run_is_there_at_the_start_and_none_is_left(tmp_path):
    runs = ["from vgs_lib import paths\nassert not list(paths.runs().iterdir())\n(paths.runs() / 'first').mkdir()"]
    runs += [f"open({str(tmp_path / 'seen')!r}, 'a').write(f'{{paths.runs()}} ')"]
    limits = {"KEPT = (": 'KEPT = ("seen", '}
    for _ in range(2):
        ran = run(tmp_path, runs, limits=limits)
        assert ran.returncode == 0, ran.stdout
    folders = (tmp_path / "seen").read_text().split()
    assert len(set(folders)) == 2 and not any(Path(folder).exists() for folder in folders)


def test_another_text_fails(tmp_path):
    ran = run(tmp_path, ["# NBVAL_CHECK_OUTPUT\nprint(2)"], printed="1\n")
    assert ran.returncode == 1 and "1 failed, 1 passed" in ran.stdout


def test_each_limit_is_held_and_all_that_is_wrong_is_said(tmp_path):
    cells = [
        "# exercise\n'Too high.'",
        "# exercise\nNone",
        "print('x' * 600_000)",
        "import time\nblock = bytearray(300_000_000)\ntime.sleep(2)",
        "open('left.txt', 'w').close()",
    ]
    ran = run(tmp_path, cells, limits={"1.5e9": "3e8"})
    assert ran.returncode == 1 and "1 failed, 5 passed" in ran.stdout, ran.stdout
    for sentence in (
        "00_one: the check of Cell 0 says Too high.; the check of Cell 1 says ;",
        "MB; at most 300 are allowed",
        "KB executed; at most 500 are allowed",
        "it left left.txt beside itself",
    ):
        assert sentence in ran.stdout


def test_the_state_of_the_widgets_counts(tmp_path):
    ran = run(tmp_path, ["import ipywidgets\nt = ipywidgets.HTML('x' * 600_000)"])
    assert ran.returncode == 1 and "1 failed, 1 passed" in ran.stdout, ran.stdout
    assert "KB executed; at most 500 are allowed" in ran.stdout
