"""What the documents published of their systems, on data of their own: ``published.csv`` as objects.

What was chosen where a document leaves a gap: zhang2020's Table 1 names no direction, and is taken as speech to image,
which its introduction sets as the task; tian2020's Table 5.4 does not say among how many, and is taken as the test set
of its Table 3.1. ``published_localization.csv`` has harwath2019's Tables 4 and 5, where words are in photographs.

A row names the base system, whatever its encoders began with: harwath2019's rows from natural sounds, ImageNet and
AudioSet stand under the recipe that begins from random weights, and ``initialisation`` tells them apart.
"""

import csv
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Published:
    """One figure of a document: ``direction`` "speech_to_image" or "image_to_speech", ``figure`` such as "r10".

    ``data`` and ``pairs``: what it was measured on, and among how many, in words where pictures have several captions;
    "" where any picture of a class is right.
    ``source``: the section or table.
    ``initialisation``: what the encoders began with, and "untrained" where no step of training followed.
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
    rows = [Published(**{**row, "value": float(row["value"])}) for row in csv.DictReader(_lines("published.csv"))]
    return [row for row in rows if system in (None, row.system)]


@dataclass(frozen=True)
class PublishedLocalization:
    """A row of harwath2019's Table 4, on ADE20K, and its count of concepts of Table 5; all but that are shares.

    ``mean_ap``: of finding the pictures with a thing by its word. ``iou``, ``iod``, ``iot``: what marked region and
    thing share over their union, over the marked region, over the thing; marked is what has half of the heat or more.
    ``concepts``: None for the baseline of the whole frame.
    """

    system: str
    initialisation: str
    mean_ap: float
    iou: float
    iod: float
    iot: float
    concepts: int | None


def published_localization() -> list[PublishedLocalization]:
    """Where harwath2019's systems find words in photographs, and how many concepts they learn, in its order."""
    rows = csv.DictReader(_lines("published_localization.csv"))
    figures = ("mean_ap", "iou", "iod", "iot")
    return [
        PublishedLocalization(
            system=row["system"],
            initialisation=row["initialisation"],
            **{figure: float(row[figure]) for figure in figures},
            concepts=int(row["concepts"]) if row["concepts"] else None,
        )
        for row in rows
    ]


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


def _lines(name: str) -> list[str]:
    return (files("vgs_lib.recipes") / name).read_text(encoding="utf-8").splitlines()
