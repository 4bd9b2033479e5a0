"""Studies told to loggers by their contract suite: facts as an optimizer records them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raytune_hpo.facts import (
    Annotated,
    Drawn,
    Enqueued,
    Fact,
    Finished,
    Paused,
    Printed,
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
    Verdict,
)
from raytune_hpo.goals import make_goals
from raytune_hpo.space import Space, choice, uniform
from raytune_hpo.space.growing import domain_form, empty_space
from raytune_hpo.spec import Limits, Part, StudySpec

AT = 1_763_700_000.25
# By number and attempt, those of ``story``; what resumes a paused trial may be recorded as part of what it resumes.
ATTEMPTS = {(0, 1), (1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1)}
RESUMED = {(4, 2)}
_ODD_NAMES = ("rate (%)", "rate [%]", "f1@k", "..", "a/../b", "/root", "Größe 数据", "x" * 300, "x" * 299 + "y")
_ODD_VALUES = (float("nan"), float("inf"), 2**70, None, True, "half\nway", [1, [2.0]], {"a": None}, "x" * 10_000)
_BRANCHES = {
    "model": choice([{"kind": "svm", "C": uniform(0, 1)}, {"kind": "forest", "depth": choice([2, 4])}]),
    "batch": choice([16, 32]),
    "act": choice(["relu", None, True]),
}


def story() -> list[Fact]:
    """Two sessions, in which everything happens that can happen to a trial.

    Trial 0 is completed after two reports. Trial 1 loses its worker, comes back when the first session ends, and is
    completed in the second. Trial 2 fails, 3 is pruned, 4 pauses and is resumed, 5 is completed without a report, and 6 is
    left paused.
    """
    svm, forest = {"kind": "svm", "C": 0.5}, {"kind": "forest", "depth": 2}
    facts: list[Fact] = [
        *_begun("story", Space(_BRANCHES), AT),
        Enqueued(config={"model": svm, "batch": 16, "act": "relu"}, at=AT + 1),
        _started(0, 2, {"model": svm, "batch": 16, "act": "relu"}),
        _started(1, 3, {"model": forest, "batch": 32, "act": None}),
        _started(2, 4, {"model": svm, "batch": 32, "act": True}),
        _reported(0, 1, 5, {"loss": 1.0}),
        _reported(1, 1, 6, {"loss": 9.0}),
        Annotated(number=0, name="owner", value="ann", at=AT + 6.5),
        _reported(0, 2, 7, {"loss": 0.5, "note": "half way"}),
        Printed(number=0, attempt=1, text="epoch 2\n", at=AT + 8),
        Finished(number=0, attempt=1, status=Status.COMPLETED, at=AT + 8, metrics={"loss": 0.25, "size": 3}),
        Requeued(number=1, attempt=1, reason="its worker died", spent=True, at=AT + 9),
        _started(1, 10, None, attempt=2),
        _reported(1, 1, 11, {"loss": 8.0}, attempt=2),
        Finished(
            number=2, attempt=1, status=Status.FAILED, at=AT + 12, error="Traceback ...\nValueError: batch too big"
        ),
        _started(3, 13, {"model": forest, "batch": 16, "act": "relu"}),
        StopAsked(number=3, at=AT + 14),
        _reported(3, 1, 15, {"loss": 5.0}, verdict=Verdict.STOP),
        Finished(number=3, attempt=1, status=Status.PRUNED, at=AT + 16, metrics={"loss": 5.0}),
        _started(4, 17, {"model": svm, "batch": 16, "act": None}),
        _reported(4, 1, 18, {"loss": 0.7}, verdict=Verdict.PAUSE, saves=True),
        Saved(number=4, attempt=1, step=1, checkpoint={"name": "c", "place": "/c", "size_bytes": 1}, at=AT + 19),
        Paused(number=4, attempt=1, step=1, at=AT + 19),
        Requeued(number=1, attempt=2, reason="study stopped: interrupted", spent=False, at=AT + 20),
        StudyStopped(reason="interrupted", at=AT + 20),
        SessionOpened(at=AT + 100),
        StudyExtended(limits=Limits(num_trials=7).to_json(), at=AT + 100),
        _started(1, 101, None, attempt=3),
        _started(4, 102, None, attempt=2, from_trial=4, from_step=1),
        _reported(1, 1, 103, {"loss": 0.125}, attempt=3),
        Finished(number=1, attempt=3, status=Status.COMPLETED, at=AT + 104, metrics={"loss": 0.125}),
        _reported(4, 2, 105, {"loss": 0.6}, attempt=2),
        Finished(number=4, attempt=2, status=Status.COMPLETED, at=AT + 106, metrics={"loss": 0.6}),
        _started(5, 107, {"model": forest, "batch": 32, "act": "relu"}),
        Annotated(number=None, name="owner", value="ann", at=AT + 108),
        Finished(number=5, attempt=1, status=Status.COMPLETED, at=AT + 109, metrics={"loss": 0.75}),
        _started(6, 110, {"model": svm, "batch": 32, "act": None}),
        _reported(6, 1, 111, {"loss": 0.9}, verdict=Verdict.PAUSE),
        Paused(number=6, attempt=1, step=1, at=AT + 112),
    ]
    return [*facts, StudyStopped(reason="num_trials", at=AT + 113)]


def short_story(name: str, created_at: float = AT) -> list[Fact]:
    """A study of one trial."""
    return [
        *_begun(name, Space({"lr": uniform(0, 1)}), created_at),
        _started(0, 2, {"lr": 0.5}),
        Finished(number=0, attempt=1, status=Status.COMPLETED, at=AT + 3, metrics={"loss": 1.0}),
        StudyStopped(reason="num_trials", at=AT + 4),
    ]


def odd_story() -> list[Fact]:
    """Two trials with names that others refuse or take for the same, and values that are no numbers."""
    space = Space({name.replace("/", "|"): choice([name, None, (1, 2)]) for name in _ODD_NAMES})
    facts = _begun("odd", space, AT)
    for number in range(2):
        config = {name.replace("/", "|"): name if number else None for name in _ODD_NAMES}
        values = {
            f"{name}{place}": value for place, (name, value) in enumerate(zip(_ODD_NAMES, _ODD_VALUES, strict=True))
        }
        numbers = {name: float(place) for place, name in enumerate(_ODD_NAMES)}
        facts += [
            _started(number, 2, dict(space.pack(config))),
            _reported(number, 1, 3, {"loss": 1.0, **numbers, **values}),
            Finished(number=number, attempt=1, status=Status.COMPLETED, at=AT + 4, metrics={"loss": 1.0, **values}),
        ]
    return [*facts, StudyStopped(reason="num_trials", at=AT + 5)]


def growing_story() -> list[Fact]:
    """A study whose objective asks for its parameters: one at once, another after a report, and in the second trial none."""
    return [
        *_begun("growing", empty_space(), AT, grows=True),
        _started(0, 2, {}),
        Drawn(number=0, attempt=1, name="x", domain=domain_form(uniform(0, 1)), value=0.5, at=AT + 3),
        _reported(0, 1, 4, {"loss": 1.0}),
        Drawn(number=0, attempt=1, name="n", domain=domain_form(choice([1, 2])), value=2, at=AT + 5),
        Finished(number=0, attempt=1, status=Status.COMPLETED, at=AT + 6, metrics={"loss": 0.5}, asked=["x", "n"]),
        _started(1, 7, {"x": 0.25, "n": 1}),
        Finished(number=1, attempt=1, status=Status.FAILED, at=AT + 8, error="ValueError: no luck", asked=[]),
        StudyStopped(reason="num_trials", at=AT + 9),
    ]


def _begun(name: str, space: Space, at: float, *, grows: bool = False) -> list[Fact]:
    random = Part(name="random")
    spec = StudySpec(name=name, space=space, goals=make_goals("loss"), sampler=random, grows=grows)
    return [StudyCreated(spec=spec.to_json(), at=at), SessionOpened(at=at)]


def _started(number: int, after_s: float, config: Mapping[str, Any] | None, **said: Any) -> Started:
    return Started(number=number, worker=f"w-{number}", at=AT + after_s, config=config, basis=2, **said)


def _reported(
    number: int,
    step: int,
    after_s: float,
    metrics: Mapping[str, Any],
    *,
    attempt: int = 1,
    verdict: Verdict = Verdict.CONTINUE,
    saves: bool = False,
) -> Reported:
    at = AT + after_s
    return Reported(number=number, attempt=attempt, step=step, metrics=metrics, verdict=verdict, at=at, saves=saves)
