"""How long work still takes, from how long it has taken."""

import time

from vgs_lib.batches.banks import Filling


class FillingClock:
    """Seconds left in a bank, from the items computed since it was begun; those that were there cost no time."""

    def __init__(self) -> None:
        self.name, self.since, self.done, self.seconds, self.computed = "", time.monotonic(), 0, 0.0, 0

    def seconds_left(self, event: Filling) -> float | None:
        """Seconds until the bank of ``event`` is full; None as long as nothing was computed."""
        if event.name != self.name:
            self.name, self.done, self.seconds, self.computed = event.name, 0, 0.0, 0
        spent, items = time.monotonic() - self.since, event.done - self.done
        if spent > 0.05:
            self.seconds, self.computed = self.seconds + spent, self.computed + items
        self.since, self.done = time.monotonic(), event.done
        return self.seconds / self.computed * (event.total - event.done) if self.computed else None
