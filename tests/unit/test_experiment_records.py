"""A comparison with its records, some of them or none: what is said, what is missing, the tables."""

import json
from pathlib import Path

import pytest
from toy_records import record

import vgs_lib
from vgs_lib import paths
from vgs_lib.benchmark.experiment_records import Recorded
from vgs_lib.errors import DataError, TrainingError

LOSSES = "python -m vgs_lib reproduce --experiment losses"


def test_without_records_it_says_so_and_names_the_command(tmp_path):
    found = Recorded.read("losses", tmp_path)
    assert found.records == [] and len(found.names) == 6
    assert found.missing.startswith("6 of 6 have no record yet") and LOSSES in found.missing
    assert "ni2018, First Optimization" in found.said and found.missing in found.said
    assert found.table == "There are no records yet."
    assert found.claims == "No two of the runs that the document compares have records yet."
    assert "Places audio captions" in Recorded.read("similarities", tmp_path).published


def test_with_records_their_tables_are_in_the_order_of_the_experiment(tmp_path):
    (tmp_path / "losses").mkdir()
    for name, r10 in (("ni2018-three-anchor-triplet", 0.4), ("ni2018-sampled-triplet", 0.2)):
        (tmp_path / f"losses/{name}-0.json").write_text(json.dumps(record(name, r10=r10)))
    found = Recorded.read("losses", tmp_path)
    assert found.missing.startswith("4 of 6 have no record yet")
    lines = found.table.splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| ni2018-sampled-triplet", "| ni2018-three-anchor-triplet"]
    assert "| ni2018-three-anchor-triplet | ni2018-sampled-triplet |" in found.claims


def test_records_of_other_conditions_are_named_and_not_shown(tmp_path):
    (tmp_path / "gamma").mkdir()
    for name in ("ni2018-three-anchor-triplet", "ni2018-sampled-triplet", "ni2018-shn"):
        one = record(name) | {"steps_were_asked_for": name == "ni2018-shn"}
        (tmp_path / "losses").mkdir(exist_ok=True)
        (tmp_path / f"losses/{name}-0.json").write_text(json.dumps(one))
    found = Recorded.read("losses", tmp_path)
    assert len(found.records) == 2 and [one["system"] for one in found.others] == ["ni2018-shn"]
    assert (
        found.missing.endswith("other conditions or for other steps: ni2018-shn.")
        and "4 of 6 have no record" in found.missing
    )
    assert "ni2018-shn" not in found.table


def test_a_folder_of_ones_own_is_taken_and_one_that_is_missing_is_named(tmp_path):
    assert paths.results_folder() == Path(vgs_lib.__file__).parents[1] / "results"
    assert paths.results_folder(str(tmp_path)) == tmp_path
    with pytest.raises(DataError, match=r"my-results: no such folder, expected one of records"):
        paths.results_folder(tmp_path / "my-results")


def test_the_command_for_what_is_missing_has_the_budget_of_what_is_there(tmp_path):
    (tmp_path / "losses").mkdir()
    one = record("ni2018-sampled-triplet")
    one["conditions"]["minutes"] = 3.0
    (tmp_path / "losses/one-0.json").write_text(json.dumps(one))
    assert f"`{LOSSES} --budget 3` makes them" in Recorded.read("losses", tmp_path).missing


def test_what_is_not_there_or_damaged_is_named(tmp_path):
    with pytest.raises(TrainingError, match="no experiment is called 'loss'"):
        Recorded.read("loss", tmp_path)
    (tmp_path / "losses").mkdir()
    (tmp_path / "losses/x-0.json").write_text("{")
    with pytest.raises(DataError, match=r"x-0\.json"):
        Recorded.read("losses", tmp_path)
