"""ConfigSpace's spaces are taken as they are: hyperparameters, conditions, forbidden clauses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from raytune_hpo.errors import SpaceError
from raytune_hpo.space import Space
from tests.space.agreement import assert_agreement

cs = pytest.importorskip("ConfigSpace")


def hyperparameters() -> dict[str, Any]:
    made = [
        cs.CategoricalHyperparameter("kind", ["x", "y", "z"], weights=[0.2, 0.3, 0.5]),
        cs.UniformFloatHyperparameter("rate", 1e-3, 1, log=True),
        cs.UniformIntegerHyperparameter("log_int", 1, 30, log=True),
        cs.UniformIntegerHyperparameter("int", 0, 9),
        cs.NormalFloatHyperparameter("normal", 0.5, 0.2, 0, 1),
        cs.NormalIntegerHyperparameter("normal_int", 5, 2, 0, 10),
        cs.BetaFloatHyperparameter("beta", 2, 3, 0, 4),
        cs.BetaIntegerHyperparameter("beta_int", 2, 3, 0, 10),
        cs.OrdinalHyperparameter("size", ["s", "m", "l"]),
        cs.Constant("constant", 7),
    ]
    return {parameter.name: parameter for parameter in made}


def conditional() -> Any:
    space = cs.ConfigurationSpace(seed=3)
    p = hyperparameters()
    space.add(list(p.values()))
    space.add(
        [
            cs.EqualsCondition(p["rate"], p["kind"], "x"),
            cs.OrConjunction(
                cs.EqualsCondition(p["log_int"], p["kind"], "y"), cs.GreaterThanCondition(p["log_int"], p["int"], 5)
            ),
            cs.InCondition(p["normal"], p["size"], ["s", "m"]),
            cs.NotEqualsCondition(p["normal_int"], p["kind"], "z"),
            cs.LessThanCondition(p["beta"], p["rate"], 0.1),  # a grandchild of kind
        ]
    )
    return space


def test_every_hyperparameter_draws_what_configspace_draws() -> None:
    space = cs.ConfigurationSpace(seed=3)
    space.add(list(hyperparameters().values()))
    theirs = [dict(c) for c in space.sample_configuration(2000)]
    assert_agreement(Space(space), theirs, lambda config: cs.Configuration(space, values=config))


def test_conditions_of_all_kinds_are_carried() -> None:
    space = conditional()
    theirs = [dict(c) for c in space.sample_configuration(2000)]
    ours = Space(space)
    assert_agreement(ours, theirs, lambda config: cs.Configuration(space, values=config))
    unit = ours.encode(theirs)
    assert np.array_equal(~np.isnan(unit), ours.active(unit))


def test_forbidden_clauses_are_constraints() -> None:
    space = conditional()
    p = {name: space[name] for name in space}
    space.add(cs.ForbiddenAndConjunction(cs.ForbiddenEqualsClause(p["kind"], "x"), cs.ForbiddenInClause(p["int"], [1])))
    space.add(cs.ForbiddenLessThanRelation(p["int"], p["beta_int"]))
    ours = Space(space)
    assert len(ours.constraints) == 2
    for config in ours.sample(200, np.random.default_rng(0)):
        cs.Configuration(space, values=config)
    for config in space.sample_configuration(200):
        ours.check(dict(config))
    config = {**dict(space.sample_configuration()), "int": 0, "beta_int": 9}
    with pytest.raises(SpaceError, match="Forbidden"):
        ours.check(config)


def test_a_conditional_space_is_counted_exactly() -> None:
    space = cs.ConfigurationSpace()
    kind, depth = cs.CategoricalHyperparameter("kind", ["a", "b"]), cs.UniformIntegerHyperparameter("depth", 1, 3)
    leaf, size = cs.UniformIntegerHyperparameter("leaf", 1, 4), cs.OrdinalHyperparameter("size", ["s", "m"])
    space.add([kind, depth, leaf, size])
    space.add([cs.EqualsCondition(depth, kind, "a"), cs.GreaterThanCondition(leaf, depth, 2)])
    ours = Space({"inner": space, "x": {"grid_search": [1, 2]}})
    assert ours.cardinality == (1 + (2 + 4)) * 2 * 2  # kind b, or a with depth 1, 2 or 3 (which has a leaf)
    configs = [ours.at(i) for i in range(28)]
    assert [ours.index_of(config) for config in configs] == list(range(28))
    for config in configs:
        ours.check(config)
    finite = Space(conditional()).discretised(3)
    for index in range(0, finite.cardinality or 0, 99_991):
        assert finite.index_of(finite.at(index)) == index


def test_a_parameter_that_is_not_active_must_be_left_out() -> None:
    ours = Space(conditional())
    config = next(c for c in ours.sample(50, np.random.default_rng(0)) if c["kind"] == "z")
    with pytest.raises(SpaceError, match="'rate' is not active here"):
        ours.check({**config, "rate": 0.5})


def test_what_cannot_be_carried_is_refused_by_name() -> None:
    odd = cs.NormalIntegerHyperparameter("odd", 5, 2, 1, 10, log=True)
    with pytest.raises(SpaceError, match="'odd' with log=True"):
        Space({"x": odd})
