"""Speech-prompted localization: a picture, a recording, a span of it and what the span lights up. No widget library.

Legend: D embedding, H W grid, T frames, N samples at 16 kHz; times in seconds.
"""

import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from vgs_lib import localization
from vgs_lib.audio import check_speech, to_mono_16k
from vgs_lib.clock import Clock
from vgs_lib.errors import DataError
from vgs_lib.figures.localization import HEAT_RANGE
from vgs_lib.images import fit_picture
from vgs_lib.widgets.controllers import GalleryController, RecorderController
from vgs_lib.widgets.localizer_region import RegionController
from vgs_lib.widgets.material import Clip, Picture, Word
from vgs_lib.widgets.microphone import LocalMicrophone
from vgs_lib.widgets.span_controller import SpanController


class LocalizerController:
    """A span of speech answers with a region of a picture.

    Args:
        model: a `DualEncoder` in eval mode (embed_image, embed_waveforms, seconds_per_frame).
        pictures: to choose from; ``masks`` say where things are, ``caption`` is the first sound.
        clips: recordings to choose from.
        threshold: cosine from which on a place is marked, chosen on validation.
        heat_range: (low, high) cosines that are drawn as dark blue and yellow.
        picture_size: pixels of the shorter side that the image encoder is given.
        max_seconds: longest recording.
        microphone: of the kernel's machine; None looks for one.
        on_change: called without arguments after anything that is shown changed.

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
        picture_size: int = 224,
        max_seconds: float = 30.0,
        microphone: LocalMicrophone | None = None,
        on_change: Callable[[], None] = lambda: None,
    ):
        if not pictures:
            raise DataError("pictures: found none, expected one or more to choose from.")
        self.model, self.picture_size, self.max_seconds = model, picture_size, max_seconds
        self.pictures = {picture.id: picture for picture in pictures}
        self.on_change = on_change
        self.gallery = GalleryController()
        self.span = SpanController(on_span=self._find)
        self.region = RegionController(threshold=threshold, heat_range=heat_range)
        self.recorder = RecorderController(clips, on_sound=self.speak, max_seconds=max_seconds, microphone=microphone)
        self.sound_changed = False  # since the view last asked
        self._image_maps: dict[str, Tensor] = {}
        self._audio_map: Tensor | None = None
        self.lock = threading.RLock()
        self.gallery.show(list(pictures), selected=pictures[0].id)
        self.choose_picture(pictures[0].id)

    @property
    def picture(self) -> Picture:
        """The picture that is shown."""
        return self.region.picture

    def choose_picture(self, picture_id: str, *, play: bool = False) -> None:
        """Show a picture and select the first thing that its caption names; without a caption the sound stays."""
        try:
            with self.lock:
                self._choose(self.pictures[picture_id], play=play)
        finally:
            self.on_change()  # what was chosen is shown, whatever could not be heard

    def _choose(self, picture: Picture, *, play: bool) -> None:
        self.region.show_picture(picture)
        self.gallery.selected = picture.id
        if picture.caption is not None:
            clip = picture.caption
            named = [word for word in clip.words if word.text in picture.masks]
            span = (named[0].start, named[0].end) if named and not play else None
            self._hear(*clip.load(), title=clip.title, words=clip.words, span=span, play=play)
        elif self._audio_map is not None:
            self._find(*self.span.span)

    def speak(self, waveform, rate: int, *, title="recording", words: Sequence[Word] = (), play=False) -> str:
        """Take a recording; its loud part, or the whole of its words, is selected. Returns a sentence for the status.

        Raises AudioError for what cannot be used (`RecorderController` shows that one).
        """
        with self.lock:
            self._hear(waveform, rate, title=title, words=words, play=play)
        self.on_change()
        return f"Heard “{title}”: {self.span.duration:.1f} s. Drag over its waveform to choose a part."

    def choose_target(self, name: str) -> None:
        """Compare with the mask of ``name``; an empty name follows the nearest word."""
        with self.lock:
            self.region.choose_target(name)

    def set_threshold(self, threshold: float) -> None:
        """Mark what is at least as hot as ``threshold``, a cosine."""
        with self.lock:
            self.region.set_threshold(threshold)

    def _hear(self, waveform, rate: int, *, title: str, words: Sequence[Word], span=None, play: bool) -> None:
        if not isinstance(waveform, torch.Tensor):
            waveform = torch.from_numpy(np.array(waveform, dtype=np.float32))
        if waveform.numel():
            waveform = to_mono_16k(waveform.float(), rate)
        check_speech(waveform)
        with torch.inference_mode():
            maps, lengths = self.model.embed_waveforms([waveform])
        self._audio_map = maps[0, :, : int(lengths[0])]
        if span is None and words:
            span = (words[0].start, words[-1].end)
        self.sound_changed = True
        self.span.show(waveform, title=title, words=words, span=span, play=play)

    def _find(self, start: float, end: float) -> None:
        """The heat of a span, over the picture, compared with what its nearest word names."""
        with self.lock, torch.inference_mode():
            heat = localization.span_heatmap(self._image_map(), self._audio_map, start, end, Clock.of(self.model))
            named = [word for word in self.span.words if word.text in self.picture.masks]
            near = nearest_word(named, start, end)
            heard = [word.text for word in self.span.words if _shared(word, start, end) > (word.end - word.start) / 2]
            spoken = " ".join(heard) or (near.text if near and _shared(near, start, end) > 0 else "")
            self.region.show_heat(heat, spoken=spoken, near=near.text if near else self._titled())

    def _titled(self) -> str | None:
        """The thing that the title of a recording without words names, if there is one."""
        title = self.span.title
        return next((name for name in self.picture.masks if title == name or title.startswith(f"{name} (")), None)

    def _image_map(self) -> Tensor:
        """The image map [D, H, W] of the picture that is shown; encoded once."""
        picture = self.picture
        if picture.id not in self._image_maps:
            pixels = fit_picture(picture.load(), self.picture_size, name=picture.title)
            device = getattr(self.model, "device", "cpu")
            self._image_maps[picture.id] = self.model.embed_image(pixels[None].to(device))[0]
        return self._image_maps[picture.id]


def nearest_word(words: Sequence[Word], start: float, end: float) -> Word | None:
    """The word that shares most time with a span, or, where none does, the one with the smallest gap to it."""
    return max(words, key=lambda word: _shared(word, start, end), default=None)


def _shared(word: Word, start: float, end: float) -> float:
    """Seconds that a word and a span share; below 0, the gap between them."""
    return min(end, word.end) - max(start, word.start)
