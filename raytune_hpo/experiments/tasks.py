"""What an experiment searches: an objective that says how long it takes. A lookup table makes one, or a Python file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.experiments import bench
from raytune_hpo.experiments.parameter_lists import flatten, space_of
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
    """A search to be repeated.

    Attributes:
        objective: of a configuration; its reports and result carry virtual seconds as ``cost_s``.
        num_steps: of a whole trial, if it reports any.
        truth: the metric of a configuration, where it can be looked up.
        final: the same as the objective without its reports: quicker where nobody looks at them.
        digest: of what the objective answers from: a file, a table.
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
        """A table's task. Trials report every step."""
        return cls(
            name=table.name,
            space=table.space,
            objective=partial(_curve, table),
            metric=table.metric,
            mode=table.mode,
            num_steps=table.num_steps,
            truth=table.value,
            final=partial(_final, table),
            digest=_digest(b"".join(part.tobytes() for part in table.parts)),
        )

    def to_json(self) -> dict[str, Any]:
        """What makes two tasks the same."""
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
        conf: of a table, the ``hp_conf`` file of its space.
        metric, mode: of a table or a Python file, in the place of its own.

    Raises:
        SpecError: it is none of these, or an argument does not go with it.
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
    folder = _folder_of(file)
    if folder is None:
        raise SpecError(f"{_KINDS}; got {str(path)!r}; {nearest(str(path), _known_names())}")
    if (metric, mode) != (None, None):
        raise SpecError(f"tasks of {folder} have a metric of their own; leave metric and mode out")
    return _of_folder(folder.resolve(), file.name)


def _folder_of(file: Path) -> Path | None:
    """The folder of tasks that a path leads to, if it does: its own, or of a bare name that of the environment."""
    if bench.is_folder(file.parent):
        return file.parent
    folder = bench.named() if file == Path(file.name) else None
    return folder if folder is not None and file.name in bench.names(folder) else None


def _known_names() -> list[str]:
    """What needs no path: shipped tables, and tasks of the folder that the environment names."""
    folder = bench.named()
    return [*shipped_tables(), *(bench.names(folder) if folder is not None else ())]


def _of_file(file: Path, given: Mapping[str, Any]) -> Task:
    from raytune_hpo.api.userfile import load_file

    module = load_file(file)
    missing = [name for name in ("objective", "space") if not hasattr(module, name)]
    if missing:
        raise SpecError(f"{_KINDS}; {file} does not define {' and '.join(missing)}")
    defined = {name: getattr(module, name) for name in _OF_FILES if hasattr(module, name)}
    settings = {"metric": "loss", "mode": "min", **defined, **{key: value for key, value in given.items() if value}}
    space = Space.of(module.space)
    return Task(name=file.stem, space=space, objective=module.objective, digest=_digest(file.read_bytes()), **settings)


def _of_folder(folder: Path, name: str) -> Task:
    task = bench.load(folder, name)
    has_curve = "curve" in task.tags
    return Task(
        name=name,
        space=space_of(task.space),
        objective=partial(_epochs if has_curve else _evaluation, folder, name),
        metric="loss",
        mode="min",
        num_steps=int(task.fidelity[1]) if has_curve else None,
        truth=partial(_loss, folder, name),
        final=partial(_last_epoch, folder, name) if has_curve else None,
    )


# ------------------------------------------------------------------------------------------------ objectives


def _final(table: LookupTable, config: dict[str, Any]) -> dict[str, float]:
    row = table.row(config)
    return {table.metric: float(table.curves[row, -1]), COST: float(table.seconds[row])}


def _curve(table: LookupTable, config: dict[str, Any]) -> Iterator[dict[str, float]]:
    row = table.row(config)
    times = table.seconds_by_step(row).tolist()
    for step, (value, seconds) in enumerate(zip(table.curves[row].tolist(), times, strict=True), start=1):
        yield {table.metric: value, "step": step, COST: seconds}


def _epochs(folder: Path, name: str, config: dict[str, Any]) -> Iterator[dict[str, float]]:
    """Every epoch of a task with learning curves; a loss that is none fails the trial at its time."""
    for step, (loss, spent) in enumerate(bench.curve(folder, name, flatten(config)), start=1):
        yield {COST: spent, "loss": loss, "step": step}


def _last_epoch(folder: Path, name: str, config: dict[str, Any]) -> Iterator[dict[str, float]]:
    """The end alone; of a curve that breaks off, its last point and then what is none."""
    points = list(enumerate(bench.curve(folder, name, flatten(config)), start=1))
    whole = len(list(takewhile(lambda point: bench.is_loss(point[1][0]), points)))
    for step, (loss, spent) in points[max(whole - 1, 0) : whole + 1]:
        yield {COST: spent, "loss": loss, "step": step}


def _evaluation(folder: Path, name: str, config: dict[str, Any]) -> Generator[dict[str, float], None, dict[str, float]]:
    """A task without curves. What fails has taken its time all the same, so that is told first."""
    loss, spent = bench.evaluation(folder, name, flatten(config))
    yield {COST: spent, "step": 0}
    return {COST: spent, "loss": loss}


def _loss(folder: Path, name: str, config: Mapping[str, Any]) -> float:
    return bench.evaluation(folder, name, flatten(config))[0]


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()
