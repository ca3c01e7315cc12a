"""CBAM against its equations written as loops (tian2020, 4.1 to 4.3), its size, and reading its weights."""

import math

import pytest
import torch
from torch import nn

from vgs_lib.encoders.cbam import CBAM, ChannelAttention, SpatialAttention, record_cbam


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def naive(x: torch.Tensor, cbam: CBAM) -> tuple[list, list, torch.Tensor]:
    """One picture [C, h, w]: channel weights [C], place weights [h][w], the product."""
    channels, height, width = x.shape
    first, second = cbam.channel.mlp[0].weight, cbam.channel.mlp[2].weight
    cells = [(r, c) for r in range(height) for c in range(width)]

    def mlp(vector: list[float]) -> list[float]:
        hidden = [max(0.0, sum(w * v for w, v in zip(row, vector, strict=True))) for row in first.tolist()]
        return [sum(w * h for w, h in zip(row, hidden, strict=True)) for row in second.tolist()]

    means = [sum(float(x[k, r, c]) for r, c in cells) / len(cells) for k in range(channels)]
    maxima = [max(float(x[k, r, c]) for r, c in cells) for k in range(channels)]
    gates = [sigmoid(a + b) for a, b in zip(mlp(means), mlp(maxima), strict=True)]
    weighted = torch.stack([x[k] * gates[k] for k in range(channels)])
    kernel = cbam.spatial.conv.weight[0]
    places = [[0.0] * width for _ in range(height)]
    for r, c in cells:
        total = 0.0
        for dr in range(-3, 4):
            for dc in range(-3, 4):
                if 0 <= r + dr < height and 0 <= c + dc < width:
                    values = weighted[:, r + dr, c + dc]
                    total += float(kernel[0, dr + 3, dc + 3]) * float(values.mean())
                    total += float(kernel[1, dr + 3, dc + 3]) * float(values.max())
        places[r][c] = sigmoid(total)
    return gates, places, weighted * torch.tensor(places)


@pytest.fixture()
def cbam() -> CBAM:
    torch.manual_seed(0)
    return CBAM(6, reduction=2).double()


def test_cbam_is_its_equations(cbam):
    x = torch.randn(2, 6, 5, 4, dtype=torch.float64)
    with torch.no_grad(), record_cbam(nn.Sequential(cbam)) as recorded:
        found = nn.Sequential(cbam)(x)
    assert list(recorded) == ["0"]
    for row in range(2):
        with torch.no_grad():
            gates, places, product = naive(x[row], cbam)
        torch.testing.assert_close(found[row], product.double(), atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(recorded["0"].channels[row], torch.tensor(gates).double(), atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(recorded["0"].places[row], torch.tensor(places).double(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("channels", "reduction"), [(1024, 16), (2048, 16), (112, 8), (4, 16)])
def test_size_by_formula(channels, reduction):
    with torch.device("meta"):
        cbam = CBAM(channels, reduction=reduction)
        assert cbam(torch.zeros(3, channels, 7, 5)).shape == (3, channels, 7, 5)
    hidden = max(1, channels // reduction)
    assert sum(p.numel() for p in cbam.parameters()) == 2 * channels * hidden + 2 * 7 * 7


def test_weights_are_read_where_they_were_run(cbam):
    torch.manual_seed(1)
    network = nn.ModuleDict({"early": cbam, "late": CBAM(6).double(), "unused": CBAM(6).double()})
    x = torch.randn(3, 6, 4, 7, dtype=torch.float64)
    with record_cbam(network) as recorded:
        found = network["late"](network["early"](x))
    assert list(recorded) == ["early", "late"]
    assert recorded["early"].channels.shape == (3, 6) and recorded["late"].places.shape == (3, 4, 7)
    product = x * recorded["early"].channels[..., None, None] * recorded["early"].places[:, None]
    torch.testing.assert_close(network["late"](product), found)
    assert not recorded["early"].places.requires_grad
    before = len(recorded["early"].places)
    network["early"](x[:1])
    assert len(recorded["early"].places) == before  # the hooks are gone


def test_gradients_reach_both_attentions(cbam):
    x = torch.randn(2, 6, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(cbam, (x,))
    cbam(x).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in cbam.parameters())


def test_sizes_that_cannot_be():
    with pytest.raises(ValueError, match="found 0 and 16"):
        ChannelAttention(0)
    with pytest.raises(ValueError, match="odd number, found 4"):
        SpatialAttention(4)
