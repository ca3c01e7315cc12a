"""The settings of a training run and the events it yields."""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vgs_lib.errors import TrainingError

OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("cosine", "constant", "step", "cyclic")


@dataclass(frozen=True)
class FitSettings:
    """How to train; TrainingError for values that cannot be meant.

    steps: optimizer steps of the whole run.
    optimizer: "adamw", "adam" (its weight decay is an L2 penalty, as in the documents) or "sgd".
    learning_rate, weight_decay: of the optimizer. betas: of "adamw" and "adam". momentum: of "sgd".
    warmup_steps: linear warm-up from zero; the schedules count their steps from the start of the run.
    schedule: "cosine" (to zero at ``steps``), "constant", "step" (divided by ``decay_factor`` every ``decay_every``
        steps) or "cyclic" (a cosine from ``lowest_learning_rate`` up to ``learning_rate`` and back down, a whole
        period every ``cycle_steps`` steps).
    gradient_clip: largest norm of all gradients together; None for no limit.
    seed: of everything random in a step.
    evaluate_every, checkpoint_every: in steps; 0 for only at the end.
    precision: "no" (float32), "bf16", or "fp16" with loss scaling (no CPU).
    device: "cpu", "cuda", "mps" or None for the best there is. num_workers: processes making batches ahead.
    max_seconds: stop this call after so many seconds; a later call goes on.
    keep_best: name of the evaluation figure (higher is better) whose best weights are kept in the run folder.
    """

    steps: int = 1000
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    warmup_steps: int = 0
    schedule: str = "cosine"
    gradient_clip: float | None = 1.0
    seed: int = 0
    evaluate_every: int = 0
    checkpoint_every: int = 100
    precision: str = "no"
    device: str | None = None
    num_workers: int = 0
    max_seconds: float | None = None
    keep_best: str | None = None
    optimizer: str = "adamw"
    momentum: float = 0.9
    decay_every: int = 0
    decay_factor: float = 10.0
    lowest_learning_rate: float = 0.0
    cycle_steps: int = 0

    def __post_init__(self) -> None:
        wants = {
            "steps": (self.steps >= 1, "at least 1"),
            "learning_rate": (0 < self.learning_rate < math.inf, "a number above 0"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "0 or more"),
            "betas": (len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas), "two numbers in [0, 1)"),
            "warmup_steps": (0 <= self.warmup_steps, "0 or more"),
            "schedule": (self.schedule in SCHEDULES, f"one of {', '.join(map(repr, SCHEDULES))}"),
            "gradient_clip": (self.gradient_clip is None or self.gradient_clip > 0, "None or above 0"),
            "evaluate_every": (self.evaluate_every >= 0, "0 or more"),
            "checkpoint_every": (self.checkpoint_every >= 0, "0 or more"),
            "precision": (self.precision in ("no", "bf16", "fp16"), "'no', 'bf16' or 'fp16'"),
            "device": (self.device in (None, "cpu", "cuda", "mps"), "None, 'cpu', 'cuda' or 'mps'"),
            "num_workers": (self.num_workers >= 0, "0 or more"),
            "max_seconds": (self.max_seconds is None or self.max_seconds > 0, "None or above 0"),
            "optimizer": (self.optimizer in OPTIMIZERS, f"one of {', '.join(map(repr, OPTIMIZERS))}"),
            "momentum": (0 <= self.momentum < 1, "a number in [0, 1)"),
            "decay_every": (self.decay_every >= (self.schedule == "step"), "1 or more steps for schedule 'step'"),
            "decay_factor": (1 <= self.decay_factor < math.inf, "1 or more"),
            "lowest_learning_rate": (
                0 <= self.lowest_learning_rate <= (self.learning_rate if self.schedule == "cyclic" else math.inf),
                "0 or more, for schedule 'cyclic' no more than learning_rate",
            ),
            "cycle_steps": (self.cycle_steps >= 2 * (self.schedule == "cyclic"), "2 or more for schedule 'cyclic'"),
        }
        for name, (fine, wanted) in wants.items():
            if not fine:
                raise TrainingError(f"{name}: found {getattr(self, name)!r}, expected {wanted}")

    @property
    def identity(self) -> dict[str, Any]:
        """What must not change when a run goes on: all that its losses depend on.

        What its optimizer and schedule do not use is left out, so that folders of earlier versions, which knew only
        AdamW, still go on.
        """
        free = {"evaluate_every", "checkpoint_every", "device", "num_workers", "max_seconds"}
        if self.schedule != "cosine":
            free.add("steps")
        if self.optimizer == "adamw":
            free.add("optimizer")
        free.add("betas" if self.optimizer == "sgd" else "momentum")
        if self.schedule != "step":
            free |= {"decay_every", "decay_factor"}
        if self.schedule != "cyclic":
            free |= {"lowest_learning_rate", "cycle_steps"}
        return {name: value for name, value in asdict(self).items() if name not in free}


@dataclass(frozen=True)
class Best:
    """The best evaluation so far: its step and its figures."""

    step: int
    figures: dict[str, float]


@dataclass(frozen=True)
class StepEvent:
    """One optimizer step; ``step`` counts the steps done. ``seconds_left``: to the end or ``max_seconds``."""

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    examples_per_second: float
    seconds_left: float
    extra: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluationEvent:
    """The figures of ``evaluate`` after ``step`` steps; ``is_best`` where ``keep_best`` names one of them."""

    step: int
    figures: dict[str, float]
    is_best: bool = False


@dataclass(frozen=True)
class CheckpointEvent:
    """A checkpoint was written: a run killed from now on loses nothing up to ``step``."""

    step: int
    path: Path


@dataclass(frozen=True)
class ResumedEvent:
    """The run goes on from a checkpoint after ``step`` steps."""

    step: int


@dataclass(frozen=True)
class StoppedEvent:
    """The run stopped before its end; ``reason`` is "should_stop" or "max_seconds"."""

    step: int
    reason: str


@dataclass(frozen=True)
class FinishedEvent:
    """All steps are done; ``best`` is the best evaluation, where one was kept."""

    step: int
    best: Best | None = None


Event = StepEvent | EvaluationEvent | CheckpointEvent | ResumedEvent | StoppedEvent | FinishedEvent
