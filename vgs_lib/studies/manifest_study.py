"""The study of one's own pictures and recordings: training on any manifest.

    study = ManifestStudy("my-folder/manifest.jsonl")
    TrainingDashboard(study, "runs")

Legend: B pairs, P pictures, C captions.
"""

import math
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from vgs_lib.batches.manifest_batches import MAX_SECONDS, ManifestBatches, ManifestLines
from vgs_lib.data.loading import Batch
from vgs_lib.data.manifest import read_manifest
from vgs_lib.data.manifest_check import LENGTH_TOLERANCE
from vgs_lib.data.manifest_splits import divide
from vgs_lib.errors import DataError, TrainingError
from vgs_lib.model import DualEncoder
from vgs_lib.recipes import Recipe, build_model
from vgs_lib.seeds import seeded
from vgs_lib.studies.study import FIRST_WORDS, OPTIONS, Prepared, chances, recalls
from vgs_lib.training.embedding_objective import EmbeddingLoss

ENOUGH = 1000  # tellings: fewer recordings than that are told several times, each time changed
MAX_TAKES = 8
FEW_PICTURES = 50  # to judge on: with fewer, recall at 10 says little and recall at 1 chooses the best weights
EVALUATED_AT_ONCE = 64


class ManifestStudy:
    """Pictures and recordings of a manifest: trained on its split "train", judged on "validation" by recall at k.

    Recordings of the same picture, and those with the same text, are no impostors of one another; each of them counts
    as found. ``said`` tells in a sentence what is trained and judged on. ``base`` is named after the folder and what is
    in it, so that a run of other data is another run.

    Args:
        manifest: path of the manifest.
        base: the recipe that choices change; its ``data`` is fitted to the manifest.
        share: of the training pictures that are held out where there is no split "validation", 0 to 1.
        takes: how often each recording is told: as it is, then changed in speed, pitch, room and noise. None: as often
            as makes 1,000 tellings, at most 8 times.
        num_validation: most recordings to judge on.
        size: pixels of a picture's side; the middle square of each picture is used.
        seed: what is held out, and how recordings are changed.

    Raises:
        ManifestError: the manifest is wrong.
        DataError: a file is missing, a recording lasts more than 30 s, or there are too few pictures.
        TrainingError: ``base`` begins with pre-trained encoders, reads text or has a loss on classes.
    """

    options = OPTIONS

    def __init__(
        self,
        manifest: str | os.PathLike,
        *,
        base: Recipe = FIRST_WORDS,
        share: float = 0.2,
        takes: int | None = None,
        num_validation: int = 1000,
        size: int = 224,
        seed: int = 0,
    ):
        self.path, self.size = Path(manifest), size
        unfit = {
            f"it begins with {base.initial}, which a manifest does not pre-train": bool(base.initial),
            "it reads text, and a manifest has recordings": base.audio.name == "text",
            "its loss is on classes, which a manifest does not have": isinstance(base.loss, EmbeddingLoss),
        }
        for reason in (reason for reason, found in unfit.items() if found):
            raise TrainingError(f"{base.name}: {reason}; choose another recipe")
        self.manifest = read_manifest(self.path)
        self.division = divide(self.manifest, name=str(self.path), share=share, most=num_validation, seed=seed)
        train, held = self.division.train, self.division.validation
        _check_lengths(self.path, [*train.entries, *held.entries])
        if takes is None:
            takes = min(MAX_TAKES, math.ceil(ENOUGH / len(train)))
        few = min(len(train.pictures), len(held.pictures)) < FEW_PICTURES
        best = "speech_to_image_r1" if few else "speech_to_image_r10"
        self.base = replace(
            base,
            name=f"{_stem(self.path)}-{train.digest[:6]}",
            data=replace(
                base.data,
                num_scenes=len(train),
                batch_size=min(base.data.batch_size, len(train)),
                seed=seed,
                takes=takes,
                word_takes=takes,
                phases=(),
                people=(),
                people_share=0.0,
            ),
            fit=replace(base.fit, keep_best=best),
        )
        first: dict[str, int] = {}
        shown = [first.setdefault(held.marks[entry.image], row) for row, entry in enumerate(held.entries)]
        self._rows = torch.tensor([row == place for place, row in enumerate(shown)])
        self._right = held.same(range(len(held)))[self._rows]

    @property
    def said(self) -> str:
        """What is trained and judged on."""
        train, held = self.division.train, self.division.validation
        return (
            f"{len(train)} recordings of {len(train.pictures)} pictures to train on; {len(held)} of "
            f"{len(held.pictures)} to judge on: {self.division.said}."
        )

    def prepare(self, plan: Recipe) -> Prepared:
        """The model of ``plan`` as it is before its first step, its batches and its judge."""
        with seeded(plan.fit.seed, "model"):
            model = build_model(plan).eval()
        once = replace(plan.data, takes=1, word_takes=1)
        batches = ManifestBatches(
            ManifestLines(model, self.manifest, self.division.train, plan.data, size=self.size),
            ManifestLines(model, self.manifest, self.division.validation, once, size=self.size),
        )

        def judge(model: DualEncoder) -> dict[str, float]:
            return recalls(model, _in_parts(batches.held_out), self._right, rows=self._rows)

        return Prepared(model, batches, judge, chances(self._right))


def _stem(path: Path) -> str:
    """The name of the manifest's folder as part of a run's name."""
    return re.sub(r"\W+", "-", path.resolve().parent.name).strip("-")[:30] or "own"


def _in_parts(held_out: ManifestLines) -> Iterator[Batch]:
    """All pairs that are judged on, a batch at a time."""
    count = len(held_out.lines)
    for first in range(0, count, EVALUATED_AT_ONCE):
        yield held_out.batch([(0, row) for row in range(first, min(count, first + EVALUATED_AT_ONCE))])


def _check_lengths(path: Path, entries: list) -> None:
    """:class:`DataError` naming the recordings that are longer than a speech encoder takes."""
    long = [e for e in entries if e.seconds is not None and e.seconds > MAX_SECONDS + LENGTH_TOLERANCE]
    if long:
        named = ", ".join(f"{entry.audio} ({entry.seconds:.0f} s)" for entry in long[:5])
        more = f" and {len(long) - 5} more" if len(long) > 5 else ""
        raise DataError(
            f"{path}: found recordings of more than {MAX_SECONDS:.0f} s: {named}{more}; cut them into captions of "
            "their own, or leave their lines out"
        )
