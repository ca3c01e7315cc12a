"""Attributes of things: recolouring against its formula pixel by pixel, descriptions, the design of held-out pairs."""

import hashlib

import numpy as np
import pytest

from vgs_lib.data.attribute_design import GROUP, HELD_OUT, SPLITS, design
from vgs_lib.data.attributes import (
    COLOURS,
    DARK,
    LIGHTEST,
    NOUNS,
    PLACES,
    SIZES,
    Description,
    from_oklab,
    lightness,
    recolour,
    to_oklab,
)
from vgs_lib.errors import DataError

DESIGNS = (NOUNS, NOUNS[:7], NOUNS[:8], NOUNS[:13])


@pytest.fixture
def picture() -> np.ndarray:
    """Every kind of pixel: colours, greys, black, white; opaque, half and wholly clear."""
    pixels = np.random.default_rng(4).integers(0, 256, (24, 20, 4), dtype=np.uint8)
    pixels[..., 3] = np.random.default_rng(5).choice([0, 90, 255], (24, 20))
    pixels[0, :3] = (0, 0, 0, 255), (255, 255, 255, 255), (128, 128, 128, 255)
    return pixels


def hue_and_chroma(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Degrees and OKLab chroma of uint8 [..., 3]."""
    _, a, b = np.moveaxis(to_oklab(rgb), -1, 0)
    return np.degrees(np.arctan2(b, a)) % 360, np.hypot(a, b)


def naive(picture: np.ndarray, colour: str) -> np.ndarray:
    """A pixel after another; chroma lowered in small steps until sRGB reaches it."""
    result = picture.copy()
    light = [[float(lightness(pixel[:3])) for pixel in row] for row in picture]
    opaque = sorted(
        x for row, shown in zip(light, picture, strict=True) for x, p in zip(row, shown, strict=True) if p[3] > 127
    )
    half = len(opaque) // 2
    middle = opaque[half] if len(opaque) % 2 else (opaque[half - 1] + opaque[half]) / 2
    middle = max(middle, DARK)
    target, a, b = to_oklab(np.array(COLOURS[colour], np.uint8))
    for y, row in enumerate(light):
        for x, value in enumerate(row):
            if value <= middle:
                moved = target * value / middle
            else:
                moved = target + (LIGHTEST - target) * (value - middle) / (1 - middle)
            share = 1.0
            while share > 0 and not all(
                -1e-4 <= c <= 1.0001 for c in from_oklab(np.array([moved, share * a, share * b]))
            ):
                share -= 1e-3
            linear = np.clip(from_oklab(np.array([moved, max(share, 0) * a, max(share, 0) * b])), 0, 1)
            srgb = [12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055 for c in linear]
            result[y, x, :3] = [round(255 * c) for c in srgb]
    return result


def test_oklab_gives_the_published_values_and_comes_back():
    known = {
        (255, 255, 255): (1, 0, 0),
        (255, 0, 0): (0.62796, 0.22486, 0.12585),
        (0, 0, 255): (0.45201, -0.03246, -0.31153),
    }
    for rgb, lab in known.items():
        np.testing.assert_allclose(to_oklab(np.array(rgb, np.uint8)), lab, atol=1e-4)
        np.testing.assert_allclose(from_oklab(to_oklab(np.array(rgb, np.uint8))), np.array(rgb) / 255, atol=1e-6)


@pytest.mark.parametrize("colour", ["red", "yellow", "grey"])
def test_recolouring_is_its_formula(picture, colour):
    small = picture[:8, :8]
    difference = np.abs(recolour(small, colour).astype(int) - naive(small, colour).astype(int))
    assert difference.max() <= 4  # 1,024 levels, and chroma in steps of a thousandth


@pytest.mark.parametrize("colour", COLOURS)
def test_recolouring_changes_the_hue_but_neither_alpha_nor_the_order_of_light(picture, colour):
    before = picture.copy()
    found = recolour(picture, colour)
    assert np.array_equal(picture, before), "the input was changed"
    assert found.dtype == np.uint8 and np.array_equal(found[..., 3], picture[..., 3])
    hue, chroma = hue_and_chroma(found[..., :3])
    wanted, full = hue_and_chroma(np.array(COLOURS[colour], np.uint8))
    if colour == "grey":
        assert chroma.max() < 1e-6
    else:
        away = np.abs((hue - wanted + 180) % 360 - 180)
        assert away[chroma > 0.04].max() < 5 and (chroma > 0.04).mean() > 0.8
        assert chroma.max() < full * 1.05
    old, new = lightness(picture[..., :3]).ravel(), lightness(found[..., :3]).ravel()
    order = np.argsort(old)
    assert np.diff(new[order]).min() > -0.02  # rounding to 8 bits
    assert new[order[-1]] - new[order[0]] > 0.9  # black stays black, white nearly white


@pytest.mark.parametrize("colour", COLOURS)
def test_a_plain_thing_becomes_the_colour_itself(colour):
    for plain in ((200, 120, 60, 255), (250, 250, 250, 255), (255, 255, 255, 255), (90, 90, 255, 255)):
        thing = np.full((5, 5, 4), plain, np.uint8)
        assert np.abs(recolour(thing, colour)[..., :3].astype(int) - COLOURS[colour]).max() <= 4
    nearly_black = recolour(np.full((5, 5, 4), (9, 9, 9, 255), np.uint8), colour)
    assert lightness(nearly_black[..., :3]).max() < lightness(np.array(COLOURS[colour], np.uint8))


def test_a_thing_of_which_nothing_is_opaque_is_recoloured_all_the_same():
    assert np.array_equal(recolour(np.zeros((2, 3, 4), np.uint8), "red"), np.zeros((2, 3, 4), np.uint8))


@pytest.mark.parametrize(
    ("picture", "colour", "parts"),
    [
        (np.zeros((2, 2, 4), np.uint8), "pink", ("colour", "'pink'", "red")),
        (np.zeros((2, 2, 3), np.uint8), "red", ("uint8 [2, 2, 3]", "RGBA")),
        (np.zeros((2, 2, 4)), "red", ("float64", "RGBA")),
    ],
)
def test_what_cannot_be_recoloured_is_named(picture, colour, parts):
    with pytest.raises(DataError) as error:
        recolour(picture, colour)
    assert all(part in str(error.value) for part in parts)


def test_a_description_says_size_colour_noun_and_place():
    tiger = Description("small", "green", "tiger")
    assert tiger.text == "a small green tiger"
    assert [kind for _, kind in tiger.parts] == ["size", "colour", "noun"]
    assert tiger.pairs == {("green", "tiger"), ("small", "tiger")}
    placed = tiger._replace(place="left")
    assert placed.text == "a small green tiger on the left" and placed.pairs == tiger.pairs
    assert len(SIZES["small"]) == 2 and SIZES["small"][1] < SIZES["large"][0]


def test_no_noun_is_also_an_attribute():
    assert len(set(NOUNS)) == len(NOUNS) == 48
    assert set(NOUNS).isdisjoint({*COLOURS, *SIZES, *PLACES})


@pytest.mark.parametrize("nouns", DESIGNS, ids=len)
def test_no_held_out_pair_is_trained_and_everything_is_trained_in_other_pairs(nouns):
    plan = design(nouns)
    trained = {pair for c in plan.classes["train"] for pair in c.pairs}
    assert trained.isdisjoint(plan.unseen)
    assert {c.noun for c in plan.classes["train"]} == set(nouns)
    for noun in nouns:  # at least one size and five colours of each
        assert any((size, noun) in trained for size in SIZES)
        assert sum((colour, noun) in trained for colour in COLOURS) == len(COLOURS) - 2
    for attribute in (*COLOURS, *SIZES):
        assert sum(name == attribute for name, _ in trained) >= len(nouns) / 2
    assert plan.pairs["validation-unseen"].isdisjoint(plan.pairs["test-unseen"])
    # Nothing is left out: every pair is trained or held out.
    assert trained | plan.unseen == {(a, n) for a in (*COLOURS, *SIZES) for n in nouns}


@pytest.mark.parametrize("nouns", DESIGNS, ids=len)
def test_seen_and_unseen_splits_are_alike_but_for_one_pair(nouns):
    plan = design(nouns)
    for split in ("validation", "test"):
        seen, unseen = plan.classes[split], plan.classes[f"{split}-unseen"]
        assert len(seen) == len(unseen) == len(set(seen)) == len(set(unseen))
        assert sorted(c.noun for c in seen) != [] and {c.noun for c in seen} == {c.noun for c in unseen}
        assert set(seen) <= set(plan.classes["train"])
        for c in unseen:
            (new,) = c.pairs & plan.unseen
            assert new in plan.pairs[f"{split}-unseen"]
            assert plan.tested(f"{split}-unseen", c) == ("colour" if new[0] in COLOURS else "size")
        for c in seen:
            assert not c.pairs & plan.unseen and c.pairs & plan.pairs[split]
        kinds = [[plan.tested(one, c) for c in plan.classes[one]] for one in (split, f"{split}-unseen")]
        assert sorted(kinds[0]) == sorted(kinds[1])
        assert kinds[0].count("size") == len(nouns) // GROUP * (len(COLOURS) - len(HELD_OUT))
    assert set(plan.classes) == set(SPLITS)


def test_the_held_out_list_is_fixed():
    assert design(NOUNS) == design(tuple(reversed(NOUNS))), "the order of the nouns has no meaning"
    listing = ";".join(f"{a} {n}" for split in HELD_OUT for a, n in sorted(design(NOUNS).pairs[split]))
    assert len(design(NOUNS).unseen) == 112
    assert hashlib.sha256(listing.encode()).hexdigest()[:12] == "c48e4f362cd1"


def test_too_few_nouns_are_refused():
    with pytest.raises(DataError, match="found 6, expected at least 7"):
        design(NOUNS[:6])
