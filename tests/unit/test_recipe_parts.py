"""The parts of a recipe in words, and its parameters counted without memory or weights."""

import pytest

from vgs_lib.benchmark.conditions import Conditions
from vgs_lib.errors import CheckpointError
from vgs_lib.recipes import SYSTEMS, Part, Recipe, Scale, build, recipe
from vgs_lib.recipes.parts import Parameters, parameters, parameters_table, parts, parts_table

OURS = Conditions().scale


def test_the_documents_sizes():
    found = parameters(recipe("zhang2020-vgg16-5"))
    assert found["audio"] == Parameters(15_965_570, 15_965_570)  # DAVEnet-5 of the published code
    # VGG16's thirteen convolutions and the 3 x 3 convolution to 1024
    assert found["image"].all == 14_714_688 + 512 * 1024 * 9 + 1024


def test_counts_equal_those_of_the_model_itself():
    scale = Scale(width=0.25, dim=64, frames=1024, pictures="lite0")
    found, model = parameters(recipe("harwath2019-sisa-shn"), scale), build("harwath2019-sisa-shn", scale)
    for side, encoder in (("image", model.image_encoder), ("audio", model.audio_encoder)):
        assert found[side].all == sum(p.numel() for p in encoder.parameters())
        assert found[side].trained == sum(p.numel() for p in encoder.parameters() if p.requires_grad)
    assert found["image"].trained < found["image"].all  # a frozen backbone


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_is_counted_at_both_sizes_without_weights(name, monkeypatch):
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", lambda *_, **__: pytest.fail("weights were asked for"))
    theirs, ours = parameters(recipe(name)), parameters(recipe(name), OURS)
    assert all(0 < ours[side].all < theirs[side].all for side in ("image", "audio"))


def test_a_recipe_in_words():
    found = parts(recipe("ni2018-three-anchor"))
    assert found["loss"] == "three_anchor_triplet (margin 1.0)" and found["similarity"] == "dot"
    assert found["batch"] == "128 pairs" and "learning rate 0.00025" in found["optimizer"]
    assert "momentum 0.9" in parts(recipe("harwath2019-misa"))["optimizer"]
    assert parts_table(recipe("tian2020")).splitlines()[0] == "| part | tian2020 |"


def test_the_table_has_a_line_for_each_system():
    lines = parameters_table([recipe("zhang2020-vgg16-5"), recipe("harwath2019-misa")], OURS).splitlines()
    assert len(lines) == 4 and lines[2].startswith("| zhang2020-vgg16-5 | 19.4 | 16.0 | 3.0 | 1.0 |")


def test_a_recipe_that_cannot_be_built_is_named():
    broken = Recipe("mine", Part("conv_map", {"backbone": "vgg16"}), Part("radio"))
    with pytest.raises(CheckpointError, match="recipe mine: no encoder 'radio'"):
        parameters(broken)
