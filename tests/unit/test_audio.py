"""Reading sound, and the front ends against implementations written independently here."""

import io

import numpy as np
import pytest
import soundfile
import torch
from faster_whisper.feature_extractor import FeatureExtractor

from vgs_lib.audio import (
    SAMPLE_RATE,
    LogMel,
    Mfcc,
    RawWaveform,
    WhisperLogMel,
    check_speech,
    num_frames,
    read_audio,
    read_speech,
    to_mono_16k,
)
from vgs_lib.errors import AudioError

FRONT_ENDS = [LogMel(), Mfcc(deltas=2), WhisperLogMel(), RawWaveform()]


def speech_like(num_samples: int, seed: int = 0) -> torch.Tensor:
    """A buzzing sound [N] whose pitch and loudness change, with some noise and an offset."""
    generator = torch.Generator().manual_seed(seed)
    seconds = torch.arange(num_samples) / SAMPLE_RATE
    phase = 2 * torch.pi * (120 + 10 * seed) * seconds + 3 * torch.sin(5 * seconds)
    voice = sum(torch.sin(k * phase) / k for k in range(1, 20))
    noise = 0.01 * torch.randn(num_samples, generator=generator)
    return 0.1 * voice * (0.6 + 0.4 * torch.sin(9 * seconds + seed)) + noise + 0.02


def tone(seconds: float, rate: int, hertz: float = 440.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def as_file(samples: np.ndarray, rate: int, kind: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind)
    return file.getvalue()


# Naive twins, in NumPy and float64.


def slaney_mel_bank(num_bands: int, n_fft: int, rate: int, fmin: float) -> np.ndarray:
    """Triangles of unit area on Slaney's scale, logarithmic above 1 kHz: [F, n_fft // 2 + 1]."""

    def to_mel(hertz):
        return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)

    def to_hertz(mel):
        return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    corners = [to_hertz(m) for m in np.linspace(to_mel(fmin), to_mel(rate / 2), num_bands + 2)]
    bank = np.zeros((num_bands, n_fft // 2 + 1))
    for band in range(num_bands):
        left, centre, right = corners[band : band + 3]
        for k in range(n_fft // 2 + 1):
            hertz = k * rate / n_fft
            slope = min((hertz - left) / (centre - left), (right - hertz) / (right - centre))
            bank[band, k] = max(0.0, slope) * 2 / (right - left)
    return bank


def naive_power(waveform: np.ndarray, preemphasis: float = 0.97) -> np.ndarray:
    """Power spectrum [201, T] of 25 ms Hamming windows every 10 ms."""
    waveform = waveform - waveform.mean()
    waveform = np.concatenate([waveform[:1], waveform[1:] - preemphasis * waveform[:-1]])
    padded = np.concatenate([waveform[200:0:-1], waveform, waveform[-2:-202:-1]])
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 399)
    frames = [padded[start : start + 400] * window for start in range(0, len(waveform) + 1, 160)]
    return np.array([np.abs(np.fft.rfft(f)) ** 2 for f in frames]).T


def naive_logmel(waveform: np.ndarray) -> np.ndarray:
    mel = slaney_mel_bank(40, 400, 16000, 20.0) @ naive_power(waveform)
    decibels = 10 * np.log10(np.maximum(mel, 1e-10) / max(mel.max(), 1e-10))
    return np.maximum(decibels, -80)


def naive_deltas(x: np.ndarray) -> np.ndarray:
    """Slope over five frames, the edges repeated."""
    padded = np.pad(x, ((0, 0), (2, 2)), mode="edge")
    num = x.shape[1]
    return sum(n * (padded[:, 2 + n : 2 + n + num] - padded[:, 2 - n : 2 - n + num]) for n in (1, 2)) / 10


@pytest.mark.parametrize("num_samples", [1600, 16000, 15999, 40321])
def test_logmel_equals_naive(num_samples):
    waveform = speech_like(num_samples)
    features, lengths = LogMel()([waveform])
    expected = naive_logmel(waveform.double().numpy())
    assert features.dtype == torch.float32
    assert lengths.tolist() == [expected.shape[1]] == [num_frames(num_samples)]
    np.testing.assert_allclose(features[0].numpy(), expected, atol=0.02)
    assert features.max() == 0 and features.min() > -80


def test_logmel_floor_and_padding():
    quiet = torch.cat([speech_like(8000), torch.full((8000,), 0.02)])
    features, lengths = LogMel(range_db=60)([quiet, speech_like(3200)])
    assert lengths.tolist() == [101, 21]
    assert (features[0, :, 60:] == -60).all() and features[0, :, :40].min() > -60
    assert (features[1, :, 21:] == -60).all() and features[1, :, :21].max() == 0
    assert LogMel().pad_value == -80


def test_logmel_crop_keeps_the_level_of_the_whole_caption():
    loud_end = torch.cat([0.1 * speech_like(16000), speech_like(16000)])
    whole, _ = LogMel()([loud_end])
    cropped, lengths = LogMel(max_frames=60)([loud_end])
    assert lengths.tolist() == [60]
    assert torch.equal(cropped, whole[:, :, :60]) and cropped.max() < -10


def test_mfcc_equals_naive():
    waveform = speech_like(16000)
    power = naive_power(waveform.double().numpy())
    logs = np.log(np.maximum(slaney_mel_bank(40, 400, 16000, 20.0) @ power, 1e-10))
    n, k = np.arange(40), np.arange(13)[:, None]
    dct = np.cos(np.pi * k * (2 * n + 1) / 80) * np.sqrt(2 / 40)
    dct[0] /= np.sqrt(2)
    cepstra = dct @ logs
    plain, _ = Mfcc(energy=False, normalise=False)([waveform])
    np.testing.assert_allclose(plain[0].numpy(), cepstra, atol=0.01)

    cepstra[0] = np.log(power.sum(axis=0))
    cepstra = (cepstra - cepstra.mean(axis=1, keepdims=True)) / cepstra.std(axis=1, keepdims=True)
    expected = np.concatenate([cepstra, naive_deltas(cepstra), naive_deltas(naive_deltas(cepstra))])
    full = Mfcc(deltas=2)
    features, lengths = full([waveform])
    assert full.num_bands == 39 == features.shape[1] and lengths.tolist() == [101]
    np.testing.assert_allclose(features[0].numpy(), expected, atol=0.01)


def test_mfcc_of_zhang2020_and_bad_options():
    front_end = Mfcc(num_coefficients=40, energy=False, normalise=False, sample_rate=22050, n_fft=551, max_frames=1024)
    features, lengths = front_end([speech_like(22050 * 11)])
    assert features.shape == (1, 40, 1024) and lengths.tolist() == [1024]
    with pytest.raises(ValueError, match="num_filters=10"):
        Mfcc(num_coefficients=13, num_filters=10)
    with pytest.raises(ValueError, match="hamming"):
        LogMel(window="boxcar")([speech_like(1600)])


@pytest.mark.parametrize("num_samples", [1600, 16000, 15999, 70001])
def test_whisper_logmel_equals_faster_whisper(num_samples):
    waveform = speech_like(num_samples)
    features, lengths = WhisperLogMel()([waveform])
    expected = FeatureExtractor()(waveform.numpy())
    assert lengths.tolist() == [expected.shape[1]]
    np.testing.assert_allclose(features[0].numpy(), expected, atol=1e-4)


def test_whisper_logmel_takes_at_most_thirty_seconds():
    features, lengths = WhisperLogMel()([speech_like(480000)])
    assert features.shape == (1, 80, 3000) and lengths.tolist() == [3000]
    with pytest.raises(AudioError, match=r"30\.0 s; .* at most 30 s"):
        WhisperLogMel()([speech_like(480001)])


@pytest.mark.parametrize("front_end", FRONT_ENDS, ids=lambda f: type(f).__name__)
def test_a_caption_alone_equals_it_in_a_batch(front_end):
    waveforms = [speech_like(n, seed) for seed, n in enumerate((16000, 1600, 24555, 300))]
    batch, lengths = front_end(waveforms)
    assert batch.shape == (4, front_end.num_bands, lengths.max())
    for row, length, waveform in zip(batch, lengths, waveforms, strict=True):
        alone, (num,) = front_end([waveform])
        assert num == length and torch.equal(alone[0], row[:, :length])
        assert (row[:, length:] == front_end.pad_value).all()


@pytest.mark.parametrize("front_end", FRONT_ENDS, ids=lambda f: type(f).__name__)
def test_hop_gives_the_clock(front_end):
    _, (length,) = front_end([speech_like(32000)])
    assert length * front_end.hop_seconds == pytest.approx(2.0, abs=0.011)


@pytest.mark.parametrize("front_end", FRONT_ENDS, ids=lambda f: type(f).__name__)
def test_front_ends_refuse_what_is_no_caption(front_end):
    with pytest.raises(AudioError, match="at least one"):
        front_end([])
    with pytest.raises(AudioError, match=r"waveforms\[1\].*N > 0"):
        front_end([speech_like(1600), torch.zeros(0)])
    with pytest.raises(AudioError, match="mono"):
        front_end([torch.zeros(2, 1600)])


# Reading and resampling.


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG"])
def test_read_path_bytes_and_file(tmp_path, kind):
    data = as_file(tone(0.5, 22050), 22050, kind)
    path = tmp_path / "word"
    path.write_bytes(data)
    for source in (path, str(path), data, io.BytesIO(data)):
        samples, rate = read_audio(source)
        assert rate == 22050 and samples.dtype == torch.float32 and samples.shape == (11025,)
        assert np.abs(samples.numpy() - tone(0.5, 22050)).mean() < 0.01


def test_stereo_is_averaged():
    left, right = tone(0.2, 16000, 300), tone(0.2, 16000, 700)
    samples, _ = read_audio(as_file(np.stack([left, right], axis=1), 16000))
    np.testing.assert_allclose(samples.numpy(), (left + right) / 2, atol=1e-4)
    both = torch.from_numpy(np.stack([left, right]))
    assert torch.allclose(to_mono_16k(both, 16000), both.mean(dim=0))


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 44101, 48000, 96000, 192000])
def test_any_rate_keeps_pitch_and_duration(rate):
    waveform = read_speech(as_file(tone(0.5, rate), rate))
    assert abs(len(waveform) - 8000) <= 1
    expected = torch.from_numpy(tone(0.5, 16000))[400:7600]
    assert (waveform[400:7600] - expected).abs().max() < 0.02


def test_resampling_refuses_what_it_cannot_mean():
    with pytest.raises(AudioError, match=r"transpose \[N, C\]"):
        to_mono_16k(torch.zeros(16000, 2), 16000)
    with pytest.raises(AudioError, match="int16"):
        to_mono_16k(torch.zeros(100, dtype=torch.int16), 16000)
    for rate in (0, -8000, 10**9):
        with pytest.raises(AudioError, match="rate"):
            to_mono_16k(torch.zeros(100), rate)
    with pytest.raises(AudioError, match="5 Hz"):
        to_mono_16k(torch.zeros(100), 5)
    assert to_mono_16k(torch.zeros(0), 44100).shape == (0,)


def test_missing_folder_text_and_empty(tmp_path):
    with pytest.raises(AudioError, match=r"gone\.wav: there is no such file"):
        read_audio(tmp_path / "gone.wav")
    with pytest.raises(AudioError, match="folder"):
        read_audio(tmp_path)
    text = tmp_path / "notes.wav"
    text.write_text("this is no sound " * 100)
    with pytest.raises(AudioError, match=r"notes\.wav: cannot be read as sound"):
        read_audio(text)
    for data in (b"RIFF" + bytes(100), io.BytesIO(b"RIFF" + bytes(100))):
        with pytest.raises(AudioError, match=r"^the recording: cannot be read as sound \([^<>]+\); expected a WAV"):
            read_audio(data)
    for source in (b"", tmp_path / "empty.wav"):
        (tmp_path / "empty.wav").write_bytes(b"")
        with pytest.raises(AudioError, match=r"empty \(0 bytes\)"):
            read_audio(source)
    with pytest.raises(AudioError, match="no samples"):
        read_audio(as_file(np.zeros(0, np.float32), 16000))


def test_errors_call_a_recording_by_the_name_it_is_given():
    for source in (bytes(100), io.BytesIO(bytes(100)), __file__):
        with pytest.raises(AudioError, match=r"^word\.wav: cannot be read as sound \([^<>/]+\);"):
            read_audio(source, name="word.wav")


def test_an_hour_is_refused_before_any_sample_is_read(tmp_path, monkeypatch):
    path = tmp_path / "hour.wav"
    soundfile.write(path, np.zeros(3600 * 1000, np.int16), 1000, subtype="PCM_U8")

    def read(*args, **options):
        raise AssertionError("samples were read")

    monkeypatch.setattr(soundfile.SoundFile, "read", read)
    with pytest.raises(AudioError, match=r"3600\.0 s, at most 30 s"):
        read_audio(path)


def test_max_seconds_is_a_choice():
    data = as_file(tone(2.0, 8000), 8000)
    assert len(read_audio(data, max_seconds=None)[0]) == 16000
    assert len(read_audio(data, max_seconds=2.0)[0]) == 16000
    with pytest.raises(AudioError, match=r"2\.0 s, at most 1\.5 s"):
        read_audio(data, max_seconds=1.5)


def test_check_speech():
    good = torch.from_numpy(tone(0.1, 16000))
    assert check_speech(good) is good
    quiet = good * 1e-2  # about -53 dB
    assert check_speech(quiet) is quiet
    for bad, message in [
        (torch.zeros(0), "empty"),
        (good[:1599], r"0\.100 s|at least 0\.1 s"),
        (torch.zeros(16000), "silent.*zero"),
        (good * 1e-3, r"silent \(-7\d dB"),
        (torch.cat([good, torch.tensor([float("nan")])]), "not finite"),
        (torch.zeros(2, 16000), "mono"),
    ]:
        with pytest.raises(AudioError, match=message):
            check_speech(bad)
    with pytest.raises(AudioError, match="silent"):
        read_speech(as_file(np.zeros(8000, np.float32), 16000))
