"""The recurrent highway network of chrupala2017, as a speech encoder (compared in tian2020, section 2.4).

A convolution of 6 frames, stride 2; four recurrent highway layers (Zilly et al. 2017), all but the first residual;
attention over time; unit length. In each frame a layer updates its state s in micro-steps:

    s <- s + (tanh(h) - s) * sigmoid(g),    h, g = R s + b  (in the first micro-step b is W x_t + b)

From the published code: sizes, weights and gate biases at the start, residual connections, learnt first states, and
dropout with one mask for all frames (0.25 of the input, 0.1 of the state). That code pads at the front and its
attention reads the padding; here captions are padded at the end and the attention is masked.

Shapes: B captions, F bands, C channels, T frames, D embedding.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgs_lib.encoders.attention import VectorAttention
from vgs_lib.encoders.layers import apply_mask, check_lengths, one_frame, padding_mask, scaled
from vgs_lib.front_ends import FrontEnd
from vgs_lib.front_ends.named import make_front_end

_SCALE = 0.04  # of the uniform weights at the start
_GATE_BIAS = -2.0  # at the start the state is mostly kept
_ORTHOGONAL_GAIN = 1.1


class HighwayLayer(nn.Module):
    """One recurrent highway layer, forwards: [B, C, T] to [B, D, T]. The caller masks what comes of padding.

    The products of the input with its weights are made for all frames at once, so that a frame costs one matrix
    product per micro-step.
    """

    def __init__(
        self, channels: int, dim: int, *, micro_steps: int = 2, input_dropout: float = 0.0, state_dropout: float = 0.0
    ):
        super().__init__()
        if micro_steps < 1:
            raise ValueError(f"micro_steps: expected 1 or more, found {micro_steps}.")
        self.input_dropout, self.state_dropout = input_dropout, state_dropout
        self.input = nn.Linear(channels, 2 * dim)
        self.steps = nn.ModuleList(nn.Linear(dim, 2 * dim, bias=step > 0) for step in range(micro_steps))
        self.start = nn.Parameter(torch.zeros(dim))
        for linear in (self.input, *self.steps):
            for parameter in linear.parameters():
                nn.init.uniform_(parameter, -_SCALE, _SCALE)
            if linear.bias is not None:
                nn.init.constant_(linear.bias[dim:], _GATE_BIAS)

    def forward(self, x: Tensor) -> Tensor:
        inputs = self.input(_dropout(x, self.input_dropout, self.training).permute(2, 0, 1))  # [T, B, 2 D]
        state = self.start.expand(x.shape[0], -1)
        dropped = self.training and self.state_dropout
        noise = _dropout(torch.ones_like(state)[..., None], self.state_dropout, True)[..., 0] if dropped else None
        first, *others = self.steps
        states = []
        for frame in inputs.unbind():
            state = _update(state, torch.addmm(frame, _times(state, noise), first.weight.T))
            for step in others:
                state = _update(state, step(_times(state, noise)))
            states.append(state)
        return torch.stack(states, dim=-1)


class RecurrentHighway(nn.Module):
    """The speech encoder of chrupala2017: [B, F, T] to unit vectors [B, D, 1] with lengths of 1.

    Published code: the convolution has 64 filters, no bias and no nonlinearity, Glorot-uniform, and reads five frames
    of zeros on either side, so T' = (T + 6) // 2; attention has 128 units and one weight per frame.

    Arguments: ``width`` scales all sizes; ``dim`` is the embedding size, reached from the ``1024 * width`` units by a
    linear map before the unit length if it is another one (residual layers are all of one size); ``front_end`` an
    object or a name, by default "chrupala2017".
    """

    pooling = 2
    lag = (1 + 2.5) / 2  # frame t hears input frames 2 t - 5 to 2 t; the middle of its own time is 2 t + 1
    pooled = True
    backbone_frozen = False

    def __init__(
        self,
        *,
        num_layers: int = 4,
        micro_steps: int = 2,
        input_dropout: float = 0.25,
        state_dropout: float = 0.1,
        width: float = 1.0,
        dim: int | None = None,
        front_end: FrontEnd | str | None = None,
    ):
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"num_layers: expected 1 or more, found {num_layers}.")
        self.front_end = make_front_end(front_end, "chrupala2017")
        units = scaled(1024, width)
        self.dim = dim or units
        self.conv = nn.Conv1d(self.front_end.num_bands, scaled(64, width), 6, stride=2, padding=5, bias=False)
        nn.init.xavier_uniform_(self.conv.weight)
        self.layers = nn.ModuleList(
            HighwayLayer(
                scaled(64, width) if index == 0 else units,
                units,
                micro_steps=micro_steps,
                input_dropout=input_dropout,
                state_dropout=state_dropout,
            )
            for index in range(num_layers)
        )
        self.pool = VectorAttention(units, scaled(128, width), shared=True)
        for linear in (self.pool.hidden, self.pool.score):
            nn.init.orthogonal_(linear.weight, _ORTHOGONAL_GAIN)
            nn.init.zeros_(linear.bias)
        self.output = nn.Identity() if self.dim == units else nn.Linear(units, self.dim)

    def frames(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, F, T] and lengths [B] to the last layer's states [B, C, (T + 6) // 2] and lengths."""
        check_lengths(features, lengths)
        x = self.conv(apply_mask(features, padding_mask(lengths, features.shape[-1])))
        lengths = (lengths + 6) // 2
        first, *residual = self.layers
        x = first(x)
        for layer in residual:
            x = x + layer(x)
        return apply_mask(x, padding_mask(lengths, x.shape[-1])), lengths

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, F, T] and lengths [B] to the vectors [B, D, 1], lengths of 1."""
        return one_frame(F.normalize(self.output(self.pool(*self.frames(features, lengths)))))

    def attention(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The attention over time, for display: weights [B, 1, T'] that sum to 1 over time, and lengths."""
        x, lengths = self.frames(features, lengths)
        return self.pool.weights(x, lengths), lengths


def _update(state: Tensor, gates: Tensor) -> Tensor:
    """A micro-step: the state [B, D] moved towards tanh(h) by sigmoid(g), with [h, g] = ``gates`` [B, 2 D]."""
    candidate, gate = gates.chunk(2, dim=-1)
    return state + (candidate.tanh() - state) * gate.sigmoid()


def _times(state: Tensor, noise: Tensor | None) -> Tensor:
    return state if noise is None else state * noise


def _dropout(x: Tensor, probability: float, training: bool) -> Tensor:
    """Dropout of whole channels of x [B, C, T]: one mask for all frames of a caption."""
    return F.dropout1d(x, probability) if training and probability else x
