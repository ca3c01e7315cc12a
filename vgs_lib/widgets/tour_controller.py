"""The tour's logic: a current picture, a current recording, and what the model answers. No widget library."""

import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch

from vgs_lib.audio import to_mono_16k
from vgs_lib.errors import AudioError
from vgs_lib.prompting import Prompt, Prompter
from vgs_lib.widgets.controllers import GalleryController, PlayerController, RecorderController
from vgs_lib.widgets.material import Clip, Picture, Word
from vgs_lib.widgets.microphone import LocalMicrophone

NUM_CALIBRATION = 8


class TourController:
    """Pictures that answer to speech.

    Args:
        prompter: a `Prompter`, empty or with pictures.
        pictures: everything that is searched; the first ``num_scenes`` are the gallery.
        clips: recordings to choose from.
        num_scenes: pictures in the gallery.
        num_best: how many of the best pictures to show.
        microphone: of the kernel's machine; None looks for one.
        on_change: called without arguments after anything that is shown changed.
    """

    def __init__(
        self,
        prompter: Prompter,
        pictures: Sequence[Picture],
        clips: Sequence[Clip] = (),
        *,
        num_scenes: int = 16,
        num_best: int = 5,
        microphone: LocalMicrophone | None = None,
        on_change: Callable[[], None] = lambda: None,
    ):
        self.prompter = prompter
        self.pictures = {picture.id: picture for picture in pictures}
        self.num_best = num_best
        self.on_change = on_change
        self.scenes, self.best = GalleryController(), GalleryController()
        self.player = PlayerController()
        self.recorder = RecorderController(
            clips, on_sound=self.speak, max_seconds=prompter.max_seconds, microphone=microphone
        )
        self.prompt: Prompt | None = None
        self._calibrate = prompter.heat_range is None  # a prompt before all pictures are there may fix a range
        self._sound: tuple | None = None
        self.lock = threading.RLock()
        gallery = list(pictures)[:num_scenes]
        self.scenes.show(gallery, selected=gallery[0].id)
        self.player.show_picture(gallery[0])

    @property
    def current(self) -> Picture:
        """The picture in the player."""
        return self.player.picture

    @property
    def status(self) -> str:
        """The sentence under the recorder."""
        return self.recorder.status

    def encode(self, *, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Encode all pictures, scenes first, and fix the heat's range; then answer again what was asked.

        A range that the prompter came with is kept; without any clip the first prompt fixes it.
        """
        waiting = [picture for picture in self.pictures.values() if picture.id not in self.prompter]

        def progress(done: int, total: int) -> None:
            self._say(f"Looking at the pictures: {done} of {total}.")

        loads = (picture.load() for picture in waiting)
        ids = [picture.id for picture in waiting]
        self.prompter.add_pictures(ids, loads, progress=progress, should_stop=should_stop)
        if should_stop():
            return
        if self._calibrate and (sounds := self._calibration()):
            self.prompter.calibrate(sounds)
        with self.lock:
            if self._sound is not None:
                self._ask()
        self._say(f"Ready: {len(self.prompter)} pictures listen. " + RecorderController.READY)

    def _calibration(self) -> list[torch.Tensor]:
        """Waveforms at 16 kHz of some clips by people, who are fainter in a model than what it was trained on;
        else of some scenes' captions."""
        people = [clip for clip in self.recorder.clips.values() if clip.group == "People"]
        captions = [picture.caption for picture in self.pictures.values() if picture.caption is not None]
        others = list(self.recorder.clips.values())
        clips = (people[:: max(1, len(people) // NUM_CALIBRATION)] or captions or others)[:NUM_CALIBRATION]
        sounds = [clip.load() for clip in clips]
        return [to_mono_16k(torch.from_numpy(np.array(w, np.float32)), rate) for w, rate in sounds]

    def choose_picture(self, picture_id: str, *, caption: bool = False) -> None:
        """Make a picture current and look in it for the last recording, or (``caption``) for its own."""
        with self.lock:
            picture = self.pictures[picture_id]
            self.player.show_picture(picture)
            self.scenes.selected = self.best.selected = picture_id
            if caption and picture.caption is not None:
                clip = picture.caption
                waveform, rate = clip.load()
                self._sound = (waveform, rate, clip.title, clip.words)
                self._ask(play=True)
                self.recorder.status, self.recorder.failed = self._sentence(), False
            elif self._sound is not None and picture_id in self.prompter:
                self._ask()
        self.on_change()

    def speak(self, waveform, rate: int, *, title="recording", words: Sequence[Word] = (), play=False) -> str:
        """Prompt with a recording: heat in the current picture and the best pictures of all.

        Returns the sentence that says what was found; raises AudioError for what cannot be used
        (`RecorderController` shows that one).
        """
        with self.lock:
            before, self._sound = self._sound, (waveform, rate, title, tuple(words))
            try:
                self._ask(play=play)
            except AudioError:
                self._sound = before
                raise
            sentence = self._sentence()
        self.on_change()
        return sentence

    def _ask(self, *, play: bool = False) -> None:
        waveform, rate, title, words = self._sound
        picture = self.current
        if picture.id not in self.prompter:
            self.prompter.add_pictures([picture.id], [picture.load()])
        self.prompt = self.prompter.prompt(waveform, rate, picture=picture.id, num_best=self.num_best)
        self.player.show_prompt(picture, self.prompt, title=title, words=words, play=play)
        best = [self.pictures[match.id] for match in self.prompt.best]
        details = [f"{match.score:.2f}" for match in self.prompt.best]
        self.best.show(best, details=details, selected=picture.id)

    def _sentence(self) -> str:
        _, _, title, _ = self._sound
        count, seconds = self.prompt.num_pictures, self.prompt.elapsed
        return f"Searched {count} pictures for “{title}” in {seconds * 1000:.0f} ms."

    def _say(self, sentence: str) -> None:
        if not self.recorder.failed:  # what went wrong stays until something works
            self.recorder.status = sentence
        self.on_change()
