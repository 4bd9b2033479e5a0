"""The cost of checkpoints: of pausing, of a crash, and of the disk space that a study takes up.

    python benchmarks/checkpoints.py            # about ten minutes
    python benchmarks/checkpoints.py --quick    # tiny sizes: does it run?

``pausing`` runs on a virtual clock, ``disk`` in threads, and the other measures on Ray. ``resume`` is compared with
writing, syncing, renaming and reading the same file in the same worker.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from common import Figure, at_least, at_most, run, use_ray

import raytune_hpo as hpo

SPACE = {"x": hpo.uniform(0.0, 1.0)}
MEGABYTE = bytes(range(256)) * 4096


@contextmanager
def folder() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="checkpoints-"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def staircase(config: dict) -> float:
    """Twenty-seven virtual steps of a second each, saved in a file of a few bytes."""
    saved = hpo.checkpoint()
    done = 0 if saved is None else int((saved.path / "step").read_text())
    for step in range(done + 1, 28):
        hpo.report(
            loss=config["x"] + 1 / step,
            cost_s=float(step),
            step=step,
            save=lambda folder, step=step: (folder / "step").write_text(str(step)),
        )
    return config["x"]


def measure_pausing(quick: bool) -> list[Figure]:
    """Pauses and promotions a second of processor time, checkpoints and all."""
    num_trials = 60 if quick else 3_000
    begin = time.process_time()
    results = hpo.simulate(
        staircase, SPACE, num_workers=64, num_trials=num_trials, sampler="random", seed=1,
        scheduler={"name": "asha", "promote": True, "max_steps": 27},
    )  # fmt: skip
    took_s = time.process_time() - begin
    moves = sum(trial.attempt - 1 for trial in results) + results.num_by_status["paused"]
    moves += sum(trial.attempt - 1 for trial in results)  # each had paused before it went on
    detail = {"pauses_and_promotions": moves, "seconds": took_s, "trials": num_trials}
    what = "pauses and promotions on the virtual clock"
    return [at_least(2_000, name="pausing", what=what, measured=moves / took_s, unit="/s", detail=detail)]


def measure_disk(quick: bool) -> list[Figure]:
    """How many checkpoints lie on the disk at most, of so many trials of which each saves one."""
    num_trials = 100 if quick else 10_000
    with folder() as place:
        most = 0

        def objective(config: dict) -> float:
            nonlocal most
            if config["x"] < 0.02:
                most = max(most, sum(1 for _ in (place / "s.db.checkpoints" / "disk").iterdir()))
            for step in (1, 3, 9):
                hpo.report(loss=config["x"] + 1 / step, step=step, save=lambda folder: (folder / "w").write_bytes(b"x"))
            return config["x"]

        (place / "s.db.checkpoints" / "disk").mkdir(parents=True)
        hpo.tune(
            objective, SPACE, num_trials=num_trials, sampler="random", seed=1, runtime="local", max_concurrent=2,
            scheduler={"name": "asha", "promote": True, "max_steps": 9}, storage=str(place / "s.db"), name="disk",
            progress=False,
        )  # fmt: skip
        left = sum(1 for _ in (place / "s.db.checkpoints" / "disk").iterdir())
    what = f"most checkpoints on the disk, of {num_trials:,} trials that save"
    limit = num_trials / 20 + 60
    return [at_most(limit, name="disk", what=what, measured=most, unit="", detail={"at_the_end": left})]


def measure_kills(quick: bool) -> list[Figure]:
    """Workers killed at random moments of a trial of 100 steps, with a checkpoint after every tenth."""
    use_ray()
    wanted, worst, is_same = 2 if quick else 30, 0, True
    chance, kills = random.Random(1), 0
    while kills < wanted:
        with folder() as place:
            log = place / "log"

            def objective(config: dict, log: Path = log) -> float:
                saved = hpo.checkpoint()
                done, total = 0, 0.0
                if saved is not None:
                    done, total = saved.step, float((saved.path / "total").read_text())
                for step in range(done + 1, 101):
                    time.sleep(0.01)
                    total += step * config["x"]
                    with log.open("a") as file:
                        file.write(f"{step} {os.getpid()}\n")

                    def save(folder: Path, total: float = total) -> None:
                        (folder / "total").write_text(repr(total))

                    hpo.report(loss=total, step=step, save=None if step % 10 else save)
                return total

            study = hpo.Tuner(
                objective, {"x": hpo.uniform(0.5, 0.5)}, num_trials=1, sampler="random", name=f"kills-{kills}",
                storage=str(place / "s.db"), checkpoint_every_s=1e-9, max_retries=3,
            ).start()  # fmt: skip
            moments = sorted(chance.sample(range(5, 95), 3))
            for moment in moments:
                while len(lines := log.read_text().splitlines() if log.exists() else []) < moment:
                    time.sleep(0.005)
                before = len(lines)
                os.kill(int(lines[-1].split()[1]), signal.SIGKILL)
                while len(log.read_text().splitlines()) <= before and not study.wait(0.0):
                    time.sleep(0.005)
                kills += 1
            study.wait()
            (trial,) = study.results()
            study.close()
            steps = [int(line.split()[0]) for line in log.read_text().splitlines()]
            worst = max(worst, (len(steps) - len(set(steps))) / len(moments))
            is_same &= trial.losses == (sum(0.5 * step for step in range(1, 101)),)
    what = f"steps done twice for each of {kills} killed workers, a checkpoint every 10"
    figure = at_most(10, name="kills", what=what, measured=worst, unit="steps", detail={"same_result": is_same})
    return [figure]


def measure_resume(quick: bool) -> list[Figure]:
    """A trial pauses with a megabyte and goes on, against what the file system takes for the same.

    Of two trials, the better goes on. If that is the second, nothing else runs between its pause and its resumption; only
    these are counted. The second figure has the bare syncs, commits and digests that make the same durable, in the same
    worker.
    """
    use_ray()
    rounds = 6 if quick else 80
    with folder() as place:

        def objective(config: dict, place: Path = place) -> dict[str, float]:
            saved = hpo.checkpoint()
            if saved is not None:
                (saved.path / "w").read_bytes()
                ours_s = time.time() - float((saved.path / "began").read_text())
                if (place / "last").read_text() != str(config["x"]):
                    return {"loss": config["x"]}
                raw_s = statistics.median(_seconds(_written_and_read, place) for _ in range(3))
                with _facts_in(place) as facts:
                    durable_s = statistics.median(
                        _seconds(partial(_made_durable, facts=facts), place) for _ in range(3)
                    )
                return {"loss": config["x"], "ours_s": ours_s, "raw_s": raw_s, "durable_s": durable_s}
            time.sleep(0.06)  # shorter trials come several at a time
            (place / "last").write_text(str(config["x"]))
            began = time.time()

            def save(folder: Path) -> None:
                (folder / "w").write_bytes(MEGABYTE)
                (folder / "began").write_text(repr(began))

            hpo.report(loss=config["x"], step=1, save=save)
            return {"loss": config["x"]}

        results = hpo.tune(
            objective, SPACE, num_trials=2 * rounds, sampler="random", seed=1, max_concurrent=1, name="resume",
            scheduler={"name": "successive_halving", "eta": 2, "max_steps": 2}, storage=str(place / "s.db"),
            progress=False,
        )  # fmt: skip
        told = [trial.metrics for trial in results if "ours_s" in trial.metrics]
    detail = {f"{name}_s": sorted(m[f"{name}_s"] for m in told) for name in ("ours", "raw", "durable")}
    ratios = {name: statistics.median(m[f"{name}_s"] / m["raw_s"] for m in told) for name in ("ours", "durable")}
    what = "pause and resume of 1 MB, against the file system"
    bare = "the bare syncs, commits and digests of the same, against the file system"
    return [
        at_most(3, name="resume", what=what, measured=ratios["ours"], unit="of its time", detail=detail),
        Figure(name="durable", what=bare, measured=ratios["durable"], unit="of its time"),
    ]


def _seconds(function: Callable[[Path], object], place: Path) -> float:
    begin = time.perf_counter()
    function(place)
    return time.perf_counter() - begin


def _written_and_read(place: Path) -> bytes:
    """Write a file, sync and rename it, and read it."""
    with (place / ".w").open("wb") as file:
        file.write(MEGABYTE)
        file.flush()
        os.fsync(file.fileno())
    (place / ".w").rename(place / "w")
    return (place / "w").read_bytes()


@contextmanager
def _facts_in(place: Path) -> Iterator[sqlite3.Connection]:
    """A database that syncs every commit, with a table of facts."""
    with closing(sqlite3.connect(place / "bare.db", isolation_level=None)) as database:
        database.execute("pragma journal_mode = wal")
        database.execute("pragma synchronous = full")
        database.execute("create table if not exists facts (fact)")
        yield database


def _made_durable(place: Path, facts: sqlite3.Connection) -> None:
    """Write a folder of two files, sync it all, rename it, commit that it was saved and that it is resumed, and read it."""
    folder = Path(tempfile.mkdtemp(dir=place))
    (folder / "w").write_bytes(MEGABYTE)
    (folder / "began").write_text("0")
    with ThreadPoolExecutor(3) as syncing:
        list(syncing.map(_sync, [folder / "w", folder / "began", folder]))
    hashlib.sha256(MEGABYTE).hexdigest()
    kept = folder.rename(place / "kept")
    _sync(place)
    for fact in ("saved, paused", "started"):
        facts.execute("insert into facts values (?)", (fact,))
    hashlib.sha256((kept / "w").read_bytes()).hexdigest()
    shutil.rmtree(kept)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def measure_unused(quick: bool) -> list[Figure]:
    """What it costs to offer ``save`` with every report, where nobody ever wants it."""
    use_ray()
    num_reports, rounds = (50, 1) if quick else (5_000, 7)

    def objective(config: dict) -> dict[str, float]:
        took = {True: 0.0, False: 0.0}
        step = 0
        for _ in range(10):
            for offers in (True, False):
                begin = time.perf_counter()
                for _ in range(num_reports // 10):
                    step += 1
                    save = (lambda folder: None) if offers else None
                    hpo.report(loss=config["x"], step=step, save=save)
                    until = time.perf_counter() + 200e-6  # a step of training, a very short one
                    while time.perf_counter() < until:
                        pass
                took[offers] += time.perf_counter() - begin
        return {"loss": config["x"], "ratio": took[True] / took[False]}

    with folder() as place:
        results = hpo.tune(
            objective, SPACE, num_trials=rounds, sampler="random", max_concurrent=1, name="unused",
            storage=str(place / "s.db"), keep_checkpoints=0, progress=False,
        )  # fmt: skip
    ratios = [trial.metrics["ratio"] for trial in results]
    what = "reports that offer a checkpoint in vain, steps of 0.2 ms"
    measured = statistics.median(ratios)
    return [at_most(1.01, name="unused", what=what, measured=measured, unit="of the time", detail={"ratios": ratios})]


if __name__ == "__main__":
    run(
        __doc__ or "",
        {
            "pausing": measure_pausing,
            "disk": measure_disk,
            "kills": measure_kills,
            "resume": measure_resume,
            "unused": measure_unused,
        },
    )
