"""The CAM inspector's view: choose a picture, a word, a method and layers, and see what the score depends on."""

from collections.abc import Sequence
from dataclasses import fields

import traitlets

from vgs_lib.widgets.cam_controller import CamController
from vgs_lib.widgets.cam_material import Choice
from vgs_lib.widgets.material import Picture
from vgs_lib.widgets.view import View, module, style


class CamInspector(View):
    """Class activation maps of a model's two encoders, live.

    Args:
        model: a `DualEncoder` in eval mode; a copy of it is explained.
        pictures: `Picture` items with captions, such as those of `scene_pictures`.
        picture_size: pixels of the shorter side that the picture encoder is given.
        controller: a `CamController` that is shared with other code, instead of the above.

    Raises:
        DataError: no picture has a caption.
    """

    _esm = module("cam.js")
    _css = style("cam.css")
    state = traitlets.Unicode("ready").tag(sync=True)

    def __init__(
        self,
        model=None,
        pictures: Sequence[Picture] = (),
        *,
        picture_size: int = 224,
        controller: CamController | None = None,
    ):
        given = controller is not None
        controller = controller or CamController(model, pictures, picture_size=picture_size)
        super().__init__(controller, state=controller.state)
        controller.on_change = self._changed
        names = {field.name for field in fields(Choice)}
        self.handlers["explain"] = lambda content, data: controller.start(
            Choice(**{name: value for name, value in content["choice"].items() if name in names})
        )
        self.handlers["stop"] = lambda content, data: controller.stop()
        if not given:
            controller.start(controller.choice)  # something to look at

    def refresh(self) -> None:
        """Show what can be chosen, what was found and how far the work is."""
        self.send(*self.controller.options())
        super().refresh()
        self.send(self.controller.progress())

    def wait(self, timeout: float | None = None) -> "CamInspector":
        """Block until nothing is running (at most ``timeout`` seconds); returns the inspector."""
        self.controller.wait(timeout)
        return self

    def close(self) -> None:
        """Stop the work and close the view."""
        self.controller.stop()
        super().close()

    def _changed(self) -> None:
        if self.controller.state == "done":
            self.send(*self.controller.message())
        self.state = self.controller.state
        self.send(self.controller.progress())
