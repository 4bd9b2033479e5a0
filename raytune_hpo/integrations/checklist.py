"""Which attempts a record on disk holds: a small text file beside it, for places that cannot be asked."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from raytune_hpo.integrations.recording import Key

_FILE = "raytune_hpo.txt"


class Checklist:
    """The attempts that were recorded to their end: a line each, written when they were."""

    def __init__(self, path: Path, study: str) -> None:
        self._path = path
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(study + "\n", encoding="utf-8")

    def held(self) -> set[Key]:
        """Those up to now. A last line without its end was being written when the process died."""
        lines = self._path.read_text(encoding="utf-8").split("\n")[1:-1]
        return {Key(*map(int, line.split())) for line in lines}

    def add(self, key: Key) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{key.number} {key.attempt}\n")


def identity(name: str, created_at: float) -> str:
    """Tells studies apart: one name may have been used before."""
    return json.dumps({"study": name, "created_at": created_at})


def digest(study: str) -> str:
    """A short name for an identity."""
    return hashlib.blake2b(study.encode(), digest_size=6).hexdigest()


def folder_of(root: Path, name: str, created_at: float) -> tuple[Path, Checklist]:
    """The study's folder below ``root``; where another study of this name was recorded before, one beside it."""
    study, plain = identity(name, created_at), re.sub(r"[^\w.-]+", "_", name)
    for folder in (root / plain, root / f"{plain}-{digest(study)}"):
        path = folder / _FILE
        if not folder.exists() or (path.exists() and path.read_text(encoding="utf-8").split("\n")[0] == study):
            break
    return folder, Checklist(path, study)
