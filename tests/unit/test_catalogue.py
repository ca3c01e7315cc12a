"""A data set as things to look at and hear: what is listed, and what each filter lets through."""

import numpy as np
import pytest
import tiny_stamps
from PIL import Image

from vgs_lib.data import catalogue
from vgs_lib.data.manifest import Entry, Manifest, Word
from vgs_lib.data.stamps import Stamps
from vgs_lib.errors import AudioError, ImageError


@pytest.fixture
def things(tiny_set):
    return catalogue.of_stamps(Stamps.open(tiny_set))


def test_every_recording_of_a_stamp_is_listed(things):
    dog = next(thing for thing in things if thing.id == "animals/dog")
    who = [(one.language, one.speaker, one.person) for one in dog.recordings]
    assert who == [
        ("en", "person-en", True),
        ("fr", "person-fr", True),
        ("be", "person-be", True),
        ("en", "tiny-espeak", False),
        ("en", "tiny-flite", False),
    ]
    assert [one.split for one in dog.recordings[-2:]] == ["train", "test"]
    assert dog.names["fr"] == "Un chien." and dog.recordings[1].text == "Un chien."
    assert all(one.load().dtype == np.float32 and one.load().size > 1600 for one in dog.recordings)
    assert dog.load().shape[2] == 3 and dog.load().dtype == np.uint8


def test_filters_narrow_down_together(things):
    ids = lambda **wanted: {thing.id for thing in catalogue.select(things, **wanted)}
    assert ids() == set(tiny_stamps.KEPT)
    assert ids(category=("animals", "birds")) == {"animals/birds/owl"}
    assert ids(language="fr") == {"animals/dog", "animals/cat"}
    assert ids(language="fr", speaker="tiny-flite") == set()  # it speaks English only
    assert ids(speaker="tiny-flite") == set(tiny_stamps.KEPT)
    assert ids(text=" HIBOU ") == {"animals/birds/owl"} and ids(text="a dog") == {"animals/dog", "animals/dog2"}
    assert ids(category=("food",), language="en", text="pear") == {"food/pear"}


def test_counts_of_categories_languages_and_speakers(things):
    assert catalogue.categories(things)[("animals",)] == 5 and catalogue.categories(things)[("animals", "birds")] == 1
    assert list(catalogue.languages(things)) == ["en", "fr", "be"] and catalogue.languages(things)["fr"] == 2
    voices = catalogue.speakers(things, person=False)
    assert voices == {"train": {"tiny-espeak": 9}, "test": {"tiny-flite": 9}}
    people = catalogue.speakers(things, person=True)
    assert sum(sum(who.values()) for who in people.values()) == 4 + 2 + 1  # English, French, Belarusian


def test_a_manifest_lists_each_picture_once(tmp_path):
    entries = (
        Entry("a.png", "1.wav", "train", text="a cat", language="en", speaker="ann", class_name="pets/cats"),
        Entry("b.png", "2.wav", "test", engine="flite"),
        Entry("a.png", "3.wav", "train", text="un chat", language="fr", words=(Word("chat", 0.1, 0.4),)),
    )
    first, second = catalogue.of_manifest(Manifest(tmp_path, entries))
    assert (first.id, first.title, first.category) == ("a.png", "a cat", ("pets", "cats"))
    assert first.names == {"en": "a cat", "fr": "un chat"} and len(first.recordings) == 2
    assert first.recordings[1].words == (("chat", 0.1, 0.4),) and first.recordings[0].person
    assert second.title == "b" and not second.recordings[0].person and second.category == ()


def test_what_cannot_be_read_is_named(tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    with pytest.raises(ImageError, match=r"bad\.png"):
        catalogue.read_picture(bad)
    with pytest.raises(AudioError, match=r"none\.wav"):
        catalogue.Recording(tmp_path / "none.wav", "train").load()


def test_what_is_transparent_is_shown_white(tmp_path):
    picture = Image.new("RGBA", (2, 1), (10, 20, 30, 0))
    picture.putpixel((1, 0), (10, 20, 30, 255))
    picture.save(tmp_path / "half.png")
    assert catalogue.read_picture(tmp_path / "half.png").tolist() == [[[255, 255, 255], [10, 20, 30]]]
