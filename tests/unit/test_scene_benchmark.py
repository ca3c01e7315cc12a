"""What scenes judge a model by: each figure of its own direction, single names, 50 candidates."""

import pytest
import torch
from test_reproduce import CONDITIONS

from vgs_lib import retrieval
from vgs_lib.batches.held_out import HeldOut
from vgs_lib.benchmark.result_pages import SCENES
from vgs_lib.benchmark.scene_benchmark import NUM_SCENES, SceneBenchmark, map_at_50
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.stamps import Stamps
from vgs_lib.recipes import build_model, recipe
from vgs_lib.studies.study import Prepared


def test_words_are_judged_with_every_picture_of_the_name(world, tmp_path):
    words = HeldOut(Scenes(world, "test"), 12, words=True)
    assert words.same_class.sum() > 12  # names come again


def test_average_precision_counts_fifty_candidates():
    classes = torch.arange(120) % 2
    right = classes[:, None] == classes[None, :]
    scores = torch.rand(120, 120, generator=torch.Generator().manual_seed(0))
    each = []
    for row, own in zip(scores.tolist(), right.tolist(), strict=True):
        order = sorted(range(120), key=lambda candidate: -row[candidate])[:50]
        hits = [own[candidate] for candidate in order]
        each.append(sum(sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit) / 50)
    assert map_at_50(scores, right)["map50"] == pytest.approx(sum(each) / 120, abs=1e-4)
    assert abs(sum(each) / 120 - float(retrieval.average_precision(scores, right).mean())) > 0.01, "of all is another"


def test_every_figure_of_a_model_is_of_the_way_it_says(world, monkeypatch):
    """All captions score one picture highest, and each picture its own caption: the two ways cannot be mistaken."""
    benchmark, model = SceneBenchmark(world), build_model(CONDITIONS.plan(recipe("ni2018-baseline"), steps=1, seed=0))
    scores = torch.eye(8)
    scores[3] = 2.0
    scores[3, 3] = 3.0
    monkeypatch.setattr(HeldOut, "embed", lambda self, model, first=None: (None, None, None))
    monkeypatch.setattr(type(model), "score", lambda self, *maps: scores)
    monkeypatch.setattr(HeldOut, "same_class", torch.eye(8, dtype=torch.bool))
    found = benchmark.judge(model)
    for kind in ("100 scenes", "1000 scenes", "1024 scenes", "words"):
        assert (found[kind]["speech_to_image"]["r1"], found[kind]["image_to_speech"]["r1"]) == (0.125, 1.0), kind
    assert found["words"]["speech_to_image"]["map50"] == pytest.approx((1 + 7 / 2) / 8, abs=1e-4)
    assert found["words"]["image_to_speech"]["map50"] == 1.0
    assert found["ranks"] == {"speech_to_image": [2.0] * 3 + [1.0] + [2.0] * 4, "image_to_speech": [1.0] * 8}
    monkeypatch.setattr(
        "vgs_lib.benchmark.scene_benchmark.SceneStudy.prepare", lambda self, plan: Prepared(model, None)
    )
    untrained = benchmark.untrained(CONDITIONS.plan(recipe("ni2018-baseline"), steps=1, seed=0))
    assert (untrained["speech_to_image"]["r1"], untrained["image_to_speech"]["r1"]) == (0.125, 1.0)


def test_a_protocol_takes_so_many_of_the_first_scenes(world, monkeypatch):
    """zhang2020's 100, harwath2019's 1,000, ni2018's 1,024: beyond each, captions find the picture before theirs."""
    assert NUM_SCENES == 1024, "all that a protocol asks for"
    benchmark, model = SceneBenchmark(world), build_model(CONDITIONS.plan(recipe("ni2018-baseline"), steps=1, seed=0))
    scores = torch.eye(1024)
    for begin in (100, 1000):  # one caption of those that only the next protocol has
        scores[begin - 1, begin] = 2.0
    asked = []
    monkeypatch.setattr(HeldOut, "embed", lambda self, model, first=None: asked.append(first) or (None, None, None))
    monkeypatch.setattr(type(model), "score", lambda self, *maps: scores)
    monkeypatch.setattr(HeldOut, "same_class", torch.eye(1024, dtype=torch.bool))
    found = benchmark.judge(model)
    for number, missed in ((100, 0), (1000, 1), (1024, 2)):
        for figures in found[f"{number} scenes"].values():
            assert (figures["n"], figures["candidates"]) == (number, number)
            assert figures["r1"] == pytest.approx(1 - missed / number, abs=1e-4)
            assert figures["r10_chance"] == pytest.approx(10 / number, abs=1e-4)
    assert [len(ranks) for ranks in found["ranks"].values()] == [1000, 1000]
    prepare = lambda self, plan: Prepared(model, None)
    monkeypatch.setattr("vgs_lib.benchmark.scene_benchmark.SceneStudy.prepare", prepare)
    benchmark.untrained(CONDITIONS.plan(recipe("ni2018-baseline"), steps=1, seed=0))
    assert asked == [None, None, 100]


def test_the_chance_of_single_names_is_what_the_page_says():
    """mAP@50 of random order among the thousand names of the test split, where a name comes more than once."""
    names = HeldOut(Scenes(Stamps.open(), "test"), 1000, words=True).same_class
    chance = retrieval.chance_average_precision(1000, names.sum(dim=1).tolist(), at=50)
    assert f"chance {chance:.3f}".replace("0.", ".") in SCENES
