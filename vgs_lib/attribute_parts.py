"""Which part of a description a model gets wrong: its noun, its colour or its size, or whose colour it is.

Legend: B scenes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from vgs_lib.data.attribute_scenes import AttributeScene
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


def mixed_up(scores: Tensor, scenes: Sequence[AttributeScene], *, queries: Tensor | None = None) -> tuple[int, int]:
    """Of the best pictures that are wrong, how many have the noun and the colour that were said, on different things.

    Args: as for :func:`right_parts`, with the B scenes in place of their classes.

    Returns:
        The number of those, and the number of wrong best pictures: what binding could mend at most.
    """
    asks = range(len(scenes)) if queries is None else torch.nonzero(queries)[:, 0].tolist()
    best = scores.argmax(dim=0).tolist()
    mixed, wrong = 0, 0
    for i in asks:
        said, shown = scenes[i].description, [thing for _, thing in scenes[best[i]].things]
        if scenes[best[i]].description == said:
            continue
        wrong += 1
        together = any((thing.colour, thing.noun) == (said.colour, said.noun) for thing in shown)
        there = said.noun in {thing.noun for thing in shown} and said.colour in {thing.colour for thing in shown}
        mixed += there and not together
    return mixed, wrong
