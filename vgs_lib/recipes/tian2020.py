"""tian2020: ResNet-101 with CBAM, a pyramid of GRUs with vector attention, masked matching; its ablations and rivals.

Adam at 0.0001 with weight decay 0.00001 and moments 0.95 and 0.999, batches of 64, 120 epochs, embeddings of 2,048
(section 5.2); the decay leaves out biases and norms (``training.state.make_optimizer``), which the thesis does not say.
An epoch is one of CUB-200, about 8,855 pictures with ten captions each. The rivals of Table 5.2 share its picture
network without attention; those that were made for text share its speech side too. How the rivals were optimized is not
said: here as its own system is, but for DSCMR, whose published code has Adam with moments 0.5 and 0.999.
"""

from dataclasses import replace
from typing import Any

from vgs_lib.batches.scene_batches import SceneData
from vgs_lib.recipes.recipe import Part, Recipe
from vgs_lib.training import FitSettings, ScoreLoss
from vgs_lib.training.embedding_objective import EmbeddingLoss

_FIT = FitSettings(
    optimizer="adam",
    learning_rate=1e-4,
    weight_decay=1e-5,
    betas=(0.95, 0.999),
    schedule="constant",
    steps=120 * 8_855 * 10 // 64,
    gradient_clip=None,
)
NUM_CLASSES = 150  # of CUB-200's training split
MATCHING = ScoreLoss("masked_matching", options={"gamma": 13.0})
TRIPLET = ScoreLoss("sampled_triplet", options={"margin": 1.0})
SPEECH = Part("pyramid", {"cell": "gru", "pool": "attention", "front_end": "tian2020"})


def pictures(attention: str) -> Part:
    """ResNet-101, average pool, batch normalisation, linear layer; CBAM "none", "B3" or "B4"."""
    options: dict[str, Any] = {"backbone": "resnet101", "attention": attention, "batch_norm": True, "dim": 2048}
    return Part("pooled_pictures", options)


def _system(name: str, document: str, **changed: Any) -> Recipe:
    return Recipe(
        **{
            "name": f"tian2020{name}",
            "image": pictures("B3"),
            "audio": SPEECH,
            "kind": "cosine",
            "loss": MATCHING,
            "data": SceneData(batch_size=64),
            "fit": _FIT,
            "document": f"tian2020, {document}",
            **changed,
        }
    )


_NO_POOL = replace(SPEECH, options={**SPEECH.options, "pool": "mean"})
_CNN = Part("davenet_pooled", {"dim": 2048, "front_end": "harwath2019"})
_GRU = Part("conv_recurrent", {"front_end": "merkx2019"})
_PLAIN = pictures("none")

SYSTEMS = (
    _system("", "section 4"),
    _system("-triplet", "Table 5.6", loss=TRIPLET),
    _system("-no-attention", "Table 5.6", image=_PLAIN, audio=_NO_POOL),
    _system("-no-image-attention", "Table 5.6", image=_PLAIN),
    _system("-no-speech-attention", "Table 5.6", audio=_NO_POOL),
    _system("-attention-b4", "Table 5.7", image=pictures("B4")),
    _system(
        "-harwath",
        "Table 5.2",
        image=_PLAIN,
        audio=_CNN,
        loss=TRIPLET,
        chosen="The five convolutions of harwath2017 for the earlier network of 2016 that the thesis cites.",
    ),
    _system("-merkx", "Table 5.2", image=_PLAIN, audio=_GRU, loss=TRIPLET),
    _system(
        "-dscmr",
        "Table 5.2",
        image=_PLAIN,
        loss=EmbeddingLoss("dscmr"),
        num_classes=NUM_CLASSES,
        fit=replace(_FIT, betas=(0.5, 0.999), weight_decay=0.0),
    ),
    _system("-cmpm-cmpc", "Table 5.2", image=_PLAIN, loss=EmbeddingLoss("cmpm_cmpc"), num_classes=NUM_CLASSES),
    _system("-timam", "Table 5.2", image=_PLAIN, loss=EmbeddingLoss("timam"), num_classes=NUM_CLASSES),
)
