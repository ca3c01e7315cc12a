"""Builds Spoken Stamps (see :mod:`vgs_lib.data.stamps`) step by step; each step skips what is there already.

:func:`build` yields :class:`Progress`, so that the command line draws a bar and a notebook a widget. Every file and
every voice folder appears only when complete, so a build that was cut off goes on where it was.
"""

import io
import json
import os
import queue
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import resvg_py
import soundfile
import torch
from PIL import Image
from torchaudio.functional import resample

from vgs_lib.audio import SAMPLE_RATE
from vgs_lib.data.manifest import Entry, MaskedObject, Word, write_manifest
from vgs_lib.data.manifest_check import UNREADABLE
from vgs_lib.data.obtain import stamps_tree
from vgs_lib.data.speech import speak_all, trim
from vgs_lib.data.stamps import CARRIERS, FORMAT, LANGUAGES, Concept, Stamps
from vgs_lib.data.texts import key_of, name_of
from vgs_lib.data.voices import INSTALL, VOICES, Voice, engine_available, slug
from vgs_lib.errors import DataError
from vgs_lib.paths import home
from vgs_lib.safe_files import write_atomically

MAX_SIDE = 384
MAX_RECORDING_SECONDS = 5.0
MAX_SOUND_SECONDS = 10.0
PIXELS = {"pt": 96 / 72, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0}  # CSS: 96 pixels an inch


@dataclass(frozen=True)
class Progress:
    """How far a step of the build is: ``done`` of ``total`` things of ``step``."""

    step: str
    done: int
    total: int


def build(folder: Path | None = None, *, archive: Path | None = None, jobs: int | None = None) -> Iterator[Progress]:
    """Build the data set in ``folder`` (default ``$VGS_HOME/stamps``), yielding :class:`Progress`.

    ``archive`` is a ``.deb`` or ``.tar.gz`` of the stamps; ``jobs`` how many things are done at once. The report is
    written to ``build.json``, last. Raises :class:`DownloadError` or :class:`DataError` naming what is wrong.
    """
    folder = Path(folder) if folder is not None else home() / "stamps"
    folder.mkdir(parents=True, exist_ok=True)
    yield Progress("obtain", 0, 1)
    tree = stamps_tree(folder, archive=archive)
    yield Progress("obtain", 1, 1)
    dropped: list[dict] = []
    found = _read_tree(tree, dropped)
    stop = threading.Event()
    pool = ThreadPoolExecutor(jobs or os.cpu_count())
    try:
        concepts = []
        for done, result in enumerate(pool.map(lambda item: _convert(item, tree, folder), found), start=1):
            concept, problems = result
            dropped += problems
            if concept is not None:
                concepts.append(concept)
            yield Progress("pictures and people", done, len(found))
        concepts.sort(key=lambda concept: concept.id)
        texts = sorted({concept.text for concept in concepts} | set(CARRIERS))
        built = [v for v in VOICES if engine_available(v.engine)]
        yield from speak_voices(pool, built, texts, folder / "speech", stop)
    finally:  # also where the generator is closed: what runs ends after its present clip, what waits never starts
        stop.set()
        pool.shutdown(cancel_futures=True)
    _write(folder / "concepts.jsonl", "".join(c.to_json() + "\n" for c in concepts))
    missing = {v.name: INSTALL[v.engine] for v in VOICES if v not in built}
    entries = list(_entries(Stamps(folder, tuple(concepts)), [v.name for v in built]))
    write_manifest(entries, folder / "manifest.jsonl")
    report = {
        "format": FORMAT,
        "source": str(tree),
        "concepts": len(concepts),
        "names": len({c.key for c in concepts}),
        "people": dict(Counter(lang for c in concepts for lang in c.people)),
        "sounds": sum(c.sound is not None for c in concepts),
        "voices": [v.name for v in built],
        "missing_voices": missing,
        "clips": len(entries),
        "dropped": dropped,
    }
    _write(folder / "build.json", json.dumps(report, indent=1, ensure_ascii=False))
    yield Progress("report", 1, 1)


def _read_tree(tree: Path, dropped: list[dict]) -> list[Concept]:
    """A concept for each text file outside ``symbols`` that has a name and a picture; paths are of the tree."""
    found = []
    for file in sorted(tree.rglob("*.txt")):
        stem = file.relative_to(tree).with_suffix("").as_posix()
        if stem.startswith("symbols/"):
            continue
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        text, reason = name_of(lines[0] if lines else "")
        picture = next((p for p in (file.with_suffix(".png"), file.with_suffix(".svg")) if p.is_file()), None)
        if picture is None:
            reason = "there is no picture beside the text"
        if reason:
            dropped.append({"file": f"{stem}.txt", "why": reason, "found": lines[0] if lines else ""})
            continue
        texts = {"en": text}
        for line in lines[1:]:
            language, separator, translated = line.partition(".utf8=")
            if separator and translated.strip():
                texts[language.strip()] = translated.strip()
        people = {}
        for language in LANGUAGES:
            ending = "_desc.ogg" if language == "en" else f"_desc_{language}.ogg"
            if (recording := file.with_name(file.stem + ending)).is_file():
                people[language] = recording.relative_to(tree).as_posix()
        sounds = (file.with_suffix(".ogg"), file.with_suffix(".wav"))
        sound = next((s.relative_to(tree).as_posix() for s in sounds if s.is_file()), None)
        category = tuple(part for part in stem.split("/")[:-1])
        found.append(
            Concept(stem, text, key_of(text), category, picture.relative_to(tree).as_posix(), texts, people, sound)
        )
    return found


def _convert(concept: Concept, tree: Path, folder: Path) -> tuple[Concept | None, list[dict]]:
    """Write a concept's picture, recordings and sound into ``folder``; the concept with its new paths, and problems."""
    problems = []
    name = concept.id.replace("/", "__")
    picture = f"pictures/{name}.png"
    try:
        mask = folder / picture.replace("pictures/", "masks/")
        if not (folder / picture).is_file() or not mask.is_file():
            _write_picture(tree / concept.picture, folder / picture, mask)
    except UNREADABLE as error:
        return None, [{"file": concept.picture, "why": f"the picture cannot be used: {error}", "found": concept.text}]
    people = {}
    for language, path in concept.people.items():
        target = f"people/{language}/{name}.flac"
        if problem := _write_sound(tree / path, folder / target, MAX_RECORDING_SECONDS, longer="drop"):
            problems.append({"file": path, "why": problem, "found": concept.texts.get(language, "")})
        else:
            people[language] = target
    sound = None
    if concept.sound:
        sound = f"sounds/{name}.flac"
        if problem := _write_sound(tree / concept.sound, folder / sound, MAX_SOUND_SECONDS, longer="cut"):
            problems.append({"file": concept.sound, "why": problem, "found": concept.text})
            sound = None
    return replace(concept, picture=picture, people=people, sound=sound), problems


def _write_picture(source: Path, target: Path, mask: Path) -> None:
    """The picture cut to its content and at most ``MAX_SIDE`` a side, as an RGBA PNG, and its mask beside it."""
    with _rasterised(source) if source.suffix == ".svg" else Image.open(source) as opened:
        picture = opened.convert("RGBA")
    box = Image.fromarray((np.asarray(picture)[..., 3] > 25).astype(np.uint8)).getbbox()
    if box is None:
        raise ValueError("nothing in it is opaque")
    picture = picture.crop(box)
    picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    opaque = picture.getchannel("A").point(lambda alpha: 255 if alpha > 127 else 0)
    _in_place(mask, lambda partial: opaque.save(partial, format="PNG"))
    _in_place(target, lambda partial: picture.save(partial, format="PNG"))


def _rasterised(source: Path) -> Image.Image:
    """An SVG as pixels, ``2 * MAX_SIDE`` wide; resvg takes no sizes in points or millimetres, so they become pixels."""
    text = source.read_text(encoding="utf-8", errors="replace")
    root = re.search(r"<svg\b[^>]*>", text)
    if root is None:
        raise ValueError("there is no <svg> element")
    sized = re.sub(
        r'\b(width|height)="([\d.]+)(pt|mm|cm|in)"',
        lambda size: f'{size[1]}="{float(size[2]) * PIXELS[size[3]]:.3f}"',
        root[0],
    )
    text = text[: root.start()] + sized + text[root.end() :]
    return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=text, width=2 * MAX_SIDE))))


def _write_sound(source: Path, target: Path, max_seconds: float, *, longer: str) -> str:
    """The sound at 16 kHz, mono, trimmed, peak 0.7; "" or why it cannot be used."""
    if target.is_file():
        return ""
    try:
        samples, rate = soundfile.read(source, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        return f"it cannot be read: {error}"
    mono = resample(torch.from_numpy(samples.mean(axis=1)), rate, SAMPLE_RATE).numpy()
    mono = trim(mono)
    peak = float(np.abs(mono).max(initial=0.0))
    if peak < 1e-3 or len(mono) < SAMPLE_RATE // 10:
        return f"it is silent or shorter than 0.1 s ({len(mono) / SAMPLE_RATE:.2f} s)"
    if len(mono) > max_seconds * SAMPLE_RATE:
        if longer == "drop":
            return f"it lasts {len(mono) / SAMPLE_RATE:.1f} s, over {max_seconds:.0f} s"
        mono = mono[: int(max_seconds * SAMPLE_RATE)]
    _in_place(target, lambda partial: soundfile.write(partial, mono * (0.7 / peak), SAMPLE_RATE, format="FLAC"))
    return ""


def _write(target: Path, text: str) -> None:
    write_atomically(target, lambda partial: partial.write_text(text, encoding="utf-8"))


def _in_place(target: Path, write: Callable[[Path], object]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    write(partial)
    partial.replace(target)


class _Stopped(Exception):
    """Raised in a worker that is to say no more."""


def speak_voices(
    pool: ThreadPoolExecutor, voices: list[Voice], texts: list[str], folder: Path, stop: threading.Event
) -> Iterator[Progress]:
    """Say every text with every voice, a voice a worker; ``stop`` ends the workers after the clip they are at."""
    told: queue.SimpleQueue = queue.SimpleQueue()

    def said() -> None:
        if stop.is_set():
            raise _Stopped
        told.put(1)

    def work(voice: Voice) -> None:
        try:
            made = speak_all(voice, texts, folder, said=said)
            told.put(("done", len(texts) - made))
        except BaseException as error:  # handed to the consumer below, which raises it
            told.put(error)

    for voice in voices:
        pool.submit(work, voice)
    done, finished, total = 0, 0, len(voices) * len(texts)
    while finished < len(voices):
        item = told.get()
        if isinstance(item, BaseException):
            raise (item if isinstance(item, DataError) else DataError(f"speech could not be made: {item}")) from item
        if item == 1:
            done += 1
        else:
            finished += 1
            done += item[1]
        yield Progress("speech", done, total)


def _entries(stamps: Stamps, voices: list[str]) -> Iterator[Entry]:
    """The manifest: every clip of every concept by every voice and person."""
    splits = {v.name: (v.split, v.engine) for v in VOICES}
    for concept in stamps.concepts:
        clips = [(f"speech/{name}/{slug(concept.text)}.flac", "en", name, *splits[name]) for name in voices]
        clips += [
            (audio, language, f"person-{language}", stamps.human_split(concept.id, language), "person")
            for language, audio in concept.people.items()
        ]
        for audio, language, speaker, split, engine in clips:
            seconds = soundfile.info(stamps.folder / audio).duration
            text = concept.texts.get(language)
            yield Entry(
                image=concept.picture,
                audio=audio,
                split=split,
                seconds=seconds,
                language=language,
                text=text,
                speaker=speaker,
                engine=engine,
                class_name="/".join(concept.category),
                words=(Word(text, 0.0, seconds, concept.id),) if text else (),
                objects=(MaskedObject(concept.id, concept.picture.replace("pictures/", "masks/")),),
            )
