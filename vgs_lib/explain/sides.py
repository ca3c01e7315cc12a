"""The two halves of a model as networks that can be looked into, their layers, and what they take.

A side is a frozen twin of an encoder: it reads the same numbers, but explaining leaves the model's gradients, mode and
hooks alone, and gradients reach every layer of it, those of a frozen backbone too.

Shapes: B inputs, C channels, D embedding, H W pixels, h w grid, F mel bands, T frames of a layer, N samples.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vgs_lib import localization
from vgs_lib.clock import Clock
from vgs_lib.errors import ExplainError
from vgs_lib.front_ends import features_at_16k
from vgs_lib.images import fit_picture
from vgs_lib.model import DualEncoder


class _Side(nn.Module):
    """A frozen twin of an encoder."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = _twin(encoder).eval()
        self.encoder.backbone_frozen = False  # which would cut the gradient
        for module in self.encoder.modules():
            if hasattr(module, "inplace"):
                module.inplace = False  # or the next module would overwrite a layer's activation
        self.eval()
        kept = next(iter([*encoder.parameters(), *encoder.buffers()]), torch.zeros(()))
        # One value, the first parameter, for a method to find the device by.
        self.register_parameter("here", nn.Parameter(torch.zeros((), device=kept.device), requires_grad=False))

    def train(self, mode: bool = True) -> "_Side":
        """As usual, but for recurrent layers, which have no dropout: cuDNN has gradients of them in training only."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.RNNBase):
                module.training = True
        return self

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.here.device


def _twin(encoder: nn.Module) -> nn.Module:
    """A copy with modules and hooks of its own whose weights are those of ``encoder``: no memory, no gradient."""
    memo: dict[int, object] = {id(buffer): buffer for buffer in encoder.buffers()}
    memo |= {id(weights): nn.Parameter(weights.data, requires_grad=False) for weights in encoder.parameters()}
    return copy.deepcopy(encoder, memo)


class PictureSide(_Side):
    """The picture encoder of a model as a network: pictures [B, 3, H, W], 0-1, to image maps [B, D, h, w]."""

    def __init__(self, model: DualEncoder):
        super().__init__(model.image_encoder)
        self.image_map = nn.Identity()  # the last layer of all: what the similarity reads

    def forward(self, pictures: Tensor) -> Tensor:
        return self.image_map(self.encoder(pictures))


class SoundSide(_Side):
    """The speech encoder of a model as a network: features [B, 1, F, T] of one length to audio maps [B, D, T']."""

    def __init__(self, model: DualEncoder):
        super().__init__(model.audio_encoder)
        self.mel = nn.Identity()  # the spectrogram itself: the one layer with mel bands
        self.audio_map = nn.Identity()

    def forward(self, mel: Tensor) -> Tensor:
        features = self.mel(mel)[:, 0]
        lengths = torch.full((len(features),), features.shape[-1], device=features.device)
        return self.audio_map(self.encoder(features, lengths)[0])


@dataclass(frozen=True)
class Layer:
    """A layer that can be explained: its name in the side's network and the shape of what it gives for one input.

    ``shape`` is (C, h, w) for pictures; (C, T) for sound, or (1, F, T) for its spectrogram.
    """

    name: str
    shape: tuple[int, ...]
    channels_last: bool = False

    @property
    def label(self) -> str:
        """Name and shape, for a list to choose from."""
        return f"{self.name} ({' × '.join(map(str, self.shape))})"


def layers(side: PictureSide | SoundSide, inputs: Tensor) -> list[Layer]:
    """The layers of a side that can be explained, from input to output, with the shapes that ``inputs`` gives them.

    A layer is a module that gives one tensor over places or time; of nested ones the outer, and the members of a
    sequence too.
    """
    shapes = _output_shapes(side, inputs)
    sound = isinstance(side, SoundSide)
    shorter = _output_shapes(side, inputs[..., : -(-inputs.shape[-1] // 2)]) if sound else {}
    found = {}
    for name, shape in shapes.items():
        if len(shape) == 3 and shape[1] * shape[2] > 1 and (not sound or name == "mel"):
            found[name] = Layer(name, shape)
        elif sound and len(shape) == 2 and shape != shorter[name]:  # the axis that follows the input's is time
            last = shape[0] != shorter[name][0]
            found[name] = Layer(name, shape[::-1] if last else shape, channels_last=last)
    outer = {"mel", "image_map", "audio_map"} | set(_outer(side.encoder, "encoder.", found))
    return [layer for name, layer in found.items() if name in outer]


def _output_shapes(side: PictureSide | SoundSide, inputs: Tensor) -> dict[str, tuple[int, ...]]:
    """What each module that gives a tensor gives for the first input, in the order of their running."""
    shapes: dict[str, tuple[int, ...]] = {}

    def hook(name: str) -> Callable:
        return lambda module, args, output: (
            shapes.__setitem__(name, tuple(output.shape[1:])) if isinstance(output, Tensor) else None
        )

    hooks = [module.register_forward_hook(hook(name)) for name, module in side.named_modules() if name]
    try:
        with torch.no_grad():
            side(inputs[:1].to(side.device))
    finally:
        for one in hooks:
            one.remove()
    return shapes


def _outer(module: nn.Module, prefix: str, found: dict[str, Layer]) -> list[str]:
    """Names of the outermost found modules below ``module``, and of the members of found sequences but the last."""
    names = []
    for name, child in module.named_children():
        path = prefix + name
        is_found = path in found
        if is_found:
            names.append(path)
        if not is_found or isinstance(child, nn.Sequential):
            inner = _outer(child, path + ".", found)
            last = f"{path}.{len(child) - 1}" if is_found else ""  # what the sequence itself gives
            names += [one for one in inner if one != last]
    return names


def picture_input(pixels: np.ndarray, *, size: int = 224) -> Tensor:
    """A picture uint8 [H, W, 3] as the picture side takes it: [1, 3, H', W'], shorter side ``size``."""
    return fit_picture(pixels, size)[None]


def sound_input(model: DualEncoder, waveform: np.ndarray | Tensor) -> Tensor:
    """A waveform [N] at 16 kHz as the sound side takes it: [1, 1, F, T]."""
    features, _ = features_at_16k(model.audio_encoder.front_end, [torch.as_tensor(waveform)])
    return features[:, None].to(model.device)


@torch.no_grad()
def seen(model: DualEncoder, pixels: np.ndarray, *, size: int = 224) -> Tensor:
    """The image map [D, h, w] of a picture uint8 [H, W, 3]."""
    return model.embed_image(picture_input(pixels, size=size).to(model.device))[0]


@torch.no_grad()
def heard(model: DualEncoder, waveform: np.ndarray | Tensor, span: tuple[float, float] | None = None) -> Tensor:
    """The audio map [D, T] of a waveform [N] at 16 kHz, or of its frames between (start, end) seconds."""
    maps, lengths = model.embed_waveforms([torch.as_tensor(waveform)])
    audio_map = maps[0, :, : int(lengths[0])]
    return audio_map if span is None else audio_map[:, frames_in(model, audio_map.shape[-1], span)]


def frames_in(model: DualEncoder, num_frames: int, span: tuple[float, float]) -> Tensor:
    """[T] bool: the frames of an audio map whose middle lies between (start, end) seconds, at least the nearest one."""
    start, end = span
    if not start < end:
        raise ExplainError(f"span: found {start} to {end} s, expected a start before the end.")
    return localization.span_frames(num_frames, start, end, Clock.of(model)).to(model.device)
