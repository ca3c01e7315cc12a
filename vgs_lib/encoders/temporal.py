"""The two-branch speech encoder of ni2018 (second optimization), and the temporal convolution network (TCN) in it.

One branch is the baseline CNN; the other models time: three filters over frequency collapse the bands, then a TCN
(Bai et al. 2018) runs forwards and another backwards over the frames. The means over time are joined and a dense layer
with ReLU gives the vector.

Where ni2018 leaves a gap or contradicts itself, chosen here:

- It counts 2048 temporal features from two stacks of 512 filters. Each stack gets a 1x1 convolution to 1024 channels,
  so that 2048 and, with the 512 of the CNN without its last block, 2560 hold. It stands behind the mean over time,
  with which it commutes and where it costs nothing.
- Blocks as in Bai et al.: two weight-normalised causal convolutions of kernel 3 (the kernel of its figure) with ReLU
  and dropout (here 0), and a residual of 1x1 where the number of channels changes; one block each for the dilations
  1, 2, 4 ... 1024.
- "Alone, in a pyramidal fashion": the stacks read the bands themselves, and after each of the first four pairs of
  blocks the frames are max-pooled by two, T / 16 as in the baseline. "Appended": the stacks read the baseline's map
  of 1024 channels.

Shapes: B captions, F bands, C channels, T frames, D embedding, N real frames of all captions.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from vgs_lib.encoders.audio import DAVEnet, InputNorm
from vgs_lib.encoders.layers import (
    apply_mask,
    check_lengths,
    check_option,
    frame_mask,
    halve,
    masked_mean,
    one_frame,
    padding_mask,
    reverse_frames,
    scaled,
)
from vgs_lib.encoders.recurrent import RecurrentLayer
from vgs_lib.front_ends import FrontEnd
from vgs_lib.front_ends.named import make_front_end

CELLS = ("tcn", "gru", "lstm")
LAYOUTS = ("parallel", "alone", "appended")


class CausalBlock(nn.Module):
    """Two causal convolutions with ReLU and a residual: frame t of [B, D, T] depends on frames up to t of [B, C, T]."""

    def __init__(self, channels: int, dim: int, *, kernel: int = 3, dilation: int = 1, dropout: float = 0.0):
        super().__init__()
        self.dilation = dilation
        self.conv1 = weight_norm(nn.Conv1d(channels, dim, kernel))
        self.conv2 = weight_norm(nn.Conv1d(dim, dim, kernel))
        self.dropout = nn.Dropout(dropout)
        self.shortcut = nn.Identity() if channels == dim else nn.Conv1d(channels, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.dropout(F.relu(self._causal(self.conv1, x)))
        y = self.dropout(F.relu(self._causal(self.conv2, y)))
        return F.relu(y + self.shortcut(x))

    def _causal(self, conv: nn.Conv1d, x: Tensor) -> Tensor:
        """Convolution with the past. Weights that reach back behind the first frame read zeros only: left out."""
        reach = min(conv.kernel_size[0] - 1, (x.shape[-1] - 1) // self.dilation)
        weight = conv.weight[..., conv.kernel_size[0] - 1 - reach :]
        return F.conv1d(F.pad(x, (reach * self.dilation, 0)), weight, conv.bias, dilation=self.dilation)


class TCN(nn.Module):
    """A stack of causal blocks with dilations 1, 2, 4 ...: [B, C, T] to [B, D, T'] and lengths.

    After every second block frames are max-pooled by two until ``num_poolings`` are done; a last odd frame stays.
    Padding must be behind the caption; it is not read and comes out as zeros.
    """

    def __init__(
        self,
        channels: int,
        dim: int,
        *,
        num_blocks: int = 11,
        num_poolings: int = 0,
        kernel: int = 3,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.num_poolings = num_poolings
        self.blocks = nn.ModuleList(
            CausalBlock(dim if level else channels, dim, kernel=kernel, dilation=2**level, dropout=dropout)
            for level in range(num_blocks)
        )

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = apply_mask(x, padding_mask(lengths, x.shape[-1]))
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            if number % 2 == 0 and number // 2 <= self.num_poolings:
                # After ReLU a zero never wins.
                x = F.max_pool1d(apply_mask(x, padding_mask(lengths, x.shape[-1])), 2, ceil_mode=True)
                lengths = halve(lengths)
        return apply_mask(x, padding_mask(lengths, x.shape[-1])), lengths


class FrequencyFilters(nn.Module):
    """Three filters over the bands of each frame with ReLU, the bands max-pooled by two in between: [B, D, T].

    10 x 1 filters on 40 bands: 40, 20, 10, and the third, without padding, spans the 10 that are left (a fourth of
    the bands where there are not 40). Only real frames are computed.
    """

    def __init__(self, num_bands: int, dim: int, *, kernel: int = 10):
        super().__init__()
        if num_bands < 4:
            raise ValueError(f"front_end: expected at least 4 bands to filter over frequency, found {num_bands}.")
        self.same = ((kernel - 1) // 2, kernel // 2)  # zeros that keep the number of bands
        self.conv1 = nn.Conv1d(1, dim, kernel)
        self.conv2 = nn.Conv1d(dim, dim, kernel)
        self.conv3 = nn.Conv1d(dim, dim, num_bands // 4)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        mask = frame_mask(lengths, x.shape[-1])
        frames = x.mT[mask][:, None]  # [N, 1, F]
        for conv in (self.conv1, self.conv2):
            # ReLU behind the pooling gives the same on half as much.
            frames = F.relu(F.max_pool1d(conv(F.pad(frames, self.same)), 2))
        frames = F.relu(self.conv3(frames))[..., 0]
        out = frames.new_zeros(*mask.shape, frames.shape[1])
        out[mask] = frames
        return out.mT


class TwoWay(nn.Module):
    """A model of time forwards and one backwards, each averaged over time and mapped to ``dim``: [B, 2 dim].

    The second gets each caption reversed within its own length, so that it starts at the caption's end.
    ``cell``: "tcn", or "gru" or "lstm" of as many units. Options: ``TCN``.
    """

    def __init__(self, channels: int, units: int, dim: int, *, cell: str = "tcn", **options):
        super().__init__()
        check_option("cell", cell, CELLS)
        if cell == "tcn":
            self.ahead, self.back = (TCN(channels, units, **options) for _ in range(2))
        else:
            self.ahead, self.back = (RecurrentLayer(channels, units, cell=cell, bidirectional=False) for _ in range(2))
        self.expand = nn.ModuleList(nn.Linear(units, dim) for _ in range(2))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        ahead = masked_mean(*self.ahead(x, lengths))
        back = masked_mean(*self.back(reverse_frames(x, lengths), lengths))
        return torch.cat([self.expand[0](ahead), self.expand[1](back)], dim=-1)


class TemporalDAVEnet(nn.Module):
    """ni2018's encoder with temporal information: [B, F, T] to vectors [B, D, 1] with lengths of 1, never negative.

    Arguments:
        layout: "parallel", the two branches; "alone", the temporal branch only; "appended", behind the baseline.
        position: in the parallel layout, the number of the CNN's poolings (0 to 3) before the temporal branch begins;
            at 0 it has its own filters over frequency.
        cell: "tcn", "gru" or "lstm".
        kernel, dropout, num_blocks: of the TCN.
        width: scales all channels; ``dim``: embedding size, by default 1024 * width.
        front_end: an object or a name, by default "ni2018".

    Raises:
        ValueError: an unknown option, or a position or a cell that a layout does not have.
    """

    pooled = True
    lag = 0.5
    backbone_frozen = False

    def __init__(
        self,
        *,
        layout: str = "parallel",
        position: int = 0,
        cell: str = "tcn",
        kernel: int = 3,
        dropout: float = 0.0,
        num_blocks: int = 11,
        width: float = 1.0,
        dim: int | None = None,
        front_end: FrontEnd | str | None = None,
    ):
        super().__init__()
        check_option("layout", layout, LAYOUTS)
        check_option("cell", cell, CELLS if layout != "alone" else ("tcn",))
        check_option("position", position, range(4) if layout == "parallel" else (0,))
        self.layout, self.position = layout, position
        self.front_end = make_front_end(front_end, "ni2018")
        self.dim = dim or scaled(1024, width)
        options = {"kernel": kernel, "dropout": dropout, "num_blocks": num_blocks} if cell == "tcn" else {}
        num_bands, full, units = self.front_end.num_bands, scaled(1024, width), scaled(512, width)
        self.filters = None
        if layout == "alone":
            self.input_norm = InputNorm()
            self.pooling = 2 ** min(4, num_blocks // 2)
            self.temporal = TwoWay(num_bands, units, full, num_poolings=4, **options)
            joined = 2 * full
        else:
            self.baseline = DAVEnet(width=width, num_convs=4 if layout == "parallel" else 5, front_end=self.front_end)
            self.pooling = self.baseline.pooling
            channels = self.baseline.dim
            if layout == "parallel":
                channels = [scaled(c, width) for c in (128, 256, 512, 512)][position]
                self.filters = FrequencyFilters(num_bands, channels) if position == 0 else None
            self.temporal = TwoWay(channels, units, full, cell=cell, **options)
            joined = 2 * full + (self.baseline.dim if layout == "parallel" else 0)
        self.dense = nn.Linear(joined, self.dim)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, F, T] and lengths [B] to the vectors [B, D, 1], lengths of 1."""
        check_lengths(features, lengths)
        if self.layout == "alone":
            x = self.input_norm(features, padding_mask(lengths, features.shape[-1]))
            vectors = self.temporal(x, lengths)
        else:
            stages = list(self.baseline.stages(features, lengths))
            if self.layout == "appended":
                vectors = self.temporal(*stages[-1])
            else:
                x, num = stages[self.position]
                x = x if self.filters is None else self.filters(x, num)
                vectors = torch.cat([self.temporal(x, num), masked_mean(*stages[-1])], dim=-1)
        return one_frame(F.relu(self.dense(vectors)))
