"""What is equal for all systems that are compared: data, time, size, optimizer.

Equal are the scenes, voices, budget of training time, batch size, optimizer, embedding size and the picture backbone;
what differs is the system: its encoders above the backbone, its similarity and its loss. The documents' own settings
stay in the recipes (:mod:`vgs_lib.recipes`).
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from vgs_lib.batches.scene_batches import SceneData
from vgs_lib.recipes import Recipe, Scale, scaled
from vgs_lib.studies.pretraining import Pretraining
from vgs_lib.training import FitSettings


@dataclass(frozen=True)
class Conditions:
    """What is equal for all systems.

    minutes, cores: of training, as processor time; filling the banks of frozen features and evaluating are not counted.
    words_first: share of the steps that train on single words before scenes come.
    scale: of the encoders, so that they train on two cores.
    pretraining: of the encoders of recipes that begin with trained ones; its time is not counted either.
    """

    minutes: float = 10.0
    cores: int = 2
    words_first: float = 0.5
    scale: Scale = field(default_factory=lambda: Scale(width=0.25, dim=256, frames=1024, pictures="lite0"))
    data: SceneData = field(
        default_factory=lambda: SceneData(
            num_scenes=8000, batch_size=128, takes=2, word_takes=8, even_engines=True, mask_frames=8
        )
    )
    fit: FitSettings = field(
        default_factory=lambda: FitSettings(
            learning_rate=1e-3,
            betas=(0.9, 0.98),
            warmup_steps=30,
            gradient_clip=5.0,
            checkpoint_every=50,
            precision="bf16",
        )
    )
    pretraining: Pretraining = field(default_factory=Pretraining)

    def plan(self, recipe: Recipe, *, steps: int, seed: int) -> Recipe:
        """The recipe as it is trained under these conditions for so many steps."""
        first = round(self.words_first * steps)
        data = replace(self.data, phases=((first, 1),) if first else ())
        return replace(scaled(recipe, self.scale), data=data, fit=replace(self.fit, steps=steps, seed=seed))

    @property
    def digest(self) -> str:
        """A short name of all that a step costs and does; the budget and pretraining are not in it."""
        what = {key: value for key, value in self.to_dict().items() if key in ("scale", "data", "fit")}
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """The conditions as a JSON object."""
        return json.loads(json.dumps(asdict(self)))
