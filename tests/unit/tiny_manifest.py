"""A small folder of one's own: drawn pictures of things in many colours, tones that name them, and its manifest."""

from pathlib import Path

import numpy as np
import soundfile
from PIL import Image, ImageDraw

from vgs_lib.data.manifest import Entry, write_manifest

COLOURS = {"red": (220, 30, 30), "green": (20, 160, 40), "blue": (30, 50, 220), "white": (240, 240, 240)}
TONES = {"red": 300, "green": 620, "blue": 1300, "white": 2700}  # Hz


def draw(path: Path, colour: str, number: int, *, size: tuple[int, int] = (72, 64)) -> None:
    """A disc of that colour, at another place for each number."""
    picture = Image.new("RGB", size, (90 + number % 9, 90, 90))
    left, top = 4 + 3 * (number % 7), 2 + 4 * (number % 5)
    ImageDraw.Draw(picture).ellipse((left, top, left + 40, top + 40), fill=COLOURS[colour])
    picture.save(path)


def sing(path: Path, colour: str, number: int, *, seconds: float = 0.4) -> None:
    """A tone of that name, with noise of its own."""
    rng = np.random.default_rng(number)
    time = np.arange(round(16000 * seconds)) / 16000
    sound = 0.4 * np.sin(2 * np.pi * TONES[colour] * time) + 0.01 * rng.standard_normal(len(time))
    soundfile.write(path, sound, 16000)


def make(folder: Path, *, each: int = 4, splits=None, texts: bool = True, takes: int = 1) -> Path:
    """``each`` pictures of each colour with ``takes`` recordings each; ``splits(number)`` names the split of one."""
    folder.mkdir(parents=True)
    entries = []
    for number in range(each):
        for colour in COLOURS:
            image = f"{colour}_{number}.png"
            draw(folder / image, colour, number)
            for take in range(takes):
                audio = f"{colour}_{number}_{take}.wav"
                sing(folder / audio, colour, 10 * number + take)
                split = splits(number) if splits else "train"
                entries.append(Entry(image, audio, split, 0.4, text=f"{colour.title()}!" if texts else None))
    write_manifest(entries, folder / "manifest.jsonl")
    return folder / "manifest.jsonl"
