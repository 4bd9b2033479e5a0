"""Starting a study on the cluster, and finding one that runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import ActorAlreadyExistsError, RayError

from raytune_hpo.cluster.connecting import connect
from raytune_hpo.cluster.environment import is_movable, optimizer_needs, storage_words
from raytune_hpo.cluster.handle import ClusterHandle, exists
from raytune_hpo.cluster.pool import PoolSettings, worker_environment
from raytune_hpo.cluster.resources import as_bundles, warn_if_infeasible
from raytune_hpo.cluster.shells import (
    HOLDER,
    MAX_INLINE,
    NAMESPACE,
    OPTIMIZER,
    POOL,
    actor_name,
    find,
    get,
    hire,
    on_head,
    packed,
)
from raytune_hpo.cluster.shipping import Keeper, Parcel, pack_objective
from raytune_hpo.cluster.trial_worker import WorkerSettings
from raytune_hpo.errors import ClusterError, StudyExists, StudyNotFound, nearest
from raytune_hpo.runtime.plan import RunPlan, not_called

LINGER_S = 5.0  # how long the actors of a detached study stay after its end
LINGER_MEMORY_S = 3600.0  # and where they are the only ones that have its results


def start(plan: RunPlan, *, detached: bool) -> ClusterHandle:
    """Run a study on the cluster. Detached: it goes on when this process has gone.

    Raises:
        StudyExists: a study of this name runs there already.
        SpecMismatch: it is stored with other settings.
        SpecError: the objective cannot be sent to other processes.
        ClusterError: Ray cannot be reached.
    """
    connect()
    settings = replace(plan.settings, storage=storage_words(plan.settings.storage))
    launch = _Launch(replace(plan, settings=settings), detached)
    try:
        return launch()
    except BaseException:
        launch.undo()
        raise


class _Launch:
    """The actors of one study, as they come into being."""

    def __init__(self, plan: RunPlan, detached: bool) -> None:
        self._plan, self._detached = plan, detached
        self._name = plan.spec.name
        self._actors: dict[str, Any] = {}
        self._keeper = Keeper(self._holder)

    def __call__(self) -> ClusterHandle:
        if exists(actor_name(OPTIMIZER, self._name)):
            raise _taken(self._name)
        warn_if_infeasible("a trial", self._plan.settings.resources)
        parcel = pack_objective(self._plan.objective, self._keeper)
        optimizer = self._optimizer()
        self._pool(parcel)
        storage = _opened(optimizer, self._name)
        owned = {} if self._detached else {name: self._actors[name] for name in reversed(self._actors)}
        return ClusterHandle(self._name, optimizer, storage, owned, self._plan.spec.space)

    def undo(self) -> None:
        for actor in self._actors.values():
            ray.kill(actor)

    def _holder(self) -> Any:
        return self._create(HOLDER, "raytune_hpo.cluster.shipping:Holder", packed(), max_restarts=0, **on_head())

    def _optimizer(self) -> Any:
        plan = replace(self._plan, objective=not_called)
        args: Any = packed(plan)
        if len(args) > MAX_INLINE:
            self._keeper.keep("plan", args)
            args = (actor_name(HOLDER, self._name), NAMESPACE, "plan")
        place = {"num_cpus": 0} if is_movable(plan.settings.storage) else on_head()
        return self._create(
            OPTIMIZER,
            "raytune_hpo.cluster.optimizer_actor:OptimizerActor",
            args,
            serves_many=True,
            max_restarts=-1,
            max_task_retries=-1,
            needs=optimizer_needs(plan.settings.storage, plan.sampler),
            **place,
        )

    def _pool(self, parcel: Parcel) -> None:
        plan, settings = self._plan, self._plan.settings
        bundles = as_bundles(settings.resources)
        linger_s = LINGER_MEMORY_S if settings.storage == "memory" else LINGER_S
        worker = WorkerSettings(
            parcel=parcel,
            rules=plan.rules,
            once=settings.isolation == "process",
            trial_timeout_s=settings.trial_timeout_s,
            num_threads=max(1, int(bundles[0].get("CPU", 1))),
        )
        pool = PoolSettings(
            study=self._name,
            has_holder=self._keeper.is_used,
            worker=worker,
            bundles=bundles,
            max_concurrent=settings.max_concurrent,
            environ=worker_environment(bundles[0]),
            linger_s=linger_s if self._detached else None,
        )
        self._create(
            POOL,
            "raytune_hpo.cluster.pool:WorkerPool",
            packed(pool),
            serves_many=True,
            max_restarts=-1,
            max_task_retries=-1,
            **on_head(),
        )

    def _create(self, role: str, target: str, args: Any, **options: Any) -> Any:
        name = actor_name(role, self._name)
        lifetime = "detached" if self._detached else None
        try:
            actor = hire(target, args, name=name, namespace=NAMESPACE, lifetime=lifetime, **options)
        except ActorAlreadyExistsError as error:  # two drivers at the same moment: one of them gets the name
            raise _taken(self._name) from error
        self._actors[name] = actor
        return actor


def _opened(optimizer: Any, name: str) -> Any:
    try:
        return get(optimizer.call.remote("opened"))
    except ActorAlreadyExistsError as error:  # over Ray Client a taken name shows only here
        raise _taken(name) from error
    except RayError as error:
        raise ClusterError(f"the optimizer of study {name!r} could not be started: {error}") from error


def _taken(name: str) -> StudyExists:
    return StudyExists(
        f"study {name!r} is running on this cluster; follow it with hpo.attach({name!r}), or use another name"
    )


def attach(name: str) -> ClusterHandle:
    """The handle of a study that runs on the cluster.

    Raises:
        StudyNotFound: naming the nearest of those that run.
    """
    connect()
    try:
        optimizer = find(OPTIMIZER, name)
    except ValueError:
        raise StudyNotFound(f"no study {name!r} runs on this cluster; {nearest(name, running())}") from None
    return ClusterHandle(name, optimizer, _opened(optimizer, name))


def running() -> list[str]:
    """The names of the studies that run on the cluster."""
    connect()
    actors = ray.util.list_named_actors(all_namespaces=True)
    prefix = actor_name(OPTIMIZER, "")
    names = [actor["name"] for actor in actors if actor["namespace"] == NAMESPACE]
    return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))
