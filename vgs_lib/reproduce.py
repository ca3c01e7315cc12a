"""Trains the systems of the documents under equal conditions on Spoken Stamps and records what each one reaches.

The published figures are of other data and are never mixed in.

A record is a JSON object in a folder, one for each system and seed; :mod:`vgs_lib.leaderboard` makes tables of them.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vgs_lib import __version__, retrieval
from vgs_lib.budgets import StepTimes
from vgs_lib.conditions import Conditions
from vgs_lib.data.banks import Filling
from vgs_lib.data.held_out import HeldOut
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.stamps import Stamps
from vgs_lib.data.text_batches import reads_text
from vgs_lib.errors import TrainingError
from vgs_lib.evaluation import figures_of_maps, retrieval_figures
from vgs_lib.machine import machine
from vgs_lib.model import DualEncoder
from vgs_lib.recipes import Recipe
from vgs_lib.safe_files import write_atomically
from vgs_lib.scene_study import SceneStudy, fitted
from vgs_lib.training import CheckpointEvent, Event, FinishedEvent, ResumedEvent, StepEvent, StoppedEvent, fit

NUM_SCENES = 1024  # of the test split: ni2018's protocol; harwath2019's takes the first 1,000, zhang2020's 100
NUM_WORDS = 1000


class Reproduction:
    """Trains and judges systems one after another; a run that was cut off goes on.

    stamps: the data set. runs: folder of the runs. records: folder of the records, one JSON file each.
    """

    def __init__(self, stamps: Stamps, conditions: Conditions, *, runs: Path, records: Path):
        self.stamps, self.conditions, self.runs, self.records = stamps, conditions, Path(runs), Path(records)
        self.times = StepTimes(self.records.parent / f"{self.records.name}-step-times.json", conditions)
        test = Scenes(stamps, "test")
        self.scenes, self.words = HeldOut(test, NUM_SCENES), HeldOut(test, NUM_WORDS, words=True)

    def record_file(self, name: str, seed: int) -> Path:
        """Where the record of a system and seed is kept."""
        return self.records / f"{name}-{seed}.json"

    def num_steps(self, name: str, seed: int) -> int | None:
        """The steps of the run of a system and seed; None before its budget was measured."""
        kept = self._kept(name, seed)
        return None if kept is None else kept["steps"]

    def _kept(self, name: str, seed: int) -> dict[str, Any] | None:
        """What a run was begun with: its steps, whether they were asked for, and its conditions."""
        file = self._folder(name, seed) / "steps.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None

    def _folder(self, name: str, seed: int) -> Path:
        return self.runs / f"{name}-{seed}"

    def measure(self, recipe: Recipe) -> Iterator[Filling]:
        """Fill the banks of a system and measure its steps, unless they were; for a machine that does nothing else."""
        if recipe.name not in self.times:
            study = self._study(recipe)
            yield from study.prepare(self._plan(recipe, steps=100, seed=0)).batches.fill()
            self._measure(study, recipe)

    def run(
        self,
        recipe: Recipe,
        *,
        seed: int = 0,
        steps: int | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Iterator[Filling | Event]:
        """Fill the banks, train, judge and write the record, yielding what happens; nothing is done where it is there.

        steps: of training; None takes as many as the budget holds by the measured step times, measured now where they
        are not. A run that ``should_stop`` ends leaves a checkpoint and no record.
        """
        if (file := self.record_file(recipe.name, seed)).is_file():
            self._check(file, json.loads(file.read_text(encoding="utf-8"))["conditions"])
            return
        study = self._study(recipe)
        folder = self._folder(recipe.name, seed)
        for filling in study.prepare(self._plan(recipe, steps=100, seed=seed)).batches.fill():
            yield filling
            if should_stop is not None and should_stop():
                yield StoppedEvent(0, "should_stop")
                return
        steps = self._steps(study, recipe, seed, steps)
        plan = self._plan(recipe, steps=steps, seed=seed)
        prepared = study.prepare(plan)
        history, seconds, begin, event = [], 0.0, time.process_time(), None
        for event in fit(
            prepared.model, prepared.batches, plan.loss, plan.fit, directory=folder / "run", should_stop=should_stop
        ):
            if isinstance(event, ResumedEvent):
                history = [line for line in _read_history(folder) if line["step"] <= event.step]
                seconds = history[-1]["seconds"] if history else 0.0
            elif isinstance(event, StepEvent):
                spent = seconds + time.process_time() - begin
                history.append({"step": event.step, "loss": event.loss, "seconds": round(spent, 3), **event.extra})
                if event.step == steps or event.step % plan.fit.checkpoint_every == 0:  # before its checkpoint
                    _write(folder / "history.json", history)
            elif isinstance(event, CheckpointEvent):
                _write(folder / "history.json", history)
            yield event
        if isinstance(event, FinishedEvent):
            if not history or history[-1]["step"] != steps:
                raise TrainingError(f"{folder}: its history.json does not reach step {steps}; delete it to start anew")
            with exact_products():
                record = self._record(recipe, plan, prepared.model.eval(), seed, history)
            _write(self.record_file(recipe.name, seed), record)

    def _study(self, recipe: Recipe) -> SceneStudy:
        held_out, pretraining = (self.scenes, self.words), self.conditions.pretraining
        return SceneStudy(self.stamps, recipe, held_out=held_out, pretraining=pretraining)

    def _plan(self, recipe: Recipe, *, steps: int, seed: int) -> Recipe:
        return fitted(self.conditions.plan(recipe, steps=steps, seed=seed), self.stamps)

    def _steps(self, study: SceneStudy, recipe: Recipe, seed: int, steps: int | None) -> int:
        """The steps of the run: as asked, as the run says that is there, or as many as the budget holds."""
        kept, folder = self._kept(recipe.name, seed), self._folder(recipe.name, seed)
        if kept is not None:
            self._check(folder, kept["conditions"])
            if steps not in (None, kept["steps"]):
                found = f"found a run of {kept['steps']}"
                raise TrainingError(f"{folder}: {steps} steps were asked for, {found}; delete it first")
            return kept["steps"]
        asked = steps is not None
        if steps is None:
            self._measure(study, recipe)
            steps = self.times.steps(recipe.name)
        _write(folder / "steps.json", {"steps": steps, "asked": asked, "conditions": self.conditions.to_dict()})
        return steps

    def _check(self, where: Path, conditions: dict[str, Any]) -> None:
        """:class:`TrainingError` if something there was made under other conditions."""
        ours = self.conditions.to_dict()
        if other := sorted(key for key in ours | conditions if ours.get(key) != conditions.get(key)):
            raise TrainingError(
                f"{where}: made under other conditions ({', '.join(other)}); delete it, or choose another --out folder "
                "and another VGS_RUNS"
            )

    def _measure(self, study: SceneStudy, recipe: Recipe) -> None:
        if recipe.name not in self.times:
            self.times.measure(recipe.name, study, self._plan(recipe, steps=100, seed=0))

    def _record(
        self, recipe: Recipe, plan: Recipe, model: DualEncoder, seed: int, history: list[dict]
    ) -> dict[str, Any]:
        kept = self._kept(recipe.name, seed)
        return {
            "system": recipe.name,
            "seed": seed,
            "plan": plan.to_dict(),
            "conditions": self.conditions.to_dict(),
            "steps": plan.fit.steps,
            "steps_were_asked_for": kept is not None and kept["asked"],
            "seconds": history[-1]["seconds"],
            "parameters": parameters_of(model),
            "figures": self.judge(model),
            "untrained": self._untrained(recipe, plan),
            "history": thinned(history),
            "machine": machine(),
            "vgs_lib": __version__,
        }

    @torch.no_grad()
    def _untrained(self, recipe: Recipe, plan: Recipe) -> dict[str, Any]:
        """The system before its first step on 100 scenes: the baselines "(R)" of zhang2020, Table 1."""
        plan = replace(plan, initial="")
        model = SceneStudy(self.stamps, recipe).prepare(plan).model
        assert isinstance(model, DualEncoder)
        return _both_ways(model.score(*self.scenes.embed(model.eval(), first=100)).cpu())

    @torch.no_grad()
    def judge(self, model: DualEncoder) -> dict[str, Any]:
        """All figures of a model on the test split; ``ranks`` are those of each query among the first 1,000 scenes."""
        image_maps, audio_maps, lengths = self.scenes.embed(model)
        scores = model.score(image_maps, audio_maps, lengths).cpu()
        trial = self.scenes.trial()
        found: dict[str, Any] = {f"{n} scenes": _both_ways(scores[:n, :n]) for n in (100, 1000, 1024)}
        if not model.pooled and not reads_text(model.audio_encoder):
            maps = figures_of_maps(model, image_maps, audio_maps, lengths, trial, threshold=0.5)
            found["pointing"] = {key: maps[key] for key in ("pointing", "pointing_ci", "pointing_chance")}
        words = model.score(*self.words.embed(model)).cpu()
        right = self.words.same_class
        found["words"] = {
            way: retrieval_figures(s, r, seed=0) | map_at_50(s, r)
            for way, s, r in (("speech_to_image", words.T, right.T), ("image_to_speech", words, right))
        }
        first = scores[:1000, :1000]
        found["ranks"] = {
            "speech_to_image": retrieval.ranks(first.T).tolist(),
            "image_to_speech": retrieval.ranks(first).tolist(),
        }
        return found


@contextmanager
def exact_products() -> Iterator[None]:
    """Products of float32 matrices as exact as they are, for figures, whatever training was allowed."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def map_at_50(scores: torch.Tensor, right: torch.Tensor) -> dict[str, Any]:
    """mAP@50 of queries (rows) with class relevance (tian2020, section 5.1.2), with its interval over queries."""
    each = retrieval.average_precision(scores, right, at=50)
    low, high = retrieval.bootstrap_interval(each, seed=0)
    return {"map50": round(float(each.mean()), 4), "map50_ci": [round(low, 4), round(high, 4)]}


def parameters_of(model: DualEncoder) -> dict[str, int]:
    """How many values are trained, and how many there are with the frozen ones."""
    every = list(model.parameters())
    return {"trained": sum(p.numel() for p in every if p.requires_grad), "all": sum(p.numel() for p in every)}


def thinned(history: list[dict], *, most: int = 100) -> list[dict]:
    """At most ``most`` lines of a history, evenly, each the mean of those it stands for; steps and seconds the last."""
    size = -(-len(history) // most)
    parts = [history[i : i + size] for i in range(0, len(history), size)]
    return [
        {
            key: part[-1][key] if key in ("step", "seconds") else round(statistics.fmean(line[key] for line in part), 4)
            for key in part[-1]
        }
        for part in parts
    ]


def _both_ways(scores: torch.Tensor) -> dict[str, Any]:
    right = torch.eye(len(scores), dtype=torch.bool)
    ways = (("speech_to_image", scores.T), ("image_to_speech", scores))
    return {way: retrieval_figures(s, right, seed=0) for way, s in ways}


def _read_history(folder: Path) -> list[dict]:
    try:
        return json.loads((folder / "history.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{folder / 'history.json'}: damaged ({error}); delete {folder} to start anew") from error


def _write(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, lambda path: path.write_text(json.dumps(content), encoding="utf-8"))
