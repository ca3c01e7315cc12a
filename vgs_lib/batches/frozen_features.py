"""Frozen features of pictures and captions as batches take them, and what they depend on.

Legend: C channels, T frames, N samples.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from vgs_lib.front_ends import features_at_16k
from vgs_lib.safe_files import digest_tensors


def blanked(speech: Tensor, most: int, blank: float, generator: torch.Generator) -> Tensor:
    """A caption [C, T] with two spans of up to ``most`` frames set to ``blank`` in place (SpecAugment's time masks)."""
    for _ in range(2 if most else 0):
        length = int(torch.randint(0, most + 1, (), generator=generator))
        start = int(torch.randint(0, max(1, speech.shape[1] - length), (), generator=generator))
        speech[:, start : start + length] = blank
    return speech


def picture_key(encoder) -> dict[str, Any]:
    """What the frozen features of pictures depend on in their encoder."""
    key = {"strides": getattr(encoder, "strides", None), "weights": digest_tensors(encoder.backbone.state_dict())}
    pooled = getattr(encoder, "features_as", None)
    return key | ({"features_as": pooled} if pooled else {})


def speech_key(encoder) -> dict[str, Any]:
    """What the cached features of captions depend on in their encoder."""
    frozen = getattr(encoder, "backbone_frozen", False)
    return {
        "front_end": repr(encoder.front_end),
        "layers": getattr(encoder, "cached_layers", None),
        "weights": digest_tensors(encoder.backbone.state_dict()) if frozen else None,
    }


@torch.no_grad()
def picture_features(encoder, pictures: Tensor) -> list[tuple[Tensor, ...]]:
    """The frozen maps [C, H, W] of each picture, uint8 [B, 3, H, W], in float16 on the CPU, wherever the encoder is."""
    maps = encoder.features(pictures.to(_device_of(encoder)).float() / 255)
    return [tuple(level[n].half().cpu() for level in maps) for n in range(len(pictures))]


def speech_features(encoder, waveforms: Sequence[Tensor], *, batch_size: int = 32) -> list[Tensor]:
    """What :class:`Batch` takes for each waveform [N]: frozen hidden states or front-end features, [C, T] each.

    Waveforms of like length are encoded together, so that little is spent on padding. Frozen states are computed where
    the encoder is; all come back on the CPU.
    """
    frozen = getattr(encoder, "backbone_frozen", False)
    compute: Callable = encoder.features if frozen else lambda x, lengths: (x, lengths)
    device = _device_of(encoder) if frozen else torch.device("cpu")
    order = sorted(range(len(waveforms)), key=lambda i: len(waveforms[i]))
    found: list[Tensor] = [torch.empty(0)] * len(waveforms)
    with torch.no_grad():
        for first in range(0, len(order), batch_size):
            few = order[first : first + batch_size]
            heard = features_at_16k(encoder.front_end, [waveforms[i] for i in few])
            states, lengths = (x.cpu() for x in compute(*(x.to(device) for x in heard)))
            for row, i in enumerate(few):
                found[i] = states[row, :, : lengths[row]].clone()
    return found


def _device_of(encoder) -> torch.device:
    return next((tensor.device for tensor in (*encoder.parameters(), *encoder.buffers())), torch.device("cpu"))
