"""The steps by which Binder makes its image, as far as they run without Docker and without a network.

repo2docker takes ``runtime.txt``, installs ``apt.txt`` and ``requirements.txt``, then runs ``postBuild`` in the
repository; ``start`` runs at each launch with the server's command as its arguments.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from vgs_lib.data import obtain
from vgs_lib.setup_check import PROGRAMS

ROOT = Path(__file__).resolve().parents[2]
BINDER = ROOT / "binder"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


@pytest.fixture
def tree(tmp_path):
    """A copy of what the steps read."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    shutil.copytree(BINDER, tree / "binder")
    shutil.copytree(ROOT / "vgs_lib", tree / "vgs_lib", ignore=shutil.ignore_patterns("__pycache__"))
    return tree


def run(*command, folder: Path, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        list(map(str, command)), cwd=folder, env=os.environ | environment, capture_output=True, text=True
    )


def test_the_folder_has_the_files_that_binder_reads_and_no_others():
    assert {path.name for path in BINDER.iterdir()} == {
        "apt.txt",
        "postBuild",
        "requirements.txt",
        "runtime.txt",
        "start",
        "workspace.json",
    }
    version = re.fullmatch(r"python-(\d+)\.(\d+)\n", (BINDER / "runtime.txt").read_text("utf-8")).groups()
    assert tuple(map(int, version)) >= (3, 11)


def test_debian_packages_are_those_of_the_set_up_and_the_pictures():
    wanted = {program.debian for program in PROGRAMS if program.name != "Chromium"} | {obtain.PACKAGE}
    lines = (BINDER / "apt.txt").read_text("utf-8").splitlines()
    assert sorted(lines) == lines and set(lines) == wanted
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", line) for line in lines)


def test_cpu_wheels_come_from_pytorch_and_are_installed_before_the_rest():
    lines = [
        line for line in (BINDER / "requirements.txt").read_text("utf-8").splitlines() if line[:1] not in ("#", "")
    ]
    assert lines[0] == "--index-url https://download.pytorch.org/whl/cpu"
    binder = [Requirement(line) for line in lines[1:]]
    ours = [line for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines() if line[:1] not in ("#", "")]
    ours = {requirement.name: requirement for requirement in map(Requirement, ours)}
    assert [requirement.name for requirement in binder] == ["torch", "torchvision", "torchaudio"]
    for requirement in binder:
        assert requirement == ours[requirement.name]
        # A CPU wheel has a local version, such as 2.14.1+cpu: the later step must not replace it.
        lowest = next(part.version for part in requirement.specifier if part.operator == ">=")
        assert f"{lowest}+cpu" in ours[requirement.name].specifier


def test_what_binder_installs_is_resolved(tree):
    """Both installations as they stand, with what is installed here: nothing is fetched, nothing is changed."""
    offline = ["--no-index", "--dry-run", "--no-build-isolation"]
    first = run(*PIP, "install", *offline, "-r", "binder/requirements.txt", folder=tree)
    assert first.returncode == 0, first.stderr
    build = (BINDER / "postBuild").read_text("utf-8")
    (arguments,) = re.findall(r"^python -m pip install --no-cache-dir (.+)$", build, re.M)
    second = run(*PIP, "install", *offline, *arguments.split(), folder=tree)
    assert second.returncode == 0, second.stderr
    assert "Would install vgs_lib-" in second.stdout or "Would install vgs-lib-" in second.stdout
    assert "torch" not in second.stdout.split("Would install")[1]


def test_the_package_installs_with_its_scripts_and_styles(tree, tmp_path):
    site = tmp_path / "site"
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--no-compile", "--target", site]
    installed = run(*PIP, "install", *options, ".", folder=tree)
    assert installed.returncode == 0, installed.stderr
    theirs = {str(path.relative_to(site)) for path in (site / "vgs_lib").rglob("*.*")}
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "vgs_lib").rglob("*.*") if "__pycache__" not in path.parts}
    assert theirs == ours and any(name.endswith(".js") for name in theirs)
    (found,) = Distribution.discover(name="vgs_lib", path=[str(site)])
    needed = {Requirement(text).name for text in found.requires if "extra ==" not in text}
    listed = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    assert needed == {Requirement(line).name for line in listed if line and not line.startswith("#")}
    assert (
        found.metadata["Requires-Python"]
        == tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["requires-python"]
    )


STUB = """#!/bin/sh
echo "$*" >>calls.txt
case "$*" in *"$STUB_FAIL"*) [ -z "$STUB_FAIL" ] || exit 3 ;; esac
"""


@pytest.fixture
def stub(tree):
    """A stand-in for Python that writes down its calls, first on the path; gives that path."""
    folder = tree / "bin"
    folder.mkdir()
    (folder / "python").write_text(STUB)
    (folder / "python").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_post_build_installs_then_obtains_the_data(tree, stub):
    assert run("./binder/postBuild", folder=tree, PATH=stub, STUB_FAIL="").returncode == 0
    assert (tree / "calls.txt").read_text().splitlines() == [
        "-m pip install --no-cache-dir -r requirements.txt -e .",
        "-m vgs_lib data stamps",
        "-m vgs_lib data attributes",
        "-m jupyterlab workspaces import binder/workspace.json",
    ]


@pytest.mark.parametrize(
    ("step", "calls"), [("pip install", 1), ("data stamps", 2), ("data attributes", 3), ("workspaces", 4)]
)
def test_an_image_without_one_of_the_steps_is_not_made(tree, stub, step, calls):
    assert run("./binder/postBuild", folder=tree, PATH=stub, STUB_FAIL=step).returncode == 3
    assert len((tree / "calls.txt").read_text().splitlines()) == calls


def test_start_gives_two_threads_and_the_tour_to_the_command(tree):
    show = "import os, sys; print(os.environ['OMP_NUM_THREADS'], os.environ['JUPYTERHUB_DEFAULT_URL'], sys.argv[1:])"
    started = run("./binder/start", sys.executable, "-c", show, "--port=8888", "a b", folder=tree)
    assert started.stdout.split(maxsplit=2) == ["2", "/lab/tree/notebooks/00_tour.ipynb", "['--port=8888', 'a b']\n"]
    assert (ROOT / "notebooks" / "00_tour.ipynb").is_file()
    assert run("./binder/start", "sh", "-c", "exit 7", folder=tree).returncode == 7
