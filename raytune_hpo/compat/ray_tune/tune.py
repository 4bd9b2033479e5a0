"""``tune.run``: an experiment in one call, as scripts wrote it before ``Tuner``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from raytune_hpo.compat.ray_tune.analysis import ExperimentAnalysis
from raytune_hpo.compat.ray_tune.config import CheckpointConfig, FailureConfig, RunConfig
from raytune_hpo.compat.ray_tune.error import NotCarried, TuneError
from raytune_hpo.compat.ray_tune.prepared import prepared, with_resources
from raytune_hpo.compat.ray_tune.tune_config import TuneConfig
from raytune_hpo.compat.ray_tune.tuner import Tuner, experiment_folder

# Settings of Ray Tune that are not needed here.
_IDLE = frozenset(
    "export_formats resume_config restore ray_auto_init server_port queue_trials trial_executor loggers".split()
)


def run(
    run_or_experiment: Any,
    *,
    config: Mapping[str, Any] | None = None,
    resources_per_trial: Any = None,
    resume: bool | str | None = None,
    raise_on_failed_trial: bool = True,
    **settings: Any,
) -> ExperimentAnalysis:
    """Run an experiment.

    Args:
        run_or_experiment: the trainable, or an Experiment, whose settings are the defaults.
        config: the space.
        resources_per_trial: see ``with_resources``.
        resume: True, or a value such as "AUTO+ERRORED", resumes the experiment of this name, if there is one.
        raise_on_failed_trial: raise at the end if a trial has failed.
        settings: those of TuneConfig, RunConfig and FailureConfig, all at once: ``name``, ``metric``, ``mode``, ``stop``,
            ``num_samples``, ``search_alg``, ``scheduler``, ``max_failures`` ...; and the predecessors of
            CheckpointConfig: ``keep_checkpoints_num``, ``checkpoint_score_attr`` (smaller is better if it begins with
            "min-"), ``checkpoint_freq`` and ``checkpoint_at_end``.

    Raises:
        TuneError: a trial has failed.
        NotCarried: a setting has no counterpart here.
    """
    if isinstance(run_or_experiment, Experiment):
        given = {"config": config, "resources_per_trial": resources_per_trial, "resume": resume, **settings}
        more = {name: value for name, value in given.items() if value is not None}
        of_experiment = {"name": run_or_experiment.name, **run_or_experiment.settings, **more}
        return run(run_or_experiment.run, raise_on_failed_trial=raise_on_failed_trial, **of_experiment)
    trainable = prepared(run_or_experiment)
    if resources_per_trial is not None:
        trainable = with_resources(trainable, resources_per_trial)
    tune_config, run_config = _configs(settings)
    folder = experiment_folder(run_config, trainable)
    if resume and Tuner.can_restore(folder):
        words = resume.upper() if isinstance(resume, str) else ""
        restarts = "RESTART" in words
        resumes = "ERRORED" in words and not restarts
        tuner = Tuner.restore(folder, trainable, resume_errored=resumes, restart_errored=restarts)
    else:
        tuner = Tuner(trainable, param_space=config, tune_config=tune_config, run_config=run_config)
    ending = tuner.fit_trials()
    results, failed = ending.results, ending.results.errors
    if failed and raise_on_failed_trial:
        raise TuneError(f"{results.num_errors} of {len(results)} trials have failed: {failed[0]!r}") from failed[0]
    return ExperimentAnalysis(ending, default_metric=settings.get("metric"), default_mode=settings.get("mode"))


def _configs(settings: Mapping[str, Any]) -> tuple[TuneConfig, RunConfig]:
    """The settings of ``run``, sorted into those of ``Tuner``.

    Raises:
        NotCarried: a setting has no counterpart here.
    """
    given = {name: value for name, value in settings.items() if value is not None and name not in _IDLE}
    failures = FailureConfig(given.pop("max_failures", 0), given.pop("fail_fast", False))
    attribute = given.pop("checkpoint_score_attr", "")
    kept = given.pop("checkpoint_config", None) or CheckpointConfig(
        num_to_keep=given.pop("keep_checkpoints_num", None),
        checkpoint_score_attribute=attribute.removeprefix("min-") or None,
        checkpoint_score_order="min" if attribute.startswith("min-") else "max",
        checkpoint_frequency=given.pop("checkpoint_freq", 0),
        checkpoint_at_end=given.pop("checkpoint_at_end", None),
    )
    kept = replace(kept, checkpoint_at_end=bool(kept.checkpoint_at_end))  # where nothing is said, Tuner saves a class
    parts = {"failure_config": failures, "checkpoint_config": kept}
    searching = {field.name: given.pop(field.name) for field in fields(TuneConfig) if field.name in given}
    running = {field.name: given.pop(field.name) for field in fields(RunConfig) if field.name in given}
    if given:
        raise NotCarried(
            f"tune.run has no counterpart here for {', '.join(sorted(given))}; leave it out, or use hpo.Tuner"
        )
    return TuneConfig(**searching), RunConfig(**{**parts, **running})


def run_experiments(experiments: Any, **options: Any) -> list[Any]:
    """Run several experiments, one after the other, and return all their trials.

    Args:
        experiments: an Experiment, a list of them, or a dict of their names and settings.
        options: of ``run``, for all of them.
    """
    if isinstance(experiments, Mapping):
        experiments = [Experiment(name, **settings) for name, settings in experiments.items()]
    listed = experiments if isinstance(experiments, (list, tuple)) else [experiments]
    return [trial for each in listed for trial in run(each.run, name=each.name, **each.settings, **options).trials]


class Experiment:
    """The settings of an experiment, for ``run_experiments``.

    Args:
        run: the trainable; ``settings``: of ``tune.run``.
    """

    def __init__(self, name: str, run: Any, **settings: Any) -> None:
        self.name, self.run, self.settings = name, run, settings
