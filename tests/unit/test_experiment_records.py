"""A comparison with its records, some of them or none: what is said, what is missing, the tables."""

import json

import pytest
from toy_records import record

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


def test_what_is_not_there_or_damaged_is_named(tmp_path):
    with pytest.raises(TrainingError, match="no experiment is called 'loss'"):
        Recorded.read("loss", tmp_path)
    (tmp_path / "losses").mkdir()
    (tmp_path / "losses/x-0.json").write_text("{")
    with pytest.raises(DataError, match=r"x-0\.json"):
        Recorded.read("losses", tmp_path)
