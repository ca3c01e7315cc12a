"""Checks of ``00_tour``. Shapes: H W grid, T frames."""

import math
from collections.abc import Sequence

import numpy as np

from vgs_lib.exercises import RIGHT, blank, not_a_number
from vgs_lib.prompting import Match, Prompt


def check_moment(answer, prompt: Prompt) -> str:
    """Is ``answer`` a second in the frame with the strongest heat of ``prompt``, or one frame before or after it?"""
    if unfit := blank(answer, "a number of seconds") or not_a_number(answer):
        return unfit
    answer, clock = float(answer), prompt.clock
    frame = int(prompt.heat.max(axis=(1, 2)).argmax())
    if clock.seconds(frame) <= answer + clock.seconds_per_frame and answer <= clock.seconds(frame + 2):
        return RIGHT
    if answer == frame:
        return "That is the number of the frame. How long is one frame?"
    if answer == prompt.heat.argmax():
        return "That is a position in all of the heat [T, H, W]: take the maximum over the places first."
    if not 0 <= answer <= prompt.duration:
        return f"The recording lasts {prompt.duration:.2f} s; {answer:g} s lies outside of it."
    return f"At {answer:.2f} s some place is lit less than at another moment. Which axis of the heat is time?"


def check_chance(answer, mask: np.ndarray) -> str:
    """Is ``answer`` the probability that a random pixel lies in ``mask`` (bool [H, W]), to half a percent of it?"""
    if unfit := blank(answer, "a probability from 0 to 1") or not_a_number(answer):
        return unfit
    answer, count = float(answer), int(mask.sum())
    share = count / mask.size
    if math.isclose(answer, share, rel_tol=0.005):
        return RIGHT
    if answer == count:
        return "That is how many pixels show the thing. Out of how many?"
    if math.isclose(answer, 100 * share, rel_tol=0.005):
        return "That is a percentage: expected a probability from 0 to 1."
    if abs(answer - (1 - share)) < 0.001:
        return "That is the probability to miss."
    if not 0 <= answer <= 1:
        return f"A probability lies between 0 and 1; found {answer:g}."
    return f"{answer:.3g} is too {'high' if answer > share else 'low'}. What share of all pixels is true in the mask?"


def check_rank(answer, found: Sequence[Match], picture: str) -> str:
    """Is ``answer`` the rank of ``picture`` among the matches ``found``, best first, the best having rank 1?"""
    if unfit := blank(answer, "a rank, 1 for the best match") or not_a_number(answer):
        return unfit
    place = [match.id for match in found].index(picture)
    answer = float(answer)
    if answer == place + 1:
        return RIGHT
    if answer == place:
        return "One off: the best match has rank 1, not 0."
    if answer == len(found) - place:
        return "That counts from the worst match. The best one comes first."
    if answer == found[place].score:
        return "That is the score. How many pictures have a higher one?"
    if not answer.is_integer() or not 1 <= answer <= len(found):
        return f"A rank is a whole number from 1 to {len(found)}; found {answer:g}."
    other = found[int(answer) - 1].id
    return f"The picture with rank {answer:g} is {other!r}, not {picture!r}."
