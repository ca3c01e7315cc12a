"""Scenes of described things: one thing with a size and a colour, at times a second thing, and a spoken description.

A scene is a pure function of (split, seed, index), as in :mod:`vgs_lib.data.scenes`, of which it keeps the interface.
Scene i is of class ``i mod num_classes`` in an order shuffled once, so the first k rounds have k scenes of each class.
The second thing makes the description matter: it is the same thing in another colour or size, or another thing of the
same colour and size. Its pairs are always some that training has, and its class is never one of the split's own, except
in training; so a caption of a held-out split describes the pictures of its class and no other.

Legend: H W pixels, N samples at 16 kHz; times in seconds.
"""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from PIL import Image

from vgs_lib.audio import SAMPLE_RATE
from vgs_lib.data import backgrounds, voices
from vgs_lib.data.attribute_design import SPLITS, Design, design
from vgs_lib.data.attribute_layout import boxes
from vgs_lib.data.attribute_speech import AttributeSpeech, present
from vgs_lib.data.attributes import COLOURS, NOUNS, PLACES, SIZES, Description, recolour
from vgs_lib.data.scenes import OPENINGS, Caption, DrawnAndTold, SceneObject, Word, generator, paste
from vgs_lib.data.stamps import Concept, Stamps
from vgs_lib.errors import DataError

VERSION = 1  # of what a scene is made of: raised when the code changes what scenes look or sound like
# How often there is no second thing, and how often it differs from the first in what.
SECOND_THING = {"none": 0.4, "colour": 0.2, "size": 0.15, "noun": 0.25}


@dataclass(frozen=True)
class DescribedObject(SceneObject):
    """A thing in a scene and its description; only the first of a scene is ``mentioned``."""

    description: Description = field(kw_only=True)


@dataclass(frozen=True)
class DescribingWord(Word):
    """A word of a description: ``kind`` is "size", "colour", "noun" or "place", or None for carrier words.

    ``concept`` is the thing that it describes. A size's word begins with the article.
    """

    kind: str | None = None


class AttributeScenes:
    """``scenes[i]`` is the i-th scene of a split (``attribute_design.SPLITS``); there is no last one.

    seed, size: of the scenes, and side of the picture in pixels. places: things are wholly left or right, and the
    caption and the class say where. nouns: the things; those that the data set lacks are left out, with the reason in
    ``missing``. ``split`` is the split as banks of features know it, ``name`` as it was given.
    Raises :class:`DataError` for an unknown split or where too few things are there.
    """

    def __init__(
        self,
        stamps: Stamps,
        split: str,
        *,
        seed: int = 0,
        size: int = 224,
        places: bool = False,
        nouns: tuple[str, ...] = NOUNS,
    ):
        if split not in SPLITS:
            raise DataError(f"no split of described things is called {split!r}; there are {', '.join(SPLITS)}")
        self.stamps, self.name, self.seed, self.size, self.places = stamps, split, seed, size, places
        self.nouns, self.missing = present(stamps, nouns)
        self.design: Design = design(nouns)
        self.speech = AttributeSpeech(stamps)
        self.speakers = tuple(v.name for v in voices.VOICES if v.split == split.removesuffix("-unseen"))
        self._trained = self._there("train")
        own = self._there(split)
        if len(self.nouns) < 2 or not own:
            found = ", ".join(self.nouns) or "nothing"
            raise DataError(f"{stamps.folder}: of the things to describe found {found}; expected two or more")
        order = generator("attribute classes", split, seed).permutation(len(own))
        self.classes = tuple(own[i] for i in order)
        look = [VERSION, nouns, self.nouns, COLOURS, SIZES, PLACES if places else None, SECOND_THING]
        self.split = f"attributes-{split}-{hashlib.sha256(json.dumps(look).encode()).hexdigest()[:12]}"
        others = set(self._trained) - (set() if split == "train" else set(own))
        self._others = tuple(c for c in self._trained if c in others)
        self._second = lru_cache(maxsize=4096)(self._second_things)
        self._concepts = {n: [c for c in stamps.concepts if c.key == n] for n in self.nouns}

    def _there(self, split: str) -> list[Description]:
        return [c for c in self.design.classes[split] if c.noun in self.nouns]

    def __getitem__(self, index: int) -> "AttributeScene":
        if index < 0:
            raise IndexError(f"scene {index}: indices start at 0")
        return AttributeScene(self, index)

    @property
    def num_classes(self) -> int:
        """How many classes (size, colour, noun) the split has: the scenes of a round."""
        return len(self.classes)

    def description(self, index: int) -> Description:
        """The class of a scene; nothing is drawn for this."""
        round_, number = divmod(index, self.num_classes)
        place = tuple(PLACES)[(round_ + number) % len(PLACES)] if self.places else None
        return self.classes[number]._replace(place=place)

    def tested(self, index: int) -> str:
        """Which attribute of a scene of a held-out split has the pair in question: "colour" or "size"."""
        return self.design.tested(self.name, self.description(index))

    def _second_things(self, first: Description, differs: str) -> tuple[Description, ...]:
        """The classes that differ from ``first`` in the noun alone, or have its noun and differ in an attribute."""
        size, colour, noun, _ = first
        asked = {
            "colour": lambda c: c.noun == noun and c.size == size and c.colour != colour,
            "size": lambda c: c.noun == noun and c.size != size and c.colour == colour,
            "noun": lambda c: c.noun != noun and c.size == size and c.colour == colour,
        }
        return tuple(c for c in self._others if asked[differs](c))

    def _things(self, index: int) -> list[tuple[Concept, Description]]:
        """The things of a scene, the described one first."""
        rng = generator("described", self.split, self.seed, index)
        first = self.description(index)
        described = [first]
        differs = str(rng.choice(list(SECOND_THING), p=list(SECOND_THING.values())))
        if differs != "none":
            for kind in (differs, "colour", "noun"):  # a size that is held out has no second thing of the other size
                if choice := self._second(first._replace(place=None), kind):
                    other = choice[rng.integers(len(choice))]
                    place = next((p for p in PLACES if p != first.place), None) if self.places else None
                    described.append(other._replace(place=place))
                    break
        return [(self._any(rng, d.noun), d) for d in described]

    def _any(self, rng: np.random.Generator, noun: str) -> Concept:
        called = self._concepts[noun]
        return called[rng.integers(len(called))]


@dataclass(frozen=True)
class AttributeScene(DrawnAndTold):
    """One scene; its picture, objects and caption are made when first asked for."""

    scenes: AttributeScenes
    index: int

    @property
    def description(self) -> Description:
        """What the caption says and the class of the scene."""
        return self.scenes.description(self.index)

    @cached_property
    def things(self) -> list[tuple[Concept, Description]]:
        """The things in the picture, the described one first; no picture is drawn for this."""
        return self.scenes._things(self.index)

    @property
    def concepts(self) -> list[tuple[Concept, bool]]:
        """The concepts in the picture and whether the caption is about them."""
        return [(concept, number == 0) for number, (concept, _) in enumerate(self.things)]

    @cached_property
    def _drawn(self) -> tuple[np.ndarray, tuple[DescribedObject, ...]]:
        owner = self.scenes
        rng = generator("described picture", owner.split, owner.seed, self.index)
        pool = owner.stamps.concepts
        canvas = backgrounds.draw(rng, owner.size, lambda r: owner.stamps.picture(pool[r.integers(len(pool))].id))
        canvas, objects = canvas.copy(), []
        shapes = [owner.stamps.picture(concept.id).shape[:2] for concept, _ in self.things]
        descriptions = [description for _, description in self.things]
        for (concept, description), box in zip(self.things, boxes(rng, shapes, descriptions, owner.size), strict=True):
            picture = Image.fromarray(recolour(owner.stamps.picture(concept.id), description.colour))
            mask = paste(canvas, picture, box)
            objects.append(DescribedObject(concept.id, description.text, mask, not objects, description=description))
        return canvas, tuple(objects)

    def tell(self, take: int, speaker: str | None = None) -> Caption:
        """The caption told for the ``take``-th time: other pauses, and by default another voice.

        ``speaker`` is a synthetic voice. Four captions in ten open with carrier words ("a photo of").
        """
        owner = self.scenes
        rng = generator("described caption", owner.split, owner.seed, self.index, take)
        drawn = owner.speakers[rng.integers(len(owner.speakers))]
        speaker = speaker or drawn
        opening = OPENINGS[rng.integers(len(OPENINGS))] if rng.random() < 0.4 else None
        concept = self.things[0][0].id
        pieces, words = [_silence(rng, 0.05, 0.4)], []
        if opening is not None:
            clip = owner.stamps.clip(speaker, opening).astype(np.float32) / 32768
            words.append(DescribingWord(opening, None, *_span(pieces, clip)))
            pieces += [clip, _silence(rng, 0.02, 0.2)]
        for text, kind in self.description.parts:
            clip = owner.speech.clip(speaker, text)
            words.append(DescribingWord(text, concept, *_span(pieces, clip), kind))
            pieces += [clip, _silence(rng, 0.02, 0.12)]
        pieces[-1] = _silence(rng, 0.05, 0.4)
        return Caption(np.concatenate(pieces), tuple(words), speaker)


def _silence(rng: np.random.Generator, least: float, most: float) -> np.ndarray:
    return np.zeros(round(rng.uniform(least, most) * SAMPLE_RATE), dtype=np.float32)


def _span(pieces: list[np.ndarray], clip: np.ndarray) -> tuple[float, float]:
    """Start and end of a clip after these pieces, in seconds."""
    start = sum(map(len, pieces))
    return start / SAMPLE_RATE, (start + len(clip)) / SAMPLE_RATE
