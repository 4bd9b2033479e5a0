"""Pictures of studies for the tests of what draws them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from raytune_hpo.core.ledger import StudyStatus
from raytune_hpo.core.snapshot import History, Point, RunningTrial, Snapshot
from raytune_hpo.spec import Limits

STATUS = StudyStatus(
    name="mnist",
    counts={"waiting": 0, "running": 4, "completed": 30, "pruned": 5, "failed": 2},
    num_enqueued=0,
    limits=Limits(num_trials=100),
    best={"loss": 0.0123456789},
    best_number=29,
    elapsed_s=75.0,
    stopped=None,
)
HISTORY = History(
    metric="loss",
    mode="min",
    points=tuple(Point(place, 1.0 / place, place % 5 > 0) for place in range(1, 38)),
    best=((1, 1.0), (30, 0.0123456789)),
    length=37,
)
RUNNING = RunningTrial(number=37, attempt=1, config="lr=0.1, depth=3", age_s=12.4, step=3, value=0.25)


def snapshot(status: StudyStatus = STATUS, **changes: Any) -> Snapshot:
    """A running study's picture, or that of another status."""
    whole = Snapshot(status=status, running=(RUNNING,), best_config="lr=0.2, depth=5", histories=(HISTORY,))
    return replace(whole, **changes)
