"""The choice between two colours of a thing: against plain loops, and for models that hear, do not hear or prefer."""

from dataclasses import dataclass
from itertools import product

import pytest
import torch

from vgs_lib.attribute_choice import colour_choice, rivals_of
from vgs_lib.data.attributes import Description
from vgs_lib.maps import Maps
from vgs_lib.model import DualEncoder
from vgs_lib.study import WAYS

WORDS = ("small", "large", "red", "blue", "green", "cow", "dog")
NEW, OLD = "red", {"cow": "blue", "dog": "green"}  # the colours of the two splits


@dataclass
class Shown:
    """A scene as far as it is looked at."""

    things: list
    number: int

    @property
    def description(self) -> Description:
        return self.things[0][1]


def scene(number: int, *things: str) -> Shown:
    return Shown([(None, Description(*thing.split())) for thing in things], number)


def split(new: bool, seconds: dict[int, str] | None = None) -> list[Shown]:
    """Two scenes of each noun and size, in the colour of the split; ``seconds`` are further things by number."""
    found = []
    for number, (_, size, noun) in enumerate(product(range(2), ("small", "large"), ("cow", "dog"))):
        second = (seconds or {}).get(number)
        thing = f"{size} {NEW if new else OLD[noun]} {noun}"
        found.append(scene(number, thing, *([second] if second else [])))
    return found


class Model(DualEncoder):
    """Scores of pictures and captions as products of counts of words, of which it knows some."""

    def __init__(self):
        torch.nn.Module.__init__(self)

    def score(self, image_maps, audio_maps, audio_lengths, **_):
        return image_maps @ audio_maps.T


def maps(scenes: list[Shown], weights: dict[str, float], prefers: float = 0.0) -> Maps:
    """What a model makes of the scenes that counts the words by ``weights`` and adds ``prefers`` to new colours."""
    weight = torch.tensor([weights.get(word, 0.0) for word in WORDS])
    classes = [one.description for one in scenes]
    words = lambda d: torch.tensor([float(word in d[:3]) for word in WORDS])
    image = torch.stack([sum(words(d) for _, d in one.things) for one in scenes])
    bias = torch.tensor([[prefers * (one.description.colour == NEW)] for one in scenes])
    image, audio = (
        torch.cat([image, bias], 1),
        torch.cat([torch.stack([words(d) for d in classes]) * weight, ones(scenes)], 1),
    )
    right = torch.tensor([[a == b for b in classes] for a in classes])
    return Maps(image, audio, torch.ones(len(scenes)), image @ audio.T, right)


def ones(scenes) -> torch.Tensor:
    return torch.ones(len(scenes), 1)


def shares(weights, prefers=0.0, **seconds) -> list[dict[str, float]]:
    """The shares of the new colours' split and of its counterpart."""
    new, old = split(True), split(False)
    a, b = maps(new, weights, prefers), maps(old, weights, prefers)
    sides = ((a, b, new, old), (b, a, old, new))
    return [{way: found["share"] for way, found in colour_choice(Model(), *side).items()} for side in sides]


EVERYTHING = dict.fromkeys(WORDS, 1.0)
DEAF = {word: 1.0 for word in WORDS if word not in ("red", "blue", "green")}


def test_who_hears_the_colour_wins_and_who_is_deaf_to_it_does_not():
    assert shares(EVERYTHING) == [dict.fromkeys(WAYS, 1.0)] * 2
    assert shares(DEAF) == [dict.fromkeys(WAYS, 0.5)] * 2


def test_a_preference_wins_on_one_side_what_it_loses_on_the_other():
    new, old = shares(DEAF, prefers=0.3)
    assert (new[WAYS[0]], old[WAYS[0]]) == (1.0, 0.0)
    assert (new[WAYS[1]], old[WAYS[1]]) == (0.5, 0.5), "one picture with two captions"


def test_rivals_are_the_same_thing_and_size_in_another_colour_and_neither_shows_the_other():
    new = [scene(0, "small red cow"), scene(1, "small red cow", "small blue cow"), scene(2, "large red cow")]
    old = [scene(0, "small blue cow"), scene(1, "small blue cow", "small red cow"), scene(2, "small blue dog")]
    assert rivals_of(new, old).tolist() == [[True, False, False], [False, False, False], [False] * 3]
    assert rivals_of(new, new).any() is not True and not rivals_of(new, new).any(), "the same colour is no rival"


def test_shares_are_those_of_plain_loops():
    torch.manual_seed(0)
    new, old = split(True, {1: "small green dog"}), split(False, {2: "large red cow", 5: "small red cow"})
    a, b = maps(new, EVERYTHING), maps(old, EVERYTHING)
    a, b = (Maps(torch.randn(8, 5), torch.randn(8, 5), one.lengths, None, one.right) for one in (a, b))
    a = Maps(a.image, a.audio, a.lengths, a.image @ a.audio.T, a.right)
    queries = torch.tensor([True] * 6 + [False] * 2)
    found = colour_choice(Model(), a, b, new, old, queries=queries)
    rival, means = rivals_of(new, old), {way: [] for way in WAYS}
    assert 0 < rival.sum() < 4 * 8
    for i in range(6):
        same = [x for x in range(8) if new[x].description == new[i].description]
        said, shown = a.audio[i], a.image[i]
        wins = {
            WAYS[0]: [a.image[x] @ said > b.image[y] @ said for x in same for y in range(8) if rival[x, y]],
            WAYS[1]: [shown @ a.audio[x] > shown @ b.audio[y] for x in same for y in range(8) if rival[i, y]],
        }
        for way, won in wins.items():
            means[way] += [sum(map(float, won)) / len(won)] if won else []
    for way, values in means.items():
        assert found[way]["queries"] == len(values) > 3
        assert found[way]["share"] == pytest.approx(sum(values) / len(values))
        low, high = found[way]["share_ci"]
        assert low < found[way]["share"] < high


def test_without_a_rival_there_is_no_choice():
    few = [scene(0, "small red cow")]
    one = maps(few, EVERYTHING)
    with pytest.raises(ValueError, match="none has a rival"):
        colour_choice(Model(), one, one, few, few)
