"""Checklist of recorded attempts: a small text file next to a record that cannot be queried itself."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from raytune_hpo.files import write_whole
from raytune_hpo.integrations.recording import AttemptKey

_FILE = "raytune_hpo.txt"


class Checklist:
    """The attempts that were recorded to their end, in a file with one line for each, added when it ended."""

    def __init__(self, path: Path, study: str) -> None:
        self._path = path
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, study + "\n")

    def held(self) -> set[AttemptKey]:
        """The attempts recorded up to now.

        A last line without a line break was cut off when the process died. It is taken out, or the next one would be joined
        to it.
        """
        study, *lines, torn = self._path.read_text(encoding="utf-8").split("\n")
        if torn:
            write_whole(self._path, "\n".join([study, *lines, ""]))
        return {AttemptKey(*map(int, line.split())) for line in lines}

    def add(self, key: AttemptKey) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{key.number} {key.attempt}\n")


def identity(name: str, created_at: float) -> str:
    """A text that distinguishes a study from an earlier one of the same name."""
    return json.dumps({"study": name, "created_at": created_at})


def digest(study: str) -> str:
    """A short hash of an identity, for file names and ids."""
    return hashlib.blake2b(study.encode(), digest_size=6).hexdigest()


def folder_of(root: Path, name: str, created_at: float) -> tuple[Path, Checklist]:
    """The study's folder below ``root``, and its checklist; a second study of the same name gets a folder of its own."""
    study, plain = identity(name, created_at), re.sub(r"^\.{1,2}$|[^\w.-]+", "_", name)
    for folder in (root / plain, root / f"{plain}-{digest(study)}"):
        path = folder / _FILE
        if not folder.exists() or (path.exists() and path.read_text(encoding="utf-8").split("\n")[0] == study):
            break
    return folder, Checklist(path, study)
