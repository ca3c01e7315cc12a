"""What the documents published of their systems, on data of their own: ``published.csv`` as objects."""

import csv
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Published:
    """One figure of a document: ``direction`` "speech_to_image" or "image_to_speech", ``figure`` such as "r10".

    ``data`` and ``pairs``: what it was measured on, and among how many. ``source``: the section or table.
    ``initialisation``: what the encoders began with, "untrained" for a model that was not trained at all.
    """

    system: str
    data: str
    pairs: str
    initialisation: str
    direction: str
    figure: str
    value: float
    source: str


def published(system: str | None = None) -> list[Published]:
    """The published figures of a system, or of all, in the order of the documents."""
    text = (files("vgs_lib.recipes") / "published.csv").read_text(encoding="utf-8")
    rows = [Published(**{**row, "value": float(row["value"])}) for row in csv.DictReader(text.splitlines())]
    return [row for row in rows if system in (None, row.system)]
