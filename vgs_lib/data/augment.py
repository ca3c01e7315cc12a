"""Augmentation of speech for training: other speeds, pitches, rooms, microphones and noises.

Everything draws from a numpy generator. Nothing moves a word within its caption except :func:`change_speed`, which
returns the factor by which times shrink. Legend: N samples at 16 kHz, float32.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torchaudio.functional import fftconvolve, phase_vocoder, resample

from vgs_lib.audio import SAMPLE_RATE


@dataclass(frozen=True)
class Augmentation:
    """How strongly speech is changed: each ``*_chance`` is a probability, each range is drawn from uniformly."""

    speed: tuple[float, float] = (0.85, 1.18)
    speed_chance: float = 0.6
    pitch: tuple[float, float] = (0.85, 1.2)
    pitch_chance: float = 0.3
    gain_db: tuple[float, float] = (-18.0, 0.0)
    noise_chance: float = 0.5
    snr_db: tuple[float, float] = (5.0, 35.0)
    reverberation_chance: float = 0.35
    reverberation_seconds: tuple[float, float] = (0.08, 0.5)
    filter_chance: float = 0.6
    narrow_band_chance: float = 0.15

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """``waveform`` [N] changed, and the factor by which its times shrink (1.1: everything 1.1 times earlier)."""
        factor = 1.0
        if rng.random() < self.pitch_chance:
            waveform = change_pitch(waveform, rng.uniform(*self.pitch))
        if rng.random() < self.speed_chance:
            factor = rng.uniform(*self.speed)
            waveform, factor = change_speed(waveform, factor)
        if rng.random() < self.reverberation_chance:
            waveform = reverberate(waveform, rng, seconds=rng.uniform(*self.reverberation_seconds))
        if rng.random() < self.filter_chance:
            waveform = colour(waveform, rng)
        if rng.random() < self.noise_chance:
            waveform = with_noise(waveform, rng, snr_db=rng.uniform(*self.snr_db))
        if rng.random() < self.narrow_band_chance:
            waveform = narrow_band(waveform)
        gain = 10 ** (rng.uniform(*self.gain_db) / 20)
        peak = float(np.abs(waveform).max(initial=1e-6))
        return (waveform * (gain * 0.9 / peak)).astype(np.float32), factor


def change_speed(waveform: np.ndarray, factor: float) -> tuple[np.ndarray, float]:
    """Play ``factor`` times faster (pitch and formants move too); the sound and the factor really used."""
    played_at = round(SAMPLE_RATE * factor / 200) * 200
    sound = resample(torch.from_numpy(np.ascontiguousarray(waveform)), played_at, SAMPLE_RATE, lowpass_filter_width=4)
    return sound.numpy(), played_at / SAMPLE_RATE


def change_pitch(waveform: np.ndarray, factor: float) -> np.ndarray:
    """Move pitch and formants by ``factor`` and keep the length (a phase vocoder after a change of speed)."""
    faster, factor = change_speed(waveform, factor)
    n_fft, hop = 512, 128
    window = torch.hann_window(n_fft)
    spectrum = torch.stft(torch.from_numpy(faster), n_fft, hop, window=window, return_complex=True)
    advance = torch.linspace(0, torch.pi * hop, n_fft // 2 + 1)[:, None]
    stretched = phase_vocoder(spectrum, 1 / factor, advance)
    return torch.istft(stretched, n_fft, hop, window=window, length=len(waveform)).numpy()


def reverberate(waveform: np.ndarray, rng: np.random.Generator, *, seconds: float) -> np.ndarray:
    """A room: the sound convolved with decaying noise that falls by 60 dB in ``seconds``; length and onset stay."""
    length = max(2, round(seconds * SAMPLE_RATE))
    decay = 10 ** (-3 * np.arange(length) / length)
    tail = rng.standard_normal(length) * decay
    tail[: round(0.003 * SAMPLE_RATE)] = 0.0
    tail *= rng.uniform(0.2, 0.8) / (np.sqrt((tail**2).sum()) + 1e-9)
    tail[0] = 1.0
    return _convolved(waveform, tail)[: len(waveform)].astype(np.float32)


def colour(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A microphone: a random smooth frequency response within +-12 dB."""
    from scipy.signal import firwin2  # 60 MB of imports, which only training needs

    points = np.array([0, 150, 400, 1000, 2000, 3500, 5500, 8000]) / 8000
    decibels = np.cumsum(rng.normal(0, 3.0, len(points)))
    gains = 10 ** (np.clip(decibels - decibels[3], -12, 12) / 20)
    return _convolved(waveform, firwin2(129, points, gains), mode="same").astype(np.float32)


def _convolved(waveform: np.ndarray, kernel: np.ndarray, mode: str = "full") -> np.ndarray:
    return fftconvolve(torch.from_numpy(waveform.astype(np.float64)), torch.from_numpy(kernel), mode=mode).numpy()


def with_noise(waveform: np.ndarray, rng: np.random.Generator, *, snr_db: float) -> np.ndarray:
    """Add coloured noise (white to brown) at a signal-to-noise ratio in dB."""
    spectrum = np.fft.rfft(rng.standard_normal(len(waveform)))
    spectrum /= np.maximum(np.arange(len(spectrum)), 8) ** rng.uniform(0.0, 1.0)
    sound = np.fft.irfft(spectrum, len(waveform))
    level = np.sqrt((waveform**2).mean() / (sound**2).mean().clip(1e-12)) * 10 ** (-snr_db / 20)
    return (waveform + level * sound).astype(np.float32)


def narrow_band(waveform: np.ndarray) -> np.ndarray:
    """The band of an 8 kHz recording: nothing above 4 kHz."""
    sound = torch.from_numpy(np.ascontiguousarray(waveform))
    return resample(resample(sound, SAMPLE_RATE, 8000), 8000, SAMPLE_RATE)[: len(waveform)].numpy()
