"""Optuna's samplers, pruners and storages by their names."""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import sqlite3
import time
import warnings

import numpy as np
import pytest

import raytune_hpo.compat.optuna as optuna
from raytune_hpo.compat.optuna.distributions import FloatDistribution
from raytune_hpo.compat.optuna.exceptions import DuplicatedStudyError, NotCarried, OptunaError, StorageInternalError
from raytune_hpo.compat.optuna.trial import TrialState, create_trial
from raytune_hpo.core.audit import audit

S, P = optuna.samplers, optuna.pruners


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


def objective(trial):
    x, y = trial.suggest_float("x", -5, 5), trial.suggest_int("y", -3, 3)
    return (x - 1) ** 2 + y**2


# ------------------------------------------------------------------------------------------------ samplers


@pytest.mark.parametrize(
    "sampler",
    [
        S.RandomSampler(seed=1),
        S.TPESampler(seed=1, n_startup_trials=5, multivariate=True, constant_liar=True),
        S.CmaEsSampler(seed=1, x0={"x": 0.0, "y": 1}),
        S.GPSampler(seed=1),
        S.NSGAIISampler(seed=1, population_size=8),
        S.QMCSampler(seed=1, scramble=True),
        S.AutoSampler(seed=1),
        S.PartialFixedSampler({"y": 0}, S.TPESampler(seed=1)),
    ],
    ids=str,
)
def test_samplers_by_name(sampler):
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=15)
    assert study.best_value < 12
    assert all(set(t.params) == {"x", "y"} for t in study.trials)
    if isinstance(sampler, S.PartialFixedSampler):
        assert {t.params["y"] for t in study.trials} == {0}


def test_what_means_nothing_here_is_named():
    with pytest.warns(UserWarning, match="no effect of gamma on"):
        S.TPESampler(gamma=lambda n: 3)


def test_a_grid_is_walked_once_and_stops_the_study():
    study = optuna.create_study(sampler=S.GridSampler({"x": [-1.0, 0.0, 1.0], "y": [-1, 1]}, seed=0))
    study.optimize(objective)
    assert sorted((t.params["x"], t.params["y"]) for t in study.trials) == [
        (x, y) for x in (-1.0, 0.0, 1.0) for y in (-1, 1)
    ]


def test_a_grid_goes_on_with_a_sampler_of_another_seed(tmp_path):
    grid = {"x": [-1.0, 0.0, 1.0], "y": [-1, 0, 1]}
    for seed, n_trials in ((1, 4), (2, None)):
        study = optuna.create_study(
            storage=f"sqlite:///{tmp_path}/grid.db",
            study_name="grid",
            sampler=S.GridSampler(grid, seed=seed),
            load_if_exists=True,
        )
        if seed == 1:
            study.enqueue_trial({"x": 0.5, "y": 0})  # is no point of the grid, and takes none
        study.optimize(objective, n_trials=n_trials)
    points = [(t.params["x"], t.params["y"]) for t in study.trials]
    assert points[0] == (0.5, 0) and len(points) == 10 == len(set(points))


@pytest.mark.parametrize("sampler", [S.RandomSampler, S.TPESampler])
def test_a_sampler_goes_on_from_study_to_study(sampler):
    def found(sampler):
        study = optuna.create_study(sampler=sampler)
        study.optimize(objective, n_trials=2)
        return study.best_params

    one, other = sampler(seed=1), sampler(seed=1)
    assert [found(one) for _ in range(3)] == [found(other) for _ in range(3)]
    assert found(one) != found(sampler(seed=1))


def test_brute_force_walks_through_what_the_objective_makes():
    def tree(trial):
        if trial.suggest_categorical("kind", ["a", "b"]) == "a":
            return trial.suggest_int("n", 0, 2)
        return trial.suggest_float("f", 0, 1, step=0.5)

    study = optuna.create_study(sampler=S.BruteForceSampler(seed=0))
    study.optimize(tree)
    assert len(study.trials) == 6
    assert len({tuple(t.params.items()) for t in study.trials}) == 6
    with pytest.raises(ValueError, match="finite"):
        optuna.create_study(sampler=S.BruteForceSampler()).optimize(objective, n_trials=1)


class Hill(S.BaseSampler):
    """A script's own sampler: steps from the best trial."""

    def __init__(self):
        self.fallback = S.RandomSampler(seed=0)
        self.ended = []

    def infer_relative_search_space(self, study, trial):
        return optuna.search_space.intersection_search_space(study.get_trials(deepcopy=False))

    def sample_relative(self, study, trial, search_space):
        assert study.trials[-1].number == trial.number
        if not search_space:
            return {}
        best = study.best_trial.params
        return {name: min(d.high, max(d.low, best[name] + trial.number % 3 - 1)) for name, d in search_space.items()}

    def sample_independent(self, study, trial, param_name, param_distribution):
        return self.fallback.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study, trial, state, values):
        self.ended.append((trial.number, state, values))


def test_a_sampler_of_the_scripts_own():
    study = optuna.create_study(sampler=Hill())
    study.optimize(objective, n_trials=20)
    assert study.best_value < study.trials[0].value
    assert study.sampler.ended[0] == (0, TrialState.COMPLETE, [study.trials[0].value])


def test_a_grid_beside_the_range_is_used_with_a_warning():
    study = optuna.create_study(sampler=S.GridSampler({"x": [5.0, 0.5]}, seed=0))
    with pytest.warns(UserWarning, match=r"the grid has x=5.0, which lies outside FloatDistribution"):
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert sorted(trial.params["x"] for trial in study.trials) == [0.5, 5.0]
    with pytest.raises(ValueError, match="there is none for 'y', the grid has x"):
        study.optimize(lambda trial: trial.suggest_float("y", 0, 1), n_trials=1)
    study.enqueue_trial({"z": 1.0})
    with pytest.raises(ValueError, match="an enqueued trial all of its own; there is none for 'x'"):
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)


@pytest.mark.parametrize(("inherits", "reports"), [(True, {0: 0.5, 3: math.inf}), (False, {})])
def test_a_trial_that_is_tried_again_may_begin_with_the_reports_of_the_one_before(inherits, reports):
    study = optuna.create_study(sampler=S.RandomSampler(seed=0))
    trial = study.ask()
    x = trial.suggest_float("x", 0, 1)
    trial.report(0.5, 0)
    trial.report(math.inf, 3)
    failed = study.tell(trial, state=TrialState.FAIL)
    optuna.storages.RetryFailedTrialCallback(inherit_intermediate_values=inherits)(study, failed)
    assert study.trials[1].intermediate_values == reports
    again = study.ask()
    assert (again.suggest_float("x", 0, 1), study.trials[1].intermediate_values) == (x, reports)
    again.report(0.25, 4)
    assert study.tell(again, 0.25).intermediate_values == {**reports, 4: 0.25}
    study.add_trial(create_trial(state=TrialState.WAITING, intermediate_values={7: 1.0}))
    assert study.trials[2].intermediate_values == {7: 1.0}


def test_warm_starting():
    source = optuna.create_study(sampler=S.CmaEsSampler(seed=0))
    source.optimize(objective, n_trials=20)
    study = optuna.create_study(sampler=S.CmaEsSampler(source_trials=source.trials, seed=0))
    study.optimize(objective, n_trials=5)
    assert study.trials[0].params == source.best_params


def test_warm_starting_begins_with_what_is_best_in_the_new_study():
    source = optuna.create_study(direction="maximize", sampler=S.RandomSampler(seed=0))
    source.optimize(objective, n_trials=20)
    sampler = S.PartialFixedSampler({"y": 0}, S.CmaEsSampler(source_trials=source.trials, seed=0))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=1)
    assert study.trials[0].params == {**source.best_params, "y": 0}
    with pytest.raises(ValueError, match="source_trials takes the place of x0 and sigma0"):
        S.CmaEsSampler(source_trials=source.trials, sigma0=0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: S.QMCSampler(qmc_type="foo"), "qmc_type 'foo'"),
        (lambda: S.NSGAIISampler(population_size=1), "population_size >= 2, got population_size=1"),
        (lambda: S.NSGAIISampler(population_size=2, crossover=S.nsgaii.SPXCrossover()), "population_size >= 3"),
        (lambda: S.NSGAIISampler(mutation_prob=2), "0 <= mutation_prob <= 1"),
        (lambda: S.NSGAIIISampler(crossover_prob=-0.1), "NSGAIIISampler needs 0 <= crossover_prob"),
        (lambda: S.NSGAIISampler(swapping_prob=1.1), "0 <= swapping_prob <= 1"),
        (lambda: S.NSGAIISampler(crossover="sbx"), "BaseCrossover of samplers.nsgaii as its crossover, got 'sbx'"),
        (lambda: S.NSGAIISampler(mutation=S.nsgaii.SBXCrossover()), "BaseMutation of samplers.nsgaii"),
    ],
)
def test_options_that_optuna_refuses_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_options_of_former_releases_by_position():
    sampler = S.TPESampler(True, 1.0, True, False, 3, 24, None, None, 7)
    assert (sampler.seed, sampler.options()["n_initial"]) == (7, 3)
    with pytest.raises(TypeError):
        S.NSGAIIISampler(populations=4)


def test_studies_are_audited_like_others():
    def changing(trial):
        x = trial.suggest_float("x", -1 - trial.number % 3, 5)
        trial.report(x, 0)
        if trial.should_prune():
            raise optuna.TrialPruned
        return x**2 if trial.suggest_categorical("c", [None, "b"]) else trial.suggest_int("n", 0, 9, step=3)

    for sampler in (S.TPESampler(seed=1, constraints_func=lambda t: (t.params["x"] - 4,)), Hill()):
        study = optuna.create_study(sampler=sampler)
        study.enqueue_trial({"x": 9.0, "c": "b"})
        study.add_trial(create_trial(params={"x": 0.5}, distributions={"x": FloatDistribution(0, 1)}, value=1.0))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # 9.0 lies outside
            study.optimize(changing if sampler.is_ours else objective, n_trials=20)
        report = audit(study._record.facts())
        assert report.is_clean, str(report)
        assert len(study.results()) == 21


# ------------------------------------------------------------------------------------------------ pruners


def curve_of(number, steps=27):
    """A learning curve that is the lower the smaller the trial's number is."""
    return [number + 1 / (step + 1) for step in range(steps)]


def pruned_by(pruner, curves, direction="minimize"):
    study = optuna.create_study(pruner=pruner, direction=direction, sampler=S.RandomSampler(seed=0))
    lengths = []

    def training(trial):
        values = curves[trial.number]
        for step, value in enumerate(values):
            trial.report(value, step)
            if trial.should_prune():
                lengths.append(step)
                raise optuna.TrialPruned
        lengths.append(len(values))
        return values[-1]

    study.optimize(training, n_trials=len(curves))
    return lengths


def test_medians():
    lengths = pruned_by(P.MedianPruner(n_startup_trials=3, n_warmup_steps=5), [curve_of(n) for n in range(6)])
    assert lengths == [27, 27, 27, 5, 5, 5]
    rising = [[-v for v in curve_of(n)] for n in range(6)]
    assert pruned_by(P.MedianPruner(n_startup_trials=3), rising, "maximize") == [27, 27, 27, 0, 0, 0]


def test_nan_is_pruned_by_medians():
    curves = [curve_of(0)] * 5 + [[math.nan] * 5]
    assert pruned_by(P.MedianPruner(), curves)[-1] == 0


def test_percentiles_and_intervals():
    pruner = P.PercentilePruner(25.0, n_startup_trials=4, interval_steps=10)
    assert pruned_by(pruner, [curve_of(n) for n in (0, 1, 2, 3, 4)])[-1] == 0
    assert pruned_by(P.NopPruner(), [curve_of(n) for n in range(4)]) == [27] * 4


def test_successive_halving():
    lengths = pruned_by(P.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3), [curve_of(n) for n in range(9)])
    assert lengths[0] == 27
    assert all(length < 27 for length in lengths[1:])


def test_hyperband_prunes_once_it_knows_how_far_trials_run():
    lengths = pruned_by(P.HyperbandPruner(max_resource=27), [curve_of(n) for n in range(20)])
    assert lengths[0] == 27
    assert sum(length < 27 for length in lengths) > 8


def test_thresholds_and_patience():
    assert pruned_by(P.ThresholdPruner(upper=2.0), [[1.0, 3.0, 1.0]]) == [1]
    assert pruned_by(P.PatientPruner(None, patience=2), [[3.0, 2.0, 2.5, 2.5, 2.5, 2.5]]) == [4]
    with pytest.raises(TypeError):
        P.ThresholdPruner()


def test_wilcoxon_compares_instances_in_any_order():
    study = optuna.create_study(pruner=P.WilcoxonPruner(p_threshold=0.1), sampler=S.RandomSampler(seed=0))

    def over_instances(trial):
        order = range(12) if trial.number % 2 else reversed(range(12))
        for instance in order:
            trial.report(instance + 5 * trial.number, instance)
            if trial.should_prune():
                return 1000.0
        return 5.0 * trial.number

    study.optimize(over_instances, n_trials=3)
    assert [t.value for t in study.trials] == [0.0, 1000.0, 1000.0]
    assert len(study.trials[2].intermediate_values) < 12


class Every(P.BasePruner):
    def __init__(self, step):
        self.step = step

    def prune(self, study, trial):
        assert study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        return trial.last_step >= self.step and trial.intermediate_values[trial.last_step] > 0


def test_a_pruner_of_the_scripts_own():
    assert pruned_by(Every(4), [curve_of(0), curve_of(1)]) == [4, 4]


def test_a_script_that_reports_and_never_asks_is_not_pruned():
    study = optuna.create_study(sampler=S.RandomSampler(seed=0))

    def training(trial):
        for step, value in enumerate(curve_of(trial.number)):
            trial.report(value, step)
        return value

    study.optimize(training, n_trials=8)
    assert {t.state for t in study.trials} == {TrialState.COMPLETE}


# ------------------------------------------------------------------------------------------------ storages


def test_a_study_in_a_file_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = "sqlite:///example.db"
    study = optuna.create_study(study_name="s", storage=url)
    study.set_user_attr("data", {"rows": [1, 2]})
    study.optimize(objective, n_trials=3)
    with pytest.raises(DuplicatedStudyError):
        optuna.create_study(study_name="s", storage=url)
    again = optuna.create_study(study_name="s", storage=url, load_if_exists=True, direction="maximize")
    again.optimize(objective, n_trials=2)
    assert len(study.trials) == 5
    assert again.direction is optuna.study.StudyDirection.MINIMIZE
    assert optuna.load_study(study_name=None, storage=url).user_attrs == {"data": {"rows": [1, 2]}}
    (summary,) = optuna.get_all_study_summaries(url)
    assert (summary.study_name, summary.n_trials) == ("s", 5)
    optuna.copy_study(from_study_name="s", from_storage=url, to_storage=url, to_study_name="t")
    assert [t.params for t in optuna.load_study(study_name="t", storage=url).trials] == [t.params for t in study.trials]
    assert optuna.get_all_study_names(url) == ["s", "t"]
    optuna.delete_study(study_name="s", storage=url)
    assert optuna.get_all_study_names(url) == ["t"]
    with pytest.raises(KeyError):
        optuna.load_study(study_name="s", storage=url)


def test_another_process_finds_the_same_trials(tmp_path):
    from raytune_hpo.compat.optuna.storages import places

    url = f"sqlite:///{tmp_path}/x.db"

    def noting(trial):
        trial.set_user_attr("n", trial.number)
        trial.report(1.0, 0)
        kind = trial.suggest_categorical("kind", ["a", "b"])
        return trial.suggest_float("x", 0, 1) if kind == "a" else trial.suggest_int("y", 1, 3)

    study = optuna.create_study(study_name="s", storage=url, sampler=S.TPESampler(seed=3))
    study.optimize(noting, n_trials=12)
    study.ask()  # and this process dies
    before = study.trials
    study._record.close()
    places._places.clear()
    callback_saw = []
    storage = optuna.storages.RDBStorage(
        url, failed_trial_callback=lambda study, trial: callback_saw.append(trial.number)
    )
    after = optuna.load_study(study_name="s", storage=storage)
    for old, new in zip(before[:12], after.trials[:12], strict=True):
        assert (new.number, new.values, new.params, new.user_attrs) == (
            old.number,
            old.values,
            old.params,
            old.user_attrs,
        )
        assert new.intermediate_values == old.intermediate_values
        assert new.distributions == old.distributions
    assert after.trials[12].state is TrialState.FAIL
    assert callback_saw == [12]
    after.optimize(noting, n_trials=3)
    assert [t.number for t in after.trials] == list(range(16))


def test_a_database_of_optunas_is_left_alone(tmp_path):
    path = tmp_path / "theirs.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for table in ("studies", "trials", "version_info"):
            connection.execute(f"CREATE TABLE {table} (x)")
    before = path.read_bytes()
    with pytest.raises(StorageInternalError, match="theirs.db is a database that Optuna wrote") as refused:
        optuna.create_study(storage=f"sqlite:///{path}")
    assert path.read_bytes() == before
    # Nor is it kept open by the error.
    assert refused.tb and str(path) not in {
        os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
    }


def test_a_journal_file_of_optunas_is_left_alone(tmp_path):
    path = tmp_path / "journal.log"
    path.write_text('{"op_code": 0}\n' * 100)
    journal = optuna.storages.journal.JournalFileBackend(str(path))
    with pytest.raises(StorageInternalError, match="no SQLite file"):
        optuna.storages.JournalStorage(journal)


def test_a_journal_storage_takes_a_backend(tmp_path):
    with pytest.raises(TypeError, match=r"takes a JournalFileBackend\(file_path\), got 'journal.log'"):
        optuna.storages.JournalStorage("journal.log")


def test_one_storage_for_several_studies(tmp_path):
    storage = optuna.storages.JournalStorage(optuna.storages.JournalFileBackend(str(tmp_path / "journal.log")))
    one, two = optuna.create_study(storage=storage), optuna.create_study(storage=storage)
    one.optimize(objective, n_trials=2)
    assert len(two.trials) == 0
    memory = optuna.storages.InMemoryStorage()
    optuna.create_study(study_name="a", storage=memory).optimize(objective, n_trials=2)
    assert len(optuna.load_study(study_name="a", storage=memory).trials) == 2
    with pytest.raises(NotCarried):
        optuna.storages.GrpcStorageProxy()


def test_a_storage_knows_its_studies_by_their_names():
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(study_name="a", storage=storage, directions=["minimize", "maximize"])
    study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 0.0), n_trials=2)
    study.enqueue_trial({"x": 0.5})
    (found,) = storage.get_all_studies()
    assert (found.study_name, found.directions) == ("a", study.directions)
    assert found._study_id == study._study_id == storage.get_study_id_from_name("a")
    assert storage.get_study_name_from_id(study._study_id) == "a"
    assert storage.get_study_directions(study._study_id) == study.directions
    assert storage.get_n_trials(study._study_id) == 3
    with pytest.raises(KeyError, match="no study 'b'"):
        storage.get_study_id_from_name("b")


def test_another_sampler_for_a_stored_study_is_named():
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(study_name="a", storage=storage, sampler=S.RandomSampler())
    with pytest.warns(UserWarning, match="CmaEsSampler is not used"):
        optuna.load_study(study_name="a", storage=storage, sampler=S.CmaEsSampler())


def test_most_trials_over_sessions():
    study = optuna.create_study(sampler=S.RandomSampler(seed=0))
    study.add_trial(create_trial(params={"x": 0.5}, distributions={"x": FloatDistribution(0, 1)}, value=1.0))
    study.optimize(objective, n_trials=50, callbacks=[optuna.study.MaxTrialsCallback(5)])
    assert len(study.trials) == 5


@pytest.mark.parametrize("pruner", ["median", optuna.pruners.MedianPruner])
def test_what_is_no_pruner_is_refused_before_a_study_is_there(tmp_path, pruner):
    storage = f"sqlite:///{tmp_path}/studies.db"
    with pytest.raises(OptunaError, match="a pruner is an object of raytune_hpo.compat.optuna.pruners"):
        optuna.create_study(pruner=pruner, study_name="a", storage=storage)
    optuna.create_study(study_name="a", storage=storage)
    with pytest.raises(OptunaError, match="a pruner is an object of raytune_hpo.compat.optuna.pruners"):
        optuna.load_study(pruner=pruner, study_name="a", storage=storage)


def test_a_duration_does_not_change_with_the_clocks(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        trial = create_trial(value=1.0)
        for began_at in (1_792_889_400, 1_774_745_400):  # ten minutes before clocks are set back, and forward
            trial.datetime_start = datetime.datetime.fromtimestamp(began_at)
            trial.datetime_complete = datetime.datetime.fromtimestamp(began_at + 1200)
            assert trial.duration == datetime.timedelta(minutes=20)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "given, words",
    [
        ({"x": 3}, "a distribution is a float's, an int's or a categorical one"),
        ({1: optuna.distributions.FloatDistribution(0, 1)}, "the name of a parameter is a text"),
        ([("x", optuna.distributions.FloatDistribution(0, 1))], "is a dict of distributions"),
    ],
)
def test_what_is_no_distribution_begins_no_trial(given, words):
    study = optuna.create_study()
    with pytest.raises((TypeError, optuna.exceptions.OptunaError), match=words):
        study.ask(given)
    assert study.trials == []


def test_reference_points_are_an_array():
    with pytest.warns(UserWarning, match="no effect of reference_points"):
        optuna.samplers.NSGAIIISampler(reference_points=np.eye(2))
