"""A small `DualEncoder` whose right answers are known, for maps of what it uses: coloured discs and tones.

Each embedding dimension is one colour and one tone (``toy_tour``); every layer is a module that can be looked into.
"""

import numpy as np
import torch
import toy_tour as toy
from torch import nn

from vgs_lib.front_ends import LogMel
from vgs_lib.model import DualEncoder


class ToyImage(nn.Module):
    """Cells of 16 pixels, then how much of each colour a cell has: [B, 3, H, W] to [B, 4, H / 16, W / 16]."""

    dim, stride = 4, 16

    def __init__(self):
        super().__init__()
        self.cells = nn.AvgPool2d(16)
        self.colours = Colours()

    def forward(self, pictures):
        return self.colours(self.cells(pictures))


class Colours(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("wanted", torch.tensor(list(toy.COLOURS.values())) / 255)

    def forward(self, x):
        distance = (x[:, None] - self.wanted[:, :, None, None]).abs().amax(dim=2)
        return (1 - 4 * distance).clamp(min=0)


class ToySpeech(nn.Module):
    """The strength of each tone in each frame, averaged over four frames: [B, F, T] to [B, 4, T / 4]."""

    dim, pooling = 4, 4

    def __init__(self):
        super().__init__()
        self.front_end = LogMel()
        self.tones = nn.Conv1d(40, 4, 1)
        self.loud = nn.ReLU()
        self.pool = nn.AvgPool1d(4, ceil_mode=True, count_include_pad=False)
        with torch.no_grad():
            self.tones.weight.zero_()
            self.tones.bias.fill_(5.0)
            for row, band in enumerate(bands()):
                self.tones.weight[row, band] = 0.25  # dB below the loudest, so 5 at 0 dB and 0 from -20 dB

    def forward(self, features, lengths):
        return self.pool(self.loud(self.tones(features))), (lengths + 3) // 4


def bands() -> list[int]:
    """The mel band in which each tone is the loudest."""
    front_end = LogMel()
    found = [front_end([torch.from_numpy(toy.say(name))])[0][0] for name in toy.NAMES]
    return [int(features.mean(dim=1).argmax()) for features in found]


def toy_model(kind: str = "misa") -> DualEncoder:
    """The two toy encoders as a model."""
    return DualEncoder(ToyImage(), ToySpeech(), kind=kind).eval()


def two_discs():
    """A picture of a red disc (left) and a green one (right)."""
    return toy.scene("two", {"red": (0.25, 0.5), "green": (0.75, 0.5)})


def inside(mask: np.ndarray, heat: np.ndarray) -> bool:
    """Whether the greatest value of ``heat`` [h, w] lies in ``mask`` [H, W]."""
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return bool(mask[int((row + 0.5) / heat.shape[0] * len(mask)), int((column + 0.5) / heat.shape[1] * len(mask))])


class ToySpeech8(ToySpeech):
    """Only its dimension counts: for picture encoders of eight dimensions."""

    dim = 8
