"""Vector indexes against a plain product, the two-step search against scoring everything, and its wrong inputs."""

import numpy as np
import pytest
import torch
import toy_tour as toy

from vgs_lib import similarity
from vgs_lib.errors import DataError
from vgs_lib.figures.retrieval import search_plot, search_table
from vgs_lib.search.nearest import Found, PictureSearch, embed_places, measure, pool_places, quality, scored_maps
from vgs_lib.search.vector_index import VectorIndex


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def maps():
    """30 pictures [16, 4, 6] of unit vectors."""
    return torch.nn.functional.normalize(normal(30, 16, 4, 6), dim=1)


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
def test_an_index_that_looks_everywhere_finds_what_sorting_finds(kind):
    vectors, queries = normal(300, 8), normal(5, 8, seed=1)
    index = VectorIndex(vectors, kind=kind, probes=300, breadth=300)
    products, rows = index.search(queries, 7)
    expected, places = (queries @ vectors.T).topk(7)
    assert len(index) == 300 and rows.tolist() == places.tolist()
    assert products == pytest.approx(expected.numpy(), rel=2e-3 if kind != "exact" else 1e-5)  # 16 bits


def test_vectors_of_pictures_are_numbered_row_by_row():
    vectors = normal(70, 3, 8)  # more pictures than are added at once
    for kind in ("exact", "ivf"):
        _, rows = VectorIndex(vectors, kind=kind, probes=99).search(vectors[:, 1], 1)
        plain = (vectors[:, 1] @ vectors.reshape(-1, 8).T).argmax(1)
        assert rows[:, 0].tolist() == plain.tolist()


def test_more_effort_finds_more_and_the_seed_fixes_an_index():
    vectors, queries = normal(2000, 16), normal(40, 16, seed=1)
    best = (queries @ vectors.T).topk(10).indices.numpy()
    index = VectorIndex(vectors, kind="ivf", lists=64, probes=1, seed=3)

    def recall():
        _, rows = index.search(queries, 10)
        return np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(rows, best, strict=True)])

    few = recall()
    index.set_effort(1)
    assert recall() == few
    index.set_effort(32)
    assert few < 0.7 < recall()
    index.set_effort(1000)
    assert recall() > 0.97
    same = VectorIndex(vectors, kind="ivf", lists=64, probes=1, seed=3).search(queries, 10)[1]
    other = VectorIndex(vectors, kind="ivf", lists=64, probes=1, seed=4).search(queries, 10)[1]
    assert (same == index.set_effort(1).search(queries, 10)[1]).all() and (same != other).any()


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_8_bits_take_half_the_memory_of_16_and_change_a_product_by_little(kind):
    vectors, queries = normal(2000, 16), normal(40, 16, seed=1)
    whole = {bits: VectorIndex(vectors, kind=kind, bits=bits, probes=99, breadth=2000) for bits in (16, 8)}
    products = {bits: index.search(queries, 1)[0] for bits, index in whole.items()}
    best = (queries @ vectors.T).amax(dim=1, keepdim=True).numpy()
    errors = {bits: np.abs(found - best).max() for bits, found in products.items()}
    assert errors[16] < 0.01 < errors[8] < 0.3  # a step of 8 bits is about 7 / 255 of each of 16 numbers
    assert (whole[16].num_bytes, whole[8].num_bytes) == (2000 * 16 * 2, 2000 * 16)
    assert VectorIndex(vectors, bits=8).num_bytes == 2000 * 16 * 4  # an exact one keeps all


def test_maps_in_16_bits_are_scored_in_32_and_in_parts(maps):
    caption = normal(16, 9, seed=2)
    many = torch.cat([maps, maps.flip(0) * 0.9, maps * 0.8]).half()  # 90 pictures, more than one part
    scores = similarity.score_matrix(many.float(), caption[None], torch.tensor([9]), kind="misa")[:, 0]
    found = PictureSearch(many, cell=6).exact(caption, num_best=90)
    assert found.ids.tolist() == scores.argsort(descending=True, stable=True).tolist()
    assert found.scores == pytest.approx(scores.sort(descending=True).values.numpy(), rel=1e-6)
    for cell in (2, 6):
        alone = [pool_places(one[None].float(), cell)[0] for one in many]
        assert torch.allclose(pool_places(many, cell), torch.stack(alone), atol=1e-6)
    place = PictureSearch(many, cell=1, kind="ivf", bits=8, probes=99).search(caption, shortlist=90, neighbours=2000)
    assert place.ids.tolist() == found.ids[:10].tolist()


def test_where_too_few_are_found_rows_are_minus_one():
    index = VectorIndex(normal(50, 4), kind="ivf", lists=25, probes=1)
    _, rows = index.search(normal(3, 4, seed=1), 50)
    assert rows.shape == (3, 50) and (rows == -1).any() and (rows[:, 0] >= 0).all()


def test_pooled_places_are_means_of_cells(maps):
    assert torch.equal(pool_places(maps, 1)[3, 7], maps[3, :, 1, 1])
    assert pool_places(maps, 2).shape == (30, 6, 16)
    assert torch.allclose(pool_places(maps, 2)[3, 4], maps[3, :, 2:4, 2:4].mean((1, 2)), atol=1e-6)
    for cell in (6, 100):
        assert torch.allclose(pool_places(maps, cell)[:, 0], maps.mean((2, 3)), atol=1e-6)


@pytest.mark.parametrize("cell", [1, 2, 6])
def test_a_shortlist_of_all_gives_the_exact_ranking(maps, cell):
    caption = normal(16, 9, seed=2)
    search = PictureSearch(maps, cell=cell)
    scores = similarity.score_matrix(maps, caption[None], torch.tensor([9]), kind="misa")[:, 0]
    exact, found = search.exact(caption, num_best=30), search.search(caption, num_best=30, shortlist=30, neighbours=720)
    for result in (exact, found):
        assert result.ids.tolist() == scores.argsort(descending=True).tolist()
        assert result.scores == pytest.approx(scores.sort(descending=True).values.numpy(), rel=1e-5)
        assert result.seconds > 0


def naive_shortlist(maps, caption, neighbours):
    """Per frame the best found place of each picture, else the last product found; pictures by the sum."""
    vectors = pool_places(maps, 1)
    totals, seen = torch.zeros(len(maps), dtype=torch.float64), set()
    for frame in caption.T:
        products = (vectors @ frame).double()
        last = products.flatten().topk(neighbours).values[-1]
        for picture, of_picture in enumerate(products):
            totals[picture] += max(of_picture.max(), last)
            seen |= {picture} if of_picture.max() >= last else set()
    return sorted(seen, key=lambda picture: -totals[picture])


@pytest.mark.parametrize("neighbours", [5, 40])
def test_the_shortlist_by_places_equals_a_loop(maps, neighbours):
    for seed in range(4):
        caption = normal(16, 9, seed=10 + seed)
        expected = naive_shortlist(maps, caption, neighbours)
        found = PictureSearch(maps, cell=1).shortlist(caption, 8, neighbours=neighbours)
        assert found.tolist() == expected[:8]


def test_one_vector_a_picture_proposes_by_the_product_of_means(maps):
    caption = normal(16, 9, seed=2)
    sisa = maps.mean((2, 3)) @ caption.mean(1)
    search = PictureSearch(maps, cell=6)
    assert search.per_picture == 1 and len(search.index) == 30
    assert search.shortlist(caption, 5).tolist() == sisa.topk(5).indices.tolist()


def test_the_search_scores_only_its_shortlist_and_in_exact_order(maps):
    caption = normal(16, 9, seed=2)
    search = PictureSearch(maps, cell=6)
    listed = search.shortlist(caption, 6)
    scores = similarity.score_matrix(maps, caption[None], torch.tensor([9]), kind="misa")[:, 0]
    expected = sorted(listed.tolist(), key=lambda picture: -scores[picture])[:4]
    assert search.search(caption, num_best=4, shortlist=6).ids.tolist() == expected


def test_quality_counts_what_the_exact_search_found_and_the_true_picture():
    made = lambda ids, seconds: Found(np.array(ids), np.zeros(len(ids), np.float32), seconds)
    exact = [made([1, 2, 3, 4], 1.0), made([5, 6, 7, 8], 1.0), made([0, 1, 2, 3], 1.0)]
    found = [made([4, 3, 9, 8], 0.001), made([5, 6, 7, 8], 0.003), made([9, 8], 0.002)]
    result = quality(found, exact, [9, 1, 8])
    assert result.recall == pytest.approx((0.5 + 1 + 0) / 3) and result.hits == pytest.approx(2 / 3)
    assert result.milliseconds == pytest.approx(2.0)
    with pytest.raises(DataError, match="2 searches, 3 exact ones and 3 ids"):
        quality(found[:2], exact, [1, 2, 3])


def test_each_effort_is_measured_and_each_point_is_shown(maps):
    captions = [normal(16, 9, seed=seed) for seed in range(4)]
    search = PictureSearch(maps, cell=1, kind="ivf", lists=30, probes=30)
    exact = [search.exact(one) for one in captions]
    rows = measure(search, captions, exact, efforts=(1, 30), shortlist=10, neighbours=720)
    assert [label for label, _ in rows] == ["effort 1", "effort 30"]
    assert rows[0][1].recall < 1 == rows[1][1].recall and rows[1][1].hits == np.mean(
        [number in one.ids for number, one in enumerate(exact)]
    )
    curves = {"all": [("", quality(exact, exact, range(4)))], "places": rows}
    assert [line.split()[0] for line in search_table(curves).splitlines()] == ["all", "places", "places"]
    left, right = search_plot(curves).axes
    assert left.lines[1].get_ydata().tolist() == [row.recall for _, row in rows]
    assert right.lines[1].get_ydata().tolist() == [row.hits for _, row in rows]
    for axes in (left, right):
        assert axes.lines[1].get_xdata().tolist() == [row.milliseconds for _, row in rows]


def test_encoded_places_are_what_the_score_looks_at():
    class Coarse(toy.ToyModel):
        cell = 2

    pictures, seen = toy.scenes(5), []
    report = lambda *counts: seen.append(counts)
    maps = embed_places(Coarse(), lambda index: pictures[index].load(), 5, report=report)
    fine = embed_places(toy.ToyModel(), lambda index: pictures[index].load(), 5)
    assert fine.shape == (5, 4, 14, 14) and maps.shape == (5, 4, 7, 7) and seen[-1] == (5, 5)
    assert torch.equal(scored_maps(Coarse(), fine), maps)
    half = embed_places(toy.ToyModel(), lambda index: pictures[index].load(), 5, dtype=torch.float16)
    assert torch.equal(half, fine.half())
    assert torch.allclose(maps[2, :, 3, 1], fine[2, :, 6:8, 2:4].mean((1, 2)), atol=1e-6)


def test_wrong_inputs():
    vectors = normal(20, 4)
    cases = [
        (lambda: VectorIndex(vectors, kind="tree"), "kind is 'tree'; expected one of exact, ivf, hnsw"),
        (lambda: VectorIndex(vectors[0]), r"vectors are \[4\]; expected \[V, D\]"),
        (lambda: VectorIndex(vectors[:0]), r"vectors are \[0, 1, 4\]; expected"),
        (lambda: VectorIndex(vectors, kind="ivf", lists=21), "lists is 21, but there are 20 vectors"),
        (lambda: VectorIndex(vectors, probes=0), "probes is 0; expected 1 or more"),
        (lambda: VectorIndex(vectors, kind="ivf", bits=4), "bits is 4; expected 16 or 8"),
        (lambda: VectorIndex(vectors / 0), "not finite"),
        (lambda: VectorIndex(vectors).search(normal(2, 5), 1), "queries have 5 dimensions, the index 4"),
        (lambda: VectorIndex(vectors).search(vectors, 0), "k is 0"),
        (lambda: VectorIndex(vectors).set_effort(4), "effort is 4 for an index of kind exact"),
        (lambda: pool_places(normal(1, 2, 3, 3), 0), "cell is 0"),
        (lambda: embed_places(toy.ToyModel(), lambda index: None, 0), "count is 0"),
    ]
    for call, message in cases:
        with pytest.raises(DataError, match=message):
            call()
    shapes = [np.zeros((224, 224, 3), np.uint8), np.zeros((224, 448, 3), np.uint8)]
    with pytest.raises(DataError, match=r"picture 1: its map is \[4, 14, 28\], that of picture 0 \[4, 14, 14\]"):
        embed_places(toy.ToyModel(), lambda index: shapes[index], 2)
