"""How many steps a budget of minutes holds: what a step of each system costs, measured once.

The cost is time of the processor, not of the clock, so that waiting is not counted; beside other work on the same cores
a step still costs up to three times as much, so time when the machine does nothing else. Where a GPU computes it is
time of the clock, and the budget is the minutes themselves. A file of step times makes the budget the same on every
machine too: whoever trains takes the steps that it held where they were measured.
"""

import itertools
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from vgs_lib.benchmark.conditions import Conditions
from vgs_lib.errors import DataError
from vgs_lib.machine import machine, spent_on
from vgs_lib.recipes import Recipe
from vgs_lib.safe_files import write_atomically
from vgs_lib.studies.study import Study
from vgs_lib.training import StepEvent, fit

TIMED = 20  # steps of each kind, after two that are not


class StepTimes:
    """Seconds of a processor that a step of each system takes, on single words and on scenes, kept in a JSON file.

    Times of other batches, scales or precisions than those of ``conditions``, or of another ``device``, count as not
    measured.
    """

    def __init__(self, file: Path, conditions: Conditions, device: str = "cpu"):
        self.file, self.conditions, self.device = Path(file), conditions, device
        self.times = self._read()

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            return {name: dict(times) for name, times in json.loads(self.file.read_text("utf-8"))["systems"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"{self.file}: damaged ({error!r}), expected step times; delete it to measure anew"
            raise DataError(message) from error

    def __contains__(self, name: str) -> bool:
        if name not in self.times:
            return False
        kept = self.times[name]
        return (kept["conditions"], kept["machine"]["device"]) == (self.conditions.digest, self.device)

    def measure(self, name: str, study: Study, plan: Recipe) -> None:
        """Take the time of a few steps of ``plan``, whose banks are filled, and keep it."""
        words, scenes = (seconds_a_step(study, plan, most, device=self.device) for most in (1, 4))
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.file.with_suffix(".lock")):  # other processes may measure other systems
            self.times = self._read() | {
                name: {"words": round(words, 4), "scenes": round(scenes, 4)}
                | {"conditions": self.conditions.digest, "machine": machine(self.device)}
            }
            text = json.dumps({"systems": dict(sorted(self.times.items()))}, indent=1) + "\n"
            write_atomically(self.file, lambda path: path.write_text(text, encoding="utf-8"))

    def steps(self, name: str) -> int:
        """The steps of a system that was measured, in the conditions' minutes on their cores."""
        share, times = self.conditions.words_first, self.times[name]
        seconds = 60 * self.conditions.minutes * (self.conditions.cores if self.device == "cpu" else 1)
        return max(1, round(seconds / (share * times["words"] + (1 - share) * times["scenes"])))


def seconds_a_step(study: Study, plan: Recipe, most: int, *, device: str = "cpu") -> float:
    """The median of a few steps on scenes with up to ``most`` stamps, by the clock of the device."""
    phases, spent = ((TIMED + 2, most),), spent_on(device)
    plan = replace(plan, data=replace(plan.data, phases=phases), fit=replace(plan.fit, steps=TIMED + 2, device=device))
    prepared, ends = study.prepare(plan), [spent()]
    for event in fit(prepared.model, prepared.batches, plan.loss, plan.fit):
        if isinstance(event, StepEvent):
            ends.append(spent())
    return statistics.median(after - before for before, after in itertools.pairwise(ends[2:]))
