"""What an experiment searches: an objective that says how long it takes, a lookup table's for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from raytune_hpo.errors import SpecError
from raytune_hpo.experiments.table import LookupTable, shipped_tables
from raytune_hpo.runtime.simulated import COST
from raytune_hpo.space import Space

TABLES = (".csv", ".parquet")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A search to be repeated.

    Attributes:
        objective: of a configuration; its reports and result carry virtual seconds as ``cost_s``.
        num_steps: of a whole trial, if it reports any.
        truth: the metric of a configuration, where it can be looked up.
    """

    name: str
    space: Space
    objective: Callable[[dict[str, Any]], Any]
    metric: str
    mode: str
    num_steps: int | None = None
    truth: Callable[[Mapping[str, Any]], float] | None = None

    @classmethod
    def of_table(cls, table: LookupTable, *, reports: bool) -> Task:
        """A table's task.

        Args:
            reports: whether trials report every step, which only a scheduler needs.
        """
        return cls(
            name=table.name,
            space=table.space,
            objective=partial(_curve if reports else _final, table),
            metric=table.metric,
            mode=table.mode,
            num_steps=table.num_steps,
            truth=table.value,
        )


def find_task(path: str | Path, *, conf: str | Path | None = None, reports: bool = True) -> Task:
    """The task of a lookup table's file, or of a table that comes with the package.

    Raises:
        SpecError: it is neither.
    """
    file = Path(path)
    if str(path) in shipped_tables():
        return Task.of_table(LookupTable.shipped(str(path)), reports=reports)
    if file.suffix not in TABLES:
        raise SpecError(
            f"a lookup table is one of {', '.join(shipped_tables())}, or a file of {' or '.join(TABLES)}, got {str(path)!r}"
        )
    return Task.of_table(LookupTable.read(file, conf), reports=reports)


def _final(table: LookupTable, config: dict[str, Any]) -> dict[str, float]:
    row = table.row(config)
    return {table.metric: float(table.curves[row, -1]), COST: float(table.seconds[row])}


def _curve(table: LookupTable, config: dict[str, Any]) -> Iterator[dict[str, float]]:
    row = table.row(config)
    times = table.seconds_by_step(row).tolist()
    for step, (value, seconds) in enumerate(zip(table.curves[row].tolist(), times, strict=True), start=1):
        yield {table.metric: value, "step": step, COST: seconds}
