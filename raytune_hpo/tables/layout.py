"""File layout of a lookup table that was made from a study, and the rows that are read back from it.

    config/<name>             a parameter by the name of its column in the space; empty where it is not active
    metrics/<name>            the result
    metrics/<name>/step_<n>   the value reported after step n
    number status duration_s error

Everything else is metadata (``TableMetadata``): in a parquet file's own metadata, and for ``table.csv`` in
``table.about.json``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.failures import reason_of_failure
from raytune_hpo.arrays import Array
from raytune_hpo.display.text import short
from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.facts import Status
from raytune_hpo.files import json_object, reading
from raytune_hpo.numerics.axes import row_keys
from raytune_hpo.results import Results
from raytune_hpo.runtime.simulated import COST
from raytune_hpo.space import Column, Space
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".parquet", ".csv")
CONFIG, METRICS = "config/", "metrics/"
_STEP = "/step_"
_STEP_0 = f"{_STEP}0"
_KEY = "raytune_hpo"  # in the metadata of a parquet file
_TEXT_COLUMNS = ("status", "error")
_VERSION = 1
GIVE_MODE = 'set mode="max" or "min" (on the command line: --maximise or --minimise)'

_ROUNDING = 1e-9  # of a value that was written, read and converted

Cell = str | float | int


@dataclass(frozen=True, kw_only=True)
class TableMetadata:
    """Metadata of a table, which its columns do not hold.

    Attributes:
        space: the space in its JSON form.
        options: for each column of a choice, the contents of its cells with the positions of the options that they mean.
        metrics: the goals and their modes; the first one is searched by default.
        made: how the table was made, as text for people.
    """

    space: Mapping[str, Any]
    options: Mapping[str, Sequence[tuple[Cell, int]]]
    metrics: Mapping[str, str]
    made: Mapping[str, Any]
    version: int = _VERSION


@dataclass(frozen=True, kw_only=True)
class TableRows:
    """Rows of a table that can be looked up: the completed trials, each configuration once.

    Attributes:
        points: the metric (n,) after each reported step, and the result after the last; NaN where it is missing. Steps
            count from 1: if any report was of step 0, all count one more.
        seconds: (n,) the durations of whole trials.
        times: seconds (n,) from a trial's beginning to each step; empty if the reports did not give them.
    """

    space: Space
    metric: str
    mode: str
    points: Mapping[int, Array]
    seconds: Array
    times: Mapping[int, Array]


# ------------------------------------------------------------------------------------------------ a study as columns


def table_columns(results: Results) -> tuple[pd.DataFrame, TableMetadata]:
    """The finished and paused trials of a study as the columns of a table, with the metadata."""
    import pandas as pd

    spec, goals = results.spec, results.goals
    trials = [trial for trial in results if trial.status.is_finished or trial.status is Status.PAUSED]
    cells, options = _parameters(spec.space, [trial.config for trial in trials])
    names = dict.fromkeys([*[goal.metric for goal in goals], *(name for trial in trials for name in trial.metrics)])
    metrics = {METRICS + name: [_number(trial.metrics.get(name)) for trial in trials] for name in names}
    columns = {
        "number": [trial.number for trial in trials],
        "status": [trial.status.value for trial in trials],
        **cells,
        **{name: values for name, values in metrics.items() if any(value is not None for value in values)},
        **_curves(trials),
        "duration_s": [trial.duration_s for trial in trials],
        "error": [reason_of_failure(trial) or None for trial in trials],
    }
    metadata = TableMetadata(
        space=spec.space.to_json(),
        options=options,
        metrics={goal.metric: goal.mode for goal in spec.goals},
        made={"study": spec.name, "sampler": str(spec.sampler), "seed": spec.seed, "trials": len(trials)},
    )
    return pd.DataFrame(columns), metadata


def _parameters(
    space: Space, configs: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, list[Any]], dict[str, list[tuple[Cell, int]]]]:
    """The columns of the parameters, and the meaning of the cells of choices."""
    rows, X = [space.flatten(config) for config in configs], space.encode(configs)
    columns: dict[str, list[Any]] = {}
    options: dict[str, list[tuple[Cell, int]]] = {}
    for j, column in enumerate(space.columns):
        cells = [row.get(column.name) if active else None for row, active in zip(rows, ~np.isnan(X[:, j]), strict=True)]
        if column.domain.options:
            means, cells = _options(column, X[:, j], cells)
            options[column.name] = means
        columns[CONFIG + column.name] = cells
    return columns, options


def _options(column: Column, x: Array, values: Sequence[Any]) -> tuple[list[tuple[Cell, int]], list[Cell | None]]:
    """Options as numbers if all are numbers, otherwise as text, with their positions if the texts are not distinct."""
    active = np.flatnonzero(~np.isnan(x))
    codes = dict(zip(active.tolist(), column.domain.codes(x[active]).tolist(), strict=True))
    by_code = {code: values[i] for i, code in codes.items()}
    if all(type(value) in (int, float) and math.isfinite(value) for value in by_code.values()):
        texts = dict(by_code)
    else:
        texts = {code: str(value) for code, value in by_code.items()}
    if len(set(texts.values())) < len(texts) or "" in texts.values():
        texts = {code: f"{code}: {value}" for code, value in by_code.items()}
    return [(texts[code], code) for code in sorted(texts)], [
        texts[codes[i]] if i in codes else None for i in range(len(values))
    ]


def _curves(trials: Sequence[Trial]) -> dict[str, list[float | None]]:
    """A column for each metric and step that was reported, metric by metric."""
    said: dict[tuple[str, int], dict[int, float]] = {}
    for row, trial in enumerate(trials):
        for report in trial.reports:
            for name, value in report.metrics.items():
                if (number := _number(value)) is not None:
                    said.setdefault((name, report.step), {})[row] = number
    names = {name: place for place, name in enumerate(dict.fromkeys(name for name, _ in said))}
    order = sorted(said, key=lambda key: (names[key[0]], key[1]))
    return {
        f"{METRICS}{name}{_STEP}{step}": [said[name, step].get(row) for row in range(len(trials))]
        for name, step in order
    }


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


# ------------------------------------------------------------------------------------------------ files


def check_path(path: Path) -> None:
    """Refuse a path to which no table can be written, before anything is trained for it.

    Raises:
        SpecError: the path cannot be written; the message names the rule and the way out.
    """
    if path.suffix not in SUFFIXES:
        raise SpecError(f"a lookup table is a file of {' or '.join(SUFFIXES)}, got {str(path)!r}")
    if not path.parent.is_dir():
        raise SpecError(f"{path} cannot be written: there is no folder {path.parent}")
    _needs_pyarrow(path)


def _needs_pyarrow(path: Path) -> None:
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise SpecError(
            f'{path} needs pyarrow, which is not installed: pip install "raytune_hpo[tables]", or name the table .csv'
        )


def write_table(results: Results, path: str | Path) -> Path:
    """Write a study as a table. It includes failed and pruned trials, which are never looked up.

    Raises:
        SpecError: the path cannot be written.
    """
    path = Path(path)
    check_path(path)
    frame, metadata = table_columns(results)
    try:
        if path.suffix == ".parquet":
            frame.attrs[_KEY] = asdict(metadata)
            frame.to_parquet(path, engine="pyarrow", index=False)
        else:
            frame.to_csv(path, index=False)
            metadata_path(path).write_text(json.dumps(asdict(metadata), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise SpecError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def metadata_path(path: Path) -> Path:
    """The file with the metadata of a CSV file."""
    return path.with_suffix(".about.json")


def read_table(path: Path) -> tuple[pd.DataFrame, TableMetadata | None]:
    """The columns of a file and its metadata; None if the file was not made by this package.

    Raises:
        SpecError: there is no such file, it cannot be read without pyarrow, or its metadata are missing.
    """
    import pandas as pd

    if not path.exists():
        raise SpecError(f"no lookup table at {path}")
    _needs_pyarrow(path)
    if path.suffix == ".parquet":
        frame: pd.DataFrame = pd.read_parquet(path, engine="pyarrow")
        metadata = _metadata(frame.attrs[_KEY], path) if _KEY in frame.attrs else None
    elif metadata_path(path).exists():
        with reading("what a table is about is said as it was written", metadata_path(path), "make the table again"):
            metadata = _metadata(json_object(metadata_path(path)), path)
        frame = _typed(pd.read_csv(path, dtype=str, keep_default_na=False), metadata)
    else:
        frame, metadata = pd.read_csv(path), None
    if metadata is None and any(str(column).startswith(CONFIG) for column in frame):
        raise SpecError(
            f"{path} was tabulated, and what it is about is missing: {metadata_path(path)} belongs beside it"
        )
    return frame, metadata


def _metadata(data: Mapping[str, Any], path: Path) -> TableMetadata:
    if (version := data.get("version")) != _VERSION:
        raise SpecError(f"a table must be of version {_VERSION}, {path} is of version {version}")
    metadata = TableMetadata(**data)
    space, metrics = metadata.space, metadata.metrics
    if not all(isinstance(part, Mapping) and part for part in (space, metrics)):
        raise TypeError(f"it has a space and at least one metric, not {short(space)} and {short(metrics)}")
    return metadata


def _typed(frame: pd.DataFrame, metadata: TableMetadata) -> pd.DataFrame:
    """The text columns converted to their types: exact numbers, but text for options that only look like numbers."""
    options = metadata.options.items()
    texts = {CONFIG + name for name, means in options if any(isinstance(cell, str) for cell, _ in means)}
    for name in frame.columns:
        make = str if name in texts or name in _TEXT_COLUMNS else float
        frame[name] = [make(cell) if cell else None for cell in frame[name]]
    return frame


# ------------------------------------------------------------------------------------------------ columns as rows


def rows_of(
    frame: pd.DataFrame, metadata: TableMetadata, metric: str | None = None, mode: str | None = None
) -> TableRows:
    """The rows of a table that can be looked up.

    Args:
        metric, mode: by default the study's first goal; any other metric is allowed, with a mode if the study had none
            for it.

    Raises:
        SpecError: no trial completed, the metric is not in the table, or its mode is unknown.
    """
    metric = next(iter(metadata.metrics)) if metric is None else metric
    completed = (frame["status"] == Status.COMPLETED.value).to_numpy()
    if not completed.any():
        why = next((f": {short(error)}" for error in frame["error"] if error), "")
        raise SpecError(f"a lookup table needs a completed trial, none of {len(frame)} has completed{why}")
    if METRICS + metric not in frame:
        known = [str(c).removeprefix(METRICS) for c in frame if str(c).startswith(METRICS) and _STEP not in str(c)]
        raise SpecError(f"no trial of the table reported a metric {metric!r}; {nearest(metric, known)}")
    if (mode := mode or metadata.metrics.get(metric)) is None:
        raise SpecError(
            f"the table knows which way is better only for the metrics it was made for ({', '.join(metadata.metrics)}), "
            f"not for {metric!r}; {GIVE_MODE}"
        )
    final, seconds = _floats(frame, METRICS + metric), _floats(frame, "duration_s")
    if METRICS + COST in frame:  # a trial's own times take precedence over measured ones
        said = _floats(frame, METRICS + COST)
        seconds = np.where(np.isfinite(said), said, seconds)
    whole = np.flatnonzero(completed & np.isfinite(final) & np.isfinite(seconds))
    if not len(whole):
        raise SpecError(f"a lookup table needs a completed trial with a finite {metric!r}, there is none")
    space = Space.from_json(_without_functions(metadata.space))
    X = _coordinates(space, frame.iloc[whole], metadata)
    # The first row of each configuration; an inactive parameter counts as a value of its own.
    first = np.sort(np.unique(np.array(row_keys(X)), return_index=True)[1])
    kept = whole[first]
    points = _points(frame, metric, kept)
    return TableRows(
        space=space.restricted(space.decode(X[first])),
        metric=metric,
        mode=mode,
        points={**points, max([1, *points]): final[kept]},
        seconds=seconds[kept],
        times=_points(frame, COST, kept),
    )


def _floats(frame: pd.DataFrame, column: str) -> Array:
    return frame[column].to_numpy(np.float64)


def _points(frame: pd.DataFrame, metric: str, rows: Array) -> dict[int, Array]:
    """A metric (n,) after each of its steps, counted from 1; NaN where it is not finite."""
    shift = int(any(str(column).startswith(METRICS) and str(column).endswith(_STEP_0) for column in frame))
    head = f"{METRICS}{metric}{_STEP}"
    named = {str(column): str(column).removeprefix(head) for column in frame if str(column).startswith(head)}
    found = {int(step) + shift: _floats(frame, column)[rows] for column, step in named.items() if step.isdecimal()}
    return {step: np.where(np.isfinite(values), values, np.nan) for step, values in found.items()}


def _coordinates(space: Space, frame: pd.DataFrame, metadata: TableMetadata) -> Array:
    """The coordinates (n, d) of the configurations in the unit cube; NaN where a parameter is not active."""
    X = np.full((len(frame), space.num_columns), np.nan)
    for j, column in enumerate(space.columns):
        cells = frame[CONFIG + column.name]
        active = cells.notna().to_numpy()
        if column.name in metadata.options:
            position = dict(metadata.options[column.name])
            codes = np.array([position[cell] for cell in cells[active]], dtype=np.int64)
        else:
            codes = cells[active].to_numpy(np.float64)
        X[active, j] = column.domain.units(codes)
        moved = ~np.isclose(column.domain.codes(X[active, j]), codes, rtol=_ROUNDING, atol=0.0)
        if moved.any():
            raise SpecError(
                f"the rows of a table lie in its space, {column.name!r} has {codes[moved][0]:g}; correct or remove that row"
            )
    return X


def _without_functions(data: Any) -> Any:
    """The JSON form of a space without functions: rows meet the constraints already, and derived values keep a name."""
    if isinstance(data, Mapping):
        if data.keys() == {"derived"}:
            return {"const": data["derived"]["function"]}
        kept = {key: _without_functions(value) for key, value in data.items() if key != "candidates"}
        return {**kept, "constraints": []} if "constraints" in kept else kept
    return [_without_functions(item) for item in data] if isinstance(data, (list, tuple)) else data
