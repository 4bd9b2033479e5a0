"""A sampler is asked in one way, so that it says the same wherever it is asked again."""

from __future__ import annotations

import scipy.linalg  # noqa: F401 - so that its library is counted from the start
from threadpoolctl import threadpool_info, threadpool_limits

from raytune_hpo.core.asking import ask
from raytune_hpo.protocols import Suggestion, Traits


def num_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


class Curious:
    """Says in how many threads it was asked, and what it drew."""

    def __init__(self, history_free):
        self.traits = Traits(history_free=history_free)

    def ask(self, number, pending, rng):
        return Suggestion({"threads": num_threads(), "drawn": rng.random()})


def test_who_learns_is_asked_in_one_thread_and_others_get_theirs_back():
    with threadpool_limits(2, user_api="blas"):
        before = num_threads()
        said = ask(Curious(history_free=False), 3, (), 7)
        assert said.config["threads"] == {1}
        assert num_threads() == before != {1}
        assert ask(Curious(history_free=True), 3, (), 7).config["threads"] == before


def test_random_numbers_are_those_of_the_study_and_the_trial():
    def drawn(number, seed):
        return ask(Curious(history_free=False), number, (), seed).config["drawn"]

    assert drawn(3, 7) == drawn(3, 7)
    assert len({drawn(3, 7), drawn(4, 7), drawn(3, 8)}) == 3
