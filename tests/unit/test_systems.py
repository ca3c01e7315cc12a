"""Every system of the documents: named, built at its own and at a smaller size, with the document's settings."""

import dataclasses

import pytest
import torch

from vgs_lib import recipes
from vgs_lib.errors import TrainingError
from vgs_lib.recipes import SYSTEMS, Scale, recipe, scaled
from vgs_lib.recipes.building import AUDIO_ENCODERS
from vgs_lib.recipes.published import published

TINY = Scale(width=1 / 16, dim=16, frames=400, pictures="lite0")


def test_names_begin_with_their_document_and_are_all_there():
    names = recipes.names()
    assert names[:2] == ["stamps-demo", "stamps-scratch"] and len(set(names)) == len(names)
    for name, system in SYSTEMS.items():
        assert system.name == name and recipe(name) is system and system.document
    firsts = {name.split("-")[0] for name in SYSTEMS}
    assert firsts == {"ni2018", "zhang2020", "harwath2019", "tian2020", "chrupala2017", "scharenborg2020", "merkx2019"}


def test_every_published_row_has_a_recipe():
    assert {row.system for row in published()} <= SYSTEMS.keys()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("harwath2019-sisa-shn", {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 1e-3, "decay_factor": 10.0}),
        ("harwath2019-sisa-shn-imagenet", {"optimizer": "sgd", "learning_rate": 1e-2}),
        ("ni2018-baseline", {"optimizer": "adam", "learning_rate": 2.5e-4, "schedule": "step", "decay_factor": 2.0}),
        ("zhang2020-vgg19-6", {"optimizer": "adam", "learning_rate": 1e-4, "betas": (0.5, 0.9)}),
        ("harwath2019-sisa-shn-sounds", {"learning_rate": 3e-2}),
        ("harwath2019-vgg-sisa-shn", {"learning_rate": 1e-3}),
        ("harwath2019-vgg-sisa-shn-sounds", {"learning_rate": 1e-3}),
        ("tian2020", {"optimizer": "adam", "learning_rate": 1e-4, "weight_decay": 1e-5, "betas": (0.95, 0.999)}),
        ("tian2020-dscmr", {"optimizer": "adam", "learning_rate": 1e-4, "weight_decay": 0, "betas": (0.5, 0.999)}),
        (
            "merkx2019",
            {"optimizer": "adam", "schedule": "cyclic", "learning_rate": 2e-4, "lowest_learning_rate": 1e-6},
        ),
        ("chrupala2017", {"optimizer": "adam", "learning_rate": 2e-4, "gradient_clip": 2.0}),
    ],
)
def test_settings_are_the_documents(name, wanted):
    fit = dataclasses.asdict(recipe(name).fit)
    assert {key: fit[key] for key in wanted} == wanted


def test_batches_and_decays_are_the_documents():
    batch = {name: system.data.batch_size for name, system in SYSTEMS.items()}
    assert batch["harwath2019-misa"] == 80 and batch["zhang2020-vgg16-5"] == 4 and batch["tian2020"] == 64
    assert batch["merkx2019"] == 32
    assert batch["chrupala2017"] == 32


def test_runs_are_as_long_as_the_documents():
    """Steps of the epochs that a document gives, of its pairs in its batches; decays and cycles in the same epochs."""
    fit = {name: system.fit for name, system in SYSTEMS.items()}
    harwath, ni, tcn = fit["harwath2019-sisa"], fit["ni2018-baseline"], fit["ni2018-tcn"]
    assert (harwath.steps, harwath.decay_every) == (40 * 5000, 30 * 5000)
    assert (ni.steps, ni.decay_every) == (10 * 859, 5 * 859)
    assert (tcn.steps, tcn.decay_every) == (10 * 234, 5 * 234)
    assert fit["zhang2020-vgg19-5"].steps == 150 * 7500
    assert fit["tian2020"].steps == 120 * 88_550 // 64
    assert (fit["merkx2019"].steps, fit["merkx2019"].cycle_steps) == (32 * 30_000 // 32, 4 * 30_000 // 32)
    assert fit["chrupala2017"].steps == 25 * 30_000 // 32


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_trains_a_step_at_a_small_size(name):
    system = scaled(recipe(name), TINY)
    if system.audio.name == "text":
        system.audio.options["vocabulary"] = ["a", "dog", "cat"]
    if system.num_classes:
        system = dataclasses.replace(system, num_classes=4)
    torch.manual_seed(0)
    model = recipes.build_model(system).train()
    batch = tiny_batch(model)
    loss, figures = system.loss(model, batch, 0, torch.Generator().manual_seed(0))
    loss.backward()
    assert torch.isfinite(loss) and loss > 0 and figures
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    reached = {name for name, p in trained.items() if p.grad is not None and p.grad.abs().sum() > 0}
    for side in ("image_encoder", "audio_encoder"):
        assert any(name.startswith(side) for name in reached), side
    if model.loss_head is not None and list(model.loss_head.parameters()):
        assert any(name.startswith("loss_head") for name in reached)


def tiny_batch(model):
    """Four pairs of pictures of 64 x 64 as the model takes them, and sounds or texts."""
    from vgs_lib.batches.frozen_features import speech_features
    from vgs_lib.batches.text_batches import reads_text
    from vgs_lib.data.loading import collate

    generator = torch.Generator().manual_seed(1)
    pictures = torch.rand(4, 3, 64, 64, generator=generator)
    maps = model.image_encoder.features(pictures)
    if reads_text(model.audio_encoder):
        numbers, lengths = model.audio_encoder.front_end(["a dog", "a cat", "dog cat a", "cat"])
        heard = [row[:, :length] for row, length in zip(numbers, lengths.tolist(), strict=True)]
    else:
        sounds = [torch.randn(n, generator=generator) for n in (9000, 16000, 7000, 12000)]
        heard = speech_features(model.audio_encoder, sounds)
    return collate(
        [tuple(level[i] for level in maps) for i in range(4)],
        heard,
        labels=list("abcd"),
        classes=[0, 1, 2, 3],
        pad_value=model.audio_encoder.front_end.pad_value,
        image_is_features=True,
    )


def test_a_scale_changes_size_and_nothing_else():
    system = recipe("tian2020")
    small = scaled(system, Scale(width=0.5, dim=64, frames=300))
    assert small.audio.options["width"] == 0.5 and small.audio.options["dim"] == small.image.options["dim"] == 64
    assert small.audio.options["front_end"] == {"name": "tian2020", "max_frames": 300}
    assert small.image.options["backbone"] == "resnet101" and (small.loss, small.fit) == (system.loss, system.fit)
    assert scaled(system, Scale()) == system
    other = scaled(system, Scale(pictures="lite0"))
    assert other.image.options["backbone"] == "lite0" and other.image.options["frozen"]
    assert other.image.options["attention"] == "B3" and other.audio == system.audio
    twice = scaled(scaled(system, Scale(width=0.5, frames=300)), Scale(width=0.5, frames=200))
    assert twice.audio.options["width"] == 0.25
    assert twice.audio.options["front_end"] == {"name": "tian2020", "max_frames": 200}


@pytest.mark.parametrize("wrong", [{"width": 0}, {"width": 9}, {"dim": 0}, {"frames": 0}])
def test_a_scale_that_cannot_be_is_refused(wrong):
    with pytest.raises(TrainingError, match=next(iter(wrong))):
        Scale(**wrong)


def test_every_speech_encoder_of_the_documents_is_in_a_recipe():
    used = {system.audio.name for system in SYSTEMS.values()}
    theirs = "davenet davenet_pooled resdavenet recurrent pyramid conv_recurrent highway temporal text"
    assert used == set(theirs.split()) and used <= AUDIO_ENCODERS.keys()
