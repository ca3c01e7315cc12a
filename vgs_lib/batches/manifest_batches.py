"""Training batches of the lines of a manifest: a pure function of the step, from banks of frozen features.

Pictures and recordings are read when their features are computed, a few at a time; pictures of an encoder that is
trained whole are read for each batch.

Legend: B pairs, C channels, H W grid, S pixels of a side, T frames, N samples.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from vgs_lib.audio import SAMPLE_RATE, read_speech
from vgs_lib.batches.banks import SHARD, Bank, Filling
from vgs_lib.batches.frozen_features import blanked, picture_features, picture_key, speech_features
from vgs_lib.batches.scene_batches import SceneData
from vgs_lib.data.catalogue import read_picture
from vgs_lib.data.loading import Batch, collate
from vgs_lib.data.manifest import Manifest
from vgs_lib.data.manifest_splits import Lines
from vgs_lib.data.scenes import generator
from vgs_lib.errors import TrainingError
from vgs_lib.memory import trim
from vgs_lib.model import DualEncoder
from vgs_lib.safe_files import digest_tensors
from vgs_lib.seeds import seed_for

VERSION = 1  # raised when this code changes what is cached
MAX_SECONDS = 30.0  # of a recording: what Whisper's encoder takes
SMALL_SHARD = 32  # items, where there are few: progress is shown, and a stop is followed, after each
AT_ONCE = 8  # pictures or recordings that a backbone sees at once


class ManifestLines:
    """Some lines of a manifest as the encoders of a model take them; `fill` must have run before the first batch.

    Args:
        model: whose frozen parts are applied once.
        manifest: whose folder holds the files.
        lines: of that manifest.
        data: ``takes``, ``augmentation``, ``seed`` and ``mask_frames`` are used. The first take of a recording is the
            recording as it is, the others are changed by the augmentation.
        size: S of the pictures: the shorter side is scaled to it, and the middle of the longer one is kept.
    """

    def __init__(self, model: DualEncoder, manifest: Manifest, lines: Lines, data: SceneData, *, size: int):
        self.manifest, self.lines, self.data, self.size = manifest, lines, data, size
        image, speech = model.image_encoder, model.audio_encoder
        self.image_encoder, self.audio_encoder = image, speech
        self.image_is_features = image.backbone_frozen
        self.speech_is_features = getattr(speech, "backbone_frozen", False)
        self.paths = pictures = lines.pictures
        places = {lines.marks[path]: place for place, path in enumerate(pictures)}
        self.place = [places[lines.marks[entry.image]] for entry in lines.entries]
        what = {"version": VERSION, "files": _digest(lines.marks[path] for path in pictures), "size": size}
        self.pictures = Bank("pictures", what | picture_key(image), len(pictures), shard=_shard(len(pictures)))
        heard = {
            "version": VERSION,
            "files": _digest(lines.marks[entry.audio] for entry in lines.entries),
            "front_end": repr(speech.front_end),
            "layers": getattr(speech, "cached_layers", None),
            "weights": digest_tensors(speech.backbone.state_dict()) if self.speech_is_features else None,
            "augmentation": [asdict(data.augmentation), data.seed] if data.takes > 1 else None,
        }
        total = len(lines) * data.takes
        self.speech = Bank("speech", heard, total, shard=_shard(total))

    def fill(self) -> Iterator[Filling]:
        """Compute the features that are not on disk yet."""
        if self.image_is_features:
            yield from self.pictures.fill(self._picture_features)
        yield from self.speech.fill(self._speech_features)

    def picture(self, place: int) -> Tensor:
        """The ``place``-th different picture, uint8 [3, S, S]; raises ImageError."""
        path = self.manifest.path(self.paths[place])
        shown = Image.fromarray(read_picture(path, least=self.size))
        square = ImageOps.fit(shown, (self.size, self.size), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(square)).permute(2, 0, 1)

    def told(self, take: int, row: int) -> Tensor:
        """The waveform [N] at 16 kHz of a line, changed for every take but the first; raises AudioError."""
        path = self.lines.entries[row].audio
        waveform = read_speech(self.manifest.path(path), max_seconds=MAX_SECONDS)
        if take:
            rng = generator("augment", self.data.seed, self.lines.marks[path], take)
            waveform = torch.from_numpy(self.data.augmentation(waveform.numpy(), rng)[0])
        return waveform[: round(MAX_SECONDS * SAMPLE_RATE)]

    def _picture_features(self, items: range) -> list[tuple[Tensor, ...]]:
        found = []
        for first in range(items.start, items.stop, AT_ONCE):
            few = range(first, min(items.stop, first + AT_ONCE))
            found += picture_features(self.image_encoder, torch.stack([self.picture(place) for place in few]))
        trim()
        return found

    def _speech_features(self, items: range) -> list[tuple[Tensor, ...]]:
        waveforms = [self.told(*divmod(item, len(self.lines))) for item in items]
        found = [(x.half(),) for x in speech_features(self.audio_encoder, waveforms, batch_size=AT_ONCE)]
        trim()
        return found

    def batch(self, tellings: Sequence[tuple[int, int]], *, blanks: torch.Generator | None = None) -> Batch:
        """The pairs (take, line); with ``blanks``, spans of the captions are blanked."""
        blank = 0.0 if self.speech_is_features else self.audio_encoder.front_end.pad_value
        heard = [self.speech[take * len(self.lines) + row][0] for take, row in tellings]
        if blanks is not None:
            heard = [blanked(speech, self.data.mask_frames, blank, blanks) for speech in heard]
        places = [self.place[row] for _, row in tellings]
        made = collate(
            [self.pictures[place] if self.image_is_features else self.picture(place) for place in places],
            heard,
            pad_value=blank,
            image_is_features=self.image_is_features,
            audio_is_features=self.speech_is_features,
        )
        same = self.lines.same([row for _, row in tellings]) & ~torch.eye(len(tellings), dtype=torch.bool)
        return replace(made, same_image=same if same.any() else None)


class ManifestBatches:
    """``batches[step]``: ``data.batch_size`` pairs of ``train``; ``fill`` computes the features of ``held_out`` too.

    Every line comes at most once before one comes again, told anew. Raises :class:`TrainingError` for a batch larger
    than there are lines.
    """

    def __init__(self, train: ManifestLines, held_out: ManifestLines):
        self.train, self.held_out = train, held_out
        if train.data.batch_size > len(train.lines):
            raise TrainingError(
                f"batch_size: found {train.data.batch_size}, but there are {len(train.lines)} recordings to train on; "
                "choose a smaller batch or add recordings"
            )

    @property
    def settings(self) -> dict[str, Any]:
        """What a resumed run must have in common with this one."""
        train = self.train
        return {**asdict(train.data), "version": VERSION, "size": train.size, "lines": train.lines.digest}

    def fill(self) -> Iterator[Filling]:
        """Compute the features that are not on disk yet."""
        yield from self.train.fill()
        yield from self.held_out.fill()

    @property
    def seconds(self) -> float:
        """How long filling has taken in all."""
        parts = (self.train, self.held_out)
        return sum(bank.seconds for part in parts for bank in (part.pictures, part.speech))

    def tellings(self, step: int) -> list[tuple[int, int]]:
        """(take, line) of the pairs of batch ``step``."""
        data, count = self.train.data, len(self.train.lines)
        round_, place = divmod(step, count // data.batch_size)
        order = generator("batches", data.seed, round_).permutation(count)
        chosen = order[place * data.batch_size : (place + 1) * data.batch_size].tolist()
        return [((round_ + row) % data.takes, row) for row in chosen]

    def __getitem__(self, step: int) -> Batch:
        blanks = torch.Generator().manual_seed(seed_for(self.train.data.seed, "blanks", step))
        return self.train.batch(self.tellings(step), blanks=blanks)


def _shard(total: int) -> int:
    return SMALL_SHARD if total <= 16 * SHARD else SHARD


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
