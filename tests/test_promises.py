"""What docs/stability.md promises: no public name, argument, option or column that was there is gone.

Run as a program, it adds to the record what is new; whatever the record has stays in it until its deprecation is over.

    python tests/test_promises.py
"""

from __future__ import annotations

import contextlib
import inspect
import json
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

import raytune_hpo as hpo
from raytune_hpo import registry
from raytune_hpo.cli import cli
from raytune_hpo.journal.views import VIEW_NAMES

RECORD = Path(__file__).resolve().parent / "golden" / "promises.json"


def arguments(function: Callable[..., Any]) -> dict[str, str]:
    """The arguments of a call: by place or by keyword, and whether they may be left out."""
    found = {}
    for each in inspect.signature(function).parameters.values():
        if each.name.startswith("_") or each.name == "self":
            continue
        kind = "keyword" if each.kind is each.KEYWORD_ONLY else "place"
        if each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL):
            kind = "any"
        found[each.name] = f"{kind}, {'needed' if each.default is each.empty and kind != 'any' else 'optional'}"
    return found


def members(kind: type) -> list[str]:
    return [name for name in dir(kind) if not name.startswith("_")]


def names() -> dict[str, Any]:
    """Every public name with its arguments and, of a class, its members."""
    promised: dict[str, Any] = {}
    for name in sorted(hpo.__all__):
        value = getattr(hpo, name)
        entry: dict[str, Any] = {}
        if callable(value):
            try:
                entry["arguments"] = arguments(value)
            except ValueError:  # of a class without a signature of its own
                entry["arguments"] = {}
        if inspect.isclass(value):
            entry["members"] = members(value)
        promised[name] = entry
    return promised


def options(group: str) -> dict[str, list[str]]:
    """The parts of a kind by name, each with its options."""
    found = {}
    for name in registry.installed(group):
        found[name] = sorted(registry.option_names(registry.load(group, name)))
    return found


def commands(group: click.Group = cli, before: str = "") -> dict[str, list[str]]:
    """The commands, each with its options."""
    found = {}
    for name, command in group.commands.items():
        found[before + name] = sorted({option for each in command.params for option in each.opts})
        if isinstance(command, click.Group):
            found |= commands(command, f"{before}{name} ")
    return found


def columns() -> dict[str, list[str]]:
    """The columns of the SQL views, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "studies.db"
        study = hpo.Study({"x": hpo.uniform(0, 1)}, name="promised", storage=f"sqlite:///{path}")
        study.tell(study.ask(), 1.0)
        study.close()
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return {view: [row[1] for row in connection.execute(f"PRAGMA table_info({view})")] for view in VIEW_NAMES}


KINDS: dict[str, Callable[[], Any]] = {
    "names": names,
    "samplers": lambda: options("sampler"),
    "schedulers": lambda: options("scheduler"),
    "commands": commands,
    "columns": columns,
}


def gone(before: Any, now: Any, where: str) -> list[str]:
    """What of the record is not there any more, or is otherwise."""
    if isinstance(before, dict):
        lost = [f"{where}.{key}" for key in before if key not in now]
        return lost + [each for key in before if key in now for each in gone(before[key], now[key], f"{where}.{key}")]
    if isinstance(before, list):
        return [f"{where}.{each}" for each in before if each not in now]
    return [] if before == now else [f"{where}: {before} is {now}"]


def with_new(before: Any, now: Any) -> Any:
    """The record with what is new; nothing that it has is lost or changed."""
    if isinstance(before, dict):
        return before | {key: with_new(before[key], now[key]) if key in before else now[key] for key in now}
    if isinstance(before, list):
        return before + [each for each in now if each not in before]
    return before


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_was_promised_is_gone(kind: str) -> None:
    before = json.loads(RECORD.read_text(encoding="utf-8"))[kind]
    assert before
    assert gone(before, KINDS[kind](), kind) == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_new_is_recorded(kind: str) -> None:
    """Or nobody would notice when it is gone again. Versions of Python differ in the members of exceptions."""
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))[kind]
    new = [name for name in gone(KINDS[kind](), recorded, kind) if ".members." not in name]
    assert new == [], "run: python tests/test_promises.py"


def test_arguments_by_place_keep_their_places() -> None:
    before = json.loads(RECORD.read_text(encoding="utf-8"))["names"]
    now = names()
    for name, entry in before.items():
        places = [
            [argument for argument, kind in each.get("arguments", {}).items() if kind.startswith("place")]
            for each in (entry, now[name])
        ]
        old, new = places
        assert new[: len(old)] == old, name


def test_what_is_gone_is_noticed() -> None:
    before = {"tune": {"arguments": {"space": "place, needed", "seed": "keyword, optional"}, "members": ["fit"]}}
    now = {"tune": {"arguments": {"space": "keyword, needed"}, "members": ["load"]}}
    assert gone(before, with_new(before, now), "names") == []
    assert gone(now["tune"]["members"], with_new(before, now)["tune"]["members"], "") == []
    assert gone(before, now, "names") == [
        "names.tune.arguments.seed",
        "names.tune.arguments.space: place, needed is keyword, needed",
        "names.tune.members.fit",
    ]


if __name__ == "__main__":
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    grown = with_new(record, {kind: find() for kind, find in KINDS.items()})
    RECORD.write_text(json.dumps(grown, indent=1) + "\n", encoding="utf-8")
