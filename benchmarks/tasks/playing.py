"""One sampler on one task: the loop around bind, ask and tell, on a virtual clock."""

from __future__ import annotations

import heapq
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raytune_hpo.facts import Status
from raytune_hpo.protocols import Sampler, Signal
from raytune_hpo.rng import derive
from raytune_hpo.testing.trials import GOALS, finish, start
from raytune_hpo.trial import Trial
from tasks.task import Task

_SPREAD = 0.5  # of the logarithm of durations, where a task has none of its own


@dataclass(frozen=True, kw_only=True)
class Played:
    """A run. Trials stand in the order in which they finished.

    Attributes:
        losses: (n,), NaN where a trial failed.
        finished_at: (n,) by the virtual clock, in the task's unit of time.
        suggest_s: (n,) processor seconds of asking for the trial and of telling its result.
        num_duplicates: trials of a configuration that had been tried or was being tried.
    """

    losses: np.ndarray
    finished_at: np.ndarray
    suggest_s: np.ndarray
    num_duplicates: int


class _Study:
    """What an optimizer does for a sampler, with a stopwatch."""

    def __init__(self, sampler: Sampler, task: Task, seed: int) -> None:
        self._task, self._seed = task, seed
        self._sampler = sampler.bind(task.space, GOALS, seed)
        self._known: set[str] = set()
        self.pending: dict[int, Trial] = {}
        self.num_started = self.num_duplicates = 0
        self.asked_s: list[float] = []

    def ask(self) -> Trial | None:
        """The next trial; None where the sampler has nothing to suggest now."""
        number = self.num_started
        pending = tuple(self.pending.values()) if self._sampler.traits.reads_pending else ()
        begin = time.process_time()
        said = self._sampler.ask(number, pending, derive(self._seed, "ask", number))
        self.asked_s.append(time.process_time() - begin)
        if isinstance(said, Signal):
            self.asked_s.pop()
            return None
        trial = start(number, said.config, meta=said.meta)
        key = json.dumps(self._task.space.pack(said.config), sort_keys=True)
        self.num_duplicates += key in self._known
        self._known.add(key)
        self.pending[number] = trial
        self.num_started += 1
        return trial

    def tell(self, trial: Trial, loss: float) -> float:
        """Finish a trial; its processor seconds with those of its ask."""
        del self.pending[trial.number]
        failed = not math.isfinite(loss)
        done = finish(trial, status=Status.FAILED) if failed else finish(trial, {"loss": loss})
        begin = time.process_time()
        self._sampler.tell(done)
        return self.asked_s[trial.number] + time.process_time() - begin


def play(sampler: Sampler, task: Task, *, seed: int, num_trials: int, num_workers: int = 1) -> Played:
    """Run so many trials, or as many as the sampler has, always so many at a time.

    A trial lasts as long as the task says, else a lognormal time derived from the seed and its number.
    """
    study = _Study(sampler, task, seed)
    running: list[tuple[float, int, Trial, float]] = []  # a heap by the time of the end
    losses, ends, suggest_s = [], [], []
    now = 0.0
    while True:
        while len(running) < num_workers and study.num_started < num_trials and (trial := study.ask()) is not None:
            loss, lasts = task.evaluate(trial.config)
            heapq.heappush(running, (now + _duration(lasts, seed, trial.number), trial.number, trial, loss))
        if not running:
            break
        now, _, trial, loss = heapq.heappop(running)
        suggest_s.append(study.tell(trial, loss))
        losses.append(loss if math.isfinite(loss) else math.nan)
        ends.append(now)
    return Played(
        losses=np.array(losses),
        finished_at=np.array(ends),
        suggest_s=np.array(suggest_s),
        num_duplicates=study.num_duplicates,
    )


def _duration(known: float | None, seed: int, number: int) -> float:
    if known is not None and math.isfinite(known):
        return max(known, 0.0)
    return float(derive(seed, "duration", number).lognormal(0.0, _SPREAD))


def to_json(played: Played) -> dict[str, Any]:
    return {
        "losses": [None if math.isnan(loss) else loss for loss in played.losses.tolist()],
        "finished_at": played.finished_at.tolist(),
        "suggest_s": [round(s, 7) for s in played.suggest_s.tolist()],
        "num_duplicates": played.num_duplicates,
    }


def from_json(data: Mapping[str, Any]) -> Played:
    return Played(
        losses=np.array(data["losses"], dtype=float),
        finished_at=np.array(data["finished_at"]),
        suggest_s=np.array(data["suggest_s"]),
        num_duplicates=data["num_duplicates"],
    )
