"""ASGI middleware around the whole application: the check of the Host header, and security headers on every response."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raytune_hpo.errors import SpecError
from raytune_hpo.service.problems import Problem

# plotly inserts its rules into an empty <style>, whose digest this is.
_PLOTLY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
CSP = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data: blob:; form-action 'self'; "
    f"base-uri 'none'; frame-ancestors 'none'; style-src 'self' {_PLOTLY_STYLE}"
)
_HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def allowed_hosts(port: int, more: Collection[str] = ()) -> frozenset[str]:
    """The allowed values of the Host header: loopback with the port, and those that the user adds.

    Args:
        more: ``name`` for the usual ports, or ``name:port``.

    Raises:
        SpecError: one of them is not a host.
    """
    hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
    for entry in more:
        if not entry or any(c in entry for c in "/@*? \t") or not entry.isascii():
            raise SpecError(f"an allowed host is a name, or name:port, got {entry!r}")
        hosts |= {entry.lower()} if _has_port(entry) else {entry.lower(), f"{entry.lower()}:{port}"}
    return frozenset(hosts)


def _has_port(host: str) -> bool:
    return host.rpartition("]")[2].count(":") == 1


class HostGuard:
    """Refuses requests with an unknown Host header: the defence against DNS rebinding."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app, self._hosts = app, frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = Headers(scope=scope).getlist("host")
            if len(given) != 1 or given[0].lower() not in self._hosts:
                problem = Problem(
                    "bad-host",
                    "this server answers to its loopback address and to hosts named by --allowed-host; "
                    "the Host header names another one",
                )
                answer = JSONResponse(problem.document(""), problem.status, media_type="application/problem+json")
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


class SafeHeaders:
    """Adds security headers, such as a content security policy, to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, send_safely)
