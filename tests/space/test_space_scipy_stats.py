"""scipy's frozen distributions are taken as they are."""

from __future__ import annotations

from typing import Any

import pytest
from scipy import sparse, stats

from raytune_hpo.errors import SpaceError
from raytune_hpo.space import Float, Int, Normal, Space
from tests.space.agreement import assert_agreement


def domains() -> dict[str, Any]:
    return {
        "uniform": stats.uniform(1, 2),
        "loguniform": stats.loguniform(1e-3, 1),
        "randint": stats.randint(1, 5),
        "norm": stats.norm(1, scale=2),
        "gamma": stats.gamma(2.0),
        "beta": stats.beta(2, 3),
        "expon": stats.expon(scale=2),
        "binom": stats.binom(10, 0.3),
        "poisson": stats.poisson(3.0),
    }


def test_every_distribution_draws_what_scipy_draws() -> None:
    drawn = {name: domain.rvs(2000, random_state=i).tolist() for i, (name, domain) in enumerate(domains().items())}
    theirs = [dict(zip(drawn, row, strict=True)) for row in zip(*drawn.values(), strict=True)]
    assert_agreement(Space(domains()), theirs)


def test_common_ones_become_domains_of_ours() -> None:
    space = Space(domains())
    assert [column.domain for column in space.columns[:4]] == [
        Float(1, 3),
        Float(1e-3, 1, log=True),
        Int(1, 4),
        Normal(1, 2),
    ]


def test_discrete_ones_with_an_end_are_counted() -> None:
    space = Space({"n": stats.binom(4, 0.5)})
    assert [space.at(i)["n"] for i in range(5)] == [0, 1, 2, 3, 4]
    assert Space({"n": stats.poisson(1)}).cardinality is None


def test_what_is_not_frozen_is_refused_and_a_matrix_is_a_constant() -> None:
    with pytest.raises(SpaceError, match="parameter 'x': a frozen distribution is needed"):
        Space({"x": stats.norm})
    matrix = sparse.eye(3)
    assert Space({"m": matrix, "x": stats.norm()}).cardinality is None
