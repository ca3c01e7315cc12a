"""What is learnt with a loss on embeddings: class weights and the discriminator of TIMAM, as modules with that loss.

A model keeps one as its ``loss_head`` while it trains (see ``training.embedding_objective``).

Legend: B pairs, D embedding, C classes.
"""

import torch
from torch import Tensor, nn

from vgs_lib.embedding_losses import cmpc, cmpm, dscmr_terms, modality_adversarial, norm_softmax

HIDDEN = 256  # units of the discriminator


class ModalityDiscriminator(nn.Module):
    """Embeddings ``[B, D]`` -> logits ``[B]`` of being a caption: D to ``hidden`` units, leaky ReLU, 1.

    The document gives neither layers nor units; one hidden layer of 256 was chosen, without batch statistics, so that
    the parts of a batch on several processes give what the whole batch gives.
    """

    def __init__(self, dim: int, hidden: int = HIDDEN):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(dim, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))

    def forward(self, embeddings: Tensor) -> Tensor:
        return self.layers(embeddings).squeeze(-1)


class EmbeddingHead(nn.Module):
    """A loss on embeddings with what is learnt for it; the loss is the sum of its ``terms``.

    ``num_classes`` is the number of classes C that it has weights for, or 0 where labels are only compared.
    """

    num_classes = 0

    def terms(self, images: Tensor, audio: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The parts of the loss, each as it is added up, for ``[B, D]`` embeddings and ``[B]`` labels."""
        raise NotImplementedError

    def forward(self, images: Tensor, audio: Tensor, labels: Tensor) -> Tensor:
        return sum(self.terms(images, audio, labels).values(), images.new_zeros(()))


class CMPM(EmbeddingHead):
    """:func:`cmpm`; nothing is learnt."""

    def terms(self, images: Tensor, audio: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"cmpm": cmpm(images, audio, labels)}


class CMPC(EmbeddingHead):
    """:func:`cmpc` with its class weights; with ``matching`` also :func:`cmpm`, as Zhang and Lu train."""

    def __init__(self, dim: int, num_classes: int, *, matching: bool = False):
        super().__init__()
        self.num_classes, self.matching = num_classes, matching
        self.weights = _class_weights(dim, num_classes)

    def terms(self, images: Tensor, audio: Tensor, labels: Tensor) -> dict[str, Tensor]:
        found = {"cmpm": cmpm(images, audio, labels)} if self.matching else {}
        return {**found, "cmpc": cmpc(images, audio, labels, self.weights)}


class DSCMR(EmbeddingHead):
    """:func:`dscmr` with its linear classifier and the shares of its second and third part.

    Zhen et al. also share the weights of both encoders' last layer; here the encoders share nothing.
    """

    def __init__(self, dim: int, num_classes: int, *, discrimination: float = 1e-3, invariance: float = 0.1):
        super().__init__()
        self.num_classes = num_classes
        self.shares = {"discrimination": discrimination, "invariance": invariance}
        self.weights = _class_weights(dim, num_classes)

    def terms(self, images: Tensor, audio: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return dscmr_terms(images, audio, labels, self.weights, **self.shares)


class TIMAM(EmbeddingHead):
    """Identification of both sides (:func:`norm_softmax`), :func:`cmpm` and :func:`modality_adversarial`, added up.

    The class weights serve both sides. ``strength`` is of the reversed gradient, ``hidden`` the discriminator's units.

    Source: Sarafianos et al. 2019 in tian2020, section 2.5 with equation 2.20.
    """

    def __init__(self, dim: int, num_classes: int, *, strength: float = 1.0, hidden: int = HIDDEN):
        super().__init__()
        self.num_classes, self.strength = num_classes, strength
        self.weights = _class_weights(dim, num_classes)
        self.discriminator = ModalityDiscriminator(dim, hidden)

    def terms(self, images: Tensor, audio: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {
            "identification": sum(norm_softmax(x, labels, self.weights) for x in (images, audio)),
            "cmpm": cmpm(images, audio, labels),
            "adversarial": modality_adversarial(images, audio, self.discriminator, strength=self.strength),
        }


def _class_weights(dim: int, num_classes: int) -> nn.Parameter:
    if num_classes < 2:
        raise ValueError(f"num_classes is {num_classes}; expected 2 or more classes to tell apart")
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_classes, dim)))
