"""Every installed scheduler keeps the contract."""

import pytest

from raytune_hpo import registry, testing

MAKERS = {name: registry.load("scheduler", name) for name in registry.installed("scheduler")}
CASES = {f"{name}-{case}": run for name, make in MAKERS.items() for case, run in testing.scheduler_cases(make).items()}


@pytest.mark.parametrize("case", CASES)
def test_every_scheduler_keeps_the_contract(case):
    CASES[case]()
