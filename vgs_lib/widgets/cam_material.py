"""What the CAM inspector works on: pictures with captions and what a choice of them asks, encoded when first needed.

Shapes: D embedding, H W pixels, h w grid, F mel bands, T frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from vgs_lib import audio
from vgs_lib import explain as ex
from vgs_lib.errors import DataError, ExplainError
from vgs_lib.model import DualEncoder
from vgs_lib.widgets.material import Picture

WHOLE = -1  # in place of a word's number: the whole caption
AGAINST = {
    "nothing": "similarity to the query",
    "words": "minus the other words of this caption",
    "captions": "minus the captions of other pictures",
}
NUM_DISTRACTORS = 3


@dataclass(frozen=True)
class Choice:
    """What to explain: ids of a picture, number of a word in its caption (-1: all), method, layers, ``AGAINST``."""

    picture: str
    word: int = WHOLE
    method: str = "LayerCAM"
    layer: str = "image_map"
    sound_layer: str = "audio_map"
    against: str = "nothing"


class CamMaterial:
    """Pictures with spoken captions and a model; DataError if no picture has a caption."""

    def __init__(self, model: DualEncoder, pictures: Sequence[Picture], *, picture_size: int = 224):
        self.pictures = {picture.id: picture for picture in pictures if picture.caption is not None}
        if not self.pictures:
            raise DataError(f"found {len(pictures)} pictures, none with a spoken caption; expected one or more.")
        self.model, self.picture_size = model, picture_size
        self._maps: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def span(self, choice: Choice) -> tuple[float, float]:
        """(start, end) in seconds of the query of a choice."""
        words = self.picture(choice.picture).caption.words
        if choice.word == WHOLE:
            return 0.0, self.duration(choice.picture)
        if not 0 <= choice.word < len(words):
            raise DataError(f"word: found {choice.word}, expected 0 to {len(words) - 1}, or {WHOLE} for all.")
        return words[choice.word].start, words[choice.word].end

    def query_text(self, choice: Choice) -> str:
        """What is said in the query of a choice."""
        caption = self.picture(choice.picture).caption
        return caption.title if choice.word == WHOLE else caption.words[choice.word].text

    def duration(self, picture: str) -> float:
        """Seconds of a picture's caption."""
        return self.waveform(picture).shape[-1] / audio.SAMPLE_RATE

    def picture(self, picture: str) -> Picture:
        """The picture of an id."""
        if picture not in self.pictures:
            raise DataError(f"There is no picture {picture!r} with a caption among the {len(self.pictures)} here.")
        return self.pictures[picture]

    def waveform(self, picture: str) -> torch.Tensor:
        """The caption [N] at 16 kHz."""
        waveform, rate = self.picture(picture).caption.load()
        return audio.to_mono_16k(torch.as_tensor(np.array(waveform)).float(), rate)

    def pixels(self, picture: str) -> torch.Tensor:
        """What the picture side takes: [1, 3, H, W]."""
        pixels = ex.picture_input(self.picture(picture).load(), size=self.picture_size)
        return pixels.to(self.model.device)

    def mel(self, picture: str) -> torch.Tensor:
        """What the sound side takes: [1, 1, F, T]."""
        return ex.sound_input(self.model, self.waveform(picture))

    def encoded(self, picture: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Image map [D, h, w] and audio map [D, T] of a picture and its caption."""
        if picture not in self._maps:
            image_map = ex.seen(self.model, self.picture(picture).load(), size=self.picture_size)
            self._maps[picture] = image_map, ex.heard(self.model, self.waveform(picture))
        return self._maps[picture]

    def query(self, choice: Choice, span: tuple[float, float]) -> torch.Tensor:
        """The audio map [D, T] of a span of a choice's caption."""
        audio_map = self.encoded(choice.picture)[1]
        return audio_map[:, ex.frames_in(self.model, audio_map.shape[-1], span)]

    def other_queries(self, choice: Choice) -> list[torch.Tensor]:
        """Audio maps [D, T] of what a choice subtracts."""
        if choice.against == "captions":
            return [self.encoded(other)[1] for other in self.others(choice.picture)]
        if choice.against == "nothing":
            return []
        words = range(len(self.picture(choice.picture).caption.words))
        others = [self.span(replace(choice, word=number)) for number in words if number != choice.word]
        if choice.word == WHOLE or not others:
            raise ExplainError("The caption has no other words to subtract: choose one of several words.")
        return [self.query(choice, span) for span in others]

    def others(self, picture: str) -> list[str]:
        """The pictures that follow in the list, as distractors."""
        names = list(self.pictures)
        place = names.index(picture)
        others = (names[place + 1 :] + names[:place])[:NUM_DISTRACTORS]
        if not others:
            raise ExplainError("There is no other picture here to subtract: give the inspector two or more.")
        return others
