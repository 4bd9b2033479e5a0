"""Base of the training callbacks: which of a library's metrics are reported, under which names, and how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from raytune_hpo.errors import ObjectiveError
from raytune_hpo.options import whole
from raytune_hpo.runtime.trial_run import report

# None: all, by the library's names; names: only these; {ours: theirs}: only these, by names of our own.
Metrics: TypeAlias = str | Sequence[str] | Mapping[str, str] | None


class Reporting:
    """Reports a library's metrics to the trial around it; outside a trial it does nothing.

    Args:
        metrics: which to report, see ``Metrics``.
        every: only steps that are multiples of it are reported.
    """

    def __init__(self, metrics: Metrics, every: int = 1) -> None:
        names = [metrics] if isinstance(metrics, str) else metrics
        self._names = dict(names) if isinstance(names, Mapping) else None if names is None else {n: n for n in names}
        self._every = whole("every", every, least=1)

    def __call__(self, step: int, values: Mapping[str, Any]) -> None:
        """Report a step, counted from 1.

        Raises:
            TrialStopped: the scheduler stops the trial.
            ObjectiveError: the library lacks a metric that was asked for, or gives no metrics at all.
        """
        if step % self._every != 0:
            return
        names = {name: name for name in values} if self._names is None else self._names
        missing = next((repr(theirs) for theirs in names.values() if theirs not in values), None)
        if self._names is None and not values:
            missing = "any metric"
        if missing is not None:
            raise ObjectiveError(
                f"a reporter needs {missing} from the training, which gives {sorted(values) or 'none'}; "
                f"have it evaluated, or choose with metrics="
            )
        report({ours: values[theirs] for ours, theirs in names.items()}, step=step)
