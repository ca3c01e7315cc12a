"""What figures were made on, how exactly, and how long it took."""

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch


def machine(device: str = "cpu") -> dict[str, Any]:
    """The processor, the threads of PyTorch, the device with the name of a GPU, and the version of PyTorch."""
    found = {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "device": device,
        "torch": torch.__version__,
    }
    return found | ({"gpu": torch.cuda.get_device_name()} if device == "cuda" else {})


def spent_on(device: str) -> Callable[[], float]:
    """A clock, in seconds: of the processor, all threads together, or, where another device computes, of the wall.

    The processor's leaves out what other work takes of the machine's time, but a step may still cost up to three times
    as much beside it; of a GPU it knows nothing but the waiting.
    """
    if device == "cpu":
        return time.process_time

    def clock() -> float:
        torch.accelerator.synchronize()  # what was asked for has been computed
        return time.perf_counter()

    return clock


def quick_products(device: str | None) -> None:
    """Let products of float32 matrices take the machine's quick way while training.

    On a CPU that is oneDNN instead of the BLAS of the build: up to 2.5 times quicker where the latter has no kernel for
    the processor; where the processor multiplies bfloat16 it may use that. On a GPU it is TF32. Never for figures.
    """
    gpu = device != "cpu" and (torch.cuda.is_available() or torch.backends.mps.is_available())
    torch.set_float32_matmul_precision("high" if gpu else "medium")


@contextmanager
def exact_products() -> Iterator[None]:
    """Products and convolutions of float32 as exact as they are, for figures, whatever training was allowed."""
    before, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cudnn.allow_tf32 = convolutions


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
