"""An algorithm as four functions, tried one after the other and in parallel."""

from __future__ import annotations

import json
import math
import time
import types

import pytest
from click.testing import CliRunner

import raytune_hpo as hpo
from raytune_hpo import optml
from raytune_hpo.cli import main

ALGORITHM = """
import threading
lock = threading.Lock()          # cannot be sent anywhere
made = []

def generate_data():
    lock.acquire(blocking=False)
    made.append(1)
    print("data are made")
    return [1.0, 2.0, 3.0]

def initialization(data, hyperparameters):
    return {"weight": 0.0}

def train(model, data, hyperparameters):
    model["weight"] = hyperparameters["rate"] * sum(data)

def test_error(model, data):
    return abs(model["weight"] - 3.0)
"""
GRID = "rate\n0.1\n0.4\n0.5\n0.9\n"


def make(**changes):
    """The same in Python: an algorithm that learns 6 * rate and should have learned 3."""
    functions = {
        "generate_data": lambda: [1.0, 2.0, 3.0],
        "initialization": lambda data, hyperparameters: 0.0,
        "train": lambda model, data, hyperparameters: hyperparameters["rate"] * sum(data),
        "test_error": lambda model, data: abs(model - 3.0),
    }
    return {**functions, "__name__": "toy", **changes}


def serially(algorithm, parameters=({"rate": 0.1}, {"rate": 0.5}), **settings):
    return optml.tune(algorithm, parameters, how="serial", storage="memory", progress=False, **settings)


# ------------------------------------------------------------------------------------------------ algorithms


def test_an_algorithm_may_be_a_file_a_module_a_class_or_a_dict(tmp_path):
    (tmp_path / "toy.py").write_text(ALGORITHM)
    module = types.ModuleType("some.where.toy")
    exec(ALGORITHM, module.__dict__)
    static = {name: staticmethod(function) for name, function in make().items() if callable(function)}
    for given in (tmp_path / "toy.py", str(tmp_path / "toy.py"), module, type("toy", (), static), make()):
        algorithm = optml.Algorithm.of(given)
        assert algorithm.name == "toy"
        assert serially(given).best_config == {"rate": 0.5}
        assert optml.Algorithm.of(algorithm) is algorithm


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train": None}, "toy has no train"),
        ({"train": None, "test_error": None}, "toy has no train and no test_error"),
        ({"train": 3}, "needs a function train(model, data, hyperparameters), its train is a int"),
        ({"train": lambda model, data: model}, "its own is train(model, data)"),
        ({"generate_data": lambda size: size}, "needs a function generate_data()"),
    ],
)
def test_an_algorithm_that_is_none_is_refused(changes, said):
    with pytest.raises(hpo.errors.SpecError) as error:
        optml.Algorithm.of(make(**changes))
    assert said in str(error.value)


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(hpo.errors.SpecError, match="there is no file"):
        optml.Algorithm.of(tmp_path / "toy.py")
    (tmp_path / "toy.py").write_text("1 / 0")
    with pytest.raises(hpo.errors.HpoError, match="ZeroDivisionError: division by zero .line 1."):
        optml.Algorithm.of(tmp_path / "toy.py")


# ------------------------------------------------------------------------------------------------ one after the other


def test_every_configuration_of_a_list_is_tried_in_order_and_the_best_is_found():
    points = [{"rate": rate} for rate in (0.9, 0.5, 0.1, 0.5)]
    found = serially(make(), points)
    assert [dict(trial.config) for trial in found.results] == points
    assert (found.best_config, found.best_error) == ({"rate": 0.5}, 0.0)
    assert found.parallel is None
    assert found.speed_up is None


def test_a_list_may_be_cut_short():
    assert len(serially(make(), num_trials=1).results) == 1
    assert len(serially(make(), num_trials=9).results) == 2


def test_all_combinations_of_listed_values_are_tried():
    space = {"rate": hpo.ordinal([0.1, 0.5]), "width": hpo.choice(["a", "b"])}
    assert len(serially(make(), space).results) == 4
    assert len(serially(make(), space, num_trials=3).results) == 3


def test_ranges_are_drawn_from():
    space = {"rate": hpo.uniform(0, 1)}
    assert len(serially(make(), space).results) == 32
    drawn = serially(make(), space, num_trials=5, sampler="random", seed=1)
    assert len({trial.config["rate"] for trial in drawn.results}) == 5
    assert drawn.results.spec.sampler.name == "random"


def test_data_are_made_once_and_after_the_settings_were_checked():
    made = []
    algorithm = make(generate_data=lambda: made.append(1) or [1.0])
    with pytest.raises(hpo.errors.SpecError):
        serially(algorithm, seed=-1)
    assert made == []
    serially(algorithm)
    assert made == [1]


def test_data_that_cannot_be_made_are_one_sentence_with_the_place():
    with pytest.raises(
        hpo.errors.HpoError, match=r"generate_data of 'toy' failed: ZeroDivisionError: .*functions.py, line"
    ):
        serially(make(generate_data=lambda: 1 / 0))


def test_an_empty_list_of_configurations_is_refused():
    with pytest.raises(hpo.errors.SpecError, match="has at least one, got an empty list"):
        serially(make(), [])


def test_a_model_that_is_trained_in_place_is_the_one_that_is_judged():
    def train(model, data, hyperparameters):
        model.append(hyperparameters["rate"])

    found = serially(
        make(initialization=lambda data, h: [], train=train, test_error=lambda model, data: abs(model[0] - 0.1))
    )
    assert found.best_config == {"rate": 0.1}


@pytest.mark.parametrize("error", [math.nan, -math.inf, -4e11])
def test_what_diverged_has_failed_and_never_wins(error):
    algorithm = make(
        test_error=lambda model, data: error if model > 4 else abs(model - 3.0),
        valid_range=(0, 10),
    )
    found = serially(algorithm, [{"rate": 0.4}, {"rate": 0.9}])
    assert found.best_config == {"rate": 0.4}
    assert found.results.num_by_status["failed"] == 1
    assert "trial 1 failed: metric 'error' must" in str(found)


def test_the_range_that_is_given_wins_over_the_algorithms_own():
    algorithm = make(valid_range=(5, 6))
    assert serially(algorithm).results.num_by_status["failed"] == 2
    assert serially(algorithm, valid_range=(0, 6)).results.num_by_status["failed"] == 0


def test_a_study_without_any_error_still_has_a_table():
    found = serially(make(valid_range=(5, 6)))
    assert "no configuration has an error to show" in str(found)
    assert found.to_json()["best"] is None
    with pytest.raises(hpo.errors.NoCompletedTrial):
        found.best_config


def test_long_tables_are_cut():
    points = [{"rate": number / 100} for number in range(50)]
    text = str(serially(make(valid_range=(0, 2)), points))
    assert "toy: 50 configurations (33 completed, 17 failed)" in text
    assert "and 13 more: .results.to_dataframe()" in text
    assert "and 9 more like these" in text


def test_a_notebook_shows_what_users_named_without_running_it():
    html = serially(make(__name__="<script>"))._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"how": "twice"}, "unknown how='twice'"),
        ({"num_trials": 0}, "num_trials is a whole number of at least 1"),
        ({"sampler": "tpe"}, "a list of configurations is tried as it is"),
    ],
)
def test_bad_settings(settings, said):
    with pytest.raises(hpo.errors.SpecError, match=said):
        optml.tune(make(), [{"rate": 0.1}], **{"how": "serial", "storage": "memory", **settings})


def test_a_study_that_is_taken_up_again_adds_up_its_seconds(tmp_path):
    settings = {"how": "serial", "storage": str(tmp_path / "s.db"), "name": "toy", "progress": False}
    algorithm = make(train=lambda model, data, h: time.sleep(0.05) or h["rate"])
    first = optml.tune(algorithm, [{"rate": 0.1}, {"rate": 0.5}], **settings).serial
    again = optml.tune(algorithm, [{"rate": 0.1}, {"rate": 0.5}], **settings).serial
    assert first.seconds >= 0.1
    assert again.seconds == pytest.approx(first.seconds, abs=0.05)
    assert again.start_s == pytest.approx(first.start_s, abs=0.05)


class SlowAtFirst(hpo.samplers.Random):
    """Random search whose first suggestions take long: one for each of so many that are slow."""

    slow_s, slow_left = 0.3, 1

    def bind(self, space, goals, seed):
        bound = super().bind(space, goals, seed)
        bound.__class__ = type(self)
        return bound

    def ask(self, number, pending, rng):
        if number == 0 and type(self).slow_left:
            type(self).slow_left -= 1
            time.sleep(self.slow_s)
        return super().ask(number, pending, rng)


@pytest.mark.parametrize(("slow", "in_the_pass"), [(1, 0), (2, 1)])
def test_what_a_sampler_loads_once_is_not_part_of_the_seconds_and_else_part_of_the_start(
    slow, in_the_pass, monkeypatch
):
    """The first call in a process imports what the sampler needs: the speed-up may not depend on that."""
    monkeypatch.setattr(SlowAtFirst, "slow_left", slow)
    found = serially(make(), {"rate": hpo.uniform(0, 1)}, num_trials=2, sampler=SlowAtFirst()).serial
    assert SlowAtFirst.slow_left == 0
    assert found.seconds - found.start_s < 0.25
    assert (found.start_s >= 0.3) == bool(in_the_pass)
    assert (found.seconds >= 0.3) == bool(in_the_pass)


# ------------------------------------------------------------------------------------------------ the command


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Calls ``raytune-hpo optml`` in a folder with both files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYTUNE_HPO_STORAGE", f"sqlite:///{tmp_path}/studies.db")
    (tmp_path / "toy.py").write_text(ALGORITHM)
    (tmp_path / "toy.txt").write_text(GRID)

    def run(*arguments, command="optml"):
        result = CliRunner().invoke(main, [command, *arguments], prog_name="raytune-hpo")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def test_the_command_prints_the_table_and_where_to_look_next(call):
    result = call("toy.py", "toy.txt", "--serial", "--quiet", "--name", "toy")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "data are made"
    assert lines[1] == "toy: 4 configurations (4 completed)"
    assert lines[4].split()[:2] == ["0", "0.5"]
    assert lines[-1].startswith("more: raytune-hpo show toy-serial")
    assert call("toy-serial", command="best").exit_code == 0


def test_the_command_says_json(call):
    result = call("toy.py", "toy.txt", "--serial", "--json")
    data = json.loads(result.stdout.removeprefix("data are made\n"))
    assert data["best"]["config"] == {"rate": 0.5}
    assert [trial["config"]["rate"] for trial in data["trials"]] == [0.5, 0.4, 0.1, 0.9]
    assert data["parallel"] is None
    assert data["serial"]["workers"] == 1


def test_the_command_fails_where_every_configuration_does(call):
    result = call("toy.py", "toy.txt", "--serial", "--quiet", "--valid-range", "10", "20")
    assert result.exit_code == 1
    assert "4 failed" in result.stdout


def test_bad_files_are_one_clear_line_and_exit_code_2(call, tmp_path):
    (tmp_path / "bad.txt").write_text("rate\n1 2\n")
    (tmp_path / "bad.py").write_text("def train(): pass")
    for arguments, said in (
        (["toy.py", "bad.txt"], "bad.txt, line 2"),
        (["toy.py", "none.txt"], "there is no file of hyperparameters"),
        (["bad.py", "toy.txt"], "bad.py has no generate_data"),
        (["none.py", "toy.txt"], "there is no file 'none.py'"),
    ):
        result = call(*arguments, "--serial", "--quiet")
        assert result.exit_code == 2
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1
