"""The small data set with a natural sound for each of its things."""

import dataclasses
from pathlib import Path

import numpy as np
import soundfile

from vgs_lib.data.stamps import Concept, Stamps


def add_sounds(folder: Path) -> Stamps:
    """Give every thing in a copy of the small data set a hum of its own; the cow and the owl share one."""
    concepts = [Concept.from_json(line) for line in (folder / "concepts.jsonl").read_text().splitlines()]
    sounding = []
    for number, concept in enumerate(concepts):
        shared = next(i for i, c in enumerate(concepts) if c.text == "a cow") if concept.text == "an owl" else number
        path = f"sounds/{number}.flac"
        time = np.arange(9600 + 800 * shared) / 16000
        (folder / "sounds").mkdir(exist_ok=True)
        soundfile.write(folder / path, 0.3 * np.sin(2 * np.pi * 150 * (shared + 1) * time), 16000)
        sounding.append(dataclasses.replace(concept, sound=path))
    (folder / "concepts.jsonl").write_text("".join(f"{concept.to_json()}\n" for concept in sounding))
    return Stamps.open(folder)
