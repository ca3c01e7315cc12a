"""``python -m vgs_lib data stamps``, ``data attributes`` and ``data check``."""

import argparse
import json
from collections import Counter
from contextlib import closing

from vgs_lib.data import attribute_speech
from vgs_lib.data.stamps import Stamps, is_complete
from vgs_lib.paths import home


def run(chosen: argparse.Namespace) -> int:
    """Build Spoken Stamps or its words for attributes with a progress bar, or validate a manifest."""
    return {"stamps": _stamps, "attributes": _attributes, "check": _check}[chosen.set](chosen)


def _stamps(chosen: argparse.Namespace) -> int:
    folder = chosen.folder or home() / "stamps"
    if chosen.archive is None and is_complete(folder):
        print(f"Spoken Stamps is built in {folder}.")
        return 0
    from vgs_lib.commands.bars import Bars
    from vgs_lib.data.stamps_build import build

    with Bars() as bars, closing(build(folder, archive=chosen.archive, jobs=chosen.jobs)) as events:
        for progress in events:
            bars.show(progress.step, progress.done, progress.total)
    report = json.loads((folder / "build.json").read_text(encoding="utf-8"))
    people = ", ".join(f"{count} {language}" for language, count in report["people"].items())
    print(f"Kept {report['concepts']} concepts with {report['names']} names and {report['clips']} spoken clips.")
    print(f"Recordings by people: {people}. Natural sounds: {report['sounds']}.")
    for why, count in Counter(_sort_of(item["why"]) for item in report["dropped"]).most_common():
        print(f"Dropped {count}: {why}.")
    for voice, command in report["missing_voices"].items():
        print(f"Voice {voice} is missing; get it with: {command}")
    print(f"Every one is listed in {folder / 'build.json'}.")
    return 0


def _attributes(chosen: argparse.Namespace) -> int:
    stamps = Stamps.open(chosen.folder)
    folder, (nouns, left_out) = attribute_speech.folder_of(stamps), attribute_speech.present(stamps)
    for noun, why in left_out.items():
        print(f"Left out {noun}: {why}.")
    if attribute_speech.is_complete(stamps):
        print(f"The words for attributes and {len(nouns)} things are spoken in {folder}.")
        return 0
    from vgs_lib.commands.bars import Bars
    from vgs_lib.data.attribute_build import build_speech

    with Bars() as bars, closing(build_speech(stamps, jobs=chosen.jobs)) as events:
        for progress in events:
            bars.show(progress.step, progress.done, progress.total)
    print(f"Spoke the words for attributes and {len(nouns)} things in {folder}.")
    return 0


def _sort_of(why: str) -> str:
    """A reason without its numbers, so that the like are counted together."""
    return "it lasts too long" if why.startswith("it lasts") else why.split(" (")[0]


def _check(chosen: argparse.Namespace) -> int:
    from vgs_lib.data.manifest import validate_manifest

    problems = validate_manifest(chosen.manifest, check_files=chosen.files)
    for problem in problems:
        print(problem)
    print(f"{chosen.manifest}: {len(problems) or 'no'} problem{'' if len(problems) == 1 else 's'}.")
    return 1 if problems else 0
