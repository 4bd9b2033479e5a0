"""Serving: runs the application in uvicorn, on a socket that listens before its address is announced."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from raytune_hpo.core.collector import rarely_collected
from raytune_hpo.errors import SpecError
from raytune_hpo.service.app import application
from raytune_hpo.service.connections import KEEP_ALIVE_S, Connection
from raytune_hpo.service.guards import allowed_hosts
from raytune_hpo.service.state import Service
from raytune_hpo.service.tokens import TokenStore

HEADERS_BYTES = 16_384
GOODBYE_S = 3  # how long open streams have when the server ends


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """How the service is reached; see ``raytune-hpo serve``.

    Attributes:
        is_secure: whether it is reached over https, through a proxy.
        data, objectives: see Service.
    """

    host: str = "127.0.0.1"
    port: int = 8270
    storage: Any = None
    address: str | None = None
    allowed_hosts: Collection[str] = ()
    root_path: str = ""
    is_secure: bool = False
    tokens: Path | None = None
    data: Path | None = None
    objectives: Path | None = None
    memory_bytes: float = 2**30


class _Server(uvicorn.Server):
    """A server that ends what would go on as soon as it is told to end.

    uvicorn alone lets the application know once all answers have ended, or have been cancelled, each with a traceback.
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.begin_to_close()
        await super().shutdown(sockets)


def serve_forever(settings: ServeSettings, say: Callable[[str], None]) -> None:
    """Serve until the process is told to end.

    Args:
        say: called once with the log-in link.

    Raises:
        SpecError: the address is not available, or a setting is invalid.
        HpoError: studies, tokens or tables can be neither read nor kept where they should be.
    """
    if not settings.memory_bytes > 0:
        raise SpecError(f"a service needs memory > 0, got {settings.memory_bytes / 2**30:g} GiB")
    if not re.fullmatch(r"(/[^/?#\s]+)*", settings.root_path):
        raise SpecError(f"a root path begins with a slash and ends without one, as /hpo; got {settings.root_path!r}")
    if not _is_loopback(settings.host) and not settings.allowed_hosts:
        raise SpecError(
            f"a service that listens beyond this machine says by which names it is reached; got --host {settings.host} "
            f"without --allowed-host NAME"
        )
    listening = _listen(settings.host, settings.port)
    port = listening.getsockname()[1]
    service = Service(
        settings.storage,
        TokenStore(settings.tokens),
        address=settings.address,
        data=settings.data,
        objectives=settings.objectives,
        is_secure=settings.is_secure,
        memory_bytes=settings.memory_bytes,
    )
    service.prepare()
    if settings.data is not None:  # by default it is only needed, and made, for the first table
        service.studies.tables.prepare()
    reached_at = _reached_at(settings.host)
    hosts = allowed_hosts(port, [f"{reached_at}:{port}", *settings.allowed_hosts])
    app = application(service, hosts, root_path=settings.root_path)
    config = uvicorn.Config(
        app,
        http=Connection,
        h11_max_incomplete_event_size=HEADERS_BYTES,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        root_path=settings.root_path,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GOODBYE_S,
    )
    secret = service.access.new_link_secret()
    say(f"http://{reached_at}:{port}{settings.root_path}/?token={secret}")
    with rarely_collected():  # else all requests wait while the facts of every study are scanned
        _Server(config, service).run(sockets=[listening])


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reached_at(host: str) -> str:
    """The host by which this machine reaches what listens on ``host``, as a URL has it."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1"
    return f"[{address}]" if address.version == 6 else host


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # or asyncio sets no TCP_NODELAY
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2_048)  # clients may connect as soon as the address is announced
    except (OSError, OverflowError) as error:
        raise SpecError(f"{host}:{port} cannot be listened at: {error}; choose another --port") from error
    return listening
