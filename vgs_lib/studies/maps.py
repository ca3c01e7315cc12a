"""What a dual encoder makes of held-out scenes: the maps of both sides and all scores, computed once.

Legend: B pictures or captions, D embedding, H W grid, T frames.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vgs_lib.batches.held_out import HeldOut
from vgs_lib.model import DualEncoder


@dataclass(frozen=True)
class Maps:
    """What a dual encoder makes of B scenes, computed once.

    image: [B, D, H, W]. audio: [B, D, T]. lengths: [B] frames. scores: [B, B] of pictures (rows) and captions. right:
    bool [B, B], caption j is true of picture i.
    """

    image: Tensor
    audio: Tensor
    lengths: Tensor
    scores: Tensor
    right: Tensor


@torch.no_grad()
def maps_of(model: DualEncoder, held_out: HeldOut, right: Tensor) -> Maps:
    """The maps of ``held_out`` scenes, whose bank must have been filled; ``right`` as in :class:`Maps`."""
    image, audio, lengths = held_out.embed(model.eval())
    return Maps(image, audio, lengths, model.score(image, audio, lengths), right.to(image.device))
