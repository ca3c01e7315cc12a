"""CBAM, the convolutional block attention module: a weight for each channel, then a weight for each place.

tian2020, section 4.1.1, equations 4.1 to 4.3, after Woo et al., *CBAM: Convolutional Block Attention Module*, 2018. The
equations have neither biases nor a normalisation, so there are none here; the reduction ratio r is left open there and
16 is that of Woo et al.

Shapes: B pictures, C channels, h w grid.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """sigmoid(MLP(mean over places) + MLP(maximum over places)), one MLP for both (4.2): [B, C, h, w] to [B, C, 1, 1].

    The MLP has C / ``reduction`` hidden units, at least one, with ReLU.
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        if channels < 1 or reduction < 1:
            raise ValueError(f"expected channels and a reduction of 1 or more, found {channels} and {reduction}.")
        hidden = max(1, channels // reduction)
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, channels, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        weights = torch.sigmoid(self.mlp(x.mean(dim=(2, 3))) + self.mlp(x.amax(dim=(2, 3))))
        return weights[:, :, None, None]


class SpatialAttention(nn.Module):
    """sigmoid(convolution([mean over channels; maximum over channels])), 7 x 7 (4.3): [B, C, h, w] to [B, 1, h, w]."""

    def __init__(self, kernel: int = 7):
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel: expected an odd number, found {kernel}.")
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.conv(torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)))


class CBAM(nn.Module):
    """A map [B, C, h, w] times its channel attention, then times the spatial attention of that (4.1)."""

    def __init__(self, channels: int, *, reduction: int = 16, kernel: int = 7):
        super().__init__()
        self.channel = ChannelAttention(channels, reduction)
        self.spatial = SpatialAttention(kernel)

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.channel(x)
        return x * self.spatial(x)


@dataclass
class CBAMWeights:
    """The weights 0-1 of a CBAM's last run: ``channels`` [B, C] and ``places`` [B, h, w]."""

    channels: Tensor
    places: Tensor


@contextlib.contextmanager
def record_cbam(model: nn.Module) -> Iterator[dict[str, CBAMWeights]]:
    """Inside ``with``, every CBAM of ``model`` that runs puts its weights under its name; outputs stay the same."""
    recorded: dict[str, CBAMWeights] = {}

    def keeper(name: str):
        def channel_hook(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            recorded[name] = CBAMWeights(output.detach()[:, :, 0, 0], output.new_empty(0))

        def spatial_hook(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            recorded[name].places = output.detach()[:, 0]

        return channel_hook, spatial_hook

    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, CBAM):
            for part, hook in zip((module.channel, module.spatial), keeper(name), strict=True):
                hooks.append(part.register_forward_hook(hook))
    try:
        yield recorded
    finally:
        for hook in hooks:
            hook.remove()
