"""What can be chosen in the training dashboard, and the recipe that the choices make."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from vgs_lib.errors import TrainingError
from vgs_lib.recipes import Recipe
from vgs_lib.studies.study import Study

LISTS = ("image", "audio", "similarity", "loss")
NUMBERS: dict[str, tuple[type, float, str]] = {
    "batch_size": (int, 2, "a whole number of 2 or more"),
    "learning_rate": (float, 1e-12, "a number above 0, such as 0.002"),
    "steps": (int, 1, "a whole number of 1 or more"),
}


def default_choices(study: Study) -> dict[str, Any]:
    """The choices that make the study's own recipe; an empty name stands for a new one."""
    base, options = study.base, study.options
    wanted = {"image": base.image, "audio": base.audio, "similarity": base.kind, "loss": base.loss}
    chosen: dict[str, Any] = {}
    for key in LISTS:
        labels = [label for label, value in options[key].items() if value == wanted[key]]
        chosen[key] = labels[0] if labels else next(iter(options[key]))
    return {
        **chosen,
        "batch_size": base.data.batch_size,
        "learning_rate": base.fit.learning_rate,
        "steps": base.fit.steps,
        "name": "",
    }


def plan_of(study: Study, chosen: Mapping[str, Any], free_name: Callable[[str], str]) -> Recipe:
    """The recipe of ``chosen``, the study's own where a choice is left out; ``free_name(stem)`` names it if nobody did.

    Raises :class:`TrainingError` naming the choice, what was found and what is expected.
    """
    usual = default_choices(study)
    if unknown := sorted(set(chosen) - set(usual)):
        raise TrainingError(f"There is no choice of {', '.join(unknown)}; there are {', '.join(usual)}.")
    wanted = {**usual, **chosen}
    picked: dict[str, Any] = {}
    for key in LISTS:
        known = study.options[key]
        if wanted[key] not in known:
            raise TrainingError(f"{_words(key)}: found {wanted[key]!r}, expected one of {', '.join(known)}.")
        picked[key] = known[wanted[key]]
    batch_size, learning_rate, steps = (_number(key, wanted[key]) for key in NUMBERS)
    name = str(wanted["name"] or "").strip() or free_name(f"{wanted['similarity']}-{wanted['loss']}".lower())
    if not re.fullmatch(r"\w[\w-]{0,39}", name):
        raise TrainingError(f"Name: found {name!r}, expected up to 40 letters, digits, hyphens and underscores.")
    base = study.base
    warmup = min(base.fit.warmup_steps, steps // 4)
    return replace(
        base,
        name=name,
        image=picked["image"],
        audio=picked["audio"],
        kind=picked["similarity"],
        loss=picked["loss"],
        data=replace(base.data, batch_size=batch_size),
        fit=replace(base.fit, learning_rate=learning_rate, steps=steps, warmup_steps=warmup),
    )


def _words(key: str) -> str:
    return key.replace("_", " ").capitalize()


def _number(key: str, value: Any) -> Any:
    kind, least, wanted = NUMBERS[key]
    try:
        number = kind(str(value))
    except ValueError as error:
        raise TrainingError(f"{_words(key)}: found {value!r}, expected {wanted}.") from error
    if not least <= number < float("inf"):
        raise TrainingError(f"{_words(key)}: found {value!r}, expected {wanted}.")
    return number
