"""The prompter on a world with known answers: where, when, which pictures, and what it refuses."""

import time

import numpy as np
import pytest
import soundfile
import torch
import toy_tour as toy

from vgs_lib.errors import AudioError, DataError, ImageError
from vgs_lib.images import fit_picture
from vgs_lib.prompting import Prompter, best_span
from vgs_lib.viz import colour_table, figure_png, overlay, prompt_figure, upsample

PICTURES = [
    toy.scene("one", {"red": (0.25, 0.25), "blue": (0.75, 0.75)}),
    toy.scene("two", {"green": (0.75, 0.25), "yellow": (0.25, 0.75)}),
    toy.scene("three", {"blue": (0.25, 0.75)}),
]


@pytest.fixture
def prompter():
    made = Prompter(toy.ToyModel())
    made.add_pictures([p.id for p in PICTURES], [p.load() for p in PICTURES])
    return made


def inside(mask: np.ndarray, point: tuple[float, float]) -> bool:
    return bool(mask[int(point[1] * mask.shape[0]), int(point[0] * mask.shape[1])])


def test_the_heat_peaks_inside_what_is_named_while_it_is_heard(prompter):
    prompt = prompter.prompt(toy.say("red", "blue"), toy.RATE, picture="one")
    assert inside(PICTURES[0].masks["red"], prompt.peak(0.5))
    assert inside(PICTURES[0].masks["blue"], prompt.peak(1.3))
    assert prompt.heat.dtype == np.float32 and prompt.heat.shape == (45, 14, 14)
    assert prompt.heat[prompt.frame_at(0.1)].max() < 0.05  # the pause before the first word
    assert prompt.found


def test_the_best_span_is_the_word_that_is_in_the_picture(prompter):
    prompt = prompter.prompt(toy.say("green", "red", "yellow"), toy.RATE, picture="one")
    assert prompt.span == pytest.approx((1.0, 1.6), abs=0.041)
    assert inside(PICTURES[0].masks["red"], prompt.peak())


def test_the_best_pictures_come_first_with_the_models_scores(prompter):
    prompt = prompter.prompt(toy.say("green", "yellow"), toy.RATE, num_best=2)
    assert prompt.best[0].id == "two" and prompt.picture == "two"
    assert len(prompt.best) == 2 and prompt.num_pictures == 3
    model = toy.ToyModel()
    maps = model.embed_image(torch.stack([fit_picture(p.load(), 224) for p in PICTURES]))
    scores = model.score(maps, *model.embed_waveforms([torch.tensor(toy.say("green", "yellow"))]))[:, 0]
    assert prompt.score == pytest.approx(scores[1].item()) == pytest.approx(prompt.best[0].score)


def test_pictures_are_encoded_once(prompter):
    for name in toy.NAMES:
        prompter.prompt(toy.say(name), toy.RATE, picture="one")
    assert prompter.model.num_images_encoded == 3


def test_the_range_of_the_heat_is_the_same_for_all_prompts(prompter):
    prompter.calibrate([toy.say("red"), toy.say("blue")])
    loud = prompter.prompt(toy.say("red"), toy.RATE, picture="one")
    quiet = prompter.prompt(0.5 * toy.say("red"), toy.RATE, picture="one")
    assert loud.heat_range == quiet.heat_range == prompter.heat_range
    assert quiet.heat.max() == pytest.approx(0.5, abs=0.02) and loud.heat.max() == pytest.approx(1, abs=0.01)


def test_the_range_of_a_checkpoint_is_kept():
    prompter = Prompter(toy.ToyModel(), heat_range=[0.1, 0.9])  # as JSON has it
    prompter.add_pictures(["one"], [PICTURES[0].load()])
    prompt = prompter.prompt(0.5 * toy.say("red"), toy.RATE)
    assert prompter.heat_range == prompt.heat_range == (0.1, 0.9)
    free = Prompter(toy.ToyModel())
    free.add_pictures(["one"], [PICTURES[0].load()])
    low, high = free.prompt(0.5 * toy.say("red"), toy.RATE).heat_range
    assert prompt.heat.max() == pytest.approx((high - 0.1) / 0.8, abs=0.02) and low < high < 0.9


@pytest.mark.parametrize("found", [[0.5, 0.5], [1, 0], [0.1], 3, "ab", [0, float("nan")], [0, float("inf")], [None, 1]])
def test_what_is_no_range_is_refused(found):
    with pytest.raises(DataError, match=r"^heat_range: found"):
        Prompter(toy.ToyModel(), heat_range=found)


def test_what_is_not_in_the_picture_is_not_found(prompter):
    prompter.calibrate([toy.say("red")])
    assert not prompter.prompt(toy.say("green"), toy.RATE, picture="one").found


def test_any_rate_and_channels_give_the_same_answer(prompter):
    once = prompter.prompt(toy.say("red"), toy.RATE, picture="one")
    stereo = np.stack([toy.say("red", rate=44100)] * 2)
    other = prompter.prompt(stereo, 44100, picture="one")
    assert other.duration == pytest.approx(once.duration, abs=1e-3)
    assert np.abs(other.whole - once.whole).max() < 0.03


def test_pictures_of_other_shapes_are_searched_too_and_never_cropped(prompter):
    wide = np.full((150, 450, 3), 120, np.uint8)
    wide[40:110, 330:420] = toy.COLOURS["red"]
    prompter.add_pictures(["wide"], [wide])
    prompt = prompter.prompt(toy.say("red"), toy.RATE, picture="wide")
    assert prompt.heat.shape[1:] == (14, 42) and prompt.num_pictures == 4
    x, y = prompt.peak()
    assert 330 / 450 < x < 420 / 450 and 40 / 150 < y < 110 / 150


def test_progress_and_stop():
    prompter, seen = Prompter(toy.ToyModel()), []
    pictures = [PICTURES[0].load()] * 10
    prompter.add_pictures(list("abcdefghij"), pictures, batch_size=4, progress=lambda *a: seen.append(a))
    assert seen == [(4, 10), (8, 10), (10, 10)]
    prompter = Prompter(toy.ToyModel())
    prompter.add_pictures(list("abcdefghij"), pictures, batch_size=4, should_stop=lambda: True)
    assert prompter.ids == list("abcd")


def test_200_pictures_answer_at_once(prompter):
    prompter.add_pictures([str(i) for i in range(200)], [PICTURES[1].load()] * 200)
    prompter.prompt(toy.say("red"), toy.RATE, picture="one")
    started = time.perf_counter()
    prompter.prompt(toy.say("red", "blue", "green"), toy.RATE, picture="one")
    assert time.perf_counter() - started < 0.3


@pytest.mark.parametrize(
    ("waveform", "says"),
    [
        (np.zeros(16000, np.float32), "silent"),
        (np.zeros(0, np.float32), "empty"),
        (np.full(16000, np.nan, np.float32), "not finite"),
        (toy.say("red")[:800], "0.1 s"),
        (np.broadcast_to(np.float32(0.1), (3600 * 16000,)), "3600 s, at most 30 s"),
    ],
)
def test_unusable_sound_is_refused_with_a_sentence(prompter, waveform, says):
    with pytest.raises(AudioError, match=says):
        prompter.prompt(waveform, 16000, picture="one")


def test_files(prompter, tmp_path):
    path = tmp_path / "red.flac"
    soundfile.write(path, toy.say("red"), toy.RATE)
    assert prompter.prompt_file(path, picture="one").found
    assert prompter.prompt_file(path.read_bytes(), picture="one").found
    (tmp_path / "notes.txt").write_text("not a sound")
    with pytest.raises(AudioError, match=r"notes\.txt"):
        prompter.prompt_file(tmp_path / "notes.txt")


def test_wrong_pictures_are_refused(prompter):
    with pytest.raises(DataError, match="nobody"):
        prompter.prompt(toy.say("red"), toy.RATE, picture="nobody")
    with pytest.raises(DataError, match="add_pictures"):
        Prompter(toy.ToyModel()).prompt(toy.say("red"), toy.RATE)
    with pytest.raises(ImageError, match=r"grey: .*found uint8 \[10, 10\]"):
        prompter.add_pictures(["grey"], [np.zeros((10, 10), np.uint8)])
    with pytest.raises(ImageError, match="too narrow"):
        prompter.add_pictures(["line"], [np.zeros((10, 100, 3), np.uint8)])


def test_best_span_bridges_dips_and_handles_no_match():
    assert best_span(np.array([0, 1, 0.4, 1, 0, 0.3])) == (1, 4)
    assert best_span(np.array([1.0, 0, 0, 0, 1, 1])) == (4, 6)
    assert best_span(np.array([-1.0, -0.5, -2])) == (1, 2)


def test_fit_picture_keeps_the_aspect_in_strides():
    assert fit_picture(np.zeros((310, 150, 3), np.uint8), 224).shape == (3, 448, 224)
    square = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    assert torch.equal(fit_picture(square, 224), torch.tensor(square).permute(2, 0, 1) / 255)


def test_overlay_lights_the_hot_cell_and_dims_the_rest():
    picture = np.full((140, 140, 3), 200, np.uint8)
    heat = np.zeros((14, 14))
    heat[3, 10] = 1
    lit = overlay(picture, heat).mean(axis=2)
    assert np.unravel_index(lit.argmax(), lit.shape) == pytest.approx((35, 105), abs=5)
    assert lit[100, 20] < 140 < lit.max()
    assert np.array_equal(overlay(picture, heat, opacity=0), picture)
    assert upsample(heat, (140, 140)).max() <= 1
    table = colour_table().astype(int)
    assert table.shape == (256, 3) and (np.diff(table.sum(axis=1)) >= -2).all()  # lightness grows with heat


def test_the_figure_is_a_small_png(prompter):
    prompt = prompter.prompt(toy.say("red", "blue"), toy.RATE, picture="one")
    png = figure_png(prompt_figure(prompt, PICTURES[0].load(), title="red, blue"))
    assert png.startswith(b"\x89PNG") and len(png) < 250_000
