"""The state of a service, which all requests share."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from raytune_hpo.core.optimizer import WallClock
from raytune_hpo.errors import JournalCorrupt
from raytune_hpo.journal import BaseStorage
from raytune_hpo.service.access import Access
from raytune_hpo.service.answers import KeptAnswers
from raytune_hpo.service.comparing import Standing, Unreadable, standing
from raytune_hpo.service.folds import Fold
from raytune_hpo.service.jobs import Jobs
from raytune_hpo.service.live_studies import LiveStudies
from raytune_hpo.service.models.tables import Tables
from raytune_hpo.service.records import study_line
from raytune_hpo.service.streams import SharedReads, Streams
from raytune_hpo.service.studies import Studies
from raytune_hpo.service.tokens import TokenStore

_T = TypeVar("_T")


class Service:
    """The state of a service: studies, tokens, tables, jobs and streams.

    Args:
        storage: as for Tuner.
        tokens: the tokens and their roles.
        address: the address of the Ray cluster whose studies are controlled, if there is one.
        data: the folder of uploaded tables; by default beside the tokens.
        objectives: the folder of installed objectives, if there is one.

    Attributes:
        is_closing: whether the server is shutting down, so that streams end.
    """

    def __init__(
        self,
        storage: Any,
        tokens: TokenStore,
        *,
        address: str | None = None,
        data: Path | None = None,
        objectives: Path | None = None,
        is_secure: bool = False,
        memory_bytes: float = 2**30,
    ) -> None:
        self.clock = WallClock()
        self.studies = Studies(
            storage,
            time.monotonic,
            Tables(tokens.path.with_name("tables") if data is None else data),
            folder=objectives,
            address=address,
            memory_bytes=memory_bytes,
        )
        self.access = Access(tokens, time.monotonic, is_secure=is_secure)
        self.streams, self.shared_reads, self.kept = Streams(), SharedReads(), KeptAnswers()
        self.jobs = Jobs(self.clock)
        self.live = LiveStudies(self.studies, self.clock)
        self.is_closing = False

    def prepare(self) -> None:
        """Create what studies and tokens are kept in. A storage that has studies may be one that can only be read.

        Raises:
            HpoError: it cannot be read, or created where it is missing.
        """
        self.access.tokens.prepare()
        storage = self.studies.storage
        if isinstance(storage, BaseStorage) and not storage.studies():
            storage.prepare()

    def begin_to_close(self) -> None:
        """End the answers that would go on: event streams, and those to workers that wait for a trial."""
        self.is_closing = True
        for study in self.studies.all_hosted():
            study.dismiss()

    async def read(self, name: str, function: Callable[[Fold], _T]) -> _T:
        """The result of a function of a study's up-to-date fold; see ``ReadModel.read``."""
        return await self.studies.reads.read(name, function)

    def line(self, fold: Fold) -> dict[str, Any]:
        """A study in a list."""
        return study_line(fold, self.studies.kind(fold), self.now(fold))

    def now(self, fold: Fold) -> float:
        """The time for a study's clock, see ``Studies.clock_of``."""
        return self.studies.clock_of(fold, self.clock.now())

    async def standing(self, name: str) -> Standing | Unreadable:
        """A study in a comparison; see ``read``."""
        try:
            return await self.read(name, lambda fold: standing(fold, self.studies.kind(fold), self.now(fold)))
        except JournalCorrupt as error:
            return Unreadable(name=name, detail=str(error))
