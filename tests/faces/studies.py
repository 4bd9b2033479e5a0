"""Small studies for the tests of what shows them."""

from __future__ import annotations

from raytune_hpo.facts import Finished, Reported, Started, Status, Verdict
from raytune_hpo.results import Results
from raytune_hpo.trial import evolve
from tests.support import make_plan

NASTY = "</script><script>alert(1)</script><b>&'\""


def results_of(*trials, **settings):
    """Results of the trials that ``trial(number)`` functions make for the study's goals."""
    spec = make_plan(**settings).spec
    return Results(spec, [make(number, spec.goals) for number, make in enumerate(trials)])


def done(metrics, config=None, *, steps=0, status=Status.COMPLETED, error=None, duration_s=2.0, arm=None):
    """A trial that reported its metrics at each step, and then ended; an arm of a portfolio has suggested it."""
    metrics = metrics if isinstance(metrics, dict) or metrics is None else {"loss": metrics}

    def make(number, goals):
        at = 1000.0 + number
        config_ = {"x": 0.5, "n": number % 10} if config is None else config
        meta = {} if arm is None else {"arm": arm}
        trial = evolve(None, Started(number=number, worker="w", at=at, config=config_, basis=0, meta=meta), goals)
        for step in range(1, steps + 1):
            stop = status is Status.PRUNED and step == steps
            verdict = Verdict.STOP if stop else Verdict.CONTINUE
            fact = Reported(number=number, attempt=1, step=step, metrics=metrics, verdict=verdict, at=at + step)
            trial = evolve(trial, fact, goals)
        end = Finished(
            number=number,
            attempt=1,
            status=status,
            at=at + steps + 1,
            metrics=metrics if status is Status.COMPLETED else {},
            error=error,
            duration_s=duration_s,
        )
        return evolve(trial, end, goals)

    return make


def failed(error="ValueError: boom"):
    return done(None, status=Status.FAILED, error=f"Traceback (most recent call last):\n  ...\n{error}")


def pruned(loss, steps=3):
    return done(loss, steps=steps, status=Status.PRUNED, duration_s=1.0)


def running(config=None):
    def make(number, goals):
        config_ = {"x": 0.5, "n": 1} if config is None else config
        return evolve(None, Started(number=number, worker="w", at=1000.0, config=config_, basis=0), goals)

    return make
