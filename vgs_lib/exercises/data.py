"""Checks of ``01_data``. Shapes: F mel bands, T frames, N samples."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from vgs_lib.audio import LogMel, num_frames
from vgs_lib.exercises import RIGHT, blank, not_a_number
from vgs_lib.front_ends.mel_scale import band_centres


def check_frames(answer, seconds: float, front_end: LogMel) -> str:
    """Is ``answer`` the number of frames that ``front_end`` makes of ``seconds`` of sound?"""
    if unfit := blank(answer, "a number of frames") or not_a_number(answer):
        return unfit
    samples, hop = (round(time * front_end.sample_rate) for time in (seconds, front_end.hop_seconds))
    wanted, answer = num_frames(samples, hop=hop), float(answer)
    if answer == wanted:
        return RIGHT
    if answer == wanted - 1:
        return "One is missing: there is a frame at the very beginning, centred on sample 0, and one at the end."
    if answer in (samples, samples // round(front_end.window_seconds * front_end.sample_rate)):
        return "Frames follow each other after a hop, not after a sample and not after a whole window."
    if answer != round(answer):
        return "The number of frames is a whole number: what is left over after the last hop makes no frame."
    return f"That is too {'many' if answer > wanted else 'few'}. How many hops fit into {seconds:g} s?"


def check_band(answer, hertz: float, front_end: LogMel) -> str:
    """Is ``answer`` the mel band, counted from 0, whose centre is nearest to ``hertz``?"""
    if unfit := blank(answer, "the number of a band") or not_a_number(answer):
        return unfit
    answer, highest = float(answer), front_end.fmax or front_end.sample_rate / 2
    centres = band_centres(front_end.num_bands, fmin=front_end.fmin, fmax=highest)
    if answer == int(np.abs(centres - hertz).argmin()):
        return RIGHT
    if answer != round(answer) or not 0 <= answer < front_end.num_bands:
        return f"Bands are counted from 0 to {front_end.num_bands - 1}. Is that a frequency, or a position?"
    if answer == round(front_end.num_bands * hertz / highest):
        return "That would be right if all bands were equally wide. Low ones are narrower: look at the centres."
    off = centres[int(answer)]
    return f"The centre of band {int(answer)} is at {off:.0f} Hz, which is {'below' if off < hertz else 'above'} it."


def check_word_frames(answer, word, front_end: LogMel) -> str:
    """Is ``answer`` a slice or pair (first, last + 1) of the frames centred inside ``word``, to one frame?

    ``word`` has ``start`` and ``end`` in seconds.
    """
    if unfit := blank(answer, "slice(first, last + 1)"):
        return unfit
    pair = (answer.start, answer.stop) if isinstance(answer, slice) else answer
    if not isinstance(pair, tuple | list) or len(pair) != 2 or any(not_a_number(value) for value in pair):
        return "Expected slice(first, last + 1), two numbers."
    first, stop = map(float, pair)
    hop = front_end.hop_seconds
    if first != round(first) or stop != round(stop):
        return "Frames are counted in whole numbers: these look like seconds or parts of a frame."
    if stop <= first:
        return "No frame lies in it: the second number has to be larger than the first one."
    start_off, end_off = first - word.start / hop, stop - word.end / hop
    if abs(start_off) <= 1 and abs(end_off) <= 1.01:
        return RIGHT
    if abs(first - word.start * front_end.sample_rate) <= front_end.sample_rate * hop:
        return "Those are numbers of samples. How many samples is one frame further than the last?"
    which = "begins" if abs(start_off) > 1 else "ends"
    off = start_off if abs(start_off) > 1 else end_off
    return f"It {which} {abs(off):.0f} frames too {'late' if off > 0 else 'early'}."


def check_same_name(answer, names: Iterable[str]) -> str:
    """Is ``answer`` the chance, 0 to 1, that two different ones of ``names``, drawn at random, are equal?"""
    if unfit := blank(answer, "a probability, from 0 to 1") or not_a_number(answer):
        return unfit
    counts, answer = np.array(list(Counter(names).values())), float(answer)
    total = counts.sum()
    right = (counts * (counts - 1)).sum() / (total * (total - 1))
    again = (counts**2).sum() / total**2
    if abs(answer - right) <= 0.02 * right:
        return RIGHT
    if abs(answer - 100 * right) <= 2 * right:
        return "That is a percentage; a probability lies between 0 and 1."
    if not 0 <= answer <= 1:
        return "A probability lies between 0 and 1."
    if abs(answer - again) <= 0.02 * again:
        return "In this way the same thing can be drawn twice: the second draw is among the others only."
    if abs(answer - (1 - right)) <= 0.02 * right:
        return "That is the chance that the two have different names."
    which = "high" if answer > right else "low"
    return f"That is too {which}. Count, for each name, the pairs of two different things that share it."
