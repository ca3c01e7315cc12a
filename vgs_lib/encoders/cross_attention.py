"""Attention between a picture and a caption: a network that reads both maps of a pair and gives one number.

    audio frames      --attend to--> picture positions
    picture positions --attend to--> audio frames         both at once, in each layer, then a small network on each
    pooled over frames and positions --> a number

tian2020 (section 6.2) names attention between the modalities as what its dual encoder lacks, and builds none; this is
one design. ``vgs_lib.search.reranking`` uses it.

Shapes: P pairs, D embedding, H W grid, N = H W positions, T frames, E hidden width.
"""

import math

import torch
from torch import Tensor, nn

from vgs_lib.encoders.layers import check_lengths, frame_mask


class CrossAttention(nn.Module):
    """One layer: each side reads the other as it was before the layer and takes up what it read beside what it was.

    Picture tokens [P, N, E], frames [P, T, E] and what is added to the logits of both attentions, [P, N, T] (minus
    infinity at padding), to tokens and frames of the same shapes. A token x that read y becomes x + net([x, y, x * y]):
    the product is there because both sides come from one space, where equal things have equal signs.
    """

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.reads = nn.ModuleList(
            nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True) for _ in range(2)
        )
        self.nets = nn.ModuleList(
            nn.Sequential(nn.Linear(3 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for _ in range(2)
        )

    def forward(self, places: Tensor, frames: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        seen, heard = self.norms[0](places), self.norms[1](frames)
        ahead = bias.repeat_interleave(self.heads, dim=0)
        back = bias.masked_fill(bias.isinf(), 0.0).repeat_interleave(self.heads, dim=0).transpose(1, 2)
        to_places = self.reads[0](seen, heard, heard, attn_mask=ahead, need_weights=False)[0]
        to_frames = self.reads[1](heard, seen, seen, attn_mask=back, need_weights=False)[0]
        places = places + self.nets[0](torch.cat([seen, to_places, seen * to_places], dim=-1))
        frames = frames + self.nets[1](torch.cat([heard, to_frames, heard * to_frames], dim=-1))
        return places, frames


class Reranker(nn.Module):
    """Scores pairs of one picture and one caption by attention between their maps.

    Attention begins where the dual encoder already finds something: its matchmap, times ``sharpness``, is added to the
    logits. dim: D of the maps. width: E. heads: of the attention. num_layers: how often each side reads the other;
    after two, a frame has read positions that know what the other frames say. weight: of the dual encoder's score; its
    ``logit_scale.exp()`` is too sure of candidates that all score high. dropout: of attention and of the
    maps. ``weight`` and ``sharpness`` are first values; both are learnt on.
    """

    def __init__(
        self,
        dim: int,
        *,
        width: int = 32,
        heads: int = 2,
        num_layers: int = 2,
        weight: float = 2.5,
        sharpness: float = 1.0,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.dim = dim
        self.norms = nn.ModuleList(nn.Sequential(nn.LayerNorm(dim), nn.Dropout(dropout)) for _ in range(2))
        self.project = nn.Linear(dim, width)  # one for both sides, which share a space
        self.place_in = nn.Linear(2, width, bias=False)
        self.layers = nn.ModuleList(CrossAttention(width, heads, dropout) for _ in range(num_layers))
        self.head = nn.Sequential(nn.LayerNorm(3 * width), nn.Linear(3 * width, width), nn.GELU(), nn.Linear(width, 1))
        nn.init.zeros_(self.head[-1].weight)
        nn.init.zeros_(self.head[-1].bias)
        self.log_weight = nn.Parameter(torch.tensor(math.log(weight)))
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(sharpness)))

    def forward(self, image_maps: Tensor, audio_maps: Tensor, lengths: Tensor) -> Tensor:
        """The corrections [P] of pairs: image maps [P, D, H, W], audio maps [P, D, T], lengths [P].

        Raises ValueError for lengths outside 1 to T and for maps of another D.
        """
        check_lengths(audio_maps, lengths)
        if image_maps.shape[1] != self.dim or audio_maps.shape[1] != self.dim:
            raise ValueError(f"maps: expected D {self.dim}, found {image_maps.shape[1]} and {audio_maps.shape[1]}.")
        mask = frame_mask(lengths, audio_maps.shape[-1])
        image, audio = image_maps.flatten(2), audio_maps.masked_fill(~mask[:, None], 0.0)
        bias = self.log_sharpness.exp() * torch.einsum("pdn,pdt->pnt", image, audio)
        bias = bias.masked_fill(~mask[:, None], -torch.inf)
        places = self.project(self.norms[0](image.transpose(1, 2))) + self.place_in(_grid(image_maps))
        frames = self.project(self.norms[1](audio.transpose(1, 2)))
        for layer in self.layers:
            places, frames = layer(places, frames, bias)
        heard = frames.masked_fill(~mask[..., None], 0.0).sum(dim=1) / lengths[:, None]
        return self.head(torch.cat([heard, places.mean(dim=1), places.amax(dim=1)], dim=1))[:, 0]


def _grid(maps: Tensor) -> Tensor:
    """The middles of positions [H W, 2], row and column, from -1 to 1."""
    rows, columns = ((torch.arange(n, device=maps.device) + 0.5) / n * 2 - 1 for n in maps.shape[-2:])
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).flatten(0, 1).to(maps.dtype)
