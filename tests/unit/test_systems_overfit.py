"""Every system of the documents learns 32 real pairs by heart, and is resumed, saved, loaded and judged.

Real pictures behind EfficientNet-Lite0 and real synthetic speech; the systems are small.
"""

import dataclasses
from functools import cache

import numpy as np
import pytest
import torch

from vgs_lib.batches.frozen_features import speech_features
from vgs_lib.batches.text_batches import reads_text
from vgs_lib.checkpoints import load_model, save_model
from vgs_lib.data.loading import collate
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.single_stamps import SingleStamps
from vgs_lib.data.stamps import Stamps
from vgs_lib.evaluation import retrieval_figures
from vgs_lib.recipes import SYSTEMS, Scale, build_model, recipe, scaled
from vgs_lib.retrieval import recall_at_k
from vgs_lib.studies.scene_study import fitted
from vgs_lib.training import FitSettings, StepEvent, fit

pytestmark = pytest.mark.slow

PAIRS, STEPS = 32, 4000  # at most; processors differ in how many a system needs
SCALE = Scale(width=1 / 16, dim=64, frames=64, pictures="lite0")  # of a name its first 0.64 s


@cache
def scenes() -> tuple:
    singles = SingleStamps(Scenes(Stamps.open(), "train"))
    return tuple(singles[i] for i in range(PAIRS))


_MAPS: dict = {}
_HEARD: dict = {}


def maps_of(encoder) -> list[tuple[torch.Tensor, ...]]:
    key = (encoder.strides, encoder.features_as)
    if key not in _MAPS:
        pictures = torch.from_numpy(np.stack([scene.picture for scene in scenes()])).permute(0, 3, 1, 2)
        levels = [encoder.features(few.float() / 255) for few in pictures.split(8)]
        _MAPS[key] = [tuple(level[i] for level in few) for few in levels for i in range(8)]
    return _MAPS[key]


def heard_by(encoder) -> list[torch.Tensor]:
    key = repr(encoder.front_end)
    if key not in _HEARD:
        if reads_text(encoder):
            numbers, lengths = encoder.front_end([scene.concepts[0][0].text for scene in scenes()])
            _HEARD[key] = [row[:, :length] for row, length in zip(numbers, lengths.tolist(), strict=True)]
        else:
            _HEARD[key] = speech_features(encoder, [torch.from_numpy(scene.waveform) for scene in scenes()])
    return _HEARD[key]


class Pairs:
    """The same 32 pairs in every step."""

    def __init__(self, model):
        self.batch = collate(
            maps_of(model.image_encoder),
            heard_by(model.audio_encoder),
            classes=list(range(PAIRS)),
            pad_value=model.audio_encoder.front_end.pad_value,
            image_is_features=True,
        )

    def __getitem__(self, step):
        return self.batch


@torch.no_grad()
def scores_of(model, batch) -> torch.Tensor:
    return model.eval()(batch)


@pytest.mark.parametrize("name", SYSTEMS)
def test_learns_32_pairs_by_heart_and_is_resumed_saved_and_loaded(name, tmp_path):
    plan = scaled(recipe(name), SCALE)
    plan = fitted(dataclasses.replace(plan, data=dataclasses.replace(plan.data, num_scenes=4 * PAIRS)), Stamps.open())
    torch.manual_seed(0)
    model = build_model(plan)
    start = {key: value.clone() for key, value in model.state_dict().items()}
    batches = Pairs(model)
    settings = FitSettings(steps=STEPS, learning_rate=1e-3, warmup_steps=10, schedule="constant", gradient_clip=5.0)

    right = torch.arange(PAIRS)
    losses, learnt = [], None
    for event in fit(model, batches, plan.loss, settings):
        if isinstance(event, StepEvent):
            losses.append(event.loss)
            if event.step % 20 == 0:
                scores = scores_of(model, batches.batch)
                model.train()
                learnt = min(recall_at_k(scores, 1, right[:, None].tolist()), recall_at_k(scores.T, 1))
                if learnt == 1.0:
                    break
    assert learnt == 1.0, f"R@1 is {learnt} after {len(losses)} steps, loss {losses[0]:.3f} to {losses[-1]:.3f}"

    scores = scores_of(model, batches.batch)
    figures = retrieval_figures(scores, torch.eye(PAIRS, dtype=torch.bool), seed=0)
    assert figures["r1"] == 1.0 and figures["median_rank"] == 1.0
    save_model(model, plan, tmp_path / "model")
    again = load_model(tmp_path / "model")
    torch.testing.assert_close(scores_of(again, batches.batch), scores)

    model.load_state_dict(start)
    few = dataclasses.replace(settings, checkpoint_every=1)
    resumed = some_losses(model, batches, plan, few, tmp_path, 2) + some_losses(
        build_model(plan), batches, plan, few, tmp_path, 2
    )
    assert resumed == pytest.approx(losses[:4], rel=1e-5)


def some_losses(model, batches, plan, settings, folder, count) -> list[float]:
    """The losses of the next ``count`` steps of the run in a folder, which is then stopped."""
    losses: list[float] = []
    for event in fit(
        model, batches, plan.loss, settings, directory=folder / "run", should_stop=lambda: len(losses) == count
    ):
        if isinstance(event, StepEvent):
            losses.append(event.loss)
    return losses
