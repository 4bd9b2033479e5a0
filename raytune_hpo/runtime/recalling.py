"""Recalling: transfer of results from earlier studies in a storage to a new one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Recalled, Status
from raytune_hpo.goals import Goal, violations_of
from raytune_hpo.journal import StoredStudies
from raytune_hpo.numerics.transforms import normal_scores
from raytune_hpo.numerics.violations import total_violations
from raytune_hpo.options import is_real
from raytune_hpo.space import Domain, Float, Int
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Trial

_MOST = 200  # rows taken from a study
_LEAST = 5  # completed trials that an earlier study needs
_FARTHEST = 0.5  # how far outside its new range a number may lie, as a share of the range


def recalled(storage: StoredStudies, spec: StudySpec, at: float) -> Iterator[Recalled]:
    """The ``Recalled`` facts of a new study, one for each earlier study that its spec names.

    Raises:
        StudyNotFound: one is not in the storage.
        SpecError: one has fewer than ``_LEAST`` completed trials with the metric.
    """
    for name in spec.earlier:
        ledger = Ledger.fold(storage.read(name))
        (goal,) = spec.goals
        rows, order = _rows_of(ledger, goal, spec)
        if len(rows) < _LEAST:
            raise SpecError(
                f"an earlier study needs {_LEAST} completed trials with the metric {goal.metric!r} within reach of the "
                f"space, study {name!r} has {len(rows)}; leave it out of earlier"
            )
        scores, kept = normal_scores(order), _kept(order)
        yield Recalled(source=name, rows=[(_listed(rows[i]), float(scores[i])) for i in kept.tolist()], at=at)


def _rows_of(ledger: Ledger, goal: Goal, spec: StudySpec) -> tuple[list[Array], Array]:
    """The completed trials of an earlier study: coordinates (d,) in the cube of the new study, and their order (n,).

    The order is that of their losses; trials that are infeasible come after all others, in the order of their violations.
    """
    rows, losses, violations = list[Array](), list[float](), list[Mapping[str, float]]()
    for trial in ledger.finished:
        if trial.status is not Status.COMPLETED or not is_real(value := trial.metrics.get(goal.metric)):
            continue
        loss = goal.loss(float(value))  # type: ignore[arg-type]  # it is a number
        row = _row(spec, ledger.spec.space.flatten(trial.config))
        if row is not None and not np.isnan(row).all() and math.isfinite(loss):
            rows.append(row)
            losses.append(loss)
            violations.append(_violations(trial, spec.constraints))
    return rows, _infeasible_last(np.array(losses), violations)


def _violations(trial: Trial, constraints: Sequence[Goal]) -> dict[str, float]:
    """The violations of an earlier trial: by the constraints of the new study, and of metrics without one by its own."""
    judged = [constraint for constraint in constraints if is_real(trial.metrics.get(constraint.metric))]
    bounded = {constraint.metric for constraint in judged}
    own = {metric: excess for metric, excess in trial.violations.items() if metric not in bounded}
    return {**own, **violations_of(trial.metrics, judged)}


def _infeasible_last(losses: Array, violations: Sequence[Mapping[str, float]]) -> Array:
    """Ranks (n,) that order trials by their losses, and infeasible ones after all others by their violations."""
    metrics = sorted({metric for broken in violations for metric in broken})
    if not metrics:
        return losses
    C = np.array([[broken.get(metric, 0.0) for metric in metrics] for broken in violations])
    feasible = np.array([not broken for broken in violations])
    total = np.nan_to_num(total_violations(C), nan=np.inf)  # how far an unknown metric is from its bound is not known
    ranks = np.unique(losses, return_inverse=True)[1].reshape(-1).astype(np.float64)
    ranks[~feasible] = len(losses) + np.unique(total[~feasible], return_inverse=True)[1].reshape(-1)
    return ranks


def _row(spec: StudySpec, values: Mapping[str, Any]) -> Array | None:
    """Coordinates (d,) of values by the names of parameters; None where a number is far outside its range."""
    row = np.full(spec.space.num_columns, np.nan)
    for j, column in enumerate(spec.space.columns):
        if column.name not in values:
            continue
        x = _coordinate(column.domain, values[column.name])
        if x is not None and not -_FARTHEST <= x <= 1 + _FARTHEST:
            return None
        row[j] = np.nan if x is None else min(max(x, 0.0), 1.0)
    return row


def _coordinate(domain: Domain, value: Any) -> float | None:
    """A value's unit coordinate, beyond 0 and 1 if it is outside the range; None if the domain has no such value."""
    if domain.problem(value) is None:
        return float(domain.encode([value])[0])
    if not isinstance(domain, (Float, Int)) or not is_real(value) or domain.lo == domain.hi:
        return None
    if domain.log:
        return math.log(value / domain.lo) / math.log(domain.hi / domain.lo) if value > 0 else None
    return float((value - domain.lo) / (domain.hi - domain.lo))


def _kept(ranks: Array) -> Array:
    """Positions of at most ``_MOST`` representative trials: half of them the best, the others spread over the rest."""
    order = np.argsort(ranks, kind="stable")
    if len(order) <= _MOST:
        return np.sort(order)
    rest = order[_MOST // 2 :]
    return np.sort(
        np.concatenate([order[: _MOST // 2], rest[np.linspace(0, len(rest) - 1, _MOST // 2).astype(np.intp)]])
    )


def _listed(row: Array) -> Sequence[float | None]:
    return [None if math.isnan(x) else x for x in row.tolist()]
