"""Checks of ``05_matchmap``. Shapes: D embedding, H W grid, T frames."""

from collections.abc import Sequence

import numpy as np

from vgs_lib.discovery import Component, TimedWord, word_of
from vgs_lib.exercises import RIGHT, blank, not_a_number

CLOSE = 1e-4  # relative


def check_matchmap(answer, image_map, audio_map) -> str:
    """Is ``answer`` the matchmap [H, W, T] of ``image_map`` [D, H, W] and ``audio_map`` [D, T]?"""
    if unfit := blank(answer, "the similarity of every place with every frame"):
        return unfit
    image, sound = _array(image_map), _array(audio_map)
    wanted = np.tensordot(image, sound, axes=(0, 0))  # [H, W, T]
    if (found := _array(answer)) is None:
        return f"Expected a tensor of numbers, found {type(answer).__name__}."
    if found.shape != wanted.shape:
        if image.shape[0] in found.shape and found.ndim > 3:
            return f"Found the shape {list(found.shape)}: D is still there. Which letter must go?"
        if sorted(found.shape) == sorted(wanted.shape):
            return f"Found the shape {list(found.shape)}: the axes are all there, but not as rows, columns, frames."
        return f"Found the shape {list(found.shape)}; a matchmap has one value for every row, column and frame."
    if _same(found, wanted):
        return RIGHT
    if _same(found * image.shape[0], wanted):
        return "The shape is right, but all values are too small by one factor: sum over D, take no mean."
    if _same(-found, wanted):
        return "The shape is right, but the sign of every value is wrong."
    return "The shape is right, but the values are not: multiply along D and sum, and nothing else."


def check_scores(sisa, misa, sima, matchmap) -> str:
    """Are the three numbers the SISA, MISA and SIMA of ``matchmap`` [H, W, T] (harwath2019, equations 6 to 8)?"""
    values = _array(matchmap)
    answers = {"SISA": sisa, "MISA": misa, "SIMA": sima}
    wanted = {
        "SISA": values.mean(),
        "MISA": values.max(axis=(0, 1)).mean(),
        "SIMA": values.max(axis=2).mean(),
    }
    for name, answer in answers.items():
        if unfit := blank(answer, "a number made of the matchmap") or not_a_number(answer):
            return f"{name}: {unfit}"
    if _same(misa, wanted["SIMA"]) and _same(sima, wanted["MISA"]) and not _same(misa, sima):
        return "MISA and SIMA are exchanged: I and A say which side the maximum or the sum is taken over."
    for name, answer in answers.items():
        found = float(answer)
        if _same(found, wanted[name]):
            continue
        if name != "SISA" and _same(found, values.max()):
            return f"{name}: that is the greatest value of all; only one of the two sides takes its maximum."
        if _same(found, wanted[name] * values.size) or found > values.max():
            return f"{name}: {found:.2f} is more than any value of the matchmap can give; take means, not sums."
        if name != "SISA" and _same(found, wanted["SISA"]):
            return f"{name}: that is the mean of everything. Take the maximum over one side first."
        if name == "MISA" and _same(found, values.mean(axis=2).max()):
            return "MISA: the mean came before the maximum: every frame may choose a place of its own."
        if name == "SIMA" and _same(found, values.mean(axis=(0, 1)).max()):
            return "SIMA: the mean came before the maximum: every place may choose a frame of its own."
        return f"{name}: {found:.3f} is not it. Which axes are places [H, W], and which one is time [T]?"
    return RIGHT


def check_frame_time(answer, frame: int, *, hop_seconds: float, pooling: int) -> str:
    """Is ``answer`` the second at which frame ``frame`` begins, to a thousandth?"""
    if unfit := blank(answer, "a number of seconds") or not_a_number(answer):
        return unfit
    found, step = float(answer), hop_seconds * pooling
    if abs(found - frame * step) <= 1e-3:
        return RIGHT
    near = lambda value: abs(found - value) <= 1e-3 * max(1.0, abs(value))
    if near(frame * hop_seconds):
        return "That is where a frame of the spectrogram begins. How many of those make one frame of the model?"
    if near(frame * pooling):
        return "That counts frames of the spectrogram. How many seconds is one of them?"
    if near(frame * step * 1000):
        return "That would be in milliseconds: the answer is in seconds."
    if near((frame + 1) * step):
        return "That is where the frame ends. The first frame, number 0, begins at 0 s."
    if near((frame + 0.5) * step):
        return "That is the middle of the frame. When does it begin?"
    if near(step):
        return "That is how long one frame is. How many of them have passed before this one?"
    return f"{found:g} s is not it: a frame's length is the hop length times the pooling."


def check_word(answer, component: Component, words: Sequence[TimedWord]) -> str:
    """Is ``answer`` (a word or its text) the word that ``component`` meets most?"""
    if unfit := blank(answer, "one of the caption's words"):
        return unfit
    text = getattr(answer, "text", answer)
    if not isinstance(text, str):
        return f"Expected a word or its text, found {type(answer).__name__}."
    said = {word.text: word for word in words}
    if text not in said:
        return f"“{text}” is none of the caption's words."
    shared = [_shared(component.span, word) for word in words]
    best = {words[int(np.argmax(shared))].text, getattr(word_of(component, words), "text", "")}
    if text in best and max(shared) > 0:
        return RIGHT
    start, end = component.span
    word = said[text]
    if _shared(component.span, word) <= 0:
        times = f"{word.start:.2f} to {word.end:.2f} s"
        return f"“{text}” is heard from {times}, the component lasts from {start:.2f} to {end:.2f} s: they do not meet."
    return f"“{text}” meets the component, but another word shares more of its time."


def _shared(span: tuple[float, float], word: TimedWord) -> float:
    return min(span[1], word.end) - max(span[0], word.start)


def _array(values) -> np.ndarray | None:
    """Values as float64, or None if they are no numbers."""
    try:
        values = values.detach().cpu() if hasattr(values, "detach") else values
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _same(found, wanted) -> bool:
    found, wanted = np.asarray(_array(found)), np.asarray(wanted)
    return bool(np.abs(found - wanted).max() <= CLOSE * max(1e-6, np.abs(wanted).max()))
