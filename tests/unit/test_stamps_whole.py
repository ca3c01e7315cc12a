"""The real data set: its size, its splits, and that people are never heard in training."""

import hashlib
import json

from test_scenes import stamps

from vgs_lib.data.stamps import LANGUAGES, human_split
from vgs_lib.data.voices import VOICES


def test_people_are_a_third_and_two_thirds_the_same_in_each_language():
    parts = {}
    for concept in stamps().concepts:
        split = {human_split(concept.id, language).split("-")[0] for language in LANGUAGES}
        assert len(split) == 1, "the same part in each language"
        parts[concept.id] = split.pop()
    share = sum(part == "validation" for part in parts.values()) / len(parts)
    assert 0.27 < share < 0.40
    for language in LANGUAGES:
        spoken = {part: {c.id for c in stamps().people(f"{part}-human-{language}")} for part in ("validation", "test")}
        recorded = {c.id for c in stamps().concepts if language in c.people}
        assert spoken["validation"] | spoken["test"] == recorded
        assert spoken["validation"].isdisjoint(spoken["test"])
        if language == "en":  # where no recording is shared
            assert all(parts[one] == part for part, ids in spoken.items() for one in ids)


def test_no_recording_is_in_two_splits_even_under_two_names():
    shared = 0
    for language in LANGUAGES:
        digests = {}
        for part in ("validation", "test"):
            for concept in stamps().people(f"{part}-human-{language}"):
                sound = (stamps().folder / concept.people[language]).read_bytes()
                digests.setdefault(hashlib.sha256(sound).digest(), []).append(part)
        assert all(len(set(parts)) == 1 for parts in digests.values()), language
        shared += sum(len(parts) > 1 for parts in digests.values())
    assert shared > 50  # there are such recordings


def test_the_manifest_keeps_people_out_of_training():
    splits, speakers = {}, {}
    with open(stamps().folder / "manifest.jsonl", encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            assert entry["split"] in ("train", "validation", "test") or entry["engine"] == "person"
            speakers.setdefault(entry["split"], set()).add(entry["speaker"])
            assert splits.setdefault(entry["audio"], entry["split"]) == entry["split"]
    assert speakers["train"] == {v.name for v in VOICES if v.split == "train"}
    assert speakers["test"] == {v.name for v in VOICES if v.split == "test"}
    assert {f"{part}-human-{language}" for part in ("validation", "test") for language in LANGUAGES} < speakers.keys()


def test_the_data_set_is_as_large_as_it_should_be():
    assert 640 <= len(stamps().concepts) <= 701
    assert {c.id.split("/")[0] for c in stamps().concepts}.isdisjoint({"symbols"})
    assert sum("en" in c.people for c in stamps().concepts) >= 60
    assert len(LANGUAGES) == 11
    report = json.loads((stamps().folder / "build.json").read_text(encoding="utf-8"))
    assert report["missing_voices"] == {} and len(report["voices"]) == len(VOICES)
    assert (
        report["concepts"] + sum(item["file"].endswith((".txt", ".png", ".svg")) for item in report["dropped"]) >= 690
    )
