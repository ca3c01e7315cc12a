"""The recurrent highway network: sizes by hand, and values against a loop over frames and micro-steps."""

import pytest
import torch
from test_encoders_audio import num_parameters

from vgs_lib.encoders.highway import HighwayLayer, RecurrentHighway

LENGTHS = torch.tensor([13, 1, 6])


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def highway_count(channels: int, units: int) -> int:
    """h and g of: input with bias, state without, state with bias in the second micro-step; and the first state."""
    return 2 * (channels * units + units) + 2 * units * units + 2 * (units * units + units) + units


def naive(layer: HighwayLayer, x: torch.Tensor) -> torch.Tensor:
    """One caption x [C, T], each gate by itself: [D, T]."""
    dim = len(layer.start)
    state, out = layer.start, []
    for frame in x.T:
        for step, linear in enumerate(layer.steps):
            to_h, to_g = linear.weight.split(dim)
            h, g = to_h @ state, to_g @ state
            source = layer.input if step == 0 else linear
            if step == 0:
                h, g = h + layer.input.weight[:dim] @ frame, g + layer.input.weight[dim:] @ frame
            candidate, gate = torch.tanh(h + source.bias[:dim]), torch.sigmoid(g + source.bias[dim:])
            state = candidate * gate + state * (1 - gate)
        out.append(state)
    return torch.stack(out, dim=1)


def test_parameter_counts():
    with torch.device("meta"):  # sizes only
        encoder, small = RecurrentHighway(), RecurrentHighway(width=0.25, dim=300, front_end="logmel")
    expected = 39 * 64 * 6 + highway_count(64, 1024) + 3 * highway_count(1024, 1024) + 1024 * 128 + 128 + 128 + 1
    assert num_parameters(encoder) == expected
    assert (encoder.dim, encoder.pooled, encoder.pooling) == (1024, True, 2)
    expected = 40 * 16 * 6 + highway_count(16, 256) + 3 * highway_count(256, 256) + 256 * 32 + 32 + 32 + 1
    assert num_parameters(small) == expected + 256 * 300 + 300


@pytest.mark.parametrize("micro_steps", [1, 2, 3])
def test_layer_equals_a_loop(micro_steps):
    layer = HighwayLayer(5, 7, micro_steps=micro_steps).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.5 * torch.randn_like(parameter)
    x = torch.randn(3, 5, 13).double()
    torch.testing.assert_close(layer(x), torch.stack([naive(layer, one) for one in x]))


def test_encoder_equals_a_loop():
    encoder = RecurrentHighway(width=1 / 128, dim=5).double().eval()
    with torch.no_grad():
        for parameter in encoder.layers.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    features = torch.randn(3, 39, 13).double()
    vectors, _ = encoder(features, LENGTHS)
    weights, lengths = encoder.attention(features, LENGTHS)
    assert lengths.tolist() == [9, 3, 6] and weights.shape == (3, 1, 9)
    for b, num in enumerate(LENGTHS.tolist()):
        heard = torch.zeros(39, num + 10).double()
        heard[:, 5 : 5 + num] = features[b, :, :num]
        starts = range(0, num + 5, 2)
        x = torch.stack([(encoder.conv.weight * heard[:, s : s + 6]).sum(dim=(1, 2)) for s in starts], dim=1)
        x = naive(encoder.layers[0], x)
        for layer in encoder.layers[1:]:
            x = x + naive(layer, x)
        hidden, score = encoder.pool.hidden, encoder.pool.score
        scores = [score.weight[0, :, 0] @ torch.tanh(hidden.weight[..., 0] @ h + hidden.bias) for h in x.T]
        attention = torch.stack(scores).softmax(dim=0)
        torch.testing.assert_close(weights[b, 0, : lengths[b]], attention)
        pooled = encoder.output(x @ attention)
        torch.testing.assert_close(vectors[b, :, 0], pooled / pooled.norm())


def test_start_as_in_the_published_code():
    layer = RecurrentHighway(width=0.125).layers[1]
    assert (layer.input.bias[128:] == -2).all() and (layer.steps[1].bias[128:] == -2).all()
    assert layer.input.bias[:128].abs().max() <= 0.04 and layer.steps[0].bias is None
    assert layer.steps[0].weight.abs().max() <= 0.04
    assert layer.steps[0].weight.std().item() == pytest.approx(0.04 / 3**0.5, rel=0.02)
    assert (layer.start == 0).all() and layer.start.requires_grad


def test_dropout_has_one_mask_for_all_frames():
    layer = HighwayLayer(40, 8, input_dropout=0.5)
    with torch.no_grad():
        for step in layer.steps:  # no memory: the output of a frame is a function of that frame alone
            step.weight.zero_()
        layer.steps[1].bias[8:] = -50.0
        layer.input.bias[8:] = 50.0
    x = torch.randn(2, 40, 1).expand(-1, -1, 6)
    out = layer(x)
    torch.testing.assert_close(out, out[..., :1].expand_as(out))
    assert (layer(x) - out).abs().max() > 1e-3
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    state = HighwayLayer(40, 8, state_dropout=0.5)
    assert not torch.equal(state(x), state(x))
