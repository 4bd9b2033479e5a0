"""The board of a system that polls: files in the applier's folder, with which system and controller exchange data.

The system fetches its configuration at any time, and posts what it runs and what it has measured.
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
from raytune_hpo.files import make_private, object_if_any, reading, write_whole

_FILE_S = 3_600.0  # seconds of measurements in one file
_KEPT_S = 3 * _FILE_S  # of measurements, beyond the longest window
_PERCENTS = (50, 99)


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """A histogram of a metric.

    Attributes:
        bounds: ascending upper bounds; ``counts``: the count of each bin, the last of them above the last bound.
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
        """The upper bound of the bin with a percentile; infinite above the last bound, NaN if the histogram is empty."""
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
    """The measurements of a group from ``start`` to ``end``, in epoch seconds.

    Attributes:
        count: the number of requests, which is the weight in means.
        source: who measured, where a group has several machines.
    """

    start: float
    end: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    context: Mapping[str, float] = field(default_factory=dict)
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    count: float = 1.0
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A configuration that a group is to run. ``version`` grows with each; ``share``: the canary's share of the traffic."""

    config: Mapping[str, Any]
    version: int
    seq: int
    share: float | None


class PullBoard:
    """Offers, running configurations, and measurements, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "pull"

    def offer(self, group: str, config: Mapping[str, Any], seq: int, share: float | None) -> Offer:
        """Offer a configuration, which the group gets when it next polls."""
        before = self.offered(group)
        made = Offer(config=dict(config), version=before.version + 1 if before is not None else 1, seq=seq, share=share)
        self._write(f"{group}.json", asdict(made))
        return made

    def offered(self, group: str) -> Offer | None:
        """The newest offer for a group; None if there was none yet."""
        found = self._read(f"{group}.json")
        return None if found is None else Offer(**found)

    def tell_running(self, group: str, config: Mapping[str, Any], at: float) -> None:
        """Record the configuration that a group reports to run."""
        self._write(f"{group}.runs.json", {"config": dict(config), "at": at})

    def running(self, group: str) -> Mapping[str, Any] | None:
        """The configuration that the group last reported to run; None if it has reported none yet."""
        found = self._read(f"{group}.runs.json")
        return None if found is None else dict(found["config"])

    def note(self, group: str, rows: Sequence[Measured], *, at: float, window_s: float = 0.0) -> None:
        """Store measurements. A repeated one, with the same group, source and start, replaces the first.

        Args:
            at: the time now, by which old measurements are deleted; what a post calls its time deletes nothing.
            window_s: the longest period for which measurements will be asked.
        """
        if not rows:
            return
        self._make()
        by_file: dict[Path, list[str]] = defaultdict(list)
        for row in rows:
            by_file[self._measured_in(group, row.start)].append(json.dumps(asdict(row)))
        for path, lines in by_file.items():
            _append(path, lines)
        oldest = self._measured_in(group, at - window_s - _KEPT_S)
        for path in self._folder.glob(f"{group}.measured.*.jsonl"):
            if path.name < oldest.name:
                path.unlink(missing_ok=True)

    def measured(self, group: str, start: float, end: float) -> list[Measured]:
        """The measurements of a period, in order."""
        found: dict[tuple[float, str], Measured] = {}
        for hour in range(int(start // _FILE_S), int(end // _FILE_S) + 1):
            path = self._measured_in(group, hour * _FILE_S)
            with reading("measurements are JSON objects, one on each line", path, error=HpoError):
                for row in _rows(path, start, end):
                    found[row.start, row.source] = row
        return [found[key] for key in sorted(found)]

    def _measured_in(self, group: str, at: float) -> Path:
        return self._folder / f"{group}.measured.{int(at // _FILE_S):08d}.jsonl"

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self._folder / name
        with reading("what is left for a running system is a JSON object", path, error=HpoError):
            return object_if_any(path)

    def _write(self, name: str, data: Mapping[str, Any]) -> None:
        self._make()
        write_whole(self._folder / name, json.dumps(data), private=True)

    def _make(self) -> None:
        make_private(self._folder)


def _append(path: Path, lines: Sequence[str]) -> None:
    """Append lines to a file; they begin with a newline, so that one that was cut short before them stays alone."""
    data = "".join(f"\n{line}" for line in lines).encode() + b"\n"
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        while data:  # on a disk that is nearly full, a write may take only a part
            data = data[os.write(handle, data) :]
    finally:
        os.close(handle)


def _rows(path: Path, start: float, end: float) -> Iterator[Measured]:
    """The measurements of a period in a file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:  # nothing was measured then, or it has been deleted since
        return
    for line in lines:
        try:
            data = json.loads(line)
        except ValueError:  # empty, or cut short by a full disk or a power cut, which the others have survived
            continue
        if data["start"] >= start and data["end"] <= end:
            histograms = {name: Histogram(**said) for name, said in data.pop("histograms").items()}
            yield Measured(**data, histograms=histograms)


def together(rows: Sequence[Measured]) -> tuple[dict[str, float], dict[str, float]]:
    """Aggregate measurements to metrics and context: means weighted by requests, and percentiles of pooled histograms.

    A mean of percentiles is not a percentile, so ``NAME_p50`` and ``NAME_p99`` are those of the sum of NAME's histograms.
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
