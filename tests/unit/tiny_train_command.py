"""``python -m vgs_lib train`` on the small data set in one of several processes: ``tiny_train_command.py OUT``."""

import sys
import time
from dataclasses import replace

import pytest
import tiny_stamps
import torch
from tiny_commands import RECIPE

from vgs_lib.__main__ import main
from vgs_lib.batches.banks import Bank
from vgs_lib.commands import models
from vgs_lib.data.augment import Augmentation


def run(out: str) -> int:
    torch.set_num_threads(1)
    quiet = Augmentation(pitch_chance=0)
    data = replace(RECIPE.data, num_scenes=8, batch_size=4, takes=1, phases=(), augmentation=quiet)
    small = replace(RECIPE, data=data, fit=replace(RECIPE.fit, steps=2, device="cpu"))
    calibration, write = models.calibration, Bank._write

    def slow(*arguments):
        time.sleep(3)  # the main process alone: the others have left
        return calibration(*arguments)

    def slower(self, path, items):
        time.sleep(0.5)
        write(self, path, items)

    with pytest.MonkeyPatch.context() as patch:
        tiny_stamps.use_voices(patch, (*tiny_stamps.VOICES, replace(tiny_stamps.TEST, split="validation")))
        patch.setattr(models, "recipe", lambda name: small)
        patch.setattr(models, "VALIDATION_SCENES", 4)
        patch.setattr(models, "CALIBRATION_SCENES", 64)
        patch.setattr(models, "calibration", slow)
        patch.setattr(Bank, "_write", slower)
        patch.setattr("vgs_lib.data.stamps.human_split", lambda concept, language: f"validation-human-{language}")
        return main(["train", "tiny", "--out", out])


if __name__ == "__main__":
    sys.exit(run(sys.argv[1]))
