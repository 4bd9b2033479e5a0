"""Quarantine: a worker that fails every trial quickly, while others complete theirs, gets none for a while. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field

FAILURES = 5  # in a row
QUICK_S = 10.0  # the longest duration of each
FIRST_S = 60.0  # the first time; twice as long each time after


@dataclass
class _Record:
    in_a_row: int = 0
    num_times: int = 0
    until_s: float = 0.0


@dataclass
class Quarantine:
    """The workers in quarantine. Reads no clock; the caller passes the time in seconds."""

    _records: dict[str, _Record] = field(default_factory=dict)
    _completed_by: set[str] = field(default_factory=set)

    def note(self, worker: str, *, has_failed: bool, duration_s: float | None, now_s: float) -> None:
        """Take note that a worker's trial has ended."""
        record = self._records.setdefault(worker, _Record())
        if not has_failed:
            self._completed_by.add(worker)
            record.in_a_row = 0
            return
        is_quick = duration_s is not None and duration_s <= QUICK_S
        record.in_a_row = record.in_a_row + 1 if is_quick else 0
        if record.in_a_row >= FAILURES and self._completed_by - {worker}:
            record.until_s = now_s + FIRST_S * 2**record.num_times
            record.num_times += 1
            record.in_a_row = 0

    def left_s(self, worker: str, now_s: float) -> float:
        """Seconds until the worker gets trials again; 0 if it is not in quarantine."""
        record = self._records.get(worker)
        return 0.0 if record is None else max(0.0, record.until_s - now_s)

    def lift(self, worker: str) -> bool:
        """End a worker's quarantine, and return whether it was in one."""
        record = self._records.pop(worker, None)
        return record is not None and record.until_s > 0
