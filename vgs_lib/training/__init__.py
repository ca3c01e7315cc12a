"""Training as a stream of events: what to ask (``FitSettings``), what to learn by (``score_loss``), and ``fit``."""

from vgs_lib.training.embedding_objective import EmbeddingLoss
from vgs_lib.training.events import (
    Best,
    CheckpointEvent,
    EvaluationEvent,
    Event,
    FinishedEvent,
    FitSettings,
    ResumedEvent,
    StepEvent,
    StoppedEvent,
)
from vgs_lib.training.loop import fit
from vgs_lib.training.score_objective import ScoreLoss, score_loss
from vgs_lib.training.state import load_best

__all__ = [
    "Best",
    "CheckpointEvent",
    "EmbeddingLoss",
    "EvaluationEvent",
    "Event",
    "FinishedEvent",
    "FitSettings",
    "ResumedEvent",
    "ScoreLoss",
    "StepEvent",
    "StoppedEvent",
    "fit",
    "load_best",
    "score_loss",
]
