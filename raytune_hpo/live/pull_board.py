"""Where a running system and its controller leave word for each other, in the applier's folder: the system fetches its
configuration when it likes, and says what it runs and what it has measured.
"""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from raytune_hpo.errors import HpoError, SpecError
from raytune_hpo.files import json_object, reading, write_whole

_FILE_S = 3_600.0  # of measurements that share a file
_KEPT_FILES = 3
_PERCENTS = (50, 99)


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """How often values of a metric lay in which range.

    Attributes:
        bounds: ascending upper bounds; ``counts``: of each range, and of what lay above the last bound.
    """

    bounds: Sequence[float]
    counts: Sequence[float]

    def __post_init__(self) -> None:
        if not self.bounds or not all(a < b for a, b in pairwise(self.bounds)):
            raise SpecError(f"a histogram has ascending bounds, at least one, got {list(self.bounds)[:5]}")
        if len(self.counts) != len(self.bounds) + 1 or min(self.counts) < 0:
            raise SpecError(
                f"a histogram of {len(self.bounds)} bounds has {len(self.bounds) + 1} counts of 0 or more, the last of what "
                f"is above all bounds; got {list(self.counts)[:5]}"
            )

    def percentile(self, percent: float) -> float:
        """The upper bound of the range in which it lies; infinite beyond the last, NaN where nothing was counted."""
        wanted, seen = percent / 100 * sum(self.counts), 0.0
        if not wanted:
            return math.nan
        for bound, count in zip([*self.bounds, math.inf], self.counts, strict=True):
            seen += count
            if seen >= wanted:
                return bound
        return math.inf


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a system measured of a group from ``start`` to ``end``, in epoch seconds.

    Attributes:
        count: of requests, by which means are weighted.
    """

    start: float
    end: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    context: Mapping[str, float] = field(default_factory=dict)
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    count: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a group is to run. ``version`` grows with each; ``share``: of the traffic, for the canary group."""

    config: Mapping[str, Any]
    version: int
    seq: int
    share: float | None


class PullBoard:
    """Offers, what runs, and measurements, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "pull"

    def offer(self, group: str, config: Mapping[str, Any], seq: int, share: float | None) -> Offer:
        """Have a group run a configuration as soon as it asks."""
        before = self.offered(group)
        made = Offer(config=dict(config), version=before.version + 1 if before is not None else 1, seq=seq, share=share)
        self._write(f"{group}.json", asdict(made))
        return made

    def offered(self, group: str) -> Offer | None:
        """What the group is to run; None before anything was offered."""
        found = self._read(f"{group}.json")
        return None if found is None else Offer(**found)

    def tell_running(self, group: str, config: Mapping[str, Any], at: float) -> None:
        """The group runs this now."""
        self._write(f"{group}.runs.json", {"config": dict(config), "at": at})

    def running(self, group: str) -> Mapping[str, Any] | None:
        """What the group said last that it runs; None where it has said nothing yet."""
        found = self._read(f"{group}.runs.json")
        return None if found is None else dict(found["config"])

    def note(self, group: str, rows: Sequence[Measured]) -> None:
        """Keep measurements. One that comes again, of the same group and start, takes the place of the first."""
        if not rows:
            return
        self._make()
        by_file: dict[Path, list[str]] = defaultdict(list)
        for row in rows:
            by_file[self._measured_in(group, row.start)].append(json.dumps(asdict(row)) + "\n")
        for path, lines in by_file.items():
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, "".join(lines).encode())
            finally:
                os.close(handle)
        for path in sorted(self._folder.glob(f"{group}.measured.*.jsonl"))[:-_KEPT_FILES]:
            path.unlink(missing_ok=True)

    def measured(self, group: str, start: float, end: float) -> list[Measured]:
        """What was measured within a time, in order."""
        found: dict[float, Measured] = {}
        for hour in range(int(start // _FILE_S), int(end // _FILE_S) + 1):
            path = self._measured_in(group, hour * _FILE_S)
            if not path.exists():
                continue
            with reading("measurements are JSON objects, one on each line", path, error=HpoError):
                for row in _rows(path):
                    if row.start >= start and row.end <= end:
                        found[row.start] = row
        return [found[at] for at in sorted(found)]

    def _measured_in(self, group: str, at: float) -> Path:
        return self._folder / f"{group}.measured.{int(at // _FILE_S):08d}.jsonl"

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self._folder / name
        if not path.exists():
            return None
        with reading("what is left for a running system is a JSON object", path, error=HpoError):
            return json_object(path)

    def _write(self, name: str, data: Mapping[str, Any]) -> None:
        self._make()
        write_whole(self._folder / name, json.dumps(data), private=True)

    def _make(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _rows(path: Path) -> Iterator[Measured]:
    for line in path.read_text(encoding="utf-8").splitlines():
        data = json.loads(line)
        histograms = {name: Histogram(**said) for name, said in data.pop("histograms").items()}
        yield Measured(**data, histograms=histograms)


def together(rows: Sequence[Measured]) -> tuple[dict[str, float], dict[str, float]]:
    """Metrics and context of several measurements: means by the number of requests, and percentiles of what was counted.

    A mean of percentiles is none, so ``NAME_p50`` and ``NAME_p99`` are those of all histograms of NAME added up.
    """
    metrics, context = (_means([(row.count, getattr(row, what)) for row in rows]) for what in ("metrics", "context"))
    for name in dict.fromkeys(name for row in rows for name in row.histograms):
        parts = [row.histograms[name] for row in rows if name in row.histograms]
        alike = [part for part in parts if list(part.bounds) == list(parts[-1].bounds)]  # others have other bounds
        whole = Histogram(
            bounds=parts[-1].bounds, counts=[sum(c) for c in zip(*(p.counts for p in alike), strict=True)]
        )
        metrics |= {f"{name}_p{percent}": whole.percentile(percent) for percent in _PERCENTS}
    if rows and any(row.count != 1.0 for row in rows):
        metrics.setdefault("requests", sum(row.count for row in rows))
    return metrics, context


def _means(weighted: Sequence[tuple[float, Mapping[str, float]]]) -> dict[str, float]:
    found = {}
    for name in dict.fromkeys(name for _, values in weighted for name in values):
        pairs = [(weight, values[name]) for weight, values in weighted if name in values]
        weights = sum(weight for weight, _ in pairs)
        found[name] = sum(weight * value for weight, value in pairs) / weights if weights else math.nan
    return found
