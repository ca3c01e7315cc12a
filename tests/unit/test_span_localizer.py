"""The span selector and the localizer without a browser, on the toy world of coloured discs and tones."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import toy_tour as toy

from vgs_lib import localization
from vgs_lib.errors import AudioError, DataError
from vgs_lib.localization import average_precision, iod, iot
from vgs_lib.widgets import (
    LocalizerController,
    Picture,
    RegionController,
    SpanController,
    Word,
)
from vgs_lib.widgets.localizer_controller import nearest_word
from vgs_lib.widgets.span_controller import loud_span

PICTURES = toy.scenes(20)
THREE = next(p for p in PICTURES if len(p.masks) == 3)


@pytest.fixture
def span():
    """A recording of "red green" (tones) and the spans that were selected."""
    selected = []
    made = SpanController(on_span=lambda start, end: selected.append((start, end)))
    made.show(toy.say("red", "green"), toy.RATE, title="red green", words=toy.words("red", "green"))
    made.selected = selected
    return made


@pytest.fixture
def localizer():
    made = LocalizerController(toy.ToyModel(), PICTURES, toy.clips(), threshold=0.3)
    made.choose_picture(THREE.id)
    return made


def peak_inside(region: RegionController, name: str) -> bool:
    return localization.pointing_hit(region.heat, torch.from_numpy(region.picture.masks[name])) > 0.9


def test_controllers_need_no_widget_library():
    code = (
        "import sys; sys.modules['ipywidgets'] = sys.modules['anywidget'] = None\n"
        "from vgs_lib.widgets import LocalizerController, RegionController, SpanController"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_first_word_is_selected_at_first(span):
    assert span.duration == pytest.approx(1.8)
    assert span.span == span.selected[-1] == pytest.approx((0.2, 0.8))
    assert len(span.samples) == round(0.6 * 16000)


def test_without_words_what_is_loud_is_selected():
    sound = np.concatenate([np.zeros(8000), toy.say("red", pause=0.0, length=0.5), np.zeros(16000)])
    start, end = loud_span(sound)
    assert start == pytest.approx(0.5, abs=0.02) and end == pytest.approx(1.0, abs=0.02)
    assert loud_span(np.zeros(100)) == (0.0, 100 / 16000)
    made = SpanController()
    made.show(sound)
    assert made.span == pytest.approx((start, end))


@pytest.mark.parametrize(
    ("asked", "selected"),
    [
        ((0.3, 0.9), (0.3, 0.9)),
        ((0.9, 0.3), (0.3, 0.9)),  # dragged to the left
        ((-5.0, 99.0), (0.0, 1.8)),
        ((0.5, 0.5), (0.5, 0.54)),  # the shortest span
        ((7.0, 8.0), (1.76, 1.8)),
    ],
)
def test_spans_are_put_in_order_and_kept_inside(span, asked, selected):
    span.select(*asked)
    assert span.span == span.selected[-1] == pytest.approx(selected)


def test_spans_that_are_none(span):
    with pytest.raises(DataError, match=r"The span is nan to 1\.0 s; expected two numbers"):
        span.select(float("nan"), 1.0)
    assert span.span == pytest.approx((0.2, 0.8))
    with pytest.raises(DataError, match="There is no recording"):
        SpanController().select(0, 1)
    with pytest.raises(DataError, match="The recording has no samples"):
        span.show(np.zeros(0))


def test_other_rates_and_channels_are_brought_to_16_khz():
    made = SpanController()
    made.show(np.stack([toy.say("red", rate=48000)] * 2), 48000)
    assert made.duration == pytest.approx(1.0) and made.waveform.ndim == 1


def test_the_message_of_the_selector_holds_the_sound(span):
    span.show(0.01 * span.waveform, words=span.words, play=True)
    content, (samples,) = span.message()
    json.dumps(content)
    found = np.frombuffer(samples, "<i2") / 32767
    assert len(found) == len(span.waveform) and np.abs(found).max() == pytest.approx(0.7, abs=1e-3)  # made louder
    assert content["words"] == [["red", 0.2, 0.8], ["green", 1.0, 1.6]] and content["duration"] == 1.8
    assert content["play"] and not span.message()[0]["play"]  # it plays once


def test_the_nearest_word_shares_most_or_has_the_smallest_gap():
    words = [Word("a", 0.0, 0.5), Word("b", 1.0, 1.5), Word("c", 2.0, 4.0)]
    near = lambda start, end: nearest_word(words, start, end).text
    assert [near(0.1, 0.4), near(0.4, 1.3), near(0.55, 0.7), near(0.8, 0.95), near(1.6, 1.7), near(9, 10)] == list(
        "ababbc"
    )
    assert nearest_word([], 0, 1) is None


def test_each_word_of_a_caption_lights_up_what_it_names(localizer):
    for word in THREE.caption.words:
        localizer.span.select(word.start, word.end)
        assert localizer.region.target == localizer.region.spoken == word.text
        assert peak_inside(localizer.region, word.text)
        half = (word.start + word.end) / 2
        localizer.span.select(half, word.end)  # half of a word is enough
        assert localizer.region.target == word.text and peak_inside(localizer.region, word.text)


def test_the_scores_are_those_of_the_measures_and_follow_the_threshold(localizer):
    region = localizer.region
    for threshold in (-1.0, 0.2, 0.6, 2.0):
        localizer.set_threshold(threshold)
        found = region.scores()
        assert found["iou"] == pytest.approx(localization.iou(region.heat, region.mask, threshold))
        assert found["iod"] == pytest.approx(iod(region.heat, region.mask, threshold))
        assert found["iot"] == pytest.approx(iot(region.heat, region.mask, threshold))
        assert found["average_precision"] == pytest.approx(average_precision(region.heat, region.mask))
        assert found["pointing"] == localization.pointing_hit(region.heat, region.mask) > 0.9
    assert found["chance"] == pytest.approx(float(region.mask.double().mean()))
    assert (found["iot"], found["iod"]) == (0, 0)
    with pytest.raises(DataError, match="The threshold is nan"):
        localizer.set_threshold(float("nan"))


def test_another_thing_can_be_compared_with_and_the_next_picture_forgets_it(localizer):
    first, second, _ = THREE.masks
    localizer.span.select(*next((w.start, w.end) for w in THREE.caption.words if w.text == first))
    localizer.choose_target(second)
    assert localizer.region.target == second and localizer.region.scores()["pointing"] == 0
    assert f"not on “{second}”" in localizer.region.description()
    localizer.choose_target("")
    assert localizer.region.target == first and localizer.region.scores()["pointing"] > 0.9
    with pytest.raises(DataError, match="no mask of 'dragon' in this picture; there are"):
        localizer.choose_target("dragon")
    localizer.choose_target(second)
    other = next(p for p in PICTURES if p is not THREE)
    localizer.choose_picture(other.id)
    assert localizer.region.chosen is None and localizer.picture is other
    assert localizer.region.target == other.caption.words[0].text


def test_a_spoken_word_lights_up_its_thing_and_waits_for_a_name(localizer):
    name = list(THREE.masks)[-1]
    sentence = localizer.speak(toy.say(name, rate=48000), 48000)
    assert sentence == "Heard “recording”: 1.0 s. Drag over its waveform to choose a part."
    assert localizer.span.span == pytest.approx((0.2, 0.8), abs=0.02)  # what is loud
    assert peak_inside(localizer.region, name)
    assert localizer.region.scores() == {} and "Choose below which thing was named" in localizer.region.description()
    localizer.choose_target(name)
    assert localizer.region.scores()["pointing"] > 0.9


def test_a_clip_that_is_titled_like_a_thing_is_compared_with_it(localizer):
    name = next(iter(THREE.masks))
    localizer.speak(toy.say(name), toy.RATE, title=f"{name} (a voice)")
    assert localizer.region.target == name
    localizer.speak(toy.say(name), toy.RATE, title=f"{name}dish")  # another word that begins alike
    assert localizer.region.target is None


def test_a_recording_stays_when_another_picture_without_a_caption_comes():
    silent = Picture("mine", "mine", THREE.load, None, THREE.masks)
    made = LocalizerController(toy.ToyModel(), [THREE, silent])
    name = list(THREE.masks)[1]
    made.speak(toy.say(name), toy.RATE, title=name)
    made.choose_picture("mine")
    assert made.span.title == name and peak_inside(made.region, name) and made.region.target == name
    first = LocalizerController(toy.ToyModel(), [silent])
    assert first.region.heat is None and "Choose a sound" in first.region.description()


def test_a_model_whose_frames_lag_is_read_later(localizer):
    class Late(toy.ToyModel):
        """Each frame hears what was said 0.4 s, ten frames, before it."""

        frame_lag = 0.4

        def embed_waveforms(self, waveforms):
            maps, lengths = super().embed_waveforms(waveforms)
            return torch.cat([torch.zeros_like(maps[..., :10]), maps], dim=-1), lengths + 10

    late = LocalizerController(Late(), PICTURES)
    late.choose_picture(THREE.id)
    for word in THREE.caption.words:
        late.span.select(word.start, word.end)
        localizer.span.select(word.start, word.end)
        torch.testing.assert_close(late.region.heat, localizer.region.heat)


def test_pictures_are_encoded_once():
    model = toy.ToyModel()
    made = LocalizerController(model, PICTURES[:3])
    for picture in (*PICTURES[:3], *PICTURES[:3]):
        made.choose_picture(picture.id)
        made.span.select(0.2, 0.5)
    assert model.num_images_encoded == 3


@pytest.mark.parametrize(
    ("sound", "message"),
    [(np.zeros(16000), "silent"), (np.zeros(0), "empty"), (np.full(16000, np.nan), "not finite|numbers")],
)
def test_sounds_that_cannot_be_used_leave_everything_as_it_was(localizer, sound, message):
    before = localizer.region.heat.clone(), localizer.span.span, localizer.span.title
    with pytest.raises(AudioError, match=message):
        localizer.speak(sound, 16000)
    assert torch.equal(localizer.region.heat, before[0]) and (localizer.span.span, localizer.span.title) == before[1:]


def test_messages_hold_what_is_drawn(localizer):
    content, data = localizer.region.message()
    json.dumps(content)
    colours, jpeg, heat, bits = data
    assert len(colours) == 768 and jpeg[:2] == b"\xff\xd8" and content["things"] == list(THREE.masks)
    assert np.array_equal(np.frombuffer(heat, "<f4").reshape(content["shape"]), localizer.region.heat.numpy())
    mask = np.unpackbits(np.frombuffer(bits, np.uint8))[: 224 * 224].reshape(content["size"]).astype(bool)
    assert np.array_equal(mask, THREE.masks[localizer.region.target]) and content["masked"]
    assert localizer.region.heat_message()[1] == [heat, bits]  # no picture again
    localizer.set_threshold(0.5)
    answer = localizer.region.scores_message()
    assert answer["threshold"] == 0.5 and answer["scores"] == localizer.region.scores()


def test_wrong_settings_are_refused():
    with pytest.raises(DataError, match="pictures: found none"):
        LocalizerController(toy.ToyModel(), [])
    with pytest.raises(DataError, match=r"heat_range: found \(1.0, 0.0\)"):
        RegionController(heat_range=(1.0, 0.0))
