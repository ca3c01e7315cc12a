"""Text to speech: trimming, level, rate and shift of voices, and clips that are made once and whole."""

import subprocess

import numpy as np
import pytest
import soundfile
from tiny_stamps import TEST, TRAIN, tone

from vgs_lib.data import speech, voices
from vgs_lib.data.speech import speak_all, speaker, trim
from vgs_lib.data.voices import VOICES, Voice, engine_available, slug, voice
from vgs_lib.errors import DataError

WORD = "a tall lighthouse"


def seconds(clip):
    return len(clip) / 16000


def centroid(clip):
    """The mean frequency in Hz of a clip's energy below 4 kHz."""
    power = np.abs(np.fft.rfft(clip)) ** 2
    frequency = np.fft.rfftfreq(len(clip), 1 / 16000)
    low = frequency < 4000
    return (power * frequency)[low].sum() / power[low].sum()


def test_trimming_keeps_the_word_and_a_fiftieth_of_a_second():
    word = tone(0.5)
    trimmed = trim(np.concatenate([np.zeros(8000, np.float32), word, np.zeros(4800, np.float32)]))
    assert abs(seconds(trimmed) - 0.54) <= 0.011
    start = np.flatnonzero(trimmed)[0]
    np.testing.assert_array_equal(trimmed[start : start + 7000], word[1:7001])  # the first sample of a tone is 0


def test_trimming_leaves_quiet_parts_inside_and_cuts_faint_noise_outside():
    word = np.concatenate([tone(0.2), np.zeros(3200, np.float32), tone(0.2)])
    hiss = 0.3 * 10 ** (-50 / 20) * np.ones(4800, np.float32)
    assert abs(seconds(trim(np.concatenate([hiss, word, hiss]))) - 0.64) <= 0.011
    assert len(trim(np.concatenate([hiss, word, hiss]), floor_db=-60)) == len(word) + 2 * len(hiss)


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 1000])
def test_trimming_silence_or_very_little_changes_nothing(samples):
    silence = np.zeros(samples, np.float32)
    np.testing.assert_array_equal(trim(silence), silence)


@pytest.mark.parametrize("one", [TRAIN, TEST])
def test_a_clip_is_16k_of_one_level_and_always_the_same(one):
    speak = speaker(one)
    clip = speak(WORD)
    assert clip.dtype == np.float32 and clip.ndim == 1 and 0.4 < seconds(clip) < 2.0
    assert np.abs(clip).max() == pytest.approx(0.7, abs=1e-4)
    np.testing.assert_array_equal(speaker(one)(WORD), clip)
    assert len(speak("an owl")) < len(clip)


@pytest.mark.parametrize(("engine", "setting"), [("espeak-ng", "en-us"), ("flite", "slt")])
def test_a_shift_moves_the_formants_and_not_the_rate_of_speaking(engine, setting):
    plain = speaker(Voice("plain", engine, setting, "train"))(WORD)
    high = speaker(Voice("high", engine, setting, "train", shift=1.25))(WORD)
    assert seconds(high) == pytest.approx(seconds(plain), rel=0.12)
    assert centroid(high) > 1.08 * centroid(plain)


@pytest.mark.parametrize(("engine", "setting"), [("espeak-ng", "en-us"), ("flite", "slt")])
def test_a_rate_below_one_speaks_slower(engine, setting):
    plain = speaker(Voice("plain", engine, setting, "train"))(WORD)
    slow = speaker(Voice("slow", engine, setting, "train", rate=0.7))(WORD)
    assert 1.2 < seconds(slow) / seconds(plain) < 1.6


def test_piper_says_the_same_thing_the_same_way():
    """piper is a package of requirements.txt, not a program."""
    first, again, other = (speaker(voice(name)) for name in ("piper-joe", "piper-joe", "piper-joe-high"))
    clips = [first(text) for text in ("an owl", "a cat")]
    for clip, text in zip(clips, ("an owl", "a cat"), strict=True):
        np.testing.assert_array_equal(again(text), clip)
    assert not np.array_equal(other("an owl"), clips[0])


def test_a_voice_or_engine_that_is_missing_is_named(monkeypatch):
    with pytest.raises(DataError, match="'tiny-robot'; there are piper-joe, "):
        voice("tiny-robot")
    monkeypatch.setattr(voices.shutil, "which", lambda program: None)
    with pytest.raises(DataError, match="tiny-flite needs flite, which is not installed: apt-get install flite"):
        speaker(TEST)


@pytest.mark.parametrize(
    ("engine", "setting"),
    [("espeak-ng", "en-zz"), ("espeak-ng", "en-us+Nobody"), ("espeak-ng", "m3"), ("flite", "zz"), ("flite", "")],
)
def test_an_engine_without_that_voice_does_not_speak_with_another(engine, setting):
    """Both programs say nothing and take their default voice, so one speaker could end up in two splits."""
    with pytest.raises(DataError, match=f"{engine}.*{setting.split('+')[-1]}"):
        speaker(Voice("x", engine, setting, "train"))("a cat")


def test_a_program_is_asked_for_its_voices_once(monkeypatch):
    asked = []
    real = subprocess.run

    def counted(command, **options):
        asked.append(tuple(command))
        return real(command, **options)

    monkeypatch.setattr(speech.subprocess, "run", counted)
    speech._listed.cache_clear()
    for setting in ("en-us", "en-us+m3", "en-gb+Annie", "EN-US"):
        speaker(Voice("x", "espeak-ng", setting, "train"))
    for setting in ("slt", "rms"):
        speaker(Voice("x", "flite", setting, "train"))
    listings = [("espeak-ng", "--voices"), ("espeak-ng", "--voices=variant"), ("flite", "-lv")]
    assert asked == listings


def test_no_two_voices_of_a_program_sound_the_same():
    clips = {}
    for one in VOICES:
        if one.engine != "piper":
            clips.setdefault(speaker(one)("a cat").tobytes(), []).append(one.name)
    assert [names for names in clips.values() if len(names) > 1] == []


def test_an_engine_that_says_nothing_is_reported(monkeypatch):
    monkeypatch.setitem(speech._SPEAKERS, "flite", lambda voice: lambda text: (np.zeros(4000, np.float32), 16000))
    with pytest.raises(DataError, match="tiny-flite said nothing for 'a cat'"):
        speaker(TEST)("a cat")


def test_a_voice_appears_when_complete_and_is_made_once(tmp_path, monkeypatch):
    told = []
    texts = ["a cat", "an owl", "a cat"]
    folder = tmp_path / TEST.name
    assert speak_all(TEST, texts, tmp_path, said=lambda: told.append(folder.exists())) == 2
    assert told == [False, False]
    assert {p.name for p in folder.iterdir()} == {f"{slug(t)}.flac" for t in texts}
    info = soundfile.info(folder / f"{slug('a cat')}.flac")
    assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
    assert list(tmp_path.iterdir()) == [folder]

    monkeypatch.setattr(speech, "speaker", lambda voice: pytest.fail("it was spoken again"))
    assert speak_all(TEST, texts, tmp_path) == 0


def test_a_voice_that_was_cut_off_or_lost_a_clip_is_made_whole(tmp_path):
    partial = tmp_path / f".{TEST.name}.partial"
    partial.mkdir()
    (partial / "old.flac").write_bytes(b"half")
    folder = tmp_path / TEST.name
    assert speak_all(TEST, ["a cat", "an owl"], tmp_path) == 2
    assert not partial.exists() and not (folder / "old.flac").exists()
    whole = (folder / f"{slug('an owl')}.flac").read_bytes()
    (folder / f"{slug('an owl')}.flac").unlink()
    assert speak_all(TEST, ["a cat", "an owl"], tmp_path) == 2
    assert (folder / f"{slug('an owl')}.flac").read_bytes() == whole
    speak_all(TEST, ["a cat", "an owl", "a cow"], tmp_path)  # a text that is new
    assert len(list(folder.iterdir())) == 3


def test_there_are_ten_voices_of_three_engines_and_the_test_voices_are_their_own():
    assert len({v.name for v in VOICES}) == len(VOICES) >= 10
    assert {v.engine for v in VOICES} == {"piper", "espeak-ng", "flite"}
    assert all(engine_available(v.engine) for v in VOICES), "install what .ci/run installs"
    parts = {split: [v for v in VOICES if v.split == split] for split in ("train", "validation", "test")}
    assert sum(map(len, parts.values())) == len(VOICES)
    assert len(parts["test"]) >= 2 and len(parts["validation"]) >= 2
    settings = {split: {(v.engine, v.setting) for v in part} for split, part in parts.items()}
    for split, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert settings[split].isdisjoint(settings[other]), "one speaker in two splits"


def test_slugs_are_file_names_that_do_not_collide():
    texts = ["a dog", "A dog", "a dog!", "a  dog", "ёж", "еж", "x" * 80, "x" * 81, "..", "a/b", "CON"]
    slugs = [slug(text) for text in texts]
    assert len({s.lower() for s in slugs}) == len(texts)
    for one in slugs:
        assert one.replace("_", "").replace("-", "").isalnum() and one.isascii() and len(one) < 60
