"""The table of statuses and verdicts: every one has its row, and faces show what the rows say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raytune_hpo.display.status import STATUSES, VERDICTS, by_layer, drawn_status
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.progress.card import card
from raytune_hpo.progress.words import line
from tests.faces.snapshots import STATUS, snapshot


def test_every_status_and_every_verdict_has_exactly_one_row():
    assert sorted(STATUSES) == sorted(Status)
    assert sorted(VERDICTS) == sorted(Verdict)


@pytest.mark.parametrize("status", Status)
def test_a_row_agrees_with_its_status(status):
    row = STATUSES[status]
    assert row.at_rest is (status.is_finished or status is Status.PAUSED)
    assert row.word and row.bright and {"color", "symbol"} <= set(row.mark)
    assert row.drawn_as in ("", *STATUSES)


def test_rows_are_told_apart():
    marks = {(row.mark["color"], row.mark["symbol"]) for row in STATUSES.values()}
    assert len(marks) == len({row.word for row in STATUSES.values()}) == len(STATUSES)


def test_curves_of_completed_trials_are_drawn_above_all_others():
    assert by_layer()[-1] == "completed"
    assert set(by_layer()) == {drawn_status(status) for status in Status}


@pytest.mark.parametrize("status", Status)
def test_the_line_and_the_card_count_every_status_by_its_word(status):
    status_now = replace(STATUS, counts={status.value: 7})
    assert f"7 {STATUSES[status].word}" in card(snapshot(status_now), None)
    if status is not Status.COMPLETED:  # these are the number that the line begins with
        assert f"7 {STATUSES[status].word}" in line(status_now, None)
