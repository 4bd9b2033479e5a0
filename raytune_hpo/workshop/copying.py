"""Copies of the labs and their notebooks, taken from the installed package or from a checkout."""

from __future__ import annotations

import shutil
from pathlib import Path

from raytune_hpo.errors import HpoError

_HERE = Path(__file__).resolve().parent
_INSTALLED, _CHECKOUT = _HERE / "handouts", _HERE.parent.parent  # a wheel carries the folders in the package
_PATTERNS = ("labs/README.md", "labs/*.py", "labs/*/*.*", "notebooks/*.ipynb", "notebooks/solutions/*.ipynb")
_NOT_SOURCES = ("__pycache__", "out")  # folders that running the labs leaves behind
_OURS = "labs/build.py"  # builds the notebooks, which readers get ready-made
_MAX_NAMED = 3


def copy_labs(folder: Path, *, force: bool = False) -> list[Path]:
    """Copy everything a reader needs into a folder, and return the new files.

    Args:
        force: whether to replace files that have been changed there, such as notebooks with filled gaps.

    Raises:
        HpoError: the folder has different files of the same names, so that nothing is copied; the labs are not found; or
            the folder cannot be written.
    """
    source = _source()
    found = (path for pattern in _PATTERNS for path in sorted(source.glob(pattern)))
    sources = [path for path in found if path.parent.name not in _NOT_SOURCES and path != source / _OURS]
    wanted = {folder / path.relative_to(source): path for path in sources}
    changed = [
        str(target.relative_to(folder))
        for target, path in wanted.items()
        if target.exists() and (not target.is_file() or target.read_bytes() != path.read_bytes())
    ]
    if changed and not force:
        names = ", ".join(changed[:_MAX_NAMED]) + (", ..." if len(changed) > _MAX_NAMED else "")
        raise HpoError(
            f"{folder} has other files in places where the labs go: {names}; "
            f"name another folder, or replace them with --force"
        )
    try:
        for target, path in wanted.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    except OSError as error:
        raise HpoError(
            f"the labs cannot be copied to {folder}: {error.strerror or error}; name another folder"
        ) from error
    return list(wanted)


def _source() -> Path:
    """The folder that contains labs and notebooks.

    Raises:
        HpoError: neither the package nor the folder above it has them.
    """
    for folder in (_INSTALLED, _CHECKOUT):
        if (folder / "labs" / "README.md").is_file():
            return folder
    raise HpoError(
        f"the labs come with wheels and checkouts of raytune_hpo, but are not in {_INSTALLED}; install it again"
    )
