"""Studies played on a virtual clock, whose objectives save: the facts, and what a replay of them must come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import raytune_hpo as hpo
from raytune_hpo.core.fold import StudyFold
from raytune_hpo.facts import Fact, StudyCreated
from raytune_hpo.runtime.simulated import SimulatedHandle
from raytune_hpo.trial import Trial
from tests.support import make_plan

SPACE = {"x": hpo.uniform(0, 1), "speed": hpo.uniform(0.5, 2), "pace": hpo.uniform(1, 5), "luck": hpo.uniform(0, 1)}
Curve = Callable[[Mapping[str, Any], int], float]


def falling(config: Mapping[str, Any], step: int) -> float:
    """Power laws, some of which cross."""
    return float(config["x"] + (step + 1.0) ** -config["speed"])


def fails_at(luck: float) -> int | None:
    """Some trials fail at once, and some of those that are promoted fail on their way."""
    return 1 if luck < 0.05 else 6 if luck > 0.8 else None


def saving(curve: Curve, num_steps: int) -> Callable[[dict[str, Any]], dict[str, float]]:
    """An objective that goes on from its checkpoint; a step takes as long as the configuration says."""

    def objective(config: dict[str, Any]) -> dict[str, float]:
        saved, loss, pace = hpo.checkpoint(), 0.0, config.get("pace", 1.0)
        for step in range(1 if saved is None else saved.step + 1, num_steps + 1):
            if step == fails_at(config.get("luck", 0.5)):
                raise RuntimeError("bad luck")
            loss = curve(config, step)
            hpo.report(loss=loss, step=step, cost_s=step * pace, save=lambda folder: None)
        return {"loss": loss, "cost_s": num_steps * pace}

    return objective


class Played:
    """A study that has been played to its end.

    Attributes:
        scheduler: as it was then.
    """

    def __init__(
        self, scheduler: Any, *, curve: Curve = falling, num_steps: int = 27, workers: int = 64, **settings: Any
    ):
        plan = make_plan(
            saving(curve, num_steps),
            settings.pop("space", SPACE),
            scheduler=scheduler,
            max_concurrent=workers,
            **settings,
        )
        handle = SimulatedHandle(plan)
        assert handle.wait()
        self.workers, self.plan, self.facts = workers, plan, list(handle.facts())
        self.scheduler = handle._optimizer.core.scheduler
        handle.close()

    def replayed(self) -> Iterator[tuple[StudyFold, Fact, bool]]:
        """Another study as it is told the same facts: before each of them, and whether a moment is over by then."""
        fold = StudyFold(self.plan.spec, self.plan.sampler, self.plan.scheduler)
        for before, fact in pairwise([self.facts[0], *self.facts]):
            if not isinstance(before, StudyCreated):
                yield fold, fact, fact.at > before.at
            fold.apply(fact)
        self.fold = fold

    @property
    def trials(self) -> list[Trial]:
        fold = StudyFold(self.plan.spec, self.plan.sampler, self.plan.scheduler)
        for fact in self.facts:
            fold.apply(fact)
        return fold.ledger.trials

    @property
    def num_steps(self) -> int:
        """The steps that were made: none twice, since all of them are saved."""
        return sum(trial.last_step or 0 for trial in self.trials)
