"""Which attribute-object pairs are held out of training: a fixed list, dealt so that seen and unseen pairs compare.

tian2020's birds and flowers split by class, and what is new about a test bird is left open. Here exactly one thing is
new: of every scene of an ``-unseen`` split, one pair, (colour, noun) or (size, noun), never occurs in training, while
its colour, its size and its noun all do in other pairs. The splits without ``-unseen`` are the control: pairs that
training has too, dealt in the same way. Each has as many classes as its counterpart, so the same chance; the difference
between the two is what combining costs. Colour pairs are of the same nouns in both. Size pairs cannot be: a noun whose
size is held out is trained in its other size only, in half as many classes, which adds to what a new size costs.

Dealing: the nouns are shuffled once and noun p gives the colours p, p + 1, p + 2 and p + 3 (modulo their number) to
test-unseen, validation-unseen, test and validation; training has all but the first two. Of every six nouns, the first
four give one size to these four splits in turn, and the first two of those are trained in the other size only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from vgs_lib.data.attributes import COLOURS, NOUNS, SIZES, Description
from vgs_lib.data.scenes import generator
from vgs_lib.errors import DataError

HELD_OUT = ("test-unseen", "validation-unseen", "test", "validation")
SPLITS = ("train", *reversed(HELD_OUT))
GROUP = 6  # nouns of which one gives a size to each split
LEAST_NOUNS = 7  # so that every colour is met on several things


@dataclass(frozen=True)
class Design:
    """``pairs``: for each split but ``train``, the pairs dealt to it. ``classes``: those of each split, in order."""

    pairs: Mapping[str, frozenset[tuple[str, str]]]
    classes: Mapping[str, tuple[Description, ...]]

    @property
    def unseen(self) -> frozenset[tuple[str, str]]:
        """The pairs that never occur in training."""
        return self.pairs["validation-unseen"] | self.pairs["test-unseen"]

    def tested(self, split: str, description: Description) -> str:
        """Which attribute's pair a class of a split other than ``train`` stands for: "colour" or "size"."""
        return "colour" if (description.colour, description.noun) in self.pairs[split] else "size"


@lru_cache(maxsize=8)
def design(nouns: tuple[str, ...] = NOUNS) -> Design:
    """The design for these nouns; :class:`DataError` where they are fewer than ``LEAST_NOUNS``."""
    if len(nouns) < LEAST_NOUNS:
        raise DataError(f"nouns: found {len(nouns)}, expected at least {LEAST_NOUNS}, so that every colour is trained")
    names, colours, sizes = sorted(nouns), tuple(COLOURS), tuple(SIZES)
    order = generator("attribute design").permutation(len(names))
    pairs: dict[str, set[tuple[str, str]]] = {split: set() for split in HELD_OUT}
    classes: dict[str, list[Description]] = {split: [] for split in SPLITS}
    for place, noun in enumerate(names[i] for i in order):
        dealt = [colours[(place + step) % len(colours)] for step in range(len(colours))]
        turn, whole = place % GROUP, len(names) // GROUP * GROUP
        owner = HELD_OUT[turn] if place < whole and turn < len(HELD_OUT) else None
        given = sizes[place // GROUP % len(sizes)]
        trained = [size for size in sizes if size != given or owner not in HELD_OUT[:2]]
        for split, colour in zip(HELD_OUT, dealt, strict=False):
            pairs[split].add((colour, noun))
            classes[split] += [Description(size, colour, noun) for size in trained]
        if owner:
            pairs[owner].add((given, noun))
            classes[owner] += [Description(given, colour, noun) for colour in dealt[len(HELD_OUT) :]]
        classes["train"] += [Description(size, colour, noun) for size in trained for colour in dealt[2:]]
    return Design(
        {split: frozenset(found) for split, found in pairs.items()},
        {split: tuple(found) for split, found in classes.items()},
    )
