"""Text in place of speech: words as numbers, and the text CNN of harwath2019 (section 5.1, Table 3).

The text side stands where a speech encoder stands: its front end turns texts into features [B, 1, T] with lengths, one
frame for each word, and the encoder turns those into a map [B, D, T]. Frames are words, not seconds, so the front end's
``hop_seconds`` is None and a model with such an encoder has no clock.

Shapes: B texts, T words, E embedding of a word, D embedding.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgs_lib.data.texts import words_of
from vgs_lib.encoders.layers import apply_mask, check_lengths, padding_mask, scaled
from vgs_lib.errors import DataError
from vgs_lib.front_ends import pad_frames
from vgs_lib.safe_files import write_atomically

BLANK, UNKNOWN = 0, 1  # the numbers of padding or a word left out, and of a word that is not in the vocabulary


@dataclass(frozen=True)
class Vocabulary:
    """The words that are known, in small letters; the first has number 2. Make it of training captions only.

    Raises DataError for words that :func:`words_of` would not give, or that come twice.
    """

    words: tuple[str, ...]

    def __post_init__(self):
        object.__setattr__(self, "words", tuple(self.words))
        wrong = [w for w in self.words if not isinstance(w, str) or _words(w) != [w]]
        wrong += [w for w, count in Counter(map(str, self.words)).items() if count > 1]
        if wrong:
            raise DataError(f"vocabulary: found {wrong[0]!r}, expected single words in small letters, each once.")

    @classmethod
    def of_texts(cls, texts: Iterable[str], *, min_count: int = 1) -> "Vocabulary":
        """The words that come at least ``min_count`` times, the most frequent first.

        From 2 on, rare words are read as the unknown word in training, so that its embedding is learnt.
        """
        counts = Counter(word for text in texts for word in _words(text))
        return cls(tuple(sorted((w for w in counts if counts[w] >= min_count), key=lambda w: (-counts[w], w))))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, start=UNKNOWN + 1)}

    def __len__(self) -> int:
        """How many numbers there are: the words, the blank and the unknown word."""
        return len(self.words) + 2

    def numbers(self, text: str) -> list[int]:
        """The numbers of a text's words; a text without words is one unknown word."""
        return [self._numbers.get(word, UNKNOWN) for word in _words(text)] or [UNKNOWN]

    def save(self, path: str | Path) -> None:
        """Write the words as JSON."""
        text = json.dumps({"words": self.words}, ensure_ascii=False, indent=0) + "\n"
        write_atomically(Path(path), lambda file: file.write_text(text, encoding="utf-8"))

    @classmethod
    def load(cls, path: str | Path) -> "Vocabulary":
        """Read what :meth:`save` wrote; DataError if the file is missing or another one."""
        try:
            return cls(tuple(json.loads(Path(path).read_text(encoding="utf-8"))["words"]))
        except (OSError, ValueError, LookupError, TypeError, DataError) as error:
            raise DataError(f"{path}: not a vocabulary ({error}); write one with Vocabulary.save.") from error


def _words(text: str) -> list[str]:
    if not isinstance(text, str):
        raise DataError(f"text: expected a string, found {type(text).__name__}.")
    return words_of(text.replace("’", "'"))


@dataclass(frozen=True)
class WordNumbers:
    """The front end of texts: called with B texts it gives word numbers [B, 1, T], float32, and lengths [B] in words.

    Keep them in float32 or int64: float16 holds whole numbers only up to 2,048.
    """

    vocabulary: Vocabulary
    num_bands = 1
    pad_value = float(BLANK)
    hop_seconds = None  # a word lasts as long as it takes to say it

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        if isinstance(texts, str) or not len(texts):
            raise DataError(f"texts: expected a list of at least one text, found {texts!r}.")
        return pad_frames([torch.tensor([self.vocabulary.numbers(t)]).float() for t in texts], self.pad_value)


class WordEmbedding(nn.Embedding):
    """Word numbers [B, 1, T] (floats or integers) to vectors [B, E, T]; a blank is zeros."""

    def __init__(self, vocabulary: Vocabulary, size: int):
        super().__init__(len(vocabulary), size, padding_idx=BLANK)
        self.vocabulary = vocabulary

    def forward(self, numbers: Tensor) -> Tensor:
        words = numbers[:, 0].long()
        if numbers.shape[1] != 1 or bool(
            ((words < 0) | (words >= self.num_embeddings) | (words != numbers[:, 0])).any()
        ):
            raise ValueError(
                f"features: expected word numbers 0 to {self.num_embeddings - 1} of shape [B, 1, T], found shape "
                f"{list(numbers.shape)} with values {float(numbers.min()):g} to {float(numbers.max()):g}."
            )
        return super().forward(words).transpose(1, 2)

    @torch.no_grad()
    def take_vectors(self, vectors: Mapping[str, Tensor]) -> int:
        """Take the vectors [E] of words trained elsewhere (word2vec), train them no more, and say how many there were.

        Words without one keep their random vector. Raises ValueError for a vector of another size.
        """
        found = 0
        for number, word in enumerate(self.vocabulary.words, start=UNKNOWN + 1):
            if word in vectors:
                vector = torch.as_tensor(vectors[word])
                if vector.shape != (self.embedding_dim,):
                    raise ValueError(
                        f"vectors: {word!r} has shape {list(vector.shape)}, expected [{self.embedding_dim}]."
                    )
                self.weight[number] = vector
                found += 1
        self.weight.requires_grad_(False)
        return found


class TextCNN(nn.Module):
    """harwath2019's text network: 200-dimensional words, convolution of 3 words to 512 with ReLU, of 3 words to D.

    Nothing is normalised and nothing pooled: one frame for each word, of 1,024 values that a linear convolution gives.

    Args:
        vocabulary: a :class:`Vocabulary` or its words.
        width: scales the word embedding and the hidden layer, and 1024 where ``dim`` is None.
        dim: embedding size D.
    """

    pooling = 1
    lag = 0.0
    pooled = False
    backbone_frozen = False

    def __init__(self, *, vocabulary: Vocabulary | Sequence[str], width: float = 1.0, dim: int | None = None):
        super().__init__()
        if not isinstance(vocabulary, Vocabulary):
            vocabulary = Vocabulary(tuple(vocabulary))
        self.front_end = WordNumbers(vocabulary)
        self.dim = dim or scaled(1024, width)
        size, hidden = scaled(200, width), scaled(512, width)
        self.embedding = WordEmbedding(vocabulary, size)
        self.conv1 = nn.Conv1d(size, hidden, 3, padding=1)
        self.conv2 = nn.Conv1d(hidden, self.dim, 3, padding=1)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Word numbers [B, 1, T] and lengths [B] to the map [B, D, T] and the same lengths."""
        check_lengths(features, lengths)
        mask = padding_mask(lengths, features.shape[-1])
        x = apply_mask(self.embedding(features), mask)
        x = apply_mask(F.relu(self.conv1(x)), mask)
        return apply_mask(self.conv2(x), mask), lengths
