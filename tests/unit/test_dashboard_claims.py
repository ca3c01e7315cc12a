"""One run at a time, in one process and in two, and never two in one folder."""

import pytest
from toy_study import ToyStudy, losses, training_process, until

from vgs_lib.errors import TrainingError
from vgs_lib.studies.history import Run, read_run
from vgs_lib.widgets.training_controller import TrainingController
from vgs_lib.widgets.training_runs import claim, free_name, release, training


@pytest.fixture
def whole(tmp_path):
    """A run that was never interrupted."""
    return TrainingController(ToyStudy(), tmp_path / "whole").train(name="one")


def test_one_run_at_a_time_and_no_name_twice(tmp_path):
    control = TrainingController(ToyStudy(pause=0.05), tmp_path)
    assert control.start(name="one")
    assert not control.start(name="two") and "is going on" in control.status
    until(lambda: control.state == "training")
    control.close()
    control.study.pause = 0.0
    assert not control.start(name="one") and "already" in control.status
    assert not control.resume("three") and "no run 'three'" in control.status
    first, second = control.train(), control.train()
    assert (first.name, second.name) == ("misa-info_nce-1", "misa-info_nce-2")
    assert losses(first) == losses(second)
    other = control.train(name=first.name, learning_rate=0.5)
    assert other.name == f"{first.name}-2" and other.plan.fit.learning_rate == 0.5
    assert control.train(name=first.name) is first
    assert control.train(name=first.name, learning_rate=0.5) is other


def test_two_controllers_never_train_one_run_at_a_time(tmp_path, whole):
    first = TrainingController(ToyStudy(pause=0.03), tmp_path)
    assert first.start(name="one")
    early = TrainingController(ToyStudy(), tmp_path)
    assert not early.start(name="one") and "The run one is going on in this kernel" in early.status
    until(lambda: first.current is not None and first.current.step >= 2)
    second = TrainingController(ToyStudy(), tmp_path / ".." / tmp_path.name)  # the same folder in other words
    assert not second.resume("one") and second.failed and "The run one is going on in this kernel" in second.status
    third = TrainingController(ToyStudy(), tmp_path / "elsewhere")  # another run in another folder would not be exact
    assert not third.start(name="other") and "The run one is going on" in third.status and third.runs == {}
    assert second.state == "idle"
    with pytest.raises(TrainingError, match="The run one is going on"):
        second.train(name="one")
    first.wait()
    assert second.train(name="two").finished
    assert first.state == "finished" and losses(first.current) == losses(whole)
    assert read_run(tmp_path / "one").entries == first.current.entries
    assert second.train(name="one").curve("loss") == whole.curve("loss")  # which is read again, not trained again
    assert second.shown == ["two", "one"] or second.shown == ["one", "two"]


def test_a_run_that_another_controller_stopped_goes_on_from_where_it_is_now(tmp_path, whole):
    first = TrainingController(ToyStudy(pause=0.02), tmp_path)
    first.start(name="one")
    until(lambda: first.current is not None and first.current.step >= 2)
    second = TrainingController(ToyStudy(), tmp_path)  # knows the first steps only
    known = second.runs["one"].step
    until(lambda: first.current.step >= known + 3)
    first.close()
    assert second.resume("one")
    second.wait()
    assert losses(second.current) == losses(whole) and second.current.step == 12


def test_a_run_is_free_again_after_an_error_a_refusal_and_a_stop(tmp_path):
    first, second = (TrainingController(ToyStudy(), tmp_path) for _ in range(2))
    for wrong in ({"image": "large pictures"}, {"batch_size": 5}):
        assert first.start(name="one", **wrong)
        first.wait()
        assert first.state == "failed" and not training()
    (tmp_path / "one").mkdir()
    assert not first.start(name="one") and "already" in first.status
    assert not training()
    (tmp_path / "one").rmdir()
    first.study.pause = 0.02
    assert first.start(name="one")
    until(lambda: first.current is not None and first.current.step >= 1)
    assert training() == "one"
    first.on_change = lambda: ended.append(training()) if first.state == "stopped" else None
    ended = []
    first.close()
    assert ended and not any(ended)  # whoever sees "stopped" can resume at once
    assert second.resume("one")
    second.wait()
    assert second.state == "finished" and not training()


def test_whoever_claims_second_is_told_who_trains(tmp_path):
    claim("first")
    try:
        assert training() == "first"
        with pytest.raises(TrainingError, match="The run first is going on in this kernel"):
            claim("second")
    finally:
        release()
    assert training() == ""
    (tmp_path / "misa-1").mkdir()
    assert free_name(tmp_path, "misa") == "misa-2"


def test_of_two_kernels_one_trains_a_run_and_a_killed_one_frees_it(tmp_path, whole):
    process = training_process(tmp_path)
    file = tmp_path / "one/checkpoints/step-00000004.safetensors"
    try:
        until(file.is_file, 90)
        control = TrainingController(ToyStudy(), tmp_path)
        with pytest.raises(TrainingError, match=r"one.checkpoints: a run is training in this folder now, in another"):
            control.train(name="one")
        assert control.state == "failed"
        assert process.poll() is None  # and goes on undisturbed
    finally:
        process.kill()  # SIGKILL: nothing can clean up
        process.wait()
    assert control.train(name="one").curve("loss") == whole.curve("loss")


def test_two_kernels_that_begin_one_name_do_not_overwrite_each_other(tmp_path):
    late = TrainingController(ToyStudy(), tmp_path)
    make = late.study.prepare

    def prepare(plan):  # another kernel is quicker while this one prepares
        Run(tmp_path / "one", plan).create()
        return make(plan)

    late.study.prepare = prepare
    with pytest.raises(TrainingError, match="another kernel has just begun a run of this name"):
        late.train(name="one", learning_rate=0.5)
    assert read_run(tmp_path / "one").entries == []
