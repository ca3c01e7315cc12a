"""Vocabulary, word numbers and the text CNN of harwath2019: sizes, a naive twin, padding that is never read."""

import json

import pytest
import torch

from vgs_lib.encoders import TextCNN
from vgs_lib.encoders.text import BLANK, UNKNOWN, Vocabulary, WordEmbedding, WordNumbers
from vgs_lib.errors import DataError
from vgs_lib.front_ends import features_at_16k

TEXTS = ["A red owl.", "a lamp and a RED kettle", "owl!"]


@pytest.fixture()
def vocabulary() -> Vocabulary:
    return Vocabulary.of_texts(TEXTS)


def test_words_by_how_often_they_come(vocabulary):
    assert vocabulary.words == ("a", "owl", "red", "and", "kettle", "lamp")
    assert Vocabulary.of_texts(TEXTS, min_count=2).words == ("a", "owl", "red")
    assert vocabulary.numbers("Red  OWL, a zebra") == [4, 3, 2, UNKNOWN] and len(vocabulary) == 8
    assert vocabulary.numbers("...") == [UNKNOWN]
    assert Vocabulary.of_texts(["It’s an owl's"]).numbers("it's owl’s") == [3, 4]


def test_a_vocabulary_is_plain_json(vocabulary, tmp_path):
    path = tmp_path / "words.json"
    vocabulary.save(path)
    assert json.loads(path.read_text()) == {"words": list(vocabulary.words)}
    assert Vocabulary.load(path) == vocabulary
    for text in ("[]", "{", '{"words": 3}', '{"words": ["a", "a"]}', '{"words": ["two words"]}', '{"words": [1]}'):
        path.write_text(text)
        with pytest.raises(DataError, match=r"words\.json: not a vocabulary"):
            Vocabulary.load(path)
    with pytest.raises(DataError, match="not a vocabulary"):
        Vocabulary.load(tmp_path / "none.json")


def test_words_that_cannot_be():
    for words, found in ((("Owl",), "Owl"), (("a", "b", "a"), "a"), (("",), "''")):
        with pytest.raises(DataError, match=f"vocabulary: found .*{found}"):
            Vocabulary(words)


def test_texts_become_numbers_with_lengths(vocabulary):
    front_end = WordNumbers(vocabulary)
    features, lengths = front_end(TEXTS)
    assert features.dtype == torch.float32 and features.shape == (3, 1, 6) and lengths.tolist() == [3, 6, 1]
    assert features[0, 0].tolist() == [2, 4, 3, BLANK, BLANK, BLANK] and features[2, 0, 0] == 3
    assert front_end.hop_seconds is None and front_end.pad_value == BLANK and front_end.num_bands == 1
    through, same = features_at_16k(front_end, TEXTS)  # as ``DualEncoder.embed_waveforms`` calls it
    assert torch.equal(through, features) and torch.equal(same, lengths)
    for wrong in ("a red owl", [], [b"owl"]):
        with pytest.raises(DataError, match="expected"):
            front_end(wrong)
    assert repr(front_end) != repr(WordNumbers(Vocabulary(("owl",))))  # banks are told apart by it


def test_sizes_of_harwath2019():
    with torch.device("meta"):
        encoder = TextCNN(vocabulary=[f"word{n}" for n in range(998)])
    convs = 3 * 200 * 512 + 512 + 3 * 512 * 1024 + 1024
    assert sum(p.numel() for p in encoder.parameters()) == 1000 * 200 + convs
    assert encoder.dim == 1024 and encoder.pooling == 1 and not encoder.pooled and not encoder.backbone_frozen
    narrow = TextCNN(vocabulary=["owl"], width=0.25)
    assert narrow.embedding.weight.shape == (3, 50) and narrow.conv1.out_channels == 128 and narrow.dim == 256
    assert TextCNN(vocabulary=["owl"], width=0.25, dim=8).conv2.out_channels == 8


@pytest.fixture()
def encoder(vocabulary) -> TextCNN:
    torch.manual_seed(0)
    return TextCNN(vocabulary=vocabulary, width=0.05, dim=5).double()


def test_text_cnn_is_its_loops(encoder):
    numbers = [2, 4, UNKNOWN, 3]
    features = torch.tensor([[numbers]])
    found, lengths = encoder(features, torch.tensor([4]))
    assert found.shape == (1, 5, 4) and lengths.tolist() == [4]
    vectors = [encoder.embedding.weight[n] for n in numbers]

    def conv(frames, layer):
        silence = torch.zeros_like(frames[0])
        padded = [silence, *frames, silence]
        return [sum(layer.weight[:, :, k] @ padded[t + k] for k in range(3)) + layer.bias for t in range(len(frames))]

    hidden = [frame.clamp(min=0) for frame in conv(vectors, encoder.conv1)]
    torch.testing.assert_close(found[0], torch.stack(conv(hidden, encoder.conv2), dim=1))
    assert found.min() < 0  # the last convolution is linear


@pytest.mark.parametrize("training", [True, False])
def test_a_text_alone_and_in_a_batch(encoder, training):
    encoder.train(training)
    features, lengths = encoder.front_end(TEXTS)
    together, new = encoder(features, lengths)
    assert torch.equal(new, lengths) and together.shape == (3, 5, 6)
    for row, text in enumerate(TEXTS):
        alone, _ = encoder(*encoder.front_end([text]))
        torch.testing.assert_close(together[row : row + 1, :, : lengths[row]], alone)
        assert not together[row, :, lengths[row] :].any()
    features[0, 0, 3:] = 5  # whatever stands in the padding
    other, _ = encoder(features, lengths)
    torch.testing.assert_close(other, together)


def test_floats_and_integers_are_the_same_words(encoder):
    features, lengths = encoder.front_end(TEXTS)
    found, _ = encoder(features, lengths)
    torch.testing.assert_close(encoder(features.long(), lengths)[0], found)
    torch.testing.assert_close(encoder(features.half(), lengths)[0], found)
    found.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in encoder.parameters())
    blank = encoder.embedding(torch.tensor([[[2, BLANK]]]))  # a word left out in training
    assert not blank[..., 1].any() and not encoder.embedding.weight.grad[BLANK].any()


def test_numbers_that_are_no_words(encoder):
    lengths = torch.tensor([2])
    for numbers in ([8, 2], [-1, 2], [2.5, 2]):
        with pytest.raises(ValueError, match=r"expected word numbers 0 to 7 of shape \[B, 1, T\]"):
            encoder(torch.tensor([[numbers]]), lengths)
    with pytest.raises(ValueError, match="found shape"):
        encoder(torch.ones(1, 2, 2), lengths)
    with pytest.raises(ValueError, match="lengths"):
        encoder(torch.ones(1, 1, 2), torch.tensor([3]))


def test_word_vectors_trained_elsewhere(vocabulary):
    embedding = WordEmbedding(vocabulary, 3)
    before = embedding.weight.detach().clone()
    assert embedding.take_vectors({"owl": torch.tensor([1.0, 2.0, 3.0]), "zebra": torch.ones(3)}) == 1
    assert embedding.weight[3].tolist() == [1, 2, 3] and not embedding.weight.requires_grad
    others = [n for n in range(8) if n != 3]
    assert torch.equal(embedding.weight[others], before[others])
    with pytest.raises(ValueError, match=r"'owl' has shape \[2\], expected \[3\]"):
        embedding.take_vectors({"owl": torch.ones(2)})
