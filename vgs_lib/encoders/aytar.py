"""The sound and text networks of aytar2017 and the layers that all its modalities share.

    sound   --SoundNet--------> [B, D, 1] --+
    text    --TextNet---------> [B, D, 1] --+--> SharedTrunk --> hidden [B, 4096], logits [B, 1000]
    picture --AlexNet's convs-> [B, D, 1, 1]+    (``PooledPictures(backbone="alexnet", dim=D)``)

The slides say: four one-dimensional convolutions for sound, four layers for text over word2vec, AlexNet for pictures;
vectors of one size for all; two shared layers of 4,096 with ReLU and 1,000 classes with softmax. Kernels, channels and
pooling they leave open. Chosen here: kernels of 11, 5, 3, 3 frames with max-pooling by 2 after the first three, kernels
of 3 words; 128, 256, 256, 256 channels, since AlexNet's last convolution has 256; a mean over the real frames makes the
vector. The spectrogram's mean is subtracted by a batch normalisation of the input (one mean and one deviation for all
bands).

Shapes: B examples, F mel bands, T frames or words, C channels, D size of the joint vector.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgs_lib.encoders.audio import InputNorm
from vgs_lib.encoders.layers import apply_mask, check_lengths, halve, masked_mean, padding_mask, scaled
from vgs_lib.encoders.text import Vocabulary, WordEmbedding, WordNumbers
from vgs_lib.front_ends import FrontEnd, LogMel


class _FourConvs(nn.Module):
    """Four convolutions over time with ReLU, max-pooling by 2 after the first ``num_poolings``; the mean of frames."""

    def __init__(self, channels: Sequence[int], kernels: Sequence[int], num_poolings: int):
        super().__init__()
        self.num_poolings = num_poolings
        self.convs = nn.ModuleList(
            nn.Conv1d(before, after, kernel, padding=kernel // 2)
            for before, after, kernel in zip(channels[:-1], channels[1:], kernels, strict=True)
        )

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        mask = padding_mask(lengths, x.shape[-1])
        x = apply_mask(x, mask)
        for index, conv in enumerate(self.convs):
            x = apply_mask(F.relu(conv(x)), mask)
            if index < self.num_poolings:  # after ReLU a padded zero never wins
                x = F.max_pool1d(x, 3, stride=2, padding=1)
                lengths = halve(lengths)
                mask = padding_mask(lengths, x.shape[-1])
                x = apply_mask(x, mask)
        return masked_mean(x, lengths)[..., None], torch.ones_like(lengths)


class SoundNet(nn.Module):
    """Four convolutions over the frames of a spectrogram, then their mean: one vector, never negative.

    Arguments: ``width`` scales every layer; ``dim`` is the size D of the vector (by default 256 * width); ``front_end``
    gives the number of mel bands.
    """

    pooling = 8  # before the mean over time
    lag = 0.5
    pooled = True
    backbone_frozen = False

    def __init__(self, *, width: float = 1.0, dim: int | None = None, front_end: FrontEnd | None = None):
        super().__init__()
        self.front_end = front_end or LogMel()
        self.dim = dim or scaled(256, width)
        hidden = [scaled(channels, width) for channels in (128, 256, 256)]
        self.input_norm = InputNorm()
        self.convs = _FourConvs([self.front_end.num_bands, *hidden, self.dim], (11, 5, 3, 3), 3)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, F, T] and lengths [B] to vectors [B, D, 1] and lengths of 1."""
        check_lengths(features, lengths)
        return self.convs(self.input_norm(features, padding_mask(lengths, features.shape[-1])), lengths)


class TextNet(nn.Module):
    """Four convolutions over word vectors, then their mean: one vector, never negative.

    Word vectors of 300 values, as word2vec's, are learnt unless ``embedding.take_vectors`` puts trained ones in place.
    Arguments: ``vocabulary`` or its words; ``width`` scales every layer; ``dim`` is the size D (by default 256 *
    width).
    """

    pooling = 1
    lag = 0.0
    pooled = True
    backbone_frozen = False

    def __init__(self, *, vocabulary: Vocabulary | Sequence[str], width: float = 1.0, dim: int | None = None):
        super().__init__()
        if not isinstance(vocabulary, Vocabulary):
            vocabulary = Vocabulary(tuple(vocabulary))
        self.front_end = WordNumbers(vocabulary)
        self.dim = dim or scaled(256, width)
        size, *hidden = [scaled(channels, width) for channels in (300, 128, 256, 256)]
        self.embedding = WordEmbedding(vocabulary, size)
        self.convs = _FourConvs([size, *hidden, self.dim], (3, 3, 3, 3), 0)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Word numbers [B, 1, T] and lengths [B] to vectors [B, D, 1] and lengths of 1."""
        check_lengths(features, lengths)
        return self.convs(self.embedding(features), lengths)


class SharedTrunk(nn.Module):
    """The upper layers, with the same weights for every modality: D to 4,096 to 4,096, each with ReLU, to the classes.

    ``width`` scales the two hidden layers. The last hidden layer is the representation that is retrieved by.
    """

    def __init__(self, dim: int, *, width: float = 1.0, num_classes: int = 1000):
        super().__init__()
        hidden = scaled(4096, width)
        self.dim = hidden
        self.layer1 = nn.Linear(dim, hidden)
        self.layer2 = nn.Linear(hidden, hidden)
        self.classes = nn.Linear(hidden, num_classes)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors [B, D], [B, D, 1] or [B, D, 1, 1] to the representation [B, 4096] and logits [B, classes].

        The classes' probabilities are the softmax of the logits. ValueError for maps of more than one place.
        """
        if vectors.dim() < 2 or vectors.shape[2:].numel() != 1:
            raise ValueError(f"vectors: expected one place, [B, D] or [B, D, 1], found {list(vectors.shape)}.")
        hidden = F.relu(self.layer2(F.relu(self.layer1(vectors.flatten(1)))))
        return hidden, self.classes(hidden)
