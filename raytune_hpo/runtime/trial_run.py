"""One run of the user's objective: its reports, its end, its output. The objective is called here and nowhere else."""

from __future__ import annotations

import contextvars
import inspect
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from raytune_hpo.core.messages import Assignment, EndTrial
from raytune_hpo.errors import ObjectiveError, TrialStopped
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.goals import Goal, as_metrics, check_metrics
from raytune_hpo.runtime.output import BoundedText, captured

MAX_ERROR_CHARS = 8_000

Objective = Callable[[dict[str, Any]], Any]


class Reporter(Protocol):
    """Carries the reports of one run to the optimizer, and its verdicts back."""

    def report(self, step: int, metrics: Mapping[str, Any]) -> Verdict:
        """Send a report; waits for the verdict only where there may be one."""
        ...


_current: contextvars.ContextVar[TrialRun | None] = contextvars.ContextVar("raytune_hpo_trial", default=None)
# Whoever runs one trial at a time in a process of its own puts here what tells it: any thread of that process means it.
run_of_process: Callable[[], TrialRun | None] = lambda: None  # noqa: E731


def report(metrics: Mapping[str, Any] | None = None, /, *, step: int | None = None, **named: Any) -> None:
    """Report metrics of the running trial, as keywords or as one dict; outside a trial it does nothing.

    Args:
        step: an integer that grows from report to report; by default one more than the last, from 1.

    Raises:
        TrialStopped: the scheduler stops this trial. Let it pass; it is a BaseException.
        ObjectiveError: a step that does not grow, or a metric that is none; fails the trial.
    """
    run = _current.get() or run_of_process()
    if run is not None:
        run.report({**(metrics or {}), **named}, step)


class TrialRun:
    """Runs one assignment.

    Attributes:
        started_at: epoch seconds when the objective was called.
        output: what the objective has printed up to now.
        judged: a scheduler needs the goals in every report.
    """

    def __init__(
        self, assignment: Assignment, objective: Objective, goals: Sequence[Goal], reporter: Reporter, *, judged: bool
    ) -> None:
        self.assignment = assignment
        self.started_at = time.time()
        self.output = BoundedText()
        self._objective, self._goals, self._reporter, self._judged = objective, goals, reporter, judged
        self._last: dict[str, Any] = {}
        self._step: int | None = None
        self._stopped = False

    def __call__(self) -> EndTrial:
        """Call the objective and say how it ended; nothing that it raises, but for SystemExit and Ctrl-C, comes out."""
        token = _current.set(self)
        begin = time.perf_counter()
        with captured() as self.output:
            try:
                status, metrics, error = self._outcome()
            finally:
                _current.reset(token)
        return EndTrial(
            number=self.assignment.number,
            attempt=self.assignment.attempt,
            status=status,
            at=0.0,  # stamped by the optimizer's clock on arrival
            metrics=metrics,
            error=error,
            output=str(self.output),
            started_at=self.started_at,
            duration_s=time.perf_counter() - begin,
        )

    def report(self, metrics: Mapping[str, Any], step: int | None) -> None:
        step = self._next_step(step)
        plain = check_metrics(metrics, self._goals, require=self._judged)
        self._step, self._last = step, plain
        if self._stopped or self._reporter.report(step, plain) is Verdict.STOP:
            self._stopped = True
            raise TrialStopped(f"trial {self.assignment.number} was stopped at step {step}")

    def _next_step(self, step: int | None) -> int:
        if step is None:
            return 1 if self._step is None else self._step + 1
        if isinstance(step, bool) or not hasattr(step, "__index__"):
            raise ObjectiveError(f"a step is an integer, got {step!r}")
        number = step.__index__()
        if self._step is not None and number <= self._step:
            raise ObjectiveError(
                f"steps grow from report to report, got step={number} after step={self._step}; "
                f"report all metrics of a step in one call"
            )
        return number

    def _outcome(self) -> tuple[Status, dict[str, Any], str | None]:
        try:
            # The objective gets a dict of its own: what it does to it must not reach the journal or the next attempt.
            result = self._call(copied(self.assignment.config))
            return self._result(result)
        except TrialStopped:
            return Status.PRUNED, {}, None
        except ObjectiveError as error:
            return Status.FAILED, self._last, f"ObjectiveError: {error}"
        except (SystemExit, Exception) as error:
            return Status.FAILED, self._last, _described(error)

    def _result(self, result: Any) -> tuple[Status, dict[str, Any], str | None]:
        if self._stopped:
            return Status.PRUNED, {}, None
        returned = {} if result is None and self._last else as_metrics(result, self._goals)
        metrics = check_metrics({**self._last, **returned}, self._goals, require=True)
        return Status.COMPLETED, metrics, None

    def _call(self, config: dict[str, Any]) -> Any:
        result = self._objective(config)
        if inspect.isgenerator(result):
            return self._drain(result)
        return result

    def _drain(self, generator: Iterator[Any]) -> Any:
        """Every yielded value is a report; what the generator returns is the result."""
        try:
            while True:
                try:
                    item = next(generator)
                except StopIteration as stop:
                    return stop.value
                metrics = as_metrics(item, self._goals)
                self.report(metrics, metrics.pop("step", None))
        finally:
            generator.close()  # type: ignore[attr-defined]


def timed_out(number: int, attempt: int, limit: float, started_at: float) -> EndTrial:
    """How a trial ends that ran longer than ``trial_timeout_s``."""
    return EndTrial(
        number=number,
        attempt=attempt,
        status=Status.FAILED,
        at=started_at + limit,
        error=f"the trial ran longer than trial_timeout_s={limit:g}",
        started_at=started_at,
        duration_s=limit,
    )


def copied(value: Any) -> Any:
    """Dicts and lists copied, all the rest shared: deep enough to protect a configuration, cheap enough for each trial."""
    if isinstance(value, dict):
        return {key: copied(child) for key, child in value.items()}
    if isinstance(value, list):
        return [copied(child) for child in value]
    return value


def _described(error: BaseException) -> str:
    """The traceback from the objective on, without our own frames, shortened in the middle."""
    tb = error.__traceback__
    while tb is not None and tb.tb_frame.f_globals.get("__name__") == __name__:
        tb = tb.tb_next
    try:
        text = "".join(traceback.format_exception(type(error), error, tb)).rstrip()
    except Exception as broken:  # an exception whose own __str__ raises
        text = f"{type(error).__name__} (its message cannot be shown: {type(broken).__name__})"
    if len(text) > MAX_ERROR_CHARS:
        half = MAX_ERROR_CHARS // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
    return text
