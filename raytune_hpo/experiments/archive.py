"""The archive of an experiment: a folder with its spec, and a table for each repeat that has ended.

    experiment.json        the task and the plan, which must stay the same
    repeat-00017.csv       the steps of one search
    estimates-00017.csv    the model's estimates before each of them, if requested

Each file is written atomically, the steps last: a repeat has ended if the file of its steps exists.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_hpo.display.text import short
from raytune_hpo.errors import HpoError, SpecError, SpecMismatch
from raytune_hpo.experiments.plan import Plan
from raytune_hpo.experiments.search import ESTIMATES, TYPES, SearchOutcome, typed
from raytune_hpo.files import json_object, reading, write_whole
from raytune_hpo.registry import current_options
from raytune_hpo.results.records import plain

if TYPE_CHECKING:
    import pandas as pd

SPEC_FILE = "experiment.json"
_VERSION = 1
_STEPS_FILE = re.compile(r"^repeat-(\d+)\.csv$")
_MAX_DIFFERENCES = 3  # in one message


class Archive:
    """The folder of one experiment."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def open(self, spec: Mapping[str, Any]) -> None:
        """Begin the experiment, or continue it.

        Raises:
            SpecMismatch: the folder holds another experiment; the message names the differences.
            HpoError: the folder cannot be written.
        """
        if (self.folder / SPEC_FILE).exists():
            differing = list(_differences(_identity(self.spec()), _identity(spec), ""))
            if differing:
                shown = differing[:_MAX_DIFFERENCES]
                told = "; ".join(f"{where[1:]} was {short(old)}, is {short(new)}" for where, old, new in shown)
                more = f"; and {len(differing) - len(shown)} more" if len(differing) > len(shown) else ""
                raise SpecMismatch(
                    f"experiment {self.folder.name!r} has repeats of another plan: {told}{more}. Use another name, go back "
                    f"to its own settings, or delete {self.folder}"
                )
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HpoError(
                f"an experiment needs a folder that can be written, {self.folder} cannot: {error}"
            ) from error
        write_whole(self.folder / SPEC_FILE, json.dumps({"version": _VERSION, **spec}, indent=1) + "\n")

    def spec(self) -> dict[str, Any]:
        """The spec of the experiment: its task, its plan, and the parts of the plan in full.

        Raises:
            SpecError: the folder has no experiment, or one of a later version.
            HpoError: its file is damaged.
        """
        path = self.folder / SPEC_FILE
        if not path.exists():
            raise SpecError(f"the folder of an experiment has a file {SPEC_FILE}, {self.folder} has none")
        with _intact(path, "bring it back, or delete the folder"):
            data = json_object(path)
            if (version := data.get("version")) != _VERSION:
                raise SpecError(
                    f"experiments of version {_VERSION} can be read, {path} has {version!r}; update raytune_hpo"
                )
            _identity(data)
        return data

    def identity(self) -> tuple[dict[str, Any], Plan]:
        """The name, metric and mode of the task, and the plan.

        Raises:
            SpecError, HpoError: as ``spec``.
        """
        data = self.spec()
        with _intact(self.folder / SPEC_FILE, "bring it back, or delete the folder"):
            task = {key: str(data["task"][key]) for key in ("name", "metric", "mode")}
            return task, Plan.from_json(data["plan"])

    def repeats(self) -> list[int]:
        """The repeats that have ended, in order."""
        if not self.folder.is_dir():
            return []
        return sorted(int(found[1]) for path in self.folder.iterdir() if (found := _STEPS_FILE.match(path.name)))

    def keep(self, repeat: int, outcome: SearchOutcome) -> None:
        """Write the outcome of a repeat."""
        if outcome.estimates is not None:
            write_whole(self._place("estimates", repeat), outcome.estimates.to_csv(index=False))
        write_whole(self._place("repeat", repeat), outcome.steps.to_csv(index=False))

    def read(self, repeat: int) -> SearchOutcome:
        """The tables of a repeat.

        Raises:
            HpoError: one of its files is damaged.
        """
        steps, estimates = self._place("repeat", repeat), self._place("estimates", repeat)
        return SearchOutcome(_table(steps, TYPES), _table(estimates, ESTIMATES) if estimates.exists() else None)

    def clear(self) -> None:
        """Delete the spec if no repeat has ended, so that another experiment may use the folder."""
        if not self.repeats():
            (self.folder / SPEC_FILE).unlink(missing_ok=True)

    def _place(self, what: str, repeat: int) -> Path:
        return self.folder / f"{what}-{repeat:05}.csv"


def _table(path: Path, types: Mapping[str, str]) -> pd.DataFrame:
    """A table exactly as it was written. Numbers are read as text first, since pandas may miss their last digit."""
    import pandas as pd

    with _intact(path, "delete it, and the same command runs this repeat again"):
        text = path.read_text(encoding="utf-8")
        if not text.endswith("\n"):
            raise ValueError("its end is missing")
        words: pd.DataFrame = pd.read_csv(io.StringIO(text), dtype=str)
        return typed(words, types)


def _intact(path: Path, way_out: str) -> AbstractContextManager[None]:
    return reading("an experiment's files are as they were written", path, way_out, error=HpoError)


def _identity(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the spec that must not change: task, plan, and parts with all options, so that new defaults count."""
    plan = {key: value for key, value in spec["plan"].items() if key not in spec["parts"]}
    parts = {
        role: part and {**part, "options": current_options(role, part["name"], part["options"])}
        for role, part in spec["parts"].items()
    }
    identity: dict[str, Any] = plain({"task": spec["task"], **plan, **parts})
    return identity


def _differences(old: Any, new: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    """The places where two JSON values differ, each with both values."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from _differences(old.get(key), new.get(key), f"{where}.{key}")
    elif old != new:
        yield where, old, new
