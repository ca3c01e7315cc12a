"""harwath2019: ResNet50 + ResDAVEnet and VGG16 + DAVEnet, three similarities, mined impostors, and the text models.

Settings of sections 4.4 and 4.6: SGD with momentum 0.9, batches of 80, margin 1; the learning rate is divided by 10
every 30 epochs of about 400,000 pairs, and training stops after 40. It is 0.001 from random weights and for VGG16, 0.01
from ImageNet and AudioSet, 0.03 from natural sounds ("-sounds"). It gives no rate for the text models; they take 0.001,
since their text side begins from random weights. The loss is the sum over a batch, as in equation 11; the published
code takes the mean, which with SGD is a step 80 times smaller. MISA and SIMA with mined impostors are what the document
calls impractical.

Names without "-sounds" or "-imagenet" begin from random weights. Table 1 has that start for "sisa-shn" alone; its other
rows are those of "-sounds". "sisa-shn-imagenet" begins with ImageNet's pictures and a stand-in for AudioSet's sounds,
"text-sisa-shn-imagenet" with the pictures alone. ``published.csv`` has each row under the name without an ending; its
``initialisation`` says what the encoders began with. The older systems of Table 2 have no recipe here. ni2018
says of harwath2017 that it has the network and the training of its baseline; no document tells harwath2016's network.
"""

from dataclasses import replace

from vgs_lib.batches.scene_batches import SceneData
from vgs_lib.recipes.recipe import NATURAL_SOUNDS, Part, Recipe
from vgs_lib.training import FitSettings, ScoreLoss

_EPOCH = 400_000 // 80
_FIT = FitSettings(
    optimizer="sgd",
    momentum=0.9,
    learning_rate=1e-3,
    weight_decay=0.0,
    schedule="step",
    decay_every=30 * _EPOCH,
    decay_factor=10.0,
    steps=40 * _EPOCH,
    gradient_clip=None,
)
_RESNET = Part("conv_map", {"backbone": "resnet50", "pretrained": False})
_VGG = Part("conv_map", {"backbone": "vgg16", "pretrained": False})
_SPEECH = Part("resdavenet", {"front_end": "harwath2019"})
_TEXT = Part("text", {"vocabulary": []})
_CHOSEN_TEXT = (
    "The vocabulary is made of the training captions' words, where the document has Google's transcripts; the learning "
    "rate, which it does not give, is that of random weights."
)


def _system(name: str, kind: str, loss: str, document: str, *, image: Part = _RESNET, audio: Part = _SPEECH) -> Recipe:
    return Recipe(
        name=f"harwath2019-{name}",
        image=image,
        audio=audio,
        kind=kind,
        loss=ScoreLoss(loss, options={"margin": 1.0}),
        data=SceneData(batch_size=80),
        fit=_FIT,
        document=document,
    )


_TABLE, _TEXTS = "harwath2019, Table 1", "harwath2019, Table 3"
_SHN = _system("sisa-shn", "sisa", "shn", _TABLE)
_TEXT_SHN = _system("text-sisa-shn", "sisa", "shn", _TEXTS, audio=_TEXT)
_VGG_SPEECH = Part("davenet", {"front_end": "harwath2019"})
_VGG_SHN = _system("vgg-sisa-shn", "sisa", "shn", _TABLE, image=_VGG, audio=_VGG_SPEECH)


def _from_nothing(system: Recipe) -> Recipe:
    return replace(
        system,
        document="harwath2019, sections 4.1 to 4.6",
        chosen=f"From random weights, where Table 1 has this one from natural sounds only ({system.name}-sounds).",
    )


def _from_sounds(system: Recipe, learning_rate: float) -> Recipe:
    return replace(
        system,
        name=f"{system.name}-sounds",
        initial=NATURAL_SOUNDS,
        fit=replace(_FIT, learning_rate=learning_rate),
        chosen="About eighty natural sounds stand in for those of two million videos.",
    )


SYSTEMS = (
    *(_from_nothing(_system(kind, kind, "sampled_triplet", _TABLE)) for kind in ("sisa", "misa", "sima")),
    _SHN,
    replace(
        _SHN,
        name="harwath2019-sisa-shn-imagenet",
        image=Part("conv_map", {"backbone": "resnet50", "pretrained": True}),
        fit=replace(_FIT, learning_rate=1e-2),
        initial="sound-classes",
        document="harwath2019, Table 2",
        chosen="The classes of about eighty natural sounds stand in for AudioSet's.",
    ),
    _system("misa-shn", "misa", "shn", "harwath2019, section 4.4: impractical there, made possible here"),
    _system("sima-shn", "sima", "shn", "harwath2019, section 4.4: impractical there, made possible here"),
    _from_nothing(_VGG_SHN),
    *(_from_sounds(_system(kind, kind, "sampled_triplet", _TABLE), 3e-2) for kind in ("sisa", "misa", "sima")),
    _from_sounds(_SHN, 3e-2),
    _from_sounds(_VGG_SHN, 1e-3),
    *(
        replace(_system(f"text-{kind}", kind, "sampled_triplet", _TEXTS, audio=_TEXT), chosen=_CHOSEN_TEXT)
        for kind in ("sisa", "misa", "sima")
    ),
    replace(_TEXT_SHN, chosen=_CHOSEN_TEXT),
    replace(
        _TEXT_SHN,
        name="harwath2019-text-sisa-shn-imagenet",
        image=Part("conv_map", {"backbone": "resnet50", "pretrained": True}),
        chosen=_CHOSEN_TEXT,
    ),
)
