"""Films of matchmaps, decoded again: picture and sound are in step, and a file is whole or not there."""

import dataclasses

import av
import numpy as np
import pytest
import toy_tour as toy
from PIL import Image

from vgs_lib.clock import Clock
from vgs_lib.errors import AudioError, ImageError, VideoError
from vgs_lib.figures.film import embedded, export, export_prompt
from vgs_lib.figures.film_frames import FilmFrames, heat_at
from vgs_lib.prompting import Prompter
from vgs_lib.viz import overlay
from vgs_lib.widgets import Word

PICTURE = toy.scene("one", {"red": (0.25, 0.25), "blue": (0.75, 0.75)})
WORDS = toy.words("red", "blue")


@pytest.fixture(scope="module")
def prompt():
    prompter = Prompter(toy.ToyModel(), heat_range=(0.0, 0.5))
    prompter.add_pictures([PICTURE.id], [PICTURE.load()])
    return prompter.prompt(toy.say("red", "blue"), toy.RATE)


def decode(path) -> tuple[list[tuple[float, np.ndarray]], float, np.ndarray]:
    """(seconds, pixels) of each frame, the second at which the sound begins, and its samples at 48 kHz."""
    with av.open(str(path)) as container:
        pictures = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        sounds = [(frame.time, frame.to_ndarray()[0]) for frame in container.decode(audio=0)]
    return pictures, sounds[0][0], np.concatenate([samples for _, samples in sounds])


def lit(pixels: np.ndarray, mask: np.ndarray, size: tuple[int, int]) -> float:
    """How bright the picture is on a mask: heat covers bright colours over dark ones."""
    place = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    return float(pixels[: size[1]][place].mean())


def peak_times(film, pictures, masks) -> dict[str, float]:
    """The second of the frame in which each mask is brightest."""
    seconds = [time for time, _ in pictures]
    brightness = {name: [lit(p, mask, film.picture_size) for _, p in pictures] for name, mask in masks.items()}
    return {name: seconds[int(np.argmax(values))] for name, values in brightness.items()}


@pytest.mark.parametrize("rate", [25, 12])
def test_each_thing_is_brightest_while_its_word_is_heard(prompt, tmp_path, rate):
    film = export_prompt(tmp_path / "toy.mp4", prompt, PICTURE.load(), words=WORDS, frames_per_second=rate)
    pictures, _, _ = decode(film.path)
    peaks = peak_times(film, pictures, PICTURE.masks)
    for word in WORDS:
        assert word.start <= peaks[word.text] < word.end
    assert len(pictures) == film.num_frames == int(np.ceil(prompt.duration * rate - 1e-6))
    assert pictures[0][0] == 0 and pictures[1][0] == pytest.approx(1 / rate, abs=1e-4)


@pytest.mark.parametrize("rate", [25, 12])
def test_frames_that_lag_are_brightest_while_their_word_is_heard(tmp_path, rate):
    prompter = Prompter(toy.LateModel(), heat_range=(0.0, 0.5))
    prompter.add_pictures([PICTURE.id], [PICTURE.load()])
    prompt = prompter.prompt(toy.say_late(), toy.RATE)
    film = export_prompt(tmp_path / "late.mp4", prompt, PICTURE.load(), frames_per_second=rate)
    pictures, _, _ = decode(film.path)
    peaks = peak_times(film, pictures, PICTURE.masks)
    for word in toy.LATE_WORDS:  # no longer than one frame of the model
        assert word.start <= peaks[word.text] < word.end
        assert peaks[word.text] + 0.5 / rate == pytest.approx((word.start + word.end) / 2, abs=0.5 / rate + 0.011)


def test_the_light_changes_within_one_output_frame_of_the_sound(tmp_path):
    """Heat that jumps at 0.5 s and a click at 0.5 s, both found again in the file."""
    step, rate = 0.01, 25
    heat = np.zeros((100, 4, 4), np.float32)
    heat[50:] = 1
    sound = np.zeros(16000, np.float32)
    sound[8000:8160] = np.sin(2 * np.pi * 1000 * np.arange(160) / 16000)
    grey = np.full((64, 64, 3), 120, np.uint8)
    film = export(tmp_path / "click.mp4", heat, grey, sound, clock=Clock(step), frames_per_second=rate, longest=64)
    pictures, begins, samples = decode(film.path)
    brightness = [pixels[:64].mean() for _, pixels in pictures]
    middle = (min(brightness) + max(brightness)) / 2
    jump = pictures[int(np.argmax(np.array(brightness) > middle))][0]
    assert abs(jump - 0.5) <= 1 / rate
    assert begins == 0
    loud = np.abs(samples) > 0.3 * np.abs(samples).max()
    assert np.argmax(loud) / 48000 == pytest.approx(0.5, abs=0.005)  # encoders' delay is taken off


def test_the_sound_is_the_whole_waveform(prompt, tmp_path):
    film = export_prompt(tmp_path / "toy.mp4", prompt, PICTURE.load())
    _, begins, samples = decode(film.path)
    assert begins == 0 and len(samples) / 48000 == pytest.approx(prompt.duration, abs=0.03)
    power = lambda part: np.abs(np.fft.rfft(samples[int(part.start * 48000) : int(part.end * 48000)]))
    for word in WORDS:
        spectrum = power(word)
        assert np.argmax(spectrum) * 48000 / (2 * (len(spectrum) - 1)) == pytest.approx(toy.TONES[word.text], rel=0.02)


def test_heat_between_frames_is_linear():
    heat = np.array([[[0.0]], [[1.0]], [[0.5]]])
    assert [heat_at(heat, t, Clock(0.1))[0, 0] for t in (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 9)] == pytest.approx(
        [0, 0, 0.5, 1, 0.75, 0.5, 0.5]
    )


def frames(**changes) -> FilmFrames:
    options = {
        "clock": Clock(0.5),
        "duration": 1.0,
        "heat_range": (2.0, 4.0),
        "words": (Word("one", 0, 0.5),),
        "longest": 101,
        "opacity": 0.75,
        "cut": 0.0,
    }
    heat = np.array([[[1.0, 0.4]], [[0.0, 0.0]]], np.float32)
    return FilmFrames(heat, np.full((50, 100, 3), 120, np.uint8), **(options | changes))


def test_a_frame_is_the_overlay_over_a_footer_of_even_sides():
    film = frames()
    width, height = film.picture_size
    assert (width % 2, height % 2, film.size[1] % 2) == (0, 0, 0) and abs(width - 101) <= 1 and height == width // 2
    frame = film.at(0.25)
    assert frame.shape == (film.size[1], film.size[0], 3)
    np.testing.assert_array_equal(frame[:height], overlay(film.picture, film.heat[0], opacity=0.75))
    with_word, without = frame[height : height + 20], film.at(0.75)[height : height + 20]
    assert (with_word[:, : width // 2] < 128).any() and not (without[:, : width // 2] < 128).any()


def test_under_the_threshold_nothing_is_lit(prompt, tmp_path):
    width, height = frames().picture_size
    cut = frames(cut=0.5).at(0.25)[:height]
    cold = overlay(frames().picture, np.zeros((1, 2)), opacity=0.75)
    np.testing.assert_array_equal(cut[:, -width // 4 :], cold[:, -width // 4 :])
    assert (cut[:, : width // 4] != cold[:, : width // 4]).any()
    options = {"frames_per_second": 5, "longest": 64}
    film = export_prompt(tmp_path / "cold.mp4", prompt, PICTURE.load(), threshold=0.6, **options)  # above the range
    brightness = [lit(p, PICTURE.masks["red"], film.picture_size) for _, p in decode(film.path)[0]]
    assert max(brightness) - min(brightness) < 3


def test_progress_and_stopping(prompt, tmp_path):
    seen = []
    options = {"frames_per_second": 5, "longest": 64}
    film = export_prompt(tmp_path / "a.mp4", prompt, PICTURE.load(), progress=lambda *now: seen.append(now), **options)
    assert seen == [(i + 1, film.num_frames) for i in range(film.num_frames)]
    stopped = export_prompt(tmp_path / "b.mp4", prompt, PICTURE.load(), should_stop=lambda: len(seen) > 2, **options)
    assert stopped is None and [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_a_failure_leaves_the_old_file_and_no_other(prompt, tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")

    def fail(self, seconds):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FilmFrames, "at", fail)
    with pytest.raises(VideoError, match=r"a\.mp4: cannot be written .*No space"):
        export_prompt(path, prompt, PICTURE.load())
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_another_encoder_takes_the_place_of_a_missing_one(prompt, tmp_path, monkeypatch):
    monkeypatch.setattr("vgs_lib.figures.film.VIDEO_ENCODERS", ("no such one", "mpeg4"))
    monkeypatch.setattr("vgs_lib.figures.film.AUDIO_ENCODERS", ("no such one", "libmp3lame"))
    film = export_prompt(tmp_path / "a.mp4", prompt, PICTURE.load(), frames_per_second=10, longest=96)
    assert (film.video_encoder, film.audio_encoder) == ("mpeg4", "libmp3lame")
    pictures, begins, samples = decode(film.path)
    assert begins == pytest.approx(0, abs=0.05) and len(pictures) == film.num_frames and np.abs(samples).max() > 0.3
    monkeypatch.setattr("vgs_lib.figures.film.VIDEO_ENCODERS", ("no such one",))
    with pytest.raises(VideoError, match="video encoders no such one; install"):
        export_prompt(tmp_path / "b.mp4", prompt, PICTURE.load())


def test_paths_that_cannot_be_written_are_named(prompt, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.mp4").mkdir()
    for path, says in [
        (tmp_path / "a.avi", "expected .mp4"),
        (tmp_path / "none" / "a.mp4", "there is no folder"),
        (tmp_path / "file" / "a.mp4", "there is no folder"),
        (tmp_path / "folder.mp4", "this is a folder"),
    ]:
        with pytest.raises(VideoError, match=says):
            export_prompt(path, prompt, PICTURE.load())


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"heat": np.zeros((2, 2))}, VideoError, r"shape \[2, 2\], expected \[T, H, W\]"),
        ({"heat": np.full((2, 2, 2), 1.5)}, VideoError, "values from 0 to 1"),
        ({"heat": np.full((2, 2, 2), np.nan)}, VideoError, "values from 0 to 1"),
        ({"frames_per_second": 0}, VideoError, "frames_per_second"),
        ({"frames_per_second": 12.5}, VideoError, "frames_per_second"),
        ({"heat_range": (1.0, 1.0)}, VideoError, "heat_range"),
        ({"picture": np.zeros((4, 4, 3))}, ImageError, "expected uint8"),
        ({"waveform": np.zeros(0)}, AudioError, "waveform"),
        ({"waveform": np.full(100, np.inf)}, AudioError, "finite"),
        ({"waveform": np.zeros((2, 100))}, AudioError, r"expected \[N\]"),
    ],
)
def test_wrong_input_is_named(change, error, says, tmp_path):
    given = {
        "heat": np.zeros((2, 2, 2)),
        "picture": np.zeros((4, 4, 3), np.uint8),
        "waveform": np.zeros(1600),
        "clock": Clock(0.05),
    } | change
    with pytest.raises(error, match=says):
        export(tmp_path / "a.mp4", given.pop("heat"), given.pop("picture"), given.pop("waveform"), **given)
    assert not list(tmp_path.iterdir())


def test_a_video_in_a_notebook_has_a_description_and_is_small(prompt, tmp_path, monkeypatch):
    film = export_prompt(tmp_path / "a.mp4", prompt, PICTURE.load(), frames_per_second=5, longest=64)
    html = embedded(film, 'red says "I am here"')._repr_html_()
    assert "controls" in html and "red says &quot;I am here&quot;" in html and "data:video/mp4;base64" in html
    monkeypatch.setattr("vgs_lib.figures.film.MAX_EMBEDDED", film.path.stat().st_size - 1)
    with pytest.raises(VideoError, match="too many to store in a notebook"):
        embedded(dataclasses.replace(film), "red")


@pytest.mark.slow
def test_a_real_word_is_brightest_in_its_time(tmp_path):
    from vgs_lib.checkpoints import load_model, read_config
    from vgs_lib.data.scenes import Scenes
    from vgs_lib.data.stamps import Stamps

    scene = Scenes(Stamps.open(), "test", size=448)[15]  # a marmot, a carrot, a fishery and a penguin
    prompter = Prompter(load_model("stamps-demo"), heat_range=read_config("stamps-demo")["extra"]["heat_range"])
    prompter.add_pictures(["scene"], [scene.picture])
    film = export_prompt(tmp_path / "real.mp4", prompter.prompt(scene.waveform, 16000), scene.picture)
    pictures, begins, _ = decode(film.path)
    peaks = peak_times(film, pictures, {thing.text: thing.mask for thing in scene.objects})
    assert begins == 0 and len(peaks) == 4
    for word in scene.words:
        assert word.start <= peaks[word.text] < word.end
