"""Access control: authentication by token, authorisation by role, and rate limits."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from raytune_hpo.errors import StudyNotFound
from raytune_hpo.service.problems import Problem
from raytune_hpo.service.tokens import BROWSER, Token, TokenStore

COOKIE_S = 30 * 86_400.0
LINK_S = 600.0  # how long the link that a start prints is good for, once
FAILED_LOGINS = (10, 60.0)  # per address: the most, and the seconds in which they are counted
READS, WRITES = (50, 1.0), (500, 1.0)  # per token, likewise
_SAFE = ("GET", "HEAD", "OPTIONS")


class RateLimit:
    """A limit on the number of events within a time, for each key. Reads no clock; callers pass the time in seconds."""

    def __init__(self, most: int, within_s: float) -> None:
        self._most, self._within_s = most, within_s
        self._events: dict[str, deque[float]] = {}

    def wait_s(self, key: str, now: float) -> float:
        """Seconds until another event is within the limit; 0 if it is within it now."""
        events = self._events.get(key)
        while events and events[0] <= now - self._within_s:
            events.popleft()
        if not events:
            self._events.pop(key, None)  # or addresses that came once would stay for ever
            return 0.0
        return 0.0 if len(events) < self._most else events[0] + self._within_s - now

    def count(self, key: str, now: float) -> None:
        """Count an event."""
        self._events.setdefault(key, deque()).append(now)


class Access:
    """Finds the token of a request, from its bearer header or its cookie.

    Args:
        now: seconds on a monotonic clock.
    """

    def __init__(self, tokens: TokenStore, now: Callable[[], float], *, is_secure: bool = False) -> None:
        self.tokens, self._now = tokens, now
        self.cookie = "__Host-raytune_hpo" if is_secure else "raytune_hpo"
        self.is_secure = is_secure
        self._failures = RateLimit(*FAILED_LOGINS)
        self._reads, self._writes = RateLimit(*READS), RateLimit(*WRITES)
        self._link: tuple[str, float] | None = None

    def new_link_secret(self) -> str:
        """The secret of a log-in link, which is valid for one use and a few minutes."""
        secret = secrets.token_urlsafe(32)
        self._link = hashlib.sha256(secret.encode()).hexdigest(), self._now() + LINK_S
        return secret

    def log_in(self, secret: str, address: str) -> str:
        """The value of the session cookie, in exchange for the secret of a link or of a token.

        Raises:
            Problem: it is neither, or was tried too often.
        """
        self._check_failures(address)
        token = self.tokens.find(secret)
        if token is not None:
            made = self.tokens.create(token.role, study=token.study, expires_in_s=COOKIE_S, label=BROWSER, under=token)
            return made[0]
        if self._link is not None and self._now() < self._link[1]:
            digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
            if hmac.compare_digest(digest, self._link[0]):
                self._link = None
                return self.tokens.create("admin", expires_in_s=COOKIE_S, label=BROWSER)[0]
        raise self._failed(address, "the link has been used, is too old, or its token is unknown")

    def token_of(self, connection: HTTPConnection, method: str) -> Token:
        """The token of a request.

        Raises:
            Problem: there is none, or a page of another site sends it.
        """
        header, cookie = connection.headers.get("authorization"), connection.cookies.get(self.cookie)
        if header is not None:
            scheme, _, secret = header.partition(" ")
            token = self.tokens.find(secret.strip()) if scheme.lower() == "bearer" else None
        elif cookie is not None:
            token = self.tokens.find(cookie)
            _check_same_site(connection, method)
        else:
            raise _no_token("a request has the header Authorization: Bearer TOKEN; there is none")
        if token is None:  # only then: failed log-ins from the same address must not lock out holders of a token
            address = connection.client.host if connection.client else ""
            self._check_failures(address)
            raise self._failed(address, "the token is unknown or has expired; make one with raytune-hpo token create")
        return token

    def check_rate(self, token: Token, method: str) -> None:
        """Count a request.

        Raises:
            Problem: there were too many.
        """
        limit = self._reads if method in _SAFE else self._writes
        if (wait_s := limit.wait_s(token.id, self._now())) > 0:
            raise _too_many(wait_s, "requests of this token")
        limit.count(token.id, self._now())

    def revoke(self, key: str) -> None:
        """Revoke a token.

        Raises:
            Problem: there is none of this id, or no admin would be left.
        """
        admins = [token for token in self.tokens.list() if token.role == "admin"]
        if admins and all(key in (token.id, token.under) for token in admins):
            raise Problem("last-admin", "this is the last token of an admin; make another one first")
        if not self.tokens.revoke(key):
            raise Problem("not-found", f"there is no token {key[:40]!r}")

    def _check_failures(self, address: str) -> None:
        if (wait_s := self._failures.wait_s(address, self._now())) > 0:
            raise _too_many(wait_s, "failed log-ins from this address")

    def _failed(self, address: str, detail: str) -> Problem:
        self._failures.count(address, self._now())
        return _no_token(detail)


def _no_token(detail: str) -> Problem:
    return Problem("no-token", detail, headers={"WWW-Authenticate": 'Bearer realm="raytune-hpo"'})


def _too_many(wait_s: float, what: str) -> Problem:
    return Problem(
        "too-many-requests",
        f"there were too many {what}; wait {wait_s:.1f} s",
        headers={"Retry-After": str(max(1, round(wait_s)))},
    )


def _check_same_site(connection: HTTPConnection, method: str) -> None:
    """Check that a request with our cookie was sent by one of our own pages (no cross-site request forgery).

    Raises:
        Problem: it was not, or nothing says so where something would change.
    """
    site = connection.headers.get("sec-fetch-site")
    if site in ("same-origin", "none"):
        return
    origin = connection.headers.get("origin")
    if site is None and origin is not None and urlsplit(origin).netloc == connection.headers.get("host"):
        return
    if site is None and origin is None and method in _SAFE:
        return  # a client that is no browser: it cannot be made to send a cookie
    raise Problem("cross-site", "with a cookie, requests come from pages of this server; use a bearer token elsewhere")


def _no_study(name: str) -> Problem:
    return Problem("not-found", f"there is no study {name!r} here")


@contextmanager
def within_scope(token: Token) -> Iterator[None]:
    """While a request is answered: where the only study of its token does not exist, nothing is told of the others."""
    try:
        yield
    except StudyNotFound:
        if token.study is None:
            raise
        raise _no_study(token.study) from None


def check_role(token: Token, role: str, study: str | None) -> None:
    """Check that a token grants a role, for a study if one is given.

    Raises:
        Problem: it does not. A study outside the token's scope is answered like one that does not exist.
    """
    if study is not None and token.study is not None and token.study != study:
        raise _no_study(study)
    if study is None and token.study is not None and role not in ("viewer",):
        raise Problem("forbidden", "this token is for one study, and what was asked for concerns all")
    if not token.may(role):
        raise Problem("forbidden", f"this needs a token of the role {role}, the token's role is {token.role}")
