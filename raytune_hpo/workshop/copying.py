"""Copying the labs and their notebooks out of the installed package, or out of a checkout."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from raytune_hpo.errors import HpoError

_HERE = Path(__file__).resolve().parent
_INSTALLED, _CHECKOUT = _HERE / "handouts", _HERE.parent.parent  # a wheel carries the folders in the package
_PATTERNS = ("labs/README.md", "labs/*.py", "labs/*/*.*", "notebooks/*.ipynb", "notebooks/solutions/*.ipynb")
_NOT_SOURCES = ("__pycache__", "out")  # what running the labs leaves beside them
_OURS = "labs/build.py"  # makes the notebooks; readers have them
_MAX_NAMED = 3


def copy_labs(folder: Path, *, force: bool = False) -> list[Path]:
    """Copy everything a reader needs; the new files, below the folder.

    Args:
        force: replace files that have been changed there, like notebooks whose gaps somebody has filled.

    Raises:
        HpoError: files are there already and differ; then nothing is copied. Or the labs are not to be found.
    """
    wanted = {folder / path.relative_to(source): path for source in [_source()] for path in _files(source)}
    changed = [target for target, path in wanted.items() if _differs(target, path)]
    if changed and not force:
        raise HpoError(
            f"{folder} has other files in places where the labs go: {_named(changed, folder)}; "
            f"name another folder, or replace them with --force"
        )
    for target, path in wanted.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return list(wanted)


def _source() -> Path:
    """The folder that holds labs and notebooks.

    Raises:
        HpoError: neither the package nor the folder above it has them.
    """
    for folder in (_INSTALLED, _CHECKOUT):
        if (folder / "labs" / "README.md").is_file():
            return folder
    raise HpoError(f"the labs are in wheels and in checkouts of raytune_hpo, and not in {_INSTALLED}; install it again")


def _files(source: Path) -> Iterator[Path]:
    for pattern in _PATTERNS:
        found = (path for path in sorted(source.glob(pattern)) if path.parent.name not in _NOT_SOURCES)
        yield from (path for path in found if path != source / _OURS)


def _differs(target: Path, path: Path) -> bool:
    return target.exists() and (not target.is_file() or target.read_bytes() != path.read_bytes())


def _named(paths: list[Path], folder: Path) -> str:
    names = [str(path.relative_to(folder)) for path in paths[:_MAX_NAMED]]
    return ", ".join(names) + (", ..." if len(paths) > _MAX_NAMED else "")
