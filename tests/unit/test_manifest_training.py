"""Training on one's own pictures and recordings: it learns, goes on exactly, and has a command."""

from dataclasses import replace

import pytest
import tiny_manifest
import torch
from tiny_commands import RECIPE, check_refused, run
from tiny_manifest import build_tiny, prepared, study_of
from tiny_training import losses_of

from vgs_lib.checkpoints import load_model, read_config, save_model
from vgs_lib.errors import TrainingError
from vgs_lib.seeds import seeded
from vgs_lib.studies.study import recalls
from vgs_lib.training import ResumedEvent, StepEvent, fit
from vgs_lib.widgets.training_controller import TrainingController


@pytest.fixture(autouse=True)
def own_banks(tmp_path, monkeypatch):
    monkeypatch.setenv("VGS_HOME", str(tmp_path / "home"))


@pytest.fixture
def tiny_model(monkeypatch):
    monkeypatch.setattr("vgs_lib.studies.manifest_study.build_model", build_tiny)


def test_it_learns_to_tell_new_pictures_of_known_things(tmp_path, tiny_model):
    path = tiny_manifest.make(tmp_path / "own", each=10, splits=lambda number: "train" if number > 2 else "validation")
    study = study_of(path, steps=150, batch_size=16)
    made = prepared(study)
    made.model.kind = "sisa"
    before, settings = made.evaluate(made.model.eval()), replace(study.base.fit, learning_rate=0.01)
    losses = losses_of(fit(made.model, made.batches, study.base.loss, settings))
    after = made.evaluate(made.model.eval())
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    assert made.chance["speech_to_image_r1"] == pytest.approx(0.25)
    assert after["speech_to_image_r1"] > 0.7 and before["speech_to_image_r1"] < 0.6


def test_a_run_that_was_stopped_goes_on_exactly(tmp_path, tiny_model):
    path = tiny_manifest.make(tmp_path / "own", each=5)
    study = study_of(path)

    def steps(directory, stop_at=None):
        made, done = prepared(study_of(path)), []
        events = fit(
            made.model,
            made.batches,
            study.base.loss,
            study.base.fit,
            evaluate=made.evaluate,
            directory=directory,
            should_stop=lambda: len(done) == stop_at,
        )
        for event in events:
            if isinstance(event, StepEvent | ResumedEvent):
                done.append((event.step, event.loss) if isinstance(event, StepEvent) else "resumed")
        return done

    whole = steps(tmp_path / "whole")
    first, second = steps(tmp_path / "cut", stop_at=4), steps(tmp_path / "cut")
    assert [*first, *second[1:]] == whole and second[0] == "resumed" and len(whole) == 6
    tiny_manifest.sing(path.parent / f"{study.division.train.entries[0].image[:-4]}_0.wav", "red", 78)
    with pytest.raises(TrainingError, match="belongs to another run"):
        steps(tmp_path / "cut")


def test_from_the_dashboard_to_a_model_that_is_loaded_again(tmp_path):
    """Real frozen picture encoder, DAVEnet, two steps; what is saved gives the same scores."""
    path = tiny_manifest.make(tmp_path / "own", each=4)
    study = study_of(path, steps=2)
    control = TrainingController(study, tmp_path / "runs")
    seen = []
    control.on_change = lambda: seen.append((control.progress.get("name"), control.progress.get("done")))
    run = control.train(name="mine", audio="DAVEnet, from scratch")
    assert run.finished and run.chance["speech_to_image_r10"] == 1.0
    assert ("pictures", 13) in seen and ("speech", 26) in seen and ("training", 2) in seen
    model = control.load("mine")
    save_model(model, run.plan, tmp_path / "model")
    batch = study.prepare(run.plan).batches[0]
    with torch.no_grad(), seeded(0):
        torch.testing.assert_close(load_model(tmp_path / "model")(batch), model(batch))
    assert recalls(model, [batch], torch.eye(8, dtype=torch.bool)).keys() == run.chance.keys()


def test_the_command_line_trains_on_a_manifest(tmp_path, capsys):
    """Two steps with the real frozen picture encoder and a small recipe, which then says where it finds a tone."""
    path = tiny_manifest.make(tmp_path / "own", each=4)
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vgs_lib.commands.models.recipe", lambda name: RECIPE)
        code, printed, err = run(capsys, "train", "tiny", "--manifest", path, "--steps", 2, "--out", out)
    assert code == 0 and "13 recordings of 13 pictures to train on" in printed, err
    assert f"Saved {out / 'model'}" in printed and "best by speech_to_image_r1" in printed
    recipe = read_config(out / "model")["recipe"]
    assert recipe["data"]["num_scenes"] == recipe["data"]["batch_size"] == 13 and recipe["image"]["name"] == "timm"
    files = ("--image", path.parent / "red_0.png", "--audio", path.parent / "red_0_0.wav")
    code, printed, err = run(capsys, "prompt", "--checkpoint", out / "model", *files, "--out", tmp_path / "heat.png")
    assert code == 0 and (tmp_path / "heat.png").stat().st_size > 1000, err


def test_the_command_line_says_what_is_missing(tmp_path, capsys):
    check_refused(capsys, ("train",), "name a recipe", "--manifest")
    check_refused(capsys, ("train", "--manifest", tmp_path / "nowhere.jsonl"), "nowhere.jsonl")
    path = tiny_manifest.make(tmp_path / "own", each=1)
    check_refused(capsys, ("train", "--manifest", path), "found 2 different pictures", "add pictures")
