"""Studies that have everything a neighbour has to cope with."""

from __future__ import annotations

import re
from typing import Any

import pytest

import raytune_hpo as hpo
from raytune_hpo.core.messages import AskTrials, Assignment, EndTrial, LoseWorker, ReportMetrics, StopStudy
from raytune_hpo.facts import Fact, Status, StudyStopped, Verdict
from raytune_hpo.goals import make_goals
from raytune_hpo.integrations.testing import LOGGER_CHECKS
from raytune_hpo.journal import open_storage
from raytune_hpo.metrics import MetricRules
from raytune_hpo.runtime.trial_run import TrialRun
from tests.support import Feed

LOGGER_CASES = [check.__name__.removeprefix("check_") for check in LOGGER_CHECKS]
SPACE = {
    "model": hpo.choice(
        [{"kind": "svm", "C": hpo.loguniform(1e-2, 1e3)}, {"kind": "forest", "depth": hpo.randint(2, 20), "tag": "t"}]
    ),
    "batch": hpo.qrandint(16, 256, 16),
    "act": hpo.choice(["relu", None, True]),
    "seed": 7,
}


def objective(config):
    """Reports twice; small batches fail, and only forests have a size."""
    if config["batch"] <= 64:
        raise ValueError("batch too small")
    value = config["model"].get("C", 1.0) / config["batch"]
    hpo.report(loss=value + 1.0, step=1)
    hpo.report(loss=value + 0.5, note="half way", step=2)
    return {"loss": value, "size": config["model"].get("depth")}


def fit(function=objective, space=None, **settings):
    settings = {
        "num_trials": 12,
        "sampler": "random",
        "seed": 3,
        "max_concurrent": 2,
        "progress": False,
        "runtime": "local",
        "name": "digits",
        **settings,
    }
    return hpo.tune(function, SPACE if space is None else space, **settings)


class Story:
    """A study of two sessions, told event by event.

    Trial 0 is completed after two reports. Trial 1 loses its worker after one, is tried again, and completed in the
    second session, because the first one ends in between. Trial 2 fails, trial 3 is pruned, trial 4 is completed.
    """

    def __init__(self) -> None:
        self.feed = Feed(space=SPACE, name="digits", num_trials=5)
        for number, worker in enumerate("abcd"):
            self._ask(worker, at=10.0 + number)
        self._report(0, 1, loss=1.0, at=20.0)
        self._report(1, 1, loss=9.0, at=21.0)
        self._report(0, 2, loss=0.5, note="half way", at=22.0)
        self._end(0, Status.COMPLETED, at=23.0, metrics={"loss": 0.25, "size": 3})
        self.feed(LoseWorker(worker="b", at=24.0))
        self._ask("b2", at=25.0)
        self._report(1, 1, attempt=2, loss=8.0, at=26.0)
        self._end(2, Status.FAILED, at=27.0, error="Traceback ...\nValueError: batch too small")
        self._report(3, 1, loss=5.0, at=28.0)
        self._end(3, Status.PRUNED, at=29.0)
        self.num_before_stop = len(self.feed.facts)
        self.feed(StopStudy(reason="interrupted", at=30.0))
        self.num_first = len(self.feed.facts)
        self.feed = self.feed.resumed(self.num_first, at=100.0)
        self._ask("c2", at=101.0)
        self._report(1, 1, attempt=3, loss=0.125, at=102.0)
        self._end(1, Status.COMPLETED, attempt=3, at=103.0, metrics={"loss": 0.125})
        self._ask("d2", at=104.0)
        self._end(4, Status.COMPLETED, at=105.0, metrics={"loss": 0.75, "note": "no reports"})
        assert isinstance(self.facts[-1], StudyStopped)

    @property
    def facts(self) -> list[Fact]:
        return self.feed.facts

    @property
    def first(self) -> list[Fact]:
        """The first session; ``crashed`` is what there was of it when its process died, before it stopped."""
        return self.facts[: self.num_first]

    @property
    def crashed(self) -> list[Fact]:
        return self.facts[: self.num_before_stop]

    def _ask(self, worker: str, at: float) -> None:
        self.feed(AskTrials(worker=worker, at=at))

    def _report(self, number: int, step: int, *, at: float, attempt: int = 1, **metrics: Any) -> None:
        self.feed(ReportMetrics(number=number, attempt=attempt, step=step, metrics=metrics, at=at))

    def _end(self, number: int, status: Status, *, at: float, attempt: int = 1, **outcome: Any) -> None:
        self.feed(EndTrial(number=number, attempt=attempt, status=status, at=at, **outcome))


class Promoted:
    """A study whose trials pause at steps 1 and 3, and of which the best go on to step 9."""

    def __init__(self, storage: str) -> None:
        self.results = hpo.simulate(
            self.train, {"x": hpo.uniform(0, 1)}, num_workers=2, num_trials=9, name="digits", storage=storage,
            sampler="random", seed=3, scheduler={"name": "asha", "promote": True, "max_steps": 9},
        )  # fmt: skip
        self.facts = list(open_storage(storage).read("digits"))
        self.longest = max(self.results, key=lambda trial: trial.attempt)
        assert self.longest.attempt > 1

    @staticmethod
    def train(config):
        saved = hpo.checkpoint()
        for step in range(1 if saved is None else saved.step + 1, 10):
            hpo.report(loss=config["x"] + 1 / step, cost_s=float(step), step=step, save=lambda folder: None)


def attempt_named(name):
    """The number and the attempt in a name as AttemptKey writes it."""
    number, attempt = re.fullmatch(r"trial-(\d+)(?:-attempt-(\d+))?", name).groups(default=1)
    return int(number), int(attempt)


def tell(logger, facts, *, close=True):
    """Tell a logger facts as a session would; without ``close`` its process dies then."""
    logger.open(None)
    for fact in facts:
        logger(fact)
    if close:
        logger.close()


class Judge:
    """Takes a trial's reports, and stops it at a step."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.reports: list[tuple[int, dict[str, Any]]] = []
        self.stop_at = stop_at

    next_step = None

    def report(self, step, metrics, saves):
        self.reports.append((step, metrics))
        return Verdict.STOP if step == self.stop_at else Verdict.CONTINUE


def set_aside(train, curve):
    """What promotion makes of ``train(done, saved)``: trials pause, and go on from what they saved to the same end.

    Args:
        train: trains after ``done`` steps, from the checkpoint ``saved``, up to 9 steps, reporting "value".
        curve: the values that a training reports that is never set aside.
    """
    begun = []

    def objective(config):
        saved = hpo.checkpoint()
        begun.append(saved.step if saved else 0)
        train(begun[-1], saved)

    promoting = {"name": "asha", "max_steps": 9, "promote": True}
    settings = {"num_trials": 9, "scheduler": promoting, "max_concurrent": 1, "storage": "memory"}
    results = fit(objective, {"x": 1}, metric="value", **settings)
    assert not results.num_by_status["failed"], next(t.error for t in results if t.error)
    assert sorted(set(begun)) == [0, 1, 3], begun
    assert results.num_by_status["paused"] >= 6
    best = results.best_trial
    assert [report.step for report in best.reports] == list(range(1, 10))
    assert [report.metrics["value"] for report in best.reports] == pytest.approx(curve, rel=1e-4)
    return best.checkpoint.path


def run_trial(objective, *, stop_at=None, metric="loss"):
    """One trial of an objective: how it ended, and what it reported."""
    judge = Judge(stop_at)
    assignment = Assignment(number=0, attempt=1, config={})
    return TrialRun(assignment, objective, MetricRules(make_goals(metric)), judge)(), judge.reports
