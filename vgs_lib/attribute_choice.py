"""Does a model hear the colour? A choice between two pictures of the same thing and size in two colours.

Recall of an unseen pair does not need the colour word: in a held-out split a noun comes in one colour, and size and
noun nearly name the picture. Here the colour alone decides: of every caption, a picture of its class is put beside one
of the counterpart split that shows the same noun in the same size and another colour, and neither picture shows what
the other is described as. A model that is deaf to colours, whatever pictures it prefers, has .5 in the mean of a split
and its counterpart, since what it wins on one side it loses on the other; so read the two together.

Legend: B scenes of the split that is asked about, R scenes of its counterpart.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vgs_lib import retrieval
from vgs_lib.data.attribute_scenes import AttributeScene
from vgs_lib.maps import Maps
from vgs_lib.model import DualEncoder
from vgs_lib.study import WAYS


@torch.no_grad()
def colour_choice(
    model: DualEncoder,
    own: Maps,
    other: Maps,
    scenes: Sequence[AttributeScene],
    rivals: Sequence[AttributeScene],
    *,
    queries: Tensor | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """How often the named colour is chosen, both ways.

    Args:
        model: whose maps these are.
        own: of the B scenes. other: of the R scenes of the counterpart split.
        scenes: those B. rivals: those R.
        queries: bool [B], the scenes that ask. None takes all.
        seed: of the bootstrap. An interval draws queries, not classes.

    Returns:
        For each of ``study.WAYS`` ``share``, the mean over queries of the share of choices won (a tie is half of one),
        ``share_ci`` and ``queries``, the number of those that have a rival. Raises ValueError where none has.
    """
    asks = range(len(scenes)) if queries is None else torch.nonzero(queries)[:, 0].tolist()
    rival = rivals_of(scenes, rivals)
    of_class = own.right.cpu()
    same = own.scores.cpu()
    pictures = model.score(other.image, own.audio, own.lengths).cpu()  # [R, B]
    captions = model.score(own.image, other.audio, other.lengths).cpu()  # [B, R]
    won: dict[str, list[float]] = {way: [] for way in WAYS}
    for i in asks:
        right = torch.nonzero(of_class[:, i])[:, 0]
        if (allowed := rival[right]).any():
            won[WAYS[0]].append(_won(same[right, i][:, None] - pictures[:, i], allowed))
        right = torch.nonzero(of_class[i])[:, 0]
        if (allowed := rival[i].expand(len(right), -1)).any():
            won[WAYS[1]].append(_won(same[i, right][:, None] - captions[i], allowed))
    if not all(won.values()):
        raise ValueError(f"{len(asks)} queries: none has a rival, the same thing and size in another colour")
    return {
        way: {
            "share": sum(shares) / len(shares),
            "share_ci": retrieval.bootstrap_interval(shares, seed=seed),
            "queries": len(shares),
        }
        for way, shares in won.items()
    }


def rivals_of(scenes: Sequence[AttributeScene], rivals: Sequence[AttributeScene]) -> Tensor:
    """bool [B, R]: the same noun and size in another colour, neither picture showing what the other is described as."""
    mine, theirs = ([{thing for _, thing in scene.things} for scene in few] for few in (scenes, rivals))
    named, called = ([scene.description for scene in few] for few in (scenes, rivals))
    return torch.tensor(
        [
            [
                a._replace(colour=b.colour) == b and a.colour != b.colour and b not in shown and a not in there
                for b, there in zip(called, theirs, strict=True)
            ]
            for a, shown in zip(named, mine, strict=True)
        ]
    )


def _won(differences: Tensor, allowed: Tensor) -> float:
    """The share of allowed pairs with a difference above 0, a tie being half of one."""
    return float(((differences.sign() + 1) / 2)[allowed].mean())
