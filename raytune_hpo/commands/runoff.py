"""Runoff: the repeats at the end of a search, in rounds, without the configurations that are clearly behind.

Equal numbers of repeats are wasted on configurations that the first few rounds have ruled out, and too few for two that are
close. So a round leaves out whatever is farther behind the best than the margin of error, and what this saves goes to those
that are left. It is racing by paired rounds, as in F-Race, with the noise pooled as in the search.

Birattari, Stützle, Paquete, Varrentrapp: A Racing Algorithm for Configuring Metaheuristics. GECCO 2002.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from raytune_hpo.commands.repeating import Noise
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.options import whole
from raytune_hpo.protocols import Signal, Suggestion, Traits
from raytune_hpo.runtime.repeats import REPEAT, TRIAL
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

LEAST_ROUNDS = 2  # before a configuration may be left out


def most_runs(repeats: int, num: int) -> int:
    """The most runs of a runoff among ``num`` configurations: as many as one more would take if all ran equally often."""
    return repeats * (num + 1)


class Runoff:
    """The sampler of a study of repeats: in each round, every configuration that may still be the best runs once.

    It ends when one is left that has run ``repeats`` times, or when a further round would exceed ``most_runs``.

    Args:
        searched: by the number of a configuration's trial, its value in the search and the number of runs behind it.
        repeats: the number of runs on which the value of the best one rests.
        kept: configurations that run in every round, such as a baseline to compare with.

    Raises:
        SpecError: nothing to run, or a number of repeats below 1.
    """

    traits: ClassVar[Traits] = Traits(reads_rng=False, whole_space=True, constraints=True)
    _goal: Goal

    def __init__(
        self, *, searched: Mapping[int, tuple[float, int]], repeats: int = 5, kept: Sequence[int] = ()
    ) -> None:
        self.searched = {int(number): (float(value), int(runs)) for number, (value, runs) in searched.items()}
        self.repeats = whole("repeats", repeats, least=1)
        self.kept = tuple(kept)
        if not self.searched:
            raise SpecError("a runoff is among configurations of a search, got none")
        self._open = list(self.searched)  # those that may still be the best
        self._values: dict[int, list[float]] = {number: [] for number in self.searched}
        self._ended: dict[int, int] = dict.fromkeys(self.searched, 0)
        self._round = 0

    def bind(self, space: Space, goals: Sequence[Goal], seed: int, *, constraints: Sequence[Goal] = ()) -> Runoff:
        """A fresh sampler for one study."""
        bound = Runoff(searched=self.searched, repeats=self.repeats, kept=self.kept)
        bound._goal = goals[0]
        return bound

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion | Signal:
        """The next configuration of this round; WAIT while others of it run, since they decide who is in the next."""
        if self._is_over():
            return Signal.EXHAUSTED
        running = {(trial.config[TRIAL], trial.config[REPEAT]) for trial in pending}
        for candidate in self._in_round():
            if self._ended[candidate] == self._round and (candidate, self._round) not in running:
                return Suggestion({REPEAT: self._round, TRIAL: candidate})
        return Signal.WAIT

    def tell(self, trial: Trial) -> None:
        """Note a run; the last one of a round decides who is in the next."""
        candidate = trial.config[TRIAL]
        self._ended[candidate] += 1
        if trial.status is Status.COMPLETED and not trial.violations:
            self._values[candidate].append(float(trial.metrics[self._goal.metric]))
        if all(self._ended[other] > self._round for other in self._in_round()):
            self._round += 1
            if self._round >= LEAST_ROUNDS:
                self._open = self._not_behind()

    def _in_round(self) -> list[int]:
        return [number for number in self.searched if number in self._open or number in self.kept]

    def _is_over(self) -> bool:
        if len(self._open) == 1 and self._round >= self.repeats:
            return True
        going = self._in_round()
        before = sum(self._round if number in going else ended for number, ended in self._ended.items())
        return before + len(going) > most_runs(self.repeats, len(self.searched))

    def _not_behind(self) -> list[int]:
        """The configurations that are still open, and not farther behind the best of them than the margin of error.

        One that has failed, or broken an outcome constraint, in most rounds is behind all others.
        """
        sound = [number for number in self._open if 2 * len(self._values[number]) >= self._ended[number]]
        if not sound:
            return self._open
        is_share = min(value for n in self.searched for value in (self.searched[n][0], *self._values[n])) > 0
        scaled = np.log if is_share else np.asarray
        noise = Noise.of([scaled(values) for values in self._values.values()], is_share)
        if not noise.is_known:
            return sound
        means, weights = dict[int, float](), dict[int, int]()
        for number in sound:
            value, runs = self.searched[number]
            weights[number] = len(self._values[number]) + runs
            total = float(np.sum(scaled(self._values[number]))) + runs * float(scaled(value))
            means[number] = self._goal.loss(total / weights[number])
        best = min(sound, key=means.__getitem__)
        return [
            n for n in sound if n == best or means[n] - means[best] < noise.half(1 / weights[n] + 1 / weights[best])
        ]

    def __repr__(self) -> str:
        return f"Runoff(searched={self.searched!r}, repeats={self.repeats!r}, kept={self.kept!r})"
