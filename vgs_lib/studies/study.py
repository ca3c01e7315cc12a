"""A study: what a recipe is trained and judged on, and what can be chosen.

A training dashboard and the command line ask a study for three things made of a recipe: the model, its batches and how
it is judged. `WordStudy` (single things of Spoken Stamps), `SceneStudy` (whole scenes), `AttributeStudy` (described
things) and `ManifestStudy` (pictures and recordings of one's own) are those there are. Another kind of data is a class
with ``options``, ``base`` and ``prepare``, as `Study` says.

Legend: B pairs, P pictures, C captions, D embedding, H W grid, T frames.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from vgs_lib import retrieval
from vgs_lib.batches.scene_batches import SceneData
from vgs_lib.data.loading import Batch, BatchSource
from vgs_lib.model import DualEncoder
from vgs_lib.recipes import Part, Recipe
from vgs_lib.retrieval import WAYS
from vgs_lib.training import FitSettings, ScoreLoss

KS = (1, 10)  # the ks of recall at k


@dataclass(frozen=True)
class Prepared:
    """Made of a recipe: a model, its batches (with a ``fill`` that yields `Filling`, or none), its judge.

    ``chance`` has the chance level of each figure of ``evaluate`` that has one.
    """

    model: nn.Module
    batches: BatchSource
    evaluate: Callable[[nn.Module], Mapping[str, float]] | None = None
    chance: Mapping[str, float] = field(default_factory=dict)


class Study(Protocol):
    """``options``: the choices of "image", "audio" (`Part`), "similarity" and "loss" (`ScoreLoss`) by the label that is
    shown. ``base``: the recipe that the choices change. ``prepare``: what a recipe is trained on."""

    options: Mapping[str, Mapping[str, Any]]
    base: Recipe

    def prepare(self, plan: Recipe) -> Prepared: ...


_HINGE = {"margin": 1.0, "reduction": "mean"}
LOSSES: dict[str, ScoreLoss] = {
    "info_nce": ScoreLoss("info_nce"),
    "shn": ScoreLoss("shn", options=_HINGE),
    "sampled_triplet": ScoreLoss("sampled_triplet", options=_HINGE),
    "semi_hard_triplet": ScoreLoss("semi_hard_triplet", options=_HINGE),
    "all_pairs_hinge": ScoreLoss("all_pairs_hinge", options=_HINGE),
}


def _pyramid(out_stride: int) -> Part:
    return Part("timm", {"strides": [16, 32], "dim": 128, "out_stride": out_stride, "normalize": True})


FIRST_WORDS = Recipe(
    name="first-words",
    image=_pyramid(32),
    audio=Part("whisper", {"dim": 128, "width": 128, "layers": [4], "pooling": 8, "num_convs": 2, "dropout": 0.1}),
    data=SceneData(num_scenes=500, batch_size=64, takes=2, word_takes=2, even_engines=True, mask_frames=4),
    fit=FitSettings(
        steps=120,
        learning_rate=2e-3,
        warmup_steps=10,
        evaluate_every=20,
        checkpoint_every=20,
        keep_best="speech_to_image_r10",
    ),
)

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "image": {
        "EfficientNet-Lite0, 7 x 7 places": _pyramid(32),
        "EfficientNet-Lite0, 14 x 14 places": _pyramid(16),
        "VGG16, 14 x 14 places (a download)": Part("conv_map", {"backbone": "vgg16", "dim": 128, "frozen": True}),
    },
    "audio": {
        "Whisper tiny.en, frozen": FIRST_WORDS.audio,
        "DAVEnet, from scratch": Part("davenet", {"width": 0.25, "dim": 128}),
        "ResDAVEnet, from scratch": Part("resdavenet", {"width": 0.25, "dim": 128}),
    },
    "similarity": {"MISA": "misa", "SISA": "sisa", "SIMA": "sima"},
    "loss": LOSSES,
}


@torch.no_grad()
def recalls(
    model: DualEncoder, batches: Iterable[Batch], right: Tensor, *, rows: Tensor | None = None
) -> dict[str, float]:
    """Recall at 1 and 10, both ways, of the pairs of ``batches`` together.

    Args:
        model: in evaluation mode.
        batches: C pairs in all; each batch is embedded and let go before the next is asked for.
        right: bool [P, C], which captions describe which pictures.
        rows: bool [C], the pairs whose pictures are the P candidates (one for each picture where several captions
            describe it); None takes all, so that P is C.

    Source: harwath2019, section 5.1; any caption of a picture counts.
    """
    pictures, sounds, lengths, first = [], [], [], 0
    for batch in batches:
        image, audio, frames = model.embed_batch(batch.to(model.device))
        pictures.append(image if rows is None else image[rows[first : first + len(batch)].to(image.device)])
        sounds.append(audio)
        lengths.append(frames)
        first += len(batch)
    longest = max(audio.shape[-1] for audio in sounds)
    audio = torch.cat([functional.pad(maps, (0, longest - maps.shape[-1])) for maps in sounds])
    scores = model.score(torch.cat(pictures), audio, torch.cat(lengths)).cpu()
    asked = zip(WAYS, ((scores.T, right.T), (scores, right)), strict=True)
    return {f"{way}_r{k}": retrieval.recall_at_k(s, k, r) for way, (s, r) in asked for k in KS}


def chances(right: Tensor) -> dict[str, float]:
    """The chance levels of what `recalls` gives for ``right``, bool [P, C]."""
    asked = zip(WAYS, (right.T, right), strict=True)
    return {
        f"{way}_r{k}": retrieval.chance_recall(r.shape[1], min(k, r.shape[1]), r.sum(dim=1).tolist())
        for way, r in asked
        for k in KS
    }
