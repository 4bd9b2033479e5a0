"""Proxy of the desk of an optimizer in another process, for workers outside its pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from raytune_hpo.core.messages import Answer, EndTrial, Lease
from raytune_hpo.runtime.wire import ReportRow, pack_ended, unpack_answer, unpack_lease
from raytune_hpo.space import Space


class Line(Protocol):
    """A connection that calls methods of an optimizer in another process."""

    async def __call__(self, method: str, *args: Any, wait_s: float = 0.0) -> Any:
        """Call a method of the optimizer, and return its answer.

        Args:
            wait_s: how long the method itself may wait, in addition to the usual time for an answer.

        Raises:
            HpoError: raised by the method; or no answer came, and then the call may still have taken effect.
        """
        ...


class RemoteDesk:
    """A proxy of the ``AsyncDesk`` of another process, with methods of the same names and meanings.

    Configurations arrive packed, since this process may lack the classes of the objects in them.

    Args:
        space: the study's space, as stored.
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
