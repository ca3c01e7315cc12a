"""``python -m vgs_lib train``, ``evaluate`` and ``prompt``."""

import argparse
import json
import math
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from PIL import Image
from tqdm import tqdm

from vgs_lib import audio, cards, viz
from vgs_lib.batches.banks import Filling
from vgs_lib.batches.scene_batches import SceneBatches
from vgs_lib.batches.videos import VideoData, video_pairs
from vgs_lib.checkpoints import find_checkpoint, load_model, read_config, save_model
from vgs_lib.commands import CARD_SCENES
from vgs_lib.commands.bars import Bars
from vgs_lib.data.manifest_check import UNREADABLE
from vgs_lib.data.scenes import SPLITS, Scenes
from vgs_lib.data.stamps import Stamps
from vgs_lib.errors import CheckpointError, DataError, ImageError, TrainingError
from vgs_lib.evaluation import Trial, trial_of
from vgs_lib.evaluation import evaluate as figures_of
from vgs_lib.machine import exact_products, quick_products
from vgs_lib.model import DualEncoder
from vgs_lib.prompting import Prompter
from vgs_lib.recipes import SYSTEMS, Recipe, build_model, recipe
from vgs_lib.recipes.recipe import NATURAL_SOUNDS
from vgs_lib.safe_files import write_atomically
from vgs_lib.seeds import seeded
from vgs_lib.studies.manifest_study import ManifestStudy
from vgs_lib.studies.pretraining import Pretraining, keep_beginning
from vgs_lib.studies.scene_study import SceneStudy, fitted
from vgs_lib.studies.study import FIRST_WORDS, Prepared
from vgs_lib.training import (
    CheckpointEvent,
    EvaluationEvent,
    ResumedEvent,
    StepEvent,
    StoppedEvent,
    fit,
    load_best,
)
from vgs_lib.training.devices import check_device, on_cpu

VALIDATION_SCENES = 200  # while training
CALIBRATION_SCENES = 500  # for the threshold, after it


def train(chosen: argparse.Namespace) -> int:
    """Train a recipe on Spoken Stamps or a manifest, resuming a run found in the folder, and save its model there.

    Where several processes train together, the main one fills the banks and writes what is saved.
    """
    study = _study(chosen)
    plan = _plan(chosen, study and study.base)
    out = chosen.out or Path("runs") / plan.name
    begin, earlier = time.monotonic(), _read_minutes(out)
    check_device(plan.fit.device)
    quick_products(plan.fit.device)
    processes = PartialState(cpu=on_cpu(plan.fit.device))
    if beginning := study.beginning(plan) if isinstance(study, SceneStudy) else {}:
        keep_beginning(out, beginning, write=processes.is_main_process)
    prepared = study.prepare(plan) if study else _on_stamps(plan)
    model, batches = prepared.model, prepared.batches
    if processes.is_main_process and study:
        print(study.said)
    _show(batches.fill(), quiet=not processes.is_main_process)  # all of them: who waits at a barrier is given up
    processes.wait_for_everyone()
    reason, settings = None, plan.fit
    if settings.max_seconds is not None:  # filling counts too
        settings = replace(settings, max_seconds=max(1e-3, settings.max_seconds - (time.monotonic() - begin)))

    def record_minutes() -> float:
        minutes = earlier + (time.monotonic() - begin) / 60
        if processes.is_main_process:
            _write_minutes(out, minutes)
        return minutes

    events = fit(
        model, batches, plan.loss, settings, evaluate=exact_products()(prepared.evaluate), directory=out / "run"
    )
    with tqdm(total=plan.fit.steps, desc="train", unit="step", disable=not processes.is_main_process) as bar:
        for event in events:
            if isinstance(event, ResumedEvent):
                bar.update(event.step)
            elif isinstance(event, StepEvent):
                bar.update(1)
                bar.set_postfix(loss=f"{event.loss:.3f}", r1=f"{event.extra.get('speech_to_image_r1', 0):.2f}")
            elif isinstance(event, EvaluationEvent):
                bar.write(f"step {event.step}: " + ", ".join(f"{k} {v:.3f}" for k, v in event.figures.items()))
            elif isinstance(event, CheckpointEvent):
                record_minutes()
            elif isinstance(event, StoppedEvent):
                reason = event.reason
    minutes = record_minutes()
    processes.wait_for_everyone()
    processes.destroy_process_group()  # what is left is the main one's alone, and may take longer than a barrier waits
    if not processes.is_main_process:
        return 0
    if reason:
        print(f"Stopped ({reason}) after {minutes:.1f} minutes; run the same command to go on.")
        return 0
    if plan.fit.keep_best:
        best = load_best(model, out / "run")
        print(f"The weights of step {best.step} are the best by {plan.fit.keep_best}.")
    extra = ({} if isinstance(study, ManifestStudy) else exact_products()(calibration)(model, Stamps.open())) | {
        "seed": plan.fit.seed,
        "threads": torch.get_num_threads(),
    }
    extra |= {"beginning": beginning} if beginning else {}
    extra |= {"minutes": round(record_minutes(), 1), "seconds_for_features": round(batches.seconds)}
    save_model(model, plan, out / "model", half=True, extra=extra)
    print(f"Saved {out / 'model'} after {extra['minutes']:.1f} minutes.")
    return 0


def _study(chosen: argparse.Namespace) -> ManifestStudy | SceneStudy | None:
    """What is trained on: a manifest, or scenes for a document's system; None for the recipes of Spoken Stamps.

    Beside ``--manifest`` the recipe may be left out; a small one is taken then.
    """
    if chosen.manifest is None and chosen.recipe is None:
        raise TrainingError(
            "train: found no recipe and no data; name a recipe, such as stamps-demo, or --manifest FILE"
        )
    pretraining = None if chosen.videos is None else _on_videos(chosen)
    if chosen.manifest is None and chosen.recipe not in SYSTEMS:
        return None
    if chosen.manifest is None:
        return _scenes(chosen.recipe, pretraining)
    return ManifestStudy(chosen.manifest, base=recipe(chosen.recipe) if chosen.recipe else FIRST_WORDS)


def _on_videos(chosen: argparse.Namespace) -> Pretraining:
    """Pre-training on a folder of videos, in batches of 64 or of as many as there are."""
    if chosen.manifest is not None or chosen.recipe not in SYSTEMS or SYSTEMS[chosen.recipe].initial != NATURAL_SOUNDS:
        names = ", ".join(name for name, system in SYSTEMS.items() if system.initial == NATURAL_SOUNDS)
        found = "--manifest" if chosen.manifest is not None else chosen.recipe
        raise TrainingError(
            f"--videos: found {found}, expected a system that begins with natural sounds; name one of {names}"
        )
    most, data = len(video_pairs(chosen.videos)), VideoData()
    return Pretraining(videos=str(chosen.videos), video_data=replace(data, batch_size=min(most, data.batch_size)))


def _scenes(name: str, pretraining: Pretraining | None) -> SceneStudy:
    """What trains a document's system at its own size and settings."""
    base = recipe(name)
    if base.audio.name == "text":
        raise TrainingError(f"{name}: it reads text, which 'evaluate' and 'prompt' do not; train it with 'reproduce'")
    stamps = Stamps.open()
    return SceneStudy(stamps, fitted(base, stamps), pretraining=pretraining)


def _on_stamps(plan: Recipe) -> Prepared:
    """The model of ``plan``, scenes of Spoken Stamps, and scenes and people of validation to judge on."""
    stamps = Stamps.open()
    with seeded(plan.fit.seed, "model"):
        model = build_model(plan)
    batches = SceneBatches(model.eval(), Scenes(stamps, "train", seed=plan.data.seed), plan.data)

    @cache
    def trials() -> dict[str, Trial]:
        scenes = trial_of(stamps, "validation", num_scenes=VALIDATION_SCENES)
        return {"validation": scenes, "people": trial_of(stamps, "validation-human-en")}

    return Prepared(model, batches, lambda m: _validate(m, trials()))


def _plan(chosen: argparse.Namespace, base: Recipe | None = None) -> Recipe:
    plan = base or recipe(chosen.recipe)
    asked = {name: getattr(chosen, name) for name in ("steps", "seed", "device", "precision")}
    asked |= {"max_seconds": None if chosen.minutes is None else 60 * chosen.minutes, "num_workers": chosen.workers}
    return replace(plan, fit=replace(plan.fit, **{k: v for k, v in asked.items() if v is not None}))


def _show(events: Iterable[Filling], *, quiet: bool = False) -> None:
    """Follow the filling of banks, with a bar for each or none."""
    with Bars("item") as bars:
        for event in events:
            if not quiet:
                bars.show(event.name, event.done, event.total)


def _validate(model: DualEncoder, trials: dict[str, Trial]) -> dict[str, float]:
    scenes, people = (figures_of(model, trials[name]) for name in ("validation", "people"))
    return {
        "r1_speech_to_image": scenes["speech_to_image"]["r1"],
        "r1_image_to_speech": scenes["image_to_speech"]["r1"],
        "pointing": scenes["pointing"],
        "iou": scenes["mean_iou"],
        "people_r1": people["speech_to_image"]["r1"],
        "people_r10": people["speech_to_image"]["r10"],
    }


def _read_minutes(out: Path) -> float:
    """The minutes spent on a run so far, over every time it was started."""
    record = out / "minutes.json"
    if not record.is_file():
        return 0.0
    try:
        minutes = float(json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"{record}: damaged ({error}), expected a number of minutes; delete it to go on") from error
    if not 0 <= minutes < math.inf:
        raise TrainingError(f"{record}: found {minutes}, expected a number of minutes; delete it to go on")
    return minutes


def _write_minutes(out: Path, minutes: float) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "minutes.json", lambda path: path.write_text(json.dumps(minutes), encoding="utf-8"))


def calibration(model: DualEncoder, stamps: Stamps) -> dict:
    """What is chosen on validation for a checkpoint: the threshold of its heatmaps and the range that is drawn.

    Nothing for a model with a pooled encoder, which has no heatmaps.
    """
    if model.eval().pooled:
        return {}
    trial = trial_of(stamps, "validation", num_scenes=CALIBRATION_SCENES)
    threshold = figures_of(model, trial)["threshold"]
    people = trial_of(stamps, "validation-human-en")  # their voices match more faintly than synthetic ones
    named = people.right.any(dim=1).nonzero().flatten().tolist()
    prompter = Prompter(model)
    prompter.add_pictures([str(i) for i in named], [people.pictures[i] for i in named])
    prompter.calibrate(people.captions)
    return {"threshold": threshold, "heat_range": prompter.heat_range}


def evaluate(chosen: argparse.Namespace) -> int:
    """Print the figures of a checkpoint on a split; with ``--json`` the last line is one JSON object."""
    if chosen.card and chosen.split in SPLITS and chosen.scenes != CARD_SCENES:
        raise DataError(f"--scenes {chosen.scenes}: a card holds figures of {CARD_SCENES} scenes; leave out --card")
    check_device(chosen.device)
    threshold = _extra(chosen.checkpoint).get("threshold")
    model = load_model(chosen.checkpoint, device=chosen.device)
    if threshold is None and not model.pooled and not chosen.split.startswith("validation"):
        raise CheckpointError(
            f"{chosen.checkpoint}: its model.json has no extra.threshold for heatmaps, and {chosen.split!r} may not "
            "choose one; train it again, or write there the threshold that 'evaluate --split validation' finds"
        )
    trial = trial_of(Stamps.open(), chosen.split, num_scenes=chosen.scenes)
    with Bars() as bars, exact_products():
        figures = figures_of(model, trial, threshold=threshold, seed=chosen.seed, report=bars.show)
    figures = {"checkpoint": str(chosen.checkpoint), "split": chosen.split, **figures}
    if chosen.card:
        cards.record(chosen.checkpoint, chosen.split, figures)
    print(json.dumps(figures) if chosen.json else cards.table({chosen.split: figures}))
    return 0


def _extra(checkpoint: str | Path) -> dict:
    """What a checkpoint says beside its recipe and weights: "threshold" and "heat_range" where they were chosen."""
    extra = read_config(checkpoint).get("extra") or {}
    if not isinstance(extra, dict) or not isinstance(extra.get("threshold", 0.0), int | float | None):
        raise CheckpointError(f"{find_checkpoint(checkpoint) / 'model.json'}: damaged, 'extra' is {extra!r}")
    return extra


def prompt(chosen: argparse.Namespace) -> int:
    """Draw where a recording finds its match in a picture, and print the best span."""
    model = load_model(chosen.checkpoint)
    try:
        with Image.open(chosen.image) as opened:
            picture = np.asarray(opened.convert("RGB"))
    except UNREADABLE as error:
        raise ImageError(f"{chosen.image}: no readable picture ({error}); expected PNG or JPEG") from error
    waveform, rate = audio.read_audio(chosen.audio)
    prompter = Prompter(model, heat_range=_extra(chosen.checkpoint).get("heat_range"))
    prompter.add_pictures([str(chosen.image)], [picture])
    found = prompter.prompt(waveform, rate)
    drawn = viz.figure_png(viz.prompt_figure(found, picture, title=chosen.audio.name))
    try:
        chosen.out.write_bytes(drawn)
    except OSError as error:
        raise ImageError(f"--out {chosen.out}: cannot be written ({error.strerror}); name a file that can") from error
    across, down = found.peak()
    start, end = found.span
    print(f"{chosen.out}: best from {start:.2f} to {end:.2f} s; strongest {across:.0%} across, {down:.0%} down.")
    return 0
