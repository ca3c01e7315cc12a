"""Where a spoken word lies in a picture: its heatmap, pointing and overlap with a mask, and their chance.

Sources: IoU, IoD (intersection over detection) and IoT (intersection over target), harwath2019, section 5.3 and table
4; the pointing game of Zhang et al. 2018 (Top-Down Neural Attention by Excitation Backprop); average precision over
pixels, ranked by heat: the area under the steps of the precision-recall curve, as in scikit-learn's
``average_precision_score``. The time of a frame comes from hop length x pooling.

Shapes: H W grid of the model, T frames, Y X pixels of a mask.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from vgs_lib import similarity
from vgs_lib.clock import Clock


def normalise(heat: Tensor) -> Tensor:
    """Each map ``[..., H, W]`` scaled to 0 to 1 by its own least and greatest value; a constant map gives 0.

    Source: harwath2019, section 5.3.
    """
    low, high = heat.amin((-2, -1), keepdim=True), heat.amax((-2, -1), keepdim=True)
    return torch.where(high > low, (heat - low) / (high - low), torch.zeros_like(heat))


def upsample(heat: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps ``[..., H, W]`` made ``[..., Y, X]`` by bilinear interpolation; ``size`` is (Y, X) in pixels."""
    if tuple(heat.shape[-2:]) == tuple(size):
        return heat
    maps = heat.reshape(-1, 1, *heat.shape[-2:])
    maps = F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)
    return maps.view(*heat.shape[:-2], *size)


def pointing_hit(heat: Tensor, mask: Tensor) -> float:
    """1 where the greatest value of the map lies in the mask, else 0; of tied maxima, the share inside.

    Args:
        heat: ``[H, W]``, upsampled to the mask where it is of another size.
        mask: ``[Y, X]`` bool, true where the object is.

    Raises:
        ValueError: a mask that is empty, not bool or not 2-D, a map that is not 2-D or not finite.
    """
    heat, mask = at_mask_size(heat, mask)
    return mask[heat == heat.max()].double().mean().item()


def iou(heat: Tensor, mask: Tensor, threshold: float) -> float:
    """Intersection over union of the mask and the pixels whose value is at least ``threshold``: 0 to 1.

    Args:
        heat: ``[H, W]``, in the threshold's unit (:func:`normalise` for 0 to 1), upsampled to the mask.
        mask: ``[Y, X]`` bool.
        threshold: 0.5 on normalised maps in harwath2019.

    Raises:
        ValueError: as :func:`pointing_hit`.
    """
    return _ious(heat, mask, torch.tensor([threshold])).item()


def iod(heat: Tensor, mask: Tensor, threshold: float) -> float:
    """Intersection over detection: the share of the marked pixels that lie in the mask, 0 to 1 (precision).

    Where nothing is marked it is 0, so that marking nothing is never an advantage. Arguments and errors are those of
    :func:`iou`.
    """
    heat, mask = at_mask_size(heat, mask)
    marked = heat >= threshold
    return (marked & mask).sum().item() / max(1, marked.sum().item())


def iot(heat: Tensor, mask: Tensor, threshold: float) -> float:
    """Intersection over target: the share of the mask's pixels that are marked, 0 to 1 (recall).

    Arguments and errors are those of :func:`iou`.
    """
    heat, mask = at_mask_size(heat, mask)
    return ((heat >= threshold) & mask).sum().item() / mask.sum().item()


def average_precision(heat: Tensor, mask: Tensor) -> float:
    """The average precision of the pixels ranked by heat: above 0, at most 1; it needs no threshold.

    The mean, over the pixels of the mask, of the share of the mask among all pixels at least as hot. A constant map
    gives the mask's share of the picture.

    Args:
        heat: ``[H, W]``, upsampled to the mask where it is of another size; only the order of its values counts.
        mask: ``[Y, X]`` bool.

    Raises:
        ValueError: as :func:`pointing_hit`.
    """
    heat, mask = at_mask_size(heat, mask)
    values, order = heat.flatten().sort(descending=True)
    found = mask.flatten()[order].double().cumsum(0)
    last = torch.ones_like(values, dtype=torch.bool)  # the last pixel of each value: tied pixels come together
    last[:-1] = values[1:] < values[:-1]
    found, ranked = found[last], last.nonzero().flatten().double() + 1
    return float((found.diff(prepend=found.new_zeros(1)) * found / ranked).sum() / found[-1])


def mean_ious(heats: Sequence[Tensor], masks: Sequence[Tensor], thresholds: Tensor | Sequence[float]) -> Tensor:
    """The mean of :func:`iou` over many maps, for each threshold: ``[K]`` float64.

    Args:
        heats: N maps ``[H, W]``, of any sizes.
        masks: N masks ``[Y, X]``.
        thresholds: ``[K]``, ascending.

    Raises:
        ValueError: no maps, another number of masks, thresholds that do not ascend; as :func:`pointing_hit`.
    """
    thresholds = torch.as_tensor(thresholds)
    if len(heats) != len(masks) or not len(heats):
        raise ValueError(f"got {len(heats)} maps and {len(masks)} masks; expected the same number, 1 or more")
    if thresholds.dim() != 1 or not len(thresholds) or (thresholds.diff() < 0).any():
        raise ValueError("thresholds must be a list of one or more numbers in ascending order")
    total = torch.zeros(len(thresholds), dtype=torch.float64)
    for heat, mask in zip(heats, masks, strict=True):
        total += _ious(heat, mask, thresholds)
    return total / len(heats)


def best_threshold(
    heats: Sequence[Tensor], masks: Sequence[Tensor], thresholds: Tensor | Sequence[float] | None = None
) -> tuple[float, float]:
    """The threshold with the best mean IoU, and that mean. Choose it on a validation split, never on test.

    Arguments and errors are those of :func:`mean_ious`. By default 50 thresholds are spread evenly between
    the least and the greatest value of all maps (both left out).
    """
    if thresholds is None and len(heats):
        low, high = min(float(x.min()) for x in heats), max(float(x.max()) for x in heats)
        thresholds = torch.linspace(low, high, 52)[1:-1]
    thresholds = torch.as_tensor([] if thresholds is None else thresholds)
    means = mean_ious(heats, masks, thresholds)
    best = int(means.argmax())
    return float(thresholds[best]), float(means[best])


def chance_pointing(mask: Tensor) -> float:
    """The probability that a random pixel lies in the mask ``[Y, X]``: its share of the picture."""
    return mask.double().mean().item()


def chance_iou(mask: Tensor) -> float:
    """The IoU of marking the full frame, harwath2019's baseline: again the mask's share of the picture."""
    return mask.double().mean().item()


def _ious(heat: Tensor, mask: Tensor, thresholds: Tensor) -> Tensor:
    """IoU at each ascending threshold [K], from one count of pixels per interval between thresholds."""
    heat, mask = at_mask_size(heat, mask)
    passed = torch.bucketize(heat, thresholds.to(heat), right=True)  # how many thresholds each pixel reaches

    def at_least(values: Tensor) -> Tensor:  # pixels that reach each threshold
        counts = torch.bincount(values, minlength=len(thresholds) + 1)
        return counts.flip(0).cumsum(0).flip(0)[1:].cpu().double()

    detected, intersection = at_least(passed.flatten()), at_least(passed[mask])
    return intersection / (detected + mask.sum().cpu() - intersection)


def at_mask_size(heat: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The map, upsampled to the mask's size, and the mask on its device; errors as :func:`pointing_hit`."""
    mask = torch.as_tensor(mask)
    if mask.dim() != 2 or mask.dtype != torch.bool or not mask.any():
        raise ValueError(f"the mask is {list(mask.shape)} {mask.dtype}; expected [Y, X] bool with a true pixel")
    if heat.dim() != 2 or not heat.isfinite().all():
        raise ValueError(f"the map is {list(heat.shape)}; expected [H, W], all of it finite")
    heat = heat.to(torch.promote_types(heat.dtype, torch.float32))
    return upsample(heat, tuple(mask.shape)), mask.to(heat.device)


def cosine_heatmap(image_map: Tensor, query: Tensor) -> Tensor:
    """The cosine of each position of an image map ``[D, H, W]`` with a query ``[D]``: ``[H, W]``, -1 to 1.

    Unlike min-max scaled maps these can be compared between words and pictures, so one threshold serves all.
    """
    return torch.einsum("dhw,d->hw", F.normalize(image_map, dim=0), F.normalize(query, dim=0))


def contrast_weights(matchmap: Tensor) -> Tensor:
    """How much each frame of a matchmap ``[H, W, T]`` says about the picture: ``[T]``, 0 to 1, summing to 1.

    A frame's contrast is its greatest value over the places less its mean; the weights are the softmax of the
    contrasts in units of their standard deviation. Frames at the edge of a word, which hear its neighbours,
    and the weak syllables of a name find no place of their own and count for little.
    """
    contrast = matchmap.amax((0, 1)) - matchmap.mean((0, 1))
    if len(contrast) == 1:
        return torch.ones_like(contrast)
    return torch.softmax(contrast / contrast.std().clamp_min(1e-3), dim=0)


def spread(heat: Tensor, image_map: Tensor, *, temperature: float = 0.05) -> Tensor:
    """A heatmap ``[H, W]`` spread over places that look alike: ``[H, W]``.

    Each place takes the mean heat of all places, weighted by the softmax of their cosines with it in the image
    map ``[D, H, W]`` over ``temperature``. Parts of one thing look alike, so more of it lights up.
    """
    places = F.normalize(image_map.flatten(1), dim=0)
    return (torch.softmax(places.T @ places / temperature, dim=1) @ heat.flatten()).view_as(heat)


def span_frames(num_frames: int, start: float, end: float, clock: Clock) -> Tensor:
    """Which frames a span of the sound covers: ``[T]`` bool, true where the middle of the frame lies in the span.

    A span between two middles covers the frame whose middle is nearest to its own, so that one is always heard.

    Args:
        num_frames: T, 1 or more.
        start: where the span begins, in seconds.
        end: where it ends, in seconds.
        clock: when the frames are heard.

    Raises:
        ValueError: an empty or backward span, or no frames.
    """
    if num_frames < 1:
        raise ValueError(f"got {num_frames} frames; expected 1 or more")
    if not start < end:
        raise ValueError(f"the span is {start} to {end} s; expected start < end")
    middle = torch.from_numpy(clock.middles(num_frames)).float()
    covered = (middle > start) & (middle < end)
    if not covered.any():
        covered[(middle - (start + end) / 2).abs().argmin()] = True
    return covered


def span_heatmap(image_map: Tensor, audio_map: Tensor, start: float, end: float, clock: Clock) -> Tensor:
    """The heatmap ``[H, W]`` of a span of speech: cosines, -1 to 1.

    The cosine of each place with the weighted mean of the span's frames (:func:`span_frames`); a frame weighs by what
    it says about the picture (:func:`contrast_weights`), and the heat is spread over places that look alike
    (:func:`spread`).

    Args:
        image_map: ``[D, H, W]``.
        audio_map: ``[D, T]``, without padding.
        start: where the span begins, in seconds.
        end: where it ends, in seconds.
        clock: when the frames are heard.

    Raises:
        ValueError: as :func:`span_frames`.
    """
    covered = span_frames(audio_map.shape[-1], start, end, clock).to(audio_map.device)
    heard = audio_map[:, covered]
    query = heard @ contrast_weights(similarity.matchmap(image_map, heard))
    return spread(cosine_heatmap(image_map, query), image_map)
