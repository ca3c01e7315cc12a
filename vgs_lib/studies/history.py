"""What a training run was asked to do and how it went, kept beside its checkpoints and drawn as curves.

A run's folder holds ``run.json`` (its recipe and the chance levels of its figures), ``history.jsonl`` (one line for
each step and each evaluation) and ``checkpoints`` (see :mod:`vgs_lib.training.state`). A run that goes on from a
checkpoint first forgets what came after it, so that a curve never has two values for one step.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vgs_lib.errors import TrainingError, VgsError
from vgs_lib.recipes import Recipe
from vgs_lib.safe_files import write_atomically
from vgs_lib.training.events import EvaluationEvent, FinishedEvent, StepEvent

LABELS = {
    "speech_to_image_r10": "R@10, speech to picture (share found, validation)",
    "image_to_speech_r10": "R@10, picture to speech (share found, validation)",
    "speech_to_image_r1": "R@1, speech to picture (share found, validation)",
    "image_to_speech_r1": "R@1, picture to speech (share found, validation)",
    "loss": "loss (training batch, no unit)",
    "batch_r1": "R@1 in the training batch (share found)",
    "temperature": "temperature (no unit)",
    "gradient_norm": "gradient norm (before clipping, no unit)",
    "learning_rate": "learning rate (no unit)",
    "examples_per_second": "examples per second",
}


@dataclass
class Run:
    """One run: its recipe, the chance levels of its figures, and what happened, oldest first."""

    folder: Path
    plan: Recipe
    chance: dict[str, float] = field(default_factory=dict)
    entries: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def step(self) -> int:
        """Steps done, as far as the history knows."""
        return max((entry["step"] for entry in self.entries), default=0)

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return any(entry["kind"] == "finished" for entry in self.entries)

    @property
    def checkpoints(self) -> Path:
        """The folder that ``fit`` goes on from."""
        return self.folder / "checkpoints"

    def latest(self, kind: str) -> dict[str, Any]:
        """The last entry of that kind ("step", "evaluation"); empty without one."""
        return next((entry for entry in reversed(self.entries) if entry["kind"] == kind), {})

    def curve(self, figure: str, *, most: int | None = None) -> tuple[list[int], list[float]]:
        """Steps and values of a figure, such as "loss" or "speech_to_image_r10".

        ``most``: of more points than that only every second, third, ... is taken, counted from the last one.
        """
        points = [(entry["step"], entry[figure]) for entry in self.entries if entry.get(figure) is not None]
        every = max(1, -(-len(points) // most)) if most else 1
        points = points[::-every][::-1]
        return [step for step, _ in points], [value for _, value in points]

    def figures(self) -> list[str]:
        """The figures that have a curve."""
        found = {key: None for entry in self.entries for key, value in entry.items() if value is not None}
        return [key for key in found if key not in ("kind", "step")]

    def summary(self) -> dict[str, Any]:
        """What a table of runs shows, as a JSON object."""
        plan = self.plan
        return {
            "name": self.name,
            "choices": f"{plan.audio.name}, {plan.kind.upper()}, {plan.loss.name}, batch {plan.data.batch_size}, "
            f"learning rate {plan.fit.learning_rate:g}",
            "step": self.step,
            "steps": plan.fit.steps,
            "finished": self.finished,
            "last": self.latest("step"),
            "evaluation": self.latest("evaluation"),
            "chance": self.chance,
        }

    def create(self, *, new: bool = True) -> None:
        """Write ``run.json``; :class:`TrainingError` if the folder cannot be used, or is there and the run is ``new``.

        Another kernel may have begun a run of that name since somebody looked.
        """
        text = json.dumps({"recipe": self.plan.to_dict(), "chance": self.chance}, indent=1)
        try:
            self.folder.mkdir(parents=True, exist_ok=not new)
            write_atomically(self.folder / "run.json", lambda path: path.write_text(text, encoding="utf-8"))
        except FileExistsError as error:
            raise TrainingError(
                f"{self.folder}: another kernel has just begun a run of this name; choose another name"
            ) from error
        except OSError as error:
            raise TrainingError(f"{self.folder}: cannot be used as the folder of a run ({error})") from error

    def add(self, event: StepEvent | EvaluationEvent | FinishedEvent) -> None:
        """Note an event, in memory and as a line of ``history.jsonl``."""
        entry = entry_of(event)
        self.entries.append(entry)
        with open(self.folder / "history.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def forget_after(self, step: int) -> None:
        """Forget what came after ``step`` steps: the run goes on from a checkpoint there."""
        self.entries = [entry for entry in self.entries if entry["step"] <= step and entry["kind"] != "finished"]
        text = "".join(json.dumps(entry) + "\n" for entry in self.entries)
        write_atomically(self.folder / "history.jsonl", lambda path: path.write_text(text, encoding="utf-8"))


def entry_of(event: StepEvent | EvaluationEvent | FinishedEvent) -> dict[str, Any]:
    """The line of ``history.jsonl`` for an event. The temperature is 1 / the scale that scores are multiplied by."""
    if isinstance(event, EvaluationEvent):
        return {"kind": "evaluation", "step": event.step, **event.figures}
    if isinstance(event, FinishedEvent):
        return {"kind": "finished", "step": event.step}
    scale = event.extra.get("logit_scale")
    return {
        "kind": "step",
        "step": event.step,
        "loss": event.loss,
        "batch_r1": event.extra.get("speech_to_image_r1"),
        "temperature": None if not scale else 1 / scale,
        "gradient_norm": event.gradient_norm,
        "learning_rate": event.learning_rate,
        "examples_per_second": event.examples_per_second,
    }


def read_run(folder: Path) -> Run:
    """The run in ``folder``; :class:`TrainingError` or :class:`CheckpointError` if ``run.json`` is damaged.

    A last line that a killed process did not finish is left out.
    """
    file = folder / "run.json"
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        recipe, chance = facts["recipe"], dict(facts["chance"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{file}: damaged ({error!r}); delete its folder, or choose another") from error
    return Run(folder, Recipe.from_dict(recipe), chance, _read_entries(folder / "history.jsonl"))


def _read_entries(file: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    if not file.is_file():
        return entries
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
            entries.append({**entry, "kind": str(entry["kind"]), "step": int(entry["step"])})
        except (ValueError, KeyError, TypeError):
            break
    return entries


def read_runs(folder: Path) -> dict[str, Run]:
    """All runs in ``folder`` by name, the oldest first; damaged ones are left out."""
    found = {}
    files = [(file.stat().st_mtime_ns, file) for file in folder.glob("*/run.json")]
    for _, file in sorted(files):
        try:
            run = read_run(file.parent)
        except VgsError:
            continue
        found[run.name] = run
    return found
