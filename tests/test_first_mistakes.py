"""What people type at first, out of habit from another tuner, is answered with what to write instead."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
import re
import warnings
from datetime import timedelta

import numpy as np
import pytest
import ray

import raytune_hpo as hpo
from raytune_hpo.display import foreign_words
from raytune_hpo.errors import SpecError
from raytune_hpo.registry import installed, load, option_names

SPACE = {"x": hpo.uniform(0, 1)}
SMALL = {"metric": "loss", "num_trials": 2, "runtime": "local", "progress": False, "storage": "memory"}


def objective(config):
    return config["x"]


def two(x, y=None, *, z=1.0):
    return x["x"] * z


async def fetched(config):
    return config["x"]


async def streamed(config):
    yield config["x"]


class Model:
    def __init__(self, config):
        pass

    def __call__(self, config):
        return config["x"]


class TPESampler:
    """As in Optuna."""


class AsyncHyperBandScheduler:
    """As in Ray Tune."""


def fit(function=objective, space=SPACE, **settings):
    return hpo.tune(function, space, **{**SMALL, **settings})


# ------------------------------------------------------------------------------------------------ keywords


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("n_trials", "did you mean num_trials?"),
        ("num_samples", "did you mean num_trials?"),
        ("max_evals", "did you mean num_trials?"),
        ("max_concurrent_trials", "did you mean max_concurrent?"),
        ("direction", 'here it is mode="min" or mode="max"'),
        ("study_name", "did you mean name?"),
        ("load_if_exists", 'here it is resume="auto", which is the default'),
        ("fail_fast", "here it is max_failures=1"),
        ("num_gpus", 'here it is resources={"gpu": 1}'),
        ("random_state", "did you mean seed?"),
        ("param_space", "did you mean space?"),
        ("sampleer", "did you mean 'sampler'?"),
    ],
)
def test_a_keyword_of_another_tuner_is_answered_with_ours(word, ours):
    for call in (
        fit,
        functools.partial(hpo.Tuner, objective, SPACE),
        functools.partial(hpo.simulate, objective, SPACE),
    ):
        with pytest.raises(TypeError, match=f"has no keyword '{word}'") as caught:
            call(**{word: 3})
        assert ours in str(caught.value)


def test_only_keywords_that_a_study_has_are_proposed_to_it():
    with pytest.raises(TypeError, match="Study has no keyword 'study_name'; did you mean name"):
        hpo.Study(SPACE, study_name="s")
    with pytest.raises(
        TypeError, match="Study has no keyword 'n_jobs'; known: checkpoints, earlier, features, instances"
    ):
        hpo.Study(SPACE, n_jobs=2)


def test_a_simulation_has_workers_instead_of_a_limit_on_concurrency():
    with pytest.raises(TypeError, match="did you mean num_workers"):
        hpo.simulate(objective, SPACE, num_trials=2, max_concurrent=3)


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"runtime": "ray"}, TypeError, "runs on a virtual clock"),
        ({"num_workers": 0}, SpecError, "num_workers is a whole number of at least 1, got 0"),
        ({"cost": ""}, SpecError, "cost is the name of the metric.*got ''"),
        ({"cost": 3}, SpecError, "cost is the name of the metric.*got 3"),
        ({"on_suggestion": 3}, SpecError, "on_suggestion is called with a trial's number"),
        *(
            ({"checkpoint_cost_s": costs}, SpecError, "checkpoint_cost_s is a pair")
            for costs in (3, (1,), ("a", "b"), (-1, 0), (float("nan"), 0))
        ),
    ],
)
def test_settings_of_a_simulation_are_checked_before_it_begins(settings, error, said):
    with pytest.raises(error, match=said):
        hpo.simulate(objective, SPACE, num_trials=2, **settings)


def test_no_word_of_another_tuner_hides_one_of_ours():
    assert not foreign_words.KEYWORDS.keys() & inspect.signature(hpo.Tuner).parameters.keys()
    assert {"metric", "num_trials", "sampler"} <= inspect.signature(hpo.Tuner).parameters.keys(), "still to be read"
    for table, owner in (
        (foreign_words.NAMES, hpo),
        (foreign_words.SAMPLERS, hpo.samplers),
        (foreign_words.SCHEDULERS, hpo.schedulers),
        (foreign_words.RESULTS, hpo.Results),
        (foreign_words.STUDY, hpo.Study),
        (foreign_words.TRIAL, fit()[0]),
        (foreign_words.PLOTS, fit().plot),
    ):
        assert not [name for name in table if hasattr(owner, name)]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"scheduler": "pbt"}, "'pbt' is a sampler, not a scheduler; write sampler='pbt'"),
        ({"sampler": "asha"}, "'asha' is a scheduler, not a sampler; write scheduler='asha'"),
        ({"scheduler": {"name": "asha", "max_t": 9}}, "did you mean 'max_steps'?"),
        ({"scheduler": {"name": "asha", "grace_period": 9}}, "did you mean 'min_steps'?"),
        ({"scheduler": {"name": "median", "grace_period": 9}}, "did you mean 'grace_steps'?"),
        ({"scheduler": {"name": "hyperband", "max_steps": 9, "reduction_factor": 3}}, "did you mean 'eta'?"),
        ({"sampler": {"name": "pbt", "max_steps": 9, "perturbation_interval": 3}}, "did you mean 'interval'?"),
    ],
)
def test_parts_and_options_that_other_tuners_call_otherwise_are_named(settings, said):
    with pytest.raises(hpo.errors.SpecError) as caught:
        fit(**settings)
    assert said in str(caught.value)


def test_every_hint_at_an_option_names_one():
    known = {o for role in ("sampler", "scheduler") for n in installed(role) for o in option_names(load(role, n))}
    assert known.issuperset(own for meant in foreign_words.OPTIONS.values() for own in meant)
    assert known.isdisjoint(foreign_words.OPTIONS)


# ------------------------------------------------------------------------------------------------ objectives


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x, y: 1.0, "called with one dict, the configuration, and <lambda>(x, y) cannot be: missing"),
        (lambda: 1.0, "<lambda>() cannot be: too many positional arguments"),
        (lambda x, y: 1.0, "or pass lambda config: objective(**config), and give data by hpo.with_parameters"),
        (lambda **config: 1.0, "too many positional arguments"),
        (hpo.with_parameters(two, w=3), "unexpected keyword argument 'w'"),
        (Model, "got the class Model; write a function"),
        (5, "an objective is a function of a configuration, got 5"),
        (fetched, "fetched is async, so a call only prepares it; write a plain function"),
        (ray.remote(objective), "what @ray.remote has made, got RemoteFunction; give the plain function"),
        (hpo.with_parameters(ray.remote(objective)), "got RemoteFunction; give the plain function"),
        (ray.remote(Model), "what @ray.remote has made, got ActorClass(Model); give the plain function"),
        (hpo.with_parameters(streamed), "yields its reports is a plain generator, and streamed is an async one"),
    ],
    ids=[
        "two",
        "none",
        "two spread",
        "keywords",
        "parameters",
        "class",
        "number",
        "coroutine",
        "remote",
        "remote with",
        "actor",
        "stream",
    ],
)
def test_an_objective_that_no_trial_could_call_is_refused_before_anything_runs(function, said):
    with pytest.raises(SpecError) as caught:
        hpo.Tuner(function, SPACE, **SMALL)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (
            lambda trial: trial.suggest_float("x", 0, 1),
            r"write config\[.x.\]; with trial.suggest_..., the space is None\)",
        ),
        (
            lambda config: config.x,
            r"'dict' object has no attribute 'x' \(a configuration is a dict: write config\[.x.\]\)",
        ),
        (lambda config: {"y": 3}.y, r"'dict' object has no attribute 'y'$"),
        (lambda config: [].y, r"'list' object has no attribute 'y'$"),
    ],
    ids=["trial", "attribute", "another dict", "a list"],
)
def test_a_configuration_taken_for_an_object_is_named(function, said):
    assert re.search(said, fit(function)[0].reason)


def test_all_that_can_be_called_with_a_configuration_is_an_objective():
    def generator(config):
        yield {"loss": config["x"]}

    model = Model({})
    for function in (
        two, functools.partial(two, z=2.0), hpo.with_parameters(two, z=2.0), model, model.__call__, generator,
        lambda *given: given[0]["x"], len,
    ):  # fmt: skip
        assert fit(function).num_by_status["completed"] == 2


def test_what_is_left_over_from_ray_tune_is_named():
    from ray import tune

    class Trainable(tune.Trainable):
        pass

    with pytest.raises(SpecError, match="got the class Trainable"):
        fit(Trainable)
    with pytest.raises(SpecError, match=r"remove it from two, and give resources=\{'cpu': 2.0, 'gpu': 0.5\}"):
        fit(tune.with_resources(two, {"cpu": 2, "gpu": 0.5}))
    del two._resources
    assert "where it calls tune.report, write hpo.report" in fit(lambda config: tune.report({"loss": 1.0}))[0].error


# ------------------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize("value", [[1, 2, 3], (0.1, 1), range(3), {1, 2}, np.logspace(-3, 0, 4)], ids=str)
def test_a_list_in_a_space_where_nothing_varies_is_warned_of(value):
    with pytest.warns(UserWarning, match="so all trials are the same: 'x' is the constant .*; a choice is hpo.choice"):
        fit(lambda config: 1.0, {"x": value})
    with pytest.warns(UserWarning, match="so all trials are the same"):
        hpo.Study({"x": value}, storage="memory").close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(lambda config: 1.0, {"x": value, "y": hpo.uniform(0, 1)})
        fit(lambda config: 1.0, {"x": 3})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"metric": None}, "metric is a word, or a list of words for several metrics, got None"),
        ({"metric": ["loss", 3]}, "metric is a word"),
        ({"mode": 1}, "mode is a word, or a list of words for several metrics, got 1"),
        ({"mode": None}, "mode is a word"),
        ({"scheduler": "ASHA"}, "did you mean 'asha'"),
        ({"sampler": "TPESampler"}, "did you mean 'tpe'"),
        ({"scheduler": {"name": "HyperBandScheduler"}}, "did you mean 'hyperband'"),
        ({"sampler": "asha"}, "'asha' is a scheduler, not a sampler; write scheduler='asha'"),
        ({"scheduler": "tpe"}, "'tpe' is a sampler, not a scheduler; write sampler='tpe'"),
        ({"sampler": hpo.schedulers.ASHA()}, "it is a scheduler: write scheduler=$"),
        ({"scheduler": hpo.samplers.TPE()}, "it is a sampler: write sampler=$"),
        ({"sampler": TPESampler()}, "TPESampler object.*; write sampler='tpe'"),
        ({"scheduler": AsyncHyperBandScheduler()}, "; write scheduler='asha'"),
        ({"sampler": object()}, "ask and tell, got <object object at [^;]*$"),
    ],
    ids=lambda value: re.sub(r" at 0x\w+", "", str(value)),  # an address is another in each process of the tests
)
def test_settings_of_another_kind_are_refused_by_name(settings, said):
    with pytest.raises(SpecError, match=said):
        fit(**settings)


def test_spans_of_time_may_be_timedeltas():
    tuner = hpo.Tuner(objective, SPACE, time_budget_s=timedelta(minutes=2), trial_timeout_s=timedelta(seconds=3))
    assert (tuner.plan.spec.limits.time_budget_s, tuner.plan.settings.trial_timeout_s) == (120.0, 3.0)
    with pytest.raises(SpecError, match="time_budget_s is a positive number"):
        hpo.Tuner(objective, SPACE, time_budget_s=timedelta(0))


@pytest.mark.parametrize("make", [hpo.choice, hpo.ordinal, hpo.grid_search])
def test_options_that_are_not_in_a_list_are_refused_with_the_call_that_works(make):
    with pytest.raises(TypeError, match=rf"{make.__name__} takes one list .* write {make.__name__}\(\[1, 2, 3\]\)"):
        make(1, 2, 3)


# ------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("owner", "name", "said"),
    [
        (lambda: hpo, "create_study", "here it is Study"),
        (lambda: hpo, "lognuiform", "did you mean 'loguniform'"),
        (lambda: hpo.samplers, "TPESampler", "here it is TPE"),
        (lambda: hpo.samplers, "Tpe", "did you mean 'TPE'"),
        (lambda: hpo.schedulers, "ASHAScheduler", "here it is ASHA"),
        (fit, "best_params", "here it is best_config"),
        (fit, "get_best_result", "here it is best_trial"),
        (lambda: fit().plot, "optimization_history", "here it is history"),
        (lambda: fit().plot, "histroy", "did you mean 'history'"),
        (fit, "best_tral", "did you mean 'best_trial'"),
        (lambda: fit()[0], "confg", "did you mean 'config'"),
        (lambda: hpo.Study(SPACE, storage="memory"), "akk", "did you mean 'ask'"),
        (lambda: fit()[0], "params", "here it is config"),
        (lambda: hpo.Study(SPACE, storage="memory"), "optimize", "here it is hpo.tune"),
    ],
)
def test_a_name_of_another_tuner_is_answered_with_ours(owner, name, said):
    with pytest.raises(AttributeError) as caught:
        getattr(owner(), name)
    assert said in str(caught.value) and repr(name) in str(caught.value)


def test_other_names_are_missing_as_on_any_object():
    results = fit()
    for thing in (results, results[0], hpo.samplers):
        with pytest.raises(AttributeError, match="has no attribute 'foo'"):
            _ = thing.foo
        assert not hasattr(thing, "_repr_nothing_")
    assert pickle.loads(pickle.dumps(results))[1] == results[1] == copy.deepcopy(results[1])


def test_the_error_inside_a_property_is_not_taken_for_a_wrong_name(monkeypatch):
    def failing(self):
        raise AttributeError("the cause")

    monkeypatch.setattr(hpo.Results, "feasible", property(failing))
    with pytest.raises(AttributeError, match="the cause"):
        _ = fit().feasible


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_study_is_not_copied(copied):
    study = hpo.Study(SPACE, storage="memory", name="mine")
    with pytest.raises(TypeError, match=r"driven by one process.*name='mine', or send study.results\(\)"):
        copied(study)


def test_a_run_is_waited_for_as_long_as_a_number_or_a_timedelta_says():
    with hpo.Tuner(objective, SPACE, **SMALL).start() as run:
        with pytest.raises(SpecError, match="timeout_s is a number of seconds, a timedelta or None, got '1'"):
            run.wait("1")
        assert run.wait(timedelta(seconds=60))


# ------------------------------------------------------------------------------------------------ what a prompt shows


def test_the_arguments_of_tune_are_those_of_tuner_for_editors_and_help():
    ours, theirs = inspect.signature(hpo.tune), inspect.signature(hpo.Tuner)
    assert ours.parameters == theirs.parameters and ours.return_annotation == "Results"


@pytest.mark.parametrize(
    ("thing", "shown"),
    [
        (lambda: fit(name="s"), "<Results of 's': 2 trials, best loss="),
        (lambda: fit(lambda config: 1.0)[0], "Trial(number=0, status='completed', config={'x': "),
        (lambda: fit(lambda config: 1 / 0)[0], "metrics={}, reason='ZeroDivisionError: division by zero')"),
        (lambda: fit(name="s").plot, "<Figures of 's': history, arms, best_so_far, curves,"),
        (lambda: hpo.Study(SPACE, storage="memory", name="s"), "<Study 's': loss (min), <Space of x>, sampler 'auto'>"),
        (
            lambda: hpo.Tuner(objective, SPACE, **SMALL, name="s", scheduler="asha"),
            "<Tuner of 's': loss (min), <Space of x>, sampler 'auto', scheduler 'asha'>",
        ),
        (lambda: hpo.with_parameters(two, y=3), "<two with y>"),
        (hpo.schedulers.ASHA, "ASHA(eta=3, min_steps=1, max_steps=None, promote=False, delay=False)"),
    ],
    ids=range(8),
)
def test_what_a_user_holds_shows_what_it_is(thing, shown):
    assert shown in repr(thing())


def test_every_part_shows_the_call_that_makes_it():
    for owner in (hpo.samplers, hpo.schedulers):
        for name in owner.__all__:
            if "needs" in (error := _refusal(getattr(owner, name))):
                continue
            assert not error and repr(getattr(owner, name)()).startswith(f"{name}(")


def _refusal(cls):
    try:
        cls()
    except (SpecError, TypeError) as error:
        return f"needs an option: {error}"
    return ""


def test_completion_offers_parts_and_nothing_else():
    assert dir(hpo.samplers) == sorted(hpo.samplers.__all__)
    assert dir(hpo.schedulers) == sorted(hpo.schedulers.__all__)
