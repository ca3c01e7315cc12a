"""The set-up files agree with one another, and the files of the project keep the project's rules."""

import os
import re
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from vgs_lib import __version__

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
DEBIAN_PACKAGES = {"espeak-ng", "flite", "libportaudio2", "chromium"}


def requirements(path):
    """The requirement lines of a file, by package name."""
    lines = (ROOT / path).read_text("utf-8").splitlines()
    parsed = [Requirement(line) for line in lines if line.strip() and not line.startswith(("#", "-"))]
    return {requirement.name: requirement for requirement in parsed}


def project_files():
    """Every file of the project that git does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file())


def text_files():
    """(file, text) of every file that is text."""
    for path in project_files():
        raw = path.read_bytes()
        if b"\0" not in raw[:8192]:
            yield path, raw.decode("utf-8")


@pytest.mark.parametrize("name", sorted(requirements("requirements.txt")))
def test_requirement_has_a_range_that_holds_what_is_installed(name):
    specifier = requirements("requirements.txt")[name].specifier
    assert {part.operator for part in specifier} == {">=", "<"}
    assert version(name) in specifier


def test_test_tools_have_ranges_and_are_not_needed_by_the_library():
    tools = [Requirement(line) for line in PYPROJECT["project"]["optional-dependencies"]["test"]]
    assert {"pytest", "nbclient", "nbval", "playwright", "ruff"} <= {tool.name for tool in tools}
    for tool in tools:
        assert {part.operator for part in tool.specifier} == {">=", "<"}, tool
        assert version(tool.name) in tool.specifier
        assert tool.name not in requirements("requirements.txt")


def test_pyproject_takes_its_dependencies_from_requirements_and_lists_every_package():
    setuptools = PYPROJECT["tool"]["setuptools"]
    assert setuptools["dynamic"]["dependencies"]["file"] == ["requirements.txt"]
    found = {".".join(file.parent.relative_to(ROOT).parts) for file in (ROOT / "vgs_lib").rglob("__init__.py")}
    assert set(setuptools["packages"]) == found
    assert PYPROJECT["project"]["license"] == "Apache-2.0"


def test_the_notebooks_have_what_they_use():
    used = {"jupytext", "faiss-cpu", "av", "grad-cam", "faster-whisper", "anywidget", "ipywidgets", "plotly"}
    assert used <= set(requirements("requirements.txt"))


def test_binders_python_is_one_that_the_project_allows():
    python = (ROOT / "binder/runtime.txt").read_text("utf-8").strip().removeprefix("python-")
    assert python in SpecifierSet(PYPROJECT["project"]["requires-python"])


PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "notebooks/TEACHING.md", "notebooks/glossary.md")


@pytest.mark.parametrize("name", PAGES)
def test_links_of_the_documents_lead_to_files_and_headings(name):
    path = ROOT / name
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        file, _, heading = link.partition("#")
        if re.match(r"https?:", link):
            continue
        target = path if not file else path.parent / file
        assert target.exists() and target.resolve().is_relative_to(ROOT), link
        if heading:
            titles = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.M)
            assert heading in [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles], link


def test_readme_and_the_page_for_teachers_name_every_notebook():
    names = {path.stem for path in (ROOT / "notebooks" / "source").glob("*.py")}
    for page, folder in (("README.md", "notebooks/"), ("notebooks/TEACHING.md", "")):
        rows = re.findall(rf"^\| \[(\w+)\]\({folder}(\w+)\.ipynb\) \|", (ROOT / page).read_text("utf-8"), re.M)
        assert all(shown == file for shown, file in rows)
        assert [shown for shown, _ in rows] == sorted(names), page


def test_sections_that_the_page_for_teachers_names_are_there():
    text = (ROOT / "notebooks/TEACHING.md").read_text("utf-8")
    named = re.findall(r"\]\((\w+)\.ipynb\), sections? (\d+)(?: and (\d+))?", text)
    assert len(named) >= 5
    for name, *numbers in named:
        titles = re.findall(r"^# ## (\d+)\. ", (ROOT / f"notebooks/source/{name}.py").read_text("utf-8"), re.M)
        assert {number for number in numbers if number} <= set(titles), name


@pytest.mark.parametrize("name", [".ci/run", "binder/postBuild", "binder/start"])
def test_scripts_can_be_run_and_parsed(name):
    assert os.access(ROOT / name, os.X_OK)
    subprocess.run(["bash", "-n", ROOT / name], check=True)


def test_ci_installs_the_debian_packages_and_runs_every_test():
    lines = (ROOT / ".ci/run").read_text("utf-8")
    assert "set -euo pipefail" in lines and lines.rstrip().endswith("\nmake test")
    install = lines[lines.index("install -y") :].split("\n\n")[0]
    assert set(install.split()) >= DEBIAN_PACKAGES


def test_licence_is_the_whole_apache_licence():
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert "Apache License" in text and "Version 2.0, January 2004" in text
    assert re.findall(r"^   (\d)\. [A-Z]", text, re.MULTILINE) == list("123456789")
    assert "END OF TERMS AND CONDITIONS" in text and len(text) > 11_000


def test_changelog_begins_with_what_is_not_released_or_the_version():
    first = re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE).group(1)
    assert first == "Unreleased" or first.startswith(__version__)


def test_modules_are_short():
    notebooks = ROOT / "notebooks" / "source"  # prose for the most part, in cells that have a limit of their own
    modules = [(path, text) for path, text in text_files() if path.suffix == ".py" and path.parent != notebooks]
    long = {str(path.relative_to(ROOT)): len(text.splitlines()) for path, text in modules}
    assert {name: lines for name, lines in long.items() if lines >= 320} == {}


def test_no_file_names_a_folder_of_one_machine():
    own = re.escape(str(ROOT)) + r"\b"
    pattern = re.compile(rf"(?<![\w.]){own}|(?<![\w.])/(home|Users)/(?!jovyan\b)\w|(?<![\w.])/root/")
    here = Path(__file__).resolve()
    hits = {
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path, text in text_files()
        if path != here and (match := pattern.search(text))
    }
    assert hits == set()


def test_no_test_is_skipped():
    pattern = re.compile(r"pytest\.(skip|importorskip|xfail)\(|mark\.(skip|skipif|xfail)\b|unittest\.skip")
    here = Path(__file__).resolve()
    tests = [(path, text) for path, text in text_files() if ROOT / "tests" in path.parents and path != here]
    assert tests and [str(path) for path, text in tests if pattern.search(text)] == []
