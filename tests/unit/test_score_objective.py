"""The objective of training against a naive twin: kinds mixed, maps made coarse, temperature bounded."""

import itertools

import pytest
import torch
from tiny_training import TinyBatches, make_model
from torch import nn

from vgs_lib import losses
from vgs_lib.training import score_loss


def test_score_loss_mixes_and_coarsens():
    model, batch = make_model(dropout=0.0).eval(), TinyBatches()[0]
    image_maps, audio_maps, lengths = (tensor.detach() for tensor in model.embed_batch(batch))
    generator = torch.Generator()
    loss = score_loss("all_pairs_hinge", kind="misa", mix_steps=4, coarse=((2, 2),), options={"margin": 0.5})

    def hinge(maps, share):
        scores = (1 - share) * model.score(maps, audio_maps, lengths, kind="misa") + share * model.score(
            maps, audio_maps, lengths, kind="sisa"
        )
        total = 0.0
        for i, j in itertools.permutations(range(4), 2):
            if not batch.same_image[i, j]:
                total += max(0.0, float(scores[i, j] - scores[i, i]) + 0.5)
                total += max(0.0, float(scores[i, j] - scores[j, j]) + 0.5)
        return total

    coarse = nn.functional.avg_pool2d(image_maps, 2)
    for step, maps, share in (
        (0, coarse, 1.0),
        (1, coarse, 0.75),
        (2, image_maps, 0.5),
        (4, image_maps, 0.0),
    ):
        assert float(loss(model, batch, step, generator)[0].detach()) == pytest.approx(hinge(maps, share), rel=1e-5)
    with pytest.raises(ValueError, match="name: found 'triplet'"):
        score_loss("triplet")


def test_temperature_is_bounded():
    model = make_model()
    model.logit_scale.data.fill_(9.0)
    _, figures = score_loss()(model, TinyBatches()[0], 0, torch.Generator())
    assert figures["logit_scale"] == pytest.approx(100.0)


def test_coarse_phases_follow_one_another_and_end():
    """2 steps over cells of 4 x 4, 3 over cells of 2 x 2, which reach over the edge, then the maps themselves."""
    model, batch = make_model(dropout=0.0).eval(), TinyBatches()[0]
    image_maps, audio_maps, lengths = (tensor.detach() for tensor in model.embed_batch(batch))
    model.embed_batch = lambda batch: (image_maps[..., :3], audio_maps, lengths)  # a grid of 4 x 3
    loss = score_loss("all_pairs_hinge", kind="sima", coarse=((2, 4), (3, 2)), options={"margin": 0.5})

    def cells(factor):
        """Mean vectors of the cells, one by one."""
        mean = lambda y, x: image_maps[:, :, y : y + factor, x : min(3, x + factor)].mean(dim=(2, 3))
        rows = [[mean(y, x) for x in range(0, 3, factor)] for y in range(0, 4, factor)]
        return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)

    plain = score_loss("all_pairs_hinge", kind="sima", options={"margin": 0.5})
    value = lambda loss, step: float(loss(model, batch, step, torch.Generator())[0])
    found = [value(loss, step) for step in (0, 1, 2, 4, 5, 100)]
    expected = []
    for factor in (4, 4, 2, 2, 1, 1):
        model.embed_batch = lambda batch, factor=factor: (cells(factor), audio_maps, lengths)
        expected.append(value(plain, 0))
    assert found == pytest.approx(expected, rel=1e-5)
    assert len({round(x, 4) for x in found}) == 3


def test_shn_reports_both_of_its_terms():
    """harwath2019, Fig. 5: the sampled and the semi-hard term; the sampled one is drawn first."""
    model, batch = make_model(dropout=0.0).eval(), TinyBatches()[0]
    maps = model.embed_batch(batch)
    scores = model.score(*maps, kind="sisa").detach()
    seeded = lambda: torch.Generator().manual_seed(5)
    loss, figures = score_loss("shn", kind="sisa", options={"margin": 0.5})(model, batch, 0, seeded())
    options = {"margin": 0.5, "same_image": batch.same_image}
    assert figures["sampled"] == pytest.approx(float(losses.sampled_triplet(scores, generator=seeded(), **options)))
    assert figures["sampled"] + figures["semi_hard"] == pytest.approx(float(loss.detach()), rel=1e-6)
    assert float(loss.detach()) == pytest.approx(float(losses.shn(scores, generator=seeded(), **options)), rel=1e-6)
    assert figures["semi_hard"] != figures["sampled"]
    assert "sampled" not in score_loss("semi_hard_triplet")(model, batch, 0, seeded())[1]
