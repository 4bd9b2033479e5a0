"""Columns of a table of trials, built column by column, so that 100,000 trials take no noticeable time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.display.text import MAX_BITS, number, writable
from raytune_hpo.facts import Status
from raytune_hpo.trial import Trial

_UNCHANGED = frozenset({float, bool, type(None)})  # types of values that files and frames hold as they are
_LEAVES = _UNCHANGED | {int, str}  # the usual types of values, none of which is a mapping
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # text with such a beginning is a formula to a spreadsheet


def columns_of(
    trials: Sequence[Trial], metrics: Sequence[str] = (), fields: Sequence[str] = (), *, has_constraints: bool = False
) -> dict[str, list[Any]]:
    """The columns by name, with None where a trial has no value.

    Args:
        metrics, fields: names of metrics, and of values of configurations, that get a column even if no trial has them.
        has_constraints: whether there is a column on outcome constraints: True for a completed trial that keeps all of
            them, False for one that breaks any.
    """
    arms = [trial.arm for trial in trials]
    return {
        "number": [trial.number for trial in trials],
        "status": [trial.status.value for trial in trials],
        **_spread("config", [trial.config for trial in trials], fields),
        **_spread("metrics", [trial.metrics for trial in trials], metrics),
        "started_at": [trial.started_at for trial in trials],
        "duration_s": [trial.duration_s for trial in trials],
        "worker": [trial.worker for trial in trials],
        "attempt": [trial.attempt for trial in trials],
        "error": [trial.error for trial in trials],
        **({"feasible": [feasibility(trial) for trial in trials]} if has_constraints else {}),
        **({} if all(arm is None for arm in arms) else {"arm": arms}),
    }


def feasibility(trial: Trial) -> bool | None:
    """Whether a completed trial keeps all outcome constraints; None for every other trial, of which nobody knows."""
    return trial.is_feasible if trial.status is Status.COMPLETED else None


def as_data(columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The columns as files and data frames can hold them: in text, lone surrogates become backslash escapes."""
    return {
        writable(name): list(values if _UNCHANGED.issuperset(map(type, values)) else map(_held, values))
        for name, values in columns.items()
    }


def _held(value: Any) -> Any:
    if isinstance(value, str):
        return writable(value)
    return _whole(value) if isinstance(value, int) else value


def csv_cell(value: Any) -> Any:
    """A cell of a CSV file; text that a spreadsheet would evaluate as a formula gets an apostrophe before it.

    Numbers stay as they are, and so does text that is a number.
    """
    if value is None or isinstance(value, (int, float)):
        return _whole(value) if isinstance(value, int) else value
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _whole(value: int) -> int | str:
    """The int, or a text for it if it has more digits than Python writes."""
    return value if value.bit_length() <= MAX_BITS else number(value)


def flattened(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    """Nested dicts as one dict with keys joined by "/"; the same object if nothing is nested."""
    values = mapping.values()
    if _LEAVES.issuperset(map(type, values)) or not any(isinstance(value, Mapping) for value in values):
        return mapping
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            found.update({f"{key}/{below}": leaf for below, leaf in flattened(value).items()})
        else:
            found[str(key)] = value
    return found


def _spread(prefix: str, rows: Sequence[Mapping[str, Any]], names: Sequence[str] = ()) -> dict[str, list[Any]]:
    """One column for each key of the rows, in the order in which the keys first appear."""
    flats = [flattened(row) for row in rows]
    known = dict.fromkeys(names)
    for row in flats:
        if not row.keys() <= known.keys():
            known.update(dict.fromkeys(row))
    return {f"{prefix}/{name}": [row.get(name) for row in flats] for name in known}
