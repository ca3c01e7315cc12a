"""Faithfulness on the toy model: a map of the named disc against one of the other disc, noise and edges."""

import numpy as np
import pytest
import torch
import toy_cam
import toy_tour as toy
from pytorch_grad_cam.metrics.road import NoisyLinearImputer

from vgs_lib import explain as ex
from vgs_lib.errors import ExplainError
from vgs_lib.explain import faithfulness
from vgs_lib.explain.faithfulness import agreement, road
from vgs_lib.model import DualEncoder
from vgs_lib.seeds import seeded

MODEL = toy_cam.toy_model()
PICTURE = toy_cam.two_discs()
PIXELS = ex.picture_input(PICTURE.load(), size=128)  # small, so that the equations are too
SIDE = ex.PictureSide(MODEL)
TARGET = ex.SpokenQuery(MODEL, ex.heard(MODEL, toy.say("red"), (0.2, 0.8)))
RED, GREEN = (np.float32(PICTURE.masks[name]) for name in ("red", "green"))


def test_road_prefers_the_disc_that_is_named():
    noise = faithfulness.random_map(seed=0)
    right, wrong, nothing = road(SIDE, PIXELS, [RED, GREEN, noise], TARGET)
    assert right > 0.2 and abs(nothing) < right / 2 and abs(wrong) < right / 2
    assert road(SIDE, PIXELS, [1 - RED], TARGET)[0] == pytest.approx(-right, abs=0.1 * right)


def test_road_is_half_the_difference_of_two_removals():
    order = faithfulness.by_rank(RED, (128, 128), seed=3)
    found = []
    for removed in (order < np.percentile(order, 10), order >= np.percentile(order, 90)):  # least, most relevant
        with seeded(3):
            filled = NoisyLinearImputer()(PIXELS[0], torch.from_numpy(np.float32(~removed)))
        found.append(float(TARGET(SIDE(filled[None])[0])))
    by_hand = (found[0] - found[1]) / 2
    assert road(SIDE, PIXELS, [RED], TARGET, percentiles=[90], seed=3)[0] == pytest.approx(by_hand, abs=0.02)


def test_road_is_repeatable_and_looks_at_the_order_only():
    first = road(SIDE, PIXELS, [RED, 100 * RED - 7], TARGET)
    state = torch.random.get_rng_state()
    assert first[0] == first[1] and np.array_equal(first, road(SIDE, PIXELS, [RED, RED], TARGET))
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_map_of_ties_removes_no_more_than_its_share():
    one_place = np.zeros((14, 14), np.float32)
    one_place[3, 4] = 1
    ranks = faithfulness.by_rank(one_place, (56, 56))
    assert len(np.unique(ranks)) == 56 * 56 and (ranks > np.percentile(ranks, 90)).mean() == pytest.approx(
        0.1, abs=0.01
    )
    row, column = np.unravel_index(ranks.argmax(), ranks.shape)
    assert (row // 4, column // 4) == (3, 4)
    assert np.isfinite(road(SIDE, PIXELS, [one_place, np.zeros((14, 14))], TARGET)).all()


def test_road_says_what_is_wrong():
    with pytest.raises(ExplainError, match="found 0 maps"):
        road(SIDE, PIXELS, [], TARGET)
    with pytest.raises(ExplainError, match="expected one picture"):
        road(SIDE, PIXELS, [RED[0]], TARGET)
    with pytest.raises(ExplainError, match="finite"):
        road(SIDE, PIXELS, [np.full((4, 4), np.nan)], TARGET)
    with pytest.raises(ExplainError, match="1 to 99"):
        road(SIDE, PIXELS, [RED], TARGET, percentiles=[100])


def test_edges_lie_on_the_discs_outline():
    edges = faithfulness.edge_map(PICTURE.load())
    assert edges.shape == (224, 224) and edges.dtype == np.float32
    assert edges[112, 56] == 0 and edges[5, 5] == 0  # the disc's middle, the background
    assert edges[112, 56 - 34 : 56 - 28].max() > 20


def test_the_matchmap_is_averaged_by_contrast():
    image_map = torch.zeros(2, 3, 3)
    image_map[0, 1, 2] = 1.0
    image_map[1] = 0.5
    query = torch.tensor([[1.0, 0.0], [0.0, 1.0]])  # the second frame finds every place alike
    heat = faithfulness.matchmap_heat(MODEL, image_map, query)
    assert heat.shape == (3, 3) and heat.argmax() == 5 and heat[1, 2] - heat[0, 0] > 0.5  # the mean would give 0.5


def test_summaries_have_intervals_and_come_best_first():
    rows = faithfulness.summarise({"poor": [0.0, 0.1, -0.1], "good": [1.0, 2.0, 3.0]})
    assert [row.name for row in rows] == ["good", "poor"] and rows[0].mean == 2 and rows[0].values == (1.0, 2.0, 3.0)
    assert 1 <= rows[0].low < 2 < rows[0].high <= 3


def test_shuffled_weights_change_the_map_but_not_the_model():
    torch.manual_seed(0)

    class Learnt(toy_cam.ToyImage):
        def __init__(self):
            super().__init__()
            self.colours = torch.nn.Conv2d(3, 4, 1)

    model = DualEncoder(Learnt(), toy_cam.ToySpeech()).eval()
    side = ex.PictureSide(model)
    before = side.encoder.colours.weight.clone()
    for part in ("encoder", "encoder.colours"):
        other = faithfulness.randomised(side, part=part, seed=1)
        weight = other.encoder.colours.weight
        assert not torch.equal(weight, before) and torch.equal(weight.flatten().sort()[0], before.flatten().sort()[0])
    assert torch.equal(side.encoder.colours.weight, before) and torch.equal(model.image_encoder.colours.weight, before)
    target = ex.SpokenQuery(model, torch.ones(4, 2))
    maps = [ex.explain(one, PIXELS, target, method="HiResCAM")[0].raw for one in (side, other, side)]
    assert agreement(maps[0], maps[2]) == pytest.approx(1) and agreement(maps[0], maps[1]) < 0.9
    with pytest.raises(ExplainError, match=r"'encoder\.head'"):
        faithfulness.randomised(side, part="encoder.head")


def test_agreement_is_that_of_ranks():
    one = np.arange(12.0).reshape(3, 4)
    assert agreement(one, one**3) == pytest.approx(1) and agreement(one, -one) == pytest.approx(-1)
    assert agreement(one, np.zeros((3, 4))) == 0
    with pytest.raises(ExplainError, match=r"\[3, 4\] and \[4, 3\]"):
        agreement(one, one.T)


def test_kinds_of_map_are_compared_over_cases():
    red, green = (ex.heard(MODEL, toy.say(name), (0.2, 0.8)) for name in ("red", "green"))
    cases = [(PICTURE.load()[::2, ::2], red), (PICTURE.load()[::2, ::2], green)]
    found = faithfulness.compare(MODEL, cases, {"HiResCAM": ("HiResCAM", "image_map")}, percentiles=[90])
    assert list(found) == ["HiResCAM", "matchmap", "edges (Sobel)", "random"]
    assert all(len(values) == 2 for values in found.values())
    assert min(found["matchmap"]) > 1.5 and max(map(abs, found["random"])) < 0.8  # of a score of 4.3
