"""The cost of a tuner per trial: trials per second of an objective that does nothing.

    python benchmarks/overhead.py                  # everything, about six minutes on two cores
    python benchmarks/overhead.py --quick          # small sizes, one round: does it run?
    python benchmarks/overhead.py --only ray-tune ours-ray-sqlite

All contenders draw one uniform parameter at random and run two trials at a time (Optuna and our local runtime: one).
Each is run with few trials and with many; the result is the difference, which leaves out the cost of starting. That
cost is shown separately. Each round runs all contenders, so that a slow minute of the machine affects all of them;
times are medians over the rounds.

Needs ``pip install -e '.[bench]'``; PostgreSQL is measured if ``initdb`` is installed. Writes results/overhead.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # Ray Tune's CSV, JSON and TensorBoard files per trial

from common import RESULTS, circumstances, use_ray
from postgres import PostgresServer, programs

import raytune_hpo as hpo

NUM_WORKERS = 2
WIDTH = 36  # of the first column of the table


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Someone who runs trials.

    Attributes:
        run: runs so many trials, in a fresh study.
        few, many: sizes, so chosen that ``many`` takes seconds.
    """

    name: str
    what: str
    run: Callable[[int], None]
    few: int
    many: int


# ------------------------------------------------------------------------------------------------ contenders


def objective(config: dict) -> float:
    return config["x"]


def run_raw_ray(n: int) -> None:
    """No tuner: workers pull numbers from an actor, one call for each trial, which also carries the last result."""
    import ray

    @ray.remote(num_cpus=0)
    class Dealer:
        def __init__(self, n: int) -> None:
            self.left, self.results = n, []

        def exchange(self, result: float | None) -> float | None:
            if result is not None:
                self.results.append(result)
            if self.left == 0:
                return None
            self.left -= 1
            return random.random()

        def num_results(self) -> int:
            return len(self.results)

    @ray.remote(num_cpus=1)
    class Puller:
        def work(self, dealer) -> None:
            x = ray.get(dealer.exchange.remote(None))
            while x is not None:
                x = ray.get(dealer.exchange.remote(objective({"x": x})))

    dealer = Dealer.remote(n)
    pullers = [Puller.remote() for _ in range(NUM_WORKERS)]
    ray.get([puller.work.remote(dealer) for puller in pullers])
    assert ray.get(dealer.num_results.remote()) == n
    for actor in (dealer, *pullers):
        ray.kill(actor)


def run_ray_tune(n: int) -> None:
    from ray import tune

    def trainable(config: dict) -> None:
        tune.report({"loss": objective(config)})

    with tempfile.TemporaryDirectory() as folder:
        grid = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={"x": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(num_samples=n, max_concurrent_trials=NUM_WORKERS, reuse_actors=True),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        ).fit()
        assert len(grid) == n and grid.num_errors == 0


def run_optuna(n: int, storage: str | None = None) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(), storage=storage)
    study.optimize(lambda trial: objective({"x": trial.suggest_float("x", 0, 1)}), n_trials=n)
    assert len(study.get_trials(deepcopy=False)) == n


def run_optuna_sqlite(n: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run_optuna(n, f"sqlite:///{folder}/optuna.db")


def run_ours(n: int, *, runtime: str, storage: str) -> None:
    workers = NUM_WORKERS if runtime == "ray" else 1
    results = hpo.tune(
        objective,
        {"x": hpo.uniform(0, 1)},
        sampler="random",
        num_trials=n,
        max_concurrent=workers,
        runtime=runtime,
        storage=storage,
        name=f"overhead-{time.time_ns()}",
        progress=False,
    )
    assert results.num_by_status["completed"] == n


def run_ours_sqlite(n: int, *, runtime: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run_ours(n, runtime=runtime, storage=f"sqlite:///{folder}/studies.db")


def contenders(postgres: str | None) -> list[Contender]:
    """Everyone who can run on this machine."""
    found = [
        Contender(name="raw-ray", what="Ray actor calls, no tuner", run=run_raw_ray, few=500, many=15_000),
        Contender(name="ray-tune", what="Ray Tune, actors reused, loggers off", run=run_ray_tune, few=20, many=420),
        Contender(name="optuna-memory", what="Optuna, in memory", run=run_optuna, few=200, many=5_000),
        Contender(name="optuna-sqlite", what="Optuna, SQLite", run=run_optuna_sqlite, few=20, many=220),
        Contender(
            name="ours-local-memory",
            what="raytune_hpo, local, in memory",
            run=lambda n: run_ours(n, runtime="local", storage="memory"),
            few=1_000,
            many=60_000,
        ),
        Contender(
            name="ours-local-sqlite",
            what="raytune_hpo, local, SQLite",
            run=lambda n: run_ours_sqlite(n, runtime="local"),
            few=1_000,
            many=60_000,
        ),
        Contender(
            name="ours-ray-memory",
            what="raytune_hpo, Ray, in memory",
            run=lambda n: run_ours(n, runtime="ray", storage="memory"),
            few=1_000,
            many=60_000,
        ),
        Contender(
            name="ours-ray-sqlite",
            what="raytune_hpo, Ray, SQLite",
            run=lambda n: run_ours_sqlite(n, runtime="ray"),
            few=1_000,
            many=60_000,
        ),
    ]
    if postgres is not None:
        found.append(
            Contender(
                name="ours-ray-postgresql",
                what="raytune_hpo, Ray, PostgreSQL",
                run=lambda n: run_ours(n, runtime="ray", storage=postgres),
                few=1_000,
                many=60_000,
            )
        )
    return found


@contextlib.contextmanager
def postgres_server() -> Iterator[str | None]:
    """The URL of a PostgreSQL server of its own with the defaults of its distribution; None where there is none."""
    if programs() is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # root's server runs as another user
        server = PostgresServer(Path(folder) / "pg")
        try:
            yield server.url
        finally:
            server.stop()


# ------------------------------------------------------------------------------------------------ measuring


def seconds(run: Callable[[int], None], n: int) -> float:
    begin = time.perf_counter()
    run(n)
    return time.perf_counter() - begin


def measure(found: list[Contender], rounds: int, shrink: int) -> dict[str, list[dict[str, float]]]:
    """Seconds for few and for many trials, of each contender in each round."""
    runs: dict[str, list[dict[str, float]]] = {contender.name: [] for contender in found}
    for index in range(rounds):
        for contender in found:
            few, many = max(5, contender.few // shrink), max(15, contender.many // shrink)
            run = {"few": few, "few_s": seconds(contender.run, few)}
            run |= {"many": many, "many_s": seconds(contender.run, many)}
            runs[contender.name].append(run)
            times = f"{few:6} trials {run['few_s']:7.2f} s  {many:6} trials {run['many_s']:7.2f} s"
            print(f"round {index + 1}/{rounds}  {contender.name:20} {times}", flush=True)
    return runs


def summary(contender: Contender, runs: list[dict[str, float]]) -> dict:
    """The figures of one contender, from its median times."""
    few, many = runs[0]["few"], runs[0]["many"]
    few_s, many_s = (statistics.median(run[size] for run in runs) for size in ("few_s", "many_s"))
    more_s = many_s - few_s
    rate = (many - few) / more_s if more_s > 0 else None  # None: too few trials to tell from noise
    return {
        "name": contender.name,
        "what": contender.what,
        "trials_per_s": rate,
        "start_s": None if rate is None else few_s - few / rate,
        "whole_call_trials_per_s": many / many_s,
        "runs": runs,
    }


def figures(found: list[Contender], runs: dict[str, list[dict[str, float]]]) -> list[dict]:
    """One row for each contender, with how many times Ray Tune's rate its own is."""
    rows = [summary(contender, runs[contender.name]) for contender in found]
    base = next((row["trials_per_s"] for row in rows if row["name"] == "ray-tune"), None)
    for row in rows:
        row["times_ray_tune"] = row["trials_per_s"] / base if base and row["trials_per_s"] else None
    return rows


def table(rows: list[dict]) -> str:
    """The figures as the README shows them."""
    lines = [
        f"| {'two trials at a time':{WIDTH}} | trials/s | x Ray Tune | start, s | whole call, trials/s |",
        f"|{'-' * (WIDTH + 2)}|---------:|-----------:|---------:|---------------------:|",
    ]
    for row in rows:
        cells = [
            _cell(row["trials_per_s"], 8, 0),
            _cell(row["times_ray_tune"], 10, 1),
            _cell(row["start_s"], 8, 1),
            _cell(row["whole_call_trials_per_s"], 20, 0),
        ]
        lines.append(f"| {row['what']:{WIDTH}} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: float | None, width: int, digits: int) -> str:
    """A number, empty where it could not be told from noise; a start of less than nothing is noise, too."""
    return f"{'' if value is None else f'{max(0.0, value):,.{digits}f}':>{width}}"


def main() -> None:
    args = parse_args()
    around = circumstances("overhead")
    use_ray()
    with postgres_server() as postgres:
        found = [c for c in contenders(postgres) if not args.only or c.name in args.only]
        runs = measure(found, args.rounds, args.shrink)
    rows = figures(found, runs)
    print(f"\n{table(rows)}")
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps({**around, "rounds": args.rounds, "figures": rows}, indent=1) + "\n")
        print(f"\nwritten to {args.out}")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shrink", type=int, default=1, help="divide all sizes by this")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these contenders")
    parser.add_argument(
        "--out", type=Path, help="default: results/overhead.json beside this file, unless sizes are reduced"
    )
    parser.add_argument("--quick", action="store_true", help="one round with a tenth of the trials, nothing written")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.shrink = 1, 10
    elif args.out is None and not args.only and args.shrink == 1:
        args.out = RESULTS / "overhead.json"
    return args


if __name__ == "__main__":
    main()
