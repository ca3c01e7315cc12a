"""Two systems compared query by query, as a widget."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vgs_lib.widgets.material import Picture
from vgs_lib.widgets.systems_controller import SystemComparisonController
from vgs_lib.widgets.view import View, module, style


class SystemComparison(View):
    """Choose two systems and see their ranks of every query, and the queries that only one of them finds.

    Args:
        records: from :func:`vgs_lib.benchmark.records.read_records`; without any, a sentence says how they are made.
        query: from :func:`scene_queries`.
        k: how good a rank counts as found.
    """

    _esm = module("systems.js")
    _css = style("systems.css")

    def __init__(self, records: Sequence[Mapping[str, Any]], query: Callable[[int], Picture], *, k: int = 10):
        super().__init__(SystemComparisonController(records, query, k=k))
        receive = lambda content, data: self.compare(content["first"], content["second"], way=content["way"])
        self.handlers["compare"] = receive
        self.handlers["choose"] = lambda content, data: self.choose(int(content["query"]))

    def refresh(self) -> None:
        """Show the comparison as it is now, before it changes again."""
        with self.controller.lock:
            super().refresh()

    def compare(self, first: str, second: str, *, way: str = "speech_to_image") -> None:
        """Compare two systems by name, as the lists do; ``way``: "speech_to_image" or "image_to_speech"."""
        with self.controller.lock:
            self.controller.compare(first, second, way)
            self.refresh()

    def choose(self, query: int) -> None:
        """Show a query with its picture and its caption, as a click does."""
        with self.controller.lock:
            self.send(*self.controller.choose(query))
