"""Runs that take the same steps, of an experiment or of one system's seeds: no timing decides between them."""

import dataclasses
import json

import pytest
from test_reproduce import CONDITIONS, make
from toy_records import record

from vgs_lib.benchmark.agreement import Compared
from vgs_lib.benchmark.agreement_tables import claims_table
from vgs_lib.benchmark.reproduce import Reproduction
from vgs_lib.errors import TrainingError
from vgs_lib.recipes import recipe
from vgs_lib.training import StepEvent


def test_runs_with_equal_steps_are_not_timed_and_no_twin_of_other_steps_is_taken(world, tmp_path, monkeypatch):
    conditions = dataclasses.replace(CONDITIONS, minutes=0.1)
    monkeypatch.setattr("vgs_lib.benchmark.budgets.seconds_a_step", lambda *args, **device: 4.0)
    timed = make(world, tmp_path, "timed", conditions)
    list(timed.run(recipe("zhang2020-vgg19-5")))
    assert json.loads(timed.record_file("zhang2020-vgg19-5", 0).read_text())["steps"] == 3
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


def test_every_seed_of_a_system_takes_the_same_steps_whatever_a_later_timing_says(world, tmp_path, monkeypatch):
    conditions, seconds = dataclasses.replace(CONDITIONS, minutes=0.1), [4.0]
    monkeypatch.setattr("vgs_lib.benchmark.budgets.seconds_a_step", lambda *args, **device: seconds[-1])
    one = make(world, tmp_path, conditions=conditions)
    list(one.run(recipe("harwath2019-misa")))
    (tmp_path / "records-a-step-times.json").unlink()
    seconds.append(2.0)  # of a machine that is free now
    one = make(world, tmp_path, conditions=conditions)
    list(one.run(recipe("harwath2019-misa"), seed=1))
    list(one.run(recipe("harwath2019-sisa")))  # of another system
    taken = {file.stem: json.loads(file.read_text())["steps"] for file in one.records.glob("*.json")}
    assert taken == {"harwath2019-misa-0": 3, "harwath2019-misa-1": 3, "harwath2019-sisa-0": 6}
    shown = json.loads(one.record_file("harwath2019-misa", 0).read_text())
    more = dataclasses.replace(conditions, minutes=0.2)
    assert make(world, tmp_path, conditions=more)._given(recipe("harwath2019-misa")) is None
    one.record_file("harwath2019-misa", 0).write_text(json.dumps(shown | {"steps_were_asked_for": True, "steps": 99}))
    assert one._given(recipe("harwath2019-misa")) == 3  # what was asked for counts for no other seed


def test_a_page_shows_the_steps_of_all_seeds():
    records = [record("ni2018-baseline", seed=seed, steps=steps) for seed, steps in enumerate((1000, 1300, 1200))]
    pairs = [Compared("ni2018-three-anchor", "ni2018-baseline", 0.1, 0.0, 0.2, 1)]
    shown = claims_table(pairs, "r10", [*records, record("ni2018-three-anchor", steps=700)])
    assert "| 700, 1,000 to 1,300 |" in shown
