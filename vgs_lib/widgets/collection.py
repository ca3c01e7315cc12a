"""Pictures and spoken captions of one set, encoded once and scored with one another: what the explorers explore.

Shapes: Q captions, C pictures, D embedding, H W grid, T frames, N samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vgs_lib import audio
from vgs_lib.clock import Clock
from vgs_lib.errors import DataError
from vgs_lib.memory import give_back
from vgs_lib.prompting import Prompter
from vgs_lib.retrieval.mistakes import Mistake, word_votes
from vgs_lib.search.nearest import scored_maps
from vgs_lib.widgets.material import Clip, Picture, _people_clips

_PICTURES = 8  # scored together: bounds the memory


@dataclass(frozen=True, eq=False)
class Collection:
    """Made by :meth:`of`.

    Attributes:
        pictures, captions: in the order of the columns and of the rows of ``scores``.
        scores: [Q, C] float32, the model's similarity; rows are captions.
        right: [Q, C] bool, which pictures are right for which caption.
        audio_maps: [D, T] of each caption.
        prompter: with all pictures encoded.
    """

    pictures: tuple[Picture, ...]
    captions: tuple[Clip, ...]
    scores: Tensor
    right: Tensor
    audio_maps: tuple[Tensor, ...]
    prompter: Prompter

    @classmethod
    def of(
        cls,
        model,
        pictures: Sequence[Picture],
        captions: Sequence[Clip] | None = None,
        *,
        right: Tensor | None = None,
        heat_range: tuple[float, float] | None = None,
        report: Callable[[str, int, int], None] = lambda what, done, total: None,
    ) -> "Collection":
        """Encode and score a set.

        Args:
            model: a `DualEncoder` in eval mode.
            pictures: what is searched; with their captions unless ``captions`` are given.
            captions: recordings of any number; then ``right`` is needed.
            right: [Q, C] bool; None: each picture's own caption is right for it and for no other.
            heat_range: of the heatmaps, as for `Prompter`.
            report: called with (what, done, total) while it works.

        Raises:
            DataError: a picture without a caption, two pictures of one id, or ``right`` of another shape.
            AudioError: a caption that cannot be used.
        """
        pictures = tuple(pictures)
        if not pictures or len({picture.id for picture in pictures}) < len(pictures):
            raise DataError(f"found {len(pictures)} pictures; expected one or more, each with an id of its own")
        if captions is None:
            if silent := [picture.id for picture in pictures if picture.caption is None]:
                raise DataError(f"picture {silent[0]!r} has no spoken caption ({len(silent)} such); give captions")
            captions = [picture.caption for picture in pictures]
            right = torch.eye(len(pictures), dtype=torch.bool)
        shape = (len(captions), len(pictures))
        if right is None or tuple(right.shape) != shape or right.dtype != torch.bool:
            found = "None" if right is None else f"{list(right.shape)} {right.dtype}"
            raise DataError(f"right is {found}; expected {list(shape)} torch.bool, one row for each caption")
        give_back()
        prompter = Prompter(model, heat_range=heat_range)
        audio_maps = []
        for number, clip in enumerate(captions, start=1):
            audio_maps.append(_embed(model, clip))
            report("captions", number, len(captions))
        loads = (picture.load() for picture in pictures)
        ids = [picture.id for picture in pictures]
        prompter.add_pictures(ids, loads, progress=lambda done, total: report("pictures", done, total))
        scores = _scores(model, prompter, audio_maps)
        give_back()
        return cls(pictures, tuple(captions), scores, right, tuple(audio_maps), prompter)

    def first(self, num: int) -> "Collection":
        """The first ``num`` captions and pictures alone, nothing encoded again; DataError if none of them is left."""
        if num < 1:
            raise DataError(f"num is {num}; expected 1 or more")
        return Collection(
            self.pictures[:num],
            self.captions[:num],
            self.scores[:num, :num],
            self.right[:num, :num],
            self.audio_maps[:num],
            self.prompter,
        )

    def votes(self, mistake: Mistake) -> list[tuple[str, float]]:
        """How much each word spoke for a mistake's wrong picture: :func:`vgs_lib.retrieval.mistakes.word_votes`."""
        model, clip = self.prompter.model, self.captions[mistake.query]
        pictures = [self.pictures[place].id for place in (mistake.first, mistake.right)]
        wrong, right = (scored_maps(model, self.prompter.image_map(name)[None])[0] for name in pictures)
        return word_votes(wrong, right, self.audio_maps[mistake.query], clip.words, Clock.of(model))

    def showing(self, name: str) -> list[int]:
        """Places of the pictures that show a thing called ``name``, as their masks are called."""
        return [place for place, picture in enumerate(self.pictures) if name in picture.masks]

    def shares_a_name(self) -> Tensor:
        """[Q, C] bool: the pictures that show a thing whose name is a word of the caption, or that are right anyway."""
        names = [set(picture.masks) for picture in self.pictures]
        said = [{word.text for word in clip.words} for clip in self.captions]
        return self.right | torch.tensor([[bool(words & shown) for shown in names] for words in said])


@torch.inference_mode()
def _embed(model, clip: Clip) -> Tensor:
    waveform, rate = clip.load()
    sound = audio.to_mono_16k(torch.from_numpy(np.array(waveform, np.float32)), rate)
    audio.check_speech(sound)
    maps, lengths = model.embed_waveforms([sound])
    return maps[0, :, : int(lengths[0])]


@torch.inference_mode()
def _scores(model, prompter: Prompter, audio_maps: Sequence[Tensor]) -> Tensor:
    """[Q, C] of all captions with all pictures of the prompter, in its order."""
    lengths = torch.tensor([one.shape[1] for one in audio_maps])
    padded = audio_maps[0].new_zeros(len(audio_maps), len(audio_maps[0]), int(lengths.max()))
    for row, one in zip(padded, audio_maps, strict=True):
        row[:, : one.shape[1]] = one
    columns = []
    for first in range(0, len(prompter), _PICTURES):
        maps = [prompter.image_map(name) for name in prompter.ids[first : first + _PICTURES]]
        # maps of pictures of other shapes cannot be stacked
        together = [torch.stack(maps)] if len({m.shape for m in maps}) == 1 else [m[None] for m in maps]
        columns += [model.score(part, padded, lengths).cpu() for part in together]
    return torch.cat(columns).T.float().contiguous()


def people_clips(stamps, collection: Collection) -> list[Clip]:
    """People's recordings, in English, of the things that the collection shows: for `ImageSearch`."""
    shown = {name for picture in collection.pictures for name in picture.masks}
    return _people_clips(stamps, [c for c in stamps.concepts if "en" in c.people and c.text in shown])
