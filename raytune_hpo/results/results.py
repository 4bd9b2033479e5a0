"""The results of a study: an immutable view of its trials."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from io import StringIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from raytune_hpo.analysis.best import (
    best_so_far,
    best_trial,
    best_trials,
    feasible,
    num_by_arm,
    num_reporting,
    past_thresholds,
)
from raytune_hpo.analysis.columns import as_data, columns_of, csv_cell
from raytune_hpo.analysis.failures import reason_of_failure
from raytune_hpo.analysis.fronts import FRONT, front_ranks, hypervolume_of, reference_point
from raytune_hpo.analysis.importance import importances, interactions
from raytune_hpo.analysis.lineage import lineage_of
from raytune_hpo.analysis.repeats import Noise, noise_among
from raytune_hpo.analysis.savings import Savings, early_stopping_savings
from raytune_hpo.analysis.series import Floats, MetricSeries, feasible_first, goal_named
from raytune_hpo.analysis.stagnation import has_stagnated
from raytune_hpo.analysis.trial_arrays import TrialArrays
from raytune_hpo.analysis.tried import Tried, tried_in
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.display.foreign_words import RESULTS, no_attribute, public_names
from raytune_hpo.display.text import counted, counts_line, number, reporting_text
from raytune_hpo.errors import NoCompletedTrial, SpecError
from raytune_hpo.facts import Status
from raytune_hpo.files import write_whole
from raytune_hpo.goals import Goal
from raytune_hpo.results import summary
from raytune_hpo.results.recommending import recommended
from raytune_hpo.results.records import summary_record, trial_record
from raytune_hpo.rng import derive
from raytune_hpo.space.fields import fields_of
from raytune_hpo.space.values import fresh
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

    from raytune_hpo.confirming import Confirmation
    from raytune_hpo.plots import Plots
    from raytune_hpo.runtime.plan import RunPlan


class Results(Sequence[Trial]):
    """The results of a study: its trials by number, the best of them, analyses, figures and exports.

    Args:
        spec: the study's spec, whose goals define what is best.
        trials: the trials as they were when the results were taken.
        plan: the plan by which they were run, if this process has it; ``confirm`` runs repeats by the same plan.
        storage: where they are stored, if there is no plan that says so.
    """

    def __init__(
        self, spec: StudySpec, trials: Sequence[Trial], plan: RunPlan | None = None, storage: Any = None
    ) -> None:
        self._spec, self._trials = spec, tuple(trials)
        self._plan, self._storage = plan, storage
        self._arrays = TrialArrays(self._trials)

    @classmethod
    def from_ledger(cls, ledger: Ledger, plan: RunPlan | None = None, storage: Any = None) -> Results:
        """The results of a fold of facts."""
        return cls(ledger.spec, ledger.trials, plan, storage)

    def __reduce__(self) -> tuple[Any, ...]:  # the plan's objective may not be picklable, and means little elsewhere
        return Results, (self._spec, self._trials)

    def __getattr__(self, name: str) -> Any:
        if name not in (known := public_names(type(self))):
            raise no_attribute("Results", name, RESULTS, known)
        return object.__getattribute__(self, name)  # the error of a property that failed

    # -------------------------------------------------------------------------------------------- trials

    @property
    def spec(self) -> StudySpec:
        """The study's settings as the journal has them: ``spec.space``, ``spec.seed``, ``spec.limits`` ..."""
        return self._spec

    @property
    def name(self) -> str:
        """The study's name."""
        return self._spec.name

    @property
    def plan(self) -> RunPlan | None:
        """The plan by which the study was run; None if this process does not have it."""
        return self._plan

    @property
    def storage(self) -> Any:
        """Where the study is stored, as for ``Tuner``; None for the default, or if it is not known here."""
        return self._storage if self._plan is None else self._plan.settings.storage

    @property
    def goals(self) -> tuple[Goal, ...]:
        """The metrics that the study optimises, with their directions."""
        return self._spec.goals

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials by number, unfinished ones included."""
        return self._trials

    @property
    def arrays(self) -> TrialArrays:
        """The trials as cached arrays, for figures and importances."""
        return self._arrays

    def after(self, ledger: Ledger, changed: Collection[int]) -> Results:
        """The results of a newer state of the fold, which reuse cached values of unchanged trials.

        Args:
            changed: the numbers of changed and new trials.
        """
        grown = Results.from_ledger(ledger, self._plan, self._storage)
        grown._arrays = self._arrays.after(grown._trials, changed)
        return grown

    def __len__(self) -> int:
        return len(self._trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials)

    @overload
    def __getitem__(self, index: int) -> Trial: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Trial, ...]: ...
    def __getitem__(self, index: int | slice) -> Trial | tuple[Trial, ...]:
        return self._trials[index]

    @cached_property
    def num_by_status(self) -> dict[str, int]:
        """The number of trials of each status, zeros included."""
        counts = dict.fromkeys((status.value for status in Status), 0)
        for trial in self._trials:
            counts[trial.status.value] += 1
        return counts

    @cached_property
    def arms(self) -> dict[str, int]:
        """The number of trials that each arm of a portfolio has suggested; empty if the sampler has no arms."""
        return num_by_arm(self.arrays)

    @cached_property
    def savings(self) -> Savings:
        """The savings from early stopping and pausing: the number of trials, and an estimate of the worker time saved."""
        return early_stopping_savings(self._trials)

    @cached_property
    def tried(self) -> Tried:
        """The tried values of each parameter that can vary, as columns of numbers."""
        return tried_in(self._spec.space, self.arrays)

    def importances(
        self,
        metric: str | None = None,
        *,
        method: str = "ped_anova",
        quantile: float = 0.1,
        region: float = 1.0,
    ) -> dict[str, float]:
        """The importance of each parameter for a metric, by default the first one; the most important ones come first.

        ``"front"`` stands for all goals at once: what distinguishes the trials of the first Pareto fronts from the others. A
        metric that is not a goal is minimised, or maximised if an outcome constraint bounds it from below only.

        Completed trials count, and pruned and paused ones with their last report. A conditional parameter is judged
        among the trials in which it is active: its share is a share of their differences only. A parameter that is
        active in fewer than 8 trials with a value is left out.

        Args:
            method: ``"ped_anova"``: what distinguishes the best trials from the others, of which those that break an
                outcome constraint are the worst; shares add up to 1 among all trials, and within each branch.
                ``"fanova"``: the share of the variance that a parameter explains by itself.
            quantile: for PED-ANOVA, the share of trials that counts as the best.
            region: for PED-ANOVA, the share of trials that is used, the best ones; below 1, the result is the importance
                for improving further.

        Raises:
            SpecError: there is no such metric or method, or the quantiles are not valid.
        """
        losses, rng = self._losses(metric), derive(self._spec.seed, "importances")
        ranks = feasible_first(losses, self.arrays)
        found = importances(self.tried, losses, rng, method=method, quantile=quantile, region=region, ranks=ranks)
        return {importance.name: importance.share for importance in found}

    def interactions(self, metric: str | None = None) -> dict[tuple[str, str], float]:
        """The interactions of pairs of parameters: the share of the variance they explain beyond each alone, by fANOVA.

        Pairs of the eight most important parameters are examined, both among all trials and within each branch.

        Raises:
            SpecError: there is no such metric.
        """
        found = interactions(self.tried, self._losses(metric), derive(self._spec.seed, "importances"))
        return {(i.name, i.pair): i.share for i in found if i.pair is not None}

    # -------------------------------------------------------------------------------------------- the best

    @property
    def best_trial(self) -> Trial:
        """The completed trial that is best in the first metric among those that meet all outcome constraints and, with
        several metrics, are on the front; of equals, the first by number.

        Raises:
            NoCompletedTrial: there is none; the message has the counts by status, the first error, and where to find the
                reports of trials without a result.
        """
        best = self._best
        if best is None:
            what = "a trial that keeps the outcome constraints" if self.spec.constraints else "a completed trial"
            text = f"the best needs {what}, study {self.name!r} has {counts_line(self.num_by_status)}"
            failed = next((trial for trial in self._trials if trial.error is not None), None)
            if failed is not None:
                text += f"; trial {failed.number} failed with: {reason_of_failure(failed)}"
            if broken := summary.violations_text(self):
                text += f"; {broken}"
            if reporting := num_reporting(self._trials):
                text += f"; {reporting_text(reporting)}"
            raise NoCompletedTrial(text)
        return best

    @cached_property
    def best_so_far(self) -> Trial | None:
        """The best trial so far, unfinished ones included: the one with the lowest loss at the highest step reached.

        Completed trials count with their result, stopped and unfinished ones with their last report. None if there is
        neither. The metrics of an unfinished trial are those of its last report, and its result may turn out worse.
        """
        return best_so_far(self._trials)

    @property
    def best_config(self) -> Mapping[str, Any]:
        """The configuration of ``best_trial``; a copy, which may be changed."""
        config: Mapping[str, Any] = fresh(self.best_trial.config)
        return config

    @property
    def best_value(self) -> float:
        """The first metric of ``best_trial``, in its own units."""
        value: float = self.best_trial.metrics[self.goals[0].metric]
        return value

    @cached_property
    def recommended(self) -> Trial:
        """The completed trial whose value is best according to a model of all results.

        Under noise, ``best_trial`` is partly the luckiest trial, and its value will not be reached again. Here a Gaussian
        process separates noise from signal; without noise both usually agree. The trial meets all outcome constraints.

        Raises:
            NoCompletedTrial: as ``best_trial`` does.
            SpecError: there are several goals, whose front is ``best_trials``.
        """
        if len(self.goals) > 1:
            raise SpecError(
                f"recommended is for one metric, the study has {[goal.metric for goal in self.goals]}; see best_trials"
            )
        return recommended(self._spec, self._trials, self.feasible or (self.best_trial,))

    @property
    def recommended_config(self) -> Mapping[str, Any]:
        """The configuration of ``recommended``; a copy, which may be changed."""
        config: Mapping[str, Any] = fresh(self.recommended.config)
        return config

    @cached_property
    def best_trials(self) -> tuple[Trial, ...]:
        """The Pareto front: feasible trials that no other trial dominates; with one metric, all trials of its best value.

        Outcome constraints make trials infeasible, thresholds do not: see ``best_past_thresholds``.
        """
        return tuple(best_trials(self._trials))

    @cached_property
    def feasible(self) -> tuple[Trial, ...]:
        """The completed trials that meet all outcome constraints."""
        return tuple(feasible(self._trials))

    @cached_property
    def best_past_thresholds(self) -> tuple[Trial, ...]:
        """The trials of ``best_trials`` that reach the thresholds of all goals; without thresholds, all of them."""
        return tuple(past_thresholds(self.best_trials, self.goals))

    def hypervolume(self, reference: Mapping[str, float] | Sequence[float] | None = None) -> float:
        """The hypervolume: the volume of the metric space that the front dominates, in the product of the metrics' units.
        Larger is better; it is infinite where the product is beyond the range of floats.

        Args:
            reference: the reference point, by metric or in the order of the goals; worse values do not count. By default,
                and for metrics that it leaves out, it is the goal's threshold or, without one, a tenth of the front's
                extent beyond the front's worst value; in a study of one metric, the worst value of its feasible trials.
                To compare studies, give all of them the same point.

        Raises:
            SpecError: ``reference`` names something that is not a goal, or has another length.
        """
        return hypervolume_of(self._trials, reference_point(self._trials, self.goals, reference))

    @cached_property
    def stagnation(self) -> bool:
        """Whether the newest 5 d finished trials have brought no progress, by SigOpt's rule; d is the number of parameters.

        With one metric: the fifth best of the earlier trials is at least as good as the best of the newest; with several,
        none of the newest is on the front, but for equals of earlier ones. Failed and infeasible trials count as worst.
        Before 5 d + 5 trials it is False. The setting ``stagnation=True`` ends a study when this becomes True.
        """
        finished = [trial for trial in self._trials if trial.status.is_finished]
        finished.sort(key=lambda trial: trial.finished_at or 0.0)
        return has_stagnated(finished, self._spec.space.num_columns)

    @cached_property
    def _best(self) -> Trial | None:
        return best_trial(self._trials)

    def _losses(self, metric: str | None) -> Floats:
        if metric == FRONT and len(self.goals) > 1:
            return front_ranks(self._trials, self.goals)
        return MetricSeries(goal_named(metric, self._spec, self._trials), self.arrays).losses

    # -------------------------------------------------------------------------------------------- noise

    @cached_property
    def noise(self) -> Noise | None:
        """The noise of the first metric, from trials of the same configuration; None if none was repeated."""
        return noise_among(self._trials, self.goals[0].metric)

    def confirm(
        self,
        top: int = 5,
        repeats: int = 10,
        *,
        also: Sequence[int] = (),
        objective: Callable[..., Any] | None = None,
        seed: int | None = None,
        name: str | None = None,
        storage: Any = None,
        runtime: str | None = None,
        max_concurrent: int | None = None,
        resources: Mapping[str, float] | Sequence[Mapping[str, float]] | None = None,
        progress: bool = True,
    ) -> Confirmation:
        """Run the best configurations again, to estimate their true values and how optimistic the search was.

        The repeats form a separate study: it is journaled and parallel, the same call continues it, and a larger
        ``repeats`` extends it. An objective that takes ``seed`` (or ``repeat``) as a keyword gets a fresh one each time.

        Args:
            top: the number of configurations; trials of the same one count once. With several goals, points of the front.
            repeats: the number of repeats of each.
            also: numbers of further trials to repeat as well, such as that of a baseline.
            objective: by default the search's own, which loaded results do not have.
            seed: the seed from which those of the repeats derive; by default it derives from the search's.
            name: the name of the study of repeats, by default ``NAME-confirm``.
            storage, runtime, max_concurrent, resources: by default those of the search, as far as they are known here.
            progress: whether to show progress.

        Raises:
            NoCompletedTrial: there is nothing to confirm, or no repeat completed.
            SpecError: there is no objective, or a setting is wrong.
        """
        from raytune_hpo.confirming import confirm

        return confirm(
            self,
            top,
            repeats,
            also=also,
            objective=objective,
            seed=seed,
            name=name,
            storage=storage,
            runtime=runtime,
            max_concurrent=max_concurrent,
            resources=resources,
            progress=progress,
        )

    # -------------------------------------------------------------------------------------------- populations

    def lineage(self, number: int) -> tuple[Trial, ...]:
        """The chain of a trial's ancestors, the oldest first and the trial last; each continues the one before, or was
        derived from it.

        For a segment of a population (``pbt``, ``pb2``) it is the schedule of settings under which its weights were
        trained.

        Raises:
            SpecError: there is no such trial.
        """
        return tuple(lineage_of(self._trials, number))

    def replay(
        self,
        number: int,
        *,
        objective: Callable[..., Any] | None = None,
        seed: int | None = None,
        name: str | None = None,
        storage: Any = None,
        runtime: str | None = None,
        resources: Mapping[str, float] | Sequence[Mapping[str, float]] | None = None,
        progress: bool = True,
    ) -> Results:
        """Train again from the start with the schedule of settings that led to a trial.

        A population chooses its schedule by the scores of one run; a replay shows whether the schedule is good without
        that luck, or on other data. It is a separate study with the sampler ``schedule``: a chain of segments, one for each
        segment of the schedule, each continuing from the checkpoint of the one before; its last trial is the result. The
        same call continues it.

        Args:
            objective: by default the search's own, which loaded results do not have.
            seed: the seed of the replay, passed to an objective that takes ``seed`` as a keyword. By default it derives
                from the search's.
            name: the name of the study, by default ``NAME-replay-NUMBER``.
            storage, runtime, resources: by default those of the search, as far as they are known here.
            progress: whether to show progress.

        Raises:
            SpecError: there is no such trial, it has reported nothing, or there is no objective.
        """
        from raytune_hpo.confirming import replay

        return replay(
            self,
            number,
            objective=objective,
            seed=seed,
            name=name,
            storage=storage,
            runtime=runtime,
            resources=resources,
            progress=progress,
        )

    # -------------------------------------------------------------------------------------------- export

    def columns(self) -> dict[str, list[Any]]:
        """The table's columns by name: number, status, config/<name>, metrics/<name>, started_at, duration_s, ...

        Every value that the space can have is a column, in the order of the space, whether a trial has it or not. The last
        columns are whether a completed trial is feasible, if there are outcome constraints, and the arm, if the sampler has
        arms.
        """
        metrics = [goal.metric for goal in self.goals]
        fields = list(fields_of(self._spec.space.root))
        return columns_of(self._trials, metrics, fields, has_constraints=bool(self._spec.constraints))

    def to_dataframe(self) -> pd.DataFrame:
        """A data frame with one row for each trial; nested parameters are named ``config/outer/inner``, times are epoch
        seconds (UTC).

        Values that a trial does not have, such as parameters of another branch, are NaN or None, as usual in pandas; so is
        an option that is None. Every value that the space can have is a column, even of a study without trials.
        """
        import pandas as pd

        frame = pd.DataFrame(as_data(self.columns()))
        # A column without any value has no type of its own; it gets that of other studies, so that frames can be joined.
        whole = "float64" if self._trials else "int64"  # without a value, pandas holds no whole number
        as_in_pandas = {int: whole, float: "float64", object: "object"}
        kinds = {f"config/{name}": as_in_pandas[kind] for name, kind in fields_of(self._spec.space.root).items()}
        kinds |= dict.fromkeys(
            ["started_at", "duration_s", *(f"metrics/{goal.metric}" for goal in self.goals)], "float64"
        )
        if not self._trials:
            kinds |= {"number": "int64", "attempt": "int64", **dict.fromkeys(["status", "worker", "error"], "object")}
        valueless = {name: kind for name, kind in kinds.items() if name in frame and frame[name].isna().all()}
        typed: pd.DataFrame = frame.astype(valueless)
        return typed

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write the table of trials as CSV; values that a trial does not have are empty cells.

        Text that a spreadsheet would evaluate (it begins with ``=``, ``+``, ``-`` or ``@``, and is not a number) gets an
        apostrophe before it; characters that cannot be written as UTF-8 become backslash escapes.

        Raises:
            HpoError: the file cannot be written.
        """
        columns, text = self.columns(), StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(map(csv_cell, columns))
        writer.writerows(map(csv_cell, row) for row in zip(*columns.values(), strict=True))
        write_whole(Path(path), text.getvalue())

    def to_json(self, path: str | PathLike[str]) -> None:
        """Write the summary and all trials as JSON, without flattening; numbers that are not finite become null.

        Raises:
            HpoError: the file cannot be written.
        """
        data = {**summary_record(self), "trials": [trial_record(trial) for trial in self._trials]}
        write_whole(Path(path), json.dumps(data, indent=1))

    def summary(self) -> dict[str, Any]:
        """The summary of the study, in plain JSON types: goals, counts, and the best trial if there is one."""
        return summary_record(self)

    @property
    def plot(self) -> Plots:
        """Figures: ``results.plot.history()``, ``results.plot.curves()`` ...; needs ``raytune_hpo[plots]``."""
        from raytune_hpo.plots import Plots

        return Plots(self)

    # -------------------------------------------------------------------------------------------- display

    def __str__(self) -> str:
        return summary.results_text(self)

    def __repr__(self) -> str:
        best = "none completed" if self._best is None else f"best {self.goals[0].metric}={number(self.best_value)}"
        return f"<Results of {self.name!r}: {counted(len(self), 'trial')}, {best}>"

    def _repr_html_(self) -> str:
        return summary.results_html(self)
