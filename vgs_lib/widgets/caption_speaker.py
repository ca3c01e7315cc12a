"""What the caption speaker knows: the synthetic voices of this machine, what they said last, where it was saved.

No widget library here. Shapes: N samples at 16 kHz.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vgs_lib.audio import SAMPLE_RATE
from vgs_lib.data.spoken_captions import checked_text, choices, say, write_sound
from vgs_lib.errors import DataError, VgsError
from vgs_lib.widgets import buffers

_log = logging.getLogger(__name__)


class CaptionSpeakerController:
    """Say a text with a synthetic voice, hear it, save it.

    Args:
        text: what stands in the field at first.
        folder: where recordings are saved, on the machine where Python runs; "" lets a person give a full path only.
        on_change: called after each change of what ``message`` tells.
    """

    def __init__(self, text: str = "", *, folder: str | Path = "", on_change: Callable[[], None] = lambda: None):
        self.text, self.folder, self.on_change = text, str(folder), on_change
        self.choices = choices()
        ready = [choice.name for choice in self.choices if not choice.missing]
        self.voice = ready[0] if ready else ""
        self.waveform = np.zeros(0, np.float32)
        self.said = ("", "")  # text and voice of the waveform
        self.number = 0  # of what was said, counted up
        self.busy, self.failed, self.saved = False, False, ""
        self.status = "Write what a picture shows and choose a voice."
        if not ready:
            self._say(f"No synthetic voice can speak here. {self.missing()[0]}", failed=True)

    def missing(self) -> list[str]:
        """Which programs are not installed, and how to install each: one sentence for each program."""
        return sorted({choice.missing for choice in self.choices if choice.missing})

    def speak(self, text: str, voice: str) -> None:
        """Say ``text``, blocking; what is wrong becomes ``status``."""
        self.text, self.voice, self.busy, self.saved = text, voice, True, ""
        self._say("Speaking.")
        try:
            waveform = say(text, voice)
            self.waveform, self.said, self.number = waveform, (checked_text(text), voice), self.number + 1
            self._say(f"{voice} said “{self.said[0]}” in {len(waveform) / SAMPLE_RATE:.2f} s.")
        except VgsError as error:
            self._say(_sentence(error), failed=True)
        except Exception as error:  # in a thread of its own: a person must see it
            _log.exception("the voice %s failed", voice)
            self._say(f"Something went wrong: {type(error).__name__}: {error}", failed=True)
        finally:
            self.busy = False
            self.on_change()

    def save(self, name: str) -> None:
        """Save what was said last as the WAV file ``name``, in ``folder`` or anywhere with a full path."""
        try:
            if not self.number:
                raise DataError("nothing was said yet; press Speak first")
            path = Path(name.strip()).expanduser()
            if not name.strip() or path.name in ("", ".", "..") or (not self.folder and not path.is_absolute()):
                raise DataError(f"file: found {name!r}, expected a file name such as cat.wav")
            path = Path(self.folder) / path if self.folder else path
            path = path if path.suffix.lower() == ".wav" else path.with_name(f"{path.name}.wav")
            if path.exists():
                raise DataError(f"{path}: there is a file already; choose another name")
            if not path.parent.is_dir():
                raise DataError(f"{path.parent}: there is no such folder; make it first")
            write_sound(path, self.waveform)
            self.saved = str(path)
            self._say(f"Saved {path}.")
        except VgsError as error:
            self._say(_sentence(error), failed=True)
        except OSError as error:
            self._say(f"The file cannot be written ({error.strerror}): choose another folder.", failed=True)

    def message(self) -> tuple[dict, list[bytes]]:
        """Everything the view shows; buffer: the WAV of what was said last."""
        content = {
            "type": "state",
            "voices": [[choice.name, choice.engine, choice.split, choice.missing] for choice in self.choices],
            "missing": self.missing(),
            "voice": self.voice,
            "text": self.text,
            "folder": self.folder,
            "status": self.status,
            "failed": self.failed,
            "busy": self.busy,
            "saved": self.saved,
            "number": self.number,
            "title": self.said[0],
            "duration": len(self.waveform) / SAMPLE_RATE,
        }
        return content, [buffers.wav(self.waveform)] if self.number else []

    def _say(self, sentence: str, *, failed: bool = False) -> None:
        self.status, self.failed = sentence, failed
        self.on_change()


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
