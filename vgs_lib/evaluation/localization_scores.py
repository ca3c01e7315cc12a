"""How well heatmaps mark what words name: per word, per object size, beside baselines, with bootstrap intervals.

The measures of one map are in :mod:`vgs_lib.localization`; the full-frame baseline is harwath2019's, table 4.

Shapes: H W grid of the model, Y X pixels of a mask, N words, D embedding, T frames.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vgs_lib import localization, retrieval
from vgs_lib.clock import Clock
from vgs_lib.errors import DataError
from vgs_lib.evaluation.trials import embed_captions, embed_pictures
from vgs_lib.localization import at_mask_size, average_precision, iod, iot, iou, pointing_hit
from vgs_lib.memory import trim

MEASURES = ("iou", "iod", "iot", "pointing", "average_precision")
SIZES = {"small": 0.0, "medium": 0.04, "large": 0.10}  # from which share of the picture on
BATCH = 4  # scenes encoded together: little memory, hardly slower than more on a processor


def full_frame(size: tuple[int, int]) -> Tensor:
    """The baseline that marks everything, harwath2019's "Full Frame": ones ``[H, W]``."""
    return torch.ones(size)


def centre(size: tuple[int, int], *, width: float = 0.25) -> Tensor:
    """The baseline that always points at the middle: a Gaussian ``[H, W]``, 1 in the middle.

    ``width`` is its standard deviation as a share of the picture's sides. IoU at the best threshold, pointing and
    average precision do not depend on it: only the order of the values counts.
    """
    if not width > 0:
        raise ValueError(f"width is {width}; expected a number above 0, as a share of the picture's sides")
    rows, columns = (((torch.arange(n) + 0.5) / n - 0.5) / width for n in size)
    return torch.exp(-(rows[:, None] ** 2 + columns[None] ** 2) / 2)


def noise(size: tuple[int, int], *, seed: int) -> Tensor:
    """The baseline that knows nothing: independent values ``[H, W]``, uniform from 0 to 1, fixed by ``seed``."""
    return torch.rand(size, generator=torch.Generator().manual_seed(seed))


def object_size(mask: Tensor) -> str:
    """``small``, ``medium`` or ``large``: a thing's share of the picture, split at 4 and at 10 %.

    COCO splits at 32 x 32 and 96 x 96 pixels; shares say the same of pictures of any size.
    """
    share = localization.chance_pointing(mask)
    return max((name for name, least in SIZES.items() if share >= least), key=SIZES.__getitem__)


@dataclass(frozen=True, eq=False)
class LocatedWord:
    """A word of a caption and what it lights up.

    Attributes:
        text: the word or name.
        scene: number of the scene among those given; words of one scene are not independent.
        start: where the word begins, in seconds.
        end: where it ends, in seconds.
        mask: ``[Y, X]`` bool, what it names.
        heat: ``[H, W]``, its heatmap (:func:`vgs_lib.localization.span_heatmap`).
    """

    text: str
    scene: int
    start: float
    end: float
    mask: Tensor
    heat: Tensor


@torch.no_grad()
def locate_words(model, scenes: Iterable) -> list[LocatedWord]:
    """The heatmap of every named thing in every caption.

    Args:
        model: a `DualEncoder` in eval mode.
        scenes: each with ``picture`` uint8 [Y, X, 3] (all of one size), ``waveform`` [N] at 16 kHz, ``words`` (text,
            concept, start, end) and ``objects`` (concept, mask), such as those of
            :class:`vgs_lib.data.scenes.Scenes`; words without a mask are left out. May be a generator.

    Raises:
        DataError: no scene names anything that has a mask.
    """
    # Everything that is kept is made first and in large pieces, and what the encoders freed is given back: blocks of as
    # many sizes as there are captions would otherwise stay with the process, half a gigabyte for a hundred scenes.
    pictures, sounds, named = [], [], []
    for scene in scenes:
        pictures.append(scene.picture)
        sounds.append(torch.as_tensor(np.array(scene.waveform, dtype=np.float32)))
        named.append(_named(scene))
    trim()
    clock = Clock.of(model)
    heats: Tensor | None = None
    done = 0
    for first in range(0, len(pictures), BATCH):
        few = slice(first, first + BATCH)
        image_maps = embed_pictures(model, pictures[few])
        audio_maps, lengths = embed_captions(model, sounds[few])
        if heats is None:
            heats = torch.empty(sum(map(len, named)), *image_maps.shape[-2:])
        for row, words in enumerate(named[few]):
            audio_map = audio_maps[row, :, : lengths[row]]
            for _, start, end, _ in words:
                heats[done] = localization.span_heatmap(image_maps[row], audio_map, start, end, clock)
                done += 1
        trim()
    if not done:
        raise DataError(f"Found {len(pictures)} scenes, none with a word whose concept is that of an object.")
    spoken = [(number, *word) for number, words in enumerate(named) for word in words]
    return [
        LocatedWord(text, number, start, end, mask, heat)
        for (number, text, start, end, mask), heat in zip(spoken, heats, strict=True)
    ]


def _named(scene) -> list[tuple[str, float, float, Tensor]]:
    """(text, start, end, mask [Y, X]) of each word of a scene that names something with a mask."""
    masks = {item.concept: torch.as_tensor(np.array(item.mask, dtype=bool)) for item in scene.objects}
    return [(w.text, float(w.start), float(w.end), masks[w.concept]) for w in scene.words if w.concept in masks]


def word_scores(heats: Sequence[Tensor], masks: Sequence[Tensor], threshold: float) -> dict[str, Tensor]:
    """Every measure of every word: ``MEASURES`` -> ``[N]`` float64, each 0 to 1.

    Args:
        heats: N maps ``[H, W]``.
        masks: N masks ``[Y, X]`` bool.
        threshold: what is at least as hot is marked; chosen on validation, never on what is measured here.

    Raises:
        ValueError: no maps or another number of masks; as :func:`vgs_lib.localization.pointing_hit`.
    """
    _check_numbers(heats, masks)
    rows = []
    for heat, mask in zip(heats, masks, strict=True):
        heat, mask = at_mask_size(heat, mask)  # upsampled once for all measures
        marked = [measure(heat, mask, threshold) for measure in (iou, iod, iot)]
        rows.append([*marked, pointing_hit(heat, mask), average_precision(heat, mask)])
    return dict(zip(MEASURES, torch.tensor(rows, dtype=torch.float64).T, strict=True))


def _check_numbers(heats: Sequence[Tensor], masks: Sequence[Tensor]) -> None:
    if len(heats) != len(masks) or not len(heats):
        raise ValueError(f"got {len(heats)} maps and {len(masks)} masks; expected the same number, 1 or more")


def threshold_curves(
    heats: Sequence[Tensor], masks: Sequence[Tensor], thresholds: Tensor | Sequence[float]
) -> dict[str, Tensor]:
    """Mean ``iou``, ``iod`` and ``iot`` of many words at each threshold: name -> ``[K]`` float64.

    Args:
        heats: N maps ``[H, W]``.
        masks: N masks ``[Y, X]`` bool.
        thresholds: ``[K]``, in any order.

    Raises:
        ValueError: as :func:`word_scores`.
    """
    _check_numbers(heats, masks)
    thresholds = torch.as_tensor(thresholds, dtype=torch.float32)
    sums = torch.zeros(3, len(thresholds), dtype=torch.float64)
    for heat, mask in zip(heats, masks, strict=True):
        heat, mask = at_mask_size(heat, mask)
        marked, both = (_at_least(values, thresholds) for values in (heat.flatten(), heat[mask]))
        target = mask.sum().double()
        sums += torch.stack([both / (marked + target - both), both / marked.clamp_min(1), both / target])
    return dict(zip(MEASURES[:3], sums / len(heats), strict=True))


def _at_least(values: Tensor, thresholds: Tensor) -> Tensor:
    """How many of the values reach each threshold: [K] float64."""
    return (len(values) - torch.searchsorted(values.sort().values, thresholds.to(values))).double().cpu()


def summary(
    scores: Mapping[str, Tensor], *, groups: Sequence[int] | None = None, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """The mean of each measure and its 95 % bootstrap interval: name -> (mean, low, high).

    Args:
        scores: of :func:`word_scores`.
        groups: ``[N]``, the scene of each word; whole scenes are drawn. None draws words.
        seed: fixes the resampling.
    """
    return {
        name: (float(values.mean()), *retrieval.bootstrap_interval(values, seed=seed, groups=groups))
        for name, values in scores.items()
    }


def baseline_heats(words: Sequence[LocatedWord], *, seed: int = 0) -> dict[str, list[Tensor]]:
    """What the three baselines say of each word, as maps of the size of its heat.

    ``full frame``, ``centre`` and ``random`` (:func:`noise`, another one for each word) -> N maps ``[H, W]``.
    """
    sizes = [tuple(word.heat.shape) for word in words]
    return {
        "full frame": [full_frame(size) for size in sizes],
        "centre": [centre(size) for size in sizes],
        "random": [noise(size, seed=seed + number) for number, size in enumerate(sizes)],
    }


def by_label(scores: Mapping[str, Tensor], labels: Sequence[str]) -> dict[str, dict[str, Tensor]]:
    """The scores of the words of each label (a size, a name), in the order in which the labels are first met."""
    for name, values in scores.items():
        if len(values) != len(labels):
            raise ValueError(f"{name}: got {len(values)} scores and {len(labels)} labels; expected one for each word")
    chosen = {label: torch.tensor([other == label for other in labels]) for label in dict.fromkeys(labels)}
    return {label: {name: values[rows] for name, values in scores.items()} for label, rows in chosen.items()}
