"""The explorer of the front ends in JupyterLab in Chromium, on tones."""

import numpy as np
import pytest
import toy_tour as toy
from widget_page import GATED, SLOW, data, wait

pytestmark = pytest.mark.browser


def test_every_knob_of_the_front_ends_redraws_or_explains(with_widget):
    with with_widget("explorer = widgets.FrontEndExplorer(toy.clips())\nexplorer") as page:
        wait(page, ".vgs-log-mel", "frames", 101)
        assert (data(page, ".vgs-log-mel", "rows"), data(page, ".vgs-mfcc", "rows")) == ("40", "13")
        knob = lambda name: page.locator(f'.vgs-control [data-name="{name}"]')
        assert page.locator(".vgs-control").count() == 16
        knob("hop_seconds").fill("0.02")
        wait(page, ".vgs-log-mel", "frames", 51)
        wait(page, ".vgs-mfcc", "frames", 51)
        knob("num_bands").focus()
        page.keyboard.press("ArrowLeft")
        wait(page, ".vgs-log-mel", "rows", 39)
        knob("deltas").select_option("2 orders")
        wait(page, ".vgs-mfcc", "rows", 39)
        assert "LogMel(num_bands=39, hop_seconds=0.02)" in page.locator(".vgs-code").text_content()
        knob("n_fft").select_option("256 points")
        page.locator(".vgs-front-end .vgs-failed", has_text="400 samples, but n_fft is 256").wait_for()
        assert page.locator(".vgs-stale").count() == 1
        page.locator(".vgs-reset").click()
        wait(page, ".vgs-log-mel", "frames", 101)
        wait(page, ".vgs-front-end", "problem", "")
        page.locator(".vgs-sounds").select_option("clip-blue")
        wait(page, ".vgs-front-end", "title", "blue")
        # The tone of "blue" is lit in the band of 1,600 Hz while it is heard: read it off the picture.
        box = page.locator(".vgs-log-mel").bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * (224 / 250) * (1 - 18.5 / 40))
        page.locator(".vgs-readout", has_text="band 18").wait_for()
        picture = page.evaluate("""() => {
          const canvas = document.querySelector('.vgs-log-mel'), context = canvas.getContext('2d');
          const column = [...Array(40).keys()].map(row => {
            const y = Math.floor((224 * (39.5 - row)) / 40);
            return context.getImageData(500, y, 1, 1).data[0];
          });
          return column.indexOf(Math.max(...column));
        }""")
        from vgs_lib.front_ends.mel_scale import band_centres

        assert picture == int(np.abs(band_centres(40) - toy.TONES["blue"]).argmin())
        page.locator(".vgs-sound-play").click()
        wait(page, ".vgs-sound", "heard", "blue")
        wait(page, ".vgs-sound", "playing", "false")
        assert not page.errors


def knob(page, name):
    return page.locator(f'.vgs-control [data-name="{name}"]')


def test_every_change_made_while_the_kernel_is_slow_arrives(with_widget):
    source = 'explorer = widgets.FrontEndExplorer(toy.clips())\nslow(explorer.controller, "set")\nexplorer'
    with with_widget(SLOW + source) as page:
        wait(page, ".vgs-log-mel", "frames", 101)
        page.evaluate("""() => {
          const control = document.querySelector('.vgs-control [data-name="deltas"]');
          window.deltas = new Set();
          control.addEventListener("change", () => setInterval(() => window.deltas.add(control.value), 20));
        }""")
        knob(page, "num_bands").fill("30")
        knob(page, "num_bands").fill("20")
        assert page.locator(".vgs-control output", has_text="20 bands").count() == 1  # at once
        knob(page, "deltas").select_option("2 orders")
        knob(page, "hop_seconds").fill("0.02")
        knob(page, "hop_seconds").fill("0.025")
        page.locator(".vgs-code", has_text="LogMel(num_bands=20, hop_seconds=0.025)").wait_for(timeout=20_000)
        page.locator(".vgs-code", has_text="Mfcc(deltas=2, hop_seconds=0.025)").wait_for()
        names = "num_bands", "deltas", "hop_seconds"
        assert [knob(page, name).input_value() for name in names] == ["20", "2 orders", "0.025"]
        assert page.evaluate("[...window.deltas]") == ["2 orders"]  # the other answers left it alone
        assert not page.errors


def test_defaults_take_back_what_waits_but_not_the_recording(with_widget):
    source = 'explorer = widgets.FrontEndExplorer(toy.clips())\nslow(explorer.controller, "set", "choose")\nexplorer'
    with with_widget(SLOW + source) as page:
        wait(page, ".vgs-log-mel", "frames", 101)
        knob(page, "hop_seconds").fill("0.02")
        knob(page, "hop_seconds").fill("0.04")
        page.locator(".vgs-sounds").select_option("clip-yellow")
        page.locator(".vgs-reset").click()
        wait(page, ".vgs-log-mel", "frames", 51)  # the first value
        wait(page, ".vgs-log-mel", "frames", 101)
        wait(page, ".vgs-front-end", "clip", "clip-yellow")
        knob(page, "num_bands").fill("20")  # answered after all that was sent before
        wait(page, ".vgs-log-mel", "rows", 20)
        assert page.locator(".vgs-code").text_content().splitlines() == ["LogMel(num_bands=20)", "Mfcc()"]
        assert knob(page, "hop_seconds").input_value() == "0.01"
        assert not page.errors


def test_a_change_after_the_defaults_is_made_though_it_equals_the_one_on_its_way(with_widget, tmp_path):
    gate = tmp_path / "gate"
    source = 'explorer = widgets.FrontEndExplorer(toy.clips())\ngated(explorer.controller, "set")\nexplorer'
    with with_widget(GATED.format(gate=str(gate)) + source) as page:
        wait(page, ".vgs-log-mel", "rows", 40)
        gate.touch()
        knob(page, "num_bands").fill("30")
        page.locator(".vgs-reset").click()
        knob(page, "num_bands").fill("31")
        knob(page, "num_bands").fill("30")
        gate.unlink()
        knob(page, "hop_seconds").fill("0.02")  # answered after all the others
        wait(page, ".vgs-log-mel", "frames", 51)
        assert (data(page, ".vgs-log-mel", "rows"), knob(page, "num_bands").input_value()) == ("30", "30")
        assert not page.errors


def test_arrow_keys_go_down_the_list_of_recordings_faster_than_they_are_drawn(with_widget):
    source = 'explorer = widgets.FrontEndExplorer(toy.clips())\nslow(explorer.controller, "choose")\nexplorer'
    with with_widget(SLOW + source) as page:
        wait(page, ".vgs-front-end", "clip", "clip-red")
        page.locator(".vgs-sounds").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        wait(page, ".vgs-front-end", "clip", "clip-green")
        page.keyboard.press("ArrowDown")
        wait(page, ".vgs-front-end", "clip", "clip-yellow")
        assert page.locator(".vgs-sounds").input_value() == "clip-yellow"
        assert page.locator(".vgs-sounds option").count() == 4
        assert not page.errors


def test_a_change_that_waits_for_a_broken_one_is_made(with_widget):
    source = """
explorer = widgets.FrontEndExplorer(toy.clips())
change = explorer.controller.set
explorer.controller.set = lambda name, value: change(name, 1 / 0 if name == "num_bands" else value)
slow(explorer.controller, "set")
explorer"""
    with with_widget(SLOW + source) as page:
        wait(page, ".vgs-log-mel", "frames", 101)
        knob(page, "num_bands").fill("20")
        knob(page, "hop_seconds").fill("0.02")
        page.locator(".vgs-front-end .vgs-failed", has_text="ZeroDivisionError").wait_for()
        wait(page, ".vgs-log-mel", "frames", 51)
        assert knob(page, "num_bands").input_value() == "40"  # as it is
        assert not page.errors
