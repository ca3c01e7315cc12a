"""Runs of an experiment that take the same steps: nothing is timed, and no record of other steps stands for them."""

import dataclasses
import json

import pytest
from test_reproduce import CONDITIONS, make

from vgs_lib.benchmark.reproduce import Reproduction
from vgs_lib.errors import TrainingError
from vgs_lib.recipes import recipe
from vgs_lib.training import StepEvent


def test_runs_with_equal_steps_are_not_timed_and_no_twin_of_other_steps_is_taken(world, tmp_path, monkeypatch):
    conditions = dataclasses.replace(CONDITIONS, minutes=0.1)
    monkeypatch.setattr("vgs_lib.benchmark.budgets.seconds_a_step", lambda *args, **device: 4.0)
    timed = make(world, tmp_path, "timed", conditions)
    list(timed.run(recipe("zhang2020-vgg19-5")))
    record = json.loads(timed.record_file("zhang2020-vgg19-5", 0).read_text())
    assert record["steps"] == 3
    where = {"runs": tmp_path / "runs", "others": [timed.records]}
    four = Reproduction(timed.benchmark, conditions, **where, records=tmp_path / "four", equal_steps=4)
    list(four.run(recipe("zhang2020-resnet50-5")))
    found = json.loads(four.record_file("zhang2020-resnet50-5", 0).read_text())
    assert found["steps"] == 4 and not found["steps_were_asked_for"] and "trained_as" not in found
    assert not (tmp_path / "four-step-times.json").exists()
    three = Reproduction(timed.benchmark, conditions, **where, records=tmp_path / "three", equal_steps=3)
    with pytest.raises(TrainingError, match="expected 3 steps, found a run of 4"):
        list(three.run(recipe("zhang2020-resnet50-5")))
    assert list(three.run(recipe("zhang2020-vgg16-5"))) == []  # the twin of as many steps
    assert json.loads(three.record_file("zhang2020-vgg16-5", 0).read_text())["trained_as"] == "zhang2020-vgg19-5"
    again = Reproduction(timed.benchmark, conditions, runs=tmp_path / "r", records=timed.records, others=[four.records])
    again.record_file("zhang2020-vgg19-5", 0).unlink()  # it was timed for 3 steps and does not take a record of 4
    assert any(isinstance(event, StepEvent) for event in again.run(recipe("zhang2020-vgg19-5")))
    five = Reproduction(timed.benchmark, conditions, runs=tmp_path / "x", records=four.records, equal_steps=5)
    with pytest.raises(TrainingError, match="expected 5 steps, found a record of 4"):
        list(five.run(recipe("zhang2020-resnet50-5")))
