"""A picture network that is trained whole, on pictures made small first, so that it begins with random weights.

harwath2019 (section 4.5) trains both branches from random weights. At 224 x 224 that takes a GPU; on two cores a narrow
AlexNet on pictures of 128 x 128 does, and its small pictures are kept like the maps of a frozen backbone.

Shapes: B pictures, H W pixels, S pixels of a side, h w grid, D embedding.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from vgs_lib.encoders.backbones import make_backbone
from vgs_lib.encoders.image import ImageEncoder


class SmallPictures(ImageEncoder):
    """A backbone with random weights on pictures of ``size`` x ``size``, batch normalisation, a 1x1 convolution.

    ``features`` makes the picture small, which has no weights and can be cached; ``project`` is the whole network, all
    of it trained. AlexNet gives 7 x 7 places at a size of 128, as ResNet50 at 224, and 3 x 3 at 64.

    Args:
        network: a name of ``backbones.py``; its coarsest map is taken.
        size: S, of a side in pixels.
        width: share of the network's channels.
        dim: embedding size D.

    Raises ValueError for an unknown network, one that gives a vector, or a size that leaves no place.
    """

    def __init__(self, *, network: str = "alexnet", size: int = 128, width: float = 0.5, dim: int = 256):
        if size < 64:
            raise ValueError(f"size: found {size}, expected 64 or more pixels.")
        made = make_backbone(network, pretrained=False, width=width)
        if made.is_vector:
            raise ValueError(f"{network} gives one vector, not a map; choose another network.")
        super().__init__(_Resized(size), frozen=True, obtained=False, mean=(0.0,) * 3, std=(1.0,) * 3)
        self.features_as = f"pictures of {size} x {size}"
        self.strides, self.stride, self.dim = made.strides, made.strides[-1], dim
        self.network = made.network
        self.norm = nn.BatchNorm2d(made.channels[-1], affine=False)
        self.conv = nn.Conv2d(made.channels[-1], dim, 1)
        self.register_buffer("shift", self.mean.new_tensor(made.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("scale", self.mean.new_tensor(made.std).view(1, -1, 1, 1), persistent=False)

    def project(self, features: Sequence[Tensor]) -> Tensor:
        """Small pictures [B, 3, S, S] in 0..1 to the image map I [B, D, h, w]."""
        (pictures,) = features
        maps = self.network((pictures.to(self.conv.weight.dtype) - self.shift) / self.scale)
        return self.conv(self.norm(maps[-1] if isinstance(maps, list | tuple) else maps))


class _Resized(nn.Module):
    """Pictures [B, 3, H, W] to [B, 3, S, S]."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def forward(self, pictures: Tensor) -> Tensor:
        return F.interpolate(pictures, (self.size, self.size), mode="bilinear", antialias=True)
