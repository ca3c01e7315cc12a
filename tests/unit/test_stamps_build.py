"""Building Spoken Stamps: interruption, failure, deleted files and missing programs; what is there is kept."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import soundfile
from tiny_stamps import KEPT, NAMES, VOICES, report_of, spoil

from vgs_lib.__main__ import main
from vgs_lib.data import stamps_build
from vgs_lib.data.manifest import validate_manifest
from vgs_lib.data.stamps import CARRIERS, Stamps, is_complete
from vgs_lib.data.stamps_build import build
from vgs_lib.data.voices import slug
from vgs_lib.errors import DataError


def test_a_second_build_does_no_work_twice(tiny_set, monkeypatch, capsys):
    def never(*args, **kwargs):
        raise AssertionError("it was built again")

    monkeypatch.setattr(stamps_build, "build", never)
    assert is_complete() and is_complete(tiny_set)
    assert main(["data", "stamps"]) == 0
    assert str(tiny_set) in capsys.readouterr().out


def test_another_format_or_a_voice_that_can_now_be_built_makes_it_incomplete(copy, monkeypatch):
    assert is_complete(copy)
    facts = report_of(copy)
    for change in ({"format": 0}, {"voices": ["tiny-espeak"]}):
        (copy / "build.json").write_text(json.dumps({**facts, **change}))
        assert not is_complete(copy)
    (copy / "build.json").write_text("{")
    assert not is_complete(copy)
    # A voice whose program is missing is no reason to build again.
    (copy / "build.json").write_text(json.dumps({**facts, "voices": ["tiny-espeak"]}))
    monkeypatch.setattr("vgs_lib.data.stamps.engine_available", lambda engine: engine == "espeak-ng")
    assert is_complete(copy)


def test_a_failed_build_goes_on_where_it_was(tree, tmp_path, monkeypatch):
    folder = tmp_path / "set"
    written = soundfile.write
    clips = []

    def full_disk(file, *args, **kwargs):
        if "tiny-flite" in str(file):
            clips.append(file)
        if len(clips) > 3:
            raise OSError("no space left on device")
        return written(file, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr("vgs_lib.data.speech.soundfile.write", full_disk)
        with pytest.raises(DataError, match="no space left on device"):
            list(build(folder, jobs=1))
    assert not (folder / "build.json").exists() and not is_complete(folder)
    with pytest.raises(DataError, match="not built there; run 'python -m vgs_lib data stamps'"):
        Stamps.open(folder)
    assert not (folder / "speech/tiny-flite").exists(), "a voice appears only when complete"
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file() and ".partial" not in str(p)}
    assert any("tiny-espeak" in str(p) for p in before) and any(p.suffix == ".png" for p in before)

    events = list(build(folder, jobs=1))
    assert {p: p.stat().st_mtime_ns for p in before} == before, "what was there was made again"
    assert [p for p in folder.rglob("*.partial")] == []
    assert is_complete(folder) and validate_manifest(folder / "manifest.jsonl", check_files=True) == []
    speech = [e for e in events if e.step == "speech"]
    assert speech[-1].done == speech[-1].total == 2 * (len(NAMES) + len(CARRIERS))
    for step in ("pictures and people", "speech"):
        done = [e.done for e in events if e.step == step]
        assert done == sorted(done)


KILLED = """
import os, signal, sys
import pytest, soundfile, tiny_stamps
from pathlib import Path
from vgs_lib.data import stamps_build
tiny_stamps.use_voices(pytest.MonkeyPatch())
stamps_build.stamps_tree = lambda folder, archive=None: Path(sys.argv[1])
for progress in stamps_build.build(Path(sys.argv[2]), jobs=1):
    if progress.step == "speech" and progress.done == 5:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_build_is_taken_up_again(tree, tmp_path):
    folder = tmp_path / "set"
    here = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path])}
    done = subprocess.run([sys.executable, "-c", KILLED, str(tree), str(folder)], env=environment, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert not is_complete(folder)
    list(build(folder, jobs=2))
    assert validate_manifest(folder / "manifest.jsonl", check_files=True) == []
    assert [p for p in folder.rglob("*.partial")] == []


def test_a_reader_never_sees_half_a_listing(copy, tree, monkeypatch):
    """A build that is cut off while it writes leaves the old listing or the new one."""
    old = (copy / "concepts.jsonl").read_text(encoding="utf-8")
    (tree / "animals/dog.txt").write_text("A hound.\n", encoding="utf-8")
    text = Path.write_text

    def cut_off(path, data, *args, **kwargs):
        text(path, data[: len(data) // 2], *args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", cut_off)
    with pytest.raises(KeyboardInterrupt):
        list(build(copy, jobs=1))
    assert (copy / "concepts.jsonl").read_text(encoding="utf-8") == old


def test_closing_a_build_ends_it_soon(tree, tmp_path, monkeypatch):
    """Ctrl-C in a notebook or at the terminal closes the generator: voices that wait must not be spoken first."""
    started = []
    real = stamps_build.speak_all

    def counted(voice, *args, **kwargs):
        started.append(voice.name)
        return real(voice, *args, **kwargs)

    monkeypatch.setattr(stamps_build, "speak_all", counted)
    events = build(tmp_path / "set", jobs=1)
    for progress in events:
        if progress.step == "speech":
            break
    events.close()
    assert started == ["tiny-espeak"]


class Endless:
    """A voice that speaks until it is told to stop, or for ten seconds; one may fail at its first clip."""

    def __init__(self, failing=""):
        self.failing, self.ended, self.both = failing, {}, threading.Barrier(2)

    def __call__(self, voice, texts, folder, *, said):
        self.both.wait(10)
        if voice.name == self.failing:
            raise OSError("no space left on device")
        begin = time.monotonic()
        try:
            while time.monotonic() - begin < 10:
                said()
                time.sleep(0.01)
        finally:
            self.ended[voice.name] = time.monotonic() - begin


def test_voices_that_speak_stop_after_their_clip(tree, tmp_path, monkeypatch):
    endless = Endless()
    monkeypatch.setattr(stamps_build, "speak_all", endless)
    events = build(tmp_path / "set", jobs=2)
    next(progress for progress in events if progress.step == "speech")
    events.close()
    assert endless.ended.keys() == {v.name for v in VOICES} and max(endless.ended.values()) < 5
    assert not (tmp_path / "set/build.json").exists()


def test_a_voice_that_fails_stops_the_others(tree, tmp_path, monkeypatch):
    endless = Endless(failing="tiny-flite")
    monkeypatch.setattr(stamps_build, "speak_all", endless)
    with pytest.raises(DataError, match="no space left on device"):
        list(build(tmp_path / "set", jobs=2))
    assert endless.ended.keys() == {"tiny-espeak"} and endless.ended["tiny-espeak"] < 5


@pytest.mark.parametrize(
    "name",
    [
        "pictures/animals__dog.png",
        "masks/animals__dog.png",
        "people/en/animals__dog.flac",
        f"speech/tiny-flite/{slug('a dog')}.flac",
        f"speech/tiny-flite/{slug('next to')}.flac",  # carrier words are in no line of the manifest
        "sounds/animals__dog.flac",
        "manifest.jsonl",
        "concepts.jsonl",
    ],
)
def test_a_file_that_was_deleted_comes_back(copy, tree, name, capsys):
    """The errors' advice is to delete a damaged file and run the command again."""
    before = {p: p.stat().st_mtime_ns for p in copy.rglob("*.*") if p.suffix in (".png", ".flac")}
    old = (copy / name).read_bytes()
    (copy / name).unlink()
    assert not is_complete(copy)
    assert main(["data", "stamps", "--folder", str(copy)]) == 0
    assert (copy / name).read_bytes() == old and is_complete(copy)
    assert validate_manifest(copy / "manifest.jsonl", check_files=True) == []
    again = {p for p, when in before.items() if p.stat().st_mtime_ns != when}
    kind = Path(name).parts[0]
    if kind == "speech":  # a voice says all or nothing
        assert again == set((copy / "speech/tiny-flite").iterdir())
    elif kind in ("pictures", "masks"):  # a picture and its mask are written together
        assert again == {copy / f"{folder}/animals__dog.png" for folder in ("pictures", "masks")}
    else:
        assert again <= {copy / name}


COMPLETE = """
import sys
import tiny_stamps
from vgs_lib.data import stamps
stamps.VOICES = tiny_stamps.VOICES
assert stamps.is_complete(sys.argv[1]), "not complete"
assert "torch" not in sys.modules, "torch was imported"
"""


def test_whether_it_is_complete_is_known_without_torch(copy):
    here = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path])}
    done = subprocess.run([sys.executable, "-c", COMPLETE, str(copy)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("change", [lambda x: x[:-1], lambda x: [*x[:-1], "{"], lambda x: []])
@pytest.mark.parametrize("name", ["concepts.jsonl", "manifest.jsonl"])
def test_a_listing_that_was_cut_makes_it_incomplete(copy, name, change):
    lines = (copy / name).read_text(encoding="utf-8").splitlines()
    (copy / name).write_text("\n".join(change(lines)), encoding="utf-8")
    assert not is_complete(copy)


def test_a_stamp_whose_picture_is_damaged_is_dropped(tree, tmp_path):
    spoil(tree / "vehicles/bus.png")
    list(build(tmp_path / "set", jobs=2))
    assert "vehicles/bus" not in {c.id for c in Stamps.open(tmp_path / "set").concepts}
    (why,) = [item["why"] for item in report_of(tmp_path / "set")["dropped"] if item["file"] == "vehicles/bus.png"]
    assert "the picture cannot be used" in why


def test_a_missing_synthesiser_is_reported_with_the_command_that_installs_it(tree, tmp_path, monkeypatch, capsys):
    for module in ("stamps", "stamps_build"):
        monkeypatch.setattr(f"vgs_lib.data.{module}.engine_available", lambda engine: engine == "espeak-ng")
    folder = tmp_path / "set"
    assert main(["data", "stamps", "--folder", str(folder), "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    assert "Voice tiny-flite is missing" in out and "apt-get install flite" in out
    assert f"Kept {len(KEPT)} concepts with {len(NAMES)} names" in out
    assert report_of(folder)["missing_voices"].keys() == {"tiny-flite"}
