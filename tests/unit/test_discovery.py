"""Co-segmentation on matchmaps whose components are known, and against a flood fill by hand."""

from itertools import product

import numpy as np
import pytest
import torch
import toy_tour as toy

from vgs_lib.clock import Clock
from vgs_lib.discovery import Component, components, joined, thing_of, word_of
from vgs_lib.errors import DataError
from vgs_lib.images import fit_picture
from vgs_lib.widgets import Word

STEP = 0.04


def flood(values: np.ndarray, threshold: float, num_axes: int) -> list[frozenset]:
    """Components by hand: cells reached through neighbours that differ by 1 in at most ``num_axes`` axes."""
    moves = [move for move in product((-1, 0, 1), repeat=3) if 1 <= sum(map(abs, move)) <= num_axes]
    left = {tuple(map(int, cell)) for cell in np.argwhere(values >= threshold)}
    found = []
    while left:
        border, reached = [left.pop()], set()
        while border:
            cell = border.pop()
            reached.add(cell)
            near = [tuple(a + b for a, b in zip(cell, move, strict=True)) for move in moves]
            border += [cell for cell in near if cell in left]
            left -= set(near)
        found.append(frozenset(reached))
    return found


@pytest.mark.parametrize(("connectivity", "num_axes"), [(6, 1), (18, 2), (26, 3)])
def test_components_are_those_of_a_flood_fill(connectivity, num_axes):
    values = np.random.default_rng(3).normal(size=(6, 7, 8))
    got = components(values, 0.9, clock=Clock(STEP), connectivity=connectivity, min_cells=1)
    cells = {frozenset(tuple(map(int, cell)) for cell in np.argwhere(one.cells)) for one in got}
    assert cells == set(flood(values, 0.9, num_axes)) and len(cells) > 3
    for one in got:
        above = values[one.cells] - 0.9
        assert one.volume == len(above) and one.mass == pytest.approx(above.sum())
        assert one.peak == values[one.cells].max() and one.profile.shape == (8,)
    assert [one.mass for one in got] == sorted((one.mass for one in got), reverse=True)


def test_cells_that_share_a_corner_only_are_apart_with_6_and_together_with_26_neighbours():
    values = np.zeros((2, 2, 2))
    values[0, 0, 0] = values[1, 1, 1] = 1
    apart, together = (components(values, 1, clock=Clock(1), connectivity=c, min_cells=1) for c in (6, 26))
    assert len(apart) == 2 and len(together) == 1


def test_small_components_are_dropped_and_none_is_no_error():
    values = np.zeros((5, 5, 5), np.float32)
    values[:2, :2, :2] = 1
    values[4, 4, 4] = 9
    (one,) = components(torch.from_numpy(values), 0.5, clock=Clock(STEP), min_cells=2)
    assert one.volume == 8
    assert components(values, 10, clock=Clock(STEP)) == ()


def test_projections_on_the_picture_and_on_the_sound():
    values = np.full((4, 6, 20), -1.0)
    values[1, 2:5, 5:8] = 2
    values[2, 2, 8:10] = 3
    (one,) = components(values, 0, clock=Clock(STEP), min_cells=1)
    assert one.span == pytest.approx((5 * STEP, 10 * STEP))
    expected = np.zeros((4, 6), bool)
    expected[1, 2:5] = expected[2, 2] = True
    np.testing.assert_array_equal(one.mask, expected)
    pixels = one.pixels((40, 60))
    assert pixels.shape == (40, 60) and pixels.dtype == bool
    np.testing.assert_array_equal(pixels[5::10, 5::10], expected)  # at the centres of the cells
    assert one.profile[6] == 6 and one.profile[8] == 3 and one.profile[4] == 0


def made(profile: list[float]) -> Component:
    cells = np.array(profile)[None, None] > 0
    return Component(cells, np.array(profile, dtype=float), 1.0, Clock(STEP))


def test_the_word_is_that_with_most_of_the_mass_not_of_the_time():
    words = (Word("long", 0.0, 3 * STEP), Word("short", 3 * STEP, 4 * STEP), Word("later", 8.0, 9.0))
    assert word_of(made([1, 1, 1, 2]), words) is words[0]
    assert word_of(made([1, 1, 1, 9]), words) is words[1]
    assert word_of(made([0, 0, 0, 0, 1]), words) is None
    assert word_of(made([1]), ()) is None


def test_a_frame_partly_in_a_word_counts_by_its_part():
    words = (Word("first", 0.0, 1.25 * STEP), Word("second", 1.25 * STEP, 2 * STEP))
    assert word_of(made([0, 1]), words) is words[1]  # a quarter against three quarters
    assert word_of(made([0.6, 1]), words) is words[0]  # 0.6 + 0.25 against 0.75


def test_the_thing_is_that_with_most_of_the_projection_and_its_iou():
    values = np.zeros((4, 4, 2))
    values[:2, :2] = 1
    (one,) = components(values, 1, clock=Clock(STEP), min_cells=1)
    mask = np.zeros((2, 4, 4), bool)
    mask[0, :2, :4] = True  # all four cells of the component, and four more
    mask[1, 0, 0] = True
    assert thing_of(one, {"part": mask[1], "whole": mask[0]}) == ("whole", pytest.approx(4 / 8))
    assert thing_of(one, {"elsewhere": np.flip(mask[1])}) is None
    assert thing_of(one, {}) is None


def test_things_and_words_of_the_toy_world_find_each_other():
    model, scene = toy.ToyModel(), toy.scene("one", {"red": (0.25, 0.25), "blue": (0.75, 0.75)})
    image = model.embed_image(fit_picture(scene.load(), 224)[None])[0]
    sound = model.embed_waveforms([torch.from_numpy(toy.say("red", "blue"))])[0][0]
    found = components(model.matchmap(image, sound), 0.25, clock=Clock(STEP), min_cells=4)
    words = toy.words("red", "blue")
    assert {(word_of(one, words).text, thing_of(one, scene.masks)[0]) for one in found} == {
        ("red", "red"),
        ("blue", "blue"),
    }
    overlaps = joined(found, words, scene.masks)
    assert overlaps == {name: max(thing_of(one, {name: mask})[1] for one in found if thing_of(one, {name: mask}))
                        for name, mask in scene.masks.items()}  # fmt: skip
    assert joined(found, words, {"red": scene.masks["blue"], "blue": scene.masks["red"]}) == {}
    assert joined(found, (), scene.masks) == joined((), words, scene.masks) == {}
    for one in found:
        word = word_of(one, words)
        assert abs(one.span[0] - word.start) <= STEP and abs(one.span[1] - word.end) <= STEP
        assert thing_of(one, scene.masks)[1] > 0.5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"matchmap": np.zeros((2, 3))}, r"found the shape \[2, 3\], expected \[H, W, T\]"),
        ({"matchmap": np.full((2, 2, 2), np.nan)}, "not finite"),
        ({"threshold": float("nan")}, "threshold"),
        ({"connectivity": 8}, "expected 6, 18 or 26"),
        ({"min_cells": 0}, "min_cells"),
    ],
)
def test_wrong_input_is_named(change, says):
    given = {"matchmap": np.zeros((2, 2, 2)), "threshold": 0.5, "clock": Clock(STEP)} | change
    with pytest.raises(DataError, match=says):
        components(given.pop("matchmap"), given.pop("threshold"), **given)
