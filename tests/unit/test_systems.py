"""Every system of the documents: named, built at its own and at a smaller size, with the document's settings."""

import dataclasses
import math

import pytest
import torch
import torchaudio
from test_encoders_whisper import small_wav2vec

from vgs_lib import recipes
from vgs_lib.errors import TrainingError
from vgs_lib.losses import all_pairs_hinge
from vgs_lib.recipes import SYSTEMS, Part, Scale, recipe, scaled
from vgs_lib.recipes.building import AUDIO_ENCODERS
from vgs_lib.recipes.published import published
from vgs_lib.training import StepEvent, fit
from vgs_lib.training.state import learning_rate_factor

TINY = Scale(width=1 / 16, dim=16, frames=400, pictures="lite0")


def test_names_begin_with_their_document_and_are_all_there():
    names = recipes.names()
    assert names[:2] == ["stamps-demo", "stamps-scratch"] and len(set(names)) == len(names)
    for name, system in SYSTEMS.items():
        assert system.name == name and recipe(name) is system and system.document
    firsts = {name.split("-")[0] for name in SYSTEMS}
    assert firsts == {"ni2018", "zhang2020", "harwath2019", "tian2020", "chrupala2017", "scharenborg2020", "merkx2019"}


ENDINGS = {"natural sounds": "-sounds", "ImageNet": "-imagenet", "ImageNet and AudioSet": "-imagenet"}


def test_every_published_row_has_a_recipe():
    """Of its system and, in harwath2019, of what the encoders began with."""
    assert {row.system for row in published()} <= SYSTEMS.keys()
    harwath = [row for row in published() if row.system.startswith("harwath2019")]
    assert {row.system + ENDINGS.get(row.initialisation, "") for row in harwath} <= SYSTEMS.keys()


def test_a_system_of_a_table_of_harwath2019_begins_with_what_its_row_there_began_with():
    """Systems from other weights than those of the table's row say so, and name the system that has the row."""
    words = {"": "", "natural-sounds": "natural sounds", "sound-classes": "ImageNet and AudioSet"}
    rows = {(row.system, row.initialisation, row.source) for row in published() if row.system.startswith("harwath2019")}
    harwath = {name: system for name, system in SYSTEMS.items() if name.startswith("harwath2019")}
    for name, system in harwath.items():
        base = name.removesuffix("-sounds").removesuffix("-imagenet")
        if "Table" in system.document:
            pictures = "ImageNet" if system.image.options["pretrained"] else "none"
            assert (base, words[system.initial] or pictures, system.document) in rows, name
        elif any(row[0] == name for row in rows):
            assert f"({name}-sounds)" in system.chosen and f"{name}-sounds" in SYSTEMS
    random = {name for name, system in harwath.items() if not system.initial and system.document.endswith("Table 1")}
    assert random == {"harwath2019-sisa-shn"}


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
        ("chrupala2017", {"optimizer": "adam", "learning_rate": 2e-4, "gradient_clip": 2048.0}),
    ],
)
def test_settings_are_the_documents(name, wanted):
    fit = dataclasses.asdict(recipe(name).fit)
    assert {key: fit[key] for key in wanted} == wanted


def test_chrupala2017_is_clipped_where_its_code_clips_the_gradient_of_a_mean_at_2():
    """Its code: the hinges of both directions without those of true pairs, their mean over the B x B scores."""
    system = recipe("chrupala2017")
    scores = torch.rand(32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    true, hinge = scores.diagonal(), lambda impostors, true: (0.2 + impostors - true).clamp(min=0)
    code = (hinge(scores, true) + hinge(scores, true[:, None])).fill_diagonal_(0).mean()
    ours = all_pairs_hinge(scores, **system.loss.options)
    of_code, of_ours = (torch.autograd.grad(loss, scores, retain_graph=True)[0].norm().item() for loss in (code, ours))
    assert system.fit.gradient_clip / of_ours == pytest.approx(2 / of_code)


BATCHES = {"harwath2019": 80, "zhang2020": 4, "tian2020": 64, "ni2018": 128}  # of the others 32
DECAYS = {"tian2020": 1e-5, "tian2020-dscmr": 0.0}
BETAS = {"zhang2020": (0.5, 0.9), "tian2020": (0.95, 0.999), "tian2020-dscmr": (0.5, 0.999)}


@pytest.mark.parametrize("name", SYSTEMS)
def test_batches_and_moments_are_the_documents(name):
    system, document = SYSTEMS[name], name.split("-")[0]
    ours = lambda settings, other: settings.get(name, settings.get(document, other))
    assert system.data.batch_size == ours(BATCHES, 32)
    assert system.fit.weight_decay == ours(DECAYS, 0.0)
    if document == "harwath2019":
        assert (system.fit.optimizer, system.fit.momentum) == ("sgd", 0.9)
    else:
        assert (system.fit.optimizer, system.fit.betas) == ("adam", ours(BETAS, (0.9, 0.999)))
    assert system.fit.gradient_clip == (2048.0 if document == "chrupala2017" else None)


@pytest.mark.parametrize("name", SYSTEMS)
def test_rates_change_when_the_documents_do(name):
    """harwath2019 divides by 10 after 30 epochs, ni2018 by 2 after 5; merkx2019 goes round, the others stay."""
    settings, document = SYSTEMS[name].fit, name.split("-")[0]
    last = settings.steps - 1
    changes = {
        "harwath2019": {0: 1.0, 30 * 5000 - 1: 1.0, 30 * 5000: 0.1, last: 0.1},
        "ni2018": {0: 1.0, settings.steps // 2 - 1: 1.0, settings.steps // 2: 0.5, last: 0.5},
        "merkx2019": {0: 0.005, 1875: 1.0, 3750: 0.005, 5625: 1.0},
    }
    wanted = changes.get(document, {0: 1.0, last // 2: 1.0, last: 1.0})
    assert {step: learning_rate_factor(step, settings) for step in wanted} == pytest.approx(wanted)


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


def unreached(system) -> set[str]:
    """The parameters whose gradient at the first step is 0 but for rounding, each for its reason."""
    found = set()
    if system.audio.name == "highway":  # one number for the scores of all frames leaves their softmax as it is
        found.add("audio_encoder.pool.score.bias")
    if system.audio.name == "conv_recurrent" or system.audio.options.get("pool") == "attention":  # the same
        found.add("audio_encoder.pool.attention.score.bias")
    if system.audio.name == "resdavenet":  # the batch normalisation behind conv1, which has no bias, takes a shift out
        found.add("audio_encoder.input_norm.bias")
    if system.image.name == "conv_map" and system.loss.name == "all_pairs_hinge":
        # It adds one number to all scores of a caption, and while every hinge is open each is taken as often as given.
        found.add("image_encoder.conv.bias")
    return found


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_trains_a_step_at_a_small_size(name):
    """With its document's optimizer; in float64, where a gradient of 0 is told from a small one."""
    system = scaled(recipe(name), TINY)
    if system.audio.name == "text":
        system.audio.options["vocabulary"] = ["a", "dog", "cat"]
    if system.num_classes:
        system = dataclasses.replace(system, num_classes=4)
    torch.manual_seed(0)
    model = recipes.build_model(system)
    batch = tiny_batch(model)
    model.double()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    step, _ = fit(model, {0: batch}, system.loss, dataclasses.replace(system.fit, steps=1, device="cpu"))
    assert step.loss > 0 and step.extra

    after = dict(model.named_parameters())
    trained = {name: parameter.grad for name, parameter in after.items() if parameter.requires_grad}
    # No document's loss has a learnt temperature.
    assert {name for name, gradient in trained.items() if gradient is None} == {"logit_scale"}
    largest = {name: gradient.abs().max().item() for name, gradient in trained.items() if gradient is not None}
    assert all(map(math.isfinite, largest.values()))
    threshold = 1e-9 * max(largest.values())
    assert {name for name, size in largest.items() if size < threshold} == unreached(system)
    moved = {name for name, parameter in after.items() if not torch.equal(parameter, before[name])}
    assert moved - unreached(system) == trained.keys() - unreached(system) - {"logit_scale"}


@pytest.mark.parametrize("bundle", ["HUBERT_BASE", "WAV2VEC2_BASE"])
def test_a_recipe_hears_through_a_self_supervised_encoder(bundle, monkeypatch):
    """Its weights are asked for by name and stay as they are at every scale; the layers over them learn."""
    asked = []
    give = lambda pipeline, **_: asked.append(pipeline) or small_wav2vec()
    monkeypatch.setattr(type(torchaudio.pipelines.HUBERT_BASE), "get_model", give)
    speech = Part("torchaudio", {"bundle": bundle, "layers": [1, 3], "pooling_frames": 4, "dim": 1024})
    system = scaled(dataclasses.replace(recipe("harwath2019-misa-shn"), audio=speech), TINY)
    torch.manual_seed(0)
    model = recipes.build_model(system)
    assert asked == [getattr(torchaudio.pipelines, bundle)] and model.audio_encoder.dim == 16
    before = {name: parameter.detach().clone() for name, parameter in model.audio_encoder.named_parameters()}
    settings = dataclasses.replace(system.fit, steps=1, device="cpu")
    (step,) = (e for e in fit(model, {0: tiny_batch(model)}, system.loss, settings) if isinstance(e, StepEvent))
    assert step.loss > 0
    moved = {name for name, p in model.audio_encoder.named_parameters() if not torch.equal(p, before[name])}
    assert moved and all(name.startswith("head.") for name in moved)


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


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_width_makes_a_system_smaller_and_its_embeddings_no_shorter(name):
    sizes = []
    for plan in (recipe(name), scaled(recipe(name), Scale(width=0.25))):
        random = {**plan.image.options, "pretrained": False}
        audio = {**plan.audio.options, **({"vocabulary": ["a"]} if plan.audio.name == "text" else {})}
        plan = dataclasses.replace(
            plan, image=Part(plan.image.name, random), audio=Part(plan.audio.name, audio), num_classes=4
        )
        with torch.device("meta"):
            model = recipes.build_model(plan)
        encoders = (model.image_encoder, model.audio_encoder)
        sizes.append([model.image_encoder.dim, *(sum(p.numel() for p in encoder.parameters()) for encoder in encoders)])
    (dim, picture, speech), (dim_, picture_, speech_) = sizes
    assert dim_ == dim and speech_ < speech
    trained_from_nothing = recipe(name).image.options.get("pretrained") is False
    assert (picture_ < picture / 8) if trained_from_nothing else picture_ == picture


@pytest.mark.parametrize("wrong", [{"width": 0}, {"width": 9}, {"dim": 0}, {"frames": 0}])
def test_a_scale_that_cannot_be_is_refused(wrong):
    with pytest.raises(TrainingError, match=next(iter(wrong))):
        Scale(**wrong)


def test_every_speech_encoder_of_the_documents_is_in_a_recipe():
    used = {system.audio.name for system in SYSTEMS.values()}
    theirs = "davenet davenet_pooled resdavenet recurrent pyramid conv_recurrent highway temporal text"
    assert used == set(theirs.split()) and used <= AUDIO_ENCODERS.keys()
