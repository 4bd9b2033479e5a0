"""The read model: warm folds, the ledgers of studies that are read, which stay in memory and are advanced by new facts."""

from __future__ import annotations

import asyncio
import threading
from bisect import insort
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar, get_args

from raytune_hpo.analysis.failures import reason_of_failure
from raytune_hpo.analysis.series import ValuesOf
from raytune_hpo.analysis.trial_arrays import Column, feasible_ones, status_codes
from raytune_hpo.analysis.tried import tried_in
from raytune_hpo.codec import to_row
from raytune_hpo.core.collector import rarely_collected
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.errors import HpoError, JournalCorrupt, JournalError, StudyNotFound
from raytune_hpo.facts import Fact, Finished, Status, StudyCreated, TrialFact
from raytune_hpo.journal import Storage
from raytune_hpo.live.replaying import stored_plan
from raytune_hpo.live.timeline import Timeline
from raytune_hpo.results import Results
from raytune_hpo.results.summary import why_no_best
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Trial

PATIENCE_S = 0.5  # how long requests wait for a study that is being read for the first time
FACT_BYTES = 700  # what a fact costs in memory, as measured with 100,000 trials of ten parameters
LAST_FACTS = 60
AGAIN_S = 1.0  # how often a storage that is away is tried again
_TRIAL_FACTS = get_args(TrialFact)
_T = TypeVar("_T")


class Fold:
    """A study as it is read: its ledger, and its completed trials in the order of their values.

    Attributes:
        name: of the study; ``created_at``: when it was made, in epoch seconds.
        by_loss: (whether it is infeasible, loss in the first goal, number) of completed trials, best first.
        by_duration: (seconds, number) of finished trials.
        failed: the numbers of failed trials, in order; ``by_reason``: the same by why they failed, as they did so.
        improved_s: the running time, in seconds, at which each of ``ledger.improved`` came, in the first goal.
        last: the newest facts, with their positions in the journal.
        stale_s: for how many seconds its storage has been away, so that there may be facts that are not known here.
        live: the timeline of a live study, which then holds the ledger; None for every other study.
    """

    def __init__(self, name: str, first: StudyCreated) -> None:
        self.name = name
        spec = StudySpec.from_json(first.spec)
        self.live = Timeline(*stored_plan([first])) if "live" in spec.settings else None
        self.ledger = Ledger(spec) if self.live is None else self.live.fold.study.ledger
        self.by_loss: list[tuple[bool, float, int]] = []
        self.by_duration: list[tuple[float, int]] = []
        self.failed: list[int] = []
        self.by_reason: dict[str, list[int]] = {}
        self.improved_s: list[float] = []
        self.last: deque[tuple[int, Fact]] = deque(maxlen=LAST_FACTS)
        self.created_at = self.last_at = first.at
        self.stale_s = 0.0
        self._results: Results | None = None
        self._results_at = 0
        self._changed: set[int] = set()  # the numbers of trials since then
        self._made: dict[Hashable, Any] = {}
        self._made_at = 0

    @property
    def seq(self) -> int:
        """The number of facts taken in so far, which serves as the version of the study."""
        return self.ledger.seen

    @property
    def results(self) -> Results:
        """The results as they are now. Arrays that figures read are cached, and updated for trials that have changed."""
        known, spec = self._results, self.ledger.spec
        if known is None or known.spec.space is not spec.space:  # or it has grown: all coordinates are new
            self._results = Results.from_ledger(self.ledger)
        elif self._results_at != self.seq:
            self._results = known.after(self.ledger, self._changed)
        self._results_at = self.seq
        self._changed.clear()
        assert self._results is not None
        return self._results

    @property
    def why_no_best(self) -> str:
        """Why no trial is the best, for a study that has none: nothing has completed, or nothing is feasible."""
        return self.once("why no best", lambda: why_no_best(self.results))

    def once(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """The cached value of ``make``, computed anew only after further facts."""
        if self._made_at != self.seq:
            self._made.clear()
            self._made_at = self.seq
        if key not in self._made:
            self._made[key] = make()
        made: _T = self._made[key]
        return made

    def warm(self) -> None:
        """Fill the cache that most figures read, so that no request waits for it."""
        arrays = self.results.arrays
        values = [ValuesOf(goal.metric) for goal in self.ledger.spec.goals]
        columns: list[Column] = [status_codes, feasible_ones, *values]
        for column in columns:
            arrays.of(column)
        tried_in(self.ledger.spec.space, arrays)

    def take(self, fact: Fact) -> None:
        """Take a fact in."""
        trial = self._applied(fact)
        self.last.append((self.seq - 1, fact))
        self.last_at = fact.at
        if trial is not None:
            self._changed.add(trial.number)
        if isinstance(fact, Finished) and trial is not None and trial.finished_at is not None:
            if trial.status is Status.FAILED:
                insort(self.failed, trial.number)
                self.by_reason.setdefault(reason_of_failure(trial), []).append(trial.number)
            if trial.losses is not None:
                insort(self.by_loss, (not trial.is_feasible, trial.losses[0], trial.number))
            if trial.duration_s is not None:
                insort(self.by_duration, (trial.duration_s, trial.number))
            if len(self.ledger.improved[0]) > len(self.improved_s):
                self.improved_s.append(self.ledger.elapsed_s(fact.at))

    def ends_with(self, fact: Fact | None) -> bool:
        """Whether this is the newest fact that has been taken in, as it was stored."""
        return fact is not None and to_row(fact) == to_row(self.last[-1][1])

    def _applied(self, fact: Fact) -> Trial | None:
        """Apply a fact, and return the trial that it is about, in its new state."""
        if self.live is None:
            return self.ledger.apply(fact)
        self.live.take(fact)
        return self.ledger.trials[fact.number] if isinstance(fact, _TRIAL_FACTS) else None


class StillReading(Exception):
    """A study is being read for the first time.

    Attributes:
        done, total: facts.
    """

    def __init__(self, done: int, total: int) -> None:
        super().__init__(f"reading, {done} of {total} facts")
        self.done, self.total = done, total


class _Shelf:
    """One study's entry: its fold, once there is one, and the lock under which it is read and advanced.

    Attributes:
        begun_at: when it was asked for first, on the read model's clock.
        first: the first read, if it was a request that asked.
        away_since: when its storage could no longer be read; ``tried_at``: when that was tried last.
    """

    def __init__(self, now: float) -> None:
        self.lock = threading.Lock()
        self.fold: Fold | None = None
        self.progress = (0, 1)
        self.begun_at = self.used = now
        self.first: Future[None] | None = None
        self.away_since: float | None = None
        self.tried_at = now


class ReadModel:
    """The folds of a storage's studies, in a least-recently-used cache.

    Args:
        now: seconds on a monotonic clock.
        memory_bytes: roughly how much memory the folds may take together.
    """

    def __init__(self, storage: Storage, now: Callable[[], float], *, memory_bytes: float = 2**30) -> None:
        self._storage, self._now = storage, now
        self._max_facts = memory_bytes / FACT_BYTES
        self._shelves: dict[str, _Shelf] = {}
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="raytune_hpo-fold")

    async def read(self, name: str, function: Callable[[Fold], _T]) -> _T:
        """Call a function with a study's up-to-date fold, in a thread that holds its lock, and return the result.

        While the storage is away, the fold is as it was last read, and says so by its ``stale_s``.

        Raises:
            StudyNotFound: there is none.
            JournalCorrupt: it cannot be read.
            StillReading: the first read takes longer than ``PATIENCE_S``; it continues in the background.
        """
        shelf = self._shelf(name)
        if shelf.fold is None:
            await self._first_read(shelf, name)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, shelf, name, function)

    async def _first_read(self, shelf: _Shelf, name: str) -> None:
        """Wait for the first read of a study, in which all requests share: each takes a thread only once there is a fold."""
        if shelf.first is None:
            shelf.first = self._threads.submit(self._read, shelf, name, lambda fold: None)
        work = asyncio.wrap_future(shelf.first)
        try:
            await asyncio.wait_for(asyncio.shield(work), max(0.0, shelf.begun_at + PATIENCE_S - self._now()))
        except asyncio.TimeoutError:
            work.add_done_callback(lambda done: done.cancelled() or done.exception())  # or asyncio logs its error
            raise StillReading(*shelf.progress) from None

    def read_now(self, name: str, function: Callable[[Fold], _T]) -> _T:
        """``read`` in the calling thread, however long it takes."""
        return self._read(self._shelf(name), name, function)

    def _shelf(self, name: str) -> _Shelf:
        shelf = self._shelves.setdefault(name, _Shelf(self._now()))
        shelf.used = self._now()
        return shelf

    @property
    def folds(self) -> list[Fold]:
        """The folds in memory, as of their last read."""
        return [shelf.fold for shelf in list(self._shelves.values()) if shelf.fold is not None]

    def forget(self, name: str) -> None:
        """Drop a study that was deleted, or replaced by another of that name."""
        self._shelves.pop(name, None)

    def _read(self, shelf: _Shelf, name: str, function: Callable[[Fold], _T]) -> _T:
        with shelf.lock:
            try:
                self._advance(shelf, name)
            except Exception:
                if shelf.fold is None:
                    self._shelves.pop(name, None)
                raise
            assert shelf.fold is not None
            return function(shelf.fold)

    def _advance(self, shelf: _Shelf, name: str) -> None:
        fold = shelf.fold
        if fold is None:
            facts = self._storage.read(name)
            first = next(facts, None)
            if not isinstance(first, StudyCreated):
                raise _empty(name)
            shelf.fold = self._folded(shelf, name, first, facts)
            self._make_room(name)
            return
        now = self._now()
        if shelf.away_since is not None and now - shelf.tried_at < AGAIN_S:
            fold.stale_s = now - shelf.away_since
            return
        shelf.tried_at = now
        try:
            facts = self._storage.read(name, fold.seq - 1)
            is_same = fold.ends_with(next(facts, None))
            with _folding(name):
                for fact in facts if is_same else ():
                    fold.take(fact)
        except JournalCorrupt:
            raise
        except JournalError:  # the storage is away: what is known is still worth reading
            shelf.away_since = now if shelf.away_since is None else shelf.away_since
            fold.stale_s = now - shelf.away_since
            return
        shelf.away_since, fold.stale_s = None, 0.0
        if not is_same:  # the study was deleted elsewhere, and another one has its name now
            shelf.fold = None
            self._advance(shelf, name)

    def _folded(self, shelf: _Shelf, name: str, first: StudyCreated, facts: Iterator[Fact]) -> Fold:
        """A new fold of all the facts of a study.

        Raises:
            JournalCorrupt: they do not add up to a study.
        """
        total = next((row.num_facts for row in self._storage.studies() if row.name == name), 1)
        with _folding(name), rarely_collected():
            fold = Fold(name, first)
            fold.take(first)
            for fact in facts:
                fold.take(fact)
                if fold.seq % 1_000 == 0:
                    shelf.progress = fold.seq, max(total, fold.seq)
            fold.warm()
        return fold

    def _make_room(self, newest: str) -> None:
        while sum(s.fold.seq for s in list(self._shelves.values()) if s.fold) > self._max_facts:
            others = [(s.used, name) for name, s in list(self._shelves.items()) if s.fold and name != newest]
            if not others:
                return
            self._shelves.pop(min(others)[1], None)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _folding(name: str) -> Iterator[None]:
    """While facts are taken in: raises JournalCorrupt if they do not add up to a study."""
    try:
        yield
    except JournalError:
        raise
    except HpoError as error:
        raise JournalCorrupt(f"study {name!r} cannot be read: {error}") from error


def _empty(name: str) -> StudyNotFound:
    return StudyNotFound(
        f"study {name!r} has no facts yet: it is being created, or was interrupted before it began; then run it again by "
        f"this name, or delete it"
    )
