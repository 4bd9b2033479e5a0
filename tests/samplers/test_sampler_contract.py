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
# One runs what it is given, the other takes small steps.
UNLIKE = {("schedule", "learns"), ("schedule", "learns_from_all_goals"), ("live", "learns")}
CASES = {
    f"{name}-{case}": run
    for name, make in MAKERS.items()
    for case, run in testing.sampler_cases(make).items()
    if (name, case) not in UNLIKE
}
# Of those that fit models, every day on these spaces only.
FITTING = ("auto", "freeze_thaw", "gp", "hypertune", "portfolio", "rf")
EVERY_DAY = ("learns", "flat", "conditional")
TAKING_LONG = ("constraints-conditional", "several_goals-conditional")
LONGEST = (
    "auto-constraints-flat", "auto-learns", "auto-several_goals-flat", "freeze_thaw-learns", "gp-constraints-flat",
    "gp-several_goals-flat", "portfolio-learns",
)  # fmt: skip


def takes_long(case: str) -> bool:
    sampler, _, kind = case.partition("-")
    return case in LONGEST or (sampler in FITTING and (not kind.endswith(EVERY_DAY) or kind in TAKING_LONG))


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow) if takes_long(case) else case for case in CASES]
)
def test_every_sampler_keeps_the_contract(case):
    CASES[case]()
