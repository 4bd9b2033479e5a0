"""How good a configuration do our samplers find in few trials, and how do recorded peers compare?

    # the acceptance subset: every task that has peers' recorded runs, under half an hour on two cores
    python benchmarks/sample_efficiency.py auto tpe gp rf --suite recorded --seeds 8
    # the whole: every task there is
    python benchmarks/sample_efficiency.py auto tpe gp rf cmaes de random --suite all --seeds 8

    python benchmarks/sample_efficiency.py gp gp:acquisition=pi --only svm_1494 --seeds 4 --local
    python benchmarks/sample_efficiency.py auto --workers 8     # the asynchronous case on a virtual clock
    python benchmarks/sample_efficiency.py --quick              # tiny sizes: does it run?

Tasks and peers' runs are in a separate folder (--tasks, else RAYTUNE_HPO_BENCH, else ../shared/bench beside the
checkout); without one, live scikit-learn tasks are tuned. Runs are cached under ~/.cache, by the sampler's options,
version and source, so that only changed samplers run again. Ray distributes the runs over all cores; --local runs them
in this process.

Regret is (best so far - best known) / (median of random - best known), clipped to [0, 1]. Writes
results/sample_efficiency.json and a page of curves to out/sample_efficiency.html. The surrogates need
``pip install -e '.[bench]'``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import one_core  # noqa: F401
import tasks
from common import HERE, RESULTS, arguments, circumstances, table, write
from tasks import asynchronous, curves_page, jobs, shared
from tasks.jobs import Contender, Job
from tasks.report import Report

from raytune_hpo.experiments.parameter_lists import FORMS

POINTS = (25, 50, 100)
PAGE = HERE.parent / "out" / "sample_efficiency.html"


def options() -> argparse.Namespace:
    parser = arguments(__doc__)
    add = parser.add_argument
    add("samplers", nargs="*", metavar="SAMPLER", help="name, or name:option=value,...; default: random and hyperopt")
    add("--tasks", type=Path, metavar="DIR", help="folder of tasks; default: see above")
    add("--peers", type=Path, metavar="DIR", help="folder of peers' runs; default: peers/ in the folder of tasks")
    add("--suite", choices=["recorded", "all", "live"], help="default: recorded where there is a folder, else live")
    add("--only", nargs="+", metavar="TASK", help="these tasks")
    add("--tag", help="only tasks of this kind")
    add("--form", choices=FORMS, default="flat", help="of conditional spaces: one dict, or choices among dicts")
    add("--seeds", type=int, default=4, metavar="N", help="runs of each sampler on each task (default 4)")
    add("--first-seed", type=int, default=0, metavar="N")
    add("--trials", type=int, default=100, metavar="N", help="of a run (default 100)")
    add("--workers", type=int, default=1, metavar="N", help="trials at a time, compared with one at a time")
    add("--cache", type=Path, default=jobs.CACHE, metavar="DIR", help=f"default {jobs.CACHE}")
    add("--local", action="store_true", help="in this process, without Ray")
    add("--page", type=Path, default=PAGE, metavar="FILE", help="of curves; default out/sample_efficiency.html")
    args = parser.parse_args()
    args.samplers = args.samplers or ["random", "hyperopt"]
    if args.quick:
        args.suite, args.local, args.seeds, args.trials = args.suite or "live", True, 2, 8
    return args


def chosen(args: argparse.Namespace, folder: Path | None, peers: shared.Peers) -> tuple[str, list[str]]:
    """What the tasks to run are called together, and their names."""
    suite = args.suite or ("recorded" if peers else "live")
    if args.only:
        return "some", list(args.only)
    if suite == "recorded" and not peers:
        raise SystemExit("--suite recorded needs peers' runs; give --peers, or use --suite all")
    names = tasks.names(None if suite == "live" else folder, args.tag)
    known = {task for by_task in peers.values() for task in by_task}
    names = [name for name in names if suite != "recorded" or name in known]
    return suite, names[:1] if args.quick else names


def played(args: argparse.Namespace, names: Sequence[str], folder: Path | None, num_workers: int) -> jobs.Results:
    """Every sampler on every task with every seed."""
    contenders = [Contender.read(label) for label in args.samplers]
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    wanted = [
        Job(
            contender=contender,
            task=name,
            folder=folder,
            form=args.form,
            seed=seed,
            num_trials=args.trials,
            num_workers=num_workers,
        )
        for seed in seeds
        for contender in contenders
        for name in names
    ]
    begin, found = time.monotonic(), {}
    for job, run in jobs.run(wanted, args.cache, local=args.local):
        found[job] = run
        if sys.stderr.isatty():
            print(f"\r{len(found)} of {len(wanted)} runs, {time.monotonic() - begin:.0f} s ", end="", file=sys.stderr)
    print(f"{len(wanted)} runs, {num_workers} at a time: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    return jobs.by_contender(found)


def main() -> None:
    args = options()
    around = circumstances("sample_efficiency")
    folder = None if args.suite == "live" else shared.find(args.tasks)
    recorded_in = args.peers or (folder / "peers" if folder else None)
    peers = shared.recorded(recorded_in) if recorded_in else {}
    suite, names = chosen(args, folder, peers)
    known = {name: tasks.load(name, folder, args.form) for name in names}
    ours = played(args, names, folder, 1)
    if args.workers > 1:
        several = played(args, names, folder, args.workers)
        print(asynchronous.text(known, ours, several, args.workers))
        figures = list(asynchronous.figures(known, ours, several, args.workers, suite))
    else:
        report = Report(known=known, ours=ours, recorded=peers, points=points(args.trials))
        print(report.text(), "\n", flush=True)
        figures = report.figures(suite)
    if shown := [figure for figure in figures if figure.asked or args.workers > 1]:
        print(table(shown))
    when = {key: around[key] for key in ("at", "command", "commit", "uncommitted_changes")}
    in_part = args.quick or args.only or args.tag  # would stand in the place of better figures
    out = args.out or (None if in_part else RESULTS / "sample_efficiency.json")
    write(out, around, [{**asdict(figure), **when} for figure in figures])
    if args.workers == 1:
        curves_page.write(args.page, report.regrets, ours=list(ours), tasks=names, num_trials=args.trials)
        print(f"curves: {args.page}")


def points(num_trials: int) -> list[int]:
    """After how many trials regrets are looked at."""
    return [point for point in POINTS if point <= num_trials] or [num_trials]


if __name__ == "__main__":
    main()
