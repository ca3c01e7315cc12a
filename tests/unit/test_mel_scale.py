"""The mel scale: the same bands as torchaudio's filters, and which of them are empty."""

import numpy as np
import pytest
import torch
import torchaudio.functional

from vgs_lib.front_ends import LogMel
from vgs_lib.front_ends.mel_scale import band_centres, band_edges, empty_bands, hz_to_mel, mel_to_hz


def filters(num_bands, n_fft, rate, fmin, fmax):
    return torchaudio.functional.melscale_fbanks(
        n_fft // 2 + 1, fmin, fmax, num_bands, rate, norm=None, mel_scale="slaney"
    ).numpy()


def test_known_values_and_the_way_back():
    assert hz_to_mel(1000.0) == pytest.approx(15) and hz_to_mel(0.0) == 0
    assert hz_to_mel(6400.0) == pytest.approx(15 + 27)
    hertz = np.array([0.0, 20, 333, 999, 1000, 1001, 4000, 8000])
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hertz)), hertz, atol=1e-9)


@pytest.mark.parametrize(("num_bands", "fmin", "fmax"), [(40, 20.0, 8000.0), (24, 300.0, 3400.0)])
def test_bands_are_those_of_torchaudio(num_bands, fmin, fmax):
    weights = filters(num_bands, 4096, 16000, fmin, fmax)
    bins = np.arange(2049) * 16000 / 4096
    centres = band_centres(num_bands, fmin=fmin, fmax=fmax)
    np.testing.assert_allclose(bins[weights.argmax(axis=0)], centres, atol=16000 / 4096 / 2 + 1e-6)
    edges = band_edges(num_bands, fmin=fmin, fmax=fmax)
    assert edges[0] == pytest.approx(fmin) and edges[-1] == pytest.approx(fmax) and len(edges) == num_bands + 2


@pytest.mark.filterwarnings("ignore:At least one mel")
@pytest.mark.parametrize(("num_bands", "n_fft"), [(40, 400), (80, 256), (128, 400), (4, 128)])
def test_empty_bands_are_the_filters_without_weight(num_bands, n_fft):
    weights = filters(num_bands, n_fft, 16000, 20.0, 8000.0)
    wanted = np.flatnonzero(weights.max(axis=0) == 0).tolist()
    assert empty_bands(num_bands, n_fft=n_fft, sample_rate=16000) == wanted


def test_a_tone_lights_the_band_of_its_frequency():
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(16000) / 16000)
    band = int(LogMel()([tone])[0][0].mean(dim=1).argmax())
    assert abs(band_centres(40) - 1000).argmin() == band
