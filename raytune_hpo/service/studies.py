"""The studies of a service: those that it hosts, those that run on a cluster, and those that are only stored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from raytune_hpo.core.ledger import Ledger
from raytune_hpo.core.messages import Observation
from raytune_hpo.errors import ClusterError, HpoError, SpecMismatch, StudyNotFound
from raytune_hpo.facts import StudyCreated, StudyStopped
from raytune_hpo.journal import Storage, open_storage
from raytune_hpo.journal.storage import StudyRow
from raytune_hpo.registry import current_spec
from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.runtime.remote_desk import Line, RemoteDesk
from raytune_hpo.service.cluster_study import ClusterStudy
from raytune_hpo.service.folds import Fold, ReadModel, StillReading
from raytune_hpo.service.hosting import HostedStudy, is_hosted, plan_of
from raytune_hpo.service.http_workers import HttpWorkers
from raytune_hpo.service.leases import worker_of
from raytune_hpo.service.models import installed
from raytune_hpo.service.models.confirming import Confirming, is_measured_here
from raytune_hpo.service.models.local_workers import LocalWorkers
from raytune_hpo.service.models.objective import model_of
from raytune_hpo.service.models.tables import Table, Tables
from raytune_hpo.service.new_study import plan_for
from raytune_hpo.service.problems import Problem
from raytune_hpo.service.shapes import NewStudy
from raytune_hpo.spec import Limits, StudySpec

PATIENCE_S = 5.0  # how long a write waits for the storage, before the client is told to try again
CLUSTER_S = 5.0
START_S = 0.2  # how long a service that starts waits for its studies before it serves requests
_MEMORY = "memory"  # the URL of a storage in this process only
_log = logging.getLogger("raytune_hpo")


class Studies:
    """All studies of one storage.

    Args:
        address: the address of the Ray cluster whose studies are controlled from here; None: there is none.
        now: seconds on a monotonic clock.
        tables, folder: the tables that the service's own workers train on, and the folder of installed objectives.

    Attributes:
        storage, reads: where the studies are stored, and the read model.
        words, is_shared: the URL or path of the storage, and whether another process can open the same studies by it.
    """

    def __init__(
        self,
        storage: Any,
        now: Callable[[], float],
        tables: Tables,
        *,
        folder: Path | None = None,
        address: str | None = None,
        memory_bytes: float = 2**30,
    ) -> None:
        self.storage: Storage = open_storage(storage, patience_s=PATIENCE_S)
        self.words = storage
        self.is_shared = not isinstance(storage, Storage) and self.storage.url != _MEMORY
        self.reads = ReadModel(self.storage, now, memory_bytes=memory_bytes)
        self._address = address
        self.tables, self.folder = tables, folder
        self._hosted: dict[str, HostedStudy] = {}
        self._on_ray: dict[str, ClusterStudy] = {}  # studies on the cluster with present or past workers over HTTP
        self._workers: dict[str, LocalWorkers] = {}
        self._coming: set[str] = set()  # hosted by an earlier process, and not taken up yet
        self._opening = asyncio.Lock()
        self._waiting: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begin to take up the unfinished studies that an earlier process hosted; long ones are ready later."""
        hosted, on_ray = await asyncio.to_thread(self._left_before)
        self._coming = set(hosted)
        await asyncio.wait([self._in_background(self._take_up(hosted, on_ray))], timeout=START_S)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that is cancelled when the service closes."""
        task = asyncio.get_running_loop().create_task(work)
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        return task

    def _left_before(self) -> tuple[dict[str, StudySpec], list[str]]:
        """The unfinished studies that a service hosts, by name; and the names of those that may run on the cluster."""
        hosted, on_ray = dict[str, StudySpec](), list[str]()
        for row in self.storage.studies():
            try:
                spec = self._stored_spec(row.name)
                if not (is_hosted(spec) or self._may_be_on_ray(spec)) or self._ends_with_stop(row):
                    continue
                if is_hosted(spec):
                    hosted[row.name] = spec
                else:
                    on_ray.append(row.name)
            except HpoError as error:
                _log.warning("study %r is not taken up: %s", row.name, error)
        return hosted, on_ray

    def _may_be_on_ray(self, spec: StudySpec) -> bool:
        return self._address is not None and spec.settings.get("runtime") == "ray"

    def _ends_with_stop(self, row: StudyRow) -> bool:
        """Whether a study has ended, judged by its last fact alone, so that long studies need not be read."""
        return isinstance(next(self.storage.read(row.name, row.num_facts - 1), None), StudyStopped)

    async def _take_up(self, hosted: Mapping[str, StudySpec], on_ray: Sequence[str]) -> None:
        for name, spec in hosted.items():
            try:
                if await asyncio.to_thread(self._goes_on, name):
                    await self._host(plan_of(spec), again=True)
            except HpoError as error:
                _log.warning("study %r is not taken up: %s", name, error)
            finally:
                self._coming.discard(name)
        for name in on_ray:
            await self._watch_left(name)

    async def _watch_left(self, name: str) -> None:
        """Watch the leases of a cluster study's workers over HTTP, which may all have died while the service was down."""
        try:
            if await asyncio.to_thread(self.reads.read_now, name, lambda fold: any(map(worker_of, fold.ledger.owned))):
                await self.workers_of(name)
        except (HpoError, Problem, StillReading) as error:
            _log.warning("the workers of study %r over HTTP are not looked after: %s", name, error)

    async def close(self) -> None:
        for waiting in self._waiting:
            waiting.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)
        for name in [*self._hosted, *self._on_ray]:
            await self._retire(name)
        self.reads.close()
        self.storage.close()

    def _stored_spec(self, name: str) -> StudySpec:
        first = next(islice(self.storage.read(name), 1), None)
        if not isinstance(first, StudyCreated):
            raise StudyNotFound(f"study {name!r} has no facts yet")
        return current_spec(StudySpec.from_json(first.spec))

    def _goes_on(self, name: str) -> bool:
        return self.reads.read_now(name, lambda fold: fold.ledger.stopped is None)

    async def _host(self, plan: RunPlan, *, again: bool = False) -> HostedStudy:
        study = HostedStudy(plan, self.storage)
        await study.open(again=again)
        self._hosted[plan.spec.name] = study
        await self._measure_here(study)
        self._in_background(self._retire_at_end(study))
        return study

    async def _measure_here(self, study: HostedStudy) -> None:
        """Start the local workers of a study whose trials the service runs itself."""
        settings = study.plan.spec.settings
        model = model_of(study.plan.spec)
        table = None if model is None else self.tables.find(model.table)
        if model is not None and table is None:
            await study.stop("its table was deleted")
        elif model is not None or installed.stored_name(settings) is not None:
            path = None if table is None else table.path
            self._workers[study.name] = LocalWorkers(study, table=path, folder=self.folder)

    async def _retire_at_end(self, study: HostedStudy | ClusterStudy) -> None:
        """Close the study here once it has ended, so that others may write it."""
        await study.ended()
        if study in (self._hosted.get(study.name), self._on_ray.get(study.name)):
            await self._retire(study.name)

    # -------------------------------------------------------------------------------------------- finding

    def hosted(self, name: str) -> HostedStudy | None:
        """The study, if it runs here.

        Raises:
            Problem: the service has just been started, and is still reading it.
        """
        if name in self._coming:
            detail = f"study {name!r} is being read, as the service was started just now; ask again"
            raise Problem("unavailable", detail, headers={"Retry-After": "1"})
        study = self._hosted.get(name)
        return None if study is None or study.is_over else study

    def all_hosted(self) -> list[HostedStudy]:
        return [study for study in self._hosted.values() if not study.is_over]

    def all_workers(self) -> list[HttpWorkers]:
        """The workers over HTTP of each study that has or may have some, here or on the cluster."""
        return [*(hosted.workers for hosted in self.all_hosted()), *(study.workers for study in self._on_ray.values())]

    async def workers_of(self, name: str) -> HttpWorkers | None:
        """The workers over HTTP of a study that runs, here or on the cluster; None if it does not run.

        Raises:
            StudyNotFound: there is none.
            Problem: such workers could not run its trials; or the service has just been started, and is still reading it.
        """
        study = self.hosted(name)
        if study is not None:
            return study.workers
        if self._address is None:
            return None
        kind, spec = await self.reads.read(name, lambda fold: (self.kind(fold), fold.ledger.spec))
        if kind != "cluster":
            if self.hosted(name) is None:  # unless it has been continued meanwhile
                await self._retire(name)
            return None
        if spec.grows or spec.instances:
            what = "is asked for its space by its objective" if spec.grows else "goes through instances"
            raise Problem("not-running", f"study {name!r} {what}, which workers over HTTP cannot; Ray has its workers")
        async with self._opening:
            if name not in self._on_ray:
                line = await asyncio.to_thread(self._line_to, name)
                on_ray = ClusterStudy(spec, RemoteDesk(line, spec.space), self.reads)
                await on_ray.open()
                self._on_ray[name] = on_ray
                self._in_background(self._retire_at_end(on_ray))
            return self._on_ray[name].workers

    def _line_to(self, name: str) -> Line:
        from raytune_hpo.cluster.optimizer_line import OptimizerLine  # imported here, because it loads Ray

        return OptimizerLine(name, self._address)

    async def require_workers(self, name: str) -> HttpWorkers:
        """``workers_of`` a study that runs.

        Raises:
            Problem: it does not. StudyNotFound: there is none.
        """
        return await self.workers_of(name) or (await self.require_hosted(name)).workers

    async def table(self, key: str) -> Table:
        """The table of this id.

        Raises:
            Problem: there is none.
        """
        table = await asyncio.to_thread(self.tables.find, key)
        if table is None:
            raise Problem("not-found", f"there is no table {key[:60]!r} here")
        return table

    async def delete_table(self, key: str) -> None:
        """Delete an uploaded table.

        Raises:
            Problem: there is none, or a study that runs trains on it.
        """
        if users := self.users_of(key):
            raise Problem("in-use", f"study {users[0]!r} trains on this table; stop it first")
        if not await asyncio.to_thread(self.tables.delete, key):
            raise Problem("not-found", f"no table {key[:60]!r} was uploaded here; bundled ones belong to scikit-learn")

    def users_of(self, table: str) -> list[str]:
        """The studies that run here and train on a table."""
        models = {study.name: model_of(study.plan.spec) for study in self.all_hosted()}
        return [name for name, model in models.items() if model is not None and model.table == table]

    def kind(self, fold: Fold) -> str:
        """The kind of a study: "hosted", "cluster" or "stored"."""
        if fold.name in self._coming or self.hosted(fold.name) is not None:
            return "hosted"
        return "cluster" if self._may_be_on_ray(fold.ledger.spec) and fold.ledger.stopped is None else "stored"

    def clock_of(self, fold: Fold, now: float) -> float:
        """Until when a study has run, in epoch seconds: for one that is only stored, as far as is known, its last fact."""
        return fold.last_at if self.kind(fold) == "stored" else now

    async def require_hosted(self, name: str) -> HostedStudy:
        """The study that runs here.

        Raises:
            Problem: it does not. StudyNotFound: there is none.
        """
        study = self.hosted(name)
        if study is None:
            stopped = await self.reads.read(name, lambda fold: fold.ledger.stopped)
            state = "has no writer here" if stopped is None else f"has ended: {stopped}"
            raise Problem("not-running", f"study {name!r} {state}; continue it first, if its workers come over HTTP")
        return study

    # -------------------------------------------------------------------------------------------- making, changing

    async def create(self, new: NewStudy) -> bool:
        """Create a study; False if one with this name and spec exists.

        Raises:
            Problem, SpecMismatch, SpecError: it exists with another spec, or breaks a rule.
        """
        plan = await asyncio.to_thread(plan_for, new, self.tables, self.folder)
        async with self._opening:
            try:
                stored = await asyncio.to_thread(self._stored_spec, new.name)
            except StudyNotFound:
                await self._retire(new.name)
                await self._host(plan)
                return True
        spec = plan.spec if new.seed is not None else replace(plan.spec, seed=stored.seed)
        spec.require_same(stored)
        if (objective := stored.settings.get("objective")) != spec.settings.get("objective"):
            raise SpecMismatch(f"study {new.name!r} was created with the objective {objective}; use another name")
        return False

    async def extend(self, name: str, limits: Mapping[str, Any]) -> None:
        """Change a study's limits; an ended study continues if its workers connect over HTTP.

        Raises:
            Problem: a limit is below what has begun, or the study cannot be continued from here.
        """

        def changed(ledger: Ledger) -> Limits:
            new, begun = Limits(**{**vars(ledger.spec.limits), **limits}), len(ledger.trials)
            if new.num_trials is not None and new.num_trials < begun:
                raise Problem(
                    "limit-too-small", f"num_trials is at least what has begun, {begun}; got {new.num_trials}"
                )
            return new

        study = self.hosted(name)
        if study is not None:
            await study.extend(changed)
        else:
            await self.resume(name, await self.reads.read(name, lambda fold: changed(fold.ledger)))

    async def resume(self, name: str, limits: Limits | None = None) -> None:
        """Begin a new session of a study that has ended.

        Raises:
            Problem: its objective is not here. StudyExists: someone else writes it.
        """
        async with self._opening:
            if self.hosted(name) is not None:
                return
            spec = await asyncio.to_thread(self._stored_spec, name)
            if not is_hosted(spec):
                raise Problem(
                    "not-running",
                    f"study {name!r} needs its objective to continue; run it again where that is, with the same name",
                )
            current = await self.reads.read(name, lambda fold: fold.ledger.spec.limits)
            await self._retire(name)
            await self._host(plan_of(spec.with_limits(limits or current)))

    async def stop(self, name: str, reason: str) -> None:
        """End a study.

        Raises:
            Problem: it does not run.
        """
        study = self.hosted(name)
        if study is not None:
            await study.stop(reason)
            if self._hosted.get(name) is study:  # unless it has been continued meanwhile
                await self._retire(name)
        else:
            await self._on_cluster(name, lambda run: run.stop(reason))

    async def stop_trial(self, name: str, number: int) -> None:
        study = self.hosted(name)
        if study is not None:
            await study.stop_trial(number)
        else:
            await self._on_cluster(name, lambda run: run.stop_trial(number))

    async def enqueue(self, name: str, configs: Sequence[Mapping[str, Any]]) -> list[int] | None:
        """Enqueue configurations to be tried next; returns their positions in the queue, or None if unknown here."""
        study = self.hosted(name)
        if study is not None:
            return await study.enqueue(configs)
        await self._on_cluster(name, lambda run: [run.enqueue(config) for config in configs])
        return None

    async def withdraw(self, name: str, position: int) -> None:
        """Take a configuration out of the queue.

        Raises:
            Problem: it is not in the queue: it was handed out, or withdrawn before.
        """
        study = await self.require_hosted(name)
        if await study.withdraw(position):
            return
        if position >= study.optimizer.ledger.num_enqueued:
            raise Problem("not-found", f"nothing was ever enqueued at position {position}")
        raise Problem("handed-out", f"the configuration at position {position} waits no more; stop its trial instead")

    async def observe(self, name: str, source: str, observations: Sequence[Observation]) -> tuple[int, ...]:
        """Add trials that were measured elsewhere, and return their numbers.

        Raises:
            Problem: the study does not run here, or has no room for all of them.
        """
        study = await self.require_hosted(name)
        numbers = await study.observe(source, observations)
        if not numbers:
            await self.require_hosted(name)
            left = study.optimizer.ledger.num_left
            raise Problem(
                "limit-too-small",
                f"study {name!r} has room for {left} more trials, got {len(observations)}; extend num_trials first",
            )
        return numbers

    async def confirming(self, name: str, top: int, repeats: int) -> Confirming:
        """The job that confirms the best configurations of a study whose trials the service runs itself.

        Raises:
            Problem: its objective or its table is elsewhere, or it has no best trial. StudyNotFound: there is none.
        """

        def read(fold: Fold) -> tuple[StudySpec, str]:
            return fold.ledger.spec, fold.why_no_best if fold.ledger.best[0] is None else ""

        spec, why_no_best = await self.reads.read(name, read)
        if not is_measured_here(spec):
            raise Problem(
                "not-running",
                f"the objective of study {name!r} is where its workers are; confirm it there, in Python: "
                f"hpo.load({name!r}, ...).confirm(objective=...)",
            )
        if why_no_best:
            raise Problem("no-result-yet", f"confirming needs a best trial; study {name!r} has none: {why_no_best}")
        model = model_of(spec)
        table = None if model is None else await self.table(model.table)
        return Confirming(
            storage=self.words if self.is_shared else self.storage,
            name=name,
            top=top,
            repeats=repeats,
            table=None if table is None else table.path,
            folder=self.folder,
        )

    async def delete(self, name: str) -> None:
        """Forget a study.

        Raises:
            Problem: it runs.
        """
        async with self._opening:  # or it might be continued between the check and its end
            if self.hosted(name) is not None:
                raise Problem("running", f"study {name!r} runs; stop it first")
            await self._retire(name)
            await asyncio.to_thread(self.storage.delete, name)
            self.reads.forget(name)

    async def _retire(self, name: str) -> None:
        """Release the journal of a study that has ended here, or stop watching the workers of one on the cluster."""
        study, workers = self._hosted.pop(name, None), self._workers.pop(name, None)
        on_ray = self._on_ray.pop(name, None)
        if workers is not None:
            await workers.close()
        for ended in (study, on_ray):
            if ended is not None:
                await ended.close()

    async def _on_cluster(self, name: str, do: Callable[[Any], object]) -> None:
        """Carry out a command on a study that runs on Ray.

        Raises:
            Problem: it does not run, or the cluster does not answer.
        """
        fold_kind = await self.reads.read(name, self.kind)
        if fold_kind != "cluster":
            await self.require_hosted(name)
        try:
            await asyncio.wait_for(self._in_ray_thread(lambda: self._attach_and(name, do)), CLUSTER_S)
        except StudyNotFound as error:
            raise Problem("not-running", f"study {name!r} has not ended, but nothing runs it: {error}") from None
        except (ClusterError, ConnectionError, asyncio.TimeoutError) as error:
            detail = str(error) or f"the cluster has not answered for {CLUSTER_S:.0f} s; try again"
            raise Problem("unavailable", detail, headers={"Retry-After": "5"}) from None

    async def _in_ray_thread(self, do: Callable[[], object]) -> None:
        """Call a function in the thread in which workers' messages find their optimizers, too: two would connect twice."""
        thread = await asyncio.to_thread(_ray_thread)
        await asyncio.get_running_loop().run_in_executor(thread, do)

    def _attach_and(self, name: str, do: Callable[[Any], object]) -> None:
        from raytune_hpo.api.stored import attach
        from raytune_hpo.cluster.connecting import stay_connected

        stay_connected(self._address)
        do(attach(name))


def _ray_thread() -> Executor:
    from raytune_hpo.cluster.optimizer_line import ray_thread  # loads Ray, which takes a while

    return ray_thread()
