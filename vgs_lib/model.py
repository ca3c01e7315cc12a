"""DualEncoder: a picture encoder and a speech encoder that meet in one score (harwath2019, section 4).

Shape legend: B images or captions, D embedding, H W grid, F feature bands, T frames, N samples.

    pictures ----> image encoder --> image map I [B,D,H,W]
    waveforms --front end--> audio encoder --> audio map A [B,D,T] + lengths
    I, A --score-----> S [B_image, B_audio]
    I, A --matchmap--> M [...,H,W,T]

Encode a picture once and prompt it many times: keep ``embed_image``'s result.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from vgs_lib import similarity
from vgs_lib.clock import Clock
from vgs_lib.data.loading import Batch
from vgs_lib.front_ends import SAMPLE_RATE, features_at_16k

MAX_LOG_SCALE = math.log(100.0)


class DualEncoder(nn.Module):
    """Two encoders, a kind of similarity and a learnt temperature.

    image_encoder: [B,3,H,W] pictures, 0..1 -> [B,D,h,w]; ``features`` and ``project`` if it can be cached.
    audio_encoder: features [B,F,T], lengths [B] -> ([B,D,T'], lengths'); with ``front_end`` and ``pooling``.
    kind: similarity of ``score``: "misa", "sima", "sisa", "dot" or "cosine".
    temperature: the first value of the learnt temperature; ``logit_scale`` holds log(1 / temperature).
    cell: ``score`` sees image maps averaged over cells of ``cell`` x ``cell`` positions: cheaper, and trained that
        way more of a thing lights up than its most telling spot. Maps and matchmaps stay as fine as they are.
    loss_head: parameters that only the training loss uses (``EmbeddingLoss.head``); they are stored with the model.
    """

    def __init__(
        self,
        image_encoder: nn.Module,
        audio_encoder: nn.Module,
        *,
        kind: str = "misa",
        temperature: float = 0.07,
        cell: int = 1,
        loss_head: nn.Module | None = None,
    ):
        super().__init__()
        if cell < 1:
            raise ValueError(f"cell: found {cell}, expected 1 or more positions")
        if image_encoder.dim != audio_encoder.dim:
            raise ValueError(
                f"the image encoder gives {image_encoder.dim} dimensions and the audio encoder "
                f"{audio_encoder.dim}; they must be equal"
            )
        self.image_encoder = image_encoder
        self.audio_encoder = audio_encoder
        self.kind = kind
        self.cell = cell
        self.loss_head = loss_head
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1.0 / temperature)))

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.logit_scale.device

    @property
    def pooled(self) -> bool:
        """Whether an encoder gives one vector in place of a map, so that nothing can be localized."""
        return any(getattr(encoder, "pooled", False) for encoder in (self.image_encoder, self.audio_encoder))

    @property
    def seconds_per_frame(self) -> float:
        """Seconds between two frames of the audio map: hop length (whole samples) x pooling, derived here only.

        Raises ValueError for a text encoder, whose frames are words.
        """
        front_end = self.audio_encoder.front_end
        if front_end.hop_seconds is None:
            raise ValueError("the frames of a text encoder are words, which have no seconds; use a speech encoder")
        rate = getattr(front_end, "sample_rate", SAMPLE_RATE)
        return round(front_end.hop_seconds * rate) / rate * self.audio_encoder.pooling

    @property
    def frame_lag(self) -> float:
        """Seconds by which what an output frame hears lies before the middle of its time t to t + 1 frames.

        0 where frames are averages of their times; half a frame for the strided convolutions of the DAVEnet family.
        """
        return getattr(self.audio_encoder, "lag", 0.0) * self.seconds_per_frame

    @property
    def clock(self) -> Clock:
        """When the frames of an audio map are heard."""
        return Clock.of(self)

    def embed_image(self, pictures: Tensor) -> Tensor:
        """Pictures [B,3,H,W] (float 0..1 or uint8) -> image maps [B,D,h,w]."""
        return self.image_encoder(_unit_range(pictures))

    def embed_audio(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Front-end features [B,F,T] and their lengths [B] -> audio maps [B,D,T'], lengths [B] in frames."""
        return self.audio_encoder(features, lengths)

    def embed_waveforms(self, waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Waveforms [N_i] at 16 kHz -> audio maps [B,D,T'], lengths [B]."""
        features, lengths = features_at_16k(self.audio_encoder.front_end, waveforms)
        return self.embed_audio(features.to(self.device), lengths.to(self.device))

    def embed_batch(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """A batch of raw inputs or cached backbone features -> image maps, audio maps, audio lengths."""
        dtype = self.logit_scale.dtype
        if batch.image_is_features:
            image_maps = self.image_encoder.project(tuple(x.to(dtype) for x in batch.image))
        else:
            image_maps = self.embed_image(batch.image[0])
        if batch.audio_is_features:
            audio_maps, lengths = self.audio_encoder.project(batch.audio.to(dtype), batch.audio_lengths)
        else:
            audio_maps, lengths = self.embed_audio(batch.audio.to(dtype), batch.audio_lengths)
        return image_maps, audio_maps, lengths

    def score(
        self,
        image_maps: Tensor,
        audio_maps: Tensor,
        audio_lengths: Tensor,
        *,
        kind: str | None = None,
        chunk: int | None = None,
    ) -> Tensor:
        """Scores [B_image, B_audio] of all pairs, by the model's kind of similarity or another one."""
        if self.cell > 1:
            image_maps = functional.avg_pool2d(image_maps, self.cell, ceil_mode=True)
        return similarity.score_matrix(image_maps, audio_maps, audio_lengths, kind=kind or self.kind, chunk=chunk)

    def matchmap(self, image_map: Tensor, audio_map: Tensor) -> Tensor:
        """Image map [...,D,H,W] and audio map [...,D,T] -> matchmap [...,H,W,T] (harwath2019, 4.3)."""
        return similarity.matchmap(image_map, audio_map)

    def forward(self, batch: Batch) -> Tensor:
        """Scores [B,B] of a batch."""
        return self.score(*self.embed_batch(batch))


def _unit_range(pictures: Tensor) -> Tensor:
    return pictures.float() / 255.0 if pictures.dtype == torch.uint8 else pictures
