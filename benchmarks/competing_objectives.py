"""Several goals and constraints: how much of the best known hypervolume do our samplers dominate in few trials?

    python benchmarks/competing_objectives.py            # hours on one core; runs that were kept are not repeated
    python benchmarks/competing_objectives.py --seeds 3 --only tasks --samplers auto
    python benchmarks/competing_objectives.py --quick    # tiny sizes: does it run?

The script runs functions with known fronts, and those tasks of a folder (--tasks, else RAYTUNE_HPO_BENCH, else
../shared/bench beside the checkout) that have two goals and recorded runs of peers. The gap of a run is the share of
the largest known hypervolume that its front lacks. Each run is stored in results/competing_objectives_runs.json as soon
as it has ended. All of it runs in one process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import one_core  # noqa: F401  # isort: skip  (before numpy)

import numpy as np
from common import RESULTS, Figure, arguments, at_most, conduct
from tasks import fronts, shared
from tasks.fronts import Metrics, Problem

from raytune_hpo import registry
from raytune_hpo.core.asking import ask
from raytune_hpo.protocols import Suggestion
from raytune_hpo.testing.trials import Loop

AT = (25, 50, 100)  # trials after which a run is judged
NUM_TRIALS = 100
# Of the tasks with records, settings of ours were chosen on the first five; the other four were left for the report.
CHOSEN_ON = ("fcnet_protein", "iamlsuper_1489", "lcbench_167168", "mlp_phoneme", "svm_1494")
WARM = 30  # trials after which the share of feasible ones is counted


# ------------------------------------------------------------------------------------------------ playing


def play(problem: Problem, sampler: str, seed: int, num_trials: int, workers: int = 1) -> dict[str, Any]:
    """One run, and what is kept of it: gaps, the share of feasible trials, seconds of the processor for a suggestion."""
    loop = Loop.of(
        lambda: registry.make("sampler", sampler),
        problem.space, goals=problem.goals, constraints=problem.constraints, seed=seed,
    )  # fmt: skip
    found: list[Metrics] = []
    seconds, gaps = [], {}

    def end() -> None:
        trial = loop.pending[0]
        metrics = problem.evaluate(trial.config)
        found.append(metrics)
        if metrics is None:
            loop.fail(trial)
        else:
            loop.tell(trial, metrics)
        if len(found) in AT:
            gaps[str(len(found))] = 1 - problem.volume(found) / problem.best

    for number in range(num_trials):
        if len(loop.pending) >= workers:
            end()
        began = time.process_time()
        pending = tuple(loop.pending) if loop.sampler.traits.reads_pending else ()
        answer = ask(loop.sampler, number, pending, seed)
        seconds.append(time.process_time() - began)
        assert isinstance(answer, Suggestion), "these samplers always have something to suggest"
        loop.enqueue(answer.config, meta=answer.meta, suggested=True)
    while loop.pending:
        end()
    feasible = [trial.is_feasible for trial in loop.finished[WARM:]]
    return {
        "problem": problem.name,
        "sampler": sampler,
        "seed": seed,
        "workers": workers,
        "gaps": gaps,
        "feasible": float(np.mean(feasible)) if feasible else None,
        "suggest_s": {"median": float(np.median(seconds)), "p95": float(np.quantile(seconds, 0.95))},
    }


class Runs:
    """The runs that were played, in a file."""

    def __init__(self, path: Path | None, num_trials: int) -> None:
        self._path, self._num_trials = path, num_trials
        self._runs: list[dict[str, Any]] = json.loads(path.read_text()) if path and path.exists() else []

    def of(self, problem: str, sampler: str, workers: int = 1) -> list[dict[str, Any]]:
        """Of one problem, by their seeds."""
        found = [r for r in self._runs if (r["problem"], r["sampler"], r["workers"]) == (problem, sampler, workers)]
        return sorted(found, key=lambda run: run["seed"])

    def play(self, problem: Problem, sampler: str, seed: int, workers: int = 1) -> None:
        """Play a run, unless it was."""
        if any(run["seed"] == seed for run in self.of(problem.name, sampler, workers)):
            return
        self._runs.append(play(problem, sampler, seed, self._num_trials, workers))
        if self._path:
            self._path.write_text(json.dumps(self._runs, indent=1) + "\n")


# ------------------------------------------------------------------------------------------------ figures


def mean_gap(by_problem: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The mean over problems of the means over runs, and half its 95 % interval, of normal errors of the runs' means."""
    means = [float(np.mean(gaps)) for gaps in by_problem]
    errors = [float(np.var(gaps, ddof=1)) / len(gaps) if len(gaps) > 1 else np.nan for gaps in by_problem]
    return float(np.mean(means)), 1.96 * float(np.sqrt(np.sum(errors))) / len(means)


def of_functions(
    runs: Runs, samplers: Sequence[str], seeds: Sequence[int], names: Sequence[str], workers: int
) -> Iterator[Figure]:
    """The gap of each sampler on each function."""
    side = _side(workers)
    for name in names:
        problem = fronts.function(name)
        for sampler in samplers:
            for seed in seeds:
                runs.play(problem, sampler, seed, workers)
            found = runs.of(name, sampler, workers)
            for at in AT:
                if gaps := [run["gaps"][str(at)] for run in found if str(at) in run["gaps"]]:
                    yield _gap(f"{name}, {sampler}{side}", [gaps], at, len(gaps))
            feasible = [run["feasible"] for run in found if run["feasible"] is not None]
            if problem.constraints and feasible:
                what = f"{name}, {sampler}{side}: feasible share after {WARM} trials"
                yield Figure(name=what, what=what, measured=float(np.mean(feasible)), unit="")
    yield from of_workers(runs, samplers, "functions", names, workers)


def of_workers(runs: Runs, samplers: Sequence[str], kind: str, names: Sequence[str], workers: int) -> Iterator[Figure]:
    """What several workers lose against one, after as many trials."""
    for sampler in samplers if workers > 1 else ():
        played = [[runs.of(name, sampler, num) for num in (workers, 1)] for name in names]
        if all(one and many for many, one in played):
            measured, interval = ratio_of_gaps(played)
            name = f"{kind}, {sampler}{_side(workers)}: times one"
            yield at_most(
                1.2, name=name, what=f"{name} worker's gap after 50 trials, {_said(interval)}",
                measured=measured, unit="times", detail={"interval": interval, "problems": list(names)},
            )  # fmt: skip


def ratio_of_gaps(played: Sequence[Sequence[Sequence[dict[str, Any]]]]) -> tuple[float, list[float]]:
    """The mean gap after 50 trials of one side's runs as a multiple of the other's, and 95 % of it.

    Args:
        played: for each problem the runs of both sides.
    """
    rng = np.random.default_rng(0)
    pairs = [[np.array([run["gaps"]["50"] for run in side]) for side in pair] for pair in played]

    def ratio(pairs: Sequence[Sequence[Any]]) -> float:
        one, other = (np.mean([np.mean(gaps) for gaps in side]) for side in zip(*pairs, strict=True))
        return float(one / other)

    drawn = [ratio([[rng.choice(side, len(side)) for side in pair] for pair in pairs]) for _ in range(2_000)]
    return ratio(pairs), np.quantile(drawn, [0.025, 0.975]).tolist()


def _said(interval: Sequence[float]) -> str:
    return "95 % [{:.2f}, {:.2f}]".format(*interval)


def of_failures(runs: Runs, samplers: Sequence[str], seeds: Sequence[int], names: Sequence[str]) -> Iterator[Figure]:
    """Functions whose unwanted trials fail: as failures, whose probability is modelled, and as the worst values so far."""
    ways = {"failing": fronts.failing, "failing, as the worst": lambda name: fronts.worst_instead(fronts.failing(name))}
    for sampler in samplers:
        played = []
        for name in names:
            for seed in seeds:
                for problem in ways.values():
                    runs.play(problem(name), sampler, seed)
            played.append([runs.of(f"{name}, {way}", sampler) for way in ways])
            for way, found in zip(ways, played[-1], strict=True):
                for at in AT:
                    if gaps := [run["gaps"][str(at)] for run in found if str(at) in run["gaps"]]:
                        yield _gap(f"{name}, {way}, {sampler}", [gaps], at, len(gaps))
        if played and all("50" in run["gaps"] for pair in played for side in pair for run in side):
            measured, interval = ratio_of_gaps(played)
            name = f"failures, {sampler}: times the gap of worst values"
            what = f"{name} after 50 trials, {_said(interval)}"
            detail = {"interval": interval, "problems": list(names)}
            yield Figure(name=name, what=what, measured=measured, unit="times", detail=detail)


def _side(workers: int) -> str:
    return "" if workers == 1 else f", {workers} workers"


def of_tasks(
    runs: Runs, samplers: Sequence[str], seeds: Sequence[int], folder: Path, names: Sequence[str], workers: int
) -> Iterator[Figure]:
    """The mean gap of each sampler and of each peer: over all tasks, over those that no setting was chosen on, over those
    on which all peers have three runs that have them on most tasks. Peers have one worker.
    """
    gaps: dict[str, dict[int, dict[str, list[float]]]] = {}
    for name in names:
        problem = fronts.task(folder, name)
        for sampler in samplers:
            for seed in seeds:
                runs.play(problem, sampler, seed, workers)
            by_at = gaps.setdefault(f"{sampler}{_side(workers)}", {})
            for run in runs.of(name, sampler, workers):
                for at, gap in run["gaps"].items():
                    by_at.setdefault(int(at), {}).setdefault(name, []).append(gap)
        for peer, found in fronts.recorded(folder, name).items() if workers == 1 else ():
            for at in AT:
                volumes = [problem.volume(points[:at]) for points in found if len(points) >= at]
                if volumes:
                    missing = [1 - volume / problem.best for volume in volumes]
                    gaps.setdefault(peer, {}).setdefault(at, {})[name] = missing
    groups = {"all": names, "reported": [n for n in names if n not in CHOSEN_ON], "common": _common(gaps, names)}
    for group, those in groups.items():
        for who, by_at in gaps.items():
            for at in AT:
                found = {name: values for name, values in by_at.get(at, {}).items() if name in those}
                if found:
                    num = sum(map(len, found.values()))
                    yield _gap(f"{group} tasks, {who}", list(found.values()), at, num, found)
    yield from of_workers(runs, samplers, "tasks", names, workers)


def _common(gaps: dict[str, dict[int, dict[str, list[float]]]], names: Sequence[str]) -> list[str]:
    """The tasks on which everybody has three runs of fifty trials who has them on more than half of the tasks."""
    known = {who: {name for name, runs in by_at.get(50, {}).items() if len(runs) >= 3} for who, by_at in gaps.items()}
    usual = [those for those in known.values() if len(those) > len(names) / 2]
    return [name for name in names if all(name in those for those in usual)]


def of_asks(num_trials: int) -> list[Figure]:
    """How long gp thinks about three goals, after so many trials and for each of the twenty that follow."""
    problem = fronts.function("vehicle_safety")
    loop = Loop.of(lambda: registry.make("sampler", "gp"), problem.space, goals=problem.goals)
    for config in problem.space.sample(num_trials, np.random.default_rng(0)):
        loop.tell(loop.enqueue(config), problem.evaluate(config))
    seconds = []
    for _ in range(20):
        began = time.process_time()
        trial = loop.ask()
        seconds.append(time.process_time() - began)
        assert trial is not None, "gp always has something to suggest"
        loop.tell(trial, problem.evaluate(trial.config))
    name = f"a suggestion of gp for three goals after {num_trials} trials"
    detail = {"most": max(seconds)}
    what = f"{name}: median of the processor's seconds (the longest, with a fit, {max(seconds):.2f})"
    return [at_most(0.3, name=name, what=what, measured=float(np.median(seconds)), unit="s", detail=detail)]


def _gap(
    name: str, by_problem: Sequence[Sequence[float]], at: int, num: int, found: dict[str, list[float]] | None = None
) -> Figure:
    mean, half = mean_gap(by_problem)
    detail = {"interval": [mean - half, mean + half], "runs": num, "problems": len(by_problem)}
    if found:
        detail["by_problem"] = {problem: float(np.mean(gaps)) for problem, gaps in found.items()}
    what = f"{name}: gap after {at} trials ({len(by_problem)} problems, {num} runs), +- {half:.3f}"
    return Figure(name=f"{name}, {at} trials", what=what, measured=mean, unit="", detail=detail)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--only", choices=("functions", "failures", "tasks", "asks"), help="one of these")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="trials at a time")
    parser.add_argument("--samplers", nargs="+", default=["auto", "nsga2", "random"], metavar="NAME")
    parser.add_argument("--seeds", type=int, default=10, metavar="N", help="from 0 on")
    parser.add_argument("--problems", nargs="+", metavar="NAME", help="some of them")
    parser.add_argument("--tasks", type=Path, metavar="DIR", help="folder of tasks")
    args = parser.parse_args()
    folder, seeds = shared.find(args.tasks), range(1 if args.quick else args.seeds)
    path = (
        None
        if args.quick
        else (args.out or RESULTS / "competing_objectives.json").with_name("competing_objectives_runs.json")
    )
    runs = Runs(path, AT[0] if args.quick else NUM_TRIALS)
    chosen = set(args.problems or (["zdt1"] if args.quick else []))

    def functions(quick: bool) -> list[Figure]:
        names = [name for name in fronts.FUNCTIONS if not chosen or name in chosen]
        return list(of_functions(runs, args.samplers, seeds, names, args.workers))

    def failures(quick: bool) -> list[Figure]:
        names = fronts.FAILING[:1] if quick else fronts.FAILING
        return list(of_failures(runs, [name for name in args.samplers if name != "random"], seeds, names))

    def tasks(quick: bool) -> list[Figure]:
        if folder is None or quick:
            return []
        names = [name for name in fronts.names(folder) if not chosen or name in chosen]
        return list(of_tasks(runs, args.samplers, seeds, folder, names, args.workers))

    def asks(quick: bool) -> list[Figure]:
        return of_asks(20 if quick else 200)

    measures = {"functions": functions, "failures": failures, "tasks": tasks, "asks": asks}
    conduct(args, {name: measure for name, measure in measures.items() if args.only in (None, name)})


if __name__ == "__main__":
    main()
