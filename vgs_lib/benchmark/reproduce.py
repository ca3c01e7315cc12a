"""Trains the systems of the documents under equal conditions on a benchmark and records what each one reaches.

The benchmark is our data; the published figures are of other data and are never mixed in.

A record is a JSON object in a folder, one for each system and seed (:mod:`vgs_lib.benchmark.records`).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from vgs_lib import __version__
from vgs_lib.batches.banks import Filling
from vgs_lib.benchmark.budgets import StepTimes
from vgs_lib.benchmark.conditions import Conditions
from vgs_lib.benchmark.records import read_record
from vgs_lib.benchmark.run_history import read_history, thinned
from vgs_lib.errors import TrainingError
from vgs_lib.machine import exact_products, machine, spent_on
from vgs_lib.model import DualEncoder
from vgs_lib.recipes import Recipe
from vgs_lib.safe_files import write_atomically
from vgs_lib.studies.pretraining import Pretraining
from vgs_lib.studies.study import Prepared, Study
from vgs_lib.training import CheckpointEvent, Event, FinishedEvent, ResumedEvent, StepEvent, StoppedEvent, fit
from vgs_lib.training.loop import is_due
from vgs_lib.training.state import MAX_DIFFERENCES, differences

SAID = ("name", "document", "chosen")  # of a recipe, without any effect on its run


class Benchmark(Protocol):
    """Data that every system is trained on, and what it is judged by. ``name`` is how records call it."""

    name: str

    def study(self, recipe: Recipe, pretraining: Pretraining) -> Study:
        """What trains ``recipe``; filling its batches also computes the frozen features of the test."""

    def fitted(self, plan: Recipe) -> Recipe:
        """``plan`` with what the data decide."""

    def judge(self, model: DualEncoder) -> dict[str, Any]:
        """Every figure of a model on the test split, as JSON."""

    def untrained(self, plan: Recipe) -> dict[str, Any]:
        """Figures of the model of ``plan`` before its first step and before any pre-training."""


class Reproduction:
    """Trains and judges systems one after another; a run that was cut off goes on.

    benchmark: what they are trained on and judged by. runs: folder of the runs. records: folder of the records, one
    JSON file each. others: folders of further records that a system may share its run with. equal_steps: the steps of
    every run, where the budget is not timed (:attr:`Experiment.steps`). device: of training and
    judging, "cpu", "cuda" or "mps"; step times and records of another device are not taken for those of this one.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        conditions: Conditions,
        *,
        runs: Path,
        records: Path,
        others: Sequence[Path] = (),
        equal_steps: int | None = None,
        device: str = "cpu",
    ):
        self.benchmark, self.conditions, self.runs, self.records = benchmark, conditions, Path(runs), Path(records)
        self.others, self.equal_steps, self.device = others, equal_steps, device
        self.times = StepTimes(self.records.parent / f"{self.records.name}-step-times.json", conditions, device)

    def record_file(self, name: str, seed: int) -> Path:
        """Where the record of a system and seed is kept."""
        return self.records / f"{name}-{seed}.json"

    def num_steps(self, name: str, seed: int) -> int | None:
        """The steps of the run of a system and seed; None before its budget was measured."""
        kept = self._kept(name, seed)
        return None if kept is None else kept["steps"]

    def _kept(self, name: str, seed: int) -> dict[str, Any] | None:
        """What a run was begun with: its steps, whether they were asked for, its conditions, its plan if it says."""
        file = self._folder(name, seed) / "steps.json"
        if not file.is_file():
            return None
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            found = {key: kept[key] for key in ("steps", "asked", "conditions")}
            return found | {key: kept.get(key) for key in ("plan", "device")}  # which the first version did not write
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrainingError(f"{file}: damaged ({error!r}); delete {file.parent} to start anew") from error

    def _folder(self, name: str, seed: int) -> Path:
        return self.runs / f"{name}-{seed}"

    def measure(self, recipe: Recipe) -> Iterator[Filling]:
        """Fill the banks of a system and measure its steps, unless they were; for a machine that does nothing else."""
        if recipe.name not in self.times:
            study = self._study(recipe)
            yield from self._prepare(study, self._plan(recipe, steps=100, seed=0)).batches.fill()
            self._measure(study, recipe, 0)

    def run(
        self,
        recipe: Recipe,
        *,
        seed: int = 0,
        steps: int | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Iterator[Filling | Event]:
        """Fill the banks, train, judge and write the record, yielding what happens; nothing is done where it is there.

        steps: of training; None takes ``equal_steps``, those of the system's other seeds, or as many as the budget
        holds by the measured step times, measured now where they are not. A run that ``should_stop`` ends leaves a
        checkpoint and no record. A system that does not differ under these conditions from one with a record, as
        zhang2020's with their three picture networks, is not trained again: its record is that one's, and
        ``trained_as`` says so.
        """
        if (file := self.record_file(recipe.name, seed)).is_file():
            self._check_record(file, recipe, seed, steps)
            return
        if steps is None and (twin := self._twin(recipe, seed)):
            _write(file, twin)
            return
        study = self._study(recipe)
        folder = self._folder(recipe.name, seed)
        for filling in self._prepare(study, self._plan(recipe, steps=100, seed=seed)).batches.fill():
            yield filling
            if should_stop is not None and should_stop():
                yield StoppedEvent(0, "should_stop")
                return
        steps = self._steps(study, recipe, seed, steps)
        plan = self._plan(recipe, steps=steps, seed=seed)
        prepared = self._prepare(study, plan)
        spent, settings = spent_on(self.device), replace(plan.fit, device=self.device)
        history, seconds, begin, event = [], 0.0, spent(), None
        for event in fit(
            prepared.model, prepared.batches, plan.loss, settings, directory=folder / "run", should_stop=should_stop
        ):
            if isinstance(event, ResumedEvent):
                history = read_history(folder, event.step)
                seconds = history[-1]["seconds"]
            elif isinstance(event, StepEvent):
                line = {"step": event.step, "loss": event.loss, "seconds": round(seconds + spent() - begin, 3)}
                history.append(line | event.extra)
                stops = should_stop is not None and should_stop()
                if stops or event.step == steps or is_due(event.step, plan.fit.checkpoint_every):
                    _write(folder / "history.json", history)  # before its checkpoint
            elif isinstance(event, CheckpointEvent):
                _write(folder / "history.json", history)
            yield event
        if isinstance(event, FinishedEvent):
            with exact_products():
                record = self._record(recipe, plan, prepared.model.eval(), seed, history)
            _write(self.record_file(recipe.name, seed), record)

    def _study(self, recipe: Recipe) -> Study:
        return self.benchmark.study(recipe, self.conditions.pretraining)

    def _prepare(self, study: Study, plan: Recipe) -> Prepared:
        """What trains ``plan`` here, pre-training included; a record tells the device with its machine."""
        return study.prepare(replace(plan, fit=replace(plan.fit, device=self.device)))

    def _plan(self, recipe: Recipe, *, steps: int, seed: int) -> Recipe:
        return self.benchmark.fitted(self.conditions.plan(recipe, steps=steps, seed=seed))

    def _steps(self, study: Study, recipe: Recipe, seed: int, steps: int | None) -> int:
        """The steps of the run: as asked, as the run says that is there, or as many as the budget holds."""
        kept, folder = self._kept(recipe.name, seed), self._folder(recipe.name, seed)
        if kept is not None:
            self._check(folder, kept["conditions"], kept["device"] or self.device)
            if kept["plan"] is not None:
                self._check_plan(folder, kept["plan"], recipe, seed, kept["steps"])
            if (expected := steps or self.equal_steps) not in (None, kept["steps"]):
                raise TrainingError(
                    f"{folder}: expected {expected} steps, found a run of {kept['steps']}; delete it first"
                )
            return kept["steps"]
        asked = steps is not None
        steps = steps or self._given(recipe)
        if steps is None:
            self._measure(study, recipe, seed)
            steps = self.times.steps(recipe.name)
        plan = self._plan(recipe, steps=steps, seed=seed).to_dict()
        kept = {"steps": steps, "asked": asked, "conditions": self.conditions.to_dict(), "plan": plan}
        kept["device"] = self.device
        _write(folder / "steps.json", kept)
        return steps

    def _given(self, recipe: Recipe) -> int | None:
        """The steps of a system, the same for every seed; None where none was trained and nothing was timed."""
        if self.equal_steps is not None:
            return self.equal_steps
        for record in map(read_record, sorted(self.records.glob(f"{recipe.name}-*.json"))):
            if record["system"] == recipe.name and not record["steps_were_asked_for"] and self._is_ours(record):
                return record["steps"]
        return self.times.steps(recipe.name) if recipe.name in self.times else None

    def _is_ours(self, record: dict[str, Any]) -> bool:
        """Whether a record is of these conditions and this device."""
        return record["conditions"] == self.conditions.to_dict() and record["machine"]["device"] == self.device

    def _twin(self, recipe: Recipe, seed: int) -> dict[str, Any] | None:
        """The record of another system whose run would be the same, as this system's; None where there is none."""
        if self._kept(recipe.name, seed) is not None:
            return None
        plan = self._plan(recipe, steps=1, seed=seed).to_dict()
        said = {key: plan[key] for key in SAID}
        given = self._given(recipe)
        what = plan.keys() - said.keys() - {"data", "fit"}  # those are the conditions'
        files = [file for folder in (self.records, *self.others) for file in sorted(folder.glob(f"*-{seed}.json"))]
        for file in files:
            record = read_record(file)
            if record["steps_were_asked_for"] or not self._is_ours(record) or given not in (None, record["steps"]):
                continue
            same = record.get("benchmark", "scenes") == self.benchmark.name
            if same and all(plan[key] == record["plan"][key] for key in what):
                trained = record.pop("trained_as", record["system"])
                other = {} if trained == recipe.name else {"trained_as": trained}
                return record | {"system": recipe.name, "plan": record["plan"] | said} | other
        return None

    def _check(self, where: Path, conditions: dict[str, Any], device: str) -> None:
        """:class:`TrainingError` if something there was made under other conditions or on another device."""
        ours, theirs = self.conditions.to_dict() | {"device": self.device}, conditions | {"device": device}
        if other := sorted(key for key in ours | theirs if ours.get(key) != theirs.get(key)):
            raise TrainingError(
                f"{where}: made under other conditions ({', '.join(other)}); delete it, or choose another --out folder "
                "and another VGS_RUNS"
            )

    def _check_record(self, file: Path, recipe: Recipe, seed: int, steps: int | None) -> None:
        """:class:`TrainingError` if the record there is of other conditions, of another recipe or of other steps."""
        record = read_record(file)
        self._check(file, record["conditions"], record["machine"]["device"])
        self._check_plan(file, record["plan"], recipe, seed, record["steps"])
        if steps is None and record["steps_were_asked_for"]:
            raise TrainingError(
                f"{file}: a record of {record['steps']} steps that were asked for, expected one of a budget; move it "
                f"away, or give --steps {record['steps']}"
            )
        if (expected := steps or self.equal_steps) not in (None, record["steps"]):
            raise TrainingError(f"{file}: expected {expected} steps, found a record of {record['steps']}; move it away")

    def _check_plan(self, where: Path, plan: dict[str, Any], recipe: Recipe, seed: int, steps: int) -> None:
        """:class:`TrainingError` if what was trained there is not what ``recipe`` says now."""
        ours = self._plan(recipe, steps=steps, seed=seed).to_dict()
        if found := differences(*({k: v for k, v in one.items() if k not in SAID} for one in (plan, ours))):
            short = "; ".join(line if len(line) < 200 else f"{line[:160]} ..." for line in found[:MAX_DIFFERENCES])
            raise TrainingError(f"{where}: of another {recipe.name} ({short}); move it away to train this one")

    def _measure(self, study: Study, recipe: Recipe, seed: int) -> None:
        if recipe.name not in self.times:
            self.times.measure(recipe.name, study, self._plan(recipe, steps=100, seed=seed))

    def _record(
        self, recipe: Recipe, plan: Recipe, model: DualEncoder, seed: int, history: list[dict]
    ) -> dict[str, Any]:
        kept = self._kept(recipe.name, seed)
        return {
            "system": recipe.name,
            "seed": seed,
            "benchmark": self.benchmark.name,
            "plan": plan.to_dict(),
            "conditions": self.conditions.to_dict(),
            "steps": plan.fit.steps,
            "steps_were_asked_for": kept is not None and kept["asked"],
            "seconds": history[-1]["seconds"],
            "parameters": parameters_of(model),
            "figures": self.benchmark.judge(model),
            "untrained": self.benchmark.untrained(plan),
            "history": thinned(history),
            "machine": machine(self.device),
            "vgs_lib": __version__,
        }


def parameters_of(model: DualEncoder) -> dict[str, int]:
    """How many values are trained, and how many there are with the frozen ones."""
    every = list(model.parameters())
    return {"trained": sum(p.numel() for p in every if p.requires_grad), "all": sum(p.numel() for p in every)}


def _write(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, lambda path: path.write_text(json.dumps(content), encoding="utf-8"))
