"""fit(): events, limits, the best weights, and what cannot be trained."""

import math

import pytest
import torch
from tiny_training import SETTINGS, TinyBatches, kinds_of, losses_of, make_model, start

from vgs_lib.errors import CheckpointError, TrainingError
from vgs_lib.training import (
    Best,
    CheckpointEvent,
    EvaluationEvent,
    FinishedEvent,
    StepEvent,
    StoppedEvent,
    load_best,
    score_loss,
)


def test_loss_falls_and_weights_change():
    model = make_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    one_batch = TinyBatches(same_image=False)[0]
    losses = losses_of(start(model, batches=dict.fromkeys(range(30), one_batch), loss=score_loss(), steps=30))
    assert len(losses) == 30
    assert losses[-1] < 0.8 * losses[0]
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert "logit_scale" in changed and "audio_encoder.conv1.weight" in changed
    assert not [name for name in changed if "backbone" in name]


def test_events_in_order(tmp_path):
    seen = []

    def evaluate(model):
        seen.append((model.training, torch.is_grad_enabled()))
        return {"recall": 0.5}

    model = make_model().eval()
    events = list(start(model, directory=tmp_path, evaluate=evaluate, steps=5, checkpoint_every=2, evaluate_every=4))
    assert kinds_of(events) == [
        ("StepEvent", 1),
        ("StepEvent", 2),
        ("CheckpointEvent", 2),
        ("StepEvent", 3),
        ("StepEvent", 4),
        ("EvaluationEvent", 4),
        ("CheckpointEvent", 4),
        ("StepEvent", 5),
        ("EvaluationEvent", 5),
        ("CheckpointEvent", 5),
        ("FinishedEvent", 5),
    ]
    assert seen == [(False, False)] * 2
    assert not model.training
    step = events[0]
    assert step.learning_rate == pytest.approx(SETTINGS.learning_rate / 3)
    assert step.gradient_norm > 0 and step.examples_per_second > 0 and step.seconds_left > 0
    assert set(step.extra) == {"image_to_speech_r1", "speech_to_image_r1", "logit_scale", "sampled", "semi_hard"}
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "step-00000004.safetensors",
        "step-00000005.safetensors",
        "training.lock",
    ]
    # A finished run has nothing left to do.
    assert kinds_of(start(directory=tmp_path, steps=5)) == [("ResumedEvent", 5), ("FinishedEvent", 5)]


def test_a_step_does_not_depend_on_the_callers_generator():
    torch.manual_seed(1)
    first = losses_of(start(steps=3))
    drawn = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(3))
    torch.manual_seed(2)
    assert losses_of(start(steps=3)) == first
    assert losses_of(start(steps=3, seed=8)) != first


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_what_is_not_finite_names_the_step(where, tmp_path):
    def loss(model, batch, step, generator):
        bad = step == 2
        value = model.logit_scale * (math.nan if bad and where == "loss" else 1.0)
        if bad and where == "gradient":
            value = value + (model.logit_scale - model.logit_scale.detach()).abs().sqrt()
        return value, {}

    model = make_model()
    seen = []
    with pytest.raises(TrainingError, match=r"^step 3: .*lower learning rate"):
        for event in start(model, loss=loss, steps=5, directory=tmp_path, checkpoint_every=1):
            seen.append(event.step)
    assert max(seen) == 2
    assert model.logit_scale.isfinite()


def test_max_seconds_stops_this_call_only(tmp_path):
    slow = TinyBatches(pause=0.05)
    events = list(start(batches=slow, steps=1000, max_seconds=0.4, directory=tmp_path))
    assert isinstance(events[-1], StoppedEvent) and events[-1].reason == "max_seconds"
    assert isinstance(events[-2], CheckpointEvent) and events[-2].step == events[-1].step
    assert 1 <= events[-1].step <= 8
    assert all(event.seconds_left <= 0.4 for event in events if isinstance(event, StepEvent))
    again = list(start(batches=slow, steps=1000, max_seconds=0.4, directory=tmp_path))
    assert again[-1].step > events[-1].step


def test_best_weights_are_kept(tmp_path):
    figures = iter([0.2, 0.9, 0.5, math.nan])
    snapshots = {}

    def evaluate(model):
        snapshots[len(snapshots) + 1] = {name: t.clone() for name, t in model.state_dict().items()}
        return {"recall": next(figures), "loss": 1.0}

    options = {"evaluate_every": 1, "checkpoint_every": 2, "keep_best": "recall"}
    events = list(start(steps=4, directory=tmp_path, evaluate=evaluate, **options))
    best = Best(2, {"recall": 0.9, "loss": 1.0})
    assert [event.is_best for event in events if isinstance(event, EvaluationEvent)] == [
        True,
        True,
        False,
        False,
    ]
    assert events[-1] == FinishedEvent(4, best)
    # The best so far is remembered over a resume.
    resumed = list(start(steps=4, directory=tmp_path, evaluate=evaluate, **options))
    assert resumed[-1] == FinishedEvent(4, best)
    model = make_model(seed=4)
    assert load_best(model, tmp_path) == best
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, snapshots[2][name]), name
    with pytest.raises(CheckpointError, match="no such file"):
        load_best(model, tmp_path / "elsewhere")


def test_unknown_figure_to_keep_is_named():
    with pytest.raises(TrainingError, match="keep_best: found 'r1', expected one of recall"):
        list(start(steps=1, evaluate=lambda model: {"recall": 1.0}, keep_best="r1"))


def test_nothing_to_train_is_said():
    with pytest.raises(TrainingError, match="nothing to train"):
        list(start(make_model().requires_grad_(False)))
