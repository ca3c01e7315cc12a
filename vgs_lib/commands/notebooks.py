"""``python -m vgs_lib notebooks``: both copies of every notebook from its source; record, measure, check."""

import argparse
from pathlib import Path

from nbformat import NotebookNode

from vgs_lib.coursework import lessons
from vgs_lib.errors import NotebookError

THREADS = 2  # what Binder gives


def run(chosen: argparse.Namespace) -> int:
    """Write the students' and the solutions' copies, or record, measure or check them."""
    every = sorted((chosen.folder / "source").glob("*.py"))
    if not every:
        raise NotebookError(f"{chosen.folder / 'source'}: there is no source of a notebook; --folder names another one")
    names = {path.stem for path in every}
    if missing := sorted(set(chosen.names) - names):
        raise NotebookError(
            f"no source of a notebook is called {', '.join(missing)}; there are {', '.join(sorted(names))}"
        )
    sources = [path for path in every if not chosen.names or path.stem in chosen.names]
    if chosen.check:
        return _check(sources, chosen.folder, orphans=not chosen.names)
    if chosen.measure:
        return _measure(sources, chosen.folder)
    for source in sources:
        if chosen.record:
            student, solution = _record(source, chosen.folder)
        else:
            student, solution = lessons.write(source, chosen.folder)
        print(f"Wrote {student} and {solution}.")
    return 0


def _check(sources: list[Path], folder: Path, *, orphans: bool) -> int:
    sentences = lessons.differing(sources, folder)
    if orphans:
        sentences += lessons.orphans(sources, folder)
    for sentence in sentences:
        print(f"{sentence}.")
    if sentences:
        print("`python -m vgs_lib notebooks` writes the copies anew.")
        return 1
    print("Every copy is what its source gives.")
    return 0


def _record(source: Path, folder: Path) -> tuple[Path, Path]:
    from vgs_lib.commands.bars import Bars
    from vgs_lib.coursework.runs import execute

    with Bars("cell") as bars:

        def run_with_bar(notebook: NotebookNode, where: Path) -> NotebookNode:
            show = lambda done, total: bars.show(source.stem, done, total)
            return execute(notebook, where, name=source.stem, progress=show).notebook

        return lessons.record(source, folder, run_with_bar)


def _measure(sources: list[Path], folder: Path) -> int:
    from vgs_lib.commands.bars import Bars
    from vgs_lib.coursework.runs import execute, table

    rows = []
    with Bars("cell") as bars:
        for source in sources:
            show = lambda done, total, name=source.stem: bars.show(name, done, total)
            where = lessons.paths(source, folder)[1].parent
            where.mkdir(exist_ok=True)
            solution = lessons.copies(source).solution
            rows.append((source.stem, execute(solution, where, name=source.stem, threads=THREADS, progress=show)))
    print(table(rows))
    return 0
