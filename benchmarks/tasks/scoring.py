"""Regrets and ranks of contenders over tasks, with bootstrap intervals.

R  bootstrap draws; row 0 of everything that has R + 1 rows is the estimate itself
s  runs of one contender on one task that are long enough

Tasks are drawn with replacement, and within each task the runs of each contender (a two-stage bootstrap); "fixed" intervals
draw runs alone, and say how sure one may be of these very tasks. Every contender weighs each task the same, whatever
the number of its runs. Contenders are compared on the tasks that both have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

DRAWS = 2000
_TIE = 1e-9  # regrets that are so close are equal

Regrets = Mapping[str, Mapping[str, Sequence[np.ndarray]]]  # by contender and task, (n,) each


class Estimate(NamedTuple):
    """A figure with its 95 % interval; NaN where nothing was recorded."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, rows: np.ndarray) -> Estimate:
        if np.isnan(rows[0]):
            return cls(np.nan, np.nan, np.nan)
        low, high = np.nanquantile(rows[1:], [0.025, 0.975])
        return cls(float(rows[0]), float(low), float(high))


class Scores:
    """All contenders after so many trials.

    Args:
        regrets: of the best so far, after each trial.
        at: how many trials; shorter runs are left out.
        tasks: which to look at.
    """

    def __init__(self, regrets: Regrets, at: int, tasks: Sequence[str]) -> None:
        self._rng = np.random.default_rng(at)
        self.tasks = tuple(tasks)
        self._values: dict[str, list[np.ndarray]] = {}  # by contender: of each task (s,)
        for name, by_task in regrets.items():
            runs = [by_task.get(task, ()) for task in self.tasks]
            self._values[name] = [np.array([run[at - 1] for run in of_task if len(run) >= at]) for of_task in runs]
        self.names = tuple(name for name, values in self._values.items() if any(map(len, values)))
        self._weights = {name: [self._drawn(len(v)) for v in self._values[name]] for name in self.names}
        self._task_weights = self._drawn(len(self.tasks))
        self._means = {name: self._by_task(name) for name in self.names}

    def _drawn(self, n: int) -> np.ndarray:
        """Weights (R + 1, n) of n things: equal ones, and those of R draws with replacement."""
        if n == 0:
            return np.empty((DRAWS + 1, 0))
        drawn = self._rng.multinomial(n, np.full(n, 1 / n), size=DRAWS) / n
        return np.vstack([np.full((1, n), 1 / n), drawn])

    def _by_task(self, name: str) -> np.ndarray:
        """Mean regrets, (R + 1, tasks); NaN where it has no runs."""
        pairs = zip(self._weights[name], self._values[name], strict=True)
        return np.stack([w @ v if len(v) else np.full(DRAWS + 1, np.nan) for w, v in pairs], axis=1)

    def _over_tasks(self, rows: np.ndarray, *, fixed: bool = False) -> Estimate:
        """The mean over those tasks that are known, of rows (R + 1, tasks)."""
        weights = np.where(np.isnan(rows), 0.0, self._task_weights[:1] if fixed else self._task_weights)
        total = weights.sum(axis=1)
        sums = (weights * np.nan_to_num(rows)).sum(axis=1)
        return Estimate.of(np.divide(sums, total, out=np.full(len(rows), np.nan), where=total > 0))

    # -------------------------------------------------------------------------------------------- figures

    def num_tasks(self, name: str) -> int:
        return sum(len(values) > 0 for values in self._values[name])

    def num_runs(self, name: str) -> int:
        return sum(map(len, self._values[name]))

    def regret(self, name: str) -> Estimate:
        """Mean normalised regret over its tasks."""
        return self._over_tasks(self._means[name])

    def on_each_task(self, name: str) -> dict[str, float]:
        """Mean regret by task."""
        means = self._means[name][0]
        return {task: float(mean) for task, mean in zip(self.tasks, means, strict=True) if not np.isnan(mean)}

    def difference(self, name: str, other: str, *, fixed: bool = False) -> Estimate:
        """Mean regret minus the other's on the tasks that both have: below 0 where ``name`` is better."""
        return self._over_tasks(self._means[name] - self._means[other], fixed=fixed)

    def ratio(self, name: str, other: str) -> Estimate:
        """How many times the other's mean is larger, on the tasks that both have."""
        common = ~np.isnan(self._means[name][0] + self._means[other][0])
        weights = self._task_weights[:, common]
        sums = [(weights * self._means[who][:, common]).sum(axis=1) for who in (other, name)]
        return Estimate.of(np.divide(sums[0], sums[1], out=np.full(len(sums[0]), np.nan), where=sums[1] > 0))

    def rivals(self, name: str, peers: Sequence[str]) -> list[str]:
        """The peers recorded on at least half of a contender's tasks, the one that does best against it first."""
        known = [peer for peer in peers if peer in self.names and 2 * self._common(name, peer) >= self.num_tasks(name)]
        return sorted(known, key=lambda peer: -self.difference(name, peer, fixed=True).value)

    def _common(self, name: str, other: str) -> int:
        pairs = zip(self._values[name], self._values[other], strict=True)
        return sum(len(mine) > 0 and len(its) > 0 for mine, its in pairs)

    def rank(self, name: str, *, others: Sequence[str]) -> Estimate:
        """Mean rank from 1 to 1 + number of others, over tasks.

        On a task it is 1 plus how many of the others' runs a run loses against on average, half a loss for a tie; those who
        have no runs there count as those who do.
        """
        ranks = [self._rank_on(name, number, others) for number in range(len(self.tasks))]
        return self._over_tasks(np.stack(ranks, axis=1))

    def _rank_on(self, name: str, number: int, others: Sequence[str]) -> np.ndarray:
        mine, weights = self._values[name][number], self._weights[name][number]
        lost = []
        for other in others:
            its = self._values[other][number]
            if len(mine) and len(its):
                ahead = np.subtract.outer(mine, its)
                loses = np.where(np.abs(ahead) <= _TIE, 0.5, ahead > 0)
                lost.append(((weights @ loses) * self._weights[other][number]).sum(axis=1))
        return 1 + len(others) * np.mean(lost, axis=0) if lost else np.full(DRAWS + 1, np.nan)
