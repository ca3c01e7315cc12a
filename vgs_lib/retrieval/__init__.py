"""Retrieval figures from a score matrix with their chance levels and intervals, and where retrieval goes wrong.

Two systems on the same queries are compared in ``retrieval.paired``; ``retrieval.report`` has all figures at once.
"""

from vgs_lib.retrieval.measures import (
    WAY_LABELS,
    WAYS,
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
)
from vgs_lib.retrieval.mistakes import Mistake, word_votes, worst
from vgs_lib.retrieval.targets import Targets

__all__ = [
    "WAYS",
    "WAY_LABELS",
    "Mistake",
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
    "word_votes",
    "worst",
]
