"""The service under load: rates, latencies, many workers and watchers, kills, and pages of 100,000 trials.

    python benchmarks/service.py            # about ten minutes on two quiet cores
    python benchmarks/service.py --quick    # tiny sizes: does it run?

Every measure starts its own service, on its own storage; the clients run on the same cores. At the end, results are
compared with the journal: everything that was acknowledged must be there exactly once.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from common import Figure, at_least, at_most, percentile, run
from postgres import PostgresServer
from service_load import Account, Load, Service, account, create, ending
from service_pages import measure_pages
from service_walk import measure_newcomer

Conversation = Callable[[], Awaitable[None]]


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def kept(name: str, what: str, found: Account) -> list[Figure]:
    """That nothing was lost or doubled."""
    detail = {"finished": found.num_finished, "handed_out_again": found.again}
    return [
        at_most(
            0, name=f"{name}_lost", what=f"{what}: results lost", measured=found.lost, unit="trials", detail=detail
        ),
        at_most(0, name=f"{name}_doubled", what=f"{what}: results doubled", measured=found.doubled, unit="trials"),
    ]


# ------------------------------------------------------------------------------------------------ at rest


def measure_start(quick: bool) -> list[Figure]:
    """From the command until it answers, and what it holds then."""
    times, memory = [], 0.0
    for _ in range(1 if quick else 5):
        with folder() as place:
            service = Service(place)
            begin = time.perf_counter()
            with ending(service):
                asyncio.run(service.line("viewer").ask("GET", "/v1/"))
                times.append(time.perf_counter() - begin)
                memory = service.memory_mb()
    detail = {"seconds": times}
    return [
        at_most(3, name="start", what="start until the first answer", measured=min(times), unit="s", detail=detail),
        Figure(name="memory_at_rest", what="memory with no study", measured=memory, unit="MB"),
    ]


# ------------------------------------------------------------------------------------------------ rates


async def rate_of(talk: Callable[[int], Conversation], num: int, seconds: float) -> tuple[float, list[float]]:
    """Requests a second of so many clients, and how long each took."""
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def client(index: int) -> None:
        once = talk(index)
        while (begin := time.perf_counter()) < until:
            await once()
            times.append(time.perf_counter() - begin)

    begin = time.perf_counter()
    await asyncio.gather(*(client(index) for index in range(num)))
    return len(times) / (time.perf_counter() - begin), times


def measure_reads(quick: bool) -> list[Figure]:
    """A study and a page of its trials, asked for by 32 clients."""
    num, seconds = (4, 1.0) if quick else (32, 10.0)
    paths = {"study": "/v1/studies/s", "trials": "/v1/studies/s/trials?limit=50"}
    figures = []
    with folder() as place, ending(Service(place, num_tokens=100)) as service:
        asyncio.run(_finished(service, 50))
        for name, path in paths.items():

            def talk(index: int, path: str = path) -> Conversation:
                lines = [service.line("viewer", at) for at in range(index, 100, num)]
                turn = iter(range(10**9))

                async def once() -> None:
                    reply = await lines[next(turn) % len(lines)].ask("GET", path)
                    assert reply.status == 200, reply.body

                return once

            rate, times = asyncio.run(rate_of(talk, num, seconds))
            p99 = {"p50_ms": 1000 * percentile(times, 0.5), "p99_ms": 1000 * percentile(times, 0.99)}
            what = f"reads of a {'study' if name == 'study' else 'page of 50 trials'}, {num} clients"
            figures.append(Figure(name=f"reads_{name}", what=what, measured=rate, unit="requests/s", detail=p99))
    return figures


async def _finished(service: Service, num: int) -> None:
    await create(service, "s")
    line = service.line("admin")
    rows = [{"config": {"x": (n + 0.5) / num}, "metrics": {"loss": float(n)}} for n in range(num)]
    reply = await line.ask("POST", "/v1/studies/s/observations", {"observations": rows})
    assert reply.status == 201, reply.body
    line.close()


def measure_writes(quick: bool) -> list[Figure]:
    """Trials that take no time; and reports beside them."""
    num, seconds = (4, 1.0) if quick else (32, 10.0)
    with folder() as place, ending(Service(place, num_tokens=num)) as service:
        asyncio.run(create(service, "s"))
        load = Load(service=service, study="s", trial_s=0.0)
        begin = time.perf_counter()
        asyncio.run(load.run(num, seconds))
        rate = len(load.log.acknowledged) / (time.perf_counter() - begin)
        asyncio.run(create(service, "r"))
        reports, times = asyncio.run(rate_of(lambda index: _reporting(service, index), num, seconds))
        service.end()
        found = account(service.storage, "s", load.log)
    p99 = 1000 * percentile(load.log.lease_s, 0.99)
    detail = {"lease_p99_ms": p99, "errors": load.log.num_errors}
    what = f"trials that take no time, {num} workers"
    each = {"p99_ms": 1000 * percentile(times, 0.99)}
    what_reports = f"requests with reports, {num} workers"
    return [
        at_least(500, name="writes", what=what, measured=rate, unit="trials/s", detail=detail),
        at_least(800, name="reports", what=what_reports, measured=reports, unit="requests/s", detail=each),
        *kept("writes", "trials that take no time", found),
    ]


def _reporting(service: Service, index: int) -> Conversation:
    """A worker that says step after step of one trial."""
    line, steps, trial = service.line("worker", index), iter(range(1, 10**9)), dict[str, Any]()

    async def once() -> None:
        if not trial:
            asking = {"worker": f"r{index}", "wait_s": 5}
            trial.update((await line.ask("POST", "/v1/studies/r/leases", asking)).json()["assignments"][0])
        step = next(steps)
        body = {"attempt": 1, "reports": [{"step": step, "metrics": {"loss": 1 / step}}]}
        reply = await line.ask("POST", f"/v1/studies/r/trials/{trial['number']}/reports", body)
        assert reply.status == 200, reply.body

    return once


# ------------------------------------------------------------------------------------------------ many


def measure_workers(quick: bool) -> list[Figure]:
    """A thousand workers with trials of five seconds."""
    num, trial_s, seconds = (20, 0.5, 3.0) if quick else (1_000, 5.0, 70.0)
    with folder() as place, ending(Service(place, num_tokens=4)) as service:
        asyncio.run(create(service, "s"))
        load = Load(service=service, study="s", trial_s=trial_s)
        cpu_s, begin = service.cpu_s(), time.perf_counter()
        asyncio.run(load.run(num, seconds, begin_within_s=trial_s))  # one after the other, over the first trial
        took_s = time.perf_counter() - begin
        share, memory = (service.cpu_s() - cpu_s) / took_s, service.memory_mb()
        service.end()
        found = account(service.storage, "s", load.log)
    possible = num / trial_s
    rate = found.num_finished / seconds  # on average they begin half a trial late, and end as much late
    p99 = 1000 * percentile(load.log.lease_s, 0.99)
    detail = {"possible": possible, "cpu_share": share, "memory_mb": memory, "errors": load.log.num_errors}
    settings: dict[str, Any] = {"unit": "trials/s", "measured": rate, "detail": detail}
    what = f"{num:,} workers with trials of {trial_s:g} s"
    return [
        at_least(0.95 * possible, name="workers", what=what, **settings),
        at_most(250, name="workers_p99", what=f"{what}: a lease, p99", measured=p99, unit="ms"),
        *kept("workers", what, found),
    ]


def measure_streams(quick: bool) -> list[Figure]:
    """500 streams of events, while two trials a second end."""
    num, seconds = (10, 3.0) if quick else (500, 20.0)
    with folder() as place, ending(Service(place, num_tokens=num // 8 + 1)) as service:
        share, events = asyncio.run(_watched(service, num, seconds))
    detail = {"events_per_stream_and_second": events / num / seconds}
    what = f"{num} streams of two events a second"
    return [at_most(50, name="streams", what=what, measured=100 * share, unit="% of a core", detail=detail)]


async def _watched(service: Service, num: int, seconds: float) -> tuple[float, int]:
    await create(service, "s")
    counts = [0] * num
    lines = [service.line("viewer", index // 8) for index in range(num)]

    async def watch(index: int) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            async for _ in lines[index].events("/v1/studies/s/events"):
                counts[index] += 1

    watchers = [asyncio.create_task(watch(index)) for index in range(num)]
    writing = asyncio.create_task(Load(service=service, study="s", trial_s=0.5).run(1, seconds + 5))
    await asyncio.sleep(3)  # until all are there
    cpu_s, before = service.cpu_s(), sum(counts)
    await asyncio.sleep(seconds)
    share, seen = (service.cpu_s() - cpu_s) / seconds, sum(counts) - before
    for task in (*watchers, writing):
        task.cancel()
    await asyncio.gather(*watchers, writing, return_exceptions=True)
    return share, seen


# ------------------------------------------------------------------------------------------------ misfortunes


def measure_killed(quick: bool) -> list[Figure]:
    """``kill -9`` of the service while workers are at work; it is started again on the same port."""
    num, seconds = (8, 6.0) if quick else (200, 24.0)

    async def kill(service: Service) -> AsyncIterator[None]:
        for _ in range(1 if quick else 3):
            await asyncio.sleep(seconds / 6)
            service.end(signal.SIGKILL)
            await asyncio.to_thread(service.start)
            yield

    with folder() as place, ending(Service(place, num_tokens=4)) as service:
        found, load = asyncio.run(_misfortune(service, kill, num, seconds))
        two = sum(len(workers) > 1 for workers in load.log.handed.values())
    what = f"kill -9 of the service under {num} workers"
    unit: dict[str, Any] = {"measured": two, "unit": "trials"}
    return [*kept("killed", what, found), at_most(0, name="killed_twice", what=f"{what}: handed out twice", **unit)]


def measure_postgres(quick: bool) -> list[Figure]:
    """PostgreSQL goes without a word while workers are at work, and comes back."""
    num, seconds = (8, 8.0) if quick else (100, 24.0)
    with folder() as place:
        place.chmod(0o755)  # its own user must get in
        server = PostgresServer(place / "postgres")

        async def kill(service: Service) -> AsyncIterator[None]:
            for _ in range(1 if quick else 2):
                await asyncio.sleep(seconds / 6)
                await asyncio.to_thread(server.stop, "immediate")
                await asyncio.sleep(2)
                await asyncio.to_thread(server.start)
                yield

        try:
            with ending(Service(place, storage=server.url, num_tokens=4)) as service:
                found, load = asyncio.run(_misfortune(service, kill, num, seconds))
        finally:
            server.stop("immediate")
    what = f"PostgreSQL killed under {num} workers"
    figures = kept("postgres", what, found)
    detail = {"errors": load.log.num_errors}
    rate = found.num_finished / seconds
    return [*figures, Figure(name="postgres", what=f"{what}: went on", measured=rate, unit="trials/s", detail=detail)]


async def _misfortune(
    service: Service, happening: Callable[[Service], AsyncIterator[None]], num: int, seconds: float
) -> tuple[Account, Load]:
    """What is left of a study whose workers go on whatever happens."""
    await create(service, "s")
    load = Load(service=service, study="s", trial_s=0.5)

    async def happen() -> None:
        async for _ in happening(service):
            pass

    await asyncio.gather(load.run(num, seconds, begin_within_s=0.5), happen())
    found = await asyncio.to_thread(account, service.storage, "s", load.log)
    return found, load


def measure_lost_workers(quick: bool) -> list[Figure]:
    """300 workers of 400 say nothing any more."""
    num, lost, term_s = (8, 6, 2.0) if quick else (400, 300, 10.0)
    with folder() as place, ending(Service(place, num_tokens=4)) as service:
        late_s, num_requeued = asyncio.run(_silenced(service, num, lost, term_s))
    what = f"{lost} of {num} workers killed: until their trials are out again, beyond the term"
    detail = {"requeued": num_requeued, "term_s": term_s}
    found = at_most(2, name="lost_workers", what=what, measured=late_s, unit="s", detail=detail)
    missing = {"measured": lost - num_requeued, "unit": "trials"}
    return [
        found,
        at_most(0, name="lost_workers_missing", what=f"{lost} workers killed: trials left behind", **missing),
    ]


async def _silenced(service: Service, num: int, lost: int, term_s: float) -> tuple[float, int]:
    await create(service, "s", max_retries=5)
    load = Load(service=service, study="s", trial_s=3_600.0, lease={"ttl_s": term_s}, sign_s=term_s / 3)
    until = time.perf_counter() + 3_600
    tasks = [asyncio.create_task(load.work(index, until)) for index in range(num)]
    while len(load.log.handed) < num:
        await asyncio.sleep(0.05)
    await asyncio.sleep(term_s)
    for task in tasks[:lost]:
        task.cancel()
    died_at = time.time()
    await asyncio.sleep(term_s + 4)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    requeued = (await asyncio.to_thread(account, service.storage, "s", load.log)).requeued_at
    return max(requeued, default=died_at + 3_600) - died_at - term_s, len(requeued)


def measure_asleep(quick: bool) -> list[Figure]:
    """The service is stopped for many terms, as a machine that sleeps, and wakes up: nobody's lease has ended."""
    num, term_s, sleep_s = (4, 6.0, 13.0) if quick else (50, 10.0, 60.0)
    with folder() as place, ending(Service(place)) as service:
        again = asyncio.run(_slept(service, num, term_s, sleep_s))
    what = f"asleep for {sleep_s / term_s:.0f} terms: leases of {num} workers that ended"
    return [at_most(0, name="asleep", what=what, measured=again, unit="leases")]


async def _slept(service: Service, num: int, term_s: float, sleep_s: float) -> int:
    await create(service, "s", max_retries=5)
    load = Load(service=service, study="s", trial_s=3_600.0, lease={"ttl_s": term_s}, sign_s=term_s / 3)
    tasks = [asyncio.create_task(load.work(index, time.perf_counter() + 3_600)) for index in range(num)]
    while len(load.log.handed) < num:
        await asyncio.sleep(0.05)
    assert service.process is not None
    service.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(sleep_s)
    service.process.send_signal(signal.SIGCONT)
    await asyncio.sleep(term_s / 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return len((await asyncio.to_thread(account, service.storage, "s", load.log)).requeued_at)


if __name__ == "__main__":
    measures = {
        "start": measure_start,
        "reads": measure_reads,
        "writes": measure_writes,
        "workers": measure_workers,
        "streams": measure_streams,
        "killed": measure_killed,
        "postgres": measure_postgres,
        "lost_workers": measure_lost_workers,
        "asleep": measure_asleep,
        "pages": measure_pages,
        "newcomer": measure_newcomer,
    }
    run(__doc__, measures)
