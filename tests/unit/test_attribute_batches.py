"""Batches and trials of described things: labels, what is true of what, fair trials, figures against plain loops."""

import dataclasses
from dataclasses import replace

import pytest
import tiny_stamps
import torch
from test_attribute_scenes import scenes
from tiny_batches import same
from tiny_stamps import NAMES, TEST, TRAIN
from tiny_training import SETTINGS, TinyImages

from vgs_lib.batches.attribute_batches import AttributeBatches, AttributeHeldOut, true_of
from vgs_lib.batches.held_out import maps_of
from vgs_lib.batches.scene_batches import SceneData
from vgs_lib.encoders import DAVEnet
from vgs_lib.errors import DataError, TrainingError
from vgs_lib.model import DualEncoder
from vgs_lib.retrieval import WAYS
from vgs_lib.seeds import seeded
from vgs_lib.studies import attribute_study
from vgs_lib.studies.attribute_study import DESCRIBED_THINGS, AttributeStudy, attribute_figures, class_figures
from vgs_lib.training import EvaluationEvent, fit

DATA = SceneData(num_scenes=24, batch_size=6, seed=3, takes=2, word_takes=8, phases=((3, 1),), people=("fr",))


def tiny_model() -> DualEncoder:
    with seeded(0, "model"):
        return DualEncoder(TinyImages(), DAVEnet(width=1 / 32, dim=8)).eval()


@pytest.fixture
def batches(described) -> AttributeBatches:
    found = AttributeBatches(tiny_model(), scenes(described, size=32), DATA)
    list(found.fill())
    return found


def test_every_scene_comes_once_an_epoch_in_each_telling(batches):
    for epoch in range(4):
        told = [telling for step in range(4) for telling in batches.tellings(4 * epoch + step)]
        assert sorted(index for _, index in told) == list(range(24)) and {take for take, _ in told} == {epoch % 2}
    assert not batches.words.total and not batches.data.people, "one bank of speech, synthetic voices alone"


def test_only_the_scenes_that_are_used_come(described):
    few = AttributeBatches(tiny_model(), scenes(described, size=32), replace(DATA, used=12))
    assert {index for step in range(9) for _, index in few.tellings(step)} == set(range(12))


def test_a_batch_is_a_function_of_its_step_and_holds_its_scenes(batches, described):
    fresh = AttributeBatches(tiny_model(), scenes(described, size=32), DATA)
    for step in (5, 0, 3):
        batch = batches[step]
        assert same(batch, fresh[step])
        assert torch.equal(batch.labels, fresh[step].labels)
        for row, (take, index) in enumerate(batches.tellings(step)):
            picture = torch.from_numpy(batches.scenes[index].picture).permute(2, 0, 1)[None].float() / 255
            torch.testing.assert_close(batch.image[0][row], batches.image_encoder.features(picture)[0][0].half())
            features, lengths = batches.audio_encoder.front_end([batches.told(take, index)])
            assert batch.audio_lengths[row] == lengths[0]
            torch.testing.assert_close(batch.audio[row, :, : lengths[0]], features[0].half(), atol=0.05, rtol=1e-3)


def test_labels_are_classes_and_true_captions_are_no_impostors(described):
    data = replace(DATA, num_scenes=200, batch_size=100)
    batches = AttributeBatches(tiny_model(), scenes(described, size=32), data)
    chosen = [batches.scenes[index] for _, index in batches.tellings(0)]
    second = 0
    expected = torch.zeros(100, 100, dtype=torch.bool)
    for i, shown in enumerate(chosen):
        for j, told in enumerate(chosen):
            expected[i, j] = any(description == told.description for _, description in shown.things)
            second += bool(expected[i, j]) and shown.description != told.description
    assert torch.equal(true_of(chosen), expected)
    assert second > 5, "captions that are true of a second thing"
    # ``fill`` is not needed for what a batch says of its pairs.
    batches._picture = lambda index: (torch.zeros(1, 2, 2),)
    batches._heard = lambda take, index: torch.zeros(40, 4)
    batch = batches[0]
    assert torch.equal(batch.same_image, expected & ~torch.eye(100, dtype=torch.bool))
    for i, label in enumerate(batch.labels.tolist()):
        assert batches.classes[chosen[i].description] == label
    assert sorted(batches.classes.values()) == list(range(len(batches.scenes.design.classes["train"])))


def test_places_and_things_make_other_banks(described):
    one = AttributeBatches(tiny_model(), scenes(described, size=32), DATA)
    for options in ({"places": True}, {"nouns": NAMES[:7]}, {"seed": 1}):
        other = AttributeBatches(tiny_model(), scenes(described, **{"size": 32, **options}), DATA)
        assert {one.pictures.folder, one.speech.folder}.isdisjoint({other.pictures.folder, other.speech.folder})
    assert len(AttributeBatches(tiny_model(), scenes(described, places=True), DATA).classes) == 2 * len(one.classes)


def test_too_few_scenes_for_a_batch_are_refused(described):
    with pytest.raises(TrainingError, match="batch_size"):
        AttributeBatches(tiny_model(), scenes(described, size=32), replace(DATA, batch_size=25))


@pytest.mark.parametrize("places", [False, True])
def test_a_trial_asks_the_same_of_seen_and_unseen_pairs(described, places):
    shapes = []
    for split in ("test", "test-unseen"):
        of = scenes(described, split, places=places)
        held_out = AttributeHeldOut(of, 4)
        trial = held_out.trial()
        count = 4 * of.num_classes
        expected = [[of[i].description == of[j].description for j in range(count)] for i in range(count)]
        assert trial.right.tolist() == expected
        # Nothing else is true: no caption describes the second thing of another picture.
        truth = true_of([of[i] for i in range(count)])
        assert torch.equal(truth, trial.right)
        here = [word for word in trial.words if word[0] == 3]
        assert [(i, j, start) for i, j, start, *_ in here] == [(3, 3, w.start) for w in of[3].words if w.kind]
        assert all(torch.equal(mask, torch.from_numpy(of[3].objects[0].mask)) for *_, mask in here)
        shapes.append((trial.right.shape, trial.right.sum(dim=1).tolist()))
        assert torch.equal(held_out.same_class, trial.right)
        kinds = [held_out.tested(kind) for kind in ("colour", "size")]
        assert bool((kinds[0] ^ kinds[1]).all())
    assert shapes[0] == shapes[1]


def test_no_trial_of_training_scenes_or_of_none(described):
    with pytest.raises(DataError, match="found 'train', expected a held-out split"):
        AttributeHeldOut(scenes(described), 4)
    with pytest.raises(DataError, match="per_class: found 0"):
        AttributeHeldOut(scenes(described, "test"), 0)


def naive_figures(scores, right, asks) -> dict:
    """Recall at 1 and average precision at 50 of the rows that ask; no ties."""
    hits, precisions = [], []
    for query in asks:
        order = sorted(range(scores.shape[1]), key=lambda c: -float(scores[query, c]))
        hits.append(bool(right[query, order[0]]))
        found, total = 0, 0.0
        for place, candidate in enumerate(order[:50], start=1):
            if right[query, candidate]:
                found += 1
                total += found / place
        precisions.append(total / min(50, int(right[query].sum())))
    return {"r1": sum(hits) / len(hits), "map50": sum(precisions) / len(precisions)}


def test_figures_are_those_of_plain_loops():
    scores = torch.randn(90, 90, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    classes = torch.arange(90) % 15
    right = classes[:, None] == classes[None, :]
    scores += right * 0.8
    asks = classes < 6
    for queries in (None, asks):
        found = class_figures(scores, right, queries=queries)
        rows = range(90) if queries is None else asks.nonzero().flatten().tolist()
        for way, s, r in (("speech_to_image", scores.T, right.T), ("image_to_speech", scores, right)):
            assert found[way]["classes"] == [q % 15 for q in rows]
            assert found[way]["ranks"] == [1 + int((s[q] > s[q][r[q]].max()).sum()) for q in rows]
            for name, value in naive_figures(s, r, rows).items():
                assert found[way][name] == pytest.approx(value)
                low, high = found[way][f"{name}_ci"]
                assert low <= value <= high and high - low > 0.01
            assert found[way]["r1_chance"] == pytest.approx(6 / 90)
            assert 0.02 < found[way]["map50_chance"] < 0.1


@pytest.fixture
def study(described, monkeypatch) -> AttributeStudy:
    """A study whose validation is told by the voice of the test, and whose recipes all make the tiny model."""
    tiny_stamps.use_voices(monkeypatch, (TRAIN, replace(TEST, split="validation")))
    monkeypatch.setattr(attribute_study, "build_model", lambda plan: tiny_model())
    return AttributeStudy(described, nouns=NAMES, size=32, per_class=2)


def test_a_recipe_is_trained_and_judged_on_seen_and_unseen_pairs(study):
    settings = dataclasses.replace(SETTINGS, steps=4, evaluate_every=4, checkpoint_every=4, keep_best=None)
    plan = replace(DESCRIBED_THINGS, data=DATA, fit=settings)
    prepared = study.prepare(plan)
    filled = {filling.name for filling in prepared.batches.fill()}
    assert filled == {"pictures", "speech", "held-out-pictures", "held-out-speech"}
    events = list(fit(prepared.model, prepared.batches, plan.loss, plan.fit, evaluate=prepared.evaluate))
    (figures,) = [event.figures for event in events if isinstance(event, EvaluationEvent)][-1:]
    names = {f"{prefix}{way}_r{k}" for prefix in ("", "unseen_") for way in WAYS for k in (1, 10)}
    assert set(figures) >= names and set(prepared.chance) == names
    for name in names:
        assert prepared.chance[name] == prepared.chance[f"unseen_{name.removeprefix('unseen_')}"]
    held_out = study.validation["unseen_"]
    found = attribute_figures(maps_of(prepared.model, held_out, held_out.same_class), held_out)
    assert set(found) == {"all", "colour", "size"}
    assert found["all"]["speech_to_image"]["r1"] == pytest.approx(figures["unseen_speech_to_image_r1"], abs=1e-6)
    parts = [(found[kind]["image_to_speech"]["r1"], int(held_out.tested(kind).sum())) for kind in ("colour", "size")]
    together = sum(share * count for share, count in parts) / len(held_out)
    assert found["all"]["image_to_speech"]["r1"] == pytest.approx(together)
