"""fit(): events, exact resume, checkpoints, limits and errors."""

import dataclasses
import itertools
import logging
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_training import SETTINGS, TinyBatches, make_model
from torch import nn

from vgs_lib import safe_files
from vgs_lib.data.loading import Batch, collate, iterate
from vgs_lib.errors import CheckpointError, TrainingError
from vgs_lib.safe_files import read_tensors
from vgs_lib.training import (
    Best,
    CheckpointEvent,
    EvaluationEvent,
    FinishedEvent,
    FitSettings,
    ResumedEvent,
    StepEvent,
    StoppedEvent,
    fit,
    load_best,
    score_loss,
)
from vgs_lib.training_state import learning_rate_factor, make_optimizer

TINY = Path(__file__).with_name("tiny_training.py")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def settings(**changes) -> FitSettings:
    return dataclasses.replace(SETTINGS, **changes)


def start(model=None, *, batches=None, loss=None, directory=None, evaluate=None, should_stop=None, **changes):
    return fit(
        model or make_model(),
        batches or TinyBatches(),
        loss or score_loss("shn"),
        settings(**changes),
        directory=directory,
        evaluate=evaluate,
        should_stop=should_stop,
    )


def losses_of(events) -> list[float]:
    return [event.loss for event in events if isinstance(event, StepEvent)]


def kinds_of(events) -> list[tuple]:
    return [(type(event).__name__, event.step) for event in events]


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
    assert set(step.extra) == {"image_to_speech_r1", "speech_to_image_r1", "logit_scale"}
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "step-00000004.safetensors",
        "step-00000005.safetensors",
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


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_stopped_run_goes_on_with_the_same_losses(tmp_path, precision):
    whole = losses_of(start(steps=9, precision=precision))
    seen = []
    events = []
    for event in start(
        steps=9,
        precision=precision,
        directory=tmp_path,
        should_stop=lambda: len(seen) == 5,
        checkpoint_every=4,
    ):
        events.append(event)
        if isinstance(event, StepEvent):
            seen.append(event.loss)
    assert events[-2:] == [
        CheckpointEvent(5, tmp_path / "step-00000005.safetensors"),
        StoppedEvent(5, "should_stop"),
    ]
    other_start = make_model(seed=3)
    resumed = list(start(other_start, steps=9, precision=precision, directory=tmp_path))
    assert resumed[0] == ResumedEvent(5)
    assert seen + losses_of(resumed) == whole
    assert len(whole) == 9


def test_resume_restores_optimizer_moments(tmp_path):
    list(start(steps=4, schedule="constant", directory=tmp_path))
    with_moments = losses_of(start(steps=8, schedule="constant", directory=tmp_path))
    tensors, _ = read_tensors(tmp_path / "step-00000008.safetensors")
    trained = {name for name, p in make_model().named_parameters() if p.requires_grad}
    # The triplet loss does not use the temperature, so it has no moments.
    assert {n.removeprefix("optimizer/").rsplit("/", 1)[0] for n in tensors if n.endswith("/exp_avg")} == (
        trained - {"logit_scale"}
    )
    assert losses_of(start(steps=8, schedule="constant"))[4:] == with_moments


def test_killed_runs_go_on_with_the_same_losses(tmp_path):
    """SIGKILL at random times, then a resume; every loss is bit for bit that of an uninterrupted run."""
    steps, log = 200, tmp_path / "log.txt"
    log.touch()
    expected = losses_of(start(steps=steps))
    environment = {**os.environ, "PYTHONPATH": str(TINY.parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(TINY), "run", str(tmp_path / "run"), str(steps), str(log)]
    logged = []
    for _ in range(2):
        enough = len(logged) + 5
        process = subprocess.Popen(command, env=environment)
        deadline = time.monotonic() + 90
        while len(log.read_text().splitlines()) < enough:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(random.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        logged = [line.split() for line in log.read_text().splitlines()]
    assert [float.fromhex(loss) for _, loss in logged] == [expected[int(step) - 1] for step, _ in logged]
    resumed = list(start(steps=steps, directory=tmp_path / "run"))
    last_logged = int(logged[-1][0])
    assert isinstance(resumed[0], ResumedEvent)
    assert last_logged - SETTINGS.checkpoint_every <= resumed[0].step <= last_logged
    assert losses_of(resumed) == expected[resumed[0].step :]
    assert resumed[-1] == FinishedEvent(steps)


def test_damaged_latest_checkpoint_falls_back_with_a_warning(tmp_path, caplog):
    list(start(steps=8, directory=tmp_path))
    latest, previous = tmp_path / "step-00000008.safetensors", tmp_path / "step-00000004.safetensors"
    data = bytearray(latest.read_bytes())
    data[-3] ^= 1  # one bit of one weight
    latest.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        events = list(start(steps=8, directory=tmp_path))
    assert events[0] == ResumedEvent(4)
    assert "step-00000008.safetensors: damaged" in caplog.text
    assert losses_of(events) == losses_of(start(steps=8))[4:]
    latest.write_bytes(latest.read_bytes()[:1000])
    previous.write_bytes(b"")
    with pytest.raises(TrainingError, match=r"no checkpoint can be read.*delete these files"):
        list(start(steps=8, directory=tmp_path))


def test_crash_while_writing_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    list(start(steps=4, schedule="constant", directory=tmp_path))

    def half_written(tensors, path, metadata):
        Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(safe_files, "save_file", half_written)
    with pytest.raises(OSError, match="No space"):
        list(start(steps=8, schedule="constant", directory=tmp_path))
    monkeypatch.undo()
    assert [file.name for file in tmp_path.iterdir()] == ["step-00000004.safetensors"]
    # What a process that was killed while it wrote leaves behind.
    leftover = tmp_path / ".step-00000008.safetensors.123.partial"
    leftover.write_bytes(b"half")
    events = list(start(steps=8, schedule="constant", directory=tmp_path))
    assert events[0] == ResumedEvent(4)
    assert not leftover.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 1e-2}, r"learning_rate: 0.003 in the folder, 0.01 now"),
        ({"steps": 9}, r"steps: 4 in the folder, 9 now"),
        ({"loss": score_loss("shn", kind="sima")}, r"loss.kind: None in the folder, sima now"),
        ({"package_seed": 6}, r"package weights: \w+ in the folder, \w+ now"),
    ],
)
def test_folder_of_another_run_is_refused(tmp_path, changes, message):
    list(start(steps=4, directory=tmp_path))
    changes = dict(changes)
    model = make_model(package_seed=changes.pop("package_seed", 5))
    with pytest.raises(TrainingError, match=f"belongs to another run: {message}"):
        list(start(model, directory=tmp_path, **{"steps": 4, **changes}))


def test_folder_of_another_model_is_refused_and_says_how_many_differ(tmp_path):
    list(start(steps=1, directory=tmp_path))
    model = make_model()
    model.audio_encoder.conv1 = nn.Conv1d(40, 4, 3)
    model.image_encoder.requires_grad_(False)
    with pytest.raises(TrainingError, match=r"model.audio_encoder.conv1.weight: 4x40x1 trained in the folder.*"):
        list(start(model, steps=1, directory=tmp_path))


def test_settings_that_change_no_loss_may_change(tmp_path):
    list(start(steps=4, directory=tmp_path))
    events = start(steps=4, directory=tmp_path, checkpoint_every=2, evaluate_every=1, max_seconds=60.0)
    assert next(events) == ResumedEvent(4)


def test_packaged_weights_are_not_stored(tmp_path):
    list(start(steps=1, directory=tmp_path))
    tensors, state = read_tensors(tmp_path / "step-00000001.safetensors")
    stored = {name.removeprefix("model/") for name in tensors if name.startswith("model/")}
    assert stored == {name for name in make_model().state_dict() if "backbone" not in name}
    assert state["step"] == 1


def test_trained_part_of_a_package_is_stored(tmp_path):
    model = make_model()
    model.image_encoder.backbone[0].weight.requires_grad_(True)
    list(start(model, steps=1, directory=tmp_path))
    tensors, _ = read_tensors(tmp_path / "step-00000001.safetensors")
    assert {name for name in tensors if name.startswith("model/") and "backbone" in name} == {
        "model/image_encoder.backbone.0.weight"
    }


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


def test_nothing_to_train_is_said():
    with pytest.raises(TrainingError, match="nothing to train"):
        list(start(make_model().requires_grad_(False)))


def test_run_folder_that_is_a_file_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot be used as a run folder"):
        list(start(directory=tmp_path / "file"))


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


def test_workers_make_the_same_batches():
    assert losses_of(start(steps=4, num_workers=2)) == losses_of(start(steps=4))


class DrawnBatches:
    """A source that draws from torch's own generator."""

    def __getitem__(self, step: int) -> Batch:
        return collate([torch.rand(3, 8, 8) for _ in range(2)], [torch.randn(40, 20) for _ in range(2)])


def test_a_batch_may_draw_from_torchs_generator():
    first = list(iterate(DrawnBatches(), range(0, 3), seed=1))
    later = list(iterate(DrawnBatches(), range(1, 3), seed=1, num_workers=1))
    assert torch.equal(first[2].audio, later[1].audio)
    assert not torch.equal(first[1].audio, first[2].audio)
    other = next(iter(iterate(DrawnBatches(), range(0, 1), seed=2)))
    assert not torch.equal(first[0].audio, other.audio)


def test_parts_of_a_batch():
    batch = TinyBatches()[0]
    parts = [batch.part(index, 2) for index in range(2)]
    assert [part.audio.shape[-1] for part in parts] == [70, 40]
    assert torch.equal(torch.cat([part.image[0] for part in parts]), batch.image[0])
    assert torch.equal(torch.cat([part.audio_lengths for part in parts]), batch.audio_lengths)
    assert torch.equal(parts[1].audio, batch.audio[2:, :, :40])
    assert parts[1].same_image.shape == (4, 4)
    with pytest.raises(TrainingError, match="4 pairs does not divide among 3"):
        batch.part(0, 3)


def test_collate_pads_and_masks_pairs_of_one_picture():
    batch = TinyBatches()[0]
    assert batch.audio_lengths.tolist() == [70, 33, 17, 40]
    assert bool((batch.audio[1, :, 33:] == -80.0).all()) and bool((batch.audio[1, :, :33] != -80.0).all())
    pairs = {(i, j) for i, j in itertools.product(range(4), repeat=2) if batch.same_image[i, j]}
    assert pairs == {(0, 3), (3, 0)}
    with pytest.raises(ValueError, match="found 1 images and 2 captions"):
        collate([torch.rand(3, 4, 4)], [torch.rand(4, 2)] * 2)
    with pytest.raises(ValueError, match="empty list"):
        collate([], [])


def test_score_loss_mixes_and_coarsens():
    model, batch = make_model(dropout=0.0).eval(), TinyBatches()[0]
    image_maps, audio_maps, lengths = (tensor.detach() for tensor in model.embed_batch(batch))
    generator = torch.Generator()
    loss = score_loss("all_pairs_hinge", kind="misa", mix_steps=4, coarse_steps=2, options={"margin": 0.5})

    def hinge(maps, share):
        scores = (1 - share) * model.score(maps, audio_maps, lengths, kind="misa") + share * model.score(
            maps, audio_maps, lengths, kind="sisa"
        )
        total = 0.0
        for i, j in itertools.permutations(range(4), 2):
            if not batch.same_image[i, j]:
                total += max(0.0, float(scores[i, j] - scores[i, i]) + 0.5)
                total += max(0.0, float(scores[i, j] - scores[j, j]) + 0.5)
        return total

    coarse = nn.functional.avg_pool2d(image_maps, 2)
    for step, maps, share in (
        (0, coarse, 1.0),
        (1, coarse, 0.75),
        (2, image_maps, 0.5),
        (4, image_maps, 0.0),
    ):
        assert float(loss(model, batch, step, generator)[0].detach()) == pytest.approx(hinge(maps, share), rel=1e-5)
    with pytest.raises(ValueError, match="name: found 'triplet'"):
        score_loss("triplet")


def test_temperature_is_bounded():
    model = make_model()
    model.logit_scale.data.fill_(9.0)
    _, figures = score_loss()(model, TinyBatches()[0], 0, torch.Generator())
    assert figures["logit_scale"] == pytest.approx(100.0)
