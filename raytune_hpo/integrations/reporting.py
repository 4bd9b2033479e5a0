"""Base of the training callbacks: which of a library's metrics are reported, under which names, and how often."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from raytune_hpo.errors import ObjectiveError, SpecError
from raytune_hpo.options import whole
from raytune_hpo.runtime.trial_run import report, run_here

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

    Raises:
        SpecError: an argument is of another kind.
    """

    def __init__(self, metrics: Metrics, every: int = 1, save: Save | None = None, after: int = 0) -> None:
        self._names = _checked_names(metrics)
        if save is not None and not callable(save):
            raise SpecError(f"save is a function of what is trained and a folder, got {save!r}")
        self._every = whole("every", every, least=1)
        self._save, self._after = save, whole("after", after, least=0)
        self._num_skipped = 0

    def __call__(self, step: int, values: Mapping[str, Any], model: Any = None) -> None:
        """Report a step.

        Args:
            step: the step as the library counts it, from 1.
            values: all metrics that the library provides.
            model: the first argument for ``save``.

        Raises:
            TrialStopped: the scheduler stops the trial.
            ObjectiveError: the library does not provide a requested metric, or no metrics at all; or the steps of the trial
                fall, since it trains several times.
        """
        run = run_here("report", "nothing was reported")
        if run is None:
            return
        step += self._after
        if step % self._every != 0:
            self._num_skipped += 1
            run.unreported = (
                f"its reporter has every={self._every}, and none of the {self._num_skipped} steps that it could report is a "
                f"multiple of that; give a smaller every="
            )
            return
        names = {name: name for name in values} if self._names is None else self._names
        missing = next((repr(theirs) for theirs in names.values() if theirs not in values), None)
        if self._names is None and not values:
            missing = "any metric"
        if missing is not None:
            raise ObjectiveError(
                f"a reporter needs {missing} from the training, which gives {sorted(values) or 'none'}; "
                f"have it evaluated, choose with metrics=, or leave out the steps that do not evaluate it with every="
            )
        save = None if self._save is None else partial(self._save, model)
        last = run.last_step
        try:
            report({ours: values[theirs] for ours, theirs in names.items()}, step=step, save=save)
        except ObjectiveError as error:
            if last is None or step > last:
                raise
            raise ObjectiveError(
                f"a training reports step {step} after step {last} of the same trial, and steps grow within a trial. If it "
                f"continues an earlier training, let it count on from there: with after= of its reporter, or initial_epoch= "
                f"of Keras' fit. If a trial trains several models, such as folds, train them without reporters and report "
                f"their mean with hpo.report, or return it"
            ) from error


def _checked_names(metrics: Any) -> dict[str, str] | None:
    """The library's names of the metrics to report, by ours; None: all.

    Raises:
        SpecError: these are not names.
    """
    if metrics is None:
        return None
    listed = [metrics] if isinstance(metrics, str) else metrics
    names = dict(listed) if isinstance(listed, Mapping) else {}
    if isinstance(listed, (Sequence, Set)):
        names = {name: name for name in listed}
    if not names or not all(isinstance(name, str) for pair in names.items() for name in pair):
        raise SpecError(f'metrics are names like ["auc"], or a dict like {{"auc": "valid-auc"}}, got {metrics!r}')
    return names
