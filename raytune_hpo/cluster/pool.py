"""The worker pool of one study: as many workers as fit, replaced when they die."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from raytune_hpo.cluster.connecting import connection
from raytune_hpo.cluster.failures import cause_of
from raytune_hpo.cluster.pulse import Pulse
from raytune_hpo.cluster.resources import actor_options, num_requests, room, thread_limits
from raytune_hpo.cluster.shells import (
    HOLDER,
    OPTIMIZER,
    POOL,
    WORKER,
    exists,
    find,
    hire,
    packed,
    set_title,
    title,
    was_restarted,
)
from raytune_hpo.cluster.shipping import holder_lost
from raytune_hpo.cluster.trial_worker import WorkerSettings
from raytune_hpo.errors import ClusterError, HpoError

PULSE_S = 1.0  # how often the pool checks for more room
PREFIX_CHARS = 8
HEAR_S = 1.0  # how long after a study's end a worker may work on
LEAVE_S = 5.0  # how long a worker, or the optimizer, may take to end in order before it is killed
MAX_BAD_STARTS = 3  # in a row, before the study fails
_log = logging.getLogger("raytune_hpo")


@dataclass(frozen=True, kw_only=True)
class PoolSettings:
    """The settings of a pool.

    Attributes:
        study: the study's name.
        has_holder: whether a Holder has part of the objective.
        starving_s: how long all trials may be silent before a check whether they wait for room that they occupy.
        linger_s: how long after the study's end a detached pool stays to answer calls; None: until its driver ends it.
    """

    study: str
    has_holder: bool
    worker: WorkerSettings
    bundles: list[dict[str, float]]
    max_concurrent: int | None
    environ: Mapping[str, str]
    starving_s: float
    linger_s: float | None


@dataclass
class _Member:
    """A worker that was requested; ``ready`` once it is placed and its process is up, ``leaves`` once its work is done."""

    actor: Any = None
    group: PlacementGroup | None = None
    ready: bool = False
    leaves: bool = False
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class WorkerPool:
    """The pool, in an AsyncShell or in the driver. Owns the workers: they die with it, and a restarted one hires new ones.

    Args:
        has_process: whether it has its own process, which Ray restarts if it dies.

    Raises:
        ClusterError: the optimizer has died already.
    """

    def __init__(self, settings: PoolSettings, *, has_process: bool = True) -> None:
        self._settings, self._has_process = settings, has_process
        self._connection = connection()
        try:
            self._optimizer = find(OPTIMIZER, settings.study)
        except ValueError as error:
            raise ClusterError(
                f"the optimizer of study {settings.study!r} died before it could start workers; what was recorded is safe, "
                f"run the study again to continue"
            ) from error
        self._refs: dict[str, Any] = {}
        self._prefix = secrets.token_hex(PREFIX_CHARS // 2)
        self._members: dict[str, _Member] = {}
        self._hired = 0
        self._bad_starts = 0
        self._waiting: int | None = 0  # trials that wait for a worker; None: unlimited
        self._resizing = asyncio.Lock()
        self._closed = False
        self._leaving = asyncio.Event()
        self._has_told_of_starving = False

    # -------------------------------------------------------------------------------------------- life cycle

    async def run(self) -> None:
        try:
            if self._has_process:
                await asyncio.to_thread(_remove_groups, self._settings.study)
            self._refs = await self._held()
            if not (self._has_process and was_restarted()):
                self._hire()  # while the optimizer opens the study, which will almost surely have trials
            await self._tell("replace_workers", self._prefix)
            pause_s = 0.0  # the first workers are needed at once
            while not self._closed:
                if self._has_process:
                    set_title(POOL, self._settings.study)  # again and again: Ray changes it, too
                pulse: Pulse = await self._tell("pulse", pause_s)
                if pulse.is_over:
                    break
                for name in pulse.hung:
                    self._dismiss(name)
                self._waiting = pulse.num_waiting
                await self._resize()
                await self._look_for_starving(pulse.quiet_s)
                pause_s = PULSE_S
        except Exception as error:
            await self._give_up(error)
        self._closed = True
        await self._let_leave()
        if self._settings.linger_s is not None:
            await self._linger(self._settings.linger_s)

    async def _linger(self, linger_s: float) -> None:
        with suppress(asyncio.TimeoutError):  # no other study needs its name
            await asyncio.wait_for(self._leaving.wait(), linger_s)
        with suppress(asyncio.TimeoutError, RayError):  # it is killed all the same
            await asyncio.wait_for(self._tell("close"), LEAVE_S)  # so that the next process finds the journal free
        roles = (HOLDER, OPTIMIZER, POOL) if self._settings.has_holder else (OPTIMIZER, POOL)
        for role in roles:
            if exists(role, self._settings.study):
                ray.kill(find(role, self._settings.study))

    async def leave(self) -> None:
        """Do not linger after the study's end: another study needs its name."""
        self._leaving.set()

    async def close(self) -> None:
        """End all workers: in order if the study is over, and at once if not."""
        self._closed = True
        with suppress(asyncio.TimeoutError, RayError, ClusterError):  # they are killed all the same
            if self._members and (await asyncio.wait_for(self._tell("pulse", 0.0), LEAVE_S)).is_over:
                await self._let_leave()
        self._dismiss_all()

    async def _held(self) -> dict[str, Any]:
        if not self._settings.has_holder:
            return {}
        try:
            refs: dict[str, Any] = await find(HOLDER, self._settings.study).call.remote("refs")
        except (ValueError, RayActorError) as error:
            raise holder_lost() from error
        return refs

    async def _tell(self, method: str, *args: Any) -> Any:
        if self._connection != connection():  # Ray would start another cluster, and ask that
            raise ClusterError("the process of the worker pool has left the cluster")
        call = self._optimizer.call.options(name=title(OPTIMIZER, self._settings.study))  # its process's name, too
        return await call.remote(method, *args)

    async def _give_up(self, error: Exception) -> None:
        if not isinstance(error, HpoError):
            _log.error("the worker pool cannot continue", exc_info=error)
            error = ClusterError(f"the worker pool cannot continue: {type(error).__name__}: {error}")
        with suppress(RayError, ClusterError):  # the optimizer is gone: there is nobody to be told
            await self._tell("fail", error)

    async def _look_for_starving(self, quiet_s: float) -> None:
        """Warn once if trials seem to wait for their own Ray tasks, for which they themselves leave no room."""
        if self._has_told_of_starving or quiet_s < self._settings.starving_s or len(self._settings.bundles) > 1:
            return
        num_own = sum(not member.ready for member in self._members.values())
        num_others = await asyncio.to_thread(num_requests) - num_own
        if num_others > 0:
            self._has_told_of_starving = True
            await self._tell(
                "note",
                f"no trial has reported or ended for {quiet_s:.0f} s, and {num_others} Ray tasks or actors wait for room: "
                f"if trials started them, the trials hold the CPUs that they need; lower max_concurrent, or reserve room "
                f'for them with a second bundle: resources=[{{"cpu": 1}}, {{"cpu": 1}}]',
            )

    # -------------------------------------------------------------------------------------------- how many

    async def _resize(self) -> None:
        """Request as many workers as fit now, and one more: an autoscaler sees only requests."""
        async with self._resizing:
            if self._waiting == 0:
                self._dismiss_all(lambda member: not member.ready)
            elif not self._closed:
                for _ in range(await self._wanted()):
                    self._hire()

    async def _wanted(self) -> int:
        """How many further workers to request.

        Free resources tell how many more fit. While trials wait, one more is requested all the same: an autoscaler adds a
        node only for requests that do not fit; without an autoscaler, the extra request just stays pending.
        """
        available = await asyncio.to_thread(ray.available_resources)
        num_ready = sum(member.ready for member in self._members.values())
        wanted = room(self._settings.bundles, available) + 1
        if self._waiting is not None:
            wanted = min(wanted, self._waiting)
        if self._settings.max_concurrent is not None:
            wanted = min(wanted, self._settings.max_concurrent - num_ready)
        return wanted - (len(self._members) - num_ready)  # those that were requested already

    def _hire(self) -> None:
        name = f"{self._prefix}-{self._hired}"
        self._hired += 1
        member = self._members[name] = _Member()
        member.task = asyncio.get_running_loop().create_task(self._tend(name, member))

    def _dismiss(self, name: str) -> None:
        member = self._members.pop(name, None)
        if member is None or self._connection != connection():  # it has gone, and Ray would start another cluster
            return
        if member.actor is not None:
            ray.kill(member.actor)
        if member.group is not None:
            remove_placement_group(member.group)

    async def _let_leave(self) -> None:
        """End all workers of a study that is over: those that work on are killed, the others may take some time."""
        self._dismiss_all(lambda member: not member.ready)
        await self._wait(HEAR_S)
        self._dismiss_all(lambda member: not member.leaves)
        await self._wait(LEAVE_S)
        self._dismiss_all()

    async def _wait(self, timeout_s: float) -> None:
        """Wait for the end of all workers."""
        if tasks := [member.task for member in self._members.values() if member.task is not None]:
            await asyncio.wait(tasks, timeout=timeout_s)

    def _dismiss_all(self, which: Callable[[_Member], bool] = lambda member: True) -> None:
        for name in [name for name, member in self._members.items() if which(member)]:
            self._dismiss(name)

    # -------------------------------------------------------------------------------------------- one worker

    async def _tend(self, name: str, member: _Member) -> None:
        """Look after a worker, from its request to its end."""
        try:
            await asyncio.sleep(min(0.5 * 2**self._bad_starts, 30.0) if self._bad_starts else 0.0)
            if name not in self._members:
                return
            self._employ(name, member)
            await _call(member.actor, "ready", title(WORKER, self._settings.study))
        except Exception as error:
            if name in self._members:
                self._dismiss(name)
                await self._note_bad_start(error)
            return
        member.ready, self._bad_starts = True, 0
        try:
            await self._resize()
            await _call(member.actor, "work", title(WORKER, self._settings.study))
        except Exception as error:
            if name in self._members:
                reason, blameless = cause_of(error)
                await self._tell("lost", name, reason, blameless)
        else:
            member.leaves = True
            with suppress(asyncio.TimeoutError, RayError):  # it is killed all the same
                await asyncio.wait_for(_call(member.actor, "leave", title(WORKER, self._settings.study)), LEAVE_S)
        self._dismiss(name)

    def _employ(self, name: str, member: _Member) -> None:
        settings = self._settings
        options = actor_options(settings.bundles[0])
        if len(settings.bundles) > 1:
            member.group = placement_group(settings.bundles, name=_group_name(settings.study, name))
            options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(
                member.group, placement_group_bundle_index=0, placement_group_capture_child_tasks=True
            )
        member.actor = hire(
            WORKER,
            "raytune_hpo.cluster.trial_worker:TrialWorker",
            packed(name, settings.worker),
            [self._optimizer, self._refs],
            max_restarts=0,
            max_task_retries=0,
            environ=settings.environ,
            **options,
        )

    async def _note_bad_start(self, error: Exception) -> None:
        """One worker that cannot start may be an accident; several in a row, while none works, are not."""
        self._bad_starts += 1
        reason, _ = cause_of(error)
        _log.warning("a worker did not start: %s", reason)
        if self._bad_starts >= MAX_BAD_STARTS and not any(member.ready for member in self._members.values()):
            self._closed = True
            await self._give_up(ClusterError(f"no worker can start: {reason}"))


async def _call(actor: Any, method: str, name: str) -> None:
    """Call a worker. If Ray finds it unavailable, call again: then it is dead, or the call is queued behind the first.

    Args:
        name: the name of its process during the call.
    """
    while True:
        try:
            await actor.call.options(name=name).remote(method)
            return
        except ActorUnavailableError:
            await asyncio.sleep(PULSE_S)


def worker_environment(bundle: Mapping[str, float]) -> dict[str, str]:
    """The environment variables of workers, in addition to those of the job's runtime environment."""
    already = ray.get_runtime_context().runtime_env.get("env_vars") or {}
    return thread_limits(bundle, already)


def _group_name(study: str, worker: str) -> str:
    return f"raytune_hpo:{study}:{worker}"


def _remove_groups(study: str) -> None:
    """Remove the placement groups of an earlier pool, which Ray keeps while that pool may be restarted."""
    for entry in ray.util.placement_group_table().values():
        worker = entry["name"].rpartition(":")[2]  # a study's name may hold colons, a worker's does not
        if _group_name(study, worker) == entry["name"] and entry["state"] != "REMOVED":
            with suppress(ValueError):  # in the namespace of a driver that has gone: Ray removes it with its pool
                remove_placement_group(ray.util.get_placement_group(entry["name"]))
