"""The page of the best configuration: its values, where they lie in their ranges, and code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from raytune_hpo.analysis.columns import flattened
from raytune_hpo.display.text import number, short
from raytune_hpo.service.code import LANGUAGES, code, languages
from raytune_hpo.service.comparing import in_words
from raytune_hpo.service.folds import Fold
from raytune_hpo.service.jobs import Job
from raytune_hpo.service.models.objective import model_of
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

_NEAREST = 5  # trials that are shown behind the best


def best(fold: Fold, language: str, confirming: Job | None) -> dict[str, Any]:
    """What the page shows.

    Args:
        language: of the code; the first one that there is, where it is none.
        confirming: the newest job that runs the best again, if there is one.
    """
    ledger, found = fold.ledger, fold.ledger.best[0]
    if found is None:
        return {"best": None}
    goal, model = ledger.spec.goals[0], model_of(ledger.spec)
    confirmed = None if confirming is None else _confirmed(confirming)
    if confirmed is not None and confirmed["state"] == "done":
        found = ledger.trials[confirmed["number"]]
    known = languages(model)
    chosen = language if language in known else known[0]
    return {
        "best": {"number": found.number, "value": number(found.metrics[goal.metric]), "metric": goal.metric},
        "chips": [{"word": LANGUAGES[name][0], "name": name, "on": name == chosen} for name in known],
        "language": chosen,
        "file": LANGUAGES[chosen][1],
        "code": code(fold, found, chosen, model),
        "table": None if model is None or model.table.startswith("bundled:") else model.title,
        "confirming": confirmed,
        "parameters": _parameters(ledger.spec.space, found),
        "next_best": [
            {"number": n, "value": number(goal.value(loss)), "behind": number(loss - fold.by_loss[0][0])}
            for loss, n in fold.by_loss[1 : _NEAREST + 1]
        ],
    }


def _confirmed(job: Job) -> dict[str, Any]:
    """What has become of the repeats."""
    if job.state != "done":
        return {"state": job.state, "error": job.result["message"] if job.result else ""}
    found = job.result
    first, rivals = found["candidates"][0], found["rivals"]
    optimism = found["optimism"]
    return {
        "state": job.state,
        "study": found["study"],
        "number": first["numbers"][0],
        "mean": "none" if first["mean"] is None else number(first["mean"]),
        "interval": _interval(first),
        "level": f"{found['level']:.0%}",
        "optimism": "" if optimism is None else number(abs(optimism)),
        "was_too_good": optimism is not None and optimism > 0,
        "rivals": rivals,
        "is_fresh": found["has_fresh_seeds"],
        "rows": [
            {
                "number": candidate["numbers"][0],
                "searched": number(candidate["searched"]),
                "mean": "none" if candidate["mean"] is None else number(candidate["mean"]),
                "interval": _interval(candidate),
                "n": candidate["n"],
                "failed": candidate["num_failed"] or "",
            }
            for candidate in found["candidates"]
        ],
    }


def _interval(candidate: Mapping[str, Any]) -> str:
    return "" if candidate["interval"] is None else " to ".join(map(number, candidate["interval"]))


def _parameters(space: Space, trial: Trial) -> list[dict[str, Any]]:
    """The parameters with where they lie in their ranges, in per cent; those of options that were not chosen left out."""
    units = np.asarray(space.encode([trial.config]), dtype=np.float64)[0]
    found: dict[str, dict[str, Any]] = {
        name: {"name": name, "value": short(value), "range": "", "at": None}
        for name, value in flattened(trial.config).items()
    }
    by_end = _by_ends(found)
    for column, unit in zip(space.columns, units.tolist(), strict=True):
        row = found.get(column.name) or by_end.get(column.name.rpartition("/")[2])
        if row is not None and np.isfinite(unit):
            row.update(
                range=in_words(column.domain), at=f"{100 * unit:.0f}" if column.domain.kind != "choice" else None
            )
    return list(found.values())


def _by_ends(rows: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows by the last parts of their names, where unique: below a choice, a column's name has one part more."""
    ends = [name.rpartition("/")[2] for name in rows]
    return {end: row for end, row in zip(ends, rows.values(), strict=True) if ends.count(end) == 1}
