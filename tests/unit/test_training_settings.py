"""The settings of fit(): precision, device, learning rate, weight decay, clipping."""

import math

import pytest
import torch
from tiny_training import losses_of, make_model, start

from vgs_lib.errors import TrainingError
from vgs_lib.training import FitSettings
from vgs_lib.training_state import learning_rate_factor, make_optimizer


def test_precision_may_change_between_runs_of_one_process():
    full = losses_of(start(steps=2))
    half = losses_of(start(steps=2, precision="bf16"))
    assert losses_of(start(steps=2)) == full
    assert half != full
    assert half == pytest.approx(full, rel=0.05)
    seen = []

    def loss(model, batch, step, generator):
        image_maps, _, _ = model.embed_batch(batch)
        seen.append(image_maps.dtype)
        return image_maps.float().mean(), {}

    list(start(steps=1, precision="bf16", loss=loss))
    list(start(steps=1, loss=loss))
    assert seen == [torch.bfloat16, torch.float32]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "fp16"}, "precision: 'fp16' needs a GPU"),
        ({"device": "cuda"}, "device: 'cuda' was asked for"),
    ],
)
def test_what_this_machine_cannot_do_is_said(monkeypatch, changes, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match=message):
        list(start(steps=1, **changes))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("weight_decay", -1.0),
        ("betas", (0.9, 1.0)),
        ("warmup_steps", -1),
        ("schedule", "linear"),
        ("gradient_clip", 0.0),
        ("evaluate_every", -1),
        ("checkpoint_every", -1),
        ("precision", "fp8"),
        ("device", "tpu"),
        ("num_workers", -1),
        ("max_seconds", 0.0),
    ],
)
def test_settings_that_cannot_be_meant(name, value):
    with pytest.raises(TrainingError, match=f"^{name}: found .*, expected"):
        FitSettings(**{name: value})


def test_what_decays():
    model = make_model()
    names = {id(p): name for name, p in model.named_parameters()}
    groups = make_optimizer(model, learning_rate=1e-3, weight_decay=0.1, betas=(0.9, 0.99)).param_groups
    decay = {names[id(p)]: group["weight_decay"] for group in groups for p in group["params"]}
    assert decay == {
        "logit_scale": 0.0,
        "image_encoder.out.1.weight": 0.0,
        "image_encoder.out.1.bias": 0.0,
        "image_encoder.out.2.weight": 0.1,
        "image_encoder.out.2.bias": 0.0,
        "audio_encoder.input_norm.weight": 0.0,
        "audio_encoder.input_norm.bias": 0.0,
        **{f"audio_encoder.conv{i}.weight": 0.1 for i in range(1, 6)},
        **{f"audio_encoder.conv{i}.bias": 0.0 for i in range(1, 6)},
    }


def test_learning_rate():
    options = {"steps": 10, "warmup_steps": 2, "schedule": "cosine"}
    factors = [learning_rate_factor(step, **options) for step in range(10)]
    assert factors[:3] == [0.5, 1.0, 1.0]
    assert factors[6] == pytest.approx(0.5)
    assert factors[9] == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 8)))
    assert learning_rate_factor(9, **{**options, "schedule": "constant"}) == 1.0


def test_gradients_are_clipped():
    def loss(model, batch, step, generator):
        return 100.0 * model.logit_scale, {}

    for clip, expected in ((1.0, 1.0), (None, 100.0)):
        model = make_model()
        events = start(model, loss=loss, steps=1, gradient_clip=clip)
        assert next(events).gradient_norm == pytest.approx(100.0)
        assert model.logit_scale.grad.item() == pytest.approx(expected, rel=1e-4)
