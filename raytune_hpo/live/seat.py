"""The seat: the state that an applier keeps in a folder beside the running system: newest change, heartbeat, freeze.

It needs no database and no controller, so that a freeze works when both are gone, and a second controller is refused. One
live study at a time holds it, whatever its name and storage.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from raytune_hpo.errors import HpoError, StudyExists
from raytune_hpo.files import make_private, object_if_any, reading, write_whole
from raytune_hpo.journal.locks import FileLock
from raytune_hpo.live.appliers import (
    Applier,
    Bounding,
    Bounds,
    Measurement,
    Sitter,
    Splitter,
    StaleChange,
    is_running,
)
from raytune_hpo.space.values import fresh

_PATIENCE_S = 30.0
_HEED_S = 3.0  # within which a running controller acts on the freeze flag
_NEWS_S = 0.1  # after which a heartbeat is worth another write to the disk
TERMS = 2  # without a heartbeat, until the baseline is applied

# Seconds since something was left at the seat, from its name and the time that it says.
Age = Callable[[str, float], float]


class Seat:
    """The state of an applier in a folder, which processes may share.

    Raises:
        HpoError: the folder cannot be created.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_private(folder)
        self._held: FileLock | None = None

    # -------------------------------------------------------------------------------------------- the holder

    def hold(self, study: str, storage: str) -> None:
        """Hold the seat for a live study, until ``let_go`` or the end of the process.

        Args:
            storage: where the study is stored, for the message that others get.

        Raises:
            StudyExists: a live study holds it.
        """
        held = FileLock(self.folder / "holder", f"live study {study!r} of {storage}")
        if not held.acquire():
            raise StudyExists(
                f"the seat {self.folder} is held by {held.holder()}, and one live study at a time may change a system; stop "
                f"that one, or give this one another seat if it tunes another system"
            )
        self._held = held

    def take_over(self, study: str, created_at: float) -> str | None:
        """Discard what another study has left: its changes are neither older nor newer than those of this one.

        The freeze flag stays, since it is about the system.

        Args:
            created_at: when the study was created, which tells it from others of its name.

        Returns:
            The name of the other study; None if there was none.
        """
        mine = {"name": study, "created_at": created_at}
        with self._locked():
            before = self._state().get("study", mine)  # earlier releases did not note it
            if before != mine:
                write_whole(self.folder / "state.json", "{}", private=True)
            self._note(study=mine)
        return None if before == mine else str(before["name"])

    def let_go(self) -> None:
        """Let other live studies hold the seat."""
        if self._held is not None:
            self._held.release()
            self._held = None

    # -------------------------------------------------------------------------------------------- the newest change

    @property
    def seq(self) -> int:
        """The number of facts at the newest change."""
        return int(self._state().get("seq", -1))

    @property
    def baseline(self) -> Mapping[str, Any] | None:
        """The baseline that the controller set last."""
        return self._state().get("baseline")

    def restored(self, heartbeat_at: float) -> list[str]:
        """The groups to which the watchdog has applied the baseline since this heartbeat, the controller's last."""
        found = self._state().get("restored", {})
        return list(found["groups"]) if found.get("word_at") == heartbeat_at else []

    def keep_restored(self, group: str, heartbeat_at: float) -> None:
        self._note(restored={"word_at": heartbeat_at, "groups": [*self.restored(heartbeat_at), group]})

    @property
    def control(self) -> Mapping[str, Any] | None:
        """The configuration that was last applied to the control group."""
        return self._state().get("control")

    @contextmanager
    def changing(self, seq: int | None = None) -> Iterator[int]:
        """Context manager of a change, which locks out all other changes; it gives the change's number.

        Args:
            seq: None for a change that belongs to the newest one, as the watchdog's do.

        Raises:
            StaleChange: a newer change has been seen.
            HpoError: another change has held the lock for too long.
        """
        with self._locked():
            newest = self.seq
            seq = newest if seq is None else seq
            if seq < newest:
                raise StaleChange(
                    f"a change of fact {seq} came after one of fact {newest}: another controller is newer; stop one of them"
                )
            self._note(seq=seq)  # before the change: an older one must not undo it halfway
            yield seq

    def keep_control(self, config: Mapping[str, Any]) -> None:
        self._note(control=dict(config))

    def keep_baseline(self, config: Mapping[str, Any]) -> None:
        """Store the baseline."""
        if self.baseline != dict(config):
            with self._locked():
                self._note(baseline=dict(config))

    # -------------------------------------------------------------------------------------------- the heartbeat

    def give_heartbeat(self, at: float) -> None:
        """Record a heartbeat of the controller."""
        write_whole(self.folder / "word.json", json.dumps({"at": at}), private=True)

    def renew_heartbeat(self, at: float) -> None:
        """Record a heartbeat if one is expected: only a controller that runs gives the first one."""
        heartbeat_at = self.heartbeat_at
        if heartbeat_at is not None and at - heartbeat_at >= _NEWS_S:
            self.give_heartbeat(at)

    @property
    def heartbeat_at(self) -> float | None:
        """The time of the controller's last heartbeat; None before the first, and after the watchdog has acted."""
        path = self.folder / "word.json"
        with reading("a heartbeat is a JSON object", path, error=HpoError):
            found = object_if_any(path)
            return None if found is None else float(found["at"])

    def forget_heartbeat(self) -> None:
        (self.folder / "word.json").unlink(missing_ok=True)

    # -------------------------------------------------------------------------------------------- the freeze

    def freeze(self, by: str, reason: str, at: float) -> None:
        """Set the freeze flag: no candidate is applied while it is set."""
        write_whole(self.folder / "frozen.json", json.dumps({"by": by, "reason": reason, "at": at}), private=True)

    def thaw(self) -> None:
        (self.folder / "frozen.json").unlink(missing_ok=True)

    @property
    def frozen(self) -> Mapping[str, Any] | None:
        """Who set the freeze flag, why and when; None if it is not set. An unreadable flag counts as set."""
        try:
            return object_if_any(self.folder / "frozen.json")
        except (OSError, ValueError, TypeError) as error:
            return {"by": "somebody", "reason": f"the flag cannot be read: {error}", "at": 0.0}

    # -------------------------------------------------------------------------------------------- files

    def _state(self) -> dict[str, Any]:
        path = self.folder / "state.json"
        with reading("an applier's state is a JSON object", path, error=HpoError):
            return object_if_any(path) or {}

    def _note(self, **news: Any) -> None:
        write_whole(self.folder / "state.json", json.dumps({**self._state(), **news}), private=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock, began = FileLock(self.folder / "lock", "live"), monotonic()
        while not lock.acquire():
            if monotonic() - began > _PATIENCE_S:
                raise HpoError(
                    f"{lock.holder()} has been changing the system for over {_PATIENCE_S:g} s; see what it does"
                )
            sleep(0.05)
        try:
            yield
        finally:
            lock.release()


class SeatedApplier:
    """An applier with its seat: stale changes are refused, and while the freeze flag is set, every candidate.

    Args:
        now: the clock of the controller, whose heartbeat is given before and after whatever may take long; None gives none.
    """

    def __init__(self, applier: Applier, seat: Seat, *, now: Callable[[], float] | None = None) -> None:
        self._applier, self._seat, self._now = applier, seat, now
        if isinstance(applier, Sitter):
            applier.sit(seat.folder)

    def apply(self, config: Mapping[str, Any], group: str, seq: int) -> None:
        seat = self._seat
        if (flag := seat.frozen) is not None and group == "canary" and not self._is_proven(config):
            why = ": ".join(part for part in (flag.get("by"), flag.get("reason")) if part)
            raise HpoError(f"frozen by {why}; thaw it first")
        # The heartbeats lie within the lock: a watchdog that has waited for it finds the newest one.
        with seat.changing(seq), self._alive():
            self._applier.apply(fresh(dict(config)), group, seq)  # of its own, since the study goes on with this one
            if group == "control":
                seat.keep_control(config)

    def split(self, share: float, seq: int) -> None:
        if isinstance(self._applier, Splitter):
            with self._seat.changing(seq), self._alive():
                self._applier.split(share, seq)

    def read(self, group: str) -> Mapping[str, Any]:
        with self._alive():
            return self._applier.read(group)

    def measure(self, group: str, start: float, end: float) -> Measurement:
        with self._alive():
            return self._applier.measure(group, start, end)

    def bounds(self, group: str, start: float, end: float, level: float) -> Bounds:
        return self._applier.bounds(group, start, end, level) if isinstance(self._applier, Bounding) else {}

    def _is_proven(self, config: Mapping[str, Any]) -> bool:
        return any(kept is not None and is_running(kept, config) for kept in (self._seat.control, self._seat.baseline))

    @contextmanager
    def _alive(self) -> Iterator[None]:
        """A turn calls the applier several times, so a heartbeat at its beginning alone would let a slow one seem dead."""
        self._renew()
        try:
            yield
        finally:
            self._renew()

    def _renew(self) -> None:
        if self._now is not None:
            self._seat.renew_heartbeat(self._now())


def age_at(at: float) -> Age:
    """How old things at the seat are by the times that they say, for a process that looks only once."""
    return lambda name, left_at: at - left_at


class AgeByChange:
    """For how long something at the seat has not changed, for a process that goes on looking.

    Whoever left it may live by another clock: a controller's does not follow when the time of day is set. Compared with
    that, it would seem dead for ever, or alive for as long as the time was set back.
    """

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._seen: dict[str, tuple[float, float]] = {}  # by name, the time that it says, and when that was seen first

    def __call__(self, name: str, left_at: float) -> float:
        now = self._now()
        known, since = self._seen.get(name, (None, now))
        if known != left_at:
            since = now
        self._seen[name] = left_at, since
        return now - since


def fall_back(applier: Applier, seat: Seat, age: Age, term_s: float) -> str | None:
    """The watchdog: does what is due now, and returns it in words; None if nothing was.

    Two terms after the controller's last heartbeat, the baseline is applied everywhere. If the freeze flag is set and the
    controller has not acted on it, the canary group gets the control group's configuration.

    Raises:
        HpoError: a controller has been changing the system for too long.
        Exception: whatever the applier raises, once it has been asked to change every group; the next call tries again.
    """
    if isinstance(applier, Sitter):
        applier.sit(seat.folder)
    heartbeat_at, baseline = seat.heartbeat_at, seat.baseline
    if heartbeat_at is not None and (silent_s := age("heartbeat", heartbeat_at)) > TERMS * term_s:
        if baseline is None:
            return None
        with seat.changing() as seq:
            if seat.heartbeat_at != heartbeat_at:  # the controller was changing the system meanwhile, and lives
                return None
            _restore(applier, seat, baseline, seq, heartbeat_at)
            if seat.heartbeat_at == heartbeat_at:  # a newer one is of a controller that has begun meanwhile
                seat.forget_heartbeat()
        return f"no word from the controller for {silent_s:.0f} s: the baseline is applied"
    flag, control = seat.frozen, seat.control
    if flag is None or control is None or age("freeze", float(flag.get("at", 0.0))) < _HEED_S:
        return None
    if is_running(applier.read("canary"), control):
        return None
    with seat.changing() as seq:
        if seat.control != control:  # the controller has changed the system meanwhile; the next call judges that
            return None
        applier.apply(control, "canary", seq)
    return "frozen, and the controller has not heeded it: the canary group is taken back"


def _restore(applier: Applier, seat: Seat, baseline: Mapping[str, Any], seq: int, heartbeat_at: float) -> None:
    """Apply the baseline to every group that can be changed; the first error is raised once all have been tried."""
    errors, restored = [], seat.restored(heartbeat_at)
    for group in ("canary", "control"):
        if group in restored:
            continue  # a system is not to be reloaded at every check because its other group is down
        try:
            applier.apply(baseline, group, seq)
        except Exception as error:  # one group that is down must not keep the other from its baseline
            errors.append(error)
        else:
            if group == "control":
                seat.keep_control(baseline)
            seat.keep_restored(group, heartbeat_at)
    if errors:
        raise errors[0]
