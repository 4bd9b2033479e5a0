"""Calls of objectives: in threads of this process, or on Ray workers, whose trials call back into it."""

from __future__ import annotations

import contextlib
import functools
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from raytune_hpo import cluster
from raytune_hpo.compat.optuna.distributions import BaseDistribution
from raytune_hpo.compat.optuna.trial.frozen import BaseTrial
from raytune_hpo.compat.optuna.trial.live import Trial
from raytune_hpo.errors import SpecError, nearest

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study

Call = Callable[[Callable[[Any], Any], Trial], Any]
_RUNTIMES = ("local", "ray")
_TRACEBACK = "worker_traceback"  # the attribute of an exception that carries its traceback, which Ray does not


@contextlib.contextmanager
def call_of(study: Study, objective: Callable[[Any], Any], runtime: str | None) -> Iterator[Call | None]:
    """The function that calls the objective; None: it is called in this thread.

    Args:
        runtime: "local", "ray", or None: Ray if ``hpo.connect`` was called.

    Raises:
        SpecError: the runtime is something else.
    """
    if runtime is None:
        runtime = "ray" if "ray" in sys.modules and cluster.is_connected() else "local"
    if runtime not in _RUNTIMES:
        raise SpecError(f"unknown runtime {runtime!r}; {nearest(runtime, _RUNTIMES)}")
    if runtime == "local":
        yield None
        return
    trials: dict[int, Trial] = {}
    conversations = cluster.start_conversations(
        functools.partial(call_there, objective), lambda number, question: answered(trials[number], question)
    )

    def call(objective: Callable[[Any], Any], trial: Trial) -> Any:
        trials[trial.number] = trial
        try:
            return conversations.call(trial.number)
        finally:
            del trials[trial.number]

    try:
        yield call
    finally:
        conversations.close()


def call_there(objective: Callable[[Any], Any], number: int, ask: Callable[[Any], Any]) -> Any:
    """Call an objective on a worker."""
    try:
        return objective(DistantTrial(number, ask))
    except Exception as error:
        from_objective = error.__traceback__.tb_next if error.__traceback__ is not None else None
        vars(error)[_TRACEBACK] = "".join(traceback.format_exception(type(error), error, from_objective))
        raise


def traceback_of(error: BaseException) -> str:
    """The traceback of an exception; of one that was raised on a worker, from the objective on."""
    there: str | None = vars(error).get(_TRACEBACK)
    return ("".join(traceback.format_exception(error)) if there is None else there).rstrip()


def answered(trial: Trial, question: tuple[str, tuple[Any, ...]]) -> Any:
    """The result of a call that a DistantTrial makes to its trial."""
    method, args = question
    return getattr(trial, method)(*args)


class DistantTrial(BaseTrial):
    """The proxy of a trial on a worker: its methods call the process that runs the study."""

    def __init__(self, number: int, ask: Callable[[tuple[str, tuple[Any, ...]]], Any]) -> None:
        self.number, self._ask = number, ask
        self._params: dict[str, Any] = {}
        self.user_attrs: dict[str, Any] = {}
        self.system_attrs: dict[str, Any] = {}

    @property
    def params(self) -> dict[str, Any]:
        return dict(self._params)

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        self._params[name] = value = self._ask(("_suggest", (name, distribution)))
        return value

    def report(self, value: float, step: int) -> None:
        """Report the value at a step."""
        self._ask(("report", (float(value), step)))

    def should_prune(self) -> bool:
        """Whether the study's pruner would end the trial at its newest report."""
        return bool(self._ask(("should_prune", ())))

    def set_user_attr(self, key: str, value: Any) -> None:
        """Set a user attribute of the trial."""
        self.user_attrs[key] = value
        self._ask(("set_user_attr", (key, value)))

    def set_constraint(self, key: str, value: float) -> None:
        """Set a constraint: if it is above 0, the trial is never the best."""
        self._ask(("set_constraint", (key, value)))

    def set_system_attr(self, key: str, value: Any) -> None:
        """Set a system attribute of the trial."""
        self.system_attrs[key] = value
        self._ask(("set_system_attr", (key, value)))
