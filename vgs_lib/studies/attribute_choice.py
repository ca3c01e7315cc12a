"""Does a model hear the colour? A choice between two pictures of the same thing and size in two colours.

Recall of an unseen pair hardly needs the colour word: in a held-out split most nouns come in one colour, and size and
noun nearly name the picture. Here the colour alone decides. A colour class of one split and the class of the same noun
and size of its counterpart are rivals: a caption of either is put before a picture of each, and a picture of either
before a caption of each. Only pictures count that do not show what the other class describes.

Both of two rivals are asked about the same pictures, and each two rivals count once in both splits. So a model that is
deaf to colours, whatever pictures or captions it prefers, wins in one split what it loses in the other: the mean of the
two is .5, but for what else the captions of two rivals differ in, such as voices.

Legend: B and R scenes of the two splits.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vgs_lib import retrieval
from vgs_lib.batches.attribute_batches import AttributeHeldOut
from vgs_lib.batches.held_out import Maps
from vgs_lib.data.attribute_scenes import AttributeScene
from vgs_lib.data.attributes import Description
from vgs_lib.model import DualEncoder
from vgs_lib.retrieval import WAYS


def colour_choice(
    model: DualEncoder, maps: Mapping[str, Maps], held_out: Mapping[str, AttributeHeldOut], *, seed: int = 0
) -> dict[str, Any]:
    """How often the named colour is chosen in two splits that are each other's counterpart.

    Args:
        model: whose maps these are.
        maps: of each split. held_out: its scenes; those whose colour pair is in question ask and are rivals.
        seed: of the bootstrap.

    Returns:
        By the names of the two splits and "both", their mean; then by direction: ``share`` of the choices won (a
        tie is half of one, every two rivals count alike), ``share_ci``, whose draws are of nouns, and ``rivals``, how
        many pairs of classes there are. Raises ValueError where there are none.
    """
    one, other = held_out
    scenes = [[held_out[name].scenes[i] for i in range(len(held_out[name]))] for name in (one, other)]
    asks = [held_out[name].tested("colour") for name in (one, other)]
    won = choices(model, (maps[one], maps[other]), scenes, asks)
    found: dict[str, Any] = {one: {}, other: {}, "both": {}}
    for way, shares in won.items():
        if not shares:
            raise ValueError(f"{one} and {other}: found no two classes of one noun and size in two colours")
        nouns = sorted({rival.noun for rival in shares})
        groups = [nouns.index(rival.noun) for rival in shares]
        both = torch.tensor(list(shares.values()), dtype=torch.float64)
        for name, values in ((one, both[:, 0]), (other, both[:, 1]), ("both", both.mean(dim=1))):
            interval = retrieval.bootstrap_interval(values, seed=seed, groups=groups)
            found[name][way] = {"share": float(values.mean()), "share_ci": interval, "rivals": len(shares)}
    return found


@torch.no_grad()
def choices(
    model: DualEncoder,
    maps: Sequence[Maps],
    scenes: Sequence[Sequence[AttributeScene]],
    asks: Sequence[Tensor],
) -> dict[str, dict[Description, tuple[float, float]]]:
    """For each way and each class of the first split that has a rival: the shares won by the two of them.

    Args:
        maps: of the B and the R scenes.
        scenes: those of the first and of the second split.
        asks: bool [B] and [R], the scenes that count.
    """
    one, other = maps
    across = model.score(other.image, one.audio, one.lengths).cpu()  # [R, B]
    back = model.score(one.image, other.audio, other.lengths).cpu()  # [B, R]
    first, second = one.scores.cpu(), other.scores.cpu()
    shown = [[{thing for _, thing in scene.things} for scene in few] for few in scenes]
    won: dict[str, dict[Description, tuple[float, float]]] = {way: {} for way in WAYS}
    for mine, theirs in rivals(scenes, asks):
        a, b = (
            [i for i, scene in enumerate(few) if scene.description == one_class and asked[i]]
            for few, one_class, asked in zip(scenes, (mine, theirs), asks, strict=True)
        )
        x = [i for i in a if theirs not in shown[0][i]]  # pictures that show one of the two
        y = [j for j in b if mine not in shown[1][j]]
        if x and y:
            won[WAYS[0]][mine] = (
                _won(first[x][:, a][:, None] - across[y][:, a]),
                _won(second[y][:, b] - back[x][:, b][:, None]),
            )
            won[WAYS[1]][mine] = (
                _won(first[x][:, a][:, :, None] - back[x][:, b][:, None]),
                _won(second[y][:, b][:, None] - across[y][:, a][:, :, None]),
            )
    return won


def rivals(scenes: Sequence[Sequence[AttributeScene]], asks: Sequence[Tensor]) -> list[tuple[Description, Description]]:
    """Classes of the first and of the second split that differ in their colour alone, among the scenes that count."""
    mine, theirs = (
        dict.fromkeys(scene.description for scene, asked in zip(few, one, strict=True) if asked)
        for few, one in zip(scenes, asks, strict=True)
    )
    return [(a, b) for a in mine for b in theirs if a.colour != b.colour and a._replace(colour=b.colour) == b]


def _won(differences: Tensor) -> float:
    """The share of differences above 0, a tie being half of one."""
    return float(((differences.sign() + 1) / 2).mean())
