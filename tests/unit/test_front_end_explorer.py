"""The explorer of front ends without a browser: what it draws is what the library makes; conflicts are sentences."""

from dataclasses import fields

import numpy as np
import pytest
import torch
import toy_tour as toy

from vgs_lib.errors import AudioError
from vgs_lib.front_ends import LogMel, Mfcc
from vgs_lib.widgets import FrontEndController
from vgs_lib.widgets.front_end_explorer import PARAMETERS


@pytest.fixture
def explorer():
    return FrontEndController(toy.clips())


def drawn(explorer):
    content, data = explorer.message()
    shapes = content["log_mel"]["shape"], content["mfcc"]["shape"]
    log_mel, mfcc = (np.frombuffer(raw, np.float32).reshape(shape) for raw, shape in zip(data[2:], shapes, strict=True))
    return content, log_mel, mfcc


def test_every_parameter_of_both_front_ends_can_be_changed():
    names = {field.name for kind in (LogMel, Mfcc) for field in fields(kind)}
    assert {parameter.name for parameter in PARAMETERS} == names
    for parameter in PARAMETERS:
        shared = all(parameter.name in {field.name for field in fields(kind)} for kind in (LogMel, Mfcc))
        assert (parameter.group == "both") == shared and parameter.help.endswith(".")


def test_what_is_drawn_is_what_the_library_makes(explorer):
    content, log_mel, mfcc = drawn(explorer)
    waveform = torch.from_numpy(toy.say("red"))
    np.testing.assert_array_equal(log_mel, LogMel()([waveform])[0][0].numpy())
    np.testing.assert_array_equal(mfcc, Mfcc()([waveform])[0][0].numpy())
    assert content["code"] == ["LogMel()", "Mfcc()"] and content["words"] == [["red", 0.2, 0.8]]
    assert content["log_mel"]["range"] == [-80.0, 0.0] and content["hop"] == 0.01
    tone = content["centres"][int(log_mel[:, 20:80].mean(axis=1).argmax())]
    assert tone == pytest.approx(toy.TONES["red"], abs=60)


@pytest.mark.parametrize(
    ("name", "value", "log_mel", "mfcc"),
    [
        ("hop_seconds", 0.02, (40, 51), (13, 51)),
        ("num_bands", 24, (24, 101), (13, 101)),
        ("deltas", 2, (40, 101), (39, 101)),
        ("num_coefficients", 20, (40, 101), (20, 101)),
        ("max_frames", 64, (40, 64), (13, 64)),
        ("sample_rate", 22050, (40, 100), (13, 100)),  # a hop of 220 samples: round(220.5) to even
    ],
)
def test_each_setting_changes_the_shape_as_it_should(explorer, name, value, log_mel, mfcc):
    if name == "sample_rate":
        explorer.set("n_fft", 1024)
    explorer.set(name, value)
    _, first, second = drawn(explorer)
    assert first.shape[0] == log_mel[0] and second.shape[0] == mfcc[0]
    assert abs(first.shape[1] - log_mel[1]) <= 1 and first.shape[1] == second.shape[1]
    assert getattr(explorer.mfcc if name in ("deltas", "num_coefficients") else explorer.log_mel, name) == value
    assert f"{name}={value}" in " ".join(explorer.code())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_fft": 256}, "400 samples, but n_fft is 256"),
        ({"sample_rate": 22050}, "551 samples, but n_fft is 400"),
        ({"fmax": 11025}, "above 8000 Hz, half the sample rate"),
        ({"fmin": 2000, "fmax": 2000}, "not below"),
        ({"num_coefficients": 50}, "50 coefficients cannot come from 40 filters"),
        ({"hop_seconds": 1.0}, "expected 0.002 to 0.05"),
        ({"hop_seconds": "long"}, "expected a number"),
        ({"window": "flat"}, "expected one of"),
        ({"colour": 1}, "no such parameter"),
    ],
)
def test_what_cannot_be_together_is_a_sentence_not_an_error(explorer, settings, words):
    for name, value in settings.items():
        explorer.set(name, value)
    content, data = explorer.message()
    assert words in content["problem"] and len(data) == 1  # the sound alone
    explorer.reset()
    assert explorer.message()[0]["problem"] == ""


def test_every_single_choice_is_drawn_or_explained(explorer):
    for parameter in PARAMETERS:
        for value in parameter.choices or (parameter.low, (parameter.low + parameter.high) / 2, parameter.high):
            explorer.reset()
            explorer.set(parameter.name, value)
            content, data = explorer.message(sound=False)
            assert content["problem"] or len(data) == 3, (parameter.name, value)
            if not content["problem"]:
                assert np.isfinite(np.frombuffer(data[1], np.float32)).all()


def test_odd_settings_are_noted(explorer):
    assert explorer.notes() == []
    explorer.set("num_bands", 128)
    explorer.set("hop_seconds", 0.05)
    explorer.set("fmax", 2000)
    bands, hop = explorer.notes()
    assert "of 128 bands" in bands and "longer than the window" in hop


def test_own_sounds_are_shown_and_bad_ones_refused(explorer):
    explorer.show(toy.say("blue", rate=8000), 8000, title="mine")
    content, log_mel, _ = drawn(explorer)
    assert content["title"] == "mine" and content["clip"] == "" and log_mel.shape == (40, 101)
    with pytest.raises(AudioError, match="silent"):
        explorer.show(np.zeros(8000), 16000)
    with pytest.raises(AudioError, match="at most 30 s"):
        explorer.show(np.tile(toy.say("red"), 40), 16000)
    explorer.choose("nothing")
    assert "no clip" in explorer.problem


def test_without_clips_it_waits():
    content, data = FrontEndController([]).message()
    assert content["problem"] == "Choose a clip." and len(data) == 1
