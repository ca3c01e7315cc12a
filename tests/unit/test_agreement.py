"""Our order of systems beside the documents': differences, their intervals, pairs, and what is not compared."""

import math

import pytest
from toy_records import record

from vgs_lib.benchmark.agreement import Compared, compared, orders, seeds_apart, value
from vgs_lib.benchmark.agreement_tables import KINDS, claims_table, judged, kind, orders_table, pairs_table, seeds_table
from vgs_lib.benchmark.experiments import EXPERIMENTS, experiment
from vgs_lib.benchmark.result_pages import experiment_page, systems_page
from vgs_lib.retrieval import WAYS

FOUND, MISSED = 1.0, 40.0


def with_ranks(one: dict, found: int, queries: int = 100) -> dict:
    """The record where the first ``found`` queries of each way are found, and recall at 10 says so."""
    ranks = [FOUND] * found + [MISSED] * (queries - found)
    one["figures"]["ranks"] = {way: ranks for way in WAYS}
    for way in WAYS:
        one["figures"]["1000 scenes"][way] = one["figures"]["1000 scenes"][way] | {"r10": found / queries}
    return one


def described(system: str, r1: float, seed: int = 0) -> dict:
    """A record of described things, R@1 of unseen colour pairs ``r1`` both ways, which the first of 100 queries are.

    Each two queries are of one class.
    """
    found = round(100 * r1)
    ranks = [1.0] * found + [2.0] * (100 - found)
    figures = {"r1": r1, "r1_ci": [r1 - 0.04, r1 + 0.04], "r1_chance": 0.01, "map50": r1 / 2, "ranks": ranks}
    figures["map50_chance"] = 0.009
    figures |= {"map50_ci": [0.1, 0.2], "classes": [number // 2 for number in range(100)]}
    pairs = {"colour": {way: figures for way in WAYS}}
    chosen = {way: {"share": 0.6, "share_ci": [0.5, 0.7]} for way in WAYS}
    choice = {"seen": chosen, "unseen": chosen, "both": chosen}
    return record(system, seed=seed) | {"figures": {"seen": pairs, "unseen": pairs, "choice": choice}}


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
    seeds = 4.302653 * 0.1 / math.sqrt(3)  # t of two degrees of freedom
    # of 100 queries 10 are gained by every seed, 10 by two and 10 by one of three
    variance = (10 * 1 + 10 * 4 / 9 + 10 * 1 / 9) / 100 - 0.2**2
    half = math.hypot(seeds, 1.96 * math.sqrt(variance / 100))
    assert (one.ours, one.seeds) == (pytest.approx(0.2), 3)
    assert one.low == pytest.approx(0.2 - half, abs=0.005) and one.high == pytest.approx(0.2 + half, abs=0.005)
    assert one.verdict == "undecided"


def test_how_far_apart_seeds_are():
    """Those that differ most first, both ways together; nothing is said where every system has one."""
    records = [with_ranks(record("a", seed=s), n) for s, n in enumerate((30, 34, 31))]
    records += [with_ranks(record("b", seed=s), n) for s, n in enumerate((50, 59))] + [with_ranks(record("c"), 99)]
    assert "(0.090 over 2 of b; 0.040 over 3 of a)" in seeds_apart(records, "r10")
    assert "(0.040 over 3 of a)" in seeds_apart(records[:3], "r10")
    assert seeds_apart(records[2:4], "r10") == seeds_apart([], "r10") == ""
    named = {"a": "ni2018-tcn", "b": "ni2018-baseline"}
    assert "0.090 over 2 of ni2018-baseline" in systems_page([r | {"system": named[r["system"]]} for r in records[:-1]])


def test_described_things_are_judged_on_the_same_queries_drawn_for_both():
    records = [described("a", 0.5), described("b", 0.4)]
    one = compared(records, "a", "b", "unseen_r1")
    assert one.ours == pytest.approx(0.1)
    error = (0.1 * 0.9 / 50) ** 0.5  # ten of a hundred queries differ, which are five of fifty classes
    assert (one.low, one.high) == (
        pytest.approx(0.1 - 1.96 * error, abs=0.02),
        pytest.approx(0.1 + 1.96 * error, abs=0.02),
    )


def test_mean_average_precision_has_an_interval_of_independent_queries():
    records = [described("a", 0.5), described("b", 0.4)]
    assert value(records[0], "unseen_map50") == pytest.approx(0.25)
    one = compared(records, "a", "b", "unseen_map50")
    assert one.ours == pytest.approx(0.05) and one.high - one.low == pytest.approx(0.1 * math.sqrt(2), abs=1e-6)
    scenes = [record("a"), record("b")]
    names = compared(scenes, "a", "b", "map50")
    assert names.ours == 0 and names.high == pytest.approx(0.1 * math.sqrt(2), abs=1e-6)


def test_the_orders_of_the_documents():
    shares = {"harwath2019-misa-sounds": 40, "harwath2019-sisa-sounds": 70, "harwath2019-sisa-shn-sounds": 71}
    shares |= {"harwath2019-misa": 5, "tian2020": 50, "chrupala2017": 40, "zhang2020-vgg19-5": 30, "tian2020-timam": 9}
    records = [with_ranks(record(name), found) for name, found in shares.items()]
    found = {(one.document, one.data, one.start): one for one in orders(records)}
    places = found["harwath2019", "Places audio captions", "natural sounds"]
    pairs = {(pair.better, pair.worse): pair for pair in places.pairs}
    # the document's mean R@10: SISA-SHN .672, MISA .486, SISA .4675
    assert set(places.systems) == {name for name in shares if name.endswith("-sounds")}
    assert {p: one.verdict for p, one in pairs.items()} == {
        ("harwath2019-misa-sounds", "harwath2019-sisa-sounds"): "disagrees",
        ("harwath2019-sisa-shn-sounds", "harwath2019-sisa-sounds"): "undecided",
        ("harwath2019-sisa-shn-sounds", "harwath2019-misa-sounds"): "agrees",
    }
    assert places.tau == pytest.approx(1 / 3) and places.figure == "r10"
    flickr = found["tian2020", "Flickr8k audio captions", "pre-trained pictures"]
    assert [(pair.better, pair.worse) for pair in flickr.pairs] == [("tian2020", "chrupala2017")]
    assert len(found) == 2  # zhang2020 has one system here, TIMAM was measured on birds and flowers alone
    text = orders_table(orders(records))
    names = ", ".join(places.systems)
    row = f"| harwath2019 | Places audio captions | natural sounds | R@10 | {names} | 3 | 1 | 1 | 0 | 1 | +0.33 |"
    assert row in text
    every = pairs_table(orders(records), records)
    lines = every.splitlines()[2:]
    assert "misa-sounds | harwath2019-sisa-sounds | S→I and I→S | -0.300" in lines[0]  # reversals come first
    assert [line.split("|")[-2].strip() for line in lines] == ["disagrees", "agrees", "agrees", "undecided"]
    assert "| 1 | 100, 100 | disagrees |" in lines[0]
    page = systems_page(records)
    assert text in page and every in page and page.index("## The order") < page.index("## Published")


def test_pairs_of_several_seeds_have_a_table_of_their_own():
    names = ("ni2018-three-anchor", "ni2018-baseline")
    shares = dict(zip(names, (60, 20), strict=True))
    records = [with_ranks(record(name, seed=s), shares[name] + s) for s in (0, 1, 2) for name in names]
    (pair,) = (pair for order in orders(records) for pair in order.pairs)
    head, _, line = seeds_table([("ni2018", "r10", pair)]).splitlines()
    assert "seeds" in head and line.startswith("| ni2018 | ni2018-three-anchor | ni2018-baseline | R@10 | +0.400 |")
    assert line.endswith("| 3 | agrees |")
    assert compared(records[:4], *names) == compared(records[:2], *names), "of two seeds the first is taken"
    once = compared(records[:2], *names)
    assert once.seeds == 1 and seeds_table([("ni2018", "r10", once)]) == ""


def test_the_page_says_how_further_seeds_are_made_and_shown():
    records = [record("ni2018-baseline", seed=s) for s in (0, 1, 2)] + [record("tian2020")]
    page = systems_page(records)
    again = "`python -m vgs_lib reproduce` and `python -m vgs_lib reproduce ni2018-baseline --seeds 1 2`"
    assert "Of several seeds the mean is shown" in page and again in page
    uneven = [*records, record("tian2020", seed=2), record("merkx2019", seed=5) | {"steps_were_asked_for": True}]
    page = systems_page(uneven)
    assert "ni2018-baseline --seeds 1 2` and `python -m vgs_lib reproduce tian2020 --seeds 2` with" in page
    assert "--seeds 5" not in page
    once = systems_page([record("ni2018-baseline"), record("tian2020")])
    assert "several seeds the mean" not in once and "Made by `python -m vgs_lib reproduce` with" in once


def test_the_page_has_the_protocols_of_zhang2020_and_ni2018():
    zhang = record("zhang2020-vgg19-6", r10=0.4)
    page = systems_page([zhang, zhang | {"system": "zhang2020-vgg16-6", "trained_as": "zhang2020-vgg19-6"}])
    table = page.split("## Untrained and trained, among 100")[1].split("##")[0]
    assert table.count("| zhang2020-vgg") == 1 and "## Among 1,024" not in page
    page = systems_page([record("ni2018-baseline")])
    assert "## Untrained" not in page and page.split("## Among 1,024")[1].split("##")[0].count("| ni2018-") == 2


def test_systems_with_random_weights_are_not_beside_rows_that_began_with_sounds():
    assert orders([with_ranks(record(f"harwath2019-{kind}"), 20) for kind in ("misa", "sisa")]) == []
    asked = [record("tian2020"), record("merkx2019") | {"steps_were_asked_for": True}]
    assert "merkx2019." in systems_page(asked) and "## The order" not in systems_page(asked)


def test_orders_that_are_given_in_words():
    shares = {"tcn": 20, "baseline": 40, "gru": 5, "tcn-alone": 20}
    (one,) = orders([with_ranks(record(f"ni2018-{name}"), found) for name, found in shares.items()])
    assert (one.document, one.figure, {pair.better for pair in one.pairs}) == ("ni2018", "words", {"ni2018-tcn"})
    verdicts = {pair.worse.removeprefix("ni2018-"): pair.verdict for pair in one.pairs}
    assert verdicts == {"baseline": "disagrees", "gru": "agrees", "tcn-alone": "undecided"} and one.tau == 0
    assert "| in words, ours R@10 |" in orders_table([one])


def test_the_ways_are_those_that_the_document_gives():
    names = ("tian2020", "scharenborg2020")  # whose figures are of one direction
    (one,) = orders([with_ranks(record(name), 50) for name in names])
    assert one.pairs[0].ways == ("speech_to_image",)


def test_only_systems_with_one_picture_network_are_compared():
    shares = {"vgg16-5": 30, "vgg16-6": 40, "vgg19-5": 30, "vgg19-6": 40}
    found = orders([with_ranks(record(f"zhang2020-{name}"), n) for name, n in shares.items()])
    # P@10: VGG16 .76 with five layers and .74 with six, VGG19 .65 and .70
    assert [(one.pairs[0].better, one.pairs[0].verdict) for one in found] == [
        ("zhang2020-vgg16-5", "disagrees"),
        ("zhang2020-vgg19-6", "agrees"),
    ]


def test_kinds_of_pairs():
    ends = {(0.1, 0.05, 0.2): 0, (0.1, -0.1, 0.2): 1, (-0.1, -0.2, 0.1): 2, (-0.1, -0.2, -0.05): 3}
    for (ours, low, high), number in ends.items():
        assert kind(Compared("a", "b", ours, low, high, 1)) == KINDS[number]


def test_the_claims_of_experiments_are_of_their_runs():
    for name, one in EXPERIMENTS.items():
        runs = {part.recipe.name for part in one.parts}
        assert one.claims and {system for claim in one.claims for system in claim} <= runs
        assert one.described == (one.figure == "unseen_r1") == (name in ("fine-grained", "gamma", "ablations"))
    losses = experiment("losses")
    names = ("ni2018-three-anchor-triplet", "ni2018-sampled-triplet")
    records = [record(name, r10=r10) for name, r10 in zip(names, (0.4, 0.25), strict=True)]  # R@1 is a third of it
    for one, found in zip(records, (9, 2), strict=True):
        one["figures"]["ranks"] = {way: [FOUND] * found + [MISSED] * 3 for way in WAYS}
    records[1]["figures"]["ranks"] = {way: [FOUND] * 2 + [MISSED] * 10 for way in WAYS}
    table = claims_table(judged(records, losses), losses.figure, records)
    assert (
        "our difference of R@1" in table
        and "| +0.050 |" in table
        and "| 100, 100 |" in table
        and judged(records[:1], losses) == []
    )
    assert claims_table([], losses.figure, []) == ""
    assert table in experiment_page(losses, records)
    gammas = [described("tian2020-gamma-13", 0.3), described("tian2020-gamma-1", 0.5)]
    gammas.append(described("tian2020-gamma-5", 0.9))
    gammas[-1]["steps_were_asked_for"] = True
    gammas.append(described("tian2020-gamma-20", 0.9))
    gammas[-1]["conditions"] = {**gammas[-1]["conditions"], "minutes": 1.0}
    gammas = [one | {"steps": 804} for one in gammas]  # of the ten minutes that they say
    gammas.append(described("tian2020-gamma-10", 0.9) | {"steps": 344})
    page = experiment_page(experiment("gamma"), gammas)
    assert "Every run takes 804 steps, which one of them was given for 10 minutes on 2 cores" in page
    assert "100 queries a split among 5 pictures of each of 100 classes" in page and "mAP@50 0.009" in page
    assert "tian2020-gamma-10, tian2020-gamma-20, tian2020-gamma-5." in page, "trained under other conditions"
    assert "| tian2020-gamma-5 |" not in page.split("claims")[1], "steps that were asked for prove no claim"
    assert "R@1 of unseen pairs" in page and "| -0.200 |" in page and "| disagrees |" in page
    assert (
        "S→I R@1 seen / unseen" in page
        and "S→I colour seen / unseen / both" in page
        and "0.600 / 0.600 / 0.600" in page
        and "on described things" in page
        and "chance is R@1 0.010" in page
    )
