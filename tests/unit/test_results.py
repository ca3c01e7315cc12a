"""The shipped results: the tables are those of the records, and the records those of today's conditions."""

from dataclasses import replace
from pathlib import Path

import pytest

from vgs_lib import paths
from vgs_lib.benchmark import leaderboard
from vgs_lib.benchmark.agreement import orders
from vgs_lib.benchmark.budgets import StepTimes
from vgs_lib.benchmark.conditions import Conditions
from vgs_lib.benchmark.experiments import EXPERIMENTS
from vgs_lib.benchmark.records import comparable, read_records, row
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
        times = [StepTimes(RESULTS / f"{folder}-step-times.json", conditions) for folder in THERE]
        trained = record.get("trained_as", record["system"])
        assert record["steps"] in {one.steps(trained) for one in times if trained in one}
        assert record["history"][-1]["step"] == record["steps"]
        trained, untrained = record["figures"].get("100 scenes", record["figures"]), record["untrained"]
        assert trained.keys() == untrained.keys() and trained != untrained


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


def test_the_readme_has_the_figures_of_the_records():
    """Rows of systems: R@1 / R@10 with its interval, the other way, mAP@50, millions trained, steps."""
    records = {r["system"]: r for r in read_records(RESULTS / "systems") if r["seed"] == 0}
    section = README.split("### The systems of the documents")[1].split("## In Python")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    assert len(rows) >= 12
    for name, speech, pictures, precision, millions, steps in rows:
        record = records[name.strip("| `")]
        found = row(record)
        low, high = (found[f"speech_to_image_r10_{end}"] for end in ("low", "high"))
        share = lambda value: f"{value:.3f}".lstrip("0")
        recalls = [" / ".join(share(found[f"{way}_{k}"]) for k in ("r1", "r10")) for way in WAYS]
        assert (speech, pictures) == (f"{recalls[0]} [{share(low)}, {share(high)}]", recalls[1])
        assert precision == share(found["speech_to_image_map50"])
        assert (millions, steps.rstrip(" |")) == (f"{found['trained_parameters'] / 1e6:.1f}", f"{found['steps']:,}")
    text = " ".join(section.split())
    assert f"{len(records)} of the {len(SYSTEMS)} systems" in text or len(records) == len(SYSTEMS)
    pairs = [pair.verdict for order in orders(comparable(read_records(RESULTS / "systems"))) for pair in order.pairs]
    said = f"{pairs.count('agrees')} come in the same order here, {pairs.count('disagrees')} in the other"
    assert f"Of the {len(pairs)} pairs of systems" in text and said in text
