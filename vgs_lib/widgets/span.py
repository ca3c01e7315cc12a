"""The view of a span of a recording: a waveform on which a part is selected with the mouse or the keyboard."""

from collections.abc import Callable, Sequence

import traitlets

from vgs_lib.audio import SAMPLE_RATE
from vgs_lib.widgets.material import Word
from vgs_lib.widgets.span_controller import SpanController
from vgs_lib.widgets.view import View, module, style


class SpanSelector(View):
    """Select a part of a recording by dragging over its waveform, with the arrow keys or in numbers.

    Args:
        waveform: [N] or [C, N], samples of any rate; None shows nothing until ``controller.show``.
        rate: samples per second.
        words: when each word is heard; a click on one selects it.
        on_span: called with (start, end) in seconds for every span that is selected.
        title: heading.
        controller: a `SpanController` that is shared with other code, instead of the above.
    """

    _esm = module("span.js")
    _css = style("span.css")
    title = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self,
        waveform=None,
        rate: int = SAMPLE_RATE,
        *,
        words: Sequence[Word] = (),
        on_span: Callable[[float, float], None] | None = None,
        title: str = "Select a part of the sound",
        controller: SpanController | None = None,
    ):
        if controller is None:
            controller = SpanController(on_span=on_span)
            if waveform is not None:
                controller.show(waveform, rate, words=words)
        super().__init__(controller, title=title)
        self.handlers["span"] = lambda content, data: self._selected(**content)

    @property
    def span(self) -> tuple[float, float]:
        """What is selected: (start, end) in seconds."""
        return self.controller.span

    def select(self, start: float, end: float) -> None:
        """Select a span, in seconds, and show it."""
        try:
            self.controller.select(start, end)
        finally:
            self.send(self.controller.span_message())

    def _selected(self, sound: int, start: float, end: float, **_) -> None:
        """Take a span from the browser; one of a recording that another one has replaced is answered with that one."""
        if sound == self.controller.sound:
            self.select(start, end)
        else:
            self.refresh()
