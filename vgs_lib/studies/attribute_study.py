"""The study of described things: do attributes combine with things that they were never heard of with?

tian2020 (chapter 1) asks whether attributes are combined "to infer new objects" and answers with birds and flowers of
unseen classes. Here a model is trained on pairs of attributes and things and judged twice, on pairs it was trained on
and on pairs it was not, with the same chance level (:mod:`vgs_lib.data.attribute_design`).

Legend: B scenes, Q queries, C candidates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from vgs_lib import retrieval
from vgs_lib.batches.attribute_batches import AttributeBatches, AttributeHeldOut
from vgs_lib.batches.held_out import Maps
from vgs_lib.batches.scene_batches import SceneData
from vgs_lib.data.attribute_scenes import AttributeScenes
from vgs_lib.data.attributes import NOUNS
from vgs_lib.data.stamps import Stamps
from vgs_lib.model import DualEncoder
from vgs_lib.recipes import Recipe, build_model
from vgs_lib.retrieval import WAYS
from vgs_lib.seeds import seeded
from vgs_lib.studies.study import FIRST_WORDS, OPTIONS, Prepared, chances, recalls

AT = 50  # candidates that mAP counts: tian2020, section 5.1.2

DESCRIBED_THINGS = replace(
    FIRST_WORDS,
    name="described-things",
    data=SceneData(num_scenes=1200, batch_size=64, takes=2, word_takes=2, even_engines=True, mask_frames=4),
    fit=replace(FIRST_WORDS.fit, steps=150, evaluate_every=50, checkpoint_every=50, keep_best="speech_to_image_r1"),
)


class AttributeStudy:
    """Trains any recipe on scenes of described things and judges it on pairs that are seen and unseen in training.

    The judge gives recall at 1 and 10 both ways on ``per_class`` scenes of each class of ``validation``, and with
    ``unseen_`` before the name on those of ``validation-unseen``. ``places`` and ``nouns`` as in `AttributeScenes`.
    ``held_out``: further scenes whose frozen features are to be computed before training.
    """

    options: Mapping[str, Mapping[str, Any]] = OPTIONS

    def __init__(
        self,
        stamps: Stamps,
        *,
        base: Recipe = DESCRIBED_THINGS,
        per_class: int = 2,
        places: bool = False,
        nouns: tuple[str, ...] = NOUNS,
        size: int = 224,
        held_out: Sequence[AttributeHeldOut] = (),
    ):
        self.stamps, self.base, self._held_out = stamps, base, held_out
        self._options = {"places": places, "nouns": nouns, "size": size}
        self.validation = {
            prefix: AttributeHeldOut(self.scenes(f"validation{ending}"), per_class)
            for prefix, ending in (("", ""), ("unseen_", "-unseen"))
        }

    def scenes(self, split: str, *, seed: int = 0) -> AttributeScenes:
        """The scenes of a split as this study has them."""
        return AttributeScenes(self.stamps, split, seed=seed, **self._options)

    def prepare(self, plan: Recipe) -> Prepared:
        """The model of ``plan`` as it is before its first step, its batches and its judge."""
        with seeded(plan.fit.seed, "model"):
            model = build_model(plan)
        held_out = (*self.validation.values(), *self._held_out)
        batches = AttributeBatches(
            model.eval(), self.scenes("train", seed=plan.data.seed), plan.data, held_out=held_out
        )
        right = {prefix: one.same_class for prefix, one in self.validation.items()}

        def judge(model: DualEncoder) -> dict[str, float]:
            found = {}
            for prefix, one in self.validation.items():
                found |= {prefix + name: x for name, x in recalls(model, one.batches(model), right[prefix]).items()}
            return found

        chance = {prefix + name: x for prefix, one in right.items() for name, x in chances(one).items()}
        return Prepared(model, batches, judge, chance)


def class_figures(scores: Tensor, right: Tensor, *, queries: Tensor | None = None, seed: int = 0) -> dict[str, Any]:
    """R@1 and mAP@50 both ways with chance and bootstrap intervals: what tian2020 reports of fine-grained data.

    Args:
        scores: [B, B] of pictures (rows) and captions.
        right: bool [B, B], picture and caption are of one class.
        queries: bool [B], the scenes that ask; all are candidates. None takes all.
        seed: of the bootstrap, which draws classes: queries of one class ask for the same candidates.

    Returns:
        For each of ``retrieval.WAYS`` the figures ``r1`` and ``map50``, each also with ``_chance`` and ``_ci``, and
        ``ranks``, that of the first right candidate of each query, with ``classes``, a number for the class of each.

    Source: tian2020, section 5.1, equations 5.1 to 5.3.
    """
    asks = torch.ones(len(scores), dtype=torch.bool) if queries is None else queries
    found: dict[str, Any] = {}
    for way, (s, r) in zip(WAYS, ((scores.T[asks], right.T[asks]), (scores[asks], right[asks])), strict=True):
        num_candidates, num_right = s.shape[1], r.sum(dim=1).tolist()
        values = {
            "r1": (retrieval.hits_at_k(s, 1, r), retrieval.chance_recall(num_candidates, 1, num_right)),
            "map50": (
                retrieval.average_precision(s, r, at=AT),
                retrieval.chance_average_precision(num_candidates, num_right, at=AT),
            ),
        }
        classes = r.int().argmax(dim=1).tolist()  # the first right candidate stands for the class
        found[way] = {"ranks": retrieval.ranks(s, r).tolist(), "classes": classes}
        for name, (each, chance) in values.items():
            found[way] |= {
                name: float(each.mean()),
                f"{name}_chance": chance,
                f"{name}_ci": retrieval.bootstrap_interval(each, seed=seed, groups=classes),
            }
    return found


def attribute_figures(maps: Maps, held_out: AttributeHeldOut, *, seed: int = 0) -> dict[str, Any]:
    """`class_figures` of held-out scenes, of all queries and of those whose pair is of a colour or of a size.

    maps: of ``held_out``.

    Returns:
        Figures by "all", "colour" and "size" (without one that no query is of), then by way, then by name.
    """
    scores, right = maps.scores.cpu(), maps.right.cpu()
    found = {"all": class_figures(scores, right, seed=seed)}
    for kind in ("colour", "size"):
        if (asks := held_out.tested(kind)).any():
            found[kind] = class_figures(scores, right, queries=asks, seed=seed)
    return found
