"""The folder of one trial in Ray Tune's format: its parameters, a row for each result, its error and its checkpoints."""

from __future__ import annotations

import csv
import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from io import FileIO, StringIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle
import numpy as np

from raytune_hpo.compat.ray_tune.error import TuneError
from raytune_hpo.files import write_whole

if TYPE_CHECKING:
    import pandas

PARAMS, PARAMS_PICKLED, ROWS, TABLE = "params.json", "params.pkl", "result.json", "progress.csv"
ERROR_TEXT, ERROR = "error.txt", "error.pkl"
STATE = ".tune_result.json"  # in a checkpoint: its result, with the trial's counts and times
CHECKPOINT = "checkpoint_"
CHECKPOINT_NAME = "checkpoint_dir_name"
_LEAVES = (float, int, str, bool, type(None))  # types that are certainly not dicts


class TrialFolder:
    """Reads a trial's folder; missing files count as empty."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self._root = os.fspath(path)

    @cached_property
    def path(self) -> Path:
        return Path(self._root)

    def params(self) -> dict[str, Any]:
        """The configuration, as far as JSON can represent it."""
        return _read_json(self.path / PARAMS)

    def rows(self) -> list[dict[str, Any]]:
        """The results, in the order of their reports."""
        try:
            lines = (self.path / ROWS).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:  # the last line, if the machine died while it was written
                break
        return found

    def dataframe(self) -> pandas.DataFrame:
        """The results as a table, nested ones by names such as ``config/lr``."""
        import pandas

        table: pandas.DataFrame = pandas.DataFrame([flattened(row) for row in self.rows()])
        return table

    def error(self) -> BaseException | None:
        """The exception that ended the trial; if it cannot be unpickled here, a TuneError with its traceback."""
        try:
            data = (self.path / ERROR).read_bytes()
        except FileNotFoundError:
            return None
        try:
            error = pickle.loads(data)
        except Exception:  # whatever an exception's own unpickling raises
            error = None
        if isinstance(error, BaseException):
            return error
        return TuneError((self.path / ERROR_TEXT).read_text(encoding="utf-8"))

    def checkpoints(self) -> list[Path]:
        """The folders of the kept checkpoints, the oldest first."""
        return sorted(path for path in self.path.glob(f"{CHECKPOINT}*") if path.is_dir())

    def kept(self) -> list[tuple[Path, dict[str, Any]]]:
        """The kept checkpoints, each with its result, the oldest first."""
        return [(place, state_of(place)) for place in self.checkpoints()]


class TrialRecord(TrialFolder):
    """Writes a trial's folder while it runs."""

    def __init__(self, path: str | PathLike[str], config: Mapping[str, Any]) -> None:
        super().__init__(path)
        self._is_new = _made(self._root)
        with open(f"{self._root}/{PARAMS}", "wb", buffering=0) as file:
            file.write(_dumped(config).encode())
        with open(f"{self._root}/{PARAMS_PICKLED}", "wb", buffering=0) as file:
            file.write(_pickled(config))
        self._rows: FileIO | None = None
        self._table: FileIO | None = None
        self._columns: list[str] = []

    def append(self, result: Mapping[str, Any], flat: Mapping[str, Any]) -> None:
        """Add a result to the rows, and ``flat`` to the table, whose columns are those of its first row."""
        if self._rows is None or self._table is None:
            self._rows = open(f"{self._root}/{ROWS}", "ab", buffering=0)  # noqa: SIM115  # until the trial ends
            self._table = open(f"{self._root}/{TABLE}", "ab", buffering=0)  # noqa: SIM115
            self._columns = [] if self._is_new else _header(f"{self._root}/{TABLE}")
        line = ""
        if not self._columns:
            self._columns = list(flat)
            line = _csv_line(self._columns)
        self._rows.write(f"{_dumped(result)}\n".encode())
        self._table.write(f"{line}{_csv_line([flat.get(column, '') for column in self._columns])}".encode())

    def fail(self, error: BaseException, text: str) -> None:
        """Keep the exception that ended the trial, or one of its attempts."""
        with open(self.path / ERROR_TEXT, "a", encoding="utf-8") as file:
            file.write(f"{text}\n")
        try:
            data = cloudpickle.dumps(error)
        except Exception:  # whatever its pickling raises: the text is enough
            data = pickle.dumps(TuneError(text))
        (self.path / ERROR).write_bytes(data)
        self._is_new = False

    def forgive(self) -> None:
        """Remove the error, since the trial is tried again."""
        if not self._is_new:
            (self.path / ERROR).unlink(missing_ok=True)

    def save(self, write: Callable[[Path], object], result: Mapping[str, Any]) -> Path:
        """Add a checkpoint, atomically: its folder appears when it is complete.

        Args:
            write: writes the checkpoint into an empty folder.
            result: the result to which it belongs.
        """
        there = self.checkpoints()
        index = int(there[-1].name.removeprefix(CHECKPOINT)) + 1 if there else 0
        new = Path(tempfile.mkdtemp(prefix=".checkpoint-", dir=self.path))
        try:
            new.chmod(0o755)  # mkdtemp's folder is for its owner alone
            write(new)
            place = self.path / f"{CHECKPOINT}{index:06d}"
            (new / STATE).write_text(_dumped({**result, CHECKPOINT_NAME: place.name}), encoding="utf-8")
            os.rename(new, place)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        return place

    def close(self) -> None:
        for file in (self._rows, self._table):
            if file is not None:
                file.close()
        self._rows = self._table = None


def _made(path: str) -> bool:
    """Create a folder; return whether it is new."""
    try:
        os.mkdir(path)
    except FileNotFoundError:  # a name with slashes, or the experiment's folder was removed
        os.makedirs(path, exist_ok=True)
    except FileExistsError:
        return False
    return True


def _header(table: str) -> list[str]:
    """The columns of a table; none if it is empty."""
    with open(table, encoding="utf-8", newline="") as file:
        return next(csv.reader(file), [])


def _csv_line(values: Sequence[Any]) -> str:
    line = StringIO(newline="")
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


def state_of(checkpoint: Path) -> dict[str, Any]:
    """The result to which a checkpoint belongs; empty if it has none."""
    return _read_json(checkpoint / STATE)


def linked(source: Path, target: Path) -> None:
    """Link the files of a folder into another one, or copy them if the disk has no hard links."""
    shutil.copytree(source, target, dirs_exist_ok=True, copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without hard links
        shutil.copy2(source, target)


def flattened(result: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as a flat one, with names such as ``config/lr``."""
    flat: dict[str, Any] = {}
    for key, value in result.items():
        if type(value) not in _LEAVES and isinstance(value, Mapping) and value:
            flat.update(flattened(value, f"{prefix}{key}/"))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a small file atomically."""
    write_whole(path, _dumped(data))


def _dumped(data: Mapping[str, Any]) -> str:
    try:
        return json.dumps(data, default=_as_json)
    except (TypeError, ValueError):  # keys that are not strings, or a dict that contains itself
        return json.dumps(_with_text_keys(data, 0), default=_as_json)


def _pickled(config: Mapping[str, Any]) -> bytes:
    """A configuration as it is or, if it holds what cannot be pickled, as JSON can represent it."""
    try:
        return bytes(cloudpickle.dumps(config))
    except Exception:  # whatever the pickling of a user's object raises
        return pickle.dumps(json.loads(_dumped(config)))


def _with_text_keys(value: Any, depth: int) -> Any:
    if depth > 50:
        return repr(type(value))
    if isinstance(value, Mapping):
        return {str(key): _with_text_keys(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_text_keys(item, depth + 1) for item in value]
    return value


def _as_json(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    return repr(value)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return data
