"""Every installed scheduler keeps the contract."""

from functools import partial

import pytest

from raytune_hpo import registry, testing

# Rules that have to be told how long trials are, or what they must reach.
OPTIONS = {
    "extrapolation": {"max_steps": 27, "every": 1},
    "hyperband": {"max_steps": 27},
    "pasha": {"max_steps": 27},
    "successive_halving": {"max_steps": 27},
    "tercet": {"max_steps": 27},
    "threshold": {"at": {5: 0.8, 20: 0.4}},
    "patience": {"patience": 3, "min_delta": 0.01},
    "segments": {"max_steps": 81, "interval": 2},
}
# Patience compares a trial with itself only: it stops the best as soon as any other of the suite's parallel curves.
# Segments end where their sampler says, and Stretches pause there. Hyperband deals the suite's thirty curves to brackets
# that are too small to promote anybody to the end. Threshold's bounds are values of the metric, and fit one mode only.
ALONE = {
    **dict.fromkeys(("patience", "segments"), ("good_survive", "equals_survive")),
    "stretches": ("good_survive",),
    "threshold": ("good_survive",),
    "hyperband that promotes": ("good_survive",),
}

MAKERS = {
    name: partial(registry.load("scheduler", name), **OPTIONS.get(name, {})) for name in registry.installed("scheduler")
}
# Options that make another scheduler of it.
MAKERS |= {
    "asha that promotes": partial(registry.load("scheduler", "asha"), promote=True),
    "asha that promotes up to an end": partial(registry.load("scheduler", "asha"), promote=True, max_steps=27),
    "asha that promotes late": partial(registry.load("scheduler", "asha"), promote=True, delay=True, max_steps=27),
    "hyperband that promotes": partial(registry.load("scheduler", "hyperband"), promote=True, max_steps=27),
    "race up to an end": partial(registry.load("scheduler", "race"), max_steps=27),
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
