"""JupyterLab, Notebook 7 and Voila on a free port, and Chromium with a fake microphone."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = Path(__file__).parent / "screenshots"
START_SECONDS = 90


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address, its token, the folder it serves, a copy of ``notebooks``, that of its runs."""

    address: str
    token: str
    folder: Path
    runs: Path

    def url(self, notebook: str) -> str:
        """Where a notebook of the folder opens, in a workspace of its own: nothing else is open beside it."""
        return f"{self.address}/lab/workspaces/{secrets.token_hex(4)}/tree/{notebook}?token={self.token}"

    def write(self, name: str, source: str) -> str:
        """Write a notebook whose only cell is ``source`` into the folder; gives its name back."""
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        cells = [nbformat.v4.new_code_cell(source)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), self.folder / name)
        return name

    def ask(self, path: str, method: str = "GET"):
        """The answer of the server's REST interface, or None."""
        request = urllib.request.Request(f"{self.address}/api/{path}", method=method)
        request.add_header("Authorization", f"token {self.token}")
        with urllib.request.urlopen(request, timeout=20) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def wait_kernel(self) -> None:
        """Until a kernel is connected and idle."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            kernels = [session["kernel"] for session in self.ask("sessions")]
            if any(k["connections"] and k["execution_state"] == "idle" for k in kernels):
                return
            time.sleep(0.2)
        raise RuntimeError(f"no kernel was ready within {START_SECONDS} s")

    def end_kernels(self) -> None:
        """End all kernels, so that the next notebook starts clean."""
        for session in self.ask("sessions"):
            self.ask(f"sessions/{session['id']}", "DELETE")


@contextmanager
def run_lab(home: Path):
    """Start JupyterLab with everything it writes under ``home``; yields a `Lab`."""
    with run_server(home, ("jupyterlab", "--allow-root")) as running:
        yield running


@contextmanager
def run_server(home: Path, app: Sequence[str]):
    """Start ``app``, a Python module with its options, as `run_lab` does; yields a `Lab`."""
    folder = home / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder)
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        "VGS_RUNS": str(home / "runs"),
    }
    command = [sys.executable, "-m", *app, "--no-browser", f"--port={port}", f"--IdentityProvider.token={token}"]
    if app[0] == "voila":
        command += ["--Voila.ip=127.0.0.1", "--Voila.port_retries=0", str(folder)]
    else:
        command += ["--ip=127.0.0.1", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}"]
    with open(home / "lab.log", "w") as log:
        server = subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=log)
    try:
        running = Lab(f"http://127.0.0.1:{port}", token, folder, home / "runs")
        _wait_for(running, server, home / "lab.log")
        yield running
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_for(running: Lab, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"the server ended early:\n{log.read_text()[-3000:]}")
        try:
            running.ask("status")
            return
        except urllib.error.HTTPError as answer:
            if answer.code == 404:  # Voila is there, and has no such page
                return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(f"the server did not start in {START_SECONDS} s:\n{log.read_text()[-3000:]}")


@contextmanager
def chromium(microphone: Path | None = None, *, allow: bool = True):
    """A Chromium page; its fake microphone plays the WAV ``microphone`` in a loop; ``allow``: may be used."""
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    arguments += ["--use-fake-device-for-media-stream"] + allow * ["--use-fake-ui-for-media-stream"]
    if microphone is not None:
        arguments.append(f"--use-file-for-fake-audio-capture={microphone}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = browser.new_page(viewport={"width": 1440, "height": 1500})
        page.set_default_timeout(60_000)
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        try:
            yield page
        finally:
            browser.close()


def run_all(page: Page, lab: Lab, notebook: str) -> None:
    """Open a notebook with a fresh kernel and choose Run > Run All Cells."""
    page.goto(lab.url(notebook))
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    lab.wait_kernel()
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def save(page: Page, file: Path) -> str:
    """Choose File > Save Notebook and wait until ``file`` has the widgets of its outputs; the text of the file."""
    page.get_by_role("menuitem", name="File", exact=True).click()
    page.get_by_role("menuitem", name="Save Notebook").first.click()
    deadline = time.monotonic() + 20
    while "application/vnd.jupyter.widget-view+json" not in file.read_text("utf-8"):
        assert time.monotonic() < deadline, f"{file} was not saved with its widgets"
        page.wait_for_timeout(200)
    return file.read_text("utf-8")
