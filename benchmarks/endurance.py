"""Endurance: workers, pool, optimizer, a node and PostgreSQL are killed at random while trials run and report.

    python benchmarks/endurance.py                 # ten minutes
    python benchmarks/endurance.py --minutes 60
    python benchmarks/endurance.py --quick         # half a minute, each victim once

The script starts its own Ray cluster of two nodes and its own PostgreSQL server. Objectives write down each report that
was acknowledged. When the time is over, the study is stopped, resumed with as many trials as were begun, and read from
its journal: every trial must be completed exactly once, and every acknowledged report must be in the journal. Then
everything is ended, and no process, file or port may be left.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import socket
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from common import Figure, arguments, at_most, conduct, resident_bytes, slope
from postgres import PostgresServer

import raytune_hpo as hpo

MARK = "RAYTUNE_HPO_ENDURANCE"  # every process that comes of this one has it in its environment
NAME = "endurance"
SPACE = {"x": hpo.uniform(0.0, 1.0)}
NUM_REPORTS = 3
MAX_PAUSE_S = 8.0  # between two murders
MIN_SAMPLES = 5  # of an optimizer's life, to tell how its memory grows


def make_objective(folder: str) -> Callable[[dict], float]:
    """It reports a few times, and notes what was acknowledged in a file for its process."""

    def objective(config: dict) -> float:
        with open(f"{folder}/{os.getpid()}", "a") as noted:
            for step in range(1, NUM_REPORTS + 1):
                time.sleep(random.uniform(0.005, 0.03))
                token = uuid.uuid4().hex
                hpo.report(loss=config["x"] / step, token=token, step=step)
                noted.write(f"{token}\n")
                noted.flush()
        return config["x"]

    return objective


def tuner_of(notes: Path, storage: str, num_trials: int) -> hpo.Tuner:
    return hpo.Tuner(
        make_objective(str(notes)), SPACE, sampler="random", scheduler={"name": "median", "min_trials": 10**9},
        num_trials=num_trials, max_retries=10**6, name=NAME, storage=storage, seed=0, progress=False,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ the ground


class Ground:
    """Two nodes and a database."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self.notes = folder / "notes"
        self.notes.mkdir()
        self._node = {"num_cpus": 2, "object_store_memory": 100_000_000}
        self.cluster = Cluster()
        self.server = PostgresServer(folder / "pg")
        try:
            self.cluster.add_node(**self._node, include_dashboard=False)
            self.other = self.cluster.add_node(**self._node)
        except BaseException:
            self.close()
            raise
        self.gcs_port = int(self.cluster.address.rpartition(":")[2])

    def replace_node(self, pause_s: float) -> None:
        self.cluster.remove_node(self.other, allow_graceful=False)
        time.sleep(pause_s)
        self.other = self.cluster.add_node(**self._node)

    def restart_server(self, pause_s: float) -> None:
        self.server.stop("immediate")
        time.sleep(pause_s)
        self.server.start()

    def close(self) -> None:
        self.cluster.shutdown()
        self.server.stop()


class Murderer:
    """Kills at random, until the deadline."""

    def __init__(self, ground: Ground, rng: random.Random) -> None:
        self._ground, self._rng = ground, rng
        self.counts: Counter[str] = Counter()
        self._ways = {
            "worker": self._worker,
            "optimizer": lambda: self._actor("optimizer"),
            "pool": lambda: self._actor("pool"),
            "node": lambda: ground.replace_node(rng.uniform(1, 5)),
            "postgresql": lambda: ground.restart_server(rng.uniform(0, 5)),
        }
        self._odds = {"worker": 8, "optimizer": 3, "pool": 1, "node": 2, "postgresql": 2}

    def work(self, deadline: float, max_pause_s: float) -> None:
        """Each victim once, in a random order, then at random."""
        names = list(self._ways)
        first = self._rng.sample(names, len(names))
        while time.monotonic() < deadline or first:
            time.sleep(self._rng.uniform(0.5, max_pause_s))
            victim = first.pop() if first else self._rng.choices(names, list(self._odds.values()))[0]
            print(f"  {time.strftime('%H:%M:%S')} {victim}", flush=True)
            self._ways[victim]()
            self.counts[victim] += 1

    def _worker(self) -> None:
        alive = [int(path.name) for path in self._ground.notes.iterdir() if int(path.name) in ours()]
        if alive:
            os.kill(self._rng.choice(alive), signal.SIGKILL)

    def _actor(self, role: str) -> None:
        """As a crash would: Ray starts it again."""
        import ray

        from raytune_hpo.cluster.shells import find

        ray.kill(find(role, NAME), no_restart=False)


# ------------------------------------------------------------------------------------------------ the watch


class Watch(threading.Thread):
    """Notes memory every second: the optimizer's by its process and trials, the driver's by the time."""

    def __init__(self) -> None:
        super().__init__(name="watch", daemon=True)
        self._done = threading.Event()
        self.lives: dict[int, list[tuple[float, float]]] = {}
        self.driver: list[tuple[float, float]] = []

    def run(self) -> None:
        from ray.exceptions import RayError

        while not self._done.wait(1.0):
            self.driver.append((time.monotonic(), resident_bytes(os.getpid())))
            # The optimizer may be dead at the moment, which is what this is all about.
            with contextlib.suppress(RayError, ValueError, OSError, hpo.errors.HpoError):
                pid, finished = _optimizer()
                self.lives.setdefault(pid, []).append((finished, resident_bytes(pid)))

    def close(self) -> None:
        self._done.set()
        self.join()

    def bytes_per_trial(self) -> float:
        """Of the longest lives together, as the median."""
        slopes = [slope(*zip(*life, strict=True)) for life in self.lives.values() if len(life) >= MIN_SAMPLES]
        return sorted(slopes)[len(slopes) // 2] if slopes else float("nan")

    def driver_bytes_per_minute(self) -> float:
        later = self.driver[len(self.driver) // 4 :]
        return 60 * slope(*zip(*later, strict=True))


def _optimizer() -> tuple[int, int]:
    """Its process, and how many trials have finished."""
    import ray

    from raytune_hpo.cluster.shells import OPTIMIZER, find

    actor = find(OPTIMIZER, NAME)
    pid, status = ray.get([actor.__ray_call__.remote(_own_id), actor.call.remote("status")], timeout=5.0)
    return pid, status.num_finished


def _own_id(actor: Any) -> int:
    return os.getpid()


def ours() -> dict[int, str]:
    """The processes that carry our mark, this one excepted, and what they are."""
    mark = f"{MARK}={os.environ[MARK]}".encode()
    found = {}
    for path in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if path.name.isdigit() and int(path.name) != os.getpid() and mark in (path / "environ").read_bytes():
                found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:100]
    return found


# ------------------------------------------------------------------------------------------------ the study


def endure(ground: Ground, seconds: float, max_pause_s: float) -> tuple[Watch, Counter[str], float]:
    """Run the study under fire, stop it, and finish what was begun; the third is how long finishing took."""
    murderer, watch = Murderer(ground, random.Random(time.time_ns())), Watch()
    study = tuner_of(ground.notes, ground.server.url, 10**9).start()
    watch.start()
    murderer.work(time.monotonic() + seconds, max_pause_s)
    study.stop("the time is over")
    watch.close()
    num_trials = max(1, study.status().num_trials)  # on a busy machine none may have begun
    _wait_until_gone()
    begin = time.monotonic()
    tuner_of(ground.notes, ground.server.url, num_trials).fit()
    return watch, murderer.counts, time.monotonic() - begin


def _wait_until_gone() -> None:
    """A detached study's actors leave a few seconds after its end."""
    from raytune_hpo import cluster

    while NAME in cluster.running():
        time.sleep(0.2)


def examined(ground: Ground) -> dict[str, Any]:
    """What the journal says."""
    from raytune_hpo.facts import Finished, Reported, Requeued, Started, Status, StudyStopped
    from raytune_hpo.journal import open_storage

    finished: Counter[int] = Counter()
    started, tokens, requeued, others, stops = set(), set(), 0, [], []
    for fact in open_storage(ground.server.url).read(NAME):
        if isinstance(fact, Started):
            started.add(fact.number)
        elif isinstance(fact, Reported):
            tokens.add(fact.metrics["token"])
        elif isinstance(fact, Finished):
            finished[fact.number] += 1
            if fact.status is not Status.COMPLETED:
                others.append(f"{fact.number} {fact.status}: {fact.error}")
        elif isinstance(fact, StudyStopped):
            stops.append(fact.reason)
        requeued += isinstance(fact, Requeued)
    noted = {token for path in ground.notes.iterdir() for token in path.read_text().splitlines() if len(token) == 32}
    return {
        "trials": len(started),
        "not_once": {number: finished[number] for number in started | finished.keys() if finished[number] != 1},
        "stops": stops,
        "not_completed": others,
        "acknowledged": len(noted),
        "lost": len(noted - tokens),
        "requeued": requeued,
    }


# ------------------------------------------------------------------------------------------------ the verdict


def measure_endurance(seconds: float, max_pause_s: float) -> list[Figure]:
    import ray

    os.environ[MARK] = uuid.uuid4().hex
    with temporary_home() as folder:
        ground = Ground(folder)
        try:
            ray.init(address=ground.cluster.address, log_to_driver=False, logging_level="ERROR")
            watch, kills, finishing_s = endure(ground, seconds, max_pause_s)
            said = examined(ground)
        finally:
            ray.shutdown()
            ground.close()
        left = left_behind(ground, folder)
    return figures(said, watch, kills, finishing_s, left)


def figures(
    said: dict[str, Any], watch: Watch, kills: Counter[str], finishing_s: float, left: dict[str, list[str]]
) -> list[Figure]:
    detail = {**said, "kills": dict(kills), "finishing_s": finishing_s}
    words = ", ".join(f"{count} x {victim}" for victim, count in kills.items())
    found = [
        Figure(name="trials", what=f"trials that ran while there died: {words}", measured=said["trials"], unit="",
               detail=detail),
        Figure(name="acknowledged", what="reports acknowledged", measured=said["acknowledged"], unit=""),
        at_most(0, name="not_once", what="trials not finished exactly once", measured=len(said["not_once"]), unit="",
                detail={"times": said["not_once"]}),
        at_most(0, name="not_completed", what="trials not completed", measured=len(said["not_completed"]), unit="",
                detail={"trials": said["not_completed"]}),
        at_most(0, name="lost", what="acknowledged reports that are not in the journal", measured=said["lost"], unit=""),
        Figure(name="optimizer", what=f"memory of the optimizer, per trial of {NUM_REPORTS} reports",
               measured=watch.bytes_per_trial(), unit="bytes"),
        Figure(name="driver", what="memory of the driver", measured=watch.driver_bytes_per_minute(), unit="bytes/min"),
    ]  # fmt: skip
    for what, names in left.items():
        found.append(
            at_most(0, name=what, what=f"{what} left behind", measured=len(names), unit="", detail={"left": names})
        )
    return found


@contextlib.contextmanager
def temporary_home() -> Iterator[Path]:
    """A folder in which all temporary files of ours, and of all that comes of us, are made."""
    before = tempfile.tempdir
    folder = Path(tempfile.mkdtemp(prefix="endurance-"))
    (folder / "tmp" / "ray").mkdir(parents=True)  # where Ray keeps its logs
    folder.chmod(0o755)  # PostgreSQL's user has to get through
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "tmp")
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        del os.environ["TMPDIR"]
        shutil.rmtree(folder, ignore_errors=True)


def left_behind(ground: Ground, folder: Path) -> dict[str, list[str]]:
    deadline = time.monotonic() + 10.0  # some take a moment to die
    while ours() and time.monotonic() < deadline:
        time.sleep(0.2)
    ports = {"PostgreSQL": ground.server.port, "Ray": ground.gcs_port}
    return {
        "processes": [f"{pid} {what}" for pid, what in ours().items()],
        "files": [str(path) for path in (folder / "tmp").iterdir() if path.name != "ray"],
        "ports": [f"{what} {port}" for what, port in ports.items() if is_open(port)],
    }


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    args: argparse.Namespace = parser.parse_args()
    seconds, max_pause_s = (0.0, 2.0) if args.quick else (60 * args.minutes, MAX_PAUSE_S)
    conduct(args, {"endurance": lambda quick: measure_endurance(seconds, max_pause_s)})


if __name__ == "__main__":
    main()
