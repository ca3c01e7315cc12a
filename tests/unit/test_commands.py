"""The command line: one JSON object on the last line, one sentence and exit code 1 for what a user can get wrong."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import tiny_stamps
import torch
from PIL import Image
from tiny_commands import RECIPE, check_refused, run

from vgs_lib.__main__ import main
from vgs_lib.cards import BEGIN, END, read_figures
from vgs_lib.checkpoints import save_model
from vgs_lib.commands import models
from vgs_lib.errors import DataError
from vgs_lib.recipes import build_model
from vgs_lib.seeds import seeded

DIRECTIONS = ("speech_to_image", "image_to_speech")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """An untrained checkpoint; nothing in it may be changed."""
    with seeded(0, "model"):
        model = build_model(RECIPE)
    card = f"# Tiny\n\n{BEGIN}\n{END}\n"
    extra = {"threshold": 0.125, "heat_range": [0.0, 1.0]}
    return save_model(model, RECIPE, tmp_path_factory.mktemp("checkpoint"), card=card, half=True, extra=extra)


@pytest.fixture
def checkpoint(shipped, tmp_path):
    """A copy of it, to be written to or damaged."""
    return shutil.copytree(shipped, tmp_path / "checkpoint")


def check_figures(found: dict, names) -> None:
    for name in names:
        low, high = found[f"{name}_ci"]
        assert low <= found[name] <= high and isinstance(found[f"{name}_chance"], float), name


@pytest.mark.parametrize("split", ["test", "test-human-en", "validation-human-fr"])
def test_evaluate_prints_one_json_object_on_its_last_line(tiny_set, checkpoint, capsys, split, monkeypatch):
    monkeypatch.setattr("vgs_lib.data.stamps.human_split", lambda concept, language: split)
    code, out, _ = run(capsys, "evaluate", "--checkpoint", checkpoint, "--split", split, "--scenes", 6, "--json")
    assert code == 0
    figures = json.loads(out.strip().splitlines()[-1])
    assert figures["split"] == split and figures["checkpoint"] == str(checkpoint)
    for direction in DIRECTIONS:
        check_figures(figures[direction], ("r1", "r5", "r10", "median_rank"))
    check_figures(figures, ("pointing", "mean_iou"))
    assert figures["threshold"] == 0.125
    candidates = 6 if split == "test" else len(tiny_stamps.KEPT)
    assert figures["speech_to_image"]["candidates"] == candidates
    queries = {"test": 6, "test-human-en": 4, "validation-human-fr": 2}[split]
    assert figures["speech_to_image"]["n"] == queries
    again = run(capsys, "evaluate", "--checkpoint", checkpoint, "--split", split, "--scenes", 6, "--json")[1]
    assert json.loads(again.strip().splitlines()[-1]) == figures


def test_evaluate_draws_a_table_and_writes_the_card(tiny_set, checkpoint, capsys, monkeypatch):
    monkeypatch.setattr(models, "CARD_SCENES", 5)
    command = ("evaluate", "--checkpoint", checkpoint, "--scenes", 5)
    code, out, _ = run(capsys, *command)
    assert code == 0 and "| test | speech to image | 5 of 5 |" in out
    assert not (checkpoint / "figures.json").exists()
    code, out, _ = run(capsys, *command, "--card", "--json")
    figures = json.loads(out.strip().splitlines()[-1])
    assert code == 0 and read_figures(checkpoint)["test"]["pointing"] == figures["pointing"]
    assert "| test | speech to image | 5 of 5 |" in (checkpoint / "README.md").read_text()


def test_a_card_holds_no_figures_of_fewer_scenes(tiny_set, checkpoint, capsys, monkeypatch):
    command = ("evaluate", "--checkpoint", checkpoint, "--card")
    for scenes in (5, 999, 1001):
        check_refused(capsys, (*command, "--scenes", scenes), f"--scenes {scenes}", "1000", "--card")
    assert not (checkpoint / "figures.json").exists()
    # People's splits have no scenes.
    monkeypatch.setattr("vgs_lib.data.stamps.human_split", lambda concept, language: "test-human-en")
    assert run(capsys, *command, "--split", "test-human-en", "--scenes", 5)[0] == 0
    assert read_figures(checkpoint).keys() == {"test-human-en"}


def test_evaluate_may_choose_a_threshold_on_validation(tiny_set, checkpoint, capsys, monkeypatch):
    config = json.loads((checkpoint / "model.json").read_text())
    (checkpoint / "model.json").write_text(json.dumps({**config, "extra": {}}))
    tiny_stamps.use_voices(monkeypatch, (replace(tiny_stamps.TEST, split="validation"),))
    command = ("evaluate", "--checkpoint", checkpoint, "--split", "validation", "--scenes", 4, "--json")
    code, out, _ = run(capsys, *command)
    assert code == 0 and isinstance(json.loads(out.strip().splitlines()[-1])["threshold"], float)


def test_the_sentence_of_an_error_stands_on_its_own_line(tiny_set, checkpoint, capsys, monkeypatch):
    def break_off(model, trial, *, report, **options):
        report("pictures", 1, 4)
        raise DataError("the disk is gone")

    monkeypatch.setattr(models, "figures_of", break_off)
    check_refused(capsys, ("evaluate", "--checkpoint", checkpoint, "--scenes", 4), "the disk is gone")


@pytest.mark.parametrize("extra", [[], "text", {"threshold": "high"}])
def test_a_damaged_extra_is_named(tiny_set, checkpoint, capsys, files, extra):
    config = json.loads((checkpoint / "model.json").read_text())
    (checkpoint / "model.json").write_text(json.dumps({**config, "extra": extra or [1]}))
    check_refused(capsys, ("evaluate", "--checkpoint", checkpoint, "--scenes", 4), "model.json", "extra")
    check_refused(capsys, prompt(files, checkpoint), "model.json", "extra")


def test_evaluate_never_chooses_a_threshold_on_test(tiny_set, checkpoint, capsys):
    config = json.loads((checkpoint / "model.json").read_text())
    for extra in ({}, {"threshold": None}, None):
        config["extra"] = extra
        if extra is None:
            del config["extra"]
        (checkpoint / "model.json").write_text(json.dumps(config))
        check_refused(capsys, ("evaluate", "--checkpoint", checkpoint, "--scenes", 4), "threshold")


def test_evaluate_says_what_is_wrong(tiny_set, checkpoint, capsys, tmp_path, monkeypatch):
    check_refused(capsys, ("evaluate", "--checkpoint", "no-such-model"), "no-such-model", "checkpoints here are")
    command = ("evaluate", "--checkpoint", checkpoint)
    check_refused(capsys, (*command, "--split", "tests"), "'tests'", "test-human-LL")
    check_refused(capsys, (*command, "--split", "test-human-tlh"), "test-human-tlh")
    monkeypatch.setenv("VGS_HOME", str(tmp_path / "nowhere"))
    check_refused(capsys, command, "nowhere", "python -m vgs_lib data stamps")
    (checkpoint / "model.safetensors").write_bytes(b"damaged")
    check_refused(capsys, command, "model.safetensors", "damaged")


@pytest.mark.parametrize("scenes", [0, -1])
def test_evaluate_wants_at_least_one_scene(tiny_set, checkpoint, capsys, scenes):
    check_refused(capsys, ("evaluate", "--checkpoint", checkpoint, "--scenes", scenes), "scenes")


def test_evaluate_says_that_a_device_is_missing(tiny_set, checkpoint, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    check_refused(capsys, ("evaluate", "--checkpoint", checkpoint, "--scenes", 2, "--device", "cuda"), "cuda")


# prompt


@pytest.fixture
def files(tmp_path):
    """A picture, a recording and a place for the heatmap."""
    Image.new("RGB", (200, 150), "white").save(tmp_path / "picture.png")
    soundfile.write(tmp_path / "speech.wav", tiny_stamps.tone(1.0, rate=44100), 44100)
    soundfile.write(tmp_path / "silence.wav", np.zeros(16000), 16000)
    soundfile.write(tmp_path / "hour.wav", np.zeros(40 * 8000, np.int16), 8000)
    (tmp_path / "text.wav").write_text("no sound")
    return tmp_path


def prompt(files, checkpoint, **changed):
    options = {"image": "picture.png", "audio": "speech.wav", "out": "heat.png"} | changed
    return ("prompt", "--checkpoint", checkpoint, *(x for k, v in options.items() for x in (f"--{k}", files / v)))


def test_prompt_draws_the_heatmap_and_prints_the_best_span(files, checkpoint, capsys):
    code, out, _ = run(capsys, *prompt(files, checkpoint))
    assert code == 0
    with Image.open(files / "heat.png") as drawn:
        assert drawn.format == "PNG" and min(drawn.size) > 200
    assert out.startswith(f"{files / 'heat.png'}: best from ") and " s; strongest " in out
    start, end = (float(x) for x in out.split("best from ")[1].split(" s;")[0].split(" to "))
    assert 0 <= start < end <= 1.0


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"audio": "silence.wav"}, ("silent",)),
        ({"audio": "text.wav"}, ("text.wav", "cannot be read as sound")),
        ({"audio": "hour.wav"}, ("hour.wav", "lasts 40.0 s", "at most 30 s")),
        ({"audio": "none.wav"}, ("none.wav", "no such file")),
        ({"image": "text.wav"}, ("text.wav", "no readable picture")),
        ({"image": "none.png"}, ("none.png", "no readable picture")),
        ({"out": "none/heat.png"}, ("none",)),
    ],
)
def test_prompt_says_what_is_wrong(files, checkpoint, capsys, changed, parts):
    check_refused(capsys, prompt(files, checkpoint, **changed), *parts)
    assert not (files / "heat.png").exists()


# train


def test_check_reports_file_and_line(tiny_set, capsys, tmp_path):
    manifest = tiny_set / "manifest.jsonl"
    code, out, err = run(capsys, "data", "check", manifest, "--files")
    assert (code, out.strip(), err) == (0, f"{manifest}: no problems.", "")
    lines = manifest.read_text(encoding="utf-8").splitlines()
    wrong = tmp_path / "manifest.jsonl"
    wrong.write_text("\n".join([lines[0], "{", lines[1].replace('"split"', '"spilt"')]) + "\n", encoding="utf-8")
    code, out, _ = run(capsys, "data", "check", wrong)
    problems = out.strip().splitlines()
    assert code == 1 and problems[0].startswith(f"{wrong}:2: line: ")
    assert any(p.startswith(f"{wrong}:3: ") and "spilt" in p for p in problems)
    assert problems[-1] == f"{wrong}: {len(problems) - 1} problems."
    # The paths are right, but the files are not here.
    wrong.write_text(lines[0] + "\n", encoding="utf-8")
    assert run(capsys, "data", "check", wrong)[0] == 0
    code, out, _ = run(capsys, "data", "check", wrong, "--files")
    assert code == 1 and f"{wrong}:1: " in out


def test_check_of_a_manifest_that_is_not_there(tmp_path, capsys):
    code, out, _ = run(capsys, "data", "check", tmp_path / "none.jsonl")
    assert code == 1 and "none.jsonl" in out and out.strip().endswith(": 1 problem.")


# as a program


def test_as_a_program_it_ends_with_the_exit_code_and_no_traceback(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "VGS_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "vgs_lib", "data", "stamps", "--archive", str(tmp_path / "none.deb")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stdout == "" and "Traceback" not in done.stderr
    assert "DataError: " in done.stderr and "none.deb: no such archive" in done.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["dance"], ["evaluate"], ["train", "--steps", "x"], ["data"], ["prompt", "--image", "x.png"]]
)
def test_a_wrong_command_line_shows_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2 and "usage: python -m vgs_lib" in capsys.readouterr().err
