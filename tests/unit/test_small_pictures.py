"""A picture network trained whole on small pictures, which are cached in place of a frozen backbone's maps."""

import pytest
import torch
import torch.nn.functional as F

from vgs_lib.batches.frozen_features import picture_key
from vgs_lib.encoders.small_pictures import SmallPictures
from vgs_lib.errors import CheckpointError
from vgs_lib.recipes import Part, Recipe, build_model


def test_a_picture_is_made_small_then_the_whole_network_is_trained():
    torch.manual_seed(0)
    encoder = SmallPictures(size=64, width=1 / 16, dim=8).train()
    pictures = torch.rand(2, 3, 224, 224)
    (small,) = encoder.features(pictures)
    assert torch.equal(small, F.interpolate(pictures, (64, 64), mode="bilinear", antialias=True))
    image_map = encoder(pictures)
    assert image_map.shape == (2, 8, 3, 3) and encoder.dim == 8 and not encoder.pooled
    image_map.square().sum().backward()
    assert all(p.requires_grad and p.grad.abs().sum() > 0 for p in encoder.parameters())
    encoder.eval()
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    by_hand = encoder.conv(encoder.norm(encoder.network((small - mean) / std)))
    assert torch.allclose(encoder.project((small,)), by_hand, atol=1e-6)
    assert torch.allclose(encoder.project((small.half(),)), by_hand, atol=2e-2)  # as a bank keeps it


@pytest.mark.parametrize(("network", "size", "places"), [("alexnet", 96, 5), ("alexnet", 128, 7), ("resnet50", 64, 2)])
def test_places(network, size, places):
    encoder = SmallPictures(network=network, size=size, width=1 / 16, dim=4).eval()
    assert encoder(torch.rand(1, 3, 224, 224)).shape == (1, 4, places, places)


def test_pictures_of_other_sizes_are_cached_apart():
    keys = [picture_key(SmallPictures(size=size, width=1 / 16, dim=4)) for size in (64, 96, 96)]
    assert keys[0] != keys[1] == keys[2]


def test_what_cannot_be_built_is_said():
    for options, words in (({"size": 32}, "size: found 32"), ({"network": "vgg16_fc7"}, "gives one vector")):
        with pytest.raises(ValueError, match=words):
            SmallPictures(width=1 / 16, **options)
    with pytest.raises(CheckpointError, match="size: found 8"):
        build_model(Recipe("x", Part("small_pictures", {"size": 8}), Part("davenet", {"width": 1 / 32, "dim": 256})))
