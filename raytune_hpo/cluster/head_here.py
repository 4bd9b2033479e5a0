"""Head nodes that run on this machine as this user, found without Ray, which takes seconds to import and to connect."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from raytune_hpo.journal.opening import STORAGE_VARIABLE, default_storage_of

_PROCESSES = Path("/proc")
_CLIENT_SERVER = "ray.util.client.server"


def own_commands() -> Iterator[tuple[Path, list[str]]]:
    """The folders in /proc and the command lines of this user's processes (on Linux).

    Only this user's: anyone may write any command line, and we send our token to the address.
    """
    for path in _PROCESSES.glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            if path.lstat().st_uid == os.getuid():
                yield path, (path / "cmdline").read_bytes().decode(errors="replace").split("\0")


@dataclass(frozen=True)
class HeadHere:
    """A head node on this machine, whose files are those of this process.

    Attributes:
        gcs: its address within the cluster, ``host:port``.
        environ: the environment that its processes inherit.
    """

    gcs: str
    environ: Mapping[str, str]

    @property
    def storage(self) -> Path | str | None:
        """The default storage of its processes; None if that depends on their working directory."""
        storage = self.environ.get(STORAGE_VARIABLE)
        if storage:
            return storage if "://" in storage or storage.startswith("/") else None
        return default_storage_of(self.environ["HOME"]) if self.environ.get("HOME") else None


def head_here(address: str) -> HeadHere | None:
    """The head node of a cluster, if it runs on this machine as this user.

    Args:
        address: ``host:port``, ``ray://host:port`` or "auto".

    Returns:
        None if the head node is on another machine, another user's or in a container, or if that is unknown: then only Ray
        can reach it.
    """
    commands = list(own_commands())
    # `ray start --head --block` has "--head" in its own command, too, but no address.
    heads = {
        gcs: path for path, command in commands if "--head" in command and (gcs := _value(command, "--gcs-address="))
    }
    if address == "auto":
        found = set(heads)
    elif address.startswith("ray://"):
        servers = [command for _, command in commands if _CLIENT_SERVER in command]
        found = {
            _value(c, "--address=")
            for c in servers
            if _leads_to(address[6:], _value(c, "--port="), _value(c, "--host="))
        }
    else:
        found = {gcs for gcs in heads if _leads_to(address, gcs.rpartition(":")[2], gcs.rpartition(":")[0])}
    if len(found) != 1 or not found <= heads.keys():
        return None
    gcs = found.pop()
    environ = _environ_of(heads[gcs])
    return None if environ is None else HeadHere(gcs, environ)


def _value(command: list[str], option: str) -> str:
    return next((word.removeprefix(option) for word in command if word.startswith(option)), "")


def _leads_to(address: str, port: str, host: str) -> bool:
    """Whether an address that a user gave is this port of this machine."""
    typed, _, typed_port = address.rpartition(":")
    if not typed_port or typed_port != port:
        return False
    with suppress(OSError):  # a name that cannot be resolved
        return bool({found[4][0] for found in socket.getaddrinfo(typed.strip("[]"), None)} & {host, "127.0.0.1", "::1"})
    return False


def _environ_of(process: Path) -> Mapping[str, str] | None:
    """The environment of a process in /proc; None if its files are not ours, or it has just ended."""
    try:
        if (process / "ns/mnt").stat().st_ino != Path("/proc/self/ns/mnt").stat().st_ino:
            return None
        words = (process / "environ").read_bytes().decode(errors="surrogateescape").split("\0")
    except OSError:
        return None
    return dict(word.partition("=")[::2] for word in words)
