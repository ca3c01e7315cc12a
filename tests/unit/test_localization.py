"""Heatmaps of words in time, pointing and overlap with masks against loops, and their chance levels."""

import math
import statistics

import pytest
import torch

from vgs_lib.clock import Clock
from vgs_lib.localization import (
    best_threshold,
    chance_iou,
    chance_pointing,
    contrast_weights,
    cosine_heatmap,
    iou,
    mean_ious,
    normalise,
    pointing_hit,
    span_frames,
    span_heatmap,
    spread,
    upsample,
)


def box(height, width, rows, columns):
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[rows, columns] = True
    return mask


def naive_iou(heat, mask, threshold):
    both = either = 0
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            found, true = float(heat[y, x]) >= threshold, bool(mask[y, x])
            both += found and true
            either += found or true
    return both / either


def many(num=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    heats = [torch.rand(8, 9, generator=generator) for _ in range(num)]
    masks = [torch.rand(8, 9, generator=generator) < 0.4 for _ in range(num)]
    return heats, masks


def test_normalise_scales_each_map_by_itself():
    maps = torch.tensor([[[1.0, 3.0], [2.0, 5.0]], [[-4.0, 0.0], [-2.0, -1.0]], [[7.0, 7.0], [7.0, 7.0]]])
    expected = torch.tensor([[[0.0, 0.5], [0.25, 1.0]], [[0.0, 1.0], [0.5, 0.75]], [[0.0, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(normalise(maps), expected)


def test_cosine_heatmap_equals_a_loop_and_ignores_lengths():
    generator = torch.Generator().manual_seed(0)
    image, query = torch.randn(5, 3, 4, generator=generator), torch.randn(5, generator=generator)
    heat = cosine_heatmap(image, query)
    assert heat.shape == (3, 4)
    for h in range(3):
        for w in range(4):
            expected = float(image[:, h, w] @ query / image[:, h, w].norm() / query.norm())
            assert heat[h, w].item() == pytest.approx(expected, abs=1e-6)
    torch.testing.assert_close(cosine_heatmap(3 * image, 7 * query), heat)


def test_upsample_keeps_values_at_cell_centres():
    heat = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    big = upsample(heat, (6, 6))  # odd number of pixels per cell: centres at 1 and 4
    assert big.shape == (6, 6)
    torch.testing.assert_close(big[1::3, 1::3], heat)
    assert torch.equal(upsample(heat, (2, 2)), heat)
    assert upsample(torch.zeros(3, 4, 2, 2), (5, 7)).shape == (3, 4, 5, 7)


def test_pointing_hit():
    mask = box(4, 4, slice(0, 2), slice(0, 2))
    heat = torch.zeros(4, 4)
    heat[1, 1] = 1
    assert pointing_hit(heat, mask) == 1
    heat[3, 3] = 2
    assert pointing_hit(heat, mask) == 0


def test_pointing_with_ties_counts_the_share_inside():
    mask = box(4, 5, slice(0, 2), slice(0, 3))
    heat = torch.zeros(4, 5)
    heat[0, 0] = heat[3, 3] = heat[3, 4] = 1
    assert pointing_hit(heat, mask) == pytest.approx(1 / 3)
    assert pointing_hit(torch.full((4, 5), 2.0), mask) == pytest.approx(6 / 20) == chance_pointing(mask)


def test_pointing_upsamples_to_the_mask():
    heat = torch.zeros(7, 7)
    heat[2, 4] = 1  # at 224 pixels the centre of this cell is (80, 144)
    assert pointing_hit(heat, box(224, 224, slice(75, 85), slice(139, 149))) == 1
    assert pointing_hit(heat, box(224, 224, slice(139, 149), slice(75, 85))) == 0


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.99, 2.0])
def test_iou_equals_loops(threshold):
    for heat, mask in zip(*many(), strict=True):
        assert iou(heat, mask, threshold) == pytest.approx(naive_iou(heat, mask, threshold))


def test_iou_includes_the_threshold_itself_and_can_be_one():
    mask = box(4, 4, slice(1, 3), slice(1, 3))
    heat = mask.float() * 0.5
    assert iou(heat, mask, 0.5) == 1
    assert iou(heat, mask, 0.6) == 0
    assert iou(heat, mask, -1) == pytest.approx(4 / 16) == chance_iou(mask)


def test_iou_upsamples_to_the_mask():
    heat = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    mask = box(8, 8, slice(0, 4), slice(0, 4))
    assert iou(heat, mask, 0.5) == pytest.approx(naive_iou(upsample(heat, (8, 8)), mask, 0.5))
    assert 0.4 < iou(heat, mask, 0.5) < 1


def test_mean_ious_equal_iou_for_each_map_and_threshold():
    heats, masks = many()
    heats[1] = torch.rand(4, 3, generator=torch.Generator().manual_seed(5))  # another grid
    thresholds = [-1.0, 0.1, 0.1, 0.45, 0.9, 1.5]
    expected = [sum(iou(h, m, t) for h, m in zip(heats, masks, strict=True)) / 6 for t in thresholds]
    assert mean_ious(heats, masks, thresholds).tolist() == pytest.approx(expected)


def test_best_threshold_is_the_best_of_all():
    heats, masks = many()
    heats = [heat + 0.5 * mask for heat, mask in zip(heats, masks, strict=True)]
    thresholds = torch.linspace(0.05, 1.4, 28)
    means = [sum(iou(h, m, float(t)) for h, m in zip(heats, masks, strict=True)) / 6 for t in thresholds]
    threshold, mean = best_threshold(heats, masks, thresholds)
    assert mean == pytest.approx(max(means))
    assert threshold == pytest.approx(float(thresholds[means.index(max(means))]))


def test_best_threshold_by_default_separates_what_can_be_separated():
    _, masks = many()
    heats = [mask * 30.0 - 7 for mask in masks]
    threshold, mean = best_threshold(heats, masks)
    assert mean == 1 and -7 < threshold < 23


def test_chance_is_the_share_of_the_picture():
    mask = box(10, 20, slice(0, 5), slice(0, 8))
    assert chance_pointing(mask) == chance_iou(mask) == pytest.approx(40 / 200)


@pytest.mark.parametrize("function", [pointing_hit, lambda heat, mask: iou(heat, mask, 0.5)])
def test_errors_of_maps_and_masks(function):
    heat, mask = torch.rand(4, 4), box(4, 4, 0, 0)
    with pytest.raises(ValueError, match=r"expected \[Y, X\] bool with a true pixel"):
        function(heat, torch.zeros(4, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"the mask is \[4, 4\] torch.float32"):
        function(heat, mask.float())
    with pytest.raises(ValueError, match=r"the map is \[2, 4, 4\]"):
        function(heat.expand(2, 4, 4), mask)
    with pytest.raises(ValueError, match="all of it finite"):
        function(heat.log() / 0, mask)


def test_errors_of_many():
    heats, masks = many()
    with pytest.raises(ValueError, match="got 6 maps and 5 masks"):
        mean_ious(heats, masks[:5], [0.5])
    with pytest.raises(ValueError, match="got 0 maps"):
        best_threshold([], [])
    for thresholds in ([0.5, 0.4], []):
        with pytest.raises(ValueError, match="ascending"):
            mean_ious(heats, masks, thresholds)


def test_contrast_weights_follow_the_frames_that_find_a_place():
    matchmap = torch.zeros(3, 2, 3)
    matchmap[1, 1, 1] = 6.0  # the second frame finds one place, the others none
    weights = contrast_weights(matchmap)
    contrasts = [float(matchmap[..., t].max() - matchmap[..., t].mean()) for t in range(3)]
    deviation = statistics.stdev(contrasts)
    total = sum(math.exp(c / deviation) for c in contrasts)
    assert weights.tolist() == pytest.approx([math.exp(c / deviation) / total for c in contrasts])
    assert weights.argmax() == 1 and float(weights.sum()) == pytest.approx(1.0)
    assert contrast_weights(torch.randn(3, 2, 1)).tolist() == [1.0]
    assert contrast_weights(torch.ones(3, 2, 4)).tolist() == pytest.approx([0.25] * 4)


def test_spread_lights_up_what_looks_alike():
    image = torch.zeros(2, 2, 2)
    image[0, 0], image[1, 1] = 1.0, 1.0  # two things: the upper row and the lower row
    heat = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    lit = spread(heat, image, temperature=0.05)
    assert lit[0].tolist() == pytest.approx([0.5, 0.5], abs=1e-6) and float(lit[1].max()) < 1e-6
    torch.manual_seed(0)
    image, heat = torch.randn(5, 3, 4), torch.rand(3, 4)
    places = [image[:, r, c] / image[:, r, c].norm() for r in range(3) for c in range(4)]
    for i, place in enumerate(places):
        alike = [math.exp(float(place @ other) / 0.2) for other in places]
        expected = sum(a * h for a, h in zip(alike, heat.flatten().tolist(), strict=True)) / sum(alike)
        assert float(spread(heat, image, temperature=0.2).flatten()[i]) == pytest.approx(expected, rel=1e-4)


FRAMES = Clock(0.1)


def test_span_frames_are_those_whose_middle_lies_inside():
    # frames of 0.1 s: middles at 0.05, 0.15, 0.25, ...
    assert span_frames(5, 0.0, 0.2, FRAMES).tolist() == [True, True, False, False, False]
    assert span_frames(5, 0.1, 0.3, FRAMES).tolist() == [False, True, True, False, False]
    assert span_frames(5, 0.06, 0.34, FRAMES).tolist() == [False, True, True, False, False]
    assert span_frames(5, -1.0, 9.0, FRAMES).all()


def test_a_span_between_two_middles_or_after_the_end_hears_the_nearest_frame():
    assert span_frames(5, 0.16, 0.19, FRAMES).tolist() == [False, True, False, False, False]
    assert span_frames(5, 0.21, 0.24, FRAMES).tolist() == [False, False, True, False, False]
    assert span_frames(5, 0.7, 0.9, FRAMES).tolist() == [False] * 4 + [True]


def test_span_heatmap_equals_its_parts_and_reads_no_other_frame():
    generator = torch.Generator().manual_seed(0)
    image, audio = torch.randn(6, 3, 4, generator=generator), torch.randn(6, 8, generator=generator)
    heat = span_heatmap(image, audio, 0.2, 0.5, FRAMES)
    heard = [2, 3, 4]
    contrasts = []
    for t in heard:
        places = [float(image[:, r, c] @ audio[:, t]) for r in range(3) for c in range(4)]
        contrasts.append(max(places) - sum(places) / 12)
    total = sum(math.exp(x / statistics.stdev(contrasts)) for x in contrasts)
    weights = [math.exp(x / statistics.stdev(contrasts)) / total for x in contrasts]
    query = sum(w * audio[:, t] for w, t in zip(weights, heard, strict=True))
    torch.testing.assert_close(heat, spread(cosine_heatmap(image, query), image), rtol=1e-4, atol=1e-6)
    audio[:, [0, 1, 5, 6, 7]] = torch.nan
    torch.testing.assert_close(span_heatmap(image, audio, 0.2, 0.5, FRAMES), heat)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, 0.5, 0.5), "the span is 0.5 to 0.5 s; expected start < end"),
        ((4, 0.5, float("nan")), "expected start < end"),
        ((0, 0.1, 0.5), "got 0 frames; expected 1"),
    ],
)
def test_span_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        span_frames(*arguments, FRAMES)
