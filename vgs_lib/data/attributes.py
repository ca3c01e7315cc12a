"""Attributes of things: colours that a picture is given, sizes and places that it is shown at, and how they are said.

tian2020 (chapter 1) asks whether a model that has heard of attributes and of things can tell a thing with an attribute
that it has never met on that thing. Birds and flowers come with the attributes they have; here a stamp is given its
attributes, so that every combination exists and its truth is exact.

Recolouring works in OKLab: a pixel keeps its order in light and shade, its hue becomes the colour's, its chroma the
colour's too as far as sRGB reaches at that lightness. What is black stays dark and what is white stays pale.

Source of OKLab: B. Ottosson, A perceptual color space for image processing (2020).
Legend: H W pixels; pictures uint8 RGBA [H, W, 4].
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from vgs_lib.errors import DataError

# The sRGB colour that a thing's median lightness is moved to.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (218, 26, 36),
    "orange": (255, 136, 0),
    "yellow": (255, 222, 20),
    "green": (28, 158, 56),
    "blue": (30, 84, 232),
    "purple": (148, 40, 190),
    "grey": (132, 132, 132),
}
# The longer side of a thing as a share of the picture's side, from least to most.
SIZES: dict[str, tuple[float, float]] = {"small": (0.18, 0.26), "large": (0.44, 0.8)}
PLACES: dict[str, str] = {"left": "on the left", "right": "on the right"}
# Single clear words of the data set whose pictures stay recognisable in every colour and size.
NOUNS = tuple(
    """airplane banana bear bottle bus button camel camera cow crown deer dog dolphin donkey duck elephant
    flower fox frog giraffe goat gorilla hammer horse jacket ladybug lion mug mushroom owl pencil pig
    pineapple rabbit rocket rose sheep sock squirrel strawberry teapot tent tiger tractor violin whale
    windmill zebra""".split()
)
LEVELS = 1024  # of lightness in a colour's table
LIGHTEST = 0.97  # lightness of what was white
DARK = 0.28  # a lower median lightness is taken as this: a teapot that is nearly black becomes dark red, not red


class Description(NamedTuple):
    """A thing and its attributes: the class of a scene. ``place`` is None where it is not told."""

    size: str
    colour: str
    noun: str
    place: str | None = None

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """Its attribute-object pairs: (colour, noun) and (size, noun)."""
        return frozenset({(self.colour, self.noun), (self.size, self.noun)})

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """What is said, in order, as (text, "size" | "colour" | "noun" | "place"); the article is part of the size."""
        said = ((f"a {self.size}", "size"), (self.colour, "colour"), (self.noun, "noun"))
        return said if self.place is None else (*said, (PLACES[self.place], "place"))

    @property
    def text(self) -> str:
        """The description in words, such as "a small green tiger"."""
        return " ".join(text for text, _ in self.parts)


def check_attribute(kind: str, name: str) -> None:
    """:class:`DataError` if there is no "colour", "size" or "place" called ``name``."""
    known = {"colour": COLOURS, "size": SIZES, "place": PLACES}[kind]
    if name not in known:
        raise DataError(f"{kind}: found {name!r}, expected one of {', '.join(known)}")


def recolour(picture: np.ndarray, colour: str) -> np.ndarray:
    """A picture in another colour: uint8 [H, W, 4] from uint8 [H, W, 4]; alpha stays as it is.

    The lightness L of a pixel goes to ``T * L / m`` below the median lightness m of what is opaque and to
    ``T + (LIGHTEST - T) * (L - m) / (1 - m)`` above it, T being the colour's: darker stays darker everywhere. Raises
    :class:`DataError` for an unknown colour or a picture that is not uint8 RGBA.
    """
    check_attribute("colour", colour)
    if picture.ndim != 3 or picture.shape[2] != 4 or picture.dtype != np.uint8:
        raise DataError(f"picture: found {picture.dtype} {list(picture.shape)}, expected uint8 [H, W, 4] (RGBA)")
    table, target = _table(colour)
    light = lightness(picture[..., :3])
    opaque = picture[..., 3] > 127
    middle = max(DARK, float(np.median(light[opaque]))) if opaque.any() else 0.5
    darker = target * light / middle
    lighter = target + (LIGHTEST - target) * (light - middle) / max(1 - middle, 1e-9)
    moved = np.where(light <= middle, darker, lighter)
    rgb = table[np.rint(np.clip(moved, 0, 1) * (LEVELS - 1)).astype(np.intp)]
    return np.concatenate([rgb, picture[..., 3:]], axis=-1)


def lightness(rgb: np.ndarray) -> np.ndarray:
    """OKLab's lightness of sRGB pixels, float64 [...] from uint8 [..., 3]: 0 black, 1 white."""
    return to_oklab(rgb)[..., 0]


def to_oklab(rgb: np.ndarray) -> np.ndarray:
    """sRGB pixels, uint8 [..., 3], in OKLab: float64 [..., (L, a, b)]."""
    linear = _LINEAR[rgb]
    return np.cbrt(linear @ _TO_CONES.T) @ _TO_LAB.T


def from_oklab(lab: np.ndarray) -> np.ndarray:
    """Linear sRGB of OKLab colours, float64 [..., 3]; outside 0 to 1 where sRGB does not reach."""
    return (lab @ np.linalg.inv(_TO_LAB).T) ** 3 @ np.linalg.inv(_TO_CONES).T


@cache
def _table(colour: str) -> tuple[np.ndarray, float]:
    """The colour at every lightness, uint8 [LEVELS, 3], and the lightness of the colour itself.

    Its chroma is the colour's, or the most that sRGB has at that lightness and hue, found by bisection.
    """
    target, a, b = to_oklab(np.array(COLOURS[colour], dtype=np.uint8))
    light = np.linspace(0, 1, LEVELS)

    def at(share: np.ndarray) -> np.ndarray:
        return from_oklab(np.stack([light, share * a, share * b], axis=-1))

    low, high = np.zeros(LEVELS), np.ones(LEVELS)
    for _ in range(20):
        middle = (low + high) / 2
        rgb = at(middle)
        inside = ((rgb >= -1e-4) & (rgb <= 1 + 1e-4)).all(axis=-1)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    linear = np.clip(at(low), 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    table = np.rint(255 * srgb).astype(np.uint8)
    table.setflags(write=False)
    return table, float(target)


_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_STEPS = np.arange(256) / 255
_LINEAR = np.where(_STEPS <= 0.04045, _STEPS / 12.92, ((_STEPS + 0.055) / 1.055) ** 2.4)
