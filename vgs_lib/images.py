"""Pictures as the image encoders take them. Shapes: H W pixels."""

import numpy as np
import torch
from torch.nn import functional

from vgs_lib.errors import ImageError

MAX_ASPECT = 4.0
STRIDE = 32  # the coarsest stride of the image encoders


def fit_picture(pixels: np.ndarray, size: int, *, name: str = "picture") -> torch.Tensor:
    """A picture as the encoder takes it: float [3, H, W], 0-1, shorter side ``size``, sides multiples of 32.

    Args:
        pixels: uint8 [H, W, 3], any size; nothing is cropped.
        size: pixels of the shorter side.
        name: for the error.

    Raises:
        ImageError: not uint8 [H, W, 3], or one side more than four times the other.
    """
    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ImageError(f"{name}: expected uint8 [height, width, 3], found {pixels.dtype} {list(pixels.shape)}.")
    short, long = sorted(pixels.shape[:2])
    if long > MAX_ASPECT * short:
        raise ImageError(f"{name}: {long} by {short} pixels is too narrow; cut it to at most {MAX_ASPECT:.0f} to 1.")
    picture = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
    target = [max(STRIDE, round(side * size / short / STRIDE) * STRIDE) for side in pixels.shape[:2]]
    if target != list(pixels.shape[:2]):
        picture = functional.interpolate(picture[None], target, mode="bilinear", antialias=True)[0].clamp(0, 1)
    return picture
