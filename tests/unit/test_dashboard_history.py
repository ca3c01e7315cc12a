"""The history of a training run: curves that are thinned, damaged folders, the figure."""

import json

import numpy as np
import pytest
from toy_study import ToyStudy

from vgs_lib.errors import TrainingError
from vgs_lib.figures.curves import curves_figure
from vgs_lib.studies.history import Run, read_run, read_runs
from vgs_lib.widgets.training_controller import TrainingController


@pytest.fixture
def whole(tmp_path):
    """A run that was never interrupted."""
    return TrainingController(ToyStudy(), tmp_path / "whole").train(name="one")


def test_long_curves_are_thinned_and_keep_their_end(tmp_path):
    run = Run(tmp_path, ToyStudy().base, entries=[{"kind": "step", "step": i, "loss": i / 2} for i in range(1, 2501)])
    steps, values = run.curve("loss", most=600)
    assert 400 <= len(steps) <= 600 and steps[-1] == 2500 and values == [step / 2 for step in steps]
    assert len(run.curve("loss")[0]) == 2500


def test_damaged_runs_are_left_out_and_read_says_what_is_wrong(tmp_path, whole):
    Run(tmp_path / "good", whole.plan).create()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text('{"recipe": {}')
    assert list(read_runs(tmp_path)) == ["good"]
    with pytest.raises(TrainingError, match="damaged"):
        read_run(tmp_path / "bad")
    assert read_run(tmp_path / "good").plan == whole.plan


def test_the_figure_draws_each_run_and_chance(whole):
    axes = curves_figure([whole], title="One run").axes[0]
    first, chance = axes.get_lines()
    assert list(first.get_xdata()) == [3, 6, 9, 12] and first.get_label() == "one"
    assert list(chance.get_ydata()) == [0.1, 0.1] and axes.get_title() == "One run"
    assert "R@10" in axes.get_ylabel() and axes.get_xlabel() == "step"


def test_the_message_holds_the_curves_of_all_runs(tmp_path):
    control = TrainingController(ToyStudy(), tmp_path)
    control.train(name="one")
    control.train(name="two", similarity="SISA", loss="shn")
    content, buffers = control.message()
    assert len(json.dumps(content)) < 8000 and len(buffers) == 2
    assert content["shown"] == ["one", "two"] and content["state"] == "finished"
    for run, buffer in zip(content["runs"], buffers, strict=True):
        numbers, at, found = np.frombuffer(buffer, np.float32), 0, {}
        for name, count in run["curves"]:
            found[name] = numbers[at : at + count], numbers[at + count : at + 2 * count]
            at += 2 * count
        assert at == len(numbers)
        steps, values = control.runs[run["name"]].curve("loss")
        assert found["loss"][0].tolist() == steps and found["loss"][1] == pytest.approx(values, rel=1e-6)
    assert content["runs"][0]["colour"] != content["runs"][1]["colour"]
    control.show("one", False)
    assert control.message()[0]["shown"] == ["two"]
    control.show("two", False)
    control.show("two", True)
    control.show("one", True)
    assert control.message()[0]["shown"] == ["one", "two"]
