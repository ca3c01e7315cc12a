"""Our order of systems beside the documents': differences, their intervals, pairs, and what is not compared."""

import math

import pytest
from toy_records import record

from vgs_lib.agreement import Compared, compared, orders, value
from vgs_lib.agreement_tables import KINDS, claims_table, kind, orders_table, reversals_table
from vgs_lib.experiments import experiment
from vgs_lib.leaderboard import WAYS
from vgs_lib.leaderboard_pages import experiment_page, systems_page

FOUND, MISSED = 1.0, 40.0


def with_ranks(one: dict, found: int, queries: int = 100) -> dict:
    """The record where the first ``found`` queries of each way are found, and recall at 10 says so."""
    ranks = [FOUND] * found + [MISSED] * (queries - found)
    one["figures"]["ranks"] = {way: ranks for way in WAYS}
    for way in WAYS:
        one["figures"]["1000 scenes"][way] = one["figures"]["1000 scenes"][way] | {"r10": found / queries}
    return one


def described(system: str, r1: float, seed: int = 0) -> dict:
    """A record of described things, R@1 of unseen colour pairs ``r1`` both ways, 0.04 either side."""
    figures = {"r1": r1, "r1_ci": [r1 - 0.04, r1 + 0.04], "r1_chance": 0.01, "map50": r1 / 2}
    pairs = {"colour": {way: figures | {"map50_ci": [0.1, 0.2]} for way in WAYS}}
    return record(system, seed=seed) | {"figures": {"seen": pairs, "unseen": pairs}}


def test_one_seed_is_judged_over_queries_drawn_for_both_together():
    records = [with_ranks(record("a"), 60), with_ranks(record("b"), 50)]
    one = compared(records, "a", "b")
    assert one.ours == pytest.approx(0.1) and one.seeds == 1
    # ten of a hundred queries are found by one alone: a binomial share of .1 has a standard error of .03
    assert one.low == pytest.approx(0.1 - 1.96 * 0.03, abs=0.015) and one.high == pytest.approx(0.16, abs=0.015)
    other = compared(records, "b", "a")
    assert other.ours == pytest.approx(-0.1) and (one.verdict, other.verdict) == ("agrees", "disagrees")
    assert compared([records[0], with_ranks(record("b"), 59)], "a", "b").verdict == "undecided"
    assert compared(records, "a", "c") is None
    assert compared([records[0], record("b", seed=1)], "a", "b") is None


def test_several_seeds_are_judged_over_seeds():
    gains = (0.1, 0.2, 0.3)
    records = [with_ranks(record("a", seed=s), round(100 * (0.3 + gain))) for s, gain in enumerate(gains)]
    records += [with_ranks(record("b", seed=s), 30) for s in range(3)] + [with_ranks(record("b", seed=7), 90)]
    one = compared(records, "a", "b")
    half = 4.302653 * 0.1 / math.sqrt(3)  # t of two degrees of freedom
    assert (one.ours, one.low, one.high, one.seeds) == (
        pytest.approx(0.2),
        pytest.approx(0.2 - half),
        pytest.approx(0.2 + half),
        3,
    )
    assert one.verdict == "undecided"


def test_described_things_and_mean_average_precision_have_intervals_of_independent_queries():
    records = [described("a", 0.5), described("b", 0.4)]
    one = compared(records, "a", "b", "unseen_r1")
    assert one.ours == pytest.approx(0.1) and one.low == pytest.approx(0.1 - 0.04 * math.sqrt(2), abs=1e-6)
    assert value(records[0], "unseen_map50") == pytest.approx(0.25)
    scenes = [record("a"), record("b")]
    names = compared(scenes, "a", "b", "map50")
    assert names.ours == 0 and names.high == pytest.approx(0.1 * math.sqrt(2), abs=1e-6)


def test_the_orders_of_the_documents():
    shares = {"harwath2019-misa-sounds": 40, "harwath2019-sisa-sounds": 70, "harwath2019-sisa-shn-sounds": 71}
    shares |= {"harwath2019-misa": 5, "tian2020": 50, "chrupala2017": 40, "zhang2020-vgg19-5": 30}
    records = [with_ranks(record(name), found) for name, found in shares.items()]
    found = {(one.document, one.data): one for one in orders(records)}
    places = found["harwath2019", "Places audio captions"]
    pairs = {(pair.better, pair.worse): pair for pair in places.pairs}
    # the document's mean R@10: SISA-SHN .672, MISA .486, SISA .4675; MISA without sounds is not in its table
    assert set(places.systems) == {name for name in shares if name.endswith("-sounds")}
    assert {p: one.verdict for p, one in pairs.items()} == {
        ("harwath2019-misa-sounds", "harwath2019-sisa-sounds"): "disagrees",
        ("harwath2019-sisa-shn-sounds", "harwath2019-sisa-sounds"): "undecided",
        ("harwath2019-sisa-shn-sounds", "harwath2019-misa-sounds"): "agrees",
    }
    assert places.tau == pytest.approx(1 / 3) and places.figure == "r10"
    flickr = found["tian2020", "Flickr8k audio captions"]
    assert [(pair.better, pair.worse) for pair in flickr.pairs] == [("tian2020", "chrupala2017")]
    assert "zhang2020" not in {document for document, _ in found}  # one of its systems alone
    twin = with_ranks(record("zhang2020-vgg16-5"), 30) | {"trained_as": "zhang2020-vgg19-5"}
    assert "zhang2020" not in {one.document for one in orders([*records, twin])}
    lstm = with_ranks(record("zhang2020-vgg19-lstm"), 10)
    (zhang,) = [one for one in orders([*records, lstm]) if one.document == "zhang2020"]
    assert [(p.better, p.worse, p.verdict) for p in zhang.pairs] == [
        ("zhang2020-vgg19-5", "zhang2020-vgg19-lstm", "agrees")
    ]
    text = orders_table(orders(records))
    assert "| harwath2019 | Places audio captions | R@10 | 3 | 3 | 1 | 1 | 0 | 1 | +0.33 |" in text
    assert "misa-sounds | harwath2019-sisa-sounds | R@10 | -0.300" in reversals_table(orders(records))
    assert reversals_table([flickr]) == "There is none."
    page = systems_page(records)
    assert text in page and page.index("## The order") < page.index("## Published")


def test_kinds_of_pairs():
    ends = {(0.1, 0.05, 0.2): 0, (0.1, -0.1, 0.2): 1, (-0.1, -0.2, 0.1): 2, (-0.1, -0.2, -0.05): 3}
    for (ours, low, high), number in ends.items():
        assert kind(Compared("a", "b", ours, low, high, 1)) == KINDS[number]


def test_the_claims_of_experiments_are_of_their_runs():
    for name in ("losses", "similarities", "pretraining", "data-amount", "gamma", "ablations"):
        one = experiment(name)
        runs = {part.recipe.name for part in one.parts}
        assert one.claims and {system for claim in one.claims for system in claim} <= runs
        assert one.described == (name in ("gamma", "ablations"))
    losses = experiment("losses")
    records = [with_ranks(record("ni2018-three-anchor-triplet"), 60), with_ranks(record("ni2018-sampled-triplet"), 50)]
    assert "| +0.100 |" in claims_table(records, losses) and claims_table(records[:1], losses) == ""
    assert "| agrees |" in experiment_page(losses, records)
    gammas = [described("tian2020-gamma-13", 0.3), described("tian2020-gamma-1", 0.5)]
    page = experiment_page(experiment("gamma"), gammas)
    assert "R@1 of unseen pairs" in page and "| -0.200 |" in page and "| disagrees |" in page
    assert "S→I R@1, unseen" in page and "on described things" in page and "chance is R@1 0.010" in page
