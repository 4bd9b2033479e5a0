"""``raytune-hpo command`` as it is typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner

from raytune_hpo.cli import main
from raytune_hpo.commands import surroundings
from tests.commands.programs import gone, processes_with

ROOT = Path(__file__).resolve().parents[2]
PARABOLA = "print((float(__import__('sys').argv[1]) - 3) ** 2 + 1)"
RUN = f"{sys.executable} -I -S -c"


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Calls the command in a folder of its own; its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYTUNE_HPO_STORAGE", f"sqlite:///{tmp_path}/studies.db")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(surroundings, "is_disturbed", lambda ran, others: False)

    def run(*arguments):
        result = CliRunner().invoke(main, ["command", *map(str, arguments)], prog_name="raytune-hpo")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def parabola(*more):
    return (f'{RUN} "{PARABOLA}" {{x}}', "--param", "x=[0, 1, 3, 9]", "--metric", "json:y=.", "--sampler", "grid",
            "--repeats", "1", "--quiet", *more)  # fmt: skip


def test_the_answer_is_a_command_line(call):
    result = call(*parabola("--name", "p"))
    assert result.exit_code == 0, result.stderr
    assert f"use: {sys.executable} -I -S -c" in result.stdout and result.stdout.rstrip().splitlines()[-2].endswith(" 3")
    assert "y: 1 (n=5" in result.stdout
    assert "raytune-hpo show p" in result.stdout


def test_with_json_stdout_is_one_document(call):
    result = call(*parabola("--json", "--baseline", '{"x": 9}'))
    found = json.loads(result.stdout)
    assert found["best"]["config"] == {"x": 3}
    assert found["answer"]["argv"][-1] == "3"
    assert found["answer"]["ratio"]["value"] == pytest.approx(37)
    assert found["answer"]["value"] == 1 and found["answer"]["n"] == 5
    assert result.stderr == ""


def test_the_baseline_is_first_and_the_answer_is_a_ratio_with_an_interval(call):
    sleep = f'{RUN} "import sys, time; time.sleep(float(sys.argv[1]))" {{s}}'
    result = call(sleep, "--param", "s=[0.02, 0.3]", "--baseline", '{"s": 0.3}', "--num-trials", 2, "--json")
    ratio = json.loads(result.stdout)["answer"]["ratio"]
    assert ratio["n"] == 5 and ratio["interval"][0] < ratio["value"] < ratio["interval"][1]
    assert ratio["value"] > 2


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["--check", "grep -qv 37"], "trial 0 failed: ObjectiveError: the check command failed"),
        (["--constraint", "y <= 5"], "trial 0 breaks the constraint on y"),
    ],
)
def test_a_baseline_without_a_value_is_told(call, given, why):
    result = call(*parabola("--baseline", '{"x": 9}', "--num-trials", 3, "--confirm", 1, *given))
    assert f"nothing is compared with the baseline: {why}" in result.stdout
    assert "(n=1)" in result.stdout and result.exit_code == 0


def test_a_search_in_which_nothing_is_feasible_says_so(call):
    result = call(*parabola("--constraint", "y <= 0"))
    assert result.exit_code == 1
    assert result.stderr.endswith("raytune-hpo: 0 of 4 completed trials are feasible; broken: y <= 0 by 4\n")


def test_words_after_two_dashes_are_taken_as_they_are(call):
    result = call("--param", "x=[1, 3]", "--metric", "json:y=.", "--sampler", "grid", "--repeats", 1, "--confirm", 0,
                  "--json", "--", sys.executable, "-I", "-S", "-c", PARABOLA, "{x}")  # fmt: skip
    assert json.loads(result.stdout)["answer"]["argv"] == [sys.executable, "-I", "-S", "-c", PARABOLA, "3"]


def test_a_shell_runs_pipes(call):
    pipe = "printf '%s\\n' {x} | tr a-z A-Z | grep -c B"
    result = call(pipe, "--shell", "--param", "x=choice('a b', \"b; false\", c)", "--metric", "regex:n=([0-9]+)",
                  "--ok-exit", "0,1", "--sampler", "grid", "--repeats", 1, "--confirm", 0, "--json")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["best"]["metrics"]["n"] == 0
    assert call("--shell", "true {x}", "--param", "x=[1]", "--num-trials", 1, "--confirm", 0, "--quiet").exit_code == 0


@pytest.mark.slow
def test_of_those_that_are_tied_the_preferred_one_is_recommended(call):
    flat = f"{RUN} \"print(1.0 if int(__import__('sys').argv[1]) < 4 else 1.01)\" {{n}}"
    more = ("--param", "n=[1, 2, 5, 8]", "--metric", "json:y=.", "--sampler", "grid", "--repeats", 1, "--json")
    assert json.loads(call(flat, *more, "--prefer", "n=large,3%").stdout)["answer"]["config"] == {"n": 8}
    assert json.loads(call(flat, *more, "--prefer", "n=large").stdout)["answer"]["config"] == {"n": 2}


def test_a_preferred_parameter_need_not_be_active(call):
    found = call("echo y=1 {mode} {n}", "--param", "mode=choice(a, b)", "--param", "n=[1, 2]", "--when", "n: mode=a",
                 "--metric", "regex:y=y=(.)", "--sampler", "grid", "--repeats", 1, "--confirm", 0, "--prefer", "n=large",
                 "--json")  # fmt: skip
    assert json.loads(found.stdout)["answer"]["config"] == {"mode": {"mode": "a", "n": 2}}, found.stderr


WAITING = (
    "import os, random, sys; n = int(sys.argv[1]); "
    "noise = random.Random(sys.argv[1] + os.environ['HPO_SEED']).gauss(0, 0.1); "
    "print(10 * (1 + 0.1 * (n - 1) + 0.01 * n * (n - 1)) / n * 2.7183 ** noise)"
)


@pytest.mark.slow
def test_the_number_of_processes_ends_at_the_knee_with_its_law(call):
    """The loss that the largest number always wins, seconds divided by processes, is not used."""
    found = call(f'{RUN} "{WAITING}" {{jobs}}', "--param", "jobs=[1, 2, 3, 5, 8, 13, 20]", "--metric", "json:seconds=.",
                 "--sampler", "grid", "--prefer", "jobs=small,3%", "--seed", 1, "--json")  # fmt: skip
    assert found.exit_code == 0, found.output
    assert 5 <= json.loads(found.stdout)["answer"]["config"]["jobs"] <= 13


def test_inputs_of_several_sizes_have_a_best_setting_each(call, tmp_path):
    for name, size in (("one.txt", 5), ("many.txt", 5000)):
        (tmp_path / name).write_text("x" * size)
    code = "import sys; size = len(sys.stdin.read()); n = int(sys.argv[1]); print(size / n + 10 * n)"
    result = call(f'{RUN} "{code}" {{n}}', "--stdin", "{instance}", "--instances", "*.txt", "--param", "n=[1, 20]",
                  "--metric", "json:cost=.", "--sampler", "grid", "--repeats", 1, "--json")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)["answer"]
    assert [entry["config"]["n"] for entry in answer["by_size"].values()] == [1, 20]


def test_a_parameter_may_depend_on_another(call):
    code = "import sys; print(len(sys.argv))"
    result = call(f'{RUN} "{code}" {{mode}} --level={{level}}', "--param", "mode=choice(a, b)", "--param", "level=[1]",
                  "--when", "level: mode=a", "--metric", "json:n=.", "--num-trials", 8, "--repeats", 1, "--confirm", 0,
                  "--baseline", '{"mode": "a", "level": 1}', "--json")  # fmt: skip
    assert json.loads(result.stdout)["answer"]["argv"][-1] == "b", result.stderr


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with 3.11")
def test_options_may_stand_in_a_file(call, tmp_path):
    (tmp_path / "spec.toml").write_text(
        f"template = '''{RUN} \"{PARABOLA}\" {{x}}'''\nmetric = 'json:y=.'\nsampler = 'grid'\nrepeats = '1'\n"
        "confirm = 0\nquiet = true\n[param]\nx = '[1, 3]'\n"
    )
    assert "y: 1 (n=1)" in call("--file", "spec.toml").stdout
    (tmp_path / "spec.toml").write_text("metrik = 'time'\n")
    assert "did you mean 'metric'" in call("--file", "spec.toml").stderr


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with 3.11")
def test_tables_and_lists_in_a_file_are_read_as_if_they_were_typed(call, tmp_path):
    (tmp_path / "spec.toml").write_text(
        f"template = '{RUN} \"import sys; print(sys.argv[1]); sys.exit(int(sys.argv[1]) % 2)\" {{x}}'\n"
        "metric = ['json:y=.', 'time']\nmode = ['min', 'min']\nok-exit = [0, 1]\nbaseline = {x = 3}\n"
        "sampler = {name = 'random'}\nshell = true\nnum-trials = 1\nconfirm = 0\njson = true\n[param]\nx = [1, 3]\n"
    )
    result = call("--file", "spec.toml")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["answer"]["config"] == {"x": 3}


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["no-such-program {x}", "--param", "x=[1]"], "no program 'no-such-program' in $PATH"),
        (["true {y}", "--param", "x=[1]"], "'y', which the trials do not have"),
        (["true", "--param", "x=[1]"], "does not use the parameter 'x'"),
        (["true {x}"], "parameters to tune"),
        ([], "what is to be tuned?"),
        (["true {x}", "--param", "x=flot(1, 2)"], "did you mean 'float'"),
        (["true {x}", "--param", "x=[1]", "--metric", "regex:n=[0-9]+"], "the number in a group"),
        (['echo "{x}"', "--shell", "--param", "x=[1]"], 'write "$HPO_x"'),
        (["true {x}", "--param", "x=[1]", "--baseline", '{"x": 7}'], "x"),
        (["true {x}", "--param", "x=[1]", "--constraint", "peak_mb < 3"], "outcome constraint"),
        (["true {x}", "--param", "x=[1]", "--instances", "none*"], "nothing matches 'none*'"),
        (["true {x}", "--param", "x=[1]", "--memory", "2 parsecs"], "like 2GB"),
        (["true {x}", "--param", "x=[1]", "--memory", "1.2.3GB"], "like 2GB"),
        (["true {x}", "--param", "x=[1]", "--prefer", "x=small,1.2.3%"], "like jobs=small,3%"),
        (["true {x}", "--param", "x=[1]", "--prefer", "y=small", "--num-trials", "1"], "there is no 'y'; known: x"),
        (["true {x}", "--param", "x=choice(a, b)", "--prefer", "x=small", "--num-trials", "1"], "values are numbers"),
        (["true {x}", "--param", "x=float(0, 1)"], "a study needs an end"),
    ],
)
def test_bad_usage_ends_before_any_trial(call, arguments, rule):
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert rule in result.stderr and result.stdout == ""


def test_a_file_that_is_not_executable_is_refused(call, tmp_path):
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    result = call("./tool {x}", "--param", "x=[1]", "--num-trials", 1)
    assert result.exit_code == 2 and "chmod +x" in result.stderr


def test_first_trials_that_fail_alike_end_the_search(call):
    failing = f"{RUN} \"import sys, time; time.sleep(0.3); sys.exit('no such data ' + sys.argv[1])\" {{x}}"
    result = call(failing, "--param", "x=int(0, 1000)", "--num-trials", 40, "--json", "--name", "alike")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["answer"] is None and 3 <= found["num_by_status"]["failed"] < 20
    assert "exit code 1: no such data" in result.stderr and "--trial 0" in result.stderr
    assert f"  $ {sys.executable} -I -S -c" in result.stderr
    shown = CliRunner().invoke(main, ["show", "alike", "--trial", "0"]).output
    assert "$ " in shown and "no such data" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_nothing_is_left_of_a_search_that_is_interrupted_or_killed(tmp_path, number):
    word = f"MARK={uuid.uuid4().hex}"
    env = {**os.environ, "MARK": word.removeprefix("MARK="), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "raytune_hpo.cli", "command", "sleep {s}", "--param", "s=int(60, 99)"]
    search = subprocess.Popen(
        [*command, "--num-trials", "3", "--storage", str(tmp_path / "s.db")],
        env=env,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 60
        while len(processes_with(word)) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        search.send_signal(number)
        search.wait(30)
        assert gone(word)
    finally:
        search.kill()


@pytest.mark.parametrize(("over", "value"), [("mean", 4), ("sum", 8), ("geomean", 12**0.5), ("worst", 6)])
def test_inputs_are_aggregated_as_is_asked_for(call, tmp_path, over, value):
    for name, size in (("a.txt", 2), ("b.txt", 6)):
        (tmp_path / name).write_text("x" * size)
    code = "import sys; print(len(sys.stdin.read()) * int(sys.argv[1]))"
    result = call(f'{RUN} "{code}" {{n}}', "--stdin", "{instance}", "--instances", "*.txt", "--param", "n=[1, 2]",
                  "--metric", "json:cost=.", "--sampler", "grid", "--repeats", 1, "--confirm", 1, "--json",
                  "--over", over)  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["answer"]["value"] == pytest.approx(value)


def test_weights_of_inputs_count(call, tmp_path):
    (tmp_path / "list").write_text('{"name": "1", "weight": 3}\n{"name": "5", "weight": 1}\n')
    product = f'{RUN} "import sys; print(int(sys.argv[1]) * int(sys.argv[2]))" {{instance}} {{n}}'
    result = call(product, "--instances", "@list", "--param", "n=[1]", "--metric", "json:cost=.", "--num-trials", 1,
                  "--repeats", 1, "--confirm", 0, "--json")  # fmt: skip
    assert json.loads(result.stdout)["answer"]["value"] == 2, result.stderr


def test_what_a_machine_cannot_do_is_said_once(call, monkeypatch):
    monkeypatch.setattr("raytune_hpo.commands.control_groups.delegated", lambda: None)
    more = ("--param", "x=[1, 2]", "--sampler", "grid", "--repeats", 1, "--confirm", 0, "--json")
    notes = json.loads(call("true {x}", *more, "--constraint", "peak_mb <= 900").stdout)["answer"]["notes"]
    assert sum("no control group is delegated" in note for note in notes) == 1
    assert not any("control group" in note for note in json.loads(call("true {x}", *more).stdout)["answer"]["notes"])
