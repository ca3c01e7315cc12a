"""Pairs of a picture and a sound from a folder of videos, for pre-training on natural sounds (harwath2019, 4.5).

A pair is a stretch of a video's sound, of 10 seconds as in the published work, and one frame from within it. Files are
decoded when a batch asks for them (PyAV); nothing is kept.

Legend: B pairs, N samples at 16 kHz, H W pixels.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vgs_lib.audio import SAMPLE_RATE
from vgs_lib.batches.banks import Filling
from vgs_lib.batches.frozen_features import speech_features
from vgs_lib.data.loading import Batch, collate
from vgs_lib.data.scenes import generator
from vgs_lib.errors import DataError, TrainingError
from vgs_lib.model import DualEncoder

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ogv")
HELD_OUT = 5  # every fifth video, in an order by hash, is for validation
DECODERS = 4  # files that are read at once


@dataclass(frozen=True)
class VideoData:
    """batch_size: videos of a batch. seconds: of sound. size: side of the square picture, in pixels. seed: of all."""

    batch_size: int = 64
    seconds: float = 10.0
    size: int = 224
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 2), ("seconds", 0.1), ("size", 32)):
            if getattr(self, name) < least:
                raise TrainingError(f"{name}: found {getattr(self, name)}, expected at least {least}")


def video_pairs(folder: Path | str, split: str = "train") -> list[Path]:
    """The video files of a split in a folder and the folders in it, by name; :class:`DataError` for fewer than two.

    split: "train", "validation" (every fifth, in the order of the hashes of their paths within the folder) or "all".
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of videos, found none")
    if split not in ("train", "validation", "all"):
        raise DataError(f"no split of videos is called {split!r}; there are train, validation and all")
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES and f.is_file())
    if split != "all":
        order = sorted(files, key=lambda f: hashlib.sha256(f.relative_to(folder).as_posix().encode()).digest())
        files = sorted(f for i, f in enumerate(order) if (i % HELD_OUT == 0) == (split == "validation"))
    if len(files) < 2:
        raise DataError(
            f"{folder}: found {len(files)} videos of the split {split!r}, expected 2 or more; files end in "
            f"{', '.join(SUFFIXES)}, and every fifth is of the split 'validation'"
        )
    return files


def digest_of(files: Sequence[Path]) -> str:
    """A name for these files: their names and sizes, in order."""
    return hashlib.sha256("\n".join(f"{f.name} {f.stat().st_size}" for f in files).encode()).hexdigest()[:16]


def read_pair(file: Path, *, place: float, frame: float, seconds: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A stretch of a video's sound and a frame of it.

    Args:
        place: where the stretch lies, 0 (at the begin) to 1 (at the end).
        frame: where in the stretch the frame is taken, 0 to 1.
        seconds: length of the stretch; a shorter video gives all it has.
        size: side in pixels of the square from the middle of the frame.

    Returns uint8 [size, size, 3] and float32 [N] at 16 kHz. Raises :class:`DataError` for a file that cannot be read or
    has no picture or no sound.
    """
    with _opened(file) as container:
        if not container.streams.video or not container.streams.audio:
            missing = "sound" if container.streams.video else "picture"
            raise DataError(f"{file}: this video has no {missing}; take it out of the folder")
        heard = container.streams.audio[0]
        whole = (container.duration or 0) / av.time_base
        if heard.duration is not None:  # the sound may end before the picture
            whole = min(whole, float(heard.duration * heard.time_base))
        start = place * max(0.0, whole - seconds)
        sound = _sound(container, start, seconds)
    if not len(sound):
        raise DataError(f"{file}: its sound has no samples; take it out of the folder")
    with _opened(file) as container:
        picture = _frame(container, start + frame * min(seconds, len(sound) / SAMPLE_RATE))
    if picture is None:
        raise DataError(f"{file}: no frame can be decoded; take it out of the folder")
    return _square(picture, size), sound


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    try:
        with av.open(str(file)) as container:
            yield container
    except (OSError, ValueError) as error:  # PyAV's own errors are one or the other
        raise DataError(f"{file}: cannot be read as a video ({error}); take it out of the folder") from error


def _seek(container: Any, seconds: float) -> float:
    """Go to the last key frame before a time; the time, from the file's own begin."""
    begin = (container.start_time or 0) / av.time_base
    if seconds > 0:
        container.seek(round((begin + seconds) * av.time_base))
    return begin + seconds


def _sound(container: Any, start: float, seconds: float) -> np.ndarray:
    wanted, at = round(seconds * SAMPLE_RATE), _seek(container, start)
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    pieces, held, skip = [], 0, None
    for coded in container.decode(audio=0):
        if skip is None:  # the key frame may lie before the wanted time
            skip = max(0, round((at - (coded.time or 0.0)) * SAMPLE_RATE))
        for plain in resampler.resample(coded):
            pieces.append(plain.to_ndarray().reshape(-1))
            held += len(pieces[-1])
        if held >= skip + wanted:
            break
    else:
        pieces += [plain.to_ndarray().reshape(-1) for plain in resampler.resample(None)]
    joined = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    first = skip or 0
    return joined[first : first + wanted].astype(np.float32)


def _frame(container: Any, seconds: float) -> np.ndarray | None:
    """The frame that is on the screen at a time, uint8 [H, W, 3]; the last one where the picture ends before."""
    at, last = _seek(container, seconds), None
    for frame in container.decode(video=0):
        if last is not None and frame.time is not None and frame.time > at:
            break
        last = frame
    return None if last is None else last.to_ndarray(format="rgb24")


def _square(picture: np.ndarray, size: int) -> np.ndarray:
    """The square in the middle of [H, W, 3], at ``size`` pixels a side."""
    side = min(picture.shape[:2])
    top, left = ((edge - side) // 2 for edge in picture.shape[:2])
    square = Image.fromarray(picture[top : top + side, left : left + side])
    return np.array(square.resize((size, size), Image.Resampling.BILINEAR))


class VideoBatches:
    """``batches[step]``: one pair of each of ``batch_size`` videos, a pure function of the step.

    Every video comes once, at a place of its own, before one comes again. files: from :func:`video_pairs`.
    """

    def __init__(self, model: DualEncoder, files: Sequence[Path], data: VideoData):
        self.files, self.data = tuple(files), data
        self.audio_encoder = model.audio_encoder
        self.audio_is_features = getattr(self.audio_encoder, "backbone_frozen", False)
        if data.batch_size > len(self.files):
            raise TrainingError(
                f"batch_size: found {data.batch_size}, but there are {len(self.files)} videos; choose a smaller batch"
            )

    @property
    def settings(self) -> dict[str, Any]:
        """What a resumed run must have in common with this one."""
        return {**asdict(self.data), "videos": digest_of(self.files)}

    def fill(self) -> Iterator[Filling]:
        """Nothing is computed ahead."""
        return iter(())

    def _chosen(self, step: int) -> list[tuple[Path, float, float]]:
        """(file, place of the stretch, place of the frame in it) of the pairs of batch ``step``."""
        size = self.data.batch_size
        round_, place = divmod(step, len(self.files) // size)
        order = generator("video batches", self.data.seed, round_).permutation(len(self.files))
        places = generator("video places", self.data.seed, step).random((size, 2))
        few = order[place * size : (place + 1) * size]
        return [(self.files[i], float(where), float(frame)) for i, (where, frame) in zip(few, places, strict=True)]

    def _read(self, chosen: tuple[Path, float, float]) -> tuple[np.ndarray, np.ndarray]:
        file, place, frame = chosen
        return read_pair(file, place=place, frame=frame, seconds=self.data.seconds, size=self.data.size)

    def __getitem__(self, step: int) -> Batch:
        with ThreadPoolExecutor(DECODERS) as pool:
            pairs = list(pool.map(self._read, self._chosen(step)))
        pictures: list[Tensor] = [torch.from_numpy(picture).permute(2, 0, 1) for picture, _ in pairs]
        return collate(
            pictures,
            speech_features(self.audio_encoder, [torch.from_numpy(sound) for _, sound in pairs]),
            pad_value=0.0 if self.audio_is_features else self.audio_encoder.front_end.pad_value,
            audio_is_features=self.audio_is_features,
        )
