"""A folder of videos as pairs of a frame and its sound: small files made here, whose colour and tone tell the time."""

from dataclasses import replace
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from tiny_commands import check_refused

from vgs_lib.batches.videos import VideoBatches, VideoData, read_pair, video_pairs
from vgs_lib.commands import models
from vgs_lib.errors import DataError, TrainingError
from vgs_lib.recipes import Part, Recipe, build_model
from vgs_lib.studies.pretraining import Pretraining, beginning_of, keep_beginning, pretrain
from vgs_lib.training import FitSettings, StepEvent

RATE, FPS = 16000, 10
PLAN = Recipe(
    name="tiny",
    image=Part("small_pictures", {"size": 64, "width": 1 / 16, "dim": 8}),
    audio=Part("davenet", {"width": 1 / 32, "dim": 8}),
    initial="natural-sounds",
    fit=FitSettings(steps=9, checkpoint_every=2),
)


def film(path, *, seconds=4, sound=True, picture=True):
    """Second k shows gray 40 + 50 k and sounds at 400 (k + 1) Hz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        if picture:
            video = container.add_stream("mpeg4", rate=FPS)
            video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        if sound:
            audio = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for second in range(seconds):
            if picture:
                for _ in range(FPS):
                    gray = np.full((64, 96, 3), 40 + 50 * second, np.uint8)
                    container.mux(video.encode(av.VideoFrame.from_ndarray(gray, format="rgb24")))
            if sound:
                time = np.arange(RATE) / RATE
                tone = (8000 * np.sin(2 * np.pi * 400 * (second + 1) * time)).astype(np.int16)[None]
                block = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
                block.sample_rate, block.pts = RATE, second * RATE
                container.mux(audio.encode(block))
        for stream in container.streams:
            container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("films")
    for number in range(6):
        film(root / ("more" if number % 2 else "") / f"{number}.mkv", seconds=4 if number else 1)
    (root / "notes.txt").write_text("no film")
    return root


def hertz(sound):
    return np.abs(np.fft.rfft(sound)).argmax() * RATE / len(sound)


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("frame", [0.0, 0.4, 0.9])
def test_sound_and_frame_are_of_the_same_stretch(folder, place, frame):
    picture, sound = read_pair(folder / "2.mkv", place=place, frame=frame, seconds=1.0, size=48)
    start = 3 * place  # of the 3 s before the last possible begin
    assert picture.shape == (48, 48, 3) and picture.dtype == np.uint8 and sound.dtype == np.float32
    assert len(sound) == pytest.approx(RATE, abs=200)
    assert picture.mean() == pytest.approx(40 + 50 * int(start + frame + 1e-3), abs=6)
    half = sound[: RATE // 2 - 200] if place == 0.5 else sound
    assert hertz(half) == pytest.approx(400 * (int(start) + 1), abs=8)


def test_a_short_video_gives_what_it_has(folder):
    picture, sound = read_pair(folder / "0.mkv", place=0.7, frame=1.0, seconds=10.0, size=32)
    assert len(sound) == pytest.approx(RATE, abs=100) and hertz(sound) == pytest.approx(400, abs=4)
    assert picture.mean() == pytest.approx(40, abs=6)


def test_a_sound_that_ends_before_the_picture_is_found_at_any_place(tmp_path):
    path = tmp_path / "long.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=FPS)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        audio = container.add_stream("aac", rate=RATE, layout="mono")
        for number in range(6 * FPS):
            gray = np.full((64, 96, 3), number * 4, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(gray, format="rgb24")))
        tone = (0.3 * np.sin(2 * np.pi * 500 * np.arange(2 * RATE) / RATE)).astype(np.float32)[None]
        block = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        block.sample_rate, block.pts = RATE, 0
        container.mux(audio.encode(block))
        for stream in container.streams:
            container.mux(stream.encode(None))
    for place in (0.0, 0.9, 1.0):
        _, sound = read_pair(path, place=place, frame=0.5, seconds=1.0, size=32)
        assert len(sound) > 0.8 * RATE and hertz(sound[: RATE // 2]) == pytest.approx(500, abs=10)


def test_batches_are_a_function_of_the_step(folder):
    model, files = build_model(PLAN), video_pairs(folder, "all")
    data = VideoData(batch_size=3, seconds=0.5, size=64)
    one, other = VideoBatches(model, files, data), VideoBatches(model, files, data)
    first, again = one[4], other[4]
    assert torch.equal(first.image[0], again.image[0]) and torch.equal(first.audio, again.audio)
    assert first.image[0].shape == (3, 3, 64, 64) and first.image[0].dtype == torch.uint8
    assert first.audio.shape[1] == 40 and first.audio_lengths.tolist() == [51] * 3 and not first.image_is_features
    names = [[file.name for file, *_ in one._chosen(step)] for step in (0, 1)]
    assert sorted(names[0] + names[1]) == [f"{n}.mkv" for n in range(6)]  # each once
    assert one.settings == other.settings != VideoBatches(model, files[1:], data).settings


def test_a_fifth_is_held_out_by_name(folder):
    parts = {split: video_pairs(folder, split) for split in ("train", "validation", "all")}
    assert [f.name for f in parts["all"]] == ["0.mkv", "2.mkv", "4.mkv", "1.mkv", "3.mkv", "5.mkv"]
    assert len(parts["train"]) == 4 and len(parts["validation"]) == 2  # every fifth of six, from the first
    assert sorted(parts["train"] + parts["validation"]) == sorted(parts["all"])
    with pytest.raises(DataError, match="no split of videos is called 'test'"):
        video_pairs(folder, "test")


def test_train_takes_a_folder_of_videos(folder, home, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VGS_HOME", str(home.parent))
    chosen = SimpleNamespace(recipe="harwath2019-misa-sounds", manifest=None, videos=folder)
    pretraining = models._study(chosen).pretraining
    assert pretraining.videos == str(folder) and pretraining.video_data.batch_size == 4  # of six, two are held out
    said = "begins with natural sounds; name one of harwath2019-sisa-sounds"
    for others in (("harwath2019-misa",), ("stamps-demo",), ("harwath2019-misa-sounds", "--manifest", tmp_path)):
        check_refused(capsys, ("train", *others, "--videos", folder), "--videos: found", said)
    (tmp_path / "none").mkdir()
    refused = ("train", "harwath2019-misa-sounds", "--videos", tmp_path / "none")
    check_refused(capsys, refused, tmp_path / "none", "found 0 videos", ".mp4", "every fifth")
    refused = ("train", "harwath2019-misa-sounds", "--videos", tmp_path / "nowhere")
    check_refused(capsys, refused, tmp_path / "nowhere", "expected a folder of videos")


def test_a_run_goes_on_with_what_it_was_pre_trained_on(folder, home, tmp_path, capsys, monkeypatch):
    """Other pairs are refused before anything is pre-trained, whether videos were forgotten, added or new."""
    monkeypatch.setenv("VGS_HOME", str(home.parent))
    monkeypatch.setenv("VGS_RUNS", str(tmp_path / "runs"))
    plan = replace(PLAN, name="harwath2019-misa-sounds")
    on_films, on_sounds = Pretraining(videos=str(folder)), Pretraining()
    assert beginning_of(replace(plan, initial=""), on_films) == {}
    ours, theirs = beginning_of(plan, on_films), beginning_of(plan, on_sounds)
    assert ours["pairs"].startswith("4 videos (") and theirs["pairs"] == "natural sounds of Spoken Stamps"
    assert beginning_of(replace(plan, initial="sound-classes"), on_films)["pairs"] == theirs["pairs"]
    out = tmp_path / "out"
    keep_beginning(out, theirs, write=False)
    assert not out.exists()
    keep_beginning(out, theirs)
    keep_beginning(out, theirs)
    train = ("train", "harwath2019-misa-sounds", "--out", out)
    said = ("natural sounds of Spoken Stamps for 600 steps", "4 videos", "the same --videos")
    check_refused(capsys, (*train, "--videos", folder), out, *said)
    assert not (tmp_path / "runs").exists()
    (out / "beginning.json").write_text("[]")
    check_refused(capsys, train, out / "beginning.json", "damaged", "delete it to go on")


def test_encoders_are_pre_trained_on_a_folder(folder, home, tmp_path, monkeypatch):
    from vgs_lib.data.stamps import Stamps

    monkeypatch.setenv("VGS_RUNS", str(tmp_path / "runs"))
    films = Pretraining(steps=2, videos=str(folder), video_data=VideoData(batch_size=3, seconds=0.5, size=64))
    steps = [e.step for e in pretrain(PLAN, Stamps.open(home), films) if isinstance(e, StepEvent)]
    assert steps == [1, 2] and len(list((tmp_path / "runs/pretraining").glob("*/encoders.safetensors"))) == 1


def test_what_is_no_pair_is_said_by_name(folder, tmp_path):
    read = lambda file: read_pair(file, place=0.0, frame=0.0, seconds=1.0, size=32)
    with pytest.raises(DataError, match=r"mute\.mkv: this video has no sound"):
        read(film(tmp_path / "mute.mkv", sound=False))
    with pytest.raises(DataError, match=r"dark\.mkv: this video has no picture"):
        read(film(tmp_path / "dark.mkv", picture=False))
    (tmp_path / "torn.mp4").write_bytes(b"nothing at all")
    with pytest.raises(DataError, match=r"torn\.mp4: cannot be read as a video"):
        read(tmp_path / "torn.mp4")
    with pytest.raises(DataError, match="nowhere: expected a folder of videos, found none"):
        video_pairs(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="found 0 videos of the split 'train', expected 2 or more"):
        video_pairs(tmp_path / "empty")
    with pytest.raises(TrainingError, match="batch_size: found 64, but there are 6 videos"):
        VideoBatches(build_model(PLAN), video_pairs(folder, "all"), VideoData())
    for wrong in ({"batch_size": 1}, {"seconds": 0.0}, {"size": 8}):
        with pytest.raises(TrainingError, match=next(iter(wrong))):
            VideoData(**wrong)
