"""The desk of an optimizer in another process, for whoever brings workers to it that are none of its own pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from raytune_hpo.core.messages import Answer, EndTrial, Lease
from raytune_hpo.runtime.wire import ReportRow, pack_ended, unpack_answer, unpack_lease
from raytune_hpo.space import Space


class Line(Protocol):
    """Brings messages to an optimizer."""

    async def __call__(self, method: str, *args: Any, wait_s: float = 0.0) -> Any:
        """What it answers.

        Args:
            wait_s: how long it may take its time before it answers.

        Raises:
            HpoError: its own; or that there is no answer, and then it may have heard.
        """
        ...


class RemoteDesk:
    """Says what is said at an ``AsyncDesk``, by methods of the same names and meanings, to one that is elsewhere.

    Configurations come packed: the objects in them may be unknown to this process.

    Args:
        space: of the study, as it is stored.
    """

    def __init__(self, line: Line, space: Space) -> None:
        self._line, self._space = line, space

    async def exchange(
        self,
        worker: str,
        ended: Sequence[EndTrial],
        returned: Sequence[int],
        limit: int,
        holding: Sequence[int],
        wait_s: float,
    ) -> Lease:
        told = (worker, pack_ended(ended), list(returned), limit, list(holding), wait_s)
        lease = unpack_lease(await self._line("exchange_packed", *told, wait_s=wait_s))
        given = [replace(a, config=self._space.unpack(a.config)) for a in lease.assignments]
        return replace(lease, assignments=tuple(given))

    async def tell(self, ended: Sequence[EndTrial]) -> list[bool]:
        return list(await self._line("tell_ends", pack_ended(ended))) if ended else []

    async def report(self, number: int, attempt: int, reports: Sequence[ReportRow]) -> Answer:
        return unpack_answer(await self._line("report", number, attempt, list(reports)))

    async def adopt(self, worker: str, number: int, attempt: int, reports: Sequence[ReportRow]) -> Answer | None:
        row = await self._line("adopt", worker, number, attempt, list(reports))
        return None if row is None else unpack_answer(row)

    async def keep(self, number: int, attempt: int, step: int, checkpoint: Mapping[str, Any]) -> Answer:
        return unpack_answer(await self._line("keep", number, attempt, step, checkpoint))

    async def lose(self, worker: str, reason: str, *, blameless: bool) -> None:
        await self._line("lost", worker, reason, blameless)
