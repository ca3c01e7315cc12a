"""The train command: its options, its checkpoint, and one sentence for what a user can get wrong."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import tiny_stamps
import torch
from tiny_commands import RECIPE, check_refused, run
from tiny_sounds import add_sounds

from vgs_lib.__main__ import main
from vgs_lib.batches.natural_sounds import SoundData
from vgs_lib.checkpoints import load_model, read_config
from vgs_lib.commands import models
from vgs_lib.data.augment import Augmentation
from vgs_lib.errors import TrainingError
from vgs_lib.recipes import Scale, scaled
from vgs_lib.studies.pretraining import Pretraining


def test_train_says_what_is_wrong(tiny_set, capsys, tmp_path, monkeypatch):
    check_refused(capsys, ("train", "stamps-dmeo"), "'stamps-dmeo'", "stamps-demo")
    check_refused(capsys, ("train", "stamps-demo", "--steps", 0), "steps")
    monkeypatch.setenv("VGS_HOME", str(tmp_path / "nowhere"))
    check_refused(capsys, ("train", "stamps-demo", "--out", tmp_path / "run"), "python -m vgs_lib data stamps")


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "-1", "NaN", "\x00"])
def test_damaged_minutes_are_named_before_anything_is_done(tiny_set, capsys, tmp_path, text):
    (tmp_path / "minutes.json").write_text(text)
    check_refused(capsys, ("train", "stamps-demo", "--out", tmp_path), "minutes.json", "delete it")
    assert [p.name for p in tmp_path.iterdir()] == ["minutes.json"]


def test_train_says_that_a_device_is_missing(tiny_set, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    check_refused(capsys, ("train", "stamps-demo", "--out", tmp_path / "run", "--device", "cuda"), "cuda")
    assert not (tmp_path / "run").exists()


def test_options_of_train_change_the_recipe():
    arguments = [
        "--steps",
        "9",
        "--seed",
        "4",
        "--minutes",
        "1.5",
        "--device",
        "cpu",
        "--precision",
        "bf16",
        "--workers",
        "2",
    ]
    parsed = {}

    def train(chosen):
        parsed["plan"] = models._plan(chosen)
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "train", train)
        assert main(["train", "stamps-demo", *arguments]) == 0
    fit = parsed["plan"].fit
    assert (fit.steps, fit.seed, fit.max_seconds, fit.device, fit.precision, fit.num_workers) == (
        9,
        4,
        90.0,
        "cpu",
        "bf16",
        2,
    )
    assert fit.learning_rate == models.recipe("stamps-demo").fit.learning_rate


def test_train_ends_in_a_checkpoint_that_evaluates(tiny_set, capsys, tmp_path, monkeypatch):
    """Two steps of a small recipe: features, training, calibration, a checkpoint; then the same command again."""
    tiny_stamps.use_voices(monkeypatch, (*tiny_stamps.VOICES, replace(tiny_stamps.TEST, split="validation")))
    home = tmp_path / "home"
    shutil.copytree(tiny_set, home / "stamps")
    monkeypatch.setenv("VGS_HOME", str(home))
    data = replace(
        RECIPE.data, num_scenes=8, batch_size=4, takes=1, phases=(), augmentation=Augmentation(pitch_chance=0)
    )
    small = replace(RECIPE, data=data, fit=replace(RECIPE.fit, steps=2, checkpoint_every=1))
    monkeypatch.setattr(models, "recipe", lambda name: small)
    monkeypatch.setattr(models, "VALIDATION_SCENES", 4)
    monkeypatch.setattr(models, "CALIBRATION_SCENES", 64)
    monkeypatch.setattr("vgs_lib.data.stamps.human_split", lambda concept, language: f"validation-human-{language}")
    code, out, err = run(capsys, "train", "tiny", "--out", tmp_path / "out", "--minutes", 1e-9)
    assert code == 0 and "Stopped (max_seconds)" in out and not (tmp_path / "out/model").exists(), err
    (tmp_path / "out/minutes.json").write_text("5.0")
    code, out, err = run(capsys, "train", "tiny", "--out", tmp_path / "out")
    assert json.loads((tmp_path / "out/minutes.json").read_text()) > 5.0
    assert code == 0 and f"Saved {tmp_path / 'out/model'}" in out, err
    extra = read_config(tmp_path / "out/model")["extra"]
    assert isinstance(extra["threshold"], float) and len(extra["heat_range"]) == 2 and extra["seed"] == 0
    code, out, _ = run(capsys, "evaluate", "--checkpoint", tmp_path / "out/model", "--scenes", 4, "--json")
    assert code == 0 and json.loads(out.strip().splitlines()[-1])["threshold"] == extra["threshold"]


def test_train_saves_the_best_weights_where_the_recipe_keeps_them(tiny_set, capsys, tmp_path, monkeypatch):
    shutil.copytree(tiny_set, tmp_path / "stamps")
    monkeypatch.setenv("VGS_HOME", str(tmp_path))
    tiny_stamps.use_voices(monkeypatch, (*tiny_stamps.VOICES, replace(tiny_stamps.TEST, split="validation")))
    fit = replace(RECIPE.fit, steps=3, evaluate_every=1, keep_best="score", learning_rate=0.1)
    plan = replace(RECIPE, data=replace(RECIPE.data, num_scenes=8, batch_size=4, takes=1), fit=fit)
    monkeypatch.setattr(models, "recipe", lambda name: plan)
    monkeypatch.setattr(models, "trial_of", lambda stamps, split, num_scenes=0: split)
    monkeypatch.setattr(models, "calibration", lambda model, stamps: {"threshold": 0.5})
    seen = []

    def validate(model, trials):
        seen.append(model.logit_scale.detach().clone())
        return {"score": [1.0, 3.0, 2.0][len(seen) - 1]}

    monkeypatch.setattr(models, "_validate", validate)
    code, out, err = run(capsys, "train", "tiny", "--out", tmp_path / "out")
    assert code == 0 and "step 2 are the best by score" in out, err
    first, best, last = (scale.half() for scale in seen)
    assert load_model(tmp_path / "out/model").logit_scale.detach().half() == best
    assert best not in (first, last)


@pytest.mark.parametrize("name", ["ni2018-baseline", "tian2020-dscmr", "harwath2019-sisa", "harwath2019-sisa-sounds"])
def test_a_system_of_a_document_trains_and_evaluates(tiny_set, capsys, tmp_path, monkeypatch, name):
    """Pooled systems, whose checkpoints have no heatmaps, losses on classes, and what begins pre-trained, too."""
    add_sounds(shutil.copytree(tiny_set, tmp_path / "stamps"))
    pretraining = Pretraining(steps=2, sounds=SoundData(batch_size=2))
    monkeypatch.setattr("vgs_lib.studies.scene_study.Pretraining", lambda: pretraining)
    monkeypatch.setenv("VGS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("VGS_HOME", str(tmp_path))
    tiny_stamps.use_voices(monkeypatch, (*tiny_stamps.VOICES, replace(tiny_stamps.TEST, split="validation")))
    monkeypatch.setattr("vgs_lib.data.stamps.human_split", lambda concept, language: f"validation-human-{language}")
    monkeypatch.setattr("vgs_lib.studies.scene_study.NUM_VALIDATION", 4)
    monkeypatch.setattr(models, "CALIBRATION_SCENES", 64)
    small = scaled(models.recipe(name), Scale(width=1 / 32, dim=8, pictures="lite0"))
    small = replace(small, data=replace(small.data, num_scenes=8, batch_size=4), fit=replace(small.fit, steps=1))
    monkeypatch.setattr(models, "recipe", lambda name: small)
    code, out, err = run(capsys, "train", name, "--out", tmp_path / "out", "--device", "cpu")
    assert code == 0 and "8 scenes to train on, 4 of validation" in out and "Saved" in out, err
    sounds = {"initial": "natural-sounds", "steps": 2, "pairs": "natural sounds of Spoken Stamps"}
    wanted = sounds if name.endswith("-sounds") else None
    assert read_config(tmp_path / "out/model")["extra"].get("beginning") == wanted
    arguments = ("evaluate", "--checkpoint", tmp_path / "out/model", "--scenes", 4)
    code, out, err = run(capsys, *arguments, "--json")
    figures = json.loads(out.strip().splitlines()[-1])
    assert code == 0 and ("pointing" in figures) == name.startswith("harwath2019"), err
    code, out, _ = run(capsys, *arguments)
    assert code == 0 and ("mean IoU" in out) == name.startswith("harwath2019")


def test_a_system_that_reads_text_is_sent_to_reproduce(tiny_set, capsys, tmp_path):
    check_refused(capsys, ("train", "harwath2019-text-sisa", "--out", tmp_path / "run"), "text", "'reproduce'")


def test_a_system_that_begins_with_sounds_is_pre_trained(tiny_set, tmp_path, monkeypatch):
    monkeypatch.setenv("VGS_HOME", str(tmp_path))
    monkeypatch.setenv("VGS_RUNS", str(tmp_path / "runs"))
    folder = shutil.copytree(tiny_set, tmp_path / "stamps")
    add_sounds(folder)
    tiny_stamps.use_voices(monkeypatch, (*tiny_stamps.VOICES, replace(tiny_stamps.TEST, split="validation")))
    monkeypatch.setattr("vgs_lib.studies.scene_study.NUM_VALIDATION", 4)
    study = models._study(SimpleNamespace(recipe="harwath2019-sisa-sounds", manifest=None, videos=None))
    study.pretraining = Pretraining(steps=2, sounds=SoundData(batch_size=2))
    small = scaled(study.base, Scale(width=1 / 32, dim=8, pictures="lite0"))
    small = replace(small, data=replace(small.data, num_scenes=8, batch_size=4))
    one, other = study.prepare(small), study.prepare(small)
    before = one.model.audio_encoder.conv1.weight.clone()
    with monkeypatch.context() as several:
        several.setattr("vgs_lib.studies.scene_study.world_size", lambda: 2)
        with pytest.raises(TrainingError, match="not pre-trained yet, which takes one process"):
            list(one.batches.fill())
    names = {filling.name for filling in one.batches.fill()}
    assert "pretraining-natural-sounds" in names and not torch.equal(one.model.audio_encoder.conv1.weight, before)
    assert list((tmp_path / "runs/pretraining").glob("*/encoders.safetensors"))
    with pytest.raises(TrainingError, match="fill the batches first"):
        other.batches[0]
    list(other.batches.fill())
    assert torch.equal(other.model.audio_encoder.conv1.weight, one.model.audio_encoder.conv1.weight)
    assert other.batches[0].audio.shape[0] == 4
