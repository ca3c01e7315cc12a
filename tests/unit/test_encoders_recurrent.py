"""Recurrent encoders and attention over time: sizes by hand, and values against loops over single steps."""

import pytest
import torch
from test_encoders_audio import num_parameters
from torch import nn

from vgs_lib.encoders.attention import VectorAttention
from vgs_lib.encoders.layers import reverse_frames
from vgs_lib.encoders.recurrent import ConvRecurrent, PyramidalRNN, Recurrent, RecurrentLayer, join_pairs

LENGTHS = torch.tensor([11, 1, 6])


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def on_meta(make, **options) -> nn.Module:
    with torch.device("meta"):  # sizes only
        return make(**options)


def recurrent_count(channels: int, units: int, gates: int) -> int:
    """One direction: weights from the input and from the state, and torch's two biases."""
    return gates * units * (channels + units + 2)


def attention_count(channels: int, units: int, outputs: int) -> int:
    return channels * units + units + units * outputs + outputs


def steps(rnn: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """One caption x [C, T] through torch's cell of the same weights, frame by frame: [D, T]."""
    lstm = isinstance(rnn, nn.LSTM)
    cell = (nn.LSTMCell if lstm else nn.GRUCell)(rnn.input_size, rnn.hidden_size).double()
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in rnn.state_dict().items()})
    state, out = None, []
    for frame in x.T:
        state = cell(frame[None], state)
        out.append(state[0][0] if lstm else state[0])
    return torch.stack(out, dim=1)


def naive_layer(layer: RecurrentLayer, x: torch.Tensor) -> torch.Tensor:
    ahead = steps(layer.ahead, x)
    return ahead if layer.back is None else torch.cat([ahead, steps(layer.back, x.flip(-1)).flip(-1)])


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_layer_equals_single_steps_and_a_packed_sequence(cell, bidirectional):
    layer = RecurrentLayer(5, 8, cell=cell, bidirectional=bidirectional)
    x = torch.randn(3, 5, 11)
    single, _ = layer(x, LENGTHS)  # another implementation than for doubles
    layer, x = layer.double(), x.double()
    out, lengths = layer(x, LENGTHS)
    assert torch.equal(lengths, LENGTHS)
    torch.testing.assert_close(single.double(), out, atol=1e-5, rtol=1e-5)
    for row, one, num in zip(out, x, LENGTHS, strict=True):
        torch.testing.assert_close(row[:, :num], naive_layer(layer, one[:, :num]))
        assert (row[:, num:] == 0).all()
    packed = nn.utils.rnn.pack_padded_sequence(x.permute(2, 0, 1), LENGTHS, enforce_sorted=False)
    theirs, _ = nn.utils.rnn.pad_packed_sequence(layer.ahead(packed)[0])
    torch.testing.assert_close(out[:, : theirs.shape[-1]], theirs.permute(1, 2, 0))


def test_reverse_frames_turns_each_caption_within_its_length():
    x = torch.arange(12.0).view(2, 1, 6)
    turned = reverse_frames(x, torch.tensor([6, 3]))
    assert turned[:, 0].tolist() == [[5, 4, 3, 2, 1, 0], [8, 7, 6, 9, 10, 11]]
    assert torch.equal(reverse_frames(turned, torch.tensor([6, 3])), x)


def test_join_pairs_against_a_loop():
    x = torch.randn(3, 4, 11)
    joined, lengths = join_pairs(x, LENGTHS)
    assert joined.shape == (3, 8, 6) and lengths.tolist() == [6, 1, 3]
    for b, num in enumerate(LENGTHS.tolist()):
        for t in range(lengths[b]):
            second = x[b, :, 2 * t + 1] if 2 * t + 1 < num else torch.zeros(4)
            torch.testing.assert_close(joined[b, :, t], torch.cat([x[b, :, 2 * t], second]))


def test_lstm_and_gru_of_zhang2020():
    lstm = on_meta(Recurrent, front_end="zhang2020")
    assert num_parameters(lstm) == 2 + recurrent_count(40, 1024, 4) + recurrent_count(1024, 1024, 4)
    assert (lstm.dim, lstm.pooled, lstm.pooling, lstm.lag) == (1024, False, 1, 0.5)
    gru = on_meta(Recurrent, cell="gru", num_layers=3, dim=512)
    sizes = [(40, 1024), (1024, 1024), (1024, 512)]
    assert num_parameters(gru) == 2 + sum(recurrent_count(a, b, 3) for a, b in sizes)
    both = on_meta(Recurrent, bidirectional=True, width=0.5)
    assert num_parameters(both) == 2 + 2 * (recurrent_count(40, 256, 4) + recurrent_count(512, 256, 4))
    pooled = on_meta(Recurrent, pool="attention")
    assert pooled.pooled and num_parameters(pooled) == num_parameters(lstm) + attention_count(1024, 1024, 1024)


def test_pyramid_of_tian2020_and_of_scharenborg2020():
    layers = recurrent_count(80, 1024, 3) + 2 * recurrent_count(4096, 1024, 3)
    gru = on_meta(PyramidalRNN)
    assert num_parameters(gru) == 2 + 2 * layers + attention_count(2048, 1024, 2048) == 73_931_778
    assert (gru.dim, gru.pooled, gru.pooling, gru.lag) == (2048, True, 8, 0.0625)
    lstm = on_meta(PyramidalRNN, cell="lstm", pool="mean")
    assert num_parameters(lstm) == 2 + 2 * (layers // 3 * 4)
    small = on_meta(PyramidalRNN, width=0.25, dim=300)
    expected = recurrent_count(80, 256, 3) + recurrent_count(1024, 256, 3) + recurrent_count(1024, 150, 3)
    assert num_parameters(small) == 2 + 2 * expected + attention_count(300, 256, 300)


def test_conv_recurrent_of_merkx2019():
    encoder = on_meta(ConvRecurrent)
    layers = recurrent_count(64, 1024, 3) + 3 * recurrent_count(2048, 1024, 3)
    assert num_parameters(encoder) == 39 * 64 * 6 + 2 * layers + attention_count(2048, 128, 2048)
    assert (encoder.dim, encoder.pooled, encoder.pooling) == (2048, True, 2)


def test_pyramid_against_single_steps():
    encoder = PyramidalRNN(width=1 / 128).double().eval()
    features = torch.randn(3, 40, 11).double()
    vectors, _ = encoder(features, LENGTHS)
    weights, lengths = encoder.attention(features, LENGTHS)
    assert lengths.tolist() == [2, 1, 1] and weights.shape == (3, 16, 2)
    for b, num in enumerate(LENGTHS.tolist()):
        x = encoder.input_norm(features[b : b + 1, :, :num], None)[0]
        for layer in encoder.layers:
            x = torch.cat([x, torch.zeros(len(x), x.shape[1] % 2).double()], dim=1)
            x = naive_layer(layer, torch.cat([x[:, ::2], x[:, 1::2]]))
        hidden, score = encoder.pool.attention.hidden, encoder.pool.attention.score
        scores = [score.weight[..., 0] @ torch.tanh(hidden.weight[..., 0] @ h + hidden.bias) + score.bias for h in x.T]
        exponents = [s.exp() for s in scores]
        attention = torch.stack([e / sum(exponents) for e in exponents], dim=1)
        torch.testing.assert_close(weights[b, :, : lengths[b]], attention)
        torch.testing.assert_close(vectors[b, :, 0], (attention * x).sum(dim=1))


def test_conv_recurrent_against_single_steps():
    encoder = ConvRecurrent(width=1 / 64, num_layers=2).double()
    features = torch.randn(3, 39, 11).double()
    vectors, _ = encoder(features, LENGTHS)
    for b, num in enumerate(LENGTHS.tolist()):
        heard = torch.zeros(39, max(num, 6)).double()
        heard[:, :num] = features[b, :, :num]
        starts = range(0, heard.shape[1] - 5, 2)
        x = torch.stack([(encoder.conv.weight * heard[:, s : s + 6]).sum(dim=(1, 2)) for s in starts], dim=1)
        for layer in encoder.layers:
            x = naive_layer(layer, x)
        pooled = encoder.pool.attention(x[None], torch.tensor([x.shape[1]]))[0]
        torch.testing.assert_close(vectors[b, :, 0], pooled / pooled.norm())


def test_attention_skips_padding_and_starts_as_documented():
    attention = VectorAttention(6, 4).double()
    hidden = attention.hidden.weight[..., 0]
    torch.testing.assert_close(hidden @ hidden.T, torch.eye(4).double(), atol=1e-6, rtol=0)
    assert (attention.hidden.bias == 0).all()
    x = torch.randn(3, 6, 11).double()
    weights = attention.weights(x, LENGTHS)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, 6).double())
    assert (weights[1, :, 1:] == 0).all() and (weights[2, :, 6:] == 0).all() and (weights[2, :, :6] > 0).all()
    shared = VectorAttention(6, 4, shared=True).double()
    assert shared.weights(x, LENGTHS).shape == (3, 1, 11)
    torch.testing.assert_close(shared(x, LENGTHS)[1], x[1, :, 0])
    assert num_parameters(shared) == attention_count(6, 4, 1)


def test_attention_for_display_needs_attention():
    with pytest.raises(ValueError, match=r"pool: expected .attention. .* found 'mean'"):
        PyramidalRNN(width=1 / 64, pool="mean").attention(torch.zeros(1, 40, 8), torch.tensor([8]))


def test_the_state_of_a_gru_is_not_kept_in_bfloat16():
    torch.manual_seed(0)
    layer, x, lengths = RecurrentLayer(8, 16), torch.randn(2, 8, 300), torch.tensor([300, 200])
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = layer(x.bfloat16(), lengths)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, layer(x, lengths)[0], atol=0.03, rtol=0)
