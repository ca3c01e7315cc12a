"""The shipped results: the tables are those of the records, and the records those of today's conditions."""

from dataclasses import replace
from pathlib import Path

import pytest

from vgs_lib import paths
from vgs_lib.benchmark import leaderboard
from vgs_lib.benchmark.budgets import StepTimes
from vgs_lib.benchmark.conditions import Conditions
from vgs_lib.benchmark.experiments import EXPERIMENTS
from vgs_lib.benchmark.readme_section import BEGIN, END, section
from vgs_lib.benchmark.records import read_records
from vgs_lib.benchmark.result_pages import experiment_page, systems_page
from vgs_lib.recipes import SYSTEMS
from vgs_lib.retrieval import WAYS

RESULTS = paths.results_folder()
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
THERE = [name for name in ("systems", *EXPERIMENTS) if (RESULTS / name).is_dir()]


def test_the_systems_have_results():
    assert "systems" in THERE


@pytest.mark.parametrize("name", THERE)
def test_the_tables_are_made_of_the_records(name, tmp_path):
    records = read_records(RESULTS / name)
    text = systems_page(records) if name == "systems" else experiment_page(EXPERIMENTS[name], records)
    assert (RESULTS / f"{name}.md").read_text(encoding="utf-8") == text, "python -m vgs_lib reproduce --tables"
    leaderboard.write_csv(records, tmp_path / "table.csv")
    assert (RESULTS / f"{name}.csv").read_bytes() == (tmp_path / "table.csv").read_bytes()


@pytest.mark.parametrize("name", THERE)
def test_the_records_are_of_the_conditions_and_the_systems_of_today(name):
    if name == "systems":
        expected = {system: Conditions() for system in SYSTEMS}
    else:
        base = replace(Conditions(), minutes=EXPERIMENTS[name].minutes)
        expected = {recipe.name: conditions for recipe, conditions in EXPERIMENTS[name].runs(base)}
    for record in read_records(RESULTS / name):
        conditions = expected[record["system"]]
        assert record["conditions"] == conditions.to_dict() and not record["steps_were_asked_for"]
        steps = None if name == "systems" else EXPERIMENTS[name].equal_steps()
        times = [StepTimes(RESULTS / f"{folder}-step-times.json", conditions) for folder in THERE]
        trained = record.get("trained_as", record["system"])
        assert record["steps"] in ({steps} if steps else {one.steps(trained) for one in times if trained in one})
        assert record["history"][-1]["step"] == record["steps"]
        trained, untrained = record["figures"].get("100 scenes", record["figures"]), record["untrained"]
        assert trained.keys() == untrained.keys() and trained != untrained


@pytest.mark.parametrize("name", [name for name in THERE if name == "systems" or not EXPERIMENTS[name].described])
def test_the_records_are_of_as_many_pairs_as_the_documents_protocols(name):
    for record in read_records(RESULTS / name):
        for number in (100, 1000, 1024):
            for way in WAYS:
                figures = record["figures"][f"{number} scenes"][way]
                assert (figures["n"], figures["candidates"]) == (number, number), record["system"]
                assert number != 100 or record["untrained"][way]["n"] == 100
                assert number != 1000 or len(record["figures"]["ranks"][way]) == 1000


@pytest.mark.parametrize("name", THERE)
def test_the_records_are_of_the_recipes_of_today(name):
    """What a run read and computed: all of the plan but the vocabulary and the number of classes, which data decide."""
    recipes = SYSTEMS if name == "systems" else {part.recipe.name: part.recipe for part in EXPERIMENTS[name].parts}
    old = []
    for record in read_records(RESULTS / name):
        plan = Conditions().plan(recipes[record["system"]], steps=record["steps"], seed=record["seed"]).to_dict()
        plan["data"]["used"] = record["plan"]["data"]["used"]
        theirs = record["plan"]
        if plan["audio"]["name"] == "text":
            assert theirs["audio"]["options"].pop("vocabulary")
            plan["audio"]["options"].pop("vocabulary")
        for said in ("document", "chosen"):
            del plan[said], theirs[said]
        assert bool(plan.pop("num_classes")) == bool(theirs.pop("num_classes"))
        old += [record["system"]] if theirs != plan else []
    assert not old, "records of other recipes; move them and their runs away and train these systems again"


def test_the_readme_has_the_section_of_the_records():
    written = README.split(BEGIN)[1].split(END)[0].strip()
    assert written == section(RESULTS), "python -m vgs_lib reproduce --tables --readme README.md"
