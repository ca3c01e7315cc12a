"""Systems as recipes: features, two encoders, a similarity, a loss, data and a schedule, as one frozen dataclass.

A recipe is plain data (it is stored as JSON beside the weights); :func:`build_model` makes the model it names.
"""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn

from vgs_lib.data.augment import Augmentation
from vgs_lib.data.scene_batches import SceneData
from vgs_lib.encoders.audio import DAVEnet, ResDAVEnet
from vgs_lib.encoders.image import ResNet50Conv, TimmPyramid, VGG16Conv
from vgs_lib.encoders.torchaudio_speech import TorchaudioSpeech
from vgs_lib.encoders.whisper import PretrainedSpeech
from vgs_lib.errors import CheckpointError, TrainingError
from vgs_lib.model import DualEncoder
from vgs_lib.similarity import KINDS
from vgs_lib.training import FitSettings, ScoreLoss

IMAGE_ENCODERS: dict[str, Callable] = {"timm": TimmPyramid, "vgg16": VGG16Conv, "resnet50": ResNet50Conv}
AUDIO_ENCODERS: dict[str, Callable] = {
    "whisper": PretrainedSpeech,
    "torchaudio": TorchaudioSpeech,
    "davenet": DAVEnet,
    "resdavenet": ResDAVEnet,
}


@dataclass(frozen=True)
class Part:
    """An encoder: its name in ``IMAGE_ENCODERS`` or ``AUDIO_ENCODERS``, and its options."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """A system and how it is trained. ``keep_best`` in ``fit`` chooses among the evaluations on validation."""

    name: str
    image: Part
    audio: Part
    kind: str = "misa"
    temperature: float = 0.1
    cell: int = 1
    loss: ScoreLoss = field(default_factory=ScoreLoss)
    data: SceneData = field(default_factory=SceneData)
    fit: FitSettings = field(default_factory=FitSettings)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as a JSON object."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Recipe":
        """The recipe of a JSON object; :class:`CheckpointError` if it is not one."""
        try:
            data = dict(fields["data"])
            ranges = {k: tuple(v) if isinstance(v, list) else v for k, v in data.pop("augmentation").items()}
            phases = tuple(tuple(phase) for phase in data.pop("phases"))
            fit = dict(fields["fit"])
            return cls(
                name=fields["name"],
                image=Part(**fields["image"]),
                audio=Part(**fields["audio"]),
                kind=fields["kind"],
                temperature=fields["temperature"],
                cell=fields["cell"],
                loss=ScoreLoss(**{**fields["loss"], "coarse": tuple(tuple(x) for x in fields["loss"]["coarse"])}),
                data=SceneData(
                    **{**data, "people": tuple(data["people"])}, phases=phases, augmentation=Augmentation(**ranges)
                ),
                fit=FitSettings(**{**fit, "betas": tuple(fit["betas"])}),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"the recipe in model.json is damaged or of another version: {error!r}") from error


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
    image = _encoder(recipe, "image", IMAGE_ENCODERS)
    audio = _encoder(recipe, "audio", AUDIO_ENCODERS)
    if image.dim != audio.dim:
        raise CheckpointError(
            f"recipe {recipe.name}: image gives {image.dim} dimensions and audio {audio.dim}; they must be equal"
        )
    return DualEncoder(image, audio, kind=recipe.kind, temperature=recipe.temperature, cell=recipe.cell)


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


_PICTURES = Part("timm", {"strides": [8, 16, 32], "dim": 256, "out_stride": 8, "normalize": True})

RECIPES: dict[str, Recipe] = {
    "stamps-demo": Recipe(
        name="stamps-demo",
        image=_PICTURES,
        audio=Part("whisper", {"dim": 256, "layers": [4], "pooling": 8, "num_convs": 4, "dropout": 0.15}),
        cell=2,
        loss=ScoreLoss("info_nce", mix_steps=100, coarse=((300, 2),)),
        data=SceneData(
            num_scenes=8000,
            batch_size=192,
            takes=2,
            word_takes=8,
            word_share=0.45,
            phases=((300, 1),),
            even_engines=True,
            mask_frames=8,
        ),
        fit=FitSettings(
            steps=850,
            learning_rate=2e-3,
            warmup_steps=40,
            checkpoint_every=50,
            evaluate_every=300,
            precision="bf16",
        ),
    ),
    # Logits of a ResDAVEnet start large: with a first temperature of 0.1 it learnt nothing for hundreds of steps.
    "stamps-scratch": Recipe(
        name="stamps-scratch",
        image=Part("timm", {"strides": [8, 16, 32], "dim": 256, "out_stride": 16, "normalize": True}),
        audio=Part("resdavenet", {"width": 0.375, "dim": 256}),
        temperature=0.5,
        loss=ScoreLoss("info_nce", mix_steps=100, coarse=((1700, 2),)),
        data=SceneData(
            num_scenes=8000,
            batch_size=192,
            takes=4,
            word_takes=20,
            word_share=0.45,
            phases=((1700, 1),),
            even_engines=True,
            mask_frames=12,
            augmentation=Augmentation(speed=(0.8, 1.25), pitch=(0.75, 1.35), pitch_chance=0.5),
        ),
        fit=FitSettings(
            steps=2500,
            learning_rate=1e-3,
            betas=(0.9, 0.98),
            warmup_steps=50,
            gradient_clip=5.0,
            checkpoint_every=50,
            evaluate_every=850,
            precision="bf16",
        ),
    ),
}


def recipe(name: str) -> Recipe:
    """The recipe of that name; :class:`TrainingError` lists the names there are."""
    if name not in RECIPES:
        raise TrainingError(f"no recipe is called {name!r}; there are {', '.join(sorted(RECIPES))}")
    return RECIPES[name]
