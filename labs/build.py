"""Make the notebooks from the labs: of every lab an exercise, with gaps for the reader to fill, and its solution.

    python labs/build.py            # write notebooks/*.ipynb and notebooks/solutions/*.ipynb
    python labs/build.py --check    # write nothing; exit 1 if a notebook is not what its lab gives

A lab is a script in jupytext's percent format: cells begin with ``# %%`` or ``# %% [markdown]``. What a reader should
write stands between two marks, of which the first carries the hint:

    def fit(X, y):
        # >>> your turn: solve (X'X) beta = X'y for beta; np.linalg.solve(A, b) solves A x = b
        beta = np.linalg.solve(X.T @ X, X.T @ y)
        # <<<
        return beta

The exercise has ``# YOUR TURN: ...`` and ``beta = workshop.your_turn("solve (X'X) beta = X'y for beta")`` there: of the
last statement, what stands before its value is kept (a name or a ``return``), so that the reader knows what the rest of the
notebook needs; so the first line of a function stands above its gap. Whatever uses an empty gap raises ``YourTurn`` with
its hint; a gap that gives no value raises it itself.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import jupytext
import nbformat

ROOT = Path(__file__).resolve().parent.parent
LABS, NOTEBOOKS = ROOT / "labs", ROOT / "notebooks"
WIDTH = 92  # of a hint in a notebook, so that nobody has to scroll sideways for it
FIRST_LINE = "# %% [markdown]"  # by which a lab of this format is known

GAP = re.compile(
    r"^(?P<indent>[ ]*)# >>> your turn: (?P<hint>.+\n(?:[ ]*#     .+\n)*)"  # a hint may go on, indented
    r"(?P<solution>(?:.*\n)*?)"
    r"(?P=indent)# <<<[ ]*(?:\n|$)",
    re.MULTILINE,
)
EXERCISE_NOTE = "*An exercise: fill in what says `YOUR TURN`. Stuck? Look at [the solution](solutions/{name}.ipynb).*"
SOLUTION_NOTE = "*The solution of [the exercise](../{name}.ipynb).*"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def sources() -> list[Path]:
    """The labs that have notebooks."""
    return [path for path in sorted(LABS.glob("*.py")) if path.read_text(encoding="utf-8").startswith(FIRST_LINE)]


def notebooks() -> Iterator[tuple[Path, str]]:
    """Every notebook: where it goes, and its text."""
    shapes = ((NOTEBOOKS, exercise, EXERCISE_NOTE), (NOTEBOOKS / "solutions", solution, SOLUTION_NOTE))
    for source in sources():
        text = source.read_text(encoding="utf-8")
        for folder, shape, note in shapes:
            yield folder / f"{source.stem}.ipynb", notebook(text, shape(text), note.format(name=source.stem))


def exercise(text: str) -> str:
    """A lab with gaps instead of solutions."""
    return GAP.sub(lambda gap: f"{_comment(gap, 'YOUR TURN')}{gap['indent']}{_skeleton(gap)}\n", text)


def solution(text: str) -> str:
    """A lab whose solutions are marked by their hints only."""
    return GAP.sub(lambda gap: f"{_comment(gap, 'Your turn')}{gap['solution']}", text)


def _hint(gap: re.Match[str]) -> str:
    return " ".join(line.strip().removeprefix("#").strip() for line in gap["hint"].splitlines())


def _comment(gap: re.Match[str], mark: str) -> str:
    start = f"{gap['indent']}# "
    return textwrap.fill(f"{mark}: {_hint(gap)}", WIDTH, initial_indent=start, subsequent_indent=start) + "\n"


def _skeleton(gap: re.Match[str]) -> str:
    """A gap's last statement, with the first clause of its hint for a value."""
    body = ast.parse(f"def gap():\n{textwrap.indent(textwrap.dedent(gap['solution']), '    ')}").body[0]
    assert isinstance(body, ast.FunctionDef)
    last = body.body[-1]
    if isinstance(last, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        raise SystemExit(
            f"the gap {_hint(gap)!r} ends with all of {last.name}, whose name and arguments a reader could not know; "
            f"put the marks inside it"
        )
    start = "raise workshop.YourTurn("
    if isinstance(last, ast.Assign):
        start = f"{' = '.join(ast.unparse(target).strip('()') for target in last.targets)} = workshop.your_turn("
    elif isinstance(last, ast.Return):
        start = "return workshop.your_turn("
    room = WIDTH - len(gap["indent"]) - len(start) - len('"")')
    hint = textwrap.shorten(re.split(r"[.;?!] |\.$", _hint(gap))[0], room, placeholder=" ...")
    return f"{start}{hint!r})" if '"' in hint else f'{start}"{hint}")'


def notebook(source: str, text: str, note: str) -> str:
    """The JSON of one notebook: always the same for the same lab.

    A cell's id comes from the lab, so exercise and solution agree on it, and a change of one cell leaves the others alone.
    """
    made = jupytext.reads(text, fmt="py:percent")
    made.metadata = nbformat.from_dict(METADATA)
    made.nbformat, made.nbformat_minor = 4, 5
    originals = jupytext.reads(source, fmt="py:percent").cells
    seen: set[str] = set()
    for cell, original in zip(made.cells, originals, strict=True):
        cell.id = _fresh_id(original.source, seen)
        cell.metadata = nbformat.from_dict({})
    made.cells[0].source += f"\n\n{note}"
    nbformat.validate(made)
    return nbformat.writes(made) + "\n"


def _fresh_id(text: str, seen: set[str]) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    while digest in seen:
        digest = hashlib.sha256(digest.encode()).hexdigest()[:8]
    seen.add(digest)
    return digest


def stale() -> list[Path]:
    """Notebooks that are not what the labs give: changed, missing, or without a lab."""
    wanted = dict(notebooks())
    found = {*NOTEBOOKS.glob("*.ipynb"), *NOTEBOOKS.glob("solutions/*.ipynb")}
    changed = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    return sorted({*changed, *(found - wanted.keys())})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, say what is not as the labs give it")
    if parser.parse_args().check:
        for path in (found := stale()):
            print(f"{path.relative_to(ROOT)} is not what its lab gives; run python labs/build.py")
        sys.exit(1 if found else 0)
    for path, text in notebooks():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
