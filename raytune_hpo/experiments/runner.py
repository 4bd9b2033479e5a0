"""Running an experiment: its repeats one after the other in this process or spread over Ray, each kept when it ends."""

from __future__ import annotations

import functools
import hashlib
import pickle
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from raytune_hpo.errors import ClusterError, NoCompletedTrial, SpecError, SpecMismatch, nearest
from raytune_hpo.experiments.archive import Archive, plain
from raytune_hpo.experiments.experiment import Experiment
from raytune_hpo.experiments.plan import Plan
from raytune_hpo.experiments.progress import Watch
from raytune_hpo.experiments.search import Outcome, outcome_of, searched, tuner_of
from raytune_hpo.experiments.tasks import Task, find_task
from raytune_hpo.runtime.calls import Calls, LocalCalls
from raytune_hpo.runtime.settings import whole

RUNTIMES = ("ray", "local")
_TRUTH = "truth"  # an option that is the task's own, and no JSON
_FIRST_TRIALS = 12  # enough that a model has been fitted


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

    The same call goes on where an earlier one was interrupted, and a larger ``num_repeats`` extends it.

    Args:
        task: or the path of one, see ``find_task``.
        plan: how each repeat is run.
        name: of the experiment; by default after the task and the sampler.
        folder: where experiments are kept, each in a folder of its name; None: this one is not kept.
        estimates: whether to record what the model thought before each step.
        runtime: "ray", or "local": one repeat after the other in this process. Both give the same tables but for the
            seconds that the optimizer took.
        max_jobs: repeats at the same time on Ray; None: as many as there is room for.

    Raises:
        SpecMismatch: an experiment of the same name has another task or plan, or has kept no estimates so far.
        SpecError: the plan does not fit the task.
        NoCompletedTrial: in a whole repeat no trial had a value; those before it are kept.
    """
    task = task if isinstance(task, Task) else find_task(task)
    plan = Plan() if plan is None else plan
    _check(num_repeats, runtime, max_jobs, name)
    spec = _spec(task, plan)
    name = default_name(task, plan) if name is None else name
    archive = None if folder is None else Archive(Path(folder) / name)
    outcomes: dict[int, Outcome] = {}
    if archive is not None:
        archive.open(spec)
        outcomes = {repeat: archive.read(repeat) for repeat in archive.repeats() if repeat < num_repeats}
        _check_estimates(name, outcomes, estimates)
    missing = [repeat for repeat in range(num_repeats) if repeat not in outcomes]
    work = Work(task=task, plan=plan, estimates=estimates)
    with Watch(name, num_repeats, plan.until.goal, task.mode, enabled=progress) as watch, suppress(KeyboardInterrupt):
        watch.begin(outcomes.values())
        for repeat, outcome in _kept(archive, _ended(work, missing, runtime, max_jobs)):
            outcomes[repeat] = outcome
            watch.note(outcome)
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


def _check(num_repeats: int, runtime: str, max_jobs: int | None, name: str | None) -> None:
    """Refuse settings that make no sense, before anything is written."""
    whole("the number of repeats", num_repeats, least=1)
    if max_jobs is not None:
        whole("the number of repeats at the same time", max_jobs, least=1)
    if runtime not in RUNTIMES:
        raise SpecError(f"unknown runtime {runtime!r}; {nearest(str(runtime), RUNTIMES)}")
    if name is not None and (name in ("", ".", "..") or Path(name).name != name):
        raise SpecError(f"the name of an experiment is that of its folder, got {name!r}; give the way there as folder")


def _check_estimates(name: str, outcomes: Mapping[int, Outcome], estimates: bool) -> None:
    """Refuse to add estimates to repeats that have ended without."""
    without = [repeat for repeat, outcome in outcomes.items() if outcome.estimates is None]
    if estimates and without:
        raise SpecMismatch(
            f"experiment {name!r} has kept no estimates of {len(without)} repeats that have ended; run it under another "
            f"name to have them of all, or go on without"
        )


def default_name(task: Task, plan: Plan) -> str:
    """After the task, the sampler and the scheduler."""
    spec = tuner_of(task, plan, 0).plan.spec
    words = [task.name, spec.sampler.name]
    words += [str(spec.sampler.options[key]) for key in ("strategy", "acquisition") if key in spec.sampler.options]
    if isinstance(plan.scheduler, str):
        words.append(plan.scheduler)
    elif spec.scheduler is not None:
        words.append(spec.scheduler.name)
    return "-".join(words)


def _spec(task: Task, plan: Plan) -> dict[str, Any]:
    """What makes two experiments the same: the parts with all their options and versions, so that a new default is seen.

    Raises:
        SpecError: the plan does not fit the task.
    """
    spec = tuner_of(task, plan, 0).plan.spec
    options = {option: value for option, value in spec.sampler.options.items() if option != _TRUTH}
    parts = {
        "sampler": asdict(replace(spec.sampler, options=options)),
        "scheduler": None if spec.scheduler is None else asdict(spec.scheduler),
    }
    return {"task": task.to_json(), "plan": plan.to_json(), "parts": plain(parts)}


# ------------------------------------------------------------------------------------------------ repeats


@dataclass(frozen=True, kw_only=True)
class Work:
    """What all repeats share."""

    task: Task
    plan: Plan
    estimates: bool


@dataclass(frozen=True)
class Parcel:
    """Work on its way to other processes, each of which opens it once: a table of twenty thousand rows takes a while."""

    digest: str
    data: bytes = field(compare=False, repr=False)


def _kept(archive: Archive | None, ended: Iterator[tuple[int, Outcome]]) -> Iterator[tuple[int, Outcome]]:
    """Repeats as they end, each in the archive before anyone hears of it."""
    try:
        for repeat, outcome in ended:
            if archive is not None:
                archive.keep(repeat, outcome)
            yield repeat, outcome
    except NoCompletedTrial:
        if archive is not None:
            archive.clear()  # what mends the task makes another one of it, which may have the name
        raise


def _ended(work: Work, repeats: Sequence[int], runtime: str, max_jobs: int | None) -> Iterator[tuple[int, Outcome]]:
    """Repeats with what came of them, as they end."""
    if not repeats:
        return
    if runtime == "local":
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):  # as in the processes of a cluster
            _import_all_of(work)
            yield from _all_of(LocalCalls(repeat_here, work, 1), repeats)
    else:
        from raytune_hpo import cluster

        calls = cluster.start_calls(repeat_there, _packed(work), resources={"cpu": 1}, max_slots=max_jobs)
        yield from _all_of(calls, repeats)


def _all_of(calls: Calls, repeats: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
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


def repeat_here(work: Work, repeat: int, kept: None) -> tuple[Outcome, None]:
    """One repeat, as a call."""
    return outcome_of(work.task, work.plan, repeat, estimates=work.estimates), None


def repeat_there(parcel: Parcel, repeat: int, kept: None) -> tuple[Outcome, None]:
    """One repeat in a process that has to open the parcel first."""
    return repeat_here(_opened(parcel), repeat, kept)


def _packed(work: Work) -> Parcel:
    from raytune_hpo.cluster.shells import pickler

    try:
        data: bytes = pickler.dumps(work)
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        raise SpecError(f"task {work.task.name!r} cannot be sent to other processes: {error}; use --serial") from error
    return Parcel(hashlib.blake2b(data, digest_size=8).hexdigest(), data)


@functools.lru_cache(maxsize=1)
def _opened(parcel: Parcel) -> Work:
    work: Work = pickle.loads(parcel.data)
    _import_all_of(work)
    return work


def _import_all_of(work: Work) -> None:
    """Have everything imported before the optimizer's seconds are counted: who imports is not thinking."""
    until = replace(work.plan.until, num_trials=min(_FIRST_TRIALS, work.plan.until.num_trials))
    searched(tuner_of(work.task, replace(work.plan, until=until), 0))
