"""Every notebook keeps the form of the course, in the source and in both copies.

Nothing is run here: nbval runs the solutions, and `notebooks/solutions/conftest.py` holds their memory and size
to limits.
"""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from vgs_lib.coursework import lessons

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks"
SOURCES = sorted((FOLDER / "source").glob("*.py"))
MAX_LINES = 15
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|src=\"([^\"]+)\"")
every_notebook = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def both(source: Path):
    """(students' notebook, solutions' notebook) as they are committed."""
    return [nbformat.read(path, as_version=4) for path in lessons.paths(source, FOLDER)]


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def is_exercise(cell) -> bool:
    return "exercise" in cell.metadata.get("tags", ())


def links(notebook) -> list[str]:
    """The links and pictures of the prose that lead to files."""
    found = [first or second for first, second in LINK.findall(prose(notebook))]
    return [link for link in found if not re.match(r"https?:|#|mailto:|attachment:", link)]


def headings(path: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.M)


def test_the_course_is_there():
    assert [source.stem[:2] for source in SOURCES] == [f"{number:02d}" for number in range(len(SOURCES))]
    assert SOURCES[0].stem == "00_tour"


def test_the_committed_copies_are_what_their_sources_give():
    assert lessons.differing(SOURCES, FOLDER) + lessons.orphans(SOURCES, FOLDER) == []


@every_notebook
def test_the_students_copy_differs_in_blanks_and_links_only(source):
    student, solution = both(source)
    exercises = [cell for cell in source.read_text("utf-8").split("# %%") if "# SOLUTION" in cell]
    for blank, solved in zip(student.cells, solution.cells, strict=True):
        assert (blank.cell_type, blank.id, blank.metadata) == (solved.cell_type, solved.id, solved.metadata)
        if blank.cell_type == "markdown":
            assert blank.source == re.sub(r"(\]\(|src=\")\.\./", r"\1", solved.source)
        elif is_exercise(blank):
            assert blank.source != solved.source
            assert filled(blank.source, exercises.pop(0)) == solved.source
        else:
            assert blank == solved, blank.source
    assert exercises == []


def filled(blank: str, exercise: str) -> str:
    """A student's cell with each blank replaced, in order, by the solution that the source has for it."""
    done, rest = "", blank + "\n"
    for part in exercise.split("# SOLUTION\n")[1:]:
        solution, part = part.split("# BLANK\n")
        commented = part.split("# END")[0].rstrip(" ").splitlines()
        empty = "".join(line.replace("# ", "", 1) + "\n" for line in commented)
        assert rest.count(empty) == 1, f"expected once in the students' cell:\n{empty}"
        before, rest = rest.split(empty)
        done += before + solution[: solution.rindex("\n") + 1]
    return (done + rest).rstrip("\n")


@pytest.mark.parametrize(
    "student, same",
    [
        ("x = 1\ny = None\ncheck(y)", True),
        ("x = 3\ny = None\ncheck(y)", False),
        ("x = 1\ny = None\nprint(x)\ncheck(y)", False),
        ("y = None\ncheck(y)", False),
    ],
)
def test_a_students_cell_is_held_to_the_solution_outside_of_its_blanks(student, same):
    exercise = "\nx = 1\n# SOLUTION\ny = x + 1\n# BLANK\n# y = None\n# END\ncheck(y)\n"
    assert (filled(student, exercise) == "x = 1\ny = x + 1\ncheck(y)") is same


def test_a_students_cell_needs_the_blank_of_the_source():
    exercise = "\n# SOLUTION\ny = 2\n# BLANK\n# y = None\n# END\n"
    with pytest.raises(AssertionError, match="expected once"):
        filled("y = 4", exercise)


@every_notebook
def test_it_says_what_it_is_about_and_ends_with_a_summary(source):
    student, _ = both(source)
    first = student.cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    for part in ("**You will**", "**You need**", "**It takes**", "**How"):
        assert part in first.source, part
    text = prose(student)
    assert "**Predict first.**" in text
    assert text.index("\n## What you saw\n") < text.index("\n## Further reading\n")
    assert student.cells[-1].cell_type == "markdown"
    assert all(cell.source.strip() for cell in student.cells)


@every_notebook
def test_cells_are_short_and_one_holds_the_parameters(source):
    student, solution = both(source)
    for cell in [*code(student), *code(solution)]:
        assert len(cell.source.splitlines()) <= MAX_LINES, cell.source
        ast.parse(cell.source)  # no magics: the library does the work
    (parameters,) = [cell for cell in code(student) if "parameters" in cell.metadata.get("tags", ())]
    for statement in ast.parse(parameters.source).body:
        assert isinstance(statement, ast.Assign | ast.AnnAssign), ast.unparse(statement)
        ast.literal_eval(statement.value)
        assert "# " in parameters.source.splitlines()[statement.end_lineno - 1], ast.unparse(statement)


@every_notebook
def test_at_least_three_exercises_with_checks_that_other_cells_do_not_need(source):
    student, _ = both(source)
    made = [cell for cell in student.cells if is_exercise(cell)]
    assert len(made) >= 3
    for cell in made:
        tree = ast.parse(cell.source)
        names = blank_names(tree)
        assert names, f"no blank in\n{cell.source}"
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        checks = [call for call in calls if ast.unparse(call.func).split(".")[-1].startswith("check_")]
        assert checks, f"no check in\n{cell.source}"
        given = {id(argument) for call in checks for argument in call.args}
        for node in ast.walk(tree):  # only a check can do with None
            if isinstance(node, ast.Name) and node.id in names and isinstance(node.ctx, ast.Load):
                assert id(node) in given, f"{node.id} is used outside of its check in\n{cell.source}"
        for other in code(student):
            if other is not cell:
                assert not names & loaded_before_stored(ast.parse(other.source)), other.source


@every_notebook
def test_blanks_assign_nothing_but_none(source):
    text = source.read_text("utf-8")
    blanks = [blank for cell in text.split("# %%") for blank in lessons.blanks(cell)]
    assert len(blanks) >= 3
    for blank in blanks:
        lines = [line for line in blank.splitlines() if line.strip()]
        indent = min(len(line) - len(line.lstrip()) for line in lines)
        for statement in ast.parse("\n".join(line[indent:] for line in lines)).body:
            value = getattr(statement, "value", ast.Constant(0))
            assert isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr | ast.Return), blank
            assert isinstance(value, ast.Constant) and value.value in (None, ...), blank


def blank_names(tree: ast.Module) -> set[str]:
    """Names that are assigned None or ``...``, and functions whose body has ``...`` in it."""
    names = set()
    for node in ast.walk(tree):
        value = getattr(node, "value", None)
        nothing = isinstance(value, ast.Constant) and value.value in (None, ...)
        if isinstance(node, ast.Assign) and nothing:
            names |= {name.id for name in node.targets if isinstance(name, ast.Name)}
        if isinstance(node, ast.AnnAssign) and nothing:
            names.add(node.target.id)
        if isinstance(node, ast.FunctionDef) and "..." in [ast.unparse(inner) for inner in ast.walk(node)]:
            names.add(node.name)
    return names


def loaded_before_stored(tree: ast.Module) -> set[str]:
    """Names that a cell takes from the cells before it."""
    taken, own = set(), set()
    for statement in tree.body:
        names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
        taken |= {name.id for name in names if isinstance(name.ctx, ast.Load)} - own
        own |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
        own |= {statement.name} if isinstance(statement, ast.FunctionDef) else set()
    return taken


@every_notebook
def test_outputs_are_recorded_for_the_compared_cells_alone(source):
    student, solution = both(source)
    for notebook in (student, solution):
        assert notebook.metadata.kernelspec.name == "python3" and "widgets" not in notebook.metadata
        compared = 0
        for number, cell in enumerate(code(notebook), start=1):
            if cell.source.startswith(lessons.COMPARED):
                compared += 1
                assert not is_exercise(cell), "an exercise cannot be compared"
                assert [(output.output_type, output.get("name")) for output in cell.outputs] == [("stream", "stdout")]
                assert cell.execution_count == number and cell.outputs[0].text.strip()
            else:
                assert not cell.outputs and cell.execution_count is None, cell.source
        assert compared >= 1


@every_notebook
def test_links_lead_to_files_and_headings(source):
    for path, notebook in zip(lessons.paths(source, FOLDER), both(source), strict=True):
        for link in links(notebook):
            file, _, heading = link.partition("#")
            target = path.parent / file
            assert target.is_file() and target.resolve().is_relative_to(ROOT), f"{path.name}: {link}"
            if heading:
                assert heading in [anchor(text) for text in headings(target)], f"{path.name}: {link}"


@every_notebook
def test_terms_are_linked_to_the_glossary(source):
    student, _ = both(source)
    assert sum(link.startswith("glossary.md#") for link in links(student)) >= 3


def anchor(heading: str) -> str:
    """The anchor of a heading on GitHub; JupyterLab keeps capitals."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
