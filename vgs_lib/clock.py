"""The clock: when the frames of an audio map are heard.

Every time of a frame is derived here; ``widgets/common.js`` has the same two formulas for the browser:

    frame t begins at t x seconds_per_frame - frame_lag and lasts seconds_per_frame (front-end hop x pooling)

Frames that are averages of their time have no lag. The strided layers of the DAVEnet family
(``vgs_lib.encoders.audio``) centre output frame t on input frame 16 t, half an output frame before the middle of t to
t + 1.

Shape: T frames.
"""

from dataclasses import dataclass
from math import inf

import numpy as np

from vgs_lib.errors import DataError


@dataclass(frozen=True)
class Clock:
    """When the frames of an audio map are heard.

    Attributes:
        seconds_per_frame: front-end hop x pooling.
        frame_lag: seconds by which what a frame hears lies before the middle of its time t to t + 1 frames; below 0:
            behind it.

    Raises:
        DataError: seconds per frame not above 0, a lag that is not finite.
    """

    seconds_per_frame: float
    frame_lag: float = 0.0

    def __post_init__(self):
        if not 0 < self.seconds_per_frame < inf:
            raise DataError(f"seconds_per_frame: found {self.seconds_per_frame!r}, expected a number above 0.")
        if not -inf < self.frame_lag < inf:
            raise DataError(f"frame_lag: found {self.frame_lag!r}, expected seconds, 0 for frames without a lag.")

    @classmethod
    def of(cls, model) -> "Clock":
        """The clock of a model's audio maps: its ``seconds_per_frame`` and its ``frame_lag``, 0 if it names none."""
        return cls(float(model.seconds_per_frame), float(getattr(model, "frame_lag", 0.0)))

    def seconds(self, frame):
        """The second at which a frame begins; ``frame`` + 0.5 gives its middle. Numbers or arrays.

        Below 0 for the first frame of a model that lags: what it hears begins before the sound.
        """
        return frame * self.seconds_per_frame - self.frame_lag

    def frame(self, seconds):
        """The frame that is heard at ``seconds`` with the part of it that is over, such as 2.5. Numbers or arrays."""
        return (seconds + self.frame_lag) / self.seconds_per_frame

    def middles(self, num_frames: int) -> np.ndarray:
        """The seconds [T], float64, in the middle of each of the first ``num_frames`` frames."""
        return self.seconds(np.arange(num_frames) + 0.5)

    def frame_at(self, seconds: float, num_frames: int) -> int:
        """The number of the frame that is heard at ``seconds``, clamped to 0 .. ``num_frames`` - 1."""
        return int(np.clip(self.frame(seconds), 0, num_frames - 1))

    def of_layer(self, num_frames: int, duration: float) -> "Clock":
        """The clock of an inner layer: ``num_frames`` in ``duration`` seconds, lagging by as large a part of a frame.

        In a stack of centred convolutions of stride 2 every layer lags by half of its own frame.
        """
        step = duration / num_frames
        return Clock(step, self.frame_lag / self.seconds_per_frame * step)
