"""What the encoders begin with: random weights, natural sounds, or sound classification (harwath2019, section 4.5).

| ``Recipe.initial`` | picture side | speech side |
|---|---|---|
| "" | as the recipe builds it | as the recipe builds it |
| "natural-sounds" | trained on pictures with natural sounds, no labels | the same |
| "sound-classes" | as the recipe builds it (ImageNet weights) | trained to classify natural sounds |

Natural sounds of Spoken Stamps stand in for the document's videos and for AudioSet (``batches/natural_sounds.py``); a
folder of videos can take their place. The loss on pairs is the document's, semi-hard and sampled triplets on SISA,
whatever the recipe trains with later; the classifier reads the maximum over time of the speech side's output, one
linear layer and a softmax. Weights are kept in ``$VGS_RUNS/pretraining``, one folder for each pair of encoders.

Legend: B pairs, D embedding, T frames, C classes.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from vgs_lib import paths
from vgs_lib.batches.banks import Filling
from vgs_lib.batches.natural_sounds import NaturalSounds, SoundBatches, SoundData
from vgs_lib.batches.videos import VideoBatches, VideoData, digest_of, video_pairs
from vgs_lib.data.loading import Batch
from vgs_lib.data.stamps import Stamps
from vgs_lib.encoders.layers import frame_mask
from vgs_lib.errors import CheckpointError, TrainingError
from vgs_lib.model import DualEncoder
from vgs_lib.recipes import Recipe, build_model
from vgs_lib.recipes.recipe import INITIAL, NATURAL_SOUNDS
from vgs_lib.safe_files import names_from_packages, read_tensors, write_atomically, write_tensors
from vgs_lib.seeds import seeded
from vgs_lib.training import (
    CheckpointEvent,
    Event,
    FinishedEvent,
    ResumedEvent,
    ScoreLoss,
    StepEvent,
    StoppedEvent,
    fit,
)
from vgs_lib.training.loop import is_due

VERSION = 1  # raised when the same settings give other weights
WEIGHTS = "encoders.safetensors"
LOCK = "pretraining.lock"
LOSS = ScoreLoss("shn", kind="sisa", options={"margin": 1.0})
SIDES = ("image_encoder", "audio_encoder")


@dataclass(frozen=True)
class Pretraining:
    """How the encoders are pre-trained: optimizer ``steps``, on which pairs, or on the ``videos`` of a folder.

    The optimizer, the learning rate and the precision are those of the recipe that is trained afterwards.
    """

    steps: int = 600
    sounds: SoundData = field(default_factory=SoundData)
    videos: str = ""
    video_data: VideoData = field(default_factory=VideoData)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise TrainingError(f"steps: found {self.steps}, expected at least 1")


def folder_of(plan: Recipe, stamps: Stamps, settings: Pretraining) -> Path:
    """Where the weights that ``plan`` begins with are kept: a function of all that they depend on."""
    plan, pairs = _plan(plan, settings), asdict(settings.sounds)
    if settings.videos and plan.initial == NATURAL_SOUNDS:
        pairs = asdict(settings.video_data) | {"videos": digest_of(video_pairs(settings.videos))}
    what = {
        "version": VERSION,
        "audio": asdict(plan.audio),
        "image": asdict(plan.image) if plan.initial == NATURAL_SOUNDS else None,
        "fit": plan.fit.identity,
        "steps": settings.steps,
        "pairs": pairs,
        "stamps": stamps.digest,
    }
    digest = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:12]
    return paths.runs() / "pretraining" / f"{plan.initial}-{digest}"


def beginning_of(plan: Recipe, settings: Pretraining) -> dict[str, Any]:
    """What ``plan`` begins with, as a run folder and a saved model say it; {} for random weights."""
    if not plan.initial:
        return {}
    if not settings.videos or plan.initial != NATURAL_SOUNDS:
        return {"initial": plan.initial, "steps": settings.steps, "pairs": "natural sounds of Spoken Stamps"}
    files = video_pairs(settings.videos)
    return {"initial": plan.initial, "steps": settings.steps, "pairs": f"{len(files)} videos ({digest_of(files)})"}


def keep_beginning(folder: Path, beginning: Mapping[str, Any], *, write: bool = True) -> None:
    """Write down what the run in ``folder`` begins with; :class:`TrainingError` if it began with something else.

    Known before anything is pre-trained, unlike the weights themselves, which a resumed run is held to as well.
    """
    file = folder / "beginning.json"
    try:
        kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
        theirs = None if kept is None else f"{kept['pairs']} for {kept['steps']} steps"
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{file}: damaged ({error!r}), expected what the run began with; delete it to go on"
        raise TrainingError(message) from error
    if kept not in (None, beginning):
        raise TrainingError(
            f"{folder}: its run was pre-trained on {theirs}, found {beginning['pairs']} for {beginning['steps']} steps "
            "now; give the same --videos, or choose another --out folder"
        )
    if kept is None and write:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(beginning, indent=1) + "\n"
        write_atomically(file, lambda path: path.write_text(text, encoding="utf-8"))


def pretrain(
    plan: Recipe,
    stamps: Stamps,
    settings: Pretraining,
    *,
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[Filling | Event]:
    """Train what ``plan.initial`` names and keep the weights in :func:`folder_of`; nothing is done where they are.

    Yields what happens. A run that was cut off goes on as if it had not been. While another process makes the same
    weights this one waits, and goes on in its place if that one is stopped. Raises :class:`TrainingError` for a recipe
    that begins with nothing to be trained, and for a run whose losses are lost.
    """
    if plan.initial not in INITIAL[1:]:
        raise TrainingError(f"initial: found {plan.initial!r}, expected one of {', '.join(INITIAL[1:])}")
    folder = folder_of(plan, stamps, settings)
    if (folder / WEIGHTS).is_file():
        return
    plan = _plan(plan, settings)
    if plan.audio.name == "text":
        raise TrainingError(f"recipe {plan.name}: a text side cannot be pre-trained on natural sounds")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, thread_local=False)  # a generator may be closed in another thread than it ran in
    while not _acquired(lock):
        yield Filling(f"pretraining-{plan.initial}", len(_read_losses(folder)), settings.steps)
        if should_stop is not None and should_stop():
            yield StoppedEvent(0, "should_stop")
            return
    try:
        if not (folder / WEIGHTS).is_file():
            yield from _train(plan, stamps, settings, folder, should_stop)
    finally:
        lock.release()


def _train(
    plan: Recipe, stamps: Stamps, settings: Pretraining, folder: Path, should_stop: Callable[[], bool] | None
) -> Iterator[Filling | Event]:
    """:func:`pretrain` of a plan that is one of pre-training, in a folder that no other process uses."""
    pairs = plan.initial == NATURAL_SOUNDS
    with seeded(plan.fit.seed, "pretraining", plan.initial):
        model = build_model(plan)
        batches = _batches(model, stamps, settings, pairs)
        trained = model if pairs else SoundClassifier(model.audio_encoder, batches.sounds.num_classes)
    yield from batches.fill()
    loss = LOSS if pairs else ClassLoss()
    losses: list[float] = []
    for event in fit(trained, batches, loss, plan.fit, directory=folder / "run", should_stop=should_stop):
        if isinstance(event, ResumedEvent):
            losses = _read_losses(folder)[: event.step]
            if len(losses) < event.step:
                raise TrainingError(
                    f"{folder / 'losses.json'}: expected the losses of {event.step} steps, found {len(losses)}; delete "
                    f"{folder} to start anew"
                )
        elif isinstance(event, StepEvent):
            losses.append(round(event.loss, 4))
            stops = should_stop is not None and should_stop()
            if stops or event.step == settings.steps or is_due(event.step, plan.fit.checkpoint_every):
                _write_losses(folder, losses)  # before its checkpoint
        elif isinstance(event, CheckpointEvent):
            _write_losses(folder, losses)
        elif isinstance(event, FinishedEvent):
            sides = SIDES if pairs else SIDES[1:]
            weights = {k: v for k, v in _stored(model).items() if k.split(".")[0] in sides}
            write_tensors(folder / WEIGHTS, weights, {"initial": plan.initial, "losses": losses})
        yield event


def fillings(
    plan: Recipe, stamps: Stamps, settings: Pretraining, *, should_stop: Callable[[], bool] | None = None
) -> Iterator[Filling]:
    """:func:`pretrain` as progress alone; :class:`TrainingError` if it was stopped before its end."""
    for event in pretrain(plan, stamps, settings, should_stop=should_stop):
        if isinstance(event, Filling):
            yield event
        elif isinstance(event, StepEvent):
            yield Filling(f"pretraining-{plan.initial}", event.step, settings.steps)
        elif isinstance(event, StoppedEvent):
            raise TrainingError(f"pre-training on {plan.initial} was stopped after {event.step} steps; run it again")


def transfer(model: DualEncoder, folder: Path | str) -> None:
    """Take the weights of the encoders in ``folder`` over into ``model``, in place; everything else stays.

    Weights and running statistics are taken by name and shape; what comes unchanged from a package stays. A folder of
    sound classification holds the speech side alone. Raises :class:`CheckpointError` naming what does not fit, and for
    a file that is missing or damaged.
    """
    file = Path(folder) / WEIGHTS
    weights, _ = read_tensors(file)
    own = model.state_dict()
    sides = {name.split(".")[0] for name in weights}
    wanted = {name for name in _stored(model) if name.split(".")[0] in sides}
    unfit = sorted((weights.keys() - own.keys()) | (wanted - weights.keys()))
    unfit += sorted(name for name in weights.keys() & own.keys() if weights[name].shape != own[name].shape)
    if unfit or not sides or not sides <= set(SIDES):
        raise CheckpointError(
            f"{file}: these weights are of other encoders than the model's: {', '.join(unfit[:3]) or sorted(sides)} "
            f"({len(unfit)} in all); pre-train the encoders of this recipe"
        )
    model.load_state_dict({name: tensor.to(own[name].dtype) for name, tensor in weights.items()}, strict=False)


class SoundClassifier(nn.Module):
    """A speech side and a linear layer on the maximum of its map over the valid frames: [B, C] from a batch."""

    def __init__(self, audio_encoder: nn.Module, num_classes: int):
        super().__init__()
        self.audio_encoder = audio_encoder
        self.head = nn.Linear(audio_encoder.dim, num_classes)

    def forward(self, batch: Batch) -> Tensor:
        """One logit for each class, [B, C]."""
        encode = self.audio_encoder.project if batch.audio_is_features else self.audio_encoder
        maps, lengths = encode(batch.audio.to(self.head.weight.dtype), batch.audio_lengths)
        mask = frame_mask(lengths, maps.shape[-1])
        return self.head(maps.masked_fill(~mask[:, None], -torch.inf).amax(2))


class ClassLoss:
    """Cross-entropy of a :class:`SoundClassifier` on the labels of a batch; the figure "accuracy"."""

    settings: Mapping[str, Any] = {"name": "classes"}

    def __call__(
        self, model: SoundClassifier, batch: Batch, step: int, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        logits = model(batch).float()
        right = (logits.argmax(1) == batch.labels).float().mean().item()
        return nn.functional.cross_entropy(logits, batch.labels), {"accuracy": right}


def _plan(plan: Recipe, settings: Pretraining) -> Recipe:
    """The recipe as its encoders are pre-trained: what else it does later makes no difference."""
    changed = replace(plan.fit, steps=settings.steps, evaluate_every=0, keep_best=None, max_seconds=None, num_workers=0)
    return replace(plan, kind="sisa", cell=1, loss=LOSS, num_classes=0, fit=changed)


def _batches(model: DualEncoder, stamps: Stamps, settings: Pretraining, pairs: bool) -> SoundBatches | VideoBatches:
    if settings.videos and pairs:
        return VideoBatches(model, video_pairs(settings.videos), settings.video_data)
    return SoundBatches(model, NaturalSounds(stamps), settings.sounds, pictures=pairs)


def _read_losses(folder: Path) -> list[float]:
    """Of the steps that are done; [] before the first checkpoint, :class:`TrainingError` for a damaged file."""
    file = folder / "losses.json"
    try:
        return [float(loss) for loss in json.loads(file.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"{file}: damaged ({error!r}); delete {folder} to start anew") from error


def _write_losses(folder: Path, losses: list[float]) -> None:
    text = json.dumps(losses)
    write_atomically(folder / "losses.json", lambda path: path.write_text(text, encoding="utf-8"))


def _acquired(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=1)
    except Timeout:
        return False
    return True


def _stored(model: DualEncoder) -> dict[str, Tensor]:
    """What the encoders have besides weights that come unchanged from packages."""
    packaged = names_from_packages(model)
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name.split(".")[0] in SIDES and name not in packaged
    }
