"""The words of described things as clips of every voice: "a small", "green", "tiger", "on the left".

They are kept beside Spoken Stamps, in ``attributes/VOICE/`` of its folder; :mod:`vgs_lib.data.attribute_build` makes
them. The names of Spoken Stamps cannot be taken, since they begin with an article ("a tiger").

Legend: N samples at 16 kHz.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from vgs_lib.data import voices
from vgs_lib.data.attributes import COLOURS, NOUNS, PLACES, SIZES
from vgs_lib.data.stamps import Stamps
from vgs_lib.data.voices import engine_available, slug
from vgs_lib.errors import DataError

BUILD = "python -m vgs_lib data attributes"


def present(stamps: Stamps, nouns: Sequence[str] = NOUNS) -> tuple[tuple[str, ...], dict[str, str]]:
    """The nouns that the data set has pictures of, and for each of the others the reason why it is left out."""
    names = {concept.key for concept in stamps.concepts}
    reason = f"no thing of {stamps.folder} is called that"
    return tuple(n for n in nouns if n in names), {n: reason for n in nouns if n not in names}


def texts(stamps: Stamps, nouns: Sequence[str] = NOUNS) -> list[str]:
    """Everything that the voices say, in order."""
    return sorted({*(f"a {size}" for size in SIZES), *COLOURS, *PLACES.values(), *present(stamps, nouns)[0]})


def folder_of(stamps: Stamps) -> Path:
    """Where the clips are: one folder a voice."""
    return stamps.folder / "attributes"


def is_complete(stamps: Stamps, nouns: Sequence[str] = NOUNS) -> bool:
    """Whether every voice that can be built on this machine has said every text, and no clip was deleted."""
    wanted = {f"{slug(text)}.flac" for text in texts(stamps, nouns)}
    speaking = (v.name for v in voices.VOICES if engine_available(v.engine))
    folders = (folder_of(stamps) / name for name in speaking)
    return all(folder.is_dir() and wanted <= {file.name for file in folder.iterdir()} for folder in folders)


class AttributeSpeech:
    """``speech.clip(voice, text)``: a clip, float32 [N], read when asked for."""

    def __init__(self, stamps: Stamps):
        self.folder = folder_of(stamps)
        self.clip = lru_cache(maxsize=4096)(self._clip)

    def path(self, voice: str, text: str) -> Path:
        """Where a voice's clip of ``text`` is."""
        return self.folder / voice / f"{slug(text)}.flac"

    def _clip(self, voice: str, text: str) -> np.ndarray:
        path = self.path(voice, text)
        try:
            clip = soundfile.read(path, dtype="float32")[0]
        except (OSError, soundfile.SoundFileError) as error:
            advice = f"delete it and run '{BUILD}'" if path.is_file() else f"run '{BUILD}'"
            raise DataError(f"{path}: missing or damaged clip of {text!r} ({error}); {advice}") from error
        clip.setflags(write=False)
        return clip
