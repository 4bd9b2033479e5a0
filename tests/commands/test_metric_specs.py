"""Metrics as they are written, and what they make of a run."""

from __future__ import annotations

import pytest

from raytune_hpo.commands.launching import Ran
from raytune_hpo.commands.metric_specs import parsed_metrics
from raytune_hpo.commands.outcome import Outcome
from raytune_hpo.errors import ObjectiveError, SpecError


def outcome(folder, stdout="", stderr=""):
    ran = Ran(
        exit_code=0, wall_s=2.0, user_s=1.0, system_s=0.5, peak_mb=30.0, peak_by="wait4", stdout=stdout, stderr=stderr
    )
    return Outcome(ran=ran, folder=folder)


def values(specs, folder, stdout="", stderr="", work=None):
    """Each metric of one run by name."""
    found = {}
    for metric in parsed_metrics(specs, work):
        samples = metric.of_run(outcome(folder, stdout, stderr), found)
        found[metric.name] = metric.over_runs(samples)
    return found


def test_what_is_measured_of_any_program(tmp_path):
    found = values(
        ["time", "user", "system", "cpu", "peak_mb", "exit", "throughput", "cost=cpu/time"], tmp_path, work=10
    )
    assert found == {
        "time": 2, "user": 1, "system": 0.5, "cpu": 1.5, "peak_mb": 30, "exit": 0, "throughput": 5, "cost": 0.75,
    }  # fmt: skip


def test_the_last_match_of_a_pattern_counts(tmp_path):
    assert values("regex:p99=p99=([0-9.]+)", tmp_path, "p99=1.5\np99=2.5 ms\n") == {"p99": 2.5}
    assert values("regex:n='^n: (.*)$'", tmp_path, "n: 3\n") == {"n": 3}
    assert values("regex:e=stderr:took ([0-9.e-]+)", tmp_path, stderr="took 1e-3") == {"e": 0.001}


def test_numbers_are_found_in_json(tmp_path):
    (tmp_path / "out.json").write_text('{\n "a": [{"b-c": 7}]\n}')
    assert values("json:x=.loss", tmp_path, 'starting\n{"loss": 0.25}\n') == {"x": 0.25}
    assert values("json:x=.loss", tmp_path, '{"loss": 0.25}\nbye\n') == {"x": 0.25}
    assert values("json:x=file:out.json:.a[0].b-c", tmp_path) == {"x": 7}
    assert values("json:x=.", tmp_path, "3\n") == {"x": 3}


def test_quantiles_are_of_all_samples_together(tmp_path):
    (tmp_path / "lat.txt").write_text("latency\n" + "\n".join(map(str, range(101))))
    assert values(["p50=samples:lat.txt", "p99=samples:lat.txt", "max=samples:lat.txt"], tmp_path) == {
        "p50": 50,
        "p99": 99,
        "max": 100,
    }
    (p99,) = parsed_metrics("p99")
    assert p99.over_runs([1.0] * 99 + [5.0]) == pytest.approx(1.04)
    (jitter,) = parsed_metrics("jitter")
    assert jitter.over_runs([1.0, 2.0, 3.0]) == 0.5


def test_the_size_of_a_file_that_was_made(tmp_path):
    (tmp_path / "out").write_bytes(b"x" * 1_500_000)
    assert values("size_mb:out", tmp_path) == {"size_mb": 1.5}


@pytest.mark.parametrize(
    ("specs", "rule"),
    [
        ("tme", "there is no metric 'tme'; did you mean 'time'"),
        ("regex:x=[0-9]+", "the number in a group"),
        ("regex:x=(", "regular expression"),
        ("json:x=loss", r"is like \.latency"),
        ("throughput", "--work"),
        ("throughput=0/time", "other than 0, got 'throughput=0/time'"),
        ("x=time/0.0", "other than 0"),
        ("x=a/time", "divides metrics that come before it"),
        ("p99=lat.txt", "p99=samples:FILE"),
        (["time", "time"], "named once"),
        ([], "list of specs"),
    ],
)
def test_what_is_no_metric_is_refused(specs, rule):
    with pytest.raises(SpecError, match=rule):
        parsed_metrics(specs)


@pytest.mark.parametrize("work", [0, -1, float("nan"), float("inf"), True])
def test_work_that_is_none_is_refused(work):
    with pytest.raises(SpecError, match="a number above 0 like 1000"):
        parsed_metrics("throughput", work)


@pytest.mark.parametrize(
    ("spec", "stdout", "rule"),
    [
        ("regex:x=x=(.*)", "y=1", "there is none; it ends with 'y=1'"),
        ("regex:x=x=(.*)", "", "ends with nothing"),
        ("regex:x=x=(.*)", "x=1,234", "finite number like 12.5 or 1e-3, got '1,234'"),
        ("regex:x=x=(.*)", "x=inf", "got 'inf'"),
        ("json:x=.a", '{"a": true}', "got True"),
        ("json:x=.a.b", '{"a": 1}', "is at .a.b"),
        ("json:x=.a", "no json", "the output has none"),
        ("size_mb:none", "", "makes the file 'none'"),
        ("p99=samples:none", "", "makes the file 'none'"),
    ],
)
def test_a_run_without_its_number_fails_with_the_rule(spec, stdout, rule, tmp_path):
    with pytest.raises(ObjectiveError, match=rule):
        values(spec, tmp_path, stdout)
