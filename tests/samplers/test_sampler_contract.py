"""Every installed sampler keeps the contract."""

from functools import partial

import pytest

from raytune_hpo import registry, testing

# Samplers that have to be told how long training is.
OPTIONS = {
    **{name: {"max_steps": 27} for name in ("bohb", "freeze_thaw", "hypertune")},
    "pbt": {"max_steps": 100, "population": 4},
    "pb2": {"max_steps": 100, "population": 4},
    "schedule": {"segments": [({"k": 3}, 1)]},
}
MAKERS = {
    name: partial(registry.load("sampler", name), **OPTIONS.get(name, {})) for name in registry.installed("sampler")
}
CASES = {
    f"{name}-{case}": run
    for name, make in MAKERS.items()
    for case, run in testing.sampler_cases(make).items()
    if (name, case) != ("schedule", "learns")  # it runs what it is given
}


@pytest.mark.parametrize("case", CASES)
def test_every_sampler_keeps_the_contract(case):
    CASES[case]()
