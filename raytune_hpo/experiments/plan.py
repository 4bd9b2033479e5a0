"""The plan of an experiment: sampler, scheduler, number of workers, and the end condition of a search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from raytune_hpo.display.text import seconds_of
from raytune_hpo.errors import SpecError

NUM_TRIALS = 10_000  # of one search, unless the user says otherwise


@dataclass(frozen=True, kw_only=True)
class Until:
    """The end conditions of a search, which ends with the first that is met.

    Attributes:
        goal: a value of the metric to reach, or None.
        time_s: a limit on the sum of the trials' virtual seconds and the optimizer's CPU seconds, or None.
        num_trials: the largest number of trials.
    """

    goal: float | None = None
    time_s: float | None = None
    num_trials: int = NUM_TRIALS

    @classmethod
    def read(cls, words: Sequence[str]) -> Until:
        """Parse words such as ``["goal=0.99", "time=12h", "trials=500"]``.

        Raises:
            SpecError: a word is not one of these, or its value is not valid.
        """
        found: dict[str, Any] = {}
        for word in words:
            name, _, value = word.partition("=")
            try:
                if name == "goal":
                    found["goal"] = float(value)
                    if not math.isfinite(found["goal"]):  # no search would end at it
                        raise ValueError("a goal is a finite value of the metric")
                elif name == "time":
                    found["time_s"] = seconds_of(value)
                elif name == "trials":
                    found["num_trials"] = int(value)
                else:
                    raise ValueError(f"{name!r} is not goal, time or trials")
            except ValueError as error:
                raise SpecError(f"an end is goal=0.99, time=12h or trials=500, got {word!r}: {error}") from error
        return cls(**found)

    def checked(self, horizons_s: Sequence[float], whose: str = "searches") -> list[float]:
        """The horizons, after checking that none is later than the time limit of a search.

        Raises:
            SpecError: one is later, when the result of a search is unknown.
        """
        for horizon in horizons_s:
            if self.goal is not None and self.time_s is not None and horizon > self.time_s:
                raise SpecError(
                    f"{whose} end after {self.time_s:g} s, what they would have reached after {horizon:g} s is not "
                    f"known; ask for an earlier horizon, or run them with more time under another name"
                )
        return list(horizons_s)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How each search is run.

    Attributes:
        sampler, scheduler: as ``Tuner`` takes them, in JSON types.
        until: when a search ends.
        num_workers: the number of virtual workers.
        seed: the experiment's seed; the seed of search number i is derived from it and i.
    """

    sampler: Any = "auto"
    scheduler: Any = None
    until: Until = field(default_factory=Until)
    num_workers: int = 1
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """The plan in plain types; two experiments of one name must agree on it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """The plan that ``to_json`` wrote."""
        return cls(**{**data, "until": Until(**data["until"])})
