"""A space that the objective makes: it grows by facts, and all of it is a function of them."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import raytune_hpo as hpo
from raytune_hpo.core.audit import audit
from raytune_hpo.core.machine import OptimizerCore
from raytune_hpo.core.messages import AskTrials, DrawParameter, EndTrial
from raytune_hpo.errors import SpaceError, SpecError, SpecMismatch
from raytune_hpo.facts import Drawn, Finished, Started, Status
from raytune_hpo.goals import make_goals
from raytune_hpo.journal import MemoryStorage
from raytune_hpo.registry import describe, make
from raytune_hpo.space.growing import domain_form, domains_of, empty_space, grown, widened
from raytune_hpo.spec import StudySpec


def conditional(trial):
    x = trial.suggest_float("x", -5, 5)
    if trial.suggest_categorical("kind", ["line", "parabola"]) == "line":
        return abs(x) + 1
    return (x - trial.suggest_float("centre", 0, 2)) ** 2


def tuned(objective, **settings):
    given = {"num_trials": 18, "runtime": "local", "storage": MemoryStorage(), "seed": 1, "max_concurrent": 1}
    return hpo.tune(objective, None, **{**given, **settings}, progress=False)


def facts_of(storage, results):
    return list(storage.read(results.name))


# ------------------------------------------------------------------------------------------------ hpo.tune(objective, None)


@pytest.mark.parametrize("sampler", ["auto", "tpe", "gp", "rf", "cmaes", "de", "sobol", "random", "nsga2", "portfolio"])
def test_every_sampler_tunes_a_space_that_the_objective_makes(sampler):
    results = tuned(conditional, sampler=sampler)
    assert results.num_by_status["completed"] == 18
    assert results.best_value < 3
    assert list(domains_of(results.spec.space)) == ["x", "kind", "centre"]


def test_a_configuration_is_what_its_trial_asked_for():
    for trial in tuned(conditional):
        assert set(trial.config) == {"x", "kind"} | ({"centre"} if trial.config["kind"] == "parabola" else set())


def test_samplers_learn_in_it():
    results = tuned(lambda t: (t.suggest_float("x", -10, 10) - 3) ** 2 + t.suggest_float("y", 0, 1), num_trials=30)
    assert results.best_value < 0.5


@pytest.mark.parametrize("sampler", ["auto", "tpe", "random"])
def test_the_same_seed_gives_the_same_study(sampler):
    first, second = tuned(conditional, sampler=sampler), tuned(conditional, sampler=sampler)
    assert [t.config for t in first] == [t.config for t in second]


@pytest.mark.parametrize("sampler", ["auto", "tpe", "random", "portfolio"])
def test_a_study_that_was_interrupted_goes_on_as_if_it_had_not_been(sampler, tmp_path):
    whole = tuned(conditional, sampler=sampler, num_trials=17)
    path = f"sqlite:///{tmp_path}/studies.db"
    tuned(conditional, sampler=sampler, num_trials=12, storage=path, name="s")
    rest = tuned(conditional, sampler=sampler, num_trials=17, storage=path, name="s")
    assert [t.config for t in rest] == [t.config for t in whole]


@pytest.mark.parametrize("sampler", ["auto", "tpe", "random", "portfolio"])
@pytest.mark.parametrize("num_workers", [1, 3])
def test_the_audit_recomputes_every_suggestion_and_every_draw(sampler, num_workers):
    storage = MemoryStorage()
    results = tuned(conditional, sampler=sampler, storage=storage, max_concurrent=num_workers)
    report = audit(facts_of(storage, results))
    assert report.is_clean, str(report)
    assert report.num_suggestions == 18


def test_the_audit_finds_a_draw_that_was_changed():
    storage = MemoryStorage()
    facts = facts_of(storage, tuned(conditional, storage=storage))
    position = next(i for i, fact in enumerate(facts) if isinstance(fact, Drawn) and fact.name == "x")
    drawn = facts[position]
    facts[position] = Drawn(
        number=drawn.number, attempt=1, name="x", domain=drawn.domain, value=drawn.value / 2, at=drawn.at
    )
    report = audit(facts)
    assert any(difference.what == "parameter 'x'" for difference in report.differences)


def test_what_is_known_needs_no_fact():
    storage = MemoryStorage()
    facts = facts_of(storage, tuned(lambda t: t.suggest_float("x", 0, 1), storage=storage))
    assert [fact.number for fact in facts if isinstance(fact, Drawn)] == [0]
    assert all(fact.asked == ["x"] for fact in facts if isinstance(fact, Finished))


def test_a_range_may_change_from_trial_to_trial():
    results = tuned(lambda t: t.suggest_float("x", 0, 1 + t.number))
    assert all(0 <= trial.config["x"] <= 1 + trial.number for trial in results)
    assert domains_of(results.spec.space)["x"].hi == 18
    narrowed = tuned(lambda t: t.suggest_int("n", 0, 20 - t.number))
    assert all(trial.config["n"] <= 20 - trial.number for trial in narrowed)


def test_a_parameter_that_changes_its_kind_fails_the_trial():
    def objective(trial):
        return trial.suggest_float("x", 0, 1) if trial.number % 2 else trial.suggest_int("x", 0, 1)

    results = tuned(objective, num_trials=4)
    assert results.num_by_status["failed"] == 2
    assert "keeps its kind" in results[1].error


def test_asked_for_twice_it_is_the_same():
    results = tuned(lambda t: t.suggest_float("x", 0, 1) - t.suggest_float("x", 0, 1), num_trials=3)
    assert [trial.metrics["loss"] for trial in results] == [0, 0, 0]


def test_points_of_the_user_come_first_and_may_be_partial():
    results = tuned(conditional, points_to_evaluate=[{"x": 0.5, "kind": "parabola"}, {"x": 1.0}], num_trials=3)
    assert results[0].config["x"] == 0.5
    assert results[0].config["kind"] == "parabola"
    assert 0 <= results[0].config["centre"] <= 2
    assert results[1].config["x"] == 1.0


def test_names_in_a_point_that_no_trial_asks_for_are_named(caplog):
    points = [{"x": 0.5, "kind": "parabola", "center": 1.0}, {"x": 1.0, "kind": "line", "centre": 2.0}]
    results = tuned(conditional, points_to_evaluate=points, num_trials=4)
    assert [record.getMessage() for record in caplog.records] == [
        "trial 0 was enqueued with 'center', which its objective has not asked for; did you mean 'centre'? "
        "known: centre, kind, x"
    ]
    assert "center" not in results[0].config


def test_a_scheduler_prunes_by_the_methods_of_optuna():
    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        for step in range(1, 10):
            trial.report(x + 1 / step, step)
            if trial.should_prune():
                raise hpo.errors.TrialPruned
        return x

    results = tuned(objective, scheduler="median", num_trials=30)
    assert results.num_by_status["pruned"] > 3
    assert results.num_by_status["completed"] > 3
    assert results.best_trial.last_step == 9


def test_notes_are_kept():
    def objective(trial):
        trial.set_user_attr("epochs", [1, 2])
        return trial.suggest_float("x", 0, 1)

    assert tuned(objective, num_trials=2)[1].notes == {"epochs": [1, 2]}


def test_several_goals():
    def objective(trial):
        x = trial.suggest_float("x", 0, 2)
        return {"a": x**2, "b": (x - 2) ** 2}

    results = tuned(objective, metric=["a", "b"], mode=["min", "min"])
    assert len(results.best_trials) > 3


def test_simulated():
    def objective(trial):
        return {"loss": trial.suggest_float("x", 0, 1), "elapsed_s": 1.0}

    results = hpo.simulate(objective, None, num_workers=4, num_trials=20, cost="elapsed_s", seed=0)
    assert results.num_by_status["completed"] == 20


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("sampler", ["grid", "pbt"])
def test_a_sampler_that_must_know_the_space_is_refused(sampler):
    with pytest.raises(SpecError, match="must know the space"):
        tuned(conditional, sampler={"name": sampler, **({"max_steps": 9} if sampler == "pbt" else {})})


def test_what_needs_a_space_says_so():
    with pytest.raises(SpecError, match="ask and tell needs a space"):
        hpo.Study(None)
    with pytest.raises(SpecError, match="instances need a space"):
        hpo.Tuner(lambda trial, instance: 1.0, None, instances=3, num_trials=2)
    with pytest.raises(SpecError, match="makes its own space"):
        tuned(conditional, num_trials=3).confirm()


def test_choices_are_plain_values():
    results = tuned(lambda t: t.suggest_categorical("x", [object()]), num_trials=1)
    assert "text, numbers, booleans or None" in results[0].error


def test_a_study_with_a_space_is_another_study(tmp_path):
    path = f"sqlite:///{tmp_path}/studies.db"
    tuned(conditional, num_trials=2, storage=path, name="s")
    with pytest.raises(SpecMismatch):
        hpo.tune(lambda c: c["x"], {"x": hpo.uniform(0, 1)}, name="s", storage=path, num_trials=3, runtime="local")


# ------------------------------------------------------------------------------------------------ the core


def spec_of(sampler="random"):
    part = describe("sampler", make("sampler", sampler))
    return StudySpec(
        name="s", space=empty_space(), goals=make_goals("loss", "min", None, None), sampler=part, grows=True, seed=3
    )


names = st.sampled_from("abcd")
domains = st.one_of(
    st.builds(hpo.Float, st.floats(-2, 0), st.floats(1, 3)),
    st.builds(lambda hi: hpo.Float(1e-3, hi, log=True), st.floats(1, 3)),
)


@settings(max_examples=25)
@given(
    st.lists(st.lists(st.tuples(names, domains), max_size=4), min_size=1, max_size=12),
    st.sampled_from(["random", "tpe"]),
)
def test_a_replay_is_the_live_state(trials, sampler):
    """Whatever is asked for, the state after a replay suggests what the live one suggests."""
    spec = spec_of(sampler)
    live, facts = OptimizerCore(spec, make("sampler", sampler)), []

    def do(kind, **settings):
        decision = live.step(kind(at=0.0, **settings))
        facts.extend(decision.facts)
        return decision.reply

    for number, asked in enumerate(trials):
        do(AskTrials, worker=f"w{number}")
        for name, domain in asked:
            parameter = do(DrawParameter, number=number, attempt=1, name=name, domain=domain_form(domain))
            assert domain.problem(parameter.value) is None
        do(
            EndTrial,
            number=number,
            attempt=1,
            status=Status.COMPLETED,
            metrics={"loss": float(number)},
            asked=list(dict.fromkeys(name for name, _ in asked)),
        )
    replayed = OptimizerCore(spec, make("sampler", sampler))
    for fact in facts:
        replayed.apply(fact)
    assert replayed.ledger.trials == live.ledger.trials
    assert replayed.ledger.spec.space == live.ledger.spec.space
    ask = AskTrials(worker="next", at=0.0)
    first, second = (core.step(ask).facts for core in (live, replayed))
    assert first == second
    assert isinstance(first[0], Started)


def test_a_draw_for_a_trial_that_has_ended_is_nobodys():
    core = OptimizerCore(spec_of(), make("sampler", "random"))
    core.step(AskTrials(worker="w", at=0.0))
    core.step(EndTrial(number=0, attempt=1, status=Status.FAILED, at=1.0))
    reply = core.step(DrawParameter(number=0, attempt=1, name="x", domain=domain_form(hpo.Float(0, 1)), at=2.0)).reply
    assert not reply.is_held


def test_a_space_grows_by_parameters_and_by_ranges():
    space = grown(empty_space(), "x", hpo.Float(0, 1))
    assert grown(space, "x", hpo.Float(0.2, 0.8)) is space
    wider = grown(space, "x", hpo.Float(-1, 0.5))
    assert domains_of(wider)["x"] == hpo.Float(-1, 1)
    assert [column.name for column in grown(wider, "n", hpo.Int(1, 3)).columns] == ["x", "n"]


def test_a_grid_stays_one_only_where_both_are():
    assert widened("n", hpo.Int(0, 10, step=5), hpo.Int(5, 20, step=5)) == hpo.Int(0, 20, step=5)
    assert widened("n", hpo.Int(0, 10, step=5), hpo.Int(1, 11, step=5)) == hpo.Int(0, 11)
    assert widened("k", hpo.Choice(["a"]), hpo.Choice(["b", "a"])).options == ("a", "b")
    with pytest.raises(SpaceError, match="keeps its kind"):
        widened("x", hpo.Float(0, 1), hpo.Choice(["a"]))


def test_a_stored_study_shows_its_space(tmp_path):
    path = f"sqlite:///{tmp_path}/studies.db"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tuned(conditional, storage=path, name="s")
        results = hpo.load("s", storage=path)
    assert set(results.to_dataframe().columns) >= {"config/x", "config/kind", "config/centre"}
    assert set(results.importances()) <= {"x", "kind", "centre"}
