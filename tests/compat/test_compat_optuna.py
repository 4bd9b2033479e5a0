"""Scripts written for Optuna, after one import line was changed: studies, trials, and what becomes of them."""

from __future__ import annotations

import datetime
import logging
import math
import threading
import time

import pytest

import raytune_hpo as hpo
import raytune_hpo.compat.optuna as optuna
from raytune_hpo.compat.optuna.distributions import FloatDistribution, IntDistribution
from raytune_hpo.compat.optuna.trial import FixedTrial, TrialState, create_trial


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


def objective(trial):
    x = trial.suggest_float("x", -10, 10)
    return (x - 2) ** 2


def study_of(seed=0, **settings):
    return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), **settings)


# ------------------------------------------------------------------------------------------------ studies


def test_a_first_script():
    study = study_of()
    study.optimize(objective, n_trials=40)
    assert study.best_value < 0.5
    assert study.best_params == {"x": pytest.approx(2, abs=0.8)}
    assert [trial.number for trial in study.trials] == list(range(40))
    assert study.best_trial.state is TrialState.COMPLETE
    assert isinstance(study.best_trial.duration, datetime.timedelta)
    assert study.direction is optuna.study.StudyDirection.MINIMIZE


def test_the_same_seed_gives_the_same_study():
    one, other = study_of(), study_of()
    one.optimize(objective, n_trials=25)
    other.optimize(objective, n_trials=25)
    assert [t.params for t in one.trials] == [t.params for t in other.trials]


def test_maximising():
    study = study_of(direction="maximize")
    study.optimize(lambda t: -objective(t), n_trials=30)
    assert study.best_value == max(t.value for t in study.trials)


def test_directions_are_checked():
    with pytest.raises(ValueError, match="exclude each other"):
        optuna.create_study(direction="minimize", directions=["minimize"])
    with pytest.raises(ValueError, match="minimize"):
        optuna.create_study(direction=["minimize", "maximize"])
    assert optuna.create_study(direction=optuna.study.StudyDirection.MAXIMIZE).directions == [2]


def test_the_defaults_are_named():
    study = optuna.create_study()
    assert type(study.sampler).__name__ == "TPESampler"
    assert type(study.pruner).__name__ == "MedianPruner"


def test_several_goals():
    def two(trial):
        x = trial.suggest_float("x", 0, 2)
        return x**2, (x - 2) ** 2

    study = optuna.create_study(directions=["minimize", "minimize"])
    study.optimize(two, n_trials=30)
    assert len(study.best_trials) > 3
    assert len(study.trials[0].values) == 2
    with pytest.raises(RuntimeError):
        _ = study.best_trial
    trial = study.ask()
    for call in (trial.should_prune, lambda: trial.report(1.0, 1)):
        with pytest.raises(NotImplementedError):
            call()


def test_nothing_completed_has_no_best():
    with pytest.raises(ValueError, match="completed"):
        _ = optuna.create_study().best_trial


# ------------------------------------------------------------------------------------------------ optimize


def test_an_exception_fails_the_trial_and_leaves():
    study = study_of()
    with pytest.raises(ZeroDivisionError):
        study.optimize(lambda t: 1 / 0, n_trials=3)
    assert [t.state for t in study.trials] == [TrialState.FAIL]
    study.optimize(lambda t: 1 / 0, n_trials=2, catch=ZeroDivisionError)
    assert len(study.trials) == 3
    with pytest.raises(TypeError):
        study.optimize(objective, n_trials=1, catch=("x",))


@pytest.mark.parametrize("pruned", [optuna.TrialPruned, optuna.exceptions.TrialPruned("late")])
def test_pruning_never_leaves(pruned):
    def hopeless(trial):
        trial.report(3.0, 1)
        raise pruned

    study = study_of()
    study.optimize(hopeless, n_trials=2)
    assert [(t.state, t.value) for t in study.trials] == [(TrialState.PRUNED, 3.0)] * 2


@pytest.mark.parametrize("value", [None, math.nan, "much", (1.0, 2.0)])
def test_what_is_no_value_fails_the_trial_only(value):
    study = study_of()
    study.optimize(lambda t: value, n_trials=2)
    assert [t.state for t in study.trials] == [TrialState.FAIL] * 2


def test_infinity_is_a_value():
    study = study_of()
    study.optimize(lambda t: math.inf if t.number else 1.0, n_trials=12)
    assert study.trials[1].value == math.inf
    assert study.best_value == 1.0


def test_what_is_no_callback_is_refused_before_a_trial_runs(tmp_path):
    study = optuna.create_study()
    logger = hpo.integrations.tensorboard.Logger(tmp_path)
    for callbacks, words in [
        ([logger], r"got the logger .*raytune_hpo.integrations.record\(study.study_name, logger"),
        ([print, 3], "got 3 among them"),
        (print, r"write \[...\] around it"),
    ]:
        with pytest.raises(TypeError, match=words):
            study.optimize(lambda trial: 1.0, n_trials=1, callbacks=callbacks)
    assert not study.trials


def test_callbacks_follow_each_trial_and_may_stop():
    seen = []

    def stop_at_third(study, trial):
        seen.append((trial.number, trial.state))
        if trial.number == 2:
            study.stop()

    study = study_of()
    study.optimize(lambda t: t.number if t.number != 1 else None, n_trials=10, callbacks=[stop_at_third])
    assert seen == [(0, TrialState.COMPLETE), (1, TrialState.FAIL), (2, TrialState.COMPLETE)]


def test_a_timeout_ends_between_trials():
    study = study_of()
    study.optimize(lambda t: time.sleep(0.05) or t.suggest_float("x", 0, 1), timeout=0.2)
    assert 2 <= len(study.trials) <= 6
    assert all(t.state is TrialState.COMPLETE for t in study.trials)


def test_threads_share_what_the_objective_closes_over():
    names, lock = set(), threading.Lock()

    def noting(trial):
        time.sleep(0.01)
        with lock:
            names.add(threading.current_thread().name)
        return objective(trial)

    study = study_of()
    study.optimize(noting, n_trials=20, n_jobs=3)
    assert len(study.trials) == 20
    assert len(names) > 1


@pytest.mark.parametrize("n_jobs", [0, -2])
def test_without_a_trial_at_a_time_there_is_nothing_to_run(n_jobs):
    study = study_of()
    with pytest.raises(ValueError, match=f"n_jobs is how many trials run at a time.*got {n_jobs}"):
        study.optimize(objective, n_trials=1, n_jobs=n_jobs)
    assert study.trials == []


def test_an_exception_leaves_threads_too():
    with pytest.raises(ZeroDivisionError):
        study_of().optimize(lambda t: 1 / 0, n_trials=10, n_jobs=2)


def test_optimize_inside_an_objective_is_refused():
    study = study_of()
    with pytest.raises(RuntimeError, match="inside an objective"):
        study.optimize(lambda t: study.optimize(objective, n_trials=1), n_trials=1)


# ------------------------------------------------------------------------------------------------ suggesting


def test_suggest_keeps_its_ranges():
    def ranges(trial):
        assert trial.suggest_int("n", 1, 5) in range(1, 6)
        assert trial.suggest_int("even", 0, 10, step=2) % 2 == 0
        assert 1 <= trial.suggest_int("log", 1, 100, log=True) <= 100
        assert trial.suggest_float("quarter", 0, 1, step=0.25) in (0, 0.25, 0.5, 0.75, 1)
        assert trial.suggest_categorical("c", ["a", None, 1, 2.5, True]) in ("a", None, 1, 2.5, True)
        assert trial.suggest_float("one", 3, 3) == 3
        return trial.suggest_float("x", 1e-5, 1, log=True)

    study = study_of()
    study.optimize(ranges, n_trials=30)
    assert list(study.trials[0].params) == ["n", "even", "log", "quarter", "c", "one", "x"]
    assert study.trials[0].distributions["even"] == IntDistribution(0, 10, step=2)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.suggest_float("x", 1, 0),
        lambda t: t.suggest_float("x", 0, 1, log=True),
        lambda t: t.suggest_float("x", 1, 2, log=True, step=0.1),
        lambda t: t.suggest_int("x", 0, 5, log=True),
        lambda t: t.suggest_int("x", 0, 5, step=0),
        lambda t: t.suggest_categorical("x", []),
    ],
)
def test_a_range_that_is_none_is_refused(call):
    with pytest.raises(ValueError):
        call(optuna.create_study().ask())


def test_arguments_after_high_have_names():
    with pytest.raises(TypeError):
        optuna.create_study().ask().suggest_float("x", 0, 1, 0.5)


def test_the_high_end_is_lowered_to_the_grid():
    with pytest.warns(UserWarning, match="ends at 0.9"):
        assert FloatDistribution(0, 1, step=0.3).high == pytest.approx(0.9)
    with pytest.warns(UserWarning, match="ends at 9"):
        assert IntDistribution(0, 10, step=3).high == 9


def test_asked_for_again_it_is_the_same():
    trial = optuna.create_study().ask()
    x = trial.suggest_float("x", 0, 1)
    assert trial.suggest_float("x", 0, 1) == x
    with pytest.warns(UserWarning, match="two ranges"):
        assert trial.suggest_float("x", 0, 2) == x
    with pytest.raises(ValueError, match="keeps its kind"):
        trial.suggest_int("x", 0, 1)


def test_choices_may_be_objects_in_memory():
    class Optimiser:
        pass

    objects = [Optimiser(), Optimiser()]
    study = study_of()
    with pytest.warns(UserWarning, match="by its place"):
        study.optimize(lambda t: objects.index(t.suggest_categorical("o", objects)), n_trials=12)
    assert study.best_params["o"] is objects[0] or isinstance(study.best_params["o"], Optimiser)
    assert study.best_value == 0


def test_a_range_may_change_from_trial_to_trial():
    study = study_of()
    study.optimize(lambda t: t.suggest_int("n", 0, t.number), n_trials=20)
    assert all(t.params["n"] <= t.number for t in study.trials)
    assert study.trials[7].distributions["n"] == IntDistribution(0, 7)


def test_choices_may_not_change_from_trial_to_trial():
    study = study_of()
    with pytest.raises(ValueError, match="keeps its choices"):
        study.optimize(lambda t: len(t.suggest_categorical("c", ["a", "b", "c"][: 3 - t.number])), n_trials=2)


def test_reports():
    trial = optuna.create_study().ask()
    trial.report(1, 0)
    with pytest.warns(UserWarning, match="left out"):
        trial.report(2, 0)
    trial.report(5.0, 7)
    trial.report(4.0, 3)  # instances come in any order
    for error, args in ((ValueError, (1.0, -1)), (TypeError, ("much", 1)), (TypeError, (1.0, "x"))):
        with pytest.raises(error):
            trial.report(*args)
    frozen = trial.study.trials[0]
    assert frozen.intermediate_values == {0: 1.0, 7: 5.0, 3: 4.0}
    assert frozen.last_step == 7


# ------------------------------------------------------------------------------------------------ ask and tell


def test_ask_and_tell():
    study = study_of()
    for _ in range(5):
        trial = study.ask()
        study.tell(trial, objective(trial))
    study.tell(study.ask({"x": FloatDistribution(-10, 10)}).number, state=TrialState.FAIL)
    batch = [study.ask() for _ in range(3)]
    for trial in batch:
        study.tell(trial, objective(trial))
    assert [t.state for t in study.trials].count(TrialState.COMPLETE) == 8
    assert study.trials[5].params.keys() == {"x"}


def test_told_twice():
    study = study_of()
    trial = study.ask()
    study.tell(trial, 1.0)
    with pytest.raises(ValueError, match="ended already"):
        study.tell(trial, 2.0)
    assert study.tell(trial, 2.0, skip_if_finished=True).value == 1.0
    with pytest.raises(ValueError):
        study.tell(99, 1.0)


def test_values_go_with_states():
    study = study_of()
    trial = study.ask()
    with pytest.raises(ValueError):
        study.tell(trial, 1.0, state=TrialState.PRUNED)
    with pytest.raises(ValueError):
        study.tell(trial, "much", state=TrialState.COMPLETE)
    assert study.tell(trial).state is TrialState.FAIL


def test_enqueued_trials_come_first_and_in_order():
    study = study_of()
    study.enqueue_trial({"x": 1.0}, user_attrs={"from": "me"})
    study.enqueue_trial({"x": 20.0})
    study.enqueue_trial({"x": 1.0}, skip_if_exists=True)
    assert [t.state for t in study.trials] == [TrialState.WAITING] * 2
    with pytest.warns(UserWarning, match="lies outside"):
        study.optimize(lambda t: objective(t) + t.suggest_int("n", 0, 3), n_trials=3)
    assert [t.params["x"] for t in study.trials[:2]] == [1.0, 20.0]
    assert study.trials[0].user_attrs == {"from": "me"}
    assert study.trials[0].system_attrs == {"fixed_params": {"x": 1.0}} and study.trials[2].system_attrs == {}
    study.optimize(lambda t: objective(t) + t.suggest_int("n", 0, 3), n_trials=12)


def test_trials_run_elsewhere_are_added_and_learned_from():
    study = study_of()
    for x in (1.0, 2.0, 3.0):
        study.add_trial(
            create_trial(
                params={"x": x},
                distributions={"x": FloatDistribution(-10, 10)},
                value=(x - 2) ** 2,
                user_attrs={"old": True},
                intermediate_values={1: x},
            )
        )
    assert study.best_params == {"x": 2.0}
    assert study.trials[0].user_attrs == {"old": True}
    study.optimize(objective, n_trials=20)
    assert len(study.trials) == 23
    with pytest.raises(ValueError):
        study.add_trial(create_trial(params={"x": 20.0}, distributions={"x": FloatDistribution(0, 1)}, value=1.0))


def test_fixed_trials_need_no_study():
    assert objective(FixedTrial({"x": 4.0})) == 4.0
    with pytest.raises(ValueError):
        objective(FixedTrial({"y": 4.0}))


# ------------------------------------------------------------------------------------------------ results


def test_the_table():
    study = study_of()
    study.set_user_attr("who", "me")

    def noting(trial):
        trial.set_user_attr("twice", 2 * trial.number)
        return objective(trial)

    study.optimize(noting, n_trials=3)
    frame = study.trials_dataframe()
    expected = [
        "number",
        "value",
        "datetime_start",
        "datetime_complete",
        "duration",
        "params_x",
        "user_attrs_twice",
        "state",
    ]
    assert list(frame.columns) == expected
    assert list(frame.state) == ["COMPLETE"] * 3
    assert list(study.trials_dataframe(attrs=("number", "value")).columns) == ["number", "value"]
    assert study.user_attrs == {"who": "me"}


def test_columns_of_parameters_attributes_and_steps_stand_in_order():
    study = optuna.create_study(directions=["minimize", "maximize"])
    study.set_metric_names(["z", "a"])
    study.optimize(lambda trial: (trial.suggest_float("y", 0, 1), trial.suggest_float("b", 0, 1)), n_trials=1)
    assert list(study.trials_dataframe(attrs=("values", "params")).columns) == [
        "values_z",
        "values_a",
        "params_b",
        "params_y",
    ]
    study = study_of()
    study.optimize(lambda trial: [trial.report(1, step) for step in (10, 9)] and 1, n_trials=1)
    frame = study.trials_dataframe(attrs=("number", "intermediate_values"), multi_index=True)
    assert list(frame.columns) == [("number", ""), ("intermediate_values", 9), ("intermediate_values", 10)]


def test_trials_are_copies_and_filtered():
    study = study_of()
    study.optimize(objective, n_trials=3)
    study.trials[0].params["x"] = 99
    assert study.trials[0].params["x"] != 99
    study.optimize(objective, n_trials=1, callbacks=[lambda study, trial: trial.params.clear()])
    trial = study.ask()
    for owner in (study, trial):
        owner.set_user_attr("curve", [1])
        owner.user_attrs["curve"].append(2)
        assert owner.user_attrs["curve"] == [1]
    study.tell(trial, 1.0).user_attrs["curve"].append(2)
    trial.user_attrs["curve"].append(2)
    assert study.trials[3].params.keys() == {"x"} and study.trials[4].user_attrs == {"curve": [1]}
    assert study.get_trials(deepcopy=False, states=(TrialState.FAIL,)) == []
    assert "FrozenTrial(number=0" in repr(study.trials[0])


def test_constraints():
    def func(trial):
        return (5 - trial.params["x"],)  # x >= 5

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0, constraints_func=func))
    study.optimize(objective, n_trials=60)
    assert study.best_params["x"] >= 5
    assert study.best_value < 16
    assert study.trials[0].system_attrs["constraints"] == [5 - study.trials[0].params["x"]]


def test_constraints_may_be_set_by_name():
    def objective_with(trial):
        x = trial.suggest_float("x", 0, 10)
        trial.set_constraint("least", 5 - x)
        return x

    study = study_of()
    with pytest.warns(UserWarning, match="does not learn from"):
        study.optimize(objective_with, n_trials=20)
    assert study.best_params["x"] >= 5
    assert study.best_trial.constraints == {"least": 5 - study.best_value}
    with pytest.raises(TypeError):
        study.ask().set_constraint("least", "much")


def test_logs_say_what_happened(caplog, capsys):
    optuna.logging.set_verbosity(optuna.logging.INFO)
    handler = logging.Handler()
    said = []
    handler.emit = lambda record: said.append(record.getMessage())
    optuna.logging.get_logger("optuna").addHandler(handler)
    study = optuna.create_study()
    study.optimize(objective, n_trials=1)
    optuna.logging.get_logger("optuna").removeHandler(handler)
    assert any("A new study created in memory" in text for text in said)
    assert any("Trial 0 finished with value" in text and "Best is trial 0" in text for text in said)
    assert "Trial 0 finished" in capsys.readouterr().err


def test_a_layer_costs_less_than_a_millisecond_a_trial():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("y", 0, 1), n_trials=50)
    begin = time.process_time()
    study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("y", 0, 1), n_trials=300)
    assert (time.process_time() - begin) / 300 < 2e-3  # measured: see docs; twice as much on a busy machine
