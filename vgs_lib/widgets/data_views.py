"""The views of ``01_data``: explorers of a data set, of front ends and of scenes, manifest maker, caption speaker."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vgs_lib.data.catalogue import Thing, of_manifest, of_stamps
from vgs_lib.data.manifest import Manifest
from vgs_lib.data.stamps import Stamps
from vgs_lib.widgets.background import Background, InBackground
from vgs_lib.widgets.caption_speaker import CaptionSpeakerController
from vgs_lib.widgets.data_explorer import DataExplorerController
from vgs_lib.widgets.front_end_explorer import FrontEndController
from vgs_lib.widgets.manifest_maker import ManifestController
from vgs_lib.widgets.material import Clip, Picture
from vgs_lib.widgets.scene_explorer import SceneExplorerController
from vgs_lib.widgets.view import View, module, style

_STYLE = style("data.css")


class DataExplorer(View):
    """Filter a data set, look at its things, hear who says them.

    Args:
        data: an open `Stamps`, a `Manifest`, or a list of `Thing`.
    """

    _esm = module("sound_box.js", "data_explorer.js")
    _css = _STYLE

    def __init__(self, data: Stamps | Manifest | Sequence[Thing]):
        if isinstance(data, Stamps):
            data = of_stamps(data)
        elif isinstance(data, Manifest):
            data = of_manifest(data)
        super().__init__(DataExplorerController(data))
        self.handlers["filter"] = lambda content, data: self._filter(content)
        self.handlers["page"] = lambda content, data: self._turn(content["page"])
        self.handlers["choose"] = lambda content, data: self._choose(content["id"])
        self.handlers["play"] = lambda content, data: self._play(content["of"], content["index"])

    def refresh(self) -> None:
        """Show everything anew."""
        self.send(*self.controller.page_message(options=True))
        self.send(*self.controller.thing_message())

    def _filter(self, content: dict) -> None:
        names = ("category", "language", "speaker", "text")
        self.controller.filter(**{name: content[name] for name in names})
        self.send(*self.controller.page_message())
        self.send(*self.controller.thing_message())

    def _turn(self, page: int) -> None:
        self.controller.turn(page)
        self.send(*self.controller.page_message())

    def _choose(self, thing_id: str) -> None:
        self.controller.choose(thing_id)
        self.send(*self.controller.thing_message())

    def _play(self, listed: list[str], index: int) -> None:
        """Play one of the recordings that the page shows; where those are of something else now, show it instead."""
        if listed == self.controller.listed:
            self.send(*self.controller.play(index))
        else:
            self.send(*self.controller.thing_message())


class FrontEndExplorer(View):
    """A sound as waveform, log-mel spectrogram and MFCC, with every parameter of both front ends to change.

    ``explorer.controller.log_mel`` and ``.mfcc`` are the front ends as they are set.

    Args:
        clips: recordings to choose from.
        settings: parameters that differ from the defaults.
    """

    _esm = module("sound_box.js", "front_end_explorer.js")
    _css = _STYLE

    def __init__(self, clips: Sequence[Clip], *, settings: dict | None = None):
        super().__init__(FrontEndController(clips, settings=settings))
        self._lock = threading.RLock()  # a recorder shows its sound from a thread of its own
        self.handlers["clip"] = lambda content, data: self._then(self.controller.choose, content["id"], sound=True)
        self.handlers["set"] = lambda content, data: self._then(self.controller.set, content["name"], content["value"])
        self.handlers["reset"] = lambda content, data: self._then(self.controller.reset)

    def show(self, waveform, rate: int, *, title: str = "recording", words=(), play: bool = False) -> str:
        """Show a sound [N] at ``rate`` Hz; fits a `Recorder`, whose status line shows what is returned or raised."""
        with self._lock:
            self.controller.show(waveform, rate, title=title, words=words)
            self.refresh()
        return f"“{title}” is shown below."

    def _then(self, change: Callable, *values, sound: bool = False) -> None:
        with self._lock:
            change(*values)
            self.send(*self.controller.message(sound=sound))


class SceneExplorer(View):
    """Pictures with their masks outlined and named, and their spoken captions with the times of the words.

    Args:
        groups: from a group's name, such as a split, to pictures; see `scene_groups` for Spoken Stamps.
        notes: a sentence on each group.
    """

    _esm = module("sound_box.js", "scene_explorer.js")
    _css = _STYLE

    def __init__(self, groups: Mapping[str, Sequence[Picture]], *, notes: Mapping[str, str] | None = None):
        super().__init__(SceneExplorerController(groups, notes=notes))
        self.handlers["choose"] = lambda content, data: self._choose(content["group"], content["index"])

    def _choose(self, group: str, index: int) -> None:
        self.controller.choose(group, index)
        self.refresh()


class ManifestMaker(InBackground, View):
    """A folder of pictures and recordings becomes a manifest; what is wrong is shown where it is.

    Args:
        folder: the folder to begin with, on the machine where Python runs.
    """

    _esm = module("manifest_maker.js")
    _css = _STYLE

    def __init__(self, folder: str | Path = ""):
        super().__init__(ManifestController(folder))
        self.controller.on_change = self.refresh
        self._background = Background("manifest-maker")
        self.handlers["check"] = lambda content, data: self.check(content["folder"])
        self.handlers["stop"] = lambda content, data: self._background.stop()
        self.handlers["write"] = lambda content, data: self._write(content)

    def check(self, folder: str) -> None:
        """Scan a folder in the background, unless a scan goes on."""
        self._background.start(lambda should_stop: self.controller.check(folder, should_stop=should_stop))

    def _write(self, content: dict) -> None:
        if not self.controller.busy:
            names = ("validation", "test", "by", "leave_out")
            self.controller.write(**{name: content[name] for name in names})


class CaptionSpeaker(View):
    """Synthetic voices say a text; what they said can be heard and saved.

    Args:
        text: what stands in the field at first.
        folder: where recordings are saved.
    """

    _esm = module("sound_box.js", "caption_speaker.js")
    _css = _STYLE

    def __init__(self, text: str = "", *, folder: str | Path = ""):
        super().__init__(CaptionSpeakerController(text, folder=folder))
        self.controller.on_change = self.refresh
        self._background = Background("caption-speaker")
        self.handlers["speak"] = lambda content, data: self._speak(content["text"], content["voice"])
        self.handlers["save"] = lambda content, data: self.controller.save(content["name"])

    def _speak(self, text: str, voice: str) -> None:
        self._background.start(lambda should_stop: self.controller.speak(text, voice))
