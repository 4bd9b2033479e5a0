"""The contract of samplers: rules that every sampler must keep, in every kind of space."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.protocols import Sampler, Signal, Suggestion
from raytune_hpo.registry import check_part
from raytune_hpo.rng import derive
from raytune_hpo.space import Choice, Float, Int, Normal, Ordinal, Space
from raytune_hpo.testing.cases import case
from raytune_hpo.testing.trials import (
    BOUNDED,
    GOALS,
    SEED,
    TWO_GOALS,
    UPWARDS,
    Loop,
    bowl,
    check_documented,
    check_same_options,
    finish,
    report,
    start,
)
from raytune_hpo.trial import Trial

SamplerMaker: TypeAlias = Callable[[], Sampler]
_LONG = 24  # trials in a history: enough for samplers that begin at random to use their model


def spaces() -> dict[str, Space]:
    """Spaces of every kind that a sampler may meet."""
    svm, tree = (
        {"kind": "svm", "C": Float(1e-3, 1e3, log=True)},
        {"kind": "tree", "split": Float(0, 1), "deep": Int(1, 9)},
    )
    return {
        "flat": Space({"x": Float(-5, 5), "n": Int(1, 20), "act": Choice(["relu", "tanh"]), "z": Normal(1.0, 2.0)}),
        "scales": Space(
            {
                "lr": Float(1e-5, 1e-1, log=True),
                "drop": Float(0, 0.5, step=0.1),
                "width": Int(8, 1024, log=True),
                "batch": Ordinal([16, 32, 64]),
            }
        ),
        "conditional": Space({"model": Choice([svm, tree]), "scale": Float(0, 1)}),
        "weighted": Space({"c": Choice(["a", "b", "c"], weights=[1, 2, 5]), "x": Float(0, 1)}),
        "one": Space({"x": Float(0, 1)}),
        "finite": Space({"a": Int(0, 4), "b": Choice(["x", "y", "z"])}),
        "constrained": Space({"x": Float(0, 1), "y": Float(0, 1)}, constraints=[_x_is_below_y]),
        "constant": Space({"k": 3}),
    }


def _x_is_below_y(config: Mapping[str, Any]) -> bool:
    return bool(config["x"] <= config["y"])


def sampler_cases(make: SamplerMaker, *, num_trials: int = 40) -> dict[str, Callable[[], None]]:
    """Every check of a sampler in every space that it accepts, by a name for the pair.

    If a member of the contract is missing, the only case is ``is_a_sampler``, which reports it.

    Args:
        num_trials: the number of trials after which a sampler that learns should be clearly better than random.
    """
    is_a_sampler: dict[str, Callable[[], None]] = {"is_a_sampler": case(check_is_a_sampler, make)}
    try:
        check_is_a_sampler(make)
    except AssertionError:  # the other cases would only fail for the same reason
        return is_a_sampler
    fitting = {name: space for name, space in spaces().items() if _fits(make, space)}
    cases = is_a_sampler | {
        f"{check.__name__.removeprefix('check_')}-{name}": case(check, make, space)
        for check in SAMPLER_CHECKS
        for name, space in fitting.items()
    }
    cases["documented"] = case(check_documented, make)
    traits = make().traits
    if not traits.history_free:
        cases["learns"] = case(check_learns, make, num_trials)
        if traits.multi_goal and not traits.segments:  # those learn from trials that they have divided into segments
            cases["learns_from_all_goals"] = case(check_learns_from_all_goals, make, num_trials)
        if traits.constraints and not traits.segments:
            cases["learns_from_constraints"] = case(check_learns_from_constraints, make, num_trials)
    return cases


def _fits(make: SamplerMaker, space: Space) -> bool:
    try:
        make().bind(space, GOALS, SEED)
    except SpecError:
        return False
    except Exception:  # told by the case that binds it
        return True
    return True


def check_is_a_sampler(make: SamplerMaker) -> None:
    """It has the methods and traits of a sampler, keeps its options as attributes, and ``bind`` returns another."""
    part = make()
    try:
        check_part("sampler", part)
    except SpecError as error:
        raise AssertionError(str(error)) from error
    try:
        bound: object = part.bind(spaces()["one"], GOALS, SEED)
    except SpecError:  # it does not fit every space
        return
    except Exception as error:
        raise AssertionError(f"bind returns a fresh sampler or raises a SpecError, got {error!r}") from error
    assert type(bound) is type(part), f"bind returns a fresh sampler of the same class, got {bound!r}"


def check_bind_is_fresh(make: SamplerMaker, space: Space) -> None:
    """A sampler bound from one that has learned has the same options, and no memory."""
    should_say = Loop.of(make, space).peek()  # before any has learned: what is kept in the class is shared by all
    loop = _taught(make, space)
    check_same_options(make(), loop.sampler)
    again = loop.sampler.bind(space, GOALS, SEED)
    assert type(again) is type(loop.sampler), f"bind returns a sampler of the same class, got {again!r}"
    assert again is not loop.sampler, "bind returns another sampler, not itself"
    check_same_options(loop.sampler, again)
    says = Loop(again, space).peek()
    assert says == should_say, f"what bind returns has learned nothing: it suggests {says}, a new one {should_say}"


def check_inside(make: SamplerMaker, space: Space) -> None:
    """Every suggestion is in the space and meets its constraints; its meta survives JSON."""
    loop = Loop.of(make, space).run(_LONG + 4)
    assert loop.finished, "a sampler suggests something"
    for trial in loop.finished:
        space.check(trial.config)
        assert json.loads(json.dumps(dict(trial.meta))) == trial.meta, f"meta is JSON, got {trial.meta!r}"
    for trial, is_feasible in zip(loop.finished, space.is_feasible([t.config for t in loop.finished]), strict=True):
        assert is_feasible, f"suggestions meet the constraints of the space, {dict(trial.config)} does not"


def check_ask_twice(make: SamplerMaker, space: Space) -> None:
    """The same number, history and pending give the same suggestion, in this sampler and in another one."""
    one, other = _taught(make, space), _taught(make, space)
    first, second, others = one.peek(), one.peek(), other.peek()
    assert first == second, f"asked twice, it says the same; it said {first}, then {second}"
    assert first == others, f"one that learned the same says the same; it said {first}, the other {others}"


def check_ask_changes_nothing(make: SamplerMaker, space: Space) -> None:
    """A sampler that was asked in between learns the same as one that was not, and neither writes into trials."""
    asked, silent = Loop.of(make, space), Loop.of(make, space)
    given = history(space)
    for trial in given:
        asked.peek()
        asked.learn(trial)
        silent.learn(trial)
    says, should_say = asked.peek(), silent.peek()
    assert says == should_say, f"ask changes nothing; after being asked it says {says}, without that {should_say}"
    assert given == history(space), "trials are read, and copied before anything is written into one"


def check_replay(make: SamplerMaker, space: Space) -> None:
    """A fresh sampler that is told what a live one was told continues exactly like the live one."""
    live = Loop.of(make, space).run(_LONG, workers=4)
    replayed = Loop.of(make, space)
    for trial in live.finished:
        replayed.learn(trial)
    says, should_say = replayed.peek(), live.peek()
    assert says == should_say, f"a replay continues as the live one does; it says {says}, the live one {should_say}"


def check_modes(make: SamplerMaker, space: Space) -> None:
    """A metric to be maximised teaches the same as its negative, which is to be minimised."""
    says, should_say = _taught(make, space, goals=UPWARDS).peek(), _taught(make, space).peek()
    assert says == should_say, (
        f"losses are minimised, whatever the mode; with 'max' it says {says}, for the same losses with 'min' {should_say}"
    )


def check_pending(make: SamplerMaker, space: Space) -> None:
    """Eight suggestions at once differ, if the space is large enough."""
    loop = _taught(make, space)
    if not loop.sampler.traits.reads_pending or space.cardinality is not None:
        return
    trials = [loop.ask() for _ in range(8)]
    configs = [json.dumps(trial.config, default=repr) for trial in trials if trial is not None]
    assert len(set(configs)) == len(configs), "pending configurations are not suggested again"


def check_survives(make: SamplerMaker, space: Space) -> None:
    """Whatever a history looks like, the next suggestion is in the space."""
    for name, trials in histories(space).items():
        loop = Loop.of(make, space)
        for trial in trials:
            loop.learn(trial)
        answer = loop.peek()
        assert answer is not Signal.WAIT, f"waits for nothing after a history of {name}"
        if isinstance(answer, Suggestion):
            space.check(answer.config)


def check_several_goals(make: SamplerMaker, space: Space) -> None:
    """A sampler for several goals handles two: in the space, repeatable, and a replay continues like the live one."""
    if make().traits.multi_goal:
        _check_competing(make, space, "two goals", goals=TWO_GOALS)


def check_constraints(make: SamplerMaker, space: Space) -> None:
    """A sampler for outcome constraints handles them with one goal and two, met by some trials or by none."""
    if not make().traits.constraints:
        return
    for goals in (GOALS, TWO_GOALS) if make().traits.multi_goal else (GOALS,):
        _check_competing(make, space, "a constraint", goals=goals, constraints=BOUNDED)
    loop = Loop.of(make, space, constraints=BOUNDED)
    for trial in history(space):
        loop.learn(finish(start(trial.number, trial.config), {"loss": 1.0, "size": 1.0}, constraints=BOUNDED))
    answer = loop.peek()
    if isinstance(answer, Suggestion):
        space.check(answer.config)


def _check_competing(make: SamplerMaker, space: Space, what: str, **study: Any) -> None:
    live, replayed = Loop.of(make, space, **study).run(_LONG, workers=4), Loop.of(make, space, **study)
    assert live.finished, f"a sampler that learns from {what} suggests something"
    for trial in live.finished:
        space.check(trial.config)
        replayed.learn(trial)
    says, again, replay_says = live.peek(), live.peek(), replayed.peek()
    assert says == again, f"with {what}, asked twice, it says the same; it said {says}, then {again}"
    assert says == replay_says, (
        f"with {what}, a replay continues as the live one does; it says {replay_says}, not {says}"
    )
    for status in (Status.FAILED, Status.PRUNED):  # without any report
        loop = Loop.of(make, space, **study)
        for trial in history(space, 12):
            loop.learn(finish(start(trial.number, trial.config), status=status))
        answer = loop.peek()
        assert answer is not Signal.WAIT, f"with {what}, waits for nothing after trials that have {status.value}"


def check_learns(make: SamplerMaker, num_trials: int) -> None:
    """On a smooth function of two parameters, the last third of the suggestions is clearly better than random ones."""
    space = Space({"x": Float(0, 1), "y": Float(0, 1)})
    late, random = [], []
    for seed in range(5):
        loop = Loop.of(make, space, seed=seed).run(num_trials)
        late += [bowl(space, trial.config) for trial in loop.finished[2 * num_trials // 3 :]]
        random += [bowl(space, config) for config in space.sample(num_trials, derive(seed, "baseline"))]
    assert np.mean(late) < 0.6 * np.mean(random), "later suggestions are no better than random: is tell forgotten?"


def check_learns_from_all_goals(make: SamplerMaker, num_trials: int) -> None:
    """A sampler for several goals suggests something else if the second one's values are others."""
    one, other = (_says_of(make, num_trials, sign=sign, goals=TWO_GOALS) for sign in (1, -1))
    assert one != other, "its traits say multi_goal, and it suggests the same whatever the second goal's values are"


def check_learns_from_constraints(make: SamplerMaker, num_trials: int) -> None:
    """A sampler for outcome constraints suggests something else if other trials break them."""
    one, other = (_says_of(make, num_trials, sign=sign, constraints=BOUNDED) for sign in (1, -1))
    assert one != other, "its traits say constraints, and it suggests the same whichever trials break one"


def _says_of(make: SamplerMaker, num_trials: int, *, sign: int, **study: Any) -> list[Mapping[str, Any]]:
    """Suggestions after trials whose size grows with x, or falls if the sign is -1."""
    space = Space({"x": Float(0, 1), "y": Float(0, 1)})
    loop = Loop.of(make, space, **study)
    for trial in history(space, num_trials):
        metrics = {"loss": bowl(space, trial.config), "size": sign * (trial.config["x"] - 0.5)}
        loop.learn(finish(start(trial.number, trial.config), metrics, **study))
    asked = [loop.ask() for _ in range(8)]
    return [trial.config for trial in asked if trial is not None]


SAMPLER_CHECKS: tuple[Callable[[SamplerMaker, Space], None], ...] = (
    check_bind_is_fresh,
    check_inside,
    check_ask_twice,
    check_ask_changes_nothing,
    check_replay,
    check_modes,
    check_pending,
    check_survives,
    check_several_goals,
    check_constraints,
)


def history(space: Space, num: int = _LONG, *, goals: Sequence[Goal] = GOALS) -> list[Trial]:
    """Completed trials of random configurations, with ``bowl`` as the loss of a single goal."""
    configs = space.sample(num, derive(SEED, "history"))
    return [
        finish(start(i, config), {goals[0].metric: goals[0].value(bowl(space, config))}, goals=goals)
        for i, config in enumerate(configs)
    ]


def histories(space: Space) -> dict[str, list[Trial]]:
    """Histories that are difficult for a model, named after the difficulty."""
    usual = history(space)
    running = [start(trial.number, trial.config) for trial in usual]
    reported = [report(trial, 1, float(trial.number)) for trial in running]
    return {
        "nothing": [],
        "a single trial": usual[:1],
        "failures": [finish(trial, status=Status.FAILED) for trial in running],
        "pruned trials": [finish(trial, status=Status.PRUNED) for trial in reported],
        "pruned trials without reports": [finish(trial, status=Status.PRUNED) for trial in running],
        "everything": [
            *usual[: _LONG // 2],
            *[finish(trial, status=Status.FAILED) for trial in reported[_LONG // 2 :: 2]],
            *[finish(trial, status=Status.PRUNED) for trial in reported[_LONG // 2 + 1 :: 2]],
        ],
        "duplicates": [finish(start(i, usual[0].config), {"loss": 1.0}) for i in range(_LONG)],
        "equal losses": [finish(trial, {"loss": 0.0}) for trial in running],
        "extreme losses": [finish(trial, {"loss": (-1) ** trial.number * 1e300}) for trial in running],
    }


def _taught(make: SamplerMaker, space: Space, goals: Sequence[Goal] = GOALS) -> Loop:
    loop = Loop.of(make, space, goals=goals)
    for trial in history(space, goals=goals):
        loop.learn(trial)
    return loop
