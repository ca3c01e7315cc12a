"""Attention that an encoder has built in: the speech encoder's over time, CBAM's over a picture.

Shapes: L layers, T frames of 20 ms, H W pixels, h w grid.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from vgs_lib.clock import Clock
from vgs_lib.encoders.cbam import record_cbam
from vgs_lib.encoders.whisper import WhisperEncoder, record_attention
from vgs_lib.errors import ExplainError
from vgs_lib.explain.sides import picture_input, sound_input
from vgs_lib.front_ends import features_at_16k
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


@torch.no_grad()
def pooled_attention(model: DualEncoder, waveform: np.ndarray | Tensor) -> np.ndarray:
    """What each frame counts in the vector of a caption: float32 [D, T'], each dimension's weights sum to 1 over time.

    Args:
        model: one whose speech encoder pools its frames by attention (tian2020, merkx2019, chrupala2017).
        waveform: [N] at 16 kHz.

    Raises:
        ExplainError: the speech encoder has no such pool.
    """
    encoder = model.audio_encoder
    if getattr(getattr(encoder, "pool", None), "attention", None) is None:
        raise ExplainError(
            f"The speech encoder of this model ({type(encoder).__name__}) does not pool its frames by attention; "
            'expected one such as that of the recipe "tian2020".'
        )
    features, lengths = features_at_16k(encoder.front_end, [torch.as_tensor(waveform)])
    weights, lengths = encoder.attention(features.to(model.device), lengths.to(model.device))
    return weights[0, :, : int(lengths[0])].float().cpu().numpy()


def received(attention: np.ndarray) -> np.ndarray:
    """How much each frame is read: the mean over the readers of [..., T, T], times T: [..., T], 1 is an even share."""
    return attention.mean(axis=-2) * attention.shape[-1]


def mean_over_spans(
    values: np.ndarray, spans: Mapping[str, tuple[float, float]], *, seconds: float
) -> dict[str, float]:
    """The mean of values per frame [T], frames of ``seconds``, over each named span (start, end) in seconds.

    A frame counts by its middle; a span that covers none is left out.
    """
    middle = Clock(seconds).middles(len(values))
    covered = {name: (middle >= start) & (middle < end) for name, (start, end) in spans.items()}
    return {name: float(values[inside].mean()) for name, inside in covered.items() if inside.any()}


@torch.no_grad()
def cbam_maps(model: DualEncoder, pixels: np.ndarray) -> tuple[dict[str, np.ndarray], str]:
    """The spatial attention of every CBAM in the picture encoder, and a sentence about what was found.

    :class:`vgs_lib.encoders.cbam.CBAM` multiplies a layer's output by a weight 0-1 for each place (tian2020, 4.3).

    Args:
        model: any; most have none.
        pixels: uint8 [H, W, 3].

    Returns:
        ({module: [h, w] 0-1}, a sentence).
    """
    with record_cbam(model.image_encoder) as recorded:
        model.embed_image(picture_input(pixels).to(model.device))
    found = {name: weights.places[0].float().cpu().numpy() for name, weights in recorded.items()}
    kind = type(model.image_encoder).__name__
    if not found:
        return found, f"The picture encoder of this model ({kind}) has no CBAM, so there is no such map to show."
    return found, f"The picture encoder of this model ({kind}) has CBAM at {len(found)} places: {', '.join(found)}."
