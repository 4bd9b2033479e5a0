"""Optuna's distributions are taken as they are."""

from __future__ import annotations

from typing import Any

import pytest

from raytune_hpo.space import Space
from tests.space.agreement import assert_agreement

optuna = pytest.importorskip("optuna")


def domains() -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    return {
        "float": FloatDistribution(0, 1),
        "log": FloatDistribution(1e-3, 1, log=True),
        "step": FloatDistribution(0, 1, step=0.3),
        "int": IntDistribution(1, 9),
        "int_log": IntDistribution(1, 30, log=True),
        "int_step": IntDistribution(0, 10, step=3),
        "choice": CategoricalDistribution([None, "a", 2]),
        "one_float": FloatDistribution(1, 1),
        "one_int": IntDistribution(3, 3, log=True),
        "coarse": IntDistribution(0, 2, step=5),
    }


def test_every_distribution_draws_what_optuna_draws() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))

    def legal(config: dict[str, Any]) -> None:
        for name, distribution in domains().items():
            assert distribution._contains(distribution.to_internal_repr(config[name]))

    assert_agreement(Space(domains()), [study.ask(domains()).params for _ in range(1000)], legal)
