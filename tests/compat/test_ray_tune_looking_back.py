"""Experiments looked at afterwards: by their folders, trial by trial, through pyarrow's file system."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_hpo.compat import ray_tune as tune


def falling(config):
    for step in range(1, 4):
        tune.report({"loss": config["x"] / step, "is_late": step > 2})


class Counting(tune.Trainable):
    def step(self):
        return {"loss": self.iteration, "done": self.iteration >= 2}

    def save_checkpoint(self, folder):
        return {"at": self.iteration}

    def load_checkpoint(self, saved):
        self.iteration_saved = saved["at"]


SETTINGS = {"metric": "loss", "mode": "min", "verbose": 0}


def test_an_experiment_is_read_from_its_folder(tmp_path):
    made = tune.run(
        falling, name="first", storage_path=str(tmp_path), config={"x": tune.grid_search([2, 1])}, **SETTINGS
    )
    again = tune.ExperimentAnalysis(made.experiment_path, default_metric="loss", default_mode="min")
    assert again.best_config == made.best_config == {"x": 1}
    assert [t.path for t in again.trials] == [t.path for t in made.trials]
    assert again.get_best_logdir() == made.best_logdir
    with pytest.raises(ValueError, match="needs the folder of an experiment"):
        tune.ExperimentAnalysis(tmp_path)


def test_a_trial_says_what_its_metrics_were(tmp_path):
    seen = []

    class Looking(tune.Callback):
        def on_trial_result(self, iteration, trials, trial, result, **info):
            seen.append(trial.metric_analysis["loss"])

    made = tune.run(falling, storage_path=str(tmp_path), config={"x": 6}, callbacks=[Looking()], **SETTINGS)
    [trial] = made.trials
    assert trial.metric_analysis["loss"] == {
        "min": 2, "max": 6, "avg": pytest.approx(11 / 3), "last": 2,
        "last-5-avg": pytest.approx(11 / 3), "last-10-avg": pytest.approx(11 / 3),
    }  # fmt: skip
    assert "is_late" not in trial.metric_analysis
    assert [each["last"] for each in seen] == [6, 3, 2]


def test_an_experiment_is_an_object_too(tmp_path):
    experiment = tune.Experiment("mine", falling, config={"x": 3}, num_samples=2, storage_path=str(tmp_path))
    assert len(tune.run(experiment, verbose=0).trials) == 2
    assert len(tune.run(experiment, num_samples=1, verbose=0).trials) == 1
    assert (tmp_path / "mine").is_dir()


def test_checkpoints_and_results_name_their_file_system(tmp_path):
    made = tune.run(
        Counting, storage_path=str(tmp_path), checkpoint_freq=1, checkpoint_score_attr="min-loss", **SETTINGS
    )  # fmt: skip
    (path, loss), *_ = made.get_trial_checkpoints_paths(made.best_trial)
    assert loss == 0
    result = made.result_grid[0]
    for each in (made.result_grid, result, result.checkpoint):
        assert each.filesystem.get_file_info(path).is_file is False
        assert each.filesystem.get_file_info(result.path).path == result.path


def test_a_script_that_restores_may_call_its_function_otherwise(tmp_path):
    run_config = tune.RunConfig(name="mine", storage_path=str(tmp_path), verbose=0)
    first = tune.Tuner(falling, param_space={"x": 2}, run_config=run_config).fit()
    again = tune.Tuner.restore(first.experiment_path, lambda config: falling(config)).get_results()
    assert [result.path for result in again] == [result.path for result in first]
    assert again[0].metrics["loss"] == first[0].metrics["loss"]


def test_an_experiment_whose_folder_was_moved_goes_on(tmp_path):
    is_mended = []

    def fragile(config):
        tune.report({"loss": config["x"]})
        if config["x"] == 2 and not is_mended:
            raise RuntimeError("once")

    run_config = tune.RunConfig(name="before", storage_path=str(tmp_path), verbose=0)
    before = tune.Tuner(fragile, param_space={"x": tune.grid_search([1, 2])}, run_config=run_config).fit()
    moved = (tmp_path / "before").rename(tmp_path / "after")
    is_mended.append(True)
    tuner = tune.Tuner.restore(moved, fragile, resume_errored=True)
    assert [result.metrics["loss"] for result in tuner.get_results()] == [1, 2]
    after = tuner.fit()
    assert after.num_errors == 0 and [Path(result.path).parent for result in after] == [moved, moved]
    assert [r.metrics["trial_id"] for r in after] == [r.metrics["trial_id"] for r in before]
    assert len(tune.Tuner.restore(moved, fragile).fit()) == 2  # once more: the folder knows where it began
