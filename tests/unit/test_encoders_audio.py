"""DAVEnet, ResDAVEnet and the masked building blocks: sizes, lengths, and padding that never leaks."""

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
import torchaudio
from torch import nn

from vgs_lib.audio import LogMel, Mfcc
from vgs_lib.encoders import DAVEnet, PooledDAVEnet, ResDAVEnet, TorchaudioSpeech
from vgs_lib.encoders.layers import (
    MaskedBatchNorm,
    ResidualConv,
    SpeechHead,
    frame_mask,
    masked_mean,
    padding_mask,
    pool_pairs,
)

ENCODERS = {"DAVEnet": DAVEnet, "ResDAVEnet": ResDAVEnet}
LENGTHS = torch.tensor([100, 5, 1, 61, 33])


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def num_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def with_garbage(features: torch.Tensor, lengths: torch.Tensor, extra: int, value: float) -> torch.Tensor:
    """The same captions with ``extra`` more frames, and another value in all padding."""
    longer = F.pad(features, (0, extra))
    return longer.masked_fill(~frame_mask(lengths, longer.shape[-1])[:, None], value)


def davenet_count(widths: list[int], num_bands: int) -> int:
    kernels = [1, 11, 17, 17, 17]
    sizes = [num_bands, *widths]
    return 2 + sum(a * b * k + b for a, b, k in zip(sizes, sizes[1:], kernels, strict=False))


def test_davenet_parameter_counts():
    assert num_parameters(DAVEnet()) == 15_965_570 == davenet_count([128, 256, 512, 512, 1024], 40)
    assert num_parameters(DAVEnet(width=0.5)) == davenet_count([64, 128, 256, 256, 512], 40)
    front_end = Mfcc(deltas=2)
    small = DAVEnet(width=0.25, dim=100, front_end=front_end)
    assert num_parameters(small) == davenet_count([32, 64, 128, 128, 100], 39)
    assert small.front_end is front_end and small.dim == 100


def test_cnn_6_and_the_branch_of_ni2018():
    with torch.device("meta"):  # sizes only
        six, four = DAVEnet(num_convs=6), DAVEnet(num_convs=4)
    assert num_parameters(six) == 15_965_570 + 1024 * 1024 * 17 + 1024
    assert (six.dim, six.pooling, six.lag) == (1024, 32, 0.5)
    assert num_parameters(four) == 15_965_570 - (512 * 1024 * 17 + 1024) and (four.dim, four.pooling) == (512, 8)
    assert "conv6.weight" in six.state_dict() and "conv5.weight" not in four.state_dict()
    five = DAVEnet(width=0.0625).eval()
    six = DAVEnet(width=0.0625, num_convs=6).eval()
    six.load_state_dict({**six.state_dict(), **five.state_dict()})
    features, lengths = torch.randn(2, 40, 70), torch.tensor([70, 33])
    *_, (below, _), (audio_map, new) = six.stages(features, lengths)
    torch.testing.assert_close(below, five(features, lengths)[0])
    assert audio_map.shape == (2, 64, 3) and new.tolist() == [3, 2]
    for b, num in enumerate([5, 3]):  # the last block by itself, a window of three around every second frame
        convolved = F.pad(six.conv6(below[b : b + 1, :, :num]).relu(), (1, 1), value=-torch.inf)
        windows = [convolved[0, :, 2 * t : 2 * t + 3].amax(dim=1) for t in range(new[b])]
        torch.testing.assert_close(audio_map[b, :, : new[b]], torch.stack(windows, dim=1))


def test_pooled_cnn_of_harwath2017_is_the_mean_over_real_frames():
    pooled, maps = PooledDAVEnet(width=0.125), DAVEnet(width=0.125)
    maps.load_state_dict(pooled.state_dict())
    features = torch.randn(5, 40, 100)
    vectors, ones = pooled(features, LENGTHS)
    audio_map, lengths = maps(features, LENGTHS)
    assert vectors.shape == (5, 128, 1) and ones.tolist() == [1] * 5 and pooled.pooled and not maps.pooled
    for b, num in enumerate(lengths):
        torch.testing.assert_close(vectors[b, :, 0], audio_map[b, :, :num].mean(dim=-1))
    with torch.device("meta"):
        assert num_parameters(PooledDAVEnet()) == 15_965_570 and PooledDAVEnet().dim == 1024


@pytest.mark.parametrize(("bundle", "make"), [("HUBERT_BASE", "hubert_base"), ("WAV2VEC2_BASE", "wav2vec2_base")])
def test_self_supervised_encoders_fit_the_published_models(bundle, make):
    with torch.device("meta"):  # structure only; test_encoders_whisper has small ones with weights, and the errors
        model = getattr(torchaudio.models, make)()
        speech = TorchaudioSpeech(bundle, model=model, layers=(4, 12), dim=64)
    assert hasattr(getattr(torchaudio.pipelines, bundle), "get_model")
    assert (speech.width, speech.dim, speech.pooling) == (768, 64, 640) and speech.backbone_frozen
    assert all(p.requires_grad == name.startswith("head") for name, p in speech.named_parameters())
    with pytest.raises(ValueError, match="layers: expected 1 to 12"), torch.device("meta"):
        TorchaudioSpeech(bundle, model=model, layers=(13,))


def test_resdavenet_parameter_counts():
    def count(stem, widths, kernel=9):
        total = 2 + 40 * stem + 2 * stem
        for a, b in zip([stem, *widths], widths, strict=False):
            total += a * b * kernel + 3 * b * b * kernel + a * b + 5 * 2 * b
        return total

    assert num_parameters(ResDAVEnet()) == count(128, [256, 256, 512, 1024])
    assert num_parameters(ResDAVEnet(width=0.5, dim=96)) == count(64, [128, 128, 256, 96])
    weight = ResDAVEnet().blocks[0].conv1.weight
    assert weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.02)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("num_frames", [1, 2, 15, 16, 17, 100])
def test_sixteen_frames_make_one(name, num_frames):
    encoder = ENCODERS[name](width=0.0625).eval()
    audio_map, lengths = encoder(torch.randn(2, 40, num_frames), torch.full((2,), num_frames))
    expected = -(-num_frames // 16)
    assert audio_map.shape == (2, encoder.dim, expected) == (2, 64, expected)
    assert lengths.tolist() == [expected] * 2
    assert encoder.pooling == 16 and encoder.front_end == LogMel()
    assert audio_map.isfinite().all() and audio_map.abs().sum() > 0


@pytest.mark.parametrize("name", ENCODERS)
def test_a_caption_alone_equals_it_in_a_batch(name):
    encoder = ENCODERS[name](width=0.125)
    with torch.no_grad():  # biases and running statistics that turn zeros into something else
        for parameter in encoder.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
        encoder(torch.randn(4, 40, 64) * 8 - 40, torch.full((4,), 64))
    encoder.eval()
    features = torch.randn(5, 40, 100) * 10 - 40
    audio_map, lengths = encoder(with_garbage(features, LENGTHS, 0, 1e4), LENGTHS)
    assert lengths.tolist() == [7, 1, 1, 4, 3]
    for row, length, one, num in zip(audio_map, lengths, features, LENGTHS, strict=True):
        alone, _ = encoder(one[None, :, :num], num[None])
        torch.testing.assert_close(row[:, :length], alone[0], atol=1e-4, rtol=1e-4)
        assert (row[:, length:] == 0).all()


@pytest.mark.parametrize("name", ENCODERS)
def test_padding_changes_nothing_in_training(name):
    features = torch.randn(5, 40, 100) * 10 - 40
    results = []
    for extra, value in [(0, -80.0), (29, float("nan"))]:
        torch.manual_seed(1)
        encoder = ENCODERS[name](width=0.125).double().train()
        audio_map, lengths = encoder(with_garbage(features, LENGTHS, extra, value).double(), LENGTHS)
        masked_mean(audio_map, lengths).square().sum().backward()
        state = {k: v for k, v in encoder.state_dict().items() if "running" in k}
        results.append((audio_map[..., :7], state, [p.grad for p in encoder.parameters()]))
    torch.testing.assert_close(*results, atol=1e-8, rtol=1e-7)
    assert results[0][1]["input_norm.running_mean"].item() == pytest.approx(-4, abs=0.2)


@pytest.mark.parametrize("name", ENCODERS)
def test_lengths_are_checked(name):
    encoder = ENCODERS[name](width=0.0625)
    for lengths in ([0, 5], [5, 21], [5]):
        with pytest.raises(ValueError, match="lengths"):
            encoder(torch.zeros(2, 40, 20), torch.tensor(lengths))


def test_masked_batch_norm_equals_batch_norm_of_the_valid_frames():
    ours, theirs = MaskedBatchNorm(6).double(), nn.BatchNorm1d(6).double()
    with torch.no_grad():
        ours.weight.uniform_(0.5, 2)
        ours.bias.normal_()
    theirs.load_state_dict(ours.state_dict())
    x = (torch.randn(5, 6, 100).double() * 3 + 2).requires_grad_()
    mask = padding_mask(LENGTHS, 100)
    for training in (True, False):
        ours.train(training)
        theirs.train(training)
        out = ours(x, mask)
        expected = theirs(x.transpose(1, 2)[mask])
        torch.testing.assert_close(out.transpose(1, 2)[mask], expected)
        assert (out.transpose(1, 2)[~mask] == 0).all()
        torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
        weight = torch.randn_like(expected)
        (gradient,) = torch.autograd.grad((out.transpose(1, 2)[mask] * weight).sum(), x)
        (other,) = torch.autograd.grad((expected * weight).sum(), x)
        torch.testing.assert_close(gradient, other)


def _batch_norm_process(rank: int, file: str, results: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    x, norm = _batch_norm_case()
    mine = x[2 * rank : 2 * rank + 2].clone().requires_grad_()
    lengths = torch.tensor([9, 4, 7, 2])[2 * rank : 2 * rank + 2]
    out = norm(mine, padding_mask(lengths, 9))
    out.square().cumsum(dim=-1).sum().backward()
    torch.save([out.detach(), mine.grad, norm.running_var], f"{results}/{rank}")
    dist.destroy_process_group()


def _batch_norm_case():
    generator = torch.Generator().manual_seed(3)
    norm = MaskedBatchNorm(3).double()
    nn.init.normal_(norm.weight, generator=generator)
    return torch.randn(4, 3, 9, generator=generator).double(), norm


def test_batch_norm_of_two_processes_is_that_of_the_global_batch(tmp_path):
    torch.multiprocessing.spawn(_batch_norm_process, (str(tmp_path / "store"), str(tmp_path)), nprocs=2)
    x, norm = _batch_norm_case()
    x.requires_grad_()
    out = norm(x, padding_mask(torch.tensor([9, 4, 7, 2]), 9))
    out.square().cumsum(dim=-1).sum().backward()
    parts = [torch.load(tmp_path / str(rank), weights_only=True) for rank in range(2)]
    torch.testing.assert_close(torch.cat([p[0] for p in parts]), out.detach())
    torch.testing.assert_close(torch.cat([p[1] for p in parts]), x.grad)
    torch.testing.assert_close(parts[0][2], norm.running_var)
    torch.testing.assert_close(parts[1][2], norm.running_var)


def test_pool_pairs_and_masked_mean_against_loops():
    x = torch.randn(5, 3, 100)
    garbage = with_garbage(x, LENGTHS, 1, 50.0)
    pooled, lengths = pool_pairs(garbage, LENGTHS)
    means = masked_mean(garbage, LENGTHS)
    assert lengths.tolist() == [50, 3, 1, 31, 17]
    for b, num in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(means[b], x[b, :, :num].mean(dim=1))
        for t in range(lengths[b]):
            torch.testing.assert_close(pooled[b, :, t], x[b, :, 2 * t : min(2 * t + 2, num)].mean(dim=1))


def test_padding_mask_is_none_without_padding():
    assert padding_mask(torch.tensor([4, 4]), 4) is None
    assert padding_mask(torch.tensor([4, 2]), 4).tolist() == [[True] * 4, [True, True, False, False]]
    assert padding_mask(torch.tensor([4, 4]), 5)[:, 4].tolist() == [False, False]


@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("num_poolings", [0, 1, 2])
def test_speech_head_reads_no_padding(norm, num_poolings):
    head = SpeechHead(12, 2, dim=8, width=16, num_convs=2, num_poolings=num_poolings, norm=norm).double()
    states = [torch.randn(5, 12, 100).double() for _ in range(2)]
    first, lengths = head(states, LENGTHS)
    second, _ = head([with_garbage(s, LENGTHS, 31, 9.0) for s in states], LENGTHS)
    assert lengths.tolist() == [-(-n // 2**num_poolings) for n in LENGTHS.tolist()]
    assert first.shape == (5, 8, lengths[0])
    torch.testing.assert_close(second[..., : first.shape[-1]], first)
    head.eval()
    batch, _ = head(states, LENGTHS)
    for b, num in enumerate(LENGTHS):
        alone, _ = head([s[b : b + 1, :, :num] for s in states], num[None])
        torch.testing.assert_close(batch[b, :, : lengths[b]], alone[0])
        assert (batch[b, :, lengths[b] :] == 0).all()


def test_speech_head_mixes_layers():
    head = SpeechHead(12, 2, dim=8, width=16, num_convs=1)
    states = [torch.randn(1, 12, 20) for _ in range(2)]
    lengths = torch.tensor([20])
    with torch.no_grad():
        head.mix.copy_(torch.tensor([0.0, -50.0]))
        chosen = head(states, lengths)[0]
        scaled = head([3 * states[0] + 0, torch.randn(1, 12, 20)], lengths)[0]
        other = head(states[::-1], lengths)[0]
    torch.testing.assert_close(scaled, chosen, atol=1e-4, rtol=1e-4)
    assert (other - chosen).abs().max() > 0.01


def test_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="instance"):
        ResidualConv(8, norm="instance")
