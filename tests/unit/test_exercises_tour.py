"""The checks of the notebooks' exercises: what is right, and a hint for each likely mistake."""

import numpy as np
import pytest
import torch

from vgs_lib.exercises import RIGHT
from vgs_lib.exercises.tour import check_moment
from vgs_lib.prompting import Prompt


def made(heat: np.ndarray, *, step: float = 0.04, duration: float = 0.8) -> Prompt:
    """A prompt of which only the heat [T, H, W] and the times count."""
    return Prompt(
        picture="one",
        heat=heat.astype(np.float32),
        whole=heat.mean(axis=0),
        score=1.0,
        best=(),
        span=(0.0, step),
        seconds_per_frame=step,
        heat_range=(0.0, 1.0),
        waveform=np.zeros(round(16000 * duration), np.float32),
        num_pictures=1,
        elapsed=0.1,
    )


@pytest.fixture
def prompt():
    """20 frames of 0.04 s; frame 12 (0.48 to 0.52 s) is strongest, while frame 5 is hotter on average."""
    heat = np.zeros((20, 3, 4))
    heat[12, 1, 2] = 0.9
    heat[5] = 0.5
    return made(heat)


@pytest.mark.parametrize("answer", [0.44, 0.48, 0.5, 0.52, 0.56, np.float32(0.48), np.float64(0.5), np.array(0.5),
                                    torch.tensor(0.5)])  # fmt: skip
def test_the_strongest_moment_is_right_to_one_frame(prompt, answer):
    assert check_moment(answer, prompt) == RIGHT


def test_the_natural_solution_is_right(prompt):
    solution = prompt.heat.max(axis=(1, 2)).argmax() * prompt.seconds_per_frame
    assert check_moment(solution, prompt) == RIGHT


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (None, "Not answered yet: set it to a number of seconds."),
        ("0.5", "Expected one number, found str."),
        ([0.5], "Expected one number, found list."),
        (np.array([0.5, 0.6]), "Expected one number, found ndarray."),
        (12, "That is the number of the frame. How long is one frame?"),
        (np.int64(12), "That is the number of the frame. How long is one frame?"),
        (12 * 12 + 6, "That is a position in all of the heat [T, H, W]: take the maximum over the places first."),
        (-0.1, "The recording lasts 0.80 s; -0.1 s lies outside of it."),
        (3.0, "The recording lasts 0.80 s; 3 s lies outside of it."),
        (float("nan"), "The recording lasts 0.80 s; nan s lies outside of it."),
        (0.2, "At 0.20 s some place is lit less than at another moment. Which axis of the heat is time?"),
        (0.43, "At 0.43 s some place is lit less than at another moment. Which axis of the heat is time?"),
        (0.57, "At 0.57 s some place is lit less than at another moment. Which axis of the heat is time?"),
    ],
)
def test_each_mistake_has_its_hint(prompt, answer, hint):
    found = check_moment(answer, prompt)
    assert found == hint
    assert "0.48" not in found and "0.5 " not in found  # the answer is not given away


def test_the_first_frame_is_right_at_the_very_beginning():
    heat = np.zeros((4, 2, 2))
    heat[0, 1, 1] = 1.0
    assert check_moment(0, made(heat)) == RIGHT
    assert check_moment(0.1, made(heat)) != RIGHT
