"""Where described things are shown and how large: a size means the same share of the picture in every scene.

Legend: sides and positions in pixels; a box is (x, y, width, height).
"""

from collections.abc import Sequence

import numpy as np

from vgs_lib.data.attributes import SIZES, Description

Box = tuple[int, int, int, int]
TRIES = 60
# The longest side of a large thing, as a share of the picture's, in half a picture and beside a small thing.
HALF, BESIDE_SMALL = 0.48, 0.7


def boxes(
    rng: np.random.Generator, shapes: Sequence[tuple[int, int]], things: Sequence[Description], size: int
) -> list[Box]:
    """A box for each of one or two things that fit their sizes and places and do not overlap.

    Args:
        rng: the only source of chance.
        shapes: (H, W) of each thing's picture, whose proportions stay.
        things: their sizes and places; a place is a half of the picture that the thing is wholly in.
        size: side of the picture.
    """
    edges = [_edges(rng, shape, thing, things, size) for shape, thing in zip(shapes, things, strict=True)]
    for _ in range(TRIES):
        found = [_somewhere(rng, edge, thing.place, size) for edge, thing in zip(edges, things, strict=True)]
        if len(found) == 1 or not overlap(*found):
            return found
    # Opposite corners are always free: together the longer sides are shorter than the picture's.
    left, upper = (bool(x) for x in rng.integers(2, size=2))
    found = []
    for number, (width, height) in enumerate(edges):
        x = 0 if left == (number == 0) else size - width
        y = 0 if upper == (number == 0) else size - height
        found.append((x, y, width, height))
    return found


def overlap(one: Box, other: Box) -> bool:
    """Whether two boxes have a pixel in common."""
    (x, y, width, height), (a, b, w, h) = one, other
    return not (x + width <= a or a + w <= x or y + height <= b or b + h <= y)


def _edges(
    rng: np.random.Generator, shape: tuple[int, int], thing: Description, things: Sequence[Description], size: int
) -> tuple[int, int]:
    """Width and height of a thing: its longer side is drawn from its size's range, as far as there is room."""
    least, most = SIZES[thing.size]
    if thing.size == "large":
        two_large = len(things) > 1 and all(other.size == "large" for other in things)
        if two_large or thing.place is not None:
            most = HALF
        elif len(things) > 1:
            most = BESIDE_SMALL
    longest = round(rng.uniform(least, most) * size)
    height, width = (max(2, round(edge * longest / max(shape))) for edge in shape)
    return width, height


def _somewhere(rng: np.random.Generator, edges: tuple[int, int], place: str | None, size: int) -> Box:
    width, height = edges
    low, high = {None: (0, size), "left": (0, size // 2), "right": (size - size // 2, size)}[place]
    return int(rng.integers(low, high - width + 1)), int(rng.integers(size - height + 1)), width, height
