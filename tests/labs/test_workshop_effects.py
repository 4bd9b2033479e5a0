"""What the first half of the workshop claims, read off the variables of the executed notebooks."""

from __future__ import annotations

import numpy as np
import pytest
from labs_support import line

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_the_training_error_falls_for_ever_and_cross_validation_chooses_well(solution):
    found = solution("curve_fitting").values
    train, test = np.array(found["train_error"]), np.array(found["test_error"])
    assert (np.diff(train) < 1e-6).all()
    assert test[-1] > 2 * test.min()
    assert test[found["chosen"]] < 1.15 * test.min()
    assert np.median(found["by_cv"]) < 0.5 * np.median(found["by_training"])


def test_one_run_by_hand_is_poor(solution):
    executed = solution("lab_00_task_1_by_hand")
    first = float(line(executed.printed, "accuracy of the first choice"))
    assert 0.1 < first < 0.75
    assert executed.values["first"][-1] == pytest.approx(first, abs=5e-4)
    assert executed.values["W"] is not None


def test_the_grid_grows_and_many_of_its_runs_diverge(solution):
    executed = solution("lab_00_task_2_grid")
    counts = [int(line(executed.printed, f"best of {n}") is not None) * n for n in (12, 16, 48)]
    assert counts == [12, 16, 48]
    assert len(executed.values["diverged"]) >= 6
    assert line(executed.printed, "diverged at rate 2.0") == f"{len(executed.values['diverged'])} of 12"
    assert "about  0.0 s left" in executed.printed


def test_random_search_is_at_least_as_good_as_a_grid_at_equal_cost(solution):
    found = solution("lab_00_task_3_random").values
    assert found["at_least_as_good"] > 0.5
    assert np.mean(found["random_best"]) > np.mean(found["grid_best"])
    assert np.mean(found["by_random"]) > np.mean(found["by_grid"]) + 0.05


def test_drawing_with_replacement_repeats_points(solution):
    found = solution("lab_00_task_3_random").values
    assert found["repeating"] == pytest.approx(1 - found["all_differ"], abs=0.05)
    assert found["repeating"] > 0.5
    assert len(set(found["chosen"])) == 16


def test_the_gaussian_process_is_the_real_one_and_beats_random_search(solution):
    found = solution("lab_01_gaussian_process").values
    assert found["difference"] < 1e-4
    assert found["won"] > 0.7
    regrets = [np.median(np.array(found[name])[:, -1]) for name in ("gp_regret", "random_regret")]
    assert regrets[0] < 0.5 * regrets[1]
    assert min(found["values"]) == pytest.approx(found["lowest"], abs=0.05)


def test_training_again_reproduces_the_value_exactly(solution):
    executed = solution("lab_03_hyperopt")
    assert line(executed.printed, "loss in the search") == line(executed.printed, "loss trained again")
    assert line(executed.printed, "accuracy on the cluster") == line(executed.printed, "accuracy trained here")


def test_hyperopt_returns_an_index_and_the_configuration_has_the_value(solution):
    found = solution("lab_03_hyperopt").values
    assert found["best"]["batch_size"] in range(4)
    assert found["config"]["batch_size"] == [10, 20, 50, 100][found["best"]["batch_size"]]
    assert {record["optimizer"]["name"] for record in found["records"]} == {"sgd", "adagrad"}


def test_twenty_trials_are_as_good_as_a_grid_of_sixteen(solution):
    executed = solution("lab_03_hyperopt")
    best = [float(line(executed.printed, f"best of {what}")) for what in ("a grid of 16", "20 by hyperopt")]
    assert best[1] > best[0] - 0.01
