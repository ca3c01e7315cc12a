"""The training loop: ``fit`` yields what happens as events, whoever asks draws, prints or stops.

    for event in fit(model, batches, score_loss("info_nce"), FitSettings(steps=1000), directory="runs/first"):
        ...

Everything random in a step is a function of (seed, step), and so is its batch: a run that is stopped, or
killed with SIGKILL, goes on from its last checkpoint with exactly the losses it would have had; on a GPU, whose
sums come in no fixed order, up to their rounding. accelerate
chooses the device, the precision and, under ``accelerate launch`` or ``torchrun``, the process group.

Shape legend: B pairs.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vgs_lib import distributed
from vgs_lib.data.loading import Batch, BatchSource, iterate
from vgs_lib.errors import TrainingError
from vgs_lib.seeds import seed_for, seeded
from vgs_lib.training.devices import accelerator_for
from vgs_lib.training.events import (
    Best,
    CheckpointEvent,
    EvaluationEvent,
    Event,
    FinishedEvent,
    FitSettings,
    ResumedEvent,
    StepEvent,
    StoppedEvent,
)
from vgs_lib.training.state import (
    RunFolder,
    describe,
    learning_rate_factor,
    make_optimizer,
    restore,
)

MOST_SKIPPED = 30  # steps one after another: float16 begins with a scale that about 16 halvings bring down to 1

Loss = Callable[[nn.Module, Batch, int, torch.Generator], tuple[Tensor, Mapping[str, float]]]
Evaluate = Callable[[nn.Module], Mapping[str, float]]


def fit(
    model: nn.Module,
    batches: BatchSource,
    loss: Loss,
    settings: FitSettings,
    *,
    evaluate: Evaluate | None = None,
    directory: str | Path | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[Event]:
    """Train ``model`` in place and yield what happens; nothing is done until the first event is asked for.

    batches: ``batches[step]`` is the global Batch of zero-based ``step``, a pure function of it; it may draw
        from torch's generator, which is seeded for it. A ``part(step, index, count)`` method, if there is
        one, saves each of ``count`` processes from making the others' parts.
    loss: (model, batch, step, generator) -> (scalar, figures to report); ``generator`` is on the CPU and the
        same in every process. ``settings`` attributes of ``batches`` and ``loss``, JSON objects, are part of
        the run's identity.
    evaluate: model in evaluation mode, no gradients -> figures. It runs in every process.
    directory: run folder. A run found there goes on after its last checkpoint. It is locked until the stream ends.
    should_stop: asked before every step; True writes a checkpoint and ends the run.

    The model is left on the device, in the mode (training or evaluation) it came in. Raises TrainingError for
    settings this machine cannot follow, a folder of another run or one in which a run is training now, and a loss or
    gradient that is not finite.
    """
    run = _Run(model, batches, loss, settings, evaluate, None if directory is None else Path(directory))
    return run.events(should_stop or (lambda: False))


class _Run:
    def __init__(
        self,
        model: nn.Module,
        batches: BatchSource,
        loss: Loss,
        settings: FitSettings,
        evaluate: Evaluate | None,
        directory: Path | None,
    ):
        self.model, self.batches, self.loss, self.settings = model, batches, loss, settings
        self.evaluate, self.directory = evaluate, directory
        self.step, self.saved_step, self.skipped, self.best = 0, -1, 0, None
        self.folder: RunFolder | None = None
        self.step_seconds: deque[float] = deque(maxlen=50)

    def events(self, should_stop: Callable[[], bool]) -> Iterator[Event]:
        settings, was_training = self.settings, self.model.training
        self.started = time.monotonic()
        self.accelerator = accelerator_for(settings)
        try:
            yield from self._set_up()
            batches = iterate(
                self.batches,
                range(self.step, settings.steps),
                seed=settings.seed,
                part=(distributed.rank(), distributed.world_size()),
                num_workers=settings.num_workers,
                pin_memory=self.accelerator.device.type == "cuda",
            )
            while self.step < settings.steps:
                reason = self._reason_to_stop(should_stop)
                if reason:
                    yield from self._checkpoint()
                    yield StoppedEvent(self.step, reason)
                    return
                yield self._train(batches)
                last = self.step == settings.steps
                if self.evaluate and (last or is_due(self.step, settings.evaluate_every)):
                    yield self._evaluate()
                if last or is_due(self.step, settings.checkpoint_every):
                    yield from self._checkpoint()
            yield FinishedEvent(self.step, self.best)
        finally:
            self.model.train(was_training)
            if self.folder is not None:
                self.folder.release()

    def _set_up(self) -> Iterator[Event]:
        settings = self.settings
        self.model.to(self.accelerator.device).train()
        distributed.broadcast_model(self.model)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = self.accelerator.prepare_optimizer(make_optimizer(self.model, settings))
        if self.directory is not None:
            parts = {"batches": _settings_of(self.batches), "loss": _settings_of(self.loss)}
            self.folder = RunFolder(self.directory, describe(self.model, {**settings.identity, **parts}))
            found = distributed.from_main(self._read_folder)
            if found is not None:
                tensors, state = found
                restore(self.model, self.optimizer.optimizer, tensors, state)
                if self.accelerator.scaler is not None and state["scaler"] is not None:
                    self.accelerator.scaler.load_state_dict(state["scaler"])
                self.step = self.saved_step = state["step"]
                self.best = None if state["best"] is None else Best(**state["best"])
                yield ResumedEvent(self.step)

    def _read_folder(self) -> Any:
        self.folder.prepare()
        return self.folder.read_latest()

    def _reason_to_stop(self, should_stop: Callable[[], bool]) -> str | None:
        limit = self.settings.max_seconds
        reason = None
        if should_stop():
            reason = "should_stop"
        elif limit is not None and time.monotonic() - self.started >= limit:
            reason = "max_seconds"
        return distributed.broadcast_object(reason)

    def _train(self, batches: Iterator[Batch]) -> StepEvent:
        begin, settings, step = time.monotonic(), self.settings, self.step
        batch = next(batches).to(self.accelerator.device)
        factor = learning_rate_factor(step, settings)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * factor
        with seeded(settings.seed, "step", step, distributed.rank()):
            generator = torch.Generator().manual_seed(seed_for(settings.seed, "loss", step))
            self.optimizer.zero_grad()
            with self.accelerator.autocast():
                value, extra = self.loss(self.model, batch, step, generator)
            number = distributed.mean_over_processes(value.detach())
            if not math.isfinite(number):
                raise TrainingError(
                    f"step {step + 1}: the loss is {number}; try a lower learning rate, a longer warm-up "
                    "or precision='no', and check the batch for values that are not finite"
                )
            self.accelerator.backward(value)
        norm = self._clip()
        self.optimizer.step()
        self._check_scale()
        distributed.broadcast_statistics(self.model)
        self.step += 1
        self.step_seconds.append(time.monotonic() - begin)
        mean = sum(self.step_seconds) / len(self.step_seconds)
        left = mean * (settings.steps - self.step)
        if settings.max_seconds is not None:
            left = min(left, max(settings.max_seconds - (time.monotonic() - self.started), 0.0))
        speed = len(batch) * distributed.world_size() / mean
        return StepEvent(self.step, number, settings.learning_rate * factor, norm, speed, left, {**extra})

    def _clip(self) -> float:
        distributed.average_gradients(self.parameters)
        self.accelerator.unscale_gradients(self.optimizer)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if self.accelerator.scaler is None and not math.isfinite(norm):
            raise TrainingError(
                f"step {self.step + 1}: the loss is finite, but the norm of the gradients is {float(norm)}; "
                "try a lower learning rate or precision='no'"
            )
        if self.settings.gradient_clip is not None:
            nn.utils.clip_grads_with_norm_(self.parameters, self.settings.gradient_clip, norm)
        return float(norm)

    def _check_scale(self) -> None:
        """Float16 skips a step whose gradients overflow and halves its scale; a run that only skips learns nothing."""
        self.skipped = self.skipped + 1 if self.optimizer.step_was_skipped else 0
        if self.skipped > MOST_SKIPPED:
            raise TrainingError(
                f"step {self.step + 1}: the gradients were not finite in {self.skipped} steps one after another; try a "
                "lower learning rate, or precision='bf16' or 'no'"
            )

    def _evaluate(self) -> EvaluationEvent:
        self.model.eval()
        with torch.no_grad(), seeded(self.settings.seed, "evaluation", self.step):
            figures = {name: float(value) for name, value in self.evaluate(self.model).items()}
        self.model.train()
        figures = distributed.broadcast_object(figures)
        is_best, name = False, self.settings.keep_best
        if name is not None:
            if name not in figures:
                raise TrainingError(f"keep_best: found {name!r}, expected one of {', '.join(figures)}")
            is_best = figures[name] > (-math.inf if self.best is None else self.best.figures[name])
        if is_best:
            self.best = Best(self.step, figures)
            if self.folder is not None and distributed.rank() == 0:
                self.folder.save_best(self.model, self.best)
        return EvaluationEvent(self.step, figures, is_best)

    def _checkpoint(self) -> Iterator[CheckpointEvent]:
        if self.folder is None or self.step == self.saved_step:
            return
        if distributed.rank() == 0:
            scaler = self.accelerator.scaler
            self.folder.save(
                self.step,
                self.model,
                self.optimizer.optimizer,
                best=self.best,
                scaler=None if scaler is None else scaler.state_dict(),
            )
        distributed.wait()
        self.saved_step = self.step
        yield CheckpointEvent(self.step, self.folder.step_file(self.step))


def _settings_of(thing: Any) -> Any:
    return getattr(thing, "settings", None)


def is_due(step: int, every: int) -> bool:
    """Whether what comes ``every`` so many steps comes at ``step``; never with 0."""
    return every > 0 and step % every == 0
