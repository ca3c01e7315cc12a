"""What the retrieval explorers know and decide, without any widget library: pictures found by speech, captions found
by a picture, and the list of results that both show."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vgs_lib.errors import AudioError, DataError
from vgs_lib.retrieval import ranks
from vgs_lib.transcripts import word_error_rate
from vgs_lib.widgets import buffers
from vgs_lib.widgets.collection import Collection
from vgs_lib.widgets.controllers import GalleryController, PlayerController, RecorderController
from vgs_lib.widgets.material import Clip, Picture, Word

WAITING = "…"


@dataclass(frozen=True, eq=False)
class Result:
    """One of a ranking: tied ones share the mean of their places; ``right`` is None where nobody knows; ``heard`` is a
    transcript, "" without one."""

    id: str
    place: float
    score: float
    title: str
    right: bool | None
    picture: Picture | None = None
    heard: str = ""
    note: str = ""


class RankingController:
    """Results in order, the best first, one of which may be selected."""

    def __init__(self, *, longest: int = 128):
        self.longest = longest
        self.results: list[Result] = []
        self.selected = ""
        self.sentence = ""
        self._thumbnails: dict[str, bytes] = {}

    def show(self, results: Sequence[Result], *, sentence: str, selected: str = "") -> None:
        """Replace what is shown; ``sentence`` says what was ranked and how well."""
        self.results, self.sentence, self.selected = list(results), sentence, selected

    def message(self) -> tuple[dict, list[bytes]]:
        """The results; one JPEG thumbnail for each that has a picture, in their order."""
        items, thumbnails = [], []
        for result in self.results:
            item = {name: getattr(result, name) for name in ("id", "place", "score", "title", "right", "heard", "note")}
            items.append({**item, "picture": result.picture is not None})
            if result.picture is not None:
                if result.picture.id not in self._thumbnails:
                    pixels = result.picture.load()
                    self._thumbnails[result.picture.id] = buffers.jpeg(pixels, longest=self.longest)
                thumbnails.append(self._thumbnails[result.picture.id])
        content = {"type": "ranking", "items": items, "sentence": self.sentence, "selected": self.selected}
        return content, thumbnails


class ImageSearchController:
    """Pictures found by speech, ranked, the right ones marked where they are known.

    Args:
        collection: what is searched.
        clips: recordings to choose from beside the captions; pictures that show a thing of the clip's title are right.
        num_best: results to show; right pictures further down are added.
        on_change: called without arguments after anything that is shown changed.
    """

    def __init__(
        self,
        collection: Collection,
        clips: Sequence[Clip] = (),
        *,
        num_best: int = 8,
        on_change: Callable[[], None] = lambda: None,
    ):
        self.collection, self.num_best, self.on_change = collection, num_best, on_change
        prompter = collection.prompter
        offered = [*clips, *collection.captions]
        self.recorder = RecorderController(offered, on_sound=self.speak, max_seconds=prompter.max_seconds)
        self.ranking, self.player = RankingController(), PlayerController()
        self.player.show_picture(collection.pictures[0])
        self._place = {picture.id: place for place, picture in enumerate(collection.pictures)}
        self._sound: tuple | None = None
        self.lock = threading.RLock()

    def right_for(self, title: str) -> set[int]:
        """Places of what is right for a clip of that title: the pictures of captions that say the same, and those that
        show a thing of that name; empty where nobody knows."""
        rows = [row for row, clip in enumerate(self.collection.captions) if clip.title == title]
        own = self.collection.right[rows].any(dim=0).nonzero().flatten().tolist()
        return {*own, *self.collection.showing(title)}

    def speak(self, waveform, rate: int, *, title="recording", words: Sequence[Word] = (), play=False) -> str:
        """Rank the pictures for a recording and look for it in the first; returns the sentence that says how well.

        Raises AudioError for what cannot be used.
        """
        with self.lock:
            before, self._sound = self._sound, (waveform, rate, title, tuple(words))
            try:
                self._ask(play=play)
            except AudioError:
                self._sound = before
                raise
        self.on_change()
        return self.ranking.sentence

    def choose_picture(self, picture_id: str) -> None:
        """Look for the last recording in one of the pictures found; DataError before any was heard."""
        if self._sound is None or picture_id not in self._place:
            raise DataError(f"there is no result {picture_id!r} yet: record or choose something to say first")
        with self.lock:
            waveform, rate, title, words = self._sound
            prompt = self.collection.prompter.prompt(waveform, rate, picture=picture_id)
            picture = self.collection.pictures[self._place[picture_id]]
            self.player.show_prompt(picture, prompt, title=title, words=words, play=True)
            self.ranking.selected = picture_id
        self.on_change()

    def _ask(self, *, play: bool) -> None:
        waveform, rate, title, words = self._sound
        prompter = self.collection.prompter
        prompt = prompter.prompt(waveform, rate, num_best=len(prompter))
        matches = [match for match in prompt.best if match.id in self._place]
        right = self.right_for(title)
        results = []
        scores = torch.tensor([match.score for match in matches])
        fit = torch.tensor([self._place[match.id] in right for match in matches])
        places = _places(scores)
        for number, (match, place) in enumerate(zip(matches, places, strict=True)):
            picture = self.collection.pictures[self._place[match.id]]
            fits = self._place[match.id] in right
            if number < self.num_best or fits:
                results.append(
                    Result(match.id, place, match.score, picture.title, fits if right else None, picture=picture)
                )
        first = results[0]
        if prompt.picture != first.id:
            prompt = prompter.prompt(waveform, rate, picture=first.id)
        self.player.show_prompt(first.picture, prompt, title=title, words=words, play=play)
        first_right = f"{ranks(scores[None], fit[None]).item():g}" if fit.any() else ""
        known = f"; the first right one of {len(right)} is at place {first_right}" if first_right else ""
        sentence = f"“{title}”: {len(matches)} pictures in {1000 * prompt.elapsed:.0f} ms{known}."
        self.ranking.show(results, sentence=sentence, selected=first.id)


class ImageAnnotationController:
    """Spoken captions found by a picture, ranked, with what was said and what a transcriber hears.

    Args:
        collection: what is searched.
        transcribe: a function from (waveform, rate) to text, such as a `Transcriber`; None: no transcripts.
        reason: why there are none, in a sentence.
        num_best: results to show; right captions further down are added.
        num_pictures: pictures to choose from.
    """

    def __init__(
        self,
        collection: Collection,
        *,
        transcribe: Callable | None = None,
        reason: str = "",
        num_best: int = 6,
        num_pictures: int = 16,
    ):
        self.collection, self.transcribe, self.reason, self.num_best = collection, transcribe, reason, num_best
        self.gallery = GalleryController()
        self.ranking, self.player = RankingController(), PlayerController()
        # without their captions, which the gallery would offer to play
        self.gallery.show([replace(picture, caption=None) for picture in collection.pictures[:num_pictures]])
        self.player.show_picture(collection.pictures[0])
        self.column: int | None = None
        self._heard: dict[int, str] = {}
        self.lock = threading.RLock()

    def choose_picture(self, picture_id: str) -> None:
        """Rank the captions for a picture; DataError for an id that is not in the collection."""
        places = {picture.id: place for place, picture in enumerate(self.collection.pictures)}
        if picture_id not in places:
            raise DataError(f"there is no picture {picture_id!r} in the collection of {len(places)}")
        with self.lock:
            self.column = places[picture_id]
            self.gallery.selected = picture_id
            self.player.show_picture(self.collection.pictures[self.column])
            self._rank()

    def choose_caption(self, caption_id: str) -> None:
        """Play one of the captions found in the picture."""
        with self.lock:
            clip, picture = self.collection.captions[int(caption_id)], self.collection.pictures[self.column]
            waveform, rate = clip.load()
            prompt = self.collection.prompter.prompt(waveform, rate, picture=picture.id)
            self.player.show_prompt(picture, prompt, title=clip.title, words=clip.words, play=True)
            self.ranking.selected = caption_id

    def missing(self) -> list[int]:
        """Rows of the shown captions that have no transcript yet."""
        shown = [int(result.id) for result in self.ranking.results]
        return [row for row in shown if row not in self._heard] if self.transcribe is not None else []

    def hear(
        self,
        *,
        on_change: Callable[[], None] = lambda: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Transcribe the shown captions one after another; a text that cannot be had becomes its reason."""
        for row in self.missing():
            if should_stop():
                return
            try:
                text = self.transcribe(*self.collection.captions[row].load())
            except AudioError as error:
                text = f"({error})"
            with self.lock:
                self._heard[row] = text
                self._rank(self.ranking.selected)
            on_change()

    def _rank(self, selected: str = "") -> None:
        scores, right = self.collection.scores[:, self.column], self.collection.right[:, self.column]
        order = np.argsort(-scores.numpy(), kind="stable")
        results = []
        places = _places(scores)
        for number, row in enumerate(order.tolist()):
            if number < self.num_best or right[row]:
                clip, heard = self.collection.captions[row], self._heard.get(row, "")
                results.append(
                    Result(
                        str(row),
                        places[row],
                        float(scores[row]),
                        clip.title,
                        bool(right[row]),
                        heard=heard or (WAITING if self.transcribe is not None else ""),
                        note=_errors(clip.title, heard),
                    )
                )
        known = ""
        if right.any():
            known = f"; the first right one is at place {ranks(scores[None], right[None]).item():g}"
        self.ranking.show(
            results, sentence=f"{len(scores)} captions ranked for this picture{known}.", selected=selected
        )


def _places(scores: Tensor) -> list[float]:
    """The place of each candidate among scores [C], 1 for the highest; tied ones share the mean of their places."""
    return ranks(scores.expand(len(scores), -1)).tolist()


def _errors(said: str, heard: str) -> str:
    """The error rate of a transcript's words, as a note."""
    return f"{100 * word_error_rate(said, heard):.0f} % word errors" if heard and any(map(str.isalnum, said)) else ""
