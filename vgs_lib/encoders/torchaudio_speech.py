"""HuBERT and wav2vec 2.0 (torchaudio.pipelines) as speech encoders under small trained layers.

Hsu et al. 2021, Baevski et al. 2020: learnt from sound alone, without transcripts. The weights are
downloaded, so a machine without internet gets a DownloadError.

Shapes: B captions, N samples at 16 kHz, C channels, T' frames at 50 Hz, D embedding.
"""

import contextlib
from collections.abc import Sequence

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from vgs_lib.encoders.layers import SpeechHead, check_lengths
from vgs_lib.encoders.wheels import obtain
from vgs_lib.front_ends import RawWaveform

_MIN_SAMPLES = 400  # what the seven convolutions need for one frame


class TorchaudioSpeech(nn.Module):
    """An audio encoder on a frozen wav2vec 2.0 model, with the same contract as ``PretrainedSpeech``.

    Arguments: ``bundle`` is a name in torchaudio.pipelines without a layer norm on the waveform
    ("HUBERT_BASE", "WAV2VEC2_BASE"); ``layers`` the transformer layers to mix, from 1; ``pooling_frames`` 1,
    2 or 4 of the model's 20 ms frames an output frame; ``model`` replaces the download (and is then stored in
    checkpoints). Other options: ``SpeechHead``. Its front end is the waveform itself. Raises DownloadError
    when the weights cannot be had.
    """

    backbone_frozen = True

    def __init__(
        self,
        bundle: str = "HUBERT_BASE",
        *,
        dim: int = 256,
        layers: Sequence[int] = (6, 9, 12),
        pooling_frames: int = 2,
        model: nn.Module | None = None,
        **head,
    ):
        super().__init__()
        if pooling_frames not in (1, 2, 4):
            raise ValueError(f"pooling_frames: expected 1, 2 or 4, found {pooling_frames}.")
        self.front_end = RawWaveform()
        self.dim = dim
        self.pooling = 320 * pooling_frames
        self.layers = tuple(layers)
        obtained = model is None
        if model is None:
            known = getattr(torchaudio.pipelines, bundle, None)
            if not hasattr(known, "get_model"):
                raise ValueError(f"bundle: torchaudio.pipelines has no speech model {bundle!r}.")
            model = obtain(bundle, known.get_model, True)
        if not hasattr(model, "feature_extractor"):
            raise ValueError(f"bundle: {bundle} normalises its waveforms, which is not supported; use a BASE one.")
        if not 1 <= min(self.layers) <= max(self.layers) <= len(model.encoder.transformer.layers):
            raise ValueError(f"layers: expected 1 to {len(model.encoder.transformer.layers)}, found {self.layers}.")
        self.model = model.requires_grad_(False).eval()
        self.model.from_package = obtained
        self.width = model.encoder.transformer.layers[0].final_layer_norm.normalized_shape[0]
        poolings = (1, 2, 4).index(pooling_frames)
        self.head = SpeechHead(self.width, len(self.layers), dim=dim, num_poolings=poolings, **head)

    @property
    def backbone(self) -> nn.Module:
        """The frozen part, whose states may be cached."""
        return self.model

    @property
    def cached_layers(self) -> tuple[int, ...]:
        """The layers whose states ``features`` gives."""
        return self.layers

    def train(self, mode: bool = True) -> "TorchaudioSpeech":
        super().train(mode)
        self.model.eval()
        return self

    def features(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The frozen states: waveforms [B, 1, N] and lengths [B] to hidden [B, L C, T'] and lengths'."""
        check_lengths(waveforms, lengths)
        with torch.no_grad() if self.backbone_frozen else contextlib.nullcontext():
            # One by one: the first convolution's group norm averages over time and would read padding.
            frames = [self._convolve(w[0, :n]) for w, n in zip(waveforms, lengths.tolist(), strict=True)]
            lengths = torch.tensor([len(f) for f in frames], device=waveforms.device)
            states = self.model.encoder.extract_features(
                pad_sequence(frames, batch_first=True), lengths, max(self.layers)
            )
            return torch.cat([states[layer - 1].transpose(1, 2) for layer in self.layers], dim=1), lengths

    def _convolve(self, waveform: Tensor) -> Tensor:
        """One caption [N] to frames [T', C]; less than a frame is filled up with zeros."""
        waveform = F.pad(waveform, (0, max(0, _MIN_SAMPLES - len(waveform))))
        return self.model.feature_extractor(waveform[None], None)[0][0]

    def project(self, hidden: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The trained part: hidden [B, L C, T'] (any float type) and lengths' to A [B, D, T''], lengths''."""
        return self.head(list(hidden.split(self.width, dim=1)), lengths)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms [B, 1, N] and lengths in samples to the audio map A [B, D, T''] and lengths'' [B]."""
        return self.project(*self.features(features, lengths))
