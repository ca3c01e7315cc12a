"""A span of a recording: what is selected, without any widget library. Shape: N samples at 16 kHz; times in seconds."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from vgs_lib.audio import SAMPLE_RATE, to_mono_16k
from vgs_lib.errors import DataError
from vgs_lib.widgets.material import Word

LOUD = 0.1  # of the loudest moment: softer ones at the ends of a recording are left out


class SpanController:
    """A recording, its words and the selected span of it.

    Args:
        on_span: called with (start, end) in seconds whenever another span is selected.
        step: by how much an arrow key moves an edge, in seconds.
        least: shortest span, in seconds.
    """

    def __init__(
        self, *, on_span: Callable[[float, float], None] | None = None, step: float = 0.02, least: float = 0.04
    ):
        self.on_span = on_span
        self.step, self.least = step, least
        self.waveform = np.zeros(0, np.float32)
        self.title = ""
        self.words: tuple[Word, ...] = ()
        self.span = (0.0, 0.0)
        self.play = False
        self.sound = 0  # counts the recordings: the same one shown again keeps its number

    @property
    def duration(self) -> float:
        """Length of the recording in seconds; 0 before there is one."""
        return len(self.waveform) / SAMPLE_RATE

    @property
    def samples(self) -> np.ndarray:
        """The selected part of the recording, [N] float32 at 16 kHz."""
        first, last = (round(moment * SAMPLE_RATE) for moment in self.span)
        return self.waveform[first:last]

    def show(
        self,
        waveform,
        rate: int = SAMPLE_RATE,
        *,
        title: str = "",
        words: Sequence[Word] = (),
        span: tuple[float, float] | None = None,
        play: bool = False,
    ) -> None:
        """Take another recording.

        Args:
            waveform: [N] or [C, N], samples of any rate, array or tensor.
            rate: samples per second.
            title: what is said.
            words: when each word is heard.
            span: what is selected, in seconds; None takes the first word, or of a recording without words what is loud.
            play: whether the browser plays the span.

        Raises:
            AudioError: samples or a rate that cannot be used.
            DataError: an empty recording, or as `select`.
        """
        if not isinstance(waveform, torch.Tensor):
            waveform = torch.from_numpy(np.array(waveform, dtype=np.float32))
        samples = to_mono_16k(waveform.float(), rate).numpy()
        if not len(samples):
            raise DataError("The recording has no samples; record again or choose a clip.")
        if not (np.array_equal(samples, self.waveform) and tuple(words) == self.words):
            self.sound += 1
        self.waveform, self.title, self.words, self.play = samples, title, tuple(words), play
        if span is None:
            span = (self.words[0].start, self.words[0].end) if self.words else loud_span(samples)
        self.select(*span)

    def select(self, start: float, end: float) -> None:
        """Select a span; it is cut at the ends of the recording, its edges may come in any order.

        A span shorter than ``least`` is made that long.

        Raises:
            DataError: there is no recording, or a time is not finite.
        """
        if not len(self.waveform):
            raise DataError("There is no recording to select a span of yet.")
        if not (math.isfinite(start) and math.isfinite(end)):
            raise DataError(f"The span is {start} to {end} s; expected two numbers of seconds.")
        least = min(self.least, self.duration)
        first = min(max(0.0, min(start, end)), self.duration - least)
        self.span = (first, min(max(max(start, end), first + least), self.duration))
        if self.on_span is not None:
            self.on_span(*self.span)

    def message(self) -> tuple[dict, list[bytes]]:
        """Everything the selector shows; buffer: the samples as 16-bit integers."""
        play, self.play = self.play, False  # a view that opens later does not start to sound
        content = {
            "type": "show",
            "sound": self.sound,
            "title": self.title,
            "duration": self.duration,
            "rate": SAMPLE_RATE,
            "step": self.step,
            "least": self.least,
            "span": list(self.span),
            "words": [[word.text, float(word.start), float(word.end)] for word in self.words],
            "play": play,
        }
        return content, [_loudest(self.waveform)]

    def span_message(self) -> dict:
        """What is selected alone, after a span came from the browser or from code."""
        return {"type": "span", "span": list(self.span)}


def loud_span(waveform: np.ndarray) -> tuple[float, float]:
    """From the first to the last moment that is not soft, in seconds: [N] at 16 kHz, N >= 1."""
    window = SAMPLE_RATE // 50
    loudness = np.convolve(np.abs(waveform), np.ones(min(window, len(waveform))), "same")
    loud = np.flatnonzero(loudness >= LOUD * loudness.max())
    return float(loud[0]) / SAMPLE_RATE, float(loud[-1] + 1) / SAMPLE_RATE


def _loudest(waveform: np.ndarray) -> bytes:
    """Samples as little-endian 16-bit integers; quiet recordings are made louder."""
    loudest = float(np.abs(waveform).max(initial=0))
    scale = 0.7 / loudest if 0 < loudest < 0.7 else 1.0
    return (np.clip(waveform * scale, -1, 1) * 32767).round().astype("<i2").tobytes()
