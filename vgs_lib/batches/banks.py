"""Banks: frozen features computed once and kept on disk, so that training steps only run what is trained.

A bank is a folder of shards; a shard appears only when complete, so filling one goes on where it was cut off. Of
several processes that fill one bank, one at a time makes a shard. The folder's name carries a digest of the settings
that the features depend on: other settings make another bank. Of data built anew from other sources or voices it knows
nothing: delete ``$VGS_HOME/banks`` then.

Legend: C channels, H W grid, T frames; float16 on disk.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from vgs_lib.errors import DataError
from vgs_lib.paths import home
from vgs_lib.safe_files import write_atomically

SHARD = 256
LOCK = "fill.lock"
MAX_OPEN = 128  # shards kept open: each holds a file for every tensor of an item


@dataclass(frozen=True)
class Filling:
    """How far filling a bank is: ``done`` of ``total`` items of ``name``."""

    name: str
    done: int
    total: int


class Bank:
    """Items 0 to ``total`` - 1, each a tuple of float16 tensors; ``bank[i]`` gives them.

    ``name`` and ``settings`` (a JSON object) identify the bank; it lives in ``folder``, by default ``$VGS_HOME/banks``.
    ``shard`` is how many items a shard has, by default ``SHARD``; fewer make filling report more often.
    """

    def __init__(
        self, name: str, settings: object, total: int, *, folder: Path | None = None, shard: int | None = None
    ):
        if shard is not None:
            settings = {"shard": shard, "of": settings}
        text = json.dumps(settings, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        self.name, self.total, self.shard = name, total, shard or SHARD
        self.folder = (folder or home() / "banks") / f"{name}-{digest}"
        self._text = text
        self._open: dict[int, tuple[np.ndarray, list[np.ndarray]]] = {}

    def fill(self, compute: Callable[[range], Sequence[tuple[Tensor, ...]]]) -> Iterator[Filling]:
        """Compute what is missing, yielding after each shard; ``compute(items)`` gives the tensors of those items."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / "settings.json", lambda path: path.write_text(self._text, encoding="utf-8"))
        for shard, first in enumerate(range(0, self.total, self.shard)):
            path = self.folder / f"{shard:05d}"
            items = range(first, min(self.total, first + self.shard))
            while self._held(path) < len(items):  # a bank that grew has a last shard that is too short
                try:
                    with FileLock(self.folder / LOCK, timeout=1):
                        if self._held(path) < len(items):
                            self._add(path, compute, items)
                except Timeout:  # another process is at a shard of this bank
                    yield Filling(self.name, items.start, self.total)
            yield Filling(self.name, items.stop, self.total)

    def _add(self, path: Path, compute: Callable[[range], Sequence[tuple[Tensor, ...]]], items: range) -> None:
        begin = time.monotonic()
        self._write(path, compute(items))
        spent = f"{self.seconds + time.monotonic() - begin:.1f}"
        write_atomically(self.folder / "seconds", lambda path: path.write_text(spent, "utf-8"))

    @staticmethod
    def _held(path: Path) -> int:
        """How many items a shard holds."""
        try:
            return len(np.load(path / "lengths.npy")) - 1
        except (OSError, ValueError, EOFError):
            return 0

    def _write(self, path: Path, items: Sequence[tuple[Tensor, ...]]) -> None:
        """A shard: for each tensor of an item, all items' values in one array cut along the last axis."""
        partial = path.with_name(f".{path.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True, exist_ok=True)
        lengths = np.array([[x.shape[-1] for x in item] for item in items])
        for place, tensors in enumerate(zip(*items, strict=True)):
            frames = tensors[0].dim() == 2
            joined = torch.cat([x.T for x in tensors]) if frames else torch.stack(tensors)
            np.save(partial / f"{place}.npy", joined.to(torch.float16).numpy())
        np.save(partial / "lengths.npy", np.concatenate([np.zeros((1, lengths.shape[1]), int), lengths.cumsum(0)]))
        shutil.rmtree(path, ignore_errors=True)
        partial.rename(path)
        self._open.pop(int(path.name), None)

    @property
    def seconds(self) -> float:
        """How long filling it has taken, over every time it was started."""
        try:
            return float((self.folder / "seconds").read_text(encoding="utf-8"))
        except (OSError, ValueError):  # never filled, or a record of the time that is damaged: the features are not
            return 0.0

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        """The tensors of an item: maps [C, H, W] and hidden states [C, T]."""
        if not 0 <= index < self.total:
            raise IndexError(f"item {index}: the bank {self.name} has items 0 to {self.total - 1}")
        shard, row = divmod(index, self.shard)
        if shard not in self._open:
            path = self.folder / f"{shard:05d}"
            try:
                ends = np.load(path / "lengths.npy")
                arrays = [np.load(path / f"{place}.npy", mmap_mode="r") for place in range(ends.shape[1])]
            except (OSError, ValueError) as error:
                raise DataError(f"{path}: missing or damaged ({error}); delete the folder and fill it again") from error
            if len(self._open) >= MAX_OPEN:
                del self._open[next(iter(self._open))]
            self._open[shard] = ends, arrays
        ends, arrays = self._open[shard]
        item = []
        for place, array in enumerate(arrays):
            if array.ndim == 2:  # frames of all items one after another, [sum of T, C]
                item.append(torch.from_numpy(array[ends[row, place] : ends[row + 1, place]].T.copy()))
            else:
                item.append(torch.from_numpy(array[row].copy()))
        return tuple(item)
