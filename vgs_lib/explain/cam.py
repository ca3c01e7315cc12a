"""Class activation maps (CAM) of the picture encoder and of the speech encoder.

A CAM needs a network, a layer of it and a number to explain. The networks are `PictureSide` and `SoundSide`; the
number is the similarity to a spoken query (`SpokenQuery`) or to a picture (`ShownPicture`), minus that to distractors
if wanted. The methods are those of the package grad-cam: Grad-CAM (Selvaraju et al. 2017), HiResCAM (Draelos and Carin
2020), Grad-CAM++ (Chattopadhay et al. 2018), LayerCAM (Jiang et al. 2021), Eigen-CAM (Muhammad and Yeasin 2020) and
Score-CAM (Wang et al. 2020).

Shapes: B inputs, C channels, D embedding, H W pixels, h w grid, F mel bands, T frames of a layer, N samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytorch_grad_cam as gradcam
import torch
from torch import Tensor
from torch.nn import functional as F

from vgs_lib.errors import ExplainError
from vgs_lib.explain.score_cam import LeanScoreCAM
from vgs_lib.explain.sides import (
    Layer,
    PictureSide,
    SoundSide,
    layers,
)
from vgs_lib.model import DualEncoder

METHODS = {
    "GradCAM": gradcam.GradCAM,
    "HiResCAM": gradcam.HiResCAM,
    "GradCAM++": gradcam.GradCAMPlusPlus,
    "LayerCAM": gradcam.LayerCAM,
    "EigenCAM": gradcam.EigenCAM,
    "ScoreCAM": LeanScoreCAM,
}
ABOUT = {
    "GradCAM": "channels weighted by their mean gradient",
    "HiResCAM": "activation times gradient, place by place",
    "GradCAM++": "channels weighted by their positive gradients, strong ones less",
    "LayerCAM": "activation times positive gradient, place by place",
    "EigenCAM": "the first principal component of the activations: it never looks at the query",
    "ScoreCAM": "channels weighted by the score of the picture masked with them: slow, without gradients",
}
IGNORES_TARGET = ("EigenCAM",)
PICTURES_ONLY = ("ScoreCAM",)
MAX_EIGEN_PLACES = 4096  # its decomposition holds the square of this many numbers
MAX_SCORE_CHANNELS = 128  # ScoreCAM runs the network once for each
_ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class Cam:
    """A map of what a target depends on at one layer.

    Attributes:
        method, layer: how and where it was made.
        raw: [h, w] or, for sound, [1 or F, T], float32: signed, in the unit of the method, never rescaled. Raw maps of
            one method and one layer can be compared with each other.
        score: the target's value for this input.
        rounding: what is not above this is rounding error.
        activations: [C, h, w] of the layer. gradients: the same of the target with respect to them, or None.
    """

    method: str
    layer: str
    raw: np.ndarray
    score: float
    rounding: float
    activations: np.ndarray
    gradients: np.ndarray | None

    @property
    def positive(self) -> np.ndarray:
        """What raises the target: ``raw`` without its negative part (the ReLU of Grad-CAM), not rescaled."""
        return np.where(self.raw > self.rounding, self.raw, 0)

    @property
    def empty(self) -> bool:
        """Whether no place raises the target by more than rounding error."""
        return not self.positive.any()

    @property
    def scaled(self) -> np.ndarray:
        """``positive`` brought to 0-1 by its own extremes: every map looks equally sure, so never compare two of them.

        Zero everywhere for an empty map, of which min-max scaling alone would show the rounding error.
        """
        low, high = self.positive.min(), self.positive.max()
        return (self.positive - low) / (high - low) if high > low else np.zeros_like(self.positive)


class SpokenQuery:
    """Target for the picture side: similarity of a picture to a spoken query, minus the mean of the distractors'.

    Args:
        model: gives the kind of similarity.
        query: audio map [D, T], of a whole caption or the frames of a word.
        distractors: audio maps [D, T_i] of other captions, or nothing.
        kind: another similarity than the model's: "misa", "sima", "sisa", "dot" or "cosine".
    """

    def __init__(
        self, model: DualEncoder, query: Tensor, distractors: Sequence[Tensor] = (), *, kind: str | None = None
    ):
        self.model, self.kind = model, kind
        self.queries = [audio_map.detach().clone() for audio_map in (query, *distractors)]
        self.lengths = torch.tensor([audio_map.shape[-1] for audio_map in self.queries], device=query.device)
        longest = int(self.lengths.max())
        self.padded = torch.stack([F.pad(x, (0, longest - x.shape[-1])) for x in self.queries])

    def __call__(self, image_map: Tensor) -> Tensor:
        """Image map [D, h, w] to one number."""
        return _margin(self.model.score(image_map[None], self.padded, self.lengths, kind=self.kind)[0])


class ShownPicture:
    """Target for the sound side: similarity of a recording to a picture, minus the mean of the distractors'.

    Args:
        model: gives the kind of similarity.
        image_map: [D, h, w] of the picture.
        distractors: image maps of other pictures, or nothing.
        frames: [T] bool, the frames of the audio map that count (those of a word); None for all.
        kind: another similarity than the model's.
    """

    def __init__(
        self,
        model: DualEncoder,
        image_map: Tensor,
        distractors: Sequence[Tensor] = (),
        *,
        frames: Tensor | None = None,
        kind: str | None = None,
    ):
        self.model, self.kind, self.frames = model, kind, frames
        self.pictures = [one.detach().clone() for one in (image_map, *distractors)]

    def __call__(self, audio_map: Tensor) -> Tensor:
        """Audio map [D, T] to one number."""
        heard = audio_map if self.frames is None else audio_map[:, self.frames]
        length = torch.tensor([heard.shape[-1]], device=heard.device)
        scores = [self.model.score(one[None], heard[None], length, kind=self.kind)[0, 0] for one in self.pictures]
        return _margin(torch.stack(scores))


def _margin(scores: Tensor) -> Tensor:
    return scores[0] if len(scores) == 1 else scores[0] - scores[1:].mean()


def explain(
    side: PictureSide | SoundSide,
    inputs: Tensor,
    targets: Callable[[Tensor], Tensor] | Sequence[Callable[[Tensor], Tensor]],
    *,
    method: str = "GradCAM",
    layer: str | Layer | None = None,
    asked: Callable[[], None] = lambda: None,
) -> list[Cam]:
    """A map of each input: where, or when, what it shows at a layer raises its target.

    Args:
        side: `PictureSide` or `SoundSide` of a model.
        inputs: [B, 3, H, W] from `picture_input` or [B, 1, F, T] from `sound_input`.
        targets: one for each input, or a single one where there is one input: a function of the side's output for one
            input ([D, h, w] or [D, T]) that gives a number with a gradient.
        method: one of ``METHODS``; those in ``IGNORES_TARGET`` give the same map for every target.
        layer: a name or `Layer` of `layers`; None takes the side's output.
        asked: called whenever a target is computed (ScoreCAM: once for each channel); raise from it to stop.

    Raises:
        ExplainError: an unknown method or layer, another number of targets than inputs (the package would give zeros
            for the rest), a target without a gradient, a layer that does not fit the method.
    """
    if method not in METHODS:
        raise ExplainError(f"method: found {method!r}, expected one of {', '.join(METHODS)}.")
    if isinstance(side, SoundSide) and method in PICTURES_ONLY:
        raise ExplainError(f"{method} masks its input with zeros, and a log-mel of zero is no silence: pictures only.")
    targets = [targets] if callable(targets) else list(targets)
    if len(targets) != len(inputs):
        raise ExplainError(f"found {len(targets)} targets for {len(inputs)} inputs; expected one for each input.")
    layer = _find(side, inputs, layer)
    places = int(np.prod(layer.shape[1:]))
    if method == "EigenCAM" and places > MAX_EIGEN_PLACES:
        raise ExplainError(
            f"EigenCAM of {layer.name}: {places} places are too many (at most {MAX_EIGEN_PLACES}); take a later layer."
        )
    if method == "ScoreCAM" and layer.shape[0] > MAX_SCORE_CHANNELS:
        raise ExplainError(
            f"ScoreCAM of {layer.name}: {layer.shape[0]} channels mean as many runs of the network (at most "
            f"{MAX_SCORE_CHANNELS}); take a layer with fewer channels."
        )

    cam = METHODS[method](side, [side.get_submodule(layer.name)], reshape_transform=_as_picture(layer))
    kept, plain = [], cam.get_cam_image

    def keep(*arguments):  # before the package clips and scales
        _, _, _, activations, gradients, _ = arguments
        if cam.uses_gradients and gradients is None:
            raise ExplainError(f"no gradient of the target reaches {layer.name}: is it cut off, as by detach or item?")
        cam.activations_and_grads.release()  # ScoreCAM runs the network again and would keep every activation
        kept.extend((plain(*arguments), activations, gradients))
        return kept[0]

    cam.get_cam_image = keep
    try:
        with torch.enable_grad():
            cam(
                input_tensor=inputs.detach().to(side.device, copy=True).requires_grad_(True),
                targets=[_checked(target, asked) for target in targets],
            )
    except RuntimeError as error:
        if "does not require grad" not in str(error):
            raise
        raise ExplainError(
            "the target has no gradient: compute it from its argument, without item or detach."
        ) from error
    finally:
        cam.activations_and_grads.release()
        del cam.get_cam_image  # a cycle, which would keep the graph alive
    with torch.no_grad():
        scores = [float(target(output)) for target, output in zip(targets, cam.outputs.detach(), strict=True)]
    return [_one(method, layer, index, kept, score) for index, score in enumerate(scores)]


def _checked(target: Callable[[Tensor], Tensor], asked: Callable[[], None]) -> Callable[[Tensor], Tensor]:
    def ask(output: Tensor) -> Tensor:
        asked()
        value = target(output)
        if not isinstance(value, Tensor) or value.numel() != 1:
            found = f"shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ExplainError(f"the target gave {found}; expected a tensor with one number.")
        return value.reshape(())

    return ask


def _one(method: str, layer: Layer, index: int, kept: list, score: float) -> Cam:
    raw, activations = kept[0][index].astype(np.float32), kept[1][index]
    gradients = None if kept[2] is None or method in (*IGNORES_TARGET, *PICTURES_ONLY) else kept[2][index]
    rounding = 0.0 if gradients is None else _ROUNDING * float(np.abs(activations * gradients).sum(axis=0).max())
    return Cam(method, layer.name, raw, score, rounding, activations, gradients)


def _find(side: PictureSide | SoundSide, inputs: Tensor, layer: str | Layer | None) -> Layer:
    if isinstance(layer, Layer):
        return layer
    name = layer or ("audio_map" if isinstance(side, SoundSide) else "image_map")
    known = {one.name: one for one in layers(side, inputs)}
    if name not in known:
        raise ExplainError(f"layer: found {name!r}, expected one of {', '.join(known)}.")
    return known[name]


def _as_picture(layer: Layer) -> Callable[[Tensor], Tensor] | None:
    """Brings [B, C, T] or [B, T, C] to [B, C, 1, T], which the package takes."""
    if len(layer.shape) == 3:
        return None
    return lambda x: (x.transpose(1, 2) if layer.channels_last else x).unsqueeze(2)
