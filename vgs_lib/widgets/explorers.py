"""Image search and image annotation as widgets: speak and see ranked pictures; choose a picture and hear captions."""

from collections.abc import Callable, Sequence

import ipywidgets
import traitlets

from vgs_lib import transcripts
from vgs_lib.memory import give_back
from vgs_lib.widgets.background import Background, ClosesViews, InBackground
from vgs_lib.widgets.collection import Collection
from vgs_lib.widgets.explorers_controller import (
    ImageAnnotationController,
    ImageSearchController,
    RankingController,
)
from vgs_lib.widgets.material import Clip
from vgs_lib.widgets.view import View, module, style
from vgs_lib.widgets.views import Gallery, MatchmapPlayer, Recorder


class Ranking(View):
    """Results in order; ``on_choose(id)`` is called for a click."""

    _esm = module("ranking.js")
    _css = style("ranking.css")
    title = traitlets.Unicode("").tag(sync=True)

    def __init__(self, controller: RankingController, *, title: str, on_choose: Callable[[str], None]):
        super().__init__(controller, title=title)
        self.handlers["choose"] = lambda content, data: on_choose(content["id"])


class ImageSearch(ClosesViews, ipywidgets.VBox):
    """Say or choose a caption and see the pictures ranked, the right ones marked.

    Args:
        collection: from `Collection.of`.
        clips: more recordings to choose from, such as those of people.
        num_best: pictures to show.
    """

    def __init__(self, collection: Collection, clips: Sequence[Clip] = (), *, num_best: int = 8):
        self.controller = controller = ImageSearchController(
            collection, clips, num_best=num_best, on_change=self.refresh
        )
        self.recorder = Recorder(controller=controller.recorder, heading="Say or choose what to find")
        self.ranking = Ranking(controller.ranking, title="Pictures, best first", on_choose=controller.choose_picture)
        self.player = MatchmapPlayer(controller=controller.player)
        left = ipywidgets.VBox([self.recorder, self.ranking]).add_class("vgs-found")
        super().__init__([ipywidgets.Box([left, self.player]).add_class("vgs-search")])

    def refresh(self) -> None:
        """Bring everything to the browser."""
        with self.controller.lock:
            self.ranking.refresh()
            self.player.refresh()


class _Whisper:
    """Whisper, loaded for the first recording (0.2 s) and dropped by ``rest``: it takes 100 MB."""

    def __init__(self):
        self._transcriber: transcripts.Transcriber | None = None

    def __call__(self, waveform, rate: int) -> str:
        self._transcriber = self._transcriber or transcripts.Transcriber()
        return self._transcriber(waveform, rate)

    def rest(self) -> None:
        self._transcriber = None


class ImageAnnotation(InBackground, ipywidgets.VBox):
    """Choose a picture and see spoken captions ranked, with what was said and what Whisper hears.

    Transcripts are made in a background thread, for the shown captions only; another choice stops it.

    Args:
        collection: from `Collection.of`.
        transcribe: a function from (waveform, rate) to text; None takes Whisper tiny.en where it is installed.
        num_best: captions to show.
        num_pictures: pictures to choose from.
    """

    def __init__(
        self,
        collection: Collection,
        *,
        transcribe: Callable | None = None,
        num_best: int = 6,
        num_pictures: int = 16,
    ):
        reason = "" if transcribe is not None else transcripts.unavailable()
        if transcribe is None and not reason:
            transcribe = _Whisper()
        self.controller = controller = ImageAnnotationController(
            collection, transcribe=transcribe, reason=reason, num_best=num_best, num_pictures=num_pictures
        )
        self.gallery = Gallery(title="Choose a picture", controller=controller.gallery, on_choose=self.choose_picture)
        title = "Spoken captions, best first" + (f". {reason}" if reason else "")
        self.ranking = Ranking(controller.ranking, title=title, on_choose=self.choose_caption)
        self.player = MatchmapPlayer(controller=controller.player)
        self._background = Background("transcripts")
        pair = ipywidgets.Box([self.ranking, self.player]).add_class("vgs-search")
        super().__init__([self.gallery, pair])

    def choose_picture(self, picture_id: str) -> None:
        """Rank the captions for a picture, as a click does."""
        self._background.stop()
        with self.controller.lock:  # the transcripts of the picture before are sent before
            self.controller.choose_picture(picture_id)
            self.gallery.show_selected()
            self.ranking.refresh()
            self.player.refresh()
        self._background.replace(self._hear)

    def choose_caption(self, caption_id: str) -> None:
        """Play a caption in the picture, as a click does."""
        with self.controller.lock:
            self.controller.choose_caption(caption_id)
            self.ranking.refresh()
            self.player.refresh()

    def _show_transcripts(self) -> None:
        with self.controller.lock:
            self.ranking.refresh()

    def _hear(self, should_stop: Callable[[], bool]) -> None:
        try:
            self.controller.hear(on_change=self._show_transcripts, should_stop=should_stop)
        except Exception as error:  # in a thread of its own: a person must see it
            self.ranking.send({"type": "broken", "sentence": f"The transcripts stopped: {error}"})
        if isinstance(self.controller.transcribe, _Whisper):
            self.controller.transcribe.rest()
        give_back()
