"""The collection, the score matrix, the explorers and the mistakes, on the toy world: controllers without a browser."""

import numpy as np
import pytest
import torch
import toy_tour as toy

from vgs_lib import similarity
from vgs_lib.clock import Clock
from vgs_lib.errors import AudioError, DataError
from vgs_lib.figures.retrieval import mistake_plot, recall_plot
from vgs_lib.retrieval.mistakes import word_votes, worst
from vgs_lib.retrieval.report import report, table
from vgs_lib.widgets.collection import Collection
from vgs_lib.widgets.explorers_controller import ImageAnnotationController, ImageSearchController, RankingController
from vgs_lib.widgets.material import Clip
from vgs_lib.widgets.score_matrix_controller import MOST, ScoreMatrixController


@pytest.fixture(scope="module")
def collection():
    return Collection.of(toy.ToyModel(), toy.scenes(12))


def test_scores_equal_those_of_each_pair_alone(collection):
    model = toy.ToyModel()
    assert collection.scores.shape == (12, 12) and collection.scores.dtype == torch.float32
    for row in (0, 5):
        for column in (3, 11):
            waveform, _ = collection.captions[row].load()
            sound, length = model.embed_waveforms([torch.from_numpy(waveform)])
            pixels = torch.from_numpy(collection.pictures[column].load()).permute(2, 0, 1)[None] / 255
            alone = model.score(model.embed_image(pixels), sound, length).item()
            assert collection.scores[row, column].item() == pytest.approx(alone, rel=1e-5)
    assert torch.equal(collection.right, torch.eye(12, dtype=torch.bool))


def test_what_is_encoded_is_counted_to_the_end():
    seen = {}
    report = lambda what, done, total: seen.setdefault(what, []).append((done, total))
    Collection.of(toy.ToyModel(), toy.scenes(6), report=report)
    assert seen["captions"] == [(done, 6) for done in range(1, 7)]
    assert seen["pictures"][-1] == (6, 6) and seen["pictures"] == sorted(seen["pictures"])


def test_a_part_of_a_collection_encodes_nothing_again(collection):
    before = collection.prompter.model.num_images_encoded
    part = collection.first(4)
    assert torch.equal(part.scores, collection.scores[:4, :4]) and len(part.captions) == len(part.pictures) == 4
    assert part.prompter is collection.prompter and collection.prompter.model.num_images_encoded == before


def test_a_picture_shares_a_name_if_it_shows_something_said(collection):
    shared = collection.shares_a_name()
    for row, clip in enumerate(collection.captions):
        for column, picture in enumerate(collection.pictures):
            assert bool(shared[row, column]) == bool({word.text for word in clip.words} & set(picture.masks))
    assert collection.showing("red") == [i for i, p in enumerate(collection.pictures) if "red" in p.masks]


def test_captions_of_their_own_need_to_be_told_what_is_right():
    pictures = toy.scenes(3)
    right = torch.tensor([["red" in p.masks for p in pictures], ["blue" in p.masks for p in pictures]])
    clips = [clip for clip in toy.clips() if clip.title in ("red", "blue")]
    made = Collection.of(toy.ToyModel(), pictures, clips, right=right)
    assert made.scores.shape == (2, 3) and torch.equal(made.right, right)
    silent = Clip("quiet", "quiet", "Tones", lambda: (np.zeros(16000, np.float32), 16000))
    cases = [
        (lambda: Collection.of(toy.ToyModel(), pictures, clips), DataError, r"right is None; expected \[2, 3\]"),
        (lambda: Collection.of(toy.ToyModel(), pictures, clips, right=right.T), DataError, r"right is \[3, 2\]"),
        (lambda: Collection.of(toy.ToyModel(), []), DataError, "found 0 pictures"),
        (lambda: Collection.of(toy.ToyModel(), pictures[:1] * 2), DataError, "found 2 pictures; expected one or more"),
        (lambda: Collection.of(toy.ToyModel(), pictures, [silent], right=right[:1]), AudioError, "silent"),
        (lambda: made.first(0), DataError, "num is 0"),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()


def test_a_cell_knows_its_score_its_place_and_whether_it_is_right(collection):
    matrix = ScoreMatrixController(collection)
    for row in range(12):
        scores = collection.scores[row].tolist()
        for column in (0, row):
            cell = matrix.cell(row, column)
            higher = sum(other > scores[column] for other in scores)
            ties = scores.count(scores[column]) - 1
            assert (cell.score, cell.place, cell.right) == (scores[column], 1 + higher + ties / 2, row == column)
    for outside in ((-1, 0), (0, 12), (12, 0)):
        with pytest.raises(DataError, match="there is no cell"):
            matrix.cell(*outside)


def test_a_chosen_cell_is_played_in_its_picture(collection):
    matrix = ScoreMatrixController(collection)
    assert matrix.message()[0]["chosen"] is None
    matrix.choose(2, 7)
    player = matrix.player
    assert (player.picture.id, player.title) == (collection.pictures[7].id, collection.captions[2].title)
    assert player.prompt.score == pytest.approx(float(collection.scores[2, 7]), rel=1e-5) and player.play
    assert player.words == collection.captions[2].words
    content, (scores, colours) = matrix.message()
    assert content["chosen"] == [2, 7] and content["shape"] == [12, 12] and len(colours) == 3 * 256
    assert np.frombuffer(scores, "<f4").reshape(12, 12) == pytest.approx(collection.scores.numpy())
    assert content["right"] == [[i, i] for i in range(12)] and content["captions"][2] == collection.captions[2].title
    assert content["range"] == [float(collection.scores.min()), float(collection.scores.max())]


def test_a_matrix_too_large_to_see_is_refused(collection):
    wide = Collection((), (), torch.zeros(2, MOST + 1), torch.zeros(2, MOST + 1, dtype=torch.bool), (), None)
    with pytest.raises(DataError, match=r"score matrix is \[2, 401\].*collection.first\(400\)"):
        ScoreMatrixController(wide)


def test_speech_ranks_the_pictures_and_marks_the_right_ones(collection):
    changes = []
    search = ImageSearchController(collection, toy.clips(), num_best=3, on_change=lambda: changes.append(1))
    search.recorder.choose_clip("clip-red")
    reds = {p.id for p in collection.pictures if "red" in p.masks}
    results = search.ranking.results
    assert not search.recorder.failed and "12 pictures" in search.recorder.status and len(changes) == 1
    assert [r.place for r in results] == sorted(r.place for r in results) and results[0].id in reds
    assert {r.id for r in results if r.right} == reds  # those further down are added
    assert all(r.right is False for r in results if r.id not in reds)
    scores = [r.score for r in results]
    assert scores == sorted(scores, reverse=True) and search.player.picture.id == results[0].id
    other = results[1].id
    search.choose_picture(other)
    assert search.player.picture.id == other == search.ranking.selected and search.player.title == "red"

    caption = next(clip for clip in collection.captions if len(clip.words) > 1)
    search.recorder.choose_clip(caption.id)
    found = {r.id for r in search.ranking.results if r.right}
    same = {p.id for p, c in zip(collection.pictures, collection.captions, strict=True) if c.title == caption.title}
    assert found == same and f"the first right one of {len(same)} is at place" in search.ranking.sentence


def test_a_recording_that_nobody_knows_has_no_right_picture(collection):
    search = ImageSearchController(collection, num_best=4)
    with pytest.raises(DataError, match="record or choose something"):
        search.choose_picture(collection.pictures[0].id)
    search.speak(toy.say("blue"), toy.RATE)
    assert len(search.ranking.results) == 4 and all(r.right is None for r in search.ranking.results)
    with pytest.raises(AudioError):
        search.speak(np.zeros(16000), toy.RATE)
    search.choose_picture(collection.pictures[1].id)
    assert search.player.title == "recording"  # the sound from before


def test_a_picture_ranks_the_captions_with_transcripts(collection):
    heard, changes = [], []

    def transcribe(waveform, rate):
        heard.append(len(waveform))
        return "red and something"

    notes = ImageAnnotationController(collection, transcribe=transcribe, num_best=3)
    notes.choose_picture(collection.pictures[4].id)
    order = collection.scores[:, 4].argsort(descending=True, stable=True).tolist()
    assert [int(r.id) for r in notes.ranking.results][:3] == order[:3]
    assert [r.id for r in notes.ranking.results if r.right] == ["4"]
    assert all(r.heard == "…" for r in notes.ranking.results) and not heard
    notes.hear(on_change=lambda: changes.append(1))
    count = len(notes.ranking.results)
    assert len(heard) == len(changes) == count and not notes.missing()
    assert all(r.heard == "red and something" and "% word errors" in r.note for r in notes.ranking.results)
    notes.choose_caption(notes.ranking.results[1].id)
    assert notes.player.title == notes.ranking.results[1].title and notes.player.picture.id == collection.pictures[4].id
    notes.choose_picture(collection.pictures[4].id)
    notes.hear()
    assert len(heard) == count  # nothing is heard twice
    with pytest.raises(DataError, match="there is no picture 'x'"):
        notes.choose_picture("x")


def test_transcripts_stop_when_asked_and_bad_sound_is_a_sentence(collection):
    def transcribe(waveform, rate):
        raise AudioError("too short")

    notes = ImageAnnotationController(collection, transcribe=transcribe, num_best=4)
    notes.choose_picture(collection.pictures[0].id)
    notes.hear(should_stop=lambda: True)
    assert len(notes.missing()) >= 4
    notes.hear()
    assert notes.ranking.results[0].heard == "(too short)"
    without = ImageAnnotationController(collection)
    without.choose_picture(collection.pictures[0].id)
    assert without.missing() == [] and all(r.heard == "" for r in without.ranking.results)


def test_a_ranking_sends_thumbnails_of_pictures_alone(collection):
    search = ImageSearchController(collection, toy.clips(), num_best=3)
    search.recorder.choose_clip("clip-green")
    content, thumbnails = search.ranking.message()
    assert len(thumbnails) == len(content["items"]) and all(data[:2] == b"\xff\xd8" for data in thumbnails)
    scores = [match.score for match in search.collection.prompter.prompt(*search._sound[:2], num_best=99).best]
    assert content["items"][0]["place"] == 1 + (scores.count(scores[0]) - 1) / 2 > 1  # tied with others
    assert content["selected"] == content["items"][0]["id"]
    assert RankingController().message() == ({"type": "ranking", "items": [], "sentence": "", "selected": ""}, [])


def test_the_worst_mistakes_are_those_with_the_worst_places():
    scores = torch.tensor([[3.0, 1, 2, 0], [9, 5, 7, 6], [1, 1, 1, 1], [8, 0, 0, 7]])
    found = worst(scores, 9)
    assert [(m.query, m.rank, m.first, m.right, m.margin) for m in found] == [(1, 4, 0, 1, 4.0), (3, 2, 0, 3, 1.0)]
    assert worst(scores, 1) == found[:1]
    several = worst(scores, 9, [[1, 2], [1, 2], [0], [3]])
    assert [(m.query, m.right) for m in several] == [(1, 2), (0, 2), (3, 3)]


def test_votes_of_words_add_up_to_the_difference_of_the_scores(collection):
    row, wrong, right = 2, 7, 9
    caption = collection.audio_maps[row]
    maps = [collection.prompter.image_map(collection.pictures[c].id) for c in (wrong, right)]
    votes = word_votes(*maps, caption, collection.captions[row].words, Clock(0.04))
    score = lambda one: similarity.score_matrix(one[None], caption[None], torch.tensor([caption.shape[1]])).item()
    assert sum(vote for _, vote in votes) == pytest.approx(score(maps[0]) - score(maps[1]), abs=1e-5)
    assert [text for text, _ in votes] == [*(w.text for w in collection.captions[row].words), "pauses"]
    for (text, vote), word in zip(votes, collection.captions[row].words, strict=False):
        inside = [t for t in range(caption.shape[1]) if word.start <= (t + 0.5) * 0.04 < word.end]
        best = [float((one.flatten(1).T @ caption[:, inside]).amax(0).sum()) for one in maps]
        assert vote == pytest.approx((best[0] - best[1]) / caption.shape[1], abs=1e-6), text


def test_the_report_has_every_figure_with_its_chance(collection):
    figures = {found.name: found for found in report(collection.scores, collection.right, seed=1)}
    assert list(figures) == ["R@1", "R@5", "R@10", "mAP", "median rank"]
    assert figures["R@5"].chance == pytest.approx(5 / 12) and figures["median rank"].chance == 6.5
    assert all(found.low <= found.value <= found.high for found in figures.values())
    constant = report(torch.zeros(12, 12))
    assert all(found.value == pytest.approx(found.chance) for found in constant)
    text = table({"speech to image": constant})
    assert text.startswith("speech to image\n  R@1") and "chance 0.083" in text and "chance 6.5" in text
    assert recall_plot({"one": constant, "two": constant}).axes[0].get_ylabel()


def test_a_mistake_is_drawn_with_its_words(collection):
    scores = collection.scores.clone()
    scores[3, 3] = scores.min() - 1
    broken = Collection(
        collection.pictures, collection.captions, scores, collection.right, collection.audio_maps, collection.prompter
    )
    (mistake,) = worst(scores, 1)
    assert mistake.query == 3
    plot = mistake_plot(broken, mistake)
    words = [label.get_text() for label in plot.axes[2].get_yticklabels()]
    assert words == [*(word.text for word in collection.captions[3].words), "pauses"]
    assert plot.axes[1].get_title() == "true picture, place 12"
