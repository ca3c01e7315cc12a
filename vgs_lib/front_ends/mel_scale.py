"""The mel scale of the front ends: where a band lies in Hz, and which bands hold no frequency at all.

Slaney's scale (M. Slaney, Auditory Toolbox, 1998): 200/3 Hz a mel below 1000 Hz, and above it 27 mel for a factor of
6.4. Band b of F rises from edge b to its centre, edge b + 1, and falls to edge b + 2; the F + 2 edges are equally far
apart in mel. Legend: F mel bands.
"""

import numpy as np

_HZ_A_MEL = 200 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _HZ_A_MEL
_LOG_STEP = np.log(6.4) / 27


def hz_to_mel(hz: float | np.ndarray) -> np.ndarray:
    """Frequencies in Hz (0 or more) as mel, the same shape."""
    hz = np.asarray(hz, dtype=np.float64)
    above = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _HZ_A_MEL, above)


def mel_to_hz(mel: float | np.ndarray) -> np.ndarray:
    """Mel values as frequencies in Hz, the same shape."""
    mel = np.asarray(mel, dtype=np.float64)
    above = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _HZ_A_MEL, above)


def band_edges(num_bands: int, *, fmin: float = 20.0, fmax: float = 8000.0) -> np.ndarray:
    """The edges of ``num_bands`` mel bands from ``fmin`` to ``fmax`` Hz: [F + 2] in Hz, rising."""
    return mel_to_hz(np.linspace(hz_to_mel(fmin), hz_to_mel(fmax), num_bands + 2))


def band_centres(num_bands: int, *, fmin: float = 20.0, fmax: float = 8000.0) -> np.ndarray:
    """The centres of the mel bands: [F] in Hz. Band 0 is the lowest."""
    return band_edges(num_bands, fmin=fmin, fmax=fmax)[1:-1]


def empty_bands(num_bands: int, *, n_fft: int, sample_rate: int, fmin: float = 20.0, fmax: float = 8000.0) -> list[int]:
    """The bands between whose edges no frequency of an ``n_fft``-point transform lies: they are never lit.

    The frequencies of the transform are ``sample_rate / n_fft`` Hz apart.
    """
    edges = band_edges(num_bands, fmin=fmin, fmax=fmax)
    bins = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    inside = (bins > edges[:-2, None]) & (bins < edges[2:, None])
    return np.flatnonzero(~inside.any(axis=1)).tolist()
