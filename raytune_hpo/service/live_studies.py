"""Access of the service to live studies: their journals, and the folder in which each applier keeps its state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from raytune_hpo.errors import JournalCorrupt, StudyNotFound
from raytune_hpo.journal import open_storage
from raytune_hpo.live.pull_board import PullBoard
from raytune_hpo.live.stored import SEAT, StoredLive
from raytune_hpo.live.timeline import Timeline
from raytune_hpo.protocols import Clock
from raytune_hpo.results.records import plain
from raytune_hpo.service.folds import Fold, StillReading
from raytune_hpo.service.problems import Problem
from raytune_hpo.service.studies import Studies
from raytune_hpo.service.tokens import BROWSER, Token

_T = TypeVar("_T")


class LiveStudies:
    """The live studies of one service."""

    def __init__(self, studies: Studies, clock: Clock) -> None:
        self._studies, self.clock = studies, clock
        self._known: dict[str, bool] = {}

    @property
    def are_there(self) -> bool:
        """Whether any of the studies in memory is a live study."""
        return any(fold.live is not None for fold in self._studies.reads.folds)

    async def names(self, token: Token) -> list[str]:
        """The names of the live studies that a token may see, the newest first."""
        rows = await asyncio.to_thread(self._studies.storage.studies)
        for row in rows:
            if row.name not in self._known:
                try:
                    await self._studies.reads.read(row.name, self._note)
                except (StillReading, StudyNotFound, JournalCorrupt):
                    continue  # at the next look
        self._known = {row.name: self._known[row.name] for row in rows if row.name in self._known}
        return [row.name for row in reversed(rows) if self._known.get(row.name) and token.study in (None, row.name)]

    def _note(self, fold: Fold) -> None:
        self._known[fold.name] = fold.live is not None

    async def read(self, name: str, function: Callable[[Timeline], _T]) -> _T:
        """The result of a function of a live study's up-to-date timeline.

        Raises:
            StudyNotFound, StillReading: as ``ReadModel.read``.
            Problem: it is not a live study.
        """
        return await self._studies.reads.read(name, lambda fold: function(live_of(fold)))

    async def do(self, name: str, act: Callable[[StoredLive], _T]) -> _T:
        """Carry out a person's command, through the controller if one runs.

        Raises:
            Problem: it is not a live study, or its applier's folder is on another machine.
        """
        await self.seat(name)
        return await asyncio.to_thread(act, StoredLive(name, self._studies.storage))

    async def seat(self, name: str) -> Path:
        """The folder in which the applier keeps its state.

        Raises:
            Problem: it is not a live study, or the folder is on another machine.
        """
        stated = await self.read(name, lambda live: live.fold.study.ledger.spec.settings.get(SEAT))
        if stated is None:
            raise Problem("elsewhere", f"the journal of {name!r} does not say in which folder its applier remembers")
        folder = Path(stated)
        if not await asyncio.to_thread(folder.is_dir):
            raise Problem(
                "elsewhere",
                f"the applier of {name!r} remembers in {folder}, which is not here; use `raytune-hpo live` on its machine",
            )
        return folder

    async def window_s(self, name: str) -> float:
        """The length of a live study's windows. Raises as ``read``."""
        return await self.read(name, lambda live: live.fold.plan.window_s)

    async def board(self, name: str) -> PullBoard:
        """The board on which a system that polls finds its configuration. Raises Problem, as ``seat``."""
        return PullBoard(await self.seat(name))

    @property
    def words(self) -> Any:
        """The storage as a job in another process can open it; the storage itself, if no other process can."""
        return self._studies.words if self._studies.is_shared else self._studies.storage

    @property
    def is_shared(self) -> bool:
        return self._studies.is_shared


def live_of(fold: Fold) -> Timeline:
    """A fold's live study.

    Raises:
        Problem: it has none.
    """
    if fold.live is None:
        raise Problem("not-found", f"study {fold.name!r} is not a live study; see /v1/studies for it")
    return fold.live


def person(token: Token) -> str:
    """The name of a token's holder for the journal: the token's label, or its role and id."""
    return token.label if token.label and token.label != BROWSER else f"{token.role} {token.id}"


def live_replayed(storage: Any, name: str) -> Mapping[str, Any]:
    """All decisions of a live study computed again, as JSON.

    Args:
        storage: a URL or path, or the storage itself.
    """
    store = open_storage(storage)
    try:
        found = StoredLive(name, store).replay()
    finally:
        if store is not storage:
            store.close()
    made: dict[str, Any] = plain(asdict(found))
    return {**made, "text": str(found)}
