"""The contract of appliers: rules that every applier must keep, also one of your own.

    from raytune_hpo.live import testing
    CASES = testing.applier_cases(lambda: Cluster(), [{"threads": 16}, {"threads": 8}], metrics=["cost", "p99_ms"])

    @pytest.mark.parametrize("case", CASES)
    def test_contract(case):
        CASES[case]()

They change the system that the applier belongs to, so give them one for tests.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from raytune_hpo.errors import SpecError
from raytune_hpo.live.appliers import Applier, Bounding, Sitter, Splitter, is_running, numbers
from raytune_hpo.space.values import fresh
from raytune_hpo.testing.cases import case

_GROUPS = ("control", "canary")


@dataclass(frozen=True)
class ApplierPlace:
    """An applier with what it is tried with; see ``applier_cases``."""

    make: Callable[[], Applier]
    configs: Sequence[Mapping[str, Any]]
    metrics: Sequence[str]
    window_s: float
    refuses_stale: bool

    @contextmanager
    def applier(self) -> Iterator[Applier]:
        """A new applier, as its controller would begin to use it."""
        applier = self.make()
        with tempfile.TemporaryDirectory() as folder:
            if isinstance(applier, Sitter):
                applier.sit(Path(folder))
            yield applier


def applier_cases(
    make: Callable[[], Applier],
    configs: Sequence[Mapping[str, Any]],
    *,
    metrics: Sequence[str] = (),
    window_s: float = 0.1,
    refuses_stale: bool = True,
) -> dict[str, Callable[[], None]]:
    """Every check of an applier.

    Args:
        make: returns a new applier at each call.
        configs: configurations of the study's space, at least two; a complete one first.
        metrics: those of the goal and the guards, which each group must have in every window.
        window_s: the seconds in which the system is measured, long enough for it to have something to say.
        refuses_stale: False for one that leaves it to its seat to refuse stale changes; the seat sees only the controllers
            that share it.

    Raises:
        SpecError: fewer than two configurations, or two that are alike.
    """
    if len(configs) < 2 or any(is_running(one, other) for one, other in pairwise(configs)):
        raise SpecError(f"an applier is tried with at least two different configurations, got {list(configs)!r}")
    place = ApplierPlace(make, configs, metrics, window_s, refuses_stale)
    return {check.__name__.removeprefix("check_"): case(check, place) for check in APPLIER_CHECKS}


def check_applies(place: ApplierPlace) -> None:
    """When apply has returned, read says that the group runs that configuration, whichever it ran before."""
    with place.applier() as applier:
        for seq, config in enumerate((*place.configs, *reversed(place.configs))):
            for group in _GROUPS:
                applier.apply(config, group, seq)
                _require_running(applier, group, config)


def check_groups_are_apart(place: ApplierPlace) -> None:
    """A change of one group leaves the other as it is."""
    one, other, *_ = place.configs
    with place.applier() as applier:
        for group in _GROUPS:
            applier.apply(one, group, 0)
        applier.apply(other, "canary", 1)
        _require_running(applier, "control", one)
        applier.apply(other, "control", 2)
        applier.apply(one, "canary", 3)
        _require_running(applier, "control", other)


def check_repeated_changes(place: ApplierPlace) -> None:
    """A change that is made again, with the same seq, is no error and changes nothing; numbers may be skipped."""
    config = place.configs[0]
    with place.applier() as applier:
        for seq in (3, 3, 9):
            applier.apply(config, "canary", seq)
            _require_running(applier, "canary", config)


def check_leaves_what_it_is_given(place: ApplierPlace) -> None:
    """apply does not write into the configuration that it is given, which its caller still uses."""
    with place.applier() as applier:
        given = fresh(dict(place.configs[0]))
        applier.apply(given, "control", 0)
        assert given == place.configs[0], f"apply was given {dict(place.configs[0])!r}, and made {given!r} of it"


def check_stale_changes(place: ApplierPlace) -> None:
    """A change that is older than the newest one raises an error, for whichever group, and changes nothing."""
    if not place.refuses_stale:
        return
    newest, old, *_ = place.configs
    with place.applier() as applier:
        applier.apply(newest, "canary", 0)
        applier.apply(newest, "control", 5)
        for group in _GROUPS:
            _require_refused(
                partial(applier.apply, old, group, 4), f"a change of {group} with seq 4 after one with seq 5"
            )
            _require_running(applier, group, newest)
        if isinstance(applier, Splitter):
            _require_refused(partial(applier.split, 0.5, 4), "a split with seq 4 after a change with seq 5")


def check_measures(place: ApplierPlace) -> None:
    """Each group is measured: a pair of metrics and context, numbers by name, with the metrics that decide."""
    with place.applier() as applier:
        for group in _GROUPS:
            applier.apply(place.configs[0], group, 0)
        begin = time.time()
        time.sleep(place.window_s)
        end = time.time()
        for group in _GROUPS:
            said = applier.measure(group, begin, end)
            assert isinstance(said, Sequence) and len(said) == 2, f"measure gives metrics and context, got {said!r}"
            metrics, _ = (numbers(f"measure of {group}", part) for part in said)
            missing = [name for name in place.metrics if name not in metrics]
            assert not missing, (
                f"measure of {group} lacks {', '.join(missing)}, without which a window is void: {metrics}"
            )


def check_splits(place: ApplierPlace) -> None:
    """If it can split the traffic, it takes every share from 0 to 1, before a change of the canary group."""
    with place.applier() as applier:
        if isinstance(applier, Splitter):
            for seq, share in enumerate((0.0, 0.01, 1 / 3, 1.0)):
                applier.split(share, seq)
                applier.apply(place.configs[0], "canary", seq)
                _require_running(applier, "canary", place.configs[0])


def check_bounds(place: ApplierPlace) -> None:
    """If it gives confidence bounds, they are pairs in order, and contain those of a higher level."""
    with place.applier() as applier:
        if not isinstance(applier, Bounding):
            return
        applier.apply(place.configs[0], "canary", 0)
        begin = time.time()
        time.sleep(place.window_s)
        end = time.time()
        sure, unsure = (dict(applier.bounds("canary", begin, end, level)) for level in (0.001, 0.2))
        for name, (low, high) in unsure.items():
            assert low <= high, f"the bounds of {name} are the lowest value and the highest, got {(low, high)}"
            assert name in sure, f"{name} has bounds at level 0.2, and none at level 0.001"
            least, most = sure[name]
            assert least <= low and high <= most, (
                f"a smaller level gives wider bounds; those of {name} are {(least, most)} at 0.001, {(low, high)} at 0.2"
            )


def _require_running(applier: Applier, group: str, config: Mapping[str, Any]) -> None:
    read = applier.read(group)
    assert is_running(read, config), f"{group} should run {dict(config)!r}, read says {read!r}"


def _require_refused(change: Callable[[], object], what: str) -> None:
    try:
        change()
    except Exception:
        return
    raise AssertionError(f"{what} is refused, as by raytune_hpo.live.appliers.StaleChange; nothing was raised")


APPLIER_CHECKS: tuple[Callable[[ApplierPlace], None], ...] = (
    check_applies,
    check_groups_are_apart,
    check_repeated_changes,
    check_leaves_what_it_is_given,
    check_stale_changes,
    check_measures,
    check_splits,
    check_bounds,
)
