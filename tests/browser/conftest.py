"""The tests use the notebooks as a person does, in JupyterLab in Chromium."""

import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest
from fronts import ROOT, SCREENSHOTS, chromium, run_all, run_lab

sys.path.insert(0, str(ROOT / "tests" / "unit"))  # for the toy world


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """JupyterLab over a copy of ``notebooks``, with settings of its own, ended after the last test."""
    with run_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture
def open_notebook(lab, request) -> Callable:
    """``with open_notebook(name, microphone=WAV) as page``: all cells run; saves a screenshot at the end."""

    @contextmanager
    def opened(notebook: str, *, microphone: Path | None = None, allow: bool = True):
        with chromium(microphone, allow=allow) as page:
            try:
                run_all(page, lab, notebook)
                yield page
            finally:
                SCREENSHOTS.mkdir(exist_ok=True)
                page.screenshot(path=SCREENSHOTS / f"{request.node.name}.png")
                lab.end_kernels()

    return opened
