"""The contract suite itself: each way to break the contract is caught by the check that is there for it."""

import pytest

import raytune_hpo as hpo
from raytune_hpo import registry, testing
from raytune_hpo.errors import SpaceError, SpecError
from raytune_hpo.protocols import Signal, Suggestion, Traits
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


def run(sampler):
    hpo.tune(bowl, SPACE, metric="loss", num_trials=2, sampler=sampler, storage="memory", runtime="local")


def bowl(config):
    return config["x"]


class Answers(Wrapped):
    """Says what its class says, whatever it is asked."""

    answer: object = None

    def ask(self, number, pending, rng):
        return self.answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"x": 0.5, "y": 0.5}, r"ask of Other returns a Suggestion or a Signal, got \{'x': 0.5, 'y': 0.5\}; wrap"),
        (None, "ask of Other returns a Suggestion or a Signal, got None"),
        (Suggestion, "ask of Other returns a Suggestion or a Signal, got <class"),
        (Signal.WAIT, "waits for trials that are pending, and there are none; ask of Other returned Signal.WAIT"),
    ],
)
@pytest.mark.parametrize("history_free", [True, False])
def test_an_answer_that_would_hang_a_study_ends_it(answer, said, history_free):
    other = type("Other", (Answers,), {"answer": answer, "traits": Traits(history_free=history_free)})
    with pytest.raises(SpecError, match=said):
        hpo.tune(
            lambda config: config["x"],
            SPACE,
            metric="loss",
            num_trials=2,
            sampler=other(),
            storage="memory",
            runtime="local",
        )


def _without(name):
    """Wrapped's class with None in a member's place."""
    return type("Lacking", (Wrapped,), {name: None})


class KeepsNoOption(Wrapped):
    def __init__(self, *, alpha=1.0):
        super().__init__()


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (_without("bind")(), "Lacking has no method 'bind'"),
        (_without("ask")(), "Lacking has no method 'ask'"),
        (_without("tell")(), "Lacking has no method 'tell'"),
        (_without("traits")(), r"Lacking has no traits that are Traits: write traits = Traits\(\)"),
        (type("Lacking", (Wrapped,), {"traits": Traits})(), "Lacking has no traits that are Traits"),
        (KeepsNoOption(), "keeps no attribute 'alpha' for its option: write self.alpha = alpha"),
        (Wrapped, r"an object with bind, ask and tell; got the class Wrapped: call it, Wrapped\(\)"),
        (7, "an object with bind, ask and tell, got 7"),
    ],
)
def test_an_object_that_is_no_whole_sampler_is_told_what_it_lacks(part, said):
    with pytest.raises(SpecError, match=said):
        registry.make("sampler", part)


def test_a_bind_that_returns_nothing_is_named():
    class Forgets(Wrapped):
        def bind(self, space, goals, seed):
            pass

    with pytest.raises(SpecError, match="bind of Forgets returns a fresh one for a study, with ask, got None"):
        hpo.tune(
            lambda config: 0.0, SPACE, metric="loss", num_trials=1, sampler=Forgets(), storage="memory", runtime="local"
        )


@pytest.mark.parametrize("name", ["bind", "ask", "tell", "traits"])
def test_the_suite_of_what_is_no_sampler_has_one_case_which_says_what_is_missing(name):
    cases = testing.sampler_cases(_without(name))
    assert list(cases) == ["is_a_sampler"]
    with pytest.raises(AssertionError, match=name):
        cases["is_a_sampler"]()
    testing.check_is_a_sampler(Wrapped)


def test_what_bind_passes_on_is_told_when_it_differs():
    with pytest.raises(AssertionError, match="bind returns another sampler, not itself"):
        testing.check_bind_is_fresh(BindsItself, SPACE)
    with pytest.raises(AssertionError, match="ask changes nothing; after being asked it says"):
        testing.check_ask_changes_nothing(CountsAsks, SPACE)
