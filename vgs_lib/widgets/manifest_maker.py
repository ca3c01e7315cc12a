"""What the manifest maker knows: a folder being scanned, what is wrong in it, and the manifest that was written.

No widget library here.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from vgs_lib.data.folder import TABLE, FolderProblem, Parts, Scan, assign_splits, scan_folder, write_folder_manifest
from vgs_lib.errors import VgsError

_log = logging.getLogger(__name__)

MAX_ROWS = 200  # pairs and problems shown


class ManifestController:
    """Scan a folder, show every problem where it is, write the manifest.

    Args:
        folder: the folder to begin with.
        on_change: called after each change of what ``message`` tells.
    """

    def __init__(self, folder: str | Path = "", *, on_change: Callable[[], None] = lambda: None):
        self.folder = str(folder)
        self.on_change = on_change
        self.scan: Scan | None = None
        self.written: Path | None = None
        self.parts = Parts()
        self.status, self.failed, self.busy = (
            f"Give a folder of pictures and recordings, with or without {TABLE}.",
            False,
            False,
        )
        self.done = self.total = 0
        self.seconds_left: float | None = None

    def check(self, folder: str, *, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Scan a folder, blocking; what is wrong becomes ``status`` or a problem of ``scan``."""
        self.folder, self.scan, self.written = folder.strip(), None, None
        self.done = self.total = 0
        self.seconds_left, self.busy = None, True
        self._say("Looking through the folder.")
        started = last = time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            self.done, self.total, self.seconds_left = done, total, (now - started) / done * (total - done)
            if now - last > 0.2:
                last = now
                self.on_change()

        try:
            if not self.folder:
                self._say("Give the path of a folder on the machine where Python runs.", failed=True)
                return
            self.scan = scan_folder(self.folder, progress=progress, should_stop=should_stop)
            pairs, problems = len(self.scan.entries), len(self.scan.problems)
            found = f"{pairs} {'pair' if pairs == 1 else 'pairs'} of picture and recording can be used"
            wrong = (
                f", {problems} {'problem' if problems == 1 else 'problems'} below." if problems else "; no problems."
            )
            self._say(found + wrong, failed=not pairs)
        except (VgsError, OSError) as error:
            self._say(str(error), failed=True)
        except Exception as error:  # in a thread of its own: a person must see it
            _log.exception("scanning %s failed", self.folder)
            self._say(f"Something went wrong: {type(error).__name__}: {error}", failed=True)
        finally:
            self.busy = False
            self.on_change()

    def write(self, *, validation: float, test: float, by: str = "image", leave_out: bool = False) -> None:
        """Write ``manifest.jsonl`` into the folder that was scanned; what is wrong becomes ``status``.

        ``validation`` and ``test`` are shares, 0 to 1, of the pictures (or speakers, with ``by="speaker"``). A table
        with a column ``split`` decides by itself.
        """
        try:
            if self.scan is None:
                self._say("Check a folder first.", failed=True)
                return
            if self.scan.problems and not leave_out:
                self._say(
                    "Nothing was written: correct the problems below and check again, or tick “leave out what has "
                    "problems”.",
                    failed=True,
                )
                return
            self.parts = Parts(validation, test, by)
            self.written = write_folder_manifest(self.scan, parts=self._parts, leave_out=leave_out)
            counts = ", ".join(f"{count} {split}" for split, count in self.counts().items())
            self._say(f"Wrote {self.written}: {counts}.")
        except (VgsError, OSError) as error:
            self._say(str(error), failed=True)

    @property
    def _parts(self) -> Parts | None:
        """How to divide, or None where the table has given splits."""
        given = self.scan is not None and any(entry.split != "train" for entry in self.scan.entries)
        return None if given else self.parts

    def counts(self) -> dict[str, int]:
        """How many pairs each split gets with the present shares."""
        if self.scan is None:
            return {}
        entries = assign_splits(self.scan.entries, self._parts) if self._parts else self.scan.entries
        return dict(sorted(Counter(entry.split for entry in entries).items()))

    def message(self) -> tuple[dict, list[bytes]]:
        """Everything the view shows."""
        entries = self.scan.entries if self.scan else ()
        problems = self.scan.problems if self.scan else ()
        content = {
            "type": "state",
            "folder": self.folder,
            "status": self.status,
            "failed": self.failed,
            "busy": self.busy,
            "done": self.done,
            "total": self.total,
            "seconds_left": self.seconds_left,
            "written": str(self.written or ""),
            "num_pairs": len(entries),
            "num_problems": len(problems),
            "pairs": [
                [entry.image, entry.audio, entry.seconds, entry.text or "", entry.speaker or "", entry.language or ""]
                for entry in entries[:MAX_ROWS]
            ],
            "problems": [_row(problem) for problem in problems[:MAX_ROWS]],
        }
        return content, []

    def _say(self, sentence: str, *, failed: bool = False) -> None:
        self.status, self.failed = sentence, failed
        self.on_change()


def _row(problem: FolderProblem) -> dict:
    where = f"{problem.file}, line {problem.line}" if problem.line else problem.file
    return {
        "where": where,
        "field": problem.field,
        "found": problem.found,
        "expected": problem.expected,
        "advice": problem.advice,
    }
