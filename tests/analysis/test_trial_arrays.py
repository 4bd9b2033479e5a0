"""Trials as arrays: what is kept while a study grows is what would be read anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import raytune_hpo as hpo
from raytune_hpo.analysis.learning_curves import reporting
from raytune_hpo.analysis.series import MetricSeries, ValuesOf
from raytune_hpo.analysis.timeline import timeline_of
from raytune_hpo.analysis.trial_arrays import STATUSES, TrialArrays, first_losses, status_codes, workers
from raytune_hpo.analysis.tried import tried_in
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.space import Space
from raytune_hpo.trial import Report, Reports, Trial

SPACE = Space({"x": hpo.uniform(0, 1), "kind": hpo.choice(["a", "b"])})


def trial(status: Status, loss: float, x: float, steps: int) -> Trial:
    return Trial(
        number=0,
        config={"x": x, "kind": "b"},
        status=status,
        metrics={"loss": loss},
        losses=(loss,) if status is Status.COMPLETED else None,
        reports=Reports([Report(s, {"loss": loss}, 1.0 + s, None) for s in range(steps)]),
        worker=f"w{steps}",
        created_at=x,
        started_at=1.0 + x,
        finished_at=9.0 + x if status.is_finished else None,
    )


trials = st.builds(trial, st.sampled_from(list(Status)), st.floats(-10, 10), st.floats(0, 1), st.integers(0, 3))


def numbered(found: list[Trial]) -> list[Trial]:
    return [replace(one, number=number) for number, one in enumerate(found)]


def read(arrays: TrialArrays) -> dict[str, Any]:
    timeline = timeline_of(arrays)
    return {
        "status": arrays.of(status_codes).tolist(),
        "values": arrays.of(ValuesOf("loss")).tolist(),
        "losses": arrays.of(first_losses).tolist(),
        "workers": arrays.of(workers).tolist(),
        "x": tried_in(SPACE, arrays).X.tolist(),
        "curves": reporting(arrays, "loss"),
        "best": MetricSeries(Goal("loss"), arrays).improvements,
        "lanes": (timeline.lanes.tolist(), timeline.begin.tolist(), timeline.end.tolist()),
    }


@given(st.lists(trials, min_size=1, max_size=8), st.lists(trials, max_size=8), st.data())
def test_what_is_kept_while_a_study_grows_is_what_would_be_read_anew(
    first: list[Trial], more: list[Trial], data: st.DataObject
) -> None:
    before = TrialArrays(numbered(first))
    seen = read(before)
    changed = data.draw(st.sets(st.integers(0, len(first) - 1)))
    now = numbered([data.draw(trials) if n in changed else one for n, one in enumerate(first)] + more)
    after = before.after(now, changed | set(range(len(first), len(now))))
    np.testing.assert_equal(read(after), read(TrialArrays(now)))
    np.testing.assert_equal(read(before), seen)  # what was handed out stays as it was


def test_only_what_has_changed_is_read_again() -> None:
    asked: list[int] = []

    def column(found: Any) -> Any:
        asked.append(len(found))
        return np.array([one.number for one in found])

    some = numbered([trial(Status.COMPLETED, 1.0, 0.5, 1) for _ in range(100)])
    arrays = TrialArrays(some)
    arrays.of(column)
    arrays.of(column)
    grown = arrays.after(some, {3, 7})
    assert asked == [100, 2] and grown.of(column)[7] == 7


def test_trials_are_found_by_status() -> None:
    some = numbered([trial(status, 1.0, 0.5, 0) for status in (*STATUSES, Status.FAILED)])
    failed = TrialArrays.over(some).which(Status.FAILED)
    assert [some[row].status for row in failed] == [Status.FAILED] * 2
