"""Where a run computes: the device, the precision and the process group, chosen by accelerate."""

import os

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from vgs_lib import distributed
from vgs_lib.errors import DeviceError, TrainingError
from vgs_lib.training.events import FitSettings


def accelerator_for(settings: FitSettings) -> Accelerator:
    """An Accelerator for these settings, also where another was made before (a notebook's second run)."""
    cpu = on_cpu(settings.device)
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("device: 'cuda' was asked for, but PyTorch finds no CUDA device; use device='cpu'")
    if settings.device == "mps" and not torch.backends.mps.is_available():
        raise TrainingError("device: 'mps' was asked for, but PyTorch finds none; use device='cpu'")
    # accelerate keeps device and precision once per process and refuses others until its state is cleared.
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(cpu=cpu, mixed_precision=settings.precision)
    if settings.device not in (None, accelerator.device.type):
        raise TrainingError(
            f"device: {settings.device!r} was asked for, but accelerate chose {accelerator.device.type!r}; "
            "unset the ACCELERATE_* environment variables"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) != distributed.world_size():
        raise TrainingError(
            f"found WORLD_SIZE={os.environ['WORLD_SIZE']} and a group of {distributed.world_size()}; start processes "
            "with 'accelerate launch' or torchrun, or unset it"
        )
    if settings.precision == "fp16" and accelerator.device.type == "cpu":
        raise TrainingError("precision: 'fp16' needs a GPU; use 'bf16' or 'no' on the CPU")
    return accelerator


def on_cpu(device: str | None) -> bool:
    """Whether a run with this setting of the device is one of the CPU: asked for, or where there is nothing better.

    accelerate has to be told, or several processes without a GPU would know nothing of one another.
    """
    return device == "cpu" or (device is None and not torch.accelerator.is_available())


def check_device(device: str | None) -> None:
    """:class:`DeviceError` if PyTorch finds no such device here."""
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if device in there and not there[device]():
        raise DeviceError(f"--device {device}: PyTorch finds no such device on this machine; use --device cpu")
