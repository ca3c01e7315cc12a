"""The page for contributors: its code runs, and the files that it names are there."""

import re
from pathlib import Path

import pytest
import test_speech_encoders as promises
import torch

from vgs_lib.encoders import DAVEnet
from vgs_lib.recipes import AUDIO_ENCODERS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.fixture
def written():
    """What the page's Python defines; the encoder's name is taken back afterwards."""
    names: dict = {}
    for code in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(code, names)
    yield names
    del AUDIO_ENCODERS["pieces"]


def test_the_encoder_promises_what_all_do(written):
    torch.manual_seed(0)
    make = lambda: written["Pieces"](dim=12, width=1 / 64).double()
    promises.test_shapes_and_attributes(make())
    for training in (False, True):
        promises.test_padding_changes_neither_values_nor_gradients(make(), training)
    promises.test_a_caption_alone_equals_it_in_a_batch(make())
    for num_frames in (1, 15, 17):
        promises.test_short_captions(make(), num_frames)
    promises.test_lengths_are_checked(make())


def test_the_system_scores_pictures_and_captions(written):
    model = written["model"].eval()
    assert type(model.audio_encoder).__name__ == "Pieces" and not isinstance(model.audio_encoder, DAVEnet)
    assert model.seconds_per_frame == pytest.approx(0.16) and model.frame_lag == pytest.approx(0.005)
    with torch.no_grad():
        images = model.embed_image(torch.rand(2, 3, 64, 64))
        audio, lengths = model.embed_waveforms([torch.randn(16000), torch.randn(9000)])
        assert model.score(images, audio, lengths).shape == (2, 2)


def test_what_the_page_names_is_there():
    for name in re.findall(r"`((?:vgs_lib|tests|notebooks|results)/[\w/.]+)`", TEXT):
        assert (ROOT / name).exists() or "NAME" in name, name
    for target in re.findall(r"\]\((?!http)([^)#]+)", TEXT):
        assert (ROOT / target).exists(), target
