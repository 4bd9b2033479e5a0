"""Result of tuning an algorithm: the best configurations, and how long the search took serially and in parallel."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from raytune_hpo.analysis.best import ranked
from raytune_hpo.analysis.columns import flattened
from raytune_hpo.analysis.failures import reason_of_failure
from raytune_hpo.display.text import config_line, counts_line, cut, duration, table
from raytune_hpo.facts import Status
from raytune_hpo.optml.algorithm import METRIC
from raytune_hpo.results import Results
from raytune_hpo.results.records import trial_record
from raytune_hpo.trial import Trial

ROWS, FAILED_ROWS = 20, 8  # how many configurations are shown, and how many failures
_WIDTH = 110  # of a line about a failure
_ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One pass over all configurations, serial or parallel.

    Attributes:
        results: the study.
        seconds: running time of the study, from its start (which includes starting workers) to its end.
        start_s: the part of it that had passed when the first configuration was at work: what it costs to start the
            workers and to load the sampler.
        num_workers: how many workers tried configurations.
        is_whole: False if the pass was interrupted, so that its seconds mean nothing.
    """

    results: Results
    seconds: float
    start_s: float
    num_workers: int
    is_whole: bool = True


@dataclass(frozen=True, kw_only=True)
class SpeedComparison:
    """The configurations by error, and how much faster the parallel pass was.

    Attributes:
        name: name of the algorithm.
        serial, parallel: the two passes; None for a pass that was not requested, or that an interrupt prevented.
    """

    name: str
    serial: Leg | None = None
    parallel: Leg | None = None

    @property
    def results(self) -> Results:
        """The parallel pass's study, or the serial one's if that is the only one."""
        leg = self.parallel or self.serial
        assert leg is not None, "a comparison has at least one leg"
        return leg.results

    @property
    def best_config(self) -> Mapping[str, Any]:
        """The configuration with the smallest error.

        Raises:
            NoCompletedTrial: every configuration has failed.
        """
        return self.results.best_config

    @property
    def best_error(self) -> float:
        """The error of ``best_config``."""
        return self.results.best_value

    @property
    def speed_up(self) -> float | None:
        """Serial seconds divided by parallel seconds; None unless both passes were completed."""
        serial, parallel = self.serial, self.parallel
        if serial is None or parallel is None or not (serial.is_whole and parallel.is_whole):
            return None
        return serial.seconds / parallel.seconds if parallel.seconds else None

    @cached_property
    def differing(self) -> tuple[int, ...]:
        """Numbers of the trials whose errors differ between the passes, beyond rounding, for the same configuration."""
        if self.serial is None or self.parallel is None:
            return ()
        pairs = zip(self.serial.results, self.parallel.results, strict=False)
        return tuple(a.number for a, b in pairs if a.config == b.config and not _is_same(a, b))

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain JSON types. Completed trials come first, the best one first; then all others by number."""
        records = {
            way: {
                "study": leg.results.name,
                "seconds": leg.seconds if leg.is_whole else None,
                "start_s": leg.start_s,
                "workers": leg.num_workers,
            }
            for way, leg in self._legs()
        }
        others = [trial for trial in self.results if trial.status is not Status.COMPLETED]
        return {
            "name": self.name,
            "best": self.results.summary()["best"],
            "num_by_status": self.results.num_by_status,
            "speed_up": self.speed_up,
            "differing": list(self.differing),
            "serial": None,
            "parallel": None,
            **records,
            "trials": [trial_record(trial) for trial in [*ranked(self.results.trials), *others]],
        }

    def __str__(self) -> str:
        parts = [
            f"{self.name}: {len(self.results)} configurations ({counts_line(self.results.num_by_status)})",
            self._configurations(),
            self._failures(),
            self._times(),
        ]
        if self.differing:
            parts.append(
                f"{len(self.differing)} configurations had different errors in parallel and serially: training draws random "
                f"numbers. Seed it in initialization, and the two agree."
            )
        return "\n\n".join(part for part in parts if part)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def _legs(self) -> list[tuple[str, Leg]]:
        """The passes that were made, by name."""
        return [(way, leg) for way, leg in (("serial", self.serial), ("parallel", self.parallel)) if leg is not None]

    def _configurations(self) -> str:
        """The best configurations as a table."""
        best = ranked(self.results.trials)
        names = list(dict.fromkeys(name for trial in best[:ROWS] for name in flattened(trial.config)))
        rows = []
        for trial in best[:ROWS]:
            config = flattened(trial.config)
            took = "" if trial.duration_s is None else duration(trial.duration_s)
            rows.append([trial.metrics[METRIC], *(config.get(name, "") for name in names), took])
        shown = table([METRIC, *names, "took"], rows) if rows else "  no configuration has an error to show"
        return f"{shown}\n  and {len(best) - ROWS} more: .results.to_dataframe()" if len(best) > ROWS else shown

    def _failures(self) -> str:
        """The configurations that did not complete, with their reasons."""
        others = [trial for trial in self.results if trial.status is not Status.COMPLETED]
        lines = []
        for trial in others[:FAILED_ROWS]:
            why = "" if trial.error is None else f": {reason_of_failure(trial).removeprefix('ObjectiveError: ')}"
            line = cut(f"trial {trial.number} {trial.status}{why}", _WIDTH)
            lines.append(f"  {line}\n      with {config_line(flattened(trial.config))}")
        if len(others) > FAILED_ROWS:
            lines.append(f"  and {len(others) - FAILED_ROWS} more like these")
        return "\n".join(lines)

    def _times(self) -> str:
        """The workers and seconds of each pass as a table."""
        rows = []
        for way, leg in self._legs():
            seconds = round(leg.seconds, 2) if leg.is_whole else "interrupted"
            speed_up = "" if self.speed_up is None else 1 if way == "serial" else round(self.speed_up, 2)
            rows.append([way, leg.num_workers, round(leg.start_s, 2), seconds, speed_up])
        return table(["", "workers", "start, s", "seconds", "speed-up"], rows)


def _error(trial: Trial) -> Any:
    return trial.metrics.get(METRIC) if trial.status is Status.COMPLETED else None


def _is_same(one: Trial, other: Trial) -> bool:
    """Whether two trials have the same error; sums in another order may differ in their last digits."""
    errors = _error(one), _error(other)
    if None in errors:
        return errors == (None, None)
    return math.isclose(*errors, rel_tol=_ROUNDING, abs_tol=_ROUNDING)
