"""Connections to running studies on this machine without Ray, which takes seconds to import and to connect.

An optimizer writes a note, which only its own user can read, with its address and the secret for authentication (direct.py).
The note of a killed optimizer stays behind; then nothing answers there, or a process that does not know the secret.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from raytune_hpo.cluster.direct import Address, Connection
from raytune_hpo.cluster.head_here import head_here
from raytune_hpo.errors import ClusterError, HpoError
from raytune_hpo.files import write_whole

_FOLDER = Path(".raytune_hpo/lines")  # below the user's home


def leave_note(study: str, gcs: str, address: Address) -> Path:
    """Write the note of a study's optimizer, and delete those of processes that have ended.

    Args:
        gcs: the head node's address within the cluster.

    Raises:
        HpoError, OSError: the note cannot be written.
    """
    folder = Path("~").expanduser() / _FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        if not _is_alive(int(old.stem.partition("-")[0])):
            old.unlink(missing_ok=True)
    note = folder / f"{os.getpid()}-{_digest(study, gcs)}.json"
    words = {"host": address.host, "port": address.port, "secret": address.secret.hex()}
    write_whole(note, json.dumps(words), private=True)
    return note


def line_to(study: str, cluster: str) -> LineHere | None:
    """The connection to a running study of a cluster whose head node is on this machine; None if only Ray can reach it.

    Args:
        cluster: the cluster's address, as for ``head_here``.
    """
    head = head_here(cluster)
    if head is None or not head.environ.get("HOME"):
        return None
    for note in (Path(head.environ["HOME"]) / _FOLDER).glob(f"*-{_digest(study, head.gcs)}.json"):
        with suppress(OSError, ValueError, LookupError):  # it has just ended
            words = json.loads(note.read_text(encoding="utf-8"))
            address = Address(words["host"], words["port"], bytes.fromhex(words["secret"]))
            return LineHere(study, Connection(address))
    return None


class LineHere:
    """Commands to a running study; each method does what that of ``Run`` with its name does."""

    def __init__(self, study: str, connection: Connection) -> None:
        self._study, self._connection = study, connection

    def stop(self, reason: str) -> None:
        self._say("stop", reason)

    def stop_trial(self, number: int) -> None:
        self._say("stop_trial", number)

    def enqueue(self, config: Mapping[str, Any]) -> None:
        self._say("enqueue", config)

    def _say(self, method: str, *args: Any) -> None:
        try:
            error: HpoError | None = self._connection.call(method, args)
        except OSError as reason:  # the command may have taken effect
            raise ClusterError(
                f"the optimizer of study {self._study!r} was told, and has not answered ({reason}); "
                f"`raytune-hpo show {self._study}` says what became of it"
            ) from reason
        finally:
            self._connection.close()
        if error is not None:
            raise error


def _digest(study: str, gcs: str) -> str:
    """A file name for a study, whose own name may not be a valid one."""
    return hashlib.sha256(f"{gcs}\0{study}".encode(errors="surrogatepass")).hexdigest()[:32]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's now
    return True
