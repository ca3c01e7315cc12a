"""zhang2020: VGG16, VGG19 or ResNet50 with a CNN of five or six layers, an LSTM or a GRU; MISA and all impostors.

Adam with moments 0.5 and 0.9 at 0.0001, batches of 4, at most 150 epochs of 30,000 pairs; pretrained picture networks.
The untrained baselines "(R)" of its Table 1 are the same systems before their first step; the table does not say how
many layers their speech side has, and published.csv puts them beside the systems with five.
"""

from vgs_lib.batches.scene_batches import SceneData
from vgs_lib.recipes.recipe import Part, Recipe
from vgs_lib.training import FitSettings, ScoreLoss

_FIT = FitSettings(
    optimizer="adam",
    learning_rate=1e-4,
    betas=(0.5, 0.9),
    weight_decay=0.0,
    schedule="constant",
    steps=150 * 30_000 // 4,
    gradient_clip=None,
)
_CNN = {n: Part("davenet", {"num_convs": n, "front_end": "zhang2020"}) for n in (5, 6)}
_RNN = {cell: Part("recurrent", {"cell": cell, "front_end": "zhang2020"}) for cell in ("lstm", "gru")}


def _system(network: str, name: str, audio: Part) -> Recipe:
    return Recipe(
        name=f"zhang2020-{network}-{name}",
        image=Part("conv_map", {"backbone": network, "pretrained": True}),
        audio=audio,
        kind="misa",
        loss=ScoreLoss("all_pairs_hinge", options={"margin": 1.0}),
        data=SceneData(batch_size=4),
        fit=_FIT,
        document="zhang2020, Table 1",
    )


SYSTEMS = (
    *(_system(network, str(n), _CNN[n]) for network in ("vgg16", "vgg19", "resnet50") for n in (5, 6)),
    *(_system("vgg19", cell, _RNN[cell]) for cell in ("lstm", "gru")),
)
