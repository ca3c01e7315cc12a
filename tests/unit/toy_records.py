"""Records as :mod:`vgs_lib.benchmark.reproduce` writes them, of ranks that are drawn and not measured."""

import random
from collections.abc import Sequence

from vgs_lib.benchmark.conditions import Conditions
from vgs_lib.retrieval import WAYS


def record(
    system: str,
    *,
    seed: int = 0,
    r10: float = 0.3,
    queries: int = 12,
    steps: int = 100,
    trained: int = 2_000_000,
    used: int | None = None,
    terms: Sequence[str] = (),
    worst: int = 40,
) -> dict:
    """A record of ``system`` whose recall at 10 is ``r10`` from speech to picture and 0.1 less the other way."""
    draw = random.Random(f"{system}-{seed}")
    ways = {}
    for way, value in zip(WAYS, (r10, max(0.0, r10 - 0.1)), strict=True):
        share = {"r1": value / 3, "r5": value / 2, "r10": value}
        ends = {f"{name}_ci": [max(0.0, v - 0.04), v + 0.04] for name, v in share.items()}
        ways[way] = {**share, **ends, "median_rank": 30.0, "map50": 0.2, "map50_ci": [0.1, 0.3]}
    lines = range(1, steps + 1, max(1, steps // 10))
    history = [
        {"step": s, "loss": 90 / s, "seconds": float(s), **{t: 40 / s + n for n, t in enumerate(terms)}} for s in lines
    ]
    conditions = Conditions().to_dict()
    conditions["data"]["used"] = used
    kinds = ("100 scenes", "1000 scenes", "1024 scenes", "words")
    return {
        "system": system,
        "seed": seed,
        "plan": {"audio": {"name": "conv5"}, "data": {"phases": [[steps // 2, 1]]}},
        "conditions": conditions,
        "steps": steps,
        "steps_were_asked_for": False,
        "seconds": 600.0,
        "parameters": {"trained": trained, "all": 2 * trained},
        "figures": {
            **{kind: ways for kind in kinds},
            "ranks": {way: [float(draw.randint(1, worst)) for _ in range(queries)] for way in WAYS},
        },
        "untrained": {way: {"r1": 0.01, "r5": 0.05, "r10": 0.11, "r10_ci": [0.06, 0.18]} for way in WAYS},
        "history": history,
        "machine": {"threads": 2, "processor": "x", "torch": "2", "device": "cpu"},
    }
