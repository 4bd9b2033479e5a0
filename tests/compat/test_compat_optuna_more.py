"""Optuna's figures, importances, terminator, artifacts and integrations by their names."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

import raytune_hpo as hpo
import raytune_hpo.compat.optuna as optuna
from raytune_hpo.compat.optuna import visualization as V
from raytune_hpo.compat.optuna.exceptions import NotCarried, OptunaError
from raytune_hpo.compat.optuna.terminator import Terminator, TerminatorCallback, report_cross_validation_scores

MODULES = """
    samplers pruners trial trial._state study storages storages.journal distributions logging exceptions visualization
    visualization.matplotlib importance integration integration.lightgbm terminator terminator.callback terminator.erroreval
    terminator.terminator terminator.improvement.evaluator terminator.improvement.emmr artifacts search_space
    integration.dask integration.sklearn integration.xgboost structs version multi_objective multi_objective.samplers
""".split()


@pytest.fixture(scope="module")
def study():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))

    def objective(trial):
        x, c = trial.suggest_float("x", -5, 5), trial.suggest_categorical("c", ["a", "b"])
        for step in range(4):
            trial.report(x**2 + 1 / (step + 1), step)
        report_cross_validation_scores(trial, [x**2, x**2 + 0.1, x**2 - 0.1])
        return x**2 + (c == "a") * trial.suggest_int("n", 1, 3)

    study.optimize(objective, n_trials=30)
    yield study
    optuna.logging.set_verbosity(optuna.logging.INFO)


@pytest.fixture(scope="module")
def front():
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda t: (t.suggest_float("x", 0, 2) ** 2, -((t.params["x"] - 2) ** 2)), n_trials=20)
    return study


@pytest.mark.parametrize("name", MODULES)
def test_the_modules_that_scripts_import_are_there(name):
    importlib.import_module(f"raytune_hpo.compat.optuna.{name}")


DRAWN = [
    lambda v, s: v.plot_optimization_history(s),
    lambda v, s: v.plot_optimization_history(s, target=lambda t: t.params["x"], target_name="x"),
    lambda v, s: v.plot_optimization_history([s, s]),
    lambda v, s: v.plot_intermediate_values(s),
    lambda v, s: v.plot_parallel_coordinate(s, params=["x", "c"]),
    lambda v, s: v.plot_contour(s, params=["x", "c"]),
    lambda v, s: v.plot_slice(s, params=["x"]),
    lambda v, s: v.plot_rank(s, params=["x", "c"]),
    lambda v, s: v.plot_param_importances(s, params=["x"]),
    lambda v, s: v.plot_edf([s, s]),
    lambda v, s: v.plot_timeline(s),
    lambda v, s: v.plot_terminator_improvement(s, plot_error=True),
]


@pytest.mark.parametrize("draw", DRAWN)
def test_figures(study, draw):
    figure = draw(V, study)
    assert len(figure.data) > 0
    figure.to_json()


def test_importances_of_some_parameters_are_named(study):
    (bars,) = V.plot_param_importances(study, params=["x"]).data
    assert (list(bars.x), list(bars.y)) == ([1.0], ["x"])


def test_figures_of_several_goals(front):
    assert V.plot_pareto_front(front, target_names=["cost", "gain"]).data
    assert V.plot_pareto_front(front, targets=lambda t: (t.values[0], t.params["x"])).data
    assert V.plot_hypervolume_history(front, [5.0, -5.0]).data
    with pytest.raises(ValueError, match="target="):
        V.plot_slice(front)


def test_figures_of_matplotlib(study):
    pytest.importorskip("matplotlib").use("Agg")
    from raytune_hpo.compat.optuna.visualization import matplotlib as M

    for draw in DRAWN:
        draw(M, study)


def test_importances(study):
    shares = optuna.importance.get_param_importances(study)
    assert sum(shares.values()) == pytest.approx(1)
    assert next(iter(shares)) == "x"
    ped = optuna.importance.PedAnovaImportanceEvaluator()
    assert next(iter(optuna.importance.get_param_importances(study, evaluator=ped))) == "x"
    by_target = optuna.importance.get_param_importances(study, target=lambda t: t.params["x"], params=["x"])
    assert by_target == {"x": 1.0}
    with pytest.raises(NotCarried):
        optuna.importance.MeanDecreaseImpurityImportanceEvaluator()


def test_a_terminator_ends_what_has_nothing_more_to_gain():
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))

    def noisy(trial):
        x = trial.suggest_float("x", 0, 1)
        report_cross_validation_scores(trial, [x + e for e in (-5.0, 0.0, 5.0)])
        return x

    study.optimize(noisy, n_trials=60, callbacks=[TerminatorCallback(Terminator(min_n_trials=8))])
    assert 8 <= len(study.trials) < 60
    with pytest.raises(ValueError, match="at least two folds"):
        report_cross_validation_scores(study.ask(), [1.0])


def test_artifacts(tmp_path):
    store = optuna.artifacts.FileSystemArtifactStore(base_path=tmp_path)
    file = tmp_path / "model.txt"
    file.write_text("weights")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))

    def objective(trial):
        optuna.artifacts.upload_artifact(artifact_store=store, file_path=str(file), study_or_trial=trial)
        return trial.suggest_float("x", 0, 1)

    study.optimize(objective, n_trials=2)
    (meta,) = optuna.artifacts.get_all_artifact_meta(study.best_trial, storage=study._storage)
    assert (meta.filename, meta.mimetype) == ("model.txt", "text/plain")
    optuna.artifacts.download_artifact(
        artifact_store=store, artifact_id=meta.artifact_id, file_path=str(tmp_path / "copy.txt")
    )
    assert (tmp_path / "copy.txt").read_text() == "weights"
    with pytest.raises(KeyError):
        store.open_reader("../model.txt")
    with pytest.raises(FileExistsError):
        optuna.artifacts.download_artifact(artifact_store=store, artifact_id=meta.artifact_id, file_path=str(file))
    store.remove(meta.artifact_id)
    with pytest.raises(optuna.artifacts.ArtifactNotFound, match="holds no artifact"):
        store.remove(meta.artifact_id)


def test_an_artifact_is_uploaded_by_position_too(tmp_path):
    store = optuna.artifacts.FileSystemArtifactStore(tmp_path)
    (tmp_path / "model.txt").write_text("weights")
    name = optuna.artifacts.upload_artifact(optuna.create_study(), str(tmp_path / "model.txt"), store)
    with store.open_reader(name) as reader:
        assert reader.read() == b"weights"


def test_a_search_of_scikit_learn():
    from sklearn.datasets import load_iris
    from sklearn.svm import SVC

    X, y = load_iris(return_X_y=True)
    space = {"C": optuna.distributions.FloatDistribution(1e-3, 1e2, log=True)}
    search = optuna.integration.OptunaSearchCV(SVC(), space, n_trials=8, timeout=60, random_state=0, cv=3)
    search.fit(X, y)
    assert search.best_score_ > 0.9
    assert search.score(X, y) > 0.9
    assert len(search.trials_) == 8


def test_lightgbm_prunes_and_tunes():
    lgb = pytest.importorskip("lightgbm")
    tuned = importlib.import_module("raytune_hpo.compat.optuna.integration.lightgbm")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    y = (X[:, 0] > 0).astype(int)
    study = optuna.create_study(direction="maximize")

    def objective(trial):
        data, valid = lgb.Dataset(X[:100], y[:100]), lgb.Dataset(X[100:], y[100:])
        params = {"objective": "binary", "metric": "auc", "verbosity": -1, "num_leaves": trial.suggest_int("n", 2, 8)}
        callback = optuna.integration.LightGBMPruningCallback(trial, "auc")
        model = lgb.train(params, data, 5, valid_sets=[valid], callbacks=[callback])
        return model.best_score["valid_0"]["auc"]

    study.optimize(objective, n_trials=3)
    assert len(study.trials[0].intermediate_values) == 5
    assert tuned.Dataset is lgb.Dataset
    params = {"objective": "binary", "metric": "binary_logloss", "verbosity": -1}
    tuner = tuned.LightGBMTunerCV(params, lgb.Dataset(X, y), num_boost_round=3, nfold=2, optuna_seed=0)
    tuner.run()
    assert 7 + 20 + 10 + 1 + 20 + 5 <= len(tuner.study.trials) <= 7 + 20 + 10 + 6 + 20 + 5
    assert tuner.best_score == min(trial.value for trial in tuner.study.trials)
    assert tuner.best_params.items() >= params.items()


def test_xgboost_prunes():
    xgb = pytest.importorskip("xgboost")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    data = xgb.DMatrix(X, label=(X[:, 0] > 0).astype(int))
    study = optuna.create_study(direction="maximize")

    def objective(trial):
        callback = optuna.integration.XGBoostPruningCallback(trial, "test-auc")
        params = {"objective": "binary:logistic", "eval_metric": "auc", "max_depth": trial.suggest_int("d", 1, 3)}
        found = xgb.cv(params, data, num_boost_round=4, nfold=2, callbacks=[callback])
        return found["test-auc-mean"].values[-1]

    study.optimize(objective, n_trials=2)
    assert len(study.trials[0].intermediate_values) == 4


def test_what_is_not_there_says_so():
    with pytest.raises(NotCarried, match="is not supported here"):
        _ = optuna.integration.NoSuchCallback
    with pytest.raises(NotCarried, match="SQLite"):
        optuna.storages.JournalRedisStorage("redis://localhost")
    with pytest.raises(NotCarried, match="SQLite"):
        optuna.storages.RedisStorage("redis://localhost")
    with pytest.raises(NotCarried, match="TPESampler searches for several goals"):
        optuna.samplers.MOTPESampler(seed=1)
    with pytest.raises(AttributeError):
        _ = optuna.no_such_thing


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [
        ("integration.mlflow", "MLflowCallback", r"record\(study.study_name, raytune_hpo.integrations.mlflow.Logger"),
        ("integration", "WeightsAndBiasesCallback", r"raytune_hpo.integrations.wandb.Logger"),
        ("integration.botorch", "BoTorchSampler", r"samplers.GPSampler$"),
        ("integration.cma", "PyCmaSampler", r"samplers.CmaEsSampler$"),
        ("integration.shap", "ShapleyImportanceEvaluator", r"importance.FanovaImportanceEvaluator$"),
        ("integration.keras", "KerasPruningCallback", r"trial.report\(value, step\)"),
    ],
)
def test_what_optuna_integration_would_have_says_what_to_do_without_it(module, name, words):
    if importlib.util.find_spec("optuna_integration") is not None:
        pytest.skip("optuna-integration is installed")
    imported = importlib.import_module(f"raytune_hpo.compat.optuna.{module}")
    with pytest.raises(NotCarried, match=f"{name} is not supported here.*pip install optuna-integration.*{words}"):
        getattr(imported, name)
    with pytest.raises(ImportError):  # as of any other package that is not installed
        getattr(imported, name)


def test_what_optuna_had_for_several_goals_says_how_it_is_done_now():
    from raytune_hpo.compat.optuna.multi_objective import samplers

    with pytest.raises(NotCarried, match=r"create_study\(directions=\[...\]\).*study.best_trials"):
        _ = samplers.NSGAIIMultiObjectiveSampler
    with pytest.raises(NotCarried, match="^multi_objective.create_study"):
        optuna.multi_objective.create_study(["minimize", "maximize"])


def test_every_integration_of_ours_has_its_name_in_the_package():
    for name in optuna.integration.__all__:
        assert getattr(optuna.integration, name).__module__.startswith("raytune_hpo.")


def test_what_is_optunas_own_says_which_import_to_change():
    theirs = pytest.importorskip("optuna")
    distributions = {"x": theirs.distributions.FloatDistribution(0, 1)}
    sampler = theirs.samplers.RandomSampler()
    study = optuna.create_study(direction=theirs.study.StudyDirection.MAXIMIZE)
    assert study.direction is optuna.study.StudyDirection.MAXIMIZE
    told = [study.tell(study.ask(), state=theirs.trial.TrialState[name]).state.name for name in ("PRUNED", "FAIL")]
    assert told == ["PRUNED", "FAIL"]
    with pytest.raises(ValueError, match="a state is one of"):
        study.tell(study.ask(), state="PRUNED")
    for call in (
        lambda: optuna.create_study(sampler=sampler),
        lambda: setattr(study, "sampler", sampler),
        lambda: optuna.samplers.PartialFixedSampler({"x": 0}, sampler),
    ):
        with pytest.raises(OptunaError, match="from raytune_hpo.compat.optuna.samplers import RandomSampler"):
            call()
    for call in (
        lambda: study.ask(distributions),
        lambda: study.add_trial(theirs.create_trial(params={"x": 0.5}, distributions=distributions, value=1.0)),
    ):
        with pytest.raises(OptunaError, match="from raytune_hpo.compat.optuna.distributions import FloatDistribution"):
            call()


@pytest.mark.filterwarnings("ignore:choices are")
def test_distributions_are_domains_in_the_whole_package():
    D = optuna.distributions
    space = {
        "x": D.FloatDistribution(0, 1),
        "n": D.IntDistribution(1, 64, log=True),
        "c": D.CategoricalDistribution([int, str]),
    }

    def check(config):
        assert 0 <= config["x"] <= 1 and config["n"] in range(1, 65) and config["c"] in (int, str)
        return {"loss": config["x"]}

    results = hpo.tune(check, space, metric="loss", num_trials=3, runtime="local", storage="memory", progress=False)
    assert [trial.status for trial in results] == ["completed"] * 3
    assert check(hpo.Study(space, storage="memory").ask().config)


def test_studies_are_imported_like_those_of_optuna(study):
    results = hpo.integrations.optuna.from_optuna(study)
    assert results.best_value == study.best_value and len(results) == len(study.trials)


def test_modules_of_optuna_integration_have_these_names_too(tmp_path):
    package = tmp_path / "optuna_integration"
    package.mkdir()
    (package / "__init__.py").write_text("class SkorchPruningCallback: pass")
    (package / "tensorboard.py").write_text("class TensorBoardCallback: pass")
    code = (
        "from raytune_hpo.compat.optuna.integration import SkorchPruningCallback\n"
        "from raytune_hpo.compat.optuna.integration.tensorboard import TensorBoardCallback\n"
        "print(TensorBoardCallback.__name__, SkorchPruningCallback.__name__)"
    )
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    said = subprocess.check_output([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths}, text=True)
    assert said.split() == ["TensorBoardCallback", "SkorchPruningCallback"]


def test_a_line_is_written_once_where_optuna_is_loaded_too():
    pytest.importorskip("optuna")
    code = (
        "import raytune_hpo.compat.optuna as ours\n"
        "ours.create_study(study_name='first')\n"
        "import optuna\n"
        "ours.create_study(study_name='second')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stderr.count("first"), done.stderr.count("second")) == (1, 1)


def test_a_metric_of_xgboost_that_is_not_measured_is_answered_with_those_that_are():
    xgb = pytest.importorskip("xgboost")
    features = np.random.default_rng(0).normal(size=(60, 2))
    data = xgb.DMatrix(features, (features[:, 0] > 0).astype(int))
    params = {"objective": "binary:logistic", "eval_metric": "auc"}
    study = optuna.create_study(direction="maximize")

    def pruning(key):
        trial = study.ask()
        callbacks = [optuna.integration.XGBoostPruningCallback(trial, key)]
        xgb.train(params, data, 2, evals=[(data, "test")], callbacks=callbacks, verbose_eval=False)

    pruning("test-auc")
    assert len(study.trials[0].intermediate_values) == 2
    with pytest.raises(ValueError, match=r"has not measured 'valid-auc'; it has \['test-auc'\]"):
        pruning("valid-auc")


def test_what_a_script_has_set_in_optunas_logging_stays():
    program = """
import logging, optuna
optuna.logging.set_verbosity(optuna.logging.WARNING)
optuna.logging.enable_propagation()
optuna.logging.disable_default_handler()
import raytune_hpo.compat.optuna as ours
ours.create_study().optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
logger = logging.getLogger("optuna")
assert ours.logging.get_verbosity() == optuna.logging.get_verbosity() == logging.WARNING
assert logger.propagate and not logger.handlers
"""
    pytest.importorskip("optuna")
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_figures_of_single_parameters_look_at_one_of_several_goals(front):
    for look in (V.plot_slice, V.plot_contour, V.plot_rank):
        with pytest.raises(ValueError, match=r"2 goals.*target=lambda trial: trial.values\[0\]"):
            look(front)
        assert look(front, target=lambda trial: trial.values[0])
    assert not V.plot_intermediate_values(front).data, "which takes no target; such trials report nothing"


def test_figures_that_show_several_goals_at_once(front):
    importance = optuna.importance
    cost, gain = V.plot_param_importances(front).data
    assert (cost.name, gain.name) == ("Objective Value 0", "Objective Value 1")
    upside_down = importance.get_param_importances(front, target=lambda trial: -trial.values[1])
    assert dict(zip(gain.y, gain.x, strict=True)) == upside_down, "the second goal is maximised"
    (lines,) = V.plot_parallel_coordinate(front).data
    assert lines.dimensions[-1].label == "front (min)"
    assert set(importance.get_param_importances(front)) == set(front.trials[0].params), "for reaching the front"
    with pytest.raises(ValueError, match=r"2 goals.*target="):
        importance.get_param_importances(front, evaluator=importance.FanovaImportanceEvaluator())


def test_figures_leave_out_parameters_that_do_not_vary(caplog):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_int("n", 3, 3), n_trials=10)
    with caplog.at_level("WARNING", logger="optuna"):
        for draw in (V.plot_contour, V.plot_rank):
            assert not draw(study, params=["x"]).data
            assert not draw(study, params=["x", "n"]).data
    assert "pairs of parameters that vary, got ['x']" in caplog.text
    assert "since they do not vary: n" in caplog.text
    assert len(V.plot_slice(study, params=list(study.best_params)).data) == len(V.plot_slice(study, params=["x"]).data)
    assert optuna.importance.get_param_importances(study) == {"x": 1.0, "n": 0.0}
    for draw in (V.plot_contour, V.plot_rank, V.plot_slice, V.plot_parallel_coordinate, V.plot_param_importances):
        with pytest.raises(ValueError, match="no completed trial has y; known: x, n"):
            draw(study, params=["x", "y"])


def test_a_script_may_have_an_evaluator_of_its_own(study):
    class Alphabetic(optuna.importance.BaseImportanceEvaluator):
        def evaluate(self, study, params=None, *, target=None):
            return dict.fromkeys(params, 1.0)

    importance = optuna.importance
    assert importance.get_param_importances(study, evaluator=Alphabetic(), params=["c", "x"]) == {"c": 0.5, "x": 0.5}
    with pytest.raises(optuna.exceptions.OptunaError, match="BaseImportanceEvaluator"):
        importance.get_param_importances(study, evaluator="fanova")
    with pytest.raises(ValueError, match="quantile"):
        importance.PedAnovaImportanceEvaluator(target_quantile=0.9, region_quantile=0.5).evaluate(study)
