"""The explorer of scenes in JupyterLab in Chromium, on coloured discs and tones."""

import pytest
import toy_tour as toy
from widget_page import GATED, data, wait

pytestmark = pytest.mark.browser


def test_a_scene_is_outlined_and_the_word_that_is_heard_is_marked(with_widget):
    scenes = toy.scenes(8)
    index = next(i for i, scene in enumerate(scenes) if len(scene.masks) == 3)
    with with_widget("widgets.SceneExplorer({'toy': toy.scenes(8), 'few': toy.scenes(2, seed=3)})") as page:
        wait(page, ".vgs-scene-picture", "index", 0)
        for step in range(index):
            page.locator(".vgs-next").click()
            wait(page, ".vgs-scene-picture", "index", step + 1)
        names = list(scenes[index].masks)
        assert (data(page, ".vgs-scene-picture", "objects"), data(page, ".vgs-scene-picture", "outlined")) == ("3", "3")
        assert page.locator(".vgs-sound-words span").all_text_contents() == names
        page.locator(".vgs-hear").nth(1).click()  # jump to the second word
        wait(page, ".vgs-scene-picture", "heard", names[1])
        assert float(data(page, ".vgs-sound", "time")) == pytest.approx(1.01, abs=0.02)
        page.locator(".vgs-objects input").first.uncheck()
        wait(page, ".vgs-scene-picture", "outlined", 2)
        page.locator(".vgs-sound-play").click()
        wait(page, ".vgs-scene-picture", "heard", names[2])
        wait(page, ".vgs-sound", "playing", "false")
        page.locator(".vgs-group").select_option("few")
        wait(page, ".vgs-scene-picture", "group", "few")
        assert "1 of 2" in page.locator(".vgs-scenes").text_content()
        page.locator(".vgs-back").click()  # before the first one comes the last one
        wait(page, ".vgs-scene-picture", "index", 1)
        assert not page.errors


def test_scenes_are_turned_faster_than_they_are_shown(with_widget, tmp_path):
    gate = tmp_path / "gate"
    source = """
explorer = widgets.SceneExplorer({'toy': toy.scenes(8), 'few': toy.scenes(3, seed=3)})
gated(explorer.controller, "choose")
explorer"""
    with with_widget(GATED.format(gate=str(gate)) + source) as page:
        wait(page, ".vgs-scene-picture", "index", 0)
        page.evaluate("""() => {
          const canvas = document.querySelector(".vgs-scene-picture");
          const place = () => `${canvas.dataset.group} ${canvas.dataset.index}`;
          window.shown = [];
          const look = () => window.shown.at(-1) === place() || window.shown.push(place());
          new MutationObserver(look).observe(canvas, { attributes: true });
        }""")
        gate.touch()
        for _ in range(4):
            page.locator(".vgs-next").click()
        page.locator(".vgs-back").click()
        gate.unlink()
        wait(page, ".vgs-scene-picture", "index", 3)
        assert {"toy 2", "toy 4"}.isdisjoint(page.evaluate("window.shown"))  # what is wanted no more is not made
        gate.touch()
        page.locator(".vgs-group").select_option("few")
        for _ in range(4):
            page.locator(".vgs-next").click()  # after the last of three comes the first, then the second
        gate.unlink()
        page.wait_for_selector('.vgs-scene-picture[data-group="few"][data-index="1"]')
        assert page.locator(".vgs-group").input_value() == "few"
        assert "few 2" not in page.evaluate("window.shown")
        page.locator(".vgs-back").click()
        wait(page, ".vgs-scene-picture", "index", 0)
        assert not page.errors


def test_a_scene_that_is_decoded_too_late_makes_no_sound_in_a_removed_view(with_widget):
    with with_widget("widgets.SceneExplorer({'toy': toy.scenes(3)})") as page:
        wait(page, ".vgs-scene-picture", "index", 0)
        page.evaluate("""() => {
          const decode = createImageBitmap, makeUrl = URL.createObjectURL;
          window.made = 0;
          URL.createObjectURL = (blob) => { window.made += 1; return makeUrl(blob); };
          window.createImageBitmap = async (blob) => {
            window.waits = true;
            await new Promise((go) => { window.go = go; });
            const picture = await decode(blob);
            setTimeout(() => { window.shown = true; }); // after what the view does with it
            return picture;
          };
        }""")
        page.locator(".vgs-next").click()
        page.wait_for_function("window.waits")
        page.get_by_role("menuitem", name="Edit", exact=True).click()
        page.get_by_role("menuitem", name="Clear Outputs of All Cells").click()
        page.locator(".vgs-scenes").wait_for(state="detached")
        page.evaluate("window.go()")
        page.wait_for_function("window.shown")
        assert page.evaluate("window.made") == 0
        assert not page.errors
