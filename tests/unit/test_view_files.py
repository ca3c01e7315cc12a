"""The scripts and styles of the views: what one notebook shows together does not disturb one another."""

import re
from pathlib import Path

import pytest

from vgs_lib.widgets import view

FOLDER = Path(view.__file__).parent
# Which part of a page each sheet is for: the root of its view, and boxes that only its widgets have.
ROOTS = {
    "cam.css": (".vgs-cam",),
    "dashboard.css": (".vgs.vgs-dashboard",),
    "data.css": (".vgs:is(.vgs-data, .vgs-front-end, .vgs-scenes, .vgs-manifest, .vgs-caption-speaker)",),
    "localizer.css": (".vgs-region", ".vgs-tour .vgs-region", ".vgs-tour .vgs-span"),
    "player.css": (".vgs-player",),
    "ranking.css": (".vgs-ranking", ".vgs-search"),
    "score_matrix.css": (".vgs-matrix", ".vgs-pair"),
    "span.css": (".vgs-span",),
    "systems.css": (".vgs-systems",),
}


def outer_selectors(text: str) -> list[str]:
    """The selectors of a sheet that stand in no other rule, one for each comma outside of brackets."""
    found, depth, start = [], 0, 0
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    for place, character in enumerate(text):
        if character == "{":
            if depth == 0:
                found.append(text[start:place].strip())
            depth += 1
        elif character == "}":
            depth -= 1
            start = place + 1
    assert depth == 0
    rules = [rule for rule in found if not rule.startswith("@")]
    return [part.strip() for rule in rules for part in re.split(r",(?![^(]*\))", rule)]


def test_every_sheet_but_the_shared_one_is_listed():
    assert {path.name for path in FOLDER.glob("*.css")} == {*ROOTS, "style.css"}


@pytest.mark.parametrize("sheet", sorted(ROOTS))
def test_a_sheet_reaches_its_own_views_only(sheet):
    """All sheets of a page hold for all of it: two views that call their parts alike would disturb each other."""
    selectors = outer_selectors((FOLDER / sheet).read_text("utf-8"))
    assert selectors
    assert [one for one in selectors if not one.startswith(ROOTS[sheet])] == []


@pytest.mark.parametrize("script", sorted(path.name for path in FOLDER.glob("*.js")))
def test_views_get_their_messages_through_the_shared_script(script):
    text = (FOLDER / script).read_text("utf-8")
    assert ("msg:custom" in text and '"ready"' in text) == (script == "common.js")
    if "export default" in text:
        assert text.count("return connect(model, {") == 1 and text.count("setUp(el, ") == 1
