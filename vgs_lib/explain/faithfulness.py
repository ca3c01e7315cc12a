"""Is a map faithful? ROAD, baselines that know nothing of the query, and the test with random weights.

ROAD (Rong et al. 2022): replace the pixels that a map calls most relevant by noisy averages of their neighbours, then
those that it calls least relevant; a faithful map's first choice costs the model more. Random weights (Adebayo et al.
2018): a map that stays the same when the weights are shuffled does not explain them.

Shapes: B pictures, D embedding, H W pixels, h w grid, T frames.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pytorch_grad_cam.metrics.road import ROADCombined
from pytorch_grad_cam.sobel_cam import sobel_cam
from scipy.stats import spearmanr
from torch import Tensor

from vgs_lib import localization, retrieval, viz
from vgs_lib.errors import ExplainError
from vgs_lib.explain.cam import SpokenQuery, explain
from vgs_lib.explain.sides import PictureSide, picture_input, seen
from vgs_lib.model import DualEncoder
from vgs_lib.seeds import seeded

PERCENTILES = (80, 90)  # the 20 % and the 10 % of the pixels that a map calls most, or least, relevant


def matchmap_heat(model: DualEncoder, image_map: Tensor, query: Tensor) -> np.ndarray:
    """The matchmap of a picture [D, h, w] and a query [D, T], averaged over its frames by their contrast: [h, w]."""
    matchmap = model.matchmap(image_map, query)
    return (matchmap @ localization.contrast_weights(matchmap)).cpu().numpy()


def edge_map(pixels: np.ndarray) -> np.ndarray:
    """Edges of a picture uint8 [H, W, 3] by the Sobel filter: float32 [H, W]. Knows neither model nor query."""
    return np.float32(sobel_cam(np.ascontiguousarray(pixels)))


def random_map(shape: tuple[int, int] = (14, 14), *, seed: int) -> np.ndarray:
    """Uniform noise 0-1 on a grid [h, w]."""
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def by_rank(heat: np.ndarray, size: tuple[int, int], *, seed: int = 0) -> np.ndarray:
    """The order of a map's pixels, 0-1 without ties: float32 [H, W] from a map of any size.

    ROAD removes the pixels above a percentile. In a map that is zero nearly everywhere the percentile is zero too, and
    all of the picture would be removed; here equal pixels are put in random order.
    """
    fine = viz.upsample(heat, size).ravel()
    order = np.lexsort((np.random.default_rng(seed).random(fine.size), fine))
    ranks = np.empty(fine.size, dtype=np.float32)
    ranks[order] = np.linspace(0, 1, fine.size, dtype=np.float32)
    return ranks.reshape(size)


def road(
    side: PictureSide,
    picture: Tensor,
    heats: Sequence[np.ndarray],
    target: Callable[[Tensor], Tensor],
    *,
    percentiles: Sequence[int] = PERCENTILES,
    seed: int = 0,
) -> np.ndarray:
    """ROAD of several maps of one picture: by how much more the target falls for the most than the least relevant.

    Args:
        side: the network.
        picture: [1, 3, H, W] from `vgs_lib.explain.picture_input`.
        heats: maps [h, w] of any size; only the order of their values counts.
        target: what the maps explain.
        percentiles: remove the pixels above each of these, 1 to 99, and average.
        seed: of the noise and of the order of equal values, the same for all maps.

    Returns:
        [len(heats)], half the difference (target without the least relevant) - (without the most relevant), in the
        target's unit: above 0 is better than the other way round, a map that knows nothing gives about 0.

    Raises:
        ExplainError: no map, one that is not [h, w] or not finite, percentiles outside 1 to 99.
    """
    if len(picture) != 1 or not len(heats) or any(np.ndim(heat) != 2 or not np.isfinite(heat).all() for heat in heats):
        raise ExplainError(f"found {len(heats)} maps of {len(picture)} pictures; expected one picture, finite [h, w].")
    if not all(1 <= percentile <= 99 for percentile in percentiles):
        raise ExplainError(f"percentiles: found {list(percentiles)}, expected 1 to 99.")
    picture, size = picture.to(side.device), tuple(picture.shape[-2:])
    ranks = [by_rank(heat, size, seed=seed) for heat in heats]
    found = []
    for one in ranks:  # one by one: each meets the same noise, and memory stays small
        with seeded(seed):
            found.append(ROADCombined(list(percentiles))(picture, one[None], [target], side)[0])
    return np.array(found, dtype=np.float64)


def compare(
    model: DualEncoder,
    cases: Sequence[tuple[np.ndarray, Tensor]],
    cams: Mapping[str, tuple[str, str]],
    *,
    percentiles: Sequence[int] = PERCENTILES,
    seed: int = 0,
) -> dict[str, list[float]]:
    """ROAD of several kinds of map over cases: {name: one value for each case}.

    Args:
        model: what is explained.
        cases: (picture uint8 [H, W, 3], audio map [D, T] of a query) each.
        cams: {name: (method, layer)}; "matchmap", "edges (Sobel)" and "random" are added.
        percentiles, seed: see `road`.
    """
    side = PictureSide(model)
    values: dict[str, list[float]] = {}
    for number, (pixels, query) in enumerate(cases):
        picture, target = picture_input(pixels), SpokenQuery(model, query)
        maps = {
            name: explain(side, picture, target, method=method, layer=layer)[0].positive
            for name, (method, layer) in cams.items()
        }
        maps |= {
            "matchmap": matchmap_heat(model, seen(model, pixels), query),
            "edges (Sobel)": edge_map(pixels),
            "random": random_map(seed=seed + number),
        }
        found = road(side, picture, list(maps.values()), target, percentiles=percentiles, seed=seed)
        for name, value in zip(maps, found, strict=True):
            values.setdefault(name, []).append(float(value))
    return values


@dataclass(frozen=True)
class Faithfulness:
    """ROAD of one kind of map over several pictures: the mean and its 95 % bootstrap interval over pictures."""

    name: str
    mean: float
    low: float
    high: float
    values: tuple[float, ...]


def summarise(values: Mapping[str, Sequence[float]], *, seed: int = 0) -> list[Faithfulness]:
    """ROAD of each kind of map (name: one value for each picture) with its interval, best first."""
    rows = []
    for name, each in values.items():
        low, high = retrieval.bootstrap_interval(list(each), seed=seed)
        rows.append(Faithfulness(name, float(np.mean(each)), low, high, tuple(map(float, each))))
    return sorted(rows, key=lambda row: -row.mean)


def randomised(side: PictureSide, *, part: str = "encoder", seed: int = 0) -> PictureSide:
    """A copy of a side with the numbers of every weight below ``part`` shuffled: same values, nothing learnt.

    ``part`` is a module's name, such as "encoder.output" (the last layer only) or "encoder" (all of them).
    """
    try:
        copied = copy.deepcopy(side)
        module = copied.get_submodule(part)
    except AttributeError as error:
        raise ExplainError(f"part: found {part!r}, expected a module of the side, such as 'encoder'.") from error
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in module.parameters():
            order = torch.randperm(weights.numel(), generator=generator).to(weights.device)
            weights.copy_(weights.flatten()[order].view_as(weights))
    return copied


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation of two maps [h, w] of one size: 1 same order, 0 unrelated; 0 if one is constant."""
    if one.shape != other.shape:
        raise ExplainError(f"found maps {list(one.shape)} and {list(other.shape)}; expected one size.")
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one.ravel(), other.ravel()).statistic)
