"""Score-CAM (Wang et al. 2020), a few channels at a time. Shapes: B pictures, C channels, H W pixels, h w grid."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from pytorch_grad_cam import ScoreCAM
from torch import Tensor
from torch.nn import functional as F

CHANNELS_AT_ONCE = 4


class LeanScoreCAM(ScoreCAM):
    """The package's Score-CAM, which holds the picture once for each channel (70 MB for 112) and draws a progress bar.

    The weight of a channel is the softmax over the channels of the target's value for the picture times the channel.
    """

    def get_cam_weights(
        self,
        input_tensor: Tensor,
        target_layer: list,
        targets: Sequence[Callable[[Tensor], Tensor]],
        activations: np.ndarray,
        grads: np.ndarray | None,
    ) -> np.ndarray:
        """Weights [B, C] of activations [B, C, h, w]."""
        rows = []
        with torch.no_grad():
            for picture, target, channels in zip(input_tensor, targets, activations, strict=True):
                scores: list[float] = []
                for few in torch.from_numpy(channels)[:, None].to(self.device).split(CHANNELS_AT_ONCE):
                    masks = F.interpolate(few, picture.shape[-2:], mode="bilinear", align_corners=True)
                    low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
                    outputs = self.model(picture * (masks - low) / (high - low + 1e-8))
                    scores += [float(target(output)) for output in outputs]
                rows.append(torch.tensor(scores).softmax(dim=0))
        return torch.stack(rows).numpy()
