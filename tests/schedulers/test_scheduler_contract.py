"""Every installed scheduler keeps the contract."""

from functools import partial

import pytest

from raytune_hpo import registry, testing

# Rules that have to be told how long trials are, or what they must reach.
OPTIONS = {
    "extrapolation": {"max_steps": 27, "every": 1},
    "hyperband": {"max_steps": 27},
    "tercet": {"max_steps": 27},
    "threshold": {"at": {5: 0.8, 20: 0.4}},
    "patience": {"patience": 3, "min_delta": 0.01},
}
# Patience compares a trial with itself only: it stops the best as soon as any other of the suite's parallel curves.
# Stretches stops nobody: it pauses trials where their sampler said.
ALONE = {"patience": ("good_survive", "equals_survive"), "stretches": ("good_survive",)}

MAKERS = {
    name: partial(registry.load("scheduler", name), **OPTIONS.get(name, {})) for name in registry.installed("scheduler")
}
CASES = {
    f"{name}-{case}": run
    for name, make in MAKERS.items()
    for case, run in testing.scheduler_cases(make).items()
    if case not in ALONE.get(name, ())
}


@pytest.mark.parametrize("case", CASES)
def test_every_scheduler_keeps_the_contract(case):
    CASES[case]()
