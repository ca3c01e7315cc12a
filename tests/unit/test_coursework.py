"""One source gives two notebooks; they can be recorded, measured and checked, and what does not fit is named."""

import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from vgs_lib.__main__ import main
from vgs_lib.coursework import lessons, runs
from vgs_lib.errors import NotebookError

SOURCE = """\
# %% [markdown]
# # A title
#
# See [matchmap](glossary.md#matchmap), [here](#there), [a page](https://example.org) and <img src="images/one.png">.

# %% tags=["parameters"]
number = 3  # how many

# %%
# NBVAL_CHECK_OUTPUT
print("number", number)
print("of them")

# %% tags=["exercise"]
def double(x):
    # SOLUTION
    return 2 * x
    # BLANK
    # ...  # your code
    # END


# SOLUTION
answer = double(number)
# BLANK
# answer = None  # a number
# END
print(answer)
"""


@pytest.fixture
def folder(tmp_path):
    """A folder of notebooks with the source ``00_one`` and nothing else."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "00_one.py").write_text(SOURCE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def source(folder):
    return folder / "source" / "00_one.py"


def command(*arguments) -> int:
    return main(["notebooks", *map(str, arguments)])


def read(path):
    return nbformat.read(path, as_version=4)


def test_the_student_gets_blanks_and_the_solution_what_fills_them(source):
    made = lessons.copies(source)
    student, solution = (notebook.cells[3].source for notebook in (made.student, made.solution))
    assert student.splitlines() == [
        "def double(x):",
        "    ...  # your code",
        "",
        "",
        "answer = None  # a number",
        "print(answer)",
    ]
    assert solution.splitlines() == [
        "def double(x):",
        "    return 2 * x",
        "",
        "",
        "answer = double(number)",
        "print(answer)",
    ]
    for blank, solved in zip(made.student.cells[1:3], made.solution.cells[1:3], strict=True):
        assert blank == solved
    assert made.student.cells[1].metadata == {"tags": ["parameters"]}
    for notebook in (made.student, made.solution):
        nbformat.validate(notebook)
        assert [cell.id for cell in notebook.cells] == ["cell-00", "cell-01", "cell-02", "cell-03"]


def test_links_to_files_go_one_folder_up_in_the_solution(source):
    made = lessons.copies(source)
    assert made.student.cells[0].source in made.solution.cells[0].source.replace("../", "")
    found = re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)", made.solution.cells[0].source)
    assert [a or b for a, b in found] == [
        "../glossary.md#matchmap",
        "#there",
        "https://example.org",
        "../images/one.png",
    ]


def test_blanks_are_what_the_student_copy_has():
    assert lessons.blanks(SOURCE) == ["    ...  # your code\n", "answer = None  # a number\n"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# END\nprint", "print", "cell 3: expected '# SOLUTION', '# BLANK' and '# END' in this order"),
        ("# BLANK\n# answer", "# answer", "cell 3: expected '# SOLUTION', '# BLANK' and '# END' in this order"),
        (' tags=["exercise"]', "", "cell 3: found a blank, but no tag"),
        ('"parameters"', '"exercise"', "cell 1: found the tag, but no '# SOLUTION'"),
    ],
)
def test_an_exercise_out_of_form_is_named(source, old, new, message):
    assert old in SOURCE
    source.write_text(SOURCE.replace(old, new), encoding="utf-8")
    with pytest.raises(NotebookError, match=f"00_one.py: {re.escape(message)}"):
        lessons.copies(source)


def run_with(outputs):
    """Stands in for a kernel: gives the compared cells ``outputs`` and the others some of their own."""

    def run(notebook, folder):
        assert folder.name == "solutions" and folder.is_dir()
        for cell in notebook.cells:
            if cell.cell_type == "code":
                other = nbformat.v4.new_output("stream", text="noise")
                cell.outputs = outputs if cell.source.startswith(lessons.COMPARED) else [other]
        return notebook

    return run


def stream(text, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=text)


def test_what_the_compared_cells_print_is_recorded_and_kept(folder, source):
    paths = lessons.record(source, folder, run_with([stream("number 3\n"), stream("of them\n")]))
    assert paths == (folder / "00_one.ipynb", folder / "solutions" / "00_one.ipynb")
    first = [path.read_text("utf-8") for path in paths]
    for path in paths:
        code = [cell for cell in read(path).cells if cell.cell_type == "code"]
        assert code[1].outputs == [stream("number 3\nof them\n")] and code[1].execution_count == 2
        assert [(cell.outputs, cell.execution_count) for cell in (code[0], code[2])] == [([], None)] * 2
    lessons.write(source, folder)
    assert [path.read_text("utf-8") for path in paths] == first
    source.write_text(SOURCE.replace('"number", number', '"other", number'), encoding="utf-8")
    lessons.write(source, folder)
    assert not any(cell.get("outputs") for path in paths for cell in read(path).cells)  # the text is another one


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        ([], "nothing"),
        ([stream("a\n"), stream("careful\n", "stderr")], "stderr, stdout"),
        ([nbformat.v4.new_output("execute_result", {"text/plain": "3"})], "execute_result"),
    ],
)
def test_only_printed_text_can_be_compared(folder, source, outputs, found):
    with pytest.raises(NotebookError, match=f"cell-02 is compared and gives {found}; expected printed text alone"):
        lessons.record(source, folder, run_with(outputs))


def test_nothing_to_record_is_said(folder, source):
    source.write_text(SOURCE.replace(f"{lessons.COMPARED}\n", ""), encoding="utf-8")
    with pytest.raises(NotebookError, match="no cell begins with # NBVAL_CHECK_OUTPUT"):
        lessons.record(source, folder, run_with([]))


def test_check_names_what_differs_and_writes_nothing(folder, source, capsys):
    assert command("--folder", folder, "--check") == 1
    shown = capsys.readouterr().out
    assert f"{folder / '00_one.ipynb'} is missing; {source} gives it." in shown
    assert not (folder / "00_one.ipynb").exists()
    assert command("--folder", folder) == 0
    assert command("--folder", folder, "--check") == 0
    assert "Every copy is what its source gives." in capsys.readouterr().out

    solution = folder / "solutions" / "00_one.ipynb"
    solution.write_text(solution.read_text("utf-8").replace("2 * x", "3 * x"), encoding="utf-8")
    (folder / "old.ipynb").write_text("{}", encoding="utf-8")
    assert command("--folder", folder, "--check") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"{solution} differs from what {source} gives.", f"{folder / 'old.ipynb'} has no source."]
    assert "python -m vgs_lib notebooks" in lines[2] and len(lines) == 3
    assert command("--folder", folder, "--check", "00_one") == 1
    assert "old.ipynb" not in capsys.readouterr().out  # one that was not asked for


def test_a_damaged_copy_is_named(folder, source):
    lessons.write(source, folder)
    (folder / "solutions" / "00_one.ipynb").write_text("not a notebook", encoding="utf-8")
    with pytest.raises(NotebookError, match=r"solutions.00_one.ipynb: not a notebook .*delete it"):
        lessons.write(source, folder)


def test_unknown_names_and_folders_without_sources_are_said(folder, tmp_path, capsys):
    assert command("--folder", folder, "07_none", "00_one", "05_none") == 1
    error = capsys.readouterr().err
    assert "no source of a notebook is called 05_none, 07_none; there are 00_one" in error
    assert command("--folder", tmp_path / "elsewhere") == 1
    assert "there is no source of a notebook; --folder names another one" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command("--folder", folder, "--check", "--record")


def test_record_and_measure_run_the_solution_in_a_kernel(folder, source, capsys, monkeypatch):
    extra = (
        "\n# %%\nimport os, time\nblock = b'x' * 100_000_000\ntime.sleep(0.6)  # long enough to be looked at\n"
        "print(os.environ.get('OMP_NUM_THREADS'), os.getcwd())\n"
    )
    source.write_text(SOURCE + extra, encoding="utf-8")
    assert command("--folder", folder, "--record", "00_one") == 0
    captured = capsys.readouterr()
    assert "Wrote" in captured.out and "00_one: 100%" in captured.err
    assert read(folder / "00_one.ipynb").cells[2].outputs == [stream("number 3\nof them\n")]

    ran = {}
    execute = runs.execute
    monkeypatch.setattr(runs, "execute", lambda *a, **k: ran.setdefault("run", execute(*a, **k)))
    assert command("--folder", folder, "--measure") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| notebook | seconds | peak resident MB | executed size KB |" and len(lines) == 3
    name, seconds, megabytes, size = [part.strip() for part in lines[2].strip("|").split("|")]
    assert name == "`00_one`" and 0 <= int(seconds) < 60 and 140 < int(megabytes) < 700 and 1 <= int(size) <= 9
    cells = ran["run"].notebook.cells
    assert cells[3].outputs[0].text == "6\n"  # solved
    assert cells[4].outputs[0].text == f"2 {folder / 'solutions'}\n"


def test_a_child_that_is_still_a_copy_of_its_parent_does_not_count_twice(monkeypatch):
    code = "import os, time; held = b'x' * 200_000_000; os.fork(); os.write(1, b'there\\n'); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert [process.stdout.readline() for _ in range(2)] == [b"there\n"] * 2
            import psutil

            created = psutil.Process.create_time
            monkeypatch.setattr(psutil.Process, "create_time", lambda self: created(self) - 60)  # the clock was set
            seen = {}
            assert 200_000_000 < runs.resident_bytes(process.pid, seen) < 300_000_000
            monkeypatch.setattr(runs, "STARTING", 0.0)
            assert runs.resident_bytes(process.pid, seen) > 400_000_000
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_the_memory_of_what_a_process_starts_counts():
    started = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'b = bytearray(150_000_000); input()'])"
    process = subprocess.Popen([sys.executable, "-c", started], stdin=subprocess.PIPE)
    try:
        with runs.MemoryWatch(lambda: process.pid, interval=0.02) as watch:
            deadline = time.monotonic() + 20
            while watch.peak_bytes < 150_000_000 and time.monotonic() < deadline:
                time.sleep(0.05)
    finally:
        process.communicate(b"\n")
    assert 150_000_000 < watch.peak_bytes < 300_000_000
    assert runs.resident_bytes(process.pid) == 0  # ended
    assert runs.resident_bytes(os.getpid()) > 1_000_000


def test_a_cell_that_fails_is_named(folder, source, capsys):
    source.write_text(SOURCE.replace("number = 3", "number = 3 / 0"), encoding="utf-8")
    assert command("--folder", folder, "--measure") == 1
    assert "NotebookError: 00_one: cell 1 fails with ZeroDivisionError: division by zero" in capsys.readouterr().err


def test_a_kernel_that_dies_is_named(folder, source, capsys):
    source.write_text(SOURCE.replace("number = 3", "import os; os._exit(1); number = 3"), encoding="utf-8")
    assert command("--folder", folder, "--measure") == 1
    assert "NotebookError: 00_one: the kernel died" in capsys.readouterr().err
