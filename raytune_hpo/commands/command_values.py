"""Names and values of parameters for commands, and their environment."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raytune_hpo.analysis.columns import flattened
from raytune_hpo.commands.shell_text import variable_of
from raytune_hpo.commands.template import MAX_ARGUMENT
from raytune_hpo.space import Space
from raytune_hpo.space.tree import Branch, Gated, Node, Record

OWN_NAMES = ("instance", "seed", "repeat", "trial", "attempt")


def values_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a configuration by name.

    A parameter below another one is ``codec/crf``, and also ``crf`` unless two have that name.
    """
    found = dict(flattened(config))
    lasts = [name.rpartition("/")[2] for name in found]
    return {**{last: found[name] for name, last in zip(found, lasts, strict=True) if lasts.count(last) == 1}, **found}


def names_of(space: Space) -> dict[str, frozenset[str]]:
    """The parameters of a space by their path in a configuration, each with the names that a command may use for it."""
    return {path: frozenset((path, path.rpartition("/")[2])) for path in dict.fromkeys(_paths(space.root, ""))}


def _paths(node: Node, path: str) -> Iterator[str]:
    below = f"{path}/" if path else ""
    if isinstance(node, Record):
        for key, part in node.items:
            yield from _paths(part, f"{below}{key}")
    elif isinstance(node, Gated):
        for entry in node.entries:
            yield from _paths(entry.node, f"{below}{entry.key}")
    elif isinstance(node, Branch):
        for option in node.options:
            yield from _paths(option, path)
    elif path:
        yield path


def environment(
    values: Mapping[str, Any], config: Mapping[str, Any], scratch: Path, base: Mapping[str, str]
) -> dict[str, str]:
    """The environment of a program: values as ``HPO_<name>``, the run's number and so on as ``HPO_TRIAL`` ..., and
    ``HPO_CONFIG``, the path of a JSON file with the configuration.

    Args:
        scratch: the folder in which the file is written.
        base: the environment to which these are added.
    """
    file = scratch / "config.json"
    file.write_text(json.dumps(config, default=str), encoding="utf-8")
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    own = {variable_of(name.upper()): texts[name] for name in OWN_NAMES if name in texts}
    own |= {variable_of(name): text for name, text in texts.items()}
    fitting = {name: text for name, text in own.items() if len(text) < MAX_ARGUMENT // 4 and "\0" not in text}
    return {**base, **fitting, "HPO_CONFIG": os.fspath(file)}
