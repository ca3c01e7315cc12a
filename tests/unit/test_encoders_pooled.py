"""Pictures to one vector: ten crops, CBAM by placement in a network and over cached maps, sizes of the documents."""

import numpy as np
import pytest
import torch
import toy_cam
from torch.nn import functional
from torchvision.transforms.functional import ten_crop

from vgs_lib.batches.frozen_features import picture_key
from vgs_lib.encoders import ConvMap, PooledPictures
from vgs_lib.encoders.cbam import record_cbam
from vgs_lib.explain.attention import cbam_maps
from vgs_lib.model import DualEncoder


def pictures(num: int = 2, height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.rand(num, 3, height, width, generator=torch.Generator().manual_seed(1))


def normal(x: torch.Tensor) -> torch.Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (x - mean[:, None, None]) / std[:, None, None]


def count(module: torch.nn.Module, *, trained: bool = False) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trained)


def settled(encoder: PooledPictures) -> PooledPictures:
    """With the statistics of a batch in its batch normalisations: without them a random ResNet's values explode."""
    for module in encoder.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        encoder.train()(pictures(4))
    return encoder.eval()


@pytest.mark.parametrize(("attention", "channels"), [("none", 0), ("B3", 1024), ("B4", 2048)], ids=["none", "B3", "B4"])
def test_sizes_of_tian2020(attention, channels):
    with torch.device("meta"):
        encoder = PooledPictures(attention=attention, batch_norm=True, dim=2048, pretrained=False)
        image_map = encoder.eval()(torch.zeros(2, 3, 244, 244))
    assert image_map.shape == (2, 2048, 1, 1) and encoder.dim == 2048 and encoder.stride == 32 and encoder.pooled
    cbam = 2 * channels * (channels // 16) + 2 * 49 if channels else 0
    assert count(encoder, trained=True) == 42_500_160 + cbam + 2 * 2048 + 2048 * 2048 + 2048


def test_sizes_of_ni2018_merkx2019_and_aytar2017():
    with torch.device("meta"):
        ni = PooledPictures(backbone="vgg16_fc7", frozen=True, pretrained=False)
        merkx = PooledPictures(
            backbone="resnet152", frozen=True, crops=10, dim=2048, normalize=True, pretrained=False
        ).eval()
        aytar = PooledPictures(backbone="alexnet", dim=256, pretrained=False)
        for encoder in (ni, merkx, aytar):
            assert encoder(torch.zeros(2, 3, 256, 256)).shape == (2, encoder.dim, 1, 1)
        (features,) = ni.features(torch.zeros(2, 3, 224, 224))
    assert features.shape == (2, 4096, 1, 1) and ni.dim == 1024
    assert count(ni) - count(ni, trained=True) == 134_260_544 and count(ni, trained=True) == 4096 * 1024 + 1024
    assert count(merkx, trained=True) == 2048 * 2048 + 2048 and count(merkx.backbone) == 58_143_808
    assert count(aytar) == 2_469_696 + 256 * 256 + 256


@pytest.mark.parametrize(("attention", "place"), [("B3", "16"), ("B4", "32")])
def test_cbam_stands_in_a_trained_resnet(attention, place):
    torch.manual_seed(0)
    options = {"backbone": "resnet50", "width": 0.0625, "batch_norm": True, "pretrained": False}
    encoder = settled(PooledPictures(attention=attention, dim=7, **options))
    network, x = encoder.backbone, pictures()
    assert list(network.behind) == [place] and not hasattr(encoder, "cbam") and encoder.strides == (32,)
    cbam = network.behind[place]
    with torch.no_grad(), record_cbam(encoder) as recorded:
        middle = network.layer3(network.layer2(network.layer1(network.stem(normal(x)))))
        last = network.layer4(cbam(middle)) if attention == "B3" else cbam(network.layer4(middle))
        vector = last.mean(dim=(2, 3))
        vector = (vector - encoder.norm.running_mean) / (encoder.norm.running_var + encoder.norm.eps).sqrt()
        torch.testing.assert_close(encoder(x)[..., 0, 0], encoder.linear(vector))
    gates = recorded[f"backbone.behind.{place}"]
    assert 0.05 < gates.places.min() < gates.places.max() < 0.95  # it does something
    encoder.train()(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in cbam.parameters())


@pytest.mark.parametrize(
    ("attention", "strides"),
    [("none", (16, 32)), ("B3", None), ("B4", (16, 32)), ("B4", None), ("none", None), ("B3", (8, 16, 32))],
)
def test_cbam_over_the_maps_of_a_frozen_backbone(attention, strides):
    torch.manual_seed(0)
    encoder = PooledPictures(backbone="lite0", frozen=True, attention=attention, strides=strides, reduction=8, dim=6)
    encoder.train()
    x = pictures()
    features = encoder.features(x)
    chosen = strides or ((16, 32) if attention == "B3" else (32,))
    assert encoder.strides == chosen and not any(f.requires_grad for f in features)
    for map_, stride in zip(features, chosen, strict=True):
        side = 1 if attention == "none" else 64 // stride
        assert map_.shape == (2, {8: 40, 16: 112, 32: 320}[stride], side, side)
    maps = list(whole_maps(encoder, x))
    if attention != "none":
        place = chosen.index(16) if attention == "B3" else len(chosen) - 1
        assert encoder.cbam.channel.mlp[0].in_features == maps[place].shape[1]
        gates = encoder.cbam.channel(maps[place])
        weighted = maps[place] * gates
        maps[place] = weighted * encoder.cbam.spatial(weighted)
    expected = torch.cat([m.flatten(2).mean(dim=2) for m in maps], dim=1) @ encoder.linear.weight.T
    image_map = encoder(x)
    torch.testing.assert_close(image_map[..., 0, 0], expected + encoder.linear.bias, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(encoder.project(features), image_map)
    half = encoder.project([f.half() for f in features])
    torch.testing.assert_close(half, image_map, atol=0.02, rtol=0.02)
    image_map.square().sum().backward()
    assert all(p.grad is None for p in encoder.backbone.parameters())
    assert not any(m.training for m in encoder.backbone.modules())
    assert all(p.grad is not None for name, p in encoder.named_parameters() if not name.startswith("backbone."))


def whole_maps(encoder: PooledPictures, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The whole maps of the same backbone."""
    with torch.no_grad():
        return tuple(encoder.backbone((x - encoder.mean) / encoder.std))


def test_cbam_over_the_maps_of_another_trained_network():
    with torch.device("meta"):
        encoder = PooledPictures(backbone="resnet18", attention="B3", pretrained=False, dim=4)
        assert encoder(torch.zeros(2, 3, 64, 64)).shape == (2, 4, 1, 1)
    assert encoder.strides == (16, 32) and encoder.linear.in_features == 256 + 512
    assert encoder.cbam.channel.mlp[0].in_features == 256 and encoder.features_as is None


def test_ten_crops_are_torchvisions():
    torch.manual_seed(0)
    encoder = PooledPictures(backbone="vgg16", width=1 / 32, frozen=True, pretrained=False, crops=10, normalize=True)
    x = pictures(2, 64, 128)
    (found,) = encoder.features(x)
    crops = ten_crop(normal(x), [56, 112])
    assert len(crops) == 10
    expected = torch.stack([encoder.backbone(crop).mean(dim=(2, 3)) for crop in crops]).mean(dim=0)
    torch.testing.assert_close(found[..., 0, 0], expected)
    image_map = encoder(x)
    torch.testing.assert_close(image_map, encoder.project([found]))
    torch.testing.assert_close(image_map.norm(dim=1), torch.ones(2, 1, 1))
    whole = PooledPictures(backbone="vgg16", width=1 / 32, frozen=True, pretrained=False)
    whole.load_state_dict(encoder.state_dict())
    assert not torch.allclose(whole.features(x)[0], found, rtol=0.01)


def test_batch_normalisation_stands_before_the_linear_layer():
    torch.manual_seed(0)
    encoder = PooledPictures(backbone="lite0", frozen=True, batch_norm=True, dim=5).train()
    features = [torch.randn(6, 320, 1, 1)]
    vector = features[0][..., 0, 0]
    vector = (vector - vector.mean(dim=0)) / (vector.var(dim=0, correction=0) + 1e-5).sqrt()
    expected = functional.linear(vector, encoder.linear.weight, encoder.linear.bias)
    torch.testing.assert_close(encoder.project(features)[..., 0, 0], expected, atol=1e-5, rtol=1e-4)


def test_caches_keep_pooled_features_apart():
    kept = [
        ConvMap(backbone="vgg16", width=1 / 64, frozen=True, pretrained=False),
        PooledPictures(backbone="vgg16", width=1 / 64, frozen=True, pretrained=False),
        PooledPictures(backbone="vgg16", width=1 / 64, frozen=True, pretrained=False, crops=10),
        PooledPictures(backbone="vgg16", width=1 / 64, frozen=True, pretrained=False, attention="B4"),
    ]
    for encoder in kept[1:]:
        encoder.backbone.load_state_dict(kept[0].backbone.state_dict())
    maps, means, crops, attended = map(picture_key, kept)
    assert maps == attended and set(maps) == {"strides", "weights"}  # both keep whole maps
    assert means != maps and crops != maps and means != crops


def test_cbam_maps_of_a_picture():
    speech = toy_cam.ToySpeech()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for options, name in (
        ({"backbone": "lite0", "frozen": True}, "cbam"),
        ({"backbone": "resnet50", "width": 0.05, "pretrained": False}, "backbone.behind.16"),
    ):
        encoder = PooledPictures(attention="B3", dim=speech.dim, **options)
        encoder = encoder.eval() if encoder.backbone_frozen else settled(encoder)
        maps, sentence = cbam_maps(DualEncoder(encoder, speech), pixels)
        assert list(maps) == [name] and sentence.endswith(f"(PooledPictures) has CBAM at 1 places: {name}.")
        assert 0 < maps[name].min() < maps[name].max() < 1
    with record_cbam(encoder) as recorded:
        encoder(pictures(1))
    assert recorded[name].places.shape == (1, 4, 4)


def test_options_that_cannot_be():
    for options, message in [
        ({"attention": "B5"}, 'attention: expected "none", "B3" or "B4", found \'B5\''),
        ({"crops": 5}, "crops: expected 1, or 10"),
        ({"crops": 10, "attention": "B3", "frozen": True}, "crops"),
        ({"backbone": "vgg16", "attention": "B3"}, r"vgg16 has maps of strides \[16\], not \[32\]"),
        ({"backbone": "vgg16_fc7", "attention": "B4", "width": 0.01}, "weights a map, found vgg16_fc7"),
        ({"backbone": "lite0", "attention": "B3", "strides": (32,)}, "weights a map, found lite0"),
        ({"backbone": "resnet50", "attention": "B4", "strides": (16,), "width": 0.05}, "block 4"),
    ]:
        with pytest.raises(ValueError, match=message):
            PooledPictures(pretrained=False, **options)
