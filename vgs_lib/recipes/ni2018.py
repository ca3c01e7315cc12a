"""ni2018: VGG16's fc7 and a pooled audio CNN (the network of harwath2017), three anchors, a branch that models time.

Adam at 0.00025, halved every 5 of 10 epochs of 110,000 pairs, or 30,000 for the branch that models time, which was
tried on the original loss, as far as the document says. The batch size is not given: 128 here, as harwath2017 has it.
"""

from dataclasses import replace

from vgs_lib.batches.scene_batches import SceneData
from vgs_lib.recipes.recipe import Part, Recipe
from vgs_lib.training import FitSettings, ScoreLoss

_EPOCH = 110_000 // 128
_FIT = FitSettings(
    optimizer="adam",
    learning_rate=2.5e-4,
    weight_decay=0.0,
    schedule="step",
    decay_every=5 * _EPOCH,
    decay_factor=2.0,
    steps=10 * _EPOCH,
    gradient_clip=None,
)


_SMALL = 30_000 // 128  # "a subset of 30k image/audio pairs only" in the second optimization


def _system(name: str, audio: Part, *, loss: str = "sampled_triplet", document: str, epoch: int = _EPOCH) -> Recipe:
    return Recipe(
        name=f"ni2018-{name}",
        image=Part("pooled_pictures", {"backbone": "vgg16_fc7", "dim": 1024, "frozen": True}),
        audio=audio,
        kind="dot",
        loss=ScoreLoss(loss, options={"margin": 1.0}),
        data=SceneData(batch_size=128),
        fit=replace(_FIT, decay_every=5 * epoch, steps=10 * epoch),
        document=f"ni2018, {document}",
        chosen="Batches of 128, as harwath2017; the document gives none.",
    )


def _temporal(name: str, **options: object) -> Recipe:
    audio = Part("temporal", {"front_end": "ni2018", **options})
    return _system(name, audio, document="second optimization", epoch=_SMALL)


_BASELINE = Part("davenet_pooled", {"front_end": "ni2018"})

SYSTEMS = (
    _system("baseline", _BASELINE, document="introduction"),
    _system("three-anchor", _BASELINE, loss="three_anchor_triplet", document="first optimization"),
    _temporal("tcn"),
    *(_temporal(f"tcn-after-{n}", position=n) for n in (1, 2, 3)),
    _temporal("gru", cell="gru"),
    _temporal("lstm", cell="lstm"),
    _temporal("tcn-alone", layout="alone"),
    _temporal("tcn-appended", layout="appended"),
)
