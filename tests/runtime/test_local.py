"""Studies in threads of this process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import warnings

import pytest

import raytune_hpo as hpo
from raytune_hpo.errors import StudyExists
from raytune_hpo.runtime.local import LocalHandle
from tests.support import make_plan


def fit(objective, space=None, **settings):
    settings = {"num_trials": 10, "storage": "memory", "progress": False, "runtime": "local", "seed": 1, **settings}
    settings.setdefault("sampler", "random")
    return hpo.tune(objective, space or {"x": hpo.uniform(0, 1)}, **settings)


def test_every_trial_is_completed_once():
    results = fit(lambda config: config["x"], num_trials=200, max_concurrent=4)
    assert [t.number for t in results] == list(range(200))
    assert {t.status for t in results} == {"completed"}
    assert results.best_value == min(t.config["x"] for t in results)


def test_the_same_seed_gives_the_same_study_with_one_worker():
    runs = [fit(lambda c: c["x"], sampler="hyperopt", max_concurrent=1, num_trials=25) for _ in range(2)]
    assert [t.config for t in runs[0]] == [t.config for t in runs[1]]


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [
        ({"max_concurrent": 3}, 3),
        ({}, 4),
        ({"resources": {"cpu": 0}}, 4),
        ({"resources": [{"cpu": 1}, {"cpu": 1}]}, 2),
        ({"resources": {"cpu": 99}}, 1),
    ],
)
def test_as_many_run_at_once_as_allowed_and_no_more(settings, allowed, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    running, peak, lock = [0], [0], threading.Lock()

    def objective(config):
        with lock:
            running[0] += 1
            peak[0] = max(peak[0], running[0])
        time.sleep(0.05)
        with lock:
            running[0] -= 1
        return 1.0

    fit(objective, num_trials=20, **settings)
    assert peak[0] == allowed


@pytest.mark.parametrize("resources", [{"cpu": 1, "gpu": 1}, [{"cpu": 1}, {"gpu": 1}]])
def test_resources_that_only_ray_reserves_are_named(resources):
    with pytest.warns(UserWarning, match="runtime='local' reserves no gpu.*max_concurrent") as heard:
        fit(lambda c: c["x"], resources=resources)
    assert len(heard) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(lambda c: c["x"], resources=resources, max_concurrent=1)


def test_a_failing_objective_is_recorded_and_the_study_goes_on():
    def objective(config):
        if config["x"] > 0.5:
            raise RuntimeError("too big")
        return config["x"]

    results = fit(objective, num_trials=40)
    failed = [t for t in results if t.status == "failed"]
    assert failed and all("too big" in t.error for t in failed)
    assert results.best_value <= 0.5


def test_a_hanging_trial_fails_in_time_and_its_worker_is_replaced():
    release, came_back = threading.Event(), []

    def objective(config):
        if config["x"] > 0.7:
            came_back.append(release.wait(120))
        return config["x"]

    results = fit(objective, num_trials=12, max_concurrent=2, trial_timeout_s=0.4)
    assert not came_back, "none was waited for"
    release.set()
    assert any(t.status == "failed" and "trial_timeout_s=0.4" in t.error for t in results)
    assert {t.status for t in results} == {"completed", "failed"}


def test_a_time_budget_ends_a_study_whose_trials_are_long():
    release, came_back = threading.Event(), []

    def objective(config):
        came_back.append(release.wait(120))
        return config["x"]

    results = fit(objective, num_trials=50, max_concurrent=1, time_budget_s=0.5)
    assert not came_back, "it was not waited for"
    release.set()
    assert [t.status for t in results] == ["waiting"]


def test_a_target_ends_a_study():
    results = fit(lambda c: c["x"], num_trials=100_000, target=0.05)
    assert results.best_value <= 0.05 and len(results) < 5000


def test_a_stopped_study_continues_where_it_was(tmp_path):
    storage = f"sqlite:///{tmp_path}/s.db"
    first = fit(lambda c: c["x"], name="s", storage=storage, num_trials=5)
    more = fit(lambda c: c["x"], name="s", storage=storage, num_trials=12)
    assert len(more) == 12
    assert [t.config for t in more][:5] == [t.config for t in first]
    assert [t.config for t in hpo.load("s", storage)] == [t.config for t in more]


def test_a_study_has_one_tuner_at_a_time(tmp_path):
    storage = f"sqlite:///{tmp_path}/s.db"
    handle = LocalHandle(make_plan(lambda c: time.sleep(0.05) or 1.0, storage=storage, num_trials=500))
    try:
        with pytest.raises(StudyExists, match="attach"):
            LocalHandle(make_plan(storage=storage, num_trials=500))
    finally:
        handle.stop("test")
        handle.close()


def test_a_run_in_the_background_is_watched_fed_and_stopped():
    run = hpo.Tuner(
        lambda c: time.sleep(0.01) or c["x"],
        {"x": hpo.uniform(0, 1)},
        sampler="random",
        time_budget_s=60,
        storage="memory",
        runtime="local",
        max_concurrent=2,
    ).start()
    with run:
        assert not run.wait(0.2)
        run.enqueue({"x": 0.125})
        with pytest.raises(hpo.errors.SpaceError):
            run.enqueue({"x": 7.0})
        assert run.status().is_running and "running" in repr(run)
        while not any(t.config == {"x": 0.125} for t in run.results()):
            time.sleep(0.01)
        run.stop()
        assert run.wait(60)


def test_reports_reach_the_scheduler_from_every_thread():
    def objective(config):
        for step in range(1, 28):
            hpo.report(loss=config["x"] + 1 / step, step=step)

    results = fit(objective, num_trials=60, max_concurrent=3, scheduler="asha")
    statuses = [t.status for t in results]
    assert statuses.count("pruned") > 10 and statuses.count("completed") >= 1
    assert results.best_trial.reports[-1].step == 27


def test_callbacks_get_every_fact_in_order_and_a_broken_one_breaks_nothing(tmp_path):
    facts = []

    def broken(fact):
        raise RuntimeError("no")

    fit(lambda c: c["x"], num_trials=20, callbacks=[broken, facts.append], storage=f"{tmp_path}/c.db", name="c")
    assert [type(f).__name__ for f in facts].count("Finished") == 20
    assert type(facts[0]).__name__ == "StudyCreated" and type(facts[-1]).__name__ == "StudyStopped"


def test_choice_options_of_any_kind_come_back_as_themselves(tmp_path):
    class Relu: ...

    options = [Relu, (1, 2), None, "text"]
    results = fit(
        lambda c: float(options.index(c["act"])), {"act": hpo.choice(options)}, storage=f"{tmp_path}/o.db", name="o"
    )
    assert {type(t.config["act"]) for t in results} <= {type, tuple, type(None), str}
    assert all(t.config["act"] in options for t in results)


DEBUGGED = """
import sys
import raytune_hpo as hpo

def objective(config):
    half = config["x"] / 2
    breakpoint()
    return half

hpo.tune(objective, {"x": 3}, num_trials=1, max_concurrent=1, runtime="local", storage="memory", progress=False)
assert sys.breakpointhook is sys.__breakpointhook__
"""


@pytest.mark.parametrize("hook", ["", "ray.util.rpdb._driver_set_trace"], ids=["plain", "beside Ray"])
def test_a_breakpoint_in_an_objective_opens_the_debugger_where_its_user_sees_it(tmp_path, monkeypatch, hook):
    monkeypatch.setenv("PYTHONBREAKPOINT", hook)  # the second is what ray.init() sets, and leaves
    script = tmp_path / "debugged.py"
    script.write_text(DEBUGGED)
    done = subprocess.run(
        [sys.executable, script], input="p half\nc\n", capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "-> return half" in done.stdout and "(Pdb) 1.5" in done.stdout
