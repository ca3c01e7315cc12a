"""The study of single words: what its batches hold, how it judges, and a run on the small data set."""

import dataclasses

import pytest
import tiny_stamps
import torch
from tiny_batches import check_contents, make, same
from tiny_training import TinyImages

from vgs_lib import retrieval
from vgs_lib.batches.scene_batches import SceneData
from vgs_lib.batches.word_batches import WordBatches, word_trial
from vgs_lib.data.loading import collate
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.single_stamps import SingleStamps
from vgs_lib.data.stamps import Stamps
from vgs_lib.encoders import DAVEnet
from vgs_lib.errors import DataError, TrainingError
from vgs_lib.model import DualEncoder
from vgs_lib.seeds import seeded
from vgs_lib.studies.history import LABELS
from vgs_lib.studies.study import FIRST_WORDS, recalls
from vgs_lib.studies.word_study import WordStudy
from vgs_lib.widgets.training_controller import TrainingController

DATA = SceneData(num_scenes=8, batch_size=4, takes=2)


def word_batches(home, data=DATA) -> WordBatches:
    with seeded(0, "model"):
        model = DualEncoder(TinyImages(), DAVEnet(width=1 / 32, dim=8))
    batches = WordBatches(model.eval(), Scenes(Stamps.open(home), "train", seed=1, size=32), data)
    list(batches.fill())
    return batches


def test_word_batches_hold_single_things_and_their_names(home):
    batches = word_batches(home)
    for step in range(4):
        check_contents(batches, step)
        for _, index in batches.tellings(step):
            (concept, spoken), *others = batches.scenes[index].concepts
            assert spoken and not others and batches.scenes[index].index == 4 * index
            names = [word.text for word in batches.scenes[index].tell(0).words if word.concept]
            assert names == [concept.text]


def test_each_thing_comes_once_before_one_comes_again_told_anew(home):
    batches = word_batches(home)
    for epoch in range(3):
        told = [telling for step in (0, 1) for telling in batches.tellings(2 * epoch + step)]
        assert sorted(index for _, index in told) == list(range(8))
        assert {take for take, _ in told} == {epoch % 2}
    assert len(batches.pictures) == 8 and len(batches.speech) == 16 and len(batches.words) == 0


def test_word_batches_never_share_a_bank_with_those_of_all_scenes(home):
    words, scenes = word_batches(home), make(home, dataclasses.replace(DATA, phases=()), fill=False)
    assert {words.pictures.folder, words.speech.folder}.isdisjoint({scenes.pictures.folder, scenes.speech.folder})
    assert same(words[1], word_batches(home)[1])
    with pytest.raises(TrainingError, match="smaller batch"):
        word_batches(home, dataclasses.replace(DATA, batch_size=9))


def test_a_trial_is_of_other_scenes_and_no_name_comes_twice(home, monkeypatch):
    voices = (*tiny_stamps.VOICES, dataclasses.replace(tiny_stamps.TEST, split="validation"))
    tiny_stamps.use_voices(monkeypatch, voices)
    scenes = Scenes(Stamps.open(home), "validation", size=32)
    trial = word_trial(scenes, 8)
    assert torch.equal(trial.right, torch.eye(8, dtype=torch.bool))
    names = [SingleStamps(scenes)[i].concepts[0][0].key for i in range(8)]
    assert sorted(names) == list(tiny_stamps.NAMES)
    assert len(trial.pictures) == len(trial.captions) == 8
    first = scenes[4]
    assert (trial.pictures[1] == first.picture).all() and (trial.captions[1].numpy() == first.waveform).all()
    assert {scene.caption.speaker for scene in (scenes[0], scenes[4])} == {"tiny-flite"}


def test_recalls_are_those_of_the_score_matrix():
    with seeded(0, "model"):
        model = DualEncoder(TinyImages(dropout=0.0), DAVEnet(width=1 / 32, dim=8)).eval()
    generator = torch.Generator().manual_seed(1)
    pictures = [torch.rand(3, 16, 16, generator=generator) for _ in range(12)]
    audio = [torch.randn(40, 20 + 7 * i, generator=generator) for i in range(12)]
    right = torch.eye(12, dtype=torch.bool)
    right[3, 4] = right[4, 3] = True
    batch = collate(pictures, audio, pad_value=-80.0)
    found = recalls(model, [batch.part(index, 4) for index in range(4)], right)
    with torch.no_grad():
        image = model.embed_image(torch.stack(pictures))
        scores = torch.empty(12, 12)
        for j, one in enumerate(audio):
            maps, lengths = model.embed_audio(one[None], torch.tensor([one.shape[1]]))
            scores[:, j] = model.score(image, maps, lengths)[:, 0]
    for k in (1, 10):
        best = scores.topk(k, dim=1).indices
        share = sum(bool(right[i, best[i]].any()) for i in range(12)) / 12
        assert found[f"image_to_speech_r{k}"] == pytest.approx(share)
        assert found[f"speech_to_image_r{k}"] == pytest.approx(retrieval.recall_at_k(scores.T, k, right.T))
    assert set(found) <= set(LABELS)


def test_categories_choose_the_things(home):
    stamps = Stamps.open(home)
    assert WordStudy(stamps).names == list(tiny_stamps.NAMES)
    assert WordStudy(stamps, categories=["food", "vehicles"]).names == ["apple", "bus", "car", "pear"]
    with pytest.raises(DataError, match="categories: found stars, expected some of animals, food, vehicles"):
        WordStudy(stamps, categories=("food", "stars"))


def test_the_recipe_of_first_words_is_what_the_study_offers_first():
    options = WordStudy.options
    assert FIRST_WORDS.image in options["image"].values() and FIRST_WORDS.audio in options["audio"].values()
    assert FIRST_WORDS.loss in options["loss"].values() and FIRST_WORDS.kind in options["similarity"].values()


def test_a_run_on_the_small_data_set(home, tmp_path, monkeypatch):
    """Real frozen picture encoder, DAVEnet, two steps; the second run takes the features that are there."""
    voices = (*tiny_stamps.VOICES, dataclasses.replace(tiny_stamps.TEST, split="validation"))
    tiny_stamps.use_voices(monkeypatch, voices)
    data = dataclasses.replace(FIRST_WORDS.data, num_scenes=8, batch_size=4)
    fit = dataclasses.replace(FIRST_WORDS.fit, steps=2, warmup_steps=0, evaluate_every=1, device="cpu")
    study = WordStudy(Stamps.open(home), num_validation=8, base=dataclasses.replace(FIRST_WORDS, data=data, fit=fit))
    control = TrainingController(study, tmp_path / "runs")
    seen = []
    control.on_change = lambda: seen.append(dict(control.progress))
    run = control.train(name="one", audio="DAVEnet, from scratch")
    assert run.finished and run.chance["speech_to_image_r1"] == 1 / 8 and run.chance["speech_to_image_r10"] == 1.0
    assert run.curve("image_to_speech_r10")[1] == [1.0, 1.0]
    assert {"pictures", "speech", "training"} <= {progress.get("name") for progress in seen}
    filled = [p.stat().st_mtime_ns for p in sorted((tmp_path / "banks").rglob("*.npy"))]
    control.train(name="two", audio="DAVEnet, from scratch", similarity="SISA")
    assert [p.stat().st_mtime_ns for p in sorted((tmp_path / "banks").rglob("*.npy"))] == filled
