"""The tour as one widget: a gallery, a recorder, the matchmap player and the best pictures, wired."""

import logging
from collections.abc import Callable, Sequence

import ipywidgets

from vgs_lib.errors import DataError
from vgs_lib.memory import give_back
from vgs_lib.prompting import Prompter
from vgs_lib.widgets.background import Background, InBackground
from vgs_lib.widgets.material import Clip, Picture, tour_material
from vgs_lib.widgets.tour_controller import TourController
from vgs_lib.widgets.views import Gallery, MatchmapPlayer, Recorder

_log = logging.getLogger(__name__)


class Tour(InBackground, ipywidgets.VBox):
    """Speak, and the picture answers.

    The pictures are encoded in a background thread, scenes first; prompts are answered meanwhile from those
    encoded so far. The pieces (``gallery``, ``recorder``, ``player``, ``best``) can be used alone.

    Args:
        model: a `DualEncoder` in eval mode, or a `Prompter`, which has a ``heat_range`` of its own.
        stamps: an open `Stamps`; its scenes and stamps are the pictures, its recordings the clips.
        pictures: instead of ``stamps``: what to search, the gallery's first.
        clips: instead of ``stamps``: recordings to choose from.
        num_scenes: pictures in the gallery.
        num_pictures: pictures to search, taken from ``stamps``.
        num_best: best pictures to show.
        heat_range: (low, high) similarities drawn as 0 and 1, such as ``read_config(name)["extra"]["heat_range"]`` of
            a checkpoint. None: chosen from the clips once all pictures are encoded.

    Raises:
        DataError: ``heat_range`` is no such pair, or is given beside a `Prompter`.
    """

    def __init__(
        self,
        model,
        stamps=None,
        *,
        pictures: Sequence[Picture] | None = None,
        clips: Sequence[Clip] = (),
        num_scenes: int = 16,
        num_pictures: int = 200,
        num_best: int = 5,
        heat_range: tuple[float, float] | None = None,
    ):
        if isinstance(model, Prompter):
            if heat_range is not None:
                raise DataError("heat_range: a Prompter has one of its own; give it to the Prompter instead.")
            prompter = model
        else:
            prompter = Prompter(model, heat_range=heat_range)
        if pictures is None:
            pictures, clips = tour_material(stamps, num_scenes=num_scenes, num_pictures=num_pictures)
        self.controller = controller = TourController(
            prompter, pictures, clips, num_scenes=num_scenes, num_best=num_best
        )
        choose = controller.choose_picture
        self.gallery = Gallery(
            title="1. Choose a picture, or let it describe itself",
            on_choose=choose,
            on_caption=lambda picture_id: choose(picture_id, caption=True),
            controller=controller.scenes,
        )
        self.recorder = Recorder(controller=controller.recorder)
        self.player = MatchmapPlayer(controller=controller.player)
        count = min(num_pictures, len(pictures))
        self.best = Gallery(
            title=f"3. The best {num_best} of {count} pictures",
            on_choose=choose,
            compact=True,
            controller=controller.best,
        )
        side = ipywidgets.VBox([self.recorder, self.best]).add_class("vgs-side")
        main = ipywidgets.Box([self.player, side]).add_class("vgs-main")
        super().__init__([self.gallery, main])
        self.add_class("vgs-tour")
        controller.on_change = self.refresh
        self._background = Background("tour-pictures")
        self._background.start(self._encode)

    @property
    def prompter(self) -> Prompter:
        """The prompter with the tour's pictures, for prompts from code."""
        return self.controller.prompter

    @property
    def pictures(self) -> dict[str, Picture]:
        """All pictures by id, the gallery's first."""
        return self.controller.pictures

    @property
    def clips(self) -> dict[str, Clip]:
        """The clips by id."""
        return self.controller.recorder.clips

    def refresh(self) -> None:
        """Bring everything to the browser."""
        with self.controller.lock:  # what another thread changes meanwhile is sent after it
            self.recorder.show_status()
            self.gallery.show_selected()
            self.best.show_selected()
            for view in (self.gallery, self.player, self.best):
                if view.controller.changed:
                    view.refresh()

    def _encode(self, should_stop: Callable[[], bool]) -> None:
        try:
            give_back()
            self.controller.encode(should_stop=should_stop)
        except Exception as error:  # in a thread of its own: a person must see it
            _log.exception("the tour's pictures could not be encoded")
            self.controller.recorder.fail(f"The pictures could not be encoded: {error}")
            self.refresh()
