"""A small folder of one's own: drawn pictures of things in many colours, tones that name them, and its manifest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image, ImageDraw
from tiny_training import TinyImages

from vgs_lib.batches.banks import Filling
from vgs_lib.data.manifest import Entry, write_manifest
from vgs_lib.encoders import DAVEnet
from vgs_lib.model import DualEncoder
from vgs_lib.studies.manifest_study import ManifestStudy
from vgs_lib.studies.study import FIRST_WORDS

SPLITS = lambda number: "validation" if number == 0 else "train"
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


def build_tiny(plan):
    """A tiny model instead of the one that the recipe names; half of it is a frozen "package"."""
    return DualEncoder(TinyImages(dropout=0.0), DAVEnet(width=1 / 32, dim=8), temperature=0.2)


def study_of(path, *, steps=6, batch_size=8, **options):
    fit_settings = replace(FIRST_WORDS.fit, steps=steps, warmup_steps=0, evaluate_every=3, device="cpu")
    data = replace(FIRST_WORDS.data, batch_size=batch_size)
    base = replace(FIRST_WORDS, data=data, fit=fit_settings)
    return ManifestStudy(path, base=base, **{"size": 64, "takes": 2} | options)


def prepared(study, **changes):
    made = study.prepare(replace(study.base, fit=replace(study.base.fit, **changes)))
    events = list(made.batches.fill())
    assert all(isinstance(event, Filling) for event in events)
    return made
