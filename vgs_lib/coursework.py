"""The notebooks of the course: one source each, a copy for students with blanks and a copy with the solutions.

A source, ``notebooks/source/NAME.py``, is a notebook as text in the percent format of jupytext. In an exercise cell

    # SOLUTION
    answer = scores.argmax(dim=1)
    # BLANK
    # answer = None  # your answer
    # END

the solution copy keeps the first part and the student copy the second one, uncommented. Both are generated and
committed: ``notebooks/NAME.ipynb`` for students, ``notebooks/solutions/NAME.ipynb``.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from vgs_lib.errors import DataError

COMPARED = "# NBVAL_CHECK_OUTPUT"
_EXERCISE = re.compile(
    r"^(?P<indent>[ ]*)# SOLUTION\n(?P<solution>.*?)^[ ]*# BLANK\n(?P<blank>.*?)^[ ]*# END(?:\n|\Z)", re.M | re.S
)
_MARKER = re.compile(r"^[ ]*# (SOLUTION|BLANK|END)$", re.M)
_LINK = re.compile(r"(\]\(|src=\")(?!https?:|#|attachment:)(?=[\w.])")
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


@dataclass(frozen=True)
class Copies:
    """The two notebooks of a source."""

    student: NotebookNode
    solution: NotebookNode


def copies(source: Path) -> Copies:
    """The students' and the solutions' notebook of a source, without outputs.

    Raises :class:`DataError` naming the source and the cell whose markers do not fit together.
    """
    text = source.read_text(encoding="utf-8")
    student, solution = (jupytext.reads(text, fmt="py:percent") for _ in range(2))
    for number, (blank, solved) in enumerate(zip(student.cells, solution.cells, strict=True)):
        blank.id = solved.id = f"cell-{number:02d}"
        for cell in (blank, solved):
            cell.metadata = {key: value for key, value in cell.metadata.items() if key == "tags"}
        if blank.cell_type == "code":
            cell_text = blank.source
            if len(_MARKER.findall(cell_text)) != 3 * len(_EXERCISE.findall(cell_text)):
                raise DataError(
                    f"{source}: cell {number}: expected '# SOLUTION', '# BLANK' and '# END' in this order, each on a "
                    "line of its own"
                )
            blank.source = _EXERCISE.sub(_blank, cell_text).rstrip("\n")
            solved.source = _EXERCISE.sub(lambda found: found["solution"], cell_text).rstrip("\n")
        else:
            solved.source = _LINK.sub(r"\1../", solved.source)
    for notebook in (student, solution):
        notebook.metadata = {"kernelspec": dict(KERNEL), "language_info": {"name": "python"}}
        notebook.nbformat, notebook.nbformat_minor = 4, 5
    return Copies(student, solution)


def _blank(found: re.Match) -> str:
    """The blank of an exercise with its comment signs taken off."""
    return re.sub(r"^([ ]*)# ?", r"\1", found["blank"], flags=re.M)


def keep_outputs(notebook: NotebookNode, before: Path) -> NotebookNode:
    """Give the cells that nbval compares the outputs that an earlier copy at ``before`` recorded for the same text."""
    recorded = {}
    if before.is_file():
        for cell in nbformat.read(before, as_version=4).cells:
            if cell.cell_type == "code" and cell.outputs:
                recorded[cell.source] = cell
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        if cell.source.startswith(COMPARED) and cell.source in recorded:
            cell.outputs, cell.execution_count = recorded[cell.source].outputs, number
    return notebook


def write(source: Path, folder: Path) -> tuple[Path, Path]:
    """Write both copies of a source into ``folder`` and ``folder/solutions``; the paths (student, solution)."""
    made = copies(source)
    student, solution = folder / f"{source.stem}.ipynb", folder / "solutions" / f"{source.stem}.ipynb"
    solution.parent.mkdir(parents=True, exist_ok=True)
    keep_outputs(made.student, solution)
    keep_outputs(made.solution, solution)
    for path, notebook in ((student, made.student), (solution, made.solution)):
        text = json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True)
        path.write_text(text + "\n", encoding="utf-8")
    return student, solution
