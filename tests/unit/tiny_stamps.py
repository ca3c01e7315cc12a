"""A tree of a few stamps as the Tux Paint package has them, and Spoken Stamps built from it with two voices."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image, ImageDraw

from vgs_lib.data.voices import Voice

TRAIN = Voice("tiny-espeak", "espeak-ng", "en-us", "train")
TEST = Voice("tiny-flite", "flite", "slt", "test")
VOICES = (TRAIN, TEST)
KEPT = (
    "animals/birds/owl",
    "animals/cat",
    "animals/cow",
    "animals/dog",
    "animals/dog2",
    "food/apple",
    "food/pear",
    "vehicles/bus",
    "vehicles/car",
)
NAMES = ("apple", "bus", "car", "cat", "cow", "dog", "owl", "pear")
# 72 x 36 points are 96 x 48 pixels; the ellipse spans all of them.
SVG = """<?xml version="1.0"?>
<!-- a comment -->
<svg xmlns="http://www.w3.org/2000/svg" width="72pt" height="36pt">
<ellipse cx="48" cy="24" rx="48" ry="24" fill="#c01020"/></svg>
"""


def use_voices(patch: pytest.MonkeyPatch, voices: tuple[Voice, ...] = VOICES) -> None:
    """Let these be all the voices there are."""
    for module in ("voices", "stamps", "stamps_build", "scenes"):
        patch.setattr(f"vgs_lib.data.{module}.VOICES", voices)


def tone(seconds: float, *, rate: int = 16000, silence: float = 0.0) -> np.ndarray:
    """A note with ``silence`` seconds of nothing at both ends: float32 [N]."""
    time = np.arange(round(seconds * rate)) / rate
    quiet = np.zeros(round(silence * rate))
    return np.concatenate([quiet, 0.3 * np.sin(2 * np.pi * 330 * time), quiet]).astype(np.float32)


def make_tree(root: Path) -> Path:
    """Stamps that are kept (``KEPT``) and at least one of every kind that is dropped."""
    for folder in ("animals/birds", "food", "vehicles", "symbols"):
        (root / folder).mkdir(parents=True)

    def stamp(name: str, *lines: str, colour: str = "red", size: tuple[int, int] = (60, 40)) -> None:
        if lines:
            (root / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        picture = Image.new("RGBA", size)
        # The content begins 5 pixels from the left and top and ends 5 before the right and bottom.
        ImageDraw.Draw(picture).ellipse((5, 5, size[0] - 6, size[1] - 6), fill=colour)
        picture.save(root / f"{name}.png")

    stamp("animals/dog", "A dog.", "fr.utf8=Un chien.", "xx.utf8=", "pt_br.utf8=Um cão.", colour="brown")
    stamp("animals/dog2", "A dog!", colour="black", size=(40, 60))
    stamp("animals/cat", "A cat: it purrs.", "fr.utf8=Un chat.", colour="orange")
    stamp("animals/cow", "“A cow” (female).", colour="gray", size=(800, 400))
    stamp("animals/birds/owl", "An owl.", "fr.utf8=Un hibou.", colour="tan")
    (root / "food/apple.txt").write_text("An apple is a fruit.\n", encoding="utf-8")
    (root / "food/apple.svg").write_text(SVG, encoding="utf-8")
    stamp("food/pear", "The pear.", colour="green")
    stamp("vehicles/bus", "A bus.", colour="yellow")
    stamp("vehicles/car", "A car.", colour="blue")
    # Dropped, each for a reason of its own.
    stamp("food/joke", "Eat your vegetables!")
    stamp("food/long", "One two three four five six seven eight.")
    (root / "food/plum.txt").write_text("A plum.\n", encoding="utf-8")
    (root / "food/empty.txt").write_text("", encoding="utf-8")
    Image.new("RGBA", (9, 9)).save(root / "food/empty.png")
    stamp("vehicles/clear", "A window.", colour="#ffffff00")
    (root / "vehicles/tram.txt").write_text("A tram.\n", encoding="utf-8")
    (root / "vehicles/tram.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    (root / "vehicles/van.txt").write_text("A van.\n", encoding="utf-8")
    (root / "vehicles/van.svg").write_text("no picture", encoding="utf-8")
    stamp("vehicles/untold")
    stamp("symbols/letter", "A letter.")

    def record(name: str, samples: np.ndarray, rate: int = 16000) -> None:
        soundfile.write(root / f"{name}.ogg", samples, rate)

    stereo = np.stack([tone(0.6, rate=44100, silence=0.3)] * 2, axis=1)
    record("animals/dog_desc", stereo, 44100)
    record("animals/dog_desc_fr", tone(0.5, rate=8000), 8000)
    record("animals/dog_desc_be", tone(0.4))  # nobody wrote that text down
    record("animals/cat_desc", tone(0.7))
    record("animals/cat_desc_fr", tone(0.7))
    record("vehicles/bus_desc", tone(0.5))
    record("food/pear_desc", tone(0.5))
    record("animals/birds/owl_desc_fr", tone(6.0))  # too long
    record("animals/cow_desc", np.zeros(8000, np.float32))  # silent
    (root / "vehicles/car_desc.ogg").write_text("no sound", encoding="utf-8")
    record("animals/dog", tone(12.0))  # a natural sound, cut
    soundfile.write(root / "vehicles/car.wav", tone(0.5), 16000)
    return root


def report_of(folder: Path) -> dict:
    """The report of a build."""
    return json.loads((folder / "build.json").read_text(encoding="utf-8"))


def spoil(path: Path) -> None:
    """A PNG with a wrong chunk in the midst of its pixels, which Pillow reports as a SyntaxError."""
    pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    first, second, *rest = path.read_bytes().split(b"IDAT")
    path.write_bytes(b"IDAT".join([first, second]) + b"\0\0\0\0" + b"IDAT".join(rest))


def judge_on_few(monkeypatch) -> None:
    """Let systems be judged on eight scenes and eight words, and be validated on four."""
    monkeypatch.setattr("vgs_lib.benchmark.scene_benchmark.NUM_SCENES", 8)
    monkeypatch.setattr("vgs_lib.benchmark.scene_benchmark.NUM_WORDS", 8)
    monkeypatch.setattr("vgs_lib.studies.scene_study.NUM_VALIDATION", 4)
