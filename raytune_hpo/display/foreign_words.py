"""Names from other tuners with their equivalents in this package, as hints in errors for users who switch.

A hint is what to write instead. No name in these tables is one of this package's own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

from raytune_hpo.errors import nearest

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _table(**words: str) -> dict[str, str]:
    """A table from other tuners' names to ours, built from one of our names to theirs."""
    return {word: ours for ours, theirs in words.items() for word in theirs.split()}


KEYWORDS: Mapping[str, str] = {
    **_table(
        objective="func fn f trainable train_fn evaluate objective_function",
        space="param_space search_space param_distributions param_grid config domain dimensions",
        num_trials="n_trials num_samples max_evals n_iter n_calls max_trials max_iter num_evals n_evaluations budget",
        max_concurrent="max_concurrent_trials n_jobs num_workers n_workers parallelism workers",
        mode="direction directions",
        metric="metrics objective_metric monitor",
        name="study_name experiment_name run_name exp_name",
        sampler="search_alg algo algorithm suggest searcher",
        scheduler="pruner early_stopping stopper",
        time_budget_s="timeout time_budget time_limit max_time timeout_s time_budget_seconds",
        trial_timeout_s="trial_timeout timeout_per_trial",
        resources="resources_per_trial resources_per_worker",
        seed="random_state rstate random_seed",
        storage="storage_path local_dir trials_save_file db",
        points_to_evaluate="enqueue initial_points x0 initial_configs evaluated_rewards",
        progress="show_progress_bar show_progressbar progress_bar verbose disable_progress_bar",
        callbacks="callback loggers",
        target="loss_threshold target_value stop_at",
        outcome_constraints="constraints_func",
    ),
    "constraints": "hpo.Space(space, constraints=[...]) for configurations, or outcome_constraints= for results",
    "direction": 'mode="min" or mode="max"',
    "load_if_exists": 'resume="auto", which is the default: the same name continues a study',
    "fail_fast": "max_failures=1",
    "num_cpus": 'resources={"cpu": 2}',
    "num_gpus": 'resources={"gpu": 1}',
    "cpu": 'resources={"cpu": 2}',
    "gpu": 'resources={"gpu": 1}',
    "stop": 'target=, or scheduler={"name": "asha", "max_steps": 10}',
    "max_t": 'scheduler={"name": "asha", "max_steps": 10}',
    "reuse_actors": 'isolation="actor", which is the default',
}

NAMES: Mapping[str, str] = {  # of the package
    **_table(
        tune="fmin minimize optimize run maximize gp_minimize forest_minimize",
        Study="create_study Optimizer",
        load="load_study ExperimentAnalysis",
        choice="categorical pchoice",
        randint="uniformint int integer",
        loguniform="log_uniform",
    ),
    "with_resources": "the keyword resources={...} of hpo.Tuner",
    "TuneConfig": "keywords of hpo.Tuner: there is one place for all of them",
    "RunConfig": "keywords of hpo.Tuner: there is one place for all of them",
    "Trainable": "a function of a configuration, which calls hpo.report",
    "get_checkpoint": "checkpoint(), see the guide docs/checkpoints.md",
    "Checkpoint": "a folder: hpo.report(..., checkpoint=FOLDER), see the guide docs/checkpoints.md",
    "get_context": "nothing: an objective is told its configuration only",
}

RESULTS: Mapping[str, str] = {
    **_table(
        best_config="best_params best_parameters best_params_",
        best_value="best_score best_score_ best_loss best_objective",
        best_trial="best_result best_result_ best_model",
    ),
    "get_best_result": "best_trial",
    "get_best_config": "best_config",
    "get_best_trial": "best_trial",
    "get_dataframe": "to_dataframe()",
    "trials_dataframe": "to_dataframe()",
    "dataframe": "to_dataframe()",
    "df": "to_dataframe()",
    "best": "best_trial, best_config or best_value",
    "plots": "plot",
    "get_trials": "trials",
    "errors": "[trial.error for trial in results if trial.error]",
    "num_errors": 'num_by_status["failed"]',
    "num_terminated": 'num_by_status["completed"]',
    "best_checkpoint": "best_trial.checkpoint",
    "cv_results_": "to_dataframe()",
}

PLOTS: Mapping[str, str] = _table(
    **{
        "history()": "optimization_history plot_optimization_history convergence plot_convergence",
        "curves()": "intermediate_values plot_intermediate_values learning_curves",
        "parallel_coordinates()": "parallel_coordinate plot_parallel_coordinate",
        "importances()": "param_importances plot_param_importances feature_importances",
        "slice()": "plot_slice",
        "contour()": "plot_contour contours",
        "rank()": "plot_rank ranks",
        "distribution()": "edf plot_edf",
        "pareto()": "pareto_front plot_pareto_front front",
        "hypervolume()": "hypervolume_history plot_hypervolume_history",
        "timeline()": "plot_timeline",
        "page()": "report html to_html",
    }
)

STUDY: Mapping[str, str] = {
    "optimize": "hpo.tune(objective, space, ...), or a loop of ask and tell",
    "best_params": "results().best_config",
    "best_config": "results().best_config",
    "best_value": "results().best_value",
    "best_trial": "results().best_trial",
    "best_trials": "results().best_trials",
    "trials": "results().trials",
    "trials_dataframe": "results().to_dataframe()",
    "enqueue_trial": "enqueue({...})",
    "add_trial": "enqueue({...})",
    "stop": "close()",
}

TRIAL: Mapping[str, str] = {
    "params": "config",
    "value": 'metrics["loss"], by the name of the metric',
    "values": "metrics",
    "state": "status",
    "intermediate_values": "reports",
    "user_attrs": "metrics",
    "path": "nothing: trials have no folders",
    "metrics_dataframe": "reports",
    "should_prune": "the verdict that report returns",
    **dict.fromkeys(
        ("suggest_float", "suggest_int", "suggest_categorical"),
        "config[...]: the space is given to the study beforehand",
    ),
}

OPTIONS: Mapping[str, Sequence[str]] = {  # of samplers and schedulers; of several, the first that the part has is meant
    "max_t": ("max_steps",),
    "max_resource": ("max_steps",),
    "max_epochs": ("max_steps",),
    "grace_period": ("min_steps", "grace_steps"),
    "min_resource": ("min_steps",),
    "n_warmup_steps": ("grace_steps", "min_steps"),
    "reduction_factor": ("eta",),
    "min_samples_required": ("min_trials",),
    "perturbation_interval": ("interval",),
    "population_size": ("population",),
    "num_samples": ("population",),
    "quantile_fraction": ("quantile",),
    "resample_probability": ("redraw",),
    "perturbation_factors": ("perturb",),
}

SAMPLERS: Mapping[str, str] = _table(
    TPE="TPESampler OptunaSearch",
    BOHB="BOHBSearch TuneBOHB",
    GP="GPSampler BayesOptSearch BayesSearch GaussianProcess BoTorchSampler BotorchSearch SkOptSearch AxSearch",
    CMAES="CmaEsSampler CmaSampler CMA",
    NSGA2="NSGAIISampler NSGAII NSGAIIISampler",
    Random="RandomSampler RandomSearch BasicVariantGenerator",
    Grid="GridSampler GridSearch BruteForceSampler",
    Sobol="QMCSampler SobolSampler",
    Hyperopt="HyperOptSearch HyperoptSearch",
    RF="SMAC RandomForest",
    DE="DifferentialEvolution DESampler",
    Portfolio="PortfolioSampler",
)

SCHEDULERS: Mapping[str, str] = _table(
    ASHA="ASHAScheduler AsyncHyperBandScheduler SuccessiveHalvingPruner Asha",
    Hyperband="HyperBandScheduler HyperbandPruner HyperBand HyperBandForBOHB",
    Median="MedianPruner MedianStoppingRule PercentilePruner",
    Patience="PatientPruner TrialPlateauStopper EarlyStopping",
    Threshold="ThresholdPruner",
)


def explains_keywords(function: _Function) -> _Function:
    """Decorator that answers an unknown keyword with a hint at the one that was probably meant.

    Raises:
        TypeError: from the decorated function; the message names the keyword and its equivalent here.
    """
    parameters = inspect.signature(function).parameters
    known = [
        name for name, parameter in parameters.items() if parameter.kind is not parameter.VAR_KEYWORD and name != "self"
    ]
    passes_on = len(known) < len(parameters) - ("self" in parameters)
    owner = function.__qualname__.removesuffix(".__init__")

    @functools.wraps(function)
    def checked(*args: Any, **given: Any) -> Any:
        for word in given:
            if word not in known and (word in KEYWORDS or not passes_on):
                raise TypeError(f"{owner} has no keyword {word!r}; {_keyword_hint(word, known, passes_on=passes_on)}")
        return function(*args, **given)

    return cast(_Function, checked)


def _keyword_hint(word: str, known: Iterable[str], *, passes_on: bool) -> str:
    ours = KEYWORDS.get(word, "")
    is_known = passes_on or ours.partition("=")[0] in known
    if not ours or not is_known:
        return nearest(word, known)
    return f"did you mean {ours}?" if ours.isidentifier() else f"here it is {ours}"


def no_attribute(owner: str, name: str, hints: Mapping[str, str], known: Iterable[str] = ()) -> AttributeError:
    """The error for a missing attribute, with its equivalent here or the nearest existing name."""
    if name in hints:
        return AttributeError(f"{owner} has no attribute {name!r}; here it is {hints[name]}")
    listed = "" if name.startswith("_") or not known else f"; {nearest(name, known)}"
    return AttributeError(f"{owner} has no attribute {name!r}{listed}")


def public_names(cls: type) -> list[str]:
    """The attributes of a class that users may know."""
    return [name for name in dir(cls) if not name.startswith("_")]
