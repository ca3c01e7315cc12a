"""Written captions of pictures made into a folder of recordings, which `vgs_lib.data.folder` turns into a manifest.

The synthesisers are programs of their own; without them `choices` says what to install. Legend: N samples at 16 kHz.
"""

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import soundfile

from vgs_lib.audio import SAMPLE_RATE
from vgs_lib.data.speech import speaker
from vgs_lib.data.voices import INSTALL, VOICES, engine_available, voice
from vgs_lib.errors import DataError
from vgs_lib.safe_files import write_atomically

COLUMNS = ("image", "audio", "text", "speaker", "language")
MAX_LETTERS = 500  # of a caption: about half a minute of speech


@dataclass(frozen=True)
class Choice:
    """A synthetic voice and, if it cannot speak here, a sentence that says why and what to do."""

    name: str
    engine: str
    split: str
    missing: str = ""


def choices() -> list[Choice]:
    """All synthetic voices in the order of `VOICES`."""
    found = []
    for one in VOICES:
        missing = "" if engine_available(one.engine) else f"{one.engine} is not installed: {INSTALL[one.engine]}"
        found.append(Choice(one.name, one.engine, one.split, missing))
    return found


def say(text: str, voice_name: str) -> np.ndarray:
    """A synthetic voice saying ``text``: float32 [N], peak 0.7.

    Raises:
        DataError: the text is empty, longer than ``MAX_LETTERS`` or has no letter; there is no such voice; its
            program is not installed or says nothing.
    """
    return speaker(voice(voice_name))(checked_text(text))


def checked_text(text: str) -> str:
    """The text with single spaces, or DataError if no caption can be spoken from it."""
    text = " ".join(text.split())
    if not any(letter.isalnum() for letter in text):
        raise DataError(f"text: found {text!r}, expected words; write what the picture shows, such as 'a red bus'")
    if len(text) > MAX_LETTERS:
        raise DataError(f"text: found {len(text)} letters, expected at most {MAX_LETTERS}; make two captions of it")
    return text


def speak_captions(
    captions: Mapping[str, str],
    folder: str | os.PathLike,
    voices: Sequence[str],
    *,
    said: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Say a caption of each picture with each voice: WAV files beside the pictures, and a ``captions.csv``.

    Args:
        captions: from the picture's path, relative to ``folder`` and written with ``/``, to what is said of it.
        folder: where the pictures are.
        voices: names of synthetic voices.
        said: called with (done, total) after each recording.

    Returns:
        The path of ``captions.csv``, which is written last and whole; one that was there is replaced.

    Raises:
        DataError: a picture is not there, a text cannot be spoken, a voice is unknown or cannot speak here.
    """
    folder = Path(folder)
    if not captions or not voices:
        raise DataError("captions, voices: found none, expected at least one of each")
    texts = {image: checked_text(text) for image, text in captions.items()}
    for image in texts:
        if ".." in PurePosixPath(image).parts or not (folder / image).is_file() or Path(image).is_absolute():
            raise DataError(f"{image}: no such picture in {folder}; give its path relative to that folder")
    speak, rows = {name: speaker(voice(name)) for name in voices}, []
    for image, text in texts.items():
        for name in voices:
            audio = PurePosixPath(image).with_name(f"{PurePosixPath(image).stem}-{name}.wav")
            samples = speak[name](text)
            write_sound(folder / audio, samples)
            rows.append((image, str(audio), text, name, "en"))
            said(len(rows), len(texts) * len(voices))
    target = folder / "captions.csv"
    write_atomically(target, lambda temporary: _write_rows(temporary, rows))
    return target


def write_sound(path: Path, samples: np.ndarray) -> None:
    """Samples [N] as a 16-bit WAV file that is whole or not there."""
    write_atomically(path, lambda temporary: soundfile.write(temporary, samples, SAMPLE_RATE, "PCM_16", format="WAV"))


def _write_rows(path: Path, rows: Sequence[tuple[str, ...]]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
