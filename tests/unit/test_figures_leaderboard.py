"""The figures of records: what is drawn is what the records say, whatever records there are."""

import pytest
from toy_records import record

from vgs_lib.benchmark.experiment_records import missing
from vgs_lib.benchmark.records import one_of_each
from vgs_lib.errors import DataError
from vgs_lib.figures.leaderboard import amount_figure, cost_figure, recall_figure, scenes_of, terms_figure
from vgs_lib.retrieval import WAYS
from vgs_lib.viz import figure_png


@pytest.fixture
def records():
    return [
        record("ni2018-baseline", r10=0.2, trained=1_000_000, steps=300),
        record("tian2020", r10=0.4, trained=4_000_000, steps=100),
        record("tian2020", r10=0.5, seed=1, trained=4_000_000, steps=100),
    ]


def test_what_is_missing_is_named_with_the_command(records):
    names = ["ni2018-baseline", "tian2020", "harwath2019-misa"]
    said = missing(records, names, "losses")
    command = "`python -m vgs_lib reproduce --experiment losses`"
    assert said == f"1 of 3 have no record yet: harwath2019-misa. {command} makes them."
    further = "`python -m vgs_lib reproduce tian2020 --seeds 1`"
    assert missing(records, names[:2]) == f"All 2 have a record, made by `python -m vgs_lib reproduce` and {further}."
    many = missing([], [f"s{n}" for n in range(20)])
    assert many.startswith("20 of 20 have no record yet: s0, s1, s2, s3, s4, s5 and 14 more.")


def test_recall_has_the_best_first_and_its_interval(records):
    axes = recall_figure(records[::-1], title="t").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "tian2020, seed 0",
        "tian2020, seed 1",
        "ni2018-baseline",
    ]
    speech, pictures = axes.containers
    assert speech[0].get_xdata().tolist() == [0.4, 0.5, 0.2] and pictures[0].get_xdata() == pytest.approx(
        [0.3, 0.4, 0.1]
    )
    assert speech[2][0].get_segments()[2][:, 0] == pytest.approx([0.16, 0.24])
    ordered = recall_figure(records, title="t", order=["ni2018-baseline", "absent"], k=1).axes[0]
    assert [label.get_text() for label in ordered.get_yticklabels()] == ["ni2018-baseline"]
    assert ordered.containers[0][0].get_xdata() == pytest.approx([0.2 / 3])


def test_cost_is_drawn_in_millions_and_in_steps(records):
    figure = cost_figure(records, named=1)
    size, steps = figure.axes
    points = {c.get_label(): c[0].get_xydata().tolist() for c in size.containers}
    assert points["ni2018"] == [[1.0, pytest.approx(0.15)]]
    assert points["tian2020"] == [[4.0, pytest.approx(0.35)], [4.0, pytest.approx(0.45)]]
    assert steps.containers[0][0].get_xdata().tolist() == [300]
    assert [text.get_text() for text in size.texts] == ["tian2020"]
    assert size.containers[0][2][0].get_segments()[0][:, 1] == pytest.approx([0.06, 0.24])  # both ways' ends together


def test_terms_are_drawn_for_the_records_that_have_them(records):
    both = record("harwath2019-misa-shn", terms=("sampled", "semi_hard"))
    axes = terms_figure([*records, both]).axes
    assert [a.get_title() for a in axes] == ["harwath2019-misa-shn\nseed 0, 10 min"]
    sampled, semi_hard, begin = axes[0].lines
    assert sampled.get_ydata()[0] == 40 and semi_hard.get_ydata()[0] == 41 and begin.get_xdata()[0] == 50
    with pytest.raises(DataError, match="no such records yet"):
        terms_figure(records)


def test_recall_against_the_number_of_scenes():
    found = [record("random-10-percent", used=800, r10=0.2), record("random-100-percent", r10=0.4)]
    assert [scenes_of(r) for r in found] == [800, 8000]
    series = {"random-100-percent": "random", "random-10-percent": "random", "sounds-10-percent": "sounds"}
    (line,) = amount_figure(found, series).axes[0].containers
    assert line[0].get_xdata().tolist() == [800, 8000] and line[0].get_ydata() == pytest.approx([0.15, 0.35])
    further = record("random-10-percent", used=800, r10=0.9, seed=1)
    (line,) = amount_figure([*found, further], series).axes[0].containers
    assert line[0].get_ydata() == pytest.approx([0.15, 0.35])
    none = record("sounds-10-percent", used=800, r10=0.0)
    none["figures"]["1000 scenes"] = {way: {"r10": 0.0, "r10_ci": [0.0, 0.004]} for way in WAYS}
    axes = amount_figure([*found, none], series).axes[0]
    assert axes.get_yscale() == "log" and 0 < axes.get_ylim()[0] < 0.02 and axes.get_ylim()[1] > 0.35
    assert figure_png(axes.figure)


def test_all_can_be_drawn_and_none_without_records(records):
    for figure in (recall_figure(records, title="t"), cost_figure(records)):
        assert figure_png(figure).startswith(b"\x89PNG")
    for draw in (lambda: recall_figure([], title="t"), lambda: cost_figure([]), lambda: amount_figure([], {})):
        with pytest.raises(DataError, match="no such records yet"):
            draw()


def test_each_system_once_the_first_that_comes(records):
    found = one_of_each([*records[::-1], record("x")])
    assert [(r["system"], r["seed"]) for r in found] == [("tian2020", 1), ("ni2018-baseline", 0), ("x", 0)]
