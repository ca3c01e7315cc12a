"""The documents' own picture networks, with random weights: from batches of scenes to figures, to disk and back.

Elsewhere EfficientNet-Lite0 stands in for them. Pictures and speech sides are small; frozen networks have few channels.
"""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from vgs_lib.batches.held_out import HeldOut
from vgs_lib.batches.scene_batches import SceneBatches, SceneData
from vgs_lib.checkpoints import load_model, save_model
from vgs_lib.data.scenes import Scenes
from vgs_lib.encoders.pooled_pictures import ten_crops
from vgs_lib.recipes import Part, Recipe, Scale, build_model, recipe, scaled
from vgs_lib.seeds import seeded
from vgs_lib.studies.study import recalls
from vgs_lib.training import EvaluationEvent, Event, StepEvent, fit

SCALE = Scale(width=1 / 16, dim=16, frames=200)
SIZE, STEPS, HELD_OUT = 64, 3, 6
TRAINED = ("harwath2019-sisa-shn", "harwath2019-vgg-sisa-shn", "tian2020")  # ResNet50, VGG16, ResNet-101 with CBAM
FROZEN = {"chrupala2017": 1, "merkx2019": 10}  # VGG16's fc7 of whole pictures, ResNet152 of ten crops


def plan_of(name: str, **options) -> Recipe:
    """A system with its own picture network, random weights in it, few scenes and steps."""
    plan = scaled(recipe(name), SCALE)
    return dataclasses.replace(
        plan,
        image=Part(plan.image.name, {**plan.image.options, "pretrained": False, **options}),
        data=SceneData(num_scenes=16, batch_size=4, takes=1),
        fit=dataclasses.replace(plan.fit, steps=STEPS, device="cpu"),
    )


def normalised(scenes, items) -> Tensor:
    """The pictures [B, 3, S, S] of scenes as ImageNet's networks want them."""
    pictures = torch.stack([torch.from_numpy(scenes[i].picture).permute(2, 0, 1) for i in items]) / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (pictures - mean[:, None, None]) / std[:, None, None]


class World:
    """A system before its first step, its batches and the scenes it is judged on."""

    def __init__(self, plan: Recipe, stamps):
        self.plan = plan
        with seeded(plan.fit.seed, "model"):
            self.model = build_model(plan)
        self.images = self.model.image_encoder
        settle(self.images)
        self.batches = SceneBatches(self.model.eval(), Scenes(stamps, "train", size=SIZE), plan.data)
        self.held_out = HeldOut(Scenes(stamps, "validation", size=SIZE), HELD_OUT)
        self.filled = {filling.name for filling in (*self.batches.fill(), *self.held_out.fill(self.model))}
        self.before = {name: value.clone() for name, value in self.images.state_dict().items()}

    def train(self) -> tuple[list[Event], list[tuple[bool, Tensor]]]:
        """The events, and what the picture network saw, with whether it was in training mode."""
        right, seen = torch.eye(HELD_OUT, dtype=torch.bool), []
        judge = lambda model: recalls(model, self.held_out.batches(model), right)
        watch = self.images.backbone.register_forward_pre_hook(lambda part, args: seen.append((part.training, args[0])))
        events = list(fit(self.model, self.batches, self.plan.loss, self.plan.fit, evaluate=judge))
        watch.remove()
        return events, seen

    @property
    def changed(self) -> set[str]:
        """The weights and statistics of the picture side that training changed."""
        return {name for name, value in self.images.state_dict().items() if not torch.equal(value, self.before[name])}


def settle(encoder) -> None:
    """Let a frozen network's batch normalisations know its values, which random weights make overflow otherwise."""
    norms = [part for part in encoder.backbone.modules() if isinstance(part, nn.BatchNorm2d)]
    if encoder.backbone_frozen and norms:
        for norm in norms:
            norm.momentum = None  # the mean of all batches
        encoder.backbone.train()
        encoder.features(torch.rand(8, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)))
        encoder.backbone.eval()


def check_judged_saved_and_loaded(world: World, events: list[Event], folder) -> None:
    """Finite losses, the figures, held-out scenes embedded one by one, and the embeddings of the model from disk."""
    steps = [event for event in events if isinstance(event, StepEvent)]
    assert len(steps) == STEPS and all(0 < step.loss < 1e4 and step.gradient_norm > 0 for step in steps)
    model, held_out = world.model.eval(), world.held_out
    found = held_out.embed(model)
    (judged,) = (event.figures for event in events if isinstance(event, EvaluationEvent))
    scores, right = model.score(*found), torch.arange(HELD_OUT)
    assert judged["image_to_speech_r1"] == pytest.approx((scores.argmax(1) == right).double().mean().item())
    assert judged["speech_to_image_r1"] == pytest.approx((scores.argmax(0) == right).double().mean().item())

    with torch.no_grad():
        pictures = [torch.from_numpy(held_out.scenes[i].picture).permute(2, 0, 1)[None] for i in range(HELD_OUT)]
        alone = torch.cat([model.embed_image(picture) for picture in pictures])
    error = (found[0] - alone).abs().max()  # frozen features are kept in float16
    between = (alone[:, None] - alone).abs().amax(dim=(2, 3, 4)) + 1e9 * torch.eye(HELD_OUT)
    assert error < between.min() / 10  # of two scenes, and so of no other scene than its own

    save_model(model, world.plan, folder)
    for ours, theirs in zip(found, held_out.embed(load_model(folder)), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_a_trained_picture_network_learns_from_scenes_and_comes_back_from_disk(name, world, tmp_path):
    system = World(plan_of(name), world)
    events, seen = system.train()
    assert not {"pictures", "held-out-pictures"} & system.filled  # drawn anew, not cached
    assert [training for training, _ in seen] == [True] * STEPS + [False]
    for step, (_, pictures) in enumerate(seen[:STEPS]):
        scenes = [scene for _, scene in system.batches.tellings(step)]
        torch.testing.assert_close(pictures, normalised(system.batches.scenes, scenes))

    # Every weight, CBAM's too, and every statistic of batch normalisation: of each training batch and no other.
    assert system.changed == system.before.keys()
    check_judged_saved_and_loaded(system, events, tmp_path / "model")
    counts = [value for key, value in system.images.state_dict().items() if key.endswith("num_batches_tracked")]
    assert all(count == STEPS for count in counts) and bool(counts) == ("vgg" not in name)
    assert ("backbone.behind.16.spatial.conv.weight" in system.before) == (name == "tian2020")


@pytest.mark.parametrize("name", FROZEN)
def test_a_frozen_picture_network_stays_and_the_layer_behind_it_learns(name, world, tmp_path):
    system = World(plan_of(name, width=1 / 8), world)
    assert {"pictures", "held-out-pictures"} <= system.filled
    cached, scenes = system.batches[0].image[0], [scene for _, scene in system.batches.tellings(0)]
    for row, scene in zip(cached, scenes, strict=True):
        picture = normalised(system.batches.scenes, [scene])
        crops = [picture] if FROZEN[name] == 1 else list(ten_crops(picture))
        assert len(crops) == FROZEN[name]
        with torch.no_grad():
            maps = [system.images.backbone(crop) for crop in crops]
        vectors = [(one[-1] if isinstance(one, tuple) else one).mean(dim=(2, 3))[0] for one in maps]
        torch.testing.assert_close(row[:, 0, 0].float(), sum(vectors) / len(vectors), atol=2e-3, rtol=2e-3)

    events, seen = system.train()
    assert not seen  # its features are read from the cache
    assert system.changed == {"linear.weight", "linear.bias"}  # no weight and no statistic of the network
    check_judged_saved_and_loaded(system, events, tmp_path / "model")
