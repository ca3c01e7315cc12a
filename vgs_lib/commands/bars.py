"""Progress bars of the commands and, as widgets, of the notebooks."""

from types import TracebackType

from tqdm.auto import tqdm


class Bars:
    """Shows one bar at a time, a new one for each name.

    Leaving the ``with`` block closes the last one, also after an error, whose sentence so gets a line of its own.
    """

    def __init__(self, unit: str = "it"):
        self.unit, self.name = unit, None
        self.bar: tqdm | None = None

    def __enter__(self) -> "Bars":
        return self

    def show(self, name: str, done: int, total: int) -> None:
        """``done`` of ``total`` things of ``name``."""
        if self.bar is None or name != self.name:
            self.close()
            self.name, self.bar = name, tqdm(total=total, desc=name, unit=self.unit)
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        """End the bar that is shown."""
        if self.bar is not None:
            self.bar.close()

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
