"""The kernel of a notebook that is run for a test or a measurement: its environment, and its training runs."""

import os
from pathlib import Path

import nbformat
import pytest

from vgs_lib import paths
from vgs_lib.coursework.runs import execute, fresh_runs, kernel_environment
from vgs_lib.errors import NotebookError


def test_runs_are_where_the_environment_says_or_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("VGS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VGS_RUNS", raising=False)
    assert paths.runs() == tmp_path / "home" / "runs"
    monkeypatch.setenv("VGS_RUNS", "")
    assert paths.runs() == tmp_path / "home" / "runs"
    monkeypatch.setenv("VGS_RUNS", "~/mine")
    assert paths.runs() == Path.home() / "mine"
    assert paths.home() == tmp_path / "home"


def test_the_environment_of_a_kernel(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/mine")
    found = kernel_environment(3, runs="/there")
    library = str(Path(paths.__file__).resolve().parents[1])
    assert found == {"PYTHONPATH": f"{library}{os.pathsep}/mine", "VGS_RUNS": "/there", "OMP_NUM_THREADS": "3"}
    assert "OMP_NUM_THREADS" not in kernel_environment(runs="/there")


def test_each_execution_has_an_empty_folder_of_runs_that_is_gone_afterwards(monkeypatch, tmp_path):
    monkeypatch.setenv("VGS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VGS_RUNS", str(tmp_path / "old"))
    (tmp_path / "old" / "first").mkdir(parents=True)
    cells = [
        "from vgs_lib import paths\nprint(paths.home(), paths.runs(), *paths.runs().iterdir())",
        "(paths.runs() / 'first').mkdir()",
        "if failing: 1 / 0",
    ]

    def notebook(failing: bool):
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in (f"{failing = }", *cells)])

    seen = []
    for failing in (False, True):
        made = notebook(failing)
        if failing:
            with pytest.raises(NotebookError, match="ZeroDivisionError"):
                execute(made, tmp_path, name="one", threads=1)
        else:
            execute(made, tmp_path, name="one", threads=1)
        home, *runs = made.cells[1].outputs[0].text.split()
        assert home == str(tmp_path / "home") and len(runs) == 1  # nothing was in it
        seen += runs
    assert len({*seen, str(tmp_path / "old")}) == 3
    assert not any(Path(folder).exists() for folder in seen)
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["first"]


def test_a_fresh_folder_of_runs_is_empty_and_goes_with_what_is_in_it():
    with fresh_runs() as folder:
        assert list(Path(folder).iterdir()) == []
        (Path(folder) / "first").mkdir()
    assert not Path(folder).exists()
