"""Running of experiments: ``hpo.Tuner`` runs the trials, and their results are gathered at the end."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytune_hpo import cluster
from raytune_hpo.api.run import Run
from raytune_hpo.api.tuner import Tuner
from raytune_hpo.compat.ray_tune.config import FailureConfig, RunConfig
from raytune_hpo.compat.ray_tune.driver import Driver
from raytune_hpo.compat.ray_tune.error import NotCarried
from raytune_hpo.compat.ray_tune.gathering import Ending, gathered
from raytune_hpo.compat.ray_tune.listener import Listener, Nobody
from raytune_hpo.compat.ray_tune.mailbox import Postman
from raytune_hpo.compat.ray_tune.prepared import Prepared
from raytune_hpo.compat.ray_tune.resources import in_our_words
from raytune_hpo.compat.ray_tune.search_plan import SearchPlan
from raytune_hpo.compat.ray_tune.stopper import stop_rule
from raytune_hpo.compat.ray_tune.trial_folder import flattened
from raytune_hpo.compat.ray_tune.trial_runner import TrialRunner
from raytune_hpo.compat.ray_tune.trials import Experiment, Trial
from raytune_hpo.compat.ray_tune.tune_config import TuneConfig
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.errors import StudyNotFound
from raytune_hpo.facts import Fact, Printed, Started
from raytune_hpo.journal import open_storage
from raytune_hpo.progress import Progress
from raytune_hpo.results import Results
from raytune_hpo.runtime.local import LocalHandle
from raytune_hpo.runtime.plan import Handle, RunPlan

STUDY = "study.db"  # the study's journal, in the experiment's folder
STOPPED = "stopped by a stop rule"
_RETRIES = 2  # of trials whose worker died, which is not the script's fault
_FOR_EVER = 10**6
_log = logging.getLogger("raytune_hpo")


@dataclass(frozen=True, kw_only=True)
class Running:
    """An experiment with all that is needed to run it.

    Attributes:
        retries: whether trials that have failed in earlier sessions are tried again.
    """

    experiment: Experiment
    plan: SearchPlan
    trainable: Prepared
    tune_config: TuneConfig
    run_config: RunConfig
    retries: bool = False

    def __call__(self) -> Ending:
        """Run it to its end."""
        stopper = stop_rule(self.run_config.stop)[1]
        fail_fast = (self.run_config.failure_config or FailureConfig()).fail_fast
        reporter = None if self._is_silent else self.run_config.progress_reporter
        callbacks = self.run_config.callbacks or ()
        driver = Driver(callbacks, stopper, reporter, fails_fast=bool(fail_fast))
        if reporter is not None:
            reporter.setup(metric=self.plan.metric, mode=self.plan.mode, total_samples=self.plan.num_samples)
        driver.begin(stop=stopper, num_samples=self.tune_config.num_samples, total_num_samples=self.plan.num_samples)
        study = self._run(driver)
        driver.end()
        if driver.failure is not None:
            raise driver.failure
        ending = gathered(self.experiment, study, self.plan, driver, is_over=True)
        _warn_of_missing(self.experiment.stop, ending.trials)
        if fail_fast == "raise" and ending.results.errors:
            raise ending.results.errors[0]
        return ending

    @property
    def _is_silent(self) -> bool:
        return self.run_config.verbose in (0, False)

    def stored(self) -> Ending:
        """The outcome of earlier sessions."""
        plan = self._tuner(self.trainable, "local").plan
        storage = open_storage(plan.settings.storage)
        try:
            study = Results.from_ledger(Ledger.fold(storage.read(plan.spec.name), plan.spec), plan)
        except StudyNotFound:
            study = Results(plan.spec, (), plan)
        finally:
            storage.close()
        return gathered(self.experiment, study, self.plan, Driver(), is_over=False)

    # -------------------------------------------------------------------------------------------- hpo.Tuner

    def _run(self, driver: Driver) -> Results:
        runtime = runtime_of(self.tune_config.runtime)
        progress = Progress(enabled=not self._is_silent)
        postman = None
        with progress:
            listener: Listener = driver
            if runtime == "ray":
                cluster.connect(say=progress.say)
                _check_files_are_here()
                postman = Postman(driver) if driver.is_needed else None
                listener = Nobody() if postman is None else postman.listener
            else:
                _warn_of_gpus(self.experiment)
            runner = TrialRunner(self.experiment, self.trainable, listener, in_thread=runtime == "local")
            try:
                return self._watched(runner, runtime, progress, driver)
            finally:
                runner.close()
                if postman is not None:
                    postman.close()

    def _watched(self, runner: TrialRunner, runtime: str, progress: Progress, driver: Driver) -> Results:
        tuner = self._tuner(runner, runtime)
        followers = [] if self._is_silent else [Echo(self.experiment)]
        over = threading.Event()
        with Run(_started(tuner.plan, runtime, progress), tuner.plan) as run:
            watch = threading.Thread(target=_stop_when_asked, args=(driver, run, over), daemon=True)
            watch.start()
            try:
                return run.watch(progress, *followers)
            finally:
                over.set()
                driver.stops_all.set()
                watch.join()

    def _tuner(self, runner: Any, runtime: str) -> Tuner:
        experiment, plan, trainable = self.experiment, self.plan, self.trainable
        objective = cluster.with_parameters(runner, **trainable.parameters) if trainable.parameters else runner
        bundles = in_our_words(experiment.resources)
        retries = experiment.max_failures if experiment.max_failures >= 0 else _FOR_EVER
        return Tuner(
            objective,
            plan.space,
            metric=plan.metric,
            mode=plan.mode,
            sampler=plan.sampler,
            scheduler=plan.scheduler,
            num_trials=plan.num_trials,
            time_budget_s=self.tune_config.time_budget_s,
            max_concurrent=plan.max_concurrent,
            resources=bundles[0] if len(bundles) == 1 else bundles,
            max_retries=max(_RETRIES, retries),
            retry_failed=self.retries,
            points_to_evaluate=plan.points,
            seed=plan.seed,
            name=experiment.study_name,
            storage=f"sqlite:///{Path(experiment.path) / STUDY}",
            keep_checkpoints=0,
            outcome_constraints=plan.outcome_constraints,
            runtime=runtime,
        )


def runtime_of(wanted: str | None) -> str:
    """The runtime: "ray" if this process is connected to Ray, or RAY_ADDRESS names a cluster; otherwise threads of it."""
    if wanted is not None:
        return wanted
    ray = sys.modules.get("ray")
    is_connected = ray is not None and hasattr(ray, "is_initialized") and ray.is_initialized()
    return "ray" if is_connected or os.environ.get("RAY_ADDRESS") else "local"


def _started(plan: RunPlan, runtime: str, progress: Progress) -> Handle:
    if runtime == "local":
        return LocalHandle(plan)
    return cluster.start(plan, detached=False, say=progress.say)


def _stop_when_asked(driver: Driver, run: Run, over: threading.Event) -> None:
    driver.stops_all.wait()
    if not over.is_set():
        run.stop(STOPPED)


def _check_files_are_here() -> None:
    """Check that this process sees the files in which trials write their results.

    Raises:
        NotCarried: this process is a client from outside the cluster.
    """
    if cluster.is_remote():
        raise NotCarried(
            "an experiment's files are read where its script runs, and over Ray Client they lie elsewhere; run the script "
            "on the cluster (ray job submit), or use hpo.Tuner, which can be used from outside"
        )


def _warn_of_gpus(experiment: Experiment) -> None:
    if experiment.resources.required_resources.get("GPU"):
        warnings.warn(
            "trials that run in threads of this process are not given GPUs of their own; call ray.init() before, and they "
            "run on Ray",
            stacklevel=2,
        )


def _warn_of_missing(stop: Mapping[str, Any], trials: list[Trial]) -> None:
    """Warn of metrics in a stop rule that no result has had: such a rule ends nothing."""
    seen = {name for trial in trials for name in flattened(trial.last_result)}
    missing = [name for name in stop if name not in seen]
    if missing and seen:
        _log.warning("stop=%s never ended a trial: no result has had %s", dict(stop), ", ".join(missing))


class Echo:
    """Shows the output of trials when they have ended, each line with its trial's name."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._members: dict[int, int] = {}  # by the numbers of their segments

    def __call__(self, fact: Fact) -> None:
        if isinstance(fact, Started) and (fact.meta or {}).get("slot") is not None:
            self._members[fact.number] = int(fact.meta["slot"])
        if isinstance(fact, Printed):
            number = self._members.get(fact.number, fact.number)
            name = f"({self._experiment.trainable_name}_{self._experiment.trial_id(number)})"
            sys.stdout.write("".join(f"{name} {line}\n" for line in fact.text.splitlines()))
            sys.stdout.flush()
