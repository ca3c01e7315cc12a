"""The objective on embeddings against the functions on vectors pooled one by one; class masks; labels of batches."""

import dataclasses
import json
import math

import pytest
import torch
from tiny_training import DIM, TinyBatches, losses_of, make_model, start

from vgs_lib.data.loading import same_class
from vgs_lib.embedding_losses import cmpc, cmpm, dscmr
from vgs_lib.errors import TrainingError
from vgs_lib.losses import masked_matching
from vgs_lib.recipes import Part, Recipe
from vgs_lib.training import FitSettings, score_loss
from vgs_lib.training.embedding_objective import HEADS, EmbeddingLoss, loss_from_dict, pool_audio, pool_image


def prepared(loss, **options):
    model = make_model(dropout=0.0, **options).eval()
    model.loss_head = loss.head(DIM, 3)
    return model, TinyBatches()[0]


def pooled_one_by_one(model, batch):
    """The mean of each map over its positions, and over its valid frames, in loops."""
    image_maps, audio_maps, lengths = (x.detach() for x in model.embed_batch(batch))
    images = [sum(one[:, h, w] for h in range(4) for w in range(4)) / 16 for one in image_maps]
    audio = [sum(one[:, t] for t in range(n)) / n for one, n in zip(audio_maps, lengths.tolist(), strict=True)]
    return torch.stack(images), torch.stack(audio)


def value_of(loss, model, batch):
    value, figures = loss(model, batch, 0, torch.Generator())
    return value.item(), figures


def test_losses_are_those_of_pooled_embeddings():
    loss = EmbeddingLoss("cmpm_cmpc", weight=0.5)
    model, batch = prepared(loss)
    images, audio = pooled_one_by_one(model, batch)
    weights = model.loss_head.weights.detach()
    terms = {"cmpm": cmpm(images, audio, batch.labels), "cmpc": cmpc(images, audio, batch.labels, weights)}
    found, figures = value_of(loss, model, batch)
    assert found == pytest.approx(0.5 * float(sum(terms.values())), rel=1e-5)
    assert {name: figures[name] for name in terms} == pytest.approx({n: t.item() for n, t in terms.items()}, rel=1e-5)
    cosines = torch.nn.functional.cosine_similarity(images[:, None], audio[None], dim=2)
    assert figures["image_to_speech_r1"] == (cosines.argmax(1) == torch.arange(4)).float().mean().item()
    assert figures["speech_to_image_r1"] == (cosines.argmax(0) == torch.arange(4)).float().mean().item()
    model, batch = prepared(loss := EmbeddingLoss("dscmr", options={"invariance": 2.0}))
    expected = dscmr(images, audio, batch.labels, model.loss_head.weights, invariance=2.0).item()
    assert value_of(loss, model, batch)[0] == pytest.approx(expected, rel=1e-5)


def test_padding_changes_nothing():
    maps, lengths = torch.randn(2, DIM, 5), torch.tensor([5, 2])
    filled = maps.clone()
    filled[1, :, 2:] = torch.nan
    torch.testing.assert_close(pool_audio(filled, lengths), torch.stack([maps[0].mean(1), maps[1, :, :2].mean(1)]))
    assert torch.equal(pool_audio(maps[:, :, :1], torch.tensor([1, 1])), maps[:, :, 0])  # an encoder that pools
    assert torch.equal(pool_image(maps[:, :, :1, None]), maps[:, :, 0])
    for name in HEADS:
        model, batch = prepared(loss := EmbeddingLoss(name))
        longer = dataclasses.replace(batch, audio=torch.nn.functional.pad(batch.audio, (0, 37), value=123.0))
        assert value_of(loss, model, longer)[0] == pytest.approx(value_of(loss, model, batch)[0], rel=1e-5)


def test_a_loss_on_scores_is_added():
    """The sum of both alone; scores and embeddings come from the same maps."""
    alone, scores = EmbeddingLoss("cmpc", weight=0.3), score_loss("all_pairs_hinge", kind="misa")
    both = dataclasses.replace(alone, score=scores)
    model, batch = prepared(alone)
    calls, embed = [], model.embed_batch
    model.embed_batch = lambda batch: (calls.append(1), embed(batch))[1]
    found, figures = value_of(both, model, batch)
    assert len(calls) == 1
    expected, of_scores = value_of(scores, model, batch)
    assert found == pytest.approx(value_of(alone, model, batch)[0] + expected, rel=1e-5)
    assert of_scores.items() <= figures.items() and "cmpc" in figures


@pytest.mark.parametrize("name", list(HEADS))
def test_it_trains_encoders_and_head(name):
    loss = EmbeddingLoss(name)
    model = make_model(dropout=0.0)
    model.loss_head = loss.head(DIM, 3)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}

    class OneBatch:
        def __getitem__(self, step):
            return TinyBatches()[0]

    found = losses_of(start(model, loss=loss, batches=OneBatch(), steps=40, learning_rate=1e-2))
    assert all(math.isfinite(x) for x in found)
    if name != "timam":  # an adversarial game need not go down
        assert found[-1] < 0.8 * found[0]
    changed = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
    wanted = {key for key, p in model.named_parameters() if p.requires_grad and key != "logit_scale"}
    assert wanted - changed == set() and "logit_scale" not in changed


def test_the_loss_is_not_computed_in_reduced_precision():
    loss, seen = EmbeddingLoss("timam"), []
    model = make_model()
    model.loss_head = loss.head(DIM, 3)
    terms = model.loss_head.terms

    def watched(*embeddings):
        seen.extend(x.dtype for x in embeddings)
        found = terms(*embeddings)
        seen.extend(x.dtype for x in found.values())
        return found

    model.loss_head.terms = watched
    losses_of(start(model, loss=loss, steps=1, precision="bf16"))
    assert seen == [torch.float32, torch.float32, torch.int64, *[torch.float32] * 3]


def test_cmpm_needs_no_head():
    model, batch = prepared(loss := EmbeddingLoss("cmpm"))
    with_head = value_of(loss, model, batch)[0]
    model.loss_head = None
    assert value_of(loss, model, batch)[0] == with_head


def test_what_is_missing_is_said():
    model, batch = make_model(), TinyBatches()[0]
    assert model.loss_head is None
    generator = torch.Generator()
    with pytest.raises(
        TrainingError, match="loss 'timam': the model's loss_head is NoneType; give the model Embedding"
    ):
        EmbeddingLoss("timam")(model, batch, 0, generator)
    with pytest.raises(TrainingError, match="loss 'cmpm': the batch has no labels"):
        EmbeddingLoss("cmpm")(model, TinyBatches(same_image=False)[0], 0, generator)
    model.loss_head = EmbeddingLoss("cmpc").head(DIM, 2)
    with pytest.raises(ValueError, match="labels go from 0 to 2, but there are weights for 2 classes"):
        EmbeddingLoss("cmpc")(model, batch, 0, generator)
    with pytest.raises(ValueError, match="name: found 'triplet', expected one of cmpm, cmpc"):
        EmbeddingLoss("triplet")
    for weight in (0.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="weight: found"):
            EmbeddingLoss(weight=weight)
    with pytest.raises(TypeError, match="colour"):
        EmbeddingLoss("timam", options={"colour": 1}).head(DIM, 3)


def test_a_seed_gives_the_head_and_leaves_the_generator_alone():
    torch.manual_seed(4)
    before = torch.get_rng_state()
    one, same, other = (EmbeddingLoss("timam").head(DIM, 3, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["weights"], other["weights"])


@pytest.mark.parametrize(
    "loss",
    [
        EmbeddingLoss("timam", weight=2.0, options={"strength": 0.1}),
        EmbeddingLoss("cmpm", score=score_loss("info_nce", mix_steps=5, coarse=((3, 2),))),
        score_loss("masked_matching", kind="cosine", options={"gamma": 20.0}),
        score_loss("three_anchor_triplet"),
    ],
    ids=lambda loss: loss.name,
)
def test_goes_to_json_and_back(loss):
    fields = json.loads(json.dumps(dataclasses.asdict(loss)))
    assert loss_from_dict(fields) == loss
    assert dataclasses.asdict(loss_from_dict(fields)) == dataclasses.asdict(loss)
    with pytest.raises(TypeError, match="hitherto_unknown"):
        loss_from_dict({**fields, "hitherto_unknown": 1})


def test_masked_matching_leaves_out_pairs_of_one_class():
    """By labels where there are any, and the same picture besides; without either nothing is masked."""
    model, batch = make_model(dropout=0.0, kind="cosine").eval(), TinyBatches()[0]
    loss = score_loss("masked_matching", options={"gamma": 5.0})
    scores = model(batch).detach()
    labels = torch.tensor([1, 0, 0, 2])
    same = torch.tensor([[a == b for b in labels] for a in labels])
    expected = lambda mask: pytest.approx(masked_matching(scores, gamma=5.0, same_image=mask).item(), rel=1e-5)
    by_label = dataclasses.replace(batch, labels=labels, same_image=None)
    assert value_of(loss, model, by_label)[0] == expected(same)
    both = dataclasses.replace(batch, labels=labels)
    assert value_of(loss, model, both)[0] == expected(same | batch.same_image)
    pictures = dataclasses.replace(batch, labels=None)
    assert value_of(loss, model, pictures)[0] == expected(batch.same_image)
    neither = dataclasses.replace(pictures, same_image=None)
    assert value_of(loss, model, neither)[0] == expected(None)
    assert len({round(value_of(loss, model, one)[0], 4) for one in (by_label, both, pictures, neither)}) == 4
    hinge = score_loss("all_pairs_hinge")  # other losses go by same_image alone
    assert value_of(hinge, model, by_label)[0] == value_of(hinge, model, neither)[0]


def test_labels_of_a_batch_follow_it():
    batch = TinyBatches()[0]
    assert batch.labels.tolist() == [0, 2, 1, 0] and batch.labels.dtype == torch.int64
    assert [batch.part(index, 2).labels.tolist() for index in range(2)] == [[0, 2], [1, 0]]
    assert batch.part(0, 1).labels is batch.labels
    assert batch.to("cpu").map(lambda x: x + 1).labels.tolist() == [1, 3, 2, 1]
    assert TinyBatches(same_image=False)[0].to("cpu").part(0, 2).labels is None
    gathered = torch.cat([batch.part(index, 2).labels for index in range(2)])
    assert torch.equal(same_class(gathered), batch.same_image)


def test_a_recipe_keeps_it_and_reads_those_of_earlier_versions():
    """What was stored before optimizers could be chosen has neither their settings nor those of their schedules."""
    loss = EmbeddingLoss("timam", weight=0.5, score=score_loss("shn"), options={"strength": 0.2})
    fit = FitSettings(optimizer="sgd", momentum=0.8, schedule="step", decay_every=7, decay_factor=2.0)
    one = Recipe("one", Part("timm"), Part("davenet"), loss=loss, fit=fit)
    fields = json.loads(json.dumps(one.to_dict()))
    assert Recipe.from_dict(fields) == one
    new = ("optimizer", "momentum", "decay_every", "decay_factor", "lowest_learning_rate", "cycle_steps")
    earlier = {key: value for key, value in FitSettings(steps=9).__dict__.items() if key not in new}
    read = Recipe.from_dict({**fields, "fit": earlier, "loss": dataclasses.asdict(score_loss("shn"))})
    assert read.fit == FitSettings(steps=9) and read.fit.optimizer == "adamw" and read.loss == score_loss("shn")
