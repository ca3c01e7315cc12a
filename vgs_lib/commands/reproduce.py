"""``python -m vgs_lib reproduce``: train the systems of the documents under equal conditions, and their tables."""

import argparse
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from filelock import FileLock
from tqdm import tqdm

from vgs_lib import paths
from vgs_lib.batches.banks import Filling
from vgs_lib.benchmark import leaderboard
from vgs_lib.benchmark.attribute_benchmark import AttributeBenchmark
from vgs_lib.benchmark.conditions import Conditions
from vgs_lib.benchmark.experiments import EXPERIMENTS, Experiment, experiment
from vgs_lib.benchmark.readme_section import write_section
from vgs_lib.benchmark.records import read_records
from vgs_lib.benchmark.reproduce import Reproduction
from vgs_lib.benchmark.result_pages import experiment_page, systems_page
from vgs_lib.benchmark.scene_benchmark import SceneBenchmark
from vgs_lib.commands.bars import Bars
from vgs_lib.data.stamps import Stamps
from vgs_lib.errors import DataError, TrainingError
from vgs_lib.machine import quick_products
from vgs_lib.recipes import SYSTEMS, Recipe, recipe
from vgs_lib.safe_files import write_atomically
from vgs_lib.training import ResumedEvent, StepEvent, StoppedEvent
from vgs_lib.training.devices import check_device

MINUTES = 10.0  # of training for each system


def run(chosen: argparse.Namespace) -> int:
    """Train what has no record yet, one system after another, and write the tables anew after each."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise TrainingError(
            "reproduce: found several processes, expected one, whose budget it is; run it without a launcher"
        )
    one = experiment(chosen.experiment) if chosen.experiment else None
    if chosen.readme and not chosen.tables:
        raise TrainingError("--readme: expected --tables with it, which trains nothing")
    if chosen.tables and chosen.names:
        raise TrainingError(f"--tables: found {', '.join(chosen.names)}, expected no names: a table has all records")
    if chosen.tables:
        code = _write_tables(chosen.out, one)
        if chosen.readme:
            write_section(chosen.readme, chosen.out)
        return code
    if chosen.budget is not None and chosen.budget <= 0:
        raise TrainingError(f"--budget {chosen.budget}: expected minutes above 0")
    for option, value in (("--steps", chosen.steps), ("--threads", chosen.threads)):
        if value is not None and value < 1:
            raise TrainingError(f"{option} {value}: expected 1 or more")
    torch.set_num_threads(chosen.threads or torch.get_num_threads())
    check_device(chosen.device)
    quick_products(chosen.device)
    minutes = chosen.budget or (one.minutes if one else MINUTES)
    conditions = replace(Conditions(), minutes=minutes)
    runs = _runs(one, chosen.names, conditions)
    stamps, name = Stamps.open(), _name(one)
    benchmark = AttributeBenchmark(stamps) if one and one.described else SceneBenchmark(stamps)
    equal_steps = one.equal_steps(minutes) if one else None
    if chosen.time and equal_steps:
        print(f"Nothing to time: every run of {name} takes {equal_steps} steps.")
        return 0

    def jobs() -> Iterator[tuple[Reproduction, Recipe]]:
        """One after another, for each reads the step times that those before it measured."""
        folder = paths.runs() / (f"reproduce-{name}" if one else "reproduce")
        shared = [other for other in EXPERIMENTS if equal_steps or not EXPERIMENTS[other].steps]  # else timed
        others = [chosen.out / other for other in ("systems", *shared) if other != name]
        for plan, equal in runs:
            where = {"runs": folder, "records": chosen.out / name, "others": others}
            yield Reproduction(benchmark, equal, **where, equal_steps=equal_steps, device=chosen.device), plan

    if chosen.time:
        return _measure(jobs)
    stop = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())  # a checkpoint first, then the end
    try:
        for seed in chosen.seeds:
            for reproduction, plan in jobs():
                if stopped := _one(reproduction, plan, seed, chosen.steps, stop):
                    kept = "with a checkpoint" if stopped.step else "before training; what was computed so far is kept"
                    print(f"Stopped {kept}. Run the same command to go on.")
                    return 1
                _write_tables(chosen.out, one)
    finally:
        signal.signal(signal.SIGINT, before)
    return 0


def _runs(one: Experiment | None, names: Sequence[str], conditions: Conditions) -> list[tuple[Recipe, Conditions]]:
    """The systems of these names, or the runs of an experiment that are called so; all where none is named."""
    if one is None:
        if unknown := [name for name in names if recipe(name).name not in SYSTEMS]:
            expected = "names of the documents' systems (`vgs_lib.recipes.SYSTEMS`); `train` trains the other recipes"
            raise TrainingError(f"reproduce: found {', '.join(unknown)}, expected {expected}")
        return [(recipe(name), conditions) for name in names or SYSTEMS]
    runs = {plan.name: (plan, equal) for plan, equal in one.runs(conditions)}
    if unknown := [name for name in names if name not in runs]:
        raise TrainingError(f"--experiment {one.name}: found {', '.join(unknown)}, expected some of {', '.join(runs)}")
    return [runs[name] for name in names or runs]


def _name(one: Experiment | None) -> str:
    """Of the folder of records and of the tables."""
    return one.name if one else "systems"


def _measure(jobs: Callable[[], Iterator[tuple[Reproduction, Recipe]]]) -> int:
    for reproduction, plan in jobs():
        with Bars("item") as bars:
            for event in reproduction.measure(plan):
                bars.show(event.name, event.done, event.total)
        steps = reproduction.times.steps(plan.name)
        print(f"{plan.name}: {reproduction.times.times[plan.name]}, {steps} steps in the budget")
    return 0


def _one(
    reproduction: Reproduction, plan: Recipe, seed: int, steps: int | None, stop: threading.Event
) -> StoppedEvent | None:
    """Train and judge a system unless that was done; bars show how far it is. What ended it before its end, if so."""
    name, bar = plan.name, None
    there = reproduction.record_file(name, seed).is_file()
    with Bars("item") as bars:
        for event in reproduction.run(plan, seed=seed, steps=steps, should_stop=stop.is_set):
            if isinstance(event, Filling):
                bars.show(event.name, event.done, event.total)
            elif isinstance(event, StoppedEvent):
                return event
            elif isinstance(event, ResumedEvent | StepEvent):
                bar = bar or tqdm(total=reproduction.num_steps(name, seed), desc=name, unit="step")
                bar.update(event.step - bar.n)
                if isinstance(event, StepEvent):
                    bar.set_postfix(loss=f"{event.loss:.3f}")
    if bar is not None:
        bar.close()
    elif there:
        print(f"{name}, seed {seed}: there is a record already")
    else:
        print(f"{name}, seed {seed}: nothing was trained, a run that does not differ from it has a record")
    return None


def _write_tables(out: Path, one: Experiment | None) -> int:
    """Table and page of the records; another process that writes them waits for this one and reads its record too."""
    name = _name(one)
    if not (out / name).is_dir():
        command = f"python -m vgs_lib reproduce{f' --experiment {name}' if one else ''}"
        raise DataError(f"{out / name}: found no records, expected a folder of them; '{command}' makes it")
    with FileLock(out / f"{name}.lock"):
        found = read_records(out / name)
        leaderboard.write_csv(found, out / f"{name}.csv")
        text = experiment_page(one, found) if one else systems_page(found)
        write_atomically(out / f"{name}.md", lambda path: path.write_text(text, encoding="utf-8"))
    print(f"{out / name}.md: {len(found)} records of {len({r['system'] for r in found})} systems")
    return 0
