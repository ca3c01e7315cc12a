"""Sound in: reading, mixing down, resampling and checking recordings; the front ends are exported too.

Shapes: N samples, C channels.
"""

import io
import math
import os
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import soundfile
import torch
import torchaudio.functional
from torch import Tensor

from vgs_lib.errors import AudioError
from vgs_lib.front_ends import (
    SAMPLE_RATE,
    FrontEnd,
    LogMel,
    Mfcc,
    RawWaveform,
    WhisperLogMel,
    num_frames,
    pad_frames,
)

__all__ = [
    "SAMPLE_RATE",
    "FrontEnd",
    "LogMel",
    "Mfcc",
    "RawWaveform",
    "WhisperLogMel",
    "check_speech",
    "num_frames",
    "pad_frames",
    "read_audio",
    "read_speech",
    "to_mono_16k",
]

MIN_SECONDS = 0.1
SILENCE_DBFS = -60.0
_MAX_RATE = 768_000
_MAX_CHANNELS = 64


def read_audio(
    source: str | os.PathLike | bytes | BinaryIO, *, max_seconds: float | None = 30.0, name: str | None = None
) -> tuple[Tensor, int]:
    """Read a recording with libsndfile (WAV, FLAC, OGG, MP3, ...) and mix it down to mono.

    Arguments: ``source`` is a path, the bytes of a file or an open binary file; ``max_seconds`` is the
    longest recording accepted, None for any; length is checked before any sample is read; ``name`` is what
    errors call it, None for the path or else "the recording".
    Returns the samples [N] float32 in -1..1 and their rate in Hz.
    Raises AudioError when the source is missing, no sound file, empty or too long.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        name, size, file = name or "the recording", len(source), io.BytesIO(source)
    elif isinstance(source, str | os.PathLike):
        name, file = name or str(source), Path(source)
        if not file.exists():
            raise AudioError(f"{name}: there is no such file; give the path of a sound file (WAV, FLAC, OGG or MP3).")
        if not file.is_file():
            raise AudioError(f"{name}: this is a folder, not a sound file; give the path of one recording.")
        size, file = file.stat().st_size, str(file)
    else:
        name, size, file = name or getattr(source, "name", None) or "the recording", None, source
    if size == 0:
        raise AudioError(f"{name}: the file is empty (0 bytes); record it again or choose another file.")
    try:
        with soundfile.SoundFile(file) as sound:
            _check_header(name, sound.frames, sound.samplerate, sound.channels, max_seconds)
            samples = sound.read(frames=sound.frames, dtype="float32", always_2d=True)
            rate = sound.samplerate
    except (soundfile.SoundFileError, OSError) as error:
        reason = str(getattr(error, "error_string", error)).rstrip(".")  # without libsndfile's name for the source
        raise AudioError(
            f"{name}: cannot be read as sound ({reason}); expected a WAV, FLAC, OGG or MP3 recording."
        ) from error
    if len(samples) == 0:
        raise AudioError(f"{name}: the recording has no samples; record it again or choose another file.")
    return torch.from_numpy(samples).mean(dim=1), rate


def _check_header(name: str, frames: int, rate: int, channels: int, max_seconds: float | None) -> None:
    if frames <= 0:
        raise AudioError(f"{name}: the recording has no samples; record it again or choose another file.")
    if not 0 < rate <= _MAX_RATE or channels > _MAX_CHANNELS:
        raise AudioError(
            f"{name}: found {channels} channels at {rate} Hz; expected at most {_MAX_CHANNELS} channels and "
            f"{_MAX_RATE} Hz; convert the recording to 16 kHz mono."
        )
    seconds = frames / rate
    if max_seconds is not None and seconds > max_seconds:
        raise AudioError(
            f"{name}: the recording lasts {seconds:.1f} s, at most {max_seconds:g} s are allowed; cut it shorter."
        )


def to_mono_16k(waveform: Tensor, rate: int) -> Tensor:
    """Mix a waveform down to mono and resample it to 16 kHz.

    Arguments: ``waveform`` [N] or [C, N] (channels first), floating point; ``rate`` in Hz.
    Returns [round up of N * 16000 / rate] float32. Rates whose exact ratio would need a huge filter bank
    (44,101 Hz) are treated as the closest ratio of denominator 1,000 (off by less than one sample in a
    million).
    Raises AudioError for another shape, integers or an impossible rate.
    """
    waveform = torch.as_tensor(waveform)
    if waveform.dim() not in (1, 2) or not waveform.is_floating_point():
        raise AudioError(
            f"waveform: expected floating-point samples [N] or [C, N], found {waveform.dtype} of shape "
            f"{tuple(waveform.shape)}; scale integers to -1..1 first."
        )
    if not 0 < rate <= _MAX_RATE:
        raise AudioError(f"rate: expected 1 to {_MAX_RATE} Hz, found {rate}.")
    if waveform.dim() == 2:
        if not 0 < waveform.shape[0] <= _MAX_CHANNELS:
            raise AudioError(
                f"waveform: found {waveform.shape[0]} channels, expected 1 to {_MAX_CHANNELS}; channels come "
                "first ([C, N]), so transpose [N, C]."
            )
        waveform = waveform.mean(dim=0)
    waveform = waveform.float()
    ratio = Fraction(int(rate), SAMPLE_RATE).limit_denominator(1000)
    if ratio == 1 or waveform.numel() == 0:
        return waveform
    if ratio == 0:
        raise AudioError(f"rate: {rate} Hz holds no speech; expected 1000 Hz or more.")
    return torchaudio.functional.resample(waveform, ratio.numerator, ratio.denominator)


def check_speech(waveform: Tensor, *, rate: int = SAMPLE_RATE) -> Tensor:
    """Return the mono waveform [N] if it can hold speech.

    Raises AudioError when it is empty, shorter than 0.1 s, not finite, or silent (RMS below -60 dB of full
    scale).
    """
    if waveform.dim() != 1:
        raise AudioError(f"waveform: expected mono samples [N], found shape {tuple(waveform.shape)}.")
    if waveform.numel() == 0:
        raise AudioError("The recording is empty (no samples); record again.")
    seconds = waveform.numel() / rate
    if seconds < MIN_SECONDS:
        raise AudioError(f"The recording lasts {seconds:.3f} s; at least {MIN_SECONDS} s are needed; record again.")
    if not torch.isfinite(waveform).all():
        raise AudioError("The recording has samples that are not finite numbers; record or convert it again.")
    rms = waveform.double().square().mean().sqrt().item()
    if rms < 10 ** (SILENCE_DBFS / 20):
        level = f"{20 * math.log10(rms):.0f} dB of full scale" if rms > 0 else "all samples are zero"
        raise AudioError(f"The recording is silent ({level}); check the microphone and speak louder.")
    return waveform


def read_speech(source: str | os.PathLike | bytes | BinaryIO, *, max_seconds: float | None = 30.0) -> Tensor:
    """Read, mix down, resample and check a recording: 16 kHz samples [N] float32, or AudioError."""
    return check_speech(to_mono_16k(*read_audio(source, max_seconds=max_seconds)))
