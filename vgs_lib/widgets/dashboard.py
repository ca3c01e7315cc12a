"""The training dashboard: choices, buttons, progress, figures, and the curves of all runs in one chart."""

from pathlib import Path

from vgs_lib.studies.history import Run
from vgs_lib.studies.study import Study
from vgs_lib.widgets.training_controller import TrainingController
from vgs_lib.widgets.view import View, module, style


class TrainingDashboard(View):
    """Start, pause, stop, resume and compare training runs.

    Args:
        study: what can be chosen and what a recipe is trained on, such as ``WordStudy(stamps)``.
        folder: of the runs; those found there are shown and can be resumed.
        controller: a `TrainingController` that is shared with other code, instead of both.
    """

    _esm = module("dashboard.js")
    _css = style("dashboard.css")

    def __init__(
        self,
        study: Study | None = None,
        folder: str | Path = "runs",
        *,
        controller: TrainingController | None = None,
    ):
        super().__init__(controller or TrainingController(study, folder))
        control = self.controller
        control.on_change = self.refresh
        self.handlers |= {
            "start": lambda content, buffers: control.start(**content["choices"]),
            "resume": lambda content, buffers: control.resume(content["name"]),
            "pause": lambda content, buffers: control.pause(),
            "proceed": lambda content, buffers: control.proceed(),
            "stop": lambda content, buffers: control.stop(),
            "show": lambda content, buffers: control.show(content["name"], content["on"]),
        }

    def refresh(self) -> None:
        """Show what the controller knows now, before it changes again: no older message follows a newer one."""
        with self.controller.lock:
            super().refresh()

    @property
    def runs(self) -> dict[str, Run]:
        """All runs of the folder by name."""
        return self.controller.runs

    def start(self, **choices) -> bool:
        """Begin a run as the Start button does; see `TrainingController.start`."""
        return self.controller.start(**choices)

    def train(self, **choices) -> Run:
        """Begin a run and block until it has ended: the run of that name goes on where there is one.

        Raises :class:`TrainingError` with the sentence that the dashboard shows, if it cannot begin or fails.
        """
        return self.controller.train(**choices)

    def wait(self, timeout: float | None = None) -> "TrainingDashboard":
        """Block until nothing is being done (at most ``timeout`` seconds)."""
        self.controller.wait(timeout)
        return self

    def close(self) -> None:
        """Stop with a checkpoint and close the view."""
        self.controller.close()
        super().close()
