"""Systems under equal conditions on the small data set: trained, cut off, gone on with, judged and put in tables."""

import dataclasses
import json

import pytest
from tiny_commands import check_refused
from tiny_commands import run as command

from vgs_lib.batches.scene_batches import SceneData
from vgs_lib.benchmark import leaderboard, reproduce
from vgs_lib.benchmark.budgets import StepTimes, seconds_a_step
from vgs_lib.benchmark.conditions import Conditions
from vgs_lib.benchmark.reproduce import Reproduction
from vgs_lib.benchmark.run_history import thinned
from vgs_lib.benchmark.scene_benchmark import SceneBenchmark
from vgs_lib.errors import DataError, TrainingError
from vgs_lib.recipes import Scale, build_model, recipe
from vgs_lib.training import CheckpointEvent, FitSettings, StepEvent, StoppedEvent

CONDITIONS = Conditions(
    scale=Scale(width=1 / 32, dim=8, pictures="lite0"),
    data=SceneData(num_scenes=16, batch_size=4),
    fit=FitSettings(checkpoint_every=2),
)
SYSTEM = recipe("harwath2019-misa")


def make(stamps, tmp_path, name="a", conditions=CONDITIONS) -> Reproduction:
    runs, records = tmp_path / f"runs-{name}", tmp_path / f"records-{name}"
    return Reproduction(SceneBenchmark(stamps), conditions, runs=runs, records=records)


def test_a_system_is_trained_judged_and_recorded(world, tmp_path):
    one = make(world, tmp_path)
    steps = [event for event in one.run(SYSTEM, seed=3, steps=4) if isinstance(event, StepEvent)]
    record = json.loads(one.record_file("harwath2019-misa", 3).read_text())
    assert [event.step for event in steps] == [1, 2, 3, 4]
    assert record["benchmark"] == "scenes"
    assert (record["system"], record["seed"], record["steps"]) == ("harwath2019-misa", 3, 4)
    assert [line["step"] for line in record["history"]] == [1, 2, 3, 4]
    assert record["history"][-1]["loss"] == pytest.approx(steps[-1].loss, abs=1e-4)
    assert record["plan"]["data"]["phases"] == [[2, 1]] and record["plan"]["fit"]["seed"] == 3
    model = build_model(one.conditions.plan(SYSTEM, steps=4, seed=3))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert record["parameters"]["trained"] == trained < record["parameters"]["all"]
    ranks = record["figures"]["ranks"]
    scenes = record["figures"]["1000 scenes"]
    for way, found in ranks.items():
        assert len(found) == 8 and scenes[way]["r5"] == pytest.approx(sum(rank <= 5 for rank in found) / 8, abs=0.07)
    assert "pointing" in record["figures"]
    untrained, trained = record["untrained"]["speech_to_image"], record["figures"]["100 scenes"]["speech_to_image"]
    assert untrained["n"] == trained["n"] == 8 and untrained != trained
    assert list(one.run(SYSTEM, seed=3, steps=4)) == []  # it is there


def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(world, tmp_path):
    whole, cut = make(world, tmp_path, "a"), make(world, tmp_path, "b")
    list(whole.run(SYSTEM, steps=5))
    events = []
    for event in cut.run(SYSTEM, steps=5, should_stop=lambda: any(isinstance(e, CheckpointEvent) for e in events)):
        events.append(event)
    assert isinstance(events[-1], StoppedEvent) and not cut.record_file(SYSTEM.name, 0).exists()
    list(cut.run(SYSTEM))  # the steps are kept with the run
    one, other = (json.loads(r.record_file(SYSTEM.name, 0).read_text()) for r in (whole, cut))
    assert one["figures"] == other["figures"]
    assert [(line["step"], line["loss"]) for line in one["history"]] == [
        (line["step"], line["loss"]) for line in other["history"]
    ]
    assert other["seconds"] > 0


def test_a_run_of_other_steps_is_refused(world, tmp_path):
    one = make(world, tmp_path)
    list(one.run(SYSTEM, steps=2))
    one.record_file(SYSTEM.name, 0).unlink()
    with pytest.raises(TrainingError, match="expected 3 steps, found a run of 2"):
        list(one.run(SYSTEM, steps=3))


def test_what_was_made_under_other_conditions_is_not_taken_for_ours(world, tmp_path):
    one = make(world, tmp_path)
    events = []
    for event in one.run(SYSTEM, steps=5, should_stop=lambda: any(isinstance(e, CheckpointEvent) for e in events)):
        events.append(event)
    other = make(world, tmp_path, conditions=dataclasses.replace(CONDITIONS, minutes=2))
    with pytest.raises(TrainingError, match=r"other conditions \(minutes\)"):
        list(other.run(SYSTEM))
    list(one.run(SYSTEM))
    record = json.loads(one.record_file(SYSTEM.name, 0).read_text())
    assert record["steps_were_asked_for"]
    with pytest.raises(TrainingError, match=r"harwath2019-misa-0\.json: made under other conditions"):
        list(other.run(SYSTEM))


def test_a_run_that_ended_before_its_record_was_written_is_judged(world, tmp_path):
    one = make(world, tmp_path)
    list(one.run(SYSTEM, steps=3))
    record = json.loads(one.record_file(SYSTEM.name, 0).read_text())
    one.record_file(SYSTEM.name, 0).unlink()
    list(one.run(SYSTEM))
    again = json.loads(one.record_file(SYSTEM.name, 0).read_text())
    assert again["figures"] == record["figures"] and again["history"] == record["history"]
    one.record_file(SYSTEM.name, 0).unlink()
    (one.runs / "harwath2019-misa-0" / "history.json").write_text("[]")
    with pytest.raises(TrainingError, match="does not reach step 3"):
        list(one.run(SYSTEM))


def stopped(one, *, after):
    """A run that is asked to stop while a step is computed, after which so many are done, between two checkpoints."""
    events, asked = [], []

    def stop() -> bool:
        if sum(isinstance(event, StepEvent) for event in events) >= after - 1:
            asked.append(True)
        return len(asked) > 1  # not before that step, but after it

    for event in one.run(SYSTEM, steps=5, should_stop=stop):
        events.append(event)
    return one.runs / "harwath2019-misa-0"


def test_a_run_stopped_between_checkpoints_has_its_history_before_its_checkpoint(world, tmp_path, monkeypatch):
    """It is written when the stop is seen, so that a process killed right after its checkpoint has it too."""
    one, written = make(world, tmp_path), []
    real = reproduce._write
    monkeypatch.setattr(
        reproduce, "_write", lambda file, content: (written.append((file.name, len(content))), real(file, content))
    )
    folder = stopped(one, after=3)
    assert written[-2:] == [("history.json", 3)] * 2, "with the stop and with the checkpoint"
    assert [line["step"] for line in json.loads((folder / "history.json").read_text())] == [1, 2, 3]


def test_a_history_with_a_gap_is_refused(world, tmp_path):
    one = make(world, tmp_path)
    history = stopped(one, after=3) / "history.json"
    history.write_text(json.dumps(json.loads(history.read_text())[:-1]))
    with pytest.raises(TrainingError, match=r"history\.json: does not reach step 3 of the checkpoint; delete"):
        list(one.run(SYSTEM))


def test_a_record_or_a_run_of_another_recipe_is_not_taken_for_this_one(world, tmp_path):
    one = make(world, tmp_path)
    other = dataclasses.replace(SYSTEM, kind="sima")
    stopped(one, after=3)
    with pytest.raises(
        TrainingError, match=r"harwath2019-misa-0: of another .* \(kind: misa in the folder, sima now\)"
    ):
        list(one.run(other))
    list(one.run(SYSTEM, steps=5))
    with pytest.raises(TrainingError, match=r"harwath2019-misa-0\.json: of another .*kind"):
        list(one.run(other))
    with pytest.raises(TrainingError, match=r"\.json: expected 9 steps, found a record of 5"):
        list(one.run(SYSTEM, steps=9))


def test_checkpoints_may_be_left_to_the_end(world, tmp_path):
    rare = dataclasses.replace(CONDITIONS, fit=FitSettings(checkpoint_every=0))
    one = make(world, tmp_path, conditions=rare)
    list(one.run(SYSTEM, steps=2))
    assert len(json.loads(one.record_file(SYSTEM.name, 0).read_text())["history"]) == 2


@pytest.mark.parametrize("text", ["", "[]", "{", '{"steps": 3}'])
def test_a_damaged_file_of_a_run_is_named(world, tmp_path, text):
    one = make(world, tmp_path)
    (one.runs / "harwath2019-misa-0").mkdir(parents=True)
    (one.runs / "harwath2019-misa-0/steps.json").write_text(text)
    with pytest.raises(TrainingError, match=r"steps\.json: damaged"):
        list(one.run(SYSTEM))


def test_a_damaged_record_of_another_comparison_is_named(world, tmp_path):
    one = make(world, tmp_path)
    (tmp_path / "gamma").mkdir()
    (tmp_path / "gamma/x-0.json").write_text("<<<<<<< ours")
    one.others = [tmp_path / "gamma"]
    with pytest.raises(DataError, match=r"gamma/x-0\.json: no record of a system"):
        list(one.run(SYSTEM))


def test_a_budget_becomes_steps_by_measured_times(world, tmp_path, monkeypatch):
    one = make(world, tmp_path, conditions=dataclasses.replace(CONDITIONS, minutes=1, words_first=0.25))
    monkeypatch.setattr(
        "vgs_lib.benchmark.budgets.seconds_a_step", lambda study, plan, most, device: {1: 2.0, 4: 6.0}[most]
    )
    monkeypatch.setattr("vgs_lib.benchmark.reproduce.fit", lambda *args, **kwargs: iter(()))
    list(one.measure(SYSTEM))
    monkeypatch.setattr(
        "vgs_lib.benchmark.budgets.seconds_a_step", lambda *args, **device: 1e-9
    )  # what was measured stays
    list(one.run(SYSTEM))
    assert one.num_steps(SYSTEM.name, 0) == 24  # 2 * 60 / (0.25 * 2 + 0.75 * 6)
    kept = StepTimes(tmp_path / "records-a-step-times.json", one.conditions)
    assert SYSTEM.name in kept and kept.steps(SYSTEM.name) == 24
    wider = dataclasses.replace(one.conditions, scale=Scale(width=1.0))
    assert SYSTEM.name not in StepTimes(kept.file, wider)


def test_a_system_that_does_not_differ_takes_the_record_of_its_twin(world, tmp_path, monkeypatch):
    one = make(world, tmp_path, conditions=dataclasses.replace(CONDITIONS, minutes=0.1))
    monkeypatch.setattr("vgs_lib.benchmark.budgets.seconds_a_step", lambda *args, **device: 4.0)
    list(one.run(recipe("zhang2020-vgg19-5")))
    assert list(one.run(recipe("zhang2020-resnet50-5"))) == []
    first, twin = (json.loads(one.record_file(f"zhang2020-{name}-5", 0).read_text()) for name in ("vgg19", "resnet50"))
    assert twin["trained_as"] == "zhang2020-vgg19-5" and "trained_as" not in first
    other = Reproduction(
        one.benchmark, one.conditions, runs=tmp_path / "x", records=tmp_path / "y", others=[one.records]
    )
    assert list(other.run(recipe("zhang2020-vgg16-5"))) == [] and list(other.run(recipe("zhang2020-vgg19-5"))) == []
    third, same = (json.loads(other.record_file(f"zhang2020-{name}-5", 0).read_text()) for name in ("vgg16", "vgg19"))
    assert third["trained_as"] == "zhang2020-vgg19-5" and same == first  # not the name of another twin
    assert twin["figures"] == first["figures"] and twin["plan"]["name"] == twin["system"] == "zhang2020-resnet50-5"
    assert "zhang2020-resnet50-5 (the run of zhang2020-vgg19-5)" in leaderboard.table([first, twin])
    assert any(isinstance(event, StepEvent) for event in one.run(recipe("zhang2020-vgg19-6")))  # it differs
    assert any(isinstance(event, StepEvent) for event in one.run(recipe("zhang2020-resnet50-5"), seed=1))
    list(one.run(recipe("zhang2020-vgg16-5"), seed=2, steps=2))
    assert any(isinstance(event, StepEvent) for event in one.run(recipe("zhang2020-vgg19-5"), seed=2))  # no budget


@pytest.mark.parametrize("text", ["{}", '{"systems": {"a": 3}}'])
def test_damaged_step_times_are_named(tmp_path, text):
    (tmp_path / "times.json").write_text(text)
    with pytest.raises(DataError, match=r"times\.json: damaged"):
        StepTimes(tmp_path / "times.json", CONDITIONS)


def test_two_processes_that_measure_keep_each_others_times(tmp_path, monkeypatch):
    monkeypatch.setattr("vgs_lib.benchmark.budgets.seconds_a_step", lambda study, plan, most, device: float(most))
    one, other = (StepTimes(tmp_path / "times.json", CONDITIONS) for _ in range(2))  # both before either measures
    one.measure("a", None, SYSTEM)
    other.measure("b", None, SYSTEM)
    assert "a" in other and {"a", "b"} == StepTimes(tmp_path / "times.json", CONDITIONS).times.keys()


def test_timing_takes_a_few_real_steps(world, tmp_path):
    one = make(world, tmp_path)
    assert 0 < seconds_a_step(next_study(one), one._plan(SYSTEM, steps=8, seed=0), 1) < 10


def next_study(one):
    study = one.benchmark.study(SYSTEM, one.conditions.pretraining)
    list(study.prepare(one._plan(SYSTEM, steps=8, seed=0)).batches.fill())
    return study


@pytest.mark.parametrize("name", ["harwath2019-text-misa", "tian2020-dscmr", "ni2018-baseline"])
def test_text_classes_and_pooled_systems_are_trained_too(world, tmp_path, name):
    one = make(world, tmp_path)
    list(one.run(recipe(name), steps=2))
    record = json.loads(one.record_file(name, 0).read_text())
    assert "pointing" not in record["figures"]  # words have no seconds, vectors no places
    if name == "harwath2019-text-misa":
        vocabulary = record["plan"]["audio"]["options"]["vocabulary"]
        assert {"dog", "bus", "photo"} <= set(vocabulary)
    if name == "tian2020-dscmr":
        assert record["plan"]["num_classes"] > 8


def test_a_history_is_thinned_evenly():
    history = [{"step": i, "loss": float(i), "seconds": 2.0 * i} for i in range(1, 251)]
    thin = thinned(history)
    assert len(thin) == 84 and thin[0] == {"step": 3, "loss": 2.0, "seconds": 6.0} and thin[-1]["step"] == 250


def test_the_command_trains_and_writes_the_tables(world, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("vgs_lib.commands.reproduce.Conditions", lambda: CONDITIONS)
    monkeypatch.setenv("VGS_RUNS", str(tmp_path / "runs"))
    (tmp_path / "stamps").symlink_to(world.folder)
    out = tmp_path / "results"
    arguments = ["reproduce", "harwath2019-misa", "ni2018-baseline", "--steps", "2", "--out", out, "--threads", "1"]
    code, printed, err = command(capsys, *arguments)
    assert code == 0 and "2 records of 2 systems" in printed, err
    text = (out / "systems.md").read_text()
    assert "| harwath2019-misa | 1 |" in text and "Places audio captions, 110,000 pairs" in text
    assert len((out / "systems.csv").read_text().splitlines()) == 3
    code, printed, _ = command(capsys, *arguments)
    assert code == 0 and printed.count("there is a record already") == 2
    check_refused(capsys, [*arguments[:2], "--budget", "1", "--out", out], "harwath2019-misa-0.json", "(minutes)")
    check_refused(capsys, [*arguments[:2], "--steps", "3", "--out", out], "expected 3 steps, found a record of 2")
    check_refused(capsys, [*arguments[:2], "--out", out], "2 steps that were asked for, expected one of a budget")
    before = (out / "systems.md").read_text()
    (out / "systems.md").unlink()
    assert command(capsys, "reproduce", "--tables", "--out", out)[0] == 0
    assert (out / "systems.md").read_text() == before


def test_the_command_refuses_what_it_cannot_do(world, tmp_path, capsys):
    check_refused(capsys, ["reproduce", "harwath2020", "--out", tmp_path], "harwath2020", "harwath2019-misa")
    check_refused(capsys, ["reproduce", "tian2020", "--budget", "0", "--out", tmp_path], "--budget", "above 0")
    for option in ("--steps", "--threads"):
        check_refused(capsys, ["reproduce", "tian2020", option, "0", "--out", tmp_path], f"{option} 0", "1 or more")
    for more, advice in (([], "'python -m vgs_lib reproduce'"), (["--experiment", "gamma"], "--experiment gamma'")):
        check_refused(capsys, ["reproduce", "--tables", *more, "--out", tmp_path / "typo"], "no record", advice)
