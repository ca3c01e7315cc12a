"""MFCC of zhang2020 and merkx2019 against a naive computation, and the front ends of the documents by name."""

import numpy as np
import pytest
import torch
from test_audio import naive_deltas, speech_like

from vgs_lib.front_ends import LogMel, Mfcc, features_at_16k
from vgs_lib.front_ends.named import FRONT_ENDS, make_front_end


def slaney_bank(num_bands: int, n_fft: int, rate: int) -> np.ndarray:
    """Triangles of unit area from 20 Hz to half the rate, [F, n_fft // 2 + 1]; bins as torchaudio places them."""

    def to_mel(hertz):
        return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)

    def to_hertz(mel):
        return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    corners = [to_hertz(m) for m in np.linspace(to_mel(20), to_mel(rate / 2), num_bands + 2)]
    bins = np.linspace(0, rate // 2, n_fft // 2 + 1)
    bank = np.zeros((num_bands, len(bins)))
    for band in range(num_bands):
        left, centre, right = corners[band : band + 3]
        for k, hertz in enumerate(bins):
            bank[band, k] = max(0, min((hertz - left) / (centre - left), (right - hertz) / (right - centre)))
        bank[band] *= 2 / (right - left)
    return bank


def naive_cepstra(waveform: np.ndarray, *, rate: int, n_fft: int, hop: int, num: int) -> tuple[np.ndarray, np.ndarray]:
    """Cepstra [num, T] and log energy [T] of windows of n_fft samples, by explicit sums."""
    waveform = waveform - waveform.mean()
    waveform = np.concatenate([waveform[:1], waveform[1:] - 0.97 * waveform[:-1]])
    half = n_fft // 2
    padded = np.concatenate([waveform[half:0:-1], waveform, waveform[-2 : -half - 2 : -1]])
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(n_fft) / (n_fft - 1))
    waves = np.exp(-2j * np.pi * np.outer(np.arange(half + 1), np.arange(n_fft)) / n_fft)
    bank = slaney_bank(40, n_fft, rate)
    cepstra, energy = [], []
    for start in range(0, len(padded) - n_fft + 1, hop):
        power = np.abs(waves @ (padded[start : start + n_fft] * window)) ** 2
        logs = np.log(np.maximum(bank @ power, 1e-10))
        values = [sum(logs[m] * np.cos(np.pi * k * (2 * m + 1) / 80) for m in range(40)) for k in range(num)]
        cepstra.append([v * np.sqrt((1 if k == 0 else 2) / 40) for k, v in enumerate(values)])
        energy.append(np.log(power.sum()))
    return np.array(cepstra).T, np.array(energy)


def test_zhang2020_equals_naive():
    front_end = make_front_end("zhang2020")
    assert (front_end.num_filters, front_end.n_fft, front_end.max_frames, front_end.num_bands) == (40, 551, 1024, 40)
    assert round(front_end.sample_rate * front_end.window_seconds) == 551  # the window fills the transform
    waveform = speech_like(6615)
    features, lengths = front_end([waveform])
    expected, _ = naive_cepstra(waveform.double().numpy(), rate=22050, n_fft=551, hop=220, num=40)
    assert lengths.tolist() == [expected.shape[1]]
    np.testing.assert_allclose(features[0].numpy(), expected, atol=0.02)


def test_zhang2020_hears_ten_seconds():
    front_end = make_front_end("zhang2020")
    assert 1024 * round(22050 * front_end.hop_seconds) / 22050 == pytest.approx(10.2, abs=0.05)
    features, lengths = features_at_16k(front_end, [speech_like(16000 * 11), speech_like(16000)])
    assert features.shape == (2, 40, 1024) and lengths.tolist() == [1024, 101]


def test_merkx2019_equals_naive():
    front_end = make_front_end("merkx2019")
    waveform = speech_like(8000)
    features, lengths = front_end([waveform])
    cepstra, energy = naive_cepstra(waveform.double().numpy(), rate=16000, n_fft=400, hop=160, num=13)
    cepstra[0] = energy  # 13 including the energy
    cepstra = (cepstra - cepstra.mean(axis=1, keepdims=True)) / cepstra.std(axis=1, keepdims=True)
    expected = np.concatenate([cepstra, naive_deltas(cepstra), naive_deltas(naive_deltas(cepstra))])
    assert front_end.num_bands == 39 == features.shape[1] and lengths.tolist() == [51]
    np.testing.assert_allclose(features[0].numpy(), expected, atol=0.01)
    static = features[0, :13]
    torch.testing.assert_close(static.mean(dim=1), torch.zeros(13), atol=1e-4, rtol=0)
    torch.testing.assert_close(static.std(dim=1, correction=0), torch.ones(13), atol=1e-4, rtol=0)
    assert features[0, 13:26].std() < 0.9  # deltas are not normalised again


def test_front_ends_by_name():
    assert make_front_end(None) == make_front_end("logmel") == LogMel()
    assert make_front_end(None, "merkx2019") == Mfcc(deltas=2)
    mine = LogMel(num_bands=20)
    assert make_front_end(mine, "merkx2019") is mine
    assert make_front_end("ni2018").max_frames == 1024 and make_front_end("harwath2019").max_frames == 2048
    with pytest.raises(ValueError, match=r"front_end: expected one of .*'zhang2020'.*, found 'mfcc'"):
        make_front_end("mfcc")
    for front_end in FRONT_ENDS.values():
        features, lengths = features_at_16k(front_end, [speech_like(4000)])
        assert features.shape == (1, front_end.num_bands, lengths.item())
