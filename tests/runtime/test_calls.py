"""Calls of one function on something shared: here, and in threads."""

from __future__ import annotations

import threading

import pytest

from raytune_hpo.runtime.calls import LocalCalls


def add(shared, task, kept):
    if task == 0:
        raise ZeroDivisionError("as asked")
    return shared + task, (kept or 0) + task


@pytest.mark.parametrize("num_slots", [1, 3])
def test_values_errors_and_what_is_kept_come_back_under_their_numbers(num_slots):
    calls = LocalCalls(add, 100, num_slots)
    for key, task in enumerate([1, 2, 0]):
        calls.begin(key, task)
    ended = {}
    while len(ended) < 3:
        ended |= {each.key: each for each in calls.wait()}
    assert (ended[0].value, ended[1].value) == (101, 102)
    assert isinstance(ended[2].error, ZeroDivisionError) and ended[2].value is None
    calls.begin(7, 5, ended[1].kept)
    [again] = calls.wait()
    assert (again.key, again.value, again.kept) == (7, 105, 7)
    calls.close()


def test_one_slot_is_the_callers_own_thread_and_several_are_not():
    here = threading.get_ident()
    for num_slots, is_here in ((1, True), (2, False)):
        calls = LocalCalls(lambda shared, task, kept: (threading.get_ident(), None), None, num_slots)
        calls.begin(0, None)
        assert (calls.wait()[0].value == here) is is_here
        assert calls.num_slots() == num_slots
        calls.close()


def test_ctrl_c_passes_through_a_call():
    def interrupted(shared, task, kept):
        raise KeyboardInterrupt

    calls = LocalCalls(interrupted, None, 1)
    with pytest.raises(KeyboardInterrupt):
        calls.begin(0, None)
    calls.close()


def test_closing_drops_what_has_not_begun():
    gate, begun = threading.Event(), []

    def waits(shared, task, kept):
        begun.append(task)
        gate.wait(60)
        return task, None

    calls = LocalCalls(waits, None, 2)
    for key in range(6):
        calls.begin(key, key)
    calls.close()
    gate.set()
    assert len(begun) <= 2
