"""Search for the best configuration of a command: the study, the repeats at its end, and the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from raytune_hpo.api.run import Run
from raytune_hpo.api.tuner import Tuner
from raytune_hpo.commands.aggregating import WAYS, OverInputs
from raytune_hpo.commands.answering import Answer, Preference, answer_of, tied
from raytune_hpo.commands.command import Command
from raytune_hpo.commands.launching import end_all
from raytune_hpo.commands.runoff import Runoff, most_runs
from raytune_hpo.confirming import Confirmation, confirm
from raytune_hpo.confirming.choosing import Chosen, chosen
from raytune_hpo.display.text import cut
from raytune_hpo.facts import Fact, Finished, Status
from raytune_hpo.results import Results
from raytune_hpo.runtime.instances import checked_instances
from raytune_hpo.runtime.settings import one_of
from raytune_hpo.trial import Trial

ALIKE = 3  # first trials that fail alike end a search
TOP = 3  # configurations that are repeated at the end


class AlikeFailures:
    """A callback that stops a study whose first trials all fail in the same way: the others would too."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._reasons: list[str] | None = []

    def __call__(self, fact: Fact) -> None:
        if self._reasons is None or not isinstance(fact, Finished):
            return
        if fact.status is not Status.FAILED:
            self._reasons = None
            return
        self._reasons.append(fact.reason or "")
        if len(self._reasons) >= ALIKE:
            if len({re.sub(r"[\d.]+", "#", reason) for reason in self._reasons}) == 1:
                self._run.stop(f"the first {ALIKE} trials failed alike: {cut(self._reasons[0], 200)}")
            self._reasons = None


def search(
    command: Command,
    space: Any,
    *,
    baseline: Mapping[str, Any] | None = None,
    repeats: int = 5,
    preference: Preference | None = None,
    inputs: Sequence[Any] | int | None = None,
    over: str = "mean",
    on_results: Callable[[Results], object] = lambda results: None,
    progress: bool = True,
    **settings: Any,
) -> Answer:
    """Search for the best configuration of a command.

    Args:
        baseline: a configuration that is tried first, and with which the best one is compared.
        repeats: how often the best one is run again at the end, in rounds with the baseline and with all that may still be
            the best; with 0, the best value may be due to luck.
        inputs: the inputs on which the command is measured, each of them a step.
        over: how metrics are aggregated over the inputs: see ``OverInputs``.
        on_results: called with the results of the search before anything is repeated.
        settings: further keywords of Tuner.

    Raises:
        NoCompletedTrial: no trial has completed.
        SpecError, SpaceError: an argument breaks a rule; the message has the rule, the value, and the way out.
    """
    listed = checked_instances(inputs) or []
    is_plain = one_of("over", over, WAYS) == "mean" and all(getattr(one, "weight", 1.0) == 1.0 for one in listed)
    objective = command if is_plain or not listed else OverInputs(command, listed, over)
    points = () if baseline is None else (baseline,)
    instances = inputs if is_plain else None
    tuner = Tuner(objective, space, instances=instances, points_to_evaluate=points, progress=progress, **settings)
    if preference is not None:
        preference.check(tuner.plan.spec.space)
    try:
        results = tuner.fit(watched_by=AlikeFailures)
    finally:
        end_all()  # programs of trials that Ctrl-C has left running
    on_results(results)
    tried = [] if baseline is None else _trials_of(results, baseline)
    number = next((trial.number for trial in tried if trial.is_feasible), None)
    preferred = None if preference is None or len(results.goals) > 1 else tied(results, preference)
    confirmation: Confirmation | None = None
    if repeats and len(results.goals) == 1 and not _was_interrupted(results):
        also = [n for n in (number, None if preferred is None else preferred.number) if n is not None]
        once = OverInputs(command.once(), listed, over) if listed else command.once()
        kept = [] if number is None else [number]
        rounds = _runoff(chosen(results, TOP, also), results, repeats, kept) if preference is None else {}
        confirmation = confirm(results, TOP, repeats, once, also=also, progress=progress, **rounds)
    answer = answer_of(command, results, confirmation, baseline=number, preference=preference, inputs=listed)
    if baseline is None or number is not None:
        return answer
    return replace(answer, notes=[*answer.notes, f"nothing is compared with the baseline: {_why_unfit(tried)}"])


def _runoff(candidates: Sequence[Chosen], results: Results, repeats: int, kept: Sequence[int]) -> dict[str, Any]:
    """The settings of repeats in rounds. A preference needs equal numbers instead: it asks which are as good as the best."""
    searched = {
        one.number: (
            results.goals[0].value(one.losses[0]),
            sum(int(trial.metrics.get("runs", 1)) for trial in one.trials),
        )
        for one in candidates
    }
    first = [one.number for one in candidates if {trial.number for trial in one.trials} & set(kept)]
    sampler = Runoff(searched=searched, repeats=repeats, kept=first)
    return {"sampler": sampler, "num_trials": most_runs(repeats, len(candidates))}


def _trials_of(results: Results, config: Mapping[str, Any]) -> list[Trial]:
    wanted = dict(results.spec.space.complete(config))
    return [trial for trial in results if dict(trial.config) == wanted]


def _why_unfit(tried: Sequence[Trial]) -> str:
    """Why a configuration has no value, by the trials of it."""
    if not tried:
        return "it was not tried"
    trial = tried[-1]
    if trial.violations:
        return f"trial {trial.number} breaks the constraint on {' and '.join(trial.violations)}"
    return f"trial {trial.number} {trial.status}" + (f": {cut(trial.reason, 200)}" if trial.reason else "")


def _was_interrupted(results: Results) -> bool:
    return bool(results.num_by_status.get(Status.RUNNING) or results.num_by_status.get(Status.WAITING))
