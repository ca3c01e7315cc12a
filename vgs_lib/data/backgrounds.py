"""Varied backgrounds for scenes: plain colours, smooth gradients, noise and blurred pictures.

Each function draws from a numpy generator and nothing else, so a scene is the same on every machine.
Legend: size in pixels; pictures uint8 [size, size, 3].
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter


def _resized(values: np.ndarray, size: int) -> np.ndarray:
    """``values`` [h, w, 3] in 0..255, smoothly enlarged to [size, size, 3]."""
    small = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    return np.asarray(small.resize((size, size), Image.Resampling.BICUBIC))


def plain(rng: np.random.Generator, size: int) -> np.ndarray:
    """One colour, every third time white."""
    colour = np.full(3, 255) if rng.random() < 1 / 3 else rng.integers(40, 256, 3)
    return np.broadcast_to(colour.astype(np.uint8), (size, size, 3)).copy()


def gradient(rng: np.random.Generator, size: int) -> np.ndarray:
    """Colours at a coarse grid of two to four points, blended."""
    points = int(rng.integers(2, 5))
    return _resized(rng.integers(20, 256, (points, points, 3)), size)


def noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """Value noise of four octaves around a base colour."""
    field = np.zeros((size, size, 3))
    for octave in range(4):
        points = 3 * 2**octave
        field += (_resized(rng.integers(0, 256, (points, points, 3)), size) - 128.0) / 2**octave
    contrast = rng.uniform(0.15, 0.6)
    return np.clip(rng.integers(60, 220, 3) + contrast * field, 0, 255).astype(np.uint8)


def blurred(rng: np.random.Generator, size: int, picture: np.ndarray) -> np.ndarray:
    """``picture`` (RGBA) enlarged over a gradient and blurred until only its colours are left."""
    base = Image.fromarray(gradient(rng, size))
    scale = rng.uniform(1.2, 2.2) * size / max(picture.shape[:2])
    width, height = (max(1, round(side * scale)) for side in (picture.shape[1], picture.shape[0]))
    stamp = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
    corner = tuple(int(rng.integers(min(0, size - side), max(1, size - side + 1))) for side in (width, height))
    base.paste(stamp, corner, stamp)
    return np.asarray(base.filter(ImageFilter.GaussianBlur(size * rng.uniform(0.06, 0.12))))


def draw(rng: np.random.Generator, size: int, any_picture: Callable[[np.random.Generator], np.ndarray]) -> np.ndarray:
    """A background of a random kind; ``any_picture(rng)`` gives an RGBA picture to blur."""
    kind = rng.choice(["plain", "gradient", "noise", "blurred"], p=[0.15, 0.3, 0.25, 0.3])
    if kind == "blurred":
        return blurred(rng, size, any_picture(rng))
    return {"plain": plain, "gradient": gradient, "noise": noise}[kind](rng, size)
