"""The clock of frames, and a model whose frames lag half a frame: everything that tells times names the right frame.

``toy.LateModel`` has frames of 0.16 s that hear what lies 0.08 s before the middle of t to t + 1, as those of the
DAVEnet family. Frames 2 and 5 hear the words of ``toy.LATE_WORDS``; without the lag their middles, 0.40 and 0.88 s, lie
behind the words.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import toy_cam
import toy_tour as toy

from vgs_lib import explain as ex
from vgs_lib.clock import Clock
from vgs_lib.discovery import components, thing_of, word_of
from vgs_lib.encoders import DAVEnet, TimmPyramid
from vgs_lib.errors import DataError
from vgs_lib.evaluation import Trial, embed_captions, embed_pictures, word_heats
from vgs_lib.evaluation.localization_scores import locate_words
from vgs_lib.figures.explanations import spectrogram_figure
from vgs_lib.figures.film_frames import FilmFrames, heat_at
from vgs_lib.figures.matchmap import components_figure, density_figure
from vgs_lib.localization import pointing_hit, span_frames
from vgs_lib.model import DualEncoder
from vgs_lib.prompting import Prompter
from vgs_lib.retrieval.mistakes import word_votes
from vgs_lib.viz import colour_table
from vgs_lib.widgets import CamController, LocalizerController, Picture, PlayerController
from vgs_lib.widgets.collection import Collection
from vgs_lib.widgets.material import Clip

DISCS = {"red": (0.25, 0.25), "blue": (0.75, 0.75)}
LATE = Clock(0.16, 0.08)
FRAMES = {"red": 2, "blue": 5}


@pytest.fixture(scope="module")
def picture():
    made = toy.scene("one", DISCS)
    caption = Clip("late", "red and blue", "Captions", lambda: (toy.say_late(), toy.RATE), toy.LATE_WORDS)
    return Picture(made.id, made.title, made.load, caption, made.masks)


@pytest.fixture(scope="module")
def prompter(picture):
    made = Prompter(toy.LateModel(), heat_range=(0.0, 0.5))
    made.add_pictures([picture.id], [picture.load()])
    return made


@pytest.fixture(scope="module")
def prompt(prompter):
    return prompter.prompt(toy.say_late(), toy.RATE)


@pytest.fixture(scope="module")
def matchmap(prompter):
    sound = prompter.model.embed_waveforms([torch.from_numpy(toy.say_late())])[0][0]
    return prompter.model.matchmap(prompter.image_map("one"), sound)


def inside(mask: np.ndarray, point: tuple[float, float]) -> bool:
    return bool(mask[int(point[1] * mask.shape[0]), int(point[0] * mask.shape[1])])


def test_frames_begin_a_lag_before_their_number_of_steps():
    assert LATE.seconds(2) == pytest.approx(0.24) and LATE.seconds(2.5) == pytest.approx(0.32)
    assert LATE.middles(3) == pytest.approx([0.0, 0.16, 0.32])
    assert Clock(0.04).middles(3) == pytest.approx([0.02, 0.06, 0.10])
    assert LATE.frame(LATE.seconds(np.array([0, 1.5, 7]))) == pytest.approx([0, 1.5, 7])
    assert [LATE.frame_at(t, 4) for t in (-9, 0.0, 0.07, 0.09, 0.23, 0.25, 9)] == [0, 0, 0, 1, 1, 2, 3]
    assert LATE.of_layer(10, 0.8) == Clock(0.08, 0.04) and Clock(0.04).of_layer(10, 0.8) == Clock(0.08)


@pytest.mark.parametrize("wrong", [(0, 0), (-0.1, 0), (float("nan"), 0), (0.1, float("inf")), (0.1, float("nan"))])
def test_a_clock_that_tells_no_time_is_refused(wrong):
    with pytest.raises(DataError, match=r"(seconds_per_frame|frame_lag): found"):
        Clock(*wrong)


def test_the_clock_of_a_model_has_its_lag_if_it_names_one():
    assert DualEncoder(TimmPyramid(weights=None, dim=8), DAVEnet(width=0.05, dim=8)).clock == LATE
    assert toy_cam.toy_model().clock == Clock(0.04)
    assert Clock.of(toy.ToyModel()) == Clock(0.04) and Clock.of(toy.LateModel()) == LATE


def test_the_toy_hears_each_word_in_the_frame_that_the_other_tests_expect(prompt):
    strongest = prompt.heat.max(axis=(1, 2))
    assert (
        set(np.argsort(strongest)[-2:]) == {2, 5} and strongest[[2, 5]].min() > 3 * np.delete(strongest, [2, 5]).max()
    )


def test_a_span_hears_the_frames_whose_middle_lies_inside():
    for word in toy.LATE_WORDS:
        assert span_frames(7, word.start, word.end, LATE).nonzero().flatten().tolist() == [FRAMES[word.text]]
        assert span_frames(7, word.start, word.end, Clock(0.16)).nonzero().flatten().tolist() == [FRAMES[word.text] - 1]
    assert span_frames(7, 0.25, 0.26, LATE).nonzero().item() == 2  # no middle: the nearest


def test_a_prompt_knows_which_frame_is_heard(prompt, picture):
    assert prompt.clock == LATE and prompt.seconds_per_frame == 0.16
    for word in toy.LATE_WORDS:
        assert {prompt.frame_at(t) for t in (word.start + 0.011, word.end - 0.001)} == {FRAMES[word.text]}
        assert inside(picture.masks[word.text], prompt.peak(word.start + 0.02))


def test_the_player_lights_each_word_and_tells_the_browser_the_lag(prompt, picture):
    player = PlayerController()
    player.show_prompt(picture, prompt, title="both", words=toy.LATE_WORDS)
    for index, word in enumerate(toy.LATE_WORDS):
        np.testing.assert_array_equal(player.word_heat(index), prompt.heat[FRAMES[word.text]])
    assert player.note(0) == "“red”, 0.23 to 0.39 s: hottest in the top left."
    short = [type(word)(word.text, word.start + 0.02, word.start + 0.03) for word in toy.LATE_WORDS]
    player.show_prompt(picture, prompt, words=short)
    np.testing.assert_array_equal(player.word_heat(1), prompt.heat[5])
    assert player.message()[0]["prompt"]["clock"] == {"seconds_per_frame": 0.16, "frame_lag": 0.08}


def test_a_film_shows_a_frame_when_it_is_heard():
    heat = np.arange(4.0).reshape(4, 1, 1)
    assert [heat_at(heat, t, LATE)[0, 0] for t in (0.0, 0.08, 0.16, 0.40, 9)] == pytest.approx([0, 0.5, 1, 2.5, 3])
    heat = np.array([0, 0, 1, 0], np.float32).reshape(4, 1, 1)
    options = {"duration": 0.64, "heat_range": (0.0, 1.0), "words": (), "longest": 64, "opacity": 1.0, "cut": 0.0}
    film = FilmFrames(heat, np.full((64, 64, 3), 120, np.uint8), clock=LATE, **options)
    strip = np.asarray(film._footer)[30]  # 64 pixels for 0.64 s: frame 2 lasts from 0.24 to 0.40 s
    lit = (strip == colour_table()[255]).all(axis=1)
    assert np.flatnonzero(lit).tolist() == list(range(24, 40))


def test_co_segmentation_finds_each_word_in_its_time(matchmap, picture):
    found = components(matchmap, 0.2, clock=LATE, min_cells=4)
    assert {(word_of(one, toy.LATE_WORDS).text, thing_of(one, picture.masks)[0]) for one in found} == {
        ("red", "red"),
        ("blue", "blue"),
    }
    for one in found:
        word = word_of(one, toy.LATE_WORDS)
        assert one.span == pytest.approx((word.start, word.end), abs=0.011)
    (first,) = components(np.ones((1, 1, 2)), 1, clock=LATE, min_cells=1)
    assert first.span == pytest.approx((0.0, 0.24))  # what is heard begins with the sound
    # frame 2 is heard from 0.24 to 0.40 s; from 0.32 to 0.48 s the other word would have more of it
    (edge,) = components(np.eye(4)[2].reshape(1, 1, 4), 0.5, clock=LATE, min_cells=1)
    words = [SimpleNamespace(text="heard", start=0.24, end=0.34), SimpleNamespace(text="later", start=0.34, end=0.60)]
    assert word_of(edge, words) is words[0]


def test_figures_of_matchmaps_have_the_times_of_what_is_heard(matchmap, picture):
    surfaces = density_figure(matchmap, threshold=0.2, clock=LATE).data[0]
    time, value = np.asarray(surfaces.x, float), np.asarray(surfaces.value, float)
    for moment in np.unique(time[value >= 0.2]):
        assert any(word.start < moment < word.end for word in toy.LATE_WORDS)
    found = components(matchmap, 0.2, clock=LATE, min_cells=4)
    figure = components_figure(picture.load(), toy.say_late(), found)
    edges = {round(patch.get_x(), 3) for patch in figure.axes[1].patches}
    assert edges == {0.24, 0.72}


def test_votes_go_to_the_word_that_is_heard(prompter, picture):
    sound = prompter.model.embed_waveforms([torch.from_numpy(toy.say_late())])[0][0]
    other = toy.scene("other", {"blue": (0.5, 0.5)})
    collection = Collection.of(
        toy.LateModel(), [picture, other], [picture.caption], right=torch.tensor([[False, True]])
    )
    only = word_votes(collection.prompter.image_map("one"), collection.prompter.image_map("other"), sound,
                      toy.LATE_WORDS, LATE)  # fmt: skip
    votes = dict(collection.votes(SimpleNamespace(query=0, first=0, right=1)))
    assert votes == dict(only) and list(votes) == ["red", "blue", "pauses"]
    assert votes["red"] > 0.05 and abs(votes["blue"]) < 0.1 * votes["red"] and abs(votes["pauses"]) < 0.1 * votes["red"]


def test_the_localizer_hears_the_word_that_is_selected(picture):
    localizer = LocalizerController(toy.LateModel(), [picture])
    for word in toy.LATE_WORDS:
        localizer.span.select(word.start, word.end)
        assert localizer.region.target == word.text and localizer.region.scores()["pointing"] > 0.9


class LateBatch(toy.LateModel):
    """With what the evaluations need."""

    device = torch.device("cpu")

    def embed_image(self, pictures):
        return super().embed_image(pictures.float() / 255)


def test_the_evaluations_hear_the_words(picture):
    words = [SimpleNamespace(text=w.text, concept=w.text, start=w.start, end=w.end) for w in toy.LATE_WORDS]
    things = [SimpleNamespace(concept=name, mask=mask) for name, mask in picture.masks.items()]
    scene = SimpleNamespace(picture=picture.load(), waveform=toy.say_late(), words=words, objects=things)
    located = locate_words(LateBatch(), [scene])
    spoken = [(0, 0, word.start, word.end, word.mask) for word in located]
    sounds = [torch.from_numpy(scene.waveform)]
    trial = Trial([scene.picture], sounds, torch.ones(1, 1, dtype=torch.bool), spoken)
    model = LateBatch()
    heats = word_heats(model, embed_pictures(model, trial.pictures), *embed_captions(model, sounds), trial)
    for word, heat in zip(located, heats, strict=True):
        torch.testing.assert_close(word.heat, heat)
        assert pointing_hit(heat, word.mask) > 0.9


class LateSpeech(toy_cam.ToySpeech):
    """Frames of 0.04 s that say that they hear 0.02 s earlier."""

    lag = 0.5


def test_what_is_explained_is_the_frames_and_moments_that_are_heard():
    model = DualEncoder(toy_cam.ToyImage(), LateSpeech()).eval()
    assert ex.frames_in(model, 10, (0.07, 0.13)).nonzero().flatten().tolist() == [2, 3]  # middles at 0.08 and 0.12 s
    inspector = CamController(model, [toy_cam.two_discs()])
    plain = CamController(toy_cam.toy_model(), [toy_cam.two_discs()])
    for one in (inspector, plain):
        one.result = one.explain(one.choose(method="HiResCAM", sound_layer="audio_map", word=0))
    clock = inspector.message()[0]["sound_clock"]
    num_frames, duration = inspector.result.sound.positive.shape[1], inspector.message()[0]["duration"]
    assert clock == {"seconds_per_frame": duration / num_frames, "frame_lag": duration / num_frames / 2}
    assert plain.message()[0]["sound_clock"]["frame_lag"] == 0
    best = int(inspector.result.sound.positive.max(axis=0).argmax())
    assert inspector.peak_seconds() == pytest.approx(best * duration / num_frames)
    word = toy_cam.two_discs().caption.words[0]
    assert word.start <= inspector.peak_seconds() <= word.end


def test_maps_over_a_spectrogram_are_drawn_when_they_are_heard():
    heats = {"over time": np.ones((1, 7)), "mel": np.ones((40, 112))}
    axes = spectrogram_figure(np.zeros((40, 112)), heats, {}, hop=0.01, clock=LATE).axes
    assert axes[1].images[0].get_extent()[:2] == pytest.approx((-0.08, 1.04)) and axes[1].get_xlim() == (0, 1.12)
    assert axes[2].images[0].get_extent()[:2] == pytest.approx((0, 1.12))
