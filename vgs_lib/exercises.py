"""Checks of the notebooks' exercises: each says what is wrong with an answer without giving the right one.

Every check returns a sentence to show; an answer that is still ``None`` is not an error. Shapes: H W grid, T frames.
"""

import numbers

from vgs_lib.prompting import Prompt

RIGHT = "Right."


def check_moment(answer, prompt: Prompt) -> str:
    """Is ``answer`` the second at which the strongest heat of ``prompt`` is found, to one frame?"""
    if answer is None:
        return "Not answered yet: set it to a number of seconds."
    if not isinstance(answer, numbers.Real) and getattr(answer, "ndim", 1) != 0:
        return f"Expected one number of seconds, found {type(answer).__name__}."
    answer, step = float(answer), prompt.seconds_per_frame
    frame = int(prompt.heat.max(axis=(1, 2)).argmax())
    if frame * step <= answer + step and answer <= (frame + 2) * step:
        return RIGHT
    if answer == frame:
        return "That is the number of the frame. How long is one frame?"
    if answer == prompt.heat.argmax():
        return "That is a position in all of the heat [T, H, W]: take the maximum over the places first."
    if not 0 <= answer <= prompt.duration:
        return f"The recording lasts {prompt.duration:.2f} s; {answer:g} s lies outside of it."
    return f"At {answer:.2f} s some place is lit less than at another moment. Which axis of the heat is time?"
