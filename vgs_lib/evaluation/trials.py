"""Trials, what a model is judged on: their pictures, captions and words, and the figures of a model on them.

Scenes: pictures and their captions, held out; the diagonal is true. People's recordings: one name each, the candidates
are the pictures of all concepts on white, and any picture with the same name is right.

Legend: B pictures or captions, D embedding, H W grid, Y X pixels, T frames, N samples.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vgs_lib import localization, retrieval
from vgs_lib.clock import Clock
from vgs_lib.data.scenes import SPLITS, Scenes, Word
from vgs_lib.data.stamps import Stamps
from vgs_lib.errors import DataError
from vgs_lib.model import DualEncoder

PICTURE_SIZE = 224
BATCH = 32
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Trial:
    """What a model is evaluated on.

    pictures: uint8 [Y, X, 3] each. captions: waveforms [N] each. right: bool [pictures, captions].
    words: (picture, caption, start, end, mask [Y, X] bool) of every spoken name that has a mask; seconds.
    """

    pictures: Sequence[np.ndarray]
    captions: Sequence[Tensor]
    right: Tensor
    words: Sequence[tuple[int, int, float, float, Tensor]]


def trial_of(stamps: Stamps, split: str, *, num_scenes: int = 1000, size: int = PICTURE_SIZE) -> Trial:
    """The trial of a split: ``num_scenes`` scenes, or the recordings of a ``...-human-LL`` split."""
    if "-human-" in split:
        return _people_trial(stamps, split, size)
    if split not in SPLITS:
        raise DataError(f"no split {split!r}: expected {', '.join(SPLITS)}, or validation-human-LL or test-human-LL")
    if num_scenes < 1:
        raise DataError(f"num_scenes is {num_scenes}; expected 1 or more scenes to evaluate on")
    scenes = Scenes(stamps, split, size=size)
    chosen = [scenes[i] for i in range(num_scenes)]
    words = []
    for i, scene in enumerate(chosen):
        masks = {item.concept: torch.from_numpy(item.mask) for item in scene.objects}
        spoken: Sequence[Word] = [word for word in scene.words if word.concept is not None]
        words += [(i, i, word.start, word.end, masks[word.concept]) for word in spoken]
    captions = [torch.from_numpy(scene.waveform) for scene in chosen]
    return Trial([scene.picture for scene in chosen], captions, torch.eye(num_scenes, dtype=torch.bool), words)


def _people_trial(stamps: Stamps, split: str, size: int) -> Trial:
    spoken = stamps.people(split)
    language = split.rsplit("-", 1)[-1]
    drawn = [stamps.alone(concept.id, size=size) for concept in stamps.concepts]
    captions = [torch.from_numpy(stamps.recording(concept.id, language)) for concept in spoken]
    right = torch.tensor([[c.key == s.key for s in spoken] for c in stamps.concepts])
    place = {concept.id: i for i, concept in enumerate(stamps.concepts)}
    words = [
        (place[c.id], j, 0.0, len(captions[j]) / 16000, torch.from_numpy(drawn[place[c.id]][1]))
        for j, c in enumerate(spoken)
    ]
    return Trial([picture for picture, _ in drawn], captions, right, words)


@torch.no_grad()
def embed_pictures(model: DualEncoder, pictures: Sequence[np.ndarray], report: Report | None = None) -> Tensor:
    """Image maps [B, D, H, W] of pictures uint8 [Y, X, 3] of one size."""
    maps = []
    for first in range(0, len(pictures), BATCH):
        few = torch.from_numpy(np.stack(pictures[first : first + BATCH])).permute(0, 3, 1, 2)
        maps.append(model.embed_image(few.to(model.device)))
        if report:
            report("pictures", min(first + BATCH, len(pictures)), len(pictures))
    return torch.cat(maps)


@torch.no_grad()
def embed_captions(
    model: DualEncoder, captions: Sequence[Tensor], report: Report | None = None
) -> tuple[Tensor, Tensor]:
    """Audio maps [B, D, T] and lengths [B] of waveforms [N]; those of like length are encoded together."""
    order = sorted(range(len(captions)), key=lambda i: len(captions[i]))
    maps: list[Tensor] = [torch.empty(0)] * len(captions)
    for first in range(0, len(order), BATCH):
        few = order[first : first + BATCH]
        encoded, lengths = model.embed_waveforms([captions[i] for i in few])
        for row, i in enumerate(few):
            maps[i] = encoded[row, :, : lengths[row]]
        if report:
            report("captions", min(first + BATCH, len(order)), len(order))
    lengths = torch.tensor([m.shape[-1] for m in maps], device=model.device)
    padded = maps[0].new_zeros(len(maps), maps[0].shape[0], int(lengths.max()))
    for row, one in zip(padded, maps, strict=True):
        row[:, : one.shape[-1]] = one
    return padded, lengths


def word_heats(
    model: DualEncoder, image_maps: Tensor, audio_maps: Tensor, lengths: Tensor, trial: Trial
) -> list[Tensor]:
    """The heatmap [H, W] of each word of the trial, by :func:`vgs_lib.localization.span_heatmap`."""
    clock = Clock.of(model)
    return [
        localization.span_heatmap(image_maps[picture], audio_maps[caption, :, : lengths[caption]], start, end, clock)
        for picture, caption, start, end, _ in trial.words
    ]


@torch.no_grad()
def evaluate(
    model: DualEncoder,
    trial: Trial,
    *,
    threshold: float | None = None,
    seed: int = 0,
    report: Report | None = None,
) -> dict:
    """All figures of a trial, each with ``_chance`` and ``_ci`` (bootstrap, 95 %).

    Queries are drawn one by one, words all those of a caption together: words of one scene are not independent.
    ``threshold`` of the heatmaps is one chosen on validation; None chooses it here, which only validation may do.
    """
    image_maps = embed_pictures(model, trial.pictures, report)
    audio_maps, lengths = embed_captions(model, trial.captions, report)
    return figures_of_maps(model, image_maps, audio_maps, lengths, trial, threshold=threshold, seed=seed)


@torch.no_grad()
def figures_of_maps(
    model: DualEncoder,
    image_maps: Tensor,
    audio_maps: Tensor,
    lengths: Tensor,
    trial: Trial,
    *,
    threshold: float | None = None,
    seed: int = 0,
) -> dict:
    """What :func:`evaluate` says of image maps [B, D, H, W] and audio maps [B, D, T] that were encoded before.

    A model with a pooled encoder has no maps: its pointing and IoU are left out.
    """
    scores = model.score(image_maps, audio_maps, lengths).cpu()
    figures = {
        "speech_to_image": retrieval_figures(scores.T, trial.right.T, seed=seed),
        "image_to_speech": retrieval_figures(scores, trial.right, seed=seed),
    }
    if getattr(model, "pooled", False):
        return figures
    heats = [heat.cpu() for heat in word_heats(model, image_maps, audio_maps, lengths, trial)]
    masks = [mask for *_, mask in trial.words]
    if threshold is None:
        threshold, _ = localization.best_threshold(heats, masks)
    hits = [localization.pointing_hit(heat, mask) for heat, mask in zip(heats, masks, strict=True)]
    overlaps = [localization.iou(heat, mask, threshold) for heat, mask in zip(heats, masks, strict=True)]
    full_frame = [localization.chance_iou(mask) for mask in masks]
    chance = np.mean([localization.chance_pointing(mask) for mask in masks])
    groups = [caption for _, caption, *_ in trial.words]
    figures |= _figure("pointing", hits, chance, seed, groups)
    figures |= _figure("mean_iou", overlaps, np.mean(full_frame), seed, groups)
    return figures | {"num_words": len(masks), "threshold": threshold}


def retrieval_figures(scores: Tensor, right: Tensor, *, seed: int) -> dict:
    """R@1, R@5, R@10 and the median rank of queries (rows) that have a right candidate, with chance and intervals."""
    answerable = right.any(dim=1)
    scores, right = scores[answerable], right[answerable]
    num_right = right.sum(dim=1).tolist()
    figures: dict = {}
    for k in (1, 5, 10):
        hits = retrieval.hits_at_k(scores, k, right)
        figures |= _figure(f"r{k}", hits, retrieval.chance_recall(scores.shape[1], k, num_right), seed)
    ranks = retrieval.ranks(scores, right)
    figures["median_rank"] = retrieval.median_rank(scores, right)
    figures["median_rank_chance"] = retrieval.chance_median_rank(scores.shape[1], num_right)
    figures["median_rank_ci"] = _rounded(retrieval.bootstrap_interval(ranks, seed=seed, statistic="median"))
    return figures | {"n": len(scores), "candidates": scores.shape[1]}


def _figure(
    name: str, values: Sequence[float] | Tensor, chance: float, seed: int, groups: Sequence[int] | None = None
) -> dict:
    values = torch.as_tensor(values, dtype=torch.float64)
    return {
        name: round(float(values.mean()), 4),
        f"{name}_chance": round(float(chance), 4),
        f"{name}_ci": _rounded(retrieval.bootstrap_interval(values, seed=seed, groups=groups)),
    }


def _rounded(interval: Sequence[float]) -> list[float]:
    assert all(math.isfinite(x) for x in interval)
    return [round(float(x), 4) for x in interval]
