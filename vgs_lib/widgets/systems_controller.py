"""What the comparison of two systems knows and decides, without any widget library. Legend: Q queries.

A record (:mod:`vgs_lib.benchmark.reproduce`) holds the rank of the right candidate of each query: query i is scene i of
the test split, its caption from speech to picture and its picture the other way.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from vgs_lib.errors import DataError
from vgs_lib.retrieval import WAY_LABELS
from vgs_lib.retrieval.paired import Paired, hits, paired, sentence
from vgs_lib.widgets import buffers
from vgs_lib.widgets.material import Picture, Word, _scene_picture

NOTHING = "There are no records to compare yet: python -m vgs_lib reproduce makes them."


def scene_queries(stamps, split: str = "test", *, size: int = 224) -> Callable[[int], Picture]:
    """A function from the number of a query to its scene with its caption; a scene is drawn when it is asked for."""
    from vgs_lib.data.scenes import Scenes

    scenes = Scenes(stamps, split, size=size)
    return lambda query: _scene_picture(scenes[query], spoken=True)


class SystemComparisonController:
    """Two systems on the same queries: which only one of them ranks ``k`` or better.

    Args:
        records: of any number of systems and seeds, none too.
        query: from the number of a query to its picture with its caption.
        k: how good a rank counts as found.
        most: queries listed for each system.

    Raises:
        DataError: records of different numbers of queries.
    """

    def __init__(
        self,
        records: Sequence[Mapping[str, Any]],
        query: Callable[[int], Picture],
        *,
        k: int = 10,
        most: int = 8,
    ):
        self.k, self.most = k, most
        self.ranks = {_label(record, records): record["figures"]["ranks"] for record in records}
        sizes = {len(ranks[way]) for ranks in self.ranks.values() for way in WAY_LABELS}
        if len(sizes) > 1:
            raise DataError(f"the records hold {sorted(sizes)} queries; expected the same queries in all of them")
        self.names = list(self.ranks)
        self.first = self.names[0] if self.names else ""
        self.second = self.names[min(1, len(self.names) - 1)] if self.names else ""
        self.way = "speech_to_image"
        self.chosen: int | None = None
        self._query = lru_cache(maxsize=64)(query)
        self._thumbnail = lru_cache(maxsize=64)(lambda number: buffers.jpeg(self._query(number).load(), longest=96))
        self.lock = threading.RLock()

    def compare(self, first: str, second: str, way: str) -> None:
        """Compare these two in this direction; DataError for a name or a direction that is not there."""
        for name in (first, second):
            if name not in self.ranks:
                raise DataError(f"there is no record of {name!r}; there are {', '.join(self.names) or 'none'}")
        if way not in WAY_LABELS:
            raise DataError(f"no direction is called {way!r}; expected {' or '.join(WAY_LABELS)}")
        with self.lock:
            self.first, self.second, self.way = first, second, way

    @property
    def result(self) -> Paired | None:
        """The comparison; None without records."""
        return paired(*self._pair(), k=self.k) if self.names else None

    def found_alone(self) -> tuple[list[int], list[int]]:
        """The queries that the first system alone finds and those of the second, the other's worst rank first."""
        if not self.names:
            return [], []
        first, second = (np.asarray(ranks) for ranks in self._pair())
        a, b = hits(first, self.k), hits(second, self.k)
        ordered = lambda chosen, other: sorted(np.flatnonzero(chosen).tolist(), key=lambda i: (-other[i], i))
        return ordered(a & ~b, second), ordered(b & ~a, first)

    def choose(self, query: int) -> tuple[dict, list[bytes]]:
        """Show a query: content with its words and ranks; buffers: its picture as JPEG, its caption as WAV."""
        with self.lock:
            if not self.names or not 0 <= query < len(self._pair()[0]):
                raise DataError(f"there is no query {query}; they are counted from 0")
            picture = self._query(query)
            waveform, rate = picture.caption.load()
            self.chosen = query
            content = {"type": "query", **self._item(query), "seconds": len(waveform) / rate}
        content["words"] = [_word(word) for word in picture.caption.words]
        return content, [buffers.jpeg(picture.load()), buffers.wav(waveform, rate=rate)]

    def message(self) -> tuple[dict, list[bytes]]:
        """The comparison; buffers: ranks of both float32 [Q], then a thumbnail for each listed query."""
        with self.lock:
            alone = self.found_alone()
            listed = [[self._item(query) for query in queries[: self.most]] for queries in alone]
            content = {
                "type": "systems",
                "names": self.names,
                "ways": WAY_LABELS,
                "first": self.first,
                "second": self.second,
                "way": self.way,
                "k": self.k,
                "counts": [len(queries) for queries in alone],
                "listed": listed,
                "sentence": self.sentence(),
                "chosen": self.chosen,
            }
            ranks = [np.asarray(r, "<f4").tobytes() for r in self._pair()] if self.names else [b"", b""]
            return content, ranks + [self._thumbnail(item["query"]) for items in listed for item in items]

    def sentence(self) -> str:
        """What the comparison says, or that there is nothing to compare."""
        if self.result is None:
            return NOTHING
        if self.first == self.second:
            return f"{self.first} with itself: choose another system."
        return sentence(self.result, self.first, self.second)

    def _pair(self) -> tuple[Sequence[float], Sequence[float]]:
        return self.ranks[self.first][self.way], self.ranks[self.second][self.way]

    def _item(self, query: int) -> dict[str, Any]:
        first, second = self._pair()
        said = self._query(query)
        return {"query": query, "first": first[query], "second": second[query], "title": said.caption.title}


def _label(record: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> str:
    """A system's name, with its seed where there are several."""
    several = sum(other["system"] == record["system"] for other in records) > 1
    return f"{record['system']}, seed {record['seed']}" if several else record["system"]


def _word(word: Word) -> dict[str, Any]:
    return {"text": word.text, "start": word.start, "end": word.end}
