"""What every speech encoder from scratch promises: shapes, padding that is never read, short captions, training."""

import pytest
import torch
import torch.nn.functional as F
from test_encoders_audio import with_garbage

from vgs_lib.encoders import DAVEnet, PooledDAVEnet, ResDAVEnet
from vgs_lib.encoders.highway import RecurrentHighway
from vgs_lib.encoders.recurrent import ConvRecurrent, PyramidalRNN, Recurrent
from vgs_lib.encoders.temporal import TemporalDAVEnet
from vgs_lib.front_ends import LogMel, Mfcc

LENGTHS = torch.tensor([70, 5, 1, 37, 16])
W = 1 / 64  # 1024 channels become 16
ENCODERS = {
    "CNN-5": lambda: DAVEnet(width=W, dim=12),
    "CNN-6": lambda: DAVEnet(width=W, num_convs=6),
    "pooled CNN": lambda: PooledDAVEnet(width=W),
    "ResDAVEnet": lambda: ResDAVEnet(width=W),
    "LSTM": lambda: Recurrent(width=W, dim=12),
    "GRU": lambda: Recurrent(width=W, cell="gru", bidirectional=True),
    "pBiGRU": lambda: PyramidalRNN(width=W, dim=12),
    "pBiGRU map": lambda: PyramidalRNN(width=W, pool=None),
    "pBiLSTM": lambda: PyramidalRNN(width=W, cell="lstm", pool="mean"),
    "CNN + BiGRU": lambda: ConvRecurrent(width=W),
    "RHN": lambda: RecurrentHighway(width=W, input_dropout=0, state_dropout=0),
    "RHN, another dim": lambda: RecurrentHighway(width=W, dim=12, input_dropout=0, state_dropout=0),
    "TCN": lambda: TemporalDAVEnet(width=W, dim=12),
    "TCN after 1": lambda: TemporalDAVEnet(width=W, position=1),
    "TCN after 2": lambda: TemporalDAVEnet(width=W, position=2),
    "TCN after 3": lambda: TemporalDAVEnet(width=W, position=3),
    "GRU branch": lambda: TemporalDAVEnet(width=W, cell="gru"),
    "LSTM branch": lambda: TemporalDAVEnet(width=W, cell="lstm", position=1),
    "TCN alone": lambda: TemporalDAVEnet(width=W, layout="alone"),
    "TCN appended": lambda: TemporalDAVEnet(width=W, layout="appended"),
    "GRU appended": lambda: TemporalDAVEnet(width=W, layout="appended", cell="gru"),
}
FRAMES = {  # of a caption of T frames
    1: lambda t: t,
    2: lambda t: -(-t // 2),
    8: lambda t: -(-t // 8),
    16: lambda t: -(-t // 16),
    32: lambda t: -(-t // 32),
}


@pytest.fixture(params=ENCODERS)
def encoder(request):
    torch.manual_seed(0)
    return ENCODERS[request.param]().double()


def captions(encoder, num_frames: int = 70) -> torch.Tensor:
    """Features [5, F, T] such as the encoder's front end makes."""
    features = torch.randn(len(LENGTHS), encoder.front_end.num_bands, num_frames).double()
    return features * 10 - 40 if isinstance(encoder.front_end, LogMel) else features


def test_shapes_and_attributes(encoder):
    audio_map, lengths = encoder(captions(encoder), LENGTHS)
    if encoder.pooled:
        assert audio_map.shape == (5, encoder.dim, 1) and lengths.tolist() == [1] * 5
    else:
        expected = [FRAMES[encoder.pooling](t) for t in LENGTHS.tolist()]
        assert audio_map.shape == (5, encoder.dim, expected[0]) and lengths.tolist() == expected
    assert audio_map.isfinite().all() and (audio_map[:, :, 0].abs().sum(dim=1) > 0).all()
    assert lengths.dtype == torch.int64 and encoder.pooling >= 1 and not encoder.backbone_frozen
    assert isinstance(encoder.lag, float) and isinstance(encoder.front_end, LogMel | Mfcc)


@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_neither_values_nor_gradients(encoder, training):
    features = captions(encoder)
    encoder.train(training)
    results = []
    state = {k: v.clone() for k, v in encoder.state_dict().items()}
    for extra, value in [(0, 0.0), (23, float("nan"))]:
        encoder.load_state_dict(state)
        encoder.zero_grad()
        heard = with_garbage(features, LENGTHS, extra, value).requires_grad_()
        audio_map, lengths = encoder(heard, LENGTHS)
        weights = torch.linspace(-1, 1, encoder.dim).double()[:, None]
        (audio_map * weights).square().sum().backward()
        assert (heard.grad[..., :70][with_garbage(torch.zeros_like(features), LENGTHS, 0, 1.0) == 1] == 0).all()
        results.append((audio_map[..., : lengths.max()], heard.grad[..., :70], [p.grad for p in encoder.parameters()]))
    torch.testing.assert_close(*results, atol=1e-9, rtol=1e-7)
    assert any((gradient != 0).any() for gradient in results[0][2])


@torch.no_grad()
def test_a_caption_alone_equals_it_in_a_batch(encoder):
    for parameter in encoder.parameters():  # biases that would turn padding into something
        parameter += 0.02 * torch.randn_like(parameter)
    features = captions(encoder)
    encoder(captions(encoder), torch.full((5,), 70))  # running statistics
    encoder.eval()
    audio_map, lengths = encoder(with_garbage(features, LENGTHS, 9, 1e4), LENGTHS)
    for row, length, one, num in zip(audio_map, lengths, features, LENGTHS, strict=True):
        alone, _ = encoder(one[None, :, :num], num[None])
        torch.testing.assert_close(row[:, :length], alone[0], atol=1e-9, rtol=1e-7)
        assert (row[:, length:] == 0).all()


@torch.no_grad()
@pytest.mark.parametrize("num_frames", [1, 2, 5, 6, 7, 15, 17])
def test_short_captions(encoder, num_frames):
    audio_map, lengths = encoder.eval()(captions(encoder, num_frames), torch.full((5,), num_frames))
    assert lengths.tolist() == [audio_map.shape[-1]] * 5 and audio_map.isfinite().all()
    assert audio_map.shape[-1] >= 1 and audio_map.shape[:2] == (5, encoder.dim)


def test_lengths_are_checked(encoder):
    for lengths in ([0, 5], [5, 21], [5]):
        with pytest.raises(ValueError, match="lengths"):
            encoder(torch.zeros(2, encoder.front_end.num_bands, 20).double(), torch.tensor(lengths))


@pytest.mark.parametrize("name", ENCODERS)
def test_a_few_steps_reduce_a_loss(name):
    torch.manual_seed(0)
    encoder = ENCODERS[name]().train()
    features, targets = captions(encoder).float(), torch.tensor([0, 1, 0, 1, 1])
    head = torch.nn.Linear(encoder.dim, 2)
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=1e-2)
    losses = []
    for _ in range(12):
        audio_map, lengths = encoder(features, LENGTHS)
        loss = F.cross_entropy(head(audio_map.sum(dim=-1) / lengths[:, None]), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("name", ENCODERS)
def test_half_precision_by_autocast(name):
    torch.manual_seed(0)
    encoder = ENCODERS[name]().train()
    features = captions(encoder).float()
    expected, _ = encoder(features, LENGTHS)
    with torch.autocast("cpu", torch.bfloat16):
        audio_map, _ = encoder(features, LENGTHS)
    audio_map.float().square().sum().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)
    assert (audio_map - expected).norm() < 0.1 * expected.norm()


def test_width_and_dim():
    assert [ENCODERS[name]().dim for name in ("CNN-5", "LSTM", "pBiGRU", "TCN", "RHN, another dim")] == [12] * 5
    assert [ENCODERS[name]().dim for name in ("CNN-6", "TCN alone", "RHN", "GRU")] == [16] * 4
    assert [ENCODERS[name]().dim for name in ("pBiLSTM", "CNN + BiGRU")] == [32] * 2


def test_front_ends_by_name():
    assert Recurrent(width=W, front_end="zhang2020").front_end.n_fft == 551
    assert ConvRecurrent(width=W).front_end == RecurrentHighway(width=W).front_end == Mfcc(deltas=2)
    assert TemporalDAVEnet(width=W).front_end == LogMel(max_frames=1024)
    mine = LogMel(num_bands=20)
    for make in (DAVEnet, PooledDAVEnet, ResDAVEnet, Recurrent, PyramidalRNN, ConvRecurrent, RecurrentHighway):
        encoder = make(width=W, front_end=mine).double()
        assert encoder.front_end is mine and encoder(captions(encoder), LENGTHS)[0].isfinite().all()
    with pytest.raises(ValueError, match=r"front_end: expected one of .*'merkx2019'.*, found 'mfcc40'"):
        DAVEnet(front_end="mfcc40")


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (DAVEnet, {"num_convs": 7}, r"num_convs: expected one of \[4, 5, 6\], found 7"),
        (Recurrent, {"cell": "rnn"}, r"cell: expected one of \['gru', 'lstm'\], found 'rnn'"),
        (Recurrent, {"num_layers": 0}, "num_layers: expected 1 or more, found 0"),
        (Recurrent, {"pool": "max"}, "pool: expected one of .*'attention', 'mean'.*found 'max'"),
        (PyramidalRNN, {"dim": 15}, "dim: expected an even number, half of it in each direction, found 15"),
        (ConvRecurrent, {"cell": "tcn"}, "cell"),
        (RecurrentHighway, {"num_layers": 0}, "num_layers"),
        (RecurrentHighway, {"micro_steps": 0}, "micro_steps: expected 1 or more, found 0"),
        (TemporalDAVEnet, {"layout": "serial"}, r"layout: expected one of \['parallel', 'alone', 'appended'\]"),
        (TemporalDAVEnet, {"position": 4}, r"position: expected one of \[0, 1, 2, 3\], found 4"),
        (TemporalDAVEnet, {"position": 1, "layout": "alone"}, r"position: expected one of \[0\]"),
        (TemporalDAVEnet, {"cell": "rnn"}, "cell: expected one of"),
        (TemporalDAVEnet, {"cell": "gru", "layout": "alone"}, r"cell: expected one of \['tcn'\]"),
        (TemporalDAVEnet, {"front_end": LogMel(num_bands=3)}, "at least 4 bands"),
    ],
)
def test_unknown_options_are_refused(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(width=W, **options)
