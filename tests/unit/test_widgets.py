"""The controllers of the tour, without a browser."""

import dataclasses
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import toy_tour as toy
from PIL import Image

from vgs_lib.data.stamps import Stamps
from vgs_lib.errors import AudioError, DataError
from vgs_lib.prompting import Prompter
from vgs_lib.widgets import PlayerController, RecorderController, TourController, Word
from vgs_lib.widgets.buffers import wav
from vgs_lib.widgets.controllers import MAX_UPLOAD
from vgs_lib.widgets.material import tour_material
from vgs_lib.widgets.microphone import LocalMicrophone


class FakeMicrophone:
    available, reason = True, ""

    def __init__(self, waveform):
        self.waveform = waveform

    def record(self, seconds):
        return self.waveform, toy.RATE


@pytest.fixture
def tour():
    made = TourController(
        Prompter(toy.ToyModel()),
        toy.scenes(30),
        toy.clips(),
        num_scenes=8,
        microphone=FakeMicrophone(toy.say("blue")),
    )
    made.encode()
    return made


def scene_with(tour, *names):
    return next(p for p in tour.pictures.values() if set(names) <= set(p.masks))


def test_controllers_need_no_widget_library():
    code = (
        "import sys; sys.modules['ipywidgets'] = sys.modules['anywidget'] = None\n"
        "from vgs_lib.widgets import GalleryController, PlayerController, RecorderController, TourController"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_clip_lights_up_the_picture(tour):
    picture = scene_with(tour, "red", "green")
    tour.choose_picture(picture.id)
    tour.recorder.choose_clip("clip-red")
    assert "30 pictures" in tour.status and not tour.recorder.failed
    x, y = tour.prompt.peak()
    assert picture.masks["red"][int(y * 224), int(x * 224)]
    assert len(tour.best.items) == 5
    assert all("red" in tour.pictures[item["id"]].masks for item in tour.best.items)


def test_another_picture_answers_the_same_recording(tour):
    tour.recorder.choose_clip("clip-red")
    other = scene_with(tour, "red", "blue")
    tour.choose_picture(other.id)
    assert tour.current is other and tour.prompt.picture == other.id and tour.prompt.found
    assert tour.scenes.selected == tour.best.selected == other.id


def test_a_caption_is_played_with_its_words(tour):
    picture = scene_with(tour, "green", "yellow")
    tour.choose_picture(picture.id, caption=True)
    content, _ = tour.player.message()
    assert content["prompt"]["play"] and [w[0] for w in content["prompt"]["words"]] == list(picture.masks)
    assert not tour.player.message()[0]["prompt"]["play"]  # a view opened later stays quiet


def test_all_four_sources_give_the_same_answer(tour):
    answers = []
    data = wav(toy.say("blue"))
    cuts = range(0, len(data), 9000)
    chunks = lambda: [
        tour.recorder.receive_chunk(data[cut : cut + 9000], "b.wav", index, len(cuts)) for index, cut in enumerate(cuts)
    ]
    for speak in (
        lambda: tour.recorder.choose_clip("clip-blue"),
        lambda: tour.recorder.receive_bytes(data, "recording"),
        lambda: tour.recorder.record_local(),
        chunks,
    ):
        tour.recorder.choose_clip("clip-red")
        speak()
        assert not tour.recorder.failed, tour.status
        answers.append([item["id"] for item in tour.best.items])
    assert answers[0] == answers[1] == answers[2] == answers[3]


def test_chunks_in_any_order_make_one_file():
    heard = []
    recorder = RecorderController(on_sound=lambda *args, **kwargs: heard.append(args), microphone=FakeMicrophone(0))
    data = wav(toy.say("red"))
    half = len(data) // 2
    recorder.receive_chunk(data[:half], "a.wav", 0, 3)
    recorder.receive_chunk(b"", "a.wav", 2, 3)
    assert not heard
    recorder.receive_chunk(data[half:], "a.wav", 1, 3)
    assert len(heard) == 1 and len(heard[0][0]) == len(toy.say("red"))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"Dear diary, today I wrote a text file.", "diary.wav: cannot be read as sound"),
        (b"", "empty"),
        (wav(np.zeros(16000)), "silent"),
        (wav(np.zeros(0)), "diary.wav: the recording has no samples"),
    ],
)
def test_wrong_input_becomes_a_sentence_and_the_last_answer_stays(tour, data, says):
    tour.recorder.choose_clip("clip-red")
    before = tour.prompt
    tour.recorder.receive_bytes(data, "diary.wav")
    assert tour.recorder.failed and says in tour.status and "<" not in tour.status
    assert tour.prompt is before
    tour.recorder.choose_clip("clip-blue")
    assert not tour.recorder.failed


def test_an_hour_of_sound_is_refused_quickly(tour):
    hour = io.BytesIO()
    soundfile.write(hour, np.zeros(3600 * 8000, np.int16), 8000, format="FLAC")
    tour.recorder.receive_bytes(hour.getvalue(), "hour.flac")
    assert tour.recorder.failed and "3600" in tour.status and "30 s" in tour.status


def test_a_huge_upload_is_cut_off(tour):
    for index in range(MAX_UPLOAD // 2**20 + 1):
        tour.recorder.receive_chunk(bytes(2**20), "film.mkv", index, 4000)
    assert tour.recorder.failed and "32 MB" in tour.status


def test_prompts_before_the_pictures_are_ready():
    tour = TourController(Prompter(toy.ToyModel()), toy.scenes(30), toy.clips(), microphone=FakeMicrophone(0))
    tour.recorder.choose_clip("clip-red")
    assert tour.prompt.num_pictures == 1
    tour.encode()
    assert tour.prompt.num_pictures == 30 and "30 pictures" in tour.status


def test_the_range_is_chosen_when_all_pictures_are_there_even_if_one_was_prompted_before():
    tours = [TourController(Prompter(toy.ToyModel()), toy.scenes(30), toy.clips()) for _ in range(2)]
    tours[0].speak(0.1 * toy.say("red"), toy.RATE)
    for tour in tours:
        tour.encode()
    assert tours[0].prompter.heat_range == tours[1].prompter.heat_range
    assert tours[0].prompt.heat_range == tours[0].prompter.heat_range  # and what was asked is answered again
    given = TourController(Prompter(toy.ToyModel(), heat_range=(0.2, 0.3)), toy.scenes(3), toy.clips())
    given.encode()
    assert given.prompter.heat_range == (0.2, 0.3)


def test_without_clips_the_first_prompt_chooses_the_range():
    pictures = [dataclasses.replace(picture, caption=None) for picture in toy.scenes(6)]
    tour = TourController(Prompter(toy.ToyModel()), pictures)
    tour.encode()
    assert tour.prompter.heat_range is None
    tour.choose_picture(scene_with(tour, "red").id)
    tour.speak(toy.say("red"), toy.RATE)
    assert tour.prompt.heat.max() == pytest.approx(1.0, abs=0.01) and tour.prompt.heat.min() == 0


def test_the_player_sends_heat_as_bytes(tour):
    picture = scene_with(tour, "red")
    tour.choose_picture(picture.id)
    tour.recorder.choose_clip("clip-red")
    content, (jpeg, colours, heat, whole, sound) = tour.player.message()
    frames, height, width = content["prompt"]["shape"]
    grid = np.frombuffer(heat, np.uint8).reshape(frames, height, width)
    assert np.abs(grid / 255 - tour.prompt.heat).max() <= 0.5 / 255 + 1e-6
    assert len(colours) == 768 and len(whole) == height * width
    assert Image.open(io.BytesIO(jpeg)).size == (224, 224)
    assert soundfile.info(io.BytesIO(sound)).duration == pytest.approx(content["prompt"]["duration"])
    assert "top" in content["description"] or "bottom" in content["description"]
    json.dumps(content)


def test_a_sound_has_a_number_that_another_one_of_its_length_and_title_does_not_share(tour):
    numbers = []
    for name in ("red", "red", "blue"):
        tour.speak(toy.say(name), toy.RATE)
        numbers.append(tour.player.message()[0]["prompt"]["sound"])
    tour.choose_picture(next(id_ for id_ in tour.pictures if id_ != tour.current.id))
    assert numbers == [1, 1, 2] and tour.player.message()[0]["prompt"]["sound"] == 2


def test_the_description_says_when_nothing_fits(tour):
    picture = next(p for p in tour.pictures.values() if "red" not in p.masks)
    tour.choose_picture(picture.id)
    tour.recorder.choose_clip("clip-red")
    assert "hardly found" in tour.player.description()


def test_a_missing_microphone_is_explained(monkeypatch):
    import sounddevice

    def none(kind):
        raise sounddevice.PortAudioError("no device")

    monkeypatch.setattr(sounddevice, "query_devices", none)
    microphone = LocalMicrophone()
    assert not microphone.available and "no microphone" in microphone.reason
    with pytest.raises(AudioError, match="no microphone"):
        microphone.record(1)


def test_missing_portaudio_is_explained(monkeypatch):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    assert "PortAudio" in LocalMicrophone().reason and "libportaudio2" in LocalMicrophone().reason


def test_the_material_of_the_tour_is_scenes_then_single_stamps_as_they_are_evaluated(tiny_set):
    stamps = Stamps.open()
    pictures, clips = tour_material(stamps, num_scenes=2, num_pictures=6, num_clips=3, size=64)
    assert len(pictures) == 6 and all(picture.id.startswith("scene-") for picture in pictures[:2])
    assert pictures[0].load().shape == (64, 64, 3) and pictures[0].caption.load()[1] == 16000
    assert set(pictures[0].masks) == set(pictures[0].title.split(", "))
    alone = pictures[2:]
    named = [concept.id for concept in stamps.concepts if "en" in concept.people]
    assert [picture.id for picture in alone][: len(named)] == named[:4]
    for picture in alone:
        np.testing.assert_array_equal(picture.load(), stamps.alone(picture.id, size=32)[0])
    assert {clip.group for clip in clips} == {"People", "Synthetic voices"} and len(clips) == 6
    waveform, rate = clips[0].load()
    assert rate == 16000 and waveform.dtype == np.float32 and waveform.any()


def player_with(*names, **settings):
    """A player that shows a scene of these colours and says their names, and its prompt."""
    picture = toy.scene("one", dict(zip(names, [(0.25, 0.25), (0.75, 0.75), (0.75, 0.25)], strict=False)))
    prompter = Prompter(toy.ToyModel(), heat_range=(0.0, 0.5))
    prompter.add_pictures([picture.id], [picture.load()])
    player = PlayerController(**settings)
    player.show_prompt(picture, prompter.prompt(toy.say(*names), toy.RATE), title="all", words=toy.words(*names))
    return player


def test_the_heat_of_a_word_is_the_strongest_of_its_frames_by_hand():
    player = player_with("red", "blue")
    step = player.prompt.seconds_per_frame
    for index, word in enumerate(player.words):
        strongest = np.zeros_like(player.prompt.whole)
        for frame, heat in enumerate(player.prompt.heat):
            if word.start <= (frame + 0.5) * step < word.end:
                strongest = np.maximum(strongest, heat)
        np.testing.assert_array_equal(player.word_heat(index), strongest)
        assert strongest.any()
    assert player.note(0) == "“red”, 0.20 to 0.80 s: hottest in the top left."
    assert player.note(1) == "“blue”, 1.00 to 1.60 s: hottest in the bottom right."
    player.words = (Word("short", 0.41, 0.415),)  # holds no frame's middle
    np.testing.assert_array_equal(player.word_heat(0), player.prompt.heat[10])


def test_a_word_outside_of_the_sound_has_no_heat():
    player = player_with("red")
    player.words = (Word("late", 7.0, 8.0), Word("backward", 0.5, 0.2))
    assert not player.word_heat(0).any() and not player.word_heat(1).any()
    assert player.note(0) == "“late”, 7.00 to 8.00 s: hardly found in this picture."
    for index in (2, -1):
        with pytest.raises(DataError, match="found 2 words"):
            player.word_heat(index)
    with pytest.raises(DataError, match="There is no word 0"):
        PlayerController().word_heat(0)


def test_the_player_sends_a_note_for_each_word_and_what_was_set():
    content, data = player_with("red", "blue", threshold=0.3, speed=0.5).message()
    assert content["settings"] == {"threshold": 0.3, "speed": 0.5}
    assert len(content["prompt"]["notes"]) == len(content["prompt"]["words"]) == 2
    assert len(json.dumps(content)) < 2000 and len(data) == 5
    assert PlayerController().message()[0]["settings"] == {"threshold": None, "speed": 1.0}


def test_wrong_settings_of_the_player_are_named():
    with pytest.raises(DataError, match=r"speed: found 3, expected one of 0\.25"):
        PlayerController(speed=3)
    with pytest.raises(DataError, match="threshold: found nan"):
        PlayerController(threshold=float("nan"))
