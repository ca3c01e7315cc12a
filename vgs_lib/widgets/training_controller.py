"""What the training dashboard knows and does: choices, one run at a time in the background, the curves of all runs.

No widget library. A run is a folder (:mod:`vgs_lib.studies.history`); a new controller over the same folder, in a
restarted kernel, shows its runs again and resumes them exactly.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torch import nn

from vgs_lib.batches.banks import Filling
from vgs_lib.errors import TrainingError, VgsError
from vgs_lib.memory import give_back
from vgs_lib.recipes import Recipe
from vgs_lib.studies.history import LABELS, Run, read_runs
from vgs_lib.studies.study import Study
from vgs_lib.training import EvaluationEvent, FinishedEvent, ResumedEvent, StepEvent, StoppedEvent, fit, load_best
from vgs_lib.widgets.progress import FillingClock
from vgs_lib.widgets.training_choices import LISTS, default_choices, plan_of
from vgs_lib.widgets.training_runs import claim, curves_of, free_name, read_again, release, run_of, training

_log = logging.getLogger(__name__)

REFRESH_SECONDS = 0.4  # between two updates of what is shown
BUSY = ("filling", "training", "paused", "stopping")


class TrainingController:
    """Starts, pauses, stops and resumes training runs, and compares them.

    ``state``: "idle", "filling" (the banks of frozen features), "training", "paused", "stopping", "stopped", "finished"
    or "failed"; ``status`` says it in a sentence. The work is done in a thread of its own.

    Args:
        study: what can be chosen and how a recipe becomes a model and its batches (``WordStudy``, ``ManifestStudy``).
        folder: of the runs, one folder each.
        on_change: called without arguments, from that thread too, after anything that is shown changed.

    A `message` is built and sent while ``lock`` is held, so that no older one follows a newer one.
    """

    def __init__(self, study: Study, folder: str | Path, *, on_change: Callable[[], None] = lambda: None):
        self.study, self.folder, self.on_change = study, Path(folder), on_change
        self.runs: dict[str, Run] = read_runs(self.folder)
        self.shown: list[str] = list(self.runs)
        self.state, self.status = "idle", "Choose, then press Start."
        self.failed = False
        self.current: Run | None = None
        self.progress: dict[str, Any] = {}
        self._stop, self._go = threading.Event(), threading.Event()
        self.lock, self._thread, self._last_change = threading.RLock(), None, 0.0

    def start(self, **chosen: Any) -> bool:
        """Begin a new run with these choices; False, with the reason in ``status``, if it cannot begin."""

        def find() -> Run:
            plan = self._plan(chosen)
            return Run(self.folder / plan.name, plan)

        def check(run: Run) -> None:
            if run.folder.exists():
                raise TrainingError(f"Name: there is a run {run.name!r} already; choose another name, or resume it.")

        return self._begin(find, check)

    def resume(self, name: str) -> bool:
        """Go on with a run after its last checkpoint; False, with the reason in ``status``, if that cannot be."""

        def check(run: Run) -> None:
            self._read_again()
            if run.finished:
                raise TrainingError(f"The run {name} has done all its steps; start another one.")

        return self._begin(lambda: self._known(name), check)

    def train(self, *, name: str = "", **chosen: Any) -> Run:
        """Begin a run and block until it ends or is stopped.

        A run of that name and these choices goes on, or is given back if it is done; beside one of that name and other
        choices this one is called ``name-2``. Raises :class:`TrainingError` with the sentence of ``status`` if it
        cannot begin or fails.
        """
        self._read_again()
        run = None
        if name:
            run, name = run_of(self.runs, self.folder, name, lambda name: self._plan({**chosen, "name": name}))
        if run is not None and run.finished:
            return run
        if not (self.resume(name) if run is not None else self.start(name=name, **chosen)):
            raise TrainingError(self.status)
        self.wait()
        if self.failed or self.current is None:
            raise TrainingError(self.status)
        return self.current

    def _plan(self, chosen: dict[str, Any]) -> Recipe:
        return plan_of(self.study, chosen, lambda stem: free_name(self.folder, stem))

    def _read_again(self) -> None:
        """Another controller over this folder may have trained since it was read."""
        with self.lock:
            if self.state not in BUSY:
                self.shown += read_again(self.runs, self.folder)

    def pause(self) -> None:
        """Wait before the next step, until `proceed` or `stop`."""
        with self.lock:
            if self.state == "training":
                self._go.clear()
                self._set("paused", f"Paused after step {self.current.step}. Nothing is lost; press Continue.")

    def proceed(self) -> None:
        """Go on after `pause`."""
        with self.lock:
            if self.state == "paused":
                self._set("training", f"Training {self.current.name}.")
                self._go.set()

    def stop(self) -> None:
        """End the run with a checkpoint, or the filling of the banks after what is being computed now."""
        with self.lock:
            if self.state in BUSY:
                self._stop.set()
                self._go.set()
                self._set("stopping", "Stopping after what is being computed now.")

    def wait(self, timeout: float | None = None) -> "TrainingController":
        """Block until nothing is being done (at most ``timeout`` seconds)."""
        end = time.monotonic() + (timeout if timeout is not None else float("inf"))
        while self._thread is not None and self._thread.is_alive() and time.monotonic() < end:
            self._thread.join(0.1)  # in pieces, so that an interrupt of the kernel comes through
        return self

    def load(self, name: str) -> nn.Module:
        """The model of a run with the weights of its best evaluation.

        Raises :class:`TrainingError` for an unknown run, :class:`CheckpointError` for one without such weights.
        """
        run = self._known(name)
        model = self.study.prepare(run.plan).model
        load_best(model, run.checkpoints)
        return model.eval()

    def _known(self, name: str) -> Run:
        if name not in self.runs:
            self._read_again()
        if name not in self.runs:
            raise TrainingError(f"There is no run {name!r}; there are {', '.join(self.runs) or 'none yet'}.")
        return self.runs[name]

    def show(self, name: str, on: bool) -> None:
        """Draw the curves of a run, or no longer."""
        with self.lock:
            wanted = {*self.shown, name} if on else {*self.shown} - {name}
            self.shown = [one for one in self.runs if one in wanted]
            self.on_change()

    def close(self) -> None:
        """Stop what is being done and wait for its end."""
        self.stop()
        self.wait()

    def _begin(self, find: Callable[[], Run], check: Callable[[Run], None]) -> bool:
        """Train the run that ``find`` gives, if ``check``, asked when no other can begin it, does not raise."""
        with self.lock, ExitStack() as undo:
            if self.state in BUSY:
                name = training() or "that was begun"  # which is just ending
                self._say(f"The run {name} is going on; stop it before you begin another one.", failed=True)
                return False
            try:
                run = find()
                claim(run.name)
                undo.callback(release)
                check(run)
            except VgsError as error:
                self._say(str(error), failed=True)
                return False
            self._stop.clear()
            self._go.set()
            self.progress, self.current = {}, None
            self._thread = threading.Thread(target=self._work, args=(run,), daemon=True, name="training")
            undo.callback(setattr, self, "state", self.state)
            self._set("filling", f"Preparing {run.name}.")
            self._thread.start()
            undo.pop_all()  # the thread releases it
        return True

    def _work(self, run: Run) -> None:
        """Train, then say how it ended, when another run may begin."""
        try:
            end = self._train(run)
        except VgsError as error:
            end = "failed", str(error)
        except Exception as error:  # in a thread of its own: a person must see it
            _log.exception("the run %s failed", run.name)
            end = "failed", f"Something went wrong: {type(error).__name__}: {error}"
        finally:
            release()
        give_back()
        self._set(*end)

    def _train(self, run: Run) -> tuple[str, str]:
        """(state, sentence) at the end of the run."""
        prepared = self.study.prepare(run.plan)
        if not self._fill(getattr(prepared.batches, "fill", None)):
            return "stopped", "Stopped. What was computed is kept; the next start goes on from there."
        give_back()
        run.chance = dict(prepared.chance)
        run.create(new=run.name not in self.runs)
        with self.lock:
            self.runs[run.name] = self.current = run
            self.shown += [] if run.name in self.shown else [run.name]
            self.progress = {"name": "training", "done": run.step, "total": run.plan.fit.steps, "seconds_left": None}
            if not self._stop.is_set():
                self._set("training", f"Training {run.name}.")
        events = fit(
            prepared.model,
            prepared.batches,
            run.plan.loss,
            run.plan.fit,
            evaluate=prepared.evaluate,
            directory=run.checkpoints,
            should_stop=self._wait_or_stop,
        )
        fresh, total = True, run.plan.fit.steps
        for event in events:
            if fresh:  # a run that goes on forgets the steps after its checkpoint, which come again
                run.forget_after(event.step if isinstance(event, ResumedEvent) else 0)
                fresh = False
            self._take(run, event)
        if isinstance(event, StoppedEvent):
            return "stopped", f"Stopped after step {event.step} of {total}, with a checkpoint. Resume goes on exactly."
        return "finished", f"{run.name} has done all {total} steps."

    def _take(self, run: Run, event: Any) -> None:
        if isinstance(event, StepEvent | EvaluationEvent | FinishedEvent):
            run.add(event)
        if isinstance(event, StepEvent):
            self.progress = self.progress | {"done": event.step, "seconds_left": event.seconds_left}
            self._changed(event.step == 1)
        elif isinstance(event, EvaluationEvent):
            self._changed(True)
        elif isinstance(event, FinishedEvent):
            self.progress = self.progress | {"done": event.step, "seconds_left": 0.0}

    def _wait_or_stop(self) -> bool:
        self._go.wait()
        return self._stop.is_set()

    def _fill(self, fill: Callable[[], Iterator[Filling]] | None) -> bool:
        """Fill the banks of frozen features; False if it was stopped."""
        clock = FillingClock()
        for event in fill() if fill else ():
            left = clock.seconds_left(event)
            self.progress = {"name": event.name, "done": event.done, "total": event.total, "seconds_left": left}
            self._changed(True)
            if self._stop.is_set():
                return False
        return not self._stop.is_set()

    def _set(self, state: str, sentence: str) -> None:
        with self.lock:
            self.state = state
            self._say(sentence, failed=state == "failed")

    def _say(self, sentence: str, *, failed: bool = False) -> None:
        self.status, self.failed = sentence, failed
        self._changed(True)

    def _changed(self, now: bool) -> None:
        if now or time.monotonic() - self._last_change >= REFRESH_SECONDS:
            self._last_change = time.monotonic()
            self.on_change()

    def message(self) -> tuple[dict, list[bytes]]:
        """Everything that is shown, and for each run one buffer: float32 steps and values of its curves in turn."""
        with self.lock:
            runs, buffers = curves_of(self.runs.values())
            content = {
                "type": "training",
                "state": self.state,
                "status": self.status,
                "failed": self.failed,
                "progress": self.progress,
                "options": {key: list(self.study.options[key]) for key in LISTS},
                "choices": default_choices(self.study),
                "labels": LABELS,
                "shown": [name for name in self.shown if name in self.runs],
                "current": self.current.name if self.current else "",
                "runs": runs,
            }
            return json.loads(json.dumps(content)), buffers
