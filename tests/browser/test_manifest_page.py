"""A manifest made of a folder, and captions spoken, in JupyterLab in Chromium."""

import pytest
import soundfile
import toy_tour as toy
from widget_page import data, wait

from vgs_lib.data.manifest import read_manifest

pytestmark = pytest.mark.browser


def test_a_folder_with_a_mistake_becomes_a_manifest(with_widget, place):
    (place / "red.wav").rename(place / "rad.wav")
    with with_widget("widgets.ManifestMaker()") as page:
        page.locator(".vgs-check").click()
        page.locator(".vgs-manifest .vgs-failed", has_text="Give the path").wait_for()
        page.locator(".vgs-folder").fill(str(place / "nowhere"))
        page.keyboard.press("Enter")
        page.locator(".vgs-manifest .vgs-failed", has_text="no such folder").wait_for()
        page.locator(".vgs-folder").fill(str(place))
        page.locator(".vgs-check").click()
        wait(page, ".vgs-manifest", "problems", 2)
        assert data(page, ".vgs-manifest", "pairs") == "3"
        problems = page.locator(".vgs-problems li").all_text_contents()
        assert problems[0].startswith("rad.wav: audio: found no picture") and "red.png" in problems[0]
        page.locator(".vgs-write").click()
        page.locator(".vgs-manifest .vgs-failed", has_text="Nothing was written").wait_for()
        assert not (place / "manifest.jsonl").exists()
        (place / "rad.wav").rename(place / "red.wav")
        page.locator(".vgs-check").click()
        wait(page, ".vgs-manifest", "problems", 0)
        page.locator(".vgs-validation").fill("0")
        page.locator(".vgs-test").fill("50")
        page.locator(".vgs-write").click()
        wait(page, ".vgs-manifest", "written", place / "manifest.jsonl")
        entries = read_manifest(place / "manifest.jsonl", check_files=True).entries
        assert {entry.image for entry in entries} == {f"{name}.png" for name in toy.NAMES}
        assert {entry.split for entry in entries} <= {"train", "test"}
        assert not page.errors


def test_a_folder_can_be_written_while_another_is_looked_through(with_widget, place):
    source = f"""
import time
from vgs_lib.widgets import manifest_maker
scan = manifest_maker.scan_folder
def slow(folder, *, progress, should_stop):
    if folder != "/slow":
        return scan(folder, progress=progress, should_stop=should_stop)
    for done in range(1, 600):
        progress(done, 600)
        time.sleep(0.1)
        if should_stop():
            raise OSError("stopped")
manifest_maker.scan_folder = slow
maker = widgets.ManifestMaker({str(place)!r})
check = maker.check
maker.check = lambda folder: time.sleep(1) or check(folder)
maker"""
    with with_widget(source) as page:
        folder, write = page.locator(".vgs-folder"), page.locator(".vgs-write")
        page.locator(".vgs-check").click()
        wait(page, ".vgs-manifest", "pairs", 4)
        assert write.is_enabled()
        folder.fill("/slow")
        page.locator(".vgs-check").click()
        assert write.is_disabled()  # before the kernel has answered: these are the pairs of the folder before
        wait(page, ".vgs-manifest", "busy", "true")
        go_on = "before => document.querySelector('.vgs-manifest progress').value > before + 5"
        folder.fill("/my/next")
        for key in ("End", "Tab"):  # in the field, and after it was left
            folder.press(key)
            page.wait_for_function(go_on, arg=page.locator(".vgs-manifest progress").evaluate("e => e.value"))
            assert folder.input_value() == "/my/next"
        page.locator(".vgs-stop").click()
        page.locator(".vgs-manifest .vgs-failed", has_text="stopped").wait_for()
        wait(page, ".vgs-manifest", "busy", "false")
        assert folder.input_value() == "/my/next"
        assert not page.errors


def test_a_caption_is_spoken_heard_and_saved(with_widget, tmp_path):
    source = f"""
from vgs_lib.data import spoken_captions
from vgs_lib.widgets import caption_speaker
spoken_captions.engine_available = lambda engine: engine == "flite"
caption_speaker.say = lambda text, voice: toy.say("red", "blue")
widgets.CaptionSpeaker("a red disc", folder={str(tmp_path)!r})"""
    with with_widget(source) as page:
        page.locator(".vgs-caption-speaker .vgs-notes", has_text="apt-get install espeak-ng").wait_for()
        assert page.locator(".vgs-voice option:disabled", has_text="espeak-en-us (not installed)").count() == 1
        assert page.locator(".vgs-save").is_disabled()
        page.locator(".vgs-text").fill("a red disc and a blue one")
        page.locator(".vgs-voice").select_option("flite-rms")
        page.locator(".vgs-speak").click()
        wait(page, ".vgs-sound", "playing", "true")
        assert "flite-rms said “a red disc and a blue one” in 1.80 s" in page.locator(".vgs-status").text_content()
        wait(page, ".vgs-sound", "playing", "false")
        page.locator(".vgs-file").fill("disc")
        page.keyboard.press("Enter")
        wait(page, ".vgs-caption-speaker", "saved", tmp_path / "disc.wav")
        assert soundfile.info(tmp_path / "disc.wav").duration == pytest.approx(1.8)
        page.locator(".vgs-save").click()
        page.locator(".vgs-caption-speaker .vgs-failed", has_text="a file already").wait_for()
        assert not page.errors
