"""Systems on described things under equal conditions: trained, judged on seen and unseen pairs, put in a table."""

import json
from dataclasses import replace

import pytest
import tiny_stamps
from test_reproduce import CONDITIONS
from tiny_stamps import TEST, TRAIN

from vgs_lib.benchmark import leaderboard, records
from vgs_lib.benchmark.attribute_benchmark import AttributeBenchmark
from vgs_lib.benchmark.reproduce import Reproduction
from vgs_lib.errors import TrainingError
from vgs_lib.recipes import recipe
from vgs_lib.training import StepEvent


@pytest.fixture
def reproduction(described, tmp_path, monkeypatch):
    tiny_stamps.use_voices(monkeypatch, (TRAIN, TEST, replace(TEST, split="validation")))
    monkeypatch.setattr("vgs_lib.benchmark.attribute_benchmark.PER_CLASS", 1)
    folders = {"runs": tmp_path / "runs", "records": tmp_path / "records"}
    return Reproduction(AttributeBenchmark(described), CONDITIONS, **folders)


@pytest.mark.parametrize("name", ["tian2020", "tian2020-dscmr"])
def test_a_system_is_judged_on_seen_and_on_unseen_pairs(reproduction, name):
    steps = [event for event in reproduction.run(recipe(name), steps=2) if isinstance(event, StepEvent)]
    record = json.loads(reproduction.record_file(name, 0).read_text())
    assert len(steps) == 2 and record["figures"].keys() == {"seen", "unseen", "choice"}
    for pairs, held_out in reproduction.benchmark.held_out.items():
        found = record["figures"][pairs]["all"]["speech_to_image"]
        assert found["r1_chance"] == pytest.approx(1 / len(held_out)) and 0 <= found["r1"] <= 1
        asked, chosen = int(held_out.tested("colour").sum()), record["figures"]["choice"][pairs]["speech_to_image"]
        colour = record["figures"][pairs]["colour"]["speech_to_image"]
        assert len(colour["ranks"]) == len(colour["classes"]) == asked
        assert 0 < chosen["rivals"] <= asked and 0 <= chosen["share_ci"][0] <= chosen["share"] <= 1
    assert record["untrained"] != record["figures"]
    if name == "tian2020-dscmr":
        assert record["plan"]["num_classes"] == len(
            reproduction.benchmark.held_out["seen"].scenes.design.classes["train"]
        )
    row = records.row(record)
    unseen = record["figures"]["unseen"]["colour"]["image_to_speech"]
    assert (
        row["image_to_speech_unseen_r1"] == unseen["r1"] and row["image_to_speech_unseen_r1_high"] == unseen["r1_ci"][1]
    )
    assert row["speech_to_image_both_colour"] == record["figures"]["choice"]["both"]["speech_to_image"]["share"]
    assert f"| {name} | 1 |" in leaderboard.table([record])


def test_what_described_things_cannot_train_is_refused(reproduction):
    for name, found in (
        ("harwath2019-text-sisa", "a side that reads text"),
        ("harwath2019-sisa-sounds", "natural-sounds"),
    ):
        with pytest.raises(TrainingError, match=found):
            list(reproduction.run(recipe(name), steps=1))
