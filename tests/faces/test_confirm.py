"""Confirming the winner, as its user meets it: noisy and deterministic objectives, failures, resuming, several goals."""

from __future__ import annotations

import functools
import pickle

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.errors import NoCompletedTrial, SpecError, SpecMismatch
from raytune_hpo.runtime.repeats import Repeated, fresh_seed, seed_keyword
from tests.faces.studies import NASTY, done, results_of

SD = 0.2
SEEDS: list[tuple[float, int]] = []


def noisy(config, seed=0):
    """Its truth is x; what the search sees of it depends on x and on the default seed only."""
    SEEDS.append((config["x"], seed))
    return config["x"] + np.random.default_rng([seed, round(config["x"] * 1e6)]).normal(0, SD)


def steady(config):
    return config["x"]


def search(objective=noisy, **settings):
    settings = {
        "num_trials": 60,
        "sampler": "random",
        "seed": 5,
        "storage": "memory",
        "runtime": "local",
        "max_concurrent": 1,
        **settings,
    }
    space = settings.pop("space", {"x": hpo.uniform(0, 1)})
    return hpo.tune(objective, space, progress=False, **settings)


def confirmed(results, *args, **settings):
    return results.confirm(*args, progress=False, **settings)


def test_a_configuration_that_breaks_a_constraint_in_its_repeats_is_not_the_winner():
    """In the search, all seem to keep the bound; with fresh seeds, those below 0.5 do not."""

    def lucky(config, seed=0):
        return {"loss": config["x"], "size": 0.0 if seed == 0 or config["x"] > 0.5 else 1.0}

    results = search(lucky, outcome_constraints=["size <= 0.5"], metric="loss", num_trials=10)
    good = min((trial for trial in results if trial.config["x"] > 0.5), key=lambda trial: trial.config["x"])
    confirmation = confirmed(results, top=2, repeats=3, also=[good.number])
    assert results.best_trial.config["x"] < 0.5 and confirmation.best.numbers == (good.number,)
    assert [candidate.num_infeasible for candidate in confirmation.candidates] == [0, 3, 3]
    assert confirmation.front == (good.number,)
    assert "2 of the 3 configurations broke an outcome constraint in most repeats" in str(confirmation)
    assert confirmation.to_dataframe()["num_infeasible"].tolist() == [0, 3, 3]


def test_the_winner_of_a_noisy_search_is_worth_less_than_it_looked():
    results = search()
    confirmation = confirmed(results, top=5, repeats=20)
    assert len(confirmation.candidates) == 5
    assert all(candidate.n == 20 and candidate.num_failed == 0 for candidate in confirmation.candidates)
    means = [candidate.mean for candidate in confirmation.candidates]
    assert means == sorted(means) and confirmation.best_value == means[0]
    low, high = confirmation.interval
    assert low < confirmation.best_config["x"] < high
    assert confirmation.is_noisy and confirmation.noise == pytest.approx(SD, rel=0.25)
    winner = next(c for c in confirmation.candidates if results.best_trial.number in c.numbers)
    assert confirmation.optimism == pytest.approx(winner.mean - results.best_value) and confirmation.optimism > 0
    low, high = confirmation.optimisms["loss"].interval
    assert low < results.best_config["x"] - results.best_value < high


def test_repeats_get_seeds_that_the_search_never_used_and_candidates_share():
    results = search()
    SEEDS.clear()
    confirmation = confirmed(results, top=3, repeats=4)
    by_config: dict[float, set[int]] = {}
    for x, seed in SEEDS:
        by_config.setdefault(x, set()).add(seed)
    first, *others = by_config.values()
    assert len(by_config) == 3 and len(first) == 4 and 0 not in first
    assert all(other == first for other in others)
    assert confirmation.keyword == "seed"
    SEEDS.clear()
    confirmed(results, top=1, repeats=4, seed=77)
    assert not {seed for _, seed in SEEDS} & first


def test_a_baseline_is_confirmed_as_well_and_compared_within_each_repeat():
    results = search(num_trials=10)
    worst = max(results, key=lambda trial: trial.metrics["loss"]).number
    confirmation = confirmed(results, top=2, repeats=4, also=[worst])
    baseline = next(candidate for candidate in confirmation.candidates if worst in candidate.numbers)
    assert len(confirmation.candidates) == 3
    assert sorted(baseline.by_repeat) == sorted(confirmation.best.by_repeat) == [0, 1, 2, 3]
    assert np.mean(list(baseline.by_repeat.values())) == pytest.approx(baseline.mean)
    with pytest.raises(SpecError, match="99 is not one"):
        confirmed(results, top=2, repeats=2, also=[99])
    with pytest.raises(SpecError, match=r"also is a list of numbers of trials, got 0; write also=\[0\]"):
        confirmed(results, top=2, repeats=2, also=0)


def test_an_objective_that_takes_no_seed_is_repeated_and_said_to_be_deterministic():
    confirmation = confirmed(search(steady), top=2, repeats=3)
    assert confirmation.is_noisy is False and confirmation.noise == 0.0
    assert confirmation.interval is None and confirmation.optimism == 0.0
    assert confirmation.best_value == search(steady).best_value
    text = str(confirmation)
    assert "deterministic" in text and "def objective(config, seed=0)" in text and "too good" not in text


def test_an_objective_that_heeds_no_seed_is_told_so():
    def ignores(config, *, seed=3):
        return config["x"]

    assert "it takes 'seed', but its result does not depend on it" in str(confirmed(search(ignores), top=2, repeats=2))


def test_one_repeat_says_nothing_about_the_noise():
    confirmation = confirmed(search(), top=3, repeats=1)
    assert confirmation.is_noisy is None and confirmation.noise is None and confirmation.interval is None
    assert "give more repeats" in str(confirmation)
    assert "1 fresh repeat each" in str(confirmation)


def test_trials_of_the_same_configuration_are_one_candidate():
    unsteady = {"x": hpo.quniform(0, 1, 0.25)}
    rng = np.random.default_rng(1)
    results = search(lambda config: config["x"] + rng.normal(0, 0.3), space=unsteady, num_trials=80)
    assert "noisy: " in str(results) and "tried again differ" in results._repr_html_()
    confirmation = confirmed(results, top=3, repeats=10)
    assert len({candidate.config["x"] for candidate in confirmation.candidates}) == 3
    for candidate in confirmation.candidates:
        same = [trial for trial in results if trial.config["x"] == candidate.config["x"]]
        assert candidate.numbers == tuple(trial.number for trial in same) and len(same) > 5
        assert candidate.search_value == pytest.approx(np.mean([trial.metrics["loss"] for trial in same]))
    assert confirmation.best_config["x"] == 0.0
    assert confirmation.optimism > 0.1  # of the best single trial, not of the mean


def test_the_best_trial_is_asked_about_even_where_its_configuration_is_bad_on_average():
    lucky, good, fair = {"x": 0.9}, {"x": 0.1}, {"x": 0.2}
    results = results_of(done(0.0, lucky), done(0.9, lucky), done(0.1, good), done(0.2, fair))
    confirmation = results.confirm(2, 2, objective=steady, runtime="local", storage="memory", progress=False)
    assert [candidate.numbers for candidate in confirmation.candidates] == [(2,), (0, 1)]
    assert confirmation.optimism == pytest.approx(0.9)


def test_a_maximised_metric_has_its_optimism_upwards():
    def accuracy(config, repeat=None):
        return {"acc": 1 - noisy(config, repeat or 0)}

    results = search(accuracy, metric="acc", mode="max")
    confirmation = confirmed(results, top=4, repeats=20)
    assert confirmation.optimism > 0
    assert confirmation.best_value == max(candidate.mean for candidate in confirmation.candidates)
    assert confirmation.best_value < results.best_value
    low, high = confirmation.optimisms["acc"].interval
    assert low < confirmation.optimism < high


def test_failed_repeats_are_counted_and_a_candidate_that_mostly_fails_does_not_win():
    def fragile(config, seed=0):
        if seed and config["x"] < 0.05 and seed % 10:
            raise MemoryError("too big")
        return config["x"]

    points = [{"x": 0.01}, {"x": 0.3}, {"x": 0.6}]
    results = search(fragile, num_trials=3, points_to_evaluate=points)
    confirmation = confirmed(results, top=3, repeats=8)
    assert confirmation.best_config == {"x": 0.3}
    assert confirmation.candidates[-1].config == {"x": 0.01} and confirmation.candidates[-1].num_failed > 4
    assert f"{confirmation.num_failed} more failed" in str(confirmation)


def test_where_every_repeat_fails_the_reason_is_given():
    def only_once(config, seed=0):
        if seed:
            raise RuntimeError("no more")
        return config["x"]

    with pytest.raises(NoCompletedTrial, match="RuntimeError: no more"):
        confirmed(search(only_once), top=1, repeats=2)


def test_a_confirmation_is_taken_up_again_extended_and_kept_apart_from_others(tmp_path):
    storage = str(tmp_path / "studies.db")
    results = search(storage=storage, name="mine")
    SEEDS.clear()
    first = confirmed(results, top=3, repeats=4)
    assert first.study == "mine-confirm" and len(SEEDS) == 12
    again = confirmed(results, top=3, repeats=4)
    assert len(SEEDS) == 12 and again.candidates == first.candidates
    more = confirmed(results, top=3, repeats=6)
    assert len(SEEDS) == 18 and {candidate.n for candidate in more.candidates} == {6}
    other = confirmed(results, top=2, repeats=4)
    assert other.study == "mine-confirm-2"
    with pytest.raises(SpecMismatch):
        confirmed(results, top=2, repeats=4, name="mine-confirm")
    assert len(hpo.load("mine-confirm", storage)) == 18


def test_loaded_results_want_their_objective_back(tmp_path):
    storage = str(tmp_path / "studies.db")
    search(storage=storage, name="mine")
    loaded = hpo.load("mine", storage)
    with pytest.raises(SpecError, match=r"give it: results.confirm\(objective=...\)"):
        confirmed(loaded)
    confirmation = confirmed(loaded, 2, 3, objective=noisy)
    assert len(confirmation.candidates) == 2
    assert len(hpo.load("mine-confirm", storage)) == 6  # in the storage of the search


def test_results_leave_the_objective_behind_when_they_are_sent_elsewhere():
    results = search(lambda config: config["x"], num_trials=3)  # which pickle would refuse
    sent = pickle.loads(pickle.dumps(results))
    assert list(sent) == list(results) and sent.best_value == results.best_value
    assert results.plan is not None and sent.plan is None


def test_several_goals_confirm_points_of_the_front_in_each_metric():
    rng = np.random.default_rng(3)

    def two(config):
        return {"loss": config["x"] + rng.normal(0, 0.05), "cost": 1 - config["x"] + rng.normal(0, 0.05)}

    results = search(two, metric=["loss", "cost"], mode=["min", "min"], num_trials=80)
    confirmation = confirmed(results, top=4, repeats=10)
    best = {min(results, key=lambda trial: trial.metrics[metric]).number for metric in ("loss", "cost")}
    assert best <= {number for candidate in confirmation.candidates for number in candidate.numbers}
    assert set(confirmation.optimisms) == set(confirmation.noises) == {"loss", "cost"}
    assert all(0.02 < noise < 0.1 for noise in confirmation.noises.values())
    assert 1 <= len(confirmation.front) <= 4
    frame = confirmation.to_dataframe()
    assert {"mean/loss", "mean/cost", "low/cost", "high/loss", "search/cost", "config/x", "n"} <= set(frame.columns)
    assert "Pareto front" in str(confirmation) and "search cost" in str(confirmation)


def test_a_metric_without_noise_is_not_called_too_good_and_long_names_are_cut():
    name, rng = "a parameter with a name that is longer than any column", np.random.default_rng(3)

    def two(config):
        return {"loss": config[name] + rng.normal(0, 0.05), "size": 1 - config[name]}

    results = search(two, metric=["loss", "size"], num_trials=8, space={name: hpo.uniform(0, 1)})
    text = str(confirmed(results, top=2, repeats=3))
    assert "the search said loss=" in text and "the search said size=" not in text
    assert name not in text.split("\n\n")[1]


def test_conditional_configurations_reach_the_objective_as_they_were():
    seen = []

    def objective(config, seed=0):
        seen.append(config)
        config["model"]["touched"] = True
        return config["model"].get("depth", 5) + seed % 3

    space = {
        "model": hpo.choice([{"kind": "svm", "C": hpo.uniform(0, 1)}, {"kind": "tree", "depth": hpo.randint(1, 9)}])
    }
    results = search(objective, space=space, num_trials=30)
    seen.clear()
    confirmation = confirmed(results, top=3, repeats=3)
    assert all(set(config["model"]) in ({"kind", "C", "touched"}, {"kind", "depth", "touched"}) for config in seen)
    assert "touched" not in confirmation.best_config["model"]
    assert "config/model/depth" in confirmation.to_dataframe().columns


def test_what_is_shown_is_escaped_and_has_a_picture():
    results = results_of(*[done(n / 9, {"x": n / 9, NASTY: NASTY}) for n in range(9)], name=NASTY.replace("\n", ""))
    rng = np.random.default_rng(1)
    objective = lambda config: config["x"] + rng.normal()  # noqa: E731
    confirmation = results.confirm(3, 3, objective=objective, runtime="local", storage="memory", progress=False)
    html = confirmation._repr_html_()
    assert "<script" not in html and html.count("<svg") == 1 and html.count("<table") == 1
    assert html.count("<circle") == 3
    assert repr(confirmation).startswith("<Confirmation of")


@pytest.mark.parametrize(
    ("settings", "said"), [({"top": 0}, "top"), ({"repeats": 0}, "repeats"), ({"repeats": 2.5}, "repeats")]
)
def test_bad_settings_are_refused(settings, said):
    with pytest.raises(SpecError, match=said):
        confirmed(search(steady, num_trials=3), **settings)


def test_a_simulated_search_is_confirmed_in_real_time():
    def takes_its_time(config, seed=0):
        return {"loss": noisy(config, seed), "cost_s": 3_600.0}

    results = hpo.simulate(takes_its_time, {"x": hpo.uniform(0, 1)}, num_workers=500, num_trials=50, sampler="random")
    confirmation = confirmed(results, top=2, repeats=3)
    assert [candidate.n for candidate in confirmation.candidates] == [3, 3]


def test_a_study_that_was_asked_and_told_wants_an_objective():
    with hpo.Study({"x": hpo.uniform(0, 1)}, storage="memory", num_trials=3, sampler="random") as study:
        for trial in study.ask_batch(3):
            study.tell(trial, trial.config["x"])
        results = study.results()
    with pytest.raises(SpecError, match="give it"):
        confirmed(results)
    assert confirmed(results, 1, 2, objective=steady, storage="memory").best_value == results.best_value


def test_a_search_without_results_has_nothing_to_confirm():
    with pytest.raises(NoCompletedTrial):
        results_of().confirm(objective=steady)


def test_seeds_are_found_in_every_kind_of_objective():
    class Callable:
        def __call__(self, config, seed=9):
            return seed

    def by_position(seed):
        return seed

    assert seed_keyword(noisy) == ("seed", 0)
    assert seed_keyword(functools.partial(noisy, seed=4)) == ("seed", 4)
    assert seed_keyword(Callable()) == ("seed", 9)
    assert seed_keyword(lambda config, *, repeat: 0) == ("repeat", None)
    assert seed_keyword(lambda config, **more: 0) == (None, None)
    assert seed_keyword(by_position) == (None, None)  # what it calls seed is its configuration
    assert seed_keyword(dict) == (None, None)


def test_the_seed_to_avoid_is_never_given():
    drawn = fresh_seed(1, 2)
    assert fresh_seed(1, 2) == drawn and fresh_seed(1, 3) != drawn
    assert fresh_seed(1, 2, avoid=drawn) != drawn


def test_filled_in_parameters_travel_with_the_repeats():
    def objective(config, data, seed=0):
        return config["x"] + sum(data) + seed % 2

    results = search(hpo.with_parameters(objective, data=[1, 2], seed=8))
    confirmation = confirmed(results, top=2, repeats=6)
    assert confirmation.keyword == "seed" and confirmation.is_noisy
    assert 3 <= confirmation.best_value <= 5
    repeated = Repeated(objective, {0: {"x": 0.5}}, keyword=None, seed=1)
    assert repeated({"trial": 0, "repeat": 0}, data=[1]) == 1.5
