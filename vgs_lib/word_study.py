"""A study: what a recipe is trained and judged on. This one is of single things and their spoken names.

A training dashboard asks a study for three things made of a recipe: the model, its batches and how it is judged. To
train on other data, write a class with ``options``, ``base`` and ``prepare`` (see :class:`Study`).

Legend: B pairs, D embedding, T frames.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from vgs_lib import retrieval
from vgs_lib.data.loading import Batch, BatchSource, collate
from vgs_lib.data.scene_batches import SceneData, speech_features
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.stamps import Stamps
from vgs_lib.data.word_batches import WordBatches, forget_what_was_read, same_names, word_trial
from vgs_lib.errors import DataError
from vgs_lib.model import DualEncoder
from vgs_lib.recipes import Part, Recipe, build_model
from vgs_lib.seeds import seeded
from vgs_lib.training import FitSettings, ScoreLoss

PARTS = 4  # in which validation is embedded
_HINGE = {"margin": 1.0, "reduction": "mean"}
LOSSES: dict[str, ScoreLoss] = {
    "info_nce": ScoreLoss("info_nce"),
    "shn": ScoreLoss("shn", options=_HINGE),
    "sampled_triplet": ScoreLoss("sampled_triplet", options=_HINGE),
    "semi_hard_triplet": ScoreLoss("semi_hard_triplet", options=_HINGE),
    "all_pairs_hinge": ScoreLoss("all_pairs_hinge", options=_HINGE),
}


@dataclass(frozen=True)
class Prepared:
    """Made of a recipe: a model, its batches (with a ``fill`` that yields :class:`Filling`, or none), its judge.

    ``chance`` has the chance level of each figure of ``evaluate`` that has one.
    """

    model: nn.Module
    batches: BatchSource
    evaluate: Callable[[nn.Module], Mapping[str, float]] | None = None
    chance: Mapping[str, float] = field(default_factory=dict)


class Study(Protocol):
    """``options``: the choices of "image", "audio" (:class:`Part`), "similarity" and "loss" (:class:`ScoreLoss`) by the
    label that is shown. ``base``: the recipe that the choices change. ``prepare``: what a recipe is trained on."""

    options: Mapping[str, Mapping[str, Any]]
    base: Recipe

    def prepare(self, plan: Recipe) -> Prepared: ...


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


class WordStudy:
    """Single things of ``categories`` (all without any) and their names, told by training voices.

    It is judged on ``num_validation`` other scenes told by voices that are never trained on: recall at 1 and 10 both
    ways. Raises :class:`DataError` for an unknown category.
    """

    options: Mapping[str, Mapping[str, Any]] = {
        "image": {
            "EfficientNet-Lite0, 7 x 7 places": _pyramid(32),
            "EfficientNet-Lite0, 14 x 14 places": _pyramid(16),
            "VGG16, 14 x 14 places (a download)": Part("vgg16", {"dim": 128, "frozen": True}),
        },
        "audio": {
            "Whisper tiny.en, frozen": FIRST_WORDS.audio,
            "DAVEnet, from scratch": Part("davenet", {"width": 0.25, "dim": 128}),
            "ResDAVEnet, from scratch": Part("resdavenet", {"width": 0.25, "dim": 128}),
        },
        "similarity": {"MISA": "misa", "SISA": "sisa", "SIMA": "sima"},
        "loss": LOSSES,
    }

    def __init__(
        self,
        stamps: Stamps,
        *,
        categories: Iterable[str] = (),
        num_validation: int = 200,
        base: Recipe = FIRST_WORDS,
    ):
        self.stamps, self.num_validation, self.base = _only(stamps, tuple(categories)), num_validation, base
        self._encoded: dict[tuple, Batch] = {}

    @property
    def names(self) -> list[str]:
        """The names that are learnt, in order."""
        return sorted({concept.key for concept in self.stamps.concepts})

    def prepare(self, plan: Recipe) -> Prepared:
        """The model of ``plan`` as it is before its first step, its batches and its judge."""
        with seeded(plan.fit.seed, "model"):
            model = build_model(plan)
        batches = WordBatches(model.eval(), Scenes(self.stamps, "train", seed=plan.data.seed), plan.data)
        right = same_names(Scenes(self.stamps, "validation"), self.num_validation)
        chance = {
            f"{way}_r{k}": retrieval.chance_recall(len(right), min(k, len(right)), right.sum(dim=1).tolist())
            for way in ("speech_to_image", "image_to_speech")
            for k in (1, 10)
        }
        return Prepared(model, batches, lambda m: recalls(m, self._validation(m, batches), right), chance)

    def _validation(self, model: DualEncoder, batches: WordBatches) -> Batch:
        """The validation pairs as the frozen encoders give them, computed once for all runs that share these."""
        key = (batches.pictures.folder, batches.speech.folder)
        if key not in self._encoded:
            trial = word_trial(Scenes(self.stamps, "validation"), self.num_validation)
            image, speech, device = model.image_encoder, model.audio_encoder, model.device
            pictures = (torch.from_numpy(p).permute(2, 0, 1)[None].to(device) / 255 for p in trial.pictures)
            frozen = getattr(speech, "backbone_frozen", False)
            captions = [caption.to(device) for caption in trial.captions]
            batch = collate(
                [tuple(level[0].half() for level in image.features(picture)) for picture in pictures],
                [states.half() for states in speech_features(speech, captions, batch_size=8)],
                pad_value=0.0 if frozen else speech.front_end.pad_value,
                image_is_features=True,
                audio_is_features=frozen,
            )
            self._encoded[key] = batch
            forget_what_was_read(self.stamps)
        return self._encoded[key]


@torch.no_grad()
def recalls(model: DualEncoder, batch: Batch, right: Tensor) -> dict[str, float]:
    """Recall at 1 and 10, both ways, of the pairs of ``batch``; ``right`` [B, B]: picture and caption fit."""
    parts = PARTS if len(batch) % PARTS == 0 else 1
    found = [model.embed_batch(batch.part(index, parts).to(model.device)) for index in range(parts)]
    longest = max(audio.shape[-1] for _, audio, _ in found)
    audio = torch.cat([functional.pad(maps, (0, longest - maps.shape[-1])) for _, maps, _ in found])
    lengths = torch.cat([lengths for *_, lengths in found])
    scores = model.score(torch.cat([image for image, *_ in found]), audio, lengths).cpu()
    ways = {"speech_to_image": (scores.T, right.T), "image_to_speech": (scores, right)}
    return {f"{way}_r{k}": retrieval.recall_at_k(s, k, r) for way, (s, r) in ways.items() for k in (1, 10)}


def _only(stamps: Stamps, categories: tuple[str, ...]) -> Stamps:
    """The data set with the things of these categories alone."""
    known = sorted({concept.category[0] for concept in stamps.concepts})
    if unknown := sorted(set(categories) - set(known)):
        raise DataError(f"categories: found {', '.join(unknown)}, expected some of {', '.join(known)}")
    if not categories:
        return stamps
    return Stamps(stamps.folder, tuple(c for c in stamps.concepts if c.category[0] in categories))
