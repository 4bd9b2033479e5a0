"""A short study for checks of journals: its facts have values that are hard to store."""

from __future__ import annotations

from raytune_hpo.facts import (
    Approved,
    BaselineSet,
    Drifted,
    Enqueued,
    Fact,
    Finished,
    Frozen,
    Printed,
    Reported,
    Requeued,
    SessionOpened,
    Started,
    Status,
    StopAsked,
    StudyCreated,
    StudyStopped,
    Thawed,
    Verdict,
    Withdrawn,
)

AT = 1_763_700_000.25


def journal_facts(num_trials: int = 3) -> list[Fact]:
    """The facts of a short study, with values that are hard to store."""
    odd = {"text": "a\u0000b\ud800", "nan": float("nan"), "inf": [float("-inf")], "big": 2**70, "tiny": 5e-324}
    facts: list[Fact] = [
        StudyCreated(spec={"name": "mnist", "space": {"lr": [0.1, float("inf")]}}, at=AT),
        SessionOpened(at=AT, versions={"numpy": "2.2.1"}),
        Enqueued(config=odd, at=AT),
        Enqueued(config={"lr": {"$float": "nan"}}, at=AT, retry_of=0),
        Withdrawn(position=0, at=AT),
    ]
    for number in range(num_trials):
        common = {"number": number, "attempt": 1, "at": AT + number}
        facts += [
            started(number),
            Reported(**common, step=3_000_000_000, metrics={"loss": 0.1 + number}, verdict=Verdict.CONTINUE),  # type: ignore[arg-type]
            Printed(**common, text="époque 1\n\x1b[0m\u2028"),  # type: ignore[arg-type]
            Requeued(**common, reason="its worker died", spent=number % 2 == 0, suspect=True),  # type: ignore[arg-type]
            Started(number=number, worker="w-2", at=AT, attempt=2, from_step=3_000_000_000),
            StopAsked(number=number, at=AT),
            Finished(number=number, attempt=2, status=Status.COMPLETED, at=AT, metrics={"loss": 1 / 3, "ok": True}),
        ]
    facts += [
        BaselineSet(config=odd, by="ops", at=AT),
        Approved(number=0, by="ops", at=AT),
        Frozen(by="controller", reason="the regret budget is spent", at=AT),
        Thawed(by="ops", at=AT),
        Drifted(number=0, statistic=float("inf"), threshold=5.7, at=AT),
    ]
    return [*facts, StudyStopped(reason="num_trials", at=AT)]


def started(number: int) -> Started:
    """The beginning of a trial."""
    return Started(number=number, worker="w", at=AT, config={"lr": 0.1 + number, "n": [1, 2.0]}, basis=number)
