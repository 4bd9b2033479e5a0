"""Summary of repeated searches: success rates with intervals, times to the goal, the best value over time.

r  the number of searches; h  the number of times at which they are evaluated
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.display.text import duration, number, table
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal

if TYPE_CHECKING:
    import pandas as pd

_BANDS = (0.1, 0.5, 0.9)  # quantiles of the best value so far
_Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Summary of searches with the same plan.

    Attributes:
        searches: their tables, see ``search.search``.
        goal: the value to be reached; None: there is no goal.
        mode: "min" or "max".
        num_trials: the limit on the trials of a search; None if no search ended because of it.
    """

    searches: Sequence[pd.DataFrame]
    goal: float | None
    mode: str
    num_trials: int | None = None

    def __post_init__(self) -> None:
        if not len(self.searches):
            raise SpecError("a summary is of one search or more, got searches=[]")

    @cached_property
    def times_to_goal_s(self) -> Array:
        """The time (r,) at which each search reached the goal; infinite if it did not."""
        times = [time_to_goal_s(frame, self.goal, self.mode) for frame in self.searches]
        return np.array([math.inf if time is None else time for time in times])

    def success_rate(self, within_s: float) -> tuple[float, float, float]:
        """The share of searches that reached the goal in time, with a 95 % interval. (Wilson 1927)"""
        n = len(self.searches)
        p = float((self.times_to_goal_s <= within_s).mean())
        middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z / (1 + _Z**2 / n) * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
        return p, max(0.0, middle - half), min(1.0, middle + half)

    def num_cut_short(self, within_s: float) -> int:
        """The number of searches that used up their trials before that time, so that their result there is unknown."""
        return sum(
            math.isinf(time) and len(frame) == self.num_trials and float(frame["total_s"].iloc[-1]) < within_s
            for frame, time in zip(self.searches, self.times_to_goal_s.tolist(), strict=True)
        )

    def of_independent(self, num: int, within_s: float) -> float:
        """The probability that at least one of ``num`` independent searches reaches the goal in time."""
        return 1 - (1 - self.success_rate(within_s)[0]) ** num

    @property
    def mean_time_to_goal_s(self) -> float:
        """The mean time of the searches that reached the goal; NaN if none did."""
        reached = self.times_to_goal_s[np.isfinite(self.times_to_goal_s)]
        return float(reached.mean()) if len(reached) else math.nan

    @property
    def median_best(self) -> float:
        """The median of the final best values; NaN if no search has any."""
        ends = [float(frame["best"].iloc[-1]) for frame in self.searches if len(frame)]
        known = [end for end in ends if math.isfinite(end)]
        return float(np.median(known)) if known else math.nan

    def best_so_far(self, times_s: Sequence[float]) -> dict[float, Array]:
        """The 10th, 50th and 90th percentile (h,) of the best values up to each time; NaN before a trial has ended."""
        rows = []
        for frame in self.searches:
            # Before the first trial ends, position -1 is looked up, which holds NaN.
            best = np.append(frame["best"].to_numpy(float), np.nan)
            rows.append(best[np.searchsorted(frame["total_s"].to_numpy(), times_s, side="right") - 1])
        by_time = np.array(rows).T
        return {
            band: np.array([np.nanquantile(b, band) if np.isfinite(b).any() else math.nan for b in by_time])
            for band in _BANDS
        }

    def to_json(self, horizons_s: Sequence[float]) -> dict[str, Any]:
        """The figures of the summary, in plain JSON types."""
        return {
            "searches": len(self.searches),
            "goal": self.goal,
            "success": {f"{h:g}": self.success_rate(h) for h in horizons_s} if self.goal is not None else {},
            "cut_short": {f"{h:g}": self.num_cut_short(h) for h in horizons_s} if self.goal is not None else {},
            "mean_time_to_goal_s": self.mean_time_to_goal_s,
            "median_best": self.median_best,
            "trials": float(np.mean([len(frame) for frame in self.searches])),
            "failed": float(np.mean([(frame["status"] == Status.FAILED.value).sum() for frame in self.searches])),
            "pruned": float(np.mean([(frame["status"] == Status.PRUNED.value).sum() for frame in self.searches])),
            "paused": float(np.mean([(frame["status"] == Status.PAUSED.value).sum() for frame in self.searches])),
            "optimizer_s": float(np.mean([frame["optimizer_s"].sum() for frame in self.searches])),
            "duplicates": float(np.mean([frame["duplicate"].sum() for frame in self.searches])),
            "arms": self.turns_of_arms(),
        }

    def cut_short_line(self, horizons_s: Sequence[float]) -> list[str]:
        """A line about the searches of ``num_cut_short``; empty if there are none."""
        last = max(horizons_s, default=0.0)
        if self.goal is None or not (num := self.num_cut_short(last)):
            return []
        return [
            f"{num} of {len(self.searches)} searches had no trials left before {duration(last)}: they count as not "
            f"there, what more trials would have found is not known"
        ]

    def turns_of_arms(self) -> Mapping[str, int]:
        """The number of trials that each arm suggested, over all searches."""
        arms = [arm for frame in self.searches for arm in frame["arm"].dropna()]
        return {str(arm): arms.count(arm) for arm in dict.fromkeys(arms)}

    def text(self, horizons_s: Sequence[float]) -> str:
        """The summary as text, with a table of success rates."""
        data = self.to_json(horizons_s)
        paused = f"{data['paused']:.3g} paused, " if data["paused"] else ""
        searches = "1 search" if data["searches"] == 1 else f"{data['searches']} searches"
        lines = [
            f"{searches} of {data['trials']:.4g} trials on average ({data['failed']:.3g} failed, "
            f"{data['pruned']:.3g} pruned, {paused}{data['duplicates']:.3g} repeated)",
            f"the optimizer thought for {duration(data['optimizer_s'])} in each",
        ]
        if math.isfinite(self.median_best):
            lines.append(f"best at the end: {number(self.median_best)} in the median")
        if turns := data["arms"]:
            lines.append(f"turns of arms: {', '.join(f'{arm} {count}' for arm, count in turns.items())}")
        if self.goal is not None:
            rows = [[duration(h), f"{p:.0%}", f"{low:.0%} to {high:.0%}"] for h in horizons_s
                    for p, low, high in [self.success_rate(h)]]  # fmt: skip
            lines += ["", f"reached {number(self.goal)}:", table(["within", "searches", "95 % interval"], rows)]
            lines += self.cut_short_line(horizons_s)
            if math.isfinite(self.mean_time_to_goal_s):
                lines.append(f"those that did took {duration(self.mean_time_to_goal_s)} on average")
        return "\n".join(lines)


def time_to_goal_s(steps: pd.DataFrame, goal: float | None, mode: str) -> float | None:
    """The seconds until a search reached the goal; None if it never did, or if there is no goal."""
    if goal is None:
        return None
    best = Goal("best", mode)
    is_reached = best.loss(steps["best"]) <= best.loss(goal)
    return float(steps.loc[is_reached, "total_s"].min()) if is_reached.any() else None
