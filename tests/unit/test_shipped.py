"""The shipped checkpoints: what their cards say comes out of ``evaluate``, and the weights stay small."""

import json

import pytest

from vgs_lib.__main__ import main
from vgs_lib.cards import read_figures, table
from vgs_lib.checkpoints import find_checkpoint, read_config
from vgs_lib.recipes import RECIPES, Recipe, recipe

TOLERANCE, MOST_BYTES = 0.005, 20e6
PEOPLES_R10 = {"stamps-demo": 0.75, "stamps-scratch": 0.20}  # at least, on people's English recordings
CARD_SPLITS = {"test", "test-hard", "test-human-en", "validation", "validation-human-en"}


def test_every_recipe_is_shipped():
    assert PEOPLES_R10.keys() == RECIPES.keys()


@pytest.mark.parametrize("name", PEOPLES_R10)
def test_the_card_shows_the_recorded_figures_and_the_folder_is_small(name):
    folder = find_checkpoint(name)
    assert table(read_figures(name)) in (folder / "README.md").read_text(encoding="utf-8")
    assert sum(file.stat().st_size for file in folder.iterdir()) < MOST_BYTES
    assert CARD_SPLITS <= read_figures(name).keys()


@pytest.mark.parametrize("name", PEOPLES_R10)
def test_the_checkpoint_was_made_by_the_recipe_of_its_name(name):
    assert Recipe.from_dict(read_config(name)["recipe"]) == recipe(name)  # settings it does not know are the defaults


@pytest.mark.slow
@pytest.mark.parametrize("name", PEOPLES_R10)
def test_evaluate_reproduces_the_card_on_peoples_recordings(name, capsys):
    assert main(["evaluate", "--checkpoint", name, "--split", "test-human-en", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    card = read_figures(name)["test-human-en"]
    for direction in ("speech_to_image", "image_to_speech"):
        for figure in ("r1", "r5", "r10"):
            assert found[direction][figure] == pytest.approx(card[direction][figure], abs=TOLERANCE)
    for figure in ("pointing", "mean_iou"):
        assert found[figure] == pytest.approx(card[figure], abs=TOLERANCE)
    assert found["speech_to_image"]["r10"] >= PEOPLES_R10[name] > 10 * found["speech_to_image"]["r10_chance"]
