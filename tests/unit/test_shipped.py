"""The shipped checkpoint: what its card says comes out of ``evaluate``, and the weights stay small."""

import json

import pytest

from vgs_lib.__main__ import main
from vgs_lib.cards import read_figures, table
from vgs_lib.checkpoints import find_checkpoint, read_config
from vgs_lib.recipes import recipe

NAME, TOLERANCE, MOST_BYTES = "stamps-demo", 0.005, 20e6


def test_the_card_shows_the_recorded_figures_and_the_folder_is_small():
    folder = find_checkpoint(NAME)
    assert table(read_figures(NAME)) in (folder / "README.md").read_text(encoding="utf-8")
    assert sum(file.stat().st_size for file in folder.iterdir()) < MOST_BYTES
    assert {"test", "test-hard", "test-human-en", "validation", "validation-human-en"} <= read_figures(NAME).keys()


def test_the_checkpoint_was_made_by_the_recipe_of_its_name():
    assert read_config(NAME)["recipe"] == recipe(NAME).to_dict()


@pytest.mark.slow
def test_evaluate_reproduces_the_card_on_peoples_recordings(capsys):
    assert main(["evaluate", "--checkpoint", NAME, "--split", "test-human-en", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    card = read_figures(NAME)["test-human-en"]
    for direction in ("speech_to_image", "image_to_speech"):
        for name in ("r1", "r5", "r10"):
            assert found[direction][name] == pytest.approx(card[direction][name], abs=TOLERANCE)
    for name in ("pointing", "mean_iou"):
        assert found[name] == pytest.approx(card[name], abs=TOLERANCE)
    assert found["speech_to_image"]["r10"] >= 0.75 > 10 * found["speech_to_image"]["r10_chance"]
