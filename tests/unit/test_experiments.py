"""The documents' comparisons: every recipe builds, one thing differs, and the command trains one of them."""

import dataclasses
import json
import signal

import pytest
import tiny_stamps
import torch
from tiny_commands import check_refused
from tiny_commands import run as command
from tiny_sounds import add_sounds
from toy_records import record

from vgs_lib.batches.banks import Filling
from vgs_lib.batches.natural_sounds import SoundData
from vgs_lib.batches.scene_batches import SceneBatches, SceneData
from vgs_lib.benchmark import experiments
from vgs_lib.benchmark.conditions import Conditions
from vgs_lib.benchmark.experiments import EXPERIMENTS, GAMMAS, SHARES, Run, experiment
from vgs_lib.benchmark.reproduce import Reproduction
from vgs_lib.benchmark.scene_benchmark import SceneBenchmark
from vgs_lib.data.scenes import Scenes
from vgs_lib.errors import TrainingError
from vgs_lib.recipes import Scale, build_model
from vgs_lib.studies import pretraining
from vgs_lib.studies.pretraining import Pretraining
from vgs_lib.training import FitSettings, StepEvent, StoppedEvent

TINY = Conditions(
    scale=Scale(width=1 / 32, dim=8, frames=200, pictures="lite0"),
    data=SceneData(num_scenes=32, batch_size=4),
    fit=FitSettings(checkpoint_every=2),
    pretraining=Pretraining(steps=2, sounds=SoundData(batch_size=4, takes=1)),
)


@pytest.fixture
def world(copy, tmp_path, monkeypatch):
    voices = (*tiny_stamps.VOICES, dataclasses.replace(tiny_stamps.TEST, split="validation"))
    tiny_stamps.use_voices(monkeypatch, voices)
    monkeypatch.setenv("VGS_HOME", str(tmp_path))
    monkeypatch.setenv("VGS_RUNS", str(tmp_path / "runs"))
    tiny_stamps.judge_on_few(monkeypatch)
    (tmp_path / "stamps").symlink_to(copy)
    return add_sounds(copy)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_recipe_of_an_experiment_builds_at_a_small_size(name):
    one, names = experiment(name), set()
    for recipe, conditions in one.runs(TINY):
        plan = conditions.plan(recipe, steps=4, seed=0)
        torch.manual_seed(0)
        assert build_model(plan).audio_encoder.dim == 8 and plan.initial == recipe.initial
        names.add(recipe.name)
    assert len(names) == len(one.parts) > 2
    assert all(conditions.minutes == one.minutes for _, conditions in one.runs()) and one.minutes == (
        5 if one.described else 10
    )
    assert one.title and one.found.endswith(".") and one.source.split(",")[0] in ("ni2018", "harwath2019", "tian2020")


def test_what_differs_in_each():
    runs = {name: {part.recipe.name: part for part in one.parts} for name, one in EXPERIMENTS.items()}
    assert {part.recipe.loss.name for part in runs["losses"].values()} == {
        *("sampled_triplet", "three_anchor_triplet", "semi_hard_triplet", "shn", "all_pairs_hinge", "info_nce")
    }
    assert len({json.dumps(part.recipe.to_dict()["audio"]) for part in runs["losses"].values()}) == 1
    pairs = {(part.recipe.kind, part.recipe.loss.name) for part in runs["similarities"].values()}
    assert pairs == {(kind, loss) for kind in ("sisa", "misa", "sima") for loss in ("sampled_triplet", "shn")}
    starts = {name: (part.recipe.image.name, part.recipe.initial) for name, part in runs["pretraining"].items()}
    assert starts == {
        "sisa-shn-random": ("small_pictures", ""),
        "sisa-shn-natural-sounds": ("small_pictures", "natural-sounds"),
        "sisa-shn-imagenet-sound-classes": ("conv_map", "sound-classes"),
        "sisa-shn-imagenet": ("conv_map", ""),
    }
    assert [part.recipe.loss.options["gamma"] for part in runs["gamma"].values()] == list(GAMMAS)
    amounts = [(conditions.data.used, r.initial) for r, conditions in experiment("data-amount").runs()]
    assert amounts == [(n, i) for i in ("", "natural-sounds", "sound-classes") for n in (800, 2400, None)]
    assert SHARES == (0.1, 0.3, 1.0)
    random = runs["pretraining"]["sisa-shn-random"].recipe
    assert build_model(TINY.plan(random, steps=1, seed=0)).image_encoder.backbone.size == 128
    lite = build_model(TINY.plan(runs["pretraining"]["sisa-shn-imagenet"].recipe, steps=1, seed=0)).image_encoder
    assert lite.backbone_frozen and lite.backbone.from_package


def test_a_share_of_the_scenes_is_drawn_and_nothing_else(world):
    model = build_model(TINY.plan(experiment("similarities").parts[0].recipe, steps=4, seed=0))
    data = TINY.data
    scenes = Scenes(world, "train")
    whole = SceneBatches(model, scenes, data)
    share = SceneBatches(model, scenes, dataclasses.replace(data, used=16))
    drawn = lambda batches: {scene for step in range(40) for _, scene in batches.tellings(step)}
    assert drawn(whole) == set(range(32)) and drawn(share) == set(range(16))
    assert [bank.folder for bank in (share.pictures, share.speech, share.words)] == [
        bank.folder for bank in (whole.pictures, whole.speech, whole.words)
    ]
    assert "used" not in whole.settings and share.settings["used"] == 16
    for wrong in (0, 33):
        with pytest.raises(TrainingError, match=f"used: found {wrong}"):
            dataclasses.replace(data, used=wrong)


def test_the_command_trains_an_experiment(world, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("vgs_lib.commands.reproduce.Conditions", lambda: TINY)
    starts = [part.recipe for part in experiment("pretraining").parts[1:3]]
    half = Run(dataclasses.replace(starts[0], name="half"), 0.5)
    few = dataclasses.replace(experiment("pretraining"), parts=(*map(Run, starts), half))
    monkeypatch.setitem(experiments.EXPERIMENTS, "pretraining", few)
    out = tmp_path / "results"
    arguments = ["reproduce", "--experiment", "pretraining", "--steps", "2", "--out", out, "--threads", "1"]
    assert "pretraining.md: 1 records of 1 systems" in command(capsys, *arguments, "half")[1]  # one of its runs
    code, printed, err = command(capsys, *arguments)
    assert code == 0 and "pretraining.md: 3 records of 3 systems" in printed, err
    record = json.loads((out / "pretraining" / "half-0.json").read_text())
    assert record["plan"]["initial"] == "natural-sounds" and record["conditions"]["data"]["used"] == 16
    assert record["conditions"]["pretraining"]["steps"] == 2
    assert {"sampled", "semi_hard"} <= record["history"][0].keys()  # Fig. 5
    line = record["history"][0]
    assert line["sampled"] + line["semi_hard"] == pytest.approx(line["loss"], abs=1e-3)
    text = (out / "pretraining.md").read_text()
    assert text.index("| sisa-shn-natural-sounds | 1 |") < text.index("| sisa-shn-imagenet-sound-classes | 1 |")
    assert "Every run" not in text and "No run is of this experiment's budget" in text  # steps were asked for
    assert few.found in text and few.source in text and len((out / "pretraining.csv").read_text().splitlines()) == 4
    made = sorted(folder.name.rsplit("-", 1)[0] for folder in (tmp_path / "runs/pretraining").iterdir())
    assert made == ["natural-sounds", "sound-classes"]  # the two runs with the same encoders share one
    assert command(capsys, *arguments)[1].count("there is a record already") == 3


def test_a_command_that_is_stopped_before_its_first_step_does_not_speak_of_a_checkpoint(
    world, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("vgs_lib.commands.reproduce.Conditions", lambda: TINY)
    monkeypatch.setattr("vgs_lib.commands.reproduce.Stamps.open", lambda: world)
    arguments = ["reproduce", "harwath2019-misa", "--steps", "3", "--out", tmp_path / "results", "--threads", "1"]
    for kind, said in ((Filling, "before training; what was computed so far is kept."), (StepEvent, "with a check")):
        real = Reproduction.run

        def until(self, plan, *, should_stop, kind=kind, real=real, **asked):
            for event in real(self, plan, should_stop=should_stop, **asked):
                yield event
                if isinstance(event, kind):
                    signal.raise_signal(signal.SIGINT)  # as Ctrl-C does

        with monkeypatch.context() as patch:
            patch.setattr(Reproduction, "run", until)
            code, printed, _ = command(capsys, *arguments)
        assert code == 1 and f"Stopped {said}" in printed and "Run the same command to go on." in printed
    assert command(capsys, *arguments)[0] == 0
    assert json.loads((tmp_path / "results/systems/harwath2019-misa-0.json").read_text())["steps"] == 3


def test_the_command_refuses_what_it_cannot_do(tmp_path, capsys):
    check_refused(capsys, ["reproduce", "--experiment", "taste", "--out", tmp_path], "'taste'", "data-amount", "gamma")
    other = ["reproduce", "tian2020", "--experiment", "gamma", "--out", tmp_path]
    check_refused(capsys, other, "--experiment gamma: found tian2020, expected some of tian2020-gamma-1,")
    ours = ["reproduce", "stamps-demo", "--out", tmp_path]
    check_refused(capsys, ours, "reproduce: found stamps-demo, expected names of the documents' systems")


def test_a_run_stops_while_its_encoders_are_pre_trained(world, tmp_path):
    one = Reproduction(SceneBenchmark(world), TINY, runs=tmp_path / "runs", records=tmp_path / "records")
    plan, events = experiment("pretraining").parts[1].recipe, []
    for event in one.run(plan, steps=2, should_stop=lambda: events[-1].name == "pretraining-natural-sounds"):
        events.append(event)
    assert isinstance(events[-1], StoppedEvent) and events[-2].done == 1
    assert not one.record_file(plan.name, 0).exists()
    list(one.run(plan, steps=2))
    assert one.record_file(plan.name, 0).is_file()


def test_encoders_are_pre_trained_on_the_device_of_the_run(world, tmp_path, monkeypatch):
    devices, real = [], pretraining.fit
    watched = lambda model, batches, loss, settings, **more: (
        devices.append(settings.device),
        real(model, batches, loss, settings, **more),
    )[1]
    monkeypatch.setattr(pretraining, "fit", watched)
    one = Reproduction(SceneBenchmark(world), TINY, runs=tmp_path / "runs", records=tmp_path / "records")
    list(one.run(experiment("pretraining").parts[1].recipe, steps=1))
    assert devices == ["cpu"], "and not the best that there is, which is another one on some machines"


def test_records_are_comparable_where_each_run_has_the_conditions_that_its_experiment_asks_for():
    names = [part.recipe.name for part in experiment("data-amount").parts]
    used = {"10": 800, "30": 2400, "100": None}
    steps = {"steps": experiment("data-amount").steps}
    records = [record(name, used=used[name.split("-")[-2]]) | steps for name in names]
    assert len(names) == 9 and experiment("data-amount").comparable(records) == records
    wrong = record(names[0], used=None) | steps  # all scenes where a tenth is asked for
    asked = record(names[1], used=2400) | steps | {"steps_were_asked_for": True}
    minute = record(names[2], used=None) | steps
    minute["conditions"] = {**minute["conditions"], "minutes": 1.0}
    assert experiment("data-amount").comparable([wrong, asked, minute, *records[3:]]) == records[3:]
    assert experiment("data-amount").comparable([asked]) == []
    more = records[0] | {"steps": steps["steps"] + 1}
    assert experiment("data-amount").comparable([more, *records[1:]]) == records[1:]


def test_runs_that_cost_the_same_take_the_same_steps_whatever_timing_says():
    equal = {name: one.equal_steps() for name, one in EXPERIMENTS.items() if one.equal_steps()}
    assert equal == {"pretraining": 806, "data-amount": 806, "gamma": 402, "ablations": 402}
    assert experiment("gamma").equal_steps(2.5) == 201 and experiment("gamma").equal_steps(1e-6) == 1
    assert experiment("losses").equal_steps(10) is None


def test_there_is_nothing_to_time_where_steps_are_equal(world, tmp_path, capsys):
    code, printed, _ = command(capsys, "reproduce", "--experiment", "gamma", "--time", "--out", tmp_path / "results")
    assert code == 0 and "every run of gamma takes 402 steps" in printed and not (tmp_path / "results").exists()
