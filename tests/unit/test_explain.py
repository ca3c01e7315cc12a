"""Class activation maps of both sides, on the toy model, where the right place and moment are known."""

import numpy as np
import pytest
import torch
import toy_cam
import toy_tour as toy
from torch import nn

from vgs_lib import explain as ex
from vgs_lib.encoders.image import TimmPyramid
from vgs_lib.encoders.whisper import PretrainedSpeech, WhisperEncoder
from vgs_lib.errors import ExplainError
from vgs_lib.model import DualEncoder

MODEL = toy_cam.toy_model()
PICTURE = toy_cam.two_discs()
PIXELS = ex.picture_input(PICTURE.load())


def query(*names):
    return ex.heard(MODEL, toy.say(*names), (0.2, len(toy.say(*names)) / toy.RATE - 0.2))


def cam(method, name="red", *, layer="cells", kind=None, others=(), model=MODEL):
    layer = f"encoder.{layer}" if layer in ("cells", "colours") else layer
    target = ex.SpokenQuery(model, query(name), [query(other) for other in others], kind=kind)
    return ex.explain(ex.PictureSide(model), PIXELS, target, method=method, layer=layer)[0]


def small_pyramid(**options):
    return TimmPyramid(weights=None, dim=8, frozen=True, strides=(16, 32), **options)


def small_speech():
    return PretrainedSpeech(dim=8, layers=[2], encoder=WhisperEncoder(width=12, num_heads=2, num_layers=2), width=8)


@pytest.mark.parametrize("method", ["HiResCAM", "LayerCAM", "GradCAM", "GradCAM++"])
@pytest.mark.parametrize("name", ["red", "green"])
def test_the_named_disc_lights_up(method, name):
    found = cam(method, name, layer="image_map", kind="sisa")
    assert found.raw.shape == (14, 14) and found.raw.dtype == np.float32
    assert toy_cam.inside(PICTURE.masks[name], found.positive)


def test_hirescam_of_the_image_map_adds_up_to_the_score():
    for kind in ("misa", "sima", "sisa"):
        found = cam("HiResCAM", layer="image_map", kind=kind)
        assert found.raw.sum() == pytest.approx(found.score, rel=1e-4) and found.score > 0.05


def test_hirescam_for_the_mean_similarity_is_the_matchmap():
    found = cam("HiResCAM", layer="image_map", kind="sisa")
    matchmap = MODEL.matchmap(ex.seen(MODEL, PICTURE.load()), query("red"))
    np.testing.assert_allclose(found.raw, matchmap.mean(dim=-1) / (14 * 14), atol=1e-6)


def test_gradcam_is_the_mean_gradient_times_the_activations():
    found = cam("GradCAM", layer="colours")
    by_hand = sum(a * g.mean() for a, g in zip(found.activations, found.gradients, strict=True))
    np.testing.assert_allclose(found.raw, by_hand, rtol=1e-5)
    assert found.activations.shape == found.gradients.shape == (4, 14, 14)


def test_scorecam_runs_once_for_each_channel_and_can_be_stopped():
    calls = []
    target = ex.SpokenQuery(MODEL, query("red"))
    arguments = (ex.PictureSide(MODEL), PIXELS, target)
    found = ex.explain(*arguments, method="ScoreCAM", layer="encoder.colours", asked=lambda: calls.append(1))[0]
    assert len(calls) == 4 and toy_cam.inside(PICTURE.masks["red"] | PICTURE.masks["green"], found.positive)
    assert found.score == pytest.approx(cam("HiResCAM").score)

    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ex.explain(*arguments, method="ScoreCAM", layer="encoder.colours", asked=stop)


def test_scorecam_is_the_packages(monkeypatch):
    from pytorch_grad_cam import ScoreCAM

    torch.manual_seed(0)
    model = DualEncoder(small_pyramid(), small_speech()).eval()
    side, picture = ex.PictureSide(model), ex.picture_input(PICTURE.load(), size=64)
    target = ex.SpokenQuery(model, torch.ones(8, 3))
    lean = ex.explain(side, picture, target, method="ScoreCAM", layer="encoder.inputs.0")[0]
    monkeypatch.setitem(ex.METHODS, "ScoreCAM", ScoreCAM)
    theirs = ex.explain(side, picture, target, method="ScoreCAM", layer="encoder.inputs.0")[0]
    np.testing.assert_allclose(lean.raw, theirs.raw, rtol=1e-4, atol=1e-6)
    assert np.ptp(lean.raw) > 0


def test_only_eigencam_ignores_the_query():
    for method in ex.METHODS:
        red, green = (cam(method, name, layer="colours").raw for name in ("red", "green"))
        assert np.array_equal(red, green) == (method in ex.IGNORES_TARGET), method


def test_a_distractor_turns_its_disc_negative():
    alone = cam("HiResCAM", layer="image_map", kind="sisa")
    against = cam("HiResCAM", layer="image_map", kind="sisa", others=["green", "blue"])
    green = PICTURE.masks["green"][8::16, 8::16]
    assert alone.raw[green].min() >= 0 and against.raw[green].max() < 0
    assert against.positive.min() == 0 and not against.positive[green].any()
    scores = [cam("HiResCAM", name, layer="image_map", kind="sisa").score for name in ("red", "green", "blue")]
    assert against.score == pytest.approx(scores[0] - (scores[1] + scores[2]) / 2, rel=1e-4)


def test_raw_maps_keep_their_scale_and_scaled_ones_lose_it():
    loud = cam("HiResCAM", layer="image_map")
    target = ex.SpokenQuery(MODEL, 0.5 * query("red"))
    quiet = ex.explain(ex.PictureSide(MODEL), PIXELS, target, method="HiResCAM", layer="image_map")[0]
    np.testing.assert_allclose(quiet.raw, 0.5 * loud.raw, rtol=1e-5)
    np.testing.assert_allclose(quiet.scaled, loud.scaled, rtol=1e-5)
    assert loud.scaled.max() == 1 and not loud.empty


def test_rounding_error_is_not_blown_up_to_a_map():
    """Behind a layer that L2 normalisation follows, activation times gradient is zero at every place."""
    model = DualEncoder(small_pyramid(normalize=True), toy_cam.ToySpeech8()).eval()
    target = ex.SpokenQuery(model, torch.randn(8, 5, generator=torch.Generator().manual_seed(0)))
    side, picture = ex.PictureSide(model), ex.picture_input(PICTURE.load(), size=96)
    found = ex.explain(side, picture, target, method="HiResCAM", layer="encoder.output")[0]
    assert found.empty and not found.scaled.any() and not found.positive.any()
    assert np.abs(found.activations * found.gradients).sum() > 1e-3
    assert not ex.explain(side, picture, target, method="HiResCAM", layer="image_map")[0].empty


def test_gradients_reach_a_frozen_backbone_and_the_model_stays_as_it_was():
    model = DualEncoder(small_pyramid(), small_speech())
    model.image_encoder.output.weight.grad = torch.ones_like(model.image_encoder.output.weight)
    model.train()
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    picture = ex.picture_input(PICTURE.load(), size=64)
    target = ex.SpokenQuery(model, torch.ones(8, 3))
    found = ex.explain(ex.PictureSide(model), picture, target, method="HiResCAM", layer="encoder.backbone.conv_stem")[0]
    assert np.abs(found.gradients).max() > 0
    sound = ex.sound_input(model, toy.say("red"))
    side = ex.SoundSide(model)
    found = ex.explain(side, sound, ex.ShownPicture(model, torch.ones(8, 2, 2)), method="HiResCAM", layer="mel")[0]
    assert found.raw.shape == tuple(sound.shape[2:]) and np.abs(found.gradients).max() > 0
    assert model.training and model.image_encoder.backbone_frozen and model.audio_encoder.backbone_frozen
    assert all(torch.equal(before[name], weights) for name, weights in model.state_dict().items())
    assert torch.equal(model.image_encoder.output.weight.grad, torch.ones(8, 8, 1, 1))
    assert all(x.grad is None for name, x in model.named_parameters() if name != "image_encoder.output.weight")
    assert not any(module._forward_hooks for module in model.modules())
    assert not model.image_encoder.features(picture)[0].requires_grad


def test_the_spectrogram_shows_the_tone_in_its_band_and_time():
    waveform = toy.say("red", "green")
    model = toy_cam.toy_model("sisa")
    image_map = ex.seen(model, toy.scene("red", {"red": (0.5, 0.5)}).load())
    side, mel = ex.SoundSide(model), ex.sound_input(model, waveform) + 80  # so that louder is greater
    side.encoder.tones.bias.data -= 80 * 0.25
    found = ex.explain(side, mel, ex.ShownPicture(model, image_map), method="HiResCAM", layer="mel")[0]
    band, frame = np.unravel_index(found.raw.argmax(), found.raw.shape)
    assert band == toy_cam.bands()[0] and 0.2 <= frame * 0.01 <= 0.8  # green is said from 1.0 to 1.6 s
    over_time = ex.explain(side, mel, ex.ShownPicture(model, image_map), method="HiResCAM")[0]
    assert over_time.layer == "audio_map" and over_time.raw.shape == (1, -(-mel.shape[-1] // 4))
    assert 0.2 <= over_time.raw.argmax() * 0.04 <= 0.8
    frames = ex.frames_in(model, over_time.raw.shape[1], (1.0, 1.6))
    later = ex.explain(side, mel, ex.ShownPicture(model, image_map, frames=frames), method="HiResCAM")[0]
    assert later.empty  # the picture has nothing of what is said then
    other = ex.seen(model, toy.scene("green", {"green": (0.5, 0.5)}).load())
    target = ex.ShownPicture(model, image_map, [other])
    against = ex.explain(side, mel, target, method="HiResCAM")[0]
    assert against.raw[0, 30] < 0 or against.raw[0, 32] < 0  # 1.2 s: the distractor's word


def test_layers_are_listed_from_input_to_output_with_their_shapes():
    found = ex.layers(ex.PictureSide(MODEL), PIXELS)
    assert [(one.name, one.shape) for one in found] == [
        ("encoder.cells", (3, 14, 14)),
        ("encoder.colours", (4, 14, 14)),
        ("image_map", (4, 14, 14)),
    ]
    assert found[0].label == "encoder.cells (3 × 14 × 14)"
    sound = ex.layers(ex.SoundSide(MODEL), ex.sound_input(MODEL, toy.say("red")))
    assert [(one.name, one.shape) for one in sound][:2] == [("mel", (1, 40, 101)), ("encoder.tones", (4, 101))]
    assert sound[-1].name == "audio_map" and sound[-1].shape == (4, 26)


def test_layers_of_whisper_and_of_a_timm_backbone():
    model = DualEncoder(small_pyramid(), small_speech()).eval()
    pictures = {one.name: one.shape for one in ex.layers(ex.PictureSide(model), ex.picture_input(PICTURE.load()))}
    assert pictures["encoder.backbone.blocks.4"] == (112, 14, 14) and pictures["encoder.blocks.0"] == (8, 14, 14)
    assert "encoder.backbone.blocks.6.0" not in pictures  # what the sequence of one gives, once
    sound = {one.name: one for one in ex.layers(ex.SoundSide(model), ex.sound_input(model, toy.say("red")))}
    layer = sound["encoder.encoder.layers.1"]
    assert layer.shape == (12, 51) and layer.channels_last
    assert sound["encoder.head.input"].shape == (8, 26) and not sound["encoder.head.input"].channels_last
    mel = ex.sound_input(model, toy.say("red"))
    found = ex.explain(ex.SoundSide(model), mel, ex.ShownPicture(model, torch.ones(8, 2, 2)), layer=layer)[0]
    assert found.raw.shape == (1, 51) and found.activations.shape == (12, 1, 51)


def test_activations_are_not_overwritten_in_place():
    class InPlace(toy_cam.ToyImage):
        def __init__(self):
            super().__init__()
            self.colours = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True))

    torch.manual_seed(0)
    model = DualEncoder(InPlace(), toy_cam.ToySpeech()).eval()
    target = ex.SpokenQuery(model, torch.ones(4, 2))
    found = ex.explain(ex.PictureSide(model), PIXELS, target, layer="encoder.colours.0")[0]
    assert found.activations.min() < 0 and model.image_encoder.colours[1].inplace


def test_each_input_has_its_own_target():
    side = ex.PictureSide(MODEL)
    targets = [ex.SpokenQuery(MODEL, query(name)) for name in ("red", "green")]
    both = ex.explain(side, PIXELS.expand(2, -1, -1, -1), targets, method="HiResCAM")
    for found, name in zip(both, ("red", "green"), strict=True):
        assert toy_cam.inside(PICTURE.masks[name], found.positive)
    with pytest.raises(ExplainError, match="1 targets for 2 inputs"):  # the package would give zeros for the second
        ex.explain(side, PIXELS.expand(2, -1, -1, -1), targets[:1])


def test_what_cannot_be_explained_is_said(monkeypatch):
    side, target = ex.PictureSide(MODEL), ex.SpokenQuery(MODEL, query("red"))
    with pytest.raises(ExplainError, match="expected one of GradCAM"):
        ex.explain(side, PIXELS, target, method="gradcam")
    with pytest.raises(ExplainError, match=r"'head', expected one of encoder.cells"):
        ex.explain(side, PIXELS, target, layer="head")
    with pytest.raises(ExplainError, match="float; expected a tensor"):
        ex.explain(side, PIXELS, lambda output: output.sum().item())
    with pytest.raises(ExplainError, match=r"shape \[14, 14\]"):
        ex.explain(side, PIXELS, lambda output: output.sum(0))
    with pytest.raises(ExplainError, match="no gradient"):
        ex.explain(side, PIXELS, lambda output: output.detach().sum())
    monkeypatch.setattr(ex.cam, "MAX_EIGEN_PLACES", 100)
    with pytest.raises(ExplainError, match="196 places are too many"):
        ex.explain(side, PIXELS, target, method="EigenCAM")
    monkeypatch.setattr(ex.cam, "MAX_SCORE_CHANNELS", 3)
    with pytest.raises(ExplainError, match="4 channels"):
        ex.explain(side, PIXELS, target, method="ScoreCAM")
    sound = ex.sound_input(MODEL, toy.say("red"))
    with pytest.raises(ExplainError, match="pictures only"):
        ex.explain(ex.SoundSide(MODEL), sound, ex.ShownPicture(MODEL, torch.ones(4, 2, 2)), method="ScoreCAM")
    with pytest.raises(ExplainError, match="start before the end"):
        ex.frames_in(MODEL, 10, (0.5, 0.2))


def test_a_word_shorter_than_a_frame_takes_the_nearest_one():
    assert ex.frames_in(MODEL, 10, (0.061, 0.062)).tolist() == [False, True] + [False] * 8
    assert ex.frames_in(MODEL, 10, (0.05, 0.15)).tolist() == [False, True, True, True] + [False] * 6


def test_maps_are_the_same_where_gradients_are_off():
    with torch.no_grad():
        found = cam("HiResCAM", layer="image_map")
    np.testing.assert_array_equal(found.raw, cam("HiResCAM", layer="image_map").raw)


def test_nothing_is_printed(capsys):
    cam("ScoreCAM", layer="colours")
    assert capsys.readouterr() == ("", "")
