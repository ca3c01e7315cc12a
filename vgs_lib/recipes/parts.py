"""What a system is made of: its parts in words, and how many parameters each encoder has, at any size.

The encoders are built without memory for their values (PyTorch's ``meta`` device), so that the largest are counted in a
moment and, for the documents' systems, no weights are obtained.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from vgs_lib.markdown import markdown_table
from vgs_lib.recipes import Part, Recipe, Scale, build_model, scaled

PRETRAINABLE = ("conv_map", "pooled_pictures")  # picture encoders whose weights may be downloaded


@dataclass(frozen=True)
class Parameters:
    """How many values an encoder has and how many of them are trained; the others are frozen."""

    trained: int
    all: int


def parameters(recipe: Recipe, scale: Scale | None = None) -> dict[str, Parameters]:
    """The "image" and "audio" encoders' parameters at the recipe's own size, or at ``scale``.

    Raises :class:`CheckpointError` for a recipe that no model can be built of.
    """
    recipe = scaled(recipe, scale) if scale else recipe
    if recipe.image.name in PRETRAINABLE:  # as many with random weights as with trained ones
        recipe = replace(recipe, image=Part(recipe.image.name, {**recipe.image.options, "pretrained": False}))
    with torch.device("meta"):
        model = build_model(recipe)
    return {"image": _count(model.image_encoder), "audio": _count(model.audio_encoder)}


def _count(encoder: torch.nn.Module) -> Parameters:
    every = list(encoder.parameters())
    return Parameters(sum(p.numel() for p in every if p.requires_grad), sum(p.numel() for p in every))


def parts(recipe: Recipe) -> dict[str, str]:
    """A recipe as pairs of a question and its answer: encoders, similarity, loss, batch, optimizer, source."""
    fit = recipe.fit
    momentum = f", momentum {fit.momentum:g}" if fit.optimizer == "sgd" else f", moments {fit.betas[0]}, {fit.betas[1]}"
    rows = {
        "pictures": _part(recipe.image),
        "speech": _part(recipe.audio),
        "similarity": recipe.kind,
        "loss": _options(recipe.loss.name, getattr(recipe.loss, "options", {})),
        "batch": f"{recipe.data.batch_size} pairs",
        "optimizer": f"{fit.optimizer}, learning rate {fit.learning_rate:g}{momentum}, {fit.steps:,} steps",
        "begins with": recipe.initial or "nothing further",
        "described in": recipe.document,
        "chosen": recipe.chosen,
    }
    return {question: answer for question, answer in rows.items() if answer}


def _part(part: Part) -> str:
    return _options(part.name, part.options)


def _options(name: str, options: Mapping[str, object]) -> str:
    return name + (f" ({', '.join(f'{key} {value}' for key, value in options.items())})" if options else "")


def parts_table(recipe: Recipe) -> str:
    """:func:`parts` as a Markdown table."""
    return markdown_table(("part", recipe.name), parts(recipe).items())


def parameters_table(recipes: Sequence[Recipe], scale: Scale) -> str:
    """A Markdown table of the parameters of both encoders, in millions: the document's size, then ``scale``."""
    rows = []
    for recipe in recipes:
        theirs, ours = parameters(recipe), parameters(recipe, scale)
        counts = (f"{sizes[side].all / 1e6:.1f}" for sizes in (theirs, ours) for side in ("image", "audio"))
        rows.append((recipe.name, *counts, f"{sum(side.trained for side in ours.values()) / 1e6:.1f}"))
    return markdown_table(
        ("system, millions", "pictures", "speech", "pictures here", "speech here", "trained here"), rows
    )
