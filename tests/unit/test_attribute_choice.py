"""The choice between two colours of a thing: against plain loops, and for models that hear, do not hear or prefer."""

from dataclasses import dataclass
from itertools import product

import pytest
import torch

from vgs_lib.batches.held_out import Maps
from vgs_lib.data.attributes import Description
from vgs_lib.model import DualEncoder
from vgs_lib.retrieval import WAYS
from vgs_lib.studies.attribute_choice import choices, colour_choice, rivals

WORDS = ("small", "large", "red", "blue", "green", "cow", "dog")
NEW, OLD = "red", {"cow": "blue", "dog": "green"}  # the colours of the two splits


@dataclass
class Shown:
    """A scene as far as it is looked at."""

    things: list

    @property
    def description(self) -> Description:
        return self.things[0][1]


def scene(*things: str) -> Shown:
    return Shown([(None, Description(*thing.split())) for thing in things])


def split(new: bool, seconds: dict[int, str] | None = None) -> list[Shown]:
    """Two scenes of each noun and size, in the colour of the split; ``seconds`` are further things by number."""
    found = []
    for number, (_, size, noun) in enumerate(product(range(2), ("small", "large"), ("cow", "dog"))):
        second = (seconds or {}).get(number)
        found.append(scene(f"{size} {NEW if new else OLD[noun]} {noun}", *([second] if second else [])))
    return found


class Model(DualEncoder):
    """Scores are products of vectors."""

    def __init__(self):
        torch.nn.Module.__init__(self)

    def score(self, image_maps, audio_maps, audio_lengths, **_):
        return image_maps @ audio_maps.T


def maps(scenes: list[Shown], weights: dict[str, float], *, pictures: float = 0.0, captions: float = 0.0) -> Maps:
    """A model that counts the words by ``weights`` and adds to pictures and captions of new colours."""
    weight = torch.tensor([weights.get(word, 0.0) for word in WORDS])
    classes = [one.description for one in scenes]
    words = lambda d: torch.tensor([float(word in d[:3]) for word in WORDS])
    new, ones = (torch.tensor([[float(d.colour == NEW)] for d in classes]), torch.ones(len(scenes), 1))
    image = torch.cat([torch.stack([words(d) for d in classes]), pictures * new, ones], 1)
    audio = torch.cat([torch.stack([words(d) for d in classes]) * weight, ones, captions * new], 1)
    right = torch.tensor([[a == b for b in classes] for a in classes])
    return Maps(image, audio, torch.ones(len(scenes)), image @ audio.T, right)


def held_out(scenes: list[Shown], asks: torch.Tensor | None = None):
    class HeldOut:
        tested = lambda self, kind: torch.ones(len(scenes), dtype=torch.bool) if asks is None else asks
        __len__ = lambda self: len(scenes)

    HeldOut.scenes = scenes
    return HeldOut()


def shares(weights, new=None, old=None, asks=(None, None), **prefers) -> dict:
    """The share of each split and of both, by way."""
    few = {"new": new or split(True), "old": old or split(False)}
    each = {name: maps(scenes, weights, **prefers) for name, scenes in few.items()}
    parts = {name: held_out(scenes, ask) for (name, scenes), ask in zip(few.items(), asks, strict=True)}
    found = colour_choice(Model(), each, parts)
    return {name: {way: one["share"] for way, one in ways.items()} for name, ways in found.items()}


EVERYTHING = dict.fromkeys(WORDS, 1.0)
DEAF = {word: 1.0 for word in WORDS if word not in ("red", "blue", "green")}
HALF = dict.fromkeys(WAYS, pytest.approx(0.5))


def test_who_hears_the_colour_wins_and_who_is_deaf_to_it_does_not():
    assert set(map(str, shares(EVERYTHING).values())) == {str(dict.fromkeys(WAYS, 1.0))}
    assert all(one == HALF for one in shares(DEAF).values())


@pytest.mark.parametrize(("way", "prefers"), [(WAYS[0], {"pictures": 0.3}), (WAYS[1], {"captions": 0.3})])
def test_a_preference_wins_in_one_split_what_it_loses_in_the_other(way, prefers):
    found = shares(DEAF, **prefers)
    assert (found["new"][way], found["old"][way]) == (1.0, 0.0) and found["both"] == HALF


@pytest.mark.parametrize("prefers", [{"pictures": 0.3}, {"pictures": -0.3}, {"captions": 0.3}, {"captions": -0.3}])
def test_second_things_and_scenes_that_do_not_ask_leave_the_mean_of_a_deaf_model_at_half(prefers):
    """Pictures with both colours are left out of both splits, as are classes that only one split asks about."""
    new = [
        *split(True, {0: "small blue cow", 6: "large green cow"}),
        scene("small green cow"),
        scene("small green dog"),
    ]
    old = split(False, {1: "small red dog", 3: "large blue cow"})
    asks = torch.tensor([True] * 8 + [False] * 2)
    assert shares(DEAF, new, old, (asks, None), **prefers)["both"] == HALF


def test_rivals_differ_in_their_colour_alone_and_ask():
    new = [scene("small red cow"), scene("large red cow"), scene("small green dog"), scene("small red cow")]
    old = [scene("small blue cow", "small red cow"), scene("large blue cow"), scene("small green dog")]
    asks = [torch.tensor([True] * 4), torch.tensor([True, False, True])]
    assert rivals((new, old), asks) == [(Description("small", "red", "cow"), Description("small", "blue", "cow"))]


def test_shares_are_those_of_plain_loops():
    torch.manual_seed(0)
    new, old = split(True, {1: "small green dog"}), split(False, {2: "large red cow", 5: "small red cow"})
    right = maps(new, EVERYTHING).right
    vectors = [(torch.randn(8, 5), torch.randn(8, 5)) for _ in range(2)]
    a, b = (Maps(image, audio, torch.ones(8), image @ audio.T, right) for image, audio in vectors)
    asks = [torch.tensor([True] * 8), torch.tensor([True] * 7 + [False])]
    found = choices(Model(), (a, b), (new, old), asks)
    (image, audio), (pictures, captions) = vectors
    assert len(found[WAYS[0]]) == len(found[WAYS[1]]) == 4
    for mine in found[WAYS[0]]:
        i_all = [i for i in range(8) if new[i].description == mine]
        j_all = [j for j in range(8 - 1) if old[j].description._replace(colour=mine.colour) == mine]
        theirs = old[j_all[0]].description
        x = [i for i in i_all if theirs not in {d for _, d in new[i].things}]
        y = [j for j in j_all if mine not in {d for _, d in old[j].things}]
        mean = lambda won: sum(map(float, won)) / len(won)
        assert found[WAYS[0]][mine] == pytest.approx(
            (
                mean([image[p] @ audio[c] > pictures[q] @ audio[c] for c in i_all for p in x for q in y]),
                mean([pictures[q] @ captions[c] > image[p] @ captions[c] for c in j_all for p in x for q in y]),
            )
        )
        assert found[WAYS[1]][mine] == pytest.approx(
            (
                mean([image[p] @ audio[c] > image[p] @ captions[d] for p in x for c in i_all for d in j_all]),
                mean([pictures[q] @ captions[d] > pictures[q] @ audio[c] for q in y for c in i_all for d in j_all]),
            )
        )


def test_an_interval_draws_nouns():
    """More scenes of the same nouns and sizes do not narrow it."""
    few = shares_ci(1)
    assert few[1] - few[0] > 0.2 and shares_ci(5) == pytest.approx(few)


def shares_ci(times: int) -> tuple[float, float]:
    new, old = split(True) * times, split(False) * times
    weights = {"red": 1.0, "blue": 1.0, "cow": 1.0, "dog": 1.0}  # green is not heard
    each = {"new": maps(new, weights, pictures=0.5), "old": maps(old, weights, pictures=0.5)}
    found = colour_choice(Model(), each, {"new": held_out(new), "old": held_out(old)})
    return found["old"][WAYS[0]]["share_ci"]


def test_without_a_rival_there_is_no_choice():
    few = [scene("small red cow")]
    one = maps(few, EVERYTHING)
    with pytest.raises(ValueError, match="found no two classes of one noun and size"):
        colour_choice(Model(), {"a": one, "b": one}, {"a": held_out(few), "b": held_out(few)})
