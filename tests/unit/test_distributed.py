"""Two gloo processes give the losses and gradients of one process on the whole batch."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_training import SETTINGS, TinyBatches, gradients, losses_for_several, make_model

from vgs_lib import distributed
from vgs_lib.training import FitSettings, StepEvent, fit, score_loss

TINY = Path(__file__).with_name("tiny_training.py")


def run_two(*command: str, **more: str) -> list[str]:
    """What each of two processes printed; all must end well."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = []
    for rank in ("0", "1"):
        environment = {
            **os.environ,
            "PYTHONPATH": str(TINY.parents[2]),
            "OMP_NUM_THREADS": "1",
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": "2",
            "LOCAL_WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            **more,
        }
        asked = [part.replace("RANK", rank) for part in command]
        processes.append(
            subprocess.Popen(
                [sys.executable, *asked], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
    printed = []
    try:
        for process in processes:
            output, _ = process.communicate(timeout=300)
            assert process.returncode == 0, output
            printed.append(output)
    finally:
        for process in processes:
            process.kill()
    return printed


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What each of two processes found: (figures, tensors)."""
    folder = tmp_path_factory.mktemp("two")
    run_two(str(TINY), "several", str(folder), "RANK")
    return [
        (json.loads((folder / f"{rank}.json").read_text()), load_file(folder / f"{rank}.safetensors"))
        for rank in (0, 1)
    ]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_captions_of_the_two_processes_differ_in_length(two):
    assert [figures["frames"] for figures, _ in two] == [70, 40]


@pytest.mark.parametrize("name", list(losses_for_several()))
def test_losses_and_gradients_equal_those_of_one_process(two, name):
    loss, expected = gradients(make_model(dropout=0.0).train(), TinyBatches()[0], losses_for_several()[name])
    assert len(expected) >= 16
    for figures, tensors in two:
        assert figures[name] == pytest.approx(loss, rel=1e-5)
        found = {key.removeprefix(f"{name}/"): t for key, t in tensors.items() if key.startswith(f"{name}/")}
        assert found.keys() == expected.keys()
        for key, gradient in expected.items():
            torch.testing.assert_close(
                found[key], gradient, rtol=1e-3, atol=1e-5 * float(gradient.abs().max()) + 1e-8, msg=key
            )


def test_stopped_and_resumed_run_equals_that_of_one_process(two):
    settings = FitSettings(**{**SETTINGS.__dict__, "steps": 6})
    model = make_model(dropout=0.0)
    events = fit(model, TinyBatches(), score_loss(), settings)
    losses = [event.loss for event in events if isinstance(event, StepEvent)]
    for figures, tensors in two:
        assert len(figures["first"]) == 3 and len(figures["second"]) == 3
        assert figures["first"] + figures["second"] == pytest.approx(losses, rel=1e-4)
        for name, tensor in model.state_dict().items():
            torch.testing.assert_close(tensors[f"fit/{name}"], tensor, rtol=1e-2, atol=1e-3)
    # The processes themselves agree to the last bit.
    for name, tensor in two[0][1].items():
        assert torch.equal(tensor, two[1][1][name]), name


def test_error_of_the_main_process_is_raised_on_all(two):
    assert [figures["error"] for figures, _ in two] == ["told by the main process"] * 2


def test_without_a_process_group_nothing_changes():
    value = torch.rand(3, 4, requires_grad=True)
    lengths = torch.tensor([4, 2, 1])
    assert distributed.world_size() == 1 and distributed.rank() == 0
    assert distributed.gather_rows(value) is value
    assert distributed.sum_over_processes(value) is value
    assert distributed.gather_audio(value, lengths) == (value, lengths)
    assert distributed.broadcast_object("x") == "x"
    assert distributed.from_main(lambda: 5) == 5
    assert distributed.mean_over_processes(torch.tensor(2.5)) == 2.5


def test_the_train_command_ends_well_in_two_processes(tiny_home, tmp_path):
    """Both fill the banks in turn, then the main one alone chooses the threshold and saves the model."""
    shutil.copytree(tiny_home / "stamps", tmp_path / "stamps")
    script = str(TINY.with_name("tiny_train_command.py"))
    main, other = run_two(script, str(tmp_path / "out"), VGS_HOME=str(tmp_path))
    assert f"Saved {tmp_path / 'out/model'}" in main and "Saved" not in other
    assert (tmp_path / "out/model/model.json").is_file()
