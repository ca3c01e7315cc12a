"""Recurrent speech encoders: LSTM and GRU (zhang2020), pyramids (tian2020, scharenborg2020), CNN + GRU (merkx2019).

No sequence is packed, and still padding is never read: forwards, padding comes after everything that counts;
backwards, each caption is reversed within its own length first. On a CPU this is several times as fast as
``pack_padded_sequence`` and gives the same values.

Shapes: B captions, F bands, C channels, T frames, D embedding.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgs_lib.encoders.attention import VectorAttention
from vgs_lib.encoders.audio import InputNorm
from vgs_lib.encoders.layers import (
    apply_mask,
    check_lengths,
    check_option,
    halve,
    masked_mean,
    one_frame,
    padding_mask,
    reverse_frames,
    scaled,
)
from vgs_lib.front_ends import FrontEnd
from vgs_lib.front_ends.named import make_front_end

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}
POOLS = (None, "attention", "mean")


class RecurrentLayer(nn.Module):
    """One layer over time, forwards only or in both directions: [B, C, T] to [B, D, T], zeros as padding.

    In both directions each has half of the ``dim`` units. Weights start as torch makes them.
    Raises ValueError for an unknown cell, and for an odd ``dim`` in two directions.
    """

    def __init__(self, channels: int, dim: int, *, cell: str = "gru", bidirectional: bool = True):
        super().__init__()
        check_option("cell", cell, CELLS)
        if bidirectional and dim % 2:
            raise ValueError(f"dim: expected an even number, half of it in each direction, found {dim}.")
        units = dim // 2 if bidirectional else dim
        self.ahead = CELLS[cell](channels, units)
        self.back = CELLS[cell](channels, units) if bidirectional else None

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        mask = padding_mask(lengths, x.shape[-1])
        x = apply_mask(x, mask)
        out = self._run(self.ahead, x)
        if self.back is not None:
            back = self._run(self.back, reverse_frames(x, lengths))
            out = torch.cat([out, reverse_frames(back, lengths)], dim=1)
        return apply_mask(out, mask), lengths

    @staticmethod
    def _run(rnn: nn.Module, x: Tensor) -> Tensor:
        # torch keeps the state in the type of the input, and CUDA's autocast would make that float16: hundreds of steps
        # need more
        with torch.autocast("cuda", enabled=False):
            return rnn(x.permute(2, 0, 1).to(rnn.weight_ih_l0.dtype).contiguous())[0].permute(1, 2, 0)


class FramePool(nn.Module):
    """The end of an encoder: the map [B, D, T] as it is, or one frame of it by attention or by the mean over time."""

    def __init__(self, kind: str | None, dim: int, units: int, *, unit_norm: bool = False):
        super().__init__()
        check_option("pool", kind, POOLS)
        self.kind = kind
        self.unit_norm = unit_norm
        self.attention = VectorAttention(dim, units) if kind == "attention" else None

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        if self.kind is None:
            return x, lengths
        vectors = masked_mean(x, lengths) if self.attention is None else self.attention(x, lengths)
        return one_frame(F.normalize(vectors) if self.unit_norm else vectors)


class SpeechRNN(nn.Module):
    """What the recurrent encoders share: ``frames`` makes a map, ``pool`` may leave one vector of it."""

    backbone_frozen = False
    pool: FramePool

    @property
    def lag(self) -> float:
        """In output frames: frame t is centred on the middle of the ``pooling`` input frames that it is made of."""
        return 0.5 / self.pooling

    @property
    def pooled(self) -> bool:
        """Whether a caption becomes one vector."""
        return self.pool.kind is not None

    def frames(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, F, T] and lengths [B] to the map before the pool, [B, D, T'] and lengths."""
        raise NotImplementedError

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, F, T] and lengths [B] to the map A [B, D, T'] and lengths; T' is 1 where pooled."""
        return self.pool(*self.frames(features, lengths))

    def attention(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The pool's attention over time, for display: weights [B, D, T'] that sum to 1 over time, and lengths.

        Raises ValueError for an encoder whose pool is not attention.
        """
        if self.pool.attention is None:
            raise ValueError(f'pool: expected "attention" for weights over time, found {self.pool.kind!r}.')
        x, lengths = self.frames(features, lengths)
        return self.pool.attention.weights(x, lengths), lengths


class Recurrent(SpeechRNN):
    """The LSTM and GRU of zhang2020 (section 2.3): ``num_layers`` layers over all frames, one output for each.

    The document says "multi-layer" and no sizes. Chosen here: two layers of 1024 units, as many as its picture map
    has channels, forwards only; the input is batch-normalised as in DAVEnet, since its features span hundreds,
    which closes the gates.

    Arguments: ``cell`` "gru" or "lstm"; ``width`` scales the layers, ``dim`` is the last one's size; ``pool`` None,
    "attention" or "mean"; ``front_end`` an object or a name.
    """

    pooling = 1

    def __init__(
        self,
        *,
        cell: str = "lstm",
        num_layers: int = 2,
        bidirectional: bool = False,
        width: float = 1.0,
        dim: int | None = None,
        pool: str | None = None,
        front_end: FrontEnd | str | None = None,
    ):
        super().__init__()
        self.front_end = make_front_end(front_end)
        self.dim = dim or _units(1024, width, bidirectional)
        self.input_norm = InputNorm()
        self.layers = _layers(self.front_end.num_bands, num_layers, width, self.dim, cell, bidirectional)
        self.pool = FramePool(pool, self.dim, scaled(1024, width))

    def frames(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, F, T] and lengths [B] to [B, D, T] and the same lengths."""
        check_lengths(features, lengths)
        x = self.input_norm(features, padding_mask(lengths, features.shape[-1]))
        for layer in self.layers:
            x, lengths = layer(x, lengths)
        return x, lengths


class PyramidalRNN(SpeechRNN):
    """A pyramid of three layers in both directions, each over pairs of frames joined to one: T / 8.

    tian2020 (section 4.1.2, equation 4.5): GRU, then vector self-attention with 1024 units for W to one vector of
    2048. Its ablation without attention names no other pool; ``pool="mean"`` is chosen for it. scharenborg2020:
    ``cell="lstm"``, and since its sizes and its pool are not given either, those of tian2020 and "mean".

    Chosen here: 1024 units a direction in every layer, which the 2048 of the output ask of the last; a last odd
    frame is joined with zeros; the input is batch-normalised as in DAVEnet.

    Arguments as for ``Recurrent``; ``pool`` None leaves the map of T / 8 frames.
    """

    def __init__(
        self,
        *,
        cell: str = "gru",
        num_layers: int = 3,
        width: float = 1.0,
        dim: int | None = None,
        pool: str | None = "attention",
        front_end: FrontEnd | str | None = None,
    ):
        super().__init__()
        self.front_end = make_front_end(front_end)
        self.pooling = 2**num_layers
        self.dim = dim or _units(2048, width, True)
        self.input_norm = InputNorm()
        self.layers = _layers(self.front_end.num_bands, num_layers, 2 * width, self.dim, cell, True, joined=2)
        self.pool = FramePool(pool, self.dim, scaled(1024, width))

    def frames(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, F, T] and lengths [B] to [B, D, ceil(T / 8)] and lengths."""
        check_lengths(features, lengths)
        x = self.input_norm(features, padding_mask(lengths, features.shape[-1]))
        for layer in self.layers:
            x, lengths = layer(*join_pairs(x, lengths))
        return x, lengths


class ConvRecurrent(SpeechRNN):
    """merkx2019: a convolution of 6 frames, stride 2, four GRU layers in both directions, attention, unit length.

    Published code: 39 MFCC to 64 channels without padding, bias or nonlinearity, Glorot-uniform; 1024 units a
    direction; attention with 128 units, one weight per dimension (2048); L2 norm. A caption under 6 frames is filled
    up with zeros. Default front end: "merkx2019", whose features are normalised, so no batch normalisation here.

    Arguments as for ``Recurrent``.
    """

    pooling = 2

    def __init__(
        self,
        *,
        cell: str = "gru",
        num_layers: int = 4,
        width: float = 1.0,
        dim: int | None = None,
        pool: str | None = "attention",
        front_end: FrontEnd | str | None = None,
    ):
        super().__init__()
        self.front_end = make_front_end(front_end, "merkx2019")
        self.dim = dim or _units(2048, width, True)
        self.conv = nn.Conv1d(self.front_end.num_bands, scaled(64, width), 6, stride=2, bias=False)
        nn.init.xavier_uniform_(self.conv.weight)
        self.layers = _layers(scaled(64, width), num_layers, 2 * width, self.dim, cell, True)
        self.pool = FramePool(pool, self.dim, scaled(128, width), unit_norm=True)

    @property
    def lag(self) -> float:
        """Frame t hears input frames 2 t to 2 t + 5, centred on 2 t + 2.5; the middle of its own time is 2 t + 1."""
        return (1 - 2.5) / self.pooling

    def frames(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, F, T] and lengths [B] to [B, D, max(1, (T - 4) // 2)] and lengths."""
        check_lengths(features, lengths)
        x = apply_mask(features, padding_mask(lengths, features.shape[-1]))
        x = self.conv(F.pad(x, (0, max(0, 6 - x.shape[-1]))))
        lengths = ((lengths - 4) // 2).clamp(min=1)
        for layer in self.layers:
            x, lengths = layer(x, lengths)
        return x, lengths


def join_pairs(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Two consecutive frames of [B, C, T] as one, a last odd one with zeros: [B, 2 C, ceil(T / 2)] and lengths."""
    x = apply_mask(x, padding_mask(lengths, x.shape[-1]))
    x = F.pad(x, (0, x.shape[-1] % 2))
    return x.unflatten(-1, (-1, 2)).permute(0, 3, 1, 2).flatten(1, 2), halve(lengths)


def _units(units: int, width: float, bidirectional: bool) -> int:
    """The scaled units of a layer, an even number in two directions."""
    return 2 * scaled(units // 2, width) if bidirectional else scaled(units, width)


def _layers(
    channels: int, num_layers: int, width: float, dim: int, cell: str, bidirectional: bool, *, joined: int = 1
) -> nn.ModuleList:
    """Layers of 1024 units times ``width``, the last of ``dim``, each over ``joined`` frames of the one before."""
    if num_layers < 1:
        raise ValueError(f"num_layers: expected 1 or more, found {num_layers}.")
    sizes = [channels, *[_units(1024, width, bidirectional)] * (num_layers - 1), dim]
    return nn.ModuleList(
        RecurrentLayer(joined * before, after, cell=cell, bidirectional=bidirectional)
        for before, after in pairwise(sizes)
    )
