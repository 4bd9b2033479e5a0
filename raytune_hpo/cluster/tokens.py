"""Tokens of clusters: this process sends its user's token to a cluster that asks for one, and to no other."""

from __future__ import annotations

import importlib
import os
from typing import Any

from raytune_hpo.errors import ClusterError

GIVE_A_TOKEN = (
    "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN=... or RAY_AUTH_TOKEN_PATH=file before Ray is imported; "
    "`ray get-auth-token` on the head node prints it"
)
_MODE = "RAY_AUTH_MODE"
TOKEN_SETUP = "ray._private.authentication.authentication_token_setup"
_QUESTION = "/ray.rpc.NodeInfoGcsService/GetClusterId"  # which every head node answers, and which takes no arguments
_PATIENCE_S = 5.0
_given = os.environ.get(_MODE)  # the user's choice; later, Ray writes its own there


def use_token_if_wanted(address: str) -> None:
    """Enter or leave Ray's token mode, as the cluster wants it, unless RAY_AUTH_MODE has settled that.

    Ray itself looks at the address only: for "auto" it uses any token that it finds, for others none. But a process in token
    mode refuses the calls of a cluster without tokens, which then takes it for dead, and ends its actors.

    Args:
        address: ``host:port`` or ``ray://host:port``; Ray Client calls nobody back, so that a token does no harm there.

    Raises:
        ClusterError: the cluster wants a token and this process uses none, or the other way round.
    """
    try:
        setup = importlib.import_module(TOKEN_SETUP)
    except ImportError:
        return  # this version of Ray has no tokens
    if _given is None:
        _leave_token_mode(setup)
    wants = None if "://" in address else _wants_token(address)
    if wants is False:
        if _given == "token":
            raise ClusterError(
                f"the cluster at {address!r} has no token, and would not reach a process with {_MODE}=token; "
                f"unset {_MODE}, or set it to disabled, before Ray is imported"
            )
        return
    has_token = setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    if wants and not has_token:
        raise ClusterError(f"the cluster at {address!r} wants a token, and this process uses none; {GIVE_A_TOKEN}")


def _leave_token_mode(setup: Any) -> None:
    """Undo what Ray does to a process that starts a cluster, or joins one, with a token."""
    if os.environ.pop(_MODE, None) is not None:
        setup.Config.initialize("")
        setup.AuthenticationTokenLoader.instance().reset_cache()


def _wants_token(address: str) -> bool | None:
    """Whether a head node refuses calls without a token; None if it says neither, as one behind TLS does not.

    Asked without Ray, which would try for 20 seconds.
    """
    grpc: Any = importlib.import_module("grpc")
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(_QUESTION)(b"", timeout=_PATIENCE_S)
        except grpc.RpcError as error:
            return True if error.code() is grpc.StatusCode.UNAUTHENTICATED else None
    return False
