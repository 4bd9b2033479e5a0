"""Opening of storages by URL or path."""

from __future__ import annotations

import difflib
import os
import re
import stat
from pathlib import Path

from raytune_hpo import registry
from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.journal.storage import PATIENCE_S, BaseStorage, Storage

STORAGE_VARIABLE = "RAYTUNE_HPO_STORAGE"
_DEFAULT = Path(".raytune_hpo/studies.db")  # below a user's home
_ACCEPTED = (
    'storage is a file ("studies.db"), "sqlite:///studies.db", "postgresql://user:password@host/database" or "memory"'
)
_ALIASES = {"postgres": "postgresql"}
_FILES = "sqlite"  # the scheme of words without one
_BEGINNING = re.compile(r"([^/:]*)([/:]*)")
_DRIVE = re.compile(r"(sqlite:///)?[a-z]:[/\\](?!/)", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9_+.-]*", re.IGNORECASE)


def open_storage(storage: str | os.PathLike[str] | Storage | None = None, *, patience_s: float = PATIENCE_S) -> Storage:
    """Open the storage of a URL or path; a Storage is returned unchanged.

    Nothing is created or connected to before the storage is used, the folder of the default excepted.

    Args:
        storage: None asks the environment variable RAYTUNE_HPO_STORAGE, then takes ``~/.raytune_hpo/studies.db``.
        patience_s: how long an append waits for a database that is gone, slow or full.

    Raises:
        SpecError: another kind of database or a misspelt option; no message repeats a password.
        JournalError: studies would not be safe there.
    """
    if storage is None:
        storage = os.environ.get(STORAGE_VARIABLE) or _private(default_storage())
    if not isinstance(storage, (str, os.PathLike)):
        if isinstance(storage, Storage):
            return storage
        raise SpecError(f"{_ACCEPTED}, got an object of type {type(storage).__name__}")
    kind, words = storage_class(storage)
    return kind.open(words, patience_s=patience_s)


def storage_class(storage: str | os.PathLike[str]) -> tuple[type[BaseStorage], str]:
    """The class of the storage for a URL or path, and the URL in the form that this class takes.

    Raises:
        SpecError: no installed storage has that scheme; the message has the most similar one.
    """
    if isinstance(storage, str):
        scheme, words = _scheme_of(storage), storage
    else:
        scheme, words = _FILES, os.path.join(".", storage)  # a path is a path, whatever its name looks like
    backend = scheme.partition("+")[0].lower()
    backend = _ALIASES.get(backend, backend)
    known = registry.installed("journal")
    if backend not in known:
        raise SpecError(f"{_ACCEPTED}, got {scheme!r}; {nearest(backend, known)}")
    kind: type[BaseStorage] = registry.load("journal", backend)
    return kind, words


def _scheme_of(words: str) -> str:
    """The URL scheme. A misspelt URL must not be taken for a file: its password would become part of a file's name."""
    if words in registry.installed("journal"):
        return words
    if words == ":memory:":
        raise SpecError(f'{_ACCEPTED}, got {words!r}; use "memory"')
    if words.startswith(("/", "./", "../", "~")):
        return _FILES
    if _DRIVE.match(words):
        raise SpecError(f"{_ACCEPTED}, got {words!r}, a path of Windows; in WSL, drive C: is the folder /mnt/c")
    scheme, found, _ = words.partition("://")
    if found:
        if not _SCHEME.fullmatch(scheme):
            raise SpecError(f"{_ACCEPTED}, got a URL that cannot be read")
        return scheme
    head, slashes = _BEGINNING.match(words).groups()  # type: ignore[union-attr]
    is_near = difflib.get_close_matches(head.lower(), [*registry.installed("journal"), *_ALIASES], n=1)
    if ":/" in slashes or (slashes == "//" and is_near):
        raise SpecError(f"{_ACCEPTED}, got {head + slashes!r}: a URL has :// there, and a path begins with ./")
    if re.search(r":[^/]*@", words):
        raise SpecError(f"{_ACCEPTED}, got what may be a URL without a scheme; a path begins with ./")
    if words.startswith("file:"):
        raise SpecError(
            f"{_ACCEPTED}, got {words!r}; write the path alone, and one that begins with file: as ./{words}"
        )
    if options := re.search(r"\?\w+=", words):
        path = words[: options.start()]
        raise SpecError(
            f"{_ACCEPTED}, got {path!r} with options, which belong to a URL: sqlite:///{words}; a file of that name is "
            f"written ./{words}"
        )
    if not Path(words).suffix and os.sep not in words:  # else a misspelt "memory" would become a file
        raise SpecError(f"{_ACCEPTED}, got {words!r}; a file without a suffix is written ./{words}")
    return _FILES


def default_storage() -> Path:
    """The path of the default storage: a file below the user's home.

    Raises:
        SpecError: this user has no home.
    """
    try:
        return default_storage_of("~").expanduser()
    except RuntimeError:
        raise SpecError(
            f"{_ACCEPTED}, and by default a file below your home, which cannot be found; set HOME"
        ) from None


def default_storage_of(home: str) -> Path:
    """The same for the user who has this home."""
    return Path(home) / _DEFAULT


def _private(path: Path) -> Path:
    """Create the folder of the default storage for this user alone: results, outputs and tracebacks are private."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.parent.lstat()  # of a link: what it leads to is another's business
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and found.st_mode & 0o077:
            path.parent.chmod(0o700)
    except OSError:
        pass  # writers then get the database's own error, and readers find no study
    return path
