"""Attention that an encoder has built in: the speech encoder's over time, CBAM's over a picture.

Shapes: L layers, T frames of 20 ms, H W pixels, h w grid.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from vgs_lib.encoders.whisper import WhisperEncoder, record_attention
from vgs_lib.errors import ExplainError
from vgs_lib.explain_sides import picture_input, sound_input
from vgs_lib.model import DualEncoder

SECONDS_PER_STATE = 0.02  # Whisper: hop of 10 ms, a stride of two


@torch.no_grad()
def attention_over_time(model: DualEncoder, waveform: np.ndarray | Tensor) -> np.ndarray:
    """Which frames read which in the speech encoder: float32 [L, heads, T, T], rows (the readers) sum to 1.

    Args:
        model: one whose speech encoder is Whisper's.
        waveform: [N] at 16 kHz.

    Raises:
        ExplainError: the speech encoder has no attention.
    """
    encoder = getattr(model.audio_encoder, "encoder", None)
    if not isinstance(encoder, WhisperEncoder):
        raise ExplainError(
            f"The speech encoder of this model ({type(model.audio_encoder).__name__}) has no attention over time; "
            "expected Whisper's encoder."
        )
    mel = sound_input(model, waveform)[:, 0]
    lengths = torch.tensor([mel.shape[-1]], device=mel.device)
    with record_attention(encoder) as recorded:
        encoder(mel, lengths)
    return torch.stack([layer[0] for layer in recorded]).float().cpu().numpy()


def received(attention: np.ndarray) -> np.ndarray:
    """How much each frame is read: the mean over the readers of [..., T, T], times T: [..., T], 1 is an even share."""
    return attention.mean(axis=-2) * attention.shape[-1]


def mean_over_spans(
    values: np.ndarray, spans: Mapping[str, tuple[float, float]], *, seconds: float
) -> dict[str, float]:
    """The mean of values per frame [T], frames of ``seconds``, over each named span (start, end) in seconds.

    A frame counts by its middle; a span that covers none is left out.
    """
    middle = (np.arange(len(values)) + 0.5) * seconds
    covered = {name: (middle >= start) & (middle < end) for name, (start, end) in spans.items()}
    return {name: float(values[inside].mean()) for name, inside in covered.items() if inside.any()}


@torch.no_grad()
def cbam_maps(model: DualEncoder, pixels: np.ndarray) -> tuple[dict[str, np.ndarray], str]:
    """The spatial attention of every CBAM in the picture encoder, and a sentence about what was found.

    CBAM (Woo et al. 2018) multiplies a layer's output by a map 0-1 over places; it is read off at the gate of each
    module that has a part ``spatial`` with a ``gate`` (timm's ``CbamModule``).

    Args:
        model: any; most have none.
        pixels: uint8 [H, W, 3].

    Returns:
        ({module: [h, w] 0-1}, a sentence).
    """
    found: dict[str, np.ndarray] = {}
    gates = {name: m.spatial.gate for name, m in model.image_encoder.named_modules() if _has_gate(m)}
    hooks = [gate.register_forward_hook(_keeper(found, name)) for name, gate in gates.items()]
    try:
        if hooks:
            model.embed_image(picture_input(pixels).to(model.device))
    finally:
        for hook in hooks:
            hook.remove()
    kind = type(model.image_encoder).__name__
    if not found:
        return found, f"The picture encoder of this model ({kind}) has no CBAM, so there is no such map to show."
    return found, f"The picture encoder of this model ({kind}) has CBAM at {len(found)} places: {', '.join(found)}."


def _has_gate(module: nn.Module) -> bool:
    return isinstance(getattr(getattr(module, "spatial", None), "gate", None), nn.Module)


def _keeper(found: dict[str, np.ndarray], name: str):
    def keep(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        found[name] = output[0, 0].float().cpu().numpy()

    return keep
