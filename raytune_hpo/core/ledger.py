"""The fold of a study's facts: trials, queues, owners, counts and running time.

The optimizer bases its decisions on it, and everything that shows a study reads it. It decides nothing itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any, cast, get_args

from raytune_hpo.core.collector import rarely_collected
from raytune_hpo.display.text import counts_line, duration, number
from raytune_hpo.errors import InvalidTransition, JournalCorrupt
from raytune_hpo.facts import (
    Annotated,
    Drawn,
    Enqueued,
    Fact,
    Printed,
    Recalled,
    Released,
    Reported,
    Requeued,
    Saved,
    SessionOpened,
    Started,
    Status,
    StopAsked,
    StudyCreated,
    StudyExtended,
    StudyStopped,
    TrialFact,
    Withdrawn,
    changed,
)
from raytune_hpo.space.growing import domain_of, grown
from raytune_hpo.spec import Limits, StudySpec, not_begun, stored_spec
from raytune_hpo.trial import Trial, evolve, unpacked

_TRIAL_FACTS = frozenset(get_args(TrialFact))


@dataclass(frozen=True, kw_only=True)
class StudyStatus:
    """The status of a study, small enough to be fetched several times a second.

    Attributes:
        name: the study's name.
        counts: number of trials by status.
        num_enqueued: the user's points that have not been handed out yet.
        limits: when the study ends: ``num_trials``, ``time_budget_s`` ...
        best: the best value so far of each metric.
        best_number: the trial that is best in the first metric.
        elapsed_s: running time over all sessions, up to the moment of asking.
        stopped: why the study has ended, None while it runs.
        session_start: how many facts there were before the newest session; 0 in the first one.
        num_infeasible: how many completed trials break an outcome constraint.
        num_finished_before: how many trials had finished before the newest session.
    """

    name: str
    counts: Mapping[str, int]
    num_enqueued: int
    limits: Limits
    best: Mapping[str, float]
    best_number: int | None
    elapsed_s: float
    stopped: str | None
    session_start: int = 0
    num_infeasible: int = 0
    num_finished_before: int = 0

    @property
    def num_trials(self) -> int:
        """How many trials have been handed out, whatever became of them."""
        return sum(self.counts.values())

    @property
    def num_finished(self) -> int:
        """How many trials are completed, pruned or failed."""
        return sum(n for status, n in self.counts.items() if Status(status).is_finished)

    @property
    def num_paused(self) -> int:
        """How many trials are paused now."""
        return self.counts.get(Status.PAUSED, 0)

    @property
    def num_at_rest(self) -> int:
        """How many trials have finished or are paused."""
        return self.num_finished + self.num_paused

    @property
    def num_feasible(self) -> int:
        """How many completed trials keep the outcome constraints; without any, all completed ones."""
        return self.counts.get(Status.COMPLETED, 0) - self.num_infeasible

    @property
    def is_running(self) -> bool:
        """Whether the study has not ended."""
        return self.stopped is None

    @property
    def found_nothing_to_do(self) -> bool:
        """Whether a study was called again after its end, and no trial has finished in this session."""
        return not self.is_running and self.session_start > 0 and self.num_finished == self.num_finished_before > 0

    def __str__(self) -> str:
        best = [f"best {metric}={number(value)}" for metric, value in self.best.items()]
        best += [f"{self.num_infeasible} infeasible"] if self.num_infeasible else []
        state = "running" if self.is_running else f"ended by {self.stopped}"
        return f"{self.name}: {', '.join([counts_line(self.counts), *best, duration(self.elapsed_s), state])}"


def damaged_at(position: int, fact: Fact, error: InvalidTransition) -> JournalCorrupt:
    """The error for a journal in which a fact cannot follow those before it: it was damaged or changed after writing."""
    return JournalCorrupt(
        f"the journal is damaged at fact {position}, a {type(fact).__name__}: {error}; `raytune-hpo audit` says which facts "
        f"are not those that were written; restore the study from a copy"
    )


class Ledger:
    """The state of one study, as a fold of its facts.

    Attributes:
        spec: the spec with the current limits and, if it grows, the current space.
        notes: what users have noted about the study, by name; those about a trial are in the trial.
        seen: how many facts were applied.
        trials: by number.
        unfinished: those that run or wait; ``paused``: those that may continue; ``finished``: the others, in the
            order in which they finished.
        told: the trials at each pause and end, in order: what samplers were told.
        checkpoints: the numbers of trials of which checkpoints are kept.
        parents: the numbers of trials from which others were derived.
        num_continued: how often a paused trial was chosen to continue.
        num_steps: how many steps all trials have made; those that were lost and made again count twice.
        num_silent: how many trials have ended without a report.
        requeued: the queue of numbers that wait to be handed out again (the keys; a trial may leave from its middle).
        suspects: waiting trials that were running when a session died, with how often that happened to them.
        enqueued: the queue of what the user wants tried, the configurations packed, by position: how many were enqueued
            before it in all (one may leave from the middle). ``num_enqueued``: how many have been enqueued in all.
        retried: the failed trials that were enqueued again; these do not count against ``num_trials``.
        stop_asked: the trials that a user wants stopped, and that have not finished.
        recalled: the results of earlier studies.
        owned: the numbers of running trials by worker.
        best: the completed trial of the lowest loss, for each goal, of those that keep the outcome constraints and, with
            several goals, are on the front; of equals the first by number, whichever finished first.
        num_infeasible: how many completed trials break one.
        front: with several goals, the feasible trials that no other one dominates.
        first_failure: the trial that failed first.
        improved: for each goal the trials that were the best when they finished, and how long ``told`` was by then.
        stopped: the reason of the last StudyStopped, None while a session is open.
        session_start: how many facts there were before the newest session; 0 in the first one. ``num_finished_before``,
            ``num_failed_before``: how many trials had finished, and failed, by then.
    """

    def __init__(self, spec: StudySpec) -> None:
        self.spec = spec
        self.notes: dict[str, Any] = {}
        self.seen = 0
        self.trials: list[Trial] = []
        self.unfinished: dict[int, Trial] = {}
        self.paused: dict[int, Trial] = {}
        self.finished: list[Trial] = []
        self.told: list[Trial] = []
        self.checkpoints: dict[int, None] = {}
        self.parents: set[int] = set()
        self.num_continued = 0
        self.num_steps = self.num_silent = 0
        self.requeued: dict[int, None] = {}
        self.suspects: dict[int, int] = {}
        self.enqueued: OrderedDict[int, Enqueued] = OrderedDict()
        self.num_enqueued = 0
        self.retried: set[int] = set()
        self.stop_asked: set[int] = set()
        self.recalled: list[Recalled] = []
        self.owned: dict[str, dict[int, None]] = {}
        self.counts = dict.fromkeys(Status, 0)
        self.best: list[Trial | None] = [None] * len(spec.goals)
        self.num_infeasible = 0
        self.front: list[Trial] = []
        self.first_failure: Trial | None = None
        self.improved: list[list[tuple[int, Trial]]] = [[] for _ in spec.goals]
        self.stopped: str | None = None
        self.session_start = 0
        self.num_finished_before = 0
        self.num_failed_before = 0
        self._num_sessions = 0
        self._session_deaths: dict[int, int] = {}
        self._elapsed_s = 0.0
        self._last_at: float | None = None
        # A report that may come next, between the trial before and after it.
        self._foreseen: tuple[Trial | None, Reported, Trial] | None = None

    @classmethod
    def fold(cls, facts: Iterable[Fact], spec: StudySpec | None = None) -> Ledger:
        """The ledger of a whole journal; ``spec`` is the live one, if there is one, which has the space's functions.

        Raises:
            JournalCorrupt: there is no fact, the first is not StudyCreated, or a later one cannot follow.
        """
        ledger: Ledger | None = None
        with rarely_collected():
            for position, fact in enumerate(facts):
                try:
                    if ledger is None:
                        ledger = cls(spec or stored_spec(fact))
                    ledger.apply(fact)
                except InvalidTransition as error:
                    raise damaged_at(position, fact, error) from error
        if ledger is None:
            raise not_begun()
        return ledger

    def apply(self, fact: Fact) -> Trial | None:
        """Apply a fact, and return the trial that it is about, in its new state; None if it is about none."""
        self._pass_time(fact)
        self.seen += 1
        if type(fact) in _TRIAL_FACTS:
            return self._apply_to_trial(cast(TrialFact, fact))
        if isinstance(fact, Enqueued):
            self.enqueued[self.num_enqueued] = fact
            if fact.is_next:
                self.enqueued.move_to_end(self.num_enqueued, last=False)
            self.num_enqueued += 1
            if fact.retry_of is not None:
                self.retried.add(fact.retry_of)
        elif isinstance(fact, StudyCreated):
            self.spec = self.spec.with_limits(Limits(**fact.spec["limits"]))
        elif isinstance(fact, Recalled):
            self.recalled.append(fact)
        elif isinstance(fact, StudyExtended):
            self.spec = self.spec.with_limits(Limits(**fact.limits))
        elif isinstance(fact, SessionOpened):
            self.stopped = None
            self.session_start = self.seen - 1 if self._num_sessions else 0  # the first one has begun with StudyCreated
            self._num_sessions += 1
            self.num_finished_before, self.num_failed_before = len(self.finished), self.counts[Status.FAILED]
        elif isinstance(fact, Annotated):
            self._annotate(fact)
        elif isinstance(fact, Withdrawn):
            self._leave_queue(fact.position)
        elif isinstance(fact, StopAsked):
            self.stop_asked.add(fact.number)
        elif isinstance(fact, StudyStopped):
            self.stopped = fact.reason
        return None

    def after(self, report: Reported) -> Trial:
        """The trial as it will be after a report that has not been applied yet.

        Raises:
            InvalidTransition: the report cannot follow.
        """
        number = report.number
        before = self.trials[number] if number < len(self.trials) else None
        trial = evolve(before, report, self.spec.goals)
        self._foreseen = before, report, trial
        return trial

    @property
    def is_settled(self) -> bool:
        """Whether no trial runs and none waits to be handed out again."""
        return not self.counts[Status.RUNNING] and not self.counts[Status.WAITING]

    @property
    def num_left(self) -> int | None:
        """How many trials may still be started, retries of failed ones not counted; None where there is no limit."""
        limit = self.spec.limits.num_trials
        return None if limit is None else max(0, limit + len(self.retried) - len(self.trials))

    def running(self) -> list[Trial]:
        """The trials that workers run, by number."""
        return [trial for trial in self.pending() if trial.status is Status.RUNNING]

    def pending(self) -> list[Trial]:
        """The trials that run or wait, by number."""
        return [self.unfinished[number] for number in sorted(self.unfinished)]

    def session_deaths(self, number: int) -> int:
        """How many sessions crashed while this trial was running."""
        return self._session_deaths.get(number, 0)

    def elapsed_s(self, now: float) -> float:
        """Seconds of running time up to ``now``, over all sessions."""
        since = 0.0 if self.stopped is not None or self._last_at is None else max(0.0, now - self._last_at)
        return self._elapsed_s + since

    def status(self, now: float) -> StudyStatus:
        metrics = [goal.metric for goal in self.spec.goals]
        return StudyStatus(
            name=self.spec.name,
            counts={str(status): n for status, n in self.counts.items()},
            num_enqueued=len(self.enqueued),
            limits=self.spec.limits,
            best={m: t.metrics[m] for m, t in zip(metrics, self.best, strict=True) if t is not None},
            best_number=None if self.best[0] is None else self.best[0].number,
            elapsed_s=self.elapsed_s(now),
            stopped=self.stopped,
            num_infeasible=self.num_infeasible,
            session_start=self.session_start,
            num_finished_before=self.num_finished_before,
        )

    def _pass_time(self, fact: Fact) -> None:
        """Time passes between two facts of one session, not between a session's last fact and the next one's first."""
        if self._last_at is not None and self.stopped is None and not isinstance(fact, SessionOpened):
            passed_s = fact.at - self._last_at
            if passed_s > 0.0:
                self._elapsed_s += passed_s
        self._last_at = fact.at

    def _apply_to_trial(self, fact: TrialFact) -> Trial:
        number = fact.number
        old = self.trials[number] if number < len(self.trials) else None
        kind, spec = type(fact), self.spec
        fact = unpacked(fact, spec.space) if kind is Started else fact
        foreseen, self._foreseen = self._foreseen, None
        if foreseen is not None and foreseen[0] is old and foreseen[1] is fact:
            trial = foreseen[2]
        else:
            trial = evolve(old, fact, spec.goals, spec.constraints)
        if old is None:
            if number != len(self.trials):
                raise InvalidTransition(f"trials are numbered in order: expected {len(self.trials)}, got {number}")
            self.trials.append(trial)
            if trial.parent is not None:
                self.parents.add(trial.parent)
            if not trial.is_suggested:
                position = fact.position if isinstance(fact, Started) else None
                self._leave_queue(next(iter(self.enqueued), 0) if position is None else position)
        if kind is Printed:
            return trial
        self.trials[number] = trial
        if isinstance(fact, Reported):  # first, there are so many
            assert old is not None
            self.unfinished[number] = trial
            reports = old.reports
            begin = reports[-1].step if reports else old.from_step or 0
            self.num_steps += fact.step - begin if fact.step > begin else 1
            return trial
        if old is None or old.status is not trial.status:
            self._move(old, trial, fact)
        elif number in self.unfinished:
            self.unfinished[number] = trial
        elif number in self.paused:
            self.paused[number] = trial
        if isinstance(fact, Drawn):
            self._grow(fact)
        elif kind is Saved or kind is Released:
            if trial.checkpoints:
                self.checkpoints[number] = None
            else:
                self.checkpoints.pop(number, None)
        return trial

    def _grow(self, fact: Drawn) -> None:
        space = grown(self.spec.space, fact.name, domain_of(fact.domain))
        if space is not self.spec.space:
            self.spec = replace(self.spec, space=space)

    def _annotate(self, fact: Annotated) -> None:
        if fact.number is None:
            self.notes[fact.name] = fact.value
            return
        if fact.number >= len(self.trials):
            raise InvalidTransition(f"{fact!r} cannot follow: there is no such trial")
        before = self.trials[fact.number]
        after = changed(before, notes={**before.notes, fact.name: fact.value})
        self.trials[fact.number] = after
        for place in (self.unfinished, self.paused):
            if fact.number in place:
                place[fact.number] = after

    def _leave_queue(self, position: int) -> None:
        if self.enqueued.pop(position, None) is None:
            raise InvalidTransition(f"a configuration leaves the queue at position {position}, where none waits")

    def _move(self, old: Trial | None, trial: Trial, fact: TrialFact) -> None:
        """Keep counts, queues and owners right when a trial changes its status.

        A trial is in exactly one place: owned by a worker (running), in a queue (waiting), paused, or among the finished. It
        leaves the place of its old status, and enters that of its new one; so a new status needs one line for leaving and
        one for entering.
        """
        number = trial.number
        if old is not None:
            self.counts[old.status] -= 1
            if old.status is Status.RUNNING:
                numbers = self.owned[str(old.worker)]
                del numbers[number]
                if not numbers:
                    del self.owned[str(old.worker)]
            elif old.status is Status.WAITING:
                self.requeued.pop(number, None)
                self.suspects.pop(number, None)
            elif old.status is Status.PAUSED:
                del self.paused[number]
        self.counts[trial.status] += 1
        if trial.status is Status.RUNNING:
            self.unfinished[number] = trial
            self.owned.setdefault(str(trial.worker), {})[number] = None
            if isinstance(fact, Started) and fact.attempt > 1 and fact.basis is not None:
                self.num_continued += 1
        elif trial.status is Status.WAITING:
            self.unfinished[number] = trial
            if isinstance(fact, Requeued) and fact.suspect:
                self.suspects[number] = self._session_deaths[number] = self._session_deaths.get(number, 0) + 1
            else:
                self.requeued[number] = None
        elif trial.status is Status.PAUSED:
            del self.unfinished[number]
            self.paused[number] = trial
            self.told.append(trial)
        else:
            self.unfinished.pop(number, None)
            self.stop_asked.discard(number)
            self.finished.append(trial)
            self.told.append(trial)
            self.num_silent += not trial.reports
            self._rank(trial)
            if trial.status is Status.FAILED and self.first_failure is None:
                self.first_failure = trial

    def _rank(self, trial: Trial) -> None:
        if trial.violations:
            self.num_infeasible += 1
            return
        losses = trial.losses
        if losses is None or (len(self.best) > 1 and not self._enters_front(trial, losses)):
            return
        for index, loss in enumerate(losses):
            best = self.best[index]
            if best is None or best.losses is None or loss < best.losses[index]:
                self.improved[index].append((len(self.told), trial))
            rivals = self.front if len(self.best) > 1 else [trial] if best is None else [best, trial]
            self.best[index] = min(rivals, key=lambda rival: ((rival.losses or ())[index], rival.number))

    def _enters_front(self, trial: Trial, losses: tuple[float, ...]) -> bool:
        """Add the trial to the front unless it is dominated, and remove those that it dominates."""
        fronted = [other.losses or () for other in self.front]
        for other in fronted:
            if other != losses and all(theirs <= own for theirs, own in zip(other, losses, strict=True)):
                return False
        is_kept = [
            other == losses or any(theirs < own for theirs, own in zip(other, losses, strict=True)) for other in fronted
        ]
        self.front = [*compress(self.front, is_kept), trial]
        return True
