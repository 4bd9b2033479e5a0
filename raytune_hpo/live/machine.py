"""The state machine of a live study: commands in, facts and effects out. No clock, disk, network or thread here.

State that is not a fact is lost with the process: what the groups were found to run, and partial measurements. After a
restart, everything is applied and read back again before the first window begins.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raytune_hpo.core.fold import StudyFold
from raytune_hpo.core.versions import installed_versions
from raytune_hpo.errors import SpaceError, SpecError
from raytune_hpo.facts import (
    Approved,
    BaselineSet,
    Enqueued,
    Fact,
    Finished,
    Frozen,
    Printed,
    SessionOpened,
    Started,
    Status,
    Thawed,
)
from raytune_hpo.goals import Guard
from raytune_hpo.live.appliers import Bounds, is_running, is_same_value
from raytune_hpo.live.contexts import with_context
from raytune_hpo.live.deciding import CONTROLLER, Window, due_facts, windows_due
from raytune_hpo.live.fold import CANARY, CONTROL, VOID, LiveFold
from raytune_hpo.live.messages import (
    Adopt,
    Alarm,
    Apply,
    Approve,
    Effect,
    Freeze,
    LiveCommand,
    LiveDecision,
    LookAround,
    Measure,
    NoteApplied,
    NoteMeasured,
    NoteNewest,
    NoteNotApplied,
    SetBaseline,
    Thaw,
)
from raytune_hpo.live.plan import LivePlan
from raytune_hpo.protocols import Sampler
from raytune_hpo.spec import StudySpec

GROUPS = (CANARY, CONTROL)  # in this order, so that a candidate is withdrawn before any other change
ENDED = "ended with"  # the beginning of the reason of a window that was cut short
_UNUSUAL = 10.0  # from this multiple of the usual loss on, it is taken for a measurement error


@dataclass
class _Running:
    """A window that is being measured. ``metrics``: as measured last, also if some are missing; None for not at all."""

    group: str
    start: float
    end: float
    partner: int | None
    metrics: dict[str, float] | None = None
    bounds: Bounds = field(default_factory=dict)
    elapsed_share: float = 0.0
    is_over: bool = False


class LiveMachine:
    """Decides for one live study.

    Args:
        sampler: as made with its options.

    Attributes:
        fold: the durable state.
    """

    def __init__(self, spec: StudySpec, plan: LivePlan, sampler: Sampler) -> None:
        self.plan = plan
        self.fold = LiveFold(plan, StudyFold(spec, sampler))
        self._space = spec.space
        self._runs: dict[str, Mapping[str, Any]] = {}  # by group, the configuration as read back
        self._share = 0.0  # the canary group's share, as applied last
        self._coming: dict[str, Apply] = {}
        self._windows: dict[int, _Running] = {}
        self._num_failures = 0  # of changes, since the last thaw
        self._facts: list[Fact] = []
        self._effects: list[Effect] = []

    @property
    def seen(self) -> int:
        return self.fold.study.ledger.seen

    @property
    def running(self) -> frozenset[int]:
        """The windows that are being measured."""
        return frozenset(self._windows)

    @property
    def applied(self) -> tuple[str, ...]:
        """The groups whose running configuration is known."""
        return tuple(self._runs)

    def apply(self, fact: Fact) -> None:
        """Apply a fact of the journal."""
        self.fold.apply(fact)

    def open(self, at: float) -> LiveDecision:
        """Begin a session: windows of an earlier session end without a result, and nothing is assumed to be applied."""
        self._record(SessionOpened(at=at, versions=installed_versions()))
        self._end_windows("its controller", at)
        return self._decided()

    def record_baseline(self, config: Mapping[str, Any], by: str, at: float) -> LiveDecision:
        """Record the first baseline, before anything is applied."""
        self._record(BaselineSet(config=self._space.pack(config), by=by, at=at))
        return self._decided()

    def settle(self, at: float) -> LiveDecision:
        """End the running windows, and return the canary group to what is promoted."""
        self._end_windows("the session", at)
        config = self.fold.incumbent()
        if config is not None and self.fold.frozen is None:
            self._effects.append(Apply(group=CANARY, config=config, share=self.fold.share, seq=self.seen))
        return self._decided()

    def step(self, command: LiveCommand) -> LiveDecision:
        """Decide on a command, and apply the resulting facts.

        Raises:
            SpecError, SpaceError: a person's command is invalid.
        """
        if isinstance(command, LookAround):
            self._look_around(command)
        elif isinstance(command, NoteApplied):
            self._note_applied(command)
        elif isinstance(command, NoteNotApplied):
            self._coming.pop(command.group, None)
            self._refuse_change(f"{command.group} could not be changed: {command.error}", command.at)
        elif isinstance(command, NoteMeasured):
            self._note_measured(command)
        elif isinstance(command, NoteNewest):
            self._note_newest(command)
        else:
            self._obey(command)
        self._go_on(command.at)
        return self._decided()

    # -------------------------------------------------------------------------------------------- people

    def _obey(self, command: Approve | Freeze | Thaw | SetBaseline | Adopt) -> None:
        fold = self.fold
        if isinstance(command, Approve):
            require_waiting(fold, command.number)
            self._record(Approved(number=command.number, by=command.by, at=command.at))
        elif isinstance(command, Freeze):
            self._freeze(command.by, command.reason, command.at)
        elif isinstance(command, Thaw):
            self._thaw(command.by, command.at)
        elif isinstance(command, Adopt):
            found = adoptable(fold)
            self._record(BaselineSet(config=found, by=command.by, at=command.at, reason=command.reason or "adopted"))
            self._thaw(command.by, command.at)
        else:
            config = fold.baseline if command.config is None else self._space.complete(command.config)
            if config is None:
                raise SpecError("a live study has a baseline before anything can be rolled back to it; set one")
            packed = self._space.pack(config)
            self._end_windows("a change of the baseline", command.at)
            self._record(BaselineSet(config=packed, by=command.by, at=command.at, reason=command.reason))

    def _thaw(self, by: str, at: float) -> None:
        if self.fold.frozen is not None:
            self._record(Thawed(by=by, at=at))
            self._num_failures = 0
            self._runs.clear()  # the system may have changed meanwhile: apply and read back everything again

    # -------------------------------------------------------------------------------------------- the running system

    def _look_around(self, command: LookAround) -> None:
        for group, read in command.read.items():
            known = self._runs.get(group)
            if known is None or group in self._coming or is_running(read, known):
                continue
            changed = [name for name in known if name in read and not is_same_value(read[name], known[name])]
            missing = [f"{name} is missing" for name in known if name not in read]
            found = ", ".join([*(f"{name}={read[name]!r}" for name in changed), *missing])
            self._runs[group] = {**known, **read}
            reason = (
                f"somebody changed {group} by hand: {found}; `live adopt` makes it the baseline, `live thaw` undoes it"
            )
            self._freeze(CONTROLLER, reason, command.at, group)

    def _note_applied(self, command: NoteApplied) -> None:
        change = self._coming.pop(command.group, None)
        if change is None:
            return
        if not is_running(command.read, change.config):
            self._refuse_change(
                f"{command.group} was to run {dict(change.config)}, and runs {dict(command.read)}", command.at
            )
            return
        self._runs[command.group] = change.config
        if command.group == CANARY:
            self._share = change.share

    def _refuse_change(self, reason: str, at: float) -> None:
        """A change failed, so the state of the system is unknown: freeze it, and try once to restore what ran before."""
        self._effects.append(Alarm(text=reason))
        self._runs.clear()
        self._num_failures += 1
        self._freeze(CONTROLLER, reason, at)

    def _freeze(self, by: str, reason: str, at: float, group: str | None = None) -> None:
        if self.fold.frozen is None:
            self._end_windows("the freeze", at)
            found = None if group is None else self._packed(self._runs[group])
            self._record_freeze(Frozen(by=by, reason=reason, at=at, group=group, found=found))

    def _record_freeze(self, fact: Frozen) -> None:
        self._record(fact)
        self._effects.append(Alarm(text=f"frozen by {fact.why}"))

    def _packed(self, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
        try:
            return self._space.pack(self._space.complete(config))
        except SpaceError:
            return None  # it cannot become the baseline

    def _go_on(self, at: float) -> None:
        """Record facts that are due, apply the desired configurations, and begin the next windows once they run."""
        for fact in due_facts(self.fold, at):
            if isinstance(fact, Frozen):
                self._end_windows("the freeze", at)
                self._record_freeze(fact)
            else:
                self._end_windows("a drift", at)
                self._record(fact)
        self._let_go_of_proposal(at)
        self._apply_desired()
        if self._coming or self._windows:
            return
        for window in windows_due(self.fold, at):
            self._begin(window, at)
        self._apply_desired()  # a candidate may just have been suggested

    def _let_go_of_proposal(self, at: float) -> None:
        """End the trial of a waiting candidate that is no longer one."""
        candidate = self.fold.candidate
        for trial in self.fold.study.ledger.running():
            if trial.number not in self._windows and (candidate is None or candidate.opened != trial.number):
                self._end(trial.number, Status.PRUNED, at, metrics=None, reason=f"{ENDED} its context")

    def _apply_desired(self) -> None:
        """Apply the desired configuration to each group. While the system is frozen, manual changes stay."""
        frozen = self.fold.frozen
        if frozen is not None and self._num_failures > 1:
            return
        for group in GROUPS:
            config = self.fold.desired(group)
            if config is None or group in self._coming or (frozen is not None and frozen.group == group):
                continue
            has_share = group == CONTROL or self._share == self.fold.share
            if not (group in self._runs and is_running(self._runs[group], config) and has_share):
                if any(window.group == group for window in self._windows.values()):
                    continue  # its window in another class of context must end first
                change = Apply(group=group, config=config, share=self.fold.share, seq=self.seen)
                self._coming[group] = change
                self._effects.append(change)

    # -------------------------------------------------------------------------------------------- windows

    def _begin(self, window: Window, at: float) -> None:
        packed = self._space.pack(window.config)
        if window.basis is None:
            self._record(Enqueued(config=packed, at=at))
        started = Started(
            number=window.number, worker=CONTROLLER, at=at, config=packed, basis=window.basis, meta=window.meta
        )
        self._record(started)
        if window.opens:
            return  # its measurement begins once the canary group runs it
        pair = window.meta.get("pair")
        if pair is not None and pair not in self._windows:
            self._measure(pair, CANARY, None, at)
        self._measure(window.number, str(window.meta["group"]), pair, at)
        if pair is not None:
            self._windows[pair].partner = window.number

    def _measure(self, number: int, group: str, partner: int | None, at: float) -> None:
        start, end = at + self.plan.warm_up_s, at + self.plan.window_s
        self._windows[number] = _Running(group, start, end, partner)
        self._effects.append(Measure(number=number, group=group, start=start, end=end))

    def _note_measured(self, command: NoteMeasured) -> None:
        window = self._windows.get(command.number)
        if window is None:
            self._keep_late(command)
            return
        if window.is_over:
            return
        if command.metrics is not None:
            window.metrics = with_context(command.metrics, command.context)
            window.bounds = {} if command.is_final else command.bounds
            window.elapsed_share = min(1.0, (command.at - window.start) / (window.end - window.start))
        elif command.is_final:
            window.metrics = None
        window.is_over = command.is_final
        partner = self._windows.get(window.partner) if window.partner is not None else None
        broken = None if command.metrics is None else self._broken(command.number, window, partner)
        if broken is not None:
            self._trip(command.number, window, broken, command.at)
        elif window.is_over and (partner is None or partner.is_over):
            numbers = [command.number] if window.partner is None else sorted((command.number, window.partner))
            self._finish([number for number in numbers if number in self._windows], command.at)

    def _note_newest(self, command: NoteNewest) -> None:
        window = self._windows.get(command.number)
        if window is None or window.is_over:
            return
        for guard in self._rules(command.number, window):
            value = command.metrics.get(guard.metric, math.nan)
            if not guard.is_relative and guard.overrun(_at_best(guard, value, command.bounds)) > 0:
                window.metrics = with_context(command.metrics, command.context)
                self._trip(command.number, window, _told(guard, value, None), command.at)
                return

    def _keep_late(self, command: NoteMeasured) -> None:
        """Record a measurement that comes after its window's end; it is not used."""
        trials = self.fold.study.ledger.trials
        if not command.is_final or not 0 <= command.number < len(trials):
            return
        told = json.dumps({"late": None if command.metrics is None else dict(command.metrics)})
        attempt = trials[command.number].attempt
        self._record(Printed(number=command.number, attempt=attempt, text=told, at=command.at))

    def _missing(self, metrics: Mapping[str, float]) -> list[str]:
        """What a window has no finite value of, and needs for a result: the goal, and everything that is guarded."""
        names = dict.fromkeys((self.fold.goal.metric, *(guard.metric for guard in self.plan.guards)))
        return [name for name in names if not math.isfinite(metrics.get(name, math.nan))]

    def _rules(self, number: int, window: _Running) -> tuple[Guard, ...]:
        """The guards that a window is held to. The baseline is judged only after observing."""
        trial = self.fold.study.ledger.trials[number]
        if window.group == CANARY:
            return self.plan.guards if trial.meta.get("role") != "observe" else ()
        return self.fold.absolute_guards if self.fold.promoted.get(str(trial.meta.get("place", ""))) else ()

    def _broken(self, number: int, window: _Running, partner: _Running | None) -> str | None:
        """The guard that a window breaks, in words; None if all hold.

        Each is judged by its own metric, whatever else is missing: requests that all fail have no latency. One that was not
        measured is NaN, which exceeds nothing; infinity exceeds every bound.
        """
        assert window.metrics is not None
        control = partner.metrics if partner is not None and window.group == CANARY else None
        for guard in self._rules(number, window):
            value = window.metrics.get(guard.metric, math.nan)
            other = control.get(guard.metric) if control is not None else None
            at_best = value if guard.is_relative else _at_best(guard, value, window.bounds)
            if guard.overrun(at_best, other) > self._tolerance(guard, window.elapsed_share):
                return _told(guard, value, other)
        return None

    def _tolerance(self, guard: Guard, elapsed_share: float) -> float:
        """The tolerance for noise of a relative guard; that of an absolute guard is 0."""
        if not guard.is_relative:
            return 0.0
        return 3.0 * self.fold.noise(guard.metric) / math.sqrt(max(elapsed_share, 0.01))

    def _trip(self, number: int, window: _Running, reason: str, at: float) -> None:
        self._effects.append(Alarm(text=f"trial {number}: {reason}"))
        self._end(number, Status.FAILED, at, metrics=window.metrics, reason=reason)
        self._end_windows("its pair", at)

    def _finish(self, numbers: list[int], at: float) -> None:
        """Finish windows, both of a pair at once. If one has no measurement, the pair is void."""
        usual = self.fold.usual_loss()
        void = ""
        for number in numbers:
            metrics = self._windows[number].metrics or {}
            if missing := self._missing(metrics):
                void = f"{VOID} of trial {number}, without {', '.join(missing)}"
            elif usual is not None and abs(self.fold.goal.loss(metrics[self.fold.goal.metric])) > _UNUSUAL * abs(usual):
                void = (
                    f"{VOID}: {self.fold.goal.metric}={metrics[self.fold.goal.metric]:.6g} is over ten times the usual"
                )
        for number in numbers:
            status, metrics = Status.PRUNED if void else Status.COMPLETED, self._windows[number].metrics or {}
            self._end(number, status, at, metrics=metrics, reason=void or None)

    def _end_windows(self, what: str, at: float) -> None:
        """Cut short all running windows, and drop a waiting candidate."""
        for trial in self.fold.study.ledger.running():
            window = self._windows.get(trial.number)
            metrics = None if window is None else window.metrics
            self._end(trial.number, Status.PRUNED, at, metrics=metrics, reason=f"{ENDED} {what}")

    def _end(self, number: int, status: Status, at: float, *, metrics: Any, reason: str | None) -> None:
        trial = self.fold.study.ledger.trials[number]
        window = self._windows.pop(number, None)
        begin = trial.started_at if window is None else window.start
        self._record(
            Finished(
                number=number,
                attempt=trial.attempt,
                status=status,
                at=at,
                metrics={name: value for name, value in (metrics or {}).items() if math.isfinite(value)},
                reason=reason,
                error=reason if status is Status.FAILED else None,
                started_at=begin,
                duration_s=max(0.0, at - (begin or at)),
            )
        )

    def _record(self, fact: Fact) -> None:
        self._facts.append(fact)
        self.fold.apply(fact)

    def _decided(self) -> LiveDecision:
        """The facts and effects since the last decision."""
        decision = LiveDecision(facts=tuple(self._facts), effects=tuple(self._effects))
        self._facts, self._effects = [], []
        return decision


def require_waiting(fold: LiveFold, number: int) -> None:
    """Refuse a number that is not that of the candidate that waits for a person."""
    candidate = fold.candidate
    waits = None if candidate is None or candidate.is_approved else candidate.number
    if waits != number:
        raise SpecError(
            f"only a candidate that waits can be approved, got {number}; "
            f"{'none waits now' if waits is None else f'trial {waits} waits'}"
        )


def adoptable(fold: LiveFold) -> Mapping[str, Any]:
    """The configuration that a manual change has set, packed.

    Raises:
        SpecError: there is no manual change, or it is not in the space.
    """
    frozen = fold.frozen
    if frozen is None or frozen.group is None:
        raise SpecError(
            "only what somebody changed by hand can be adopted, and nobody has; `live baseline set` takes any configuration"
        )
    if frozen.found is None:
        raise SpecError(f"what was set by hand is outside of the space, so it cannot be a baseline: {frozen.reason}")
    return frozen.found


def _at_best(guard: Guard, value: float, bounds: Bounds) -> float:
    """The value of a guard's metric that speaks most for it, of those that are possible."""
    low, high = bounds.get(guard.metric, (value, value))
    return low if guard.bound.lower_is_better else high


def _told(guard: Guard, value: float, control: float | None) -> str:
    return f"guard {guard} is broken: {guard.metric} is {value:.6g}, its limit {guard.limit(control):.6g}"
