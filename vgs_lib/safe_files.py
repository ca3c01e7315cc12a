"""Files that are whole or not there: atomic writes, and tensors with a digest, never a pickle."""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vgs_lib.errors import CheckpointError

TEMPORARY = ".partial"


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to the disk, then move it to ``path``.

    A crash at any moment leaves the old file, or none, and at most a file ending in ``.partial``. Two threads that
    write one path do not meet in one temporary file; the last to end wins.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}{TEMPORARY}")
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)  # some writers make files that only their owner can read
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not every system lets a folder be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files that a killed process left in ``folder``."""
    for leftover in folder.glob(f".*{TEMPORARY}"):
        leftover.unlink(missing_ok=True)


def digest_tensors(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256, hexadecimal, over names, types, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def write_tensors(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write ``tensors`` and the JSON object ``state`` to one safetensors file, atomically, with a digest."""
    copies = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}
    metadata = {"state": json.dumps(state, sort_keys=True), "sha256": digest_tensors(copies)}
    write_atomically(path, lambda temporary: save_file(copies, temporary, metadata))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what ``write_tensors`` wrote; CheckpointError if the file is missing, damaged or foreign."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such file") from error
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path}: damaged or not a safetensors file ({error})") from error
    if not {"state", "sha256"} <= metadata.keys():
        raise CheckpointError(f"{path}: a safetensors file, but not written by this library's training")
    if digest_tensors(tensors) != metadata["sha256"]:
        raise CheckpointError(f"{path}: damaged, its tensors do not have the digest that was written with them")
    return tensors, json.loads(metadata["state"])


def names_from_packages(model: nn.Module) -> set[str]:
    """Names in the state dict that lie under a module marked ``from_package``."""
    roots = [prefix for prefix, module in model.named_modules() if getattr(module, "from_package", False)]
    return {n for n in model.state_dict() if any(n.startswith(f"{root}.") or not root for root in roots)}
