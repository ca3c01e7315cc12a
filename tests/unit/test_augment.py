"""Augmentation: what each change keeps (length, onset, words' times) and what it does, measured."""

import dataclasses

import numpy as np
import pytest

from vgs_lib.data.augment import (
    Augmentation,
    change_pitch,
    change_speed,
    colour,
    narrow_band,
    reverberate,
    with_noise,
)

RATE = 16000
NOTHING = Augmentation(
    speed_chance=0,
    pitch_chance=0,
    gain_db=(0, 0),
    noise_chance=0,
    reverberation_chance=0,
    filter_chance=0,
    narrow_band_chance=0,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def tone(frequency, seconds=1.0):
    return (0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def click(at, length=RATE):
    sound = np.zeros(length, np.float32)
    sound[at] = 1.0
    return sound


def burst(at, length=RATE, seconds=0.05):
    """Noise from sample ``at`` on, and silence before."""
    sound = np.zeros(length, np.float32)
    sound[at : at + round(seconds * RATE)] = rng(9).standard_normal(round(seconds * RATE)) * 0.2
    return sound


def loudest_frequency(sound):
    windowed = sound * np.hanning(len(sound))
    return np.fft.rfftfreq(len(sound), 1 / RATE)[np.abs(np.fft.rfft(windowed)).argmax()]


def band_db(sound, low, high):
    """The energy between two frequencies in Hz, in dB."""
    power = np.abs(np.fft.rfft(sound.astype(np.float64))) ** 2
    frequency = np.fft.rfftfreq(len(sound), 1 / RATE)
    return 10 * np.log10(power[(frequency >= low) & (frequency < high)].sum() + 1e-20)


@pytest.mark.parametrize("factor", [0.85, 0.93, 1.0, 1.1, 1.18])
@pytest.mark.parametrize("at", [800, 8000, 15000])
def test_speed_moves_a_click_by_the_factor_that_it_returns(factor, at):
    sound, used = change_speed(click(at), factor)
    assert used == pytest.approx(factor, abs=0.0063)  # a factor that the resampler takes
    assert abs(int(np.abs(sound).argmax()) - at / used) <= 1
    assert abs(len(sound) - RATE / used) <= 1
    assert sound.dtype == np.float32


def test_speed_moves_the_pitch_too():
    sound, used = change_speed(tone(500), 1.2)
    assert loudest_frequency(sound[2000:-2000]) == pytest.approx(500 * used, rel=0.01)


@pytest.mark.parametrize("factor", [0.85, 0.95, 1.1, 1.2])
def test_pitch_moves_and_time_does_not(factor):
    assert loudest_frequency(change_pitch(tone(500), factor)[2000:-2000]) == pytest.approx(500 * factor, rel=0.02)
    for at in (1600, 8000, 12000):
        sound = change_pitch(burst(at), factor)
        assert len(sound) == RATE and sound.dtype == np.float32
        level = np.convolve(sound**2, np.ones(160) / 160, mode="same")
        onset = np.flatnonzero(level > 0.1 * level.max())[0]
        assert abs(onset - at) < 0.02 * RATE


@pytest.mark.parametrize("length", [1600, 1601, 4000, 31999])
def test_what_keeps_time_keeps_the_number_of_samples(length):
    sound = burst(200, length, 0.05)
    changed = {
        "pitch": change_pitch(sound, 1.13),
        "room": reverberate(sound, rng(), seconds=0.4),
        "microphone": colour(sound, rng()),
        "noise": with_noise(sound, rng(), snr_db=10),
        "band": narrow_band(sound),
    }
    for name, one in changed.items():
        assert one.shape == (length,) and one.dtype == np.float32 and np.isfinite(one).all(), name


@pytest.mark.parametrize("seconds", [0.08, 0.3, 0.5])
def test_a_room_keeps_the_onset_and_decays_by_60_db(seconds):
    at = 1000
    sound = reverberate(click(at), rng(3), seconds=seconds)
    np.testing.assert_allclose(sound[:at], 0, atol=1e-6)
    assert sound[at] == pytest.approx(1.0, abs=1e-5)
    tail = sound[at + 1 :].astype(np.float64)
    np.testing.assert_allclose(tail[:46], 0, atol=1e-6)  # nothing in the first 3 ms
    assert 0.2 <= np.sqrt((tail**2).sum()) <= 0.8
    np.testing.assert_allclose(tail[round(seconds * RATE) :], 0, atol=1e-6)
    # In dB the tail falls along a line: between 10 % and 90 % of it, that is 48 dB.
    share = round(0.05 * seconds * RATE)
    early = tail[share : 3 * share].std()
    late = tail[-3 * share + round(seconds * RATE) : round(seconds * RATE) - share].std()
    assert 20 * np.log10(early / late) == pytest.approx(48, abs=3)


def test_a_microphone_moves_nothing_and_stays_within_12_db():
    responses = []
    for seed in range(20):
        sound = colour(click(4000), rng(seed))
        assert int(np.abs(sound).argmax()) == 4000
        np.testing.assert_allclose(sound[3936:4000], sound[4064:4000:-1], atol=1e-6)  # linear phase
        response = 20 * np.log10(np.abs(np.fft.rfft(sound)) + 1e-9)
        assert response.max() < 12.5 and response[50:-50].min() > -13.5
        assert response[1000] == pytest.approx(0, abs=1)  # 1 kHz is the reference
        responses.append(response)
    assert np.std([r[6000] for r in responses]) > 2  # they differ at 6 kHz


@pytest.mark.parametrize("snr", [5.0, 20.0, 35.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_noise_has_the_ratio_that_was_asked_for(snr, seed):
    speech = tone(300, 2.0) + tone(1200, 2.0)
    noise = with_noise(speech, rng(seed), snr_db=snr).astype(np.float64) - speech
    found = 10 * np.log10((speech.astype(np.float64) ** 2).mean() / (noise**2).mean())
    assert found == pytest.approx(snr, abs=0.1)
    assert abs(noise.mean()) < noise.std()


def test_noise_is_white_to_brown():
    slopes = []
    for seed in range(20):
        noise = with_noise(tone(1000, 2.0), rng(seed), snr_db=0) - tone(1000, 2.0)
        # Octaves; white noise gains 3 dB from one to the next, pink gains none, brown loses 3 dB.
        slopes.append((band_db(noise, 3200, 6400) - band_db(noise, 200, 400)) / 4)
    assert min(slopes) > -4 and max(slopes) < 4
    assert min(slopes) < -1.5 and max(slopes) > 1.5


def test_noise_on_silence_stays_silence():
    np.testing.assert_array_equal(with_noise(np.zeros(1600, np.float32), rng(), snr_db=5), np.zeros(1600))


def test_the_narrow_band_ends_at_4_khz():
    white = (rng().standard_normal(4 * RATE) * 0.1).astype(np.float32)
    narrow = narrow_band(white)
    assert band_db(narrow, 4300, 8000) < band_db(white, 4300, 8000) - 25
    assert band_db(narrow, 5000, 8000) < band_db(white, 5000, 8000) - 40
    assert band_db(narrow, 50, 3400) == pytest.approx(band_db(white, 50, 3400), abs=0.3)
    assert int(np.abs(narrow_band(click(5000))).argmax()) == 5000


def test_nothing_at_all_only_sets_the_level():
    sound = burst(1000)
    changed, factor = NOTHING(sound, rng())
    assert factor == 1.0 and changed.dtype == np.float32
    np.testing.assert_allclose(changed, sound * 0.9 / np.abs(sound).max(), rtol=1e-5)
    quieter, _ = dataclasses.replace(NOTHING, gain_db=(-18, -18))(sound, rng())
    assert np.abs(quieter).max() == pytest.approx(0.9 * 10 ** (-18 / 20), rel=1e-4)


def test_all_of_it_is_a_function_of_the_generator():
    sound = burst(1000, 20000)
    strong = Augmentation(
        speed_chance=1, pitch_chance=1, noise_chance=1, reverberation_chance=1, filter_chance=1, narrow_band_chance=1
    )
    before = sound.copy()
    first, factor = strong(sound, rng(5))
    again, same = strong(sound, rng(5))
    np.testing.assert_array_equal(first, again)
    assert factor == same and 0.84 < factor < 1.19
    other, _ = strong(sound, rng(6))
    assert other.shape != first.shape or not np.array_equal(other, first)
    np.testing.assert_array_equal(sound, before)  # the clip that was given is left alone
    assert np.isfinite(first).all() and np.abs(first).max() <= 0.9 + 1e-6


def test_the_factor_tells_where_a_word_has_gone():
    """Whatever else happens, an onset at t is heard at t / factor, within a hundredth of a second."""
    found = []
    for seed in range(12):
        sound, factor = dataclasses.replace(Augmentation(), noise_chance=0, speed_chance=1)(burst(8000), rng(seed))
        level = np.convolve(sound**2, np.ones(80) / 80, mode="same")
        onset = np.flatnonzero(level > 0.05 * level.max())[0]
        assert abs(onset - 8000 / factor) < 0.015 * RATE
        found.append(factor)
    assert max(found) - min(found) > 0.1


def test_each_change_comes_as_often_as_its_chance():
    half = dataclasses.replace(NOTHING, speed_chance=0.5)
    factors = [half(burst(100, 1600), rng(seed))[1] for seed in range(200)]
    assert 70 < sum(f != 1.0 for f in factors) < 130
    assert all(0.84 < f < 1.19 for f in factors)


@pytest.mark.parametrize("length", [40, 3000])
def test_rooms_and_microphones_are_plain_convolutions(length):
    from vgs_lib.data.augment import _convolved

    sound, kernel = rng(1).standard_normal(length).astype(np.float32), rng(2).standard_normal(129)
    whole = np.convolve(sound.astype(np.float64), kernel)
    np.testing.assert_allclose(_convolved(sound, kernel), whole, atol=1e-9)
    np.testing.assert_allclose(_convolved(sound, kernel, "same"), whole[64 : 64 + length], atol=1e-9)
