"""What a study holds as plain JSON: the one form in which every face hands it out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from raytune_hpo.trial import Trial


def trial_record(trial: Trial) -> dict[str, Any]:
    """A trial in plain JSON types, its reports left out."""
    return {
        "number": trial.number,
        "status": trial.status.value,
        "config": plain(trial.config),
        "metrics": plain(trial.metrics),
        "started_at": trial.started_at,
        "duration_s": trial.duration_s,
        "worker": trial.worker,
        "attempt": trial.attempt,
        "error": trial.error,
        **({} if trial.arm is None else {"arm": trial.arm}),
    }


def plain(value: Any) -> Any:
    """A value in strict JSON types: objects by their repr, numbers that are not finite as None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(child) for child in value]
    return repr(value)
