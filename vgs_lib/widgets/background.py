"""Long work of a widget in a thread of its own, one piece at a time: it can be stopped and waited for."""

import threading
from collections.abc import Callable, Iterator
from typing import Self

Work = Callable[[Callable[[], bool]], None]  # is given a function that says whether to stop


class Background:
    """A place for work beside the cells; threads are called ``name`` and never keep Python from ending."""

    def __init__(self, name: str):
        self._name = name
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether work goes on."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, work: Work) -> bool:
        """Begin ``work(should_stop)``; False, and nothing is begun, while other work goes on."""
        if self.busy:
            return False
        self.replace(work)
        return True

    def replace(self, work: Work) -> None:
        """Stop what goes on; ``work(should_stop)`` begins when that has ended."""
        self._stop.set()
        before, stop = self._thread, threading.Event()

        def run() -> None:
            if before is not None:
                before.join()
            work(stop.is_set)

        self._stop = stop
        self._thread = threading.Thread(target=run, daemon=True, name=self._name)
        self._thread.start()

    def stop(self) -> None:
        """Ask the work to stop."""
        self._stop.set()

    def wait(self, timeout: float | None = None) -> None:
        """Block until nothing goes on (at most ``timeout`` seconds)."""
        if self._thread is not None:
            self._thread.join(timeout)


class ClosesViews:
    """For widgets, before their other base: ``close`` also closes the views in them."""

    def close(self) -> None:
        """Close the widget with the views in it."""
        for view in _inside(self):
            view.close()
        super().close()


class InBackground(ClosesViews):
    """For widgets, before their other base: ``wait``, and ``close`` that stops the work first."""

    _background: Background | None = None  # where __init__ has failed, too

    def wait(self, timeout: float | None = None) -> Self:
        """Block until the work in the background has ended (at most ``timeout`` seconds); returns the widget."""
        if self._background is not None:
            self._background.wait(timeout)
        return self

    def close(self) -> None:
        """Stop the work in the background and close the widget with the views in it."""
        if self._background is not None:
            self._background.stop()
        self.wait()
        super().close()


def _inside(box) -> Iterator:
    """The widgets in a box and in the boxes in it."""
    for view in getattr(box, "children", ()):
        yield from _inside(view)
        yield view
