"""Ask-and-tell interface: a study driven by the caller's own loop, without workers, Ray or extra threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from types import TracebackType
from typing import Any

from raytune_hpo.api.objective import warn_of_lists
from raytune_hpo.core.ledger import Ledger, StudyStatus
from raytune_hpo.core.messages import (
    Answer,
    AskTrials,
    Command,
    EndTrial,
    KeepCheckpoint,
    Lease,
    ReportMetrics,
    TakeTrial,
)
from raytune_hpo.core.optimizer import WallClock
from raytune_hpo.core.snapshot import Snapshot
from raytune_hpo.display.foreign_words import STUDY, explains_keywords, no_attribute, public_names
from raytune_hpo.display.text import counted, cut
from raytune_hpo.errors import HpoError, ObjectiveError, SpecError, StudyEnded, StudyWaiting
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.journal import open_storage
from raytune_hpo.metrics import checked_step
from raytune_hpo.options import whole
from raytune_hpo.results import Results
from raytune_hpo.runtime.failing import failure_of, failure_of_text
from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.runtime.resuming import open_study
from raytune_hpo.runtime.settings import Settings, default_name
from raytune_hpo.space.values import fresh
from raytune_hpo.trial import Trial

MAX_REFERENCE = 1024  # characters


class Study:
    """A study that you drive: ``ask`` for a trial, run it as you like, ``tell`` the result. Thread-safe.

    Trials that an earlier session asked for and never told are handed out again first. The arguments are as for Tuner.

    Raises:
        SpecError, SpaceError: an argument is not valid; the message gives the rule, the value and the way out.
        StudyExists: the study is being run elsewhere now.
    """

    @explains_keywords
    def __init__(
        self,
        space: Any,
        *,
        instances: Sequence[Any] | int | None = None,
        metric: str | Sequence[str] = "loss",
        mode: str | Sequence[str] = "min",
        sampler: Any = "auto",
        scheduler: Any = None,
        num_trials: int | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] = (),
        seed: int | None = None,
        name: str | None = None,
        storage: Any = None,
        resume: str = "auto",
        checkpoints: str | PathLike[str] | None = None,
        valid_range: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None,
        thresholds: Mapping[str, float] | None = None,
        outcome_constraints: Sequence[str] = (),
        prior_weight: float = 1.0,
        earlier: Sequence[str] = (),
        features: Callable[[dict[str, Any]], Mapping[str, float]] | None = None,
    ) -> None:
        if space is None:
            raise SpecError(
                "ask and tell needs a space, got None; if your loop asks for parameters one by one, use create_study of "
                "raytune_hpo.compat.optuna"
            )
        settings = Settings(
            metric=metric,
            mode=mode,
            valid_range=valid_range,
            thresholds=thresholds,
            outcome_constraints=outcome_constraints,
            prior_weight=prior_weight,
            earlier=earlier,
            features=features,
            sampler=sampler,
            scheduler=scheduler,
            num_trials=num_trials,
            max_retries=0,
            points_to_evaluate=points_to_evaluate,
            seed=seed,
            name=default_name(self) if name is None else name,
            storage=storage,
            resume=resume,
            checkpoints=checkpoints,
            instances=instances,
            recorded={"runtime": "ask and tell"},
        )
        plan = RunPlan.of(space, settings)
        warn_of_lists(space, plan.spec.space)
        self._spec, self._rules = plan.spec, plan.rules
        self._storage = open_storage(storage)
        self._optimizer = open_study(plan, self._storage, WallClock())
        self._lock = threading.Lock()
        self._num_asked = 0

    def __getattr__(self, name: str) -> Any:
        if name not in (known := public_names(type(self))):
            raise no_attribute("Study", name, STUDY, known)
        return object.__getattribute__(self, name)  # the error of a property that failed

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError(
            f"a Study is driven by one process and is not copied or pickled; create it again where it continues, with the "
            f"same arguments and name={self.name!r}, or send study.results()"
        )

    def __repr__(self) -> str:
        goals = ", ".join(map(str, self._spec.goals))  # no counts, for which it would have to wait for its lock
        return f"<Study {self.name!r}: {goals}, {self._spec.space!r}, sampler {self._spec.sampler.name!r}>"

    @property
    def name(self) -> str:
        """The study's name, chosen here if none was given."""
        return self._spec.name

    def ask(self) -> Trial:
        """The next trial to run: a new one, or a paused one to resume.

        Raises:
            StudyWaiting: there is none now, but there may be one after another trial has been reported or told.
            StudyEnded: there is none, because a limit or the end of a grid has been reached.
        """
        with self._lock:
            return self._ask()

    def ask_batch(self, n: int) -> list[Trial]:
        """Up to ``n`` trials to run at the same time, each chosen with the others in mind.

        They are fewer at the study's end, and where the next one depends on results of these.

        Raises:
            StudyEnded, StudyWaiting: there is none at all; as ``ask`` does.
            SpecError: ``n`` is not a whole number.
        """
        trials: list[Trial] = []
        with self._lock:
            for _ in range(whole("n", n, least=0)):
                try:
                    trials.append(self._ask())
                except StudyEnded:
                    if not trials:
                        raise
                    break
        return trials

    def report(
        self, trial: Trial | int, step: int, metrics: Mapping[str, Any] | float, *, checkpoint: str | None = None
    ) -> Verdict:
        """Report metrics at a step, and return the scheduler's verdict.

        ``"continue"``: run on. ``"stop"``: end the trial, and ``tell``. ``"complete"``: this was its last step, and this
        report has ended it. ``"pause"``: this report has paused it; a later ``ask`` may return it, to be resumed after its
        last report (``trial.reports``) up to ``trial.until``. Saving its state is up to you.

        A report may be repeated: at the step of the last one, or at an earlier step, it changes nothing, and is answered
        as before.

        Args:
            checkpoint: where you have saved the state of the trial after this step, as text of up to 1,024 characters. It
                is stored, and returned as ``trial.checkpoint.record["kept"]``.

        Raises:
            ObjectiveError: the step or the metrics are not valid, or the checkpoint is not such a text. With instances, the
                k-th of them is step k, and none may be left out.
        """
        kept, step = {"kept": _checked_reference(checkpoint)}, checked_step(step)
        plain = self._rules.of_report(self._rules.named(metrics))
        with self._lock:
            current = self._taken(trial)
            if self._spec.instances and not 1 <= step <= min(len(current.reports) + 1, len(self._spec.instances)):
                raise ObjectiveError(
                    f"each of the {len(self._spec.instances)} instances is a step, from 1, and trial {current.number} has "
                    f"reported {len(current.reports)} of them, got step={step}; report the next one"
                )
            answer = self._handle(
                ReportMetrics(
                    number=current.number,
                    attempt=current.attempt,
                    step=step,
                    metrics=plain,
                    at=self._optimizer.now(),
                    saves=checkpoint is not None,
                )
            )
            assert isinstance(answer, Answer)
            if answer.verdict is Verdict.PAUSE:
                self._end(current, Status.PAUSED, checkpoint=kept)
            elif answer.verdict is Verdict.COMPLETE:
                is_kept = checkpoint is not None or current.until is not None
                self._end(current, Status.COMPLETED, metrics=plain, checkpoint=kept if is_kept else None)
            elif checkpoint is not None and not answer.verdict.is_final:
                self._handle(
                    KeepCheckpoint(
                        number=current.number,
                        attempt=current.attempt,
                        step=step,
                        checkpoint=kept,
                        at=self._optimizer.now(),
                    )
                )
        return answer.verdict

    def next_step(self, trial: Trial | int) -> int | None:
        """The next step at which the verdict may be other than ``"continue"``; None: the trial may run to its end.

        Earlier reports are accepted, and change nothing.
        """
        with self._lock:
            scheduler = self._optimizer.core.scheduler
            return None if scheduler is None else scheduler.next_step(self._current(trial))

    def tell(self, trial: Trial | int, metrics: Mapping[str, Any] | float | None = None) -> Trial:
        """Tell a trial's result, and return the trial as recorded. A second result for the same trial is ignored.

        If the metrics are not valid (NaN, missing ...), the trial is recorded as failed. A trial whose verdict was
        ``"stop"`` becomes pruned. Without metrics, the last report is the result. With instances, it always is.

        Raises:
            HpoError: the trial was not measured on all instances.
        """
        with self._lock:
            current = self._taken(trial)
            self._check_instances(current)
            try:
                given = {} if metrics is None and current.reports else self._rules.named(metrics)
                plain = self._rules.of_result({**current.metrics, **given})
            except ObjectiveError as error:
                return self._end(current, Status.FAILED, **failure_of(error)._asdict())
            return self._end(current, Status.COMPLETED, metrics=plain)

    def fail(self, trial: Trial | int, error: BaseException | str) -> Trial:
        """Record that a trial failed, and why."""
        failure = failure_of(error) if isinstance(error, BaseException) else failure_of_text(str(error))
        with self._lock:
            return self._end(self._taken(trial), Status.FAILED, **failure._asdict())

    def stop_trial(self, trial: Trial | int) -> None:
        """Stop a trial: its next report is answered by ``"stop"``. A trial that is not running is pruned at once."""
        with self._lock:
            self._optimizer.stop_trial(self._current(trial).number)

    def enqueue(self, config: Mapping[str, Any]) -> None:
        """Enqueue a configuration, which comes before the sampler's suggestions."""
        with self._lock:
            self._optimizer.enqueue(config)

    def status(self) -> StudyStatus:
        """Counts by status, the best so far, and whether and why the study has stopped."""
        with self._lock:
            return self._optimizer.status()

    def snapshot(self) -> Snapshot:
        """The status, the running trials and the history, as for a progress display."""
        with self._lock:
            return self._optimizer.snapshot()

    def results(self) -> Results:
        """The trials up to now."""
        with self._lock:
            return Results.from_ledger(Ledger.fold(self._storage.read(self.name), self._spec))

    def close(self) -> None:
        """Release the storage; a Study of the same name continues the study."""
        with self._lock:
            self._optimizer.close()

    def __enter__(self) -> Study:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _ask(self) -> Trial:
        lease = self._handle(AskTrials(worker=self._new_worker(), at=self._optimizer.now()))
        assert isinstance(lease, Lease)
        if not lease.assignments:
            status = self._optimizer.status()
            if status.is_running:
                raise StudyWaiting(
                    f"study {self.name!r} has no trial to hand out now, all are handed out already; report or tell one of "
                    f"them, and ask again"
                )
            raise StudyEnded(f"study {self.name!r} has ended ({status.stopped}) and has no trial to hand out")
        return self._own(lease.assignments[0].number)

    def _new_worker(self) -> str:
        """A new worker name for each ask, since a worker that asks again gets its unfinished trial again."""
        self._num_asked += 1
        return f"ask-{id(self)}-{self._num_asked}"

    def _end(self, trial: Trial, status: Status, **outcome: Any) -> Trial:
        at = self._optimizer.now()
        duration_s = at - (trial.started_at or at)
        self._handle(
            EndTrial(number=trial.number, attempt=trial.attempt, status=status, at=at, duration_s=duration_s, **outcome)
        )
        return self._own(trial.number)

    def _own(self, number: int) -> Trial:
        """The trial as users get it: the configuration is theirs, and may be changed before its result is told."""
        trial = self._optimizer.ledger.trials[number]
        return replace(trial, config=fresh(trial.config))

    def _handle(self, event: Command) -> Any:
        return self._optimizer.handle([event])[0]

    def _check_instances(self, trial: Trial) -> None:
        """Refuse the result of a running trial that has neither reported on all instances nor been told to stop."""
        num_left = len(self._spec.instances) - len(trial.reports)
        is_told_to_end = bool(trial.reports) and trial.reports[-1].verdict.is_final
        if num_left > 0 and trial.status is Status.RUNNING and not is_told_to_end:
            raise HpoError(
                f"trial {trial.number} has {num_left} of {len(self._spec.instances)} instances left to report, and its "
                f"result is the mean over all; report these, or end it by fail or stop_trial"
            )

    def _taken(self, trial: Trial | int) -> Trial:
        """The trial in its running state; a trial that an earlier session asked for is handed out again.

        Raises:
            StudyEnded: the trial waits, and the study has stopped.
            HpoError: the trial is paused.
        """
        current = self._current(trial)
        if current.status is Status.PAUSED:
            raise HpoError(
                f"trial {current.number} is paused at step {current.last_step}, so it takes no results now; "
                f"ask may return it later, to continue from there"
            )
        if current.status is not Status.WAITING:
            return current
        status = self._optimizer.status()
        if not status.is_running:
            raise StudyEnded(
                f"study {self.name!r} has stopped ({status.stopped}) while trial {current.number} was under way; "
                f"open it again with a larger limit, and tell the result then"
            )
        self._handle(TakeTrial(worker=self._new_worker(), number=current.number, at=self._optimizer.now()))
        return self._current(current)

    def _current(self, trial: Trial | int) -> Trial:
        """The trial in its current state; the user's object is a snapshot from the time of the ask."""
        number = trial.number if isinstance(trial, Trial) else whole("a trial", trial, least=0)
        trials = self._optimizer.ledger.trials
        if not trials:
            raise HpoError(f"study {self.name!r} has not asked for a trial yet, got trial {number}; ask first")
        if not 0 <= number < len(trials):
            asked = counted(len(trials), "trial")
            raise HpoError(f"study {self.name!r} has asked for {asked}, numbered from 0; got trial {number}")
        return trials[number]


def _checked_reference(checkpoint: object) -> str:
    """The user's text for where a checkpoint is kept, after checking its type and length."""
    if checkpoint is None:
        return ""
    if not isinstance(checkpoint, str) or len(checkpoint) > MAX_REFERENCE:
        raise ObjectiveError(
            f"checkpoint is the place where you keep it, as text of up to {MAX_REFERENCE} characters, "
            f"got {cut(repr(checkpoint), 80)}"
        )
    return checkpoint
