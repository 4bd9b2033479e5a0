"""What tuning an algorithm has found, and how long it took serially and in parallel."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from raytune_hpo.analysis.best import ranked
from raytune_hpo.analysis.columns import flattened
from raytune_hpo.display.text import config_line, counts_line, cut, duration, last_line, table
from raytune_hpo.facts import Status
from raytune_hpo.optml.algorithm import METRIC
from raytune_hpo.results import Results
from raytune_hpo.results.records import trial_record
from raytune_hpo.trial import Trial

ROWS, FAILED_ROWS = 20, 8  # so many configurations are shown, and so many without an error
_WIDTH = 110  # of a line about a failure
_ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One way through all configurations.

    Attributes:
        results: the study.
        seconds: its running time, from taking up the study (workers are started then) to its end.
        start_s: how much of it had passed when the first configuration was handed out: what starting workers costs.
        num_workers: how many tried configurations.
        is_whole: False where it was interrupted, so that its seconds tell nothing.
    """

    results: Results
    seconds: float
    start_s: float
    num_workers: int
    is_whole: bool = True


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The configurations by error, and what doing them in parallel gained.

    Attributes:
        name: of the algorithm.
        serial, parallel: None where it was not asked for, or not come to.
    """

    name: str
    serial: Leg | None = None
    parallel: Leg | None = None

    @property
    def results(self) -> Results:
        """The study of the parallel leg, or of the serial one where there is no other."""
        leg = self.parallel or self.serial
        assert leg is not None, "a comparison has at least one leg"
        return leg.results

    @property
    def best_config(self) -> Mapping[str, Any]:
        """The configuration of the smallest error.

        Raises:
            NoCompletedTrial: all have failed.
        """
        return self.results.best_config

    @property
    def best_error(self) -> float:
        return self.results.best_value

    @property
    def speed_up(self) -> float | None:
        """Serial seconds over parallel seconds; None unless both legs went through."""
        serial, parallel = self.serial, self.parallel
        if serial is None or parallel is None or not (serial.is_whole and parallel.is_whole):
            return None
        return serial.seconds / parallel.seconds if parallel.seconds else None

    @cached_property
    def differing(self) -> tuple[int, ...]:
        """The numbers of trials with the same configuration and another error in the two legs, beyond rounding."""
        if self.serial is None or self.parallel is None:
            return ()
        pairs = zip(self.serial.results, self.parallel.results, strict=False)
        return tuple(a.number for a, b in pairs if a.config == b.config and not _is_same(a, b))

    def to_json(self) -> dict[str, Any]:
        """All of it in plain JSON types."""
        return {
            "name": self.name,
            "best": self.results.summary()["best"],
            "num_by_status": self.results.num_by_status,
            "speed_up": self.speed_up,
            "differing": list(self.differing),
            **{way: None if leg is None else _leg_record(leg) for way, leg in self._legs()},
            "trials": [trial_record(trial) for trial in _by_error(self.results)],
        }

    def __str__(self) -> str:
        parts = [self._title(), self._configurations(), *self._failures(), self._times(), *self._remarks()]
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def _legs(self) -> list[tuple[str, Leg | None]]:
        return [("serial", self.serial), ("parallel", self.parallel)]

    def _title(self) -> str:
        return f"{self.name}: {len(self.results)} configurations ({counts_line(self.results.num_by_status)})"

    def _configurations(self) -> str:
        best = ranked(self.results.trials)
        names = list(dict.fromkeys(name for trial in best[:ROWS] for name in flattened(trial.config)))
        rows = [[trial.metrics[METRIC], *_settings(trial, names), _took(trial)] for trial in best[:ROWS]]
        shown = table([METRIC, *names, "took"], rows) if rows else "  no configuration has an error to show"
        return f"{shown}\n  and {len(best) - ROWS} more: .results.to_dataframe()" if len(best) > ROWS else shown

    def _failures(self) -> list[str]:
        """What became of those without an error: a configuration that diverged is no winner, whatever its number."""
        others = [trial for trial in self.results if trial.status is not Status.COMPLETED]
        lines = [
            f"  {_why(trial)}\n      with {config_line(flattened(trial.config))}" for trial in others[:FAILED_ROWS]
        ]
        if len(others) > FAILED_ROWS:
            lines.append(f"  and {len(others) - FAILED_ROWS} more like these")
        return ["\n".join(lines)] if lines else []

    def _times(self) -> str:
        rows = [
            [way, leg.num_workers, round(leg.start_s, 2), _seconds(leg), self._gain(way)]
            for way, leg in self._legs()
            if leg is not None
        ]
        return table(["", "workers", "start, s", "seconds", "speed-up"], rows)

    def _gain(self, way: str) -> float | str:
        if self.speed_up is None:
            return ""
        return 1 if way == "serial" else round(self.speed_up, 2)

    def _remarks(self) -> list[str]:
        if not self.differing:
            return []
        return [
            f"{len(self.differing)} configurations had another error in parallel than serially: training draws random "
            f"numbers. Seed it in initialization, and the two agree."
        ]


def _leg_record(leg: Leg) -> dict[str, Any]:
    seconds = leg.seconds if leg.is_whole else None
    return {"study": leg.results.name, "seconds": seconds, "start_s": leg.start_s, "workers": leg.num_workers}


def _by_error(results: Results) -> list[Trial]:
    """The completed trials, the best first, then all others by number."""
    return [*ranked(results.trials), *[trial for trial in results if trial.status is not Status.COMPLETED]]


def _seconds(leg: Leg) -> float | str:
    return round(leg.seconds, 2) if leg.is_whole else "interrupted"


def _error(trial: Trial) -> Any:
    return trial.metrics.get(METRIC) if trial.status is Status.COMPLETED else None


def _is_same(one: Trial, other: Trial) -> bool:
    """Whether two trials came to the same; sums in another order may differ in their last digits."""
    errors = _error(one), _error(other)
    if None in errors:
        return errors == (None, None)
    return math.isclose(*errors, rel_tol=_ROUNDING, abs_tol=_ROUNDING)


def _settings(trial: Trial, names: list[str]) -> list[Any]:
    config = flattened(trial.config)
    return [config.get(name, "") for name in names]


def _took(trial: Trial) -> str:
    return "" if trial.duration_s is None else duration(trial.duration_s)


def _why(trial: Trial) -> str:
    why = "" if trial.error is None else f": {last_line(trial.error).removeprefix('ObjectiveError: ')}"
    return cut(f"trial {trial.number} {trial.status}{why}", _WIDTH)
