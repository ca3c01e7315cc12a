"""What the CAM inspector knows and decides, without any widget library.

A choice (picture, word, method, layers, what is subtracted) is explained in a background thread that can be stopped;
``message()`` is what a browser has to show. Shapes: D embedding, H W pixels, h w grid, F mel bands, T frames.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from vgs_lib import explain as ex
from vgs_lib.clock import Clock
from vgs_lib.errors import DataError, ExplainError, VgsError
from vgs_lib.model import DualEncoder
from vgs_lib.viz import colour_table, upsample
from vgs_lib.widgets import buffers
from vgs_lib.widgets.cam_material import AGAINST, WHOLE, CamMaterial, Choice
from vgs_lib.widgets.material import Picture

_log = logging.getLogger(__name__)
_COLOURS = colour_table().tobytes()


class Stopped(Exception):
    """The work was stopped."""


@dataclass(frozen=True, eq=False)
class Inspection:
    """The maps of a choice: ``cam`` over the picture, ``sound`` over the spectrogram ``mel`` [F, T].

    ``sound`` is None where the method cannot be used on sound; ``note`` says why. ``span`` is the query's (start, end)
    in seconds, ``seconds`` what it took.
    """

    choice: Choice
    cam: ex.Cam
    sound: ex.Cam | None
    note: str
    mel: np.ndarray
    span: tuple[float, float]
    seconds: float


class CamController:
    """Explains pictures and their spoken captions with class activation maps.

    Args:
        model: a `DualEncoder` in eval mode; a copy of it is explained.
        pictures: those with a caption are shown.
        picture_size: pixels of the shorter side that the picture encoder is given.
        on_change: called, from any thread, when there is something new to show.

    Raises:
        DataError: no picture has a caption.
    """

    def __init__(
        self,
        model: DualEncoder,
        pictures: Sequence[Picture],
        *,
        picture_size: int = 224,
        on_change: Callable[[], None] = lambda: None,
    ):
        self.material = CamMaterial(model, pictures, picture_size=picture_size)
        self.model, self.on_change = model, on_change
        self.side, self.sound_side = ex.PictureSide(model), ex.SoundSide(model)
        first = next(iter(self.material.pictures))
        self.layers = ex.layers(self.side, self.material.pixels(first))
        self.sound_layers = ex.layers(self.sound_side, self.material.mel(first))
        self.choice = Choice(first, word=0 if self.material.pictures[first].caption.words else WHOLE)
        self.result: Inspection | None = None
        self.state, self.status = "ready", "Choose a word and press Explain."
        self.done, self.total, self.seconds_left = 0, 0, 0.0
        self._work, self._telling = threading.Lock(), threading.Lock()
        self._stop, self._thread = threading.Event(), None

    def start(self, choice: Choice) -> None:
        """Explain ``choice`` in the background, in place of what is running; errors become the status."""
        with self._telling:
            self._stop.set()
            self._stop = stop = threading.Event()
            self.choice = choice
        self._tell(stop, "running", "Working.", 0, 1)
        self._thread = threading.Thread(target=self._run, args=(choice, stop), daemon=True, name="cam-inspector")
        self._thread.start()

    def stop(self) -> None:
        """Stop what is running; what was shown before stays."""
        if self.state == "running":
            self._tell(self._stop, "stopped", "Stopped. What was shown before stays.")

    def wait(self, timeout: float | None = None) -> "CamController":
        """Block until nothing is running (at most ``timeout`` seconds)."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self

    def _run(self, choice: Choice, stop: threading.Event) -> None:
        def tell(done: int, total: int, left: float, sentence: str) -> None:
            if stop.is_set():
                raise Stopped
            self._tell(stop, "running", sentence, done, total, left)

        try:
            with self._work:  # two maps at a time would meet in the same network
                found = self.explain(choice, tell=tell)
            self._tell(stop, "done", "", 1, 1, result=found)
        except Stopped:
            pass
        except VgsError as error:
            self._tell(stop, "failed", str(error))
        except Exception as error:  # in a thread of its own: a person must see it
            _log.exception("the choice %s could not be explained", choice)
            self._tell(stop, "failed", f"Something went wrong: {type(error).__name__}: {error}")

    def _tell(
        self,
        stop: threading.Event,
        state: str,
        sentence: str,
        done: int = 0,
        total: int = 0,
        left: float = 0.0,
        *,
        result: Inspection | None = None,
    ) -> None:
        """Take over what a piece of work says, unless it was stopped meanwhile."""
        with self._telling:
            if stop.is_set():
                return
            if state == "stopped":
                stop.set()
            self.result = result or self.result
            self.state, self.status = state, sentence or self.description()
            self.done, self.total, self.seconds_left = done, total, left
        self.on_change()

    def explain(self, choice: Choice, *, tell: Callable[[int, int, float, str], None] = lambda *_: None) -> Inspection:
        """The maps of a choice, here and now; ``tell`` gets (done, total, seconds left, sentence), and may raise.

        Raises:
            ExplainError, DataError: the choice names what does not exist or does not fit.
        """
        started, span = time.perf_counter(), self.material.span(choice)
        if choice.against not in AGAINST:
            raise DataError(f"against: found {choice.against!r}, expected one of {', '.join(AGAINST)}.")
        channels = {layer.name: layer.shape[0] for layer in self.layers}
        asks = channels.get(choice.layer, 1) if choice.method == "ScoreCAM" else 1
        done, total = 0, asks + 2

        def step(sentence: str = "Picture: the network runs.") -> None:
            nonlocal done
            left = (time.perf_counter() - started) / done * (total - done) if done else 0.0
            tell(done, total, left, sentence)
            done += 1

        step("The recording is encoded.")
        query, image_map = self.material.query(choice, span), self.material.encoded(choice.picture)[0]
        target = ex.SpokenQuery(self.model, query, self.material.other_queries(choice))
        options = {"method": choice.method, "layer": choice.layer, "asked": step}
        (cam,) = ex.explain(self.side, self.material.pixels(choice.picture), target, **options)
        others = self.material.others(choice.picture) if choice.against == "captions" else []
        mel = self.material.mel(choice.picture)
        frames = ex.frames_in(self.model, self.material.encoded(choice.picture)[1].shape[-1], span)
        heard = ex.ShownPicture(
            self.model, image_map, [self.material.encoded(other)[0] for other in others], frames=frames
        )
        sound, note = None, ""
        try:
            options = {
                "method": choice.method,
                "layer": choice.sound_layer,
                "asked": lambda: tell(done, total, 0.0, "Sound: the network runs."),
            }
            (sound,) = ex.explain(self.sound_side, mel, heard, **options)
        except ExplainError as error:
            if choice.sound_layer not in {layer.name for layer in self.sound_layers}:
                raise
            note = str(error)
        if sound is not None and sound.empty:
            note = f"{sound.method} at {sound.layer}: no moment raises the score. The map is empty, not wrong."
        seconds = time.perf_counter() - started
        return Inspection(choice, cam, sound, note, mel[0, 0].cpu().numpy(), span, seconds)

    def description(self) -> str:
        """What is shown, in sentences, for the status line and screen readers."""
        if self.result is None:
            return "Nothing explained yet."
        found, picture = self.result, self.material.pictures[self.result.choice.picture]
        cam, name = found.cam, self.material.query_text(found.choice)
        if cam.empty:
            return f"{cam.method} at {cam.layer}: no place raises the score of “{name}”. The map is empty, not wrong."
        heat = upsample(cam.positive, next(iter(picture.masks.values())).shape) if picture.masks else None
        shares = {thing: float(heat[mask].sum() / heat.sum()) for thing, mask in picture.masks.items()}
        parts = [f"{share:.0%} on {thing}" for thing, share in shares.items()]
        said = f"{cam.method} at {cam.layer} for “{name}”" + (f": of the map lie {', '.join(parts)}." if parts else ".")
        if cam.method in ex.IGNORES_TARGET:
            said += " This method never looks at the query."
        if found.sound is not None and not found.sound.empty:
            said += f" Strongest in the sound at {self.peak_seconds():.2f} s."
        return said

    def peak_seconds(self) -> float:
        """The moment of the greatest value of the map over the sound, in seconds."""
        return float(self._sound_clock().seconds(int(self.result.sound.positive.max(axis=0).argmax()) + 0.5))

    def _sound_clock(self) -> Clock:
        """When the frames of the map over the sound are heard."""
        num_frames, choice = self.result.sound.positive.shape[1], self.result.choice
        return Clock.of(self.model).of_layer(num_frames, self.material.duration(choice.picture))

    def options(self) -> tuple[dict, list[bytes]]:
        """Everything that can be chosen; buffers: one JPEG thumbnail for each picture."""
        items = [
            {
                "id": picture.id,
                "title": picture.title,
                "caption": picture.caption.title,
                "words": [[word.text, word.start, word.end] for word in picture.caption.words],
            }
            for picture in self.material.pictures.values()
        ]
        content = {
            "type": "options",
            "pictures": items,
            "methods": [[name, ex.ABOUT[name]] for name in ex.METHODS],
            "layers": [[layer.name, layer.label] for layer in self.layers],
            "sound_layers": [[layer.name, layer.label] for layer in self.sound_layers],
            "against": [list(pair) for pair in AGAINST.items()],
            "choice": asdict(self.choice),
        }
        return content, [buffers.jpeg(picture.load(), longest=120) for picture in self.material.pictures.values()]

    def progress(self) -> dict:
        """State, sentence and how much is done."""
        parts = {"done": self.done, "total": self.total, "left": self.seconds_left}
        return {"type": "progress", "state": self.state, "sentence": self.status, **parts}

    def message(self) -> tuple[dict, list[bytes]]:
        """The result; buffers: JPEG, colours [256, 3], map [h, w] and map over sound (float32), spectrogram [F, T]."""
        if self.result is None:
            return {"type": "shown", "picture": None}, []
        found, picture = self.result, self.material.pictures[self.result.choice.picture]
        sound = np.zeros((1, 1)) if found.sound is None else found.sound.positive
        mel = (found.mel - found.mel.min()) / max(float(np.ptp(found.mel)), 1e-6)
        content = {
            "type": "shown",
            "picture": {"id": picture.id, "title": picture.title},
            "choice": asdict(found.choice),
            "query": self.material.query_text(found.choice),
            "description": self.description(),
            "score": found.cam.score,
            "shape": list(found.cam.raw.shape),
            "mel": list(mel.shape),
            "sound": None if found.sound is None else list(sound.shape),
            "sound_clock": None if found.sound is None else asdict(self._sound_clock()),
            "note": found.note,
            "words": [[word.text, word.start, word.end] for word in picture.caption.words],
            "span": list(found.span),
            "duration": self.material.duration(picture.id),
        }
        maps = [np.float32(found.cam.positive).tobytes(), np.float32(sound).tobytes()]
        return content, [buffers.jpeg(picture.load()), _COLOURS, *maps, buffers.heat_bytes(mel)]

    def choose(self, **changes) -> Choice:
        """The present choice with changes, such as ``word=1`` or ``method="GradCAM"``."""
        return replace(self.choice, **changes)
