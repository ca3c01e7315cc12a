"""The checks of 01_data say what is wrong without giving the answer."""

from types import SimpleNamespace

import pytest

from vgs_lib.audio import LogMel
from vgs_lib.exercises import RIGHT
from vgs_lib.exercises.data import check_band, check_frames, check_same_name, check_word_frames

FRONT, WORD = LogMel(), SimpleNamespace(start=0.4321, end=0.9187)
NAMES = ["cat"] * 3 + ["dog"] * 2 + list("abcde")  # 3 + 1 equal pairs of 45


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (131, RIGHT),
        (None, "Not answered"),
        ("131", "Expected one number"),
        (130, "One is missing"),
        (20800, "after a hop"),
        (52, "after a hop"),
        (130.5, "whole number"),
        (200, "too many"),
        (65, "too few"),
    ],
)
def test_frames(answer, found):
    sentence = check_frames(answer, 1.3, FRONT)
    assert found in sentence and ("131" not in sentence)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (12, RIGHT),
        (..., "Not answered"),
        (5, "equally wide"),
        (11, "below"),
        (30, "above"),
        (1000, "0 to 39"),
        (2.5, "0 to 39"),
    ],
)
def test_band(answer, found):
    assert found in check_band(answer, 1000, FRONT)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (slice(43, 92), RIGHT),
        ((44, 92), RIGHT),
        (slice(43, 91), RIGHT),
        (None, "Not answered"),
        (43, "slice(first"),
        (slice(0.43, 0.91), "whole numbers"),
        (slice(6914, 14699), "numbers of samples"),
        (slice(92, 43), "No frame"),
        (slice(40, 92), "begins 3 frames too early"),
        (slice(43, 99), "ends 7 frames too late"),
    ],
)
def test_word_frames(answer, found):
    assert found in check_word_frames(answer, WORD, FRONT)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (4 / 45, RIGHT),
        (None, "Not answered"),
        ([0.1], "Expected one number"),
        (400 / 45, "percentage"),
        (-0.1, "between 0 and 1"),
        (18 / 100, "drawn twice"),
        (1 - 4 / 45, "different names"),
        (0.5, "too high"),
        (0.001, "too low"),
    ],
)
def test_same_name(answer, found):
    assert found in check_same_name(answer, NAMES)
