"""Pre-training: resumed, repeatable, without anything held out; and its weights go into a model, and only they."""

import dataclasses
import json

import pytest
import soundfile
import tiny_stamps
import torch
from tiny_sounds import add_sounds

from vgs_lib.batches.banks import Filling
from vgs_lib.batches.natural_sounds import NaturalSounds, SoundData
from vgs_lib.batches.scene_batches import SceneData
from vgs_lib.data.stamps import Stamps
from vgs_lib.errors import CheckpointError, TrainingError
from vgs_lib.recipes import Part, Recipe, build_model, recipe
from vgs_lib.safe_files import read_tensors
from vgs_lib.studies import pretraining
from vgs_lib.studies.pretraining import Pretraining, folder_of, pretrain, transfer
from vgs_lib.studies.scene_study import SceneStudy
from vgs_lib.training import CheckpointEvent, FitSettings, StepEvent, StoppedEvent

KINDS = ("natural-sounds", "sound-classes")
SETTINGS = Pretraining(steps=4, sounds=SoundData(batch_size=4, takes=1))
PLAN = Recipe(
    name="tiny",
    image=Part("small_pictures", {"size": 64, "width": 1 / 16, "dim": 8}),
    audio=Part("resdavenet", {"width": 1 / 64, "dim": 8}),
    initial="natural-sounds",
    data=SceneData(num_scenes=16, batch_size=4),
    fit=FitSettings(steps=3, learning_rate=1e-2, checkpoint_every=2),
)


@pytest.fixture
def stamps(copy, tmp_path, monkeypatch):
    monkeypatch.setenv("VGS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VGS_RUNS", str(tmp_path / "runs"))
    voices = (*tiny_stamps.VOICES, dataclasses.replace(tiny_stamps.TEST, split="validation"))
    tiny_stamps.use_voices(monkeypatch, voices)
    return add_sounds(copy)


def fresh(plan=PLAN):
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return build_model(plan)


def weights(plan, stamps, settings=SETTINGS):
    return read_tensors(folder_of(plan, stamps, settings) / pretraining.WEIGHTS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_was_cut_off_ends_as_one_that_was_not(stamps, kind, tmp_path, monkeypatch):
    plan, events = dataclasses.replace(PLAN, initial=kind), []
    whole = [e for e in pretrain(plan, stamps, SETTINGS) if isinstance(e, StepEvent)]
    wanted, state = weights(plan, stamps)
    assert list(pretrain(plan, stamps, SETTINGS)) == []  # it is there
    monkeypatch.setenv("VGS_RUNS", str(tmp_path / "others"))
    cut = lambda: any(isinstance(e, CheckpointEvent) for e in events)
    for event in pretrain(plan, stamps, SETTINGS, should_stop=cut):
        events.append(event)
    assert isinstance(events[-1], StoppedEvent)
    with pytest.raises(CheckpointError, match="no such file"):
        weights(plan, stamps)
    list(pretrain(plan, stamps, SETTINGS))
    found, other = weights(plan, stamps)
    assert found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert other == state and state["losses"] == pytest.approx([e.loss for e in whole], abs=1e-4)
    sides = {"natural-sounds": {"image_encoder", "audio_encoder"}, "sound-classes": {"audio_encoder"}}[kind]
    assert {name.split(".")[0] for name in found} == sides


def test_another_process_waits_and_goes_on_where_this_one_was_stopped(stamps, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("VGS_RUNS", str(tmp_path / "whole"))
        list(pretrain(PLAN, stamps, SETTINGS))
        whole = weights(PLAN, stamps)[0]
    one = pretrain(PLAN, stamps, SETTINGS)
    next(event for event in one if isinstance(event, CheckpointEvent))  # it is at work
    waiting = pretrain(PLAN, stamps, SETTINGS)
    assert next(waiting) == Filling("pretraining-natural-sounds", 2, 4)
    assert [type(e) for e in pretrain(PLAN, stamps, SETTINGS, should_stop=lambda: True)] == [Filling, StoppedEvent]
    one.close()
    steps = [event.step for event in waiting if isinstance(event, StepEvent)]
    assert steps == [3, 4]
    found = weights(PLAN, stamps)[0]
    assert all(torch.equal(found[name], whole[name]) for name in whole)


def test_who_waited_for_weights_that_were_made_trains_nothing(stamps):
    one, waiting = pretrain(PLAN, stamps, SETTINGS), pretrain(PLAN, stamps, SETTINGS)
    next(event for event in one if isinstance(event, StepEvent))
    assert isinstance(next(waiting), Filling)
    list(one)
    assert list(waiting) == []


@pytest.mark.parametrize(("text", "said"), [("[1.0]", "expected the losses of 2 steps, found 1"), ("{", "damaged")])
def test_losses_that_do_not_reach_the_checkpoint_are_named(stamps, text, said):
    one = pretrain(PLAN, stamps, SETTINGS)
    next(event for event in one if isinstance(event, CheckpointEvent))
    one.close()
    folder = folder_of(PLAN, stamps, SETTINGS)
    (folder / "losses.json").write_text(text)
    with pytest.raises(TrainingError, match=rf"losses\.json: {said}.*; delete .* to start anew"):
        list(pretrain(PLAN, stamps, SETTINGS))


def test_the_losses_are_written_before_their_checkpoint(stamps, monkeypatch):
    """So that a process killed in between goes on with all of them."""
    written, real = [], pretraining.fit

    def watched(*arguments, **named):
        for event in real(*arguments, **named):
            if isinstance(event, CheckpointEvent):
                written.append((folder_of(PLAN, stamps, SETTINGS) / "losses.json").read_text())
            yield event

    monkeypatch.setattr(pretraining, "fit", watched)
    list(pretrain(PLAN, stamps, SETTINGS))
    assert [len(json.loads(text)) for text in written] == [2, 4]


def test_a_folder_is_of_all_that_the_weights_depend_on(stamps, tmp_path):
    for number in range(6):
        (tmp_path / f"{number}.mp4").write_bytes(b"film" * number)
    filmed = dataclasses.replace(SETTINGS, videos=str(tmp_path))
    names = {folder_of(PLAN, stamps, SETTINGS)}
    same = dataclasses.replace(
        PLAN, name="other", kind="sima", data=SceneData(), fit=dataclasses.replace(PLAN.fit, steps=99)
    )
    assert folder_of(same, stamps, SETTINGS) in names  # what comes after does not matter
    for change in (
        {"fit": dataclasses.replace(PLAN.fit, seed=1)},
        {"fit": dataclasses.replace(PLAN.fit, learning_rate=1e-3)},
        {"initial": "sound-classes"},
        {"audio": Part("davenet", {"width": 1 / 32, "dim": 8})},
        {"image": Part("small_pictures", {"size": 64, "width": 1 / 8, "dim": 8})},
    ):
        names.add(folder_of(dataclasses.replace(PLAN, **change), stamps, SETTINGS))
    names.add(folder_of(PLAN, stamps, dataclasses.replace(SETTINGS, steps=5)))
    names.add(folder_of(PLAN, stamps, filmed))
    for number in range(3):  # one of them is in the training split
        (tmp_path / f"{number}.mp4").write_bytes(b"other film")
    names.add(folder_of(PLAN, stamps, filmed))
    assert len(names) == 9
    classes = dataclasses.replace(PLAN, initial="sound-classes")
    assert folder_of(classes, stamps, filmed) == folder_of(classes, stamps, SETTINGS)  # classified are stamps' sounds


@pytest.mark.parametrize("kind", KINDS)
def test_no_voice_and_nothing_held_out_is_used(stamps, kind, monkeypatch):
    train, held_out = NaturalSounds(stamps), NaturalSounds(stamps, "validation")
    read, seen, picture = [], [], Stamps._picture
    real = soundfile.read
    monkeypatch.setattr(soundfile, "read", lambda path, *a, **k: (read.append(str(path)), real(path, *a, **k))[1])
    monkeypatch.setattr(Stamps, "_picture", lambda self, name: (seen.append(name), picture(self, name))[1])
    again = Stamps.open(stamps.folder)
    list(pretrain(dataclasses.replace(PLAN, initial=kind), again, SETTINGS))
    assert set(read) == {str(stamps.folder / concept.sound) for concept in train.things}
    assert not {concept.id for concept in held_out.things} & set(seen)
    assert bool(seen) == (kind == "natural-sounds")


@pytest.mark.parametrize("kind", KINDS)
def test_transfer_takes_exactly_the_weights_of_the_encoders(stamps, kind):
    plan = dataclasses.replace(PLAN, initial=kind)
    list(pretrain(plan, stamps, SETTINGS))
    model, trained = fresh(), weights(plan, stamps)[0]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    transfer(model, folder_of(plan, stamps, SETTINGS))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, trained.get(name, before[name])), name
    changed = {name for name in before if not torch.equal(before[name], model.state_dict()[name])}
    assert {"audio_encoder.conv1.weight", "audio_encoder.input_norm.running_mean"} <= changed
    assert "logit_scale" not in trained and torch.equal(model.logit_scale, before["logit_scale"])
    learnt = {"image_encoder.conv.weight", "image_encoder.network.0.weight"}
    assert learnt <= changed if kind == "natural-sounds" else not any(n.startswith("image") for n in changed)


def test_frozen_pictures_of_a_package_stay_and_are_not_stored(stamps):
    lite = Part("conv_map", {"backbone": "lite0", "frozen": True, "batch_norm": True, "dim": 8})
    plan = dataclasses.replace(PLAN, image=lite)
    list(pretrain(plan, stamps, SETTINGS))
    trained, model = weights(plan, stamps)[0], fresh(plan)
    assert {n for n in trained if n.startswith("image")} == {
        f"image_encoder.{n}"
        for n in ("conv.weight", "conv.bias", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked")
    }
    backbone = model.image_encoder.backbone.state_dict()
    before = {name: tensor.clone() for name, tensor in backbone.items()}
    transfer(model, folder_of(plan, stamps, SETTINGS))
    assert all(torch.equal(before[name], tensor) for name, tensor in backbone.items())
    assert torch.equal(model.image_encoder.conv.weight, trained["image_encoder.conv.weight"])


def test_weights_of_other_encoders_are_refused_by_name(stamps):
    list(pretrain(PLAN, stamps, SETTINGS))
    folder = folder_of(PLAN, stamps, SETTINGS)
    for part, other in (
        ("image", Part("small_pictures", {"size": 64, "width": 1 / 8, "dim": 8})),
        ("audio", Part("davenet", {"width": 1 / 32, "dim": 8})),
    ):
        model = fresh(dataclasses.replace(PLAN, **{part: other}))
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        with pytest.raises(CheckpointError, match=rf"encoders\.safetensors: .*{part}_encoder\.\w+"):
            transfer(model, folder)
        assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    (folder / pretraining.WEIGHTS).write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="damaged"):
        transfer(fresh(), folder)
    with pytest.raises(CheckpointError, match="no such file"):
        transfer(fresh(), folder / "not-there")


def test_a_study_makes_the_weights_when_its_batches_are_filled(stamps):
    study = SceneStudy(stamps, PLAN, num_validation=2, pretraining=SETTINGS)
    prepared = study.prepare(PLAN)
    with pytest.raises(TrainingError, match="not pre-trained yet"):
        prepared.batches[0]
    filled = [f for f in prepared.batches.fill() if f.name == "pretraining-natural-sounds"]
    assert [f.done for f in filled] == [1, 2, 3, 4] and isinstance(filled[0], Filling)
    trained = weights(PLAN, stamps)[0]
    for model in (prepared.model, study.prepare(PLAN).model):
        assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in trained.items())
    assert len(prepared.batches[0]) == 4
    plain = study.prepare(dataclasses.replace(PLAN, initial=""))
    assert "initial" in prepared.batches.settings and "initial" not in plain.batches.settings
    assert not torch.equal(plain.model.audio_encoder.conv1.weight, trained["audio_encoder.conv1.weight"])


def test_what_begins_with_nothing_or_reads_text_is_refused(stamps):
    with pytest.raises(TrainingError, match="initial: found ''"):
        list(pretrain(dataclasses.replace(PLAN, initial=""), stamps, SETTINGS))
    text = dataclasses.replace(recipe("harwath2019-text-sisa-shn"), initial="natural-sounds")
    with pytest.raises(TrainingError, match="text side"):
        list(pretrain(text, stamps, SETTINGS))
    with pytest.raises(CheckpointError, match="initial is 'films'"):
        build_model(dataclasses.replace(PLAN, initial="films"))
    with pytest.raises(TrainingError, match="steps: found 0"):
        Pretraining(steps=0)


def test_the_classifier_reads_the_maximum_over_valid_frames(stamps):
    classifier = pretraining.SoundClassifier(fresh().audio_encoder, 5).eval()
    from vgs_lib.data.loading import Batch

    sounds, lengths = torch.randn(2, 40, 64), torch.tensor([64, 33])
    both = classifier(Batch((), sounds, lengths))
    alone = classifier(Batch((), sounds[1:, :, :33], lengths[1:]))
    assert both.shape == (2, 5) and torch.allclose(both[1], alone[0], atol=1e-5)
    maps, valid = classifier.audio_encoder(sounds, lengths)
    best = torch.stack([maps[i, :, : valid[i]].max(dim=1).values for i in range(2)])
    assert torch.allclose(both, classifier.head(best), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_falls(stamps, kind):
    plan = dataclasses.replace(PLAN, initial=kind)
    settings = dataclasses.replace(SETTINGS, steps=60)
    list(pretrain(plan, stamps, settings))
    losses = weights(plan, stamps, settings)[1]["losses"]
    assert len(losses) == 60 and sum(losses[-10:]) < 0.7 * sum(losses[:10])
