"""The contract suite itself: each way to break the contract is caught by the check that is there for it."""

import pytest

from raytune_hpo import testing
from raytune_hpo.errors import SpaceError
from raytune_hpo.protocols import Suggestion, Traits
from raytune_hpo.rng import derive
from raytune_hpo.samplers import Hyperopt
from raytune_hpo.space import Float, Space

SPACE = Space({"x": Float(0, 1), "y": Float(0, 1)})


class Wrapped:
    """A sampler that does what hyperopt's does; the ones below each break one thing."""

    traits = Traits()

    def __init__(self):
        self.inner = Hyperopt()
        self.asked = 0

    def bind(self, space, goals, seed):
        bound = type(self)()
        bound.inner = self.inner.bind(space, goals, seed)
        return bound

    def ask(self, number, pending, rng):
        return self.inner.ask(number, pending, rng)

    def tell(self, trial):
        self.inner.tell(trial)


class ForgetsTell(Wrapped):
    def tell(self, trial):
        pass


class CountsAsks(Wrapped):
    def ask(self, number, pending, rng):
        self.asked += 1
        return self.inner.ask(number + self.asked, pending, derive(self.asked, "own"))


class IgnoresPending(Wrapped):
    def ask(self, number, pending, rng):
        return self.inner.ask(number, (), derive(0, "own"))


class BindsItself(Wrapped):
    def bind(self, space, goals, seed):
        if not hasattr(self.inner, "_space"):
            self.inner = self.inner.bind(space, goals, seed)
        return self


class LeavesTheSpace(Wrapped):
    def ask(self, number, pending, rng):
        return Suggestion({"x": 2.0, "y": 0.0})


class Crashes(Wrapped):
    def tell(self, trial):
        assert trial.losses[0] < 1e9


@pytest.mark.parametrize(
    ("sampler", "check"),
    [
        (CountsAsks, testing.check_ask_twice),
        (CountsAsks, testing.check_ask_changes_nothing),
        (IgnoresPending, testing.check_pending),
        (BindsItself, testing.check_bind_is_fresh),
        (LeavesTheSpace, testing.check_survives),
        (Crashes, testing.check_survives),
    ],
)
def test_a_broken_sampler_is_caught(sampler, check):
    check(Wrapped, SPACE)
    with pytest.raises((AssertionError, SpaceError, TypeError)):
        check(sampler, SPACE)


def test_a_forgotten_tell_is_caught():
    testing.check_learns(Wrapped, 40)
    with pytest.raises(AssertionError, match="is tell forgotten"):
        testing.check_learns(ForgetsTell, 40)


def test_a_part_without_documentation_is_caught():
    testing.check_documented(Wrapped)
    with pytest.raises(AssertionError, match="docstring"):
        testing.check_documented(type("Silent", (), {"version": 1}))
