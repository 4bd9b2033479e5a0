"""``hpo.Command`` as users write it: an objective like any other."""

from __future__ import annotations

import json
import pickle
import sys
import warnings
from dataclasses import replace

import pytest

import raytune_hpo as hpo
from raytune_hpo.commands import surroundings
from raytune_hpo.commands.answering import answer_of
from raytune_hpo.errors import SpecError
from tests.commands.programs import python

SLEEP = "import sys, time; time.sleep(float(sys.argv[1]))"
QUIET = {"runtime": "local", "storage": "memory", "progress": False}


@pytest.fixture(autouse=True)
def _own_machine(monkeypatch, tmp_path):
    """What others do here is not what these tests are about; nor do they wait for other measurements."""
    monkeypatch.setattr(surroundings, "is_disturbed", lambda ran, others: False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def tuned(command, space, **settings):
    return hpo.tune(command, space, **{**QUIET, "sampler": "grid", "seed": 0, **settings})


def test_a_command_brings_its_metrics_and_constraints():
    command = hpo.Command(python(SLEEP, "{s}"), constraints=["peak_mb <= 1000"], repeats=1)
    results = tuned(command, {"s": hpo.ordinal([0.2, 0.01, 0.4])})
    assert [goal.metric for goal in results.goals] == ["time"]
    assert results.best_config == {"s": 0.01}
    assert results.best_value == pytest.approx(0.03, abs=0.1)
    assert results.best_trial.metrics["peak_mb"] < 100
    assert results.best_trial.metrics["runs"] == 1
    assert results.plan.settings.max_concurrent == 1


def test_a_broken_constraint_is_infeasible_and_never_the_best():
    touch = "import sys; x = bytearray(int(sys.argv[1]) * 10**6); x[::4096] = b'1' * len(x[::4096])"
    command = hpo.Command(
        python(touch, "{mb}"), constraints=["peak_mb <= 60"], repeats=1, mode="max", metrics="peak_mb"
    )
    results = tuned(command, {"mb": hpo.ordinal([10, 30, 100])})
    assert results.best_config == {"mb": 30}
    assert "peak_mb" in results[2].violations and results[2].status == "completed"


def test_the_metric_may_be_in_the_output():
    code = "import json, sys; print(json.dumps(dict(loss=(float(sys.argv[1]) - 3) ** 2)))"
    results = tuned(
        hpo.Command(python(code, "{x}"), metrics="json:loss=.loss", repeats=1), {"x": hpo.ordinal([1, 3, 4])}
    )
    assert (results.best_config, results.best_value) == ({"x": 3}, 0)


WRITES_THE_FIRST = "import sys; x = sys.argv[1]; x == '1' and open('out', 'w').write(x)"


@pytest.mark.parametrize("metric", ["json:n=file:out:.", "regex:n=file:out:([0-9])", "size_mb:out"])
def test_a_file_of_an_earlier_run_is_no_result(metric, tmp_path):
    command = hpo.Command(python(WRITES_THE_FIRST, "{x}"), metrics=metric, cwd=tmp_path, repeats=1)
    results = tuned(command, {"x": hpo.ordinal([1, 2, 3])})
    assert [trial.status for trial in results] == ["completed", "failed", "failed"]
    assert "did not write it in this run" in results[1].reason


def test_a_file_may_be_as_old_and_as_long_as_the_one_before_it(tmp_path):
    """As gzip writes it: in the same place, with the time of its input."""
    code = "import os; open('out', 'w').write('7'); os.utime('out', (1, 1))"
    assert hpo.Command(python(code), metrics="json:n=file:out:.", cwd=tmp_path, repeats=3)({})["n"] == 7


def test_a_file_that_the_setup_has_made_is_of_all_runs_of_its_trial(tmp_path):
    command = hpo.Command("true", metrics="size_mb:tool", setup="truncate -s {size} tool", cwd=tmp_path, repeats=2)
    assert [command({"size": size})["size_mb"] for size in (500_000, 1_000_000)] == [0.5, 1.0]


def test_trials_that_write_the_same_file_take_turns(tmp_path):
    code = "import sys, time; open('out', 'w').write(sys.argv[1]); time.sleep(0.2)"
    command = hpo.Command(python(code, "{x}"), metrics="json:n=file:out:.", cwd=tmp_path, repeats=1, parallel=3)
    results = tuned(command, {"x": hpo.ordinal([1, 2, 3])})
    assert [trial.metrics["n"] for trial in results] == [1, 2, 3]


def test_the_environment_tells_a_program_all_about_its_run():
    code = (
        "import json, os\n"
        "config = json.load(open(os.environ['HPO_CONFIG']))\n"
        "e = os.environ\n"
        "assert e['HPO_x'] == '2' and config == dict(x=2), config\n"
        "assert (e['HPO_TRIAL'], e['HPO_ATTEMPT'], e['HPO_REPEAT'], e['OWN']) == ('0', '1', '0', 'yes')\n"
        "print(int(e['HPO_SEED']) >= 0 and 1)"
    )
    command = hpo.Command(python(code), metrics="json:n=.", env={"OWN": "yes"}, reads_environment=True, repeats=1)
    assert tuned(command, {"x": hpo.ordinal([2])}).best_value == 1


def test_names_are_checked_before_anything_runs():
    space = {"jobs": hpo.randint(1, 9)}
    with pytest.raises(SpecError, match="'job', which the trials do not have; did you mean 'jobs'"):
        hpo.Tuner(hpo.Command("true {job} {jobs}"), space, num_trials=1, **QUIET)
    with pytest.raises(SpecError, match="does not use the parameter 'jobs'"):
        hpo.Tuner(hpo.Command("true"), space, num_trials=1, **QUIET)
    with pytest.raises(SpecError, match=r"no program 'no-such' in \$PATH"):
        hpo.Tuner(hpo.Command("no-such {jobs}"), space, num_trials=1, **QUIET)
    for domain in (hpo.choice(["-a", "b"]), hpo.randint(-3, 3), hpo.uniform(-1, 1)):
        with pytest.warns(UserWarning, match="begin with '-'"):
            hpo.Tuner(hpo.Command("true {x}"), {"x": domain}, num_trials=1, **QUIET)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hpo.Tuner(hpo.Command("true {x}"), {"x": hpo.randint(0, 3)}, num_trials=1, **QUIET)
        hpo.Tuner(hpo.Command("true --x={x}"), {"x": hpo.randint(-3, 3)}, num_trials=1, **QUIET)


def test_a_failure_says_what_the_program_said():
    code = "import sys; print('starting'); sys.exit('cannot open the file')"
    results = tuned(hpo.Command(python(code, "{x}")), {"x": hpo.ordinal([1])})
    assert "the command ended with exit code 1: cannot open the file" in results[0].error
    results = tuned(hpo.Command(python(code, "{x}"), cleanup="false"), {"x": hpo.ordinal([1])})
    assert "the command ended with exit code 1: cannot open the file" in results[0].error  # and not what came after it
    assert hpo.Command(python("import sys; sys.exit(3)"), ok_exit=[0, 3], repeats=1)({})["runs"] == 1


def test_the_output_of_runs_is_kept_with_the_trial():
    command = hpo.Command(python("import sys; print('hello', sys.argv[1])", "{x}"), repeats=1)
    run = hpo.Tuner(command, {"x": hpo.ordinal(["you"])}, sampler="grid", name="kept", **QUIET).start()
    run.wait(30)
    printed = [fact.text for fact in run.facts() if type(fact).__name__ == "Printed"]
    assert "hello you" in printed[0] and printed[0].startswith("HPO_TRIAL=0 HPO_REPEAT=0 $ ")
    run.close()


def test_what_runs_around_a_command(tmp_path):
    log = tmp_path / "log"
    note = python(f"import sys; open({str(log)!r}, 'a').write(sys.argv[1] + ' ')")

    def noted(word):
        return " ".join(map("'{}'".format, [part.replace("'", "'\"'\"'") for part in [*note, word]]))

    command = hpo.Command(
        [*note, "run{x}"], setup=noted("setup"), prepare=noted("prepare"), cleanup=noted("cleanup"), repeats=2, warmup=1
    )
    tuned(command, {"x": hpo.ordinal([7])})
    assert log.read_text().split() == ["setup", *["prepare", "run7", "cleanup"] * 3]


def test_a_fast_wrong_answer_is_a_failure():
    check = f"{sys.executable} -c 'import sys; sys.exit(sys.stdin.read() != \"right\\n\")'"
    command = hpo.Command(python("import sys; print(sys.argv[1])", "{x}"), check=check, repeats=1)
    results = tuned(command, {"x": hpo.ordinal(["right", "wrong"])})
    assert [trial.status for trial in results] == ["completed", "failed"]
    assert "check command failed" in results[1].error


def test_a_run_beyond_its_cap_is_pruned_with_the_bound():
    command = hpo.Command(python(SLEEP, "{s}"), cap=3, repeats=1)
    results = tuned(command, {"s": hpo.ordinal([0.2, 30])})
    assert [trial.status for trial in results] == ["completed", "pruned"]
    bound = results[1].reports[-1].metrics["time"]
    assert bound == pytest.approx(3 * results[0].metrics["time"])


def test_a_run_beyond_its_time_is_a_failure():
    results = tuned(hpo.Command(python(SLEEP, "{s}"), timeout_s=0.2), {"s": hpo.ordinal([30])})
    assert "longer than timeout_s=0.2" in results[0].error
    far_off = hpo.Command(python(SLEEP, "{s}"), timeout_s=1, cap=1e6, repeats=1)
    results = tuned(far_off, {"s": hpo.ordinal([0, 30])})
    assert [trial.status for trial in results] == ["completed", "failed"]  # not pruned: it has not come to the cap


REPORTING = """
import json, os, sys, time
x = float(sys.argv[1])
with open(os.environ["HPO_REPORT"], "a", buffering=1) as pipe:
    for step in range(1, 10):
        print(json.dumps(dict(step=step, loss=x / step)), file=pipe)
        time.sleep(0.02 if x < 1 else 0.4)
print(json.dumps(dict(loss=x / 9)))
"""


def test_reports_of_a_program_are_heard_and_hopeless_ones_are_stopped():
    command = hpo.Command(python(REPORTING, "{x}"), metrics="json:loss=.loss", repeats=1)
    scheduler = {"name": "threshold", "at": {2: 5.0}}
    results = tuned(command, {"x": hpo.ordinal([0.1, 100.0])}, scheduler=scheduler, name="stopping")
    assert [trial.status for trial in results] == ["completed", "pruned"]
    assert [report.step for report in results[0].reports] == list(range(1, 10))
    assert results[1].last_step < 6


def test_inputs_are_steps(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name * 100)
    code = "import sys; print(len(sys.stdin.read()) * float(sys.argv[1]))"
    command = hpo.Command(python(code, "{x}"), metrics="json:n=.", stdin="{instance}", cwd=tmp_path, repeats=1)
    results = tuned(command, {"x": hpo.ordinal([1.0, 2.0])}, instances=["a", "b", "c"])
    assert results.best_value == 100
    assert set(results.best_trial.per_instance) == {"a", "b", "c"}


def test_seeds_are_the_same_for_all_configurations():
    code = "import sys; print(int(sys.argv[2]) % 1000)"
    command = hpo.Command(python(code, "{x}", "{seed}"), metrics="json:n=.", repeats=2)
    results = tuned(command, {"x": hpo.ordinal([1, 2])})
    assert results[0].metrics["n"] == results[1].metrics["n"] > 0


def test_where_it_is_noisy_it_says_so(tmp_path):
    counter = tmp_path / "n"
    counter.write_text("0")
    code = (
        f"n = int(open({str(counter)!r}).read()) + 1; open({str(counter)!r}, 'w').write(str(n)); print(10 ** (n % 2))"
    )
    found = hpo.Command(python(code), metrics="json:n=.", repeats=4)({})
    assert "unstable: MAD" in found["note"] and found["runs"] == 4


def test_limits_and_the_machine_are_recorded_with_each_trial():
    command = hpo.Command(python("pass", "{x}"), memory_mb=500, cpus=1, repeats=1)
    metrics = tuned(command, {"x": hpo.ordinal([1])})[0].metrics
    assert (metrics["limits/memory_mb"], metrics["limits/cpus"]) == (500, 1)
    assert any(name.startswith("context/") for name in metrics)


def test_disturbed_runs_are_flagged_and_done_once_more(monkeypatch):
    disturbed = iter([True, False, True, True, False])
    monkeypatch.setattr(surroundings, "is_disturbed", lambda ran, others: next(disturbed))
    found = hpo.Command(python("pass"), repeats=(1, 2))({})
    assert found["runs"] >= 2 and found["context"]["disturbed"] >= 1


def test_a_busy_machine_may_be_waited_for_or_refused(monkeypatch):
    monkeypatch.setattr(surroundings, "load_now", lambda: 100.0)
    with pytest.raises(hpo.errors.ObjectiveError, match="when_busy is fail"):
        hpo.Command(python("pass"), when_busy="fail", repeats=1)({})
    loads = iter([100.0, 100.0, 0.0])
    monkeypatch.setattr(surroundings, "load_now", lambda: next(loads))
    assert hpo.Command(python("pass"), when_busy="wait:5s", repeats=1)({})["runs"] == 1
    with pytest.raises(SpecError, match="measure, wait:60s or fail"):
        hpo.Command("true", when_busy="wait")


def test_one_measurement_at_a_time_on_a_machine(tmp_path):
    gate = tmp_path / "gate"
    code = f"import os, time; os.mkdir({str(gate)!r}); time.sleep(0.1); os.rmdir({str(gate)!r})"
    results = tuned(hpo.Command(python(code, "{x}"), repeats=1), {"x": hpo.ordinal([1, 2, 3, 4])}, max_concurrent=4)
    assert results.num_by_status["completed"] == 4


def test_a_command_can_be_sent_elsewhere():
    command = pickle.loads(pickle.dumps(hpo.Command(python("pass"), repeats=1)))
    assert command({})["runs"] == 1
    assert json.dumps(hpo.Command("xz -{level}").words({"level": 3})) == '["xz", "-3"]'


@pytest.mark.parametrize(
    "settings",
    [
        {"cap": 0.5}, {"cap": 3, "metrics": "peak_mb"}, {"memory_mb": -1}, {"memory_mb": float("inf")}, {"cpus": 0},
        {"files": 2}, {"timeout_s": 0}, {"parallel": 0}, {"warmup": -1}, {"mode": "up"}, {"constraints": ["time"]},
        {"constraints": ["nothing <= 3"]}, {"metrics": "none"}, {"shell": "bash", "check": 'cat "{x}"'},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(SpecError):
        hpo.Command("true", **settings)


def test_constraints_that_are_one_text_are_refused_as_a_whole():
    with pytest.raises(SpecError, match="is a list like .*, got 'peak_mb <= 20'"):
        hpo.Command("true", constraints="peak_mb <= 20")


def test_a_command_that_runs_once_is_apart_from_the_one_that_it_came_from():
    command = hpo.Command("true {x}", repeats=3)
    once = command.once()
    assert (once._rule.low, once._rule.high, once._cap) == (1, 1, None)
    assert (once.text, command._rule.low) == (command.text, 3)
    assert once._lock is not command._lock and once._contests is not command._contests


def test_the_best_is_chosen_by_all_of_its_runs_and_its_value_is_that_of_fresh_ones():
    command = hpo.Command(["echo", "{x}"], metrics=["regex:out=(.+)"], mode="min", repeats=1)
    results = tuned(command, {"x": hpo.ordinal([1, 2])})
    confirmation = results.confirm(2, 2, objective=command.once(), progress=False)
    fresh = {1: 1.5, 2: 1.45}  # after 1 and 2 in the search: together 1.33 and 1.63
    candidates = [
        replace(one, estimates={"out": replace(one.estimates["out"], mean=fresh[one.config["x"]])})
        for one in confirmation.candidates
    ]
    confirmation = replace(confirmation, candidates=tuple(sorted(candidates, key=lambda one: one.mean)))
    assert confirmation.best_config == {"x": 2}
    answer = answer_of(command, results, confirmation)
    assert (answer.words, answer.value, answer.n) == (["echo", "1"], 1.5, 2)
