"""Checks of ``00_tour``. Shapes: H W grid, T frames."""

from vgs_lib.exercises import RIGHT, blank, not_a_number
from vgs_lib.prompting import Prompt


def check_moment(answer, prompt: Prompt) -> str:
    """Is ``answer`` the second at which the strongest heat of ``prompt`` is found, to one frame?"""
    if unfit := blank(answer, "a number of seconds") or not_a_number(answer):
        return unfit
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
