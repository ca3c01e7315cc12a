"""The widgets of 01_data without a browser: what each controller tells, and that the views pass on what is done."""

import json
import threading

import numpy as np
import pytest
import soundfile
import tiny_stamps
import toy_tour as toy
from PIL import Image

from vgs_lib.data import spoken_captions
from vgs_lib.data.manifest import Entry, MaskedObject, Word, read_manifest, write_manifest
from vgs_lib.data.stamps import Stamps
from vgs_lib.errors import DataError
from vgs_lib.widgets import (
    CaptionSpeaker,
    CaptionSpeakerController,
    DataExplorer,
    FrontEndExplorer,
    ManifestController,
    ManifestMaker,
    Recorder,
    SceneExplorer,
    SceneExplorerController,
    Tour,
    manifest_material,
    scene_pictures,
)
from vgs_lib.widgets.scene_explorer import COLOURS, outlines


def watched(view):
    """The view, with what it sends kept in ``sent``."""
    view.sent = []
    view.send = lambda content, buffers=None: view.sent.append((content, buffers))
    return view


def do(view, **content):
    view._receive(view, content, [])
    return view.sent[-1]


@pytest.fixture
def explorer(tiny_set):
    return watched(DataExplorer(Stamps.open(tiny_set)))


@pytest.fixture
def place(tmp_path):
    root = tmp_path / "mine"
    root.mkdir()
    for name in ("cat", "dog"):
        Image.new("RGB", (8, 6), "red").save(root / f"{name}.png")
        soundfile.write(root / f"{name}.wav", tiny_stamps.tone(0.5), 16000)
    return root


def test_the_explorer_opens_with_everything(explorer):
    do(explorer, type="ready")
    (page, thumbnails), (thing, picture) = explorer.sent
    assert page["found"] == page["total"] == 9 and len(thumbnails) == 9 and page["pages"] == 1
    assert all(raw.startswith(b"\xff\xd8") for raw in [*thumbnails, *picture])
    assert [["animals"], 5] in page["options"]["categories"] and ("fr", 2) in page["options"]["languages"]
    groups = [name for name, _ in page["options"]["speakers"]]
    assert groups == ["People", "Synthetic voices, split train", "Synthetic voices, split test"]
    assert thing["id"] == "animals/birds/owl"


def test_filtering_choosing_and_playing(explorer):
    wanted = {"category": ["animals"], "language": "fr", "speaker": "", "text": ""}
    thing, _ = do(explorer, type="filter", **wanted)
    page = explorer.sent[-2][0]
    assert page["found"] == 2 and thing["id"] == "animals/cat"  # the first that is left
    assert [one["speaker"] for one in thing["recordings"]] == ["person-fr"]
    thing, _ = do(explorer, type="choose", id="animals/dog")
    assert thing["names"]["pt_br"] == "Um cão."
    sound, [wav] = do(explorer, type="play", of=thing["list"], index=0)
    assert sound["title"] == "Un chien." and sound["duration"] == pytest.approx(0.5, abs=0.1) and wav[:4] == b"RIFF"
    answer, _ = do(explorer, type="play", of=thing["list"], index=7)
    assert answer == {"type": "problem", "sentence": "There is no recording number 7."}
    assert "no thing" in do(explorer, type="choose", id="animals/unicorn")[0]["sentence"]
    do(explorer, type="filter", **{**wanted, "text": "nothing of that name"})
    assert explorer.sent[-2][0]["found"] == 0 and explorer.sent[-2][0]["pages"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"type": "choose", "id": "animals/cat"},
        {"type": "filter", "category": [], "language": "fr", "speaker": "", "text": ""},
    ],
)
def test_a_recording_of_a_list_that_is_no_longer_shown_is_not_played(explorer, change):
    thing, _ = do(explorer, type="choose", id="animals/dog")
    do(explorer, **change)
    newer = explorer.sent[-1][0]
    assert do(explorer, type="play", of=thing["list"], index=0)[0] == newer  # which is shown again
    assert do(explorer, type="play", of=newer["list"], index=0)[0]["type"] == "sound"


def test_pages_end_where_the_things_end(explorer, monkeypatch):
    monkeypatch.setattr("vgs_lib.widgets.data_explorer.PAGE", 4)
    page, thumbnails = do(explorer, type="page", page=2)
    assert (page["page"], page["pages"], len(thumbnails)) == (2, 3, 1)
    assert do(explorer, type="page", page=99)[0]["page"] == 2 and do(explorer, type="page", page=-1)[0]["page"] == 0


def test_a_damaged_recording_and_picture_are_sentences(copy, tiny_set):
    view = watched(DataExplorer(Stamps.open(copy)))
    dog = next(thing for thing in view.controller.things if thing.id == "animals/dog")
    dog.recordings[0].path.write_text("no sound")
    dog.picture.unlink()
    thing, pictures = do(view, type="choose", id="animals/dog")
    assert "animals__dog.png" in thing["problem"] and pictures == []
    assert "cannot be read as sound" in do(view, type="play", of=thing["list"], index=0)[0]["sentence"]


def test_outlines_surround_the_mask():
    mask = np.zeros((40, 80), bool)
    mask[10:30, 20:60] = True
    [line] = outlines(mask)
    assert line.min(axis=0) == pytest.approx([20 / 80 - 0.5 / 80, 10 / 40 - 0.5 / 40], abs=0.02)
    assert line.max(axis=0) == pytest.approx([60 / 80, 30 / 40], abs=0.02)
    area = 0.5 * abs(np.dot(line[:, 0], np.roll(line[:, 1], 1)) - np.dot(line[:, 1], np.roll(line[:, 0], 1)))
    assert area == pytest.approx(mask.mean(), rel=0.06)
    full = outlines(np.ones((4, 4), bool))
    assert len(full) == 1 and full[0].min() == 0 and full[0].max() == 1
    assert outlines(np.zeros((4, 4), bool)) == []


def test_a_scene_tells_its_objects_words_and_sound():
    scenes = toy.scenes(8)
    controller = SceneExplorerController({"toy": scenes}, notes={"toy": "Tones only."})
    index = next(i for i, scene in enumerate(scenes) if len(scene.masks) == 3)
    controller.choose("toy", index)
    content, data = controller.message()
    assert [one["name"] for one in content["objects"]] == list(scenes[index].masks) and content["note"] == "Tones only."
    assert len({one["colour"] for one in content["objects"]}) == 3 <= len(COLOURS)
    assert content["objects"][0]["share"] == pytest.approx(np.pi * 0.14**2, rel=0.05)
    assert [word[0] for word in content["caption"]["words"]] == list(scenes[index].masks)
    assert len(data) == 1 + sum(one["outlines"] for one in content["objects"]) + 1 and data[-1][:4] == b"RIFF"
    controller.choose("toy", 8)  # after the last one comes the first one
    assert controller.index == 0
    with pytest.raises(DataError, match="no group"):
        controller.choose("other")
    with pytest.raises(DataError, match="no picture"):
        SceneExplorerController({"empty": []})


def test_scenes_of_a_split_are_pictures_with_captions(tiny_set):
    pictures = scene_pictures(Stamps.open(tiny_set), "test", 4, size=64)
    assert [len(picture.masks) for picture in pictures] == [1, 2, 3, 4]
    assert all({word.text for word in picture.caption.words} >= set(picture.masks) for picture in pictures)
    view = watched(SceneExplorer({"test": pictures}))
    content, _ = do(view, type="choose", group="test", index=3)
    assert content["index"] == 3 and len(content["objects"]) == 4


def test_the_front_end_view_answers_changes_and_takes_recordings():
    view = watched(FrontEndExplorer(toy.clips()))
    content, data = do(view, type="set", name="num_bands", value=12)
    assert content["log_mel"]["shape"][0] == 12 and not content["sound"] and len(data) == 3
    content, data = do(view, type="clip", id="clip-blue")
    assert content["sound"] and content["title"] == "blue" and len(data) == 4
    assert do(view, type="reset")[0]["log_mel"]["shape"][0] == 40
    recorder = Recorder(view.show)
    recorder.controller.receive_bytes(data[0], "mine.wav")
    assert not recorder.controller.failed and view.sent[-1][0]["title"] == "mine.wav"


def test_a_folder_becomes_a_manifest(place):
    changes = []
    controller = ManifestController(on_change=lambda: changes.append(controller.message()[0]["busy"]))
    controller.check(str(place))
    content, _ = controller.message()
    assert (content["num_pairs"], content["num_problems"], content["busy"]) == (2, 0, False) and not content["failed"]
    assert content["pairs"][0][:3] == ["cat.png", "cat.wav", 0.5] and changes[0] and not changes[-1]
    controller.write(validation=0.0, test=0.0)
    assert "Wrote" in controller.status and "2 train" in controller.status
    assert len(read_manifest(place / "manifest.jsonl").entries) == 2


def test_problems_are_shown_in_place_and_keep_the_manifest_back(place):
    (place / "dog.wav").rename(place / "dig.wav")
    controller = ManifestController()
    controller.write(validation=0.0, test=0.0)
    assert controller.failed and controller.status == "Check a folder first."
    controller.check(str(place))
    rows = controller.message()[0]["problems"]
    assert {row["where"] for row in rows} == {"dig.wav", "dog.png"}
    assert "dog.png" in next(row["advice"] for row in rows if row["where"] == "dig.wav")
    controller.write(validation=0.0, test=0.0)
    assert controller.failed and "Nothing was written" in controller.status and not (place / "manifest.jsonl").exists()
    controller.write(validation=0.6, test=0.6, leave_out=True)
    assert controller.failed and "parts" in controller.status
    controller.write(validation=0.0, test=0.0, leave_out=True)
    assert not controller.failed and len(read_manifest(place / "manifest.jsonl").entries) == 1


def test_splits_of_the_table_are_kept(place):
    (place / "captions.csv").write_text("image,audio,split\ncat.png,cat.wav,test\ndog.png,dog.wav,train\n")
    controller = ManifestController()
    controller.check(str(place))
    controller.write(validation=0.0, test=0.0)
    assert [entry.split for entry in read_manifest(place / "manifest.jsonl").entries] == ["test", "train"]


@pytest.mark.parametrize(("folder", "found"), [("  ", "Give the path"), ("/no/such/place", "no such folder")])
def test_wrong_folders_are_sentences(folder, found):
    controller = ManifestController()
    controller.check(folder)
    assert controller.failed and found in controller.status and not controller.busy


def test_what_nobody_expected_ends_a_scan_and_a_voice_with_a_sentence(place, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("five")

    monkeypatch.setattr("vgs_lib.widgets.manifest_maker.scan_folder", fail)
    monkeypatch.setattr("vgs_lib.widgets.caption_speaker.say", fail)
    maker, speaker = ManifestController(), CaptionSpeakerController()
    maker.check(str(place))
    speaker.speak("a cat", "flite-slt")
    for controller in (maker, speaker):
        content, _ = controller.message()
        assert content["status"] == "Something went wrong: RuntimeError: five"
        assert content["failed"] and not content["busy"]


def test_a_scan_runs_beside_and_can_be_stopped(place, monkeypatch):
    view = watched(ManifestMaker(place))
    started, go_on = threading.Event(), threading.Event()

    def slow(folder, *, progress, should_stop):
        progress(1, 9)
        started.set()
        go_on.wait(10)
        if should_stop():
            raise DataError("stopped after 1 of 9 pairs")

    monkeypatch.setattr("vgs_lib.widgets.manifest_maker.scan_folder", slow)
    view._receive(view, {"type": "check", "folder": str(place)}, [])
    assert started.wait(10) and view.controller.busy and view.controller.seconds_left is not None
    view._receive(view, {"type": "check", "folder": "/other"}, [])  # one scan at a time
    view._receive(view, {"type": "write", "validation": 0, "test": 0, "by": "image", "leave_out": False}, [])
    view._receive(view, {"type": "stop"}, [])
    go_on.set()
    view.wait(10)
    assert "stopped after 1 of 9" in view.controller.status and view.controller.folder == str(place)
    assert not view.controller.busy
    view.close()


def test_a_voice_speaks_and_what_it_said_is_saved_once(tmp_path, monkeypatch):
    monkeypatch.setattr("vgs_lib.widgets.caption_speaker.say", lambda text, voice: tiny_stamps.tone(0.4))
    view = watched(CaptionSpeaker("a cat", folder=tmp_path))
    view.controller.save("cat")
    assert view.controller.failed and "press Speak first" in view.controller.status
    view._receive(view, {"type": "speak", "text": " a  cat ", "voice": "flite-slt"}, [])
    view._background.wait(10)
    content, data = view.controller.message()
    assert (content["number"], content["title"], content["busy"]) == (1, "a cat", False) and data[0][:4] == b"RIFF"
    do(view, type="save", name="cat")
    assert view.controller.saved == str(tmp_path / "cat.wav")
    assert soundfile.info(tmp_path / "cat.wav").duration == pytest.approx(0.4)
    do(view, type="save", name="cat.wav")
    assert view.controller.failed and "a file already" in view.controller.status
    for name, found in (("", "expected a file name"), ("no/where.wav", "no such folder")):
        do(view, type="save", name=name)
        assert found in view.controller.status


def test_a_machine_without_voices_says_what_to_install(monkeypatch):
    monkeypatch.setattr(spoken_captions, "engine_available", lambda engine: False)
    controller = CaptionSpeakerController()
    assert controller.failed and "No synthetic voice" in controller.status and len(controller.missing()) == 3
    assert all(reason for *_, reason in controller.message()[0]["voices"])
    controller.speak("a cat", "nobody")
    assert "No voice is called" in controller.status and not controller.busy
    controller.speak("...", "flite-slt")
    assert "expected words" in controller.status


def test_a_manifest_is_material_for_the_tour(place, tmp_path):
    mask = np.zeros((6, 8), np.uint8)
    mask[:3] = 255
    Image.fromarray(mask).save(place / "mask.png")
    words, objects = (Word("cat", 0.1, 0.4, "pets/cat"),), (MaskedObject("pets/cat", "mask.png"),)
    entries = [
        Entry("cat.png", "cat.wav", "train", text="a cat", speaker="ann", words=words, objects=objects),
        Entry("cat.png", "dog.wav", "train"),
        Entry("dog.png", "dog.wav", "test"),
    ]
    write_manifest(entries, place / "manifest.jsonl")
    pictures, clips = manifest_material(read_manifest(place / "manifest.jsonl"))
    assert [(picture.id, picture.title) for picture in pictures] == [("cat.png", "a cat"), ("dog.png", "dog")]
    assert [(clip.title, clip.group) for clip in clips] == [("a cat", "ann"), ("dog", "train"), ("dog", "test")]
    assert pictures[0].masks["cat"].sum() == 24 and pictures[0].caption.words[0].text == "cat"
    assert pictures[0].load().shape == (6, 8, 3) and clips[0].load()[1] == 16000
    assert len({clip.id for clip in clips}) == 3
    tour = Tour(toy.ToyModel(), pictures=toy.scenes(2), clips=clips).wait()
    assert set(tour.clips) == {clip.id for clip in clips}
    tour.close()


def test_the_saved_state_of_every_view_is_small(explorer, place):
    views = [explorer, FrontEndExplorer(toy.clips()), SceneExplorer({"toy": toy.scenes(3)}), ManifestMaker(place)]
    for view in [*views, CaptionSpeaker()]:
        assert len(json.dumps(view.get_state(), default=str)) < 60_000
