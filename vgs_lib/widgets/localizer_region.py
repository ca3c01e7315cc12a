"""A heatmap over a picture, the region above a threshold and its overlap with a thing's mask. No widget library.

Shapes: h w grid of the model, Y X pixels of a mask.
"""

import math

import numpy as np
import torch
from torch import Tensor

from vgs_lib import localization
from vgs_lib.errors import DataError
from vgs_lib.figures.localization import HEAT_RANGE
from vgs_lib.localization import average_precision, iod, iot
from vgs_lib.viz import colour_table
from vgs_lib.widgets import buffers
from vgs_lib.widgets.material import Picture


class RegionController:
    """What is marked in a picture, and how well.

    Args:
        threshold: what is at least as hot is marked, in the unit of the heat.
        heat_range: (low, high) values drawn as dark blue and yellow, and the ends of the threshold's slider.

    Raises:
        DataError: ``heat_range`` is no two finite numbers, the lower one first.
    """

    def __init__(self, *, threshold: float = 0.25, heat_range: tuple[float, float] = HEAT_RANGE):
        low, high = map(float, heat_range)
        if not -math.inf < low < high < math.inf:
            raise DataError(f"heat_range: found {heat_range!r}, expected two finite numbers, the lower one first.")
        self.heat_range, self.threshold = (low, high), float(threshold)
        self.picture: Picture | None = None
        self.heat: Tensor | None = None
        self.spoken = ""
        self.near: str | None = None  # the thing of the nearest word
        self.chosen: str | None = None  # by hand, instead of the nearest word's
        self.changed = False  # since the last `message`
        self._jpeg = b""
        self._fixed: dict[str, float] = {}  # measures without a threshold, of the heat and the target

    @property
    def target(self) -> str | None:
        """The thing whose mask the region is compared with."""
        return self.chosen or self.near

    @property
    def mask(self) -> Tensor | None:
        """The target's mask, bool [Y, X]."""
        if self.picture is None or self.target is None:
            return None
        return torch.from_numpy(np.array(self.picture.masks[self.target], dtype=bool))

    def show_picture(self, picture: Picture) -> None:
        """Show another picture, without heat."""
        self._jpeg = buffers.jpeg(picture.load())
        self.picture, self.heat, self.near, self.chosen, self.changed = picture, None, None, None, True
        self._fixed = {}

    def show_heat(self, heat: Tensor, *, spoken: str = "", near: str | None = None) -> None:
        """Show a heatmap [h, w] over the picture; ``near`` is the thing named nearest to what was heard."""
        self.heat, self.spoken = heat.detach().float().cpu(), spoken
        self.near = near if near in self.picture.masks else None
        self._measure()

    def choose_target(self, name: str) -> None:
        """Compare with the mask of ``name``; an empty name goes back to the nearest word's."""
        if name and name not in self.picture.masks:
            raise DataError(f"There is no mask of {name!r} in this picture; there are {', '.join(self.picture.masks)}.")
        self.chosen = name or None
        self._measure()

    def set_threshold(self, threshold: float) -> None:
        """Mark what is at least as hot as ``threshold``."""
        if not math.isfinite(threshold):
            raise DataError(f"The threshold is {threshold}; expected a number.")
        self.threshold = float(threshold)

    def _measure(self) -> None:
        mask = self.mask
        self._fixed = {}
        if self.heat is not None and mask is not None:
            self._fixed = {
                "pointing": localization.pointing_hit(self.heat, mask),
                "average_precision": average_precision(self.heat, mask),
                "chance": localization.chance_pointing(mask),
            }

    def scores(self) -> dict[str, float]:
        """``iou``, ``iod``, ``iot``, ``pointing``, ``average_precision`` and ``chance``, 0 to 1; {} without a target.

        ``chance`` is the thing's share of the picture: the pointing of a random place, the IoU of marking everything.
        """
        if not self._fixed:
            return {}
        heat, mask = localization.upsample(self.heat, tuple(self.mask.shape)), self.mask
        measures = {"iou": localization.iou, "iod": iod, "iot": iot}
        return {name: measure(heat, mask, self.threshold) for name, measure in measures.items()} | self._fixed

    def description(self) -> str:
        """What is shown, in a sentence, for the status line and screen readers."""
        if self.picture is None:
            return "Choose a picture."
        if self.heat is None:
            return f"Picture: {self.picture.title}. Choose a sound, or press Record."
        spoken = f"“{self.spoken}”" if self.spoken else "What was heard"
        scores = self.scores()
        if not scores:
            return f"{spoken} lights this up. Choose below which thing was named, to compare with its mask."
        where = "on" if scores["pointing"] >= 0.5 else "not on"
        return (
            f"{spoken}: the hottest place is {where} “{self.target}”; the region covers {scores['iot']:.0%} of it, "
            f"and {scores['iod']:.0%} of the region lies on it."
        )

    def message(self) -> tuple[dict, list[bytes]]:
        """Everything; buffers: colours [256, 3] and JPEG, then those of `heat_message`."""
        self.changed = False
        content, data = self.heat_message()
        content["type"] = "show"
        if self.picture is not None:
            content["picture"] = {"id": self.picture.id, "title": self.picture.title}
            content["things"] = list(self.picture.masks)
        return content, [_COLOURS, self._jpeg, *data]

    def heat_message(self) -> tuple[dict, list[bytes]]:
        """The heat and the mask; buffers: float32 [h, w] and the mask's bits, row after row."""
        mask = self.mask
        heat = np.zeros((0, 0), "<f4") if self.heat is None else self.heat.numpy().astype("<f4")
        bits = np.zeros(0, np.uint8) if mask is None else np.packbits(mask.numpy())
        size = list(mask.shape) if mask is not None else self._size()
        content = {
            "type": "heat",
            "shape": list(heat.shape),
            "size": size,
            "masked": mask is not None,
            "range": list(self.heat_range),
            "near": self.near,
            "chosen": self.chosen,
        }
        return content | self._answer(), [heat.tobytes(), bits.tobytes()]

    def scores_message(self) -> dict:
        """The threshold and what it gives."""
        return {"type": "scores"} | self._answer()

    def _answer(self) -> dict:
        target = self.target
        return {
            "threshold": self.threshold,
            "target": target,
            "scores": self.scores(),
            "description": self.description(),
        }

    def _size(self) -> list[int]:
        """Pixels (Y, X) that heat without a mask is drawn with."""
        masks = [] if self.picture is None else list(self.picture.masks.values())
        return list(masks[0].shape) if masks else [224, 224]


_COLOURS = colour_table().tobytes()
