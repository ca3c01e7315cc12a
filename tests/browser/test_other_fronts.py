"""Every widget in Notebook 7 and in Voila, on the toy world: it appears, answers to a person, and shows no error."""

import numpy as np
import pytest
import soundfile
import toy_tour as toy
from fronts import SCREENSHOTS, chromium, run_server
from PIL import Image

pytestmark = [pytest.mark.browser, pytest.mark.slow]
FOLDER = toy.__file__.rsplit("/", 1)[0]
SOURCE = """
import sys
sys.path.insert(0, {folder!r})
import ipywidgets
import toy_cam, toy_records, toy_study
import toy_tour as toy
from vgs_lib import widgets
from vgs_lib.data import spoken_captions
from vgs_lib.data.catalogue import Recording, Thing
from vgs_lib.prompting import Prompter
from vgs_lib.widgets import caption_speaker

model, pictures, clips, place = toy.ToyModel(), toy.scenes(8), toy.clips(), {place!r}
collection = widgets.Collection.of(model, pictures)
things = [
    Thing(n, n, f"{{place}}/{{n}}.png", recordings=(Recording(f"{{place}}/{{n}}.wav", "test", "en", "ann", n),))
    for n in toy.NAMES
]
spoken_captions.engine_available = lambda engine: engine == "flite"
caption_speaker.say = lambda text, voice: toy.say("red", "blue")
prompter = Prompter(model, heat_range=(0.0, 0.5))
prompter.add_pictures(["two"], [toy_cam.two_discs().load()])
player = widgets.MatchmapPlayer()
prompt = prompter.prompt(toy.say("red", "green"), toy.RATE)
player.show(toy_cam.two_discs(), prompt, title="two discs", words=toy.words("red", "green"))
chosen = []
shown = {{
    "tour": widgets.Tour(model, pictures=pictures, clips=clips),
    "gallery": widgets.Gallery(pictures, title="Alone", on_choose=chosen.append),
    "recorder": widgets.Recorder(lambda sound, rate, **more: f"{{len(sound) / rate:.1f}} s heard", clips=clips),
    "player": player,
    "data": widgets.DataExplorer(things),
    "front-ends": widgets.FrontEndExplorer(clips),
    "scenes": widgets.SceneExplorer({{"toy": pictures}}),
    "manifest": widgets.ManifestMaker(place),
    "captions": widgets.CaptionSpeaker("a red disc", folder={out!r}),
    "dashboard": widgets.TrainingDashboard(toy_study.ToyStudy(steps=6), {out!r} + "/runs"),
    "matrix": widgets.ScoreMatrix(collection),
    "search": widgets.ImageSearch(collection, clips, num_best=4),
    "annotation": widgets.ImageAnnotation(collection, transcribe=lambda sound, rate: "red", num_best=3),
    "systems": widgets.SystemComparison(
        [toy_records.record(name, queries=8) for name in ("ni2018-baseline", "tian2020")], pictures.__getitem__
    ),
    "span": widgets.SpanSelector(toy.say("red", "blue"), toy.RATE, words=toy.words("red", "blue")),
    "localizer": widgets.Localizer(model, pictures, clips, threshold=0.3),
    "cam": widgets.CamInspector(toy_cam.toy_model("sisa"), [toy_cam.two_discs()]),
}}
ipywidgets.VBox([ipywidgets.VBox([one]).add_class("case-" + name) for name, one in shown.items()])
"""
HEAT = ".vgs-picture[data-peak-x]"
TWO = next(p for p in toy.scenes(8) if len(p.masks) == 2)


@pytest.fixture(scope="module", params=["notebook", "voila"])
def front(request, tmp_path_factory):
    """The page of a notebook with every widget, in one of the two fronts, its cell run."""
    home = tmp_path_factory.mktemp(request.param)
    place, out = home / "discs", home / "out"
    place.mkdir()
    out.mkdir()
    for name in toy.NAMES:
        Image.fromarray(toy.scene(name, {name: (0.5, 0.5)}).load()).save(place / f"{name}.png")
        soundfile.write(place / f"{name}.wav", toy.say(name), toy.RATE)
    soundfile.write(home / "red.wav", toy.say("red", rate=48000), 48000)
    source = SOURCE.format(folder=FOLDER, place=str(place), out=str(out))
    options = {"notebook": ("notebook", "--allow-root"), "voila": ("voila",)}[request.param]
    with run_server(home, options) as server, chromium(home / "red.wav") as page:
        server.write("all.ipynb", source)
        path = {"notebook": "notebooks", "voila": "voila/render"}[request.param]
        page.goto(f"{server.address}/{path}/all.ipynb?token={server.token}")
        try:
            if request.param == "notebook":
                page.wait_for_selector(".jp-Notebook .jp-Cell")
                server.wait_kernel()
                page.errors.clear()  # Notebook 7 may meet one of its own while it loads its settings
                page.get_by_role("menuitem", name="Run", exact=True).click()
                page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            page.locator(".case-cam .vgs-cam").wait_for(state="attached", timeout=90_000)
            yield page
        finally:
            SCREENSHOTS.mkdir(exist_ok=True)
            page.screenshot(path=SCREENSHOTS / f"front-{request.param}.png")


@pytest.fixture
def case(front, request):
    """``case(name)``: the part of the page with one widget, in view; at the end it is photographed and looked at."""
    parts = []

    def found(name):
        part = front.locator(f".case-{name}")
        part.scroll_into_view_if_needed()
        parts.append((name, part))
        return part

    yield found
    SCREENSHOTS.mkdir(exist_ok=True)
    for name, part in parts:
        part.screenshot(path=SCREENSHOTS / f"front-{request.node.callspec.params['front']}-{name}.png")
    assert front.locator(".vgs-failed:visible").all_text_contents() == []
    assert front.locator('[data-mime-type="application/vnd.jupyter.stderr"]').count() == 0
    assert not front.errors


def test_the_tour_hears_and_answers(case, front):
    tour = case("tour")
    tour.locator(".vgs-status", has_text="Ready").wait_for()
    tour.locator(f'.vgs-gallery:not(.vgs-compact) li[data-id="{TWO.id}"] .vgs-caption-button').click()
    tour.locator(f'{HEAT}[data-picture="{TWO.id}"][data-playing="true"]').wait_for()
    tour.locator(".vgs-record").click()
    tour.locator('.vgs-recorder[data-recording="true"]').wait_for()
    front.wait_for_timeout(1500)
    tour.locator(".vgs-record").click()
    tour.locator(f'{HEAT}[data-title="recording"]').wait_for()
    assert "Searched 8 pictures" in tour.locator(".vgs-status").text_content()


def test_gallery_recorder_and_player_alone(case, front):
    gallery = case("gallery")
    gallery.locator(f'.vgs-thumb[data-id="{TWO.id}"]').click()
    gallery.locator(f'.vgs-thumb[data-id="{TWO.id}"][aria-pressed="true"]').wait_for()
    recorder = case("recorder")
    recorder.locator(".vgs-clips").select_option("clip-blue")
    recorder.locator(".vgs-status", has_text="1.0 s heard").wait_for()
    player = case("player")
    player.locator(".vgs-word", has_text="green").click()
    player.locator('.vgs-picture[data-mode="word"][data-word="green"]').wait_for()
    player.locator(".vgs-stage").focus()
    front.keyboard.press("Home")
    front.keyboard.press("ArrowRight")
    player.locator('.vgs-picture[data-time="0.040"]').wait_for()
    front.keyboard.press("Space")
    player.locator('.vgs-picture[data-playing="true"]').wait_for()
    player.locator('.vgs-picture[data-playing="false"]').wait_for()


def test_the_explorers_of_the_data(case, front):
    data = case("data")
    data.locator(".vgs-search").fill("BLUE")
    front.keyboard.press("Enter")
    data.locator('.vgs-data[data-found="1"][data-thing="blue"]').wait_for()
    data.locator(".vgs-say").click()
    data.locator('.vgs-sound[data-playing="true"]').wait_for()
    front_ends = case("front-ends")
    front_ends.locator('[data-name="hop_seconds"]').fill("0.02")
    front_ends.locator('.vgs-log-mel[data-frames="51"]').wait_for()
    scenes = case("scenes")
    scenes.locator(".vgs-next").click()
    scenes.locator('.vgs-scene-picture[data-index="1"]').wait_for()
    scenes.locator(".vgs-hear").first.click()
    scenes.locator('.vgs-scene-picture:not([data-heard=""])').wait_for()


def test_a_manifest_and_a_caption_are_made(case, front):
    manifest = case("manifest")
    manifest.locator(".vgs-check").click()
    manifest.locator('.vgs-manifest[data-pairs="4"][data-problems="0"]').wait_for()
    manifest.locator(".vgs-write").click()
    manifest.locator('.vgs-manifest[data-written$="manifest.jsonl"]').wait_for()
    captions = case("captions")
    captions.locator(".vgs-speak").click()
    captions.locator('.vgs-caption-speaker[data-number="1"] .vgs-sound[data-playing="true"]').wait_for()
    captions.locator(".vgs-file").fill("disc")
    front.keyboard.press("Enter")
    captions.locator('.vgs-caption-speaker[data-saved$="disc.wav"]').wait_for()


def test_a_run_is_trained(case, front):
    dashboard = case("dashboard")
    dashboard.locator(".vgs-start").click()
    dashboard.locator('.vgs-dashboard[data-state="finished"][data-step="6"]').wait_for()
    assert int(dashboard.locator(".vgs-chart").get_attribute("data-points")) > 0


def test_scores_search_and_annotation(case, front):
    matrix = case("matrix")
    canvas = matrix.locator(".vgs-matrix-canvas[data-columns='8']")
    step = canvas.bounding_box()["width"] / 8
    canvas.click(position={"x": 3.5 * step, "y": 3.5 * step})
    matrix.locator(".vgs-matrix-canvas[data-chosen='3,3'][data-right='true']").wait_for()
    matrix.locator(f'{HEAT}[data-picture="scene-3"]').wait_for()
    canvas.focus()
    for key in ("ArrowDown", "ArrowRight", "Enter"):  # shortcuts of the notebook, elsewhere on its page
        front.keyboard.press(key)
    matrix.locator(".vgs-matrix-canvas[data-chosen='4,4']").wait_for()
    assert front.locator(".jp-Notebook.jp-mod-editMode").count() == 0
    search = case("search")
    search.locator("select.vgs-clips").select_option("clip-red")
    search.locator(f'{HEAT}[data-title="red"]').wait_for()
    assert search.locator('.vgs-results li[data-right="true"]').count() > 0
    annotation = case("annotation")
    annotation.locator('.vgs-thumb[data-id="scene-4"]').click()
    annotation.locator(".vgs-results li[data-right='true'][data-id='4'][data-heard='red']").wait_for()


def test_two_systems_are_compared(case, front):
    systems = case("systems")
    canvas = systems.locator(".vgs-systems-canvas[data-queries='8']")
    systems.locator("select.vgs-way").select_option("image_to_speech")
    systems.locator(".vgs-systems-canvas[data-way='image_to_speech']").wait_for()
    canvas.focus()
    for _ in range(2):
        front.keyboard.press("ArrowRight")
    systems.locator(".vgs-systems-canvas[data-chosen]").wait_for()
    assert systems.locator(".vgs-query-words span").count() > 0


def test_a_span_lights_up_a_region(case, front):
    span = case("span")
    span.locator(".vgs-words button", has_text="blue").click()
    span.locator('.vgs-wave[data-start="1.000"][data-end="1.600"]').wait_for()
    localizer = case("localizer")
    localizer.locator(f'.vgs-thumb[data-id="{TWO.id}"]').click()
    localizer.locator(f'.vgs-region {HEAT}[data-picture="{TWO.id}"]').wait_for()
    wave, word = localizer.locator(".vgs-wave"), TWO.caption.words[1]
    wave.scroll_into_view_if_needed()
    box = wave.bounding_box()
    place = lambda time: box["x"] + time / 1.8 * box["width"]
    front.mouse.move(place(word.start + 0.1), box["y"] + 20)
    front.mouse.down()
    front.mouse.move(place(word.end - 0.1), box["y"] + 20, steps=4)
    front.mouse.up()
    canvas = localizer.locator(f'.vgs-region {HEAT}[data-target="{word.text}"]')
    canvas.wait_for()
    x, y = (float(canvas.get_attribute(f"data-peak-{axis}")) for axis in "xy")
    mask = TWO.masks[word.text]
    assert np.asarray(mask)[int(y * len(mask)), int(x * len(mask[0]))]


def test_what_a_score_depends_on(case, front):
    cam = case("cam")
    cam.locator('.vgs-cam[data-state="done"]').wait_for()
    before = int(cam.locator(".vgs-picture").get_attribute("data-shown"))
    cam.locator(".vgs-cam-word").select_option("1")
    cam.locator(".vgs-explain").click()
    cam.locator(f'.vgs-picture[data-shown="{before + 1}"][data-query="green"]').wait_for()
