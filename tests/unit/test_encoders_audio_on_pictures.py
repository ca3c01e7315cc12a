"""DAVEnet and ResDAVEnet beside what the documents print: a spectrogram as a picture, two-dimensional kernels."""

import torch
import torch.nn.functional as F
from torch import nn

from vgs_lib.encoders import DAVEnet, ResDAVEnet


def with_running_statistics(encoder: nn.Module) -> nn.Module:
    """The encoder for evaluation, its batch normalisations with other statistics and scales than at the start."""
    for module in encoder.modules():
        if hasattr(module, "running_var"):
            for tensor in (module.running_mean, module.bias.data):
                nn.init.normal_(tensor)
            for tensor in (module.running_var, module.weight.data):
                nn.init.uniform_(tensor, 0.5, 2)
    return encoder.eval()


class Picture:
    """The documents' way: a spectrogram [B, 1, F, T] as a picture, filters F x 1 and 1 x k, by a state dict's names."""

    def __init__(self, encoder: nn.Module):
        self.weights = encoder.state_dict()

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        values = (self.weights[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *values)

    def conv(self, x: torch.Tensor, name: str, *, stride: int = 1) -> torch.Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias")
        weight = weight[:, None] if x.shape[1] == 1 else weight[:, :, None]  # F x 1 over the bands, 1 x k over time
        return F.conv2d(x, weight, bias, stride=(1, stride), padding=(0, weight.shape[-1] // 2))


def test_davenet_is_the_documents_network_on_a_picture():
    encoder = with_running_statistics(DAVEnet(width=1 / 32))
    features, picture = torch.randn(2, 40, 70), Picture(encoder)
    x = picture.conv(picture.norm(features[:, None], "input_norm"), "conv1").relu()
    for number in (2, 3, 4, 5):
        x = F.max_pool2d(picture.conv(x, f"conv{number}").relu(), (1, 3), stride=(1, 2), padding=(0, 1))
    audio_map, lengths = encoder(features, torch.tensor([70, 70]))
    assert x.shape == (2, 32, 1, 5) and lengths.tolist() == [5, 5]
    torch.testing.assert_close(audio_map, x[:, :, 0])


def test_resdavenet_is_the_documents_network_on_a_picture():
    encoder = with_running_statistics(ResDAVEnet(width=1 / 32))
    features, picture = torch.randn(2, 40, 70), Picture(encoder)
    x = picture.conv(picture.norm(features[:, None], "input_norm"), "conv1")
    x = picture.norm(x, "norm1").relu()
    for number in range(8):
        block, stride = f"blocks.{number}", 1 + (number % 2 == 0)
        y = picture.norm(picture.conv(x, f"{block}.conv1", stride=stride), f"{block}.norm1").relu()
        y = picture.norm(picture.conv(y, f"{block}.conv2"), f"{block}.norm2")
        if stride == 2:
            x = picture.norm(picture.conv(x, f"{block}.shortcut", stride=2), f"{block}.shortcut_norm")
        x = (x + y).relu()
    audio_map, lengths = encoder(features, torch.tensor([70, 70]))
    assert x.shape == (2, 32, 1, 5) and lengths.tolist() == [5, 5]
    torch.testing.assert_close(audio_map, x[:, :, 0])
