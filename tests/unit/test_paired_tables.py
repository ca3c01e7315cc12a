"""Tables of protocols and of pairs of systems, on records of known figures."""

import dataclasses

import pytest
import tiny_stamps
from toy_records import record

from vgs_lib.batches.scene_batches import SceneData
from vgs_lib.benchmark.agreement import compared
from vgs_lib.benchmark.conditions import Conditions
from vgs_lib.benchmark.paired_tables import comparison, neighbour_table, protocol_table, ranked, untrained_table
from vgs_lib.benchmark.records import read_records
from vgs_lib.benchmark.reproduce import Reproduction
from vgs_lib.benchmark.scene_benchmark import SceneBenchmark
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.stamps import Stamps
from vgs_lib.figures.leaderboard import cost_figure, recall_figure, scenes_of, terms_figure, with_terms
from vgs_lib.recipes import Scale, recipe
from vgs_lib.training import FitSettings
from vgs_lib.viz import figure_png
from vgs_lib.widgets import SystemComparisonController, scene_queries

A, B = [1] * 20 + [99] * 20, [1] * 10 + [99] * 30


def two():
    found = [record("ni2018-baseline", r10=0.2), record("tian2020", r10=0.4)]
    for one, ranks in zip(found, (B, A), strict=True):
        one["figures"]["ranks"] = {"speech_to_image": ranks, "image_to_speech": ranks[::-1]}
    return found


def test_the_best_comes_first():
    assert [r["system"] for r in ranked(two())] == ["tian2020", "ni2018-baseline"]


def test_every_protocol_has_its_figures_and_an_interval():
    lines = protocol_table(two()).splitlines()
    assert "zhang2020: P@k of 100 pairs" in lines[0] and "S→I" in lines[0]
    cells = [cell.strip() for cell in lines[2].split("|")[1:-1]]
    assert cells[:2] == ["tian2020", "0"] and cells[2] == "0.133 / 0.200 / 0.400 (0.360 to 0.440)"
    assert cells[5] == "0.133 / 0.200 (0.100 to 0.300)"
    assert "0.300 (0.260 to 0.340)" in protocol_table(two(), "image_to_speech").splitlines()[2]


def test_what_a_model_does_before_training_is_beside_what_it_does_after():
    lines = untrained_table(two()).splitlines()
    assert lines[2] == "| tian2020 | 0 | 0.01 / 0.05 / 0.11 (0.06 to 0.18) | 0.13 / 0.20 / 0.40 (0.36 to 0.44) |"


def test_neighbours_are_compared_on_the_same_queries():
    lines = neighbour_table(two()).splitlines()
    cells = [cell.strip() for cell in lines[2].split("|")[1:-1]]
    assert cells[:4] == ["tian2020, seed 0", "ni2018-baseline, seed 0", "10", "0"]
    assert cells[4].startswith("+0.250 (+0.1") and cells[5] == "0.002"
    assert len(neighbour_table(two()[:1]).splitlines()) == 2 and len(neighbour_table([]).splitlines()) == 2


def test_neighbours_are_of_one_direction_and_each_system_comes_once():
    worse, better = two()
    both = {"image_to_speech": [1.0] * 40, "speech_to_image": [30.0] * 40}
    worse["figures"]["ranks"] = both
    twin = {**better, "system": "twin", "trained_as": better["system"]}
    records = [better, worse, twin, {**better, "seed": 1}]
    for way, first in (("speech_to_image", "tian2020"), ("image_to_speech", "ni2018-baseline")):
        lines = neighbour_table(records, way).splitlines()
        assert len(lines) == 3 and lines[2].startswith(f"| {first}, seed 0 |") and "| +0." in lines[2]


def test_two_systems_in_sentences_or_what_is_not_there_yet():
    said = comparison(two(), "tian2020", "ni2018-baseline")
    assert said.startswith("Seed 0, S→I: Of 40 queries tian2020 alone finds 10") and "Seed 0, I→S" in said
    assert comparison(two(), "tian2020", "x") == "There is no record of x yet, so the two cannot be compared."
    assert "Over " not in said
    three = [{**one, "seed": seed} for seed in (0, 1, 2) for one in two()]
    said = comparison(three, "tian2020", "ni2018-baseline").split("\n\n")
    over = compared(three, "tian2020", "ni2018-baseline")
    assert len(said) == 7 and said[-1].startswith(f"Over 3 seeds and both ways R@10 differs by {over.ours:+.3f}")
    assert f"{over.low:+.3f} to {over.high:+.3f}" in said[-1]
    one, other = two()
    assert "no seed in common" in comparison([one, {**other, "seed": 1}], "tian2020", "ni2018-baseline")


@pytest.mark.slow
def test_a_record_as_it_is_written_has_all_that_is_drawn(home, tmp_path, monkeypatch):
    voices = (*tiny_stamps.VOICES, dataclasses.replace(tiny_stamps.TEST, split="validation"))
    tiny_stamps.use_voices(monkeypatch, voices)
    tiny_stamps.judge_on_few(monkeypatch)
    small = Conditions(
        scale=Scale(width=1 / 32, dim=8, pictures="lite0"),
        data=SceneData(num_scenes=16, batch_size=4),
        fit=FitSettings(checkpoint_every=2),
    )
    reproduction = Reproduction(
        SceneBenchmark(Stamps.open(home)), small, runs=tmp_path / "runs", records=tmp_path / "systems"
    )
    for name in ("harwath2019-misa-shn", "ni2018-baseline"):
        list(reproduction.run(recipe(name), steps=4))
    records = read_records(tmp_path / "systems")
    assert len(protocol_table(records).splitlines()) == 4 and len(neighbour_table(records).splitlines()) == 3
    assert "alone finds" in comparison(records, "ni2018-baseline", "harwath2019-misa-shn")
    assert [r["system"] for r in with_terms(records)] == ["harwath2019-misa-shn"]
    for figure in (recall_figure(records, title=""), cost_figure(records), terms_figure(records)):
        assert figure_png(figure)
    assert scenes_of(records[0]) == 16
    controller = SystemComparisonController(records, scene_queries(Stamps.open(home)), k=3)
    assert controller.result.both + controller.result.neither + sum(controller.message()[0]["counts"]) == 8
    content, (picture, sound) = controller.choose(5)
    scene = Scenes(Stamps.open(home), "test")[5]
    assert [word["text"] for word in content["words"]] == [word.text for word in scene.words]
    assert content["seconds"] == len(scene.waveform) / 16000 and picture and sound
