"""Scenes of Spoken Stamps as a benchmark: how systems are trained on them and what they are judged by.

Described things are another benchmark (:mod:`vgs_lib.benchmark.attribute_benchmark`).
"""

from dataclasses import replace
from typing import Any

import torch

from vgs_lib import retrieval
from vgs_lib.batches.held_out import HeldOut
from vgs_lib.batches.text_batches import reads_text
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.stamps import Stamps
from vgs_lib.evaluation import figures_of_maps, retrieval_figures
from vgs_lib.model import DualEncoder
from vgs_lib.recipes import Recipe
from vgs_lib.retrieval.measures import PROTOCOL_PAIRS, subset
from vgs_lib.studies.pretraining import Pretraining
from vgs_lib.studies.scene_study import SceneStudy, fitted

NUM_SCENES = max(PROTOCOL_PAIRS.values())  # of the test split; a document's protocol takes the first of them
NUM_WORDS = 1000
PROTOCOLS = sorted(set(PROTOCOL_PAIRS.values()))


class SceneBenchmark:
    """A ``Benchmark`` of :mod:`vgs_lib.benchmark.reproduce`: scenes by R@k, ranks, pointing; single names by mAP@50."""

    name = "scenes"

    def __init__(self, stamps: Stamps):
        self.stamps = stamps
        test = Scenes(stamps, "test")
        self.scenes, self.words = HeldOut(test, NUM_SCENES), HeldOut(test, NUM_WORDS, words=True)

    def study(self, recipe: Recipe, pretraining: Pretraining) -> SceneStudy:
        """What trains ``recipe`` on the training scenes."""
        return SceneStudy(self.stamps, recipe, held_out=(self.scenes, self.words), pretraining=pretraining)

    def fitted(self, plan: Recipe) -> Recipe:
        """``plan`` with its vocabulary or its number of classes, where it has one."""
        return fitted(plan, self.stamps)

    @torch.no_grad()
    def untrained(self, plan: Recipe) -> dict[str, Any]:
        """Figures of 100 scenes: the baselines "(R)" of zhang2020, Table 1."""
        model = SceneStudy(self.stamps, plan).prepare(replace(plan, initial="")).model
        assert isinstance(model, DualEncoder)
        return _both_ways(model.score(*self.scenes.embed(model.eval(), first=PROTOCOL_PAIRS["zhang2020"])).cpu())

    @torch.no_grad()
    def judge(self, model: DualEncoder) -> dict[str, Any]:
        """All figures of a model; ``ranks`` are those of each query among the first 1,000 scenes."""
        image_maps, audio_maps, lengths = self.scenes.embed(model)
        scores = model.score(image_maps, audio_maps, lengths).cpu()
        trial = self.scenes.trial()
        found: dict[str, Any] = {f"{n} scenes": _both_ways(_first(scores, n)) for n in PROTOCOLS}
        if not model.pooled and not reads_text(model.audio_encoder):
            maps = figures_of_maps(model, image_maps, audio_maps, lengths, trial, threshold=0.5)
            found["pointing"] = {key: maps[key] for key in ("pointing", "pointing_ci", "pointing_chance")}
        words = model.score(*self.words.embed(model)).cpu()
        right = self.words.same_class
        found["words"] = {
            way: retrieval_figures(s, r, seed=0) | map_at_50(s, r)
            for way, s, r in (("speech_to_image", words.T, right.T), ("image_to_speech", words, right))
        }
        first = _first(scores, PROTOCOL_PAIRS["harwath2019"])
        found["ranks"] = {
            "speech_to_image": retrieval.ranks(first.T).tolist(),
            "image_to_speech": retrieval.ranks(first).tolist(),
        }
        return found


def map_at_50(scores: torch.Tensor, right: torch.Tensor) -> dict[str, Any]:
    """mAP@50 of queries (rows) with class relevance (tian2020, section 5.1.2), with its interval over queries."""
    each = retrieval.average_precision(scores, right, at=50)
    low, high = retrieval.bootstrap_interval(each, seed=0)
    return {"map50": round(float(each.mean()), 4), "map50_ci": [round(low, 4), round(high, 4)]}


def _first(scores: torch.Tensor, num_pairs: int) -> torch.Tensor:
    """The scores of so many scenes, or of all where a benchmark has fewer."""
    return subset(scores, min(num_pairs, len(scores)))


def _both_ways(scores: torch.Tensor) -> dict[str, Any]:
    right = torch.eye(len(scores), dtype=torch.bool)
    ways = (("speech_to_image", scores.T), ("image_to_speech", scores))
    return {way: retrieval_figures(s, right, seed=0) for way, s in ways}
