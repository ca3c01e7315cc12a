"""What the explorer of scenes knows: pictures with masks, outlined, and their captions with the times of the words.

No widget library here. Shapes: H W pixels, N samples, P points of an outline.
"""

from collections.abc import Mapping, Sequence

import contourpy
import numpy as np
import torch

from vgs_lib.audio import SAMPLE_RATE, to_mono_16k
from vgs_lib.errors import DataError, VgsError
from vgs_lib.widgets import buffers
from vgs_lib.widgets.material import Picture

# Okabe and Ito, Color Universal Design, 2008: told apart with and without colour blindness.
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2")


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """The outlines of a mask bool [H, W]: float32 [P, 2] each, (x, y) from 0 to 1, closed, also along the border."""
    height, width = mask.shape
    framed = np.pad(mask.astype(np.float32), 1)
    lines = contourpy.contour_generator(z=framed).lines(0.5)
    scale = np.array([width, height], dtype=np.float32)
    return [((line - 0.5) / scale).clip(0, 1).astype(np.float32) for line in lines]


class SceneExplorerController:
    """Pictures in groups, one of them shown with its outlines and its spoken caption.

    Args:
        groups: from a group's name (a split) to pictures, of which at least one has ``masks`` or a ``caption``.
        notes: a sentence on each group, such as which voices speak in it.
    """

    def __init__(self, groups: Mapping[str, Sequence[Picture]], *, notes: Mapping[str, str] | None = None):
        self.groups = {name: list(pictures) for name, pictures in groups.items() if pictures}
        if not self.groups:
            raise DataError("groups: found no picture, expected at least one")
        self.notes = dict(notes or {})
        self.group = next(iter(self.groups))
        self.index = 0

    @property
    def picture(self) -> Picture:
        """The picture that is shown."""
        return self.groups[self.group][self.index]

    def choose(self, group: str, index: int = 0) -> None:
        """Show a picture of a group; beyond its last one comes its first one."""
        if group not in self.groups:
            raise DataError(f"there is no group {group!r}; there are {', '.join(self.groups)}")
        self.group, self.index = group, index % len(self.groups[group])

    def message(self) -> tuple[dict, list[bytes]]:
        """Everything the view shows; buffers: JPEG, one of float32 points [P, 2] for each outline, WAV if spoken.

        Each object has how many outlines are its own, and the share of the picture that it covers.
        """
        picture, points, objects = self.picture, [], []
        for number, (name, mask) in enumerate(picture.masks.items()):
            lines = outlines(np.asarray(mask))
            points += [line.tobytes() for line in lines]
            colour = COLOURS[number % len(COLOURS)]
            objects.append({"name": name, "colour": colour, "outlines": len(lines), "share": float(np.mean(mask))})
        content = {
            "type": "scene",
            "groups": {name: len(pictures) for name, pictures in self.groups.items()},
            "group": self.group,
            "index": self.index,
            "note": self.notes.get(self.group, ""),
            "id": picture.id,
            "title": picture.title,
            "objects": objects,
            "caption": None,
            "problem": "",
        }
        data = [buffers.jpeg(picture.load(), longest=640, quality=90), *points]
        if picture.caption is not None:
            try:
                waveform = to_mono_16k(*_sound(picture)).numpy()
            except VgsError as error:
                content["problem"] = str(error)
            else:
                words = [[word.text, word.start, word.end] for word in picture.caption.words]
                duration = len(waveform) / SAMPLE_RATE
                content["caption"] = {"title": picture.caption.title, "duration": duration, "words": words}
                data.append(buffers.wav(waveform))
        return content, data


def _sound(picture: Picture) -> tuple[torch.Tensor, int]:
    waveform, rate = picture.caption.load()
    return torch.as_tensor(waveform).float(), rate
