"""The seat: the state that an applier keeps in a folder beside the running system: newest change, lease, freeze.

It needs no database and no controller, so that a freeze works when both are gone, and a second controller is refused. One
live study at a time holds it, whatever its name and storage.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from raytune_hpo.errors import HpoError, StudyExists
from raytune_hpo.files import json_object, reading, write_whole
from raytune_hpo.journal.locks import FileLock
from raytune_hpo.live.appliers import Applier, Bounding, Bounds, Measurement, Sitter, Splitter, StaleChange

_PATIENCE_S = 30.0
_HEED_S = 3.0  # within which a running controller acts on the freeze flag
TERMS = 2  # without a heartbeat, until the baseline is applied


class Seat:
    """The state of an applier in a folder, which processes may share.

    Raises:
        HpoError: the folder cannot be created.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise HpoError(f"{folder} cannot be made: {error.strerror}; name a folder that can be") from error
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

    @property
    def control(self) -> Mapping[str, Any] | None:
        """The configuration that was last applied to the control group."""
        return self._state().get("control")

    @contextmanager
    def changing(self, seq: int) -> Iterator[None]:
        """Context manager of a change, which locks out all other changes.

        Raises:
            StaleChange: a newer change has been seen.
            HpoError: another change has held the lock for too long.
        """
        with self._locked():
            newest = self.seq
            if seq < newest:
                raise StaleChange(
                    f"a change of fact {seq} came after one of fact {newest}: another controller is newer; stop one of them"
                )
            self._note(seq=seq)  # before the change: an older one must not undo it halfway
            yield

    def keep_control(self, config: Mapping[str, Any]) -> None:
        self._note(control=dict(config))

    def keep_baseline(self, config: Mapping[str, Any]) -> None:
        """Store the baseline."""
        if self.baseline != dict(config):
            with self._locked():
                self._note(baseline=dict(config))

    # -------------------------------------------------------------------------------------------- the lease

    def give_word(self, at: float) -> None:
        """Record a heartbeat of the controller."""
        write_whole(self.folder / "word.json", json.dumps({"at": at}), private=True)

    @property
    def word_at(self) -> float | None:
        """The time of the controller's last heartbeat; None before the first, and after the watchdog has acted."""
        path = self.folder / "word.json"
        if not path.exists():
            return None
        with reading("a word is a JSON object", path, error=HpoError):
            return float(json_object(path)["at"])

    def forget_word(self) -> None:
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
        path = self.folder / "frozen.json"
        if not path.exists():
            return None
        try:
            return json_object(path)
        except (OSError, ValueError, TypeError) as error:
            return {"by": "somebody", "reason": f"the flag cannot be read: {error}", "at": 0.0}

    # -------------------------------------------------------------------------------------------- files

    def _state(self) -> dict[str, Any]:
        path = self.folder / "state.json"
        if not path.exists():
            return {}
        with reading("an applier's state is a JSON object", path, error=HpoError):
            return json_object(path)

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
    """An applier with its seat: stale changes are refused, and while the freeze flag is set, every candidate."""

    def __init__(self, applier: Applier, seat: Seat) -> None:
        self._applier, self._seat = applier, seat
        if isinstance(applier, Sitter):
            applier.sit(seat.folder)

    def apply(self, config: Mapping[str, Any], group: str, seq: int) -> None:
        seat = self._seat
        if (flag := seat.frozen) is not None and group == "canary" and config not in (seat.control, seat.baseline):
            raise HpoError(f"frozen by {flag.get('by')}: {flag.get('reason')}; thaw it first")
        with seat.changing(seq):
            self._applier.apply(config, group, seq)
            if group == "control":
                seat.keep_control(config)

    def split(self, share: float, seq: int) -> None:
        if isinstance(self._applier, Splitter):
            with self._seat.changing(seq):
                self._applier.split(share, seq)

    def read(self, group: str) -> Mapping[str, Any]:
        return self._applier.read(group)

    def measure(self, group: str, start: float, end: float) -> Measurement:
        return self._applier.measure(group, start, end)

    def bounds(self, group: str, start: float, end: float, level: float) -> Bounds:
        return self._applier.bounds(group, start, end, level) if isinstance(self._applier, Bounding) else {}


def fall_back(applier: Applier, seat: Seat, at: float, term_s: float) -> str | None:
    """The watchdog: does what is due at this time, and returns it in words; None if nothing was.

    Two terms after the controller's last heartbeat, the baseline is applied everywhere. If the freeze flag is set and the
    controller has not acted on it, the canary group gets the control group's configuration.
    """
    if isinstance(applier, Sitter):
        applier.sit(seat.folder)
    word_at = seat.word_at
    if word_at is not None and at - word_at > TERMS * term_s:
        if (baseline := seat.baseline) is None:
            return None
        with seat.changing(seat.seq):
            for group in ("canary", "control"):
                applier.apply(baseline, group, seat.seq)
            seat.keep_control(baseline)
        seat.forget_word()
        return f"no word from the controller for {at - word_at:.0f} s: the baseline is applied"
    flag, control = seat.frozen, seat.control
    if flag is None or control is None or at - float(flag.get("at", 0.0)) < _HEED_S:
        return None
    runs = applier.read("canary")
    if all(runs.get(name) == value for name, value in control.items()):
        return None
    with seat.changing(seat.seq):
        applier.apply(control, "canary", seat.seq)
    return "frozen, and the controller has not heeded it: the canary group is taken back"
