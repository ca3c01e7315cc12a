"""The page for contributors: its code runs, and what it names is there."""

import re
from pathlib import Path

import pytest
import test_speech_encoders as promises
import torch

from vgs_lib.checkpoints import load_model, save_model
from vgs_lib.data.loading import Batch
from vgs_lib.recipes import AUDIO_ENCODERS
from vgs_lib.training import FinishedEvent, FitSettings, fit

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


def test_the_encoder_promises_what_all_do(written, monkeypatch):
    monkeypatch.setitem(promises.ENCODERS, "pieces", lambda: written["Pieces"](dim=12, width=1 / 64))
    make = lambda: promises.ENCODERS["pieces"]().double()
    torch.manual_seed(0)
    promises.test_shapes_and_attributes(make())
    for training in (False, True):
        promises.test_padding_changes_neither_values_nor_gradients(make(), training)
    promises.test_a_caption_alone_equals_it_in_a_batch(make())
    for num_frames in (1, 15, 17):
        promises.test_short_captions(make(), num_frames)
    promises.test_lengths_are_checked(make())
    promises.test_a_few_steps_reduce_a_loss("pieces")
    promises.test_half_precision_by_autocast("pieces")


def test_the_system_trains_and_is_saved_like_all_others(written, tmp_path):
    model, mine = written["model"], written["mine"]
    assert model.seconds_per_frame == pytest.approx(0.16) and model.frame_lag == pytest.approx(0.005)
    pictures, waveforms = torch.rand(2, 3, 64, 64), [torch.randn(16000), torch.randn(9000)]
    features, lengths = model.audio_encoder.front_end(waveforms)
    batch = Batch((pictures,), features, lengths)
    events = list(fit(model, [batch], mine.loss, FitSettings(steps=1)))
    assert isinstance(events[-1], FinishedEvent)
    scaled = written["scaled"](mine, written["Scale"](width=0.25, dim=256, pictures="lite0"))
    save_model(model.eval(), scaled, tmp_path / "mine")
    again = load_model(tmp_path / "mine").eval()
    with torch.no_grad():
        scores = [m.score(m.embed_image(pictures), *m.embed_waveforms(waveforms)) for m in (model, again)]
    assert torch.equal(*scores) and scores[0].shape == (2, 2)


def test_what_the_page_names_is_there():
    paths = re.findall(r"(?<![\w/])((?:vgs_lib|tests|notebooks|results)/[\w/.]+\w)", TEXT)
    assert len(paths) > 15
    for path in paths:
        assert (ROOT / path).exists() or "NAME" in path, path
    known = "\n".join(p.read_text(encoding="utf-8") for d in ("vgs_lib", "tests") for p in (ROOT / d).rglob("*.py"))
    for name in re.findall(r"`([A-Za-z_]\w{4,})`", TEXT):  # classes, functions, dictionaries, arguments
        assert re.search(rf"\b{name}\b", known), name
    for module in re.findall(r"`(vgs_lib(?:\.\w+)+)`", TEXT):
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists(), module
