"""Figures of a checkpoint: recorded split by split, and the table of them in its card."""

import json

import pytest

from vgs_lib import cards
from vgs_lib.cards import BEGIN, END, read_figures, record, table
from vgs_lib.errors import CheckpointError


def figures(r1: float, *, words: int = 20) -> dict:
    def figure(name, value, chance):
        return {name: value, f"{name}_chance": chance, f"{name}_ci": [value - 0.01, value + 0.02]}

    def direction(shift):
        found = {"n": 100, "candidates": 679}
        for name, value in (("r1", r1 + shift), ("r5", 0.8 + shift), ("r10", 0.9 + shift)):
            found |= figure(name, value, 0.01)
        return found | {"median_rank": 2.5, "median_rank_chance": 50.5, "median_rank_ci": [1.0, 4.0]}

    return {
        "checkpoint": "somewhere",
        "split": "test",
        "speech_to_image": direction(0.0),
        "image_to_speech": direction(0.05),
        **figure("pointing", 0.7, 0.123),
        **figure("mean_iou", 0.4, 0.1),
        "num_words": words,
        "threshold": 0.23456,
    }


@pytest.fixture
def checkpoint(tmp_path):
    (tmp_path / "README.md").write_text(f"# Card\n\nbefore é\n\n{BEGIN}\nold table\n{END}\n\nafter\n", encoding="utf-8")
    return tmp_path


def test_the_table_has_every_figure_with_its_interval_and_chance():
    lines = table({"test": figures(0.5), "a-split": figures(0.25)}).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line]
    assert rows[0] == ["split", "direction", "n", "R@1", "R@5", "R@10", "median rank"]
    retrieval, words = rows[2:6], rows[8:10]
    assert [row[:3] for row in retrieval] == [
        ["a-split", "speech to image", "100 of 679"],
        ["a-split", "image to speech", "100 of 679"],
        ["test", "speech to image", "100 of 679"],
        ["test", "image to speech", "100 of 679"],
    ]
    assert retrieval[2][3] == "0.500 [0.490, 0.520] (chance 0.010)"
    assert retrieval[3][3] == "0.550 [0.540, 0.570] (chance 0.010)"
    assert retrieval[0][6] == "2.5 [1.0, 4.0] (chance 50.5)"
    assert rows[6] == ["split", "words", "pointing", "mean IoU", "threshold"]
    assert words[1] == [
        "test",
        "20",
        "0.700 [0.690, 0.720] (chance 0.123)",
        "0.400 [0.390, 0.420] (chance 0.100)",
        "0.235",
    ]
    assert {len(row) for row in rows[:6]} == {7} and {len(row) for row in rows[6:]} == {5}


def test_a_record_renews_the_table_and_nothing_else(checkpoint):
    record(checkpoint, "test", figures(0.5))
    text = (checkpoint / "README.md").read_text(encoding="utf-8")
    assert text == f"# Card\n\nbefore é\n\n{BEGIN}\n{table({'test': figures(0.5)})}\n{END}\n\nafter\n"
    record(checkpoint, "validation", figures(0.75))
    record(checkpoint, "test", figures(0.25))
    text = (checkpoint / "README.md").read_text(encoding="utf-8")
    assert "0.250 [" in text and "0.750 [" in text and "0.500 [" not in text and "old table" not in text
    assert text.startswith("# Card\n\nbefore é\n") and text.endswith(f"{END}\n\nafter\n")
    assert text.count(BEGIN) == text.count(END) == 1
    known = read_figures(checkpoint)
    assert known.keys() == {"test", "validation"}
    assert known["test"]["speech_to_image"]["r1"] == 0.25 and "checkpoint" not in known["test"]
    assert known == json.loads((checkpoint / "figures.json").read_text())


def test_recording_the_same_again_changes_nothing(checkpoint):
    record(checkpoint, "test", figures(0.5))
    before = {p.name: p.read_bytes() for p in checkpoint.iterdir()}
    record(checkpoint, "test", figures(0.5))
    assert {p.name: p.read_bytes() for p in checkpoint.iterdir()} == before


def test_a_checkpoint_without_figures_or_card(tmp_path):
    assert read_figures(tmp_path) == {}
    record(tmp_path, "test", figures(0.5))
    assert read_figures(tmp_path)["test"]["pointing"] == 0.7
    assert not (tmp_path / "README.md").exists()


@pytest.mark.parametrize("text", ["# Card\n", f"# Card\n{BEGIN}\n", f"# Card\n{END}\n{BEGIN}\n"])
def test_a_card_without_its_marks_is_named_and_left_alone(tmp_path, text):
    (tmp_path / "README.md").write_text(text)
    with pytest.raises(CheckpointError, match=r"README\.md: expected the lines .*begin.*end"):
        record(tmp_path, "test", figures(0.5))
    assert (tmp_path / "README.md").read_text() == text


@pytest.mark.parametrize("text", ["{", "[]", "", "\x00", "3", '{"test": 3}', '{"test": {}}'])
def test_damaged_figures_are_named(tmp_path, text):
    (tmp_path / cards.FIGURES).write_text(text)
    with pytest.raises(CheckpointError, match=r"figures\.json"):
        read_figures(tmp_path)


def test_a_checkpoint_that_is_not_there():
    with pytest.raises(CheckpointError, match="no-such-model"):
        read_figures("no-such-model")
