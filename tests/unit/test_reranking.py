"""Re-ranking by attention between picture and speech: plain loops, padding, order, and what only attention can tell."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from vgs_lib import retrieval, similarity
from vgs_lib.batches.held_out import Maps
from vgs_lib.encoders.cross_attention import Reranker
from vgs_lib.errors import TrainingError
from vgs_lib.search.reranking import figures, pair_scores, rerank
from vgs_lib.search.reranking_training import RerankSettings, fit_reranker
from vgs_lib.search.swapped_pairs import swapped_pairs

WAYS = ("speech_to_image", "image_to_speech")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(dim: int = 6, *, untrained: bool = False, **options) -> Reranker:
    """A re-ranker in evaluation mode whose last layer says something, unless ``untrained``."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = Reranker(dim, **{"width": 8, "heads": 2, "sharpness": 2.0, "weight": 10.0, **options}).eval()
        if not untrained:
            nn.init.normal_(found.head[-1].weight)
    return found


def maps(count: int = 7, *, dim: int = 6, seed: int = 0) -> Maps:
    g = seeded(seed)
    image, audio = torch.randn(count, dim, 2, 3, generator=g), torch.randn(count, dim, 5, generator=g)
    lengths = torch.randint(1, 6, (count,), generator=g)
    return Maps(
        image, audio, lengths, similarity.score_matrix(image, audio, lengths), torch.eye(count, dtype=torch.bool)
    )


def by_hand(net: Reranker, image, audio, length) -> torch.Tensor:
    """One pair, position by position and frame by frame; the attention written out."""
    rows, columns = image.shape[1:]
    middle = lambda i, n: (i + 0.5) / n * 2 - 1
    cells = [(r, c) for r in range(rows) for c in range(columns)]
    places = [
        net.project(net.norms[0](image[:, r, c])) + net.place_in(torch.tensor([middle(r, rows), middle(c, columns)]))
        for r, c in cells
    ]
    frames = [net.project(net.norms[1](audio[:, t])) for t in range(length)]
    bias = 2 * torch.tensor([[float(image[:, r, c] @ audio[:, t]) for t in range(length)] for r, c in cells])
    for layer in net.layers:
        seen, heard = [layer.norms[0](x) for x in places], [layer.norms[1](x) for x in frames]
        read_by_places = [attend(layer.reads[0], x, heard, bias[n]) for n, x in enumerate(seen)]
        read_by_frames = [attend(layer.reads[1], x, seen, bias[:, t]) for t, x in enumerate(heard)]
        taken = lambda net, xs, old, read: [
            x + net(torch.cat([y, z, y * z])) for x, y, z in zip(xs, old, read, strict=True)
        ]
        places, frames = (
            taken(layer.nets[0], places, seen, read_by_places),
            taken(layer.nets[1], frames, heard, read_by_frames),
        )
    pooled = [sum(frames) / length, sum(places) / len(places), torch.stack(places).max(dim=0).values]
    return net.head(torch.cat(pooled))[0]


def attend(attention: nn.MultiheadAttention, query, keys, bias) -> torch.Tensor:
    width, heads = attention.embed_dim, attention.num_heads
    (wq, wk, wv), (bq, bk, bv) = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
    found = []
    for h in range(heads):
        part = slice(h * width // heads, (h + 1) * width // heads)
        logits = torch.stack([(wq @ query + bq)[part] @ (wk @ k + bk)[part] / (width / heads) ** 0.5 for k in keys])
        logits = logits + bias
        found.append(sum(w * (wv @ k + bv)[part] for w, k in zip(logits.softmax(0), keys, strict=True)))
    return attention.out_proj(torch.cat(found))


@torch.no_grad()
def test_a_pair_against_plain_loops():
    net, m = made(), maps()
    found = net(m.image, m.audio, m.lengths)
    expected = torch.stack([by_hand(net, *pair) for pair in zip(m.image, m.audio, m.lengths.tolist(), strict=True)])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert found.std() > 0.05


@torch.no_grad()
def test_padding_is_not_read():
    net, m = made(), maps()
    whole = net(m.image, m.audio, m.lengths)
    garbage = torch.cat([m.audio, torch.full((7, 6, 3), torch.nan)], dim=-1)
    for i, length in enumerate(m.lengths.tolist()):
        garbage[i, :, length:] = torch.nan
        alone = net(m.image[i : i + 1], m.audio[i : i + 1, :, :length], m.lengths[i : i + 1])
        torch.testing.assert_close(alone[0], whole[i])
    torch.testing.assert_close(net(m.image, garbage, m.lengths), whole)


def test_gradients_of_padding_are_zero_in_training():
    net, m = made(dropout=0.0).train(), maps()
    audio = m.audio.clone().requires_grad_(True)
    net(m.image, audio, m.lengths).sum().backward()
    for row, length in zip(audio.grad, m.lengths.tolist(), strict=True):
        assert not row[:, length:].any() and row[:, :length].any()


@pytest.mark.parametrize("way", WAYS)
@torch.no_grad()
def test_only_the_order_of_the_k_best_changes(way):
    net, m = made(), maps(9)
    net.head[-1].weight *= 30  # so that it outvotes the old score
    before, after = rerank(net, m, k=4, way=way)
    assert torch.equal(before, m.scores.T if way == WAYS[0] else m.scores)
    for query in range(9):
        old, new = (x[query].argsort(descending=True).tolist() for x in (before, after))
        assert set(old[:4]) == set(new[:4]) and old[4:] == new[4:]
        pairs = [(c, query) if way == WAYS[0] else (query, c) for c in old[:4]]
        told = [
            float(net(m.image[p : p + 1], m.audio[c : c + 1], m.lengths[c : c + 1])) + 10 * float(m.scores[p, c])
            for p, c in pairs
        ]
        assert new[:4] == [c for _, c in sorted(zip(told, old[:4], strict=True), reverse=True)]
    assert any(not torch.equal(a.argsort(), b.argsort()) for a, b in zip(before, after, strict=True))


def test_recall_at_k_and_beyond_stays_and_all_candidates_can_be_ordered():
    net, m = made(), maps(9)
    for way in WAYS:
        before, after = rerank(net, m, k=4, way=way)
        for k in (4, 5, 8):
            assert retrieval.recall_at_k(before, k) == retrieval.recall_at_k(after, k)
        everything = rerank(net, m, k=50, way=way)[1]
        assert everything.isfinite().all() and len(everything[0].unique()) == 9


def test_an_untrained_one_keeps_the_order():
    net, m = made(untrained=True), maps(9)
    for way in WAYS:
        before, after = rerank(net, m, k=5, way=way)
        assert torch.equal(before.argsort(dim=1), after.argsort(dim=1))
    found = figures(net, m, k=5)
    assert all(x["r1_gain"] == 0 and x["r1_gain_ci"] == (0, 0) for x in found.values())


def test_what_is_tied_before_training_stays_tied():
    m = maps(6)
    flat = replace(m, scores=torch.zeros(6, 6))
    found = figures(made(untrained=True), flat, k=6)
    assert found[WAYS[0]]["r1_after"] == pytest.approx(1 / 6)


def test_figures_count_queries_before_and_after():
    m = maps(8, seed=3)
    net = made()
    found = figures(net, m, k=3, ks=(1, 3))
    for way in WAYS:
        before, after = (x.argmax(dim=1) for x in rerank(net, m, k=3, way=way))
        for name, best in (("before", before), ("after", after)):
            assert found[way][f"r1_{name}"] == sum(int(b) == i for i, b in enumerate(best)) / 8
        assert found[way]["r1_gain"] == pytest.approx(found[way]["r1_after"] - found[way]["r1_before"])
        assert found[way]["r3_gain"] == 0


def bound(count: int, seed: int) -> Maps:
    return swapped_pairs(count, seed=seed)


def test_swapped_pairs_differ_only_in_what_stands_together():
    m = bound(12, 0)
    for i in range(12):
        colour, thing = m.audio[i, :, 0], m.audio[i, :, 1]
        at = lambda picture, vector: {int(p) for p in (m.image[picture].flatten(1).T @ vector).nonzero()}
        for picture in range(12):
            both = bool(at(picture, colour) & at(picture, thing))
            assert m.right[picture, i] == both
        other = i + 1 - 2 * (i % 2)
        assert at(other, colour) and at(other, thing) and not m.right[other, i] and m.right[i, i]
        assert m.scores[other, i] == m.scores[i, i] == 1
    with pytest.raises(ValueError, match="even number"):
        swapped_pairs(3, seed=0)


def test_it_learns_what_the_dual_encoders_score_cannot_decide():
    train, validation, test = bound(160, 0), bound(40, 1), bound(40, 2)
    pairs = torch.arange(40)
    swapped = pairs + 1 - 2 * (pairs % 2)
    assert torch.equal(test.scores[pairs, pairs], test.scores[swapped, pairs]), "the score cannot tell"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Reranker(16, width=32, heads=4, weight=1.0, dropout=0.0)
    settings = RerankSettings(steps=150, queries=32, candidates=4, pool=8, learning_rate=3e-3, evaluate_every=50)
    events = list(fit_reranker(net, train, [validation], settings))
    assert [event.step for event in events] == [0, 50, 100, 150] and events[-1].loss < 0.4
    with torch.no_grad():
        true, false = (pair_scores(net, test, other, pairs) for other in (pairs, swapped))
    assert (true > false).float().mean() > 0.9
    found = figures(net, test, k=10)[WAYS[0]]
    assert found["r1_gain"] > 0.25 and found["r1_gain_ci"][0] > 0


def test_the_best_evaluation_is_kept_and_a_run_repeats():
    train, validation = bound(40, 0), bound(20, 1)
    settings = RerankSettings(steps=12, queries=8, candidates=4, evaluate_every=4, learning_rate=1e-2)
    ended = []
    for _ in range(2):
        net = made(16, untrained=True, dropout=0.1)
        events = list(fit_reranker(net, train, [validation], settings))
        best = max(event.recall_at_1 for event in events)
        assert (
            next(event.step for event in events if event.recall_at_1 == best)
            == [event.step for event in events if event.is_best][-1]
        )
        again = [
            retrieval.recall_at_k(rerank(net, validation, k=10, way=w)[1], 1, r)
            for w, r in zip(WAYS, (validation.right.T, validation.right), strict=True)
        ]
        assert sum(again) / 2 == pytest.approx(best) and not net.training
        ended.append(net.state_dict())
    assert all(torch.equal(ended[0][name], ended[1][name]) for name in ended[0])


def test_training_never_takes_a_true_caption_for_an_impostor(monkeypatch):
    train, seen = bound(40, 0), []
    import vgs_lib.search.reranking_training as module

    def noted(net, maps, pictures, captions):
        seen.append(maps.right[pictures, captions])
        return pair_scores(net, maps, pictures, captions)

    monkeypatch.setattr(module, "pair_scores", noted)  # the judge calls that of another module
    list(fit_reranker(made(16, untrained=True), train, [train], RerankSettings(steps=5, queries=8, evaluate_every=9)))
    assert len(seen) == 10 and all(x[:, 0].all() and not x[:, 1:].any() for x in seen)
    assert train.right.sum() > len(train.right), "some captions are true of two pictures"


def test_wrong_input():
    net, m = made(), maps()
    with pytest.raises(ValueError, match="expected D 6, found 4"):
        net(m.image[:, :4], m.audio[:, :4], m.lengths)
    with pytest.raises(ValueError, match="lengths"):
        net(m.image, m.audio, torch.zeros(7, dtype=torch.long))
    for options in ({"k": 0, "way": WAYS[0]}, {"k": 3, "way": "sideways"}):
        with pytest.raises(ValueError, match="expected"):
            rerank(net, m, **options)
    with pytest.raises(TrainingError, match="a query has 6 impostors"):
        list(fit_reranker(net, m, [m], RerankSettings(candidates=9)))


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"queries": 0}, {"candidates": 1}, {"evaluate_every": 0}, {"k": 0}, {"pool": 4}]
)
def test_settings_that_cannot_be_meant_are_refused(wrong):
    with pytest.raises(TrainingError, match=f"{next(iter(wrong))}: found"):
        RerankSettings(**wrong)
