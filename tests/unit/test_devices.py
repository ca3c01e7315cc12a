"""What a GPU and several processes need, as far as a CPU can show it: devices, types, clocks, one process or many."""

import json
import time
from types import SimpleNamespace

import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer
from test_reproduce import CONDITIONS, SYSTEM, make
from tiny_commands import check_refused
from tiny_training import SETTINGS, TinyBatches, make_model
from torch import nn

from vgs_lib import machine
from vgs_lib.batches.frozen_features import picture_features, speech_features
from vgs_lib.batches.held_out import Maps
from vgs_lib.benchmark.budgets import StepTimes, seconds_a_step
from vgs_lib.benchmark.records import comparable
from vgs_lib.encoders import DAVEnet, PretrainedSpeech
from vgs_lib.encoders.cross_attention import Reranker
from vgs_lib.encoders.layers import MaskedBatchNorm
from vgs_lib.encoders.recurrent import PyramidalRNN, Recurrent
from vgs_lib.errors import TrainingError
from vgs_lib.explain.sides import SoundSide
from vgs_lib.front_ends import LogMel
from vgs_lib.machine import exact_products, spent_on
from vgs_lib.search.reranking import rerank
from vgs_lib.studies.study import Prepared
from vgs_lib.training import FinishedEvent, FitSettings, StepEvent, fit
from vgs_lib.training.devices import on_cpu


def test_a_gpus_autocast_does_not_reach_recurrent_layers():
    encoder, seen = Recurrent(cell="gru", width=1 / 16, dim=8), []
    for module in encoder.modules():
        if isinstance(module, nn.RNNBase):
            module.register_forward_pre_hook(lambda *_: seen.append(torch.is_autocast_enabled("cuda")))
    before = torch.is_autocast_enabled("cuda")
    torch.set_autocast_enabled("cuda", True)
    try:
        encoder(torch.randn(2, encoder.front_end.num_bands, 30), torch.tensor([30, 20]))
        assert torch.is_autocast_enabled("cuda") and seen and not any(seen)
    finally:
        torch.set_autocast_enabled("cuda", before)


def test_recurrent_layers_that_are_looked_into_can_give_gradients_on_a_gpu():
    model = make_model()
    model.audio_encoder = PyramidalRNN(width=1 / 16, dim=8, pool=None).eval()
    side = SoundSide(model).eval()
    kinds = {
        isinstance(module, nn.RNNBase): module.training for module in side.modules() if not list(module.children())
    }
    assert kinds == {True: True, False: False}
    features = torch.randn(1, model.audio_encoder.front_end.num_bands, 40)
    expected = model.audio_encoder(features, torch.tensor([40]))[0]
    torch.testing.assert_close(side(features[:, None]), expected)


class Elsewhere(nn.Module):
    """An encoder whose weights are on another device, which its inputs must come to."""

    backbone_frozen = True

    def __init__(self):
        super().__init__()
        self.front_end = LogMel()
        self.weight = nn.Parameter(torch.empty(1, device="meta"))

    def features(self, x, lengths=None):
        assert x.device.type == "meta" and (lengths is None or lengths.device.type == "meta")
        if lengths is None:
            return (torch.ones(len(x), 5, 2, 2),)
        return torch.ones(len(x), 7, x.shape[-1]), torch.full((len(x),), x.shape[-1])


def test_features_are_computed_where_the_encoder_is_and_come_back():
    maps = picture_features(Elsewhere(), torch.zeros(3, 3, 8, 8, dtype=torch.uint8))
    assert len(maps) == 3 and maps[0][0].shape == (5, 2, 2) and maps[0][0].dtype == torch.float16
    heard = speech_features(Elsewhere(), [torch.zeros(4000), torch.zeros(1600)])
    assert [tuple(one.shape) for one in heard] == [(7, 26), (7, 26)]
    plain = speech_features(DAVEnet(width=1 / 32), [torch.zeros(4000)])  # a front end alone stays on the CPU
    assert plain[0].shape == (40, 26) and plain[0].device.type == "cpu"


def test_batch_statistics_of_speech_are_those_of_all_captions_together(monkeypatch):
    speech = PretrainedSpeech(dim=8, norm="batch", pooling=4).train()
    norms = [module for module in speech.head.modules() if isinstance(module, MaskedBatchNorm)]
    before = [int(norm.num_batches_tracked) for norm in norms]
    hidden = torch.randn(16, len(speech.cached_layers) * speech.encoder.width, 100)
    speech.project(hidden, torch.tensor([10, 100] * 8))  # short and long: cut in two where nothing is shared
    assert norms and [int(norm.num_batches_tracked) - n for norm, n in zip(norms, before, strict=True)] == [1] * len(
        norms
    )


def test_exact_products_and_what_was_allowed_before():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.allow_tf32 = True
    look = lambda *_: (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)
    try:
        with pytest.raises(KeyError), exact_products():
            assert look() == ("highest", False)
            raise KeyError
        judged = exact_products()(look)  # as often as it is called
        assert judged(None) == judged(None) == ("highest", False) and look() == ("medium", True)
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def test_a_float16_run_that_only_skips_is_ended(monkeypatch):
    """Overflow after overflow, as accelerate reports it; a step that is taken in between begins the count anew."""
    settings = FitSettings(**{**SETTINGS.__dict__, "steps": 80, "evaluate_every": 0})
    loss = lambda model, batch, step, generator: (model.logit_scale * 2.0, {})
    monkeypatch.setattr(AcceleratedOptimizer, "step_was_skipped", True)
    events = []
    with pytest.raises(TrainingError, match="step 31: the gradients were not finite in 31 steps one after another"):
        for event in fit(make_model(), TinyBatches(), loss, settings):
            events.append(event)
    assert len(events) == 30
    taken = iter([True] * 30 + [False] + [True] * 30 + [False] * 19)
    monkeypatch.setattr(AcceleratedOptimizer, "step_was_skipped", property(lambda self: next(taken)))
    assert isinstance(list(fit(make_model(), TinyBatches(), loss, settings))[-1], FinishedEvent)


def test_processes_that_do_not_know_of_one_another_are_refused(monkeypatch):
    assert on_cpu("cpu") and not on_cpu("cuda")
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    assert on_cpu(None), "several processes without a GPU are one group of gloo"
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    assert not on_cpu(None)


def test_reproduce_is_of_one_process(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "2")
    check_refused(capsys, ["reproduce", "tian2020", "--out", tmp_path], "several processes, expected one")


def test_another_device_has_a_clock_of_the_wall(monkeypatch):
    assert spent_on("cpu") is time.process_time
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda: time.sleep(0.05))  # what is computed elsewhere
    clock = spent_on("cuda")
    begin = clock()
    assert clock() - begin >= 0.05
    assert machine.machine("cpu")["device"] == "cpu" and "gpu" not in machine.machine("cpu")


def test_step_times_and_records_of_another_device_are_not_ours(world, tmp_path, monkeypatch):
    monkeypatch.setattr("vgs_lib.benchmark.budgets.seconds_a_step", lambda *args, **device: 2.0)
    here = StepTimes(tmp_path / "times.json", CONDITIONS)
    here.measure("a", None, SYSTEM)
    there = StepTimes(tmp_path / "times.json", CONDITIONS, "cuda")
    assert "a" in here and "a" not in there and here.steps("a") == 600 and there.steps("a") == 300
    one = make(world, tmp_path)
    list(one.run(SYSTEM, steps=2))
    elsewhere = make(world, tmp_path)
    elsewhere.device = "cuda"
    with pytest.raises(TrainingError, match=r"harwath2019-misa-0\.json: made under other conditions \(device\)"):
        list(elsewhere.run(SYSTEM, steps=2))
    record = json.loads(one.record_file(SYSTEM.name, 0).read_text()) | {"steps_were_asked_for": False}
    assert record["machine"]["device"] == "cpu"
    other = record | {"machine": {**record["machine"], "device": "cuda", "gpu": "a GPU"}}
    assert comparable([record, record, other]) == [record, record]


def test_a_step_is_timed_by_the_clock_of_its_device(monkeypatch):
    """What a device computes is time asleep for the processor."""

    def steps(*_):
        for number in range(4):
            time.sleep(0.02)
            yield StepEvent(number + 1, 0.0, 0.0, 0.0, 0.0, 0.0)

    monkeypatch.setattr("vgs_lib.benchmark.budgets.fit", steps)
    clocks = {"cuda": time.perf_counter, "cpu": time.process_time}
    monkeypatch.setattr("vgs_lib.benchmark.budgets.spent_on", clocks.__getitem__)
    study = SimpleNamespace(prepare=lambda plan: Prepared(None, None))
    plan = CONDITIONS.plan(SYSTEM, steps=8, seed=0)
    assert seconds_a_step(study, plan, 1, device="cuda") >= 0.02 > seconds_a_step(study, plan, 1)


def test_a_reranker_goes_to_the_maps(monkeypatch):
    moved = []
    monkeypatch.setattr(Reranker, "to", lambda self, device: (moved.append(device), self)[1])
    maps = Maps(
        torch.randn(4, 8, 2, 2), torch.randn(4, 8, 5), torch.full((4,), 5), torch.randn(4, 4), torch.eye(4).bool()
    )
    rerank(Reranker(8), maps, k=2, way="speech_to_image")
    assert moved == [maps.image.device]
