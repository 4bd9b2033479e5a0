"""Decisions of a live study: pure functions of the fold and the time, so that a replay decides the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from raytune_hpo.core.asking import ask
from raytune_hpo.facts import Drifted, Fact, Frozen, Status
from raytune_hpo.goals import Goal
from raytune_hpo.live.fold import CANARY, CONTROL, LiveFold
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
        begins: False for a candidate that waits for approval.
    """

    number: int
    config: Mapping[str, Any]
    meta: Mapping[str, Any]
    basis: int | None = None
    begins: bool = True


def windows_due(fold: LiveFold, at: float) -> list[Window]:
    """The windows that begin next, once the groups run the desired configurations."""
    if fold.baseline is None or fold.frozen is not None:
        return []
    candidate, number = fold.candidate, len(fold.study.ledger.trials)
    if candidate is not None and candidate.is_approved:
        if (
            fold.study.ledger.trials[candidate.number].status is Status.RUNNING
        ):  # its first window is the proposal itself
            return [_window(fold, CONTROL, "hold", number, at, pair=candidate.number)]
        canary = _window(fold, CANARY, "canary", number, at, candidate=candidate.number)
        return [canary, _window(fold, CONTROL, "hold", number + 1, at, pair=number)]
    if fold.is_observing and candidate is None:
        canary = _window(fold, CANARY, "observe", number, at)
        return [canary, _window(fold, CONTROL, "observe", number + 1, at, pair=number)]
    if fold.may_try(at) and (proposal := _proposal(fold, number)) is not None:
        if not proposal.begins:
            return [proposal, _window(fold, CONTROL, "hold", number + 1, at)]
        return [proposal]  # its control window follows when the canary group runs it
    return [_window(fold, CONTROL, "hold", number, at)]


def _window(fold: LiveFold, group: str, role: str, number: int, at: float, **more: Any) -> Window:
    config = fold.desired(group)
    assert config is not None
    meta: dict[str, Any] = {"group": group, "role": role, "epoch": fold.epoch, **more}
    if group == CANARY:
        meta["share"] = fold.share
    if fold.place:
        meta |= {"place": fold.place, "context": fold.context}
    sampler = fold.study.sampler
    is_known = group == CONTROL and not fold.is_observing and isinstance(sampler, Forecaster)
    if is_known and (expected := sampler.forecast(config, fold.context, at)) is not None:  # type: ignore[attr-defined]
        meta["expected"] = list(expected)
    return Window(number=number, config=config, meta=meta)


def _proposal(fold: LiveFold, number: int) -> Window | None:
    """The window of the sampler's candidate; None if the sampler prefers to stay, or suggests nothing."""
    ledger = fold.study.ledger
    outcome = ask(fold.study.sampler, number, (), ledger.spec.seed)
    if not isinstance(outcome, Suggestion) or outcome.meta.get(HOLDS) or outcome.config == fold.incumbent():
        return None
    return Window(
        number=number, config=outcome.config, meta=outcome.meta, basis=ledger.seen, begins=not fold.plan.approve
    )


def due_facts(fold: LiveFold, at: float) -> list[Fact]:
    """The facts that are due without a command: that the system has drifted, or is frozen."""
    facts: list[Fact] = []
    if fold.alarm is not None:
        number, statistic = fold.alarm
        facts.append(Drifted(number=number, statistic=statistic, threshold=fold.drift_threshold, at=at))
    if fold.frozen is None and (reason := fold.reason_to_freeze(at)) is not None:
        facts.append(Frozen(by=CONTROLLER, reason=reason, at=at))
    return facts
