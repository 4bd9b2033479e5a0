"""The loop around the machine of a live study: decide, append to the journal, and only then change the running system.

Times are arguments, and each turn returns when the next one is due, so that the same loop runs in simulated time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from raytune_hpo.core.ledger import damaged_at
from raytune_hpo.errors import HpoError, InvalidTransition, JournalError
from raytune_hpo.live.appliers import Applier, Bounding, Bounds, Splitter, numbers
from raytune_hpo.live.fold import CANARY, LiveFold
from raytune_hpo.live.machine import LiveMachine
from raytune_hpo.live.messages import (
    Apply,
    Effect,
    LiveCommand,
    LiveDecision,
    LookAround,
    Measure,
    NoteApplied,
    NoteMeasured,
    NoteNewest,
    NoteNotApplied,
)
from raytune_hpo.live.plan import LivePlan
from raytune_hpo.protocols import Journal, Sampler
from raytune_hpo.spec import StudySpec

NEWEST_S = 60.0  # of a window, on which absolute guards are judged by themselves


class Controller:
    """Runs a live study against a running system.

    Args:
        journal: the study's journal, with its StudyCreated.
        tell: called with every alarm.
        now: the clock, read when an effect has been carried out; by default, effects take no time.
    """

    def __init__(
        self,
        spec: StudySpec,
        plan: LivePlan,
        sampler: Sampler,
        journal: Journal,
        applier: Applier,
        tell: Callable[[str], object],
        *,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._plan, self._journal, self._applier, self.tell, self._now = plan, journal, applier, tell, now
        self._machine = LiveMachine(spec, plan, sampler)
        self._measures: list[Measure] = []
        self._looks: dict[int, float] = {}  # the time of the next measurement of each window
        self._failure: BaseException | None = None  # of the journal
        for position, fact in enumerate(journal.read()):
            try:
                self._machine.apply(fact)
            except InvalidTransition as error:
                raise damaged_at(position, fact, error) from error

    @property
    def fold(self) -> LiveFold:
        return self._machine.fold

    def open(self, at: float) -> None:
        """Begin a session. Nothing is assumed about what runs: everything is applied and read back."""
        self._append(self._machine.open(at))

    def record_baseline(self, config: Mapping[str, Any], by: str, at: float) -> None:
        """Record the first baseline, which is applied in the first turn."""
        self._append(self._machine.record_baseline(config, by, at))

    def settle(self, at: float) -> None:
        """End all windows, and return the canary group to what is promoted; no window begins after it."""
        decision = self._machine.settle(at)
        self._append(decision)
        self._measures.clear()
        self._looks.clear()
        for effect in decision.effects:
            self._carry_out(effect, at)

    def turn(self, at: float) -> float:
        """Do what is due, and return the time of the next turn, which is ``at`` if there is more to do now."""
        due = [measure for measure in self._measures if self._looks[measure.number] <= at]
        if due:
            if any(measure.end <= at for measure in due):  # what ran in it is known before its result counts
                self.obey(LookAround(at=at, read=self._read()))
            for measure in due:
                self._look(measure, at)
        else:
            self.obey(LookAround(at=at, read={} if self._measures else self._read()))
        return min(self._looks.values(), default=at + self._plan.check_s)

    def obey(self, command: LiveCommand) -> None:
        """Decide on a command, and carry out its effects. Facts are durable before the system is changed.

        Raises:
            SpecError, SpaceError: a person's command is invalid.
            JournalError: the decision could not be written; nothing was changed. This controller must not be used further.
        """
        waiting = deque([command])
        while waiting:
            decision = self._machine.step(waiting.popleft())
            self._append(decision)
            running = self._machine.running
            self._measures = [measure for measure in self._measures if measure.number in running]
            self._looks = {number: at for number, at in self._looks.items() if number in running}
            for effect in decision.effects:
                waiting.extend(self._carry_out(effect, command.at))

    def _append(self, decision: LiveDecision) -> None:
        if self._failure is not None:  # the fold has facts that the journal lacks: they must not reach the system
            raise JournalError(
                f"a decision may not be in the journal, so this controller can decide nothing more; start the study "
                f"again: {self._failure}"
            ) from self._failure
        if decision.facts:
            try:
                self._journal.append(decision.facts, expect=self._machine.seen - len(decision.facts))
            except BaseException as error:
                self._failure = error
                raise

    def _carry_out(self, effect: Effect, at: float) -> list[LiveCommand]:
        if isinstance(effect, Apply):
            return [self._change(effect, at)]
        if isinstance(effect, Measure):
            self._measures.append(effect)
            self._looks[effect.number] = min(effect.start + self._plan.check_s, effect.end)
        else:
            self.tell(effect.text)
        return []

    def _change(self, change: Apply, at: float) -> LiveCommand:
        try:
            if change.group == CANARY and isinstance(self._applier, Splitter):
                self._applier.split(change.share, change.seq)
            self._applier.apply(change.config, change.group, change.seq)
            read = self._read_back(change.group)
        except Exception as error:  # whatever an applier raises, the state of the system is unknown
            return NoteNotApplied(group=change.group, error=_said(error), at=self._after(at))
        return NoteApplied(group=change.group, read=read, at=self._after(at))

    def _look(self, measure: Measure, at: float) -> None:
        """Measure a window up to now, or to its end; and its newest part, if that is not all of it."""
        end = min(at, measure.end)
        if measure in self._measures and self.fold.absolute_guards and end - measure.start > NEWEST_S:
            begin = end - NEWEST_S
            metrics, context = self._measured(measure.group, begin, end)
            if metrics is not None:
                bounds = self._bounds(measure.group, begin, end)
                note = NoteNewest(number=measure.number, metrics=metrics, context=context, at=at, bounds=bounds)
                self.obey(note)
        if measure not in self._measures:
            return  # a broken guard, or its partner, has just ended it
        metrics, context = self._measured(measure.group, measure.start, end)
        is_final = end >= measure.end
        self._looks[measure.number] = min(at + self._plan.check_s, measure.end)
        bounds = {} if is_final else self._bounds(measure.group, measure.start, end)
        measured = NoteMeasured(
            number=measure.number, metrics=metrics, context=context, at=at, is_final=is_final, bounds=bounds
        )
        if is_final:  # measured once: its partner ends with it
            self._measures.remove(measure)
            del self._looks[measure.number]
        self.obey(measured)

    def _measured(self, group: str, start: float, end: float) -> tuple[Mapping[str, float] | None, Mapping[str, float]]:
        """The metrics of a group, None if it could not be measured, and the context."""
        try:
            metrics, context = self._applier.measure(group, start, end)
            return numbers("measure", metrics, finite=False), numbers("the context of measure", context)
        except Exception as error:
            self.tell(f"{group} could not be measured: {_said(error)}")
            return None, {}

    def _bounds(self, group: str, start: float, end: float) -> Bounds:
        """Confidence bounds of a short measurement; empty if the applier has none.

        They are so wide that all checks of one window together call a guard that holds broken with a probability of at most
        alpha.
        """
        if not isinstance(self._applier, Bounding):
            return {}
        num_checks = math.ceil(self._plan.window_s / self._plan.check_s)
        try:
            found = self._applier.bounds(group, start, end, self._plan.alpha / num_checks)
            return {name: (float(low), float(high)) for name, (low, high) in found.items()}
        except Exception as error:
            self.tell(f"{group} could not be measured: {_said(error)}")
            return {}

    def _read(self) -> dict[str, Mapping[str, Any]]:
        """What the groups run now. A group that cannot be read is left out; it is read again at the next change."""
        found = {}
        for group in self._machine.applied:
            try:
                found[group] = self._read_back(group)
            except Exception as error:
                self.tell(f"{group} could not be read: {_said(error)}")
        return found

    def _read_back(self, group: str) -> Mapping[str, Any]:
        read = self._applier.read(group)
        if not isinstance(read, Mapping):
            raise HpoError(f"read gives a configuration, got {read!r}")
        return read

    def _after(self, at: float) -> float:
        return at if self._now is None else max(at, self._now())


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
