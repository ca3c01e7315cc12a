"""What several tests share: a small Spoken Stamps, built once."""

import dataclasses
import shutil
from pathlib import Path

import pytest
import tiny_stamps
import torch

from vgs_lib.data import stamps_build
from vgs_lib.data.attribute_build import build_speech
from vgs_lib.data.stamps import Stamps
from vgs_lib.data.stamps_build import build

torch.set_num_threads(1)  # the suite leaves the machine's other cores to others, and sums come out in one order


@pytest.fixture(scope="session")
def tiny_home(tmp_path_factory):
    """A folder for $VGS_HOME with a small data set in ``stamps``; nothing in it may be changed."""
    home = tmp_path_factory.mktemp("home")
    tree = tiny_stamps.make_tree(tmp_path_factory.mktemp("tree"))
    with pytest.MonkeyPatch.context() as patch:
        tiny_stamps.use_voices(patch)
        patch.setattr("vgs_lib.data.stamps_build.stamps_tree", lambda folder, archive=None: tree)
        for _ in build(home / "stamps", jobs=2):
            pass
    return home


@pytest.fixture
def tiny_set(tiny_home, monkeypatch):
    """The folder of the small data set, which is the one in $VGS_HOME; its two voices are all there are."""
    tiny_stamps.use_voices(monkeypatch)
    monkeypatch.setenv("VGS_HOME", str(tiny_home))
    return tiny_home / "stamps"


@pytest.fixture
def home(tiny_set, tmp_path, monkeypatch):
    """The folder of the small data set, while $VGS_HOME and the banks in it are the test's own."""
    monkeypatch.setenv("VGS_HOME", str(tmp_path))
    return tiny_set


@pytest.fixture
def world(home, monkeypatch):
    """The small data set, opened, with a voice for validation and few held-out scenes."""
    voices = (*tiny_stamps.VOICES, dataclasses.replace(tiny_stamps.TEST, split="validation"))
    tiny_stamps.use_voices(monkeypatch, voices)
    tiny_stamps.judge_on_few(monkeypatch)
    return Stamps.open(home)


@pytest.fixture(scope="session")
def described_set(tiny_home, tmp_path_factory):
    """A copy of the small data set with the words for attributes of its things; nothing in it may be changed."""
    folder = Path(shutil.copytree(tiny_home / "stamps", tmp_path_factory.mktemp("described") / "stamps"))
    with pytest.MonkeyPatch.context() as patch:
        tiny_stamps.use_voices(patch)
        list(build_speech(Stamps.open(folder), tiny_stamps.NAMES, jobs=2))
    return folder


@pytest.fixture
def described(described_set, tmp_path, monkeypatch):
    """That data set, opened, while $VGS_HOME and the banks in it are the test's own; its two voices are all."""
    tiny_stamps.use_voices(monkeypatch)
    monkeypatch.setenv("VGS_HOME", str(tmp_path))
    return Stamps.open(described_set)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A tree of stamps of its own, which ``build`` takes; the two small voices."""
    tiny_stamps.use_voices(monkeypatch)
    tree = tiny_stamps.make_tree(tmp_path / "tree")
    monkeypatch.setattr(stamps_build, "stamps_tree", lambda folder, archive=None: tree)
    return tree


@pytest.fixture
def copy(tiny_set, tmp_path):
    """A copy of the small data set, to be damaged."""
    return Path(shutil.copytree(tiny_set, tmp_path / "copy"))
