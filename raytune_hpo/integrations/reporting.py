"""Base of the training callbacks: which of a library's metrics are reported, under which names, and how often."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from raytune_hpo.errors import ObjectiveError
from raytune_hpo.options import whole
from raytune_hpo.runtime.trial_run import report

# None: all, by the library's names; names: only these; {your name: the library's name}: only these, renamed.
Metrics: TypeAlias = str | Sequence[str] | Mapping[str, str] | None
# Writes what is being trained into an empty folder: ``save(model, folder)``.
Save: TypeAlias = Callable[[Any, Path], object]


class Reporting:
    """Reports a library's metrics to the trial around it; outside a trial it does nothing.

    Args:
        metrics: which to report, see ``Metrics``.
        every: only steps that are multiples of it are reported.
        save: passed with each report, like ``hpo.report(save=...)``.
        after: the number of steps that were trained before the library began to count.
    """

    def __init__(self, metrics: Metrics, every: int = 1, save: Save | None = None, after: int = 0) -> None:
        names = [metrics] if isinstance(metrics, str) else metrics
        self._names = dict(names) if isinstance(names, Mapping) else None if names is None else {n: n for n in names}
        self._every = whole("every", every, least=1)
        self._save, self._after = save, whole("after", after, least=0)

    def __call__(self, step: int, values: Mapping[str, Any], model: Any = None) -> None:
        """Report a step.

        Args:
            step: the step as the library counts it, from 1.
            values: all metrics that the library provides.
            model: the first argument for ``save``.

        Raises:
            TrialStopped: the scheduler stops the trial.
            ObjectiveError: the library does not provide a requested metric, or no metrics at all.
        """
        step += self._after
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
        save = None if self._save is None else partial(self._save, model)
        report({ours: values[theirs] for ours, theirs in names.items()}, step=step, save=save)
