"""What each system is made of: encoders, similarity, loss with its margin, and the size of the embedding."""

from dataclasses import replace

import pytest
import torch

from vgs_lib.recipes import SYSTEMS, Part, build_model, recipe
from vgs_lib.recipes.parts import PRETRAINABLE

ONE, FIFTH, GAMMA = {"margin": 1.0}, {"margin": 0.2}, {"gamma": 13.0}


def fc7(dim=1024, **options):
    return "pooled_pictures", {"backbone": "vgg16_fc7", "frozen": True, "dim": dim, **options}


def resnet101(attention):
    return "pooled_pictures", {"backbone": "resnet101", "attention": attention, "batch_norm": True, "dim": 2048}


def maps(backbone, pretrained):
    return "conv_map", {"backbone": backbone, "pretrained": pretrained}


def heard(encoder, front_end, **options):
    return encoder, {"front_end": front_end, **options}


def temporal(**options):
    return fc7(), heard("temporal", "ni2018", **options), "dot", "sampled_triplet", ONE


def zhang(network, speech, **options):
    return maps(network, True), heard(speech, "zhang2020", **options), "misa", "all_pairs_hinge", ONE


def harwath(kind, loss, speech="resdavenet", pictures=("resnet50", False)):
    return maps(*pictures), heard(speech, "harwath2019"), kind, loss, ONE


def reading(kind, loss, pretrained=False):
    return maps("resnet50", pretrained), ("text", {"vocabulary": []}), kind, loss, ONE


def tian(pictures="B3", speech="attention", loss=("masked_matching", GAMMA)):
    return resnet101(pictures), heard("pyramid", "tian2020", cell="gru", pool=speech), "cosine", *loss


POOLED_CNN = heard("davenet_pooled", "ni2018")
TRIPLET, VGG = ("sampled_triplet", ONE), ("vgg16", False)
SIMILARITIES = ("sisa", "misa", "sima")
MADE_OF = {
    "ni2018-baseline": (fc7(), POOLED_CNN, "dot", "sampled_triplet", ONE),
    "ni2018-three-anchor": (fc7(), POOLED_CNN, "dot", "three_anchor_triplet", ONE),
    "ni2018-tcn": temporal(),
    "ni2018-tcn-after-1": temporal(position=1),
    "ni2018-tcn-after-2": temporal(position=2),
    "ni2018-tcn-after-3": temporal(position=3),
    "ni2018-gru": temporal(cell="gru"),
    "ni2018-lstm": temporal(cell="lstm"),
    "ni2018-tcn-alone": temporal(layout="alone"),
    "ni2018-tcn-appended": temporal(layout="appended"),
    **{f"zhang2020-{network}-5": zhang(network, "davenet", num_convs=5) for network in ("vgg16", "vgg19", "resnet50")},
    **{f"zhang2020-{network}-6": zhang(network, "davenet", num_convs=6) for network in ("vgg16", "vgg19", "resnet50")},
    **{f"zhang2020-vgg19-{cell}": zhang("vgg19", "recurrent", cell=cell) for cell in ("lstm", "gru")},
    **{f"harwath2019-{kind}": harwath(kind, "sampled_triplet") for kind in SIMILARITIES},
    **{f"harwath2019-{kind}-shn": harwath(kind, "shn") for kind in SIMILARITIES},
    **{f"harwath2019-{kind}-sounds": harwath(kind, "sampled_triplet") for kind in SIMILARITIES},
    **{f"harwath2019-text-{kind}": reading(kind, "sampled_triplet") for kind in SIMILARITIES},
    "harwath2019-text-sisa-shn": reading("sisa", "shn"),
    "harwath2019-text-sisa-shn-imagenet": reading("sisa", "shn", pretrained=True),
    "harwath2019-sisa-shn-sounds": harwath("sisa", "shn"),
    "harwath2019-sisa-shn-imagenet": harwath("sisa", "shn", pictures=("resnet50", True)),
    "harwath2019-vgg-sisa-shn": harwath("sisa", "shn", "davenet", VGG),
    "harwath2019-vgg-sisa-shn-sounds": harwath("sisa", "shn", "davenet", VGG),
    "chrupala2017": (fc7(normalize=True), heard("highway", "chrupala2017"), "cosine", "all_pairs_hinge", FIFTH),
    "scharenborg2020": (
        fc7(2048),
        heard("pyramid", "merkx2019", cell="lstm", pool="mean"),
        "cosine",
        "all_pairs_hinge",
        FIFTH,
    ),
    "merkx2019": (
        ("pooled_pictures", {"backbone": "resnet152", "frozen": True, "normalize": True, "crops": 10, "dim": 2048}),
        heard("conv_recurrent", "merkx2019"),
        "cosine",
        "all_pairs_hinge",
        FIFTH,
    ),
    "tian2020": tian(),
    "tian2020-triplet": tian(loss=TRIPLET),
    "tian2020-no-attention": tian("none", "mean"),
    "tian2020-no-image-attention": tian("none"),
    "tian2020-no-speech-attention": tian("B3", "mean"),
    "tian2020-attention-b4": tian("B4"),
    "tian2020-harwath": (resnet101("none"), heard("davenet_pooled", "harwath2019", dim=2048), "cosine", *TRIPLET),
    "tian2020-merkx": (resnet101("none"), heard("conv_recurrent", "merkx2019"), "cosine", *TRIPLET),
    **{f"tian2020-{name.replace('_', '-')}": tian("none", loss=(name, {})) for name in ("dscmr", "cmpm_cmpc", "timam")},
}
SIZES = {  # of the embedding, where it is not 1024
    **dict.fromkeys((name for name in SYSTEMS if name.startswith("tian2020")), 2048),
    "merkx2019": 2048,
    "scharenborg2020": 2048,
}
BEGINNINGS = {"harwath2019-sisa-shn-imagenet": "sound-classes"}


def test_every_system_is_here():
    assert MADE_OF.keys() == SYSTEMS.keys()


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_is_made_of_what_its_document_says(name):
    system = recipe(name)
    picture, speech, kind, loss, loss_options = MADE_OF[name]
    assert (system.image.name, system.image.options) == picture
    assert (system.audio.name, system.audio.options) == speech
    assert (system.kind, system.loss.name) == (kind, loss)
    assert getattr(system.loss, "options", {}) == loss_options
    sounds = "natural-sounds" if name.endswith("-sounds") else ""
    assert system.initial == BEGINNINGS.get(name, sounds)


@pytest.mark.parametrize("name", SYSTEMS)
def test_both_sides_embed_in_as_many_numbers_as_the_document_has(name):
    system = recipe(name)
    if system.image.name in PRETRAINABLE:  # sizes do not depend on the weights
        system = replace(system, image=Part(system.image.name, {**system.image.options, "pretrained": False}))
    with torch.device("meta"):
        model = build_model(system)
    assert model.image_encoder.dim == model.audio_encoder.dim == SIZES.get(name, 1024)
