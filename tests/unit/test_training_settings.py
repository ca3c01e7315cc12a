"""The settings of fit(): precision, device, learning rate, weight decay, clipping."""

import dataclasses
import itertools
import math

import pytest
import torch
from tiny_training import TinyBatches, losses_of, make_model, start

from vgs_lib.errors import TrainingError
from vgs_lib.recipes import SYSTEMS
from vgs_lib.training import FitSettings, StepEvent, fit
from vgs_lib.training.state import learning_rate_factor, make_optimizer


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
        ("optimizer", "lion"),
        ("momentum", 1.0),
        ("decay_every", -1),
        ("decay_factor", 0.5),
        ("lowest_learning_rate", -1e-6),
        ("cycle_steps", -1),
    ],
)
def test_settings_that_cannot_be_meant(name, value):
    with pytest.raises(TrainingError, match=f"^{name}: found .*, expected"):
        FitSettings(**{name: value})


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"schedule": "step"}, "decay_every"),
        ({"schedule": "cyclic"}, "cycle_steps"),
        ({"schedule": "cyclic", "cycle_steps": 8, "lowest_learning_rate": 1.0}, "lowest_learning_rate"),
    ],
)
def test_a_schedule_wants_its_own_settings(changes, name):
    with pytest.raises(TrainingError, match=f"^{name}: found .*, expected .* for schedule '{changes['schedule']}'"):
        FitSettings(**changes)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_what_decays(optimizer):
    model = make_model()
    names = {id(p): name for name, p in model.named_parameters()}
    groups = make_optimizer(model, FitSettings(optimizer=optimizer, weight_decay=0.1)).param_groups
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


def naive_steps(optimizer, gradients, *, rate, decay, betas, momentum):
    """A weight that starts at 2, after steps of textbook Adam (L2), AdamW (decoupled) or momentum."""
    weight, first, second = 2.0, 0.0, 0.0
    for step, gradient in enumerate(gradients, start=1):
        if optimizer == "adamw":
            weight *= 1 - rate * decay
        else:
            gradient += decay * weight
        if optimizer == "sgd":
            first = momentum * first + gradient if step > 1 else gradient
            weight -= rate * first
            continue
        first = betas[0] * first + (1 - betas[0]) * gradient
        second = betas[1] * second + (1 - betas[1]) * gradient**2
        hat = first / (1 - betas[0] ** step), second / (1 - betas[1] ** step)
        weight -= rate * hat[0] / (math.sqrt(hat[1]) + 1e-8)
    return weight


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_optimizers_take_their_textbook_steps(optimizer):
    layer = torch.nn.Linear(1, 1, bias=False).double()
    layer.weight.data.fill_(2.0)
    options = {"betas": (0.95, 0.99), "momentum": 0.8}
    made = make_optimizer(layer, FitSettings(optimizer=optimizer, learning_rate=0.1, weight_decay=0.3, **options))
    gradients = [1.0, -2.0, 0.5, 0.7]
    for gradient in gradients:
        layer.weight.grad = torch.full((1, 1), gradient, dtype=torch.float64)
        made.step()
    assert layer.weight.item() == pytest.approx(naive_steps(optimizer, gradients, rate=0.1, decay=0.3, **options))


def test_learning_rate():
    settings = FitSettings(steps=10, warmup_steps=2, schedule="cosine")
    factors = [learning_rate_factor(step, settings) for step in range(10)]
    assert factors[:3] == [0.5, 1.0, 1.0]
    assert factors[6] == pytest.approx(0.5)
    assert factors[9] == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 8)))
    assert learning_rate_factor(9, dataclasses.replace(settings, schedule="constant")) == 1.0


def test_learning_rate_falls_in_steps():
    """ni2018: half every 5 epochs, here of 3 steps; harwath2019: a tenth; the warm-up counts among the steps."""
    halved = FitSettings(schedule="step", decay_every=15, decay_factor=2)
    factors = [learning_rate_factor(step, halved) for step in range(46)]
    assert factors == [1.0] * 15 + [0.5] * 15 + [0.25] * 15 + [0.125]
    tenth = FitSettings(schedule="step", decay_every=30, warmup_steps=4)
    assert [learning_rate_factor(step, tenth) for step in (0, 3, 4, 29)] == [0.25, 1.0, 1.0, 1.0]
    assert [learning_rate_factor(step, tenth) for step in (30, 60)] == pytest.approx([0.1, 0.01])


def test_learning_rate_goes_round():
    """merkx2019: from 1e-6 to 2e-4 and back in a period of 4 epochs, here of 2 steps."""
    settings = FitSettings(schedule="cyclic", learning_rate=2e-4, lowest_learning_rate=1e-6, cycle_steps=8)
    rates = [2e-4 * learning_rate_factor(step, settings) for step in range(17)]
    assert rates[::8] == pytest.approx([1e-6] * 3)
    assert rates[4::8] == pytest.approx([2e-4] * 2)
    assert rates[2:7:4] == pytest.approx([(2e-4 + 1e-6) / 2] * 2)
    assert rates[1] == pytest.approx(1e-6 + (2e-4 - 1e-6) * 0.5 * (1 - math.cos(math.pi / 4)))
    assert all(a < b for a, b in itertools.pairwise(rates[:5]))


def test_fit_follows_optimizer_and_schedule():
    changes = {"warmup_steps": 0, "weight_decay": 0.0, "gradient_clip": None, "learning_rate": 0.1}

    def loss(model, batch, step, generator):
        return 3.0 * model.logit_scale, {}

    model = make_model()
    before = model.logit_scale.item()
    schedule = {"schedule": "step", "decay_every": 2, "decay_factor": 10}
    events = start(model, loss=loss, steps=4, optimizer="sgd", momentum=0.5, **schedule, **changes)
    rates = [event.learning_rate for event in events if isinstance(event, StepEvent)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01])
    velocities = [3.0, 4.5, 5.25, 5.625]
    moved = sum(rate * velocity for rate, velocity in zip(rates, velocities, strict=True))
    assert model.logit_scale.item() == pytest.approx(before - moved, rel=1e-5)


def test_what_is_not_used_is_no_part_of_a_run():
    """Folders of the first version, which knew AdamW, cosine and constant, hold exactly these."""
    first = {"steps", "learning_rate", "weight_decay", "betas", "warmup_steps", "schedule", "gradient_clip", "seed"}
    first |= {"precision", "keep_best"}
    assert FitSettings().identity.keys() == first
    assert FitSettings(schedule="constant").identity.keys() == first - {"steps"}
    step = FitSettings(optimizer="sgd", schedule="step", decay_every=5).identity
    assert step.keys() == (first - {"steps", "betas"}) | {"optimizer", "momentum", "decay_every", "decay_factor"}
    cyclic = FitSettings(optimizer="adam", schedule="cyclic", cycle_steps=5).identity
    assert cyclic.keys() == (first - {"steps"}) | {"optimizer", "lowest_learning_rate", "cycle_steps"}


RATES = {  # harwath2019, section 4.6; ni2018 in its introduction; zhang2020, section 2.5; tian2020, section 5.2.2; code
    **dict.fromkeys((name for name in SYSTEMS if name.startswith("harwath2019")), 1e-3),
    **{f"harwath2019-{name}-sounds": 3e-2 for name in ("sisa", "misa", "sima", "sisa-shn")},
    "harwath2019-sisa-shn-imagenet": 1e-2,
    **dict.fromkeys((name for name in SYSTEMS if name.startswith("ni2018")), 2.5e-4),
    **dict.fromkeys((name for name in SYSTEMS if name.startswith(("zhang2020", "tian2020"))), 1e-4),
    **dict.fromkeys(("chrupala2017", "scharenborg2020", "merkx2019"), 2e-4),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_has_the_optimizer_and_the_rates_of_its_document(name):
    """The first step of a value whose gradient is 3, which Adam divides by its size; the highest rate of the run."""
    settings, model = SYSTEMS[name].fit, make_model().double()
    optimizer = torch.optim.SGD if name.startswith("harwath2019") else torch.optim.Adam
    assert type(make_optimizer(model, settings)) is optimizer
    before = model.logit_scale.item()
    loss = lambda model, batch, step, generator: (3.0 * model.logit_scale, {})
    list(fit(model, TinyBatches(), loss, dataclasses.replace(settings, steps=1, device="cpu")))
    first = 1e-6 if name == "merkx2019" else RATES[name]  # its rate goes up from there and down again
    size = 3.0 if optimizer is torch.optim.SGD else 1.0
    assert before - model.logit_scale.item() == pytest.approx(size * first, rel=1e-6)
    every = max(1, settings.steps // 97)
    steps = {*range(0, settings.steps, every), settings.cycle_steps // 2}
    assert max(settings.learning_rate * learning_rate_factor(step, settings) for step in steps) == RATES[name]
    assert min(learning_rate_factor(step, settings) for step in steps) > 0


def test_gradients_are_clipped():
    def loss(model, batch, step, generator):
        return 100.0 * model.logit_scale, {}

    for clip, expected in ((1.0, 1.0), (None, 100.0)):
        model = make_model()
        events = start(model, loss=loss, steps=1, gradient_clip=clip)
        assert next(events).gradient_norm == pytest.approx(100.0)
        assert model.logit_scale.grad.item() == pytest.approx(expected, rel=1e-4)
