"""What the gallery, the recorder and the matchmap player know and decide, without any widget library.

Each has ``message()``: a small JSON-able dict and the byte buffers that belong to it, ready to send to a
browser.
Shapes: H W pixels, h w grid, T frames, N samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np

from vgs_lib import audio
from vgs_lib.errors import AudioError, DataError, VgsError
from vgs_lib.prompting import Prompt
from vgs_lib.viz import colour_table
from vgs_lib.widgets import buffers
from vgs_lib.widgets.material import Clip, Picture, Word
from vgs_lib.widgets.microphone import LocalMicrophone

SPEEDS = (0.25, 0.5, 0.75, 1, 1.25, 1.5, 2)  # of the player's sound
MAX_UPLOAD = 32 * 1024 * 1024  # bytes; 30 s of 32-bit stereo at 96 kHz take 23 MB


class GalleryController:
    """Pictures to choose from, with an optional line of detail each (a score)."""

    def __init__(self, *, longest: int = 160):
        self.longest = longest
        self.selected = ""
        self.changed = False  # since the last message
        self.items: list[dict] = []
        self._thumbnails: dict[str, bytes] = {}

    def show(self, pictures: Sequence[Picture], *, details: Sequence[str] | None = None, selected: str = "") -> None:
        """Replace what is shown; ``details`` has one line per picture."""
        details = details or [""] * len(pictures)
        for picture in pictures:
            if picture.id not in self._thumbnails:
                self._thumbnails[picture.id] = buffers.jpeg(picture.load(), longest=self.longest)
        self.items = [
            {"id": p.id, "title": p.title, "detail": detail, "caption": p.caption is not None}
            for p, detail in zip(pictures, details, strict=True)
        ]
        self.selected, self.changed = selected, True

    def message(self) -> tuple[dict, list[bytes]]:
        """The items and one JPEG thumbnail for each."""
        self.changed = False
        return {"type": "items", "items": self.items}, [self._thumbnails[item["id"]] for item in self.items]


class RecorderController:
    """Speech from four sources (browser, kernel's microphone, file, clips), all answered the same way.

    Args:
        clips: recordings to choose from.
        on_sound: called with (waveform, rate, title, words, play) for every recording that can be read; play
            says that the browser should let it be heard.
        max_seconds: longest recording.
        microphone: of the kernel's machine; None looks for one.
    """

    READY = "Record, open a sound file or choose a clip."

    def __init__(
        self,
        clips: Sequence[Clip] = (),
        *,
        on_sound: Callable,
        max_seconds: float = 30.0,
        microphone: LocalMicrophone | None = None,
    ):
        self.clips = {clip.id: clip for clip in clips}
        self.on_sound = on_sound
        self.max_seconds = max_seconds
        self.microphone = microphone or LocalMicrophone()
        self.status = self.READY
        self.failed = False
        self._upload: dict[int, bytes] = {}

    def message(self) -> tuple[dict, list[bytes]]:
        """The clips by group and what the sources allow."""
        groups: dict[str, list] = {}
        for clip in self.clips.values():
            groups.setdefault(clip.group, []).append([clip.id, clip.title])
        content = {
            "type": "sources",
            "groups": groups,
            "max_seconds": self.max_seconds,
            "max_bytes": MAX_UPLOAD,
        }
        return {**content, "local": self.microphone.available, "local_reason": self.microphone.reason}, []

    def receive_bytes(self, data: bytes, name: str) -> None:
        """Prompt with the bytes of a sound file; what is wrong becomes the status."""

        def read():
            waveform, rate = audio.read_audio(data, max_seconds=self.max_seconds, name=name)
            return waveform, rate, name, (), False

        self._answer(read)

    def receive_chunk(self, data: bytes, name: str, index: int, total: int) -> None:
        """One piece of an upload; the last missing one completes it."""
        if index == 0:
            self._upload = {}
        self._upload[index] = bytes(data)
        size = sum(map(len, self._upload.values()))
        if size > MAX_UPLOAD:
            self._upload = {}
            most = f"{MAX_UPLOAD / 2**20:.0f} MB"
            self.fail(f"{name}: over {most}; open a recording of at most {self.max_seconds:g} s.")
        elif len(self._upload) == total:
            data = b"".join(self._upload[i] for i in range(total))
            self._upload = {}
            self.receive_bytes(data, name)

    def choose_clip(self, clip_id: str) -> None:
        """Prompt with a clip of the list."""

        def read():
            if clip_id not in self.clips:
                raise AudioError(f"There is no clip {clip_id!r}.")
            clip = self.clips[clip_id]
            return *clip.load(), clip.title, clip.words, True

        self._answer(read)

    def record_local(self, seconds: float = 3.0) -> None:
        """Record on the kernel's machine, blocking for ``seconds``, and prompt with it."""
        self._answer(lambda: (*self.microphone.record(seconds), "recording", (), False))

    def fail(self, sentence: str) -> None:
        """Show what went wrong."""
        self.status, self.failed = sentence, True

    def _answer(self, read: Callable) -> None:
        try:
            waveform, rate, title, words, play = read()
            sentence = self.on_sound(waveform, rate, title=title, words=words, play=play)
            self.status, self.failed = sentence or f"Heard “{title}”.", False
        except VgsError as error:
            self.fail(str(error))


class PlayerController:
    """A picture, the heat of a prompt over it, and its sound; the browser draws and plays.

    Args:
        threshold: the least similarity that is lit at the start; None lights everything.
        speed: of the sound at the start, one of ``SPEEDS``.

    Raises:
        DataError: a threshold that is not finite, another speed.
    """

    def __init__(self, *, threshold: float | None = None, speed: float = 1.0):
        if threshold is not None and not np.isfinite(threshold):
            raise DataError(f"threshold: found {threshold!r}, expected a similarity or None.")
        if speed not in SPEEDS:
            raise DataError(f"speed: found {speed!r}, expected one of {', '.join(map(str, SPEEDS))}.")
        self.settings = {"threshold": threshold, "speed": speed}
        self.picture: Picture | None = None
        self.prompt: Prompt | None = None
        self.title = ""
        self.words: tuple[Word, ...] = ()
        self.play = False
        self.sound = 0  # counts what is heard: the same shown again keeps its number
        self.changed = False  # since the last message
        self._heard: tuple = (np.zeros(0), "", ())
        self._jpeg = b""

    def show_picture(self, picture: Picture) -> None:
        """Show a picture without heat, until `show_prompt`."""
        if self.picture is None or self.picture.id != picture.id:
            self._jpeg = buffers.jpeg(picture.load())
        self.picture, self.prompt, self.changed = picture, None, True

    def show_prompt(
        self,
        picture: Picture,
        prompt: Prompt,
        *,
        title: str = "",
        words: Sequence[Word] = (),
        play: bool = False,
    ) -> None:
        """Show what a prompt finds in ``picture``; ``words`` label the sound; ``play`` starts it."""
        self.show_picture(picture)
        waveform, *said = self._heard
        self._heard = (prompt.waveform, title, tuple(words))
        if said != [title, tuple(words)] or not np.array_equal(waveform, prompt.waveform):
            self.sound += 1
        self.prompt, self.title, self.words, self.play = prompt, title, tuple(words), play

    def description(self) -> str:
        """What is shown, in a sentence, for the status line and screen readers."""
        if self.picture is None:
            return "No picture yet."
        if self.prompt is None:
            return f"Picture: {self.picture.title}. Nothing said yet."
        if not self.prompt.found:
            return f"“{self.title}” is hardly found in this picture: look at the best pictures."
        start, end = self.prompt.span
        place = _place(self.prompt.whole)
        return f"“{self.title}” fits this picture best from {start:.1f} to {end:.1f} s, in the {place}."

    def word_heat(self, index: int) -> np.ndarray:
        """The heat [h, w], 0-1, of a word: of each place the strongest heat while the word is heard.

        Frames whose middle lies in the word count, and the frame of the word's middle, however short the word is. A
        word that no frame hears has no heat. Raises DataError for no such word.
        """
        if self.prompt is None or not 0 <= index < len(self.words):
            raise DataError(f"There is no word {index}: found {len(self.words)} words, counted from 0.")
        word, heat, clock = self.words[index], self.prompt.heat, self.prompt.clock
        middle = clock.middles(len(heat))
        heard = (middle >= word.start) & (middle < word.end)
        heard |= (word.start < word.end) & (np.floor(clock.frame((word.start + word.end) / 2)) == np.arange(len(heat)))
        return heat[heard].max(axis=0) if heard.any() else np.zeros_like(self.prompt.whole)

    def note(self, index: int) -> str:
        """What the heat of a word shows, in a sentence."""
        word, heat = self.words[index], self.word_heat(index)
        found = f"hottest in the {_place(heat)}" if heat.max() >= 0.25 else "hardly found in this picture"
        return f"“{word.text}”, {word.start:.2f} to {word.end:.2f} s: {found}."

    def message(self) -> tuple[dict, list[bytes]]:
        """Everything the player shows; buffers: JPEG, colours [256, 3], heat [T, h, w], whole [h, w], WAV."""
        self.changed = False
        content = {"type": "show", "description": self.description(), "picture": None, "prompt": None}
        content["settings"] = self.settings
        if self.picture is None:
            return content, []
        content["picture"] = {"id": self.picture.id, "title": self.picture.title}
        if self.prompt is None:
            return content, [self._jpeg]
        prompt, play = self.prompt, self.play
        self.play = False  # a view that opens later does not start to sound
        content["prompt"] = {
            "shape": list(prompt.heat.shape),
            "clock": asdict(prompt.clock),
            "duration": prompt.duration,
            "span": list(prompt.span),
            "range": list(prompt.heat_range),
            "sound": self.sound,
            "title": self.title,
            "words": [[word.text, word.start, word.end] for word in self.words],
            "notes": [self.note(index) for index in range(len(self.words))],
            "best": [match.id for match in prompt.best],
            "play": play,
        }
        heat = [buffers.heat_bytes(prompt.heat), buffers.heat_bytes(prompt.whole)]
        return content, [self._jpeg, _COLOURS, *heat, buffers.wav(_audible(prompt.waveform))]


_COLOURS = colour_table().tobytes()


def _place(heat: np.ndarray) -> str:
    """Where the hottest cell of heat [h, w] lies, in words."""
    row, column = np.unravel_index(int(np.argmax(heat)), heat.shape)
    rows, columns = ("top", "middle", "bottom"), ("left", "centre", "right")
    return f"{rows[int(3 * (row + 0.5) / heat.shape[0])]} {columns[int(3 * (column + 0.5) / heat.shape[1])]}"


def _audible(waveform: np.ndarray, *, peak: float = 0.7) -> np.ndarray:
    """Quiet recordings are played louder: scaled so that the loudest sample is ``peak``."""
    loudest = float(np.abs(waveform).max(initial=0))
    return waveform * (peak / loudest) if 0 < loudest < peak else waveform
