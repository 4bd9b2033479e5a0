"""Connecting to a cluster, with errors that say clearly why it failed."""

from __future__ import annotations

import itertools
import logging
import os
import socket
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray._private.services import canonicalize_bootstrap_address
from ray.exceptions import AuthenticationError

import raytune_hpo
from raytune_hpo.cluster import is_remote
from raytune_hpo.cluster.addresses import check_address, find_address, host_and_port
from raytune_hpo.cluster.nodes import know_nodes
from raytune_hpo.cluster.tokens import GIVE_A_TOKEN, TOKEN_SETUP, use_token_if_wanted
from raytune_hpo.errors import ClusterError

_CLIENT_ATTEMPTS = 3
_CLIENT_SERVER_DIED = "Starting Ray client server failed"
_LOCAL_ATTEMPTS = 3
_START_TIMED_OUT = "timed out during startup"
KNOCK_S = 5.0
_CHECK_ADDRESS = (
    "check that the head node runs (`ray status` there), and that the address is ray://host:10001 from outside the "
    "cluster, or host:6379 from a node of it"
)
_TOKEN = f"if it wants a token (from Ray 2.61 on, all do), {GIVE_A_TOKEN}"


_asked: list[str | None] = []  # the addresses to which this process has connected, or tried to
_joined: set[str | None] = set()  # those to which it has connected
_inherited: list[Any] = []  # the connections that the process had of which this one is a fork

Say = Callable[[str], object]  # shows a waiting user one line of text


def silence(text: str) -> None:
    """A ``Say`` that shows nothing."""


def connect(address: str | None = None, say: Say = silence) -> None:
    """Connect this process to a Ray cluster; does nothing where Ray is initialised already.

    Without an address: RAY_ADDRESS, then RAY_HEAD_SERVICE_HOST (as Kubernetes sets it), then a new local cluster.

    Args:
        say: shows the user what is being waited for.

    Raises:
        ClusterError: it cannot be reached, refuses us, or runs another Python or Ray; or this process is a fork of one that
            is connected.
    """
    know_nodes()
    _asked.append(address)
    if ray.is_initialized():
        if _inherited and connection() in _inherited:
            raise ClusterError(
                "this process is a fork of one that is connected to Ray, whose connection does not work here; start it by "
                "multiprocessing.get_context('spawn'), or use threads: several studies may run at once in one process"
            )
        if address is not None:
            raise ClusterError(
                f"this process is already connected to a Ray cluster, and connect() was asked for {address!r}; "
                f"call ray.shutdown() first, or leave the address out"
            )
        return
    found = address or find_address(os.environ)
    if found is not None:
        check_address(found)
    logging.getLogger(TOKEN_SETUP).setLevel(logging.ERROR)  # it warns even if all is well
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
    try:
        if found is None or found == "local":
            say("starting Ray on this machine (some seconds) ...")
            options |= {"address": "local", "include_dashboard": False}
        else:
            say(f"connecting to {found} (some seconds) ...")
            options |= _to_join(found)
        _enter(options)
    except ClusterError:
        raise
    except Exception as error:  # Ray raises all kinds, from its own to those of gRPC
        raise ClusterError(explained(error, found)) from error
    _joined.add(address)
    if say is not silence:
        untyped: Any = ray
        say(f"connected to {untyped.cluster_resources().get('CPU', 0.0):g} CPUs")


def stay_connected(address: str | None) -> None:
    """``connect``, for a process that comes back to one cluster: nothing happens while the connection lasts.

    Raises:
        ClusterError: see ``connect``.
    """
    if not (ray.is_initialized() and address in _joined):
        connect(address)


def is_connected() -> bool:
    """Whether this process is connected to a cluster by ``connect``."""
    return bool(_asked) and bool(ray.is_initialized())


def connection() -> Any:
    """What tells this process's connection to a cluster from any earlier or later one; None without a connection."""
    if not ray.is_initialized():
        return None
    if is_remote():
        return ray.util.client.ray.worker  # an object for each connection
    context = ray.get_runtime_context()
    return context.get_job_id(), context.get_node_id()


def _note_fork() -> None:
    if ray.is_initialized():
        _inherited.append(connection())


os.register_at_fork(after_in_child=_note_fork)


def _to_join(address: str) -> dict[str, Any]:
    """The options of ``ray.init`` for a running cluster, which answers, and whose wish for a token is met.

    Raises:
        ClusterError: nothing listens there, or the cluster and this process differ about tokens.
    """
    if address == "auto":  # found here, so that it is asked about tokens: for "auto" itself, Ray uses any that it finds
        address = canonicalize_bootstrap_address(address) or address
    _knock(address)
    use_token_if_wanted(address)
    options: dict[str, Any] = {"address": address}
    if address.startswith("ray://"):
        # The Ray Client server unpickles our objects, so it needs the package. Otherwise actors and tasks carry it, and a
        # runtime environment would keep Ray from using its idle processes.
        options |= {"runtime_env": {"py_modules": [os.path.dirname(raytune_hpo.__file__)]}}
    return options


def _enter(options: Mapping[str, Any]) -> None:
    """Call ``ray.init``, and retry errors that are usually transient.

    Either the head failed to fork a server for this client: Ray's proxy forks while it uses gRPC, and now and then the child
    dies of that. Or a busy machine was too slow to start Ray within Ray's own timeout.
    """
    attempts = {_CLIENT_SERVER_DIED: _CLIENT_ATTEMPTS, _START_TIMED_OUT: _LOCAL_ATTEMPTS}
    for attempt in itertools.count(1):
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Ray Client connection timed out")  # ``explained`` says more
                ray.init(**options)
            return
        except Exception as error:
            if not any(words in str(error) and attempt < most for words, most in attempts.items()):
                raise
            ray.shutdown()


def _knock(address: str) -> None:
    """Check that an address accepts connections: Ray would wait for half a minute, and not say why it fails.

    Raises:
        ClusterError: nothing listens there.
    """
    place = host_and_port(address)
    if place is None:
        return
    try:
        socket.create_connection(place, timeout=KNOCK_S).close()
    except OSError as error:
        raise ClusterError(f"nothing answers at {place[0]}:{place[1]}: {error}; {_CHECK_ADDRESS}") from error


def explained(error: Exception, address: str | None) -> str:
    """A message that says what went wrong, and the way out."""
    text = " ".join(str(error).split())[:500] or type(error).__name__
    words = text.lower()
    if _START_TIMED_OUT in text:
        load = f"load {os.getloadavg()[0]:.0f} on {os.cpu_count()} CPUs"
        return f"Ray did not start in time; this machine is busy ({load}): wait, or use runtime='local'"
    if address is None:
        return f"a local Ray cluster could not be started: {text}; `ray start --head --block` shows Ray's own message"
    if "version mismatch" in words or ("version" in words and "python" in words):
        return f"the cluster at {address!r} cannot be used by this process: {text}; use its versions here"
    if isinstance(error, AuthenticationError) or "unauthenticated" in words or "token" in words:
        return f"the cluster at {address!r} refuses this process: {text}; {_TOKEN}"
    return (
        f"the cluster at {address!r} was reached, but did not accept the connection: {text}; {_CHECK_ADDRESS}; {_TOKEN}"
    )
