"""Tuner: runs one study, from keywords to results."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from os import PathLike
from typing import Any, ParamSpec, cast

from raytune_hpo.api.callbacks import Callback, Follower, checked_callbacks
from raytune_hpo.api.objective import check_by, check_objective, over_instances, warn_of_lists, with_brought
from raytune_hpo.api.run import Run
from raytune_hpo.display.foreign_words import explains_keywords
from raytune_hpo.errors import SpecError
from raytune_hpo.options import whole
from raytune_hpo.progress import Progress
from raytune_hpo.results import Results
from raytune_hpo.runtime.local import LocalHandle
from raytune_hpo.runtime.plan import Handle, RunPlan
from raytune_hpo.runtime.settings import Settings, in_seconds, one_of
from raytune_hpo.runtime.simulated import COST, SimulatedHandle
from raytune_hpo.schedulers.pasha import PASHA
from raytune_hpo.spec import Limits

_P = ParamSpec("_P")
RUNTIMES = ("ray", "local", "simulated")


class Tuner:
    """Tunes an objective over a space. All settings are checked here, before anything runs.

    Args:
        objective: takes a configuration (a dict of plain Python values) and returns the metric, or a dict of metrics.
            It may ``report`` on the way, or yield its reports. If it has ``study_settings(runtime)`` (a dict of these
            keywords), that replaces settings that the user leaves at their defaults; if it has
            ``check_study(spec, is_here=...)``, that checks whether it can run the study. ``hpo.Command`` has both.
        space: a dict of constants and domains, nested to any depth, a Space, or a space written for another tuner. None:
            the objective defines it, and is called with a trial (``ObjectiveTrial``) that it asks for parameters one by
            one.
        instances: inputs (of any kind), or a number of seeds, on each of which a configuration is measured: the objective
            is called as ``objective(config, instance)`` and returns its metrics there. Each instance is a step, in one
            shuffled order for all trials, and the result is the mean; with the scheduler "race", only good configurations
            are measured on all of them.
        metric, mode: what to optimise, "min" or "max"; lists for several.
        sampler, scheduler: a name, a dict ``{"name": ..., option: ...}``, or an object of ``hpo.samplers`` or
            ``hpo.schedulers``; without a scheduler, every trial runs to its end.
        num_trials, time_budget_s, target: when to stop; whichever comes first. Times are seconds, or a timedelta.
        max_failures: how many trials may fail in one session before the study stops; the same call continues it.
        num_steps: how many steps all trials may make together, as a budget of training; a trial without reports counts as
            one step.
        stagnation: whether to stop when the newest trials, five for each parameter, have brought no progress.
        max_concurrent: trials at the same time; None: as many as there is room for.
        resources: of one trial: ``{"cpu": 1, "gpu": 0.5, "memory": bytes, ...}``, or a list of such bundles. Only Ray
            reserves them; threads are as many as there are CPUs for.
        isolation: "actor" reuses worker processes, "process" gives each trial a fresh one.
        max_retries: how often a trial may crash its worker before it fails.
        retry_failed: retry the configurations of trials that failed in earlier sessions; they come first, and do not
            count against ``num_trials``.
        trial_timeout_s: seconds after which a trial is ended and fails.
        points_to_evaluate: configurations to try first.
        seed: the seed of everything random; None draws one, and accepts the seed of a stored study.
        name: the study's name in its storage; the same name and settings continue it.
        storage: an SQLAlchemy URL, a path of a SQLite file, or "memory"; by default SQLite below the home folder of
            the machine that runs the optimizer.
        resume: "auto" continues a stored study of the same name, "never" refuses.
        checkpoints: a folder, or a URL that fsspec knows (``s3://bucket/path``), for the trials' checkpoints; by default
            next to a SQLite file, below ``~/.raytune_hpo`` for PostgreSQL, and temporary, until this process ends, for
            "memory".
        checkpoint_every_s: save a checkpoint of a running trial that offers one when this many seconds have passed since
            the last one, to resume from it after a crash. None: only when the scheduler needs one.
        keep_checkpoints: the number of best trials whose last checkpoint is kept.
        valid_range: interval (or dict of intervals by metric) outside which a value fails its trial.
        thresholds: by metric, the value beyond which the front of several goals is interesting, in the metric's own units;
            worse values are not forbidden.
        outcome_constraints: bounds on metrics of a result, like ``["size_mb <= 100", "recall >= 0.8"]``; a trial that
            breaks one completes, but is infeasible and never the best.
        prior_weight: how much the space's priors and weights count: 1 as they are, less to doubt them, more to trust
            them; with 0 they have no effect.
        earlier: names of studies in the same storage from which the sampler learns before the first trial where good
            configurations lie, by parameters of the same names and the same metric.
        features: a function from a configuration to a dict of numbers, with the same keys for each, as additional inputs
            of Gaussian processes. It must depend on nothing else; a study with another function is another study.
        callbacks: called with each fact of the study, in order, in threads of this process, so that they neither slow
            down nor break the study. See ``raytune_hpo.api.callbacks``, and ``raytune_hpo.integrations`` for loggers.
        progress: whether ``fit`` shows a progress line, or in a notebook a card, that updates itself.
        runtime: "ray", "local" (threads of this process) or "simulated" (see ``simulate``).

    Raises:
        SpecError, SpaceError: an argument is not valid; the message gives the rule, the value and the way out.
    """

    @explains_keywords
    def __init__(
        self,
        objective: Callable[..., Any],
        space: Any,
        *,
        instances: Sequence[Any] | int | None = None,
        metric: str | Sequence[str] = "loss",
        mode: str | Sequence[str] = "min",
        sampler: Any = "auto",
        scheduler: Any = None,
        num_trials: int | None = None,
        time_budget_s: float | timedelta | None = None,
        target: float | None = None,
        max_failures: int | None = None,
        num_steps: int | None = None,
        stagnation: bool = False,
        max_concurrent: int | None = None,
        resources: Mapping[str, float] | Sequence[Mapping[str, float]] | None = None,
        isolation: str = "actor",
        max_retries: int = 2,
        retry_failed: bool = False,
        trial_timeout_s: float | timedelta | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] = (),
        seed: int | None = None,
        name: str | None = None,
        storage: Any = None,
        resume: str = "auto",
        checkpoints: str | PathLike[str] | None = None,
        checkpoint_every_s: float | timedelta | None = None,
        keep_checkpoints: int = 1,
        valid_range: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None,
        thresholds: Mapping[str, float] | None = None,
        outcome_constraints: Sequence[str] = (),
        prior_weight: float = 1.0,
        earlier: Sequence[str] = (),
        features: Callable[[dict[str, Any]], Mapping[str, float]] | None = None,
        callbacks: Callback | Sequence[Callback] = (),
        progress: bool = True,
        runtime: str = "ray",
    ) -> None:
        check_objective(objective, takes_instance=instances is not None)
        self._callbacks, self._progress = checked_callbacks(callbacks), progress
        recorded = {"objective": getattr(objective, "__name__", type(objective).__name__), "runtime": runtime}
        settings = Settings(
            metric=metric, mode=mode, valid_range=valid_range, thresholds=thresholds,
            outcome_constraints=outcome_constraints, prior_weight=prior_weight, earlier=earlier, features=features,
            sampler=sampler, scheduler=scheduler, num_trials=num_trials, time_budget_s=in_seconds(time_budget_s),
            target=target, max_failures=max_failures, num_steps=num_steps, stagnation=stagnation, checkpoints=checkpoints,
            instances=instances, checkpoint_every_s=in_seconds(checkpoint_every_s), keep_checkpoints=keep_checkpoints,
            max_concurrent=max_concurrent, resources={"cpu": 1.0} if resources is None else resources,
            isolation=isolation, max_retries=max_retries, retry_failed=retry_failed,
            trial_timeout_s=in_seconds(trial_timeout_s), points_to_evaluate=points_to_evaluate, seed=seed, name=name,
            storage=storage, resume=resume, recorded=recorded,
        )  # fmt: skip
        settings = with_brought(objective, settings, runtime)
        self._runtime = _checked_runtime(runtime, settings)
        self._plan = RunPlan.of(space, settings, over_instances(objective, settings.instances))
        check_by(objective, self._plan.spec, is_here=runtime != "ray")
        warn_of_lists(space, self._plan.spec.space)
        _check_end(settings, self._plan)

    def __repr__(self) -> str:
        spec = self._plan.spec
        scheduler = "" if spec.scheduler is None else f", scheduler {spec.scheduler.name!r}"
        goals = ", ".join(map(str, spec.goals))
        return f"<Tuner of {self.name!r}: {goals}, {spec.space!r}, sampler {spec.sampler.name!r}{scheduler}>"

    @property
    def name(self) -> str:
        """The study's name, chosen here if none was given."""
        return self._plan.spec.name

    @property
    def plan(self) -> RunPlan:
        """The plan that is passed to a runtime."""
        return self._plan

    def fit(self, *, watched_by: Callable[[Run], Callback] | None = None) -> Results:
        """Run the study to its end and return its results; Ctrl-C ends it early, and returns the results so far.

        During the start, Ctrl-C undoes what has begun, and raises KeyboardInterrupt.

        Args:
            watched_by: a function from the run to one more callback, which may stop the run.

        Raises:
            StudyExists: it is being run elsewhere now.
            SpecMismatch: it is stored with other settings.
            HpoError: it cannot continue; what was recorded is safe, and the same call continues it.
        """
        progress = Progress(enabled=self._progress)
        with progress, self._run(detached=False, say=lambda text: progress.say(f"{self.name}: {text}")) as run:
            more = () if watched_by is None else (watched_by(run),)
            return run.watch(progress, *more)

    def start(self) -> Run:
        """Run the study in the background; on Ray it stays alive on the cluster after this process has ended."""
        run = self._run(detached=True)
        run.follow()
        return run

    def _run(self, *, detached: bool, say: Callable[[str], object] | None = None) -> Run:
        return self._begun(lambda: _started(self._plan, self._runtime, detached=detached, say=say))

    def _begun(self, start: Callable[[], Handle]) -> Run:
        """Begin a run, for which the callbacks are claimed before anything is written."""
        follower = Follower()
        follower.claim(self._callbacks)
        try:
            return Run(start(), self._plan, follower)
        except BaseException:
            follower.finish()
            raise


def _with_arguments_of(tuner: Callable[_P, Tuner]) -> Callable[[Callable[..., Results]], Callable[_P, Results]]:
    """Decorator that gives a function the arguments of Tuner, for editors, type checkers and ``help``."""

    def decorate(function: Callable[..., Results]) -> Callable[_P, Results]:
        signature = inspect.signature(tuner).replace(return_annotation="Results")
        setattr(function, "__signature__", signature)  # noqa: B010 -- functions have no such attribute for mypy
        return cast(Callable[_P, Results], function)

    return decorate


@_with_arguments_of(Tuner)
@explains_keywords
def tune(objective: Callable[[dict[str, Any]], Any], space: Any, **settings: Any) -> Results:
    """Tune in one call: ``Tuner(...).fit()``. The keywords are those of Tuner, which ``help(hpo.Tuner)`` explains."""
    return Tuner(objective, space, **settings).fit()


@explains_keywords
def simulate(
    objective: Callable[[dict[str, Any]], Any],
    space: Any,
    *,
    num_workers: int = 1,
    cost: str = COST,
    storage: Any = "memory",
    on_suggestion: Callable[[int, float], object] | None = None,
    checkpoint_cost_s: tuple[float, float] = (0.0, 0.0),
    **settings: Any,
) -> Results:
    """Tune on a virtual clock: the objective reports how long it takes instead of taking that long.

    Args:
        num_workers: the number of virtual workers.
        cost: the metric in which every report and result gives the virtual seconds since its trial began.
        on_suggestion: called with the number of each trial that is handed out and the CPU seconds that this took, which
            do not count as the study's time. ``on_suggestion=seconds.__setitem__`` collects them in a dict.
        checkpoint_cost_s: the virtual seconds that it takes to save a checkpoint, and to resume from one.
        settings: as for Tuner; times and ``time_budget_s`` are virtual. An objective that saves checkpoints is called again
            each time its trial resumes; its metric ``cost`` counts from the first beginning of the trial (or of the trial
            from whose checkpoint it continues). With instances, it is the time of each instance.
    """
    run = start_simulation(
        objective,
        space,
        num_workers=num_workers,
        cost=cost,
        storage=storage,
        on_suggestion=on_suggestion,
        checkpoint_cost_s=checkpoint_cost_s,
        **settings,
    )
    with run:
        return run.watch(Progress(enabled=settings.get("progress", False)))


def start_simulation(
    objective: Callable[[dict[str, Any]], Any],
    space: Any,
    *,
    num_workers: int = 1,
    cost: str = COST,
    storage: Any = "memory",
    on_suggestion: Callable[[int, float], object] | None = None,
    checkpoint_cost_s: tuple[float, float] = (0.0, 0.0),
    **settings: Any,
) -> Run:
    """The run of ``simulate``, for callers for which Ctrl-C must end more than one study.

    Its virtual time passes only while a caller waits for it.
    """
    if "max_concurrent" in settings:
        raise TypeError("simulate has no keyword 'max_concurrent'; did you mean num_workers?")
    if "runtime" in settings:
        raise TypeError(
            "simulate has no keyword 'runtime': it runs on a virtual clock; for another runtime, use hpo.tune"
        )
    num_workers = whole("num_workers", num_workers, least=1)
    settings = {"progress": False, **settings, "runtime": "simulated", "max_concurrent": num_workers}
    tuner = Tuner(objective, space, storage=storage, **settings)
    run = tuner._begun(
        lambda: SimulatedHandle(tuner.plan, cost=cost, on_suggestion=on_suggestion, checkpoint_cost_s=checkpoint_cost_s)
    )
    run.follow()
    return run


def _started(plan: RunPlan, runtime: str, *, detached: bool, say: Callable[[str], object] | None) -> Handle:
    if runtime == "ray":
        from raytune_hpo import cluster

        return (
            cluster.start(plan, detached=detached) if say is None else cluster.start(plan, detached=detached, say=say)
        )
    if runtime == "local":
        return LocalHandle(plan)
    return SimulatedHandle(plan)


def _check_end(settings: Settings, plan: RunPlan) -> None:
    """Check that a study comes to an end; warn if its scheduler finishes no trial before another end than its own.

    Raises:
        SpecError: it has no limit.
    """
    if plan.ends_by_itself:
        return
    if settings.limits == Limits():
        raise SpecError(
            "a study needs an end: give num_trials, num_steps, time_budget_s, target or stagnation=True (or sampler='grid')"
        )
    if settings.limits.num_trials is None and isinstance(plan.scheduler, PASHA):
        warnings.warn(
            "pasha runs its best trial to max_steps when no new trial may begin, and this study has no num_trials: where "
            "time or steps end it, no trial may have completed; give num_trials as well, or read results.best_so_far",
            stacklevel=4,
        )


def _checked_runtime(runtime: str, settings: Settings) -> str:
    """Check a runtime's name, and that it has what the settings ask for; warn of resources that it does not reserve.

    Raises:
        SpecError: it is unknown, or the settings need processes and it has none.
    """
    one_of("runtime", runtime, RUNTIMES)
    if runtime == "ray":
        return runtime
    if settings.isolation == "process":
        raise SpecError(
            f"isolation='process' gives each trial a Ray process, got runtime={runtime!r}; use runtime='ray'"
        )
    bundles = [settings.resources] if isinstance(settings.resources, Mapping) else settings.resources
    ignored = sorted({name for bundle in bundles for name, amount in bundle.items() if amount and name != "cpu"})
    if ignored and settings.max_concurrent is None:
        warnings.warn(
            f"runtime={runtime!r} reserves no {', '.join(ignored)}, got resources={settings.resources!r}; limit the trials "
            f"at the same time by max_concurrent, or use runtime='ray'",
            stacklevel=4,
        )
    return runtime
