"""ni2018's temporal branch: sizes by hand, causality, each caption's own end, and values against loops."""

import pytest
import torch
import torch.nn.functional as F
from test_encoders_audio import davenet_count, num_parameters

from vgs_lib.encoders import DAVEnet
from vgs_lib.encoders.temporal import TCN, CausalBlock, FrequencyFilters, TemporalDAVEnet, TwoWay

LENGTHS = torch.tensor([30, 1, 17])


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def block_count(channels: int, dim: int, kernel: int = 3) -> int:
    """Two weight-normalised convolutions (a length per filter and a bias), a 1x1 shortcut where needed."""
    convs = (channels + dim) * dim * kernel + 4 * dim
    return convs + (channels * dim + dim if channels != dim else 0)


def tcn_count(channels: int, dim: int) -> int:
    return block_count(channels, dim) + 10 * block_count(dim, dim)


def recurrent_count(channels: int, units: int, gates: int) -> int:
    return gates * units * (channels + units + 2)


BASELINE = davenet_count([128, 256, 512, 512], 40)
EXPAND = 2 * (512 * 1024 + 1024)
DENSE = (2048 + 512) * 1024 + 1024
FILTERS = (10 * 128 + 128) + 2 * (128 * 128 * 10 + 128)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, BASELINE + FILTERS + 2 * tcn_count(128, 512) + EXPAND + DENSE),
        ({"position": 1}, BASELINE + 2 * tcn_count(256, 512) + EXPAND + DENSE),
        ({"position": 2}, BASELINE + 2 * tcn_count(512, 512) + EXPAND + DENSE),
        ({"position": 3}, BASELINE + 2 * tcn_count(512, 512) + EXPAND + DENSE),
        ({"cell": "gru"}, BASELINE + FILTERS + 2 * recurrent_count(128, 512, 3) + EXPAND + DENSE),
        ({"cell": "lstm", "position": 2}, BASELINE + 2 * recurrent_count(512, 512, 4) + EXPAND + DENSE),
        ({"layout": "alone"}, 2 + 2 * tcn_count(40, 512) + EXPAND + 2048 * 1024 + 1024),
        ({"layout": "appended"}, 15_965_570 + 2 * tcn_count(1024, 512) + EXPAND + 2048 * 1024 + 1024),
    ],
)
def test_parameter_counts(options, expected):
    with torch.device("meta"):  # sizes only
        encoder = TemporalDAVEnet(**options)
    assert num_parameters(encoder) == expected
    assert encoder.dim == 1024 and encoder.pooled
    assert encoder.pooling == {"parallel": 8, "alone": 16, "appended": 16}[encoder.layout]
    assert encoder.dense.in_features == (2560 if encoder.layout == "parallel" else 2048)


def naive_causal(conv: torch.nn.Module, dilation: int, x: torch.Tensor) -> torch.Tensor:
    """A dilated causal convolution of one caption x [C, T], tap by tap."""
    taps = conv.weight.shape[-1]
    out = conv.bias[:, None].repeat(1, x.shape[1])
    for t in range(x.shape[1]):
        for tap in range(taps):
            source = t - (taps - 1 - tap) * dilation
            if source >= 0:
                out[:, t] += conv.weight[..., tap] @ x[:, source]
    return out


@pytest.mark.parametrize(("dilation", "kernel"), [(1, 3), (4, 3), (8, 3), (9, 2), (64, 3)])
def test_block_equals_a_loop(dilation, kernel):
    block = CausalBlock(3, 4, dilation=dilation, kernel=kernel).double()
    x = torch.randn(2, 3, 17).double()
    expected = []
    for one in x:
        y = F.relu(naive_causal(block.conv1, dilation, one))
        y = F.relu(naive_causal(block.conv2, dilation, y))
        expected.append(F.relu(y + block.shortcut(one)))
    torch.testing.assert_close(block(x), torch.stack(expected))


@torch.no_grad()
def test_stack_is_causal_and_sees_the_whole_past():
    stack = TCN(2, 6).double()
    assert [block.dilation for block in stack.blocks] == [2**level for level in range(11)]
    x = torch.randn(1, 2, 80).double()
    num = torch.tensor([80])
    before, _ = stack(x, num)
    for changed in (0, 40, 79):
        other = x.clone()
        other[..., changed] += 100
        differs = (stack(other, num)[0] != before).any(dim=1)[0]
        assert not differs[:changed].any() and differs[changed:].float().mean() > 0.9
    # Each level adds 2 (kernel - 1) dilation frames of the past: 1 + 4 * 2047 frames in all.
    assert 1 + sum(4 * block.dilation for block in stack.blocks) == 8189


@torch.no_grad()
def test_pyramid_pools_pairs_of_frames():
    stack = TCN(2, 6, num_blocks=5, num_poolings=1).double()
    x = torch.randn(3, 2, 30).double()
    out, lengths = stack(x, LENGTHS)
    assert lengths.tolist() == [15, 1, 9] and out.shape == (3, 6, 15)
    for b, num in enumerate(LENGTHS.tolist()):
        y = x[b : b + 1, :, :num]
        for block in stack.blocks[:2]:
            y = block(y)
        y = torch.stack([part.amax(dim=-1) for part in y.split(2, dim=-1)], dim=-1)
        for block in stack.blocks[2:]:
            y = block(y)
        torch.testing.assert_close(out[b, :, : lengths[b]], y[0])
        assert (out[b, :, lengths[b] :] == 0).all()


@torch.no_grad()
@pytest.mark.parametrize("cell", ["tcn", "gru", "lstm"])
def test_backward_stack_starts_at_each_captions_end(cell):
    both = TwoWay(3, 4, 5, cell=cell).double()
    x = torch.randn(3, 3, 30).double()
    out = both(x, LENGTHS)
    assert out.shape == (3, 10)
    for b, num in enumerate(LENGTHS.tolist()):
        caption = x[b : b + 1, :, :num]
        ahead = both.ahead(caption, LENGTHS[b : b + 1])[0].mean(dim=-1)
        back = both.back(caption.flip(-1), LENGTHS[b : b + 1])[0].mean(dim=-1)
        torch.testing.assert_close(out[b], torch.cat([both.expand[0](ahead), both.expand[1](back)], dim=1)[0])


@torch.no_grad()
def test_expanding_behind_the_mean_equals_a_1x1_convolution_before_it():
    both = TwoWay(3, 4, 5, num_blocks=2).double()
    x = torch.randn(1, 3, 30).double()
    frames, num = both.ahead(x, LENGTHS[:1])
    as_conv = F.conv1d(frames, both.expand[0].weight[..., None], both.expand[0].bias).mean(dim=-1)
    torch.testing.assert_close(both(x, num)[:, :5], as_conv)


@torch.no_grad()
@pytest.mark.parametrize("num_bands", [40, 39])
def test_frequency_filters_equal_a_loop(num_bands):
    filters = FrequencyFilters(num_bands, 4).double()
    x = torch.randn(3, num_bands, 30).double()
    out = filters(x, LENGTHS)
    third = num_bands // 2 // 2
    assert out.shape == (3, 4, 30) and filters.conv3.kernel_size == (third,)
    for b, t in [(0, 0), (0, 29), (1, 0), (2, 16)]:
        y = x[b, None, :, t]
        for conv in (filters.conv1, filters.conv2):
            padded = F.pad(y, (4, 5))
            filtered = [(conv.weight * padded[:, f : f + 10]).sum(dim=(1, 2)) + conv.bias for f in range(y.shape[1])]
            y = torch.stack(filtered, dim=1).relu()
            y = torch.stack([y[:, 2 * f : 2 * f + 2].amax(dim=1) for f in range(y.shape[1] // 2)], dim=1)
        expected = ((filters.conv3.weight * y).sum(dim=(1, 2)) + filters.conv3.bias).relu()
        torch.testing.assert_close(out[b, :, t], expected)
    assert (out[2, :, 17:] == 0).all()


@torch.no_grad()
@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_branches_meet_in_the_dense_layer(position):
    encoder = TemporalDAVEnet(width=1 / 64, position=position).double().eval()
    features = torch.randn(1, 40, 30).double()
    num = torch.tensor([30])
    vectors, _ = encoder(features, num)
    baseline = DAVEnet(width=1 / 64, num_convs=4).double().eval()
    baseline.load_state_dict(encoder.baseline.state_dict())
    stages = list(baseline.stages(features, num))
    x, lengths = stages[position]
    assert lengths.tolist() == [-(-30 // 2**position)]
    temporal = encoder.temporal(encoder.filters(x, lengths) if position == 0 else x, lengths)
    joined = torch.cat([temporal, baseline(features, num)[0].mean(dim=-1)], dim=1)
    torch.testing.assert_close(vectors[..., 0], encoder.dense(joined).relu())


@torch.no_grad()
def test_order_of_time_matters_to_the_temporal_branch():
    encoder = TemporalDAVEnet(width=1 / 64).double().eval()
    x = torch.randn(1, 40, 30).double()
    num = torch.tensor([30])
    normal, _ = encoder.baseline.input_norm(x, None), None
    ahead, back = encoder.temporal(encoder.filters(normal, num), num).chunk(2, dim=1)
    turned = encoder.temporal(encoder.filters(normal.flip(-1), num), num).chunk(2, dim=1)
    assert (ahead - turned[0]).abs().max() > 1e-6 and (back - turned[1]).abs().max() > 1e-6
    encoder.temporal.back.load_state_dict(encoder.temporal.ahead.state_dict())
    encoder.temporal.expand[1].load_state_dict(encoder.temporal.expand[0].state_dict())
    ahead, back = encoder.temporal(encoder.filters(normal, num), num).chunk(2, dim=1)
    turned = encoder.temporal(encoder.filters(normal.flip(-1), num), num).chunk(2, dim=1)
    torch.testing.assert_close((ahead, back), (turned[1], turned[0]))
