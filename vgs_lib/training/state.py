"""What a run is and what it remembers: optimizer groups, learning rate, run folder, exact resume.

A run folder holds ``step-XXXXXXXX.safetensors`` (the last two: trained weights, optimizer, step; the JSON
state is in the header) and ``best.safetensors`` (the weights with the best validation figure). Weights that
come unchanged from an installed package are not stored.
"""

import json
import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import filelock
import torch
from torch import Tensor, nn

from vgs_lib.errors import CheckpointError, TrainingError
from vgs_lib.safe_files import (
    digest_tensors,
    names_from_packages,
    read_tensors,
    remove_leftovers,
    write_tensors,
)
from vgs_lib.training.events import Best, FitSettings

logger = logging.getLogger(__name__)

MAX_DIFFERENCES = 6
LOCK = "training.lock"


def make_optimizer(model: nn.Module, settings: FitSettings) -> torch.optim.Optimizer:
    """The optimizer over the parameters that want gradients; biases, norms, scales and other vectors do not decay."""
    norms = {
        id(parameter)
        for module in model.modules()
        if "norm" in type(module).__name__.lower()
        for parameter in module.parameters(recurse=False)
    }
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise TrainingError("model: no parameter wants gradients, so there is nothing to train")
    plain = [p for p in trained if p.ndim <= 1 or id(p) in norms]
    plain_ids = {id(p) for p in plain}
    decayed = [p for p in trained if id(p) not in plain_ids]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum)
    adam = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[settings.optimizer]
    return adam(groups, lr=settings.learning_rate, betas=settings.betas)


def learning_rate_factor(step: int, settings: FitSettings) -> float:
    """The share 0..1 of the learning rate at zero-based ``step``: linear warm-up, then the schedule.

    Sources of "step": harwath2019 (a tenth every 30 epochs), ni2018 (half every 5 epochs). Of "cyclic": the
    published code of merkx2019; it starts at the lowest rate and is highest after half a period.
    """
    warmup = settings.warmup_steps
    if step < warmup:
        return (step + 1) / warmup
    if settings.schedule == "constant":
        return 1.0
    if settings.schedule == "step":
        return settings.decay_factor ** -(step // settings.decay_every)
    if settings.schedule == "cyclic":
        lowest = settings.lowest_learning_rate / settings.learning_rate
        return lowest + (1.0 - lowest) * 0.5 * (1.0 - math.cos(2.0 * math.pi * step / settings.cycle_steps))
    return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(settings.steps - warmup, 1)))


def unchanged_names(model: nn.Module) -> set[str]:
    """Names in the state dict that stay as an installed package gave them, so that a run need not store them.

    They lie under a module marked ``from_package``, want no gradient and are no running statistics in
    training.
    """
    changing = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    for prefix, module in model.named_modules():
        if module.training and hasattr(module, "running_mean"):
            changing |= {f"{prefix}.{name}" for name, _ in module.named_buffers(recurse=False)}
    return names_from_packages(model) - changing


def describe(model: nn.Module, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What two runs must have in common to be one: settings, the model's shapes, weights from packages."""
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    state = model.state_dict()
    packaged = {name: state[name] for name in unchanged_names(model)}
    shapes = {
        name: f"{'x'.join(map(str, tensor.shape)) or 'scalar'}{' trained' if name in trained else ''}"
        for name, tensor in state.items()
    }
    identity = {**settings, "model": shapes, "package weights": digest_tensors(packaged)[:16]}
    return json.loads(json.dumps(identity, default=str))


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Where two JSON objects differ, as "name: X in the folder, Y now"."""
    found = []
    for key in sorted({**theirs, **ours}):
        old, new = theirs.get(key, "nothing"), ours.get(key, "nothing")
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key}: {old} in the folder, {new} now")
    return found


class RunFolder:
    """The checkpoints of one run, and the lock that keeps a second one from training among them."""

    def __init__(self, path: Path, identity: Mapping[str, Any]):
        self.path = path
        self.identity = identity
        # not of one thread: a generator may be closed in another one than it ran in
        self._lock = filelock.FileLock(path / LOCK, thread_local=False)

    def prepare(self) -> None:
        """Create the folder, lock it until `release`, and clear away what a killed process was writing.

        The system lifts the lock when its process ends, however that ends; the file stays and means nothing by itself.
        Raises TrainingError for a folder that cannot be used, or in which a run is training now.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
        except filelock.Timeout as error:
            raise TrainingError(
                f"{self.path}: a run is training in this folder now, in another kernel or program. "
                "Wait for its end or stop it there, then begin again, or choose another folder"
            ) from error
        except OSError as error:
            raise TrainingError(f"{self.path}: cannot be used as a run folder ({error})") from error
        remove_leftovers(self.path)

    def release(self) -> None:
        """Let others train in the folder."""
        self._lock.release()

    def step_file(self, step: int) -> Path:
        """Where the checkpoint after ``step`` steps lies."""
        return self.path / f"step-{step:08d}.safetensors"

    def step_files(self) -> list[Path]:
        """The checkpoints that are there, the newest first."""
        return sorted(self.path.glob("step-????????.safetensors"), reverse=True)

    def read_latest(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The newest readable checkpoint, or None in a new folder.

        A damaged one is passed over with a warning. TrainingError if all are, or it is another run's.
        """
        problems = []
        for file in self.step_files():
            try:
                tensors, state = read_tensors(file)
            except CheckpointError as error:
                logger.warning("%s; going on from the checkpoint before it", error)
                problems.append(str(error))
                continue
            found = differences(state["identity"], self.identity)
            if found:
                more = f"; and {len(found) - MAX_DIFFERENCES} more" if len(found) > MAX_DIFFERENCES else ""
                raise TrainingError(
                    f"{self.path} belongs to another run: {'; '.join(found[:MAX_DIFFERENCES])}{more}. "
                    "Choose another folder, or the settings of that run to go on with it"
                )
            return tensors, state
        if problems:
            raise TrainingError(
                f"{self.path}: no checkpoint can be read ({'; '.join(problems)}). "
                "Choose another folder, or delete these files to start again"
            )
        return None

    def save(
        self,
        step: int,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        best: Best | None,
        scaler: Mapping[str, Any] | None,
    ) -> Path:
        """Write the checkpoint after ``step`` steps; it and the one before it stay."""
        moments, numbers = _pack_optimizer(model, optimizer)
        tensors = {f"model/{name}": tensor for name, tensor in _stored(model).items()} | moments
        state = {
            "identity": self.identity,
            "step": step,
            "best": None if best is None else {"step": best.step, "figures": best.figures},
            "scaler": scaler,
            "optimizer": numbers,
        }
        path = self.step_file(step)
        write_tensors(path, tensors, state)
        older = [file for file in self.step_files() if file < path]
        for file in self.step_files():
            if file != path and file not in older[:1]:
                file.unlink(missing_ok=True)
        return path

    def save_best(self, model: nn.Module, best: Best) -> Path:
        """Write the weights with the best figure so far."""
        path = self.path / "best.safetensors"
        write_tensors(path, _stored(model), {"step": best.step, "figures": best.figures})
        return path


def restore(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    tensors: Mapping[str, Tensor],
    state: Mapping[str, Any],
) -> None:
    """Put a checkpoint's weights and moments into ``model`` and ``optimizer``."""
    _load_weights(model, {n.removeprefix("model/"): t for n, t in tensors.items() if n.startswith("model/")})
    entries: dict[int, dict[str, Any]] = {}
    for index, name in enumerate(_optimizer_names(model, optimizer)):
        prefix = f"optimizer/{name}/"
        entry = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        entry.update(state["optimizer"].get(name, {}))
        if entry:
            entries[index] = entry
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})


def load_best(model: nn.Module, directory: str | Path) -> Best:
    """Put a run's weights of the best validation figure into ``model``; CheckpointError for none."""
    tensors, state = read_tensors(Path(directory) / "best.safetensors")
    _load_weights(model, tensors)
    return Best(state["step"], state["figures"])


def _stored(model: nn.Module) -> dict[str, Tensor]:
    packaged = unchanged_names(model)
    return {name: tensor for name, tensor in model.state_dict().items() if name not in packaged}


def _load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    own = model.state_dict()
    wrong = [name for name, tensor in weights.items() if name not in own or own[name].shape != tensor.shape]
    missing = own.keys() - weights.keys() - names_from_packages(model)
    if wrong or missing:
        raise CheckpointError(
            f"the checkpoint does not fit the model: {_some(wrong)} unknown or of another shape, "
            f"{_some(missing)} missing"
        )
    model.load_state_dict(dict(weights), strict=False)


def _some(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:3]) or "nothing"


def _optimizer_names(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[str]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(p)] for group in optimizer.param_groups for p in group["params"]]


def _pack_optimizer(
    model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], dict[str, dict[str, Any]]]:
    tensors, numbers = {}, {}
    entries = optimizer.state_dict()["state"]
    for index, name in enumerate(_optimizer_names(model, optimizer)):
        for key, value in entries.get(index, {}).items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{name}/{key}"] = value
            else:
                numbers.setdefault(name, {})[key] = value
    return tensors, numbers
