"""Answers to requests, and the cache of answers by idempotency key: a repeated request gets its first answer again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from raytune_hpo.service.problems import Problem
from raytune_hpo.service.records import to_bytes

KEPT_S = 86_400.0  # how long the answer to an idempotency key is kept
MAX_KEPT = 10_000


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer as JSON."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        content = b"" if self.body is None else to_bytes(self.body)
        return Response(content, self.status, dict(self.headers), None if self.body is None else "application/json")


class KeptAnswers:
    """The answers to requests with an idempotency key, for a day."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], tuple[float, str, Answer | None]] = {}

    def begin(self, key: tuple[str, str, str], digest: str, now: float) -> Answer | None:
        """The answer that this request got before; None: it is new, and the caller must answer it and call ``end``.

        Raises:
            Problem: the key came with another body, or its answer is still being made.
        """
        at, known, answer = self._kept.get(key, (0.0, digest, None))
        if key not in self._kept or at + KEPT_S < now:
            while len(self._kept) >= MAX_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = now, digest, None
            return None
        if known != digest:
            raise Problem("key-reused", "an Idempotency-Key belongs to one request; use another key for another body")
        if answer is None:
            raise Problem("key-in-use", "the first request with this Idempotency-Key is still being answered")
        return answer

    def end(self, key: tuple[str, str, str], answer: Answer | None) -> None:
        """Keep an answer; None: the request failed, so that it may be tried again."""
        if answer is None:
            self._kept.pop(key, None)
        elif key in self._kept:
            at, digest, _ = self._kept[key]
            self._kept[key] = at, digest, answer
