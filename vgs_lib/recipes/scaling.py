"""The same system at another size, so that any of them trains on two cores."""

from dataclasses import dataclass, replace

from vgs_lib.errors import TrainingError
from vgs_lib.recipes.recipe import Part, Recipe

DIM = 1024  # embedding size where a recipe names none
PRETRAINED = ("whisper", "torchaudio")  # their hidden sizes are given


@dataclass(frozen=True)
class Scale:
    """How large a system is built.

    width: share of the hidden channels of the speech side, and of a ``backbone`` that is trained from random weights;
        other picture networks keep their channels, and ``small_pictures`` has a width of its own.
    dim: embedding size; None leaves the document's.
    frames: most input frames of a caption, the rest is cut off, in place of the document's limit; None leaves that, as
        does a speech side with a front end of its own.
    pictures: a frozen picture backbone with pretrained weights that takes the place of the document's, its maps
        normalised channel by channel; None leaves it.
    """

    width: float = 1.0
    dim: int | None = None
    frames: int | None = None
    pictures: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.width <= 4:
            raise TrainingError(f"width: found {self.width}, expected a share of the hidden channels from 0 to 4")
        for name in ("dim", "frames"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise TrainingError(f"{name}: found {value}, expected at least 1")


def scaled(recipe: Recipe, scale: Scale) -> Recipe:
    """``recipe`` at another size; data, loss, similarity and schedule stay."""
    image, audio = recipe.image.options, recipe.audio.options
    if scale.dim is not None:
        sized = {"dim": scale.dim}
    else:  # a narrow encoder has a smaller one by itself
        sized = {"dim": image.get("dim", DIM)} if scale.width != 1.0 else {}
    trained = image.get("pretrained") is False and not image.get("frozen", False)
    if scale.pictures is not None and "backbone" in image:
        image = {**image, "backbone": scale.pictures, "frozen": True, "pretrained": True, "batch_norm": True}
        if "attention" in image:  # in a frozen backbone its place is told by which maps there are
            image["strides"] = [16, 32]
    elif "backbone" in image and trained and scale.width != 1.0:
        image = {**image, "width": scale.width * image.get("width", 1.0)}
    if recipe.audio.name not in PRETRAINED and scale.width != 1.0:
        audio = {**audio, "width": scale.width * audio.get("width", 1.0)}
    if scale.frames is not None and "front_end" in audio:
        named = audio["front_end"] if isinstance(audio["front_end"], dict) else {"name": audio["front_end"]}
        audio = {**audio, "front_end": {**named, "max_frames": scale.frames}}
    return replace(
        recipe,
        image=Part(recipe.image.name, {**image, **sized}),
        audio=Part(recipe.audio.name, {**audio, **sized}),
    )
