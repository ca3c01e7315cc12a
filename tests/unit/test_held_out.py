"""Held-out scenes: their cached features give what the scenes give one by one, and nothing of the training split."""

import dataclasses

import pytest
import tiny_stamps
import torch
from tiny_training import TinyImages

from vgs_lib.batches.held_out import HeldOut
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.stamps import Stamps
from vgs_lib.encoders import DAVEnet
from vgs_lib.evaluation import evaluate as figures_of
from vgs_lib.evaluation import figures_of_maps, trial_of
from vgs_lib.model import DualEncoder
from vgs_lib.seeds import seeded
from vgs_lib.studies.scene_study import SceneStudy


def model() -> DualEncoder:
    with seeded(0, "model"):
        return DualEncoder(TinyImages(), DAVEnet(width=1 / 32, dim=8)).eval()


@pytest.mark.parametrize("words", [False, True])
def test_maps_equal_those_of_each_scene_alone(home, words):
    scenes = Scenes(Stamps.open(home), "test", size=32)
    held_out, net = HeldOut(scenes, 6, words=words), model()
    done = [event.done for event in held_out.fill(net)]
    assert done == [6, 6]
    image_maps, audio_maps, lengths = held_out.embed(net)
    assert len(image_maps) == len(audio_maps) == len(lengths) == 6
    for i in range(6):
        scene = scenes[4 * i] if words else scenes[i]
        with torch.no_grad():
            alone = net.embed_image(torch.from_numpy(scene.picture).permute(2, 0, 1)[None])
            audio, frames = net.embed_waveforms([torch.from_numpy(scene.waveform)])
        torch.testing.assert_close(image_maps[i], alone[0], atol=2e-3, rtol=2e-3)
        assert lengths[i] == frames[0]
        torch.testing.assert_close(audio_maps[i, :, : frames[0]], audio[0], atol=5e-3, rtol=5e-2)


def test_figures_are_those_of_evaluate_up_to_half_precision(home):
    stamps, net = Stamps.open(home), model()
    held_out = HeldOut(Scenes(stamps, "test"), 8)
    list(held_out.fill(net))
    trial = trial_of(stamps, "test", num_scenes=8)
    ours = figures_of_maps(net, *held_out.embed(net), held_out.trial(), threshold=0.5)
    theirs = figures_of(net, trial, threshold=0.5)
    assert ours["num_words"] == theirs["num_words"] and ours["pointing_chance"] == theirs["pointing_chance"]
    assert abs(ours["pointing"] - theirs["pointing"]) <= 1 / ours["num_words"] + 1e-9


def test_a_model_without_maps_has_no_pointing(home):
    net = model()
    net.audio_encoder.pooled = True
    held_out = HeldOut(Scenes(Stamps.open(home), "test", size=32), 4)
    list(held_out.fill(net))
    figures = figures_of_maps(net, *held_out.embed(net), held_out.trial())
    assert net.pooled and "speech_to_image" in figures and "pointing" not in figures and "threshold" not in figures


def test_classes_are_the_names_that_are_said(home):
    scenes = Scenes(Stamps.open(home), "test", size=32)
    held_out = HeldOut(scenes, 12)
    for i, names in enumerate(held_out.classes):
        assert names == tuple(sorted(scenes.stamps.concept(w.concept).key for w in scenes[i].words if w.concept))
    same = held_out.same_class
    assert same.diagonal().all()
    assert bool(same[0, 4]) == (held_out.classes[0] == held_out.classes[4])


def test_the_banks_of_two_splits_and_two_front_ends_are_apart(home):
    stamps, net = Stamps.open(home), model()
    test = HeldOut(Scenes(stamps, "test", size=32), 4)
    hard = HeldOut(Scenes(stamps, "test-hard", size=32), 4)
    words = HeldOut(Scenes(stamps, "test", size=32), 4, words=True)
    folders = [bank.folder for held_out in (test, hard, words) for bank in held_out._banks(net)]
    assert len(set(folders)) == 6
    net.audio_encoder.front_end = dataclasses.replace(net.audio_encoder.front_end, num_bands=40, fmin=50.0)
    assert test._banks(net)[1].folder not in folders and test._banks(net)[0].folder in folders


def test_a_study_of_scenes_trains_on_training_voices_and_judges_on_validation(home, monkeypatch):
    from tiny_commands import RECIPE

    from vgs_lib.batches.scene_batches import SceneData

    tiny_stamps.use_voices(
        monkeypatch, (*tiny_stamps.VOICES, dataclasses.replace(tiny_stamps.TEST, split="validation"))
    )
    plan = dataclasses.replace(RECIPE, data=SceneData(num_scenes=16, batch_size=4))
    study = SceneStudy(Stamps.open(home), plan, num_validation=6)
    prepared = study.prepare(plan)
    assert prepared.batches.batches.scenes.split == "train" and study.validation.scenes.split == "validation"
    names = [event.name for event in prepared.batches.fill()]
    assert "held-out-pictures" in names and "held-out-speech" in names
    figures = prepared.evaluate(prepared.model.eval())
    assert figures.keys() == prepared.chance.keys() and all(0 <= value <= 1 for value in figures.values())
