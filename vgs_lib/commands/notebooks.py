"""``python -m vgs_lib notebooks``: both copies of every notebook from its source."""

import argparse

from vgs_lib import coursework
from vgs_lib.errors import DataError


def run(chosen: argparse.Namespace) -> int:
    """Write the students' and the solutions' copies."""
    sources = sorted((chosen.folder / "source").glob("*.py"))
    names = {path.stem for path in sources}
    if missing := sorted(set(chosen.names) - names):
        raise DataError(f"no source of a notebook is called {', '.join(missing)}; there are {', '.join(sorted(names))}")
    for source in sources:
        if not chosen.names or source.stem in chosen.names:
            student, solution = coursework.write(source, chosen.folder)
            print(f"Wrote {student} and {solution}.")
    return 0
