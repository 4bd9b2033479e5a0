"""Tasks of experiments: a space, and an objective that reports how long it takes.

They come from lookup tables, Python files, and folders of tasks.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.experiments import bench
from raytune_hpo.experiments.parameter_lists import flatten, space_from_list
from raytune_hpo.runtime.simulated import COST
from raytune_hpo.space import Space
from raytune_hpo.tables.lookup_table import LookupTable, shipped_tables

TABLES = (".csv", ".parquet")
_KINDS = (
    f"a task is a lookup table ({' or '.join(TABLES)}), a Python file that defines objective and space, or a name in a "
    f"folder with a {bench.MODULE}, like bench/lcbench_167201 (the name alone where ${bench.VARIABLE} is that folder)"
)
_OF_FILES = ("metric", "mode", "num_steps", "truth", "final")  # that a Python file may define


@dataclass(frozen=True, kw_only=True)
class Task:
    """A space and an objective on which searches are repeated.

    Attributes:
        name: the task's name.
        space: the space that is searched.
        metric, mode: the metric that is optimised, and "min" or "max".
        objective: its reports and its result carry virtual seconds as ``cost_s``.
        num_steps: the number of steps of a whole trial; None: it reports none.
        truth: a function that looks up the metric of a configuration; None if that is not possible.
        final: the objective without its reports, which is faster if no one needs them.
        digest: a digest of the file or table behind the objective.
    """

    name: str
    space: Space
    objective: Callable[[dict[str, Any]], Any]
    metric: str
    mode: str
    num_steps: int | None = None
    truth: Callable[[Mapping[str, Any]], float] | None = None
    final: Callable[[dict[str, Any]], Any] | None = None
    digest: str = ""

    @classmethod
    def of_table(cls, table: LookupTable) -> Task:
        """The task of a table, whose trials report every step."""
        return cls(
            name=table.name,
            space=table.space,
            objective=partial(_table_curve, table),
            metric=table.metric,
            mode=table.mode,
            num_steps=table.num_steps,
            truth=table.value,
            final=partial(_table_result, table),
            digest=content_digest(b"".join(part.tobytes() for part in table.parts)),
        )

    def to_json(self) -> dict[str, Any]:
        """The task in plain JSON types; experiments of one name must agree on it."""
        return {
            "name": self.name,
            "metric": self.metric,
            "mode": self.mode,
            "num_steps": self.num_steps,
            "digest_of_contents": self.digest,
            "space": self.space.to_json(),
        }


def find_task(
    path: str | Path, *, conf: str | Path | None = None, metric: str | None = None, mode: str | None = None
) -> Task:
    """The task of a lookup table, of a Python file, or of a folder of tasks.

    A table is a file, or the name of one that comes with the package. A task of the folder ``$RAYTUNE_HPO_BENCH`` is found
    by its name alone. A Python file defines ``objective`` and ``space`` and may define ``metric`` ("loss"), ``mode``
    ("min"), ``num_steps``, ``truth`` and ``final``; see Task.

    Args:
        path: the table, the Python file, or the name of a task.
        conf: the ``hp_conf`` file with the space of a table.
        metric, mode: replace those of a table or a Python file.

    Raises:
        SpecError: there is no such task, or an argument does not fit it.
        HpoError: the Python file cannot be run.
    """
    file = Path(path)
    if str(path) in shipped_tables() and conf is None:
        return Task.of_table(LookupTable.shipped(str(path), metric=metric, mode=mode))
    if file.suffix in TABLES:
        return Task.of_table(LookupTable.read(file, conf, metric=metric, mode=mode))
    if conf is not None:
        raise SpecError(f"conf is the space of a lookup table ({' or '.join(TABLES)}), got it for {str(path)!r}")
    if file.suffix == ".py" and file.is_file():
        return _of_file(file, {"metric": metric, "mode": mode})
    if bench.has_tasks(file.parent):
        folder = file.parent
    else:
        # A bare name may be a task in the folder set by the environment variable.
        default = bench.default_folder()
        names = bench.task_names(default) if default is not None else []
        if default is None or file != Path(file.name) or file.name not in names:
            raise SpecError(f"{_KINDS}; got {str(path)!r}; {nearest(str(path), [*shipped_tables(), *names])}")
        folder = default
    if (metric, mode) != (None, None):
        raise SpecError(f"tasks of {folder} have a metric of their own; leave metric and mode out")
    return _of_folder(folder.resolve(), file.name)


def _of_file(file: Path, given: Mapping[str, Any]) -> Task:
    from raytune_hpo.api.userfile import load_file

    module = load_file(file)
    missing = [name for name in ("objective", "space") if not hasattr(module, name)]
    if missing:
        raise SpecError(f"{_KINDS}; {file} does not define {' and '.join(missing)}")
    defined = {name: getattr(module, name) for name in _OF_FILES if hasattr(module, name)}
    settings = {"metric": "loss", "mode": "min", **defined, **{key: value for key, value in given.items() if value}}
    space = Space.of(module.space)
    return Task(
        name=file.stem, space=space, objective=module.objective, digest=content_digest(file.read_bytes()), **settings
    )


def _of_folder(folder: Path, name: str) -> Task:
    task = bench.load_task(folder, name)
    has_curve = "curve" in task.tags
    return Task(
        name=name,
        space=space_from_list(task.space),
        objective=partial(_bench_curve if has_curve else _bench_evaluation, folder, name),
        metric="loss",
        mode="min",
        num_steps=int(task.fidelity[1]) if has_curve else None,
        truth=partial(_true_loss, folder, name),
        final=partial(_bench_result, folder, name) if has_curve else None,
    )


# ------------------------------------------------------------------------------------------------ objectives


def _table_curve(table: LookupTable, config: dict[str, Any]) -> Iterator[dict[str, float]]:
    row = table.row(config)
    times = table.seconds_by_step(row).tolist()
    for step, (value, seconds) in enumerate(zip(table.curves[row].tolist(), times, strict=True), start=1):
        yield {table.metric: value, "step": step, COST: seconds}


def _table_result(table: LookupTable, config: dict[str, Any]) -> dict[str, float]:
    row = table.row(config)
    return {table.metric: float(table.curves[row, -1]), COST: float(table.seconds[row])}


def _bench_curve(folder: Path, name: str, config: dict[str, Any]) -> Iterator[dict[str, float]]:
    """Report every epoch of a task with learning curves; a loss that is not finite fails the trial at its time."""
    for step, (loss, spent) in enumerate(bench.learning_curve(folder, name, flatten(config)), start=1):
        yield {COST: spent, "loss": loss, "step": step}


def _bench_result(folder: Path, name: str, config: dict[str, Any]) -> Iterator[dict[str, float]]:
    """Report only the last epoch; if a curve breaks off, its last finite point and the one that fails the trial."""
    points = list(enumerate(bench.learning_curve(folder, name, flatten(config)), start=1))
    num_finite = len(list(takewhile(lambda point: math.isfinite(point[1][0]), points)))
    for step, (loss, spent) in points[max(num_finite - 1, 0) : num_finite + 1]:
        yield {COST: spent, "loss": loss, "step": step}


def _bench_evaluation(
    folder: Path, name: str, config: dict[str, Any]
) -> Generator[dict[str, float], None, dict[str, float]]:
    """Run a task without curves. A failing trial takes time too, so the time is reported first."""
    loss, spent = bench.evaluation(folder, name, flatten(config))
    yield {COST: spent, "step": 0}
    return {COST: spent, "loss": loss}


def _true_loss(folder: Path, name: str, config: Mapping[str, Any]) -> float:
    return bench.evaluation(folder, name, flatten(config))[0]


def content_digest(data: bytes) -> str:
    """A digest that two contents share only if they are the same."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()
