"""Speech encoders from scratch on log-mel: DAVEnet and ResDAVEnet of harwath2019 (section 4.2), and their kin.

No transcript is ever seen by these. All start with a batch normalisation of the input and a filter over all
mel bands of one frame, and give one output frame for 16 input frames, or one for the caption. Two-dimensional
kernels of the published code (1 x k, or F x 1) are one-dimensional here; a published weight fits after a reshape.

Shapes: B captions, F mel bands, T frames, C channels, D embedding.
"""

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, nn

from vgs_lib.encoders.layers import (
    MaskedBatchNorm,
    apply_mask,
    check_lengths,
    check_option,
    halve,
    masked_mean,
    one_frame,
    padding_mask,
    scaled,
)
from vgs_lib.front_ends import FrontEnd
from vgs_lib.front_ends.named import make_front_end


class DAVEnet(nn.Module):
    """Five convolutions with ReLU, four max-poolings of stride 2; 15,965,570 parameters at full width.

    ``num_convs`` 5 is the CNN-5 of zhang2020 (section 2.3) too. Its CNN-6 has "different total number of layers" and
    no sizes: chosen here is one more block of a 1x17 convolution to 1024, ReLU and pooling, so T / 32. 4 leaves the
    last block out, so T / 8 and 512 channels (ni2018, second optimization).

    Arguments: ``width`` scales every layer; ``dim`` is the embedding size D (by default that of the last block times
    ``width``); ``front_end``, an object or a name (``vgs_lib.front_ends.named``), gives the number of mel bands and
    the seconds of a frame. Outputs are never negative. Raises ValueError for another number of convolutions.
    """

    lag = 0.5  # of an output frame: frame t is centred on input frame 16 t
    pooled = False
    backbone_frozen = False

    def __init__(
        self,
        *,
        width: float = 1.0,
        dim: int | None = None,
        num_convs: int = 5,
        front_end: FrontEnd | str | None = None,
    ):
        super().__init__()
        check_option("num_convs", num_convs, (4, 5, 6))
        self.front_end = make_front_end(front_end)
        self.pooling = 2 ** (num_convs - 1)
        widths = [scaled(w, width) for w in (128, 256, 512, 512, 1024, 1024)[:num_convs]]
        self.dim = widths[-1] = dim or widths[-1]
        self.input_norm = InputNorm()
        self.conv1 = nn.Conv1d(self.front_end.num_bands, widths[0], 1)
        kernels = (11, *[17] * (num_convs - 2))
        for number, (before, after, kernel) in enumerate(zip(widths, widths[1:], kernels, strict=False), start=2):
            self.add_module(f"conv{number}", nn.Conv1d(before, after, kernel, padding=kernel // 2))
        self.num_convs = num_convs

    def stages(self, features: Tensor, lengths: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """The normalised features [B, F, T], then the map after each pooling [B, C, ceil(T / 2)] ..., with lengths."""
        check_lengths(features, lengths)
        mask = padding_mask(lengths, features.shape[-1])
        x = self.input_norm(features, mask)
        yield x, lengths
        x = apply_mask(F.relu(self.conv1(x)), mask)
        for number in range(2, self.num_convs + 1):
            conv = self.get_submodule(f"conv{number}")
            # After ReLU a padded zero never wins; the window just behind a caption holds its last frame.
            x = F.max_pool1d(apply_mask(F.relu(conv(x)), mask), 3, stride=2, padding=1)
            lengths = halve(lengths)
            mask = padding_mask(lengths, x.shape[-1])
            x = apply_mask(x, mask)
            yield x, lengths

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, F, T] and lengths [B] to the audio map A [B, D, ceil(T / 16)], lengths."""
        *_, last = self.stages(features, lengths)
        return last


class PooledDAVEnet(DAVEnet):
    """The audio CNN of harwath2017, which is ni2018's baseline: DAVEnet's convolutions and the mean over time.

    Average pooling "across the entire caption" (ni2018, introduction) is here the mean over its real frames, so that
    one vector of 1024 remains: [B, D, 1] with lengths of 1. Arguments as for ``DAVEnet``.
    """

    pooled = True

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, F, T] and lengths [B] to the vectors [B, D, 1], lengths of 1."""
        return one_frame(masked_mean(*super().forward(features, lengths)))


class ResDAVEnet(nn.Module):
    """A filter over the mel bands, then four stages of two residual blocks, each of stride 2, so T / 16.

    The published code has these four; section 4.2 says half the resolution of DAVEnet, which would be T / 32.

    Arguments as for ``DAVEnet``; ``kernel`` is the width of the residual blocks' convolutions. He-normal
    weights.
    """

    pooling = 16
    lag = 0.5  # of an output frame: frame t is centred on input frame 16 t
    pooled = False
    backbone_frozen = False

    def __init__(
        self,
        *,
        width: float = 1.0,
        dim: int | None = None,
        kernel: int = 9,
        front_end: FrontEnd | str | None = None,
    ):
        super().__init__()
        self.front_end = make_front_end(front_end)
        stem, *widths = [scaled(w, width) for w in (128, 256, 256, 512, 1024)]
        self.dim = widths[-1] = dim or widths[-1]
        self.input_norm = InputNorm()
        self.conv1 = nn.Conv1d(self.front_end.num_bands, stem, 1, bias=False)
        self.norm1 = MaskedBatchNorm(stem)
        blocks = []
        for before, after in zip([stem, *widths[:-1]], widths, strict=True):
            blocks += [SpeechBlock(before, after, kernel, stride=2), SpeechBlock(after, after, kernel)]
        self.blocks = nn.ModuleList(blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, F, T] and lengths [B] to the audio map A [B, D, ceil(T / 16)], lengths."""
        check_lengths(features, lengths)
        mask = padding_mask(lengths, features.shape[-1])
        x = F.relu(self.norm1(self.conv1(self.input_norm(features, mask)), mask))
        for block in self.blocks:
            x, lengths, mask = block(x, lengths, mask)
        return x, lengths


class InputNorm(MaskedBatchNorm):
    """Batch normalisation of features [B, F, T] by one mean and deviation for all bands."""

    def __init__(self):
        super().__init__(1)

    def forward(self, features: Tensor, mask: Tensor | None) -> Tensor:
        flat = None if mask is None else mask[:, None].expand_as(features).flatten(1)
        return super().forward(apply_mask(features, mask).flatten(1)[:, None], flat).view_as(features)


class SpeechBlock(nn.Module):
    """ResDAVEnet's residual block: two convolutions over time, a 1x1 shortcut where the shape changes."""

    def __init__(self, before: int, after: int, kernel: int, *, stride: int = 1):
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv1d(before, after, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.norm1 = MaskedBatchNorm(after)
        self.conv2 = nn.Conv1d(after, after, kernel, padding=kernel // 2, bias=False)
        self.norm2 = MaskedBatchNorm(after)
        changes = stride != 1 or before != after
        self.shortcut = nn.Conv1d(before, after, 1, stride=stride, bias=False) if changes else None
        self.shortcut_norm = MaskedBatchNorm(after) if changes else None

    def forward(self, x: Tensor, lengths: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        residual = self.conv1(x)
        if self.stride == 2:
            lengths = halve(lengths)
            mask = padding_mask(lengths, residual.shape[-1])
        residual = self.norm2(self.conv2(F.relu(self.norm1(residual, mask))), mask)
        if self.shortcut is not None:
            x = self.shortcut_norm(self.shortcut(x), mask)
        return F.relu(x + residual), lengths, mask
