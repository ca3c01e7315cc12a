"""The Makefile does each step once, in order, with clear errors; what is missing on the machine is named.

It runs here in a copy of the set-up files with a stand-in for Python that only writes down its calls, so that
nothing is installed and nothing leaves the machine.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from vgs_lib import setup_check

ROOT = Path(__file__).resolve().parents[2]

STUB = """#!/bin/sh
case "$*" in
    -V) echo "Python ${STUB_VERSION:-3.12.1}"; exit 0 ;;
    *version_info*) [ "${STUB_VERSION:-3.12.1}" != 3.9.6 ]; exit ;;
    *"pip --disable-pip-version-check --version") exit 0 ;;
esac
echo "$*" >>calls.txt
case "$*" in
    "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
esac
if [ -n "$STUB_FAIL" ]; then
    case "$*" in *"$STUB_FAIL"*) exit 1 ;; esac
fi
"""


@pytest.fixture
def make(tmp_path):
    """Runs make in a copy of the set-up files; the process returned has Python's ``calls``."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml", "binder/requirements.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    stub = tmp_path / "python-stub"
    stub.write_text(STUB)
    stub.chmod(0o755)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "VGS_", "STUB_"))}
    options = ("PORT", "BROWSER", "TORCH", "TESTS", "PYTHON")
    inherited = {k: v for k, v in inherited.items() if k not in options}

    def run(*arguments, **environment):
        calls = tmp_path / "calls.txt"
        calls.unlink(missing_ok=True)
        process = subprocess.run(
            ["make", f"PYTHON={stub}", *arguments],
            cwd=tmp_path,
            env=inherited | environment,
            capture_output=True,
            text=True,
        )
        process.calls = calls.read_text().splitlines() if calls.exists() else []
        return process

    run.folder = tmp_path
    return run


PIP = "-m pip --disable-pip-version-check"
INSTALL = f"{PIP} install -r requirements.txt -e ."
INSTALL_CPU = f"{PIP} install --retries 2 -r binder/requirements.txt"
UNINSTALL = f"{PIP} -qq uninstall -y torch torchvision torchaudio"
CHECK = "-m vgs_lib.setup_check"
DATA = "-m vgs_lib data stamps"
WORDS = "-m vgs_lib data attributes"
LAB = "-m jupyterlab --port=8890 --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks/00_tour.ipynb"
UNIT = "-m pytest -n 2 --dist loadfile tests/unit tests/notebooks"
PYTEST = "-m pytest --nbval-lax --nbval-current-env tests/browser notebooks/solutions"


def test_make_lab_sets_up_once_and_opens_the_tour(make):
    first = make("lab", "PORT=8890", "BROWSER=0")
    assert first.returncode == 0, first.stderr
    assert first.calls[:5] == ["-m venv .venv", INSTALL, CHECK, DATA, WORDS]
    assert first.calls[5].startswith(f"{LAB} --no-browser")
    assert first.calls[5].endswith("--allow-root") == (os.geteuid() == 0)
    second = make("lab", "PORT=8890")
    assert second.calls[:3] == [CHECK, DATA, WORDS] and second.calls[3].startswith(LAB)
    assert "--no-browser" not in second.calls[3]


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml", "binder/requirements.txt"])
def test_set_up_is_done_again_when_a_file_it_depends_on_changes(make, name):
    make("setup")
    assert make("setup").calls == []
    with open(make.folder / name, "a") as file:
        file.write("# changed\n")
    assert make("setup").calls == [INSTALL]
    assert make("setup").calls == []


def test_make_test_adds_the_test_tools_once_and_runs_everything(make):
    tools = f"{PIP} install -e .[test]"
    assert make("test").calls == ["-m venv .venv", INSTALL, tools, CHECK, DATA, WORDS, UNIT, PYTEST]
    assert make("test").calls == [CHECK, DATA, WORDS, UNIT, PYTEST]
    assert make("lab", "PORT=8890").calls[0] == CHECK
    assert make("test", "TESTS=tests/unit").calls[-1] == PYTEST.replace(
        "tests/browser notebooks/solutions", "tests/unit"
    )


def test_interrupted_set_up_is_taken_up_again(make):
    failed = make("lab", STUB_FAIL="-r requirements.txt")
    assert failed.returncode != 0 and failed.calls == ["-m venv .venv", INSTALL]
    assert "run the same command again" in failed.stderr
    assert make("lab").calls[:2] == [INSTALL, CHECK]


def test_cpu_wheels_come_first_and_the_choice_is_remembered(make):
    first = make("setup", "TORCH=cpu")
    linux = [INSTALL_CPU] if os.uname().sysname == "Linux" else []
    assert first.calls == ["-m venv .venv", UNINSTALL, *linux, INSTALL]
    assert make("setup", "TORCH=cpu").calls == []
    assert make("setup").calls == []
    assert make("setup", "TORCH=default").calls == [UNINSTALL, INSTALL]
    assert make("setup").calls == []


@pytest.mark.parametrize("torch", ["gpu", "CPU"])
def test_unknown_kind_of_torch_is_refused(make, torch):
    process = make("setup", f"TORCH={torch}")
    assert process.returncode != 0 and INSTALL not in process.calls
    assert f"TORCH={torch} is not known: use TORCH=cpu" in process.stderr


def test_unreachable_cpu_index_is_said(make):
    process = make("lab", "TORCH=cpu", STUB_FAIL="-r binder/requirements.txt")
    if os.uname().sysname == "Linux":
        assert process.returncode != 0 and process.calls[-1] == INSTALL_CPU
        assert "CPU wheels could not be installed" in process.stderr and "TORCH=cpu" in process.stderr
        assert make("setup").calls == [INSTALL]  # without TORCH=cpu the default wheels are taken


def test_the_tour_opens_without_data_but_the_tests_do_not_run(make):
    lab = make("lab", "PORT=8890", STUB_FAIL="data stamps")
    assert lab.returncode == 0 and lab.calls[-1].startswith(LAB)
    assert "The data is not complete" in lab.stderr and "make data" in lab.stderr
    tests = make("test", STUB_FAIL="data stamps")
    assert tests.returncode != 0 and tests.calls[-1] == DATA
    unspoken = make("lab", STUB_FAIL="data attributes")
    assert unspoken.returncode == 0 and "The data is not complete" in unspoken.stderr


@pytest.mark.parametrize("failing", ["tests/unit", "tests/browser"])
def test_failing_tests_fail_the_command_after_all_have_run(make, failing):
    tests = make("test", STUB_FAIL=failing)
    assert tests.returncode != 0 and tests.calls[-2:] == [UNIT, PYTEST]
    some = make("test", "TESTS=tests/unit", STUB_FAIL=failing)
    assert (some.returncode == 0) == (failing == "tests/browser")


def test_too_old_python_is_named(make):
    shadows = make.folder / "bin"  # so that no newer Python of this machine is found
    shadows.mkdir()
    for name in ("python3.11", "python3.12", "python3.13", "python3.14"):
        shutil.copy(make.folder / "python-stub", shadows / name)
    process = make("lab", STUB_VERSION="3.9.6", PATH=f"{shadows}:{os.environ['PATH']}")
    assert process.returncode != 0 and process.calls == []
    assert "Python 3.11 or newer is needed" in process.stderr and "is Python 3.9.6" in process.stderr


def test_python_without_venv_is_named_and_tried_again(make):
    process = make("setup", STUB_FAIL="-m venv")
    assert process.returncode != 0 and "python3-venv" in process.stderr
    assert make("setup").calls == ["-m venv .venv", INSTALL]


@pytest.mark.parametrize(("given", "meant"), [("data", "{folder}/data"), ("/data", "/data"), ("~/data", "~/data")])
def test_relative_data_folder_is_meant_from_the_project(make, given, meant):
    stub = make.folder / "python-stub"
    stub.write_text(STUB + '\necho "home: $VGS_HOME"\n')
    assert f"home: {meant.format(folder=make.folder)}\n" in make("data", VGS_HOME=given).stdout


def test_help_names_both_commands_and_their_options(make):
    process = make()
    assert process.returncode == 0 and process.calls == []
    for word in ("make lab", "make test", "PORT=", "BROWSER=0", "TORCH=cpu", "VGS_HOME="):
        assert word in process.stdout


def test_missing_programs_are_named_one_sentence_each(capsys):
    nothing = {"which": lambda command: None, "library": lambda name: None}
    sentences = list(setup_check.missing_sentences(**nothing, platform="linux", root=False))
    named = [s for s in sentences if "Chromium" not in s]  # a Mac may have it as an application
    assert len(named) == 3
    for sentence, name, package in zip(
        named, ("espeak-ng", "flite", "PortAudio"), ("espeak-ng", "flite", "libportaudio2"), strict=True
    ):
        assert sentence.startswith(f"{name} is not installed, so ")
        assert sentence.endswith(f"`sudo apt-get install {package}` installs it.") and "\n" not in sentence
    mac = list(setup_check.missing_sentences(**nothing, platform="darwin", root=False))
    assert any("`brew install flite`" in sentence for sentence in mac)
    assert not any("PortAudio" in sentence for sentence in mac)
    as_root = next(iter(setup_check.missing_sentences(**nothing, platform="linux", root=True)))
    assert "`apt-get install espeak-ng`" in as_root


def test_nothing_is_said_when_everything_is_there_and_missing_programs_never_fail(capsys):
    there = {"which": lambda command: command, "library": lambda name: name}
    assert list(setup_check.missing_sentences(**there)) == []
    assert setup_check.main() == 0
    assert capsys.readouterr().out.count("is not installed") == len(list(setup_check.missing_sentences()))
