"""Written captions become recordings and a table that the folder scan takes."""

import numpy as np
import pytest
from PIL import Image
from tiny_stamps import tone

from vgs_lib.data import spoken_captions
from vgs_lib.data.folder import scan_folder
from vgs_lib.data.spoken_captions import checked_text, choices, say, speak_captions
from vgs_lib.data.voices import VOICES
from vgs_lib.errors import DataError


@pytest.fixture
def fake_voices(monkeypatch):
    """Voices that say any text as a note, longer for a longer text."""
    monkeypatch.setattr(spoken_captions, "speaker", lambda voice: lambda text: tone(0.1 + len(text) / 100))


@pytest.fixture
def place(tmp_path):
    (tmp_path / "pets").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "pets/cat.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "bus.png")
    return tmp_path


def test_each_picture_is_said_by_each_voice_and_the_folder_becomes_pairs(fake_voices, place):
    steps = []
    texts = {"pets/cat.png": 'a "black"  cat, asleep', "bus.png": "a bus"}
    table = speak_captions(
        texts, place, ["flite-slt", "flite-rms"], said=lambda done, total: steps.append((done, total))
    )
    assert table == place / "captions.csv" and steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    scan = scan_folder(place)
    assert not scan.problems and len(scan.entries) == 4
    first = scan.entries[0]
    assert (first.image, first.audio) == ("pets/cat.png", "pets/cat-flite-slt.wav")
    assert (first.text, first.speaker, first.language) == ('a "black" cat, asleep', "flite-slt", "en")
    assert first.seconds == pytest.approx(0.1 + len(first.text) / 100, abs=0.001)


@pytest.mark.parametrize(
    ("texts", "voices", "found"),
    [
        ({"cow.png": "a cow"}, ["flite-slt"], "no such picture"),
        ({"../bus.png": "a bus"}, ["flite-slt"], "no such picture"),
        ({"bus.png": " ?! "}, ["flite-slt"], "expected words"),
        ({"bus.png": "a bus"}, ["nobody"], "no voice is called"),
        ({"bus.png": "a bus"}, [], "at least one"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_said(fake_voices, place, texts, voices, found):
    with pytest.raises(DataError, match=found):
        speak_captions(texts, place, voices)
    assert not list(place.rglob("*.wav")) and not (place / "captions.csv").exists()


def test_texts_are_checked():
    assert checked_text("  a\n red   bus ") == "a red bus"
    with pytest.raises(DataError, match="at most 500"):
        checked_text("bus " * 200)


def test_missing_programs_are_named_and_what_to_install(monkeypatch):
    monkeypatch.setattr(spoken_captions, "engine_available", lambda engine: engine != "flite")
    by_name = {choice.name: choice for choice in choices()}
    assert len(by_name) == len(VOICES) and not by_name["piper-joe"].missing
    assert "apt-get install flite" in by_name["flite-slt"].missing


def test_a_real_voice_speaks():
    waveform = say("a red  bus", "flite-rms")
    assert 0.3 < len(waveform) / 16000 < 3 and np.abs(waveform).max() == pytest.approx(0.7, abs=1e-3)
