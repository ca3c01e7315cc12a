"""What the tour shows: pictures to search and clips to prompt them with.

`tour_material` takes them from Spoken Stamps; a notebook on other data makes `Picture` and `Clip` itself.
Shapes: H W pixels, N samples.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from vgs_lib.audio import SAMPLE_RATE, read_audio


@dataclass(frozen=True)
class Word:
    """A word of a recording and when it is heard, in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class Clip:
    """A recording to prompt with: ``load()`` gives (waveform [N], samples per second)."""

    id: str
    title: str
    group: str
    load: Callable[[], tuple[np.ndarray, int]]
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture to search: ``load()`` gives uint8 [H, W, 3]; ``caption`` is a recording that describes it.

    ``title`` is read out by screen readers. ``masks`` maps what is in the picture to bool [H, W].
    """

    id: str
    title: str
    load: Callable[[], np.ndarray]
    caption: Clip | None = None
    masks: Mapping[str, np.ndarray] = field(default_factory=dict)


def tour_material(stamps, *, num_scenes=16, num_pictures=200, num_clips=60, split="test", seed=0, size=448):
    """Pictures and clips of the tour from `Stamps`: scenes first, then single stamps.

    Args:
        stamps: an open `vgs_lib.data.stamps.Stamps`.
        num_scenes: scenes for the gallery.
        num_pictures: pictures in all; the rest are single stamps, those that people name first.
        num_clips: recordings of each kind (people, synthetic voices).
        split: split of the scenes and the synthetic voices; with "validation" the people are those of
            ``validation-human-en`` too, so that what is chosen by ear is chosen on validation.
        seed: which scenes, which clips.
        size: pixels of a picture's side.

    Returns:
        (pictures, clips).
    """
    from vgs_lib.data.scenes import Scenes

    scenes = Scenes(stamps, split, seed=seed, size=size)
    spoken = bool(stamps.voices(split))
    named = [concept for concept in stamps.concepts if "en" in concept.people]
    chosen = _scenes_with(scenes, {concept.text for concept in named}, num_scenes)
    pictures = [_scene_picture(scene, spoken=spoken) for scene in chosen]
    others = [concept for concept in stamps.concepts if "en" not in concept.people]
    np.random.default_rng(seed).shuffle(others)
    for concept in (named + others)[: num_pictures - num_scenes]:
        load = lambda concept=concept: stamps.alone(concept.id, size=size // 2)[0]
        pictures.append(Picture(concept.id, concept.text, load))
    heard = [c for c in named if split != "validation" or stamps.human_split(c.id, "en") == "validation-human-en"]
    return pictures, _people_clips(stamps, heard[:num_clips]) + _voice_clips(stamps, named[:num_clips], split)


def scene_pictures(stamps, split: str, count: int, *, seed: int = 0, size: int = 448) -> list[Picture]:
    """The first ``count`` scenes of a split with their masks and, if a voice of it was built, their captions.

    ``stamps`` is an open `Stamps`, ``size`` the pixels of a picture's side.
    """
    from vgs_lib.data.scenes import Scenes

    scenes = Scenes(stamps, split, seed=seed, size=size)
    spoken = bool(stamps.voices(split.removesuffix("-hard")))
    return [_scene_picture(scenes[index], spoken=spoken) for index in range(count)]


def described_pictures(scenes, indices) -> list[Picture]:
    """Scenes of an open `AttributeScenes` by their indices, with their masks and spoken descriptions."""
    return [_scene_picture(scenes[index], spoken=True) for index in indices]


def manifest_material(manifest) -> tuple[list[Picture], list[Clip]]:
    """The pictures and the recordings of a `Manifest`, for the `Tour` and the explorers; nothing is read yet.

    A picture's caption is its first recording. Masks are read when asked for; each is called as the caption calls it.
    """
    from vgs_lib.data.catalogue import read_picture

    pictures, clips = {}, []
    for number, entry in enumerate(manifest.entries):
        words = tuple(Word(word.text, word.start, word.end) for word in entry.words)
        title, group = entry.text or Path(entry.audio).stem, entry.speaker or entry.split
        load = lambda entry=entry: read_audio(manifest.path(entry.audio), max_seconds=None)
        clips.append(Clip(f"{number}-{entry.audio}", title, group, load, words))
        if entry.image not in pictures:
            called = {word.concept: word.text for word in entry.words if word.concept}
            masks = {called.get(o.concept, o.concept): lambda o=o: manifest.mask(o) for o in entry.objects}
            show = lambda entry=entry: read_picture(manifest.path(entry.image))
            name = entry.text or Path(entry.image).stem
            pictures[entry.image] = Picture(entry.image, name, show, clips[-1], _Lazy(masks))
    return list(pictures.values()), clips


class _Lazy(Mapping):
    """A mapping whose values are made when asked for."""

    def __init__(self, makers: dict[str, Callable]):
        self._makers = makers

    def __getitem__(self, name: str):
        return self._makers[name]()

    def __iter__(self):
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def _scenes_with(scenes, texts: set[str], count: int, *, most: int = 1000) -> list:
    """The first ``count`` scenes of two things or more, one of them in ``texts``."""
    named = lambda scene: any(concept.text in texts for concept, _ in scene.concepts)
    fits = lambda scene: len(scene.concepts) > 1 and named(scene)
    found = list(islice(filter(fits, (scenes[index] for index in range(most))), count))
    return found if len(found) == count else [scenes[index] for index in range(count)]


def _scene_picture(scene, *, spoken: bool) -> Picture:
    name = f"scene-{scene.index}"
    caption = None
    if spoken:
        words = tuple(Word(word.text, float(word.start), float(word.end)) for word in scene.words)
        load = lambda: (scene.waveform, SAMPLE_RATE)
        caption = Clip(f"{name}-caption", _sentence(scene.words), "Captions", load, words)
    title = ", ".join(item.text for item in scene.objects)
    return Picture(name, title, lambda: scene.picture, caption, {item.text: item.mask for item in scene.objects})


def _sentence(words) -> str:
    """The words of a caption as text, with a comma between names that nothing connects."""
    text, named = "", False
    for word in words:
        text += (", " if named and word.concept else " ") + word.text
        named = bool(word.concept)
    return text.strip()


def _people_clips(stamps, concepts) -> list[Clip]:
    clips = []
    for concept in sorted(concepts, key=lambda concept: concept.text.lower()):
        load = lambda concept=concept: (stamps.recording(concept.id, "en"), SAMPLE_RATE)
        clips.append(Clip(f"people-{concept.id}", concept.text, "People", load))
    return clips


def _voice_clips(stamps, concepts, split) -> list[Clip]:
    voices = stamps.voices(split)
    clips = []
    for index, concept in enumerate(sorted(concepts, key=lambda concept: concept.text.lower()) if voices else []):
        voice = voices[index % len(voices)]
        load = lambda voice=voice, concept=concept: (
            stamps.clip(voice, concept.text).astype(np.float32) / 32768,
            SAMPLE_RATE,
        )
        clips.append(Clip(f"{voice}-{concept.id}", f"{concept.text} ({voice})", "Synthetic voices", load))
    return clips
