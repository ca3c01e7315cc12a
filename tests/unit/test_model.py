"""DualEncoder: embeddings, scores and the clock."""

import itertools
import math

import pytest
import torch
from tiny_training import DIM, TinyBatches, TinyImages, make_model

from vgs_lib.data.loading import Batch
from vgs_lib.encoders import DAVEnet, ResDAVEnet, TimmPyramid
from vgs_lib.model import DualEncoder


@pytest.fixture
def model() -> DualEncoder:
    return make_model().eval()


def waveform(num_samples: int, seed: int) -> torch.Tensor:
    return torch.randn(num_samples, generator=torch.Generator().manual_seed(seed)) * 0.1


def test_shapes(model):
    image_maps, audio_maps, lengths = model.embed_batch(TinyBatches()[0])
    assert image_maps.shape == (4, DIM, 4, 4)
    assert audio_maps.shape == (4, DIM, 5)
    assert lengths.tolist() == [5, 3, 2, 3]
    assert model.score(image_maps, audio_maps, lengths).shape == (4, 4)
    assert model.matchmap(image_maps[0], audio_maps[1]).shape == (4, 4, 5)
    assert model.matchmap(image_maps, audio_maps).shape == (4, 4, 4, 5)
    assert torch.equal(model(TinyBatches()[0]), model.score(image_maps, audio_maps, lengths))


@torch.no_grad()
def test_score_is_that_of_the_matchmap(model):
    image_maps, audio_maps, lengths = model.embed_batch(TinyBatches()[0])
    for kind in ("misa", "sisa", "sima"):
        scores = model.score(image_maps, audio_maps, lengths, kind=kind)
        for i in range(4):
            for j in range(4):
                matchmap = model.matchmap(image_maps[i], audio_maps[j])[..., : int(lengths[j])]
                expected = {
                    "misa": matchmap.amax((0, 1)).mean(),
                    "sisa": matchmap.mean(),
                    "sima": matchmap.amax(2).mean(),
                }[kind]
                torch.testing.assert_close(scores[i, j], expected, rtol=1e-4, atol=1e-6)
    default = model.score(image_maps, audio_maps, lengths)
    assert torch.equal(default, model.score(image_maps, audio_maps, lengths, kind="misa"))
    assert not torch.equal(default, model.score(image_maps, audio_maps, lengths, kind="sima"))


def test_clock(model):
    assert model.seconds_per_frame == pytest.approx(0.16)
    assert model.clock.middles(3) == pytest.approx([0.0, 0.16, 0.32])  # centred on input frames 0, 16, 32


@pytest.mark.parametrize("encoder", [DAVEnet(width=0.05), ResDAVEnet(width=0.05)], ids=["davenet", "resdavenet"])
def test_an_output_frame_is_heard_when_the_clock_says(encoder):
    for parameter in encoder.parameters():
        parameter.data.fill_(0.01)  # every weight the same: what is heard lies around its centre evenly
    model = DualEncoder(TimmPyramid(weights=None, dim=encoder.dim), encoder)
    errors = []
    for seed in range(4):
        features = torch.rand(1, 40, 640, generator=torch.Generator().manual_seed(seed)).requires_grad_()
        maps, _ = encoder.eval()(features, torch.tensor([640]))
        for frame in range(10, 31, 4):
            (gradient,) = torch.autograd.grad(maps[0, :, frame].sum(), features, retain_graph=True)
            weight = gradient[0].abs().sum(dim=0)
            heard = float((weight * torch.arange(640)).sum() / weight.sum()) * 0.01
            errors.append(heard - model.clock.middles(31)[frame])
    assert abs(sum(errors) / len(errors)) < 0.04  # half a frame is 0.08 s


@torch.no_grad()
def test_waveform_alone_equals_waveform_in_a_batch(model):
    waveforms = [waveform(16000, 0), waveform(5000, 1)]
    maps, lengths = model.embed_waveforms(waveforms)
    assert maps.shape[1] == DIM
    # One second is 16 frames of 16 hops of 10 ms, or one more or less at the borders.
    assert abs(int(lengths[0]) * model.seconds_per_frame - 1.0) <= 2 * model.seconds_per_frame
    for row, one in enumerate(waveforms):
        alone, length = model.embed_waveforms([one])
        assert int(length) == int(lengths[row])
        torch.testing.assert_close(alone[0], maps[row, :, : int(length)], rtol=1e-4, atol=1e-4)


def test_bytes_and_fractions_are_the_same_picture(model):
    pixels = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.embed_image(pixels), model.embed_image(pixels / 255.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_cached_features_give_the_same_maps(model, dtype):
    batch = TinyBatches()[0]
    cached = Batch(
        image=tuple(x.to(dtype) for x in model.image_encoder.features(batch.image[0])),
        audio=batch.audio,
        audio_lengths=batch.audio_lengths,
        image_is_features=True,
    )
    found, expected = model.embed_batch(cached)[0], model.embed_batch(batch)[0]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2 if dtype == torch.float16 else 1e-6)


def test_cached_audio_features_go_to_the_projection(model):
    class Frozen(DAVEnet):
        def project(self, hidden, lengths):
            return hidden[:, :DIM], lengths

    model.audio_encoder = Frozen(width=1 / 32, dim=DIM)
    batch = Batch((torch.rand(2, 3, 16, 16),), torch.ones(2, 9, 3).half(), torch.tensor([3, 1]), audio_is_features=True)
    _, audio_maps, lengths = model.embed_batch(batch)
    assert audio_maps.shape == (2, DIM, 3) and lengths.tolist() == [3, 1]
    assert audio_maps.dtype == torch.float32


def test_temperature():
    model = DualEncoder(TinyImages(), DAVEnet(width=1 / 32, dim=DIM), temperature=0.1)
    assert model.logit_scale.item() == pytest.approx(math.log(10.0))
    assert model.logit_scale.requires_grad


def test_encoders_of_different_dimensions_are_refused():
    with pytest.raises(ValueError, match="image encoder gives 8 dimensions and the audio encoder 12"):
        DualEncoder(TinyImages(), DAVEnet(width=1 / 32, dim=12))


def test_cells_are_averaged_before_scoring_and_maps_stay_fine(model):
    coarse = DualEncoder(model.image_encoder, model.audio_encoder, cell=2)
    draw = torch.Generator().manual_seed(0)
    image_maps = torch.randn(2, DIM, 5, 4, generator=draw)
    audio_maps, lengths = torch.randn(3, DIM, 6, generator=draw), torch.tensor([6, 2, 4])
    scores = coarse.score(image_maps, audio_maps, lengths, kind="misa")
    for i, j in itertools.product(range(2), range(3)):
        frames = []
        for t in range(int(lengths[j])):
            cells = [
                image_maps[i, :, r : r + 2, c : c + 2].mean(dim=(1, 2)) @ audio_maps[j, :, t]
                for r, c in itertools.product((0, 2, 4), (0, 2))
            ]
            frames.append(max(float(x) for x in cells))
        assert float(scores[i, j]) == pytest.approx(sum(frames) / len(frames), rel=1e-5)
    assert not torch.allclose(scores, model.score(image_maps, audio_maps, lengths, kind="misa"))
    assert coarse.matchmap(image_maps[0], audio_maps[0]).shape == (5, 4, 6)
    with pytest.raises(ValueError, match="cell: found 0"):
        DualEncoder(model.image_encoder, model.audio_encoder, cell=0)
