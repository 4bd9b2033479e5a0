"""How long a large space takes: bounds that a regression would break, far above what is measured."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from raytune_hpo.space import Choice, Domain, Space, choice, loguniform, randint, randn, uniform


def parameter(number: int) -> Domain:
    return [uniform(0, 1), loguniform(1e-3, 1), randint(1, 50), choice(["a", "b", "c"]), randn(0, 1)][number % 5]


def step(name: str, kinds: int, width: int) -> Choice:
    options: list[dict[str, Any]] = [
        {"kind": f"{name}{k}"} | {f"p{j}": parameter(j) for j in range(width)} for k in range(kinds)
    ]
    return choice(options)


def pipeline() -> Space:
    """0, 1 or 2 inner layers, an outer layer and a classifier: 238 parameters."""
    inner = choice([[], [step("one", 9, 6)], [step("first", 9, 6), step("second", 9, 6)]])
    return Space({"inner": inner, "outer": step("outer", 9, 6), "classifier": step("model", 4, 4)})


def test_a_space_of_238_conditional_parameters_takes_under_two_seconds() -> None:
    space = pipeline()
    assert space.num_columns == 238 and space.is_conditional
    start = time.process_time()
    configs = space.sample(10_000, np.random.default_rng(0))
    unit = space.encode(configs)
    again = space.decode(unit)
    assert time.process_time() - start < 2
    assert again == configs


def test_a_flat_space_decodes_a_thousand_configurations_in_ten_milliseconds() -> None:
    space = Space({f"x{j}": parameter(j) for j in range(10)})
    unit = np.random.default_rng(0).random((1000, 10))
    times = []
    for _ in range(5):  # the best of a few: the machine is shared
        start = time.process_time()
        space.decode(unit)
        times.append(time.process_time() - start)
    assert min(times) < 0.010
