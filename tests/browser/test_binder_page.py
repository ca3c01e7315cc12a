"""What a person on Binder sees first: JupyterLab with the tour, though the link names no page."""

import os
import shutil
import subprocess
import sys

import pytest
from fronts import ROOT, SCREENSHOTS, chromium, run_lab

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_jupyterlab_opens_the_tour(tmp_path):
    with run_lab(tmp_path) as lab:
        (lab.folder / "notebooks").mkdir()  # Binder serves the repository, `run_lab` its notebooks
        shutil.copy(lab.folder / "00_tour.ipynb", lab.folder / "notebooks" / "00_tour.ipynb")
        places = {"JUPYTERLAB_WORKSPACES_DIR": tmp_path / "workspaces", "JUPYTER_CONFIG_DIR": tmp_path / "config"}
        command = [sys.executable, "-m", "jupyterlab", "workspaces", "import", "binder/workspace.json"]
        subprocess.run(command, cwd=ROOT, env=os.environ | {k: str(v) for k, v in places.items()}, check=True)
        with chromium() as page:
            try:
                page.goto(f"{lab.address}/lab?token={lab.token}")
                page.locator(".jp-NotebookPanel:visible .jp-Cell").first.wait_for()
                tabs = page.locator("#jp-main-dock-panel .lm-TabBar-tabLabel").all_text_contents()
                assert tabs == ["00_tour.ipynb"]
                assert page.locator(".jp-SideBar.jp-mod-left").is_visible()
                assert not page.errors
            finally:
                SCREENSHOTS.mkdir(exist_ok=True)
                page.screenshot(path=SCREENSHOTS / "binder.png")
