"""Every score against a loop over pairs, frames and positions; the chunked gradients against autograd."""

import pytest
import torch

from vgs_lib.similarity import KINDS, matchmap, score_matrix

MAX_KINDS = ("misa", "sima")
LENGTHS = [9, 1, 4, 5, 6, 9, 2]


def maps(num_images=5, num_captions=7, dim=6, height=3, width=4, frames=9, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(num_images, dim, height, width, generator=generator, dtype=torch.float64)
    captions = torch.randn(num_captions, dim, frames, generator=generator, dtype=torch.float64)
    return images.to(dtype), captions.to(dtype), torch.tensor(LENGTHS[:num_captions])


def naive_score(image, caption, kind):
    """One picture [D, H, W] and one caption without padding [D, T], by definition."""
    _, height, width = image.shape
    cells = [
        [[float(image[:, h, w] @ caption[:, t]) for t in range(caption.shape[1])] for w in range(width)]
        for h in range(height)
    ]
    positions = [cells[h][w] for h in range(height) for w in range(width)]
    frames = list(zip(*positions, strict=True))
    if kind == "misa":
        return sum(max(frame) for frame in frames) / len(frames)
    if kind == "sima":
        return sum(max(position) for position in positions) / len(positions)
    if kind in ("sisa", "dot"):
        return sum(sum(frame) for frame in frames) / len(frames) / len(positions)
    mean_image, mean_caption = image.mean((1, 2)), caption.mean(1)
    return float(mean_image @ mean_caption / mean_image.norm() / mean_caption.norm())


def dense_scores(images, captions, lengths, kind):
    """MISA and SIMA from all matchmaps at once, for autograd."""
    everything = torch.einsum("idhw,adt->iahwt", images, captions).flatten(2, 3)
    padded = torch.arange(captions.shape[2]) >= lengths[:, None]
    if kind == "misa":
        return everything.amax(2).masked_fill(padded, 0).sum(-1) / lengths
    return everything.masked_fill(padded[:, None], -torch.inf).amax(-1).mean(-1)


def gradients(scores, inputs, seed=1):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(scores.shape, generator=generator, dtype=torch.float64).to(scores.dtype)
    return torch.autograd.grad(scores, inputs, weight)


def test_matchmap_is_the_product_of_every_position_and_frame():
    images, captions, _ = maps()
    result = matchmap(images[0], captions[0])
    assert result.shape == (3, 4, 9)
    for h in range(3):
        for w in range(4):
            for t in range(9):
                assert result[h, w, t].item() == pytest.approx(float(images[0, :, h, w] @ captions[0, :, t]))


def test_matchmap_broadcasts_leading_dimensions():
    images, captions, _ = maps()
    pairs = matchmap(images[:, None], captions[None])
    assert pairs.shape == (5, 7, 3, 4, 9)
    torch.testing.assert_close(pairs[2, 3], matchmap(images[2], captions[3]))
    torch.testing.assert_close(matchmap(images, captions[:5])[4], matchmap(images[4], captions[4]))


@pytest.mark.parametrize("kind", KINDS)
def test_scores_equal_loops(kind):
    images, captions, lengths = maps()
    scores = score_matrix(images, captions, lengths, kind=kind)
    assert scores.shape == (5, 7)
    for i, image in enumerate(images):
        for a, length in enumerate(lengths):
            expected = naive_score(image, captions[a, :, :length], kind)
            assert scores[i, a].item() == pytest.approx(expected, abs=1e-12), (i, a)


@pytest.mark.parametrize("kind", ("misa", "sima", "sisa"))
def test_scores_are_reductions_of_the_matchmap(kind):
    images, captions, lengths = maps()
    whole = matchmap(images[1], captions[2, :, : lengths[2]])
    expected = {
        "misa": whole.amax((0, 1)).mean(),
        "sima": whole.amax(2).mean(),
        "sisa": whole.mean(),
    }[kind]
    torch.testing.assert_close(score_matrix(images, captions, lengths, kind=kind)[1, 2], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_is_never_read(kind):
    images, captions, lengths = maps()
    scores = score_matrix(images, captions, lengths, kind=kind)
    for value in (1e9, -1e9, torch.nan, torch.inf):
        filled = captions.clone()
        for a, length in enumerate(lengths):
            filled[a, :, length:] = value
        images.requires_grad_(), filled.requires_grad_()
        again = score_matrix(images, filled, lengths, kind=kind)
        torch.testing.assert_close(again, scores)
        to_images, to_captions = gradients(again, (images, filled))
        assert to_images.isfinite().all() and to_captions.isfinite().all()
        assert to_captions[0].abs().sum() > 0
        for a, length in enumerate(lengths):
            assert not to_captions[a, :, length:].any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_caption_alone_scores_as_in_a_batch(kind):
    images, captions, lengths = maps()
    scores = score_matrix(images, captions, lengths, kind=kind)
    for a, length in enumerate(lengths):
        alone = score_matrix(images, captions[a : a + 1, :, :length], lengths[a : a + 1], kind=kind)
        torch.testing.assert_close(alone[:, 0], scores[:, a])


@pytest.mark.parametrize("kind", MAX_KINDS)
@pytest.mark.parametrize("chunk", [None, 1, 2, 3, 10, 34, 1000])
def test_gradients_equal_those_of_the_dense_form(kind, chunk):
    images, captions, lengths = (x.requires_grad_() if x.is_floating_point() else x for x in maps())
    scores = score_matrix(images, captions, lengths, kind=kind, chunk=chunk)
    dense = dense_scores(images, captions, lengths, kind)
    torch.testing.assert_close(scores, dense, rtol=0, atol=1e-12)
    for got, expected in zip(gradients(scores, (images, captions)), gradients(dense, (images, captions)), strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", MAX_KINDS)
def test_gradients_do_not_depend_on_how_the_backward_pass_is_cut(kind, monkeypatch):
    images, captions, lengths = (x.requires_grad_() if x.is_floating_point() else x for x in maps())
    whole = gradients(score_matrix(images, captions, lengths, kind=kind), (images, captions))
    for entries in (1, 80, 200):
        monkeypatch.setattr("vgs_lib.similarity._BACKWARD_ENTRIES", entries)
        cut = gradients(score_matrix(images, captions, lengths, kind=kind), (images, captions))
        for got, expected in zip(cut, whole, strict=True):
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck(kind):
    images, captions, lengths = maps(3, 2, dim=3, height=2, width=2, frames=9)
    inputs = (images.requires_grad_(), captions.requires_grad_())
    assert torch.autograd.gradcheck(lambda i, a: score_matrix(i, a, lengths, kind=kind, chunk=2), inputs)


@pytest.mark.parametrize("kind", MAX_KINDS)
def test_one_side_may_be_frozen(kind):
    images, captions, lengths = maps()
    for image_grad, caption_grad in ((True, False), (False, True)):
        i, a = images.clone().requires_grad_(image_grad), captions.clone().requires_grad_(caption_grad)
        needed = [x for x in (i, a) if x.requires_grad]
        got = gradients(score_matrix(i, a, lengths, kind=kind), needed)
        expected = gradients(dense_scores(i, a, lengths, kind), needed)
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("kind", MAX_KINDS)
def test_of_tied_positions_one_takes_the_whole_gradient(kind):
    images = torch.ones(1, 2, 2, 2, requires_grad=True)
    captions = torch.ones(1, 2, 3, requires_grad=True)
    score_matrix(images, captions, torch.tensor([3]), kind=kind).sum().backward()
    cells = images.grad[0, 0].flatten()
    frames = captions.grad[0, 0]
    assert cells.sum().item() == pytest.approx(1) and frames.sum().item() == pytest.approx(1)
    assert sum(x > 0 for x in (cells if kind == "misa" else frames)) == 1


@pytest.mark.parametrize("kind", MAX_KINDS)
@pytest.mark.parametrize("chunk", [None, 4])
def test_only_winners_are_saved_for_the_backward_pass(kind, chunk):
    """Embeddings are short here, so that the inputs, which are saved too, are small."""
    num, frames, side = 12, 20, 8
    images, captions, _ = maps(num, 1, dim=2, height=side, width=side)
    captions = torch.randn(num, 2, frames, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    images.requires_grad_(), captions.requires_grad_()
    saved = []

    def pack(tensor):
        saved.append(tensor.numel() * tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        score_matrix(images, captions, torch.full((num,), frames), kind=kind, chunk=chunk)
    per_pair = frames if kind == "misa" else side * side
    inputs = max(images.numel(), captions.numel()) * 8
    assert saved and max(saved) <= max(num * num * per_pair * 4, inputs)
    assert sum(saved) < num * num * side * side * frames * 8 / 10


@pytest.mark.parametrize("kind", KINDS)
def test_results_under_no_grad_are_the_same(kind):
    images, captions, lengths = maps()
    with torch.no_grad():
        alone = score_matrix(images.requires_grad_(), captions, lengths, kind=kind, chunk=3)
    assert not alone.requires_grad
    torch.testing.assert_close(alone, score_matrix(images, captions, lengths, kind=kind).detach())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float16, 2e-2), (torch.bfloat16, 0.1)])
def test_other_precisions(kind, dtype, tolerance):
    images, captions, lengths = maps(dtype=dtype)
    images.requires_grad_(), captions.requires_grad_()
    scores = score_matrix(images, captions, lengths, kind=kind)
    assert scores.dtype == torch.float32
    exact = score_matrix(images.double(), captions.double(), lengths, kind=kind)
    torch.testing.assert_close(scores.double(), exact, rtol=0, atol=tolerance)
    to_images, to_captions = gradients(scores, (images, captions))
    assert to_images.dtype == to_captions.dtype == dtype
    # a rounded matchmap may crown another winner than the exact one, so only precise gradients are compared
    if dtype == torch.float32:
        for got, expected in zip((to_images, to_captions), gradients(exact, (images, captions)), strict=True):
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)
    assert to_images.abs().sum() > 0 and to_captions.abs().sum() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_autocast(kind):
    images, captions, lengths = maps(dtype=torch.float32)
    images.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = score_matrix(images, captions, lengths, kind=kind)
    exact = score_matrix(images, captions, lengths, kind=kind)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, exact, rtol=0, atol=0.1)
    assert gradients(scores, (images,))[0].dtype == torch.float32
    if kind in MAX_KINDS:
        assert not torch.equal(scores, exact), "autocast's precision was not used"


@pytest.mark.parametrize("kind", KINDS)
def test_maps_in_any_memory_layout(kind):
    images, captions, lengths = maps()
    expected = score_matrix(images, captions, lengths, kind=kind)
    images = images.to(memory_format=torch.channels_last)
    captions = captions.transpose(1, 2).contiguous().transpose(1, 2)
    torch.testing.assert_close(score_matrix(images, captions, lengths, kind=kind), expected)


@pytest.mark.parametrize("kind", MAX_KINDS)
def test_backward_gives_the_same_bits_every_time(kind):
    images, captions, lengths = (x.requires_grad_() if x.is_floating_point() else x for x in maps(dtype=torch.float32))
    first, second = (
        gradients(score_matrix(images, captions, lengths, kind=kind), (images, captions)) for _ in range(2)
    )
    assert all(torch.equal(x, y) for x, y in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "mean"}, "kind is 'mean'; expected one of sisa, misa, sima, dot, cosine"),
        ({"chunk": 0}, "chunk is 0"),
        ({"lengths": torch.tensor([9, 0, 4, 5, 6, 9, 2])}, r"audio_lengths\[1\] is 0; expected 1 to 9"),
        ({"lengths": torch.tensor([9, 1, 4, 5, 6, 9, 10])}, r"audio_lengths\[6\] is 10; expected 1 to 9"),
        ({"lengths": torch.tensor([9, 1, 4])}, "expected one integer for each of the 7 captions"),
        ({"lengths": torch.ones(7)}, "expected one integer for each"),
        ({"images": torch.randn(5, 5, 3, 4)}, "the image map has D = 5 and the audio map D = 6"),
        ({"images": torch.randn(6, 3, 4)}, r"image_maps is \[6, 3, 4\]"),
        ({"images": torch.randn(0, 6, 3, 4)}, r"image_maps is \[0, 6, 3, 4\]"),
        ({"captions": torch.randn(7, 6)}, r"audio_maps is \[7, 6\]"),
        ({"images": torch.ones(5, 6, 3, 4, dtype=torch.long)}, "expected floating point"),
    ],
)
def test_errors(change, message):
    images, captions, lengths = maps()
    arguments = {"images": images, "captions": captions, "lengths": lengths, **change}
    positional = [arguments.pop(name) for name in ("images", "captions", "lengths")]
    with pytest.raises(ValueError, match=message):
        score_matrix(*positional, **arguments)


def test_matchmap_errors():
    with pytest.raises(ValueError, match="the image map has D = 5 and the audio map D = 6"):
        matchmap(torch.randn(5, 3, 4), torch.randn(6, 9))
    with pytest.raises(ValueError, match=r"expected maps \[..., D, H, W\]"):
        matchmap(torch.randn(5, 3), torch.randn(5, 9))
