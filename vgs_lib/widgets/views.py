"""The tour's views: gallery, recorder and matchmap player, each thin over its controller."""

import threading
from collections.abc import Callable, Sequence

import traitlets

from vgs_lib.widgets.controllers import GalleryController, PlayerController, RecorderController
from vgs_lib.widgets.material import Clip, Picture, Word
from vgs_lib.widgets.view import View, module, style


class Gallery(View):
    """Pictures to choose from. ``on_choose(id)`` and ``on_caption(id)`` are called for clicks.

    Args:
        pictures: what to show; or give ``controller``.
        title: heading.
        controller: a `GalleryController` that is shared with other code.
    """

    _esm = module("gallery.js")
    title = traitlets.Unicode("").tag(sync=True)
    compact = traitlets.Bool(False).tag(sync=True)
    selected = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self,
        pictures: Sequence[Picture] = (),
        *,
        title: str = "",
        compact: bool = False,
        on_choose: Callable[[str], None] = lambda picture_id: None,
        on_caption: Callable[[str], None] | None = None,
        controller: GalleryController | None = None,
    ):
        if controller is None:
            controller = GalleryController()
            controller.show(pictures)
        super().__init__(controller, title=title, compact=compact)
        self.show_selected()
        self.handlers["choose"] = lambda content, data: on_choose(content["id"])
        self.handlers["caption"] = lambda content, data: on_caption and on_caption(content["id"])

    def show_selected(self) -> None:
        """Mark the controller's selected picture in the browser."""
        self.selected = self.controller.selected


class Recorder(View):
    """Speech from the browser's microphone, the kernel's microphone, a sound file or a list of clips.

    Args:
        on_sound: called with (waveform, rate, title=, words=, play=); it may return a sentence for the
            status line and raise a `VgsError`, whose message is shown.
        clips: recordings to choose from.
        max_seconds: longest recording.
        heading: what a person is asked to do.
        controller: a `RecorderController` that is shared with other code, instead of the above.
    """

    _esm = module("recorder.js")
    status = traitlets.Unicode("").tag(sync=True)
    failed = traitlets.Bool(False).tag(sync=True)
    busy = traitlets.Bool(False).tag(sync=True)
    heading = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self,
        on_sound: Callable | None = None,
        *,
        clips: Sequence[Clip] = (),
        max_seconds: float = 30.0,
        heading: str = "2. Say what you see",
        controller: RecorderController | None = None,
    ):
        if controller is None:
            controller = RecorderController(clips, on_sound=on_sound, max_seconds=max_seconds)
        super().__init__(controller, status=controller.status, failed=controller.failed, heading=heading)
        self._microphone = threading.Lock()  # held while the kernel's one records
        self.handlers |= {
            "recording": lambda content, data: self._work(controller.receive_bytes, bytes(data[0]), "recording"),
            "chunk": lambda content, data: self._take(data[0] if data else b"", **content),
            "clip": lambda content, data: self._work(controller.choose_clip, content["id"]),
            "problem": lambda content, data: self._work(controller.fail, content["sentence"]),
            "local": lambda content, data: self._start_local(),
        }

    def show_status(self) -> None:
        """Bring the controller's sentence to the browser."""
        self.status, self.failed = self.controller.status, self.controller.failed

    def _work(self, answer: Callable, *values) -> None:
        self.busy = True
        try:
            answer(*values)
        finally:
            self.show_status()
            self.busy = self._microphone.locked()

    def _take(self, data: bytes, *, name: str, index: int, total: int, **_) -> None:
        if index + 1 == total:
            self._work(self.controller.receive_chunk, data, name, index, total)
        else:  # nothing to answer yet: what the page says of the file stays
            self.controller.receive_chunk(data, name, index, total)
            self.show_status()

    def _start_local(self) -> None:
        if self._microphone.acquire(blocking=False):  # a second recording would end the one that goes on
            self.status, self.failed = "Speak now: recording 3 s on the kernel's machine.", False
            self.busy = True
            threading.Thread(target=self._record_local).start()

    def _record_local(self) -> None:
        try:
            self.controller.record_local(3.0)
        finally:
            self._microphone.release()
            self.show_status()
            self.busy = False


class MatchmapPlayer(View):
    """A picture with the heat of a prompt over it, in step with its sound.

    The sound is the clock: Space plays and pauses, the arrow keys move by one frame, Home and End jump. A click on a
    word shows its heat and goes to its start; Loop repeats it.

    Args:
        controller: a `PlayerController` that is shared with other code; None makes one.
        threshold: the least similarity that is lit at the start; None lights everything.
        speed: of the sound at the start, one of `controllers.SPEEDS`; the pitch stays.
    """

    _esm = module("heat.js", "player.js")
    _css = style("player.css")

    def __init__(
        self, *, controller: PlayerController | None = None, threshold: float | None = None, speed: float = 1.0
    ):
        super().__init__(controller or PlayerController(threshold=threshold, speed=speed))

    def show(self, picture: Picture, prompt=None, *, title: str = "", words: Sequence[Word] = (), play=False) -> None:
        """Show ``picture``, with the heat and sound of ``prompt`` (a `Prompt`) if given."""
        if prompt is None:
            self.controller.show_picture(picture)
        else:
            self.controller.show_prompt(picture, prompt, title=title, words=words, play=play)
        self.refresh()
