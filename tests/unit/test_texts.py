"""Names from descriptions: what is kept of a first line, and why some have none."""

import pytest

from vgs_lib.data.texts import MAX_WORDS, key_of, name_of


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("A blackbird.", "a blackbird"),
        ("  An owl  ", "an owl"),
        ("The Eiffel tower in Paris.", "the Eiffel tower in Paris"),
        ("Tankers carry bulk liquids.", "tankers"),
        ("A cat: it purrs.", "a cat"),
        ("A cow (female).", "a cow"),
        ("A bat; it sleeps by day.", "a bat"),
        ("A bat — it sleeps by day.", "a bat"),
        ("A bat - it sleeps by day.", "a bat"),
        ("A four-leaf clover.", "a four-leaf clover"),
        ("“A wizard’s hat”!", "a wizard's hat"),
        ("A ripe, red tomato.", "a ripe red tomato"),
        ("A house that someone built very long ago.", "a house"),
        ("A house that was built very long ago.", "a house"),
        ("A house, which is old.", "a house"),
        ("A man who lets his dog run and runs behind it.", "a man"),
        ("A bird that sings.", "a bird that sings"),
        ("A flower covered in dew drops.", "a flower covered in dew drops"),
        ("A flower covered in very many little dew drops.", "a flower"),
        ("A hat worn by people who live in Mexico.", "a hat worn by people"),
        ("A hat worn by very many people who live in Mexico.", "a hat"),
        ("A   very\tsmall  pumpkin.", "a very small pumpkin"),
        ("2 birds", "2 birds"),
        ("Ёж.", "ёж"),
    ],
)
def test_keeps_the_first_phrase(line, name):
    assert name_of(line) == (name, "")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "no first clause"),
        ("   ", "no first clause"),
        ("...and more", "no first clause"),
        ("(nothing)", "no first clause"),
        ("Say cheese!", "names nothing"),
        ("Eat your vegetables!", "names nothing"),
        ("It's a trap.", "names nothing"),
        ("12 34", "no letters"),
        ("That is all.", "no letters"),
        ("One two three four five six seven.", f"longer than {MAX_WORDS} words"),
    ],
)
def test_gives_the_reason_where_there_is_no_name(line, reason):
    name, found = name_of(line)
    assert name == "" and reason in found


def test_six_words_are_kept_and_seven_are_not():
    assert name_of("one two three four five six")[0] == "one two three four five six"
    assert name_of("one two three four five six seven")[0] == ""


def test_words_that_only_begin_like_a_joke_are_names():
    # "say", "eat" and "with" are left out as words, not as beginnings of words.
    assert name_of("Sayings on a wall")[0] == "sayings on a wall"
    assert name_of("Eaten apple")[0] == "eaten apple"
    assert name_of("Withered rose")[0] == "withered rose"
    assert name_of("An island")[0] == "an island"


def test_texts_that_name_the_same_thing_share_a_key():
    assert key_of("a dog") == key_of("A dog") == key_of("the dog!") == key_of("some dog") == "dog"
    assert key_of("a T-shirt") == key_of("a t shirt") == "t shirt"
    assert key_of("an hippopotamus") == "hippopotamus"
    different = ["a dog", "two dogs", "a dog house", "another dog", "anaconda", "theatre"]
    assert len({key_of(text) for text in different}) == len(different)
    assert key_of("anaconda") == "anaconda" and key_of("theatre") == "theatre"
