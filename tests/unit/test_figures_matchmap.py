"""Figures of matchmaps: small, with units, and true to the numbers."""

import json

import numpy as np
import pytest
import toy_tour as toy

from vgs_lib.clock import Clock
from vgs_lib.discovery import components
from vgs_lib.figures.matchmap import (
    PALETTE,
    InteractiveFigure,
    components_figure,
    density_figure,
    density_sentence,
    pool,
)
from vgs_lib.viz import heat_of, overlay

STEP = 0.08
WORDS = toy.words("red", "blue")


@pytest.fixture
def matchmap():
    values = np.random.default_rng(0).normal(size=(28, 28, 45)).astype(np.float32)
    values[4:8, 4:8, 3:10] = 9
    values[20:25, 15:19, 13:20] = 12
    return values


def test_heat_is_the_matchmap_in_the_range_with_time_first():
    values = np.arange(24.0).reshape(2, 3, 4)
    heat = heat_of(values, (5.0, 15.0))
    assert heat.shape == (4, 2, 3) and heat.dtype == np.float32
    assert heat[1, 0, 1] == pytest.approx(0.0) and heat[2, 0, 2] == pytest.approx(0.5) and heat.max() == 1


def test_places_under_a_threshold_look_like_places_without_heat():
    picture, heat = np.full((20, 20, 3), 100, np.uint8), np.array([[0.9, 0.4]])
    lit, cold = overlay(picture, heat, threshold=0.6), overlay(picture, 0 * heat)
    np.testing.assert_array_equal(lit[:, 15:], cold[:, 15:])
    np.testing.assert_array_equal(lit[:, :4], overlay(picture, heat)[:, :4])


def test_pooling_keeps_the_greatest_values():
    values = np.random.default_rng(1).normal(size=(20, 17, 9)).astype(np.float32)
    small, factors = pool(values, 1000)
    assert small.size <= 1000 and small.max() == values.max() and factors == (2, 2, 1)
    for (row, column, frame), value in np.ndenumerate(small):
        assert value == values[2 * row : 2 * row + 2, 2 * column : 2 * column + 2, frame].max()
    assert pool(values, 10**6)[0] is not None and pool(values, 10**6)[1] == (1, 1, 1)
    assert pool(np.zeros((2, 2, 9000)), 100)[0].size <= 100


def test_the_density_is_small_has_units_and_lies_where_the_things_are(matchmap):
    figure = density_figure(matchmap, threshold=6.0, clock=Clock(STEP), words=WORDS, title="A title")
    surfaces, labels = figure.data
    time, x, y, value = (np.asarray(surfaces[name], float) for name in ("x", "y", "z", "value"))
    assert len(value) == 14 * 14 * 45 and surfaces.isomin == 6
    hot = value >= 11
    assert 13 * STEP < time[hot].min() < time[hot].max() < 20 * STEP
    assert x[hot].min() > 100 * 14 / 28 and x[hot].max() < 100 * 20 / 28
    assert y[hot].min() > 100 * 19 / 28 and y[hot].max() < 100 * 26 / 28
    assert list(labels.text) == ["red", "blue"] and labels.x[0] == pytest.approx(0.5)
    axes = figure.layout.scene
    assert axes.xaxis.title.text == "time (s)" and "%" in axes.yaxis.title.text and "%" in axes.zaxis.title.text
    assert axes.zaxis.range[0] > axes.zaxis.range[1]  # the top of the picture is up
    bundle = InteractiveFigure(figure, "what it shows")._repr_mimebundle_()
    assert bundle["text/plain"] == "what it shows" and len(json.dumps(bundle)) < 180_000


def test_the_sentence_says_where_and_when(matchmap):
    found = components(matchmap, 6.0, clock=Clock(STEP))
    assert density_sentence(found, 6.0) == (
        "Similarity of at least 6.0 in 2 places and times: "
        "0.2 to 0.8 s around x 21 %, y 21 %; 1.0 to 1.6 s around x 60 %, y 80 %."
    )
    assert density_sentence((), 6.0) == "Nowhere and at no moment does the similarity reach 6.0."


def test_components_have_one_colour_on_picture_and_spectrogram(matchmap):
    found = components(matchmap, 6.0, clock=Clock(STEP))
    picture, sound = np.full((112, 112, 3), 200, np.uint8), toy.say("red", "blue", length=1.2)
    figure = components_figure(picture, sound, found, names=["blue", "red"], words=WORDS, title="Both")
    left, right = figure.axes[:2]
    tinted = left.images[0].get_array()
    for index, one in enumerate(found):
        colour = np.array([int(PALETTE[index][i : i + 2], 16) for i in (1, 3, 5)])
        inside = one.pixels((112, 112))
        np.testing.assert_allclose(tinted[inside], np.broadcast_to(0.6 * 200 + 0.4 * colour, (inside.sum(), 3)), atol=1)
        spans = [p for p in right.patches if p.get_facecolor()[:3] == pytest.approx(tuple(colour / 255))]
        assert spans and all((p.get_x(), p.get_x() + p.get_width()) == pytest.approx(one.span) for p in spans)
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["1: blue", "2: red"]
    assert right.get_xlabel() == "time (s)" and right.get_ylabel() == "mel band" and right.get_title()
    components_figure(picture, sound, ())  # nothing found is no error
