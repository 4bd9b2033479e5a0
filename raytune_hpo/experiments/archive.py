"""An experiment's folder: what it is, and a table for each repeat that has ended.

    experiment.json        the task and the plan, which must stay the same
    repeat-00017.csv       the steps of one search
    estimates-00017.csv    what the model thought before each of them, if that was asked for

Tables are written beside their place and moved there, the steps last: a repeat is there when its steps are, and whole.
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
from raytune_hpo.experiments.search import ESTIMATES, TYPES, Outcome, typed
from raytune_hpo.files import json_object, reading, write_whole
from raytune_hpo.registry import current_options

if TYPE_CHECKING:
    import pandas as pd

VERSION = 1
SPEC = "experiment.json"
_STEPS = re.compile(r"^repeat-(\d+)\.csv$")
_MOST_TOLD = 3  # differences


class Archive:
    """The folder of one experiment."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def open(self, spec: Mapping[str, Any]) -> None:
        """Begin the experiment, or go on with it.

        Raises:
            SpecMismatch: another experiment is there; names what differs.
            HpoError: the folder cannot be written.
        """
        if (self.folder / SPEC).exists():
            _require_same(self.spec(), spec, self.folder)
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HpoError(
                f"an experiment needs a folder that can be written, {self.folder} cannot: {error}"
            ) from error
        write_whole(self.folder / SPEC, json.dumps({"version": VERSION, **spec}, indent=1) + "\n")

    def spec(self) -> dict[str, Any]:
        """What the experiment is.

        Raises:
            SpecError: none is here, or one of a later version.
            HpoError: it is damaged.
        """
        path = self.folder / SPEC
        if not path.exists():
            raise SpecError(f"the folder of an experiment has a file {SPEC}, {self.folder} has none")
        with _intact(path, "bring it back, or delete the folder"):
            data = json_object(path)
            if (version := data.get("version")) != VERSION:
                raise SpecError(
                    f"experiments of version {VERSION} can be read, {path} has {version!r}; update raytune_hpo"
                )
            _identity(data)
        return data

    def identity(self) -> tuple[dict[str, Any], Plan]:
        """What is searched, with its name, metric and mode, and how.

        Raises:
            SpecError, HpoError: as ``spec``.
        """
        data = self.spec()
        with _intact(self.folder / SPEC, "bring it back, or delete the folder"):
            task = {key: str(data["task"][key]) for key in ("name", "metric", "mode")}
            return task, Plan.from_json(data["plan"])

    def repeats(self) -> list[int]:
        """The repeats that have ended, in order."""
        if not self.folder.is_dir():
            return []
        return sorted(int(found[1]) for path in self.folder.iterdir() if (found := _STEPS.match(path.name)))

    def keep(self, repeat: int, outcome: Outcome) -> None:
        """Write down how a repeat ended, at once."""
        if outcome.estimates is not None:
            write_whole(self._place("estimates", repeat), outcome.estimates.to_csv(index=False))
        write_whole(self._place("repeat", repeat), outcome.steps.to_csv(index=False))

    def read(self, repeat: int) -> Outcome:
        """What was kept of a repeat.

        Raises:
            HpoError: a file of it is damaged.
        """
        path = self._place("estimates", repeat)
        return Outcome(_table(self._place("repeat", repeat), TYPES), _table(path, ESTIMATES) if path.exists() else None)

    def clear(self) -> None:
        """Forget what the experiment is, if no repeat has ended: then it may become another one."""
        if not self.repeats():
            (self.folder / SPEC).unlink(missing_ok=True)

    def _place(self, what: str, repeat: int) -> Path:
        return self.folder / f"{what}-{repeat:05}.csv"


def _table(path: Path, types: Mapping[str, str]) -> pd.DataFrame:
    """A table as it was written: pandas' own way of reading numbers may miss their last digit."""
    import pandas as pd

    with _intact(path, "delete it, and the same command runs this repeat again"):
        text = path.read_text(encoding="utf-8")
        if not text.endswith("\n"):
            raise ValueError("its end is missing")
        words: pd.DataFrame = pd.read_csv(io.StringIO(text), dtype=str)
        return typed(words, types)


def _intact(path: Path, way_out: str) -> AbstractContextManager[None]:
    return reading("an experiment's files are as they were written", path, way_out, error=HpoError)


def _require_same(stored: Mapping[str, Any], spec: Mapping[str, Any], folder: Path) -> None:
    """Refuse to mix searches of two plans or tasks."""
    differing = list(_differences(_identity(stored), _identity(plain(spec)), ""))
    if differing:
        told = "; ".join(f"{where[1:]} was {short(old)}, is {short(new)}" for where, old, new in differing[:_MOST_TOLD])
        more = f"; and {len(differing) - _MOST_TOLD} more" if len(differing) > _MOST_TOLD else ""
        raise SpecMismatch(
            f"experiment {folder.name!r} has repeats of another plan: {told}{more}. Use another name, go back to its "
            f"own settings, or delete {folder}"
        )


def _identity(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What must stay the same. Of the parts it is what they are in full, so that a new default makes another one."""
    plan = {key: value for key, value in spec["plan"].items() if key not in spec["parts"]}
    parts = {
        role: part and {**part, "options": current_options(role, part["name"], part["options"])}
        for role, part in spec["parts"].items()
    }
    return {"task": spec["task"], **plan, **parts}


def plain(data: Any) -> Any:
    """As it comes back from a JSON file."""
    return json.loads(json.dumps(data))


def _differences(old: Any, new: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON values differ, and what stands there in each."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from _differences(old.get(key), new.get(key), f"{where}.{key}")
    elif old != new:
        yield where, old, new
