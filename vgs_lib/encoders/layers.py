"""Building blocks that never read padding: masks, masked normalisation, convolution and pooling.

A padded batch carries lengths. Every block here gives the same values at a caption's valid frames whatever
stands behind them, in training too, and writes zeros behind them, which is what a convolution reads beyond a
caption alone.

Shapes: B captions, C channels, T frames, D embedding, L layers.
"""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgs_lib.distributed import sum_over_processes, world_size


def scaled(channels: int, width: float) -> int:
    """A document's number of channels times ``width``, at least 1."""
    return max(1, round(channels * width))


def check_option(name: str, value: object, choices: Iterable) -> None:
    """Raise ValueError unless an option has one of the values it can have."""
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"{name}: expected one of {choices}, found {value!r}.")


def frame_mask(lengths: Tensor, num_frames: int) -> Tensor:
    """[B, T] bool, true at valid frames (t < length)."""
    return torch.arange(num_frames, device=lengths.device) < lengths[:, None]


def padding_mask(lengths: Tensor, num_frames: int) -> Tensor | None:
    """As ``frame_mask``, but None where no caption has padding, so that work can be saved."""
    return None if bool((lengths == num_frames).all()) else frame_mask(lengths, num_frames)


def check_lengths(features: Tensor, lengths: Tensor) -> None:
    """Raise ValueError unless features [B, C, T] come with one length in 1..T for each caption."""
    if features.dim() != 3 or lengths.shape != features.shape[:1]:
        raise ValueError(
            f"expected features [B, F, T] and lengths [B], found {tuple(features.shape)} and {tuple(lengths.shape)}."
        )
    if bool(((lengths < 1) | (lengths > features.shape[-1])).any()):
        raise ValueError(f"lengths: expected 1 to {features.shape[-1]} frames, found {lengths.tolist()}.")


def apply_mask(x: Tensor, mask: Tensor | None) -> Tensor:
    """Zeros in x [B, C, T] where the mask [B, T] is false; x itself without a mask."""
    return x if mask is None else x.masked_fill(~mask[:, None], 0.0)


def reverse_frames(x: Tensor, lengths: Tensor) -> Tensor:
    """Each caption of x [B, C, T] backwards within its own length, its padding left in place; its own inverse."""
    time = torch.arange(x.shape[-1], device=x.device)
    source = torch.where(time < lengths[:, None], lengths[:, None] - 1 - time, time)
    return x.gather(-1, source[:, None].expand_as(x))


def halve(lengths: Tensor) -> Tensor:
    """Lengths after a stride of two: half, rounded up, so never 0."""
    return (lengths + 1) // 2


def by_length(
    encode: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], x: Tensor, lengths: Tensor, *, smallest: int = 8
) -> tuple[Tensor, Tensor]:
    """``encode(x, lengths)``, the shorter half of the captions apart from the longer, so that less padding is computed.

    For encoders in which captions do not meet (no batch statistics) the result is the same. Batches under twice
    ``smallest`` captions, or with little padding, are not cut.
    """
    half = len(lengths) // 2
    order = lengths.argsort()
    if half < smallest or int(lengths[order[half - 1]]) > 0.75 * x.shape[-1]:
        return encode(x, lengths)
    parts = []
    for few in (order[:half], order[half:]):
        parts.append(encode(x[few, :, : int(lengths[few].max())], lengths[few]))
    frames = max(encoded.shape[-1] for encoded, _ in parts)
    padded = torch.cat([F.pad(encoded, (0, frames - encoded.shape[-1])) for encoded, _ in parts])
    back = order.argsort()
    return padded[back], torch.cat([new for _, new in parts])[back]


def masked_mean(x: Tensor, lengths: Tensor) -> Tensor:
    """Mean over the valid frames of x [B, C, T]: [B, C]."""
    return apply_mask(x, padding_mask(lengths, x.shape[-1])).sum(dim=-1) / lengths[:, None]


def one_frame(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors [B, D], one a caption, as maps of one frame [B, D, 1] with lengths [B] of 1."""
    return vectors[..., None], torch.ones(len(vectors), dtype=torch.long, device=vectors.device)


def pool_pairs(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Average pairs of frames of x [B, C, T], a last odd one by itself: [B, C, ceil(T / 2)] and lengths."""
    mask = padding_mask(lengths, x.shape[-1])
    x = apply_mask(x, mask)
    means = F.avg_pool1d(x, 2, ceil_mode=True, count_include_pad=False)
    halves = halve(lengths)
    if mask is None:
        return means, halves
    last = torch.arange(means.shape[-1], device=x.device) == (halves - 1)[:, None]
    with_padding = (lengths % 2 == 1) & (lengths < x.shape[-1])
    alone = last & with_padding[:, None]
    return torch.where(alone[:, None], 2 * means, means), halves


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of x [B, C, T] with statistics over valid frames only; padding comes out as zeros.

    Where several processes train together, training statistics are those of the global batch.
    """

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if not self.training or (mask is None and world_size() == 1):
            return apply_mask(super().forward(x), mask)
        # Half precision, which autocast may hand in, cannot hold the sums.
        x32 = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        weight = torch.ones_like(x32[:, :1]) if mask is None else mask[:, None].to(x32)
        mean, count = self._average(x32, weight)
        variance, _ = self._average((x32 - mean[:, None]).square(), weight)
        with torch.no_grad():
            self.num_batches_tracked += 1
            unbiased = variance * count / (count - 1).clamp(min=1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
        x32 = (x32 - mean[:, None]) * (variance + self.eps).rsqrt()[:, None]
        return ((x32 * self.weight[:, None] + self.bias[:, None]) * weight).to(x.dtype)

    def _average(self, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted mean [C] of x [B, C, T] over captions and frames, and the number of frames."""
        sums = sum_over_processes(torch.cat([(x * weight).sum(dim=(0, 2)), weight.sum().reshape(1)]))
        return sums[:-1] / sums[-1], sums[-1]


class FrameNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each frame of x [B, C, T]; padding comes out as zeros."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return apply_mask(super().forward(x.transpose(1, 2)).transpose(1, 2), mask)


def make_norm(kind: str, width: int) -> nn.Module:
    """A masked normalisation of [B, C, T]: "batch" or "layer"."""
    norms = {"batch": MaskedBatchNorm, "layer": FrameNorm}
    check_option("norm", kind, norms)
    return norms[kind](width)


class ResidualConv(nn.Module):
    """x + dropout(GELU(norm(conv(x)))) over time, masked. [B, C, T] to [B, C, T]."""

    def __init__(self, width: int, *, kernel: int = 5, norm: str = "layer", dropout: float = 0.0):
        super().__init__()
        self.conv = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.norm = make_norm(norm, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return apply_mask(x + self.dropout(F.gelu(self.norm(self.conv(x), mask))), mask)


class SpeechHead(nn.Module):
    """The trained layers over a pretrained speech encoder: layer mix, convolutions, pooling, projection.

    The L given states [B, C, T] are normalised per frame and summed with learnt softmax weights; a 1x1 convolution
    takes them to ``width``; ``num_convs`` residual convolutions follow, and a linear map ends in ``dim``. Of the
    ``num_poolings`` averages over pairs of frames one stands before the first convolution, since frames of 20 ms say
    little more than frames of 40 ms and cost twice as much, and one after each convolution until all are done.
    """

    def __init__(
        self,
        channels: int,
        num_states: int,
        *,
        dim: int,
        width: int = 256,
        num_convs: int = 5,
        kernel: int = 5,
        num_poolings: int = 1,
        norm: str = "layer",
        dropout: float = 0.0,
    ):
        super().__init__()
        self.num_poolings = num_poolings
        self.mix = nn.Parameter(torch.zeros(num_states))
        self.state_norm = nn.LayerNorm(channels, elementwise_affine=False)
        self.input = nn.Conv1d(channels, width, 1)
        self.convs = nn.ModuleList(
            ResidualConv(width, kernel=kernel, norm=norm, dropout=dropout) for _ in range(num_convs)
        )
        self.output = nn.Conv1d(width, dim, 1)

    def forward(self, states: list[Tensor], lengths: Tensor) -> tuple[Tensor, Tensor]:
        mask = padding_mask(lengths, states[0].shape[-1])
        weights = self.mix.softmax(dim=0)
        mixed = sum(
            w * self.state_norm(s.to(self.input.weight.dtype).transpose(1, 2))
            for w, s in zip(weights, states, strict=True)
        )
        x = mixed.transpose(1, 2)
        if self.num_poolings:
            x, lengths = pool_pairs(x, lengths)
            mask = padding_mask(lengths, x.shape[-1])
        x = apply_mask(self.input(x), mask)
        for index, conv in enumerate(self.convs, start=1):
            x = conv(x, mask)
            if index < self.num_poolings:
                x, lengths = pool_pairs(x, lengths)
                mask = padding_mask(lengths, x.shape[-1])
        for _ in range(self.num_poolings - 1 - len(self.convs)):
            x, lengths = pool_pairs(x, lengths)
        return apply_mask(self.output(x), padding_mask(lengths, x.shape[-1])), lengths
