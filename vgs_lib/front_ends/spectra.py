"""Log-mel and MFCC of the literature, Whisper's log-mel, and the raw waveform, padded, with lengths.

``LogMel`` is the front end of harwath2019 (section 4.2), ``Mfcc`` those of merkx2019 and zhang2020,
``WhisperLogMel`` that of the Whisper speech encoder, ``RawWaveform`` the absence of one (wav2vec 2.0,
HuBERT). Each waveform is treated by itself, so that a caption has the same frames alone and in any batch.

Shapes: B captions, F mel bands or coefficients, T frames, N samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torchaudio.functional
from torch import Tensor

from vgs_lib.errors import AudioError

SAMPLE_RATE = 16000


def num_frames(num_samples: int, *, hop: int = 160) -> int:
    """Frames of a centred short-time transform: frame t is centred on sample t * hop."""
    return num_samples // hop + 1


@dataclass(frozen=True, kw_only=True)
class LogMel:
    """Log-mel spectrogram of harwath2019 (section 4.2), in dB below the caption's loudest mel value.

    Mean removal; pre-emphasis; symmetric 25 ms Hamming windows centred every 10 ms over the reflected signal;
    power spectrum; mel bands on the Slaney scale with Slaney area normalisation
    (``torchaudio.functional.melscale_fbanks`` with norm and mel_scale "slaney"), 20 Hz to half the rate; 10
    log10 relative to the maximum, floored at -80. Padding is the floor: the published code pads with 0 dB,
    which is the loudest value.

    ``max_frames`` crops (2048 in the paper), None keeps all. ``window`` is "hamming" or "hann".
    Calling it with waveforms [N] at ``sample_rate`` gives features [B, F, T] float32 and lengths [B] int64.
    """

    num_bands: int = 40
    sample_rate: int = SAMPLE_RATE
    n_fft: int = 400
    window_seconds: float = 0.025
    hop_seconds: float = 0.01
    window: str = "hamming"
    preemphasis: float = 0.97
    fmin: float = 20.0
    fmax: float | None = None
    range_db: float = 80.0
    max_frames: int | None = None

    @property
    def pad_value(self) -> float:
        return -self.range_db

    def __call__(self, waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        return pad_frames([self._one(w) for w in _checked(waveforms)], self.pad_value)

    def _one(self, waveform: Tensor) -> Tensor:
        waveform = _preemphasis(waveform - waveform.mean(), self.preemphasis)
        power = _power(waveform, self.n_fft, self.window_seconds, self.hop_seconds, self.sample_rate, self.window)
        mel = _mel_bank(self.n_fft, self.fmin, self.fmax, self.num_bands, self.sample_rate).to(power) @ power
        decibels = 10 * torch.log10(mel.clamp(min=1e-10))
        decibels = (decibels - decibels.max()).clamp(min=-self.range_db)
        return decibels[:, : self.max_frames]


@dataclass(frozen=True, kw_only=True)
class Mfcc:
    """Mel-frequency cepstral coefficients, with deltas and mean-variance normalisation per caption.

    The defaults with ``deltas=2`` are the 39 values of merkx2019: 13 coefficients of which the first is the
    log energy, normalised per caption before the deltas. zhang2020 is ``Mfcc(num_coefficients=40,
    energy=False, normalise=False, sample_rate=22050, n_fft=551, max_frames=1024)``. Mel bands as in
    ``LogMel``, natural logarithm, orthonormal DCT-II. Padding is 0, the mean after normalisation.
    """

    num_coefficients: int = 13
    num_filters: int = 40
    deltas: int = 0
    energy: bool = True
    normalise: bool = True
    sample_rate: int = SAMPLE_RATE
    n_fft: int = 400
    window_seconds: float = 0.025
    hop_seconds: float = 0.01
    window: str = "hamming"
    preemphasis: float = 0.97
    fmin: float = 20.0
    fmax: float | None = None
    max_frames: int | None = None

    def __post_init__(self):
        if not 0 < self.num_coefficients <= self.num_filters or self.deltas not in (0, 1, 2):
            raise ValueError(
                f"Mfcc: found num_coefficients={self.num_coefficients}, num_filters={self.num_filters}, "
                f"deltas={self.deltas}; expected 1 <= coefficients <= filters and 0 to 2 orders of deltas."
            )

    @property
    def pad_value(self) -> float:
        return 0.0

    @property
    def num_bands(self) -> int:
        return self.num_coefficients * (1 + self.deltas)

    def __call__(self, waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        return pad_frames([self._one(w) for w in _checked(waveforms)], self.pad_value)

    def _one(self, waveform: Tensor) -> Tensor:
        waveform = _preemphasis(waveform - waveform.mean(), self.preemphasis)
        power = _power(waveform, self.n_fft, self.window_seconds, self.hop_seconds, self.sample_rate, self.window)
        mel = _mel_bank(self.n_fft, self.fmin, self.fmax, self.num_filters, self.sample_rate).to(power) @ power
        dct = torchaudio.functional.create_dct(self.num_coefficients, self.num_filters, "ortho").to(power)
        cepstra = dct.T @ mel.clamp(min=1e-10).log()
        if self.energy:
            cepstra = torch.cat([power.sum(dim=0, keepdim=True).clamp(min=1e-10).log(), cepstra[1:]])
        if self.normalise:
            deviation = cepstra.std(dim=1, correction=0, keepdim=True)
            cepstra = (cepstra - cepstra.mean(dim=1, keepdim=True)) / deviation.clamp(min=1e-5)
        orders = [cepstra]
        for _ in range(self.deltas):
            orders.append(torchaudio.functional.compute_deltas(orders[-1]))
        return torch.cat(orders)[:, : self.max_frames]


@dataclass(frozen=True, kw_only=True)
class WhisperLogMel:
    """Log-mel frames as Whisper's encoder expects them, for at most 30 s, without padding to 30 s.

    One hop of silence is appended, then 25 ms Hann windows every 10 ms over the reflected signal; 80 Slaney
    mel bands from 0 Hz; log10, at most 8 below the caption's maximum; (x + 4) / 4. Equal to
    ``FeatureExtractor`` of faster-whisper. A caption of 30 s gives 3,000 frames; a longer one raises
    AudioError. Padding is 0, which is also what the encoder's convolutions read beyond a caption.
    """

    num_bands: int = 80
    max_frames: int = 3000

    @property
    def hop_seconds(self) -> float:
        return 0.01

    @property
    def pad_value(self) -> float:
        return 0.0

    def __call__(self, waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        return pad_frames([self._one(w) for w in _checked(waveforms)], self.pad_value)

    def _one(self, waveform: Tensor) -> Tensor:
        if waveform.numel() > self.max_frames * 160:
            raise AudioError(
                f"The caption lasts {waveform.numel() / SAMPLE_RATE:.1f} s; this speech encoder takes at "
                f"most {self.max_frames / 100:g} s; cut it shorter."
            )
        waveform = torch.nn.functional.pad(waveform, (0, 160))
        power = _power(waveform, 400, 0.025, 0.01, SAMPLE_RATE, "hann")[:, :-1]
        mel = _mel_bank(400, 0.0, None, self.num_bands, SAMPLE_RATE).to(power) @ power
        logs = mel.clamp(min=1e-10).log10()
        return ((torch.maximum(logs, logs.max() - 8.0) + 4.0) / 4.0)[:, : self.max_frames]


@dataclass(frozen=True, kw_only=True)
class RawWaveform:
    """No features at all: samples as frames [B, 1, N], for encoders that read waveforms. Padding is 0."""

    sample_rate: int = SAMPLE_RATE
    num_bands: int = 1

    @property
    def hop_seconds(self) -> float:
        return 1.0 / self.sample_rate

    @property
    def pad_value(self) -> float:
        return 0.0

    def __call__(self, waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        return pad_frames([w[None] for w in _checked(waveforms)], self.pad_value)


FrontEnd = LogMel | Mfcc | WhisperLogMel | RawWaveform


def features_at_16k(front_end: FrontEnd, waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Waveforms [N] at 16 kHz through a front end, brought to its own rate first: features [B, F, T], lengths [B]."""
    rate = getattr(front_end, "sample_rate", SAMPLE_RATE)
    if rate != SAMPLE_RATE:
        waveforms = [torchaudio.functional.resample(torch.as_tensor(w).float(), SAMPLE_RATE, rate) for w in waveforms]
    return front_end(waveforms)


def pad_frames(features: Sequence[Tensor], pad_value: float) -> tuple[Tensor, Tensor]:
    """Features [F, T_i] stacked to [B, F, max T], filled with ``pad_value``, and lengths [B]; ValueError for none."""
    if not features:
        raise ValueError("features: found an empty list, expected at least one [F, T] tensor")
    lengths = torch.tensor([f.shape[-1] for f in features], device=features[0].device)
    batch = features[0].new_full((len(features), features[0].shape[0], int(lengths.max())), pad_value)
    for row, one in zip(batch, features, strict=True):
        row[:, : one.shape[-1]] = one
    return batch, lengths


def _checked(waveforms: Sequence[Tensor]) -> list[Tensor]:
    waveforms = [torch.as_tensor(w).float() for w in waveforms]
    if not waveforms:
        raise AudioError("waveforms: expected at least one caption, found none.")
    for index, waveform in enumerate(waveforms):
        if waveform.dim() != 1 or waveform.numel() == 0:
            raise AudioError(
                f"waveforms[{index}]: expected mono samples [N], N > 0, found shape {tuple(waveform.shape)}."
            )
    return waveforms


def _preemphasis(waveform: Tensor, coefficient: float) -> Tensor:
    return torch.cat([waveform[:1], waveform[1:] - coefficient * waveform[:-1]])


def _power(waveform: Tensor, n_fft: int, window_seconds: float, hop_seconds: float, rate: int, window: str) -> Tensor:
    """Power spectrum [n_fft // 2 + 1, T] of a waveform [N], which is filled up with zeros to a window."""
    length = round(rate * window_seconds)
    if window == "hamming":
        shape = torch.hamming_window(length, periodic=False, device=waveform.device)
    elif window == "hann":
        shape = torch.hann_window(length, device=waveform.device)
    else:
        raise ValueError(f'window: expected "hamming" or "hann", found {window!r}.')
    if waveform.numel() < n_fft:
        waveform = torch.nn.functional.pad(waveform, (0, n_fft - waveform.numel()))
    spectrum = torch.stft(
        waveform, n_fft, round(rate * hop_seconds), length, shape, pad_mode="reflect", return_complex=True
    )
    return spectrum.real.square() + spectrum.imag.square()


@lru_cache(maxsize=16)
def _mel_bank(n_fft: int, fmin: float, fmax: float | None, num_bands: int, rate: int) -> Tensor:
    """Slaney mel filters [F, n_fft // 2 + 1]."""
    return torchaudio.functional.melscale_fbanks(
        n_fft // 2 + 1, fmin, fmax or rate / 2, num_bands, rate, norm="slaney", mel_scale="slaney"
    ).T.contiguous()
