"""The tests use the notebooks as a person does, in JupyterLab in Chromium."""

import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile
from fronts import ROOT, SCREENSHOTS, chromium, run_all, run_lab
from PIL import Image
from widget_page import START

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


@pytest.fixture
def with_widget(lab, open_notebook) -> Callable:
    """``with with_widget(source) as page``: a notebook whose only cell ends in ``source``."""
    import toy_tour

    def opened(source: str, **options):
        start = START.format(folder=toy_tour.__file__.rsplit("/", 1)[0])
        return open_notebook(lab.write("widget.ipynb", start + source), **options)

    return opened


@pytest.fixture
def place(tmp_path) -> Path:
    """A folder of four discs, each with the tone of its colour."""
    import toy_tour

    root = tmp_path / "discs"
    root.mkdir()
    for name in toy_tour.NAMES:
        Image.fromarray(toy_tour.scene(name, {name: (0.5, 0.5)}).load()).save(root / f"{name}.png")
        soundfile.write(root / f"{name}.wav", toy_tour.say(name), toy_tour.RATE)
    return root
