"""The README's section on systems: its figures are those of the records, its counts those of the orders."""

import json

import pytest
from toy_records import record

from vgs_lib.benchmark.readme_section import BEGIN, END, section, write_section
from vgs_lib.errors import DataError
from vgs_lib.recipes import SYSTEMS


@pytest.fixture
def results(tmp_path):
    """Records of three systems, of which one reads text, and one of another seed."""
    folder = tmp_path / "results"
    (folder / "systems").mkdir(parents=True)
    records = [record("ni2018-baseline", r10=0.25), record("ni2018-three-anchor", r10=0.75, steps=12_345)]
    records += [record("harwath2019-text-sisa", r10=0.9), record("ni2018-baseline", seed=1, r10=0.99)]
    records[2]["plan"]["audio"]["name"] = "text"
    for one in records:
        for way, found in (("speech_to_image", 10), ("image_to_speech", 8)):
            better = found * (1 if one["system"] == "ni2018-three-anchor" else 0)
            one["figures"]["ranks"][way] = [1.0] * better + [40.0] * (12 - better)
        (folder / "systems" / f"{one['system']}-{one['seed']}.json").write_text(json.dumps(one))
    return folder


def test_the_best_come_first_with_their_intervals(results):
    text = section(results)
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == ["harwath2019-text-sisa", "ni2018-three-anchor", "ni2018-baseline"]
    assert rows[1].endswith("| .250 / .750 [.710, .790] | .217 / .650 | .200 | 2.0 | 12,345 |")
    words = " ".join(text.split())
    assert f"3 of the {len(SYSTEMS)} systems have a record so far" in words
    assert (
        "The 3 best, seed 0, of which 1 read the exact words" in words
        and "the runs took 10 to 10 core minutes" in words
    )
    assert "Of the 1 comparisons" in words and "1 come in the same order here, 0 in the other, and 0 are" in words
    assert "hidden channels times 0.25, seed 0, some with further seeds." in words
    assert "that 10 minutes on 2 cores hold" in words
    assert "Trained with" not in words  # no pair of systems was
    assert max(map(len, text.split("| system")[0].splitlines())) <= 124


def test_comparisons_of_several_seeds_are_named_with_their_interval(results):
    for name in ("ni2018-baseline", "ni2018-three-anchor"):
        one = json.loads((results / "systems" / f"{name}-0.json").read_text())
        for seed in (1, 2):
            (results / "systems" / f"{name}-{seed}.json").write_text(json.dumps(one | {"seed": seed}))
    text = section(results)
    assert "Trained with three seeds or more" in text
    (row,) = (line for line in text.splitlines() if line.startswith("| ni2018 |"))
    assert "| ni2018-three-anchor | ni2018-baseline | R@10 | +0.500 |" in row and row.endswith("| 3 | agrees |")


def test_what_became_of_the_claims_of_an_experiment(results):
    assert "| the documents' comparisons |" not in section(results)
    (results / "losses").mkdir()
    for name, found in (("three-anchor-triplet", 12), ("sampled-triplet", 0)):
        one = record(f"ni2018-{name}")
        one["figures"]["ranks"] = {way: [1.0] * found + [40.0] * (12 - found) for way in one["figures"]["ranks"]}
        (results / "losses" / f"{name}-0.json").write_text(json.dumps(one))
    text = section(results)
    assert (
        "| the documents' comparisons | runs | claims with both runs | found here too | reversed | undecided |" in text
    )
    assert "| [losses](results/losses.md) | 2 of 6 | 1 of 1 | 1 | 0 | 0 |" in text


def test_of_the_same_two_systems_the_pair_with_more_seeds_is_shown(results):
    (results / "similarities").mkdir()
    for kind, share in (("misa", 2), ("sisa", 9)):
        for seed in (0, 1, 2):
            one = record(f"harwath2019-{kind}-sounds", seed=seed)
            one["figures"]["ranks"] = {w: [1.0] * share + [40.0] * (12 - share) for w in one["figures"]["ranks"]}
            for folder in ("systems", "similarities")[seed > 0 :]:
                (results / folder / f"{one['system']}-{seed}.json").write_text(json.dumps(one))
    (row,) = (line for line in section(results).splitlines() if line.startswith("| harwath2019 |"))
    assert "| harwath2019-misa-sounds | harwath2019-sisa-sounds | R@10 |" in row and "| 3 |" in row


def test_the_section_is_put_between_its_comments(results, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    for _ in range(2):
        write_section(readme, results)
        assert readme.read_text() == f"before\n\n{BEGIN}\n\n{section(results)}\n\n{END}\n\nafter\n"
    readme.write_text(f"{END}\n{BEGIN}\n")
    for file in (readme, tmp_path / "none" / "README.md"):
        with pytest.raises(DataError, match=r"README\.md: expected one line"):
            write_section(file, results)
    (tmp_path / "systems").mkdir()
    with pytest.raises(DataError, match="found no record of a budget"):
        section(tmp_path)
