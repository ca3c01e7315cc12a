"""The checks of 05_matchmap: what is right, and a hint for each likely mistake that does not give the answer."""

import numpy as np
import pytest
import torch

from vgs_lib.clock import Clock
from vgs_lib.discovery import components
from vgs_lib.exercises import RIGHT
from vgs_lib.exercises.matchmap import check_frame_time, check_matchmap, check_scores, check_word
from vgs_lib.widgets import Word

generator = torch.Generator().manual_seed(5)
IMAGE = torch.randn(8, 2, 3, generator=generator)
SOUND = torch.randn(8, 4, generator=generator)
MATCHMAP = torch.einsum("dhw,dt->hwt", IMAGE, SOUND)


@pytest.mark.parametrize("answer", [MATCHMAP, MATCHMAP.numpy(), MATCHMAP.tolist(), MATCHMAP.double()])
def test_the_matchmap_is_right(answer):
    assert check_matchmap(answer, IMAGE, SOUND) == RIGHT


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (None, "Not answered yet"),
        (..., "Not answered yet"),
        ("dhw,dt->hwt", "Expected a tensor of numbers, found str"),
        (MATCHMAP.permute(2, 0, 1), "not as rows, columns, frames"),
        (MATCHMAP.permute(1, 0, 2), "not as rows, columns, frames"),
        (torch.einsum("dhw,dt->dhwt", IMAGE, SOUND), "D is still there"),
        (MATCHMAP.sum(), "Found the shape []; a matchmap has one value for every row"),
        (MATCHMAP[0], "one value for every row"),
        (MATCHMAP / 8, "too small by one factor"),
        (-MATCHMAP, "the sign of every value"),
        (MATCHMAP.flip(2), "the values are not"),
        (torch.full_like(MATCHMAP, float("nan")), "the values are not"),
        (2 * MATCHMAP, "the values are not"),
    ],
)
def test_each_mistake_with_the_matchmap_has_its_hint(answer, hint):
    found = check_matchmap(answer, IMAGE, SOUND)
    assert hint in found and found != RIGHT and "hwt" not in found


SISA, MISA, SIMA = MATCHMAP.mean(), MATCHMAP.amax(dim=(0, 1)).mean(), MATCHMAP.amax(dim=2).mean()


def test_the_scores_are_right_and_are_those_of_the_library():
    from vgs_lib.similarity import score_matrix

    assert check_scores(SISA, MISA, SIMA, MATCHMAP) == RIGHT
    assert check_scores(SISA.item(), MISA.numpy(), float(SIMA), MATCHMAP) == RIGHT
    library = [score_matrix(IMAGE[None], SOUND[None], torch.tensor([4]), kind=k) for k in ("sisa", "misa", "sima")]
    assert check_scores(*(score.item() for score in library), MATCHMAP) == RIGHT


@pytest.mark.parametrize(
    ("answers", "hint"),
    [
        ((None, MISA, SIMA), "SISA: Not answered yet"),
        ((SISA, MATCHMAP.amax(dim=(0, 1)), SIMA), "MISA: Expected one number"),
        ((SISA, SIMA, MISA), "MISA and SIMA are exchanged"),
        ((MATCHMAP.sum(), MISA, SIMA), "SISA: "),
        ((SISA, MATCHMAP.amax(dim=(0, 1)).sum(), SIMA), "MISA: "),
        ((SISA, MATCHMAP.max(), SIMA), "MISA: that is the greatest value of all"),
        ((SISA, MISA, MATCHMAP.max()), "SIMA: that is the greatest value of all"),
        ((SISA, SISA, SIMA), "MISA: that is the mean of everything"),
        ((SISA, MATCHMAP.mean(dim=2).max(), SIMA), "MISA: the mean came before the maximum"),
        ((SISA, MISA, MATCHMAP.mean(dim=(0, 1)).max()), "SIMA: the mean came before the maximum"),
        ((SISA + 0.1, MISA, SIMA), "Which axes are places"),
        ((float("nan"), MISA, SIMA), "Which axes are places"),
    ],
)
def test_each_mistake_with_the_scores_has_its_hint(answers, hint):
    found = check_scores(*answers, MATCHMAP)
    assert hint in found and found != RIGHT


def test_a_sum_in_place_of_a_mean_is_called_so():
    positive = MATCHMAP.abs() + 1
    assert "means, not sums" in check_scores(positive.sum(), 1.0, 1.0, positive)
    sums = positive.mean(), positive.amax(dim=(0, 1)).sum(), positive.amax(dim=2).mean()
    assert "MISA" in check_scores(*sums, positive) and "means, not sums" in check_scores(*sums, positive)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (2.4, RIGHT),
        (np.float32(2.4), RIGHT),
        (torch.tensor(2.4), RIGHT),
        (None, "Not answered yet: set it to a number of seconds."),
        ("2.4", "Expected one number"),
        (0.3, "a frame of the spectrogram begins"),
        (240, "counts frames of the spectrogram"),
        (2400, "milliseconds"),
        (2.48, "where the frame ends"),
        (2.44, "middle of the frame"),
        (0.08, "how long one frame is"),
        (17, "17 s is not it"),
        (float("nan"), "nan s is not it"),
    ],
)
def test_the_second_at_which_a_frame_begins(answer, hint):
    found = check_frame_time(answer, 30, hop_seconds=0.01, pooling=8)
    assert hint in found and "2.4" not in found


@pytest.fixture
def component():
    values = np.zeros((3, 3, 20))
    values[1, 1, 5:12] = 1
    return components(values, 0.5, clock=Clock(0.1), min_cells=1)[0]  # 0.5 to 1.2 s


WORDS = (Word("a frog", 0.0, 0.7), Word("a drum", 0.7, 1.3), Word("a car", 1.5, 1.9))


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ("a drum", RIGHT),
        (WORDS[1], RIGHT),
        (None, "Not answered yet"),
        (1, "Expected a word or its text, found int"),
        ("drum", "none of the caption's words"),
        ("a frog", "another word shares more"),
        ("a car", "do not meet"),
    ],
)
def test_the_word_of_a_component(component, answer, hint):
    found = check_word(answer, component, WORDS)
    assert hint in found and "a drum" not in found
