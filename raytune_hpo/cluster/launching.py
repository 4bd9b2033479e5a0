"""Launching: starts a study on the cluster, or attaches to a running one."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import ActorAlreadyExistsError, ActorDiedError, GetTimeoutError, RayError

from raytune_hpo.checkpoints.temporary import temporary_place
from raytune_hpo.cluster import is_remote
from raytune_hpo.cluster.connecting import Say, connect, connection, silence
from raytune_hpo.cluster.environment import is_movable, optimizer_needs, storage_words
from raytune_hpo.cluster.handle import ClusterHandle
from raytune_hpo.cluster.pool import PoolSettings, worker_environment
from raytune_hpo.cluster.pool_here import PoolHere
from raytune_hpo.cluster.resources import as_bundles, warn_if_infeasible
from raytune_hpo.cluster.shells import (
    HOLDER,
    MAX_INLINE,
    NAMESPACE,
    OPTIMIZER,
    POOL,
    actor_name,
    exists,
    find,
    get,
    hire,
    on_head,
    packed,
)
from raytune_hpo.cluster.shipping import Keeper, Parcel, pack_objective
from raytune_hpo.cluster.trial_worker import WorkerSettings
from raytune_hpo.errors import ClusterError, HpoError, StudyExists, StudyNotFound, nearest
from raytune_hpo.runtime.plan import RunPlan, not_called

LINGER_S = 5.0  # how long the actors of a detached study stay after its end
LINGER_MEMORY_S = 3600.0  # the same if only they have its results
STARVING_S = 60.0  # of silence from all trials, before a check whether they occupy the room that they wait for
LAUNCH_S = 10.0  # between the first and the last actor of a study, big parameters apart; and for actors to leave
ORPHAN_S = 60.0  # how often the optimizer of a detached study checks whether it has a pool
ORPHAN_HOLDER_S = 600.0  # the same for a holder: between two big parameters, their driver may be busy packing


def start(plan: RunPlan, *, detached: bool, say: Say = silence) -> ClusterHandle:
    """Start a study on the cluster. A detached one continues after this process has ended.

    Args:
        say: shows the user what is being waited for.

    Raises:
        StudyExists: a study of this name runs there already.
        SpecMismatch: it is stored with other settings.
        SpecError: the objective cannot be sent to other processes.
        ClusterError: Ray cannot be reached.
    """
    connect(say=say)
    settings = replace(plan.settings, storage=storage_words(plan.settings.storage))
    launch, cluster = _Launch(replace(plan, settings=settings), detached), connection()
    try:
        handle = launch()
        if connection() != cluster:
            raise _left(plan.spec.name)
        say("waiting for the first worker ...")
    except BaseException as error:
        if connection() == cluster:
            launch.undo()
            raise
        launch.abandon()
        if isinstance(error, Exception):
            raise _left(plan.spec.name) from error
        raise
    return handle


def _left(name: str) -> ClusterError:
    return ClusterError(
        f"this process has left the cluster while study {name!r} was being started: ray.shutdown() was called; "
        f"connect again, and make the same call"
    )


def _make_room(name: str) -> None:
    """Make a study's name free: end the actors that have it.

    Those of an ended study, which linger for a while to answer calls, are asked to leave. Those of a driver that ended while
    it started the study are removed.

    Raises:
        StudyExists: the study runs, or is being started.
    """
    deadline, asked = time.monotonic() + LAUNCH_S, False
    while roles := [role for role in (POOL, OPTIMIZER, HOLDER) if exists(role, name)]:
        if OPTIMIZER in roles and not asked and (POOL in roles or _has_driver(name)):
            if not _has_ended(name):
                raise _taken(name)
            asked = True
            _ask_to_leave(name)
        if time.monotonic() > deadline:
            if asked or _is_being_started(name):
                raise _taken(name)
            for role in roles:
                _end(role, name)
            deadline, asked = time.monotonic() + LAUNCH_S, True
        time.sleep(0.05)


def _has_driver(name: str) -> bool:
    """Whether the optimizer ends with its driver, in which the pool runs."""
    try:
        return bool(get(find(OPTIMIZER, name).call.remote("has_driver"), LAUNCH_S))
    except GetTimeoutError:
        return True  # its process is just being started
    except (ValueError, RayError):
        return False


def _has_ended(name: str) -> bool:
    try:
        ended, _ = get(find(OPTIMIZER, name).call.remote("wait", 0.0), LAUNCH_S)
    except (HpoError, ValueError, ActorDiedError):
        return True  # it cannot continue, or has just left
    except RayError:
        return False  # it is opening its journal, or being restarted
    return bool(ended)


def _ask_to_leave(name: str) -> None:
    with suppress(ValueError, RayError):  # it was just leaving
        get(find(POOL, name).call.remote("leave"), LAUNCH_S)


def _is_being_started(name: str) -> bool:
    """Whether a driver is still sending parameters to the holder."""
    try:
        return float(get(find(HOLDER, name).call.remote("idle_s"), 1.0)) < LAUNCH_S
    except GetTimeoutError:
        return True
    except (ValueError, RayError):
        return False


def _end(role: str, name: str) -> None:
    with suppress(ValueError):  # it has just ended
        actor = find(role, name)
        if role == OPTIMIZER:
            with suppress(RayError):
                ray.get(actor.call.remote("close"), timeout=5.0)  # which releases the journal
        ray.kill(actor)


class _Launch:
    """The actors of one study while it is being started."""

    def __init__(self, plan: RunPlan, detached: bool) -> None:
        self._plan, self._detached = plan, detached
        self._name = plan.spec.name
        self._actors: dict[str, Any] = {}
        self._pool_here: PoolHere | None = None
        self._keeper = Keeper(self._holder)

    def __call__(self) -> ClusterHandle:
        _make_room(self._name)
        warn_if_infeasible("a trial", self._plan.settings.resources)
        parcel = pack_objective(self._plan.objective, self._keeper)
        optimizer = self._optimizer()
        self._pool(parcel)
        storage, node = _opened(optimizer, self._name)
        owned = {} if self._detached else {role: self._actors[role] for role in reversed(self._actors)}
        return ClusterHandle(self._name, optimizer, storage, node, owned, self._pool_here, self._plan.spec.space)

    def undo(self) -> None:
        self.abandon()
        for actor in self._actors.values():
            ray.kill(actor)

    def abandon(self) -> None:
        """End what runs in this process; the actors belong to a cluster that it has left."""
        if self._pool_here is not None:
            self._pool_here.close()

    def _holder(self) -> Any:
        orphan_s = ORPHAN_HOLDER_S if self._detached else None
        args = packed(self._name, orphan_s)
        return self._create(HOLDER, "raytune_hpo.cluster.shipping:Holder", args, max_restarts=0, **on_head())

    def _optimizer(self) -> Any:
        plan = replace(self._plan, objective=not_called)
        if plan.settings.storage == "memory" and plan.settings.checkpoints is None:
            # This process reads the results after the optimizer's has gone.
            plan = replace(plan, settings=replace(plan.settings, checkpoints=temporary_place()))
        args: Any = packed(plan, ORPHAN_S if self._detached else None)
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
            checkpoint_every_s=settings.checkpoint_every_s,
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
            starving_s=STARVING_S,
            linger_s=linger_s if self._detached else None,
        )
        if not self._detached and not is_remote():
            self._pool_here = PoolHere(pool)
            return
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
            actor = hire(role, target, args, name=name, namespace=NAMESPACE, lifetime=lifetime, **options)
        except ActorAlreadyExistsError as error:  # two drivers at the same moment: one of them gets the name
            raise _taken(self._name) from error
        self._actors[role] = actor
        return actor


def _opened(optimizer: Any, name: str) -> tuple[Any, str]:
    try:
        storage, node = get(optimizer.call.remote("opened"))
    except ActorAlreadyExistsError as error:  # over Ray Client a taken name shows only here
        raise _taken(name) from error
    except RayError as error:
        raise ClusterError(f"the optimizer of study {name!r} could not be started: {error}") from error
    return storage, node


def _taken(name: str) -> StudyExists:
    return StudyExists(
        f"study {name!r} is running on this cluster; follow it with hpo.attach({name!r}), or use another name"
    )


def attach(name: str) -> ClusterHandle:
    """The handle of a study that runs on the cluster.

    Raises:
        StudyNotFound: no study of this name runs; the message has the running one with the most similar name.
    """
    connect()
    try:
        optimizer = find(OPTIMIZER, name)
    except ValueError:
        raise StudyNotFound(
            f"no study {name!r} runs on this cluster; {nearest(name, running())}; hpo.load reads studies that have ended"
        ) from None
    return ClusterHandle(name, optimizer, *_opened(optimizer, name))


def running() -> list[str]:
    """The names of the studies that run on the cluster."""
    connect()
    actors = ray.util.list_named_actors(all_namespaces=True)
    prefix = actor_name(OPTIMIZER, "")
    names = [actor["name"] for actor in actors if actor["namespace"] == NAMESPACE]
    return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))
