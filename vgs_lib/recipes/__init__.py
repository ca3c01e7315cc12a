"""Systems as recipes: what a system is made of and how it is trained, as one frozen dataclass each.

``RECIPES`` are those of the shipped checkpoints, ``SYSTEMS`` those of the documents, whose names begin with the
document's. ``build(name, Scale(width=0.25, dim=256, pictures="lite0"))`` makes one that trains on two cores.
What a system is made of in words is in ``recipes.parts``, what its document published in ``recipes.published``.
"""

from vgs_lib.errors import TrainingError
from vgs_lib.model import DualEncoder
from vgs_lib.recipes import compared, harwath2019, ni2018, tian2020, zhang2020
from vgs_lib.recipes.building import AUDIO_ENCODERS, IMAGE_ENCODERS, build_model
from vgs_lib.recipes.recipe import Part, Recipe
from vgs_lib.recipes.scaling import Scale, scaled
from vgs_lib.recipes.stamps import RECIPES

__all__ = [
    "AUDIO_ENCODERS",
    "IMAGE_ENCODERS",
    "RECIPES",
    "SYSTEMS",
    "Part",
    "Recipe",
    "Scale",
    "build",
    "build_model",
    "names",
    "recipe",
    "scaled",
]

_DOCUMENTS = (ni2018, zhang2020, harwath2019, compared, tian2020)
SYSTEMS: dict[str, Recipe] = {system.name: system for document in _DOCUMENTS for system in document.SYSTEMS}


def names() -> list[str]:
    """The names of all recipes: the shipped checkpoints', then the documents' in their order."""
    return [*RECIPES, *SYSTEMS]


def recipe(name: str) -> Recipe:
    """The recipe of that name; :class:`TrainingError` lists the names there are."""
    known = {**RECIPES, **SYSTEMS}
    if name not in known:
        raise TrainingError(f"no recipe is called {name!r}; there are {', '.join(sorted(known))}")
    return known[name]


def build(name: str, scale: Scale | None = None) -> DualEncoder:
    """The untrained model of a recipe's name, at the document's size or at ``scale``.

    Raises :class:`TrainingError` for a name that is not there, and what :func:`build_model` raises.
    """
    return build_model(scaled(recipe(name), scale) if scale else recipe(name))
