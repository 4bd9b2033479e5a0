"""Ray Tune draws from our samplers, by its own protocol; tests/cluster/test_integrations_on_ray.py runs real experiments."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import replace

import cloudpickle
import pytest
from ray import tune
from ray.tune.search import Searcher as Base
from ray.tune.utils import flatten_dict

import raytune_hpo as hpo
from raytune_hpo.errors import HpoError, SpaceError, SpecError, SpecMismatch
from raytune_hpo.integrations.ray_tune import Searcher
from raytune_hpo.samplers.random import Random

SPACE = {
    "model": tune.choice(
        [{"kind": "svm", "C": tune.loguniform(1e-2, 1e2)}, {"kind": "forest", "depth": tune.randint(2, 9)}]
    ),
    "lr": tune.uniform(0, 1),
    "steps": 3,
}


def searcher(space=None, **settings):
    settings = {"metric": "loss", "mode": "min", "sampler": "random", "seed": 1, **settings}
    return Searcher(SPACE if space is None else space, **settings)


def loss_of(config):
    return (config["lr"] - 0.3) ** 2 + (0.0 if config["model"]["kind"] == "svm" else 1.0)


def drive(search, num, loss=loss_of, *, begin=0):
    """As Ray Tune does with one trial at a time; the configurations."""
    configs = []
    for number in range(begin, begin + num):
        config = search.suggest(f"trial{number}")
        search.on_trial_result(f"trial{number}", {"loss": 100.0, "training_iteration": 1})
        search.on_trial_complete(f"trial{number}", {"loss": loss(config), "done": True})
        configs.append(config)
    return configs


# ------------------------------------------------------------------------------------------------ the protocol


def test_it_is_a_searcher_of_ray_tune():
    assert issubclass(Searcher, Base) and isinstance(searcher(), Base)
    assert searcher().metric == "loss" and searcher().mode == "min"
    assert "Our samplers" in Searcher.__doc__


def test_branches_come_whole_with_constants():
    kinds = {"svm": {"kind", "C"}, "forest": {"kind", "depth"}}
    for config in drive(searcher(), 20):
        assert config["steps"] == 3 and config["model"].keys() == kinds[config["model"]["kind"]]


def test_a_sampler_learns():
    values = [loss_of(config) for config in drive(searcher(sampler="tpe"), 60)]
    assert sum(values[40:]) / 20 < 0.5 * sum(values[:10]) / 10


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_the_same_seed_gives_the_same_suggestions(sampler):
    space = {"lr": tune.uniform(0, 1), "wd": tune.loguniform(1e-5, 1)}
    one, other = (drive(searcher(space, sampler=sampler), 15, lambda c: c["lr"]) for _ in range(2))
    assert one == other


def test_asked_twice_for_one_trial_it_says_the_same():
    search = searcher()
    assert search.suggest("a") == search.suggest("a") != search.suggest("b")


def test_the_end_of_a_grid_is_the_end():
    search = searcher({"x": tune.grid_search([1, 2]), "y": hpo.choice(["a", "b"])}, sampler="grid")
    configs = [search.suggest(f"{number}") for number in range(5)]
    assert sorted((c["x"], c["y"]) for c in configs[:4]) == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]
    assert configs[4] == Base.FINISHED, "what still runs cannot change that"
    for number in range(4):
        search.on_trial_complete(f"{number}", {"loss": 1.0})
    assert search.suggest("5") == Base.FINISHED


def test_the_end_of_a_grid_does_not_wait_for_trials_that_ray_tune_has_skipped(tmp_path):
    """As under ResumeConfig(unfinished="skip"): the Searcher never hears of the trial that ran when it was saved."""
    space = {"x": tune.grid_search([1, 2, 3])}
    search = searcher(space, sampler="grid")
    drive(search, 1, lambda config: config["x"])
    search.suggest("skipped")
    search.save(str(tmp_path / "state"))
    restored = searcher(space, sampler="grid")
    restored.restore(str(tmp_path / "state"))
    assert drive(restored, 1, lambda config: config["x"], begin=2) == [{"x": 3}]
    assert restored.suggest("3") == Base.FINISHED
    restored.on_trial_complete("skipped", {"loss": 1.0})
    assert restored.suggest("3") == Base.FINISHED


def rounds(tmp_path):
    """A Searcher whose sampler waits for each batch of three, restored while two of a batch were running."""
    portfolio = {"name": "portfolio", "arms": ["random", "sobol"], "strategy": "SYNC"}
    space = {"x": tune.uniform(0, 1)}
    search = searcher(space, sampler=portfolio)
    drive(search, 1, lambda config: config["x"])
    configs = {name: search.suggest(name) for name in ("one", "other")}
    assert search.suggest("next") is None
    search.save(str(tmp_path / "state"))
    restored = searcher(space, sampler=portfolio)
    restored.restore(str(tmp_path / "state"))
    return restored, configs


def test_a_sampler_that_waits_does_not_wait_for_trials_that_ray_tune_has_skipped(tmp_path):
    restored, _ = rounds(tmp_path)
    assert restored.suggest("next")
    endings = [json.loads(row[2]) for row in saved(restored)["facts"] if row[0] == "Finished"]
    assert [ending["status"] for ending in endings] == ["completed", "pruned", "pruned"]


def test_a_sampler_that_waits_does_wait_for_trials_that_ray_tune_has_resumed(tmp_path):
    restored, _ = rounds(tmp_path)
    restored.on_trial_result("one", {"loss": 1.0})
    assert restored.suggest("next") is None
    restored.on_trial_complete("one", {"loss": 1.0})
    assert restored.suggest("next"), "of the other, nothing has been heard"


def test_a_trial_that_reports_after_it_was_given_up_is_learned_from(tmp_path):
    restored, configs = rounds(tmp_path)
    restored.suggest("next")
    restored.on_trial_complete("one", {"loss": 0.25})
    *_, enqueued, started, finished = [(row[0], json.loads(row[2])) for row in saved(restored)["facts"]]
    assert (enqueued[0], enqueued[1]["config"]) == ("Enqueued", configs["one"])
    assert started[1]["number"] == finished[1]["number"] and finished[1]["metrics"] == {"loss": 0.25}


@pytest.mark.parametrize("reports", [0, 2], ids=["at its end alone", "while it runs"])
def test_a_trial_that_ray_tune_has_begun_anew_by_another_id_is_learned_from(tmp_path, reports):
    """As under ResumeConfig(unfinished="restart", errored="restart"): only the configuration in its results is the same."""
    search = searcher(sampler="tpe")
    unfinished, failed = search.suggest("unfinished"), search.suggest("failed")
    search.on_trial_complete("failed", error=True)
    search.save(str(tmp_path / "state"))
    restored = searcher(sampler="tpe")
    restored.restore(str(tmp_path / "state"))
    for trial_id, config, loss in (("new", unfinished, 0.5), ("newer", failed, 0.25)):
        for _ in range(reports):
            restored.on_trial_result(trial_id, flatten_dict({"loss": 1.0, "config": config}))
        restored.on_trial_complete(trial_id, flatten_dict({"loss": loss, "config": config}))
        restored.on_trial_complete(trial_id, flatten_dict({"loss": loss, "config": config}))
    restored.on_trial_complete("nobody", flatten_dict({"loss": 0.0, "config": {**failed, "lr": 0.123}}))
    endings = [json.loads(row[2]) for row in saved(restored)["facts"] if row[0] == "Finished"]
    found = [(ending["number"], ending.get("metrics")) for ending in endings]
    assert found == [(1, None), (0, {"loss": 0.5}), (2, {"loss": 0.25})]
    assert saved(restored)["numbers"] == {}


def test_errors_missing_and_strange_results_count_as_failed():
    search = searcher({"x": tune.uniform(0, 1)}, sampler="tpe")
    endings = [({"loss": math.nan}, False), ({}, False), (None, True), (None, False), ({"loss": "high"}, False)]
    for number, (result, error) in enumerate(endings):
        search.suggest(f"{number}")
        search.on_trial_complete(f"{number}", result, error=error)
    search.on_trial_complete("nobody", {"loss": 1.0})
    search.on_trial_complete("0", {"loss": 1.0})
    statuses = [row[2] for row in saved(search)["facts"] if row[0] == "Finished"]
    assert len(statuses) == 5 and all('"failed"' in body for body in statuses)
    assert drive(search, 3, lambda config: config["x"], begin=10)


def saved(search):
    with tempfile.NamedTemporaryFile("r") as file:
        search.save(file.name)
        return json.load(file)


def test_points_may_be_none_or_come_from_a_generator():
    space = {"x": tune.uniform(0, 1)}
    assert 0 <= searcher(space, points_to_evaluate=None).suggest("a")["x"] <= 1
    search = searcher(space, points_to_evaluate=({"x": x} for x in (0.25, 0.75)))
    assert [search.suggest(name)["x"] for name in "ab"] == [0.25, 0.75]
    with pytest.raises(SpecError, match="points_to_evaluate is a list of configurations"):
        searcher(space, points_to_evaluate={"x": 0.25})


def test_points_with_rewards_are_learned_from_and_not_suggested():
    space, points = {"x": tune.uniform(0, 1)}, [{"x": number / 30} for number in range(31)]
    rewards = [abs(point["x"] - 0.9) for point in points[:30]]
    search = searcher(space, sampler="tpe", points_to_evaluate=points, evaluated_rewards=rewards)
    assert search.suggest("a") == points[30], "it has no reward"
    configs = drive(search, 15, lambda config: abs(config["x"] - 0.9))
    assert sum(config["x"] > 0.7 for config in configs) > 10
    with pytest.raises(SpecError, match="2 rewards of 1 points"):
        searcher(space, points_to_evaluate=points[:1], evaluated_rewards=[1.0, 2.0])
    with pytest.raises(SpaceError):
        searcher(space, points_to_evaluate=[{"x": 7.0}], evaluated_rewards=[1.0])


def test_points_of_ones_own_come_first():
    points = [
        {"model": {"kind": "svm", "C": 1.0}, "lr": 0.5, "steps": 3},
        {"model": {"kind": "forest", "depth": 2}, "lr": 1.0, "steps": 3},
    ]
    assert drive(searcher(points_to_evaluate=points), 3)[:2] == points
    with pytest.raises(SpaceError):
        searcher(points_to_evaluate=[{"lr": 7}])


def test_trials_that_were_run_elsewhere_are_learned_from():
    space = {"x": tune.uniform(0, 1)}
    search = searcher(space, sampler="tpe")
    for number in range(30):
        search.add_evaluated_point({"x": number / 30}, abs(number / 30 - 0.9))
    search.add_evaluated_point({"x": 0.9}, 0.0, error=True)
    configs = drive(search, 15, lambda config: abs(config["x"] - 0.9))
    assert sum(config["x"] > 0.7 for config in configs) > 10
    with pytest.raises(SpaceError):
        search.add_evaluated_point({"x": 2.0}, 1.0)


def test_a_point_added_after_the_end_of_a_grid_changes_nothing():
    search = searcher({"x": tune.grid_search([1, 2])}, sampler="grid")
    drive(search, 2, lambda config: config["x"])
    assert search.suggest("2") == Base.FINISHED
    search.add_evaluated_point({"x": 1}, 3.0)
    assert search.suggest("3") == Base.FINISHED


@pytest.mark.parametrize("name", ["pbt", "pb2"])
def test_populations_are_refused_since_ray_tune_would_end_after_the_first_generation(name):
    with pytest.raises(SpecError, match="checkpoints.*use a scheduler of Ray Tune"):
        searcher(sampler={"name": name, "max_steps": 10})


def test_several_metrics():
    search = searcher({"x": tune.uniform(0, 1)}, metric=["loss", "size"], mode=["min", "max"], sampler="auto")
    for number in range(12):
        config = search.suggest(f"{number}")
        search.on_trial_complete(f"{number}", {"loss": config["x"], "size": 1 - config["x"]})
    assert saved(search)["facts"][-1][0] == "Finished"
    with pytest.raises(SpecError, match="one metric"):
        search.add_evaluated_point({"x": 0.5}, 1.0)


def test_metric_mode_and_space_may_come_from_ray_tune_but_must_come():
    search = Searcher(sampler="random")
    with pytest.raises(SpecError, match="needs a space"):
        search.suggest("a")
    with pytest.raises(SpecError, match="needs metric and mode"):
        search.set_search_properties("loss", None, SPACE)
    with pytest.raises(SpecError, match="needs metric and mode"):
        Searcher(SPACE, mode="min")
    search = Searcher(sampler="random")
    assert search.set_search_properties("loss", "max", SPACE, extra="of a later Ray")
    assert search.metric == "loss" and search.suggest("a")["steps"] == 3
    assert not search.set_search_properties("loss", "max", SPACE), "it has a space already"


def test_its_own_metrics_are_searched_for_whatever_ray_tune_judges_by():
    space = {"x": tune.uniform(0, 1)}
    search = Searcher(sampler="random", metric=["loss", "size"], mode=["min", "max"])
    assert search.set_search_properties("loss", "min", space) and search.metric == ["loss", "size"]
    search = Searcher(sampler="random", metric="accuracy", mode="max")
    assert search.set_search_properties("loss", "min", space)
    assert (search.metric, search.mode) == ("accuracy", "max")
    search = Searcher(sampler="random", metric="loss")
    assert search.set_search_properties("loss", "max", space) and search.mode == "max"


def test_a_param_space_in_which_nothing_varies_is_warned_of():
    """As where it has domains of ours, for which Ray Tune puts placeholders."""
    with pytest.warns(UserWarning, match="no domain of ray.tune; give a space of raytune_hpo to the Searcher itself"):
        Searcher(sampler="random").set_search_properties("loss", "min", {"x": ("__ref_ph", "7476e9ec")})


@pytest.mark.parametrize(
    "own",
    [
        {"metric": "loss", "mode": "min"},
        {"mode": "min"},
        {"metric": "accuracy"},
        {"metric": ["loss", "x"], "mode": "min"},
    ],
)
def test_a_contradiction_between_its_goals_and_ray_tunes_is_named(own):
    with pytest.raises(SpecError, match="the Searcher has metric=.*TuneConfig has metric='loss', mode='max'"):
        Searcher(**own).set_search_properties("loss", "max", {"x": tune.uniform(0, 1)})


# ------------------------------------------------------------------------------------------------ kept and brought back


@pytest.mark.parametrize("sampler", ["tpe", "gp", "sobol"])
def test_saved_and_restored_it_goes_on_as_if_nothing_had_been(tmp_path, sampler):
    space = {"lr": tune.uniform(0, 1), "shape": tune.choice([(1, 2), (3,)])}
    loss = lambda config: config["lr"] + len(config["shape"])  # noqa: E731
    points = [{"lr": 0.1, "shape": (3,)}, {"lr": 0.2, "shape": (1, 2)}, {"lr": 0.3, "shape": (3,)}]
    search = searcher(space, sampler=sampler, points_to_evaluate=points)
    drive(search, 2, loss)
    search.suggest("under way")
    search.save(str(tmp_path / "state"))
    restored = searcher(space, sampler=sampler, seed=None)
    restored.restore(str(tmp_path / "state"))
    for one in (search, restored):
        one.on_trial_complete("under way", {"loss": 0.0})
    assert drive(restored, 12, loss, begin=5) == drive(search, 12, loss, begin=5)


def test_restored_before_its_space_is_known_it_waits_for_it(tmp_path):
    search = Searcher(sampler="random", seed=1)
    search.set_search_properties("loss", "min", SPACE)
    drive(search, 3)
    search.save(str(tmp_path / "state"))
    restored = Searcher(sampler="random")
    restored.restore(str(tmp_path / "state"))
    restored.set_search_properties("loss", "min", SPACE)
    assert drive(restored, 3, begin=3) == drive(search, 3, begin=3)


@pytest.mark.parametrize(
    "wanted", [{}, {"metric": "loss"}, {"mode": "min"}, {"metric": ["loss", "size"], "mode": ["min", "max"]}]
)
def test_restored_without_a_space_it_goes_on_in_the_one_it_had(tmp_path, wanted):
    """As under Tuner.restore(path, trainable), where Ray Tune passes no param_space on."""
    space = {**SPACE, "half": tune.sample_from(lambda config: config["lr"] / 2)}
    search = Searcher(sampler="random", seed=1, **wanted)
    assert search.set_search_properties("loss", "min", space)
    drive(search, 3)
    search.save(str(tmp_path / "state"))
    restored = cloudpickle.loads(cloudpickle.dumps(Searcher(sampler="random", **wanted)))
    restored.restore(str(tmp_path / "state"))
    assert (restored.metric, restored.mode) == (search.metric, search.mode), "wrappers read them before anything else"
    restored.save(str(tmp_path / "again"))
    assert drive(restored, 3, begin=3) == drive(search, 3, begin=3)
    third = Searcher(sampler="random", **wanted)
    third.restore(str(tmp_path / "again"))
    assert third.set_search_properties("loss", "min", space), "a space that is given again is compared"


def test_restored_without_a_space_it_wants_the_objects_that_ray_tune_has_not_kept(tmp_path):
    space = {"x": tune.uniform(0, 1), "y": ("__fn_ph", "f1b99769")}
    search = Searcher(sampler="random", seed=1)
    search.set_search_properties("loss", "min", space)
    search.suggest("a")
    search.save(str(tmp_path / "state"))
    restored = Searcher(sampler="random")
    restored.restore(str(tmp_path / "state"))
    restored.on_trial_complete("a", {"loss": 1.0})
    with pytest.raises(SpecError, match="functions or objects.*Tuner.restore.path, trainable, param_space=param_space"):
        restored.suggest("b")
    restored = Searcher(sampler="random")
    assert restored.set_search_properties("loss", "min", space)
    restored.restore(str(tmp_path / "state"))
    assert restored.suggest("b") == search.suggest("b")


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickled", b"[1]", b'{"facts": []}'])
def test_a_file_of_another_searcher_is_named(tmp_path, content):
    (tmp_path / "state").write_bytes(content)
    with pytest.raises(HpoError, match="state is something else"):
        searcher().restore(str(tmp_path / "state"))


def test_a_file_without_its_space_is_still_read(tmp_path):
    """As earlier releases wrote it."""
    search = searcher()
    drive(search, 3)
    state = saved(search)
    del state["space"]
    (tmp_path / "state").write_text(json.dumps(state))
    restored = Searcher(sampler="random")
    restored.restore(str(tmp_path / "state"))
    with pytest.raises(SpecError, match="needs a space"):
        restored.suggest("a")
    assert restored.set_search_properties("loss", "min", SPACE)
    assert drive(restored, 3, begin=3) == drive(search, 3, begin=3)


def test_another_space_or_version_is_refused(tmp_path):
    search = searcher()
    search.save(str(tmp_path / "state"))
    with pytest.raises(SpecMismatch, match="^the saved Searcher .*hi.*this run says .*2.0; begin another experiment"):
        searcher({**SPACE, "lr": tune.uniform(0, 2)}).restore(str(tmp_path / "state"))
    (tmp_path / "state").write_text(json.dumps({**json.loads((tmp_path / "state").read_text()), "version": 99}))
    with pytest.raises(HpoError, match="version 99"):
        searcher().restore(str(tmp_path / "state"))


def test_another_version_of_a_sampler_is_refused_with_what_a_searcher_takes(tmp_path, monkeypatch):
    search = searcher()
    search.save(str(tmp_path / "state"))
    monkeypatch.setattr(Random, "traits", replace(Random.traits, version=Random.traits.version + 1))
    words = "begin another experiment.*; points_to_evaluate with evaluated_rewards begin from what it found$"
    with pytest.raises(SpecMismatch, match=words):
        searcher().restore(str(tmp_path / "state"))


def test_it_is_sent_elsewhere_as_it_is():
    search = searcher(sampler="tpe")
    drive(search, 12)
    assert drive(cloudpickle.loads(cloudpickle.dumps(search)), 3, begin=12) == drive(search, 3, begin=12)


def test_modes_are_those_of_a_tuner():
    with pytest.raises(SpecError, match='mode is "min" or "max", got \'minimize\''):
        Searcher(mode="minimize")
    assert Searcher(metric=["loss", "size"], mode="min").mode == ["min", "min"]
    assert Searcher(metric=("loss", "size"), mode=("min", "max")).metric == ["loss", "size"]
    assert Searcher(metric="loss", mode=["min"]).mode == "min"
    with pytest.raises(SpecError, match="metric is a word"):
        Searcher(metric=5)
