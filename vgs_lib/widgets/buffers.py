"""Pictures, sounds and heat as the bytes that travel to the browser. Shapes: H W pixels, N samples."""

import io

import numpy as np
import soundfile
from PIL import Image

from vgs_lib.audio import SAMPLE_RATE


def jpeg(pixels: np.ndarray, *, longest: int | None = None, quality: int = 85) -> bytes:
    """A picture uint8 [H, W, 3] as JPEG bytes, made smaller so that no side is over ``longest`` pixels."""
    image = Image.fromarray(pixels)
    if longest is not None:
        image.thumbnail((longest, longest))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return data.getvalue()


def wav(waveform: np.ndarray, *, rate: int = SAMPLE_RATE) -> bytes:
    """Samples [N], -1 to 1, as a 16-bit WAV file."""
    data = io.BytesIO()
    soundfile.write(data, np.clip(waveform, -1, 1), rate, format="WAV", subtype="PCM_16")
    return data.getvalue()


def heat_bytes(heat: np.ndarray) -> bytes:
    """Heat of any shape, 0-1, as one byte a value in C order."""
    return np.ascontiguousarray((np.clip(heat, 0, 1) * 255).round().astype(np.uint8)).tobytes()
