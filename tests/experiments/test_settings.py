"""Settings in a file and on the command line, and the commands."""

import json

import pytest
from click.testing import CliRunner
from experiment_tables import written

import raytune_hpo as hpo
from raytune_hpo.cli import main
from raytune_hpo.errors import SpecError
from raytune_hpo.experiments import settings, tabulate
from raytune_hpo.experiments.plan import Until
from raytune_hpo.samplers.presets import preset

ARMS = """
arms:
  - {name: gp, acquisition: ei}
  - rf
strategy: EG
scheduler: deca
until: {goal: 0.985, time: 2h}
repeats: 2
workers: 2
"""


def file(folder, text, name="settings.yaml"):
    path = folder / name
    path.write_text(text)
    return path


def test_arms_and_run_settings_come_from_one_file(tmp_path):
    plan = settings.plan_of(settings.read_file(file(tmp_path, ARMS)))
    assert plan.sampler == {"name": "portfolio", "arms": [{"name": "gp", "acquisition": "ei"}, "rf"], "strategy": "EG"}
    assert (plan.scheduler, plan.num_workers, plan.until) == ("deca", 2, Until(goal=0.985, time_s=7200))
    data = {"mode": "GP", "spec": "PI", "until": ["trials=5"], "warm_up": "12h"}
    plan = settings.plan_of(settings.read_file(file(tmp_path, json.dumps(data), "settings.json")))
    assert plan.sampler == {**preset("GP", "PI"), "warm_up_s": 43200}


def test_all_options_of_a_portfolio_stand_beside_its_arms_and_empty_keys_say_nothing(tmp_path):
    text = """
arms: [random, tpe]
failover: next_candidate
penalty: linear
penalty_weight: 0.2
n_initial: 3
strategy:
until: trials=4
"""
    plan = settings.plan_of(settings.read_file(file(tmp_path, text)))
    options = {"failover": "next_candidate", "penalty": "linear", "penalty_weight": 0.2, "n_initial": 3}
    assert plan.sampler == {"name": "portfolio", "arms": ["random", "tpe"], **options}


def test_the_command_line_wins_and_names_its_own_sampler():
    below = {"arms": ["gp"], "strategy": "EG", "seed": 3, "workers": 2}
    assert settings.merged(below, {"seed": 4}) == {**below, "seed": 4}
    assert settings.merged(below, {"mode": "GP"}) == {"mode": "GP", "seed": 3, "workers": 2}
    assert settings.merged(below, {"strategy": "GT"})["arms"] == ["gp"]
    assert settings.merged({"mode": "GP", "spec": "EI"}, {"spec": "PI"}) == {"mode": "GP", "spec": "PI"}


@pytest.mark.parametrize(
    "text, said",
    [
        ("sheduler: deca", "'sheduler', which is not a setting.*did you mean 'scheduler'"),
        ("- 1", "keys with values"),
        ("a: [", "settings are YAML or JSON"),
        ("{mode: GP, sampler: gp}", "named in one way"),
        ("spec: EI", "give mode too"),
        ("{mode: PG}", "unknown mode 'PG'"),
        ("warm_up: soon", "warm_up: a duration"),
        ("until: {gaol: 1}", "an end is goal="),
        ("mode: GP", "when does a search end"),
        ("{workers: 0, until: trials=3}", "workers"),
        ("mode: 3", "mode is text, .* has 3"),
        ("mode: [GP]", r"mode is text, .* has \['GP'\]"),
        ("{mode: GP, spec: 3}", "spec is text"),
        ("metric: 3", "metric is text, .* has 3"),
        ("{out: 3, until: trials=3}", "out is text"),
        ("{sampler: 3, warm_up: 1h}", "sampler is a name, or a name with options, .* has 3"),
        ("scheduler: [deca]", "scheduler is a name, or a name with options"),
        ("{arms: gp, until: trials=3}", "arms is a list of samplers"),
        ("{arms: [gp], penalty_weight: much}", "penalty_weight is a number"),
        ("{sampler: gp, n_initial: 3}", r"named in one way .*got \['sampler', 'n_initial'\]"),
        ("serial: 'no'", "serial is true or false"),
        ("until: 5", "until is goal=0.99, .*, or a list of them, got 5"),
        ("until: [5]", r"or a list of them, got \[5\]"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, text, said):
    with pytest.raises(SpecError, match=said):
        settings.plan_of(settings.read_file(file(tmp_path, text)))


def test_a_worker_for_each_arm_and_one_that_draws_unless_told_otherwise():
    until = {"until": "trials=9"}
    assert settings.plan_of({"mode": "BATCH", "spec": "SYNC", **until}).num_workers == 7
    assert settings.plan_of({"arms": ["gp", "rf"], "strategy": "ASYNC", **until}).num_workers == 3
    assert settings.plan_of({"mode": "BATCH", "workers": 2, **until}).num_workers == 2
    assert settings.plan_of({"mode": "DIV", **until}).num_workers == settings.plan_of(until).num_workers == 1


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SpecError, match="settings are YAML or JSON, .*none.yaml is not: No such file"):
        settings.read_file(tmp_path / "none.yaml")


def test_a_command_is_read_once_into_a_record_of_which_nothing_changes_later(tmp_path):
    written(tmp_path)
    given = {"minimise": True, "metric": "acc", "seed": 3, "horizons": "10m, 1h", "serial": True, "jobs": 2}
    asked = settings.ExperimentSettings.read(tmp_path / "made.csv", given, file(tmp_path, ARMS))
    assert (asked.task.name, asked.task.metric, asked.task.mode) == ("made", "acc", "min")
    assert (asked.plan.seed, asked.plan.scheduler, asked.num_repeats) == (3, "deca", 2)
    assert (asked.horizons_s, asked.runtime, asked.max_jobs) == ([600, 3600], "local", 2)
    assert (asked.name, asked.folder, asked.estimates) == (None, "experiments", False)
    with pytest.raises(AttributeError):
        asked.num_repeats = 3


# ------------------------------------------------------------------------------------------------ commands


@pytest.fixture
def here(tmp_path, monkeypatch):
    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*words, code=0):
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


RANDOM = ("experiment", "made.csv", "3", "--mode", "RANDOM", "--until", "goal=0.98", "--until", "time=1h", "--serial")


def test_the_command_says_what_came_of_it_and_where_it_is(here):
    said = command(*RANDOM, "--quiet", "--horizons", "10m, 1h")
    assert "made-random" in said and "10m" in said and "more: raytune-hpo experiments experiments/made-random" in said
    data = json.loads(command(*RANDOM, "--json"))
    assert data["searches"] == 3 and list(data["success"]) == ["300", "900", "1800", "3600"]


def test_files_and_options_go_together_and_options_win(here):
    file(here, ARMS)
    words = (
        "experiment",
        "made.csv",
        "--file",
        "settings.yaml",
        "--until",
        "trials=6",
        "--serial",
        "--json",
        "--name",
        "a",
    )
    data = json.loads(command(*words))
    assert data["searches"] == 2 and data["trials"] == 6 and data["plan"]["until"]["goal"] is None
    assert json.loads(command(*words, "--sampler", "random", "--name", "b"))["plan"]["sampler"] == "random"


def test_a_table_that_is_minimised_says_so(here):
    words = ("experiment", "made.csv", 1, "--sampler", "random", "--until", "trials=9", "--serial", "--json")
    data = json.loads(command(*words, "--metric", "error", "--minimise"))
    assert (data["metric"], data["mode"]) == ("error", "min")
    data = json.loads(command(*words, "--metric", "error", "--maximise", "--name", "other"))
    assert (data["metric"], data["mode"]) == ("error", "max")


def test_a_metric_of_a_tabulated_table_is_maximised_or_minimised_as_the_user_says(here):
    def objective(config):
        return {"loss": config["x"], "score": config["x"], "cost_s": 1.0}

    settings = {"runtime": "local", "storage": "memory", "progress": False}
    tabulate(objective, {"x": hpo.uniform(0, 1)}, rows=4, path="made_here.csv", **settings)
    words = ("experiment", "made_here.csv", 1, "--sampler", "random", "--until", "trials=8", "--serial", "--json")
    assert "--maximise or --minimise" in command(*words, "--metric", "score", code=2)
    best = {
        flag: json.loads(command(*words, "--metric", "score", flag, "--name", flag))["median_best"]
        for flag in ("--maximise", "--minimise")
    }
    assert best["--maximise"] > best["--minimise"]
    assert json.loads(command(*words))["mode"] == "min", "its own goal needs no word"


def test_horizons_are_checked_before_anything_runs(here):
    for horizons, said in (("1x", "horizons: a duration"), ("2h", "searches end after 3600 s")):
        assert said in command(*RANDOM, "--quiet", "--horizons", horizons, code=2)
    assert not (here / "experiments").exists()


def test_a_search_without_any_value_is_no_result(here):
    (here / "nocost.py").write_text('space = {"x": [1, 2]}\ndef objective(config):\n    return 1.0\n')
    said = command(
        "experiment", "nocost.py", 1, "--mode", "RANDOM", "--until", "trials=5", "--serial", "--quiet", code=1
    )
    assert "all 5 of repeat 0 ended without one" in said and "'cost_s'" in said and len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "words, said",
    [
        (("experiment", "made.csv", "--serial"), "how many repeats"),
        (("experiment", "nothing", "3", "--serial"), "a task is a lookup table"),
        (("experiment", "made.csv", "3", "--mode", "GP", "--sampler", "gp", "--serial"), "named in one way"),
        (
            (*RANDOM[:3], "--sampler", "random", "--warm-up", "1h", *RANDOM[5:]),
            "no option 'warm_up_s'",
        ),
        (("experiments", "nowhere"), "no experiment in nowhere"),
        ((*RANDOM, "--conf", "missing.json"), "missing.json is not: No such file"),
        (("experiment", "digits-mpl", "3", *RANDOM[3:]), "did you mean 'digits-mlp'"),
        ((*RANDOM[:3], "--sampler", '{"name": 3}', *RANDOM[5:]), "an experiment records its sampler"),
        ((*RANDOM[:3], "--sampler", '{"name": "rf", "n_trees": "x"}', *RANDOM[5:]), "n_trees"),
        ((*RANDOM, "--scheduler", '{"name": "patience", "min_delta": "x"}'), "min_delta='x'"),
    ],
)
def test_wrong_words_are_refused_in_one_line(here, words, said):
    output = command(*words, code=2)
    assert said in output and len(output.strip().splitlines()) == 1


def test_experiments_are_compared_in_one_table(here):
    command(*RANDOM, "--quiet")
    command(*RANDOM, "--quiet", "--seed", "1", "--name", "other")
    said = command("experiments", "--horizons", "1h")
    assert "made-random" in said and "other" in said and "in 1h" in said
    one = json.loads(command("experiments", "experiments/other", "--json"))
    assert [entry["name"] for entry in one["experiments"]] == ["other"] and one["horizons_s"] == [300, 900, 1800, 3600]
