"""One run of the user's objective: its reports, its end, its output. The objective is called here and nowhere else."""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

from raytune_hpo.checkpoints.record import Checkpoint
from raytune_hpo.checkpoints.store import CheckpointStore
from raytune_hpo.core.messages import Assignment, EndTrial, Parameter
from raytune_hpo.errors import CheckpointGone, ObjectiveError, TrialPruned, TrialStopped
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.metrics import MetricRules, checked_step
from raytune_hpo.runtime.failing import Failure, failure_of
from raytune_hpo.runtime.forks import ending_children
from raytune_hpo.runtime.objective_trial import ObjectiveTrial, Parameters
from raytune_hpo.runtime.output import BoundedText, captured, uncaptured
from raytune_hpo.runtime.saving import NAMES, RETRY_S, DiskFull, Extras, Saving, extras_of
from raytune_hpo.space.values import fresh

_log = logging.getLogger("raytune_hpo")
_NO_EXTRAS = Extras()
_OF_REPORTS = NAMES - {"step"}

Objective = Callable[[Any], Any]  # called with a configuration, or with a trial that it asks for parameters


class Reporter(Protocol):
    """Carries the reports of one run to the optimizer, and its verdicts back."""

    @property
    def next_step(self) -> int | None:
        """The next step at which the verdict may be other than "continue"; None: there is none."""
        ...

    @property
    def is_last_call(self) -> bool:
        """Whether the study is about to stop, and this trial may still save what it has done."""
        ...

    def report(self, step: int, metrics: Mapping[str, Any], saves: bool) -> Verdict:
        """Send a report; wait for the verdict only at a step at which one is possible."""
        ...

    def keep(self, step: int, checkpoint: Mapping[str, Any]) -> None:
        """Tell that a checkpoint has been saved."""
        ...

    def draw(self, name: str, domain: Mapping[str, Any]) -> Parameter:
        """Ask for the value of a parameter that is not in the suggestion."""
        ...

    def offer(self, metrics: Mapping[str, Any]) -> bool:
        """Whether a checkpoint of the last report is wanted, now that the trial is about to end with these metrics."""
        ...

    def hold(self) -> bool:
        """Tell that this trial waits for room on a full disk; returns whether the study continues."""
        ...


_current: contextvars.ContextVar[TrialRun | None] = contextvars.ContextVar("raytune_hpo_trial", default=None)
_under_way: set[TrialRun] = set()  # the running trials of this process


def is_in_trial() -> bool:
    """Whether this thread belongs to a trial."""
    return _current.get() is not None


def report(
    metrics: Mapping[str, Any] | float | None = None,
    /,
    *,
    step: int | None = None,
    save: Callable[[Path], object] | None = None,
    checkpoint: str | PathLike[str] | None = None,
    **named: Any,
) -> None:
    """Report metrics of the running trial: as keywords, as one dict, or as one number, the metric itself.

    With a scheduler, every report has the study's metrics, since each is judged; other metrics may come and go.
    Any thread of the trial may report, and no other process. Outside a trial it does nothing.

    Args:
        step: an integer that grows from report to report; by default one more than the last, from 1. In the dict,
            ``"step"`` serves as well, and so do the names of the other arguments.
        save: writes what the trial needs to continue after this step into the folder (a ``pathlib.Path``) that it is given.
            It is called before ``report`` returns or raises, and only where a checkpoint is wanted: the trial is to
            pause, its population continues from it, ``checkpoint_every_s`` have passed, the study is being stopped, or it
            was the last report of one of the best trials; that one is saved when the objective returns. So bind by value
            what changes after the report. If it raises, the trial fails; after the objective has returned, its result
            counts, and a warning says that there is no checkpoint.
        checkpoint: a folder that holds such a checkpoint already; it is always taken, by a copy.

    Raises:
        TrialStopped: the trial is stopped, or paused, here. Let it pass; it is a BaseException.
        ObjectiveError: a step that does not grow, a metric that is not valid, a process that the objective has forked, or
            the trial runs over instances; fails the trial.
    """
    run = run_here("report", "nothing was reported")
    if run is None:
        return
    if run.assignment.order:
        raise ObjectiveError(
            "with instances, each of them is a step, and its metrics are what the objective returns; return them, and leave "
            "hpo.report out"
        )
    given = {} if metrics is None else run.rules.named(metrics)
    given.update(named)
    if save is not None:
        given["save"] = save
    if checkpoint is not None:
        given["checkpoint"] = checkpoint
    run.report(given, step)


def checkpoint() -> Checkpoint | None:
    """The checkpoint from which the running trial resumes: its ``path``, a folder to read, and its ``step``.

    None if the trial starts from scratch, and outside a trial.
    """
    run = run_here("checkpoint", "it returned None")
    return None if run is None else run.saving.begun_with


def until() -> int | None:
    """The next step at which the scheduler may stop or pause the running trial.

    None if there is none, and outside a trial. If an objective has called this and returns without having reported that
    step, its result counts as the report of that step.
    """
    run = run_here("until", "it returned None")
    return None if run is None else run.until()


def current_run() -> TrialRun | None:
    """The run of the trial to which this thread belongs; None if it belongs to none."""
    return _current.get()


def run_here(called: str, instead: str) -> TrialRun | None:
    """The run to which a report of this thread goes; None outside a trial.

    For a thread that inherited none (see ``runtime.threads``) it is the one that runs here, if it is the only one. The main
    thread is excluded: it drives the study, or has a trial of its own.

    Args:
        called, instead: the function of ``hpo`` that was called there, and what it does without a trial, for a warning.
    """
    if (run := _current.get()) is not None:
        return run
    running = [] if threading.current_thread() is threading.main_thread() else list(_under_way)
    if len(running) > 1:
        warnings.warn(
            f"hpo.{called} was called in a thread that belongs to none of the trials that run here; {instead}. "
            f"Start the thread inside the objective, or call hpo.{called} there",
            stacklevel=3,
        )
    return running[0] if len(running) == 1 else None


class TrialRun:
    """Runs one assignment. Make it when the objective is to be called: its time begins then.

    Attributes:
        started_at: epoch seconds when it was made; ``elapsed_s``: seconds since then, by a monotonic clock.
        output: what the objective has printed so far.
        last_step: the step of the newest report, None before the first.
        unreported: why a training callback has reported nothing yet, for the error of an objective that gives nothing.
    """

    def __init__(
        self,
        assignment: Assignment,
        objective: Objective,
        rules: MetricRules,
        reporter: Reporter,
        store: CheckpointStore | None = None,
        checkpoint_every_s: float | None = None,
    ) -> None:
        self.assignment = assignment
        self.started_at = time.time()
        self.rules = rules
        self._begin = time.perf_counter()
        self._process = os.getpid()
        self._lock = threading.Lock()  # reports may come from several threads
        self.output = BoundedText()
        self.unreported = ""
        self._objective, self._reporter = objective, reporter
        self._store, self._checkpoint_every_s = store, checkpoint_every_s
        self._last: dict[str, Any] = {}
        self._step: int | None = None
        self._until: int | None = None  # what ``until`` last returned to the objective
        self._save: Callable[[Path], object] | None = None  # offered by the newest report, and not called yet
        self._saved: Mapping[str, Any] | None = None  # the checkpoint of the newest report, to go with the end
        self._verdict = Verdict.CONTINUE
        self._is_over = False
        # Of an objective that defines its own space:
        self._parameters: Parameters | None = None
        self._trial: ObjectiveTrial | None = None

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self._begin

    def __call__(self) -> EndTrial:
        """Call the objective and return how it ended; of what it raises, only Ctrl-C gets through."""
        token = _current.set(self)
        _under_way.add(self)
        with captured() as self.output:
            try:
                status, metrics, failure = self._outcome()
            finally:
                self._is_over = True
                _under_way.discard(self)
                _current.reset(token)
        if status is Status.COMPLETED and self._parameters is not None:
            self._parameters.warn_of_unasked(self.assignment.number)  # on the terminal, not in the trial's output
        return EndTrial(
            number=self.assignment.number,
            attempt=self.assignment.attempt,
            status=status,
            at=0.0,  # stamped by the optimizer's clock on arrival
            metrics=metrics,
            checkpoint=self._saved,
            error=None if failure is None else failure.error,
            reason=None if failure is None else failure.reason,
            output=str(self.output),
            started_at=self.started_at,
            duration_s=self.elapsed_s,
            asked=None if self._trial is None else list(self._trial.params),
            notes={} if self._trial is None else self._trial.user_attrs,
        )

    @cached_property
    def saving(self) -> Saving:
        """The checkpoints of this run; most trials have none."""
        return Saving(self.assignment, self._store, self._checkpoint_every_s)

    @property
    def last_step(self) -> int | None:
        return self._step

    def until(self) -> int | None:
        """See the function ``until``."""
        self._until = self._reporter.next_step
        return self._until

    def report(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Send a report: metrics by name, and among them the arguments that become ``Extras``."""
        extras = _NO_EXTRAS
        if not NAMES.isdisjoint(metrics):
            extras = extras_of(metrics.pop("step", None), metrics.pop("save", None), metrics.pop("checkpoint", None))
        step = extras.step if step is None else step
        if os.getpid() != self._process:  # its copy of the connection is the parent's, and of the threads it has none
            raise ObjectiveError(
                f"trial {self.assignment.number} runs in process {self._process}, and was to be reported for from process "
                f"{os.getpid()}, a fork of it; send values to the objective, by a queue for instance, and report them there"
            )
        with self._lock:
            if self._is_over or self._verdict.is_final:  # after the last step it may return, but not continue
                raise TrialStopped(f"trial {self.assignment.number} has ended")
            step = self._next_step(step)
            plain = self.rules.of_report(metrics)
            self._step, self._last = step, plain
            self._verdict = self._reporter.report(step, plain, extras.save is not None)
            self._save = extras.save
            if extras.save is not None:
                self._save_if_wanted(step, always=extras.is_taken)
            # Where a later step will be judged, another trial continues from here, so further training would be wasted.
            is_segment = self._verdict is Verdict.COMPLETE and self._reporter.next_step is not None
            if is_segment:
                self._save_at_end(plain)
        if is_segment or self._verdict in (Verdict.STOP, Verdict.PAUSE):
            raise TrialStopped(f"trial {self.assignment.number} was stopped at step {step}")

    def _save_if_wanted(self, step: int, *, always: bool) -> None:
        """Save the checkpoint of the newest report if it is needed now; otherwise it may still be needed at the end."""
        assert self._save is not None
        is_last = self._verdict.is_final
        is_wanted = always or self._verdict is Verdict.PAUSE or self._reporter.is_last_call or self.saving.is_due
        if self._verdict is Verdict.STOP or not is_wanted:
            return
        record = self._saved_now(step, self._save)
        self._save = None
        if record is not None and is_last:
            self._saved = record  # journalled in one transaction with the end
        elif record is not None:
            self._reporter.keep(step, record)

    def _save_at_end(self, metrics: Mapping[str, Any]) -> None:
        """Save the last checkpoint if it is not saved yet and the optimizer wants it."""
        save, self._save = self._save, None
        if save is not None and self._step is not None and self._reporter.offer(metrics):
            self._saved = self._saved_now(self._step, save)

    def _save_result(self, metrics: Mapping[str, Any]) -> None:
        """Save the last checkpoint of a trial that has its result.

        If ``save`` fails there, a warning says so and the result counts: a finished training is too expensive to discard.
        """
        try:
            self._save_at_end(metrics)
        except (KeyboardInterrupt, TrialStopped):
            raise
        except BaseException as error:
            failure = failure_of(_without_own_frames(error))
            self.output.write(f"{failure.error}\n")
            with uncaptured():
                _log.warning(
                    "trial %d has its result, and its last checkpoint could not be saved: %s (its output has the traceback)",
                    self.assignment.number,
                    failure.reason,
                )

    def _saved_now(self, step: int, save: Callable[[Path], object]) -> Mapping[str, Any] | None:
        """Save a checkpoint and return its record; while the disk is full, the trial waits.

        Raises:
            TrialStopped: the study has stopped meanwhile.
        """
        while True:
            try:
                return self.saving.save(step, save)
            except DiskFull:
                if not self._reporter.hold():
                    self._verdict = Verdict.STOP
                    raise TrialStopped(
                        f"the study stopped while trial {self.assignment.number} waited to save"
                    ) from None
                time.sleep(RETRY_S)

    def _next_step(self, step: int | None) -> int:
        if step is None:
            if self._step is not None:
                return self._step + 1
            goes_on = self.assignment.from_step is not None and self.saving.was_asked
            return (self.assignment.from_step or 0) + 1 if goes_on else 1
        number = checked_step(step)
        if self._step is not None and number <= self._step:
            raise ObjectiveError(
                f"steps grow from report to report, got step={number} after step={self._step}; "
                f"report all metrics of a step in one call"
            )
        return number

    def _outcome(self) -> tuple[Status, dict[str, Any], Failure | None]:
        try:
            returned = self._returned()
            while self._was_only_a_stretch(returned):
                self._step = None  # it may start over, or resume from its own checkpoint
                returned = self._returned()
            if self._verdict in (Verdict.STOP, Verdict.PAUSE):
                return self._stopped()
            said = {**self._last, **returned}
            if not said and self.assignment.from_step is not None:
                # It resumed after its last step: the report of that one is its result.
                return Status.COMPLETED, {}, None
            metrics = self.rules.of_result(said)
            self._save_result(metrics)
            return Status.COMPLETED, metrics, None
        except (TrialStopped, TrialPruned):
            return self._stopped()
        except CheckpointGone as error:
            return Status.WAITING, {}, Failure(str(error), str(error))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # asyncio.CancelledError, for one: it is the trial that fails, not its worker
            return Status.FAILED, self._last, failure_of(_without_own_frames(error), self._hint(error))

    def _returned(self) -> dict[str, Any]:
        """Call the objective, and return its metrics."""
        # It gets a copy: its changes must not reach the journal or the next attempt.
        result = self._call(self._argument())
        if result is None and not self._last and self.assignment.from_step is None:
            hint = "; where it calls tune.report, write hpo.report" if "ray.tune" in sys.modules else ""
            hint = f"; {self.unreported}" if self.unreported else hint
            raise ObjectiveError(
                f"an objective returns a number or a dict of metrics, or reports them; got None, and no reports{hint}"
            )
        metrics = {} if result is None else self.rules.named(result)
        if taken := _OF_REPORTS.intersection(metrics):
            raise ObjectiveError(
                f"{min(taken)} is an argument of hpo.report, not a metric of a result; give the metric another name"
            )
        return metrics

    def _argument(self) -> Any:
        """The argument of the objective."""
        assignment = self.assignment
        if assignment.domains is None:
            return fresh(assignment.config)
        self._parameters = Parameters(assignment.config, assignment.domains, self._reporter.draw)
        self._trial = ObjectiveTrial(assignment.number, self._parameters, self._report_value)
        return self._trial

    def _report_value(self, value: float, step: int) -> None:
        self.report(self.rules.named(value), step)

    def _was_only_a_stretch(self, returned: Mapping[str, Any]) -> bool:
        """Whether to call the objective again: it trained up to the step that ``until`` gave, returned, and may continue."""
        if self._until is None or not returned or (self._step is not None and self._step >= self._until):
            return False
        if self.assignment.last_step is None:
            raise ObjectiveError(
                f"an objective that returns at the step of hpo.until() is called again for the next one, and the scheduler "
                f"has no last step, so that it would be called for ever (it is {self._until} now); give the scheduler "
                f"max_steps, or report that step with hpo.report before returning"
            )
        self.report(dict(returned), self._until)
        self._until = None
        return self._verdict is Verdict.CONTINUE and self._reporter.next_step is not None

    def _hint(self, error: BaseException) -> str:
        """A likely cause, where an objective takes its configuration for an object, or fails as soon as it has resumed."""
        taken = error.obj if isinstance(error, AttributeError) else None
        if type(taken) is dict and taken.keys() == self.assignment.config.keys():
            own = "; with trial.suggest_..., the space is None" if "suggest_" in str(error) else ""
            return f' (a configuration is a dict: write config["x"]{own})'
        if self._last or self.assignment.from_step is None or not isinstance(error, UnboundLocalError):
            return ""
        step = self.assignment.from_step
        return f" (it resumed after step {step}: where no step is left to do, return nothing, and that report is the result)"

    def _stopped(self) -> tuple[Status, dict[str, Any], Failure | None]:
        """The end of a trial that was stopped or paused, or that reported after its last step."""
        if self._verdict is Verdict.PAUSE:
            return Status.PAUSED, {}, None
        if self._verdict is Verdict.COMPLETE:
            with contextlib.suppress(TrialStopped):  # the study stopped while the disk was full
                self._save_result(self._last)
        return Status.PRUNED, {}, None

    def _call(self, config: dict[str, Any]) -> Any:
        with ending_children():
            result = self._objective(config)
            return self._drain(result) if inspect.isgenerator(result) else result

    def _drain(self, generator: Iterator[Any]) -> Any:
        """Run a generator objective: each yielded value is a report, and its return value is the result."""
        try:
            while True:
                try:
                    item = next(generator)
                except StopIteration as stop:
                    return stop.value
                self.report(self.rules.named(item))
        finally:
            generator.close()  # type: ignore[attr-defined]


def _without_own_frames(error: BaseException) -> BaseException:
    """The exception, with a traceback that begins in the objective."""
    tb = error.__traceback__
    while tb is not None and tb.tb_frame.f_globals.get("__name__") == __name__:
        tb = tb.tb_next
    return error.with_traceback(tb)


def timed_out(number: int, attempt: int, limit: float, started_at: float) -> EndTrial:
    """The end of a trial that ran longer than ``trial_timeout_s``."""
    text = f"the trial ran longer than trial_timeout_s={limit:g}"
    return EndTrial(
        number=number,
        attempt=attempt,
        status=Status.FAILED,
        at=started_at + limit,
        error=text,
        reason=text,
        started_at=started_at,
        duration_s=limit,
    )
