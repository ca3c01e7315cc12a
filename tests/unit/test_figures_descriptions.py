"""What is drawn and counted in the study of described things: every pair in its place, every part of a description."""

import numpy as np
import pytest
import torch
from test_attribute_scenes import scenes

from vgs_lib.data.attribute_design import design
from vgs_lib.data.attributes import COLOURS, NOUNS, SIZES, Description
from vgs_lib.encoders import DAVEnet
from vgs_lib.encoders.recurrent import PyramidalRNN
from vgs_lib.errors import ExplainError
from vgs_lib.explain.attention import pooled_attention
from vgs_lib.figures.descriptions import (
    compared_figure,
    design_figure,
    gamma_records_figure,
    place_weights_figure,
    seen_and_unseen_curves,
    time_attention_figure,
)
from vgs_lib.retrieval import WAYS
from vgs_lib.studies.attribute_parts import right_parts
from vgs_lib.studies.attribute_study import DESCRIBED_THINGS
from vgs_lib.studies.history import Run
from vgs_lib.viz import figure_png
from vgs_lib.widgets import described_pictures

CLASSES = [
    Description(*words.split()) for words in ("small red cow", "large red cow", "small blue cow", "small red dog")
]


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_parts_of_the_best_picture():
    best = torch.tensor([0, 0, 3, 2])  # of each caption
    scores = torch.nn.functional.one_hot(best, 4).T.float()
    found = right_parts(scores, CLASSES)
    # caption: small red cow -> itself; large red cow -> small red cow; small blue cow -> small red dog and back
    assert found["noun"] == (2 / 4, (3 + 3 + 3 + 1) / 16)
    assert found["colour"] == (2 / 4, (3 + 3 + 1 + 3) / 16)
    assert found["size"] == (3 / 4, (3 + 1 + 3 + 3) / 16)
    assert found["all of it"] == (1 / 4, 4 / 16)
    some = right_parts(scores, CLASSES, queries=torch.tensor([False, True, True, False]))
    assert some["noun"] == (1 / 2, 6 / 8) and some["size"] == (1 / 2, 4 / 8)


def test_the_design_marks_each_held_out_pair_and_no_other():
    made, nouns = design(), NOUNS[:10]
    (axes,) = design_figure(made, nouns).axes
    attributes = [*COLOURS, *SIZES]
    marks = dict(zip([(a, n) for n in nouns for a in attributes], texts(axes), strict=True))
    for split, letter in (("test-unseen", "t"), ("validation-unseen", "v")):
        assert {pair for pair, mark in marks.items() if mark == letter} == {
            p for p in made.pairs[split] if p[1] in nouns
        }
    assert figure_png(axes.figure)


def test_figures_of_sets_with_intervals_and_chance():
    def one(r1):
        return {
            way: {"r1": r1, "r1_ci": (r1 - 0.1, r1 + 0.1), "r1_chance": 0.02}
            | {"map50": 0.5, "map50_ci": (0.4, 0.6), "map50_chance": 0.03}
            for way in WAYS
        }

    drawn = compared_figure({"seen": one(0.7), "unseen": one(0.6)}, title="Colours")
    for axes in drawn.axes:
        assert texts(axes) == ["0.70", "0.50", "0.60", "0.50"]
        heights = [tuple(np.round(line.get_ydata(), 6)) for line in axes.lines]
        assert (0.6, 0.8) in heights and (0.5, 0.7) in heights and (0.02, 0.02) in heights and (0.03, 0.03) in heights
    assert figure_png(drawn)


def test_curves_of_a_run(tmp_path):
    entries = [
        {"kind": "evaluation", "step": step, "speech_to_image_r1": 0.1 * step, "unseen_speech_to_image_r1": 0.05 * step}
        for step in (2, 4)
    ]
    run = Run(tmp_path, DESCRIBED_THINGS, {"speech_to_image_r1": 0.02}, entries)
    (axes,) = seen_and_unseen_curves(run).axes
    seen, unseen, chance = (list(line.get_ydata()) for line in axes.lines)
    assert seen == [0.2, 0.4] and unseen == [0.1, 0.2] and chance == [0.02, 0.02]


def test_recall_over_gamma_in_order():
    def record(gamma, r1, seed=0):
        found = {
            name: {"colour": {way: {"r1": x, "r1_ci": [x - 0.01, x + 0.02], "r1_chance": 0.01} for way in WAYS}}
            for name, x in (("seen", r1), ("unseen", r1 / 2))
        }
        plan = {"loss": {"options": {"gamma": gamma}}}
        return {"system": f"gamma-{gamma:g}", "seed": seed, "plan": plan, "figures": found}

    another = record(13.0, 0.9, seed=1)  # not drawn: each point is one training
    drawn = gamma_records_figure([record(100.0, 0.1), record(1.0, 0.2), record(13.0, 0.3), another])
    seen, unseen = (container.lines[0] for container in drawn.axes[1].containers)
    assert list(seen.get_xdata()) == [1, 13, 100] and list(seen.get_ydata()) == [0.2, 0.3, 0.1]
    assert list(unseen.get_ydata()) == [0.1, 0.15, 0.05] and figure_png(drawn)


def test_places_and_frames_are_drawn_in_one_range():
    pictures = {name: np.zeros((8, 8, 3), np.uint8) for name in "ab"}
    drawn = place_weights_figure(pictures, [np.full((2, 2), 0.2), np.full((2, 2), 0.6)])
    assert [axes.images[0].get_clim() for axes in drawn.axes[2:4]] == [(0.2, 0.6)] * 2
    weights = np.array([0.1, 0.2, 0.3, 0.4])
    (axes,) = time_attention_figure(weights, {"green": (0.0, 0.2)}, seconds=0.1, title="Weights").axes
    values, edges, _ = axes.patches[0].get_data()
    np.testing.assert_allclose(values, [0.4, 0.8, 1.2, 1.6])
    np.testing.assert_allclose(edges, [0, 0.1, 0.2, 0.3, 0.4])
    assert texts(axes) == ["green"] and figure_png(axes.figure) and figure_png(drawn)


class Heard:
    """A model with a speech side alone."""

    device = torch.device("cpu")

    def __init__(self, encoder):
        self.audio_encoder = encoder.eval()


def test_attention_that_pools_frames():
    encoder = PyramidalRNN(width=1 / 64, dim=6, front_end="tian2020")
    waveform = torch.randn(16000, generator=torch.Generator().manual_seed(0)) * 0.1
    weights = pooled_attention(Heard(encoder), waveform.numpy())
    features, lengths = encoder.front_end([waveform])
    expected, frames = encoder.attention(features, lengths)
    assert weights.shape == (6, int(frames[0])) and weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected[0].detach(), rtol=1e-5)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    for other in (PyramidalRNN(width=1 / 64, dim=6, pool="mean", front_end="tian2020"), DAVEnet(width=1 / 32, dim=6)):
        with pytest.raises(ExplainError, match="does not pool its frames by attention"):
            pooled_attention(Heard(other), waveform)


def test_described_pictures_have_their_masks_and_words(described):
    made = scenes(described, "test")
    one, other = described_pictures(made, (0, 3))
    assert other.id == "scene-3" and np.array_equal(other.load(), made[3].picture)
    assert list(one.masks) == [item.text for item in made[0].objects]
    assert np.array_equal(one.caption.load()[0], made[0].waveform)
    assert [word.text for word in one.caption.words] == [word.text for word in made[0].words]
