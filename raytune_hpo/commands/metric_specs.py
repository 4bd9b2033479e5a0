"""Metrics of a program as they are written: ``time``, ``peak_mb``, ``regex:p99='p99=([0-9.]+)'``, ``json:loss=.loss``."""

from __future__ import annotations

import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raytune_hpo.commands.launching import Ran
from raytune_hpo.commands.outcome import NUMBER, Outcome, end_of, file_in, json_in, number_in
from raytune_hpo.display.text import cut
from raytune_hpo.errors import ObjectiveError, SpecError, nearest
from raytune_hpo.options import is_real

_NAME = r"[A-Za-z_][\w./-]*"
_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\[(\d+)\]|\[\"([^\"]*)\"\]")
_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")
_BUILT_IN: Mapping[str, Callable[[Ran], float]] = {
    "time": lambda ran: ran.wall_s,
    "user": lambda ran: ran.user_s,
    "system": lambda ran: ran.system_s,
    "cpu": lambda ran: ran.user_s + ran.system_s,
    "peak_mb": lambda ran: ran.peak_mb,
    "exit": lambda ran: float(ran.exit_code or 0),
}
_KINDS = (
    *_BUILT_IN,
    "p50",
    "p99",
    "max",
    "jitter",
    "throughput=N/time",
    "size_mb:PATH",
    "regex:NAME=PATTERN",
    "json:NAME=.PATH",
)


class MetricSpec(ABC):
    """A number by which a program is measured.

    Attributes:
        name: the metric's name in a trial.
        mode: the default direction.
    """

    name: str
    mode: ClassVar[str] = "min"

    @property
    def reads(self) -> str | None:
        """The path of the file from which it is read; None if it is in the output, or measured."""
        return None

    @abstractmethod
    def of_run(self, outcome: Outcome, others: Mapping[str, float]) -> list[float]:
        """Its samples of one run; most metrics have one.

        Args:
            others: metrics of the same run by name, those that come before it.

        Raises:
            ObjectiveError: the run has no such number.
        """

    def over_runs(self, samples: Sequence[float]) -> float:
        """Its value for a configuration, from the pooled samples of all runs."""
        return float(np.median(samples))


@dataclass(frozen=True)
class _BuiltIn(MetricSpec):
    name: str

    def of_run(self, outcome: Outcome, others: Mapping[str, float]) -> list[float]:
        return [_BUILT_IN[self.name](outcome.ran)]


@dataclass(frozen=True)
class _Pattern(MetricSpec):
    """The last match of a pattern: its group."""

    name: str
    source: str
    pattern: str

    @property
    def reads(self) -> str | None:
        return file_in(self.source)

    def of_run(self, outcome: Outcome, others: Mapping[str, float]) -> list[float]:
        text = outcome.text(self.source)
        matches = list(re.finditer(self.pattern, text, re.MULTILINE))
        if not matches:
            raise ObjectiveError(
                f"metric {self.name!r} is the last match of {self.pattern!r} on {self.source}, there is none; "
                f"it ends with {end_of(text)}"
            )
        return [number_in(self.name, matches[-1][1])]


@dataclass(frozen=True)
class _Json(MetricSpec):
    """A number in a JSON document: the last line of the output, or all of it."""

    name: str
    source: str
    path: str

    @property
    def reads(self) -> str | None:
        return file_in(self.source)

    def of_run(self, outcome: Outcome, others: Mapping[str, float]) -> list[float]:
        value = json_in(self.name, outcome.text(self.source))
        for key, index, quoted in _STEP.findall(self.path):
            try:
                value = value[int(index)] if index else value[key or quoted]
            except (KeyError, IndexError, TypeError):
                got = cut(json.dumps(value, ensure_ascii=False), 120)
                raise ObjectiveError(
                    f"metric {self.name!r} is at {self.path} of the JSON on {self.source}, got {got}"
                ) from None
        return [number_in(self.name, value)]


@dataclass(frozen=True)
class _Ratio(MetricSpec):
    name: str
    above: str
    below: str
    mode: str = "min"  # type: ignore[misc]

    def of_run(self, outcome: Outcome, others: Mapping[str, float]) -> list[float]:
        above, below = (self._operand(operand, outcome, others) for operand in (self.above, self.below))
        if below == 0:
            raise ObjectiveError(f"metric {self.name!r} is {self.above}/{self.below}, and {self.below} was 0")
        return [above / below]

    def _operand(self, operand: str, outcome: Outcome, others: Mapping[str, float]) -> float:
        if operand in others:
            return others[operand]
        return _BUILT_IN[operand](outcome.ran) if operand in _BUILT_IN else float(operand)


@dataclass(frozen=True)
class _Spread(MetricSpec):
    """A quantile, the maximum or the jitter of pooled samples: the repeats' times, or a file that the command writes."""

    name: str
    file: str | None

    @property
    def reads(self) -> str | None:
        return self.file

    def of_run(self, outcome: Outcome, others: Mapping[str, float]) -> list[float]:
        if self.file is None:
            return [outcome.ran.wall_s]
        lines = [line.strip() for line in outcome.text(f"file:{self.file}").splitlines()]
        lines = [line for line in lines if line and not line.startswith("#")]
        if lines and NUMBER.fullmatch(lines[0]) is None:
            lines = lines[1:]  # the header of the column
        if not lines:
            raise ObjectiveError(
                f"metric {self.name!r} needs samples, a number on each line, and {self.file!r} has none"
            )
        return [number_in(self.name, line) for line in lines]

    def over_runs(self, samples: Sequence[float]) -> float:
        if self.name in _STATISTICS:
            return float(_STATISTICS[self.name](samples))
        return float(np.percentile(samples, float(self.name[1:])))


@dataclass(frozen=True)
class _Size(MetricSpec):
    name: str
    path: str

    @property
    def reads(self) -> str | None:
        return self.path

    def of_run(self, outcome: Outcome, others: Mapping[str, float]) -> list[float]:
        return [outcome.file(self.path).stat().st_size / 1e6]


def jitter_of(samples: Sequence[float]) -> float:
    """The jitter of samples: the median absolute deviation from their median, as a share of it."""
    middle = float(np.median(samples))
    return float(np.median(np.abs(np.asarray(samples) - middle))) / abs(middle) if middle else 0.0


_STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {"max": max, "jitter": jitter_of}


# ------------------------------------------------------------------------------------------------ reading specs


def parsed_metrics(specs: str | Sequence[str], work: float | None = None) -> tuple[MetricSpec, ...]:
    """Metrics as they are written on a command line.

    Args:
        work: the amount of work of one run, for ``throughput``.

    Raises:
        SpecError: an argument breaks a rule; the message has the rule, the value, and the way out.
    """
    if work is not None and not (is_real(work) and 0 < work < math.inf):
        raise SpecError(f"work is how much a run does, a number above 0 like 1000, got {work!r}")
    listed = [specs] if isinstance(specs, str) else list(specs)
    if not listed or not all(isinstance(spec, str) for spec in listed):
        raise SpecError(f'metrics is a list of specs like ["time", "peak_mb"], got {specs!r}')
    metrics = tuple(_parsed(spec.strip(), work) for spec in listed)
    names = [metric.name for metric in metrics]
    if twice := next((name for index, name in enumerate(names) if name in names[:index]), None):
        raise SpecError(f"each metric is named once, got {twice!r} twice")
    for index, metric in enumerate(metrics):
        for operand in (metric.above, metric.below) if isinstance(metric, _Ratio) else ():
            if operand not in names[:index] and operand not in _BUILT_IN and NUMBER.fullmatch(operand) is None:
                known = [*names[:index], *_BUILT_IN]
                raise SpecError(
                    f"metric {metric.name!r} divides metrics that come before it; {nearest(operand, known)}"
                )
    return metrics


def _parsed(spec: str, work: float | None) -> MetricSpec:
    if spec in _BUILT_IN:
        return _BuiltIn(spec)
    if spec == "throughput":
        if work is None:
            raise SpecError(
                "throughput is work per second: say how much work a run is (--work 1000), or throughput=1000/time"
            )
        return _Ratio(spec, repr(float(work)), "time", "max")
    head, _, rest = spec.partition("=")
    if found := re.fullmatch(rf"(regex|json):({_NAME})", head):
        source, body = _source_of(_unquoted(rest))
        return _pattern(found[2], source, body) if found[1] == "regex" else _json(found[2], source, body)
    kind, _, path = spec.partition(":")
    if kind == "size_mb" and path:
        return _Size("size_mb", path)
    if _QUANTILE.fullmatch(head) or head in _STATISTICS:
        file = rest.removeprefix("samples:")
        if rest and (file == rest or not file):
            raise SpecError(f"{head} is of the repeats, or of samples in a file: {head}=samples:FILE, got {spec!r}")
        return _Spread(head, file or None)
    if found := re.fullmatch(rf"({_NAME})=([^/]+)/([^/]+)", spec):
        above, below = found[2].strip(), found[3].strip()
        if any(NUMBER.fullmatch(operand) and float(operand) == 0 for operand in (above, below)):
            raise SpecError(f"a number in a metric like {found[1]}=1000/time is other than 0, got {spec!r}")
        return _Ratio(found[1], above, below, "max" if found[1] == "throughput" else "min")
    raise SpecError(f"there is no metric {spec!r}; {nearest(spec, _KINDS)}")


def _source_of(text: str) -> tuple[str, str]:
    """Split a spec into the source and the pattern or path."""
    if text.startswith("file:"):
        path, separator, body = text.removeprefix("file:").partition(":")
        if not separator:
            raise SpecError(f"a metric of a file is file:PATH:WHAT, got {text!r}")
        return f"file:{path}", body
    for source in ("stdout", "stderr"):
        if text.startswith(f"{source}:"):
            return source, text.removeprefix(f"{source}:")
    return "stdout", text


def _pattern(name: str, source: str, pattern: str) -> MetricSpec:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise SpecError(f"the pattern of metric {name!r} is a regular expression, got {pattern!r}: {error}") from None
    if not groups:
        raise SpecError(
            f"the pattern of metric {name!r} has the number in a group, like p99=([0-9.]+), got {pattern!r}"
        )
    return _Pattern(name, source, pattern)


def _json(name: str, source: str, path: str) -> MetricSpec:
    if path != "." and (not path or _STEP.sub("", path)):
        raise SpecError(f"the path of metric {name!r} is like .latency[0].p99, got {path!r}")
    return _Json(name, source, path)


def _unquoted(text: str) -> str:
    """The text without the quotes that a shell has left around it."""
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"" else text
