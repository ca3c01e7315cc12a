"""The checks of the notebooks' exercises: what is right, and a hint for each likely mistake."""

import numpy as np
import pytest
import torch

from vgs_lib.clock import Clock
from vgs_lib.exercises import RIGHT
from vgs_lib.exercises.tour import check_chance, check_moment, check_rank
from vgs_lib.prompting import Match, Prompt


def made(heat: np.ndarray, *, step: float = 0.04, lag: float = 0.0, duration: float = 0.8) -> Prompt:
    """A prompt of which only the heat [T, H, W] and the times count."""
    return Prompt(
        picture="one",
        heat=heat.astype(np.float32),
        whole=heat.mean(axis=0),
        score=1.0,
        best=(),
        span=(0.0, step),
        clock=Clock(step, lag),
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


def test_a_frame_that_lags_is_right_when_it_is_heard():
    heat = np.zeros((20, 3, 4))
    heat[12, 1, 2] = 0.9
    late = made(heat, lag=0.02)  # frame 12: 0.46 to 0.50 s
    assert [check_moment(answer, late) == RIGHT for answer in (0.41, 0.43, 0.48, 0.53, 0.55)] == [
        False, True, True, True, False]  # fmt: skip


def test_the_first_frame_is_right_at_the_very_beginning():
    heat = np.zeros((4, 2, 2))
    heat[0, 1, 1] = 1.0
    assert check_moment(0, made(heat)) == RIGHT
    assert check_moment(0.1, made(heat)) != RIGHT


MASK = np.zeros((20, 40), bool)
MASK[5:15, 10:20] = True  # 100 of 800 pixels


@pytest.mark.parametrize("answer", [0.125, MASK.mean(), 100 / 800, np.float32(0.1253), torch.tensor(0.125)])
def test_the_share_of_the_mask_is_the_chance_of_a_random_pixel(answer):
    assert check_chance(answer, MASK) == RIGHT


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (None, "Not answered yet: set it to a probability from 0 to 1."),
        (MASK, "Expected one number, found ndarray."),
        (100, "That is how many pixels show the thing. Out of how many?"),
        (MASK.sum(), "That is how many pixels show the thing. Out of how many?"),
        (12.5, "That is a percentage: expected a probability from 0 to 1."),
        (0.875, "That is the probability to miss."),
        (8.0, "A probability lies between 0 and 1; found 8."),
        (-0.125, "A probability lies between 0 and 1; found -0.125."),
        (float("nan"), "A probability lies between 0 and 1; found nan."),
        (0.5, "0.5 is too high. What share of all pixels is true in the mask?"),
        (0.1238, "0.124 is too low. What share of all pixels is true in the mask?"),
    ],
)
def test_each_mistake_with_the_chance_has_its_hint(answer, hint):
    assert check_chance(answer, MASK) == hint


def test_a_small_thing_needs_its_own_share():
    mask = np.zeros((50, 50), bool)
    mask[7, 30:32] = True  # 0.0008
    assert check_chance(mask.mean(), mask) == RIGHT == check_chance(0.0008, mask)
    assert check_chance(0, mask) == "0 is too low. What share of all pixels is true in the mask?"
    assert "too high" in check_chance(0.0009, mask) and "percentage" in check_chance(0.08, mask)


FOUND = [
    Match(name, score) for name, score in (("dog", 8.5), ("frog", 8.1), ("pig", 7.9), ("scene", 7.25), ("fly", 7.0))
]


@pytest.mark.parametrize("answer", [4, 4.0, np.int64(4), torch.tensor(4)])
def test_the_rank_counts_from_one(answer):
    assert check_rank(answer, FOUND, "scene") == RIGHT


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (None, "Not answered yet: set it to a rank, 1 for the best match."),
        ("scene", "Expected one number, found str."),
        (3, "One off: the best match has rank 1, not 0."),
        (2, "That counts from the worst match. The best one comes first."),
        (7.25, "That is the score. How many pictures have a higher one?"),
        (0, "A rank is a whole number from 1 to 5; found 0."),
        (6, "A rank is a whole number from 1 to 5; found 6."),
        (2.5, "A rank is a whole number from 1 to 5; found 2.5."),
        (float("nan"), "A rank is a whole number from 1 to 5; found nan."),
        (1, "The picture with rank 1 is 'dog', not 'scene'."),
    ],
)
def test_each_mistake_with_the_rank_has_its_hint(answer, hint):
    assert check_rank(answer, FOUND, "scene") == hint
