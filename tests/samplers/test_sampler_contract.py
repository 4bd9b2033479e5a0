"""Every installed sampler keeps the contract."""

import pytest

from raytune_hpo import registry, testing

MAKERS = {name: registry.load("sampler", name) for name in registry.installed("sampler")}
CASES = {f"{name}-{case}": run for name, make in MAKERS.items() for case, run in testing.sampler_cases(make).items()}


@pytest.mark.parametrize("case", CASES)
def test_every_sampler_keeps_the_contract(case):
    CASES[case]()
