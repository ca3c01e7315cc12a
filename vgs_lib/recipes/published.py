"""What the documents published of their systems, on data of their own: ``published.csv`` as objects.

A row names the base system, whatever its encoders began with: harwath2019's rows from natural sounds, ImageNet and
AudioSet stand under the recipe that begins from random weights, and ``initialisation`` tells them apart.
"""

import csv
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Published:
    """One figure of a document: ``direction`` "speech_to_image" or "image_to_speech", ``figure`` such as "r10".

    ``data`` and ``pairs``: what it was measured on, and among how many; "" where any picture of a class is right.
    ``source``: the section or table.
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


@dataclass(frozen=True)
class Worded:
    """Two systems of which a document says in words alone that the first was ``better``; otherwise as `Published`."""

    better: str
    worse: str
    data: str
    initialisation: str
    source: str


# Where the branch that models time stands: marginally better than the baseline, "slightly suffered" after poolings,
# "slightly worse" with recurrent layers, in bad optima alone or appended.
WORDED = tuple(
    Worded(
        "ni2018-tcn",
        f"ni2018-{worse}",
        "Places audio captions, 30,000 pairs",
        "pre-trained pictures",
        "ni2018, Second Optimization",
    )
    for worse in ("baseline", *(f"tcn-after-{n}" for n in (1, 2, 3)), "gru", "lstm", "tcn-alone", "tcn-appended")
)
