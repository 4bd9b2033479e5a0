"""The common part of the callbacks of training libraries: which metrics are reported, and when a model is saved."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from raytune_hpo.compat.ray_tune.checkpoint import Checkpoint
from raytune_hpo.compat.ray_tune.error import TrialDone, TuneError
from raytune_hpo.compat.ray_tune.session import current, report
from raytune_hpo.errors import TrialStopped


class RoundReports:
    """Reports rounds of training.

    Args:
        metrics: which to report: all by default, a list of names, or {the script's name: the library's name}.
        frequency: the number of rounds after which a model is saved each time; 0: only at the end.
        checkpoint_at_end: whether a model is saved at the end.
    """

    def __init__(
        self, metrics: str | Sequence[str] | Mapping[str, str] | None, frequency: int, checkpoint_at_end: bool
    ) -> None:
        listed = [metrics] if isinstance(metrics, str) else metrics
        self._names = listed if listed is None or isinstance(listed, Mapping) else {name: name for name in listed}
        self._frequency, self._at_end = frequency, checkpoint_at_end

    def chosen(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The metrics that are reported.

        Raises:
            TuneError: the library lacks one.
        """
        if self._names is None:
            return dict(values)
        missing = [theirs for theirs in self._names.values() if theirs not in values]
        if missing:
            raise TuneError(f"metrics {missing} are to be reported, training gives {sorted(values)}; name one of those")
        return {ours: values[theirs] for ours, theirs in self._names.items()}

    def is_due(self, round_: int) -> bool:
        """Whether a model is saved after a round, counted from 1."""
        return self._frequency > 0 and round_ % self._frequency == 0

    def tell(
        self, values: Mapping[str, Any], save: Callable[[str], object] | None, filename: str, *, saves: bool
    ) -> None:
        """Report a round.

        Args:
            save: writes the model to a path; None: it cannot be written.
            saves: whether it is saved now. If this report stops the trial, it is saved at the end as well.
        """
        if save is None or not saves:
            try:
                report(self.chosen(values))
            except (TrialDone, TrialStopped):
                session = current()
                if self._at_end and save is not None and session is not None:
                    session.save_stopped(lambda folder: save(str(folder / filename)))
                raise
            return
        with tempfile.TemporaryDirectory() as folder:
            save(str(Path(folder) / filename))
            report(self.chosen(values), checkpoint=Checkpoint.from_directory(folder))
