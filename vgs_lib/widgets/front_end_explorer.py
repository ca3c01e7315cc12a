"""What the explorer of front ends knows: a sound, every parameter of `LogMel` and `Mfcc`, and what they make of it.

No widget library here. Shapes: F mel bands or coefficients, T frames, N samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torchaudio.functional import resample

from vgs_lib.audio import SAMPLE_RATE, check_speech
from vgs_lib.errors import AudioError, VgsError
from vgs_lib.front_ends import LogMel, Mfcc
from vgs_lib.front_ends.mel_scale import band_centres, empty_bands
from vgs_lib.viz import colour_table
from vgs_lib.widgets import buffers
from vgs_lib.widgets.material import Clip, Word

MAX_SECONDS = 30.0


@dataclass(frozen=True)
class Parameter:
    """A parameter of a front end: a slider from ``low`` to ``high`` or, with ``choices``, a list.

    ``group`` says whose it is: "both", "log-mel" or "mfcc". ``help`` is a sentence.
    """

    name: str
    label: str
    group: str
    help: str
    unit: str = ""
    low: float = 0
    high: float = 0
    step: float = 1
    choices: tuple = ()


PARAMETERS = (
    Parameter("sample_rate", "sample rate", "both", "Samples a second.", "Hz", choices=(8000, 16000, 22050)),
    Parameter("window_seconds", "window", "both", "How much sound one frame sees.", "s", 0.005, 0.1, 0.001),
    Parameter("hop_seconds", "hop", "both", "From one frame to the next.", "s", 0.002, 0.05, 0.001),
    Parameter(
        "n_fft",
        "n_fft",
        "both",
        "Points of the Fourier transform: at least as many as the window has samples.",
        "points",
        choices=(128, 256, 400, 512, 551, 1024, 2048),
    ),
    Parameter("window", "window shape", "both", "How the edges of a window are faded.", choices=("hamming", "hann")),
    Parameter(
        "preemphasis",
        "pre-emphasis",
        "both",
        "How much of the sample before is taken off: lifts high tones.",
        "",
        0,
        1,
        0.01,
    ),
    Parameter("fmin", "lowest frequency", "both", "Where the lowest band begins.", "Hz", 0, 4000, 10),
    Parameter(
        "fmax",
        "highest frequency",
        "both",
        "Where the highest band ends; none means half the sample rate.",
        "Hz",
        choices=(None, 1000, 2000, 4000, 6000, 8000, 11025),
    ),
    Parameter(
        "max_frames",
        "most frames",
        "both",
        "Frames after this many are cut off; none keeps all.",
        "frames",
        choices=(None, 32, 64, 128, 256, 512, 1024, 2048),
    ),
    Parameter("num_bands", "mel bands", "log-mel", "How finely frequency is divided.", "bands", 4, 128, 1),
    Parameter("range_db", "range", "log-mel", "What is this far below the loudest is floor.", "dB", 10, 120, 5),
    Parameter("num_coefficients", "coefficients", "mfcc", "How many are kept of the cosine transform.", "", 1, 64, 1),
    Parameter("num_filters", "filters", "mfcc", "Mel bands before the cosine transform.", "bands", 4, 128, 1),
    Parameter("deltas", "deltas", "mfcc", "Orders of change over time that are added.", "orders", choices=(0, 1, 2)),
    Parameter("energy", "energy", "mfcc", "The first row is the log energy.", choices=(True, False)),
    Parameter("normalise", "normalise", "mfcc", "Mean 0 and deviation 1 in each row.", choices=(True, False)),
)
_BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}
_OF = {kind: tuple(field.name for field in fields(kind)) for kind in (LogMel, Mfcc)}


def default_settings() -> dict:
    """The defaults of both front ends, by parameter."""
    return {field.name: field.default for kind in (Mfcc, LogMel) for field in fields(kind)}


class FrontEndController:
    """A clip as waveform, log-mel spectrogram and MFCC under settings that can be changed one by one.

    Args:
        clips: recordings to choose from.
        settings: parameters that differ from the defaults.
    """

    def __init__(self, clips: Sequence[Clip], *, settings: dict | None = None):
        self.clips = {clip.id: clip for clip in clips}
        self.settings = default_settings()
        self.clip_id, self.title, self.words = "", "", ()
        self.waveform, self.rate = np.zeros(0, np.float32), SAMPLE_RATE
        self.problem = ""
        for name, value in (settings or {}).items():
            self._assign(name, value)
        if clips:
            self.choose(clips[0].id)

    def choose(self, clip_id: str) -> None:
        """Take a clip of the list; what is wrong becomes ``problem``."""
        if clip_id not in self.clips:
            self.problem = f"There is no clip {clip_id!r}."
            return
        clip = self.clips[clip_id]
        try:
            waveform, rate = clip.load()
            self.show(waveform, rate, title=clip.title, words=clip.words)
            self.clip_id = clip_id
        except VgsError as error:
            self.problem = str(error)

    def show(self, waveform, rate: int, *, title: str = "recording", words: Sequence[Word] = ()) -> None:
        """Take a sound [N] at ``rate`` Hz; raises AudioError if no speech can be in it or it is over 30 s."""
        waveform = check_speech(torch.as_tensor(waveform).float(), rate=rate)
        if len(waveform) / rate > MAX_SECONDS:
            raise AudioError(f"{title}: {len(waveform) / rate:.0f} s, at most {MAX_SECONDS:g} s can be drawn; cut it.")
        self.waveform, self.rate, self.clip_id = waveform.numpy(), rate, ""
        self.title, self.words, self.problem = title, tuple(words), ""

    def set(self, name: str, value) -> None:
        """Change a parameter; a value that cannot be is refused with a sentence in ``problem``."""
        try:
            self._assign(name, value)
            self.problem = ""
        except AudioError as error:
            self.problem = str(error)

    def reset(self) -> None:
        """Back to the defaults."""
        self.settings, self.problem = default_settings(), ""

    def _assign(self, name: str, value) -> None:
        if name not in _BY_NAME:
            raise AudioError(f"{name}: no such parameter; there are {', '.join(_BY_NAME)}.")
        parameter = _BY_NAME[name]
        if parameter.choices:
            if value not in parameter.choices:
                raise AudioError(f"{name}: found {value!r}, expected one of {parameter.choices}.")
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise AudioError(f"{name}: found {value!r}, expected a number.")
        elif not parameter.low <= value <= parameter.high:
            raise AudioError(f"{name}: found {value:g}, expected {parameter.low:g} to {parameter.high:g}.")
        elif isinstance(default_settings()[name], int):
            value = round(value)
        self.settings[name] = value

    @property
    def log_mel(self) -> LogMel:
        """The log-mel front end as it is set, for use in code."""
        return LogMel(**{name: self.settings[name] for name in _OF[LogMel]})

    @property
    def mfcc(self) -> Mfcc:
        """The MFCC front end as it is set, for use in code; ValueError where the settings allow none."""
        return Mfcc(**{name: self.settings[name] for name in _OF[Mfcc]})

    def conflict(self) -> str:
        """Why the settings cannot be together, in a sentence that says what to change; "" if they can."""
        s = self.settings
        window, hop = (round(s["sample_rate"] * s[f"{name}_seconds"]) for name in ("window", "hop"))
        half = s["sample_rate"] / 2
        highest = half if s["fmax"] is None else s["fmax"]
        if window > s["n_fft"]:
            return f"The window has {window} samples, but n_fft is {s['n_fft']}: shorten the window or raise n_fft."
        if highest > half:
            return (
                f"The highest frequency, {highest:g} Hz, is above {half:g} Hz, half the sample rate, where nothing can "
                "be: lower it or raise the sample rate."
            )
        if s["fmin"] >= highest:
            return f"The lowest frequency, {s['fmin']:g} Hz, is not below the highest one, {highest:g} Hz: lower it."
        if s["num_coefficients"] > s["num_filters"]:
            return (
                f"{s['num_coefficients']} coefficients cannot come from {s['num_filters']} filters: keep fewer "
                "coefficients or use more filters."
            )
        if hop < 1:
            return "The hop is shorter than one sample: make it longer."
        return ""

    def notes(self) -> list[str]:
        """What is odd about settings that can be together."""
        s, found = self.settings, []
        limits = {"n_fft": s["n_fft"], "sample_rate": s["sample_rate"], "fmin": s["fmin"], "fmax": self._highest()}
        for what, count in (("bands of the log-mel spectrogram", "num_bands"), ("filters of the MFCC", "num_filters")):
            if empty := len(empty_bands(s[count], **limits)):
                found.append(
                    f"{empty} of {s[count]} {what} hold no frequency of the transform: use fewer or raise n_fft."
                )
        if s["hop_seconds"] > s["window_seconds"]:
            found.append("The hop is longer than the window: some of the sound is in no frame.")
        return found

    def features(self) -> tuple[np.ndarray, np.ndarray]:
        """Log-mel [F, T] in dB below the loudest value and MFCC [F', T], both float32, of the present sound."""
        samples = torch.from_numpy(self.waveform)
        if self.rate != self.settings["sample_rate"]:
            samples = resample(samples, self.rate, self.settings["sample_rate"])
        return self.log_mel([samples])[0][0].numpy(), self.mfcc([samples])[0][0].numpy()

    def code(self) -> list[str]:
        """The two front ends as Python, with what differs from the defaults."""
        defaults = default_settings()
        lines = []
        for kind, names in _OF.items():
            changed = [f"{name}={self.settings[name]!r}" for name in names if self.settings[name] != defaults[name]]
            lines.append(f"{kind.__name__}({', '.join(changed)})")
        return lines

    def message(self, *, sound: bool = True) -> tuple[dict, list[bytes]]:
        """Everything the view shows; buffers: WAV if ``sound``, then, if nothing is wrong, colours, log-mel, MFCC."""
        problem = self.problem or self.conflict() or ("" if len(self.waveform) else "Choose a clip.")
        duration = len(self.waveform) / self.rate
        content = {
            "type": "show",
            "settings": dict(self.settings),
            "problem": problem,
            "sound": sound,
            "duration": duration,
        }
        content |= {"clip": self.clip_id, "title": self.title}
        data = []
        if sound:
            content["words"] = [[word.text, word.start, word.end] for word in self.words]
            content["clips"] = [[clip.id, clip.title, clip.group] for clip in self.clips.values()]
            content["parameters"] = [vars(parameter) for parameter in PARAMETERS]
            data.append(buffers.wav(self.waveform, rate=self.rate))
        if problem:
            return content, data
        log_mel, mfcc = self.features()
        centres = band_centres(self.settings["num_bands"], fmin=self.settings["fmin"], fmax=self._highest())
        spread = float(np.percentile(np.abs(mfcc), 99.5)) or 1.0
        content |= {
            "notes": self.notes(),
            "code": self.code(),
            "hop": round(self.settings["sample_rate"] * self.settings["hop_seconds"]) / self.settings["sample_rate"],
            "log_mel": {"shape": list(log_mel.shape), "range": [-float(self.settings["range_db"]), 0.0]},
            "mfcc": {"shape": list(mfcc.shape), "range": [-spread, spread]},
            "centres": centres.round(1).tolist(),
            "mfcc_unit": "deviations from the row's mean" if self.settings["normalise"] else "no unit (natural log)",
        }
        return content, [*data, _COLOURS, log_mel.tobytes(), mfcc.tobytes()]

    def _highest(self) -> float:
        fmax = self.settings["fmax"]
        return self.settings["sample_rate"] / 2 if fmax is None else fmax


_COLOURS = colour_table().tobytes()
