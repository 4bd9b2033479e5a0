"""Sums over the last hours are those of what was added, however often they are read."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from raytune_hpo.live.rolling import Rolling

EVENTS = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1e6)), max_size=60)


@given(EVENTS, st.floats(-1, 101))
def test_the_sum_since_a_time_is_that_of_what_came_after_it(events, begin):
    events.sort()
    rolling = Rolling()
    for at, amount in events:
        rolling.add(at, amount)
    after = [amount for at, amount in events if at > begin]
    assert rolling.count(begin) == len(after)
    assert math.isclose(rolling.total(begin), math.fsum(after), rel_tol=1e-9, abs_tol=1e-6)


def test_letting_go_changes_no_sum():
    kept, letting_go = Rolling(), Rolling()
    for at in range(5_000):
        for rolling in (kept, letting_go):
            rolling.add(at, 0.1 * at)
        letting_go.forget(at - 1_000)
        assert letting_go.total(at - 1_000) == kept.total(at - 1_000)
    assert letting_go.count(-1) < kept.count(-1) == 5_000
    letting_go.clear()
    assert letting_go.total(0) == letting_go.count(0) == 0
