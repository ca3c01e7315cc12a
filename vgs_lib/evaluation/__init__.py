"""Evaluates a model on a split: retrieval both ways, pointing and IoU, each beside its chance and its interval.

More on where words are found, with baselines: ``evaluation.localization_scores``.
"""

from vgs_lib.evaluation.trials import (
    Trial,
    embed_captions,
    embed_pictures,
    evaluate,
    figures_of_maps,
    retrieval_figures,
    trial_of,
    word_heats,
)

__all__ = [
    "Trial",
    "embed_captions",
    "embed_pictures",
    "evaluate",
    "figures_of_maps",
    "retrieval_figures",
    "trial_of",
    "word_heats",
]
