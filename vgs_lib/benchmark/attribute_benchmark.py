"""Described things as a benchmark: systems trained on some pairs of attributes and things, judged on others, too.

tian2020's question, whether attributes combine to new objects, asked of whole systems under equal conditions.
"""

from dataclasses import replace
from typing import Any

from vgs_lib.batches.attribute_batches import AttributeHeldOut
from vgs_lib.batches.held_out import maps_of
from vgs_lib.data.attribute_scenes import AttributeScenes
from vgs_lib.data.stamps import Stamps
from vgs_lib.errors import TrainingError
from vgs_lib.model import DualEncoder
from vgs_lib.recipes import Recipe
from vgs_lib.studies.attribute_choice import colour_choice
from vgs_lib.studies.attribute_study import AttributeStudy, attribute_figures
from vgs_lib.studies.pretraining import Pretraining

PER_CLASS = 5  # test scenes of each class
SPLITS = {"seen": "test", "unseen": "test-unseen"}


class AttributeBenchmark:
    """A :class:`vgs_lib.benchmark.reproduce.Benchmark`: R@1, mAP@50, choice of the colour on seen and unseen pairs."""

    name = "described things"

    def __init__(self, stamps: Stamps):
        self.stamps = stamps
        scenes = {name: AttributeScenes(stamps, split) for name, split in SPLITS.items()}
        self.held_out = {name: AttributeHeldOut(few, PER_CLASS) for name, few in scenes.items()}

    def study(self, recipe: Recipe, pretraining: Pretraining) -> AttributeStudy:
        """What trains ``recipe`` on described things; :class:`TrainingError` for what it cannot train."""
        if recipe.initial or recipe.audio.name == "text":
            found = f"pre-training on {recipe.initial}" if recipe.initial else "a side that reads text"
            raise TrainingError(f"{recipe.name}: found {found}; described things take neither, choose another system")
        return AttributeStudy(self.stamps, base=recipe, held_out=tuple(self.held_out.values()))

    def fitted(self, plan: Recipe) -> Recipe:
        """``plan`` with its number of classes, where its loss knows classes."""
        if not plan.num_classes:
            return plan
        return replace(plan, num_classes=len(AttributeScenes(self.stamps, "train").design.classes["train"]))

    def judge(self, model: DualEncoder) -> dict[str, Any]:
        """`attribute_figures` of a model by "seen" and "unseen", and their `colour_choice` as "choice"."""
        maps = {name: maps_of(model, one, one.same_class) for name, one in self.held_out.items()}
        found = {name: attribute_figures(maps[name], one) for name, one in self.held_out.items()}
        return found | {"choice": colour_choice(model, maps, self.held_out)}

    def untrained(self, plan: Recipe) -> dict[str, Any]:
        """The same before the first step."""
        model = AttributeStudy(self.stamps, base=plan).prepare(plan).model
        assert isinstance(model, DualEncoder)
        return self.judge(model)
