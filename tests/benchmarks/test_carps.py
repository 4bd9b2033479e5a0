"""raytune_hpo as an optimizer of CARP-S, where CARP-S is installed."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("carps", reason="needs pip install carps ioh")
pytest.importorskip("ioh", reason="needs pip install carps ioh")


@pytest.fixture
def carps_runs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    import carps_runs

    return carps_runs


def test_a_search_of_carps_ends_at_its_number_of_trials_and_tells_the_best(carps_runs: ModuleType) -> None:
    task = carps_runs.task_of(1, seed=0, num_trials=15)
    optimizer = carps_runs.RaytuneHpo(task, sampler="tpe", seed=0)
    info, value = optimizer.run()
    trials = list(optimizer.solver.results())
    assert [str(trial.status) for trial in trials] == ["completed"] * 15
    assert value.cost == min(trial.metrics["cost"] for trial in trials)
    assert dict(info.config) == pytest.approx(optimizer.solver.results().best_config)


def test_the_same_seed_is_the_same_search(carps_runs: ModuleType) -> None:
    first, second = (carps_runs.run(8, "random", 3, num_trials=10)["regret"] for _ in range(2))
    assert first == second > 0


def test_a_crash_is_a_failed_trial_and_never_the_incumbent(carps_runs: ModuleType) -> None:
    from carps.utils.trials import StatusType, TrialValue

    optimizer = carps_runs.RaytuneHpo(carps_runs.task_of(1, seed=0, num_trials=2), sampler="random", seed=0)
    optimizer.setup_optimizer()
    values: list[Any] = [TrialValue(cost=-1e9, status=StatusType.CRASHED), TrialValue(cost=2.0)]
    for value in values:
        optimizer.tell(optimizer.ask(), value)
    assert [str(trial.status) for trial in optimizer.solver.results()] == ["failed", "completed"]
    assert optimizer.get_current_incumbent()[1].cost == 2.0
    assert "CRASHED" in optimizer.solver.results()[0].error
