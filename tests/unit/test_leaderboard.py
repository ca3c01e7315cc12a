"""Tables of records and of published figures: order, seeds in one line, damage."""

import csv

import pytest
from toy_records import record

from vgs_lib.benchmark import leaderboard
from vgs_lib.benchmark.conditions import Conditions
from vgs_lib.benchmark.leaderboard import published_localization_table, published_table
from vgs_lib.benchmark.records import comparable, made_by, read_records
from vgs_lib.benchmark.result_pages import systems_page
from vgs_lib.errors import DataError
from vgs_lib.recipes import SYSTEMS
from vgs_lib.recipes.published import published, published_localization
from vgs_lib.retrieval import WAYS


def record_of(system, seed, r10, pointing=0.5):
    way = {"r1": r10 / 2, "r5": r10 / 1.5, "r10": r10, "median_rank": 7.0, "r10_ci": [r10 - 0.1, r10 + 0.1]}
    figures = {
        **{f"{n} scenes": {w: way for w in WAYS} for n in (100, 1000, 1024)},
        "words": {w: {"r1": 0.1, "map50": 0.25, "map50_ci": [0.2, 0.3]} for w in WAYS},
    }
    if pointing is not None:
        figures["pointing"] = {"pointing": pointing, "pointing_chance": 0.08}
    return {
        "system": system,
        "seed": seed,
        "steps": 900,
        "steps_were_asked_for": False,
        "plan": {"audio": {"name": "text" if system.startswith("harwath2019-text") else "conv5"}},
        "history": [],
        "seconds": 600.0,
        "parameters": {"trained": 12345, "all": 99999},
        "figures": figures,
        "conditions": Conditions().to_dict(),
        "machine": {"threads": 2, "processor": "x", "torch": "2", "device": "cpu"},
    }


def test_the_table_has_the_best_first_and_seeds_in_one_line(tmp_path):
    records = [record_of("ni2018-baseline", 0, 0.2, None), record_of("tian2020", 0, 0.4), record_of("tian2020", 1, 0.6)]
    lines = leaderboard.table(records).splitlines()
    assert lines[2].startswith("| tian2020 | 2 |") and "/ 0.500 (0.400 to 0.600) |" in lines[2]
    assert lines[3].startswith(
        "| ni2018-baseline | 1 | 0.100 / 0.133 / 0.200 | 0.100 / 0.133 / 0.200 | 7.0 / 7.0 | 0.250 / 0.250 |"
    )
    assert lines[3].split("|")[-5].strip() == "" and "12,345" in lines[3]
    page = systems_page(records)
    assert "has a chance of 0.080" in page and "the runs took 10.0 to 10.0 core minutes" in page
    assert "| 1,024 | pre-trained pictures |" in page and "reads text" not in page
    reading = systems_page([*records, record_of("harwath2019-text-sisa", 0, 0.3, None)])
    assert "| harwath2019-text-sisa (reads text) | 1 |" in reading and "they hear no voice" in reading
    assert "harwath2019-" not in page and page.count("ni2018, first table") == 1 and "Oxford-102" in page
    leaderboard.write_csv(records, tmp_path / "t.csv")
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert [row["system"] for row in rows] == ["ni2018-baseline", "tian2020", "tian2020"]
    assert rows[0]["pointing"] == "" and rows[2]["speech_to_image_r10"] == "0.6"


def test_published_figures_are_those_of_the_documents():
    values = {(p.system, p.data, p.initialisation, p.direction, p.figure): p.value for p in published()}
    places = "Places audio captions"
    assert values["harwath2019-sisa-shn", places, "natural sounds", "speech_to_image", "r10"] == 0.684
    assert values["tian2020", "Flickr8k audio captions", "pre-trained pictures", "image_to_speech", "median_rank"] == 10
    assert (
        values["tian2020", "CUB-200 birds, synthetic speech", "pre-trained pictures", "speech_to_image", "map50"]
        == 0.2935
    )
    assert (
        values["zhang2020-vgg19-6", "Flickr8k, synthetic speech", "pre-trained pictures", "speech_to_image", "p5"]
        == 0.46
    )
    assert all(0 < value <= 1 or key[-1] == "median_rank" for key, value in values.items())


def test_a_published_row_says_among_how_many_what_began_and_who_reads_text():
    shown = published_table(["merkx2019", "zhang2020-vgg16-5", "harwath2019-text-misa"])
    assert "| merkx2019 | Flickr8k audio captions | 1,000 pictures, five captions each |" in shown
    assert "| 100 | pre-trained pictures, untrained | P@1 0.05, P@5 0.14, P@10 0.3 |" in shown
    assert "| harwath2019-text-misa (reads text) | Places audio captions | 1,000 | none |" in shown


def test_published_localization_is_harwath2019s_beside_the_whole_frame():
    rows = {(row.system, row.initialisation): row for row in published_localization()}
    best = rows["harwath2019-sisa-shn", "ImageNet and AudioSet"]
    assert (best.mean_ap, best.iou, best.iod, best.iot, best.concepts) == (0.44, 0.16, 0.23, 0.63, 126)
    assert rows["full frame", ""].iot == 1 and rows["full frame", ""].concepts is None
    assert max(rows.values(), key=lambda row: row.mean_ap) is best and len(rows) == 8
    assert all(row.system in SYSTEMS for row in rows.values() if row.initialisation)
    shown = published_localization_table(["harwath2019-misa"]).splitlines()
    assert len(shown) == 4 and shown[3] == "| harwath2019-misa | natural sounds | 0.224 | 0.11 | 0.12 | 0.68 | 99 |"
    assert published_localization_table(["tian2020"]) == ""


def test_the_run_of_another_system_is_named_with_its_seeds_where_not_all_are():
    records = [record("zhang2020-vgg16-5", seed=seed) for seed in (0, 1, 2)]
    assert "| zhang2020-vgg16-5 | 3 |" in leaderboard.table(records)
    for one in records[1:]:
        one["trained_as"] = "zhang2020-vgg19-5"
    assert "| zhang2020-vgg16-5 (seed 1, 2 the run of zhang2020-vgg19-5) | 3 |" in leaderboard.table(records)
    assert "| zhang2020-vgg16-5 (the run of zhang2020-vgg19-5) | 2 |" in leaderboard.table(records[1:])


def test_of_runs_on_a_gpu_no_cores_are_told():
    gpu = {"machine": {"threads": 2, "processor": "x", "torch": "2", "device": "cuda", "gpu": "NVIDIA H100"}}
    records = [record_of("ni2018-baseline", 0, 0.2) | gpu, record_of("tian2020", 0, 0.4) | gpu]
    page = systems_page(records)
    assert "10 minutes on NVIDIA H100 hold, by timing" in page and "core" not in page.split("## Published")[0]
    assert "| steps | minutes |" in page and "Made by `python -m vgs_lib reproduce --device cuda` with" in page
    records[0]["conditions"] = records[1]["conditions"] | {"minutes": 2.5}
    assert made_by(records[:1]) == "`python -m vgs_lib reproduce --budget 2.5 --device cuda`"
    assert made_by(records[:1], "losses").endswith("reproduce --experiment losses --budget 2.5 --device cuda`")


@pytest.mark.parametrize("content", ["", "[]", '{"system": "x"}'])
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / "x-0.json").write_text(content)
    with pytest.raises(DataError, match=r"x-0\.json: no record of a system"):
        read_records(tmp_path)


def test_the_norm_is_what_most_records_have():
    few = [record("chrupala2017", r10=0.2), record("merkx2019", r10=0.3), record("tian2020", r10=0.4)]
    few[0]["conditions"] = {**few[0]["conditions"], "minutes": 1.0}
    asked = record("ni2018-baseline", r10=0.9) | {"steps_were_asked_for": True}
    assert [one["system"] for one in comparable([*few, asked])] == ["merkx2019", "tian2020"]
    assert comparable([asked]) == []
    page = systems_page([few[0], asked, *few[1:]])
    assert (
        "the steps that 10 minutes on 2 cores hold" in page
        and "in the table only: chrupala2017, ni2018-baseline." in page
    )
    assert page.split("## The order")[1].split("## Published")[0].count("chrupala2017") == 0
