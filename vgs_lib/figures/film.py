"""A matchmap as a film: the picture with its heat, frame by frame, and the caption as its sound, in one MP4 file.

This is how harwath2019 (section 5.6) shows matchmaps: a stack of heatmaps over the picture, played in step with the
speech. Output frame i is on the screen from i to i + 1 times 1 / frames_per_second; it shows the heat of the middle of
that time, so that picture and sound are never apart by more than half an output frame.

Shapes: H W grid, T frames of the matchmap, Y X pixels, N samples.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
import torchaudio
from PIL import Image

from vgs_lib import audio
from vgs_lib.clock import Clock
from vgs_lib.discovery import TimedWord
from vgs_lib.errors import AudioError, ImageError, VideoError
from vgs_lib.figures.film_frames import FilmFrames
from vgs_lib.prompting import Prompt
from vgs_lib.safe_files import write_atomically

VIDEO_ENCODERS = ("libx264", "libopenh264", "mpeg4")  # the first one that the installed PyAV has
AUDIO_ENCODERS = ("aac", "libmp3lame", "libopus")
AUDIO_RATE = 48000  # an AAC encoder begins 1,024 samples early: 21 ms, less than a frame, where a player ignores it
CHUNK = 1024  # samples that are encoded together
MAX_EMBEDDED = 150_000  # bytes of a video that may be stored in a notebook


@dataclass(frozen=True)
class Video:
    """A file that was written.

    Attributes:
        path: where.
        seconds: its length.
        num_frames: output frames.
        frames_per_second: output frames a second.
        size: (width, height) in pixels.
        picture_size: (width, height) of the picture in it, which is at the top; words, time and legend stand below.
        video_encoder: such as "libx264".
        audio_encoder: such as "aac".
    """

    path: Path
    seconds: float
    num_frames: int
    frames_per_second: int
    size: tuple[int, int]
    picture_size: tuple[int, int]
    video_encoder: str
    audio_encoder: str


def export(
    path: Path | str,
    heat: np.ndarray,
    picture: np.ndarray,
    waveform: np.ndarray,
    *,
    clock: Clock,
    rate: int = audio.SAMPLE_RATE,
    heat_range: tuple[float, float] = (0.0, 1.0),
    words: Sequence[TimedWord] = (),
    frames_per_second: int = 25,
    longest: int = 480,
    opacity: float = 0.75,
    threshold: float | None = None,
    quality: int = 23,
    progress: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Video | None:
    """Write a matchmap with its picture and sound as an MP4 file; the file is whole or not there.

    Args:
        path: ends in .mp4; an existing file is replaced when the new one is whole.
        heat: [T, H, W], 0-1, such as `Prompt.heat` or `vgs_lib.viz.heat_of` of a matchmap.
        picture: uint8 [Y, X, 3].
        waveform: [N], -1 to 1.
        clock: when the frames of ``heat`` are heard: ``Prompt.clock``.
        rate: samples per second of ``waveform``.
        heat_range: (low, high) similarities drawn as 0 and 1, for the legend.
        words: shown below the picture while they are heard.
        frames_per_second: 1 to 60.
        longest: pixels of the picture's longer side.
        opacity: of the heat, 0-1.
        threshold: similarity under which nothing is lit; None lights everything.
        quality: constant rate factor of H.264: 18 (large and fine) to 35 (small and coarse).
        progress: called with (done, total) output frames.
        should_stop: asked before each output frame; true ends early and leaves no file.

    Returns:
        What was written; None if it was stopped.

    Raises:
        VideoError: a path that cannot be written, an encoder that is missing, heat that is not [T, H, W] in 0-1,
            a range that is none, frames per second outside 1 to 60.
        ImageError: the picture is not uint8 [Y, X, 3].
        AudioError: the waveform is empty, not one channel or not finite.
    """
    path = Path(path)
    _check(path, heat, picture, waveform, frames_per_second)
    low, high = heat_range
    if not low < high:
        raise VideoError(f"heat_range: found {heat_range!r}, expected two numbers, the lower one first.")
    encoders = _encoder("video", VIDEO_ENCODERS), _encoder("audio", AUDIO_ENCODERS)
    cut = 0.0 if threshold is None else (threshold - low) / (high - low)
    duration = len(waveform) / rate
    frames = FilmFrames(
        np.asarray(heat, np.float32),
        picture,
        clock=clock,
        duration=duration,
        heat_range=heat_range,
        words=words,
        longest=longest,
        opacity=opacity,
        cut=cut,
    )
    count = max(1, math.ceil(round(duration * frames_per_second, 6)))
    sound = torchaudio.functional.resample(torch.from_numpy(np.array(waveform, np.float32)), rate, AUDIO_RATE)

    def write(temporary: Path) -> None:
        with av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as container:
            track = _Tracks(container, encoders, frames.size, frames_per_second, quality)
            for index in range(count):
                if should_stop():
                    raise _StoppedError
                track.picture(frames.at((index + 0.5) / frames_per_second), index)
                track.sound(sound, until=round((index + 1) / frames_per_second * AUDIO_RATE))
                progress(index + 1, count)
            track.sound(sound, until=len(sound), last=True)
            track.finish()

    try:
        write_atomically(path, write)
    except _StoppedError:
        return None
    except OSError as error:  # PyAV's own errors are OSErrors too
        raise VideoError(f"{path}: cannot be written ({error}); choose a folder that exists and has room.") from error
    seconds = count / frames_per_second
    return Video(path, seconds, count, frames_per_second, frames.size, frames.picture_size, *encoders)


def export_prompt(path: Path | str, prompt: Prompt, picture: np.ndarray, **options) -> Video | None:
    """`export` of what a prompt found in its ``picture`` (uint8 [Y, X, 3]); ``options`` are those of `export`."""
    scales = {"clock": prompt.clock, "heat_range": prompt.heat_range}
    return export(path, prompt.heat, picture, prompt.waveform, **scales, **options)


def embedded(video: Video, alt: str):
    """A video as an IPython output that is stored in the notebook; ``alt`` describes it to screen readers.

    Raises VideoError for files over 150 kB: a notebook should stay small.
    """
    from html import escape

    from IPython.display import Video as Shown

    size = video.path.stat().st_size
    if size > MAX_EMBEDDED:
        raise VideoError(
            f"{video.path}: {size / 1000:.0f} kB are too many to store in a notebook (at most {MAX_EMBEDDED // 1000}); "
            "export a shorter or smaller video, or open the file itself."
        )
    attributes = f'controls aria-label="{escape(alt, quote=True)}" width="{video.size[0]}"'
    return Shown(data=video.path.read_bytes(), embed=True, mimetype="video/mp4", html_attributes=attributes)


class _StoppedError(Exception):
    """Someone asked to stop."""


class _Tracks:
    """The two tracks of a file. Pictures and sound come in order of time."""

    def __init__(self, container, encoders: tuple[str, str], size: tuple[int, int], rate: int, quality: int):
        self.container = container
        self.pictures = container.add_stream(encoders[0], rate=rate)
        self.pictures.width, self.pictures.height = size
        self.pictures.pix_fmt = "yuv420p"
        if encoders[0] == "libx264":  # without B-frames the first picture is at 0 in every player
            self.pictures.options = {"crf": str(quality), "preset": "medium", "bf": "0", "tune": "stillimage"}
        else:
            self.pictures.bit_rate = 1_000_000
        self.sounds = container.add_stream(encoders[1], rate=AUDIO_RATE)
        self.sounds.codec_context.layout = "mono"
        self.sounds.bit_rate = 64_000
        self.done = 0  # samples encoded

    def picture(self, pixels: np.ndarray, index: int) -> None:
        frame = av.VideoFrame.from_image(Image.fromarray(pixels))
        frame.pts = index
        self.container.mux(self.pictures.encode(frame))

    def sound(self, samples: torch.Tensor, *, until: int, last: bool = False) -> None:
        """Encode whole chunks up to sample ``until``; the rest waits unless it is the last one."""
        while self.done < min(until, len(samples)) and (last or self.done + CHUNK <= len(samples)):
            chunk = samples[self.done : self.done + CHUNK].clamp(-1, 1).numpy()[None]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(chunk), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = AUDIO_RATE, self.done
            self.container.mux(self.sounds.encode(frame))
            self.done += chunk.shape[1]

    def finish(self) -> None:
        for stream in (self.pictures, self.sounds):
            self.container.mux(stream.encode(None))


def _encoder(kind: str, names: Sequence[str]) -> str:
    """The first of ``names`` that the installed PyAV can encode with."""
    for name in names:
        try:
            av.codec.Codec(name, "w")
        except ValueError:  # UnknownCodecError is one
            continue
        return name
    raise VideoError(
        f"PyAV {av.__version__} has none of the {kind} encoders {', '.join(names)}; install its wheel: pip install av"
    )


def _check(path: Path, heat, picture, waveform, frames_per_second: int) -> None:
    if path.suffix.lower() != ".mp4":
        raise VideoError(f"{path}: found the ending {path.suffix!r}, expected .mp4.")
    if not path.parent.is_dir():
        raise VideoError(f"{path}: there is no folder {path.parent}; make it first.")
    if path.is_dir():
        raise VideoError(f"{path}: this is a folder, expected a file.")
    heat, picture, waveform = np.asarray(heat), np.asarray(picture), np.asarray(waveform)
    if heat.ndim != 3 or 0 in heat.shape or not (0 <= heat.min() and heat.max() <= 1):
        raise VideoError(f"heat: found the shape {list(heat.shape)}, expected [T, H, W] with values from 0 to 1.")
    if not (isinstance(frames_per_second, int) and 1 <= frames_per_second <= 60):
        raise VideoError(f"frames_per_second: found {frames_per_second!r}, expected a whole number from 1 to 60.")
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ImageError(f"picture: found {picture.dtype} {list(picture.shape)}, expected uint8 [Y, X, 3].")
    if waveform.ndim != 1 or not len(waveform) or not np.isfinite(waveform).all():
        raise AudioError(f"waveform: found the shape {list(waveform.shape)}, expected [N], all of it finite.")
