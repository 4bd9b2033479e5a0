"""What scripts do around an Optuna study: pickle it, end it, read it by ids, call its objective without it."""

from __future__ import annotations

import copy
import io
import math
import pickle
import warnings

import numpy as np
import pytest

import raytune_hpo.compat.optuna as optuna
from raytune_hpo.compat.optuna import terminator
from raytune_hpo.compat.optuna.artifacts import Backoff, FileSystemArtifactStore
from raytune_hpo.compat.optuna.artifacts.exceptions import ArtifactNotFound
from raytune_hpo.compat.optuna.distributions import (
    CategoricalDistribution,
    DiscreteUniformDistribution,
    FloatDistribution,
    distribution_to_json,
    json_to_distribution,
)
from raytune_hpo.compat.optuna.exceptions import NotCarried
from raytune_hpo.compat.optuna.study import StudyDirection
from raytune_hpo.compat.optuna.trial import FixedTrial, TrialState, create_trial


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


def parabola(trial):
    return (trial.suggest_float("x", -5, 5) - 1) ** 2


def random_study(**options):
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), **options)


# ------------------------------------------------------------------------------------------------ kept and brought back


@pytest.mark.parametrize("bring_back", [lambda study: pickle.loads(pickle.dumps(study)), copy.deepcopy])
def test_a_study_in_memory_can_be_pickled_and_goes_on(bring_back):
    study = random_study()
    study.optimize(parabola, n_trials=4)
    study.set_user_attr("by", "me")
    study.trials[0]
    again = bring_back(study)
    assert again.user_attrs == {"by": "me"} and again.trials == study.trials
    again.optimize(parabola, n_trials=2)
    study.optimize(parabola, n_trials=2)
    assert [t.params for t in again.trials] == [t.params for t in study.trials] and len(again.trials) == 6


def test_a_stored_study_is_pickled_by_its_name(tmp_path):
    study = random_study(storage=f"sqlite:///{tmp_path / 'a.db'}", study_name="kept")
    study.optimize(parabola, n_trials=3)
    again = pickle.loads(pickle.dumps(study))
    again.optimize(parabola, n_trials=1)
    assert again.study_name == "kept" and len(study.trials) == 4


@pytest.mark.parametrize("url", ["sqlite:///:memory:", "sqlite://"])
def test_a_database_in_memory_is_memory(url):
    study = random_study(storage=url)
    study.optimize(parabola, n_trials=2)
    assert len(study.trials) == 2


# ------------------------------------------------------------------------------------------------ how studies end


def test_stop_belongs_into_optimize():
    with pytest.raises(RuntimeError, match="objective or a callback"):
        random_study().stop()


def test_what_fails_when_it_is_told_is_warned_about():
    study = random_study()
    with pytest.warns(UserWarning, match="is not a number"):
        assert study.tell(study.ask(), math.nan).state is TrialState.FAIL


def test_a_pruned_trial_whose_newest_report_is_no_number_has_no_value():
    study = random_study()
    trial = study.ask()
    trial.report(math.nan, step=1)
    assert study.tell(trial, state=TrialState.PRUNED).value is None


def test_a_progress_bar_names_the_best_trial(capsys):
    study = random_study()
    study.optimize(parabola, n_trials=3, show_progress_bar=True)
    shown = capsys.readouterr().err
    assert "3/3 trials" in shown and f"Best is trial {study.best_trial.number}" in shown


def test_a_study_ends_when_the_best_value_has_stood_for_long():
    evaluator = terminator.BestValueStagnationEvaluator(max_stagnation_trials=3)
    stops = terminator.TerminatorCallback(terminator.Terminator(evaluator, min_n_trials=1))
    study = random_study()
    study.optimize(lambda trial: abs(trial.number - 4), n_trials=50, callbacks=[stops])
    assert len(study.trials) == 4 + 1 + 4  # the best one, and one more than may pass


def trials_with(*values):
    made = [create_trial(value=v, params={"x": v}, distributions={"x": FloatDistribution(0, 10)}) for v in values]
    for number, trial in enumerate(made):
        trial.number = number
    return made


@pytest.mark.parametrize(("direction", "left"), [(StudyDirection.MINIMIZE, 2), (StudyDirection.MAXIMIZE, 4)])
def test_stagnation_is_counted_from_the_best_trial(direction, left):
    evaluator = terminator.BestValueStagnationEvaluator(max_stagnation_trials=4)
    assert evaluator.evaluate(trials_with(1, 2, 3), direction) == left
    with pytest.raises(ValueError, match="none has completed"):
        evaluator.evaluate([], direction)


def test_the_bound_shrinks_as_trials_come():
    rng = np.random.default_rng(0)
    trials = trials_with(*rng.uniform(0, 10, 40))
    evaluator = terminator.RegretBoundEvaluator()
    few, many = (evaluator.evaluate(trials[:n], StudyDirection.MINIMIZE) for n in (5, 40))
    assert 0 <= many <= few < math.inf
    assert evaluator.evaluate(trials[:2], StudyDirection.MINIMIZE) == math.inf


def test_the_median_of_the_first_improvements_is_an_error():
    class Falling(terminator.BaseImprovementEvaluator):
        def evaluate(self, trials, study_direction):
            return 100.0 / len(trials)

    error = terminator.MedianErrorEvaluator(Falling(), warm_up_trials=1, n_initial_trials=3, threshold_ratio=0.1)
    assert error.evaluate(trials_with(1, 2, 3), StudyDirection.MINIMIZE) < 0  # nothing is below it yet
    assert error.evaluate(trials_with(1, 2, 3, 4), StudyDirection.MINIMIZE) == pytest.approx(0.1 * 100 / 3)


def test_parts_of_ones_own_are_asked_with_trials_and_direction():
    asked = []

    class Mine(terminator.BaseErrorEvaluator):
        def evaluate(self, trials, study_direction):
            asked.append((len(trials), study_direction))
            return math.inf

    study = random_study(direction="maximize")
    end = terminator.Terminator(error_evaluator=Mine(), min_n_trials=5)
    study.optimize(parabola, n_trials=9, callbacks=[terminator.TerminatorCallback(end)])
    assert asked == [(5, StudyDirection.MAXIMIZE)] and len(study.trials) == 5
    with pytest.raises(NotCarried, match="RegretBoundEvaluator"):
        terminator.EMMREvaluator()


def test_a_search_over_folds_notes_their_scores_for_a_terminator():
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    study = random_study(direction="maximize")
    search = optuna.integration.OptunaSearchCV(
        linear_model.Ridge(), {"alpha": FloatDistribution(1e-3, 10, log=True)}, cv=3, n_trials=3, study=study
    )
    search.fit(X, X[:, 0] + rng.normal(size=60))
    error = terminator.CrossValidationErrorEvaluator().evaluate(study.trials, study.direction)
    assert 0 < error < 1


# ------------------------------------------------------------------------------------------------ read by ids


def test_a_sampler_of_ones_own_reads_and_notes_by_ids():
    class Counting(optuna.samplers.BaseSampler):
        def sample_independent(self, study, trial, param_name, param_distribution):
            storage = study._storage
            done = storage.get_n_trials(study._study_id, state=TrialState.COMPLETE)
            storage.set_trial_system_attr(trial._trial_id, "seen", done)
            assert storage.get_trial(trial._trial_id).state is TrialState.RUNNING
            return float(done)

    study = optuna.create_study(sampler=Counting())
    study.optimize(parabola, n_trials=3)
    assert [t.params["x"] for t in study.trials] == [0, 1, 2]
    assert [t.system_attrs["seen"] for t in study._storage.get_all_trials(study._study_id)] == [0, 1, 2]
    assert study._storage.get_best_trial(study._study_id) == study.best_trial
    with pytest.raises(KeyError, match="no trial 7"):
        study._storage.get_trial(7)


def test_another_study_in_the_same_place():
    study = random_study(study_name="one")
    random_study(study_name="other", storage=study._storage)
    assert sorted(optuna.get_all_study_names(study._storage)) == ["one", "other"]


def test_several_threads_seed_a_sampler_of_ones_own_again():
    class Mine(optuna.samplers.RandomSampler):
        num = 0

        def reseed_rng(self):
            Mine.num += 1

    optuna.create_study(sampler=Mine()).optimize(parabola, n_trials=2, n_jobs=2)
    assert Mine.num == 1


# ------------------------------------------------------------------------------------------------ without a study


def test_a_fixed_trial_warns_of_numbers_outside_and_refuses_other_choices():
    trial = FixedTrial({"x": 20.0, "kind": "a"})
    with pytest.warns(UserWarning, match="lies outside"):
        assert parabola(trial) == 19**2
    with pytest.raises(ValueError, match="not one of"):
        trial.suggest_categorical("kind", ["b", "c"])
    assert trial.datetime_start is not None


@pytest.mark.parametrize("make", [lambda: FixedTrial({}), lambda: create_trial(value=1), lambda: random_study().ask()])
def test_a_constraint_is_set_once(make):
    trial = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trial.set_constraint("cost", 1.5)
    with pytest.warns(UserWarning, match="has been set already"):
        trial.set_constraint("cost", 2.5)
    with pytest.raises(ValueError, match="nan"):
        trial.set_constraint("other", math.nan)
    assert trial.constraints == {"cost": 1.5}


def test_trials_are_made_with_constraints():
    assert create_trial(value=1, constraints={"cost": 2}).constraints == {"cost": 2.0}


@pytest.mark.parametrize("distribution", [CategoricalDistribution([math.nan, None, "a"]), FloatDistribution(0, 1)])
def test_distributions_survive_their_json(distribution):
    assert json_to_distribution(distribution_to_json(distribution)) == distribution


def test_decimal_steps():
    assert not FloatDistribution(0.7, 0.8, step=0.1).single()
    assert FloatDistribution(0.7, 0.75, step=0.1).single()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert DiscreteUniformDistribution(0, 1, q=0.25).q == 0.25


@pytest.mark.parametrize("patience", [0, 1])
def test_a_patient_pruner_passes_over_what_is_no_number(patience):
    pruner = optuna.pruners.PatientPruner(None, patience=patience)
    study = optuna.create_study(pruner=pruner)
    trial = study.ask()
    for step, value in enumerate([math.nan, 1.0, math.nan]):
        trial.report(value, step)
        assert not trial.should_prune()


def test_a_value_is_a_number_and_a_name_is_a_text():
    with pytest.raises(ValueError, match=r"got \[nan\]; a trial without one has failed"):
        create_trial(value=math.nan)
    with pytest.raises(TypeError, match=r"the name of a parameter is a text, got 3; write str\(3\)"):
        random_study().ask().suggest_float(3, 0, 1)


def test_a_fixed_trial_keeps_the_kind_of_a_parameter():
    trial = FixedTrial({"x": 1.5})
    trial.suggest_float("x", 0, 2)
    with pytest.raises(ValueError, match="a parameter keeps its kind"):
        trial.suggest_int("x", 0, 2)


def test_crossovers_and_mutations_are_taken_and_named_in_a_warning():
    crossover, mutation = optuna.samplers.nsgaii.UniformCrossover(), optuna.samplers.nsgaii.PolynomialMutation()
    with pytest.warns(UserWarning, match="no effect of crossover, mutation on the sampler"):
        sampler = optuna.samplers.NSGAIISampler(crossover=crossover, mutation=mutation, seed=0)
    optuna.create_study(sampler=sampler).optimize(parabola, n_trials=2)
    with pytest.raises(NotCarried, match="BaseSampler"):
        optuna.samplers.BaseGASampler(4)


# ------------------------------------------------------------------------------------------------ artifacts


class Flaky(FileSystemArtifactStore):
    left = 2

    def write(self, artifact_id, content_body):
        content_body.read()
        if self.left:
            self.left -= 1
            raise OSError("later")
        content_body.seek(0)
        super().write(artifact_id, content_body)


def test_a_store_that_fails_is_asked_again(tmp_path):
    store = Backoff(Flaky(tmp_path), min_delay=0.001)
    store.write("a", io.BytesIO(b"hello"))
    assert store.open_reader("a").read() == b"hello"
    with pytest.raises(ArtifactNotFound):
        store.open_reader("b")
    never = Flaky(tmp_path)
    never.left = 9
    with pytest.raises(OSError, match="later"):
        Backoff(never, max_retries=3, min_delay=0.001).write("c", io.BytesIO(b""))


def searched(**options):
    from sklearn.svm import SVC

    space = {"C": optuna.distributions.FloatDistribution(0.1, 10, log=True)}
    return optuna.integration.OptunaSearchCV(SVC(), space, **{"n_trials": 2, "cv": 2, "random_state": 0, **options})


def test_a_search_is_an_estimator_with_the_results_of_its_trials():
    from sklearn.base import clone, is_classifier
    from sklearn.exceptions import NotFittedError

    X = np.random.default_rng(0).normal(size=(40, 2))
    y = (X[:, 0] > 0).astype(int)
    search = searched(subsample=0.5)
    with pytest.raises(NotFittedError):
        search.predict(X)
    search.fit(X, y, sample_weight=np.ones(40))  # as many as there are rows, of which half are measured
    assert is_classifier(search) and clone(search).get_params()["n_trials"] == 2
    assert {"mean_test_score", "split0_test_score", "split1_test_score"} <= set(search.cv_results_)
    search.set_user_attr("by", "me")
    assert search.user_attrs_ == {"by": "me"} and len(search.trials_dataframe()) == search.n_trials_ == 2
    with pytest.raises(NotFittedError, match="refit=True"):
        searched(refit=False).fit(X, y).predict(X)


def test_a_search_refuses_what_it_would_get_wrong():
    X, y = np.zeros((8, 1)), np.arange(8) % 2
    with pytest.raises(ValueError, match="scores are maximised"):
        searched(study=optuna.create_study(direction="minimize")).fit(X, y)
    with pytest.warns(UserWarning, match="no effect of enable_pruning"):
        searched(enable_pruning=True).fit(X, y)


def test_an_attribute_takes_the_place_of_an_object(tmp_path):
    study = optuna.create_study()
    trial = study.ask()
    for value, read in ((b"bytes", b"bytes"), (1, 1), ({1, 2}, [1, 2]), (b"again", b"again")):
        for of in (study, trial):
            of.set_user_attr("k", value)
        assert study.user_attrs == study.trials[0].user_attrs == {"k": read}
    stored = optuna.create_study(storage=f"sqlite:///{tmp_path}/s.db")
    with pytest.raises(TypeError, match="is kept as JSON, got b'bytes'"):
        stored.set_user_attr("k", b"bytes")
