"""A stored live study: reads its state, and carries out people's commands, whether its controller runs or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytune_hpo.errors import SpecError, StudyExists
from raytune_hpo.facts import Fact
from raytune_hpo.journal import Storage, open_storage
from raytune_hpo.live.deciding import Deaf
from raytune_hpo.live.fold import LiveFold, group_of
from raytune_hpo.live.machine import LiveMachine, adoptable, require_waiting
from raytune_hpo.live.messages import Adopt, Approve, Freeze, SetBaseline, Thaw
from raytune_hpo.live.replaying import LiveReplay, live_parts, replayed, stored_plan
from raytune_hpo.live.requests import Request, leave
from raytune_hpo.live.seat import Seat
from raytune_hpo.live.timeline import Timeline
from raytune_hpo.spec import not_begun
from raytune_hpo.trial import Trial

SEAT = "seat"  # key of the applier's folder in the spec's settings


@dataclass(frozen=True, kw_only=True)
class LiveStatus:
    """The status of a live study.

    Attributes:
        name: the study's name.
        state: observing, proposing, canary, promoting, holding, rolling back or frozen.
        why: why and by whom it is frozen; empty if it is not.
        place: the current class of context.
        context: the newest measurement of the context.
        baseline: the configuration to fall back to.
        incumbent: what the current class of context runs outside the canary group: what was promoted, or the baseline.
        promoted: by class of context, the promoted configuration.
        unproven: by class, what was promoted before a drift, and is to be tried again.
        candidate: the number of the trial that proposed the candidate, and its configuration.
        regret, budget: those of the last day, in units of the loss times windows.
        windows: how many have ended.
        drifts: how often the system has drifted.
    """

    name: str
    state: str
    why: str
    place: str
    context: Mapping[str, float]
    baseline: Mapping[str, Any] | None
    incumbent: Mapping[str, Any] | None
    promoted: Mapping[str, Mapping[str, Any]]
    unproven: Mapping[str, Mapping[str, Any]]
    candidate: tuple[int, Mapping[str, Any]] | None
    regret: float
    budget: float
    windows: int
    drifts: int


def status_of(fold: LiveFold) -> LiveStatus:
    """The status of a live study, from its fold."""
    ledger = fold.study.ledger
    spent, budget = fold.regret(fold.at)
    frozen, candidate = fold.frozen, fold.candidate
    return LiveStatus(
        name=ledger.spec.name,
        state=fold.state,
        why="" if frozen is None else frozen.why,
        place=fold.place,
        context=fold.context,
        baseline=fold.baseline,
        incumbent=fold.incumbent(),
        promoted={place: stack[-1] for place, stack in fold.promoted.items() if stack},
        unproven=dict(fold.unproven),
        candidate=None if candidate is None else (candidate.number, candidate.config),
        regret=spent,
        budget=budget,
        windows=len(fold.study.ledger.finished),
        drifts=fold.epoch,
    )


class StoredLive:
    """A stored live study.

    Args:
        seat: the applier's folder, if it cannot be read from the spec because the storage is gone.
    """

    def __init__(self, name: str, storage: Any = None, *, seat: Path | None = None) -> None:
        self.name = name
        self._storage: Storage = open_storage(storage)
        self._seat = seat

    def facts(self) -> list[Fact]:
        """All facts up to now."""
        return list(self._storage.read(self.name))

    def fold(self, at: float | None = None) -> LiveFold:
        """The fold now, or as it was at a time."""
        return self.timeline(at).fold

    def timeline(self, at: float | None = None) -> Timeline:
        """The timeline, up to now or to a time."""
        facts = self.facts()
        told = Timeline(*stored_plan(facts))
        for fact in facts:
            if at is None or fact.at <= at:
                told.take(fact)
        return told

    def status(self) -> LiveStatus:
        """The status now."""
        return status_of(self.fold())

    def ran_at(self, at: float) -> dict[str, Trial]:
        """By group, the window that ran at a time, or the last one before it."""
        trials = self.fold(at).study.ledger.trials
        return {group_of(trial): trial for trial in trials}

    def trial(self, number: int) -> Trial:
        """One window.

        Raises:
            SpecError: there is none of this number.
        """
        trials = self.fold().study.ledger.trials
        if not 0 <= number < len(trials):
            raise SpecError(f"live study {self.name!r} has windows 0 to {len(trials) - 1}, got {number}")
        return trials[number]

    def replay(self, *, until: int | None = None, without_context: Sequence[str] = ()) -> LiveReplay:
        """Compute all decisions again, up to a fact, and without some columns of the context."""
        facts = self.facts()
        return replayed(facts, *live_parts(facts, without_context), until)

    # -------------------------------------------------------------------------------------------- people

    def freeze(self, by: str, at: float, reason: str = "") -> None:
        """Stop all changes. The flag at the applier is set first: it needs neither controller nor database."""
        seat = self.seat()
        seat.freeze(by, reason, at)
        self._ask(Freeze(by=by, reason=reason, at=at), seat)

    def thaw(self, by: str, at: float) -> None:
        """Allow changes again."""
        seat = self.seat()
        seat.thaw()
        self._ask(Thaw(by=by, at=at), seat)

    def approve(self, number: int, by: str, at: float) -> None:
        """Let a candidate that waits go to the canary group.

        Raises:
            SpecError: it does not wait.
        """
        require_waiting(self.fold(), number)
        self._ask(Approve(number=number, by=by, at=at), self.seat())

    def set_baseline(self, config: Mapping[str, Any] | None, by: str, at: float, reason: str = "") -> None:
        """Set the baseline, and discard what was promoted; None keeps the current baseline.

        Raises:
            SpaceError: it is not in the space.
        """
        complete = None if config is None else stored_plan(self.facts())[0].space.complete(config)
        self._ask(SetBaseline(config=complete, by=by, at=at, reason=reason), self.seat())

    def adopt(self, by: str, at: float, reason: str = "") -> Mapping[str, Any]:
        """Make a manual change the baseline, and allow changes again; returns the configuration.

        Raises:
            SpecError: there is no manual change, or it is not in the space.
        """
        fold = self.fold()
        found = fold.study.ledger.spec.space.unpack(adoptable(fold))
        seat = self.seat()
        seat.thaw()
        self._ask(Adopt(by=by, at=at, reason=reason), seat)
        return found

    def seat(self) -> Seat:
        """The applier's seat."""
        if self._seat is not None:
            return Seat(self._seat)
        first = next(iter(self._storage.read(self.name)), None)
        if first is None:
            raise not_begun()
        settings = getattr(first, "spec", {}).get("settings", {})
        if SEAT not in settings:
            raise SpecError(f"{self.name!r} is not a live study; name one that is")
        return Seat(Path(settings[SEAT]))

    def _ask(self, request: Request, seat: Seat) -> None:
        """Carry out a request: leave it to the controller if one runs, else record it here."""
        try:
            with self._writing() as (machine, append):
                append(machine.step(request).facts)
        except StudyExists:
            leave(seat.folder / "requests", request)

    @contextmanager
    def _writing(self) -> Iterator[tuple[LiveMachine, Any]]:
        journal = self._storage.journal(self.name, create=False, owner="raytune-hpo live")
        try:
            facts = list(journal.read())
            machine = LiveMachine(*stored_plan(facts), Deaf())
            for fact in facts:
                machine.apply(fact)
            yield machine, lambda new: journal.append(new, expect=len(facts)) if new else None
        finally:
            journal.close()
