"""Facts in words: what a study did last, one sentence for each fact."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from raytune_hpo.display.text import cut, number
from raytune_hpo.facts import (
    Approved,
    BaselineSet,
    Drifted,
    Enqueued,
    Fact,
    Finished,
    Frozen,
    Paused,
    Recalled,
    Reported,
    Requeued,
    Saved,
    SessionOpened,
    Started,
    Status,
    StopAsked,
    StudyCreated,
    StudyExtended,
    StudyStopped,
    Thawed,
    Verdict,
    Withdrawn,
)
from raytune_hpo.goals import Goal
from raytune_hpo.service.leases import worker_of

SHOWN = 6
_LONG = 120


def worker_name(worker: str | None) -> str:
    """A worker's own name, without the lease that its name in the journal includes."""
    name = worker or ""
    return worker_of(name) or name


def mark_of(state: str) -> str:
    """The mark of a study's state in words."""
    return {"running": "running", "running or interrupted": "waiting"}.get(state, "finished")


def front_in_words(num: int) -> str:
    return f"front of {num:,}"


def goals_in_words(goals: Sequence[Goal]) -> str:
    """What a study looks for: ``minimises loss, maximises accuracy past 0.9``."""
    words = [f"{'minimises' if goal.lower_is_better else 'maximises'} {goal.metric}" for goal in goals]
    bounds = ["" if goal.threshold is None else f" past {number(goal.threshold)}" for goal in goals]
    return ", ".join(map("".join, zip(words, bounds, strict=True)))


def last_facts(facts: Iterable[tuple[int, Fact]], goals: Sequence[Goal]) -> list[dict[str, Any]]:
    """The newest facts that matter to people, the newest first."""
    found: list[dict[str, Any]] = []
    for _, fact in facts:
        sentence, why = _sentence(fact, goals)
        if sentence:
            found.append({"at": fact.at, "said": sentence, "why": cut(why, _LONG)})
    return found[: -SHOWN - 1 : -1]


def _sentence(fact: Fact, goals: Sequence[Goal]) -> tuple[str, str]:
    """A sentence for a fact, and the reason; empty for facts that are not shown."""
    if isinstance(fact, Started):
        again = f" again, attempt {fact.attempt}," if fact.attempt > 1 else ""
        return f"Trial {fact.number} began{again} on {worker_name(fact.worker)}.", ""
    if isinstance(fact, Finished):
        return _ended(fact, goals)
    if isinstance(fact, Requeued):
        return (
            f"Trial {fact.number} was interrupted and will run again.",
            f"{fact.reason[:1].upper()}{fact.reason[1:]}.",
        )
    if isinstance(fact, Reported):
        stopped = fact.verdict is Verdict.STOP
        return (f"Trial {fact.number} was stopped early at step {fact.step}.", "") if stopped else ("", "")
    if isinstance(fact, (Paused, Saved)):
        word = "paused" if isinstance(fact, Paused) else "saved a checkpoint"
        return f"Trial {fact.number} {word} at step {fact.step}.", ""
    return _of_study(fact)


def _ended(fact: Finished, goals: Sequence[Goal]) -> tuple[str, str]:
    named = [(goal.metric, fact.metrics.get(goal.metric)) for goal in goals]
    values = [(metric, number(value)) for metric, value in named if isinstance(value, (int, float))]
    if fact.status is Status.FAILED:
        return f"Trial {fact.number} failed.", fact.reason or ""
    shown = ", ".join(value if len(goals) == 1 else f"{metric} {value}" for metric, value in values)
    shown = f" with {shown}" if shown else ""
    word = "completed" if fact.status is Status.COMPLETED else "was stopped early"
    return f"Trial {fact.number} {word}{shown}.", ""


def _of_study(fact: Fact) -> tuple[str, str]:
    if isinstance(fact, StudyCreated):
        return "The study was created.", ""
    if isinstance(fact, Recalled):
        return f"It learned from study {fact.source}.", f"{len(fact.rows)} trials"
    if isinstance(fact, SessionOpened):
        return "A session began.", ""
    if isinstance(fact, StudyExtended):
        limits = ", ".join(f"{key} {value}" for key, value in fact.limits.items() if value is not None)
        return "The limits were changed.", limits
    if isinstance(fact, Enqueued):
        return "A configuration was enqueued.", ""
    if isinstance(fact, Withdrawn):
        return "A configuration was taken out of the queue.", ""
    if isinstance(fact, StopAsked):
        return f"A user asked to stop trial {fact.number}.", ""
    if isinstance(fact, StudyStopped):
        return "The study ended.", fact.reason
    return _of_running_system(fact)


def _of_running_system(fact: Fact) -> tuple[str, str]:
    if isinstance(fact, BaselineSet):
        return f"{fact.by} set the baseline.", fact.reason
    if isinstance(fact, Approved):
        return f"{fact.by} approved trial {fact.number}.", ""
    if isinstance(fact, Frozen):
        return f"{fact.by} froze the system.", fact.reason
    if isinstance(fact, Thawed):
        return f"{fact.by} thawed the system.", ""
    if isinstance(fact, Drifted):
        return f"The system has drifted, as trial {fact.number} showed.", ""
    return "", ""
