"""One run of an objective: what it may return, report, raise and print, and what it may not."""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import Future

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.core.messages import Assignment
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.goals import Goal
from raytune_hpo.metrics import MetricRules
from raytune_hpo.runtime.output import BoundedText, routed
from raytune_hpo.runtime.trial_run import TrialRun

LOSS = (Goal("loss"),)


class Recorder:
    def __init__(self, stop_at=None):
        self.reports, self.stop_at = [], stop_at

    next_step = None

    def report(self, step, metrics, saves):
        self.reports.append((step, metrics))
        return Verdict.STOP if step == self.stop_at else Verdict.CONTINUE


def run(objective, goals=LOSS, recorder=None, judged=False, config=None):
    assignment = Assignment(number=3, attempt=1, config=config or {"x": 0.5})
    with routed():
        return TrialRun(assignment, objective, MetricRules(goals, every_report=judged), recorder or Recorder())()


@pytest.mark.parametrize(
    "value", [0.25, np.float32(0.25), np.array(0.25), np.array([0.25]), {"loss": 0.25}, {"loss": np.float64(0.25)}]
)
def test_a_number_or_a_dict_is_a_result(value):
    ended = run(lambda config: value)
    assert ended.status is Status.COMPLETED
    assert ended.metrics == {"loss": 0.25} and type(ended.metrics["loss"]) is float


def test_a_bool_and_an_int_are_numbers():
    assert run(lambda c: True).metrics == {"loss": 1}
    assert run(lambda c: np.int64(7)).metrics == {"loss": 7}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "must be finite, got nan"),
        (float("-inf"), "must be finite, got -inf"),
        (10**400, "must be finite, got a whole number beyond all floats"),
        (None, "returns a number or a dict"),
        ("good", "must be a number, got str 'good'"),
        ({}, "must give metric 'loss', got no metrics"),
        ({"acc": 1.0}, "must give metric 'loss', got ['acc']"),
        ({"loss": None}, "must be a number"),
        (np.zeros(3), "array of shape (3,)"),
        (object(), "got object"),
        (b"x" * 100_000_000, "got bytes"),
        (Future(), "Future, which stands for a result to come: return its result()"),
    ],
)
def test_what_is_no_result_fails_the_trial_and_says_why(value, words):
    ended = run(lambda config: value)
    assert ended.status is Status.FAILED
    assert words in ended.error and len(ended.error) < 1000


def test_other_metrics_may_be_text_none_or_not_finite():
    ended = run(lambda config: {"loss": 1.0, "kernel": "rbf", "note": None, "gap": float("inf")})
    assert ended.status is Status.COMPLETED and ended.metrics["gap"] == float("inf")


def test_a_metric_outside_its_valid_range_fails_the_trial():
    ended = run(lambda config: -4e11, goals=(Goal("loss", valid_range=(0, 10)),))
    assert ended.status is Status.FAILED and "valid_range (0, 10)" in ended.error


def test_an_error_is_kept_with_the_objectives_own_traceback():
    def inner():
        raise ZeroDivisionError("nothing to divide")

    ended = run(lambda config: inner())
    assert ended.status is Status.FAILED
    assert "ZeroDivisionError: nothing to divide" in ended.error and "in inner" in ended.error
    assert "runtime/trial_run.py" not in ended.error.replace(__file__, "")


@pytest.mark.parametrize("kind", [SystemExit, asyncio.CancelledError, GeneratorExit, BaseException])
def test_whatever_an_objective_raises_fails_the_trial_only(kind):
    def objective(config):
        raise kind("by itself")

    ended = run(objective)
    assert ended.status is Status.FAILED
    assert ended.reason == f"{kind.__name__}: by itself" and "in objective" in ended.error


def test_ctrl_c_is_no_failure_of_the_trial():
    def objective(config):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(objective)


def test_a_long_error_loses_its_middle():
    def objective(config):
        raise ValueError("x" * 1_000_000)

    assert len(run(objective).error) < 10_000


def test_an_exception_that_cannot_be_shown_is_named():
    class Unspeakable(Exception):
        def __str__(self):
            raise RuntimeError

    def objective(config):
        raise Unspeakable

    assert "Unspeakable" in run(objective).error


def test_reports_count_from_one_and_the_last_is_the_result():
    recorder = Recorder()

    def objective(config):
        for loss in (3.0, 2.0, 1.0):
            hpo.report(loss=loss)

    ended = run(objective, recorder=recorder)
    assert recorder.reports == [(1, {"loss": 3.0}), (2, {"loss": 2.0}), (3, {"loss": 1.0})]
    assert ended.status is Status.COMPLETED and ended.metrics == {"loss": 1.0}


def test_what_is_returned_is_added_to_the_last_report():
    def objective(config):
        hpo.report(loss=2.0, lr=0.1, step=10)
        return {"size_mb": 12.3}

    assert run(objective).metrics == {"loss": 2.0, "lr": 0.1, "size_mb": 12.3}


@pytest.mark.parametrize("steps", [(2, 1), (1, 1), (5, 0), (1.5,), ("one",), (True,)])
def test_steps_grow_and_are_integers(steps):
    def objective(config):
        for step in steps:
            hpo.report(loss=1.0, step=step)
        return 1.0

    ended = run(objective)
    assert ended.status is Status.FAILED and "step" in ended.error


def test_a_report_that_is_not_finite_fails_the_trial():
    def objective(config):
        hpo.report(loss=float("nan"))

    ended = run(objective)
    assert ended.status is Status.FAILED and "finite" in ended.error


def test_a_judged_report_must_carry_the_metric():
    def objective(config):
        hpo.report(acc=1.0)
        return 1.0

    assert run(objective, judged=False).status is Status.COMPLETED
    error = run(objective, judged=True).error
    assert "must give metric 'loss' in every report" in error and "leave out reports without it" in error


def test_a_stopped_objective_unwinds_and_is_pruned():
    unwound = []

    def objective(config):
        try:
            for step in range(1, 10):
                hpo.report(loss=1.0, step=step)
        except Exception:
            pytest.fail("TrialStopped is no Exception")
        finally:
            unwound.append(True)

    recorder = Recorder(stop_at=2)
    ended = run(objective, recorder=recorder)
    assert ended.status is Status.PRUNED and unwound == [True] and len(recorder.reports) == 2


def test_an_objective_that_swallows_the_stop_is_pruned_all_the_same():
    def objective(config):
        for step in range(1, 5):
            try:
                hpo.report(loss=1.0, step=step)
            except hpo.TrialStopped:
                pass
        return 0.0

    recorder = Recorder(stop_at=2)
    assert run(objective, recorder=recorder).status is Status.PRUNED
    assert len(recorder.reports) == 2


def test_a_generator_yields_reports():
    def objective(config):
        for step in (5, 10):
            yield {"loss": 1 / step, "step": step}
        return {"loss": 0.01}

    recorder = Recorder()
    ended = run(objective, recorder=recorder)
    assert [step for step, _ in recorder.reports] == [5, 10]
    assert ended.metrics == {"loss": 0.01}


def test_a_stopped_generator_is_closed():
    closed = []

    def objective(config):
        try:
            while True:
                yield 1.0
        finally:
            closed.append(True)

    assert run(objective, recorder=Recorder(stop_at=3)).status is Status.PRUNED
    assert closed == [True]


def test_what_an_objective_does_to_its_config_stays_there():
    config = {"x": 0.5, "nested": {"a": [1]}}

    def objective(config):
        config["nested"]["a"].append(2)
        config.clear()
        return 1.0

    run(objective, config=config)
    assert config == {"x": 0.5, "nested": {"a": [1]}}


def test_report_outside_a_trial_does_nothing():
    hpo.report(loss=float("nan"), step="whatever")


def test_output_is_kept_and_shown_nowhere(capsys):
    import sys

    def objective(config):
        print("to stdout")
        print("to stderr", file=sys.stderr)
        return 1.0

    ended = run(objective)
    assert ended.output == "to stdout\nto stderr\n"
    assert capsys.readouterr() == ("", "")


def test_a_flood_of_output_loses_its_middle():
    text = BoundedText()
    for index in range(100_000):
        text.write(f"line {index}\n")
    shown = str(text)
    assert shown.startswith("line 0\n") and shown.endswith("line 99999\n")
    assert "characters left out" in shown and len(shown) < 80_000


def test_one_huge_print_is_bounded_too():
    text = BoundedText()
    text.write("x" * 10_000_000)
    assert len(str(text)) < 80_000


def test_printing_is_safe_while_runtimes_come_and_go():
    """print() does not hold on to the stream it writes to: one that was freed meanwhile has brought the process down."""
    script = """if True:
        import threading
        from raytune_hpo.runtime.output import routed
        done = threading.Event()

        def come_and_go():
            while not done.is_set():
                with routed():
                    pass

        class Text:
            def __str__(self):
                return str(sum(range(50)))

        thread = threading.Thread(target=come_and_go)
        thread.start()
        for _ in range(3_000):
            print(Text(), Text())
        done.set()
        thread.join()
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=150, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1225 1225\n" * 3_000


def raises(error):
    raise error


@pytest.mark.parametrize(
    ("leave", "code"),
    [(lambda: -1.0, 0), (lambda: sys.exit(3), 3), (sys.exit, 0), (lambda: raises(ValueError("x")), 1)],
)
def test_a_process_that_the_objective_forks_ends_with_it_and_tells_nothing(leave, code, capfd):
    def forks(config):
        child = os.fork()
        if child == 0:
            print("from the child")
            return leave()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    ended = run(forks)
    assert ended.metrics == {"loss": code}
    assert ended.output == "" and "from the child" in capfd.readouterr().out


def test_a_process_that_the_objective_forks_cannot_report(capfd):
    def forks(config):
        def reports():
            hpo.report(loss=1.0)

        child = multiprocessing.get_context("fork").Process(target=reports)
        child.start()
        child.join()
        return child.exitcode

    recorder = Recorder()
    assert run(forks, recorder=recorder).metrics == {"loss": 1} and not recorder.reports
    assert "send values to the objective, by a queue" in capfd.readouterr().err


def test_a_kernels_own_stream_is_reached_through_the_router(monkeypatch):
    class Stream(io.StringIO):
        parent = None

        def set_parent(self, parent):
            self.parent = parent

    stream = Stream()
    monkeypatch.setattr(sys, "stdout", stream)
    with routed():
        assert sys.stdout is not stream
        sys.stdout.set_parent("cell 2")
    assert stream.parent == "cell 2" and sys.stdout is stream


class TaskError(Exception):
    """As of Ray's tasks: its message is the traceback of another process."""

    def __init__(self, raised, cause=None):
        super().__init__(f'\x1b[36mray::f()\x1b[39m (pid=7)\n  File "f.py", line 7, in f\n    {raised}')
        self.cause = cause


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TaskError("raise ...\nValueError: batch of 7"), "ValueError: batch of 7"),
        (TaskError("ValueError: one\ntwo", ValueError("one\ntwo")), "ValueError: one"),
        (TaskError("ValueError: one", TaskError("ValueError: one", ValueError("one"))), "ValueError: one"),
    ],
)
def test_the_reason_of_a_failure_in_a_ray_task_is_what_was_raised_there(error, reason):
    def objective(config):
        raise error

    ended = run(objective)
    assert ended.status is Status.FAILED and ended.reason == reason
    assert "TaskError: ray::f() (pid=7)" in ended.error and "\x1b" not in ended.error
