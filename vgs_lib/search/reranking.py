"""Puts the best candidates of a dual encoder in a new order by attention between picture and speech.

tian2020 (section 6.2) names attention between the modalities as what its dual encoder lacks: each side is summed up
before it has met the other. A network that reads a picture and a caption together must run once for every pair, which
is too slow to search with. So the dual encoder searches, and `Reranker` orders its k best candidates again, reading the
dual encoder's own maps:

    new score = weight * the dual encoder's score + what the pair's network says, 0 before it is trained

:mod:`vgs_lib.search.reranking_training` trains it.

Legend: B pictures or captions, Q queries, C candidates, K of them reranked, D embedding, H W grid, T frames.
"""

from typing import Any

import torch
from torch import Tensor

from vgs_lib import retrieval
from vgs_lib.batches.held_out import Maps
from vgs_lib.encoders.cross_attention import Reranker
from vgs_lib.retrieval import WAYS

PAIRS_AT_ONCE = 512


def pair_scores(reranker: Reranker, maps: Maps, pictures: Tensor, captions: Tensor) -> Tensor:
    """The new scores of pairs: numbers of pictures and of captions, of one shape [...], to [...]."""
    old, shape = maps.scores[pictures, captions], pictures.shape
    parts = zip(pictures.flatten().split(PAIRS_AT_ONCE), captions.flatten().split(PAIRS_AT_ONCE), strict=True)
    found = []
    for i, j in parts:
        longest = int(maps.lengths[j].max())
        found.append(reranker(maps.image[i], maps.audio[j, :, :longest], maps.lengths[j]))
    return reranker.log_weight.exp() * old + torch.cat(found).view(shape)


@torch.no_grad()
def rerank(reranker: Reranker, maps: Maps, *, k: int, way: str) -> tuple[Tensor, Tensor]:
    """Queries' scores before and after: [Q, C] each, rows are captions for "speech_to_image" and else pictures.

    k: how many candidates of each query are put in order, at most as many as there are. Raises ValueError for k < 1.
    """
    if k < 1 or way not in WAYS:
        raise ValueError(f"k: expected 1 or more, found {k}; way: expected one of {', '.join(WAYS)}, found {way!r}.")
    before = maps.scores.T if way == WAYS[0] else maps.scores
    candidates = before.topk(min(k, before.shape[1]), dim=1).indices
    queries = torch.arange(len(before), device=before.device)[:, None].expand_as(candidates)
    pair = (candidates, queries) if way == WAYS[0] else (queries, candidates)
    reranker = reranker.eval().to(maps.image.device)
    return before, _reorder(before, pair_scores(reranker, maps, *pair), candidates)


def figures(reranker: Reranker, maps: Maps, *, k: int = 10, seed: int = 0, ks=(1, 5)) -> dict[str, Any]:
    """Recall of both ways before and after, by way, then by name: ``r1_before``, ``r1_after``, ``r1_gain``.

    Each has its bootstrap interval (``r1_gain_ci``); that of the gain draws queries, each with its before and after.
    """
    found: dict[str, Any] = {}
    for way in WAYS:
        right = maps.right.T if way == WAYS[0] else maps.right
        both = rerank(reranker, maps, k=k, way=way)
        found[way] = {}
        for at in ks:
            before, after = (retrieval.hits_at_k(scores.cpu(), at, right.cpu()) for scores in both)
            for name, each in (("before", before), ("after", after), ("gain", after - before)):
                found[way][f"r{at}_{name}"] = float(each.mean())
                found[way][f"r{at}_{name}_ci"] = retrieval.bootstrap_interval(each, seed=seed)
    return found


def _reorder(scores: Tensor, new: Tensor, candidates: Tensor) -> Tensor:
    """Scores in which each query's candidates stand in a new order, above all others as before.

    Args:
        scores: [Q, C], higher is better.
        new: [Q, K] new scores of the candidates; only their order within a query counts, and ties stay ties.
        candidates: [Q, K] the K best candidates of each query by ``scores``.

    Returns:
        [Q, C]; what is no candidate keeps its score.
    """
    others = scores.scatter(1, candidates, -torch.inf).amax(dim=1, keepdim=True)
    floor = others.where(others.isfinite(), torch.zeros_like(others))
    return scores.scatter(1, candidates, floor + 1 + new - new.amin(dim=1, keepdim=True))
