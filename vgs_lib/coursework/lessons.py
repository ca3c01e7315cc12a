"""The notebooks of the course: one source each, a copy for students with blanks and a copy with the solutions.

A source, ``notebooks/source/NAME.py``, is a notebook as text in the percent format of jupytext. In a cell tagged
``exercise``

    # SOLUTION
    answer = scores.argmax(dim=1)
    # BLANK
    # answer = None  # your answer
    # END

the solution copy keeps the first part and the student copy the second one, uncommented. Both are generated and
committed: ``notebooks/NAME.ipynb`` for students, ``notebooks/solutions/NAME.ipynb``. They hold no outputs but the
printed text of the cells that begin with ``# NBVAL_CHECK_OUTPUT``, which the tests compare with a run.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from vgs_lib.errors import NotebookError

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

    Raises :class:`NotebookError` naming the source and the cell whose markers do not fit together or whose exercise
    is not tagged as one.
    """
    text = source.read_text(encoding="utf-8")
    student, solution = (jupytext.reads(text, fmt="py:percent") for _ in range(2))
    for number, (blank, solved) in enumerate(zip(student.cells, solution.cells, strict=True)):
        blank.id = solved.id = f"cell-{number:02d}"
        for cell in (blank, solved):
            cell.metadata = {key: value for key, value in cell.metadata.items() if key == "tags"}
        if blank.cell_type == "code":
            cell_text = blank.source
            _check_markers(cell_text, f"{source}: cell {number}", tagged="exercise" in blank.metadata.get("tags", ()))
            blank.source = _EXERCISE.sub(_blank, cell_text).rstrip("\n")
            solved.source = _EXERCISE.sub(lambda found: found["solution"], cell_text).rstrip("\n")
        else:
            solved.source = _LINK.sub(r"\1../", solved.source)
    for notebook in (student, solution):
        notebook.metadata = {"kernelspec": dict(KERNEL), "language_info": {"name": "python"}}
        notebook.nbformat, notebook.nbformat_minor = 4, 5
    return Copies(student, solution)


def blanks(source: str) -> list[str]:
    """What the student copy has in each exercise of a source's cell, uncommented."""
    return [_blank(found) for found in _EXERCISE.finditer(source)]


def _check_markers(cell: str, place: str, *, tagged: bool) -> None:
    exercises = len(_EXERCISE.findall(cell))
    if len(_MARKER.findall(cell)) != 3 * exercises:
        raise NotebookError(
            f"{place}: expected '# SOLUTION', '# BLANK' and '# END' in this order, each on a line of its own"
        )
    if tagged != bool(exercises):
        found = "a blank, but no tag" if exercises else "the tag, but no '# SOLUTION', '# BLANK' and '# END'"
        raise NotebookError(f'{place}: found {found}; an exercise has both and begins with # %% tags=["exercise"]')


def _blank(found: re.Match) -> str:
    """The blank of an exercise with its comment signs taken off."""
    return re.sub(r"^([ ]*)# ?", r"\1", found["blank"], flags=re.M)


def keep_outputs(notebook: NotebookNode, before: NotebookNode | None) -> NotebookNode:
    """Give the compared cells the outputs that ``before``, an earlier or executed copy, has for the same text."""
    recorded = {}
    if before is not None:
        recorded = {cell.source: cell.outputs for cell in before.cells if cell.cell_type == "code" and cell.outputs}
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        if cell.source.startswith(COMPARED) and cell.source in recorded:
            # The number is that of a notebook run from top to bottom; nbval refuses outputs without one.
            cell.outputs, cell.execution_count = recorded[cell.source], number
    return notebook


def paths(source: Path, folder: Path) -> tuple[Path, Path]:
    """Where the copies of a source are: (student, solution)."""
    return folder / f"{source.stem}.ipynb", folder / "solutions" / f"{source.stem}.ipynb"


def texts(source: Path, folder: Path, *, executed: NotebookNode | None = None) -> dict[Path, str]:
    """The text of both copies, by path, with the outputs of ``executed`` or those that the committed copy recorded.

    Raises :class:`NotebookError` as :func:`copies`, and if the committed copy is no notebook.
    """
    made, (student, solution) = copies(source), paths(source, folder)
    before = executed or _read(solution)
    return {
        path: json.dumps(keep_outputs(notebook, before), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        for path, notebook in ((student, made.student), (solution, made.solution))
    }


def write(source: Path, folder: Path, *, executed: NotebookNode | None = None) -> tuple[Path, Path]:
    """Write both copies of a source into ``folder`` and ``folder/solutions``; the paths (student, solution)."""
    for path, text in texts(source, folder, executed=executed).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return paths(source, folder)


def record(source: Path, folder: Path, execute: Callable[[NotebookNode, Path], NotebookNode]) -> tuple[Path, Path]:
    """Run the solution copy and store in both copies what the compared cells print; the paths (student, solution).

    Args:
        source: the source.
        folder: that of the notebooks.
        execute: runs a notebook in a folder and returns it with its outputs (:func:`vgs_lib.coursework.runs.execute`).

    Raises:
        NotebookError: there is no compared cell, or one prints nothing, or shows something else than printed text.
    """
    _, solution = write(source, folder)
    executed = execute(copies(source).solution, solution.parent)
    compared = [cell for cell in executed.cells if cell.cell_type == "code" and cell.source.startswith(COMPARED)]
    if not compared:
        raise NotebookError(f"{source}: no cell begins with {COMPARED}, so there is nothing to record")
    for cell in compared:
        kinds = {output.get("name", output.output_type) for output in cell.outputs}
        if kinds != {"stdout"}:
            found = ", ".join(sorted(kinds)) or "nothing"
            raise NotebookError(f"{source}: {cell.id} is compared and gives {found}; expected printed text alone")
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="".join(o.text for o in cell.outputs))]
    return write(source, folder, executed=executed)


def differing(sources: list[Path], folder: Path) -> list[str]:
    """One sentence for each copy that is missing or not what its source gives."""
    sentences = []
    for source in sources:
        for path, text in texts(source, folder).items():
            if not path.is_file():
                sentences.append(f"{path} is missing; {source} gives it")
            elif path.read_text(encoding="utf-8") != text:
                sentences.append(f"{path} differs from what {source} gives")
    return sentences


def orphans(sources: list[Path], folder: Path) -> list[str]:
    """One sentence for each notebook in ``folder`` and ``folder/solutions`` that has none of the sources."""
    known = {source.stem for source in sources}
    found = sorted([*folder.glob("*.ipynb"), *folder.glob("solutions/*.ipynb")])
    return [f"{path} has no source" for path in found if path.stem not in known]


def _read(path: Path) -> NotebookNode | None:
    if not path.is_file():
        return None
    try:
        return nbformat.read(path, as_version=4)
    except (ValueError, nbformat.ValidationError) as error:
        raise NotebookError(f"{path}: not a notebook ({error}); delete it to have it written anew") from error
