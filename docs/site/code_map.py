"""The map of the code, docs/map.md: a line for each module, taken from its first sentence.

python docs/site/code_map.py      writes it anew; a test holds it against the code
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "raytune_hpo"
PAGE = ROOT / "docs" / "map.md"
ROOMS = (
    "numerics display space checkpoints samplers schedulers journal analysis core runtime testing cluster results "
    "progress api plots tables confirming sklearn integrations optml live experiments commands service compat cli workshop"
).split()
HEAD = """# Map of the code

A line for each module, from the ground floor up; [Design](design.md) says which floor may use which.
Each line is the module's own first sentence.
"""


def first_sentence(path: Path) -> str:
    """The first sentence of a module's docstring, on one line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    line = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[.:]) (?=[A-Z])", line)[0].rstrip(".:").replace("``", "`")


def modules_of(folder: Path) -> Iterator[Path]:
    """The modules of a folder and of those in it, by path."""
    for path in sorted(folder.rglob("*.py")):
        if path.name not in ("__init__.py", "__main__.py"):
            yield path


def table(folder: Path, paths: Iterator[Path]) -> str:
    """A table of modules."""
    rows = [f"| `{path.relative_to(folder).with_suffix('').as_posix()}` | {first_sentence(path)} |" for path in paths]
    return "\n".join(["| module | what is in it |", "|---|---|", *rows])


def code_map() -> str:
    """The text of the page."""
    root = (path for path in sorted(PACKAGE.glob("*.py")) if path.name != "__init__.py")
    parts = [HEAD, "## `raytune_hpo`: words and contracts\n", table(PACKAGE, root)]
    for room in ROOMS:
        folder = PACKAGE / room
        parts += [
            "",
            f"## `{room}`\n",
            f"{first_sentence(folder / '__init__.py')}.\n",
            table(folder, modules_of(folder)),
        ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(code_map(), encoding="utf-8")
