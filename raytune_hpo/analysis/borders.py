"""Parameters whose best values lie at a bound of their range, so that better ones may lie beyond it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from raytune_hpo.analysis.best import ranked
from raytune_hpo.space import Space
from raytune_hpo.space.domain import Domain
from raytune_hpo.space.jsonform import MissingDomain
from raytune_hpo.trial import Trial

_FEWEST = 10  # completed trials needed for a statement
_BEST = 3  # best trials, which must all lie there: a single one does so by chance in a tenth of all studies
_NEAR = 0.05  # of the range, on its scale
_FEWEST_VALUES = 5  # of a domain: among few values, the best is often the first or the last
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Border:
    """A bound of a parameter's range at which the best trials lie.

    Attributes:
        end: "lower" or "upper".
        bound: the parameter's value there.
    """

    parameter: str
    end: str
    bound: float


def borders(space: Space, trials: Sequence[Trial]) -> list[Border]:
    """The bounds of ranges at which the best three trials lie, in the order of the space.

    None for a short study, and none while fewer than three trials are feasible.
    """
    completed = ranked(trials)
    if len(completed) < _FEWEST or not all(trial.is_feasible for trial in completed[:_BEST]):
        return []
    best = [space.flatten(trial.config) for trial in completed[:_BEST]]
    found = []
    for column in space.columns:
        ends = _ends(column.domain)
        if ends is None or any(column.name not in parameters for parameters in best):
            continue
        (low, first), (high, last) = ends
        unit = column.domain.encode([parameters[column.name] for parameters in best])
        if unit.max() <= max(_NEAR, first + _ROUNDING):
            found.append(Border(parameter=column.name, end="lower", bound=low))
        elif unit.min() >= min(1 - _NEAR, last - _ROUNDING):
            found.append(Border(parameter=column.name, end="upper", bound=high))
    return found


def _ends(domain: Domain) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """The lowest and the highest number, each with its coordinate; None if the domain has no bounds or few values."""
    if domain.options or not domain.is_ordered or isinstance(domain, MissingDomain):
        return None
    if domain.size is None:
        low, high = domain.bounds
        return ((low, 0.0), (high, 1.0)) if isfinite(low) and isfinite(high) else None
    if domain.size < _FEWEST_VALUES:
        return None
    low, high = domain.nth(0), domain.nth(domain.size - 1)
    return (low, domain.unit_at(0)), (high, domain.unit_at(domain.size - 1))
