"""fit() in a folder: runs that were stopped, killed or damaged go on exactly; those of others are refused."""

import logging
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_training import SETTINGS, losses_of, make_model, start
from torch import nn

from vgs_lib import safe_files
from vgs_lib.errors import TrainingError
from vgs_lib.safe_files import read_tensors
from vgs_lib.training import CheckpointEvent, FinishedEvent, ResumedEvent, StepEvent, StoppedEvent, score_loss
from vgs_lib.training.embedding_objective import EmbeddingLoss
from vgs_lib.training.state import LOCK

TINY = Path(__file__).with_name("tiny_training.py")


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


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd", "momentum": 0.9, "schedule": "step", "decay_every": 3},
        {"optimizer": "sgd", "momentum": 0.0},
        {"optimizer": "adam", "weight_decay": 1e-5, "betas": (0.95, 0.999)},
        {"optimizer": "adam", "schedule": "cyclic", "cycle_steps": 6, "lowest_learning_rate": 1e-4},
        {"schedule": "step", "decay_every": 2, "decay_factor": 2.0},
    ],
    ids=lambda changes: "-".join(str(x) for x in changes.values()),
)
def test_every_optimizer_and_schedule_goes_on_exactly(tmp_path, changes):
    whole_model = make_model()
    whole = losses_of(start(whole_model, steps=8, **changes))
    seen = []
    for event in start(steps=8, directory=tmp_path, should_stop=lambda: len(seen) == 4, **changes):
        if isinstance(event, StepEvent):
            seen.append(event.loss)
    model = make_model(seed=3)
    resumed = list(start(model, steps=8, directory=tmp_path, **changes))
    assert resumed[0] == ResumedEvent(4) and seen + losses_of(resumed) == whole and len(set(whole)) == 8
    for name, tensor in whole_model.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    with pytest.raises(TrainingError, match=r"optimizer: \w+ in the folder|optimizer: nothing in the folder"):
        other = {"optimizer": "adam" if changes.get("optimizer") != "adam" else "adamw"}
        list(start(steps=8, directory=tmp_path, **{**changes, **other}))


def test_the_loss_head_goes_on_too(tmp_path):
    loss = EmbeddingLoss("timam", options={"hidden": 5})

    def model(seed):
        made = make_model(seed)
        made.loss_head = loss.head(8, 3, seed=seed)
        return made

    whole = losses_of(start(model(0), loss=loss, steps=6))
    list(start(model(0), loss=loss, steps=6, directory=tmp_path, should_stop=iter([False] * 3 + [True]).__next__))
    tensors, _ = read_tensors(tmp_path / "step-00000003.safetensors")
    assert {"model/loss_head.weights", "optimizer/loss_head.discriminator.layers.0.weight/exp_avg"} <= tensors.keys()
    resumed = list(start(model(1), loss=loss, steps=6, directory=tmp_path))
    assert resumed[0] == ResumedEvent(3) and losses_of(resumed) == whole[3:]


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
    assert {file.name for file in tmp_path.iterdir()} == {"step-00000004.safetensors", LOCK}
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


def test_run_folder_that_is_a_file_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot be used as a run folder"):
        list(start(directory=tmp_path / "file"))


def test_a_second_run_in_a_folder_is_refused_until_the_first_has_ended(tmp_path):
    whole = losses_of(start(steps=4))
    first = start(steps=4, directory=tmp_path)
    losses = [next(first).loss]
    writing = tmp_path / f".step-00000001.safetensors{safe_files.TEMPORARY}"
    writing.touch()  # what the first is writing now must not be cleared away
    with pytest.raises(TrainingError, match="a run is training in this folder now") as refused:
        next(start(steps=4, directory=tmp_path))
    assert str(tmp_path) in str(refused.value) and writing.is_file()
    assert losses + losses_of(first) == whole
    assert next(iter(start(steps=4, directory=tmp_path))) == ResumedEvent(4)
    stopped = start(make_model(), steps=5, directory=tmp_path / "other")
    next(stopped)
    stopped.close()  # a stream that nobody reads to its end
    assert losses_of(start(steps=5, directory=tmp_path / "other"))
