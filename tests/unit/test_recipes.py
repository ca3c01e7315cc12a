"""Recipes: plain data that goes to JSON and back, builds its model, and says what is wrong with it."""

import copy
import dataclasses
import json
import math

import pytest

from vgs_lib.batches.scene_batches import SceneData
from vgs_lib.data.augment import Augmentation
from vgs_lib.encoders import DAVEnet, ResDAVEnet, TimmPyramid
from vgs_lib.errors import CheckpointError, TrainingError, VgsError
from vgs_lib.model import DualEncoder
from vgs_lib.recipes import RECIPES, Part, Recipe, build_model, recipe
from vgs_lib.training import FitSettings, ScoreLoss

SMALL = Recipe(
    name="small",
    image=Part("timm", {"strides": [16, 32], "dim": 12, "weights": None, "name": "tf_efficientnet_lite0"}),
    audio=Part("davenet", {"width": 1 / 32, "dim": 12}),
    kind="sima",
    temperature=0.2,
    loss=ScoreLoss("all_pairs_hinge", mix_steps=3, coarse=((2, 2),), options={"margin": 0.5}),
    data=SceneData(
        num_scenes=12,
        batch_size=3,
        seed=5,
        takes=3,
        phases=((10, 1), (20, 2)),
        even_engines=True,
        people=("fr", "el"),
        people_share=0.25,
        mask_frames=7,
        augmentation=Augmentation(speed=(0.9, 1.1), noise_chance=0.25),
    ),
    fit=FitSettings(steps=7, betas=(0.8, 0.95), gradient_clip=None, keep_best="iou", precision="bf16"),
)


@pytest.mark.parametrize("one", [SMALL, *RECIPES.values()], ids=lambda one: one.name)
def test_goes_to_json_and_back(one):
    again = Recipe.from_dict(json.loads(json.dumps(one.to_dict())))
    assert again == one
    assert Recipe.from_dict(again.to_dict()).to_dict() == one.to_dict()
    assert isinstance(again.data.phases, tuple) and isinstance(again.data.augmentation.speed, tuple)
    assert all(isinstance(phase, tuple) for phase in again.data.phases) and isinstance(again.fit.betas, tuple)


def test_reading_leaves_the_json_alone():
    fields = SMALL.to_dict()
    before = copy.deepcopy(fields)
    Recipe.from_dict(fields)
    assert fields == before


def test_every_field_is_in_the_json():
    fields = SMALL.to_dict()
    assert fields.keys() == {field.name for field in dataclasses.fields(Recipe)}
    assert fields["data"]["augmentation"]["noise_chance"] == 0.25 and fields["loss"]["options"] == {"margin": 0.5}


LATER = {"num_classes", "initial", "document", "chosen"}  # fields that the first stored recipes do not have


def test_a_recipe_of_an_older_version_is_read():
    fields = {key: value for key, value in SMALL.to_dict().items() if key not in LATER}
    assert Recipe.from_dict(fields) == SMALL
    named = dataclasses.replace(
        SMALL, num_classes=3, initial="natural-sounds", document="ni2018, introduction", chosen="a batch of 3"
    )
    assert Recipe.from_dict(named.to_dict()) == named


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(Recipe) if field.name not in LATER])
def test_a_recipe_that_lacks_a_field_is_a_checkpoint_error(key):
    fields = SMALL.to_dict()
    del fields[key]
    with pytest.raises(CheckpointError, match=key):
        Recipe.from_dict(fields)


@pytest.mark.parametrize("key", ["image", "audio", "loss", "data", "fit"])
@pytest.mark.parametrize("damage", [None, 7, "text", []])
def test_a_field_of_another_type_is_a_checkpoint_error(key, damage):
    with pytest.raises(CheckpointError, match=r"model\.json"):
        Recipe.from_dict({**SMALL.to_dict(), key: damage})


@pytest.mark.parametrize(
    ("key", "damage"),
    [
        ("kind", "loudest"),
        ("kind", None),
        ("temperature", None),
        ("temperature", 0),
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", "warm"),
    ],
)
def test_a_kind_or_temperature_that_cannot_be_is_a_checkpoint_error(key, damage):
    with pytest.raises(CheckpointError, match=key):
        build_model(Recipe.from_dict({**SMALL.to_dict(), key: damage}))


@pytest.mark.parametrize("part", ["image", "audio", "loss", "data", "fit"])
def test_a_field_of_another_version_is_a_checkpoint_error(part):
    fields = SMALL.to_dict()
    fields[part]["hitherto_unknown"] = 1
    with pytest.raises(CheckpointError, match="hitherto_unknown"):
        Recipe.from_dict(fields)


@pytest.mark.parametrize("fields", [None, [], "text", 3, {}])
def test_what_is_no_object_is_a_checkpoint_error(fields):
    with pytest.raises(CheckpointError, match=r"model\.json"):
        Recipe.from_dict(fields)


@pytest.mark.parametrize(
    ("part", "key", "value"), [("fit", "steps", 0), ("fit", "schedule", "zigzag"), ("loss", "name", "no")]
)
def test_impossible_settings_are_an_error_of_this_library(part, key, value):
    fields = SMALL.to_dict()
    fields[part][key] = value
    with pytest.raises(VgsError, match=str(value)):
        Recipe.from_dict(fields)


def test_a_model_is_built_as_the_recipe_says():
    model = build_model(SMALL)
    assert isinstance(model, DualEncoder) and model.kind == "sima"
    assert model.logit_scale.item() == pytest.approx(math.log(5), abs=1e-6)
    assert isinstance(model.image_encoder, TimmPyramid) and model.image_encoder.strides == (16, 32)
    assert isinstance(model.audio_encoder, DAVEnet) and model.image_encoder.dim == model.audio_encoder.dim == 12
    other = dataclasses.replace(SMALL, audio=Part("resdavenet", {"width": 1 / 32, "dim": 12}))
    assert isinstance(build_model(other).audio_encoder, ResDAVEnet)


@pytest.mark.parametrize("part", ["image", "audio"])
def test_an_encoder_that_is_not_known_is_named_with_those_that_are(part):
    with pytest.raises(CheckpointError, match=r"recipe small: no encoder 'transformer', expected one of .*"):
        build_model(dataclasses.replace(SMALL, **{part: Part("transformer")}))


@pytest.mark.parametrize(
    ("part", "options"),
    [
        ("audio", {"width": 1 / 32, "dim": 12, "colour": 1}),
        ("image", {"dim": 12, "weights": "x"}),
        ("audio", {"dim": 5}),  # other dimensions than the pictures
        ("audio", {"width": "wide"}),
        ("image", {"dim": -3}),
        ("image", None),
    ],
)
def test_options_that_do_not_fit_are_a_checkpoint_error(part, options):
    changed = dataclasses.replace(SMALL, **{part: Part(getattr(SMALL, part).name, options)})
    with pytest.raises(CheckpointError, match=f"recipe small: .*{part}"):
        build_model(changed)


def test_a_recipe_that_is_not_there_is_said_with_those_that_are():
    assert recipe("stamps-demo") is RECIPES["stamps-demo"]
    with pytest.raises(TrainingError, match=r"'demo'; there are .*stamps-demo"):
        recipe("demo")


def test_the_shipped_recipes_are_those_of_the_two_checkpoints():
    assert {"stamps-demo", "stamps-scratch"} <= RECIPES.keys()
    for name, one in RECIPES.items():
        assert one.name == name
        assert sum(steps for steps, _ in one.data.phases) < one.fit.steps
    assert RECIPES["stamps-demo"].audio.name == "whisper"
    assert RECIPES["stamps-scratch"].audio.name in ("davenet", "resdavenet")  # no transcript is ever seen
