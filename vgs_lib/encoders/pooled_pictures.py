"""Pictures to one vector: a backbone, its mean over places, and a linear layer. With or without CBAM (tian2020).

| system | how |
|---|---|
| ni2018 | ``backbone="vgg16_fc7", frozen=True, dim=1024`` |
| merkx2019 | ``backbone="resnet152", frozen=True, crops=10, dim=2048, normalize=True`` |
| tian2020 | ``backbone="resnet101", attention="B3", batch_norm=True, dim=2048`` (its ablation: "none", "B4") |
| aytar2017 | ``backbone="alexnet"`` |

Shapes: B pictures, H W pixels, h w grid, C channels, D embedding.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgs_lib.encoders.backbones import RESNETS, ResNetStages, make_backbone
from vgs_lib.encoders.cbam import CBAM
from vgs_lib.encoders.image import ImageEncoder
from vgs_lib.encoders.layers import MaskedBatchNorm, scaled

BEHIND = {"B3": 16, "B4": 32}  # the stride of the map that a placement of CBAM weights
CROP = 7 / 8  # of a side: 224 of 256 pixels


class PooledPictures(ImageEncoder):
    """One vector of a picture, as an image map [B, D, 1, 1].

    The means over places of the backbone's maps of ``strides`` are joined to one vector [B, C]; then batch
    normalisation with ``batch_norm``, a linear layer to ``dim``, and unit L2 norm with ``normalize``.

    ``attention`` (tian2020, section 5.3.5) places CBAM behind block 3 ("B3") or 4 ("B4") of a ResNet, that is on the
    map of stride 16 or 32. In a ResNet that is trained it stands in the network, as in the document: block 4 reads what
    block 3 gave and CBAM weighted. Elsewhere (a frozen backbone, whose maps can be cached, or another network) it
    belongs to ``project`` and weights a given map before its mean: "B4" the coarsest, "B3" the one of stride 16, whose
    mean is joined to that of stride 32. To compare placements there, give all of them ``strides=(16, 32)``: then only
    the attention differs.

    tian2020 names the layers behind the network in two orders (Fig. 4.1 and section 4.1.1); here it is pooling, batch
    normalisation, linear layer. ni2018's frozen layers end with fc7 and its ReLU.

    Args:
        backbone: a name of ``backbones.py``.
        dim: embedding size D; None takes 1024 * ``width``.
        width: also scales the channels of a backbone with random weights (see :func:`make_backbone`).
        attention: "none", "B3" or "B4". reduction: of CBAM.
        strides: of the maps that are joined; None takes the coarsest, and (16, 32) where "B3" is outside the network.
        crops: 10 averages the vectors of ten crops, as the features of merkx2019: the corners and the centre, 7/8 of
            each side (224 of 256 pixels), and their mirror images; 1 takes the whole picture.

    Raises ValueError for an unknown option or a backbone without the maps, DownloadError where weights cannot be had.
    """

    pooled = True

    def __init__(
        self,
        *,
        backbone: str = "resnet101",
        dim: int | None = None,
        width: float = 1.0,
        attention: str = "none",
        reduction: int = 16,
        strides: Sequence[int] | None = None,
        crops: int = 1,
        batch_norm: bool = False,
        normalize: bool = False,
        frozen: bool = False,
        pretrained: bool = True,
    ):
        if attention != "none" and attention not in BEHIND:
            raise ValueError(f'attention: expected "none", "B3" or "B4", found {attention!r}.')
        inside = attention != "none" and not frozen and backbone in RESNETS
        outside = attention != "none" and not inside
        if crops not in (1, 10) or (crops == 10 and outside):
            raise ValueError(
                f"crops: expected 1, or 10 without attention over cached maps; found {crops} with {attention!r}."
            )
        if strides is None and outside and attention == "B3":
            strides = (16, 32)
        made = make_backbone(backbone, strides=strides, pretrained=pretrained, width=width)
        if outside and (made.is_vector or (attention == "B3" and 16 not in made.strides)):
            raise ValueError(f"attention: {attention!r} weights a map, found {backbone} with strides {made.strides}.")
        super().__init__(made.network, frozen=frozen, obtained=pretrained, mean=made.mean, std=made.std)
        self.strides = made.strides
        self.stride = made.strides[-1]
        self.dim = dim or scaled(1024, width)
        self.crops = crops
        self.normalize = normalize
        self.attended: int | None = None  # which of the maps CBAM weights in ``project``
        if inside:
            _place(self.backbone, BEHIND[attention], reduction)
        elif outside:
            self.attended = self.strides.index(16) if attention == "B3" else len(self.strides) - 1
            self.cbam = CBAM(made.channels[self.attended], reduction=reduction)
        if self.attended is None:
            self.features_as = "means" if crops == 1 else "means of ten crops"
        self.norm = MaskedBatchNorm(sum(made.channels)) if batch_norm else None
        self.linear = nn.Linear(sum(made.channels), self.dim)

    def features(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """The backbone's maps of pictures [B, 3, H, W] in 0..1; their means [B, C, 1, 1] where no CBAM reads them."""
        if self.attended is not None:
            return super().features(pictures)
        crops = [pictures] if self.crops == 1 else ten_crops(pictures)
        means = [[x.mean(dim=(2, 3), keepdim=True) for x in super(PooledPictures, self).features(c)] for c in crops]
        return tuple(torch.stack(level).mean(dim=0) for level in zip(*means, strict=True))

    def project(self, features: Sequence[Tensor]) -> Tensor:
        """Backbone maps or their means (any float type) to the image map I [B, D, 1, 1]."""
        maps = [x.to(self.linear.weight.dtype) for x in features]
        if self.attended is not None:
            maps[self.attended] = self.cbam(maps[self.attended])
        vector = torch.cat([x.mean(dim=(2, 3)) for x in maps], dim=1)
        if self.norm is not None:
            vector = self.norm(vector[..., None])[..., 0]
        vector = self.linear(vector)
        return (F.normalize(vector, dim=1) if self.normalize else vector)[..., None, None]


def _place(network: ResNetStages, stride: int, reduction: int) -> None:
    if stride == 32 and network.layer4 is None:
        raise ValueError("attention: B4 stands behind block 4, whose stride of 32 is not among the strides.")
    stage = network.layer3 if stride == 16 else network.layer4
    network.place(stride, CBAM(stage[-1].bn3.num_features, reduction=reduction))


def ten_crops(pictures: Tensor) -> Iterator[Tensor]:
    """The corners and the centre of pictures [B, 3, H, W], 7/8 of each side, and the mirror image of each."""
    height, width = pictures.shape[-2:]
    rows, columns = round(height * CROP), round(width * CROP)
    bottom, right = height - rows, width - columns
    for top, left in ((0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)):
        crop = pictures[..., top : top + rows, left : left + columns]
        yield crop
        yield crop.flip(-1)
