"""What a spoken prompt finds: the answer of :class:`vgs_lib.prompting.Prompter`.

Shapes: H W grid, T frames, N samples.
"""

from dataclasses import dataclass

import numpy as np

from vgs_lib import audio
from vgs_lib.clock import Clock


@dataclass(frozen=True)
class Match:
    """A cached picture and its score for a prompt (the model's similarity, no unit; higher is better)."""

    id: str
    score: float


@dataclass(frozen=True, eq=False)
class Prompt:
    """What a spoken prompt finds.

    Attributes:
        picture: id of the picture that the heat is for.
        heat: [T, H, W] float32, 0 (unrelated) to 1 (as strong as a typical best match), one map per frame.
        whole: [H, W] float32, 0-1, the whole prompt: frames weighted by how much they say about the picture, spread
            over places that look alike, as `evaluate` scores words (`vgs_lib.localization`). Its middle value is
            drawn as 0 and its peak as strongly as the strongest moment of ``heat``, at least `FAINTEST`.
        score: similarity of the prompt to ``picture``.
        best: the best pictures of all cached ones, best first.
        span: (start, end) in seconds of the part of the prompt that matches the picture best.
        clock: when the frames of ``heat`` are heard.
        heat_range: (low, high) similarities that are drawn as 0 and 1; high is raised for a prompt that exceeds it.
        waveform: [N] float32 mono, 16 kHz.
        num_pictures: how many pictures were searched.
        elapsed: seconds that the prompt took.
    """

    picture: str
    heat: np.ndarray
    whole: np.ndarray
    score: float
    best: tuple[Match, ...]
    span: tuple[float, float]
    clock: Clock
    heat_range: tuple[float, float]
    waveform: np.ndarray
    num_pictures: int
    elapsed: float

    @property
    def duration(self) -> float:
        """Length of the prompt in seconds."""
        return len(self.waveform) / audio.SAMPLE_RATE

    @property
    def seconds_per_frame(self) -> float:
        """Length of a frame in seconds."""
        return self.clock.seconds_per_frame

    @property
    def found(self) -> bool:
        """Whether some place and moment is at least half as strong as a typical best match."""
        return bool(self.heat.max() >= 0.5)

    def frame_at(self, seconds: float) -> int:
        """The frame heard at ``seconds``, clamped to the prompt."""
        return self.clock.frame_at(seconds, len(self.heat))

    def peak(self, seconds: float | None = None) -> tuple[float, float]:
        """Centre (x, y), each 0-1, of the hottest cell of the whole prompt or of one moment."""
        heat = self.whole if seconds is None else self.heat[self.frame_at(seconds)]
        row, column = np.unravel_index(int(np.argmax(heat)), heat.shape)
        return float(column + 0.5) / heat.shape[1], float(row + 0.5) / heat.shape[0]
