"""Attention over time that pools a caption's frames to one vector, with softmax weights that skip padding.

tian2020 (section 4.1.2, equations 4.6 and 4.7), after merkx2019:

    a_t = softmax over t of (V tanh(W h_t + b_w) + b_v),    output = sum over t of a_t * h_t, element by element

so that every one of the C channels has weights of its own. chrupala2017 has one weight per frame for all channels.

Shapes: B captions, C channels, T frames, U units of W.
"""

import torch
from torch import Tensor, nn

from vgs_lib.encoders.layers import apply_mask, padding_mask


class VectorAttention(nn.Module):
    """A caption's frames [B, C, T] to one vector [B, C].

    tian2020 has 1024 units for W and 2048 for V, merkx2019 128 and 2048; V always has one per channel. With
    ``shared`` V has one unit, whose weight counts for all channels (chrupala2017).

    W starts orthogonal and its bias at 0 (W as in the published code of merkx2019); V as torch makes it. tian2020
    takes the module from there and says nothing of its own.
    """

    def __init__(self, channels: int, units: int, *, shared: bool = False):
        super().__init__()
        self.hidden = nn.Conv1d(channels, units, 1)  # W
        self.score = nn.Conv1d(units, 1 if shared else channels, 1)  # V
        nn.init.orthogonal_(self.hidden.weight)
        nn.init.zeros_(self.hidden.bias)

    def weights(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The weights a of frames [B, C, T]: [B, C, T], or [B, 1, T] if shared; 1 in all over time, 0 at padding."""
        mask = padding_mask(lengths, x.shape[-1])
        scores = self.score(self.hidden(apply_mask(x, mask)).tanh())
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None], -torch.inf)
        return scores.softmax(dim=-1)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        return (self.weights(x, lengths) * apply_mask(x, padding_mask(lengths, x.shape[-1]))).sum(dim=-1)
