"""The result of a confirmation: immutable records, with conversions to a table and to text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raytune_hpo.analysis.columns import flattened
from raytune_hpo.analysis.repeats import Estimate
from raytune_hpo.goals import Goal

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class ConfirmedCandidate:
    """A candidate: a configuration that was run again.

    Attributes:
        numbers: the numbers of its trials in the search.
        config: the configuration.
        searched: its values in the search by metric; the mean if it was tried more than once.
        estimates: the estimates from its fresh repeats, by metric.
        num_failed: the number of fresh repeats that failed; they are in no estimate.
        num_infeasible: the number of those that completed and broke an outcome constraint.
        by_repeat: the fresh values of the first metric by repeat number; repeats with the same number ran close together
            and share a seed, so candidates are best compared within a number.
        metric: the first metric, to which ``search_value``, ``mean``, ``sd`` and ``interval`` refer.
    """

    numbers: tuple[int, ...]
    config: Mapping[str, Any]
    searched: Mapping[str, float]
    estimates: Mapping[str, Estimate]
    num_failed: int
    num_infeasible: int
    by_repeat: Mapping[int, float]
    metric: str

    @property
    def search_value(self) -> float:
        """Its value in the search; the mean if it was tried more than once."""
        return self.searched[self.metric]

    @property
    def mean(self) -> float:
        """The mean of the fresh repeats; NaN if all of them failed."""
        return self.estimates[self.metric].mean

    @property
    def sd(self) -> float | None:
        """The standard deviation of one evaluation."""
        return self.estimates[self.metric].sd

    @property
    def n(self) -> int:
        """The number of fresh repeats that completed."""
        return self.estimates[self.metric].n

    @property
    def is_feasible(self) -> bool:
        """Whether at least half of the completed repeats kept all outcome constraints."""
        return 2 * self.num_infeasible <= self.n

    @property
    def interval(self) -> tuple[float, float] | None:
        """A confidence interval for the mean; the intervals of all candidates hold simultaneously."""
        return self.estimates[self.metric].interval


@dataclass(frozen=True, kw_only=True)
class Optimism:
    """The optimism of a search: how much better its best trial looked than it is, in one metric.

    Attributes:
        number: the number of the search's best trial in the metric.
        searched: the value of that trial.
        confirmed: the mean of its repeats.
        value: the difference, in the metric's own units; positive if the trial looked better than it is.
        interval: a confidence interval for ``value``; None if there are too few repeats.
    """

    number: int
    searched: float
    confirmed: float
    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """A confirmation: the best configurations of a search after fresh repeats.

    Attributes:
        name: the name of the search.
        study: the name of the study of repeats, in the same storage.
        goals: the metrics that the search optimised.
        candidates: the candidates, best mean in the first metric first; those that break an outcome constraint in most
            repeats come after the others, and those that fail in most of them last.
        level: the probability with which all intervals hold together.
        optimisms: by metric; a metric is missing if the search's best trial in it has no completed repeat.
        noises: the standard deviation of one evaluation by metric, pooled over the candidates; None if no candidate
            completed twice.
        keyword: the keyword under which the objective received its fresh seeds; None: it takes none.
        front: the numbers of the feasible candidates whose means no other one dominates.
    """

    name: str
    study: str
    goals: tuple[Goal, ...]
    candidates: tuple[ConfirmedCandidate, ...]
    level: float
    optimisms: Mapping[str, Optimism]
    noises: Mapping[str, float | None]
    keyword: str | None
    front: tuple[int, ...]

    @property
    def best(self) -> ConfirmedCandidate:
        """The candidate with the best mean in the first metric, among those that keep the outcome constraints."""
        return self.candidates[0]

    @property
    def best_config(self) -> Mapping[str, Any]:
        """The configuration of ``best``."""
        return self.best.config

    @property
    def best_value(self) -> float:
        """The mean of the best candidate's repeats."""
        return self.best.mean

    @property
    def interval(self) -> tuple[float, float] | None:
        """A confidence interval for the best value, which accounts for its selection among the candidates."""
        return self.best.interval

    @property
    def optimism(self) -> float | None:
        """The optimism of the search in the first metric: how much better its best value looked than it is."""
        found = self.optimisms.get(self.goals[0].metric)
        return None if found is None else found.value

    @property
    def noise(self) -> float | None:
        """The standard deviation of one evaluation in the first metric."""
        return self.noises[self.goals[0].metric]

    @property
    def is_noisy(self) -> bool | None:
        """Whether repeats of a configuration differ in any metric; None if no configuration completed twice."""
        known = [noise for noise in self.noises.values() if noise is not None]
        return any(known) if known else None

    @property
    def num_failed(self) -> int:
        """How many repeats of all candidates failed."""
        return sum(candidate.num_failed for candidate in self.candidates)

    @property
    def rivals(self) -> tuple[ConfirmedCandidate, ...]:
        """The other candidates whose intervals overlap that of the best, so that the repeats do not decide between them."""
        if self.interval is None:
            return ()
        low, high = self.interval
        spans = [(candidate, candidate.interval) for candidate in self.candidates[1:]]
        return tuple(c for c, span in spans if span is not None and span[0] <= high and span[1] >= low)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each candidate, the best first."""
        import pandas as pd

        rows = []
        for candidate in self.candidates:
            row: dict[str, Any] = {"trials": candidate.numbers}
            row |= {f"config/{name}": value for name, value in flattened(candidate.config).items()}
            for metric, found in candidate.estimates.items():
                low, high = found.interval or (None, None)
                row |= {f"search/{metric}": candidate.searched[metric], f"mean/{metric}": found.mean}
                row |= {f"sd/{metric}": found.sd, f"low/{metric}": low, f"high/{metric}": high}
            counts = {"num_failed": candidate.num_failed, "num_infeasible": candidate.num_infeasible}
            rows.append({**row, "n": candidate.n, **counts})
        frame: pd.DataFrame = pd.DataFrame(rows)
        return frame

    def __str__(self) -> str:
        from raytune_hpo.confirming.display import confirmation_text

        return confirmation_text(self)

    def __repr__(self) -> str:
        metric = self.goals[0].metric
        return (
            f"<Confirmation of {self.name!r}: {len(self.candidates)} candidates, best {metric}={self.best_value:.6g}>"
        )

    def _repr_html_(self) -> str:
        from raytune_hpo.confirming.display import confirmation_html

        return confirmation_html(self)
