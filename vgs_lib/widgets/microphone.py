"""The microphone of the machine that runs the kernel, through sounddevice (PortAudio), where there is one."""

import numpy as np

from vgs_lib.audio import SAMPLE_RATE
from vgs_lib.errors import AudioError

ADVICE = "Use the browser's microphone, a file or a clip instead."


class LocalMicrophone:
    """Record on the kernel's machine; ``reason`` says in a sentence why that is not possible, or is empty."""

    def __init__(self, *, rate: int = SAMPLE_RATE):
        self.rate = rate
        self._sounddevice, self.reason = _find()

    @property
    def available(self) -> bool:
        """Whether `record` can work."""
        return not self.reason

    def record(self, seconds: float) -> tuple[np.ndarray, int]:
        """Record for ``seconds``, blocking. Returns (waveform [N] float32, rate in Hz). Raises AudioError."""
        if not self.available:
            raise AudioError(self.reason)
        try:
            samples = self._sounddevice.rec(
                int(seconds * self.rate), samplerate=self.rate, channels=1, dtype="float32", blocking=True
            )
        except (self._sounddevice.PortAudioError, ValueError) as error:
            raise AudioError(f"The kernel's microphone failed ({error}). {ADVICE}") from error
        return samples[:, 0], self.rate


def _find():
    """(sounddevice, "") or (None, why not): PortAudio or a device may be missing."""
    try:
        import sounddevice
    except ImportError:
        return None, f"The kernel's machine has no sounddevice package ('pip install sounddevice'). {ADVICE}"
    except OSError:
        return None, (
            "The kernel's machine has no PortAudio library (on Debian: 'apt-get install libportaudio2'). " + ADVICE
        )
    try:
        sounddevice.query_devices(kind="input")
    except (sounddevice.PortAudioError, ValueError):
        return None, f"The machine that runs the kernel has no microphone. {ADVICE}"
    return sounddevice, ""
