"""A study small enough to be trained in a second: the tiny model and batches of ``tiny_training``, steps that wait."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from tiny_training import SETTINGS, TinyBatches, make_model

from vgs_lib.batches.banks import Filling
from vgs_lib.batches.scene_batches import SceneData
from vgs_lib.errors import TrainingError
from vgs_lib.recipes import Part, Recipe
from vgs_lib.studies.history import Run
from vgs_lib.studies.study import Prepared
from vgs_lib.training import ScoreLoss


class ToyBatches(TinyBatches):
    """Batches whose bank has three shards."""

    def fill(self):
        for done in (2, 4, 5):
            yield Filling("tones", done, 5)


class ToyStudy:
    """``pause``: seconds a batch takes. The figures of the evaluation are functions of the weights."""

    def __init__(self, *, pause: float = 0.0, steps: int = 12):
        self.pause = pause
        self.options = {
            "image": {"tiny pictures": Part("tiny"), "large pictures": Part("large")},
            "audio": {"tiny DAVEnet": Part("davenet")},
            "similarity": {"MISA": "misa", "SISA": "sisa"},
            "loss": {"info_nce": ScoreLoss(), "shn": ScoreLoss("shn")},
        }
        self.base = Recipe(
            "toy",
            Part("tiny"),
            Part("davenet"),
            data=SceneData(batch_size=4),
            fit=replace(
                SETTINGS,
                steps=steps,
                warmup_steps=3,
                checkpoint_every=4,
                evaluate_every=3,
                keep_best="speech_to_image_r10",
            ),
        )

    def prepare(self, plan: Recipe) -> Prepared:
        if plan.image.name == "large":
            raise TrainingError("The large pictures cannot be had here; choose the tiny ones.")
        if plan.data.batch_size == 5:
            raise RuntimeError("five")
        return Prepared(
            make_model(kind=plan.kind),
            ToyBatches(pause=self.pause),
            lambda model: {"speech_to_image_r10": float(torch.sigmoid(model.logit_scale.detach() * 10 - 27))},
            {"speech_to_image_r10": 0.1},
        )


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def losses(run: Run) -> list[float]:
    return run.curve("loss")[1]


def training_process(folder: Path) -> subprocess.Popen:
    """Another process that trains the run "one" slowly."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import torch; torch.set_num_threads(1)\n"
        "from toy_study import ToyStudy\n"
        "from vgs_lib.widgets.training_controller import TrainingController\n"
        f"TrainingController(ToyStudy(pause=0.2), {str(folder)!r}).train(name='one')\n"
    )
    return subprocess.Popen([sys.executable, "-c", code])
