"""Pages and figures of a study of 100,000 trials: their times and sizes, and the cost of watching them."""

from __future__ import annotations

import asyncio
import gzip
import signal
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from common import Figure, at_most, percentile
from service_load import Load, Service, create, ending
from stories import in_batches, trial_facts

from raytune_hpo.facts import Fact
from raytune_hpo.journal import open_storage
from raytune_hpo.spec import StudySpec

SPACE = {
    **{f"p{index}": {"type": "float", "low": 0, "high": 1} for index in range(6)},
    "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
    "decay": {"type": "float", "low": 1e-6, "high": 0.1, "log": True},
    "layers": {"type": "int", "low": 1, "high": 8},
    "act": {"type": "choice", "values": ["relu", "tanh", "gelu"]},
}
FIGURES = (
    "history best_so_far curves parallel_coordinates slice contour rank importances timeline duration distribution"
).split()
PAGES = {
    "study": "",
    "trials": "/trials",
    "trials_by_metric": "/trials?sort=metric",
    "trials_filtered": "/trials?where=lr+%3C+0.001&sort=metric",
    "trial": "/trials/50",
    "figures": "/figures",
    "best": "/best",
}
FIGURE_MS, FIGURE_KB, PAGE_MS, PAGE_KB = 500, 600, 150, 60
NUM_VIEWERS, VIEWERS_SHARE = 20, 20
PAUSE_S = 0.5  # between two looks of a page that goes on by itself


def measure_pages(quick: bool) -> list[Figure]:
    """All of them, warm, each time after something has changed; and how long after a start there is something to read."""
    num, rounds = (500, 2) if quick else (100_000, 5)
    with tempfile.TemporaryDirectory() as place:
        service = Service(Path(place), num_tokens=30)
        with ending(service):
            asyncio.run(create(service, "big", SPACE))
        _grow(service.storage, "big", num)
        with ending(service):
            figures = asyncio.run(_looked_at(service, num, rounds))
            service.end(signal.SIGTERM)
    return figures


def _grow(storage: str, name: str, num: int) -> None:
    """Append trials to a study that nobody writes, some of them with reports."""
    store = open_storage(storage)
    first = next(iter(store.read(name)))
    spec = StudySpec.from_json(first.spec)  # type: ignore[union-attr]
    journal = store.journal(name, create=False, owner="a benchmark")
    length = sum(1 for _ in store.read(name))
    reporting = num // 10
    facts: Iterator[Fact] = chain(trial_facts(spec, range(reporting), 3), trial_facts(spec, range(reporting, num)))
    for batch in in_batches(facts, 5_000):
        journal.append(batch, expect=length)
        length += len(batch)
    journal.close()
    store.close()


async def _looked_at(service: Service, num: int, rounds: int) -> list[Figure]:
    """Everything once, and again after every change; the service has said just now where it is."""
    begin = time.perf_counter()
    viewer = service.line("viewer")
    first = await viewer.ask("GET", "/studies/big")
    readable_s = time.perf_counter() - begin
    while (await viewer.ask("GET", "/studies/big")).status == 202:
        await asyncio.sleep(0.1)
    whole_s = time.perf_counter() - begin
    figures = [
        at_most(1, name="cold_readable", what=f"{num:,} trials: something to read after a start", measured=readable_s,
                unit="s", detail={"status": first.status}),
        Figure(name="cold", what=f"{num:,} trials: the whole page after a start", measured=whole_s, unit="s"),
        Figure(name="memory", what=f"{num:,} trials: memory", measured=service.memory_mb(), unit="MB"),
    ]  # fmt: skip
    paths = {f"page_{name}": f"/studies/big{path}" for name, path in PAGES.items()}
    paths |= {f"figure_{name}": f"/v1/studies/big/figures/{name}" for name in FIGURES}
    for turn, (name, path) in enumerate(paths.items()):
        figures += await _timed(service, turn, name, path, num, rounds)
    figures.append(await _viewers(service, num, 2.0 if rounds < 5 else 20.0))
    return figures


async def _timed(service: Service, turn: int, name: str, path: str, num: int, rounds: int) -> list[Figure]:
    """One page or figure: the slowest of some rounds, and its weight."""
    times, line = [], service.line("viewer", turn)
    reply = await line.ask("GET", path)
    for _ in range(rounds):
        await Load(service=service, study="big", trial_s=0.0).run(
            1, 0.01
        )  # a trial ends: nothing that was made is good
        reply = await line.ask("GET", path)
        if reply.status != 200:
            raise RuntimeError(f"{path} gave {reply.status}: {reply.body[:200]!r}")
        times.append(1000 * reply.took_s)
    tag = reply.headers.get("etag")
    again = await line.ask("GET", path, **({} if tag is None else {"If_None_Match": tag}))
    line.close()
    is_figure = name.startswith("figure")
    detail = {
        "ms": times,
        "again_ms": 1000 * again.took_s,
        "again_status": again.status,
        "gzip_kb": len(gzip.compress(reply.body)) / 1000,
    }
    limit, most_kb = (FIGURE_MS, FIGURE_KB) if is_figure else (PAGE_MS, PAGE_KB)
    kind, _, which = name.partition("_")
    what = f"{num:,} trials: {kind} {which.replace('_', ' ')}"
    found: list[dict[str, Any]] = [
        {"name": f"{name}_ms", "what": f"{what}, p95", "measured": percentile(times, 0.95), "unit": "ms"},
        {"name": f"{name}_kb", "what": f"{what}, weight", "measured": len(reply.body) / 1000, "unit": "kB"},
    ]
    return [at_most(limit, **found[0], detail=detail), at_most(most_kb, **found[1])]


async def _viewers(service: Service, num: int, seconds: float) -> Figure:
    """Viewers who look at the study's page while two trials a second end, as the page's own script does."""
    until = time.perf_counter() + seconds + 1
    num_looks = 0

    async def look(index: int) -> None:
        nonlocal num_looks
        stream, page = service.line("viewer", index), service.line("viewer", index)
        async for _ in stream.events("/v1/studies/big/events"):
            await page.ask("GET", "/studies/big")
            num_looks += 1
            await asyncio.sleep(PAUSE_S)
            if time.perf_counter() > until:
                break
        stream.close()
        page.close()

    writing = asyncio.create_task(Load(service=service, study="big", trial_s=0.5).run(1, seconds + 2))
    viewers = [asyncio.create_task(look(index)) for index in range(NUM_VIEWERS)]
    await asyncio.sleep(1)
    cpu_s = service.cpu_s()
    await asyncio.sleep(seconds)
    share = 100 * (service.cpu_s() - cpu_s) / seconds
    for task in viewers:
        task.cancel()
    await asyncio.gather(*viewers, writing, return_exceptions=True)
    what = f"{num:,} trials: {NUM_VIEWERS} viewers of a page that goes on"
    detail = {"pages_per_s": num_looks / seconds}
    return at_most(VIEWERS_SHARE, name="viewers", what=what, measured=share, unit="% of a core", detail=detail)
