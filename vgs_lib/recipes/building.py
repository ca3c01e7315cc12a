"""From a recipe to its untrained model: the names of encoders, and what cannot be built said by name."""

import math
from collections.abc import Callable

from torch import nn

from vgs_lib.encoders.audio import DAVEnet, PooledDAVEnet, ResDAVEnet
from vgs_lib.encoders.highway import RecurrentHighway
from vgs_lib.encoders.image import ConvMap, TimmPyramid
from vgs_lib.encoders.pooled_pictures import PooledPictures
from vgs_lib.encoders.recurrent import ConvRecurrent, PyramidalRNN, Recurrent
from vgs_lib.encoders.small_pictures import SmallPictures
from vgs_lib.encoders.temporal import TemporalDAVEnet
from vgs_lib.encoders.text import TextCNN
from vgs_lib.encoders.torchaudio_speech import TorchaudioSpeech
from vgs_lib.encoders.whisper import PretrainedSpeech
from vgs_lib.errors import CheckpointError
from vgs_lib.model import DualEncoder
from vgs_lib.recipes.recipe import INITIAL, Part, Recipe
from vgs_lib.similarity import KINDS
from vgs_lib.training.embedding_objective import EmbeddingLoss

IMAGE_ENCODERS: dict[str, Callable] = {
    "timm": TimmPyramid,
    "conv_map": ConvMap,
    "pooled_pictures": PooledPictures,
    "small_pictures": SmallPictures,
}
AUDIO_ENCODERS: dict[str, Callable] = {
    "whisper": PretrainedSpeech,
    "torchaudio": TorchaudioSpeech,
    "davenet": DAVEnet,
    "davenet_pooled": PooledDAVEnet,
    "resdavenet": ResDAVEnet,
    "recurrent": Recurrent,
    "pyramid": PyramidalRNN,
    "conv_recurrent": ConvRecurrent,
    "highway": RecurrentHighway,
    "temporal": TemporalDAVEnet,
    "text": TextCNN,
}


def build_model(recipe: Recipe) -> DualEncoder:
    """The untrained model of a recipe; frozen backbones come with their weights.

    Raises :class:`CheckpointError` naming the recipe and the field that no model can be built of, and
    :class:`DownloadError` where weights cannot be obtained.
    """
    if recipe.kind not in KINDS:
        raise CheckpointError(f"recipe {recipe.name}: kind is {recipe.kind!r}, expected one of {', '.join(KINDS)}")
    heat = recipe.temperature
    if not isinstance(heat, int | float) or not 0 < heat < math.inf:
        raise CheckpointError(f"recipe {recipe.name}: temperature is {heat!r}, expected a number above 0")
    if not isinstance(recipe.cell, int) or recipe.cell < 1:
        raise CheckpointError(f"recipe {recipe.name}: cell is {recipe.cell!r}, expected 1 or more positions")
    if recipe.initial not in INITIAL:
        raise CheckpointError(f"recipe {recipe.name}: initial is {recipe.initial!r}, expected one of {INITIAL}")
    image = _encoder(recipe, "image", IMAGE_ENCODERS)
    audio = _encoder(recipe, "audio", AUDIO_ENCODERS)
    if image.dim != audio.dim:
        raise CheckpointError(
            f"recipe {recipe.name}: image gives {image.dim} dimensions and audio {audio.dim}; they must be equal"
        )
    head = _loss_head(recipe, image.dim)
    return DualEncoder(image, audio, kind=recipe.kind, temperature=recipe.temperature, cell=recipe.cell, loss_head=head)


def _loss_head(recipe: Recipe, dim: int) -> nn.Module | None:
    """What the loss itself learns; None for a loss on scores."""
    if not isinstance(recipe.loss, EmbeddingLoss):
        return None
    try:
        return recipe.loss.head(dim, recipe.num_classes, seed=recipe.fit.seed)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"recipe {recipe.name}: loss: no {recipe.loss.name!r} for {recipe.num_classes} classes ({error})"
        ) from error


def _encoder(recipe: Recipe, field_name: str, known: dict[str, Callable]) -> nn.Module:
    part: Part = getattr(recipe, field_name)
    if part.name not in list(known):
        raise CheckpointError(f"recipe {recipe.name}: no encoder {part.name!r}, expected one of {sorted(known)}")
    try:
        return known[part.name](**part.options)
    except (TypeError, ValueError, RuntimeError, LookupError, AttributeError, ArithmeticError) as error:
        raise CheckpointError(
            f"recipe {recipe.name}: {field_name}: no {part.name!r} can be built of {part.options} ({error})"
        ) from error
