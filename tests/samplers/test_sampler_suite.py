"""The contract suite itself: each way to break the contract is caught by the check that is there for it."""

from typing import ClassVar

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo import registry, testing
from raytune_hpo.errors import SpaceError, SpecError
from raytune_hpo.goals import make_goals
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


class ReadsMetrics(Wrapped):
    """The best yet, by its metric."""

    def tell(self, trial):
        super().tell(trial)
        loss = trial.metrics.get("loss", 0.0)
        self.best = min(getattr(self, "best", (loss, trial.config)), (loss, trial.config), key=lambda pair: pair[0])

    def ask(self, number, pending, rng):
        return Suggestion(self.best[1])


def test_a_sampler_that_reads_metrics_instead_of_losses_is_caught():
    testing.check_modes(Wrapped, SPACE)
    with pytest.raises(AssertionError, match="losses are minimised, whatever the mode; with 'max' it says"):
        testing.check_modes(ReadsMetrics, SPACE)


class TakesAll(Wrapped):
    """One that reads neither a second goal nor constraints, and says that it does."""

    traits = Traits(multi_goal=True, constraints=True)

    def bind(self, space, goals, seed, constraints=()):
        return super().bind(space, goals[:1], seed)


def test_traits_that_a_sampler_does_not_have_are_caught():
    cases = testing.sampler_cases(TakesAll)
    with pytest.raises(AssertionError, match="traits say multi_goal, and it suggests the same"):
        cases["learns_from_all_goals"]()
    with pytest.raises(AssertionError, match="traits say constraints, and it suggests the same"):
        cases["learns_from_constraints"]()
    assert not {"learns_from_all_goals", "learns_from_constraints"} & testing.sampler_cases(Wrapped).keys()


def test_a_sampler_that_waits_for_nothing_is_caught():
    class Waits(Wrapped):
        def ask(self, number, pending, rng):
            return Signal.WAIT if number == 20 else super().ask(number, pending, rng)

    with pytest.raises(AssertionError, match="it waits, and none is pending"):
        testing.check_inside(Waits, SPACE)


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


@pytest.mark.parametrize(
    ("suggest", "said"),
    [
        (
            lambda config: Suggestion([config]),
            r"config is one configuration, a dict; .* take one: sample\(1, rng\)\[0\]",
        ),
        (lambda config: Suggestion({1: 0.5}), r"config has keys that are text; ask of Other gave \{1: 0.5\}"),
        (
            lambda config: Suggestion({**config, "x": np.float32(0.5)}),
            r"config has JSON values; ask of Other gave .*\(numpy.float32\) for 'x': .*\.tolist\(\)",
        ),
        (lambda config: Suggestion(config, meta={"n": np.int64(3)}), r"meta has JSON values; .*int64.* for 'n'"),
        (lambda config: Suggestion(config, meta={"o": [object()]}), r"meta has JSON values; .* for 'o'"),
        (lambda config: Suggestion(config, meta={"o": {(1, 2): 3}}), r"meta has JSON values; .* for 'o'"),
        (lambda config: Suggestion(config, meta=[3]), r"meta is a dict; ask of Other gave \[3\]: Suggestion\(meta="),
        (
            lambda config: Suggestion(config, parent="a"),
            "parent is a whole number of Python's or None; .* gave 'a'",
        ),
        (lambda config: Suggestion(config, parent=np.int64(0)), "parent is a whole number"),
        (lambda config: Suggestion(config, until=1.5), "until is a whole number .* gave 1.5"),
        (lambda config: Suggestion(config, from_step=True), "from_step is a whole number .* gave True"),
        (
            lambda config: Suggestion(config, parent=999),
            "parent is one of the [01] trials before it; ask of Other gave 999",
        ),
    ],
)
def test_a_suggestion_that_no_journal_could_keep_ends_the_study_by_the_name_of_its_sampler(suggest, said, tmp_path):
    class Other(Wrapped):
        def ask(self, number, pending, rng):
            return suggest(self.inner.ask(number, pending, rng).config)

    with pytest.raises(SpecError, match=f"a suggestion's {said}"):
        run(Other())  # in memory, too
    name = tmp_path.name
    with pytest.raises(SpecError, match=f"a suggestion's {said}"):
        hpo.tune(
            bowl,
            SPACE,
            metric="loss",
            num_trials=2,
            sampler=Other(),
            storage=tmp_path / "s.db",
            name=name,
            runtime="local",
        )
    assert len(hpo.load(name, storage=tmp_path / "s.db")) == 0


def test_what_a_space_packs_is_no_fault_of_a_sampler():
    space = {"x": hpo.uniform(0, 1), "f": hpo.choice([max, min]), "a": hpo.choice([np.float32(1), np.zeros(3)])}
    study = hpo.Study(space, metric="loss", sampler="random", seed=0, storage="memory")
    study.tell(study.ask(), {"loss": 1.0})


def test_a_sampler_of_a_growing_space_is_named_itself():
    class Lists(Wrapped):
        def ask(self, number, pending, rng):
            return Suggestion([self.inner.ask(number, pending, rng).config])

    def objective(trial):
        return trial.suggest_float("x", 0, 1)

    with pytest.raises(SpecError, match="ask of Lists gave"):
        hpo.tune(objective, None, metric="loss", num_trials=3, sampler=Lists(), storage="memory", runtime="local")


class Optional(Wrapped):
    """A sampler with an option.

    Args:
        k: an option.
    """

    def __init__(self, *, k=1):
        super().__init__()
        self.k = k

    def bind(self, space, goals, seed):
        bound = super().bind(space, goals, seed)
        bound.k = self.k
        return bound


class DropsItsOption(Optional):
    bind = Wrapped.bind


def test_a_bind_that_drops_an_option_is_refused_before_the_study_begins():
    storage = hpo.journal.open_storage("memory")
    said = r"bind of DropsItsOption drops its option k \(7 became 1\): pass it on, DropsItsOption\(k=self.k\)"
    with pytest.raises(SpecError, match=said):
        hpo.tune(
            bowl, SPACE, metric="loss", num_trials=1, sampler=DropsItsOption(k=7), storage=storage, runtime="local"
        )
    assert storage.studies() == []
    for sampler in (Optional(k=7), DropsItsOption()):
        run(sampler)
    testing.check_bind_is_fresh(lambda: Optional(k=7), SPACE)
    with pytest.raises(AssertionError, match=r"drops its option k \(7 became 1\)"):
        testing.check_bind_is_fresh(lambda: DropsItsOption(k=7), SPACE)


def test_what_samplers_share_in_their_class_is_memory():
    class Shares(Wrapped):
        told: ClassVar[list[int]] = []

        def ask(self, number, pending, rng):
            return Suggestion(SPACE.sample(1, derive(len(self.told), "own"))[0])

        def tell(self, trial):
            self.told.append(trial.number)

    with pytest.raises(AssertionError, match="what bind returns has learned nothing"):
        testing.check_bind_is_fresh(Shares, SPACE)


class MetaOfObjects(Wrapped):
    def ask(self, number, pending, rng):
        return Suggestion(self.inner.ask(number, pending, rng).config, meta={"o": object()})


def test_a_case_raises_nothing_but_assertion_errors_that_say_the_rule():
    class Local(Wrapped):
        """One that no pickle finds."""

    with pytest.raises(AssertionError, match="can be pickled until it is bound. It ended with"):
        testing.sampler_cases(Local)["documented"]()
    with pytest.raises(AssertionError, match="its meta survives JSON. It ended with SpecError"):
        testing.sampler_cases(MetaOfObjects)["inside-one"]()


def test_a_bind_that_raises_is_told_by_its_case_and_not_while_the_cases_are_made():
    class Raises(Wrapped):
        def bind(self, space, goals, seed):
            return super().bind(space, goals, seed) if 1 / (space.num_columns - self.no_columns) else None

    for columns in (1, 4):  # the space that every sampler is bound to first, and another one
        raising = type("Raising", (Raises,), {"no_columns": columns})
        cases = testing.sampler_cases(raising)
        with pytest.raises(AssertionError, match="ZeroDivisionError"):
            cases["is_a_sampler" if columns == 1 else "inside-flat"]()


def test_a_sampler_may_change_what_it_has_returned():
    class GoesOn(Wrapped):
        def ask(self, number, pending, rng):
            self.config = getattr(self, "config", {})
            self.config.update(super().ask(number, pending, rng).config)
            return Suggestion(self.config, meta=self.config)

    results = hpo.tune(
        bowl, SPACE, metric="loss", num_trials=4, sampler=GoesOn(), storage="memory", runtime="local", max_concurrent=1
    )
    assert [trial.config["x"] for trial in results] == [trial.metrics["loss"] for trial in results]
    assert [trial.meta for trial in results] == [trial.config for trial in results]


def test_a_loop_reports_the_losses_of_its_own_goals():
    space = Space({"x": Float(0, 1)})
    for goals in (make_goals("loss", "max"), testing.TWO_GOALS):
        trial = testing.Loop.of(lambda: hpo.samplers.PBT(max_steps=4), space, goals=goals).run(1).finished[0]
        assert [report.losses for report in trial.reports] == [trial.losses]
