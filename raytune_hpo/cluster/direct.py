"""Direct TCP connections to the optimizer, bypassing Ray: from workers, and from commands on its machine.

A call of an actor goes through Ray's own threads and bookkeeping on both sides; a frame on a connection does not.
So a worker's frequent messages, ``exchange`` and ``report``, go over its connection while there is one. When that breaks,
for whatever reason, the worker sends the message again through Ray, which knows whether the optimizer is dead, restarted or
elsewhere; every message may be repeated.

Both sides share a secret, sent through Ray, and prove it to each other by challenge and response (HMAC) before anything is
unpickled: another process may have taken over the port. Each frame then carries a seal (HMAC) over the connection, its
sender and its sequence number, so that a man in the middle can neither change, add, drop nor repeat one. Messages have a
maximum size; bigger ones go through Ray. Like Ray's own traffic, it is not encrypted; if Ray is configured to use TLS, there
are no direct connections.
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
from dataclasses import dataclass, field
from typing import Any

CONNECT_S = 3.0
SILENCE_S = 60.0  # without an answer for so long, the connection counts as broken; usual waits are far shorter
MAX_MESSAGE = 1 << 26  # bytes, pickled: 64 MiB
MAX_UNPROVEN = 256  # connections at a time; each holds a file descriptor, of which the journal needs some, too
_CALLER, _OPTIMIZER = b"caller", b"optimizer"  # part of each proof, so that it cannot be reflected to its sender
_SESSION = b"session"  # the label with which the key of a connection's frames is derived
_NONCE = 32
_PROOF = hashlib.sha256().digest_size  # bytes of a proof, and of a seal
_LENGTH = struct.Struct(">Q")
_log = logging.getLogger("raytune_hpo")


@dataclass(frozen=True)
class Address:
    """Where the optimizer listens, and the secret by which callers authenticate."""

    host: str
    port: int
    secret: bytes = field(repr=False)


class Listener:
    """The optimizer's end of all direct connections.

    Args:
        answer: called with the method and arguments of a call, returns the answer.
        dumps: pickles answers.
    """

    def __init__(
        self,
        answer: Callable[[str, tuple[Any, ...]], Awaitable[Any]],
        dumps: Callable[[Any], bytes] = pickle.dumps,
    ) -> None:
        self._answer, self._dumps = answer, dumps
        self._secret = secrets.token_bytes(32)
        self._server: asyncio.Server | None = None
        self._num_unproven = 0

    async def open(self, host: str) -> None:
        """Listen on an address of this node, at any free port."""
        if os.environ.get("RAY_USE_TLS", "0") in ("", "0"):
            self._server = await asyncio.start_server(self._serve, host, 0)

    @property
    def address(self) -> Address | None:
        """Where it listens; None if it does not."""
        if self._server is None:
            return None
        host, port = self._server.sockets[0].getsockname()[:2]
        return Address(host, port, self._secret)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            frames = await self._let_in(reader, writer)
            while frames is not None:
                length = _length(await reader.readexactly(_LENGTH.size))
                method, args = frames.opened(_CALLER, await reader.readexactly(length + _PROOF))
                writer.write(frames.closed(_OPTIMIZER, await self._answer(method, args)))
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass  # the caller has gone; if it was a worker, the pool tells the optimizer
        except Exception:
            _log.debug("a direct connection is closed; its caller gets the error through Ray", exc_info=True)
        finally:
            writer.close()

    async def _let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Frames | None:
        """Authenticate a caller, and return its frames; None if it fails."""
        if self._num_unproven == MAX_UNPROVEN:
            return None
        nonce = secrets.token_bytes(_NONCE)
        writer.write(nonce)
        self._num_unproven += 1
        try:
            said = await asyncio.wait_for(reader.readexactly(_PROOF + _NONCE), CONNECT_S)
        finally:
            self._num_unproven -= 1
        proof, challenge = said[:_PROOF], said[_PROOF:]
        if not hmac.compare_digest(proof, _proof(self._secret, _CALLER, nonce)):
            return None
        writer.write(_proof(self._secret, _OPTIMIZER, challenge))
        return _Frames(self._secret, nonce + challenge, self._dumps)


class Connection:
    """A caller's end of a connection: that of a worker or a command. One call at a time.

    Args:
        dumps: pickles calls.

    Raises:
        OSError: nothing answers at that address, or the other side does not know the secret.
    """

    def __init__(self, address: Address, dumps: Callable[[Any], bytes] = pickle.dumps) -> None:
        self._lock, self._dumps = threading.Lock(), dumps
        self._socket = socket.create_connection((address.host, address.port), CONNECT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._frames = self._prove(address.secret)
        except OSError:
            self._socket.close()
            raise
        self._socket.settimeout(SILENCE_S)

    def _prove(self, secret: bytes) -> _Frames:
        challenge, nonce = secrets.token_bytes(_NONCE), self._read(_NONCE)
        self._socket.sendall(_proof(secret, _CALLER, nonce) + challenge)
        if not hmac.compare_digest(self._read(_PROOF), _proof(secret, _OPTIMIZER, challenge)):
            raise ConnectionRefusedError("the process that listens at the optimizer's address does not know its secret")
        return _Frames(secret, nonce + challenge, self._dumps)

    def call(self, method: str, args: tuple[Any, ...]) -> Any:
        """Call a method of the optimizer, and return its answer.

        Raises:
            OSError: the connection is broken for good.
            MessageTooBig: the call was not sent; the connection is still usable.
        """
        with self._lock:
            self._socket.sendall(self._frames.closed(_CALLER, (method, args)))
            length = _length(self._read(_LENGTH.size))
            return self._frames.opened(_OPTIMIZER, self._read(length + _PROOF))

    def close(self) -> None:
        self._socket.close()

    def _read(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            part = self._socket.recv(min(length - len(data), 1 << 20))
            if not part:
                raise ConnectionResetError("the optimizer has closed the connection")
            data += part
        return bytes(data)


class MessageTooBig(Exception):
    """A message is larger than ``MAX_MESSAGE``."""


class _Frames:
    """Messages of one connection as frames, and back: length, pickle, seal.

    Args:
        session: the random bytes that both sides have drawn for this connection, so that seals of others are invalid here.
    """

    def __init__(self, secret: bytes, session: bytes, dumps: Callable[[Any], bytes]) -> None:
        self._dumps = dumps
        self._key = _proof(secret, _SESSION, session)
        self._turns = {_CALLER: 0, _OPTIMIZER: 0}

    def closed(self, sender: bytes, message: Any) -> bytes:
        """The frame of the sender's next message.

        Raises:
            MessageTooBig: it is too large.
        """
        data = self._dumps(message)
        if len(data) > MAX_MESSAGE:
            raise MessageTooBig(f"a message has {MAX_MESSAGE} bytes at most, got {len(data)}")
        return _LENGTH.pack(len(data)) + data + self._seal(sender, data)

    def opened(self, sender: bytes, sealed: bytes) -> Any:
        """The sender's next message; its seal is verified before anything is unpickled.

        Raises:
            ConnectionAbortedError: the seal is wrong: the frame was altered, or is not from the sender.
        """
        data, seal = sealed[:-_PROOF], sealed[-_PROOF:]
        if not hmac.compare_digest(seal, self._seal(sender, data)):
            raise ConnectionAbortedError("a message must carry the seal of its sender and turn, got one that does not")
        return pickle.loads(data)

    def _seal(self, sender: bytes, data: bytes) -> bytes:
        turn = self._turns[sender]
        self._turns[sender] = turn + 1
        return _proof(self._key, sender + _LENGTH.pack(turn), data)


def _length(header: bytes) -> int:
    """The length of a frame, which comes unverified from the sender.

    Raises:
        ConnectionAbortedError: it is larger than any of our frames.
    """
    length: int = _LENGTH.unpack(header)[0]
    if length > MAX_MESSAGE:
        raise ConnectionAbortedError(f"a message has {MAX_MESSAGE} bytes at most, got one of {length}")
    return length


def _proof(secret: bytes, who: bytes, nonce: bytes) -> bytes:
    return hmac.digest(secret, who + nonce, hashlib.sha256)
