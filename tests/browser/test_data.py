"""The data explorer in JupyterLab in Chromium, on coloured discs and tones; and the notebook 01_data itself."""

import pytest
import toy_tour as toy
from widget_page import SLOW, data, wait

from vgs_lib.data.manifest import Entry, Word, write_manifest

pytestmark = pytest.mark.browser


@pytest.fixture
def manifest(place):
    """A manifest of the discs: two categories, two languages, two speakers."""
    entries = []
    for index, name in enumerate(toy.NAMES):
        language, engine = ("en", None) if index % 2 else ("fr", "flite")
        speaker, kind = ("ann" if index % 2 else "slt"), ("warm" if name in ("red", "yellow") else "cold")
        words = (Word(name, 0.2, 0.8),)
        entries.append(
            Entry(
                f"{name}.png",
                f"{name}.wav",
                "train",
                language=language,
                text=f"a {name} disc",
                words=words,
                speaker=speaker,
                engine=engine,
                class_name=f"discs/{kind}",
            )
        )
    write_manifest(entries, place / "manifest.jsonl")
    return place / "manifest.jsonl"


def test_search_look_and_listen(with_widget, manifest):
    source = f"from vgs_lib.data.manifest import read_manifest\nwidgets.DataExplorer(read_manifest({str(manifest)!r}))"
    with with_widget(source) as page:
        wait(page, ".vgs-data", "found", 4)
        shown = lambda: page.locator(".vgs-grid .vgs-thumb").evaluate_all("all => all.map(e => e.dataset.id)")
        assert shown() == [f"{name}.png" for name in toy.NAMES]
        page.locator(".vgs-category").select_option(label="\u00a0\u00a0warm (2)")
        wait(page, ".vgs-data", "found", 2)
        assert shown() == ["red.png", "yellow.png"] and "2 of 4" in page.locator(".vgs-count").text_content()
        page.locator(".vgs-language").select_option(label="English (2)")
        wait(page, ".vgs-data", "found", 1)
        wait(page, ".vgs-data", "thing", "yellow.png")
        page.locator(".vgs-say").click()
        wait(page, ".vgs-sound", "playing", "true")
        wait(page, ".vgs-sound", "heard", "yellow")
        wait(page, ".vgs-sound", "playing", "false")  # it ends by itself
        assert data(page, ".vgs-sound", "duration") == "1.000"
        assert "a person" in page.locator(".vgs-sound-title").text_content()
        page.locator(".vgs-all").click()
        wait(page, ".vgs-data", "found", 4)
        page.locator(".vgs-search").fill("BLUE")
        page.keyboard.press("Enter")
        wait(page, ".vgs-data", "thing", "blue.png")
        assert page.locator(".vgs-names").first.text_content() == "Frencha blue disc"
        page.locator(".vgs-search").fill("unicorn")
        page.keyboard.press("Enter")
        wait(page, ".vgs-data", "found", 0)
        assert "Nothing fits" in page.locator(".vgs-count").text_content()
        page.locator(".vgs-all").click()
        wait(page, ".vgs-data", "found", 4)
        (manifest.parent / "green.wav").write_text("no sound")
        page.locator('.vgs-thumb[data-id="green.png"]').focus()
        page.keyboard.press("Enter")
        wait(page, ".vgs-data", "thing", "green.png")
        page.locator(".vgs-say").click()
        page.locator(".vgs-data .vgs-failed", has_text="cannot be read as sound").wait_for()
        assert not page.errors


def test_what_is_typed_filtered_and_turned_while_an_answer_is_awaited_stays(with_widget, manifest):
    source = f"""
from vgs_lib.data.manifest import read_manifest
from vgs_lib.widgets import data_explorer
data_explorer.PAGE = 1
explorer = widgets.DataExplorer(read_manifest({str(manifest)!r}))
slow(explorer.controller, "filter", "turn")
explorer"""
    with with_widget(SLOW + source) as page:
        wait(page, ".vgs-data", "found", 4)
        for _ in range(2):
            page.locator(".vgs-data .vgs-next").click()
        wait(page, ".vgs-data", "page", 2)
        page.locator(".vgs-search").fill("e")
        page.keyboard.press("Enter")
        page.keyboard.type("l")
        wait(page, ".vgs-data", "page", 0)  # the answer to "e"
        assert page.locator(".vgs-search").input_value() == "el"
        page.keyboard.press("Enter")
        wait(page, ".vgs-data", "found", 1)  # yellow
        page.locator(".vgs-all").click()
        wait(page, ".vgs-data", "found", 4)
        page.locator(".vgs-category").select_option(label="\u00a0\u00a0cold (2)")  # green and blue
        page.locator(".vgs-language").select_option(label="French (2)")
        wait(page, ".vgs-data", "found", 2)  # the answer to the category
        page.locator(".vgs-speaker").select_option(label="slt (2)")
        wait(page, ".vgs-data", "found", 1)
        page.locator(".vgs-data .vgs-note", has_text="blue").wait_for()
        controls = page.locator(".vgs-category, .vgs-language, .vgs-speaker")
        assert controls.evaluate_all("all => all.map(e => e.value)") == ['["discs","cold"]', "fr", "slt"]
        assert not page.errors


def test_a_recording_of_a_thing_that_was_just_left_is_not_played_by_another(with_widget, manifest):
    source = f"""
from vgs_lib.data.manifest import read_manifest
from vgs_lib.widgets import data_explorer
data_explorer.PAGE = 2
explorer = widgets.DataExplorer(read_manifest({str(manifest)!r}))
slow(explorer.controller, "choose")
explorer"""
    with with_widget(SLOW + source) as page:
        wait(page, ".vgs-data", "thing", "red.png")
        page.locator(".vgs-thumb").nth(1).click()
        page.locator(".vgs-say").click()  # of the thing that is still shown
        page.locator(".vgs-data .vgs-next").click()
        wait(page, ".vgs-data", "page", 1)  # so all before it is answered
        assert (data(page, ".vgs-data", "thing"), data(page, ".vgs-data", "playing")) == ("green.png", "")
        page.locator(".vgs-say").click()
        wait(page, ".vgs-data", "playing", "ann en")
        assert not page.errors


@pytest.mark.slow
def test_the_notebook_as_a_student_uses_it(open_notebook, lab):
    with open_notebook("solutions/01_data.ipynb") as page:
        wait(page, ".vgs-data", "found", 679, seconds=90)
        page.locator(".vgs-speaker").first.select_option(label="people, English (65)")
        wait(page, ".vgs-data", "found", 65)
        page.locator('.vgs-thumb[data-id="animals/amphibians/frog"]').first.click()
        wait(page, ".vgs-data", "thing", "animals/amphibians/frog")
        page.locator(".vgs-say").first.click()
        wait(page, ".vgs-data", "playing", "person-en en")
        # Cells far below are drawn when they come near.
        scroll_to(page, ".vgs-front-end")
        page.locator(".vgs-sounds").select_option(index=13)
        page.locator('.vgs-control [data-name="hop_seconds"]').fill("0.005")
        page.locator(".vgs-code", has_text="LogMel(hop_seconds=0.005)").wait_for()
        scroll_to(page, ".vgs-scenes")
        page.locator(".vgs-group").select_option("test-hard")
        wait(page, ".vgs-scene-picture", "group", "test-hard")
        page.locator(".vgs-scenes .vgs-sound-play").click()
        wait(page, ".vgs-scenes .vgs-sound", "playing", "true")
        scroll_to(page, ".vgs-manifest")
        page.locator(".vgs-manifest .vgs-check").click()
        wait(page, ".vgs-manifest", "problems", 2)
        assert "rename it if it describes lion.png" in page.locator(".vgs-problems").text_content()
        scroll_to(page, ".vgs-caption-speaker")
        assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
        assert not page.errors


def scroll_to(page, selector: str) -> None:
    """Scroll down until the widget is drawn, and it to the top."""
    panel = page.locator(".jp-WindowedPanel-outer").first
    for _ in range(40):
        if page.locator(selector).count():
            return page.locator(selector).first.evaluate("e => e.scrollIntoView({ block: 'start' })")
        panel.evaluate("e => { e.scrollTop += 700 }")
        page.wait_for_timeout(150)
    raise AssertionError(f"no {selector} in the notebook")
