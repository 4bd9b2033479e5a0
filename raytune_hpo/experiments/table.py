"""Lookup tables: configurations with their learning curves and durations, so that a search takes no training.

C  (n, E)  the metric after steps 1 to E      t  (n,)  seconds of a whole trial
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.errors import SpecError
from raytune_hpo.experiments import hp_conf
from raytune_hpo.space import Choice, Domain, Float, Int, Ordinal, Space
from raytune_hpo.space.domain import Array

if TYPE_CHECKING:
    import pandas as pd

DURATION = "duration_s"
FINAL = "best_acc"
_STEP = re.compile(r"^(?:(?:acc|metric)_)?(?:epoch|step)_?(\d+)$")
_ORDERED_UP_TO = 12  # different values of a column of numbers, up to which they are a list in order


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class LookupTable:
    """A table, ready to be searched.

    Attributes:
        name: of its file.
        space: restricted to the rows.
        metric, mode: what the curves show.
        curves: C.
        seconds: t.
    """

    name: str
    space: Space
    metric: str
    mode: str
    curves: Array
    seconds: Array

    @classmethod
    def read(
        cls, path: str | Path, conf: str | Path | None = None, *, metric: str = "accuracy", mode: str = "max"
    ) -> LookupTable:
        """A table of a CSV or parquet file.

        Columns ``epoch_1``, ``acc_epoch5``, ``step_20`` ... are points of the curves, those between them are
        interpolated; a table without any has its final value in ``best_acc`` or in a column named as the metric.
        ``duration_s`` is what a whole trial takes; ``index`` is passed over; all others are parameters, whose domains
        are those of ``conf``, an ``hp_conf`` file, or else read off their values. Rows without a final value, and
        those that repeat a configuration, are left out.

        Raises:
            SpecError: no curves, no durations, or no row is left.
        """
        frame = _frame(Path(path))
        steps = {column: int(found[1]) for column in frame if (found := _STEP.match(str(column)))}
        last = (hp_conf.last_step(conf) if conf else None) or max(steps.values(), default=1)
        final = next((column for column in (metric, FINAL) if column in frame), None)
        if DURATION not in frame or (not steps and final is None):
            raise SpecError(
                f"a lookup table has a column {DURATION!r}, and its curves in columns like 'epoch_1' or a final value in "
                f"{FINAL!r}; {path} has {list(frame.columns)}"
            )
        domains = hp_conf.read(conf) if conf else _domains(frame, {*map(str, steps), DURATION, FINAL, metric, "index"})
        points = {step: frame[column].to_numpy(float) for column, step in steps.items()}
        if last not in points and final is not None:
            points[last] = frame[final].to_numpy(float)
        whole = np.isfinite(points[max(points)]) & np.isfinite(frame[DURATION].to_numpy(float))
        kept = np.flatnonzero(whole & ~frame.duplicated(list(domains)).to_numpy())
        if not len(kept):
            raise SpecError(f"a lookup table has rows with a final value and a duration, {path} has none")
        rows = frame.iloc[kept][list(domains)].to_dict("records")
        return cls(
            name=Path(path).stem,
            space=Space(domains, candidates=[_fitting(row, domains) for row in rows]),
            metric=metric,
            mode=mode,
            curves=interpolated({step: values[kept] for step, values in points.items()}, last),
            seconds=frame[DURATION].to_numpy(float)[kept],
        )

    def __repr__(self) -> str:
        return f"<LookupTable {self.name!r} of {len(self.seconds)} rows>"

    @property
    def num_steps(self) -> int:
        """E, how many steps a whole trial has."""
        return int(self.curves.shape[1])

    def row(self, config: Mapping[str, Any]) -> int:
        """Where a configuration stands in the table."""
        return self._rows[tuple(config.values())]

    def value(self, config: Mapping[str, Any]) -> float:
        """The metric after a whole trial."""
        return float(self.curves[self.row(config), -1])

    @cached_property
    def _rows(self) -> dict[tuple[Any, ...], int]:
        candidates = self.space.candidates
        assert candidates is not None
        return {tuple(config.values()): i for i, config in enumerate(candidates.configs)}


def interpolated(points: Mapping[int, Array], last: int) -> Array:
    """Curves (n, last) through points (n,) by step, straight between them and level beyond; NaN points are passed over."""
    steps = np.array(sorted(points))
    Y = np.column_stack([points[step] for step in steps])
    every = np.arange(1, last + 1)
    known = np.isfinite(Y)
    C = np.empty((len(Y), last))
    for pattern in np.unique(known, axis=0):
        rows = (known == pattern).all(axis=1)
        at = steps[pattern]
        below = np.clip(np.searchsorted(at, every, side="right") - 1, 0, len(at) - 1)
        above = np.minimum(below + 1, len(at) - 1)
        width = np.maximum(at[above] - at[below], 1)
        share = np.clip((every - at[below]) / width, 0.0, 1.0)
        P = Y[rows][:, pattern]
        C[rows] = P[:, below] * (1 - share) + P[:, above] * share
    return C


def _frame(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.exists():
        raise SpecError(f"no lookup table at {path}")
    frame: pd.DataFrame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    return frame


def _domains(frame: pd.DataFrame, others: set[str]) -> dict[str, Domain]:
    """Domains read off the values of every column that is a parameter."""
    return {str(name): _domain(frame[name]) for name in frame.columns if name not in others}


def _domain(column: pd.Series) -> Domain:
    values = [value.item() if hasattr(value, "item") else value for value in column.unique()]
    if column.dtype.kind not in "iuf":
        return Choice(sorted(values, key=str))
    if len(values) <= _ORDERED_UP_TO:
        return Ordinal(sorted(values))
    low, high = min(values), max(values)
    if column.dtype.kind in "iu":
        return Int(low, high)
    return Float(low, high, log=low > 0 and high / low >= 100)


def _fitting(row: Mapping[Any, Any], domains: Mapping[str, Domain]) -> dict[str, Any]:
    """A row's configuration, its numbers moved to the ends of their ranges where rounding has put them beyond."""
    config = {}
    for name, domain in domains.items():
        value = row[name].item() if hasattr(row[name], "item") else row[name]
        config[name] = min(max(value, domain.lo), domain.hi) if isinstance(domain, Float) else value
    return config
