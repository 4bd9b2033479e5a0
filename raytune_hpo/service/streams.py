"""The count of open event streams, with its limits."""

from __future__ import annotations

from raytune_hpo.service.problems import Problem

MAX_STREAMS, MAX_OF_TOKEN = 500, 8


class Streams:
    """Counts open streams, in all and for each token."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def enter(self, token: str) -> None:
        """Count one more.

        Raises:
            Problem: too many are open.
        """
        if sum(self._open.values()) >= MAX_STREAMS or self._open.get(token, 0) >= MAX_OF_TOKEN:
            raise Problem(
                "too-many-streams",
                f"a token has at most {MAX_OF_TOKEN} event streams, all have {MAX_STREAMS}; close one, or poll",
                headers={"Retry-After": "15"},
            )
        self._open[token] = self._open.get(token, 0) + 1

    def leave(self, token: str) -> None:
        self._open[token] -= 1
        if not self._open[token]:
            del self._open[token]
