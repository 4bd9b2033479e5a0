"""Confirming on a cluster: the repeats run there, in parallel, with the search's own parameters."""

from __future__ import annotations

import pytest
from cluster_support import by_value

import raytune_hpo as hpo

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("cluster")]


@by_value
def noisy(config: dict, data: list[float], seed: int = 0) -> float:
    import random

    return config["x"] + sum(data) + random.Random(f"{seed}/{config['x']}").gauss(0, 0.2)


def test_the_winner_is_confirmed_on_the_cluster(name: str, storage: str) -> None:
    objective = hpo.with_parameters(noisy, data=[0.0] * 10_000)
    settings = {"sampler": "random", "seed": 2, "storage": storage, "progress": False}
    results = hpo.tune(objective, {"x": hpo.uniform(0, 1)}, num_trials=40, name=name, **settings)
    confirmation = results.confirm(top=3, repeats=8, progress=False)
    assert confirmation.keyword == "seed" and confirmation.is_noisy
    assert [candidate.n for candidate in confirmation.candidates] == [8, 8, 8]
    assert confirmation.optimism is not None and confirmation.optimism > 0
    low, high = confirmation.interval or (0.0, 0.0)
    assert low < confirmation.best_config["x"] < high
    repeats = hpo.load(f"{name}-confirm", storage)
    assert len(repeats) == 24
    assert {trial.config["repeat"] for trial in repeats} == set(range(8))
