"""Helpers that build trials from facts as the optimizer does, and a minimal optimizer for one sampler."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raytune_hpo.core.asking import ask
from raytune_hpo.facts import Finished, Paused, Reported, Requeued, Started, Status, Verdict
from raytune_hpo.goals import Goal, make_constraints, make_goals
from raytune_hpo.protocols import Continue, Sampler, Signal, Suggestion, Traits, bound_sampler
from raytune_hpo.registry import kept_under, option_names, option_value
from raytune_hpo.space import Space
from raytune_hpo.space.values import same
from raytune_hpo.trial import Trial, evolve

GOALS = make_goals("loss")
UPWARDS = make_goals("loss", "max")  # a name that suggests the wrong direction
TWO_GOALS = make_goals(["loss", "size"], ["min", "max"])
BOUNDED = make_constraints(["size <= -0.001"])  # of a Loop's trials, those close to the lowest loss break it
SEED = 7


def start(
    number: int,
    config: Mapping[str, Any],
    *,
    meta: Mapping[str, Any] | None = None,
    suggested: bool = True,
    parent: int | None = None,
    from_step: int | None = None,
    until: int | None = None,
) -> Trial:
    """A running trial, suggested by a sampler or enqueued by the user; with a parent, it continues its checkpoint."""
    fact = Started(
        number=number,
        worker="w",
        at=float(number),
        config=config,
        basis=0 if suggested else None,
        meta=meta or {},
        parent=parent,
        until=until,
        from_trial=None if from_step is None else parent,
        from_step=from_step,
    )
    return evolve(None, fact, GOALS)


def report(
    trial: Trial,
    step: int,
    loss: float | Mapping[str, Any] | None,
    *,
    verdict: Verdict = Verdict.CONTINUE,
    own: Mapping[str, Any] | None = None,
    goals: Sequence[Goal] = GOALS,
) -> Trial:
    """The trial after one more report and its verdict; with ``loss=None``, the report lacks the goal's metric.

    Args:
        loss: the goal's value, or a dict of all metrics.
        own: for a step that is one of several inputs, the step's own values; ``loss`` is then the mean so far.
    """
    said = {"note": 1.0} if loss is None else loss
    fact = Reported(
        number=trial.number,
        attempt=trial.attempt,
        step=step,
        metrics=said if isinstance(said, Mapping) else {"loss": said},
        verdict=verdict,
        at=trial.created_at + step,
        own=own or {},
    )
    return evolve(trial, fact, goals)


def pause(trial: Trial) -> Trial:
    """The trial, paused at its newest report."""
    step, at = trial.last_step or 0, trial.created_at
    return evolve(trial, Paused(number=trial.number, attempt=trial.attempt, step=step, at=at), GOALS)


def go_on(trial: Trial, *, until: int | None = None) -> Trial:
    """The paused trial, resumed after its newest report in its next attempt."""
    fact = Started(
        number=trial.number,
        attempt=trial.attempt + 1,
        worker="w",
        at=trial.created_at,
        basis=0,
        until=until,
        from_step=trial.last_step,
    )
    return evolve(trial, fact, GOALS)


def restart(trial: Trial) -> Trial:
    """The trial in its next attempt, after its worker was lost."""
    at = trial.created_at
    lost = Requeued(number=trial.number, attempt=trial.attempt, reason="lost", spent=True, at=at)
    again = Started(number=trial.number, attempt=trial.attempt + 1, worker="w", at=at)
    return evolve(evolve(trial, lost, GOALS), again, GOALS)


def finish(
    trial: Trial,
    metrics: Mapping[str, Any] | None = None,
    *,
    status: Status = Status.COMPLETED,
    goals: Sequence[Goal] = GOALS,
    constraints: Sequence[Goal] = (),
) -> Trial:
    """The ended trial."""
    fact = Finished(
        number=trial.number, attempt=trial.attempt, status=status, at=trial.created_at + 1, metrics=metrics or {}
    )
    return evolve(trial, fact, goals, constraints)


@dataclass
class Loop:
    """A study of one sampler: hands out suggestions, keeps pending trials, and tells the sampler about finished ones."""

    sampler: Sampler
    space: Space
    goals: Sequence[Goal] = GOALS
    seed: int = SEED
    constraints: Sequence[Goal] = ()
    pending: list[Trial] = field(default_factory=list)
    finished: list[Trial] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        make: Callable[[], Sampler],
        space: Space,
        *,
        goals: Sequence[Goal] = GOALS,
        seed: int = SEED,
        constraints: Sequence[Goal] = (),
    ) -> Loop:
        return cls(bound_sampler(make(), space, goals, seed, constraints), space, goals, seed, constraints)

    def peek(self) -> Suggestion | Continue | Signal:
        """The sampler's answer for the next trial number, without starting a trial."""
        number = len(self.pending) + len(self.finished)
        pending = tuple(self.pending) if self.sampler.traits.reads_pending else ()
        return ask(self.sampler, number, pending, self.seed, turn=number)

    def ask(self) -> Trial | None:
        """The next trial, now pending; None if the sampler has nothing to suggest."""
        answer = self.peek()
        assert answer is not Signal.WAIT or self.pending, (
            "a sampler waits for pending trials; it waits, and none is pending"
        )
        if not isinstance(answer, Suggestion):
            return None
        segment = {"parent": answer.parent, "from_step": answer.from_step, "until": answer.until}
        return self.enqueue(answer.config, meta=answer.meta, suggested=True, **segment)

    def enqueue(
        self,
        config: Mapping[str, Any],
        *,
        meta: Mapping[str, Any] | None = None,
        suggested: bool = False,
        **segment: int | None,
    ) -> Trial:
        """Start a trial with a configuration from the user."""
        number = len(self.pending) + len(self.finished)
        self.pending.append(start(number, config, meta=meta, suggested=suggested, **segment))
        return self.pending[-1]

    def tell(self, trial: Trial, metrics: Mapping[str, Any] | None = None) -> None:
        """End a pending trial, by default with ``bowl`` as its loss; with an ``until``, it has reported at that step."""
        self.pending = [other for other in self.pending if other.number != trial.number]
        loss = bowl(self.space, trial.config)
        metrics = {"loss": loss, "size": -loss * loss} if metrics is None else metrics
        if trial.until is not None and trial.last_step is None:
            trial = report(trial, trial.until, metrics or None, goals=self.goals)
        self.learn(finish(trial, metrics, goals=self.goals, constraints=self.constraints))

    def fail(self, trial: Trial) -> None:
        """End a pending trial as failed."""
        self.pending = [other for other in self.pending if other.number != trial.number]
        self.learn(finish(trial, status=Status.FAILED, goals=self.goals))

    def learn(self, trial: Trial) -> None:
        self.finished.append(trial)
        self.sampler.tell(trial)

    def run(self, num: int, *, workers: int = 1) -> Loop:
        """Start ``num`` trials or as many as there are, and finish them in order, ``workers`` at a time."""
        for _ in range(num):
            if len(self.pending) >= workers:
                self.tell(self.pending[0])
            if self.ask() is None:
                break
        for trial in list(self.pending):
            self.tell(trial)
        return self


def bowl(space: Space, config: Mapping[str, Any]) -> float:
    """A smooth loss with its minimum, 0, at 0.3 in every active column of the unit cube."""
    unit = space.encode([config])[0]
    unit = unit[~np.isnan(unit)]
    return float(np.mean((unit - 0.3) ** 2)) if len(unit) else 0.0


def check_same_options(part: object, bound: object) -> None:
    """What ``bind`` returns has the options of the part that it was bound from."""
    for option in option_names(type(part)):
        given, kept = option_value(part, option), option_value(bound, option)
        assert same(given, kept), (
            f"bind passes options on; bind of {type(part).__name__} drops its option {option} ({given!r} became {kept!r})"
        )


def check_documented(make: Callable[[], Any]) -> None:
    """A part has a docstring, keeps its options under their names, has a version, and can be pickled until it is bound."""
    part = make()
    assert inspect.getdoc(type(part)), "a part says what it does in the docstring of its class"
    pickle.loads(pickle.dumps(part))
    for option in option_names(type(part)):
        assert hasattr(part, kept_under(type(part), option)), f"option {option!r} is kept as an attribute of that name"
    traits = getattr(part, "traits", None)
    assert traits is None or isinstance(traits, Traits), f"traits are Traits, got {traits!r}"
    version = part.version if traits is None else traits.version
    assert version >= 1, f"versions begin with 1, got {version!r}"
