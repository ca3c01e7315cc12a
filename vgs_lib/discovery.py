"""Co-segmentation: which part of a picture and which part of its caption belong together, without any label.

A matchmap is cut at a threshold; its volumetric connected components are things that light up together in space and
time. Each is projected on the picture (a mask) and on the sound (a span). Source: harwath2019, section 5.6 (matchmap
visualisations, figures 13 to 15) and 5.4 (components for clusters), which take the threshold by hand.

Shapes: H W grid, T frames, Y X pixels. Times are in seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy import ndimage

from vgs_lib import localization
from vgs_lib.clock import Clock
from vgs_lib.errors import DataError

CONNECTIVITY = {6: 1, 18: 2, 26: 3}  # neighbours of a cell: those that share a face, also an edge, also a corner


class TimedWord(Protocol):
    """A word with its time in seconds, such as `vgs_lib.data.scenes.Word` or `vgs_lib.widgets.Word`."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class Component:
    """Cells of a matchmap that hang together and are all at least as similar as the threshold.

    Attributes:
        cells: bool [H, W, T].
        profile: [T] float64, per frame how far its cells lie above the threshold, summed.
        peak: the greatest similarity in it.
        clock: when the frames are heard.
    """

    cells: np.ndarray
    profile: np.ndarray
    peak: float
    clock: Clock

    @property
    def volume(self) -> int:
        """How many cells it has."""
        return int(self.cells.sum())

    @property
    def mass(self) -> float:
        """How far its cells lie above the threshold, summed."""
        return float(self.profile.sum())

    @property
    def mask(self) -> np.ndarray:
        """Its projection on the picture: bool [H, W], the places that are in it at some moment."""
        return self.cells.any(axis=2)

    @property
    def span(self) -> tuple[float, float]:
        """Its projection on the sound: (start, end) in seconds, from its first frame to the end of its last one."""
        frames = np.flatnonzero(self.cells.any(axis=(0, 1)))
        return max(0.0, float(self.clock.seconds(frames[0]))), float(self.clock.seconds(frames[-1] + 1))

    def pixels(self, size: tuple[int, int]) -> np.ndarray:
        """``mask`` at ``size`` (Y, X) pixels, bool, its edge smoothed by bilinear interpolation."""
        mask = torch.from_numpy(self.mask.astype(np.float32))
        return (localization.upsample(mask, size) >= 0.5).numpy()


def components(
    matchmap,
    threshold: float,
    *,
    clock: Clock,
    connectivity: int = 26,
    min_cells: int = 20,
) -> tuple[Component, ...]:
    """The volumetric connected components of a thresholded matchmap, those with the greatest mass first.

    Args:
        matchmap: ``[H, W, T]``, array or tensor of similarities.
        threshold: the least similarity of a cell that counts, in the unit of ``matchmap``. harwath2019 takes one
            absolute threshold for all pictures, adjusted by hand to the model (400 where its scores reach above that);
            the middle of a checkpoint's ``heat_range`` is a fair start.
        clock: when the frames are heard: ``DualEncoder.clock``.
        connectivity: neighbours of a cell: 6 (those that share a face), 18 or 26 (also a corner).
        min_cells: smaller components are dropped as noise; on a grid coarser than 28 x 28 choose fewer.

    Returns:
        The components; none if no cell reaches the threshold.

    Raises:
        DataError: a matchmap that is not [H, W, T] or not finite, a threshold that is not finite, another
            connectivity, fewer cells than 1.

    Source: harwath2019, section 5.6.
    """
    values = np.asarray(matchmap, dtype=np.float64)
    _check(values, threshold, connectivity, min_cells)
    labels, count = ndimage.label(values >= threshold, ndimage.generate_binary_structure(3, CONNECTIVITY[connectivity]))
    found = []
    for label in range(1, count + 1):
        cells = labels == label
        if cells.sum() < min_cells:
            continue
        profile = np.where(cells, values - threshold, 0.0).sum(axis=(0, 1))
        found.append(Component(cells, profile, float(values[cells].max()), clock))
    return tuple(sorted(found, key=lambda component: -component.mass))


def _check(values: np.ndarray, threshold, connectivity, min_cells) -> None:
    if values.ndim != 3 or 0 in values.shape:
        raise DataError(f"matchmap: found the shape {list(values.shape)}, expected [H, W, T], none of them 0.")
    if not np.isfinite(values).all():
        raise DataError("matchmap: found values that are not finite; cut padded frames off and check the model.")
    if not np.isfinite(threshold):
        raise DataError(f"threshold: found {threshold!r}, expected a similarity.")
    if connectivity not in CONNECTIVITY:
        raise DataError(f"connectivity: found {connectivity!r}, expected 6, 18 or 26 neighbours.")
    if min_cells < 1:
        raise DataError(f"min_cells: found {min_cells!r}, expected 1 or more.")


def word_of(component: Component, words: Sequence[TimedWord]) -> TimedWord | None:
    """The word in whose time most of a component's mass lies; None if no word meets it.

    A frame's mass counts for a word by the part of the frame that the word covers. harwath2019 (5.4) labels its
    clusters in the same way, by the word that their components overlap most.
    """
    shares = [float(component.profile @ _covered(component, word)) for word in words]
    return words[int(np.argmax(shares))] if max(shares, default=0.0) > 0 else None


def _covered(component: Component, word: TimedWord) -> np.ndarray:
    """[T]: the part of each frame, 0 to 1, in which ``word`` is heard."""
    step = component.clock.seconds_per_frame
    begin = component.clock.seconds(np.arange(len(component.profile)))
    return np.clip(np.minimum(begin + step, word.end) - np.maximum(begin, word.start), 0, None) / step


def thing_of(component: Component, masks: Mapping[str, np.ndarray]) -> tuple[str, float] | None:
    """The thing on which most of a component's projection lies, and their intersection over union.

    Args:
        component: from `components`.
        masks: what is in the picture: bool [Y, X] each.

    Returns:
        (name, IoU 0-1), or None if the projection meets no thing.
    """
    shared = {name: int((component.pixels(mask.shape) & mask).sum()) for name, mask in masks.items()}
    name = max(shared, key=shared.get, default=None)
    if name is None or not shared[name]:
        return None
    union = (component.pixels(masks[name].shape) | masks[name]).sum()
    return name, shared[name] / int(union)


def joined(found: Sequence[Component], words: Sequence[TimedWord], masks: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The things that were found together with their names, and how well: the best IoU of their components.

    A thing is found if some component lies on it more than on any other thing (`thing_of`), and in the time of its
    name more than in that of any other word (`word_of`).

    Args:
        found: from `components`.
        words: the caption's; a thing's name is the word whose text is its key in ``masks``.
        masks: what is in the picture: bool [Y, X] each.
    """
    best: dict[str, float] = {}
    for component in found:
        word, thing = word_of(component, words), thing_of(component, masks)
        if word is not None and thing is not None and word.text == thing[0]:
            best[thing[0]] = max(thing[1], best.get(thing[0], 0.0))
    return best
