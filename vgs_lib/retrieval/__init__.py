"""Retrieval figures from a score matrix, each with its chance level, and what goes wrong."""

from vgs_lib.retrieval.measures import (
    PROTOCOL_PAIRS,
    average_precision,
    bootstrap_interval,
    chance_average_precision,
    chance_median_rank,
    chance_recall,
    hits_at_k,
    mean_average_precision,
    median_rank,
    ranks,
    recall_at_k,
    subset,
)
from vgs_lib.retrieval.targets import (
    Targets,
)

__all__ = [
    "PROTOCOL_PAIRS",
    "Targets",
    "average_precision",
    "bootstrap_interval",
    "chance_average_precision",
    "chance_median_rank",
    "chance_recall",
    "hits_at_k",
    "mean_average_precision",
    "median_rank",
    "ranks",
    "recall_at_k",
    "subset",
]
