"""Vectors with the largest inner products with a query, exactly or nearly so, through faiss.

Three kinds: all vectors are compared (exact), those of the nearest lists of a k-means (IVF), or those met on a walk
along a graph of neighbours (HNSW; Malkov and Yashunin, 2018). The approximate ones keep each number of a vector in 16
or 8 bits (scalar quantisation; Douze and others, The Faiss Library, 2024).

Legend: V vectors in the index, D their size, N pictures of P vectors each, Q queries.
"""

import time

import faiss
import numpy as np
import torch
from torch import Tensor

from vgs_lib.errors import DataError

KINDS = ("exact", "ivf", "hnsw")
BITS = (16, 8)
_TRAINED_PER_LIST = 40  # vectors of each list that k-means is fitted to: more take time and change little
_ROUNDS = 8  # of k-means
_ADDED = 32  # pictures added to an index at once


class VectorIndex:
    """The vectors with the largest inner products with a query, through faiss.

    Args:
        vectors: [V, D], V >= 1, or [N, P, D], numbered row by row.
        kind: ``exact`` compares with all; ``ivf`` with the lists of a k-means whose centres are nearest; ``hnsw`` walks
            a graph of neighbours.
        lists: of ``ivf``; by default about the square root of V.
        probes: lists that ``ivf`` looks into for a query. More find more and take longer.
        links: neighbours of a vector in the graph of ``hnsw``.
        breadth: candidates that ``hnsw`` keeps while it walks. More find more and take longer.
        bits: 16 or 8, in which ``ivf`` and ``hnsw`` keep each number of a vector; ``exact`` keeps 32.
        seed: of k-means.

    Raises:
        DataError: vectors of a wrong shape, none, not finite, an unknown kind or number of bits, or a setting below 1.
    """

    def __init__(
        self,
        vectors: np.ndarray | Tensor,
        *,
        kind: str = "exact",
        lists: int | None = None,
        probes: int = 4,
        links: int = 16,
        breadth: int = 64,
        bits: int = 16,
        seed: int = 0,
    ):
        vectors = torch.as_tensor(vectors)
        vectors = vectors[:, None] if vectors.dim() == 2 else vectors
        if vectors.dim() != 3 or 0 in vectors.shape:
            raise DataError(f"vectors are {list(vectors.shape)}; expected [V, D] or [N, P, D], none of them 0")
        count, dim = vectors.shape[0] * vectors.shape[1], vectors.shape[2]
        lists = max(1, round(count**0.5)) if lists is None else lists
        for name, value in (("lists", lists), ("probes", probes), ("links", links), ("breadth", breadth)):
            if value < 1:
                raise DataError(f"{name} is {value}; expected 1 or more")
        if kind not in KINDS:
            raise DataError(f"kind is {kind!r}; expected one of {', '.join(KINDS)}")
        if bits not in BITS:
            raise DataError(f"bits is {bits}; expected 16 or 8")
        if lists > count:
            raise DataError(f"lists is {lists}, but there are {count} vectors; expected at most one list for each")
        self.kind, self.dim, self.bits = kind, dim, 32 if kind == "exact" else bits
        started = time.perf_counter()
        self._index = _empty_index(kind, dim, lists, links, bits, seed)
        if not self._index.is_trained:
            self._index.train(_sample(vectors, lists * _TRAINED_PER_LIST, seed))
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1 if kind == "hnsw" else threads)  # several threads make another graph each time
        for part in vectors.split(_ADDED):  # in parts, so that no copy of all is made
            self._index.add(_rows(part.reshape(-1, dim), "vectors"))
        faiss.omp_set_num_threads(threads)
        if kind != "exact":
            self.set_effort(min(probes, lists) if kind == "ivf" else breadth)
        self.build_seconds = time.perf_counter() - started

    def __len__(self) -> int:
        return self._index.ntotal

    @property
    def num_bytes(self) -> int:
        """What the vectors take, without the numbers, centres and links beside them."""
        return len(self) * self.dim * self.bits // 8

    def set_effort(self, value: int) -> "VectorIndex":
        """Change ``probes`` of ``ivf`` or ``breadth`` of ``hnsw``, without building again; returns the index."""
        if self.kind == "exact" or value < 1:
            raise DataError(f"effort is {value} for an index of kind {self.kind}; expected 1 or more, and ivf or hnsw")
        if self.kind == "ivf":
            self._index.nprobe = min(value, self._index.nlist)
        else:
            self._index.hnsw.efSearch = value
        return self

    def search(self, queries: np.ndarray | Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The ``k`` best vectors of each query [Q, D]: products [Q, k] float32, best first, and rows [Q, k] int64.

        Where an approximate index finds fewer, the last rows are -1. DataError for another D or ``k`` below 1.
        """
        queries = _rows(queries, "queries")
        if queries.shape[1] != self.dim:
            raise DataError(f"queries have {queries.shape[1]} dimensions, the index {self.dim}; they must be equal")
        if k < 1:
            raise DataError(f"k is {k}; expected 1 or more")
        return self._index.search(queries, min(k, len(self)))


def _empty_index(kind: str, dim: int, lists: int, links: int, bits: int, seed: int) -> faiss.Index:
    """A faiss index for inner products without vectors."""
    if kind == "exact":
        return faiss.IndexFlatIP(dim)
    code = faiss.ScalarQuantizer.QT_fp16 if bits == 16 else faiss.ScalarQuantizer.QT_8bit
    if kind == "hnsw":
        return faiss.IndexHNSWSQ(dim, code, links, faiss.METRIC_INNER_PRODUCT)
    centres = faiss.IndexFlatIP(dim)
    index = faiss.IndexIVFScalarQuantizer(centres, dim, lists, code, faiss.METRIC_INNER_PRODUCT, False)
    clustering = index.cp
    clustering.seed, clustering.niter = seed, _ROUNDS
    clustering.max_points_per_centroid, clustering.min_points_per_centroid = _TRAINED_PER_LIST, 1
    return index


def _sample(vectors: Tensor, most: int, seed: int) -> np.ndarray:
    """At most ``most`` of the vectors [N, P, D], drawn without replacement: [n, D]."""
    count = vectors.shape[0] * vectors.shape[1]
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:most])
    place = torch.from_numpy(chosen)
    return _rows(vectors[place // vectors.shape[1], place % vectors.shape[1]], "vectors")


def _rows(values: np.ndarray | Tensor, name: str) -> np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach().cpu().float().numpy()
    values = np.ascontiguousarray(values, dtype=np.float32)
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(f"{name} are {list(values.shape)}; expected [rows, D], none of them 0")
    if not np.isfinite(values).all():
        raise DataError(f"{name} hold values that are not finite; a model that gives them cannot be searched")
    return values
