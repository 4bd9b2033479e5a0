"""``Tuner``: runs an experiment by its settings, and restores it from its folder."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

import cloudpickle

from raytune_hpo.compat.ray_tune.config import CheckpointConfig, FailureConfig, RunConfig
from raytune_hpo.compat.ray_tune.error import NotCarried
from raytune_hpo.compat.ray_tune.gathering import Ending
from raytune_hpo.compat.ray_tune.own_copy import own_copy
from raytune_hpo.compat.ray_tune.prepared import Prepared, prepared
from raytune_hpo.compat.ray_tune.resources import PlacementGroupFactory, resolved
from raytune_hpo.compat.ray_tune.result import DEFAULT_RESULTS_DIR
from raytune_hpo.compat.ray_tune.result_grid import ResultGrid
from raytune_hpo.compat.ray_tune.running import Running
from raytune_hpo.compat.ray_tune.search_plan import SearchPlan, plan_of
from raytune_hpo.compat.ray_tune.stopper import stop_rule
from raytune_hpo.compat.ray_tune.trial_folder import write_json
from raytune_hpo.compat.ray_tune.trials import Experiment
from raytune_hpo.compat.ray_tune.tune_config import ResumeConfig, TuneConfig
from raytune_hpo.facts import Status
from raytune_hpo.rng import derive

SAVED = "tuner.pkl"  # the tuner's settings, in its experiment's folder
SESSION = "session.json"  # of the newest experiment there: its number, where it began, the trials that were repeated
_RESULTS_DIRS = ("RAY_AIR_LOCAL_CACHE_DIR", "TUNE_RESULT_DIR")
_CHDIR = "RAY_CHDIR_TO_TRIAL_DIR"
_log = logging.getLogger("raytune_hpo")


@dataclass(frozen=True)
class Resumption:
    """The settings by which a restored experiment continues.

    Attributes:
        unfinished: whether trials that had not ended are resumed.
        errored: "skip", "resume" or "restart", for trials that have failed.
        plan: the plan of the earlier session.
    """

    plan: SearchPlan
    unfinished: bool = True
    errored: str = "skip"


class Tuner:
    """An experiment: a trainable, its space, and the settings of its search and its run.

    Trials run on Ray if this process is connected to a cluster (``ray.init``, ``hpo.connect``) or ``RAY_ADDRESS`` names
    one, and otherwise in threads of this process; ``runtime`` sets this explicitly.

    Args:
        trainable: a function of a configuration, a subclass of ``Trainable``, or the result of ``with_parameters`` or
            ``with_resources``.
        param_space: constants and domains, nested as needed; domains of this package, of ``ray.tune`` or of another
            library.
        runtime: "ray" or "local"; None: see above.

    Raises:
        ValueError: settings contradict each other.
        NotCarried: a feature of Ray Tune has no counterpart here.
        TuneError: the trainable is a function of other arguments.
    """

    def __init__(
        self,
        trainable: Any = None,
        *,
        param_space: Any = None,
        tune_config: TuneConfig | None = None,
        run_config: RunConfig | None = None,
        runtime: str | None = None,
        _tuner_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self._trainable = prepared(trainable)
        self._trainable_name = self._trainable.__name__
        self._param_space = param_space
        self._tune_config = tune_config or TuneConfig()
        if runtime is not None:
            self._tune_config = replace(self._tune_config, runtime=runtime)
        self._run_config = run_config or RunConfig()
        self._take(_tuner_kwargs or {})
        self._results: ResultGrid | None = None
        self._resumption: Resumption | None = None
        self._trainable.check_arguments()
        _checkpoints(self._trainable, self._run_config.checkpoint_config or CheckpointConfig())  # refuses early

    def _take(self, settings: Mapping[str, Any]) -> None:
        """Apply settings that scripts pass on to ``tune.run``.

        Raises:
            NotCarried: a setting has no counterpart here.
        """
        for name, value in settings.items():
            if name in {each.name for each in fields(TuneConfig)}:
                self._tune_config = replace(self._tune_config, **{name: value})
            elif name in {each.name for each in fields(RunConfig)}:
                self._run_config = replace(self._run_config, **{name: value})
            elif name != "raise_on_failed_trial":  # fit never raises because of a trial
                raise NotCarried(f"Tuner has no counterpart here for _tuner_kwargs={{{name!r}: ...}}; leave it out")

    def fit(self) -> ResultGrid:
        """Run the experiment to its end; Ctrl-C ends it early, and the results so far are returned.

        Exceptions of trials are kept in their results, except with ``FailureConfig(fail_fast="raise")``.
        """
        return self.fit_trials().results

    def fit_trials(self) -> Ending:
        """As ``fit``, with the trials as callbacks see them, for ``tune.run``."""
        resumption = self._resumption
        running = self._running(begins=resumption is None)
        ending = (running if resumption is None else _resumed(running, resumption))()
        self._results = ending.results
        return ending

    def stored_trials(self) -> Ending:
        """The results of a restored experiment, and its trials, for ``ExperimentAnalysis``."""
        return self._running(begins=False).stored()

    def get_results(self) -> ResultGrid:
        """The results of ``fit``, or those of a restored experiment.

        Raises:
            RuntimeError: there are none yet.
        """
        if self._results is None and self._resumption is not None:
            self._results = self.stored_trials().results
        if self._results is None:
            raise RuntimeError("an experiment has results after fit(), which has not been called")
        return self._results

    # -------------------------------------------------------------------------------------------- restoring

    @classmethod
    def can_restore(cls, path: str | PathLike[str], storage_filesystem: Any = None) -> bool:
        """Whether an experiment has been started in a folder."""
        return (Path(path).expanduser() / SAVED).is_file()

    @classmethod
    def restore(
        cls,
        path: str | PathLike[str],
        trainable: Any,
        resume_unfinished: bool = True,
        resume_errored: bool = False,
        restart_errored: bool = False,
        param_space: Any = None,
        storage_filesystem: Any = None,
        _resume_config: ResumeConfig | None = None,
    ) -> Tuner:
        """The tuner of the experiment in a folder; ``fit`` continues it.

        Args:
            trainable: the same as before.
            resume_unfinished: resume trials that had not ended, from their last checkpoints.
            resume_errored: resume trials that had failed, from their last checkpoints.
            restart_errored: run trials that had failed again, from scratch.
            param_space: the space again, if it contains objects that have to be created anew; with the same domains.

        Raises:
            ValueError: no experiment has been started there, or failed trials are to be both resumed and restarted.
        """
        folder = Path(path).expanduser().absolute()
        if not cls.can_restore(folder):
            raise ValueError(f"restore needs the folder of an experiment, {folder} has no {SAVED}; see can_restore")
        if _resume_config is not None:
            resume_unfinished = _resume_config.unfinished != "skip"
            resume_errored, restart_errored = _resume_config.errored == "resume", _resume_config.errored == "restart"
        if resume_errored and restart_errored:
            raise ValueError("trials that have failed are resumed or restarted, got both")
        saved = cloudpickle.loads((folder / SAVED).read_bytes())
        run_config = replace(saved["run_config"], name=folder.name, storage_path=str(folder.parent), local_dir=None)
        tuner = cls(trainable, param_space=param_space, tune_config=saved["tune_config"], run_config=run_config)
        plan = saved["plan"]
        if plan is None and param_space is None:
            raise ValueError(
                f"the space of {folder} holds what could not be kept; give restore the same param_space again"
            )
        if param_space is not None:
            config = replace(saved["tune_config"], seed=saved["seed"])
            plan = plan_of(param_space, config, stop_rule(run_config.stop)[0])
        errored = "restart" if restart_errored else "resume" if resume_errored else "skip"
        tuner._trainable_name = saved.get("trainable_name", tuner._trainable_name)
        tuner._resumption = Resumption(plan, resume_unfinished, errored)
        return tuner

    # -------------------------------------------------------------------------------------------- from settings to a run

    def _running(self, *, begins: bool) -> Running:
        """The experiment that is to be run.

        Args:
            begins: whether it is a new experiment; otherwise it is the newest one in its folder.
        """
        stop = stop_rule(self._run_config.stop)[0]
        plan = (
            plan_of(self._param_space, self._tune_config, stop) if self._resumption is None else self._resumption.plan
        )
        folder = experiment_folder(self._run_config, self._trainable)
        folder.mkdir(parents=True, exist_ok=True)
        session = _read(folder / SESSION)
        number = session.get("number", 0) + begins
        experiment = self._experiment(folder, plan, {**plan.stop, **stop}, number)
        if begins:
            _write_session(experiment)
            self._save(folder, plan)
        else:
            again = {int(new): old for new, old in session.get("identities", {}).items()}
            experiment = replace(experiment, identities=again, origin=session.get("origin", str(folder)))
        return Running(
            experiment=experiment,
            plan=plan,
            trainable=self._trainable,
            tune_config=self._tune_config,
            run_config=self._run_config,
        )

    def _experiment(self, folder: Path, plan: SearchPlan, stop: Mapping[str, Any], session: int) -> Experiment:
        config, run_config = self._tune_config, self._run_config
        failures = run_config.failure_config or FailureConfig()
        return Experiment(
            name=folder.name,
            path=str(folder),
            origin=str(folder),
            session=session,
            trainable_name=self._trainable_name,
            parameters=tuple(column.name for column in plan.space.columns),
            resources=self._resources(plan),
            transform=plan.transform,
            explore=plan.explore,
            known=plan.known,
            population=plan.population,
            last_step=plan.last_step,
            pauses=plan.pauses,
            steps=plan.steps,
            metrics=plan.metrics,
            needs_goals=plan.scheduler is not None or plan.population is not None or plan.pauses,
            stop=stop,
            max_failures=failures.max_failures,
            checkpoints=_checkpoints(self._trainable, run_config.checkpoint_config or CheckpointConfig()),
            reuses=config.reuse_actors,
            changes_folder=os.environ.get(_CHDIR, "1") != "0" and config.chdir_to_trial_dir is not False,
            log_file=_log_file(run_config.log_to_file),
            trial_name_creator=config.trial_name_creator,
            trial_dirname_creator=config.trial_dirname_creator,
        )

    def _resources(self, plan: SearchPlan) -> PlacementGroupFactory:
        def first() -> dict[str, Any]:
            drawn = plan.space.sample(1, derive(plan.seed, "resources"))[0]
            return dict(own_copy(drawn if plan.transform is None else plan.transform(drawn)))

        request, trainable = self._trainable.resources, self._trainable.trainable
        if request is None and self._trainable.is_class:
            request = trainable.default_resource_request(first())  # type: ignore[attr-defined]  # of a Trainable
        return resolved(request, first)

    def _save(self, folder: Path, plan: SearchPlan) -> None:
        """Save the data that ``restore`` needs."""
        bare = replace(self._run_config, callbacks=None, progress_reporter=None)
        for kept, run_config in ((plan, self._run_config), (plan, bare), (None, bare)):
            saved = {
                "plan": kept,
                "seed": plan.seed,
                "tune_config": self._tune_config,
                "run_config": run_config,
                "trainable_name": self._trainable_name,
            }
            try:
                data = cloudpickle.dumps(saved)
            except Exception as error:  # whatever the pickling of a user's object raises
                _log.debug("an experiment's settings cannot be pickled: %s", error)
                continue
            (folder / SAVED).write_bytes(data)
            if run_config is bare and self._run_config.callbacks:
                _log.warning(
                    "experiment %s: Tuner.restore goes on without its callbacks, which cannot be pickled", folder
                )
            return
        _log.warning("experiment %s holds what cannot be pickled, so that Tuner.restore cannot take it up", folder)


def _resumed(running: Running, resumption: Resumption) -> Running:
    """The run of a restored experiment, with the trials that are repeated and their identities."""
    experiment = running.experiment
    if resumption.errored == "skip" and resumption.unfinished:
        return running
    trials = list(running.stored().results.study or ())
    if not resumption.unfinished:
        open_ended = (Status.WAITING, Status.RUNNING, Status.PAUSED)
        experiment = replace(experiment, skipped=frozenset(t.number for t in trials if t.status in open_ended))
    if resumption.errored == "skip":
        return replace(running, experiment=experiment)
    before = experiment.identities
    failed = [t.number for t in trials if t.status is Status.FAILED and t.number not in before.values()]
    again = {len(trials) + i: before.get(number, number) for i, number in enumerate(failed)}
    identities = {**before, **again}
    anew = frozenset(again) if resumption.errored == "restart" else frozenset()
    experiment = replace(experiment, identities=identities, begins_anew=anew)
    _write_session(experiment)
    return replace(running, experiment=experiment, retries=bool(failed))


def _write_session(experiment: Experiment) -> None:
    session = {
        "number": experiment.session,
        "origin": experiment.origin,
        "identities": dict(experiment.identities),
    }
    write_json(Path(experiment.path) / SESSION, session)


def experiment_folder(config: RunConfig, trainable: Prepared) -> Path:
    """The folder of an experiment: by its name, or by the trainable's and the time."""
    root = config.storage_path
    if root is None:
        root = next((os.environ[name] for name in _RESULTS_DIRS if os.environ.get(name)), DEFAULT_RESULTS_DIR)
    name = config.name or f"{trainable.__name__}_{time.strftime('%Y-%m-%d_%H-%M-%S')}"
    return Path(root).expanduser().absolute() / name


def _checkpoints(trainable: Prepared, config: CheckpointConfig) -> CheckpointConfig:
    """The settings, in which a class that can be saved is saved at the end unless the script says otherwise.

    Raises:
        ValueError: checkpoints by steps are requested of a function, which decides itself when it saves.
    """
    if trainable.is_class:
        if config.checkpoint_at_end is not None:
            return config
        return replace(config, checkpoint_at_end=trainable.can_be_saved)
    if config.checkpoint_frequency or config.checkpoint_at_end:
        raise ValueError(
            "checkpoint_frequency and checkpoint_at_end are for trainables that are classes; a function gives a checkpoint "
            "to tune.report"
        )
    return config


def _log_file(wanted: bool | str | Sequence[str] | None) -> str | None:
    """The name of the file for a trial's output, which is one text here: of a pair of names, the first."""
    if not wanted:
        return None
    return "stdout" if wanted is True else wanted if isinstance(wanted, str) else wanted[0]


def _read(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return data
