"""Ray Tune's domains are taken as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from raytune_hpo.errors import SpaceError
from raytune_hpo.space import Choice, Space
from tests.space.agreement import assert_agreement

tune = pytest.importorskip("ray.tune", exc_type=ImportError)


def domains() -> dict[str, Any]:
    return {
        "uniform": tune.uniform(-1, 1),
        "loguniform": tune.loguniform(1e-4, 1),
        "quniform": tune.quniform(0, 1, 0.25),
        "qloguniform": tune.qloguniform(1, 10, 0.5),
        "randn": tune.randn(1, 2),
        "qrandn": tune.qrandn(0, 3, 0.5),
        "randint": tune.randint(1, 5),
        "qrandint": tune.qrandint(0, 20, 5),
        "qrandint_one": tune.qrandint(0, 3, 1),
        "lograndint": tune.lograndint(1, 30),
        "qlograndint": tune.qlograndint(4, 64, 4),
        "choice": tune.choice(["a", 1, None]),
    }


def test_every_domain_of_ray_draws_what_ray_draws() -> None:
    rng = np.random.default_rng(3)
    drawn = {name: [domain.sample(random_state=rng) for _ in range(2000)] for name, domain in domains().items()}
    theirs = [dict(zip(drawn, row, strict=True)) for row in zip(*drawn.values(), strict=True)]

    def legal(config: dict[str, Any]) -> None:
        assert all(domain.is_valid(config[name]) for name, domain in domains().items())

    assert_agreement(Space(domains()), theirs, legal)


def test_a_choice_of_dicts_is_a_branch_and_a_grid_is_an_axis() -> None:
    space = Space({"m": tune.choice([{"k": "a", "x": tune.uniform(0, 1)}, {"k": "b"}]), "g": tune.grid_search([1, 2])})
    assert [column.name for column in space.columns] == ["m", "m/a/x", "g"]
    axis = space.columns[2].domain
    assert isinstance(axis, Choice) and axis.is_grid_axis


def test_functions_take_a_configuration_a_spec_or_nothing() -> None:
    space = Space(
        {
            "n": tune.randint(1, 5),
            "new": tune.sample_from(lambda config: config["n"] + 1),
            "dotted": tune.sample_from(lambda config: config.n + 2),
            "old": tune.sample_from(lambda spec: spec.config.n + 3),
            "none": tune.sample_from(lambda: 4),
        }
    )
    config = space.sample(1, np.random.default_rng(0))[0]
    assert [config[key] - config["n"] for key in ("new", "dotted", "old")] == [1, 2, 3] and config["none"] == 4


def test_functions_are_told_apart_by_their_own_source() -> None:
    one, other = (Space({"n": tune.sample_from(f)}) for f in (lambda c: 1, lambda c: 2))
    assert one != other
    assert Space({"n": tune.sample_from(domains)}) == Space({"n": tune.sample_from(domains)})


def test_a_subclass_of_a_domain_is_a_domain() -> None:
    from ray.tune.search.sample import Integer

    class Layers(Integer):
        pass

    assert Space({"n": Layers(1, 4)}).cardinality == 3


def test_a_sampler_of_ones_own_is_refused_by_name() -> None:
    from ray.tune.search.sample import Float, Sampler

    class Odd(Sampler):
        def __str__(self) -> str:
            return "Odd"

    domain = Float(0, 1)
    domain.set_sampler(Odd())
    with pytest.raises(SpaceError, match=r"parameter 'x': .*sampler Odd"):
        Space({"x": domain})
