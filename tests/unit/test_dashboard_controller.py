"""The dashboard's controller without a browser: a run begins, pauses, stops and goes on exactly; wrong choices."""

import json
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from toy_study import ToyStudy, losses, training_process, until

from vgs_lib.batches.banks import Filling
from vgs_lib.errors import TrainingError
from vgs_lib.studies.history import LABELS, entry_of, read_run
from vgs_lib.training import StepEvent
from vgs_lib.widgets import TrainingDashboard
from vgs_lib.widgets.progress import FillingClock
from vgs_lib.widgets.training_choices import plan_of
from vgs_lib.widgets.training_controller import TrainingController


@pytest.fixture
def whole(tmp_path):
    """A run that was never interrupted."""
    return TrainingController(ToyStudy(), tmp_path / "whole").train(name="one")


def test_a_run_has_a_curve_of_every_figure(whole):
    assert whole.finished and whole.step == 12
    assert whole.curve("loss")[0] == list(range(1, 13)) and np.isfinite(losses(whole)).all()
    steps, figures = whole.curve("speech_to_image_r10")
    assert steps == [3, 6, 9, 12] and all(0 <= value <= 1 for value in figures)
    assert whole.curve("learning_rate")[1][:3] == pytest.approx([1e-3, 2e-3, 3e-3])  # the warm-up
    assert whole.chance == {"speech_to_image_r10": 0.1}
    assert set(whole.figures()) <= set(LABELS)


def test_the_temperature_is_one_over_the_scale():
    event = StepEvent(3, 1.5, 0.1, 2.0, 50.0, 9.0, {"logit_scale": 20.0, "speech_to_image_r1": 0.25})
    entry = entry_of(event)
    assert (entry["temperature"], entry["batch_r1"], entry["step"]) == (0.05, 0.25, 3)
    assert entry_of(StepEvent(3, 1.5, 0.1, 2.0, 50.0, 9.0))["temperature"] is None


def test_a_run_that_was_stopped_goes_on_exactly_in_a_new_controller(tmp_path, whole):
    control = TrainingController(ToyStudy(pause=0.02), tmp_path / "runs")
    assert control.start(name="one")
    until(lambda: control.current is not None and control.current.step >= 5)
    control.stop()
    control.wait()
    assert control.state == "stopped" and "Stopped after step" in control.status
    stopped_at = control.current.step
    assert 5 <= stopped_at < 12
    assert losses(control.current) == losses(whole)[:stopped_at]

    again = TrainingController(ToyStudy(), tmp_path / "runs")
    assert again.runs["one"].step == stopped_at and not again.runs["one"].finished
    assert again.resume("one")
    again.wait()
    assert again.state == "finished"
    assert losses(again.current) == losses(whole)
    assert again.current.curve("speech_to_image_r10") == whole.curve("speech_to_image_r10")
    assert read_run(tmp_path / "runs" / "one").entries == again.current.entries
    assert not again.resume("one") and "all its steps" in again.status


def test_steps_after_the_last_checkpoint_are_forgotten_and_come_again(tmp_path, whole):
    control = TrainingController(ToyStudy(pause=0.02), tmp_path)
    control.start(name="one")
    until(lambda: control.current is not None and control.current.step >= 6)
    control.stop()
    control.wait()
    folder = tmp_path / "one"
    for file in (folder / "checkpoints").glob("step-*.safetensors"):
        if file.name > "step-00000004.safetensors":
            file.unlink()  # as if the kernel had been killed after step 4's checkpoint
    with open(folder / "history.jsonl", "a") as file:
        file.write('{"kind": "step", "step"')  # and in the middle of a line
    again = TrainingController(ToyStudy(), tmp_path)
    assert again.runs["one"].step >= 6
    again.resume("one")
    again.wait()
    assert again.current.curve("loss") == whole.curve("loss")
    lines = (folder / "history.jsonl").read_text().splitlines()
    assert len([json.loads(line) for line in lines if '"kind": "step"' in line]) == 12


def test_a_killed_process_loses_nothing_but_the_steps_after_its_checkpoint(tmp_path, whole):
    process = training_process(tmp_path)
    until(lambda: (tmp_path / "one/checkpoints/step-00000004.safetensors").is_file(), 90)
    process.kill()
    process.wait()
    assert TrainingController(ToyStudy(), tmp_path).train(name="one").curve("loss") == whole.curve("loss")


def test_pause_waits_before_the_next_step_and_continue_goes_on(tmp_path, whole):
    control = TrainingController(ToyStudy(pause=0.02), tmp_path)
    control.start(name="one")
    until(lambda: control.current is not None and control.current.step >= 3)
    control.pause()
    assert control.state == "paused" and "Paused" in control.status
    time.sleep(0.15)
    step = control.current.step
    time.sleep(0.2)
    assert control.current.step == step < 12
    control.proceed()
    control.wait()
    assert control.state == "finished" and losses(control.current) == losses(whole)


def test_the_message_of_a_pause_comes_after_those_of_the_steps_before(tmp_path):
    control = TrainingController(ToyStudy(pause=0.02), tmp_path)
    dashboard, sent = TrainingDashboard(controller=control), []
    made, paused, told = threading.Event(), threading.Event(), threading.Event()
    message = control.message

    def slowly():
        content, buffers = message()
        if content["state"] == "training" and content["runs"][0]["step"] and not made.is_set():
            made.set()
            paused.wait(0.5)  # as long as a pause that does not wait for the lock would need
        return content, buffers

    def send(content, buffers):
        sent.append(content["state"])
        if made.is_set() and threading.current_thread() is not threading.main_thread():
            told.set()

    control.message, dashboard.send = slowly, send
    control.start(name="one")
    assert made.wait(20)
    control.pause()
    paused.set()
    assert told.wait(20)
    assert control.state == "paused" and sent[-1] == "paused"
    dashboard.close()


def test_a_paused_run_can_be_stopped(tmp_path):
    control = TrainingController(ToyStudy(pause=0.02), tmp_path)
    control.start()
    until(lambda: control.state == "training")
    control.pause()
    control.stop()
    control.wait(20)
    assert control.state == "stopped"
    assert list((control.current.checkpoints).glob("step-*.safetensors"))


def test_filling_shows_its_own_progress_and_can_be_stopped(tmp_path):
    control = TrainingController(ToyStudy(), tmp_path)
    seen = []

    def watch():
        if control.progress.get("name") == "tones":
            seen.append((control.state, control.progress["done"], control.progress["total"]))
            if control.progress["done"] == 4:
                control.on_change = lambda: None
                control.stop()

    control.on_change = watch
    control.start(name="one")
    control.wait()
    assert seen[:2] == [("filling", 2, 5), ("filling", 4, 5)]
    assert control.state == "stopped" and control.runs == {} and not (tmp_path / "one").exists()
    assert control.start(name="one")
    control.wait()
    assert control.state == "finished"


def test_time_left_counts_what_was_computed_and_not_what_was_there(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("vgs_lib.widgets.progress.time.monotonic", lambda: now[0])
    clock = FillingClock()
    assert clock.seconds_left(Filling("pictures", 100, 300)) is None  # at once: it was on disk
    now[0] = 4.0
    assert clock.seconds_left(Filling("pictures", 200, 300)) == pytest.approx(4.0)
    now[0] = 10.0
    assert clock.seconds_left(Filling("pictures", 220, 300)) == pytest.approx(10 / 120 * 80)
    assert clock.seconds_left(Filling("speech", 10, 50)) is None


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"batch_size": "many"}, "Batch size: found 'many', expected a whole number of 2 or more."),
        ({"batch_size": 1}, "Batch size: found 1, expected a whole number of 2 or more."),
        ({"steps": "12.5"}, "Steps: found '12.5', expected a whole number of 1 or more."),
        ({"learning_rate": "-1"}, "Learning rate: found '-1', expected a number above 0, such as 0.002."),
        ({"learning_rate": "nan"}, "Learning rate: found 'nan', expected a number above 0, such as 0.002."),
        ({"loss": "softmax"}, "Loss: found 'softmax', expected one of info_nce, shn."),
        ({"name": "../up"}, "Name: found '../up', expected up to 40 letters, digits, hyphens and underscores."),
        ({"colour": "red"}, "There is no choice of colour; there are image,"),
    ],
)
def test_a_wrong_choice_is_a_sentence_and_nothing_begins(tmp_path, choices, sentence):
    control = TrainingController(ToyStudy(), tmp_path)
    assert not control.start(**choices)
    assert control.failed and control.status.startswith(sentence) and control.state == "idle"
    assert not list(tmp_path.iterdir())
    with pytest.raises(TrainingError, match=r"\w"):
        control.train(**choices)


def test_what_goes_wrong_in_the_thread_is_a_sentence(tmp_path):
    control = TrainingController(ToyStudy(), tmp_path)
    assert control.start(image="large pictures")
    control.wait()
    assert (control.state, control.status) == ("failed", "The large pictures cannot be had here; choose the tiny ones.")
    control.start(batch_size=5)
    control.wait()
    assert control.state == "failed" and control.status == "Something went wrong: RuntimeError: five"
    with pytest.raises(TrainingError, match="tiny ones"):
        control.train(image="large pictures")
    assert control.train(name="fine").finished


def test_choices_make_the_recipe():
    study = ToyStudy()
    plan = plan_of(study, {"similarity": "SISA", "loss": "shn", "batch_size": "8", "steps": 6}, lambda stem: stem)
    assert (plan.kind, plan.loss.name, plan.data.batch_size, plan.fit.steps) == ("sisa", "shn", 8, 6)
    assert plan.fit.warmup_steps == 1 and plan.name == "sisa-shn"
    assert plan_of(study, {"name": "toy"}, str) == study.base


def test_the_controller_needs_no_widget_library():
    code = "import sys; import vgs_lib.widgets.training_controller; print('ipywidgets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_load_gives_the_model_of_the_best_evaluation(tmp_path):
    control = TrainingController(ToyStudy(), tmp_path)
    run = control.train(name="one")
    model = control.load("one")
    judge = control.study.prepare(run.plan).evaluate
    assert not model.training
    assert judge(model)["speech_to_image_r10"] == pytest.approx(max(run.curve("speech_to_image_r10")[1]), abs=1e-7)
    with pytest.raises(TrainingError, match="no run 'two'; there are one"):
        control.load("two")
