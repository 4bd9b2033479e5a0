"""Tabulation: training an objective once on evenly spread configurations, to make a lookup table for later searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from raytune_hpo import registry
from raytune_hpo.api.tuner import Tuner
from raytune_hpo.errors import SpecError
from raytune_hpo.results import Results
from raytune_hpo.tables import layout
from raytune_hpo.tables.lookup_table import LookupTable

_DESIGN: Mapping[str, Any] = {"sampler": "sobol", "seed": 0}
# The settings of an objective's file that say how trials run; the table itself decides on configurations and limits.
_KEPT_SETTINGS = (
    "metric", "mode", "seed", "max_concurrent", "resources", "isolation", "max_retries", "trial_timeout_s", "valid_range",
    "storage", "runtime", "callbacks", "progress",
)  # fmt: skip


def tabulate(
    objective: Callable[[dict[str, Any]], Any],
    space: Any,
    *,
    rows: int | None = None,
    path: str | Path | None = None,
    **settings: Any,
) -> LookupTable:
    """Make a lookup table: run an objective on an even design, and record its reports and durations.

    The table is made by a normal study: in parallel on Ray, journalled, continued by the same call with the same ``name``,
    and extended with a larger ``rows``. Failed trials stay in the file, marked as such, and are not looked up.

    Args:
        objective, space: as for ``hpo.Tuner``. Every trial runs to its end. If it reports ``cost_s``, the seconds since
            it began, these are its times; otherwise the whole trial is timed, and each step gets an equal share.
        rows: the number of configurations; in a small space some may be repeated, and count once. None: all of a finite
            space, with ``sampler="grid"``.
        path: the file to write, ``.parquet`` (which needs ``raytune_hpo[tables]``) or ``.csv``; None writes no file.
        settings: metric, mode, seed (0), name, storage, max_concurrent, resources ... as for ``hpo.Tuner``.

    Raises:
        SpecError, SpaceError: a setting is wrong, or no trial completed.
    """
    return LookupTable.of(run_design(objective, space, rows, path, settings))


def run_design(
    objective: Callable[[dict[str, Any]], Any],
    space: Any,
    rows: int | None,
    path: str | Path | None,
    settings: Mapping[str, Any],
) -> Results:
    """Run the study of a table, and write the table if there is a path; see ``tabulate``."""
    if "scheduler" in settings:
        raise SpecError("every row of a table is trained to its end, got a scheduler; leave it out")
    sampler = registry.make("sampler", settings.get("sampler", _DESIGN["sampler"]))
    if rows is None and registry.describe("sampler", sampler).name != "grid":
        raise SpecError(
            'a table has as many rows as rows= (--rows) says; without it, sampler="grid" tries a whole finite space'
        )
    if path is not None:
        layout.check_path(Path(path))
    results = Tuner(objective, space, **{**_DESIGN, **settings, "num_trials": rows}).fit()
    if path is not None:
        layout.write_table(results, path)
    return results


def settings_for_rows(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an objective's file that apply to the trials of its table."""
    return {key: value for key, value in settings.items() if key in _KEPT_SETTINGS}
