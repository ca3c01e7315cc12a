"""The networks of aytar2017: sizes, loops, one vector whatever the padding, upper layers shared by modalities, which
learn from a teacher.
"""

import pytest
import torch
from torch.nn import functional

from vgs_lib.embedding_losses import model_transfer
from vgs_lib.encoders import PooledPictures
from vgs_lib.encoders.aytar import SharedTrunk, SoundNet, TextNet
from vgs_lib.front_ends import LogMel

WORDS = ["a", "red", "owl", "and", "kettle"]


@pytest.fixture()
def sound() -> SoundNet:
    torch.manual_seed(0)
    return SoundNet(width=0.05, dim=6).double()


@pytest.fixture()
def text() -> TextNet:
    torch.manual_seed(0)
    return TextNet(vocabulary=WORDS, width=0.05, dim=6).double()


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_sizes():
    with torch.device("meta"):
        sound, text, trunk = SoundNet(), TextNet(vocabulary=WORDS), SharedTrunk(256)
        hidden, logits = trunk(torch.zeros(3, 256, 1))
    upper = 128 * 256 * 5 + 256 + 2 * (256 * 256 * 3 + 256)
    assert count(sound) == 2 + (40 * 128 * 11 + 128) + upper and sound.dim == 256 and sound.pooling == 8
    assert count(text) == 7 * 300 + (300 * 128 * 3 + 128) + 128 * 256 * 3 + 256 + 2 * (256 * 256 * 3 + 256)
    assert len(sound.convs.convs) == len(text.convs.convs) == 4
    assert count(trunk) == 256 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 1000 + 1000
    assert hidden.shape == (3, 4096) and logits.shape == (3, 1000)
    assert sound.pooled and text.pooled
    assert SoundNet(width=0.5).dim == 128 and SharedTrunk(8, width=0.25).dim == 1024


def test_sound_net_is_its_loops(sound):
    sound.eval()
    sound.input_norm.running_mean.fill_(-40.0)
    sound.input_norm.running_var.fill_(100.0)
    features = -80 * torch.rand(1, 40, 21, dtype=torch.float64)
    x = (features + 40) / (100 + sound.input_norm.eps) ** 0.5
    for index, conv in enumerate(sound.convs.convs):
        x = functional.relu(conv(x))
        if index < 3:
            frames = [x[..., max(0, 2 * t - 1) : 2 * t + 2].amax(dim=-1) for t in range((x.shape[-1] + 1) // 2)]
            x = torch.stack(frames, dim=-1)
    assert x.shape == (1, 6, 3)
    found, lengths = sound(features, torch.tensor([21]))
    assert found.shape == (1, 6, 1) and lengths.tolist() == [1]
    torch.testing.assert_close(found[..., 0], x.mean(dim=-1))
    assert found.max() > 0


@pytest.mark.parametrize("training", [True, False])
def test_sound_never_reads_padding(sound, training):
    sound.train(training)
    lengths = torch.tensor([37, 16, 3, 1])
    features = -80 * torch.rand(4, 40, 37, dtype=torch.float64)
    state = {k: v.clone() for k, v in sound.state_dict().items()}
    found, new = sound(features, lengths)
    assert found.shape == (4, 6, 1) and new.tolist() == [1, 1, 1, 1]
    wider = torch.full((4, 40, 60), 1e3, dtype=torch.float64)
    for row, length in enumerate(lengths):
        wider[row, :, :length] = features[row, :, :length]
    sound.load_state_dict(state)
    torch.testing.assert_close(sound(wider, lengths)[0], found)
    if not training:
        for row, length in enumerate(lengths):
            alone, _ = sound(features[row : row + 1, :, :length], lengths[row : row + 1])
            torch.testing.assert_close(alone, found[row : row + 1])
    sound(features, lengths)[0].square().sum().backward()
    assert all(p.grad is not None for p in sound.parameters())


def test_sound_has_the_bands_of_its_front_end():
    sound = SoundNet(width=0.05, front_end=LogMel(num_bands=24))
    waveform = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    vector, lengths = sound(*sound.front_end([waveform, waveform[:500]]))
    assert vector.shape == (2, 13, 1) and lengths.tolist() == [1, 1]
    with pytest.raises(ValueError, match="lengths"):
        sound(torch.zeros(1, 24, 5), torch.tensor([0]))


def test_text_net_alone_and_in_a_batch(text):
    texts = ["A red owl and a kettle", "owl", "a zebra"]
    features, lengths = text.front_end(texts)
    found, new = text(features, lengths)
    assert found.shape == (3, 6, 1) and new.tolist() == [1, 1, 1]
    for row, one in enumerate(texts):
        torch.testing.assert_close(text(*text.front_end([one]))[0], found[row : row + 1])
    x = text.embedding.weight[[4]].T[None]  # "owl"
    for conv in text.convs.convs:
        x = functional.relu(conv(x))
    torch.testing.assert_close(found[1:2], x)
    assert text.embedding.take_vectors({"owl": torch.zeros(15)}) == 1
    assert not torch.allclose(text(features, lengths)[0][1], found[1])


def test_text_never_reads_padding(text):
    features, lengths = text.front_end(["a red owl and a kettle", "a red owl", "owl"])
    found, _ = text(features, lengths)
    wider = torch.full((3, 1, 9), 6.0)  # "kettle" wherever no word is
    for row, length in enumerate(lengths):
        wider[row, :, :length] = features[row, :, :length]
    junk, new = text(wider, lengths)
    torch.testing.assert_close(junk, found)
    assert new.tolist() == [1, 1, 1]
    junk[1:].square().sum().backward()  # of the texts without a kettle
    gradient = text.embedding.weight.grad.abs().sum(dim=1)
    assert gradient[6] == 0 and gradient[[2, 3, 4]].min() > 0


def test_sound_and_text_learn_from_a_teacher_through_the_shared_layers(sound, text):
    """Model transfer: both modalities are to give the class probabilities of their pairs' pictures."""
    generator = torch.Generator().manual_seed(1)
    teacher = (2 * torch.randn(4, 10, generator=generator, dtype=torch.float64)).softmax(dim=1)
    trunk = SharedTrunk(6, width=1 / 128, num_classes=10).double()
    parts = torch.nn.ModuleDict({"sound": sound, "text": text, "trunk": trunk})
    heard = -80 * torch.rand(4, 40, 30, generator=generator, dtype=torch.float64), torch.tensor([30, 12, 25, 19])
    read = text.front_end(["a red owl", "a kettle", "a red kettle and an owl", "owl"])

    def transfers():
        vectors = {"sound": sound(*heard)[0], "text": text(*read)[0]}
        return {name: model_transfer(teacher, trunk(vector)[1]) for name, vector in vectors.items()}

    def step():
        optimizer.zero_grad()
        losses = transfers()
        sum(losses.values()).backward()
        optimizer.step()
        return {name: loss.item() for name, loss in losses.items()}

    before = {name: value.detach().clone() for name, value in parts.named_parameters()}
    optimizer = torch.optim.SGD(parts.parameters(), lr=1e-2)
    first, second = step(), step()
    assert sum(second.values()) < sum(first.values())
    assert all(not torch.equal(value, before[name]) for name, value in parts.named_parameters())
    optimizer = torch.optim.Adam(parts.parameters(), lr=1e-2)
    for _ in range(100):
        last = step()
    assert all(0 <= last[name] < 0.1 * first[name] for name in first)


def test_modalities_share_the_upper_layers(sound, text):
    trunk = SharedTrunk(6, width=1 / 256, num_classes=10).double()
    picture = PooledPictures(backbone="alexnet", width=1 / 32, dim=6, pretrained=False).double()
    vectors = [
        sound(torch.randn(2, 40, 30, dtype=torch.float64), torch.tensor([30, 12]))[0],
        text(*text.front_end(["owl", "a red kettle"]))[0],
        picture(torch.rand(2, 3, 64, 64, dtype=torch.float64)),
    ]
    for vector in vectors:
        hidden, logits = trunk(vector)
        flat = vector.reshape(2, 6)
        one = functional.relu(flat @ trunk.layer1.weight.T + trunk.layer1.bias)
        two = functional.relu(one @ trunk.layer2.weight.T + trunk.layer2.bias)
        torch.testing.assert_close(hidden, two)
        torch.testing.assert_close(logits, two @ trunk.classes.weight.T + trunk.classes.bias)
        assert hidden.shape == (2, 16) and logits.shape == (2, 10)
    with pytest.raises(ValueError, match=r"expected one place, .* found \[2, 6, 3\]"):
        trunk(torch.zeros(2, 6, 3))
