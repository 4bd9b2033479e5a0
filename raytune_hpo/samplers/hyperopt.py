"""Hyperopt's tree-structured Parzen estimator.

Bergstra, Bardenet, Bengio, Kégl: Algorithms for Hyper-Parameter Optimization. NeurIPS 2011, section 4. The numerics are
those of the ``hyperopt`` package; this file carries trials to it and its points back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.options import integer_option, number_option
from raytune_hpo.protocols import Suggestion, Traits
from raytune_hpo.registry import shown
from raytune_hpo.samplers.hyperopt_space import HyperoptSpace
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

_ATTEMPTS = 16  # points asked of hyperopt before a random draw that meets the constraints


class _Row(NamedTuple):
    """A trial in the form that hyperopt needs; without a loss it counts among the bad ones.

    ``misc`` is reused in a new document at every ask: hyperopt only reads it, and building it is most of the cost.
    """

    number: int
    loss: float | None
    misc: dict[str, Any]


class Hyperopt:
    """Hyperopt's own TPE, with its options.

    Failed trials have no loss, and pending ones none yet: hyperopt counts both among the bad ones, so that it keeps
    away from them (a constant liar with the worst value). A pruned trial has the loss of its last report. If a point
    breaks a constraint, hyperopt is asked for another, up to 16 times; then a random draw takes its place.

    Args:
        n_startup_jobs: trials are drawn at random until this many have a loss.
        n_EI_candidates: candidates among which the expected improvement chooses.
        gamma: the best gamma * sqrt(n) of n trials are modelled as good.
        prior_weight: weight of the prior against one observation.

    Raises:
        SpecError: n_startup_jobs < 1, n_EI_candidates < 1, gamma <= 0 or prior_weight <= 0.
    """

    traits: ClassVar[Traits] = Traits(needs=("hyperopt",), version=2)
    _space: Space

    __repr__ = shown

    def __init__(
        self,
        *,
        n_startup_jobs: int = 20,
        n_EI_candidates: int = 24,  # hyperopt's name
        gamma: float = 0.25,
        prior_weight: float = 1.0,
    ) -> None:
        self.n_startup_jobs = integer_option("hyperopt", "n_startup_jobs", n_startup_jobs, least=1)
        self.n_EI_candidates = integer_option("hyperopt", "n_EI_candidates", n_EI_candidates, least=1)
        self.gamma = number_option("hyperopt", "gamma", gamma, above=0)
        self.prior_weight = number_option("hyperopt", "prior_weight", prior_weight, above=0)
        self._told: list[Trial] = []
        self._rows: list[_Row] = []  # a memo: the first of those told, in hyperopt's terms
        self._num_scored = 0

    def bind(self, space: Space, goals: Sequence[Goal], seed: int) -> Hyperopt:
        """A fresh sampler for one study."""
        bound = Hyperopt(
            n_startup_jobs=self.n_startup_jobs,
            n_EI_candidates=self.n_EI_candidates,
            gamma=self.gamma,
            prior_weight=self.prior_weight,
        )
        bound._space = space
        return bound

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """Hyperopt's next point, or a draw from the space while there is little to learn from."""
        if self._num_scored < self.n_startup_jobs or self._space.num_columns == 0:
            return Suggestion(self._space.sample(1, rng)[0])
        documents = self._documents(pending)
        for _ in range(_ATTEMPTS if self._space.has_constraints else 1):
            config = self._suggest(number, documents, int(rng.integers(2**31)))
            if self._space.is_feasible([config])[0]:
                return Suggestion(config)
        return Suggestion(self._space.sample(1, rng)[0])

    def tell(self, trial: Trial) -> None:
        """Keep the trial; it is translated at the next ask, with all others told since the last one."""
        self._told.append(trial)
        self._num_scored += _loss(trial) is not None

    @cached_property
    def _translation(self) -> HyperoptSpace:
        return HyperoptSpace(self._space)

    @cached_property
    def _domain(self) -> Any:
        from hyperopt.base import Domain

        return Domain(None, self._translation.expression)

    def _read(self, trials: Sequence[Trial]) -> list[_Row]:
        """Trials in hyperopt's terms, all at once: translating one costs nearly as much as a hundred."""
        values = self._translation.values(self._space.encode([trial.config for trial in trials]))
        return [_Row(t.number, _loss(t), _misc(t.number, v)) for t, v in zip(trials, values, strict=True)]

    def _documents(self, pending: Sequence[Trial]) -> list[dict[str, Any]]:
        """The finished and pending trials, as documents for this ask only."""
        from hyperopt.base import JOB_STATE_DONE, STATUS_FAIL, STATUS_OK

        rows = self._rows
        if len(rows) < len(self._told):
            rows = self._rows = rows + self._read(self._told[len(rows) :])
        if pending:
            rows = rows + self._read(pending)
        return [
            {
                "tid": row.number,
                "state": JOB_STATE_DONE,
                "exp_key": None,
                "result": {"status": STATUS_FAIL} if row.loss is None else {"status": STATUS_OK, "loss": row.loss},
                "misc": row.misc,
            }
            for row in rows
        ]

    def _suggest(self, number: int, documents: list[dict[str, Any]], seed: int) -> dict[str, Any]:
        from hyperopt import tpe
        from hyperopt.base import trials_from_docs

        found = tpe.suggest(
            [number],
            self._domain,
            trials_from_docs(documents, validate=False),
            seed,
            prior_weight=self.prior_weight,
            n_startup_jobs=0,
            n_EI_candidates=self.n_EI_candidates,
            gamma=self.gamma,
            verbose=False,
        )
        return self._space.decode(self._translation.unit(found[0]["misc"]["vals"]))[0]


def _loss(trial: Trial) -> float | None:
    """The loss of a trial: a finished one's result, a pruned one's last report; None before it ends, or if it failed."""
    if not trial.status.is_finished or trial.status is Status.FAILED or trial.last_losses is None:
        return None
    return trial.last_losses[0]


def _misc(number: int, values: Mapping[str, float | None]) -> dict[str, Any]:
    """The part of a document that holds a trial's values; empty lists for the labels that are not active."""
    return {
        "tid": number,
        "idxs": {label: [] if value is None else [number] for label, value in values.items()},
        "vals": {label: [] if value is None else [value] for label, value in values.items()},
    }
