"""The study of whole scenes: any recipe trained on scenes of Spoken Stamps and judged on held-out ones.

All systems of the documents are compared on it (:mod:`vgs_lib.benchmark.reproduce`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vgs_lib.batches.banks import Filling
from vgs_lib.batches.held_out import HeldOut
from vgs_lib.batches.scene_batches import SceneBatches
from vgs_lib.batches.text_batches import TextBatches, reads_text, texts_of
from vgs_lib.data.classes import class_numbers
from vgs_lib.data.loading import Batch
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.stamps import Stamps
from vgs_lib.distributed import world_size
from vgs_lib.encoders.text import Vocabulary
from vgs_lib.errors import TrainingError
from vgs_lib.model import DualEncoder
from vgs_lib.recipes import Part, Recipe, build_model
from vgs_lib.seeds import seeded
from vgs_lib.studies.pretraining import WEIGHTS, Pretraining, beginning_of, fillings, folder_of, transfer
from vgs_lib.studies.study import OPTIONS, Prepared, chances, recalls

NUM_VALIDATION = 200  # scenes


class SceneStudy:
    """Trains on scenes of the training split; judges by recall among ``num_validation`` (200) validation scenes.

    ``held_out``: further scenes whose frozen features are to be computed before training. ``pretraining``: how the
    encoders of recipes with an ``initial`` are trained before; filling the batches does that too, where it is not done.
    """

    options: Mapping[str, Mapping[str, Any]] = OPTIONS

    def __init__(
        self,
        stamps: Stamps,
        base: Recipe,
        *,
        num_validation: int | None = None,
        held_out: Sequence[HeldOut] = (),
        pretraining: Pretraining | None = None,
    ):
        self.stamps, self.base, self.pretraining = stamps, base, pretraining or Pretraining()
        self.validation = HeldOut(Scenes(stamps, "validation"), num_validation or NUM_VALIDATION)
        self.held_out = (self.validation, *held_out)

    @property
    def said(self) -> str:
        """What is trained and judged on."""
        return f"{self.base.data.num_scenes:,} scenes to train on, {len(self.validation)} of validation to judge on."

    def beginning(self, plan: Recipe) -> dict[str, Any]:
        """What the encoders of ``plan`` begin with (:func:`vgs_lib.studies.pretraining.beginning_of`)."""
        return beginning_of(plan, self.pretraining)

    def prepare(self, plan: Recipe) -> Prepared:
        """The model of ``plan`` as it is before its first step, its batches and its judge."""
        with seeded(plan.fit.seed, "model"):
            model = build_model(plan).eval()
        scenes = Scenes(self.stamps, "train", seed=plan.data.seed)
        kind = TextBatches if reads_text(model.audio_encoder) else SceneBatches
        batches = _AndHeldOut(kind(model, scenes, plan.data), model, self.held_out)
        if plan.initial:
            folder = folder_of(plan, self.stamps, self.pretraining)
            make = lambda: fillings(plan, self.stamps, self.pretraining)
            batches = _AndPretraining(batches, model, folder, make)
        right = torch.eye(len(self.validation), dtype=torch.bool)
        return Prepared(model, batches, lambda m: recalls(m, self.validation.batches(m), right), chances(right))


def fitted(plan: Recipe, stamps: Stamps) -> Recipe:
    """``plan`` with what the data decide: the vocabulary of a text side, the number of classes for a loss on labels."""
    if plan.audio.name == "text" and not plan.audio.options["vocabulary"]:
        words = list(Vocabulary.of_texts(texts_of(stamps)).words)
        plan = replace(plan, audio=Part("text", {**plan.audio.options, "vocabulary": words}))
    if plan.num_classes:
        scenes = Scenes(stamps, "train", seed=plan.data.seed)
        plan = replace(plan, num_classes=len(class_numbers(scenes, plan.data.num_scenes)))
    return plan


class _AndHeldOut:
    """Training batches whose ``fill`` also computes the frozen features of held-out scenes."""

    def __init__(self, batches: SceneBatches, model: DualEncoder, held_out: Sequence[HeldOut]):
        self.batches, self._model, self._held_out = batches, model, held_out

    @property
    def settings(self) -> dict[str, Any]:
        return self.batches.settings

    @property
    def seconds(self) -> float:
        return self.batches.seconds

    def __getitem__(self, step: int) -> Batch:
        return self.batches[step]

    def fill(self) -> Iterator[Filling]:
        yield from self.batches.fill()
        for held_out in self._held_out:
            yield from held_out.fill(self._model)


class _AndPretraining:
    """Training batches whose ``fill`` also makes the weights that the encoders begin with, and puts them in.

    Pre-training takes one process; several that train together need its weights on disk.
    """

    def __init__(self, batches: _AndHeldOut, model: DualEncoder, folder: Path, make: Callable[[], Iterator[Filling]]):
        self.batches, self._model, self._folder, self._make = batches, model, folder, make
        self._begun = False
        if (folder / WEIGHTS).is_file():
            self._begin()

    @property
    def settings(self) -> dict[str, Any]:
        return {**self.batches.settings, "initial": self._folder.name}

    @property
    def seconds(self) -> float:
        return self.batches.seconds

    def __getitem__(self, step: int) -> Batch:
        if not self._begun:
            raise TrainingError(f"{self._folder}: the encoders are not pre-trained yet; fill the batches first")
        return self.batches[step]

    def fill(self) -> Iterator[Filling]:
        if not self._begun and world_size() > 1:
            raise TrainingError(
                f"{self._folder}: the encoders are not pre-trained yet, which takes one process; run the same command "
                "in one process until training begins"
            )
        yield from self._make()
        if not self._begun:
            self._begin()
        yield from self.batches.fill()

    def _begin(self) -> None:
        transfer(self._model, self._folder)
        self._begun = True
