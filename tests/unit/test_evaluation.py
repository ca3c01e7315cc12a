"""Evaluation against a model whose right answers are known: perfect, wrong, constant and half right."""

import dataclasses

import numpy as np
import pytest
import torch

from vgs_lib import similarity
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.stamps import Stamps, human_split
from vgs_lib.errors import DataError
from vgs_lib.evaluation import (
    Trial,
    embed_captions,
    embed_pictures,
    evaluate,
    retrieval_figures,
    trial_of,
)

FRAME = 1600  # samples of a frame of the oracle: 0.1 s
THINGS = 24
FIGURES = ("r1", "r5", "r10", "median_rank")


class Oracle:
    """Pixels of value 10 k show thing k, samples of value k / 100 say it; each thing is a dimension of its own.

    ``hears`` renames what is said; ``constant`` sees and hears the same everywhere.
    """

    device, seconds_per_frame = torch.device("cpu"), FRAME / 16000

    def __init__(self, hears=lambda thing: thing, *, constant=False):
        self.hears, self.constant = hears, constant

    def embed_image(self, pictures):
        assert pictures.dtype == torch.uint8
        things = torch.nn.functional.one_hot(pictures[:, 0].long() // 10, THINGS + 1)[..., 1:]
        maps = things.permute(0, 3, 1, 2).float()
        return torch.ones_like(maps) if self.constant else maps

    def embed_waveforms(self, waveforms):
        lengths = torch.tensor([-(-len(w) // FRAME) for w in waveforms])
        maps = torch.zeros(len(waveforms), THINGS, int(lengths.max()))
        for row, waveform in enumerate(waveforms):
            for t, frame in enumerate(waveform.split(FRAME)):
                thing = self.hears(round(frame.max().item() * 100))
                if thing:
                    maps[row, thing - 1, t] = 1.0
        return (torch.ones_like(maps) if self.constant else maps), lengths

    def matchmap(self, image_map, audio_map):
        return similarity.matchmap(image_map, audio_map)

    def score(self, image_maps, audio_maps, lengths):
        return similarity.score_matrix(image_maps, audio_maps, lengths, kind="misa")


def say(*things):
    return torch.cat([torch.full((2 * FRAME,), thing / 100) for thing in things])


def show(*things):
    """8 x 8 pixels, thing n in rows 4 n and on; their masks."""
    picture = np.zeros((8, 8, 3), np.uint8)
    masks = []
    for place, thing in enumerate(things):
        mask = np.zeros((8, 8), bool)
        mask[4 * place : 4 * place + 3, 1 + place : 5] = True
        picture[mask] = 10 * thing
        masks.append(torch.from_numpy(mask))
    return picture, masks


def trial_with_two_words(num=12):
    pictures, captions, words = [], [], []
    for i in range(num):
        pair = (2 * i + 1, 2 * i + 2)
        picture, masks = show(*pair)
        pictures.append(picture)
        captions.append(say(*pair))
        words += [(i, i, 0.0, 0.2, masks[0]), (i, i, 0.2, 0.4, masks[1])]
    return Trial(pictures, captions, torch.eye(num, dtype=torch.bool), words)


def intervals(figures):
    """(value, low, high, chance) of every figure."""
    for direction in ("speech_to_image", "image_to_speech"):
        for name in FIGURES:
            found = figures[direction]
            yield found[name], *found[f"{name}_ci"], found[f"{name}_chance"]
    for name in ("pointing", "mean_iou"):
        yield figures[name], *figures[f"{name}_ci"], figures[f"{name}_chance"]


def test_a_model_that_is_always_right_has_perfect_figures():
    figures = evaluate(Oracle(), trial_with_two_words())
    for direction in ("speech_to_image", "image_to_speech"):
        found = figures[direction]
        assert [found[name] for name in FIGURES] == [1.0, 1.0, 1.0, 1.0]
        assert found["n"] == found["candidates"] == 12
        assert [found[f"{name}_chance"] for name in FIGURES] == [
            pytest.approx(x, abs=1e-4) for x in (1 / 12, 5 / 12, 10 / 12, 6.5)
        ]
        assert found["r1_ci"] == [1.0, 1.0] and found["median_rank_ci"] == [1.0, 1.0]
    assert figures["pointing"] == 1.0 and figures["mean_iou"] == 1.0 and figures["num_words"] == 24
    share = np.mean([12 / 64, 9 / 64])
    assert figures["pointing_chance"] == figures["mean_iou_chance"] == pytest.approx(share, abs=1e-4)
    assert 0 < figures["threshold"] < 1


def test_a_model_that_sees_and_hears_nothing_stands_at_chance():
    figures = evaluate(Oracle(constant=True), trial_with_two_words())
    for value, low, high, chance in intervals(figures):
        assert value == pytest.approx(chance, abs=1e-4) and low <= value <= high


def test_a_model_that_mixes_up_two_things_points_at_the_other():
    swapped = Oracle(lambda thing: thing + 1 if thing % 2 else thing - 1)
    figures = evaluate(swapped, trial_with_two_words())
    assert figures["speech_to_image"]["r1"] == 1.0  # both are in the picture
    assert figures["pointing"] == 0.0 and figures["mean_iou"] < 0.25


def test_a_model_that_is_right_half_the_time_has_a_half_and_an_interval_around_it():
    half = Oracle(lambda thing: 0 if thing > 12 else thing)  # hears nothing in half of the captions
    figures = evaluate(half, trial_with_two_words())
    found = figures["speech_to_image"]
    assert found["r1"] == pytest.approx(0.5 + 0.5 / 12, abs=1e-4)  # what it does not hear is a guess
    assert 0.2 < found["r1_ci"][0] < found["r1"] < found["r1_ci"][1] < 0.9
    assert figures["pointing"] == pytest.approx(0.5 + 0.5 * np.mean([12 / 64, 9 / 64]), abs=1e-4)
    for value, low, high, _ in intervals(figures):
        assert low <= value <= high
    again = evaluate(half, trial_with_two_words())
    assert again == figures
    assert any(evaluate(half, trial_with_two_words(), seed=seed) != figures for seed in range(1, 6))


def test_words_are_looked_for_at_their_own_time():
    trial = trial_with_two_words()
    late = dataclasses.replace(trial, words=[(p, c, start, end, mask) for p, c, start, end, mask in trial.words[1::2]])
    early = dataclasses.replace(late, words=[(p, c, 0.0, 0.2, mask) for p, c, _, _, mask in late.words])
    assert evaluate(Oracle(), late)["pointing"] == 1.0
    assert evaluate(Oracle(), early)["pointing"] == 0.0
    # A word that ends behind the last frame is cut there.
    long = dataclasses.replace(late, words=[(p, c, start, 9.0, mask) for p, c, start, _, mask in late.words])
    assert evaluate(Oracle(), long)["pointing"] == 1.0


def test_the_threshold_that_is_given_is_the_one_that_is_used():
    trial = trial_with_two_words()
    assert evaluate(Oracle(), trial, threshold=0.25)["threshold"] == 0.25
    everything = evaluate(Oracle(), trial, threshold=-2.0)
    assert everything["mean_iou"] == everything["mean_iou_chance"]
    assert evaluate(Oracle(), trial, threshold=2.0)["mean_iou"] == 0.0


def test_words_of_one_scene_are_drawn_together():
    """Both words of a scene found or both missed: 12 scenes tell less than 24 words that are independent would."""
    half = Oracle(lambda thing: 0 if thing > 12 else thing)
    together = trial_with_two_words()
    alone = dataclasses.replace(together, words=together.words[::2])
    found, fewer = evaluate(half, together), evaluate(half, alone)
    for name in ("pointing", "mean_iou"):
        width, other = (np.subtract(*figures[f"{name}_ci"][::-1]) for figures in (found, fewer))
        assert width == pytest.approx(other, rel=0.15), name


def test_progress_is_reported_to_the_end():
    trial, told = trial_with_two_words(), []
    evaluate(Oracle(), trial, report=lambda *event: told.append(event))
    assert ("pictures", 12, 12) in told and ("captions", 12, 12) in told


def test_captions_keep_their_places_whatever_their_lengths():
    lengths = np.random.default_rng(0).permutation(np.arange(1, 81))
    captions = [torch.full((int(n) * 500,), (1 + i % THINGS) / 100) for i, n in enumerate(lengths)]
    maps, found = embed_captions(Oracle(), captions)
    assert found.tolist() == [-(-int(n) * 500 // FRAME) for n in lengths]
    for i, length in enumerate(found):
        assert (maps[i, i % THINGS, :length] == 1).all() and maps[i].sum() == length
    pictures = [show(1 + i % THINGS)[0] for i in range(70)]
    image_maps = embed_pictures(Oracle(), pictures)
    assert image_maps.shape == (70, THINGS, 8, 8)
    assert image_maps.amax((2, 3)).argmax(1).tolist() == [i % THINGS for i in range(70)]


def test_queries_without_an_answer_are_left_out_and_any_right_answer_counts():
    right = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]], dtype=torch.bool)
    scores = torch.tensor([[0.1, 0.9, 0.8, 0.7], [0.5, 0.4, 0.3, 0.2], [0.9, 0.8, 0.1, 0.2]])
    figures = retrieval_figures(scores, right, seed=0)
    assert figures["n"] == 2 and figures["candidates"] == 4
    assert figures["r1"] == 0.0 and figures["r5"] == 1.0 and figures["median_rank"] == 2.0
    assert figures["r1_chance"] == pytest.approx((2 / 4 + 1 / 4) / 2, abs=1e-4)


# What a model is evaluated on.


def test_scenes_make_a_trial_with_the_truth_of_every_word(tiny_set):
    stamps = Stamps.open()
    trial = trial_of(stamps, "test", num_scenes=9, size=64)
    assert len(trial.pictures) == len(trial.captions) == 9
    assert torch.equal(trial.right, torch.eye(9, dtype=torch.bool))
    scenes, told = Scenes(stamps, "test", size=64), iter(trial.words)
    for i in range(9):
        scene = scenes[i]
        np.testing.assert_array_equal(trial.pictures[i], scene.picture)
        np.testing.assert_array_equal(trial.captions[i].numpy(), scene.waveform)
        for word in (w for w in scene.words if w.concept):
            picture, caption, start, end, mask = next(told)
            assert (picture, caption, start, end) == (i, i, word.start, word.end)
            (truth,) = [o.mask for o in scene.objects if o.concept == word.concept]
            np.testing.assert_array_equal(mask.numpy(), truth)
    assert next(told, None) is None


@pytest.mark.parametrize("language", ["en", "fr"])
def test_people_are_tried_against_every_picture_and_any_of_that_name_is_right(tiny_set, language):
    stamps = Stamps.open()
    tried = []
    for part in ("validation", "test"):
        split = f"{part}-human-{language}"
        spoken = [c for c in stamps.concepts if language in c.people and human_split(c.id, language) == split]
        if not spoken:
            continue
        trial = trial_of(stamps, split, size=64)
        assert len(trial.pictures) == len(stamps.concepts) and len(trial.captions) == len(spoken)
        for column, concept in enumerate(spoken):
            named = {c.id for c, right in zip(stamps.concepts, trial.right[:, column].tolist(), strict=True) if right}
            assert named == {c.id for c in stamps.concepts if c.key == concept.key}
            np.testing.assert_array_equal(trial.captions[column].numpy(), stamps.recording(concept.id, language))
            place, caption, start, end, mask = trial.words[column]
            assert stamps.concepts[place].id == concept.id and caption == column
            assert start == 0.0 and end == pytest.approx(len(trial.captions[column]) / 16000)
            np.testing.assert_array_equal(mask.numpy(), stamps.alone(concept.id, size=64)[1])
        tried += [c.id for c in spoken]
    assert "animals/dog" in tried  # whose name another picture shares
    assert sorted(tried) == [c.id for c in stamps.concepts if language in c.people]


def test_a_split_that_is_not_there_is_said_with_those_that_are(tiny_set):
    stamps = Stamps.open()
    with pytest.raises(DataError, match="'tests': expected train, validation, test, test-hard, or validation-human-LL"):
        trial_of(stamps, "tests")
    with pytest.raises(DataError, match="test-human-tlh"):
        trial_of(stamps, "test-human-tlh")


@pytest.mark.parametrize("num", [0, -3])
def test_a_trial_without_scenes_is_refused(tiny_set, num):
    with pytest.raises(DataError, match=r"num_scenes|scenes"):
        trial_of(Stamps.open(), "test", num_scenes=num)
