"""The page of the best configuration: its values, where they lie in their ranges, and code."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np

from raytune_hpo.analysis.columns import flattened
from raytune_hpo.display.text import number, short
from raytune_hpo.service.code import LANGUAGES, code, languages
from raytune_hpo.service.comparing import in_words
from raytune_hpo.service.folds import Fold
from raytune_hpo.service.jobs import Job
from raytune_hpo.service.models.objective import model_of
from raytune_hpo.service.web.front import front, points_of
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

_NEAREST = 5  # trials that are shown behind the best
_MOST_OF_FRONT = 12  # its trials that are listed


def best(fold: Fold, language: str, number_asked: str, confirming: Job | None) -> dict[str, Any]:
    """What the page shows: the best trial or, with several metrics, the front and one trial of it.

    Args:
        language: the language of the code; another text means the first one that there is.
        number_asked: of a trial of the front, by default its knee.
        confirming: the newest job that runs the best again, if there is one.
    """
    ledger, found = fold.ledger, fold.ledger.best[0]
    if found is None:
        return {"best": None, "why_no_best": fold.why_no_best}
    goals, model, is_front = ledger.spec.goals, model_of(ledger.spec), len(ledger.spec.goals) > 1
    confirmed = None if confirming is None else _confirmed(confirming)
    if is_front:
        found = _of_front(fold, number_asked)
    elif confirmed is not None and confirmed["state"] == "done":
        found = ledger.trials[confirmed["number"]]
    known = languages(model)
    chosen = language if language in known else known[0]
    return {
        "best": {
            "number": found.number,
            "value": number(found.metrics[goals[0].metric]),
            "metric": goals[0].metric,
            "values": ", ".join(f"{goal.metric} {number(found.metrics[goal.metric])}" for goal in goals),
        },
        "front": front(fold, _MOST_OF_FRONT) if is_front else None,
        "chips": [{"word": LANGUAGES[name][0], "name": name, "on": name == chosen} for name in known],
        "language": chosen,
        "file": LANGUAGES[chosen][1],
        "code": code(fold, found, chosen, model),
        "table": None if model is None or model.table.startswith("bundled:") else model.title,
        "confirming": confirmed,
        "parameters": _parameters(ledger.spec.space, found),
        "next_best": [] if is_front else _next_best(fold, found),
    }


def _of_front(fold: Fold, number_asked: str) -> Trial:
    """The trial of the front that is asked for, or else the knee, or else the first."""
    asked = next((trial for trial in fold.ledger.front if str(trial.number) == number_asked), None)
    points = points_of(fold, _MOST_OF_FRONT)
    return asked or next((point.trial for point in points if "knee" in point.role), points[0].trial)


def _next_best(fold: Fold, found: Trial) -> list[dict[str, Any]]:
    """The feasible trials that are best beside this one, and how far each is behind it."""
    assert found.losses is not None
    goal, own = fold.ledger.spec.goals[0], found.losses[0]
    others = ((loss, n) for is_infeasible, loss, n in fold.by_loss if not is_infeasible and n != found.number)
    return [
        {"number": n, "value": number(goal.value(loss)), "behind": number(loss - own)}
        for loss, n in islice(others, _NEAREST)
    ]


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
