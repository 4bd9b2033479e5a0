"""Runner of experiments: repeats run one by one in this process or in parallel on Ray, and each is kept when it ends."""

from __future__ import annotations

import functools
import pickle
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from raytune_hpo.api.tuner import Tuner, start_simulation
from raytune_hpo.errors import ClusterError, NoCompletedTrial, SpecError, SpecMismatch, nearest
from raytune_hpo.experiments.archive import Archive
from raytune_hpo.experiments.experiment import Experiment
from raytune_hpo.experiments.parts import TRUTH
from raytune_hpo.experiments.plan import Plan
from raytune_hpo.experiments.progress import ExperimentProgress
from raytune_hpo.experiments.search import SearchOutcome, outcome_of, search_settings
from raytune_hpo.experiments.tasks import Task, content_digest, find_task
from raytune_hpo.options import whole
from raytune_hpo.runtime.calls import Calls, LocalCalls
from raytune_hpo.spec import StudySpec

EXPERIMENT_RUNTIMES = ("ray", "local")
_WARM_UP_TRIALS = 12  # enough that a model has been fitted


@dataclass(frozen=True, kw_only=True)
class RepeatedSearch:
    """The data that all repeats of an experiment share."""

    task: Task
    plan: Plan
    estimates: bool


@dataclass(frozen=True)
class PackedSearch:
    """A pickled search for other processes. Each unpacks it only once, since a table of 20,000 rows takes a while."""

    digest: str
    data: bytes = field(compare=False, repr=False)


def run_experiment(
    task: Task | str | Path,
    num_repeats: int,
    plan: Plan | None = None,
    *,
    name: str | None = None,
    folder: str | Path | None = None,
    estimates: bool = False,
    runtime: str = "ray",
    max_jobs: int | None = None,
    progress: bool = True,
) -> Experiment:
    """Repeat a search with derived seeds; Ctrl-C ends it, and returns the repeats that have ended.

    The same call continues an interrupted experiment, and a larger ``num_repeats`` extends it.

    Args:
        task: a task, or the path or name of one, see ``find_task``.
        num_repeats: how many repeats there are to be in all.
        plan: how each repeat is run.
        name: the experiment's name; by default made from the task and the sampler.
        folder: where experiments are kept, each in a folder of its name; None: this one is not kept.
        estimates: whether to record the model's estimates before each step.
        runtime: "ray", or "local": one repeat after the other in this process. Both give the same tables, apart from the
            seconds that the optimizer took.
        max_jobs: repeats at the same time on Ray; None: as many as there is room for.
        progress: whether to show progress.

    Raises:
        SpecMismatch: an experiment of the same name has another task or plan, or was run without estimates.
        SpecError: the plan does not fit the task.
        NoCompletedTrial: no trial of a repeat had a value; the repeats before it are kept.
    """
    whole("the number of repeats", num_repeats, least=1)
    if max_jobs is not None:
        whole("the number of repeats at the same time", max_jobs, least=1)
    if runtime not in EXPERIMENT_RUNTIMES:
        raise SpecError(f"unknown runtime {runtime!r}; {nearest(str(runtime), EXPERIMENT_RUNTIMES)}")
    if name is not None and (name in ("", ".", "..") or Path(name).name != name):
        raise SpecError(f"the name of an experiment is that of its folder, got {name!r}; give the way there as folder")
    task = task if isinstance(task, Task) else find_task(task)
    plan = Plan() if plan is None else plan
    # Any repeat's study describes all of them, since only the seed differs.
    spec = Tuner(**search_settings(task, plan, 0), runtime="simulated").plan.spec
    name = default_experiment_name(task, plan, spec) if name is None else name
    archive = None if folder is None else Archive(Path(folder) / name)
    outcomes: dict[int, SearchOutcome] = {}
    if archive is not None:
        archive.open(archive_spec(task, plan, spec))
        outcomes = {repeat: archive.read(repeat) for repeat in archive.repeats() if repeat < num_repeats}
        _require_estimates(name, outcomes, estimates)
    missing = [repeat for repeat in range(num_repeats) if repeat not in outcomes]
    search = RepeatedSearch(task=task, plan=plan, estimates=estimates)
    line = ExperimentProgress(name, num_repeats, plan.until.goal, task.mode, enabled=progress)
    try:
        with line, suppress(KeyboardInterrupt):
            line.begin(outcomes.values())
            for repeat, outcome in _ended(search, missing, runtime, max_jobs):
                if archive is not None:
                    archive.keep(repeat, outcome)
                outcomes[repeat] = outcome
                line.note(outcome)
    except NoCompletedTrial:
        if archive is not None:
            archive.clear()  # a repaired task is another task, which may then take the name
        raise
    return Experiment(
        name=name,
        task=task.name,
        metric=task.metric,
        mode=task.mode,
        plan=plan,
        outcomes=dict(sorted(outcomes.items())),
        folder=None if archive is None else archive.folder,
        is_whole=len(outcomes) == num_repeats,
    )


def _require_estimates(name: str, outcomes: Mapping[int, SearchOutcome], estimates: bool) -> None:
    """Refuse to add estimates to an experiment whose repeats have none."""
    without = [repeat for repeat, outcome in outcomes.items() if outcome.estimates is None]
    if estimates and without:
        raise SpecMismatch(
            f"experiment {name!r} has kept no estimates of {len(without)} repeats that have ended; run it under another "
            f"name to have them of all, or continue without"
        )


def default_experiment_name(task: Task, plan: Plan, spec: StudySpec) -> str:
    """A name made from the task, the sampler and the scheduler."""
    words = [task.name, spec.sampler.name]
    words += [str(spec.sampler.options[key]) for key in ("strategy", "acquisition") if key in spec.sampler.options]
    if isinstance(plan.scheduler, str):
        words.append(plan.scheduler)
    elif spec.scheduler is not None:
        words.append(spec.scheduler.name)
    return "-".join(words)


def archive_spec(task: Task, plan: Plan, spec: StudySpec) -> dict[str, Any]:
    """The spec on which all runs of an experiment must agree, including parts with all their options and versions.

    Args:
        spec: the spec of one repeat's study.
    """
    options = {option: value for option, value in spec.sampler.options.items() if option != TRUTH}
    parts = {
        "sampler": asdict(replace(spec.sampler, options=options)),
        "scheduler": None if spec.scheduler is None else asdict(spec.scheduler),
    }
    return {"task": task.to_json(), "plan": plan.to_json(), "parts": parts}


# ------------------------------------------------------------------------------------------------ repeats


def _ended(
    search: RepeatedSearch, repeats: Sequence[int], runtime: str, max_jobs: int | None
) -> Iterator[tuple[int, SearchOutcome]]:
    """Run repeats, and yield each with its outcome when it has ended."""
    if not repeats:
        return
    if runtime == "local":
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):  # as in the processes of a cluster
            _warm_up(search)
            yield from _outcomes(LocalCalls(repeat_here, search, 1), repeats)
    else:
        from raytune_hpo import cluster

        calls = cluster.start_calls(repeat_there, _packed(search), resources={"cpu": 1}, max_slots=max_jobs)
        yield from _outcomes(calls, repeats)


def _outcomes(calls: Calls, repeats: Sequence[int]) -> Iterator[tuple[int, SearchOutcome]]:
    waiting, under_way = deque(repeats), 0
    try:
        while waiting or under_way:
            while waiting and under_way < calls.num_slots():
                calls.begin(waiting[0], waiting.popleft())
                under_way += 1
            for settled in calls.wait():
                under_way -= 1
                if settled.error is not None:
                    raise settled.error
                if settled.lost is not None:
                    raise ClusterError(f"repeat {settled.key} cannot be run: {settled.lost}")
                yield settled.key, settled.value
    finally:
        calls.close()


def repeat_here(search: RepeatedSearch, repeat: int, kept: None) -> tuple[SearchOutcome, None]:
    """Run one repeat, as one of ``Calls``."""
    return outcome_of(search.task, search.plan, repeat, estimates=search.estimates), None


def repeat_there(parcel: PackedSearch, repeat: int, kept: None) -> tuple[SearchOutcome, None]:
    """Run one repeat in a process of a cluster."""
    return repeat_here(_unpacked(parcel), repeat, kept)


def _packed(search: RepeatedSearch) -> PackedSearch:
    """A search as bytes.

    Raises:
        SpecError: the task's functions cannot be sent.
    """
    from raytune_hpo.cluster.shells import pickler

    try:
        data: bytes = pickler.dumps(search)
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        name = search.task.name
        raise SpecError(f"task {name!r} cannot be sent to other processes: {error}; use --serial") from error
    return PackedSearch(content_digest(data), data)


@functools.lru_cache(maxsize=1)
def _unpacked(parcel: PackedSearch) -> RepeatedSearch:
    """A search from its bytes, once in each process."""
    search: RepeatedSearch = pickle.loads(parcel.data)
    _warm_up(search)
    return search


def _warm_up(search: RepeatedSearch) -> None:
    """Import everything beforehand, so that imports do not count as the optimizer's time."""
    num_trials = min(_WARM_UP_TRIALS, search.plan.until.num_trials)
    settings = search_settings(search.task, search.plan, 0)
    with start_simulation(**{**settings, "num_trials": num_trials}, num_workers=search.plan.num_workers) as run:
        run.wait()
