"""The training objective on a score matrix: a kind of similarity, a loss, and two helps for early training.

Shape legend: B pairs (of all processes), D embedding, H W grid, T frames.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from vgs_lib import losses
from vgs_lib.data.loading import Batch, same_class
from vgs_lib.distributed import gather_rows, global_scores
from vgs_lib.model import MAX_LOG_SCALE, DualEncoder
from vgs_lib.similarity import KINDS

RANDOM_LOSSES = {
    "sampled_triplet": losses.sampled_triplet,
    "semi_hard_triplet": losses.semi_hard_triplet,
    "shn": losses.shn,
    "three_anchor_triplet": losses.three_anchor_triplet,
}
PLAIN_LOSSES = {"all_pairs_hinge": losses.all_pairs_hinge, "masked_matching": losses.masked_matching}


@dataclass(frozen=True)
class ScoreLoss:
    """A loss on the scores of the global batch, to be given to ``fit``.

    name: "info_nce" (with the model's learnt temperature), "sampled_triplet", "semi_hard_triplet", "shn",
        "three_anchor_triplet", "all_pairs_hinge" or "masked_matching" (see ``vgs_lib.losses``). Pairs of the same
        picture are no impostors in any of them; pairs of one class are none in "masked_matching", where batches have
        classes: the labels of all processes are gathered for the mask of the whole batch.
    kind: similarity of the scores; None takes the model's. "masked_matching" is meant for "cosine".
    mix_kind, mix_steps: for the first ``mix_steps`` steps the scores are a mixture of ``kind`` and
        ``mix_kind``, whose share falls linearly from 1 to 0. SISA gives every position a gradient where the
        maxima of MISA start blind.
    coarse: ((steps, factor), ...): for so many steps image maps are averaged over cells of ``factor`` x
        ``factor`` positions before the model scores them (in cells of its own, if it has any). Coarse maps are
        cheaper to score, and a cell's positions share its gradient, so that more of a thing lights up than its
        most telling spot.
    options: further arguments of the loss (``margin``, ``reduction``, ``gamma``).
    chunk: pairs scored at a time (``similarity.score_matrix``); None picks by memory.
    """

    name: str = "info_nce"
    kind: str | None = None
    mix_kind: str = "sisa"
    mix_steps: int = 0
    coarse: tuple[tuple[int, int], ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    chunk: int | None = None

    def __post_init__(self) -> None:
        known = ["info_nce", *PLAIN_LOSSES, *RANDOM_LOSSES]
        if self.name not in known:
            raise ValueError(f"name: found {self.name!r}, expected one of {', '.join(known)}")
        for field_name, kind in (("kind", self.kind), ("mix_kind", self.mix_kind)):
            if kind not in (*KINDS, None):
                raise ValueError(f"{field_name}: found {kind!r}, expected one of {', '.join(KINDS)}")
        if any(steps < 1 or factor < 1 for steps, factor in self.coarse):
            raise ValueError(f"coarse: found {self.coarse}, expected (steps, factor) pairs of 1 or more")

    @property
    def settings(self) -> dict[str, Any]:
        """What a resumed run must have in common with this one."""
        return {key: value for key, value in asdict(self).items() if key != "chunk"}

    def __call__(
        self, model: DualEncoder, batch: Batch, step: int, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss of this process's part of a batch, and figures: recall at 1 both ways, logit scale,
        and the terms "sampled" and "semi_hard" of "shn" (harwath2019, Fig. 5).

        Embeddings may be in reduced precision; scores and losses are float32, but for what
        ``torch.set_float32_matmul_precision`` allows their products.
        """
        image_maps, audio_maps, lengths = model.embed_batch(batch)
        return self.of_maps(model, image_maps, audio_maps, lengths, batch, step, generator)

    def of_maps(
        self,
        model: DualEncoder,
        image_maps: Tensor,
        audio_maps: Tensor,
        lengths: Tensor,
        batch: Batch,
        step: int,
        generator: torch.Generator,
    ) -> tuple[Tensor, dict[str, float]]:
        """What a call gives, from the maps of the batch that ``model.embed_batch`` gave."""
        with torch.autocast(image_maps.device.type, enabled=False):
            dtype = model.logit_scale.dtype
            scores = self._scores(model, image_maps.to(dtype), audio_maps.to(dtype), lengths, step)
            loss, terms = self._loss(model, scores, self._same(batch), generator)
        right = torch.arange(len(scores), device=scores.device)
        figures = {
            "image_to_speech_r1": (scores.detach().argmax(1) == right).float().mean().item(),
            "speech_to_image_r1": (scores.detach().argmax(0) == right).float().mean().item(),
            "logit_scale": model.logit_scale.detach().exp().item(),
            **{name: term.item() for name, term in terms.items()},
        }
        return loss, figures

    def _same(self, batch: Batch) -> Tensor | None:
        """Which pairs [B,B] of the global batch are no impostors; None for none."""
        if self.name != "masked_matching" or batch.labels is None:
            return batch.same_image
        same = same_class(gather_rows(batch.labels))
        return same if batch.same_image is None else same | batch.same_image

    def _scores(self, model: DualEncoder, image_maps: Tensor, audio_maps: Tensor, lengths: Tensor, step: int) -> Tensor:
        if (factor := self._factor(step)) > 1:
            image_maps = functional.avg_pool2d(image_maps, factor, ceil_mode=True)
        scores = global_scores(model, image_maps, audio_maps, lengths, kind=self.kind, chunk=self.chunk)
        if step < self.mix_steps:
            share = 1.0 - step / self.mix_steps
            mixed_in = global_scores(model, image_maps, audio_maps, lengths, kind=self.mix_kind, chunk=self.chunk)
            scores = torch.lerp(scores, mixed_in, share)
        return scores

    def _factor(self, step: int) -> int:
        for steps, factor in self.coarse:
            if step < steps:
                return factor
            step -= steps
        return 1

    def _loss(
        self, model: DualEncoder, scores: Tensor, same_image: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss and, where it has terms, each of them."""
        options = {**self.options, "same_image": same_image}
        if self.name == "info_nce":
            with torch.no_grad():
                model.logit_scale.clamp_(max=MAX_LOG_SCALE)
            options["log_scale"] = model.logit_scale
            return losses.info_nce(scores, **options), {}
        if self.name in PLAIN_LOSSES:
            return PLAIN_LOSSES[self.name](scores, **options), {}
        if self.name == "shn":
            terms = losses.shn_terms(scores, generator=generator, **options)
            return terms["sampled"] + terms["semi_hard"], terms
        return RANDOM_LOSSES[self.name](scores, generator=generator, **options), {}


def score_loss(name: str = "info_nce", *, kind: str | None = None, **settings: Any) -> ScoreLoss:
    """A ``ScoreLoss`` by name: ``score_loss("shn", kind="sisa", options={"margin": 1.0})``."""
    return ScoreLoss(name, kind, **settings)
