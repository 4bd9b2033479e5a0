"""Tokens: roles and scopes, stored with digests of the secrets in a file that only its owner may read.

The file is read again when it has changed, so that ``raytune-hpo token`` works beside a running service.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raytune_hpo.core.optimizer import WallClock
from raytune_hpo.errors import HpoError, SpecError
from raytune_hpo.files import json_object, make_private, reading, write_whole

ROLES = ("viewer", "worker", "editor", "admin")  # each includes those before it
BROWSER = "browser"  # the label of tokens for browsers, whose secret is a cookie


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token without its secret, which only its holder has.

    Attributes:
        study: the only study that it grants access to; None: all.
        expires_at: epoch seconds; None: never.
        under: the id of the token with which a browser logged in; the browser's own is valid no longer than that one.
    """

    id: str
    role: str
    digest: str
    created_at: float
    study: str | None = None
    expires_at: float | None = None
    label: str = ""
    under: str | None = None

    def may(self, role: str) -> bool:
        """Whether the token's role includes ``role``."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def is_valid(self, now: float) -> bool:
        """Whether it has not expired, at a time in epoch seconds."""
        return self.expires_at is None or self.expires_at > now

    def record(self) -> dict[str, Any]:
        """The token as JSON, without its digest."""
        return {key: value for key, value in asdict(self).items() if key != "digest"}


def default_path() -> Path:
    """The default path of the file of tokens."""
    return Path(os.environ.get("RAYTUNE_HPO_TOKENS") or "~/.raytune_hpo/tokens.json").expanduser()


class TokenStore:
    """The tokens in a file. Thread-safe within a process; each change replaces the file as a whole."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = default_path() if path is None else path
        self._clock = WallClock()
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._tokens: dict[str, Token] = {}

    def prepare(self) -> None:
        """Create the file of tokens, unless it is there.

        Raises:
            HpoError: it cannot be created, or read.
        """
        with self._lock:
            self._read()
            if self._stamp is None:
                self._write({})

    def create(
        self,
        role: str,
        *,
        study: str | None = None,
        expires_in_s: float | None = None,
        label: str = "",
        under: Token | None = None,
    ) -> tuple[str, Token]:
        """Create a token, and return its secret, which is stored nowhere, and its record.

        Args:
            under: the token whose end is also that of the new one.

        Raises:
            SpecError: there is no such role, or the role is not for one study, or it would expire at once.
        """
        if role not in ROLES:
            raise SpecError(f"a role is one of {', '.join(ROLES)}, got {role!r}")
        if study is not None and role == "admin":
            raise SpecError("an admin's token is for all studies; leave the study out, or make it an editor's")
        if expires_in_s is not None and not expires_in_s > 0:
            raise SpecError(
                f"a token expires after a time above 0 s, got {expires_in_s:g}; leave it out for one that stays"
            )
        now, key = self._clock.now(), secrets.token_hex(4)
        secret = f"hpo_{key}_{secrets.token_urlsafe(32)}"
        ends = [] if expires_in_s is None else [now + expires_in_s]
        ends += [] if under is None or under.expires_at is None else [under.expires_at]
        token = Token(
            id=key,
            role=role,
            digest=_digest(secret),
            created_at=now,
            study=study,
            expires_at=min(ends, default=None),
            label=label,
            under=None if under is None else under.id,
        )
        with self._lock:
            self._read()
            valid = {k: t for k, t in self._tokens.items() if t.is_valid(now)}
            self._write({**valid, key: token})
        return secret, token

    def find(self, secret: str) -> Token | None:
        """The token of a secret, if it is valid now."""
        with self._lock:
            self._read()
            token = self._tokens.get(secret.split("_")[1] if secret.count("_") >= 2 else "")
        if token is None or not hmac.compare_digest(token.digest, _digest(secret)):
            return None
        return token if token.is_valid(self._clock.now()) else None

    def list(self) -> Sequence[Token]:
        """The tokens that are valid now."""
        now = self._clock.now()
        with self._lock:
            self._read()
            return [token for token in self._tokens.values() if token.is_valid(now)]

    def revoke(self, key: str) -> bool:
        """Revoke a token, and those of the browsers that logged in with it; return whether there was one of this id."""
        with self._lock:
            self._read()
            if key not in self._tokens:
                return False
            self._write({k: t for k, t in self._tokens.items() if key not in (k, t.under)})
            return True

    def _read(self) -> None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._tokens, self._stamp = {}, None
            return
        except OSError as error:
            raise HpoError(f"{self.path} cannot be read: {error.strerror or error}; see --tokens") from error
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._stamp:
            with reading("tokens are JSON", self.path, "see --tokens"):
                self._tokens = {key: Token(id=key, **kept) for key, kept in json_object(self.path).items()}
            self._stamp = stamp

    def _write(self, tokens: dict[str, Token]) -> None:
        make_private(self.path.parent)
        kept = {key: {k: v for k, v in asdict(token).items() if k != "id"} for key, token in tokens.items()}
        write_whole(self.path, json.dumps(kept, indent=1), private=True)
        self._read()


def _digest(secret: str) -> str:
    """The digest of a secret. Secrets are 256 random bits, so a slow password hash is not needed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
