"""An experiment: the repeats of one search as tables, and their summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_hpo.errors import SpecError
from raytune_hpo.experiments.archive import Archive
from raytune_hpo.experiments.plan import Plan
from raytune_hpo.experiments.search import ESTIMATES, TYPES, SearchOutcome
from raytune_hpo.experiments.summary import Summary

if TYPE_CHECKING:
    import pandas as pd

_HORIZONS = (1 / 12, 1 / 4, 1 / 2, 1)  # fractions of an experiment's time at which success rates are computed


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Repeats of a search.

    Attributes:
        name: the experiment's name.
        task: the name of the task that is searched.
        metric, mode: the metric of the task, and its direction.
        plan: how each repeat was run.
        outcomes: the tables of each repeat, by its number.
        folder: where the experiment is kept; None: it is not kept.
        is_whole: False if it was interrupted before all repeats had ended; None if it was loaded, since a folder does not
            tell how many repeats were wanted.
    """

    name: str
    task: str
    metric: str
    mode: str
    plan: Plan
    outcomes: Mapping[int, SearchOutcome] = field(repr=False)
    folder: Path | None = None
    is_whole: bool | None = True

    @classmethod
    def load(cls, folder: str | PathLike[str]) -> Experiment:
        """The experiment of a folder, finished or not.

        Raises:
            SpecError: the folder has no experiment.
            HpoError: one of its files is damaged.
        """
        archive = Archive(Path(folder))
        task, plan = archive.identity()
        return cls(
            name=archive.folder.name,
            task=task["name"],
            metric=task["metric"],
            mode=task["mode"],
            plan=plan,
            outcomes={repeat: archive.read(repeat) for repeat in archive.repeats()},
            folder=archive.folder,
            is_whole=None,
        )

    def __len__(self) -> int:
        return len(self.outcomes)

    @cached_property
    def summary(self) -> Summary:
        """Success rates and other figures over all repeats."""
        searches = [outcome.steps for outcome in self.outcomes.values()]
        until = self.plan.until
        return Summary(searches=searches, goal=until.goal, mode=self.mode, num_trials=until.num_trials)

    def to_dataframe(self) -> pd.DataFrame:
        """The steps of all repeats, with the number of the repeat in front."""
        return _stacked({repeat: outcome.steps for repeat, outcome in self.outcomes.items()}, TYPES)

    def estimates(self) -> pd.DataFrame:
        """The estimates of models before each step, of the repeats that were run with estimates.

        Raises:
            SpecError: no repeat was run with estimates.
        """
        kept = {repeat: o.estimates for repeat, o in self.outcomes.items() if o.estimates is not None}
        if not kept:
            raise SpecError(f"experiment {self.name!r} has kept no estimates; run it with estimates under another name")
        return _stacked(kept, ESTIMATES)

    @cached_property
    def longest_s(self) -> float:
        """The seconds of its time limit or, if it has none, of its longest repeat."""
        if self.plan.until.time_s is not None:
            return self.plan.until.time_s
        return max((float(o.steps["total_s"].iloc[-1]) for o in self.outcomes.values() if len(o.steps)), default=0.0)

    def horizons(self) -> list[float]:
        """The default horizons in seconds, at which success rates are computed: fractions of ``longest_s``."""
        return [share * self.longest_s for share in _HORIZONS]

    def checked(self, horizons_s: Sequence[float]) -> list[float]:
        """The horizons, after checking that none is later than the end of the repeats.

        Raises:
            SpecError: one is later.
        """
        return self.plan.until.checked(horizons_s, f"repeats of {self.name!r}")

    def to_json(self, horizons_s: Sequence[float] = ()) -> dict[str, Any]:
        """The experiment and its summary in plain JSON types."""
        horizons = self.checked(horizons_s) or self.horizons()
        return {
            "name": self.name,
            "task": self.task,
            "metric": self.metric,
            "mode": self.mode,
            "plan": self.plan.to_json(),
            "folder": None if self.folder is None else str(self.folder),
            "is_whole": self.is_whole,
            **(self.summary.to_json(horizons) if len(self) else {"searches": 0}),
        }

    def text(self, horizons_s: Sequence[float] = ()) -> str:
        """The summary as text."""
        if not len(self):
            return f"{self.name}: no repeat has ended"
        horizons = self.checked(horizons_s) or self.horizons()
        return f"{self.name}\n{self.summary.text(horizons)}"

    def __str__(self) -> str:
        return self.text()

    def page(self, path: str | PathLike[str]) -> None:
        """Write all figures as one self-contained HTML page, which works offline."""
        from raytune_hpo.experiments.comparing import Comparison

        Comparison([self]).page(path)


def _stacked(frames: Mapping[int, pd.DataFrame], types: Mapping[str, str]) -> pd.DataFrame:
    """The tables concatenated, with the number of the repeat as the first column."""
    import pandas as pd

    numbered = [frame.assign(repeat=repeat) for repeat, frame in frames.items()]
    empty: pd.DataFrame = pd.DataFrame(columns=["repeat", *types])
    return pd.concat(numbered, ignore_index=True)[list(empty)] if numbered else empty
