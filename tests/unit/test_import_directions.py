"""Packages and modules of the library import one another in one direction only."""

import ast
import graphlib
import re
from pathlib import Path

import vgs_lib

LIBRARY = Path(vgs_lib.__file__).parent


def part(file: Path) -> str:
    """The package that a file is in, or the file's own name at the root."""
    return file.relative_to(LIBRARY).with_suffix("").parts[0]


def imported(file: Path) -> set[str]:
    """The packages and root modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            # "from vgs_lib import viz" names them behind the import.
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in found if name.startswith("vgs_lib.")} - {"__version__"}


def parts() -> dict[str, set[str]]:
    """Each package, and each module at the root, with those that it imports."""
    graph: dict[str, set[str]] = {}
    for file in LIBRARY.rglob("*.py"):
        graph.setdefault(part(file), set()).update(imported(file) - {part(file)})
    return graph


def test_no_two_packages_import_each_other():
    graph = parts()
    order = list(graphlib.TopologicalSorter(graph).static_order())  # CycleError names a circle
    assert set(order) == set(graph), "something is imported that is not there"
    for lower, upper in (("data", "model"), ("model", "training"), ("training", "recipes"), ("recipes", "benchmark")):
        assert order.index(lower) < order.index(upper)


def test_the_readme_lists_them_from_the_ground_up():
    text = (LIBRARY.parent / "README.md").read_text(encoding="utf-8")
    table = text[text.index("| packages and modules |") :].split("\n\n")[0].splitlines()[2:]
    rows = [re.findall(r"`(\w+)`", line.split("|")[1]) for line in table]
    floor = {name: number for number, row in enumerate(rows) for name in row}
    assert len(floor) == sum(map(len, rows)), "a name comes twice"
    graph = parts()
    assert set(floor) == set(graph) - {"__init__", "__main__", "setup_check"}
    above = [(one, other) for one in floor for other in graph[one] if floor[other] > floor[one]]
    assert not above, f"imports of what the table shows further down: {above}"
