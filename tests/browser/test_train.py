"""The training dashboard in JupyterLab in Chromium: start, pause, stop, restart the kernel, resume, compare."""

import json

import nbformat
import pytest
import toy_study
from fronts import save

pytestmark = pytest.mark.browser
NAME = "dashboard.ipynb"
STEPS = 60
SOURCE = """
import sys
sys.path.insert(0, {folder!r})
import toy_study
from vgs_lib.widgets import TrainingDashboard
dashboard = TrainingDashboard(toy_study.ToyStudy(pause=0.1, steps={steps}), {runs!r})
dashboard
"""


@pytest.fixture
def dashboard_notebook(lab, tmp_path):
    """A notebook with a dashboard over the tiny study, and where its runs are kept."""
    folder = str(toy_study.__file__).rsplit("/", 1)[0]
    lab.write(NAME, SOURCE.format(folder=folder, steps=STEPS, runs=str(tmp_path / "runs")))
    return tmp_path / "runs"


class Page:
    """Reads and uses the dashboard through the page alone."""

    def __init__(self, page):
        self.page = page

    def data(self, name: str) -> str:
        return self.page.locator(".vgs-dashboard").get_attribute(f"data-{name}")

    @property
    def step(self) -> int:
        return int(self.data("step"))

    @property
    def status(self) -> str:
        return self.page.locator(".vgs-dashboard .vgs-status").text_content()

    def state(self, state: str) -> None:
        self.page.wait_for_selector(f'.vgs-dashboard[data-state="{state}"]')

    def beyond(self, step: int) -> int:
        self.page.wait_for_function(
            "step => Number(document.querySelector('.vgs-dashboard').dataset.step) > step", arg=step
        )
        return self.step

    def press(self, name: str) -> None:
        self.page.locator(f".vgs-{name}").click()

    def fill(self, **choices) -> None:
        for name, value in choices.items():
            field = self.page.locator(f'.vgs-fields [name="{name}"]')
            if field.evaluate("e => e.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)


def restart(page) -> None:
    """Kernel > Restart Kernel and Run All Cells, as a person does it."""
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_role("menuitem", name="Restart Kernel and Run All Cells").first.click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()


def history(runs, name, kind="step"):
    lines = (runs / name / "history.jsonl").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


def test_start_pause_stop_restart_the_kernel_and_resume(open_notebook, dashboard_notebook):
    with open_notebook(NAME) as page:
        shown = Page(page)
        shown.state("idle")
        shown.fill(name="mine")
        shown.press("start")
        shown.state("training")
        assert shown.beyond(shown.beyond(0)) < STEPS  # the count rises while it is watched
        assert page.locator(".vgs-left").text_content().endswith("left")

        shown.press("pause")
        shown.state("paused")
        page.wait_for_timeout(400)
        step = shown.step
        page.wait_for_timeout(700)
        assert shown.step == step and page.locator(".vgs-pause").text_content() == "Continue"
        shown.press("pause")
        shown.state("training")
        shown.beyond(step)

        shown.press("stop")
        shown.state("stopped")
        stopped_at = shown.step
        assert f"Stopped after step {stopped_at} of {STEPS}" in shown.status
        before = history(dashboard_notebook, "mine")
        assert len(before) == stopped_at

        restart(page)
        shown.state("idle")
        row = page.locator('tr[data-run="mine"]')
        assert row.get_attribute("data-step") == str(stopped_at)
        assert int(page.locator(".vgs-chart").get_attribute("data-points")) > 0  # the curve is there again
        row.locator(".vgs-resume").click()
        shown.state("training")
        assert shown.beyond(stopped_at) > stopped_at
        shown.state("finished")
        after = history(dashboard_notebook, "mine")
        assert [entry["step"] for entry in after] == list(range(1, STEPS + 1))
        assert [entry["loss"] for entry in after[:stopped_at]] == [entry["loss"] for entry in before]
        assert row.get_attribute("data-finished") == "true" and row.locator(".vgs-resume").count() == 0
        assert not page.errors


def test_the_buttons_work_while_a_cell_waits_for_the_run(open_notebook, dashboard_notebook, lab):
    """A cell blocks in ``train()``: Pause, Continue and Stop still do, the cell ends, and Resume goes on."""
    notebook = nbformat.read(lab.folder / NAME, 4)
    notebook.cells += [
        nbformat.v4.new_code_cell("run = dashboard.train(name='mine')\nprint('done after step', run.step)"),
    ]
    nbformat.write(notebook, lab.folder / NAME)
    with open_notebook(NAME) as page:
        shown = Page(page)
        shown.state("training")
        busy = page.locator('.jp-Notebook-ExecutionIndicator[data-status="busy"]')
        shown.beyond(0)
        assert busy.count() == 1
        shown.press("pause")
        shown.state("paused")
        page.wait_for_timeout(400)
        step = shown.step
        page.wait_for_timeout(700)
        assert shown.step == step < STEPS and busy.count() == 1
        shown.press("pause")
        shown.state("training")
        shown.beyond(step)
        shown.press("stop")
        shown.state("stopped")
        stopped_at = shown.step
        assert step < stopped_at < STEPS
        said = page.locator('[data-mime-type="application/vnd.jupyter.stdout"]')
        said.filter(has_text=f"done after step {stopped_at}").wait_for()
        assert list((dashboard_notebook / "mine/checkpoints").glob(f"step-{stopped_at:08d}.safetensors"))
        page.locator('tr[data-run="mine"] .vgs-resume').click()
        shown.state("finished")
        assert [entry["step"] for entry in history(dashboard_notebook, "mine")] == list(range(1, STEPS + 1))
        assert not page.errors


def test_two_runs_are_compared_and_wrong_choices_are_explained(open_notebook, dashboard_notebook):
    with open_notebook(NAME) as page:
        shown = Page(page)
        shown.state("idle")
        shown.fill(batch_size="many")
        shown.press("start")
        failed = page.locator(".vgs-dashboard .vgs-status.vgs-failed")
        failed.get_by_text("Batch size: found 'many', expected a whole number of 2 or more.").wait_for()
        shown.fill(batch_size="4", image="large pictures")
        shown.press("start")
        failed.get_by_text("The large pictures cannot be had here").wait_for()
        shown.fill(image="tiny pictures", steps="6", name="one")
        shown.press("start")
        shown.state("finished")
        shown.fill(similarity="SISA", loss="shn", name="two")
        shown.press("start")
        page.wait_for_selector('.vgs-dashboard[data-state="finished"][data-run="two"]')

        chart = page.locator(".vgs-chart")
        page.locator(".vgs-metric").select_option("loss")
        assert (chart.get_attribute("data-figure"), chart.get_attribute("data-points")) == ("loss", "12")
        assert "one: " in chart.get_attribute("aria-label") and "two: " in chart.get_attribute("aria-label")
        page.locator('tr[data-run="one"] input').uncheck()
        page.wait_for_selector('.vgs-chart[data-points="6"][data-runs="two"]')
        page.locator(".vgs-metric").select_option("speech_to_image_r10")
        page.wait_for_selector('.vgs-chart[data-points="2"]')
        page.locator('tr[data-run="one"] input').focus()
        page.keyboard.press("Space")  # the keyboard alone, and the box keeps the focus
        page.wait_for_selector('.vgs-chart[data-points="4"][data-runs="one two"]')
        assert page.evaluate("document.activeElement.closest('tr').dataset.run") == "one"
        assert not page.errors


def test_a_press_on_a_box_while_the_figures_change_is_a_tick(open_notebook, dashboard_notebook):
    with open_notebook(NAME) as page:
        shown = Page(page)
        shown.state("idle")
        shown.fill(name="mine")
        shown.press("start")
        shown.beyond(0)
        box = page.locator('tr[data-run="mine"] input')
        box.hover()
        page.mouse.down()
        shown.beyond(shown.step)
        page.mouse.up()
        page.wait_for_selector('.vgs-chart[data-runs=""]')
        box.focus()
        page.keyboard.down("Space")
        shown.beyond(shown.step)
        page.keyboard.up("Space")
        page.wait_for_selector('.vgs-chart[data-runs="mine"]')
        assert box.is_checked() and shown.data("state") == "training"
        assert not page.errors


def test_ticks_that_are_made_before_an_answer_all_count(open_notebook, dashboard_notebook, lab):
    notebook = nbformat.read(lab.folder / NAME, 4)
    notebook.cells[0].source += """
import time
for name in ("one", "two", "three"):
    dashboard.train(name=name, steps=2)
show = dashboard.controller.show
dashboard.controller.show = lambda *args: time.sleep(1) or show(*args)
display(dashboard)
dashboard"""
    nbformat.write(notebook, lab.folder / NAME)
    with open_notebook(NAME) as page:
        used, other = page.locator(".vgs-dashboard").nth(0), page.locator(".vgs-dashboard").nth(1)
        other.locator('.vgs-chart[data-runs="one two three"]').wait_for()
        used.locator('tr[data-run="one"] input').uncheck()
        used.locator('tr[data-run="two"] input').uncheck()
        assert used.locator(".vgs-chart").get_attribute("data-runs") == "three"  # at once
        other.locator('.vgs-chart[data-runs="two three"]').wait_for()
        assert not used.locator('tr[data-run="two"] input').is_checked()  # though this answer is to the first tick
        other.locator('.vgs-chart[data-runs="three"]').wait_for()
        assert not page.errors


def test_the_saved_notebook_with_a_dashboard_is_small(open_notebook, dashboard_notebook, lab):
    with open_notebook(NAME) as page:
        shown = Page(page)
        shown.state("idle")
        shown.fill(steps="4")
        shown.press("start")
        shown.state("finished")
        assert len(save(page, lab.folder / NAME).encode()) < 100_000


@pytest.mark.slow
def test_the_notebook_trains_before_your_eyes(open_notebook, lab):
    """The real notebook in its solved copy: steps rise while the cell runs, and far more is found than by chance."""
    with open_notebook("solutions/02_train.ipynb") as page:
        shown = Page(page)
        page.wait_for_selector(".vgs-dashboard", timeout=120_000, state="attached")
        page.wait_for_selector('.vgs-dashboard[data-state="training"][data-run="first"]', timeout=60_000)
        steps = [shown.step]
        while len(steps) < 3:  # nothing was trained before: the count rises from the beginning
            steps.append(shown.beyond(steps[-1]))
        assert steps[0] < 60 and int(shown.data("steps")) == 120
        row = page.locator('tr[data-run="first"][data-finished="true"]')
        row.wait_for(timeout=120_000, state="attached")
        assert row.get_attribute("data-step") == "120"
        said = page.locator('[data-mime-type="application/vnd.jupyter.stdout"]')
        said.filter(has_text="at least five times chance: True").wait_for(timeout=60_000, state="attached")
        reached = [entry["speech_to_image_r10"] for entry in history(lab.runs / "02_train", "first", "evaluation")]
        assert reached[-1] > 5 * 10 / 200 and len(reached) >= 2
        assert not page.errors
