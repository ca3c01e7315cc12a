"""Which part of a description a model gets wrong: its noun, its colour or its size.

Legend: B scenes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from vgs_lib.data.attributes import Description

PARTS = ("noun", "colour", "size")


def right_parts(
    scores: Tensor, classes: Sequence[Description], *, queries: Tensor | None = None
) -> dict[str, tuple[float, float]]:
    """How often the best picture of a caption shows what the caption says, part by part.

    Args:
        scores: [B, B] of pictures (rows) and captions, without ties for the best.
        classes: of the B scenes.
        queries: bool [B], the captions that ask; all pictures are candidates. None takes all.

    Returns:
        For each of ``PARTS`` and for "all of it": the share of captions, and the share if the picture were drawn at
        random.
    """
    asks = range(len(classes)) if queries is None else torch.nonzero(queries)[:, 0].tolist()
    best = scores.argmax(dim=0).tolist()
    same = {part: lambda a, b, part=part: getattr(a, part) == getattr(b, part) for part in PARTS}
    same["all of it"] = lambda a, b: a == b
    found = {}
    for part, equal in same.items():
        share = sum(equal(classes[best[i]], classes[i]) for i in asks) / len(asks)
        chance = sum(equal(one, classes[i]) for i in asks for one in classes) / (len(asks) * len(classes))
        found[part] = (share, chance)
    return found
