"""The plan of a live study: its guards, shares, budgets and times, as stored in its spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any

from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.goals import Guard, make_guards
from raytune_hpo.options import is_real, positive, whole

DAY_S = 86_400.0
HOUR_S = 3_600.0
RULES = 3  # the newest version of the rules
_FIRST = {"looks": (4, 8, 16)}  # defaults of version 1 that are others now


@dataclass(frozen=True, kw_only=True)
class LivePlan:
    """The rules of a live study, which hold whatever its sampler suggests.

    Attributes:
        guards: bounds that hold at any time, on partial windows too.
        context: by column of the context, the edges of its classes; None: each octave is a class.
        window_s: seconds of a window, in which one configuration is measured on one group.
        warm_up_s: the part of a window that is not measured, because it still shows what ran before.
        check_s: seconds between two checks of the guards within a window.
        observe: the number of windows of a class of context before anything is tried there.
        shares: the canary group's share of the traffic, stage by stage; after the last, a candidate is promoted.
        looks: the numbers of pairs of windows after which a stage is judged.
        alpha: the largest probability with which a stage passes a candidate that is no better than the control group.
        regret: the most that a day's candidates may cost, as a share of a day's loss.
        exploration: the largest share of a day's windows, in each class of context, in which a candidate is tried; one that
            has begun is brought to its end.
        changes_per_hour: the most changes of what the canary group runs.
        cool_down_s: the pause after a candidate that was rolled back; twice as long each time, at most a day.
        rollbacks_per_day: the number of rollbacks that freezes the system.
        void_windows: the number of void windows in a row that freezes the system.
        quiet_hours: hours of the day (UTC) in which nothing is tried, as pairs (from, to).
        approve: whether every candidate waits for a person.
        term_s: seconds of a term: after two without a heartbeat from the controller, the watchdog applies the baseline.
        drift: the threshold of the drift test; None for the calibrated one.
        rules: the version of the rules by which all this is decided: a study keeps the one that it was created with. In
            version 1, what was promoted keeps running after a drift, a candidate is judged by its own pairs alone, up to the
            last look, and it is dropped when the context changes. In versions 1 and 2, what broke a guard may be proposed
            again at once if its loss could not be measured.
    """

    guards: tuple[Guard, ...] = ()
    context: Mapping[str, tuple[float, ...] | None] = field(default_factory=dict)
    window_s: float = 300.0
    warm_up_s: float = 0.0
    check_s: float = 10.0
    observe: int = 20
    shares: tuple[float, ...] = (0.05, 0.25)
    looks: tuple[int, ...] = (2, 4, 8, 16)
    alpha: float = 0.05
    regret: float = 0.01
    exploration: float = 0.1
    changes_per_hour: int = 4
    cool_down_s: float = 1_800.0
    rollbacks_per_day: int = 3
    void_windows: int = 3
    quiet_hours: tuple[tuple[float, float], ...] = ()
    approve: bool = False
    term_s: float = 30.0
    drift: float | None = None
    rules: int = RULES

    def __post_init__(self) -> None:
        for name in ("window_s", "check_s", "cool_down_s", "term_s"):
            positive(name, getattr(self, name))
        for name, least in (("observe", 4), ("changes_per_hour", 1), ("rollbacks_per_day", 1), ("void_windows", 1)):
            whole(name, getattr(self, name), least=least)
        for name in ("alpha", "regret", "exploration"):
            value = getattr(self, name)
            if not is_real(value) or not 0.0 < value < 1.0:
                raise SpecError(f"{name} is a share between 0 and 1, got {value!r}; leave it out for the default")
        if not is_real(self.warm_up_s) or not 0.0 <= self.warm_up_s < self.window_s:
            raise SpecError(
                f"warm_up_s is a part of a window of {self.window_s:g} s that is not measured, got {self.warm_up_s!r}"
            )
        if not isinstance(self.approve, bool):
            raise SpecError(f"approve is True or False, got {self.approve!r}; leave it out for the default")
        if self.drift is not None and not is_real(self.drift):
            raise SpecError(f"drift is a number, or None for the calibrated one, got {self.drift!r}")
        if self.rules not in range(1, RULES + 1) or isinstance(self.rules, bool):
            raise SpecError(
                f"rules are a version from 1 to {RULES}, got {self.rules!r}; a newer one needs a newer release"
            )
        _require_ascending("shares", self.shares, "shares of the traffic in (0, 1)", lambda v: is_real(v) and 0 < v < 1)
        _require_ascending("looks", self.looks, "numbers of pairs from 2 on", lambda v: isinstance(v, int) and v >= 2)
        for hours in self.quiet_hours:
            if len(hours) != 2 or not all(is_real(hour) and 0.0 <= hour <= 24.0 for hour in hours):
                raise SpecError(f"quiet_hours are pairs of hours of the day like [22, 6], got {hours!r}")

    def is_quiet(self, at: float) -> bool:
        """Whether nothing may be tried at this time of the day."""
        hour = at % DAY_S / HOUR_S
        return any(low <= hour < high if low <= high else hour >= low or hour < high for low, high in self.quiet_hours)

    def to_json(self) -> dict[str, Any]:
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            **plain,
            "guards": [str(guard) for guard in self.guards],
            "context": {name: None if edges is None else list(edges) for name, edges in self.context.items()},
            "shares": list(self.shares),
            "looks": list(self.looks),
            "quiet_hours": [list(hours) for hours in self.quiet_hours],
        }

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> LivePlan:
        """The plan from a user's settings.

        Raises:
            SpecError: a setting is unknown, or its value is out of range.
        """
        known = [f.name for f in fields(cls)]
        for name in settings:
            if name not in known:
                raise SpecError(f"a live study has no setting {name!r}; {nearest(str(name), known)}")
        given = {**(_FIRST if settings.get("rules") == 1 else {}), **settings}
        if "guards" in given:
            given["guards"] = make_guards(given["guards"])
        if "context" in given:
            given["context"] = _contexts(given["context"])
        for name in ("shares", "looks"):
            if name in given:
                given[name] = tuple(_listed(name, given[name]))
        if "quiet_hours" in given:
            hours = _listed("quiet_hours", given["quiet_hours"])
            given["quiet_hours"] = tuple(tuple(_listed("quiet_hours", pair)) for pair in hours)
        return cls(**given)

    @classmethod
    def stored(cls, settings: Mapping[str, Any]) -> LivePlan:
        """The plan from its stored form; those of the first release do not name their rules."""
        approve = bool(settings.get("approve"))  # was once stored unchecked, and taken for true or false
        return cls.of({"rules": 1, **settings, "approve": approve})


def _listed(name: str, value: Any) -> list[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise SpecError(f"{name} is a list, got {value!r}")
    return list(value)


def _contexts(given: Any) -> dict[str, tuple[float, ...] | None]:
    """Context columns as users give them: a list of names, or a dict of names and edges of classes."""
    columns = given if isinstance(given, Mapping) else dict.fromkeys(_listed("context", given))
    found: dict[str, tuple[float, ...] | None] = {}
    for name, edges in columns.items():
        if not isinstance(name, str) or not name:
            raise SpecError(f"a column of the context has a name, got {name!r}")
        if edges is not None:
            edges = tuple(_listed(f"context[{name!r}]", edges))
            if not all(map(is_real, edges)) or not all(a < b for a, b in pairwise(edges)):
                raise SpecError(f"the edges of the classes of {name!r} are ascending numbers, got {list(edges)}")
        found[name] = edges
    return found


def _require_ascending(name: str, values: Sequence[Any], rule: str, holds: Any) -> None:
    if not values or not all(map(holds, values)) or not all(a < b for a, b in pairwise(values)):
        raise SpecError(f"{name} are ascending {rule}, at least one, got {list(values)}")
