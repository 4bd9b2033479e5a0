"""A lookup table: configurations with their learning curves and durations, so that a search needs no training.

C  (n, E)  the metric after steps 1 to E      t  (n,)  seconds of a whole trial
T  (n, E)  seconds from a trial's beginning to the end of each step, where they are known
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.display.text import counted, short
from raytune_hpo.errors import SpaceError, SpecError, nearest
from raytune_hpo.files import reading
from raytune_hpo.results import Results
from raytune_hpo.space import Choice, Domain, Float, Int, Ordinal, Space
from raytune_hpo.space.values import key_of
from raytune_hpo.tables import hp_conf, layout

if TYPE_CHECKING:
    import pandas as pd

DURATION = "duration_s"
FINAL = "best_acc"
_BY_DEFAULT = "accuracy"
_STEP = re.compile(r"^(?:(?:acc|metric)_)?(?:epoch|step)_?(\d+)$")
_INDEX = ("index", "Unnamed: 0")  # the second is pandas' name for an index that was written without one
_ROUNDING = 1e-9  # of a bound: a number farther outside was not rounded
_SHIPPED = Path(__file__).resolve().parent / "shipped"
_ORDERED_UP_TO = 12  # a column with at most so many different numbers becomes an Ordinal


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class LookupTable:
    """A lookup table, ready to be searched.

    Attributes:
        name: the name of its file.
        space: the space, restricted to the rows.
        metric, mode: the metric of the curves, and its direction.
        curves: C (rows, steps), the metric after each step.
        seconds: t (rows,), the seconds of a whole trial.
        times: T (rows, steps), the seconds from a trial's beginning to the end of each step; None: all steps of a trial
            take the same time.
    """

    name: str
    space: Space
    metric: str
    mode: str
    curves: Array
    seconds: Array
    times: Array | None = None

    @classmethod
    def read(
        cls, path: str | Path, conf: str | Path | None = None, *, metric: str | None = None, mode: str | None = None
    ) -> LookupTable:
        """The table of a CSV or parquet file.

        A table made by ``tabulate`` has its space and metrics in its metadata; ``metric`` may be any of these.

        For other files the metric is "accuracy", maximised; any other metric needs a mode. Columns ``epoch_1``,
        ``acc_epoch5``, ``step_20`` ... are points of the curves, interpolated in between; a table without such columns has
        its final value in ``best_acc`` or in a column named after the metric. ``duration_s`` is the time of a whole trial;
        ``index`` is ignored; all other columns are parameters, whose domains come from ``conf``, an ``hp_conf`` file, or
        else from their values. Rows without a final value, and those that repeat a configuration, are left out.

        If the first step is 0, all steps count one more, since a lookup table begins with the end of step 1.

        Raises:
            SpecError: the file has no curves, no durations or no such metric, no row is left, a row lies outside the space
                of ``conf``, or the mode is missing.
        """
        if mode not in (None, "min", "max"):
            raise SpecError(f'the mode of a metric is "min" or "max", got {mode!r}')
        with reading("a lookup table is a CSV or parquet file", path, "bring it back, or make it again"):
            frame, metadata = layout.read_table(Path(path))
            if metadata is None:
                if mode is None and metric not in (None, _BY_DEFAULT, FINAL):
                    raise SpecError(f"{path} does not say whether {metric!r} is minimised; {layout.GIVE_MODE}")
                return cls._without_metadata(Path(path), frame, conf, metric or _BY_DEFAULT, mode or "max")
            if conf is not None:
                raise SpecError(f"{path} knows its space, got {conf} as well; leave that out")
            return cls._of_rows(Path(path).stem, layout.rows_of(frame, metadata, metric, mode))

    @classmethod
    def of(cls, results: Results, *, metric: str | None = None, mode: str | None = None) -> LookupTable:
        """The table of a study's completed trials; see ``layout.write_table`` for a file of it.

        Raises:
            SpecError: no trial completed, or none has such a metric.
        """
        return cls._of_rows(results.name, layout.rows_of(*layout.table_columns(results), metric, mode))

    @classmethod
    def shipped(cls, name: str, *, metric: str | None = None, mode: str | None = None) -> LookupTable:
        """A table that comes with the package.

        Raises:
            SpecError: there is no table of that name; the message gives the nearest one.
        """
        if name not in shipped_tables():
            raise SpecError(f"no table {name!r} comes with the package; {nearest(name, shipped_tables())}")
        return cls.read(_SHIPPED / f"{name}.csv", metric=metric, mode=mode)

    @classmethod
    def _of_rows(cls, name: str, rows: layout.TableRows) -> LookupTable:
        last = max(rows.points)
        ends = {0: np.zeros(len(rows.seconds)), **rows.times, last: rows.seconds}
        return cls(
            name=name,
            space=rows.space,
            metric=rows.metric,
            mode=rows.mode,
            curves=interpolated(rows.points, last),
            seconds=rows.seconds,
            times=interpolated(ends, last) if rows.times else None,
        )

    @classmethod
    def _without_metadata(
        cls, path: Path, frame: pd.DataFrame, conf: str | Path | None, metric: str, mode: str
    ) -> LookupTable:
        """The table of a file without metadata, whose columns are told apart by their names."""
        steps = {column: int(found[1]) for column in frame if (found := _STEP.match(str(column)))}
        last = (hp_conf.last_step(conf) if conf else None) or max(steps.values(), default=1)
        if 0 in steps.values():
            steps = {column: step + 1 for column, step in steps.items()}
            last = max(last, *steps.values())
        final = next((column for column in (metric, FINAL) if column in frame), None)
        if DURATION not in frame or (not steps and final is None):
            raise SpecError(
                f"a lookup table has a column {DURATION!r}, and its curves in columns like 'epoch_1' or a final value in "
                f"{FINAL!r}; {path} has {list(frame.columns)}"
            )
        if not len(frame):
            raise SpecError(f"a lookup table has rows with a final value and a duration, {path} has none")
        if conf:
            domains = hp_conf.domains_of(conf)
        else:
            others = {*map(str, steps), DURATION, FINAL, metric, *_INDEX}
            domains = {str(name): _guessed_domain(frame[name]) for name in frame.columns if name not in others}
        _require_parameters(frame, domains, path)
        points = {step: _numbers(frame, column) for column, step in steps.items()}
        if last not in points and final is not None:
            points[last] = _numbers(frame, final)
        seconds = _numbers(frame, DURATION)
        whole = np.isfinite(points[max(points)]) & np.isfinite(seconds)
        kept = np.flatnonzero(whole & ~frame.duplicated(list(domains)).to_numpy())
        if not len(kept):
            raise SpecError(f"a lookup table has rows with a final value and a duration, {path} has none")
        configs = [_config(row, domains) for row in frame.iloc[kept][list(domains)].to_dict("records")]
        try:
            space = Space(domains, candidates=configs)
        except SpaceError as error:
            raise SpecError(f"the rows of a lookup table lie in its space, in {path} one does not: {error}") from error
        return cls(
            name=path.stem,
            space=space,
            metric=metric,
            mode=mode,
            curves=interpolated({step: values[kept] for step, values in points.items()}, last),
            seconds=seconds[kept],
        )

    def __post_init__(self) -> None:
        whole = self.seconds if self.times is None else np.column_stack([self.times, self.seconds])
        backward = np.diff(whole.reshape(len(whole), -1), axis=1, prepend=0.0) < 0
        if backward.any():
            row = int(np.flatnonzero(backward.any(axis=1))[0])
            raise SpecError(
                f"the seconds of a trial begin at 0 and never decrease, table {self.name!r} has "
                f"{short(whole[row].tolist())} for {self.space.at(row)}; correct or remove this row"
            )

    def __repr__(self) -> str:
        return f"<LookupTable {self.name!r} of {counted(len(self.seconds), 'row')}>"

    @property
    def num_steps(self) -> int:
        """E, the number of steps of a whole trial."""
        return int(self.curves.shape[1])

    def row(self, config: Mapping[str, Any]) -> int:
        """The row of a configuration in the table.

        Raises:
            SpaceError: the table does not have the configuration.
        """
        found = self._row_by_key.get(key_of(config))
        return self.space.index_of(config) if found is None else found  # 1 for 1.0, say

    def value(self, config: Mapping[str, Any]) -> float:
        """The metric of a configuration after a whole trial."""
        return float(self.curves[self.row(config), -1])

    @property
    def parts(self) -> list[Array]:
        """The arrays that make up the table."""
        return [part for part in (self.curves, self.seconds, self.times) if part is not None]

    def seconds_by_step(self, row: int) -> Array:
        """The seconds from the beginning of a trial to the end of each of its steps, (E,)."""
        if self.times is None:
            return np.asarray(self.seconds[row] * np.arange(1, self.num_steps + 1) / self.num_steps)
        return np.asarray(self.times[row])

    @cached_property
    def _row_by_key(self) -> dict[Hashable, int]:
        candidates = self.space.candidates
        assert candidates is not None
        return {key_of(config): i for i, config in enumerate(candidates.configs)}


def shipped_tables() -> list[str]:
    """The names of the tables that come with the package."""
    return sorted(path.stem for path in _SHIPPED.glob("*.csv"))


def interpolated(points: Mapping[int, Array], last: int) -> Array:
    """Curves (n, last) through points (n,) by step, linear between them and constant beyond; NaN points are skipped."""
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


def _numbers(frame: pd.DataFrame, column: Hashable) -> Array:
    """A column of numbers, NaN where it is empty.

    Raises:
        SpecError: it holds something else.
    """
    try:
        return np.asarray(frame[column], dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise SpecError(f"column {column!r} of a lookup table has numbers: {error}; mend it, or rename it") from error


def _require_parameters(frame: pd.DataFrame, domains: Mapping[str, Domain], path: Path) -> None:
    """Refuse a table without parameters, or without a column of one that its space file names."""
    if not domains:
        raise SpecError(
            f"a lookup table has a column for each parameter, {path} has none beside {', '.join(map(str, frame))}"
        )
    if missing := [name for name in domains if name not in frame]:
        raise SpecError(
            f"every hyperparameter of a space file is a column of its table, {path} has no {', '.join(missing)}; its "
            f"columns: {', '.join(map(str, frame))}"
        )


def _guessed_domain(column: pd.Series) -> Domain:
    """A domain guessed from the values of a parameter: options, a few ordered numbers, or a range.

    Raises:
        SpecError: a row of a column of numbers has none, or an infinite one.
    """
    if column.dtype.kind not in "iuf":
        return Choice(sorted({_option(value) for value in column}, key=str))
    if not np.isfinite(column).all():
        row = int(np.flatnonzero(~np.isfinite(column))[0])
        raise SpecError(
            f"a hyperparameter of a lookup table is a finite number in each row, {column.name!r} is {column.iloc[row]} in "
            f"row {row}; correct it, or remove the row or the column"
        )
    values = column.unique().tolist()
    if len(values) <= _ORDERED_UP_TO:
        return Ordinal(sorted(values))
    low, high = min(values), max(values)
    if column.dtype.kind in "iu":
        return Int(low, high)
    return Float(low, high, log=low > 0 and high / low >= 100)


def _option(value: Any) -> Any:
    """A cell of a column that holds more than numbers; an empty one means None."""
    value = value.item() if hasattr(value, "item") else value
    return None if value != value else value


def _config(row: Mapping[Any, Any], domains: Mapping[str, Domain]) -> dict[str, Any]:
    """The configuration of a row; numbers that rounding put outside their range are moved to its bound."""
    config = {name: _option(row[name]) for name in domains}
    for name, domain in domains.items():
        if isinstance(domain, Float) and isinstance(config[name], (int, float)):
            inside = min(max(config[name], domain.lo), domain.hi)
            if abs(inside - config[name]) <= _ROUNDING * abs(inside):
                config[name] = inside
    return config
