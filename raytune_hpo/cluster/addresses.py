"""Addresses of clusters, found without importing Ray: in the environment, and on this machine."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path

from raytune_hpo.cluster.head_here import own_commands
from raytune_hpo.errors import ClusterError

_CLIENT_PORT = "10001"
_NOTE = Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "ray_current_cluster"
_PATIENCE_S = 3.0
_KEYWORDS = ("auto", "local")


def find_address(environment: Mapping[str, str]) -> str | None:
    """The cluster's address according to the environment; None if there is none."""
    if address := environment.get("RAY_ADDRESS"):
        return address
    if host := environment.get("RAY_HEAD_SERVICE_HOST"):
        ports = (environment.get(f"RAY_HEAD_SERVICE_PORT{suffix}") for suffix in ("_CLIENT", ""))
        return f"ray://{host}:{next((port for port in ports if port), _CLIENT_PORT)}"
    return None


def check_address(address: object) -> None:
    """Refuse what is no address of a cluster, before Ray waits for it.

    Raises:
        ClusterError: it has another form; the message has the forms.
    """
    is_place = isinstance(address, str) and (":" in address or address in _KEYWORDS)
    if not is_place or str(address).startswith(("http://", "https://")):
        raise ClusterError(
            f"a cluster's address is ray://host:10001 from outside, host:6379 on one of its nodes, 'auto' or 'local', got "
            f"{address!r}; http:// leads to the dashboard, which takes jobs (`ray job submit`)"
        )


def host_and_port(address: str) -> tuple[str, int] | None:
    """The host and port of an address; None if it is one of Ray's keywords, like "auto"."""
    scheme, _, place = address.rpartition("://")
    host, _, port = place.rpartition(":")
    if scheme not in ("", "ray") or (scheme == "" and not host):
        return None
    if not port.isdigit():
        host, port = place, _CLIENT_PORT
    return (host or place).strip("[]"), int(port)


def address_here() -> str:
    """The address of the cluster on this machine, if it answers: Ray itself would try a dead one for many minutes.

    Raises:
        ClusterError: no cluster runs on this machine, or several do.
    """
    found = sorted(filter(_answers, _noted_here()))
    if not found:
        raise ClusterError("no Ray cluster runs on this machine; name one with --address or RAY_ADDRESS")
    if len(found) > 1:
        raise ClusterError(
            f"{len(found)} Ray clusters run on this machine; name one with --address: {', '.join(found)}"
        )
    return found[0]


def _noted_here() -> set[str]:
    """Addresses from the note that ``ray start`` leaves, and from the command lines of Ray's own processes (on Linux).

    Only this user's: anyone may write such notes and command lines, and we send our token to the address.
    """
    is_ours = _NOTE.is_file() and _NOTE.lstat().st_uid == os.getuid()
    found = {_NOTE.read_text().strip()} if is_ours else set()
    for _, command in own_commands():
        found |= {match for word in command for match in re.findall(r"--gcs-address=(\S+)", word)}
    return found


def _answers(address: str) -> bool:
    """Whether anything listens at an address."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()
    except (OSError, ValueError):
        return False
    return True
