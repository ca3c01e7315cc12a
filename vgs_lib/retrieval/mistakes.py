"""Where retrieval goes wrong: the queries with the worst rank, and which words voted for the wrong picture.

MISA (harwath2019, equation 7) is a mean over frames, so the difference of two pictures' scores is a sum of one number a
frame: what the frame finds in the one picture minus what it finds in the other. Summed by words these are votes.

Legend: Q queries, C candidates, D embedding, h w grid, T frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vgs_lib import similarity
from vgs_lib.clock import Clock
from vgs_lib.retrieval.measures import ranks
from vgs_lib.retrieval.targets import Targets, target_mask


@dataclass(frozen=True)
class Mistake:
    """A query whose best candidate is wrong.

    query: its row. rank: of its best right candidate, 1 is best. first: the candidate with the highest score.
    right: the right candidate with the highest score. margin: by how much ``first`` beats it (similarity).
    """

    query: int
    rank: float
    first: int
    right: int
    margin: float


def worst(scores: Tensor, num: int, targets: Targets = None) -> list[Mistake]:
    """The ``num`` queries with the worst ranks among those that are wrong, worst first; of equal ranks, margins decide.

    A tie with a wrong candidate is no mistake. Arguments and errors are those of :func:`vgs_lib.retrieval.ranks`.
    """
    places = ranks(scores, targets)
    mask = target_mask(targets, *scores.shape)
    mistakes = []
    for query, row in enumerate(scores):
        first = int(row.argmax())
        right = int(row.masked_fill(~mask[query], -torch.inf).argmax())
        if row[first] > row[right]:
            mistakes.append(Mistake(query, float(places[query]), first, right, float(row[first] - row[right])))
    return sorted(mistakes, key=lambda found: (-found.rank, -found.margin))[:num]


@torch.inference_mode()
def word_votes(
    wrong: Tensor, right: Tensor, audio_map: Tensor, words: Sequence, clock: Clock
) -> list[tuple[str, float]]:
    """How much each word speaks for the wrong picture (above 0) or for the right one (below 0).

    Args:
        wrong, right: image maps [D, h, w] at the resolution that the score looks at.
        audio_map: [D, T] of the caption.
        words: with ``text``, ``start`` and ``end`` in seconds, not overlapping.
        clock: when the frames are heard; a frame belongs to the word that its middle lies in.

    Returns:
        (text, vote) of each word in order and ("pauses", vote) for the frames of no word. The sum is the difference of
        the two MISA scores.
    """
    best = [similarity.matchmap(one, audio_map).amax(dim=(0, 1)).double() for one in (wrong, right)]
    votes = ((best[0] - best[1]) / audio_map.shape[1]).cpu().numpy()
    middle = clock.middles(len(votes))
    left, found = np.ones(len(votes), bool), []
    for word in words:
        inside = (middle >= word.start) & (middle < word.end) & left
        left &= ~inside
        found.append((word.text, float(votes[inside].sum())))
    return [*found, ("pauses", float(votes[left].sum()))]
