"""Decisions of a live study: pure functions of the fold and the time, so that a replay decides the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from raytune_hpo.core.asking import ask
from raytune_hpo.facts import Drifted, Fact, Frozen, Status
from raytune_hpo.goals import Goal
from raytune_hpo.live.fold import CANARY, CONTROL, RETRY, LiveFold
from raytune_hpo.protocols import Sampler, Signal, Suggestion, Traits
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

CONTROLLER = "controller"  # recorded as the author of a decision that no person made
HOLDS = "holds"  # in the meta of a suggestion to stay: nothing better is known to be safe


@runtime_checkable
class Forecaster(Sampler, Protocol):
    """A sampler that predicts the loss of a window."""

    def forecast(
        self, config: Mapping[str, Any], context: Mapping[str, float], at: float
    ) -> tuple[float, float] | None:
        """The predicted mean and standard deviation of the loss; None if too little is known."""
        ...


class Deaf:
    """A sampler that neither learns nor suggests, for folds that are only read."""

    traits: ClassVar[Traits] = Traits(history_free=True, reads_pending=False, reads_rng=False)

    def bind(self, space: Space, goals: Sequence[Goal], seed: int) -> Deaf:
        """Return itself, since it has no state."""
        return self

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Signal:
        """Suggest nothing."""
        return Signal.WAIT

    def tell(self, trial: Trial) -> None:
        """Learn nothing."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window that is due.

    Attributes:
        number: its trial's number.
        basis: for a new candidate from the sampler, the basis of the suggestion; None for all others.
        opens: True for the first window of a candidate, or of its continuation: its measurement, and the control group's
            window beside it, begin once the canary group runs it.
        begins: False for a candidate that waits for approval.
    """

    number: int
    config: Mapping[str, Any]
    meta: Mapping[str, Any]
    basis: int | None = None
    opens: bool = False
    begins: bool = True


def windows_due(fold: LiveFold, at: float) -> list[Window]:
    """The windows that begin next, once the groups run the desired configurations."""
    if fold.baseline is None or fold.frozen is not None:
        return []
    candidate, number = fold.candidate, len(fold.study.ledger.trials)
    if candidate is not None and candidate.is_approved:
        if fold.study.ledger.trials[candidate.opened].status is Status.RUNNING:  # that window is its first
            return [_window(fold, CONTROL, "hold", number, at, pair=candidate.opened)]
        canary = _window(fold, CANARY, "canary", number, at, candidate=candidate.number)
        return [canary, _window(fold, CONTROL, "hold", number + 1, at, pair=number)]
    if fold.is_observing and candidate is None:
        canary = _window(fold, CANARY, "observe", number, at)
        return [canary, _window(fold, CONTROL, "observe", number + 1, at, pair=number)]
    opening = _continued(fold, number, at) or _retried(fold, number, at) or _proposal(fold, number, at)
    if opening is None:
        return [_window(fold, CONTROL, "hold", number, at)]
    return [opening] if opening.begins else [opening, _window(fold, CONTROL, "hold", number + 1, at)]


def _window(fold: LiveFold, group: str, role: str, number: int, at: float, **more: Any) -> Window:
    config = fold.desired(group)
    assert config is not None
    meta = _meta(fold, group, role, **more)
    if group == CANARY:
        meta["share"] = fold.share
    sampler = fold.study.sampler
    is_known = group == CONTROL and not fold.is_observing and isinstance(sampler, Forecaster)
    if is_known and (expected := sampler.forecast(config, fold.context, at)) is not None:  # type: ignore[attr-defined]
        meta["expected"] = list(expected)
    return Window(number=number, config=config, meta=meta)


def _meta(fold: LiveFold, group: str, role: str, **more: Any) -> dict[str, Any]:
    known = {"place": fold.place, "context": fold.context} if fold.place else {}
    return {"group": group, "role": role, "epoch": fold.epoch, **more, **known}


def _continued(fold: LiveFold, number: int, at: float) -> Window | None:
    """The next window of the candidate that was paused here."""
    paused = fold.paused.get(fold.place)
    if paused is None or not fold.may_change(at):
        return None
    meta = _meta(fold, CANARY, "canary", candidate=paused.number, share=fold.plan.shares[paused.stage])
    return Window(number=number, config=paused.config, meta=meta, opens=True)


def _retried(fold: LiveFold, number: int, at: float) -> Window | None:
    """The window of what was promoted here before a drift.

    It has been proven once, so it need not wait for the budget of exploration: a false alarm shall cost little.
    """
    config = fold.unproven.get(fold.place)
    if config is None or not fold.may_change(at):
        return None
    meta = _meta(fold, CANARY, RETRY, share=fold.plan.shares[0])
    return Window(number=number, config=config, meta=meta, opens=True, begins=not fold.plan.approve)


def _proposal(fold: LiveFold, number: int, at: float) -> Window | None:
    """The window of the sampler's candidate; None if the sampler prefers to stay, or suggests nothing."""
    if not fold.may_try(at):
        return None
    ledger = fold.study.ledger
    outcome = ask(fold.study.sampler, number, (), ledger.spec.seed)
    if not isinstance(outcome, Suggestion) or outcome.meta.get(HOLDS) or outcome.config == fold.incumbent():
        return None
    meta = outcome.meta if fold.plan.rules < 2 else {**outcome.meta, "place": fold.place}
    return Window(
        number=number, config=outcome.config, meta=meta, basis=ledger.seen, opens=True,
        begins=not fold.plan.approve,
    )  # fmt: skip


def due_facts(fold: LiveFold, at: float) -> list[Fact]:
    """The facts that are due without a command: that the system has drifted, or is frozen."""
    facts: list[Fact] = []
    if fold.alarm is not None:
        number, statistic = fold.alarm
        facts.append(Drifted(number=number, statistic=statistic, threshold=fold.drift_threshold, at=at))
    if fold.frozen is None and (reason := fold.reason_to_freeze(at)) is not None:
        facts.append(Frozen(by=CONTROLLER, reason=reason, at=at))
    return facts
