"""Speech-prompted localization as one widget: a picture, a sound, a span of it, and the region that it lights up."""

from collections.abc import Sequence

import ipywidgets

from vgs_lib.figures.localization import HEAT_RANGE
from vgs_lib.widgets.background import ClosesViews
from vgs_lib.widgets.localizer_controller import LocalizerController
from vgs_lib.widgets.localizer_region import RegionController
from vgs_lib.widgets.material import Clip, Picture
from vgs_lib.widgets.span import SpanSelector
from vgs_lib.widgets.view import View, module, style
from vgs_lib.widgets.views import Gallery, Recorder


class RegionView(View):
    """A picture with a heatmap, the region above a threshold, and its overlap with a mask, live.

    Args:
        controller: a `RegionController`, or anything with its methods.
        answering: what answers to the threshold and the choice of a thing; None takes ``controller``.
    """

    _esm = module("localizer.js")
    _css = style("localizer.css")

    def __init__(self, controller: RegionController, *, answering=None):
        super().__init__(controller)
        self._answering = answering or controller
        self.handlers["threshold"] = lambda content, data: self.set_threshold(content["value"])
        self.handlers["target"] = lambda content, data: self._choose(content["name"])

    def set_threshold(self, threshold: float) -> None:
        """Mark what is at least as hot as ``threshold``, and show it."""
        try:
            self._answering.set_threshold(threshold)
        finally:
            self.send(self.controller.scores_message())

    def show_heat(self) -> None:
        """Bring the heat, the mask and the scores to the browser; the picture is there already."""
        content, data = self.controller.heat_message()
        self.send(content, data)

    def _choose(self, name: str) -> None:
        self._answering.choose_target(name)
        self.show_heat()


class _Span(SpanSelector):
    """The selector of a `Localizer`: the region follows it."""

    def __init__(self, localizer: LocalizerController, region: RegionView):
        super().__init__(controller=localizer.span, title="3. Drag over the sound: what does this part light up?")
        self._region = region

    def select(self, start: float, end: float) -> None:
        super().select(start, end)
        self._region.show_heat()


class Localizer(ClosesViews, ipywidgets.VBox):
    """Choose a picture and a sound, drag a span over the sound and see the region that it lights up, with its scores.

    The pieces (``gallery``, ``recorder``, ``span``, ``region``) can be used alone; ``controller`` knows everything.

    Args:
        model: a `DualEncoder` in eval mode.
        pictures: to choose from; ``masks`` say where things are, ``caption`` is the first sound.
        clips: recordings to choose from.
        threshold: cosine from which on a place is marked, such as ``read_config(name)["extra"]["threshold"]``.
        heat_range: (low, high) cosines that are drawn as dark blue and yellow.

    Raises:
        DataError: no pictures, or a ``heat_range`` that is none.
    """

    def __init__(
        self,
        model,
        pictures: Sequence[Picture],
        clips: Sequence[Clip] = (),
        *,
        threshold: float = 0.25,
        heat_range: tuple[float, float] = HEAT_RANGE,
    ):
        self.controller = controller = LocalizerController(
            model, pictures, clips, threshold=threshold, heat_range=heat_range
        )
        self.gallery = Gallery(
            title="1. Choose a picture; ▶ plays its caption",
            on_choose=controller.choose_picture,
            on_caption=lambda picture_id: controller.choose_picture(picture_id, play=True),
            controller=controller.gallery,
        )
        self.recorder = Recorder(controller=controller.recorder)
        self.region = RegionView(controller.region, answering=controller)
        self.span = _Span(controller, self.region)
        side = ipywidgets.VBox([self.recorder, self.span]).add_class("vgs-side")
        main = ipywidgets.Box([self.region, side]).add_class("vgs-main")
        super().__init__([self.gallery, main])
        self.add_class("vgs-tour").add_class("vgs-localizer")
        controller.on_change = self.refresh

    def refresh(self) -> None:
        """Bring everything that changed to the browser."""
        with self.controller.lock:  # what another thread changes meanwhile is sent after it
            self.recorder.show_status()
            self.gallery.show_selected()
            if self.controller.sound_changed:
                self.controller.sound_changed = False
                self.span.refresh()
            if self.controller.region.changed:
                self.region.refresh()
            else:
                self.region.show_heat()
