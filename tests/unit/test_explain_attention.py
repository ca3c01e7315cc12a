"""Attention over time, CBAM and the figures."""

import numpy as np
import pytest
import torch
import toy_cam
import toy_tour as toy

from vgs_lib.clock import Clock
from vgs_lib.encoders.cbam import CBAM
from vgs_lib.encoders.whisper import PretrainedSpeech, WhisperEncoder, record_attention
from vgs_lib.errors import ExplainError
from vgs_lib.explain import attention
from vgs_lib.explain.faithfulness import Faithfulness
from vgs_lib.figures import explanations as figures
from vgs_lib.model import DualEncoder

SPANS = {"red": (0.2, 0.8)}


def small_encoder():
    torch.manual_seed(0)
    return WhisperEncoder(width=12, num_heads=3, num_layers=2).eval()


def test_recorded_attention_is_what_the_layer_used():
    encoder, mel = small_encoder(), torch.randn(2, 80, 30)
    lengths = torch.tensor([30, 20])
    with torch.no_grad(), record_attention(encoder) as recorded:
        states, _ = encoder.lower(mel, lengths, num_layers=2)
    assert [one.shape for one in recorded] == [(2, 3, 15, 15)] * 2
    layer, weights = encoder.layers[0], recorded[0]
    with torch.no_grad():
        values = layer.query_key_value(layer.attention_norm(states[0]))[..., 24:].view(2, 15, 3, 4).transpose(1, 2)
        attended = (weights @ values).transpose(1, 2).reshape(2, 15, 12)
        x = states[0] + layer.attention_output(attended)
        x = x + layer.mlp_output(torch.nn.functional.gelu(layer.mlp_input(layer.mlp_norm(x))))
    torch.testing.assert_close(x, states[1])
    assert not weights[1, :, :, 10:].any() and weights[0, :, :, 10:].any()  # padding is never read


def test_recording_changes_no_output_and_leaves_no_hook():
    encoder, mel, lengths = small_encoder(), torch.randn(1, 80, 40), torch.tensor([40])
    plain, _ = encoder(mel, lengths)
    with record_attention(encoder):
        recorded, _ = encoder(mel, lengths)
    assert torch.equal(plain[0], recorded[0]) and not any(layer._forward_hooks for layer in encoder.layers)
    with pytest.raises(ZeroDivisionError), record_attention(encoder):
        raise ZeroDivisionError
    assert not any(layer._forward_hooks for layer in encoder.layers)


def test_attention_over_time_of_a_waveform():
    speech = PretrainedSpeech(dim=4, layers=[2], encoder=small_encoder(), width=8)
    model = DualEncoder(toy_cam.ToyImage(), speech).eval()
    found = attention.attention_over_time(model, toy.say("red"))  # 1 s: 101 mel frames
    assert found.shape == (2, 3, 51, 51) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-5)
    read = attention.received(found)
    assert read.shape == (2, 3, 51)
    np.testing.assert_allclose(read.mean(axis=-1), 1, rtol=1e-5)  # an even share on average
    with pytest.raises(ExplainError, match="ToySpeech"):
        attention.attention_over_time(toy_cam.toy_model(), toy.say("red"))


def test_received_attention_is_what_readers_give():
    weights = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.9, 0.1, 0.0]])
    np.testing.assert_allclose(attention.received(weights), [2.4, 0.6, 0.0])


def test_means_over_spans():
    spans = {"a": (0.0, 0.04), "b": (0.025, 0.08), "none": (0.041, 0.049)}
    found = attention.mean_over_spans(np.array([1.0, 3.0, 5.0, 9.0]), spans, seconds=0.02)
    assert found == {"a": 2.0, "b": (3.0 + 5.0 + 9.0) / 3}


def test_cbam_is_shown_where_there_is_one():
    maps, sentence = attention.cbam_maps(toy_cam.toy_model(), toy_cam.two_discs().load())
    assert maps == {} and "has no CBAM" in sentence and "ToyImage" in sentence

    class WithCbam(toy_cam.ToyImage):
        def __init__(self):
            super().__init__()
            self.attention = CBAM(4, reduction=2)

        def forward(self, pictures):
            return self.attention(super().forward(pictures))

    model = DualEncoder(WithCbam(), toy_cam.ToySpeech()).eval()
    seen = []
    model.image_encoder.attention.spatial.register_forward_hook(lambda module, args, output: seen.append(output))
    maps, sentence = attention.cbam_maps(model, toy_cam.two_discs().load())
    assert list(maps) == ["attention"] and "CBAM at 1 places: attention" in sentence
    np.testing.assert_array_equal(maps["attention"], seen[0][0, 0].detach())
    assert maps["attention"].shape == (14, 14) and 0 < maps["attention"].min() < maps["attention"].max() < 1


def test_figures_name_what_they_show():
    picture = toy_cam.two_discs().load()
    heat = np.zeros((4, 4))
    heat[1, 1] = 3.0
    drawn = figures.maps_figure(picture, {"GradCAM": heat, "nothing": 0 * heat}, same_range=True)
    assert [axes.get_title() for axes in drawn.axes if axes.images] == ["GradCAM", "nothing"]
    labels = [text.get_text() for axes in drawn.axes for text in axes.get_xticklabels()]
    assert labels.count("3") == 2
    drawn = figures.maps_figure(picture, {"GradCAM": heat, "half": heat / 2})
    labels = [text.get_text() for axes in drawn.axes for text in axes.get_xticklabels()]
    assert labels.count("3") == 1 and labels.count("1.5") == 1
    drawn = figures.spectrogram_figure(
        np.zeros((40, 101)), {"over time": heat[1:2]}, SPANS, hop=0.01, clock=Clock(0.04)
    )
    assert drawn.axes[1].get_xlabel() == "time (s)" and "red" in [text.get_text() for text in drawn.axes[0].texts]
    drawn = figures.attention_figure(np.ones((2, 3, 51)), SPANS, seconds=0.02)
    assert "layer 2" in drawn.axes[1].get_ylabel()
    rows = [Faithfulness("matchmap", 1.0, 0.5, 1.5, (1.0,)), Faithfulness("noise", 0.0, -0.1, 0.1, (0.0,))]
    drawn = figures.faithfulness_figure(rows, title="ROAD")
    assert [text.get_text() for text in drawn.axes[0].get_yticklabels()] == ["noise", "matchmap"]
