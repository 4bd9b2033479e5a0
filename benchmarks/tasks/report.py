"""What is printed and written about contenders: regrets and ranks, differences to peers, kinds of tasks.

Peers stand in brackets: ``[optuna_tpe]`` is recorded, ``hyperopt`` was played now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from common import Figure

from tasks.jobs import Results
from tasks.scoring import Estimate, Regrets, Scores
from tasks.shared import Peers
from tasks.task import Task

CERTAIN_FROM = 50  # trials, from which on the interval of the difference to the best peer should not reach 0


@dataclass(frozen=True, kw_only=True)
class Report:
    """Our contenders against peers on some tasks.

    Attributes:
        known: the tasks by name.
        points: after how many trials.
    """

    known: Mapping[str, Task]
    ours: Results
    recorded: Peers
    points: Sequence[int]

    @cached_property
    def peers(self) -> dict[str, str]:
        """The names of those with runs on these tasks, by what they are called here."""
        return {f"[{peer}]": peer for peer, by_task in self.recorded.items() if by_task.keys() & self.known.keys()}

    @cached_property
    def regrets(self) -> Regrets:
        runs = {label: self.recorded[peer] for label, peer in self.peers.items()}
        return {
            label: {
                name: [task.regrets(run.losses) for run in by_task[name]]
                for name, task in self.known.items()
                if name in by_task
            }
            for label, by_task in (*self.ours.items(), *runs.items())
        }

    @cached_property
    def scores(self) -> dict[int, Scores]:
        return {point: Scores(self.regrets, point, list(self.known)) for point in self.points}

    def suggest_s(self, label: str) -> float:
        """The median over runs of their median suggestion times."""
        if label in self.peers:
            runs = [run.suggest_s for of_task in self.recorded[self.peers[label]].values() for run in of_task]
        else:
            runs = [float(np.median(run.suggest_s)) for of_task in self.ours[label].values() for run in of_task]
        return float(np.median(runs))

    # -------------------------------------------------------------------------------------------- tables

    def text(self) -> str:
        """All tables, each under a line that says how to read it."""
        tables = {
            "Mean regret over tasks with its 95 % interval, and mean rank; [peers] were recorded": self._contenders(),
            "Difference of regrets on the tasks that both have: 95 % interval over tasks and runs (over runs of these "
            "tasks alone); * the best peer": self._differences(),
            "Mean regret by kind of task (minus that of the median peer; ! where it is worse)": self._kinds(),
        }
        grids = {caption: grid(rows) for caption, rows in tables.items()}
        return "\n\n".join(f"{caption}\n{text}" for caption, text in grids.items() if text)

    def _contenders(self) -> Iterator[Sequence[str]]:
        regrets = [f"regret at {point}" for point in self.points]
        ranks = [f"rank at {point}" for point in self.points]
        yield ["", "tasks", "runs", *regrets, *ranks, "suggestion"]
        labels = [label for label in self.regrets if any(label in scores.names for scores in self.scores.values())]
        for label in labels:
            scored = [scores if label in scores.names else None for scores in self.scores.values()]
            first = next(scores for scores in scored if scores)
            yield [
                label,
                str(first.num_tasks(label)),
                str(first.num_runs(label)),
                *["" if scores is None else interval(scores.regret(label)) for scores in scored],
                *["" if scores is None else f"{self.rank(scores, label).value:.2f}" for scores in scored],
                f"{1000 * self.suggest_s(label):.3g} ms",
            ]

    def rank(self, scores: Scores, label: str) -> Estimate:
        """Among all contenders; several of ours that are much alike make each other's ranks worse."""
        return scores.rank(label, others=[name for name in scores.names if name != label])

    def _differences(self) -> Iterator[Sequence[str]]:
        if self.peers:
            yield ["", *[f"at {point}" for point in self.points]]
        for label in self.ours:
            for peer in self.peers:
                cells = []
                for scores in self.scores.values():
                    known = label in scores.names and peer in scores.names
                    best = "*" if known and scores.rivals(label, list(self.peers))[:1] == [peer] else ""
                    cells.append(both_intervals(scores, label, peer) + best if known else "")
                yield [f"{label} - {peer}", *cells]

    def by_kind(self, label: str, point: int) -> Iterator[tuple[str, float]]:
        """The median of a contender's differences to the peers on each kind of task; below 0 where it is better."""
        for tag, names in self._tagged():
            worse = self.against_median(label, point, names)[1]
            if not np.isnan(worse):
                yield tag, worse

    def _tagged(self) -> Iterator[tuple[str, list[str]]]:
        """The kinds, and the names of their tasks."""
        for tag in sorted({tag for task in self.known.values() for tag in task.tags}):
            yield tag, [name for name, task in self.known.items() if tag in task.tags]

    def _kinds(self) -> Iterator[Sequence[str]]:
        yield ["kind", "tasks", *[f"{label} at {point}" for label in self.ours for point in self.points]]
        for tag, names in self._tagged():
            cells = [self._kind(label, point, names) for label in self.ours for point in self.points]
            yield [tag, str(len(names)), *cells]

    def _kind(self, label: str, point: int, names: Sequence[str]) -> str:
        regret, worse = self.against_median(label, point, names)
        return f"{regret:.3f}" + ("" if np.isnan(worse) else f" ({worse:+.3f}){'!' if worse > 0 else ''}")

    def against_median(self, label: str, point: int, names: Sequence[str]) -> tuple[float, float]:
        """Mean regret on some tasks, and the median of its differences to the peers; NaN without peers."""
        scores = Scores(self.regrets, point, names)
        rivals = scores.rivals(label, list(self.peers))
        differences = [scores.difference(label, peer).value for peer in rivals]
        return scores.regret(label).value, float(np.median(differences)) if differences else float("nan")

    # -------------------------------------------------------------------------------------------- figures

    def figures(self, suite: str) -> list[Figure]:
        """What is written of all contenders.

        Args:
            suite: which tasks; a part of the figures' names.
        """
        found = []
        for point, scores in self.scores.items():
            for label in scores.names:
                found += self._of_contender(label, point, scores, suite)
        for label in [*self.ours, *self.peers]:
            words = {"name": f"{suite} {label} suggestion", "what": f"{label}: median suggestion time"}
            found.append(Figure(**words, measured=self.suggest_s(label), unit="s"))
        return found

    def _of_contender(self, label: str, point: int, scores: Scores, suite: str) -> Iterator[Figure]:
        where = f"{label}, {point} trials, {scores.num_tasks(label)} tasks ({suite})"
        regret, rank = scores.regret(label), self.rank(scores, label)
        detail = {"runs": scores.num_runs(label), "tasks": scores.on_each_task(label)}
        yield figure(f"{suite} {label} regret {point}", f"{where}: mean regret", regret, detail)
        yield figure(f"{suite} {label} rank {point}", f"{where}: mean rank", rank, {"of": len(scores.names)})
        rivals = scores.rivals(label, list(self.peers)) if label in self.ours else []
        if rivals:
            best = scores.difference(label, rivals[0])
            reached = (best.high if point >= CERTAIN_FROM else best.value) < 0
            detail: dict[str, object] = {peer: scores.difference(label, peer)._asdict() for peer in rivals}
            detail["of these tasks alone"] = scores.difference(label, rivals[0], fixed=True)._asdict()
            detail["kinds, minus the median peer"] = dict(self.by_kind(label, point))
            name = f"{suite} {label} difference {point}"
            words = f"{where}: regret minus that of the best peer, {rivals[0]}"
            yield figure(name, words, best, detail, asked="< 0", reached=reached)


def figure(name: str, what: str, estimate: Estimate, detail: Mapping[str, object], **asked: object) -> Figure:
    """A figure with its interval among the details."""
    interval = [estimate.low, estimate.high]
    return Figure(
        name=name, what=what, measured=estimate.value, unit="", detail={"interval": interval, **detail}, **asked
    )


def interval(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def both_intervals(scores: Scores, label: str, peer: str) -> str:
    """A difference with its intervals over tasks and runs, and over runs of these tasks."""
    drawn, fixed = scores.difference(label, peer), scores.difference(label, peer, fixed=True)
    return f"{drawn.value:+.3f} [{drawn.low:+.3f}, {drawn.high:+.3f}] ([{fixed.low:+.3f}, {fixed.high:+.3f}])"


def grid(rows: Iterator[Sequence[str]]) -> str:
    """Rows of cells as aligned text; empty for a header alone."""
    cells = list(rows)
    if len(cells) < 2:
        return ""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(lines)
