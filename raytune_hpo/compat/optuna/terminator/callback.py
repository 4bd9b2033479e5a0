"""The callback that stops studies with nothing more to gain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raytune_hpo.compat.optuna.terminator.terminator import BaseTerminator, Terminator

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study


class TerminatorCallback:
    """Stops a study when its terminator finds nothing more to gain."""

    def __init__(self, terminator: BaseTerminator | None = None) -> None:
        self._terminator = Terminator() if terminator is None else terminator

    def __call__(self, study: Study, trial: Any) -> None:
        if self._terminator.should_terminate(study):
            study.stop()
