"""Every installed sampler keeps the contract."""

from functools import partial

import pytest

from raytune_hpo import registry, testing

# Those that bring a scheduler have to be told how long trials are.
OPTIONS = {name: {"max_steps": 27} for name in ("bohb", "freeze_thaw", "hypertune")}
MAKERS = {
    name: partial(registry.load("sampler", name), **OPTIONS.get(name, {})) for name in registry.installed("sampler")
}
CASES = {f"{name}-{case}": run for name, make in MAKERS.items() for case, run in testing.sampler_cases(make).items()}


@pytest.mark.parametrize("case", CASES)
def test_every_sampler_keeps_the_contract(case):
    CASES[case]()
