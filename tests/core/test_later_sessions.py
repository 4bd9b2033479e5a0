"""What becomes of trials when sessions end: late results, deadly trials, failures, users who change their mind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

import raytune_hpo as hpo
from raytune_hpo.core.messages import AskTrials, EndTrial, LoseWorker, ReportMetrics, StopTrial, TakeTrial, Tick
from raytune_hpo.core.optimizer import Optimizer, WallClock
from raytune_hpo.errors import HpoError, SpecError
from raytune_hpo.facts import Finished, Requeued, Started, Status, StopAsked, Verdict
from tests.support import BreakingJournal, Feed

FINISHED = {Status.COMPLETED, Status.PRUNED, Status.FAILED}


def ask(feed, worker="a", at=0.0):
    return feed(AskTrials(worker=worker, at=at)).reply.assignments


def end(feed, number, attempt=1, status=Status.COMPLETED, at=1.0, loss=0.5, **more):
    metrics = {"loss": loss} if status is Status.COMPLETED else {}
    feed(EndTrial(number=number, attempt=attempt, status=status, at=at, metrics=metrics, **more))


def report(feed, number, step, loss=0.5, attempt=1):
    command = ReportMetrics(number=number, attempt=attempt, step=step, metrics={"loss": loss}, at=float(step))
    return feed(command).reply.verdict


def taken_up(feed, **how):
    """The study in another session, after the one before died without a word."""
    other = feed.resumed(len(feed.facts), at=100.0) if not how else None
    if other is None:
        other = object.__new__(Feed)
        other.plan, other.ahead, other.facts = feed.plan, feed.ahead, list(feed.facts)
        other.core = feed.replayed()
        other.facts.extend(other.core.open(100.0, feed.plan.spec, **how))
    return other


def same_after_replay(feed):
    replayed, ledger = feed.replayed().ledger, feed.core.ledger
    for name in ("trials", "unfinished", "requeued", "suspects", "owned", "counts", "stop_asked", "retried", "stopped"):
        assert getattr(replayed, name) == getattr(ledger, name), name
    return True


# ------------------------------------------------------------------------------------------------ late results


def test_a_result_that_comes_while_its_trial_waits_is_adopted():
    feed = Feed(num_trials=3)
    ask(feed, "a")
    feed(LoseWorker(worker="a", at=1.0, blameless=True))
    end(feed, 0, loss=0.25)
    trial = feed.core.ledger.trials[0]
    assert (trial.status, trial.attempt, trial.metrics) == (Status.COMPLETED, 2, {"loss": 0.25})
    assert not feed.core.ledger.requeued and same_after_replay(feed)
    end(feed, 0, loss=9.0)  # told twice
    assert feed.core.ledger.trials[0].metrics == {"loss": 0.25}


def test_a_result_of_a_trial_that_somebody_else_runs_is_not_adopted():
    feed = Feed(num_trials=3)
    ask(feed, "a")
    feed(LoseWorker(worker="a", at=1.0))
    ask(feed, "b")
    end(feed, 0, attempt=1, loss=0.25)
    assert feed.core.ledger.trials[0].status is Status.RUNNING


def test_an_adopted_trial_keeps_what_it_reported():
    feed = Feed(num_trials=3)
    ask(feed, "a")
    report(feed, 0, 1, 0.9)
    report(feed, 0, 2, 0.8)
    feed(LoseWorker(worker="a", at=3.0))
    feed(TakeTrial(worker="b", number=0, at=4.0))
    assert [r.metrics["loss"] for r in feed.core.ledger.trials[0].reports] == [0.9, 0.8]
    assert report(feed, 0, 3, 0.7, attempt=2) is Verdict.CONTINUE
    assert len(feed.core.ledger.trials[0].reports) == 3 and same_after_replay(feed)


@pytest.mark.parametrize("way", ["number", "trial", "batch of numpy", "report and tell", "fail"])
def test_results_are_told_in_a_later_session(tmp_path, way):
    import numpy as np

    def lab():
        return hpo.Study(
            {"x": hpo.uniform(0, 1)}, storage=str(tmp_path / "lab.db"), name="lab", sampler="random", seed=0
        )

    with lab() as monday:
        trials = monday.ask_batch(3)
    with lab() as tuesday:
        for trial in trials:
            if way == "fail":
                assert tuesday.fail(trial, "the glass broke").status == "failed"
            elif way == "report and tell":
                assert tuesday.report(trial, 1, 0.75) == "continue"
                assert tuesday.tell(trial).metrics == {"loss": 0.75}
            else:
                key = {"number": trial.number, "trial": trial, "batch of numpy": np.int64(trial.number)}[way]
                assert tuesday.tell(key, 0.5).status == "completed"
        results = tuesday.results()
    assert all(trial.status in FINISHED for trial in results) and len(results) == 3
    assert [t.config for t in results] == [t.config for t in trials]


@pytest.mark.parametrize("wrong", [7, -1, "0", 0.0, None])
def test_a_trial_that_was_never_asked_for_is_refused(wrong):
    study = hpo.Study({"x": hpo.uniform(0, 1)}, storage="memory", sampler="random")
    study.ask()
    with pytest.raises(HpoError, match="trial"):
        study.tell(wrong, 1.0)


# ------------------------------------------------------------------------------------------------ deadly trials


def test_trials_of_a_dead_session_go_out_last_and_one_that_ran_alone_spends_a_retry():
    feed = Feed(num_trials=3, max_retries=1)
    ask(feed, "a")
    feed = taken_up(feed, blame=True)
    assert feed.facts[-1] == Requeued(
        number=0, attempt=1, reason="the previous session ended", spent=True, suspect=True, at=100.0
    )
    for number in (1, 2):
        assert [a.number for a in ask(feed, "a")] == [number]
        end(feed, number)
    assert [a.number for a in ask(feed, "a")] == [0]
    feed = taken_up(feed, blame=True)
    trial = feed.core.ledger.trials[0]
    assert trial.status is Status.FAILED and "took its worker down 2 times" in trial.error
    assert feed.core.ledger.stopped == "num_trials" and same_after_replay(feed)


def test_of_several_that_ran_nobody_is_blamed_until_one_has_died_alone():
    feed = Feed(num_trials=2, max_retries=0)
    ask(feed, "a"), ask(feed, "b")
    feed = taken_up(feed, blame=True)  # both may have been it
    assert {a.number for worker in "ab" for a in ask(feed, worker)} == {0, 1}
    feed = taken_up(feed, blame=True)  # they were there twice: now one after the other
    assert [a.number for a in ask(feed, "a")] == [0]
    assert ask(feed, "b") == ()
    feed = taken_up(feed, blame=True)
    assert [t.status for t in feed.core.ledger.trials] == [Status.FAILED, Status.WAITING]
    assert [a.number for a in ask(feed, "a")] == [1]
    end(feed, 1, attempt=3)
    assert feed.core.ledger.stopped == "num_trials"


def test_where_trials_have_no_end_suspects_come_after_one_that_finished():
    feed = Feed(time_budget_s=1000.0)
    ask(feed, "a")
    feed = taken_up(feed, suspect=True)
    (first,) = ask(feed, "a")
    assert first.number == 1
    end(feed, 1, at=101.0)
    assert [a.number for a in ask(feed, "a", at=102.0)] == [0]


def test_a_session_that_stopped_in_order_leaves_no_suspects():
    feed = Feed(num_trials=5)
    ask(feed, "a")
    feed.facts.extend(feed.core.step(Tick(at=1.0)).facts)
    from raytune_hpo.core.messages import StopStudy

    feed(StopStudy(reason="interrupted", at=2.0))
    feed = taken_up(feed, blame=True)
    assert not feed.core.ledger.suspects and list(feed.core.ledger.requeued) == [0]


def test_a_trial_that_kills_its_process_does_not_keep_a_local_study_from_its_end(tmp_path):
    script = textwrap.dedent(f"""
        import os, signal
        import raytune_hpo as hpo

        def objective(config):
            if config["n"] == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return config["n"]

        hpo.tune(objective, {{"n": hpo.grid_search(list(range(6)))}}, metric="loss", sampler="grid", max_retries=1,
                 name="deadly", storage={str(tmp_path / "s.db")!r}, runtime="local", max_concurrent=1, progress=False)
    """)
    codes = []
    while (
        len(codes) < 8 and 0 not in codes
    ):  # as a supervisor would; leases hold several trials, so it takes some tries
        codes.append(subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode)
    assert codes[-1] == 0 and set(codes[:-1]) == {-signal.SIGKILL}
    results = hpo.load("deadly", storage=str(tmp_path / "s.db"))
    assert [t.number for t in results if t.status is Status.FAILED] == [3]
    assert results.num_by_status["completed"] == 5


# ------------------------------------------------------------------------------------------------ the end of time


def test_nothing_is_handed_out_in_the_step_that_stops_the_study():
    feed = Feed(num_trials=9, time_budget_s=10.0)
    decision = feed(AskTrials(worker="a", at=11.0))
    assert decision.reply.is_over and not any(isinstance(fact, Started) for fact in decision.facts)


def test_setting_the_clock_changes_neither_budgets_nor_timeouts(monkeypatch):
    real, offset = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + offset[0])
    jumps = iter([0.0, 3600.0, -3600.0, 0.0])

    def objective(config):
        offset[0] = next(jumps)
        time.sleep(0.3)
        return config["x"]

    results = hpo.tune(
        objective, {"x": hpo.uniform(0, 1)}, metric="loss", num_trials=4, time_budget_s=60, trial_timeout_s=30,
        sampler="random", runtime="local", max_concurrent=1, storage="memory", progress=False,
    )  # fmt: skip
    assert results.num_by_status["completed"] == 4
    assert all(0.2 < trial.duration_s < 30 for trial in results)


def test_the_wall_clock_goes_on_evenly():
    clock = WallClock()
    assert abs(clock.now() - time.time()) < 1.0
    first = clock.now()
    assert clock.now() >= first


# ------------------------------------------------------------------------------------------------ last steps


def test_an_objective_without_end_is_completed_at_its_last_step():
    def objective(config):
        step = 0
        while True:
            step += 1
            hpo.report(loss=config["x"] / step)

    for runtime in ("local", "simulated"):
        cost = {"cost_s": 1.0}

        def costly(config):
            step = 0
            while True:
                step += 1
                hpo.report(loss=config["x"] / step, cost_s=float(step))

        results = hpo.Tuner(
            costly if runtime == "simulated" else objective, {"x": hpo.uniform(0, 1)}, metric="loss", num_trials=4,
            scheduler={"name": "asha", "max_steps": 9, "min_steps": 3}, seed=1, runtime=runtime, storage="memory",
            progress=False,
        ).fit()  # fmt: skip
        done = [t for t in results if t.status is Status.COMPLETED]
        assert done and all(len(t.reports) == 9 and t.reports[-1].verdict is Verdict.COMPLETE for t in done), cost
        assert all(t.losses == (t.config["x"] / 9,) for t in done)
        assert results.num_by_status["failed"] == results.num_by_status["running"] == 0


def test_what_an_objective_returns_after_its_last_step_is_kept():
    def objective(config):
        for step in range(1, 10):
            hpo.report(loss=config["x"] / step, step=step)
        return {"loss": config["x"], "size_mb": 12.3}

    results = hpo.tune(
        objective, {"x": hpo.uniform(0, 1)}, metric="loss", num_trials=3, scheduler={"name": "asha", "max_steps": 9},
        runtime="local", storage="memory", progress=False,
    )  # fmt: skip
    done = [t for t in results if t.status is Status.COMPLETED]
    assert done and all(t.metrics == {"loss": t.config["x"], "size_mb": 12.3} for t in done)


def test_a_step_in_the_dict_is_the_step():
    def objective(config):
        hpo.report({"loss": 1.0, "step": 5})
        hpo.report({"loss": 0.5, "step": 7})
        hpo.report(0.25)
        return 0.1

    results = hpo.tune(
        objective,
        {"x": hpo.uniform(0, 1)},
        metric="loss",
        num_trials=1,
        runtime="local",
        storage="memory",
        progress=False,
    )
    assert [(r.step, dict(r.metrics)) for r in results[0].reports] == [
        (5, {"loss": 1.0}), (7, {"loss": 0.5}), (8, {"loss": 0.25}),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------ users


def test_a_user_stops_one_trial_at_its_next_report():
    feed = Feed(num_trials=3)
    ask(feed, "a")
    assert report(feed, 0, 1) is Verdict.CONTINUE
    feed(StopTrial(number=0, at=2.0))
    assert isinstance(feed.facts[-1], StopAsked)
    assert report(feed, 0, 2) is Verdict.STOP
    end(feed, 0, status=Status.PRUNED)
    assert feed.core.ledger.trials[0].status is Status.PRUNED and same_after_replay(feed)
    before = len(feed.facts)
    feed(StopTrial(number=0, at=3.0))  # it is over
    assert len(feed.facts) == before


def test_a_trial_that_waits_is_stopped_at_once():
    feed = Feed(num_trials=3)
    ask(feed, "a")
    report(feed, 0, 1, 0.7)
    feed(LoseWorker(worker="a", at=1.0))
    feed(StopTrial(number=0, at=2.0))
    trial = feed.core.ledger.trials[0]
    assert trial.status is Status.PRUNED and trial.metrics == {"loss": 0.7} and same_after_replay(feed)


def test_trials_are_stopped_by_their_numbers_everywhere():
    study = hpo.Study({"x": hpo.uniform(0, 1)}, storage="memory", sampler="random")
    trial = study.ask()
    study.stop_trial(trial)
    assert study.report(trial, 1, 0.5) == "stop"
    assert study.tell(trial).status == "pruned"
    with pytest.raises(HpoError, match="asked for 1 trial, numbered from 0; got trial 4"):
        study.stop_trial(4)
    tuner = hpo.Tuner(
        lambda c: [hpo.report(0.5, step=n) or time.sleep(0.05) for n in range(1, 200)] and 0.5,
        {"x": hpo.uniform(0, 1)}, metric="loss", num_trials=1, runtime="local", storage="memory", progress=False,
    )  # fmt: skip
    with tuner.start() as run:
        while not run.status().counts["running"]:
            time.sleep(0.01)
        for number, shown in ((3, "3"), ("0", "'0'"), (False, "False")):
            with pytest.raises(SpecError, match=f"numbered from 0; got {shown}$"):
                run.stop_trial(number)
        run.stop_trial(0)
        assert run.wait(60)
        assert run.results()[0].status == "pruned" and len(run.results()[0].reports) < 150


# ------------------------------------------------------------------------------------------------ failures


def test_a_failure_has_its_reason_in_one_line():
    def objective(config):
        raise ValueError("my data is missing\nsecond line\n\nthird")

    results = hpo.tune(
        objective,
        {"x": hpo.uniform(0, 1)},
        metric="loss",
        num_trials=1,
        runtime="local",
        storage="memory",
        progress=False,
    )
    assert results[0].reason == "ValueError: my data is missing"
    assert "second line" in results[0].error and "Traceback" in results[0].error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError("lr"), "KeyError: 'lr'"),
        (RuntimeError(""), "RuntimeError"),
        (RuntimeError("\n  indented\nmore"), "RuntimeError: indented"),
        (SystemExit(3), "SystemExit: 3"),
        (ValueError("x" * 1000), None),
    ],
)
def test_reasons_of_all_kinds(error, reason):
    study = hpo.Study({"x": hpo.uniform(0, 1)}, storage="memory", sampler="random")
    found = study.fail(study.ask(), error).reason
    assert found == reason if reason else len(found) <= 300


def test_failures_end_a_session_and_the_next_one_goes_on():
    feed = Feed(num_trials=9, max_failures=2)
    for number in range(2):
        ask(feed, "a")
        end(feed, number, status=Status.FAILED, error="broken")
    assert feed.core.ledger.stopped == "max_failures"
    feed = taken_up(feed, suspect=True)
    assert feed.core.ledger.stopped is None and [a.number for a in ask(feed, "a")] == [2]


def test_failed_trials_are_tried_again_and_do_not_count_twice(tmp_path):
    url, space = str(tmp_path / "s.db"), {"x": hpo.uniform(0, 1)}
    settings = dict(metric="loss", num_trials=4, sampler="random", seed=1, name="fix", storage=url, runtime="local")

    def broken(config):
        if config["x"] < 0.99:
            raise ValueError("a typo")
        return 0.0

    first = hpo.tune(broken, space, progress=False, **settings)
    assert first.num_by_status["failed"] == 4
    again = hpo.tune(lambda c: c["x"], space, progress=False, **settings)
    assert again.num_by_status["failed"] == 4 and len(again) == 4
    fixed = hpo.tune(lambda c: c["x"], space, progress=False, retry_failed=True, **settings)
    assert fixed.num_by_status["completed"] == 4 and len(fixed) == 8
    assert [t.config for t in fixed.trials[4:]] == [t.config for t in first]
    assert len(hpo.tune(lambda c: c["x"], space, progress=False, retry_failed=True, **settings)) == 8


# ------------------------------------------------------------------------------------------------ forks


def test_a_forked_study_refuses_before_it_writes(tmp_path):
    study = hpo.Study({"x": hpo.uniform(0, 1)}, storage=str(tmp_path / "f.db"), name="f", sampler="random", seed=0)
    first = study.ask()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            study.tell(first, 9.0)
            answer = "told"
        except HpoError as error:
            answer = str(error)
        os.write(write, answer.encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert "a fork of it" in os.read(read, 1000).decode()
    study.tell(first, 0.5)
    second = study.ask()
    study.tell(second, 0.4)
    study.close()
    assert [t.metrics["loss"] for t in hpo.load("f", storage=str(tmp_path / "f.db"))] == [0.5, 0.4]


def test_an_optimizer_knows_its_process(monkeypatch):
    feed = Feed()
    optimizer = Optimizer(feed.plan.spec, feed.plan.sampler, None, BreakingJournal(), WallClock())
    optimizer.create()
    optimizer.open()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(HpoError, match="this is process -1"):
        optimizer.handle([Tick(at=0.0)])


def test_a_finished_trial_stays_what_it_is():
    feed = Feed(num_trials=2)
    ask(feed, "a")
    end(feed, 0)
    before = list(feed.facts)
    for command in (
        TakeTrial(worker="b", number=0, at=2.0),
        StopTrial(number=0, at=2.0),
        TakeTrial(worker="b", number=9, at=2.0),
    ):
        feed(command)
    assert feed.facts == before and isinstance(before[-1], Finished)
