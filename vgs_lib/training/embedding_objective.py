"""The training objective on embeddings and class labels: pooled maps, a loss of ``embedding_losses``, its head.

With one process the embeddings and labels are the batch's. With several, each pools its own maps, and vectors (with
their gradient) and labels of all processes are gathered, so that every process takes the same loss on the whole batch;
as the backward of a gather sums over the processes, the mean of their gradients is that of one process on the whole
batch, for the encoders and for the head alike.

Shape legend: b pairs of this process, B pairs of all processes, D embedding, H W grid, T frames.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from vgs_lib.data.loading import Batch
from vgs_lib.distributed import gather_rows
from vgs_lib.encoders.layers import frame_mask
from vgs_lib.errors import TrainingError
from vgs_lib.model import DualEncoder
from vgs_lib.seeds import seeded
from vgs_lib.training.embedding_heads import CMPC, CMPM, DSCMR, TIMAM, EmbeddingHead
from vgs_lib.training.score_objective import ScoreLoss

HEADS: dict[str, Callable[..., EmbeddingHead]] = {
    "cmpm": lambda dim, num_classes, **options: CMPM(**options),
    "cmpc": CMPC,
    "cmpm_cmpc": lambda dim, num_classes, **options: CMPC(dim, num_classes, matching=True, **options),
    "dscmr": DSCMR,
    "timam": TIMAM,
}


@dataclass(frozen=True)
class EmbeddingLoss:
    """A loss on the embeddings of the global batch, to be given to ``fit``.

    name: "cmpm", "cmpc", "cmpm_cmpc" (both added), "dscmr" or "timam" (see ``vgs_lib.training.embedding_heads``).
    weight: what the loss is multiplied by, where ``score`` is added to it.
    score: a loss on the scores of the same maps, added to this one; None for none.
    options: further arguments of the loss's head ("dscmr": ``discrimination``, ``invariance``; "timam": ``strength``,
        ``hidden``).

    Embeddings are the means of the maps over positions and over valid frames; an encoder that pools gives its vector
    as it is. Batches must have ``labels``. What the loss learns is ``model.loss_head``, made by :meth:`head`; "cmpm"
    learns nothing and needs none. One optimizer trains all of it.
    """

    name: str = "cmpm_cmpc"
    weight: float = 1.0
    score: ScoreLoss | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in HEADS:
            raise ValueError(f"name: found {self.name!r}, expected one of {', '.join(HEADS)}")
        if not 0 < self.weight < float("inf"):
            raise ValueError(f"weight: found {self.weight}, expected a number above 0")

    @property
    def settings(self) -> dict[str, Any]:
        """What a resumed run must have in common with this one."""
        return {**asdict(self), "score": None if self.score is None else self.score.settings}

    def head(self, dim: int, num_classes: int, *, seed: int = 0) -> EmbeddingHead:
        """The head for embeddings of ``dim`` and classes 0 to ``num_classes`` - 1; a seed gives the same weights.

        Raises ValueError for fewer than two classes and TypeError for options that the loss does not have.
        """
        with seeded(seed, "loss head", self.name):
            return HEADS[self.name](dim, num_classes, **self.options)

    def __call__(
        self, model: DualEncoder, batch: Batch, step: int, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss of this process's part of a batch, and figures: recall at 1 both ways by cosine, each term.

        Embeddings may come in reduced precision; losses are float32, but for what
        ``torch.set_float32_matmul_precision`` allows their products. TrainingError for a batch without
        labels and a model without the loss's head.
        """
        if batch.labels is None:
            raise TrainingError(
                f"loss {self.name!r}: the batch has no labels; train on data with classes, or take a loss on scores"
            )
        head = self._head_of(model)
        image_maps, audio_maps, lengths = model.embed_batch(batch)
        with torch.autocast(image_maps.device.type, enabled=False):
            dtype = model.logit_scale.dtype
            image_maps, audio_maps = image_maps.to(dtype), audio_maps.to(dtype)
            images = gather_rows(pool_image(image_maps))
            audio = gather_rows(pool_audio(audio_maps, lengths))
            terms = head.terms(images, audio, gather_rows(batch.labels))
            loss = self.weight * sum(terms.values(), images.new_zeros(()))
            figures = _recalls(images.detach(), audio.detach())
            if self.score is not None:
                added, figures = self.score.of_maps(model, image_maps, audio_maps, lengths, batch, step, generator)
                loss = loss + added
        return loss, {**figures, **{name: term.item() for name, term in terms.items()}}

    def _head_of(self, model: DualEncoder) -> EmbeddingHead:
        head = model.loss_head
        if head is None and self.name == "cmpm":
            return CMPM()
        if not isinstance(head, EmbeddingHead):
            raise TrainingError(
                f"loss {self.name!r}: the model's loss_head is {type(head).__name__}; give the model "
                "EmbeddingLoss(...).head(dim, num_classes)"
            )
        return head


def pool_image(maps: Tensor) -> Tensor:
    """Image maps [b,D,H,W] -> their means over positions [b,D]."""
    return maps.mean(dim=(2, 3))


def pool_audio(maps: Tensor, lengths: Tensor) -> Tensor:
    """Audio maps [b,D,T] -> their means over the valid frames [b,D]; what lies behind ``lengths`` [b] is never read."""
    mask = frame_mask(lengths, maps.shape[-1])
    return maps.masked_fill(~mask[:, None], 0.0).sum(2) / lengths[:, None]


def loss_from_dict(fields: Mapping[str, Any]) -> ScoreLoss | EmbeddingLoss:
    """The loss of a JSON object that ``dataclasses.asdict`` gave; its name says of which kind it is.

    Raises KeyError, TypeError, ValueError or AttributeError if it is not one.
    """
    fields = dict(fields)
    if fields["name"] in HEADS:
        score = fields.pop("score")
        return EmbeddingLoss(**fields, score=None if score is None else loss_from_dict(score))
    return ScoreLoss(**{**fields, "coarse": tuple(tuple(x) for x in fields["coarse"])})


def _recalls(images: Tensor, audio: Tensor) -> dict[str, float]:
    scores = functional.normalize(images, dim=1) @ functional.normalize(audio, dim=1).T
    right = torch.arange(len(scores), device=scores.device)
    return {
        "image_to_speech_r1": (scores.argmax(1) == right).float().mean().item(),
        "speech_to_image_r1": (scores.argmax(0) == right).float().mean().item(),
    }
