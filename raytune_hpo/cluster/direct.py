"""Direct connections from workers to the optimizer: TCP, beside Ray.

A call of an actor goes through Ray's own threads and bookkeeping on both sides; a frame on a connection does not.
So what a worker says over and over, ``exchange`` and ``report``, goes over its connection while there is one. When that
breaks, whatever broke it, the worker says the same again through Ray, which knows whether the optimizer is dead, restarted
or elsewhere; every message may be repeated.

Both sides know a secret, which travelled through Ray; the worker proves it on a challenge (HMAC) before anything is
unpickled. Like Ray's own, the traffic is not encrypted; where Ray is told to use TLS, there are no direct connections.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import pickle
import secrets
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ray.util import get_node_ip_address

from raytune_hpo.cluster.shells import pickler

CONNECT_S = 3.0
SILENCE_S = 60.0  # without an answer, and the connection counts as broken; waiting workers are answered far sooner
_NONCE = 32
_PROOF = hashlib.sha256().digest_size
_LENGTH = struct.Struct(">Q")
_log = logging.getLogger("raytune_hpo")


@dataclass(frozen=True)
class Address:
    """Where the optimizer listens, and the secret that proves that one may talk to it."""

    host: str
    port: int
    secret: bytes


class Listener:
    """The optimizer's end of all direct connections.

    Args:
        answer: what a call's method and arguments lead to.
    """

    def __init__(self, answer: Callable[[str, tuple[Any, ...]], Awaitable[Any]]) -> None:
        self._answer = answer
        self._secret = secrets.token_bytes(32)
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen on this node's address, at any free port."""
        if os.environ.get("RAY_USE_TLS", "0") in ("", "0"):
            host: str = get_node_ip_address()  # type: ignore[no-untyped-call]
            self._server = await asyncio.start_server(self._serve, host, 0)

    @property
    def address(self) -> Address | None:
        """Where it listens; None where it does not."""
        if self._server is None:
            return None
        host, port = self._server.sockets[0].getsockname()[:2]
        return Address(host, port, self._secret)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await self._is_let_in(reader, writer):
                while True:
                    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                    method, args = pickle.loads(await reader.readexactly(length))
                    writer.write(_frame(await self._answer(method, args)))
                    await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass  # the worker has gone; the pool tells the optimizer of it
        except Exception:
            _log.debug("a direct connection is cut; the worker will hear of the error through Ray", exc_info=True)
        finally:
            writer.close()

    async def _is_let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        nonce = secrets.token_bytes(_NONCE)
        writer.write(nonce)
        proof = await asyncio.wait_for(reader.readexactly(_PROOF), CONNECT_S)
        return hmac.compare_digest(proof, _proof(self._secret, nonce))


class Connection:
    """A worker's end. One call at a time.

    Raises:
        OSError: nobody answers at that address.
    """

    def __init__(self, address: Address) -> None:
        self._lock = threading.Lock()
        self._socket = socket.create_connection((address.host, address.port), CONNECT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(_proof(address.secret, self._read(_NONCE)))
        self._socket.settimeout(SILENCE_S)

    def call(self, method: str, args: tuple[Any, ...]) -> Any:
        """What the optimizer answers.

        Raises:
            OSError: the connection is broken, now and from now on.
        """
        with self._lock:
            self._socket.sendall(_frame((method, args)))
            (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
            return pickle.loads(self._read(length))

    def close(self) -> None:
        self._socket.close()

    def _read(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            part = self._socket.recv(min(length - len(data), 1 << 20))
            if not part:
                raise ConnectionResetError("the optimizer has hung up")
            data += part
        return bytes(data)


def _frame(message: Any) -> bytes:
    data: bytes = pickler.dumps(message)
    return _LENGTH.pack(len(data)) + data


def _proof(secret: bytes, nonce: bytes) -> bytes:
    return hmac.digest(secret, nonce, hashlib.sha256)
