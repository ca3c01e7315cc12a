"""The tour notebook as a person uses it: JupyterLab in Chromium, the real data, the shipped model, a spoken word."""

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from playwright.sync_api import expect
from tour_page import TourPage

from vgs_lib.data.stamps import Stamps
from vgs_lib.widgets import tour_material
from vgs_lib.widgets.buffers import wav

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NAME = "a frog"


@pytest.fixture(scope="module")
def material():
    """The tour's pictures and clips: the same as in the notebook."""
    return tour_material(Stamps.open())


@pytest.fixture
def spoken(material, tmp_path):
    """A WAV of a person saying `NAME` and pausing: (path, seconds that surely hold the whole word)."""
    clip = next(clip for clip in material[1] if clip.group == "People" and clip.title == NAME)
    samples, rate = clip.load()
    pause = np.zeros(int(1.2 * rate), np.float32)
    period = np.concatenate([samples, pause])
    sound = torchaudio.functional.resample(torch.from_numpy(period), rate, 48000).numpy()
    soundfile.write(tmp_path / "spoken.wav", sound, 48000)
    return tmp_path / "spoken.wav", (len(period) + len(samples)) / rate


def inside(mask, point) -> bool:
    return bool(mask[int(point[1] * mask.shape[0]), int(point[0] * mask.shape[1])])


def test_a_person_speaks_and_the_picture_answers(open_notebook, material, spoken):
    picture = next(p for p in material[0] if NAME in p.masks)
    microphone, seconds = spoken
    with open_notebook("00_tour.ipynb", microphone=microphone) as page:
        tour = TourPage(page)
        tour.wait_ready(180)
        tour.choose(picture.id)
        tour.record(seconds + 0.3)
        tour.wait_shown(picture.id, "recording")
        assert inside(picture.masks[NAME], tour.peak()), tour.peak()
        assert "Searched 200 pictures" in tour.status
        assert tour.best() == tour.answers() and len(set(tour.best())) == 5
        titles = {p.id: p.title for p in material[0]}
        assert any(NAME in titles[name] for name in tour.best())

        page.locator(".vgs-play").click()
        page.wait_for_selector('.vgs-picture[data-playing="true"][data-mode="time"]')
        page.locator(".vgs-play").click()
        page.wait_for_selector('.vgs-picture[data-playing="false"]')
        tour.scrub(0.5)
        assert tour.data("mode") == "time"

        tour.upload("notes.txt", b"Words, but not spoken ones.")
        tour.failure("notes.txt")
        tour.upload("silence.wav", wav(np.zeros(16000)))
        tour.failure("silent")
        assert not page.errors


def test_the_light_follows_the_words_of_a_caption(open_notebook, material):
    picture = next(p for p in material[0] if NAME in p.masks)
    with open_notebook("00_tour.ipynb") as page:
        tour = TourPage(page)
        tour.wait_ready(180)
        tour.caption(picture.id)
        page.wait_for_selector('.vgs-picture[data-playing="true"]')
        page.locator(".vgs-play").click()
        named = [word for word in picture.caption.words if word.text in picture.masks]
        hits = 0
        for word in named:
            tour.scrub(round(0.4 * word.start + 0.6 * word.end, 2))
            assert page.locator(".vgs-heard").text_content() == word.text
            hits += inside(picture.masks[word.text], tour.peak())
        assert hits >= len(named) - 1 and hits >= 1
        assert tour.best()[0] == picture.id
        page.get_by_text("The hottest place lies inside what was named (a frog): True", exact=True).wait_for()
        assert page.get_by_text("Not answered yet").count() == 3
        page.locator('.jp-RenderedMarkdown a[href*="glossary.md"][href$="#median-rank"]').first.click()
        expect(page.locator('.jp-MarkdownViewer [data-jupyter-id="median-rank"]')).to_be_in_viewport(timeout=20_000)
        assert not page.errors
