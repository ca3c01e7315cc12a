"""Search in sets too large to score whole: nearest neighbours through faiss, then the exact score of a shortlist.

The similarity MISA (harwath2019, equation 7) takes the best place of a picture anew for each frame of a caption, so it
is no inner product of two vectors, and a vector index cannot answer it. Two things that an index can do come near:

- **one vector a picture**, the mean of its places: the inner product with a caption's mean frame is SISA (equation 3);
- **a vector for every place**: the places nearest to each frame are what MISA's maximum looks for (late interaction,
  as in Khattab and Zaharia, ColBERT, 2020).

Either gives a shortlist; only its pictures are scored exactly. ``cell`` chooses anything between the two.

Legend: N pictures, D embedding, h w grid, P = h * w places, V vectors in the index, T frames, Q queries.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vgs_lib import similarity
from vgs_lib.errors import DataError
from vgs_lib.images import fit_picture
from vgs_lib.memory import give_back
from vgs_lib.search.vector_index import VectorIndex

_PART = 32  # pictures whose maps are widened to 32 bits at once: bounds the memory


@dataclass(frozen=True)
class Found:
    """Pictures of a query, best first: ``ids`` [k] int64, ``scores`` [k] float32, and the ``seconds`` it took."""

    ids: np.ndarray
    scores: np.ndarray
    seconds: float


def pool_places(image_maps: Tensor, cell: int) -> Tensor:
    """Image maps [N, D, h, w] -> vectors [N, P, D], each the mean of ``cell`` x ``cell`` places (fewer at an edge).

    Means are float32; with ``cell`` 1 the vectors are a view of the maps.
    """
    if cell < 1:
        raise DataError(f"cell is {cell}; expected 1 or more places")
    cell = min(cell, max(image_maps.shape[-2:]))
    if cell == 1:
        return image_maps.flatten(2).transpose(1, 2)
    pool = lambda part: functional.avg_pool2d(part.float(), cell, ceil_mode=True).flatten(2)
    return torch.cat([pool(part) for part in image_maps.split(_PART)]).transpose(1, 2)


def scored_maps(model, image_maps: Tensor) -> Tensor:
    """Image maps [N, D, H, W] averaged over ``model.cell``: what ``model.score`` looks at, [N, D, h, w]."""
    cell = getattr(model, "cell", 1)
    return functional.avg_pool2d(image_maps, cell, ceil_mode=True) if cell > 1 else image_maps


@torch.inference_mode()
def embed_places(
    model,
    picture_at: Callable[[int], np.ndarray],
    count: int,
    *,
    size: int = 224,
    dtype: torch.dtype = torch.float32,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Image maps [N, D, h, w] as from :func:`scored_maps`, encoded one picture after another, on the CPU.

    Args:
        model: a `DualEncoder` in eval mode.
        picture_at: gives picture 0 to ``count`` - 1, uint8 [H, W, 3], all of one size.
        count: N, 1 or more.
        size: pixels of the shorter side that the image encoder is given.
        dtype: in which they are kept; ``torch.float16`` takes half the memory.
        report: called with (done, total) after each picture.
    """
    if count < 1:
        raise DataError(f"count is {count}; expected 1 or more pictures to encode")
    give_back()
    maps, device = torch.empty(0), getattr(model, "device", "cpu")
    for number in range(count):
        picture = fit_picture(picture_at(number), size, name=f"picture {number}")
        encoded = scored_maps(model, model.embed_image(picture[None].to(device))).cpu()[0]
        if number == 0:
            maps = torch.empty(count, *encoded.shape, dtype=dtype)
        if encoded.shape != maps.shape[1:]:
            raise DataError(
                f"picture {number}: its map is {list(encoded.shape)}, that of picture 0 {list(maps[0].shape)}"
            )
        maps[number] = encoded
        report(number + 1, count)
    give_back()
    return maps


class PictureSearch:
    """The best pictures of a spoken query: a shortlist from a vector index, put in order by the exact score.

    Args:
        image_maps: [N, D, h, w] as from :func:`embed_places`; they are kept for the exact score,
            which is computed in 32 bits whatever they are kept in.
        cell: places averaged to one vector of the index; 1: every place is one, ``max(h, w)``: one vector a picture.
        score: similarity of the exact score, "misa" as trained by default.
        index: options of :class:`VectorIndex`, such as ``kind="ivf"``.
    """

    def __init__(self, image_maps: Tensor, *, cell: int = 1, score: str = "misa", **index):
        vectors = pool_places(image_maps, cell)
        self.image_maps, self.score = image_maps, score
        self.per_picture = vectors.shape[1]
        self.index = VectorIndex(vectors, **index)

    def __len__(self) -> int:
        return len(self.image_maps)

    def shortlist(self, audio_map: Tensor, size: int, *, neighbours: int = 64) -> np.ndarray:
        """Ids of at most ``size`` pictures, best first by what the index finds.

        With one vector a picture the query is the mean frame. Else every frame asks for its ``neighbours`` nearest
        vectors; a picture gets, for each frame, the product of its best one found, or the product of the frame's last
        one if it has none, which is the most it can have.

        Args:
            audio_map: [D, T] of one caption.
            size: pictures wanted, 1 or more.
        """
        if self.per_picture == 1:
            _, rows = self.index.search(audio_map.mean(dim=1)[None], size)
            return rows[0][rows[0] >= 0]
        products, rows = self.index.search(audio_map.T, neighbours)
        found = rows >= 0
        lowest = np.where(found, products, np.inf).min(axis=1, keepdims=True)
        owners = rows // self.per_picture
        keys = (np.arange(len(rows))[:, None] * len(self) + owners)[found]  # frame and picture in one number
        gains = (products - lowest)[found]
        _, first = np.unique(keys, return_index=True)  # the best of each: products come in falling order
        totals = np.bincount(keys[first] % len(self), weights=gains[first], minlength=len(self))
        seen = np.unique(owners[found])
        return seen[np.argsort(-totals[seen], kind="stable")[:size]]

    def search(self, audio_map: Tensor, *, num_best: int = 10, shortlist: int = 50, neighbours: int = 64) -> Found:
        """The ``num_best`` pictures of a caption [D, T] among a shortlist, by the exact score."""
        started = time.perf_counter()
        ids = self.shortlist(audio_map, shortlist, neighbours=neighbours)
        return self._best(audio_map, ids, num_best, started)

    def exact(self, audio_map: Tensor, *, num_best: int = 10) -> Found:
        """The ``num_best`` pictures of a caption [D, T] among all: what every other search is compared with."""
        return self._best(audio_map, np.arange(len(self)), num_best, time.perf_counter())

    @torch.inference_mode()
    def _best(self, audio_map: Tensor, ids: np.ndarray, num_best: int, started: float) -> Found:
        ids = np.sort(ids)
        audio_map = audio_map.to(self.image_maps.device)
        length = torch.tensor([audio_map.shape[1]], device=audio_map.device)
        score = lambda maps: similarity.score_matrix(maps.float(), audio_map[None], length, kind=self.score)[:, 0]
        scores = torch.cat([score(self.image_maps[part]) for part in torch.from_numpy(ids).split(_PART)])
        best, order = (x.cpu() for x in scores.topk(min(num_best, len(ids))))
        return Found(ids[order.numpy()], best.numpy(), time.perf_counter() - started)


@dataclass(frozen=True)
class Quality:
    """How good and how fast a search is, over queries.

    recall: share of the exact search's best pictures that are found too, mean over queries.
    hits: share of queries with their own picture among those found.
    milliseconds: median time of a query.
    """

    recall: float
    hits: float
    milliseconds: float


def quality(found: Sequence[Found], exact: Sequence[Found], right: Sequence[int]) -> Quality:
    """Compare searches with the exact ones of the same queries; ``right`` is the id of each query's own picture.

    Raises :class:`DataError` for none, or unequal numbers of the three.
    """
    if not len(found) == len(exact) == len(right) or not found:
        raise DataError(f"got {len(found)} searches, {len(exact)} exact ones and {len(right)} ids; expected as many")
    recalls = [len(np.intersect1d(a.ids, b.ids)) / len(b.ids) for a, b in zip(found, exact, strict=True)]
    hits = [own in one.ids for one, own in zip(found, right, strict=True)]
    seconds = np.median([one.seconds for one in found])
    return Quality(float(np.mean(recalls)), float(np.mean(hits)), 1000 * float(seconds))


def measure(
    search: PictureSearch, audio_maps: Sequence[Tensor], exact: Sequence[Found], *, efforts: Sequence[int], **options
) -> list[tuple[str, Quality]]:
    """The quality of a search at each effort (lists probed, or candidates kept), beside exact searches.

    Query i's own picture is picture i. ``options`` are those of :meth:`PictureSearch.search`. Raises DataError as
    :func:`quality`.
    """
    rows = []
    for effort in efforts:
        search.index.set_effort(effort)
        found = [search.search(one, **options) for one in audio_maps]
        rows.append((f"effort {effort}", quality(found, exact, range(len(exact)))))
    return rows
