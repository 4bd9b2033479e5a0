"""What several trials at a time cost: the same trials, fewer results known when each was suggested, less time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from common import Figure

from tasks.jobs import Results
from tasks.playing import Played
from tasks.report import grid
from tasks.task import Task

_MOST_TIMES = {8: 1.25}  # of the sequential regret, by the number of workers
_LEAST_REGRET = 1e-3  # below it a ratio of regrets says nothing


def text(known: Mapping[str, Task], one: Results, several: Results, num_workers: int) -> str:
    """A row for each sampler and task, and one for all its tasks."""
    return grid(_rows(known, one, several, num_workers))


def _rows(known: Mapping[str, Task], one: Results, several: Results, num_workers: int) -> Iterator[Sequence[str]]:
    yield [
        f"{num_workers} workers",
        "task",
        "regret",
        "sequential",
        "time",
        "of sequential",
        "sequential by then",
        "duplicates",
        "sequential",
    ]
    for label in several:
        for name, task in known.items():
            here, there = several[label][name], one[label][name]
            yield [label, name, *_cells([measured(task, a, b) for a, b in zip(here, there, strict=True)])]
        everything = [
            measured(task, a, b)
            for name, task in known.items()
            for a, b in zip(several[label][name], one[label][name], strict=True)
        ]
        yield [label, "all", *_cells(everything)]


class ReportMetrics(dict[str, float]):
    """Of a run with several workers and of its sequential twin: see ``measured``."""


def measured(task: Task, several: Played, one: Played) -> ReportMetrics:
    """The regrets at the end, the times it took, what the sequential run had reached by then, and duplicates."""
    mine, its = task.regrets(several.losses), task.regrets(one.losses)
    in_time = int(np.searchsorted(one.finished_at, several.finished_at[-1], side="right"))
    return ReportMetrics(
        regret=mine[-1],
        sequential=its[-1],
        time=several.finished_at[-1] / max(np.mean(np.diff(one.finished_at, prepend=0.0)), 1e-12),
        share=several.finished_at[-1] / max(one.finished_at[-1], 1e-12),
        by_then=its[in_time - 1] if in_time else 1.0,
        duplicates=several.num_duplicates,
        sequential_duplicates=one.num_duplicates,
    )


def _cells(runs: Sequence[ReportMetrics]) -> list[str]:
    mean = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
    numbers = [mean["regret"], mean["sequential"]]
    return [
        *[f"{value:.3f}" for value in numbers],
        f"{mean['time']:.1f}",
        f"{mean['share']:.0%}",
        f"{mean['by_then']:.3f}",
        f"{mean['duplicates']:.1f}",
        f"{mean['sequential_duplicates']:.1f}",
    ]


def figures(
    known: Mapping[str, Task], one: Results, several: Results, num_workers: int, suite: str
) -> Iterator[Figure]:
    """For each sampler the ratio of its mean regrets, with a bootstrap interval over tasks and runs."""
    rng = np.random.default_rng(num_workers)
    for label in several:
        by_task = [
            np.array([[task.regrets(run.losses)[-1] for run in runs[label][name]] for runs in (several, one)])
            for name, task in known.items()
        ]
        ratio = _ratio(np.mean([pairs.mean(axis=1) for pairs in by_task], axis=0))
        drawn = np.quantile([_ratio(_redrawn(by_task, rng)) for _ in range(1000)], [0.025, 0.975])
        duplicates = {name: [run.num_duplicates for run in several[label][name]] for name in known}
        most = _MOST_TIMES.get(num_workers)
        yield Figure(
            name=f"{suite} {label} {num_workers} workers",
            what=f"{label}, {len(known)} tasks ({suite}): regret with {num_workers} workers",
            measured=ratio,
            unit="times the sequential",
            asked="" if most is None else f"<= {most}",
            reached=None if most is None else ratio <= most,
            detail={
                "interval": drawn.tolist(),
                "duplicates": duplicates,
                "regrets": {name: pairs.mean(axis=1).tolist() for name, pairs in zip(known, by_task, strict=True)},
            },
        )


def _redrawn(by_task: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Mean regrets (2,) of tasks drawn with replacement, and of runs within each, the twins together."""
    chosen = rng.integers(len(by_task), size=len(by_task))
    means = []
    for number in chosen:
        pairs = by_task[number]
        means.append(pairs[:, rng.integers(pairs.shape[1], size=pairs.shape[1])].mean(axis=1))
    return np.asarray(np.mean(means, axis=0))


def _ratio(regrets: np.ndarray) -> float:
    return float(max(regrets[0], _LEAST_REGRET) / max(regrets[1], _LEAST_REGRET))
