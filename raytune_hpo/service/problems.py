"""Problems: errors over HTTP in the format of RFC 9457, with one table of their kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raytune_hpo.errors import (
    ClusterError,
    HpoError,
    JournalCorrupt,
    JournalError,
    NoCompletedTrial,
    ObjectiveError,
    SequenceConflict,
    SpaceError,
    SpecError,
    SpecMismatch,
    StudyExists,
    StudyNotFound,
)
from raytune_hpo.service.models.tables import NoRoom, NotATable


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its HTTP status, and what it means to the client."""

    status: int
    title: str


KINDS: Mapping[str, Kind] = {
    "bad-request": Kind(400, "The request cannot be understood"),
    "bad-cursor": Kind(400, "The cursor is not one of this list"),
    "bad-host": Kind(400, "The Host header is not one that this server answers to"),
    "no-token": Kind(401, "A valid token is needed"),
    "forbidden": Kind(403, "The token's role may not do this"),
    "cross-site": Kind(403, "A page of another site may not do this"),
    "not-found": Kind(404, "There is nothing here"),
    "method-not-allowed": Kind(405, "The resource has no such method"),
    "handed-out": Kind(409, "The configuration waits no more"),
    "already-finished": Kind(409, "The trial has ended otherwise"),
    "superseded": Kind(409, "Another worker has the trial"),
    "step-falls": Kind(409, "The steps of a trial's reports rise"),
    "spec-mismatch": Kind(409, "The study exists with another spec"),
    "study-busy": Kind(409, "Someone else writes the study"),
    "not-running": Kind(409, "The study does not run here"),
    "running": Kind(409, "The study runs"),
    "limit-too-small": Kind(409, "A limit is below what has begun"),
    "no-result-yet": Kind(409, "The study has no result yet"),
    "elsewhere": Kind(409, "The applier of the live study is on another machine"),
    "key-in-use": Kind(409, "The same request is being answered"),
    "last-admin": Kind(409, "The last admin token stays"),
    "lease-expired": Kind(410, "The lease is over"),
    "changed": Kind(412, "The resource has changed"),
    "too-large": Kind(413, "The body is too large"),
    "invalid": Kind(422, "The content breaks a rule"),
    "key-reused": Kind(422, "The idempotency key came with another body"),
    "precondition-required": Kind(428, "If-Match is needed"),
    "too-many-requests": Kind(429, "Too many requests"),
    "worker-quarantined": Kind(429, "The worker fails everything that it gets"),
    "in-use": Kind(409, "A study that runs needs it"),
    "internal": Kind(500, "An error of this server"),
    "unreadable": Kind(500, "The study cannot be read"),
    "unavailable": Kind(503, "The storage or the cluster cannot be had now"),
    "too-many-streams": Kind(503, "Too many event streams"),
    "no-room": Kind(507, "There is no room for it"),
}


class Problem(Exception):
    """The request is refused.

    Args:
        kind: a key of KINDS.
        detail: one sentence: the rule, what came, and the way out.
        errors: the errors in the body, each with its JSON pointer.
        headers: further headers of the response.
        more: further members of the problem document.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.errors = kind, detail, tuple(errors)
        self.headers, self.more = dict(headers or {}), dict(more or {})

    @property
    def status(self) -> int:
        return KINDS[self.kind].status

    def document(self, instance: str, root: str = "") -> dict[str, Any]:
        """The body of the response; ``instance`` is the path of the request."""
        return {
            "type": f"{root}/problems/{self.kind}",
            "title": KINDS[self.kind].title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            **({"errors": [{"pointer": p, "message": m} for p, m in self.errors]} if self.errors else {}),
            **self.more,
        }


def problem_of(error: HpoError) -> Problem:
    """The problem for an error of the package."""
    for kind, name in _OF_ERRORS:
        if isinstance(error, kind):
            headers = {"Retry-After": "2"} if name == "unavailable" else {}
            return Problem(name, str(error), headers=headers)
    return Problem("internal", "the server met an error that it has written to its log")


_OF_ERRORS: Sequence[tuple[type[HpoError], str]] = (
    (StudyNotFound, "not-found"),
    (SpecMismatch, "spec-mismatch"),
    (StudyExists, "study-busy"),
    (NoCompletedTrial, "no-result-yet"),
    (NotATable, "invalid"),
    (NoRoom, "no-room"),
    (SpaceError, "invalid"),
    (SpecError, "invalid"),
    (ObjectiveError, "invalid"),
    (SequenceConflict, "study-busy"),
    (JournalCorrupt, "unreadable"),
    (JournalError, "unavailable"),
    (ClusterError, "unavailable"),
)
