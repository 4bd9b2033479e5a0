"""TunedSearchCV: scikit-learn's search with cross-validation, on a Study and Ray."""

from __future__ import annotations

import copy
import numbers
import os
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state, indexable

from raytune_hpo import registry
from raytune_hpo.api.study import Study
from raytune_hpo.errors import NoCompletedTrial, SpecError, StudyExists, nearest
from raytune_hpo.facts import Status
from raytune_hpo.options import positive, whole
from raytune_hpo.progress import Progress
from raytune_hpo.protocols import BringsScheduler
from raytune_hpo.runtime.calls import Calls, LocalCalls
from raytune_hpo.runtime.settings import checked_bundle, default_name, in_seconds
from raytune_hpo.schedulers.segments import Segments
from raytune_hpo.sklearn.borrowed import BaseSearchCV, named_scorers, params_of, requires_y, scorer_of, tags_of
from raytune_hpo.sklearn.candidates import CUT_SHORT, Search, SearchCandidate
from raytune_hpo.sklearn.distributions import search_space, sklearns_candidates, warn_if_few
from raytune_hpo.sklearn.folds import FitContext, fit_and_score
from raytune_hpo.sklearn.table import cv_results
from raytune_hpo.sklearn.training import make_training

SEARCH_RUNTIMES = ("ray", "local")
_MAX_SEED = 2**31 - 1


class TunedSearchCV(BaseSearchCV):  # type: ignore[misc]  # scikit-learn has no types
    """Search for the parameters of an estimator by cross-validation; a drop-in replacement for RandomizedSearchCV.

    Folds are fitted in parallel on Ray, with the data in its object store once. With a scheduler, poor candidates are
    stopped before they have seen all folds, or before they are trained to the end.

    Args:
        estimator: any estimator, such as a pipeline.
        param_distributions: a dict from names of parameters to lists, distributions of scipy.stats, or domains such as
            ``hpo.loguniform(1e-3, 1)``; or a list of such dicts, one of which is chosen for each candidate.
        n_iter: number of candidates; None: until ``time_budget_s`` is over or the whole grid has been tried.
        scoring, cv, refit, error_score, return_train_score: as for RandomizedSearchCV.
        sampler: chooses the candidates, as for ``hpo.Tuner``, except those of training populations; "random" tries the same
            ones as RandomizedSearchCV.
        scheduler: stops candidates early, as for ``hpo.Tuner``; None: all folds of all candidates are fitted.
        steps: the steps after which a scheduler may stop a candidate. None: folds. "partial_fit": passes over the data.
            The name of a parameter such as "n_estimators" or "clf__max_iter": parts of it, with ``warm_start``.
        n_steps: number of steps into which a training is cut; with "partial_fit", the number of passes.
        n_jobs: number of fits at the same time. None or -1: as many as the cluster has room for; locally None means one.
        resources: resources of one fit on Ray, such as ``{"cpu": 1, "gpu": 0.5}``; locally ``n_jobs`` alone limits them.
        time_budget_s: number of seconds after which no further candidate begins.
        random_state: seed of the search, not of the estimator; with one job, the same seed gives the same search.
        runtime: "ray", or "local" for threads of this process.
        verbose: above 0 shows a line of progress.
        name: name of the search's study; None: the class's name and the time.
        storage: where the study is kept, as for ``hpo.Tuner``, so that ``hpo.load`` and ``raytune-hpo show`` find it: the
            candidates with their mean scores, no data and no models. "memory": only in ``results_``.

    Attributes:
        cv_results_: as of RandomizedSearchCV. Candidates that were stopped rank behind all others; with a scheduler, there
            are two more columns, ``n_steps`` and ``status``.
        best_estimator_, best_params_, best_score_, best_index_, n_splits_, scorer_: as of RandomizedSearchCV.
        multimetric_, refit_time_, n_features_in_, feature_names_in_, classes_: as of RandomizedSearchCV.
        results_: the study's ``Results``, with plots and tables.
    """

    def __init__(
        self,
        estimator: Any,
        param_distributions: Any,
        *,
        n_iter: int | None = 10,
        scoring: Any = None,
        cv: Any = None,
        sampler: Any = "auto",
        scheduler: Any = None,
        steps: str | None = None,
        n_steps: int = 9,
        n_jobs: int | None = None,
        resources: Mapping[str, float] | None = None,
        time_budget_s: float | timedelta | None = None,
        refit: Any = True,
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        runtime: str = "ray",
        verbose: int = 0,
        name: str | None = None,
        storage: Any = "memory",
    ) -> None:
        self.estimator = estimator
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.scoring = scoring
        self.cv = cv
        self.sampler = sampler
        self.scheduler = scheduler
        self.steps = steps
        self.n_steps = n_steps
        self.n_jobs = n_jobs
        self.resources = resources
        self.time_budget_s = time_budget_s
        self.refit = refit
        self.random_state = random_state
        self.error_score = error_score
        self.return_train_score = return_train_score
        self.runtime = runtime
        self.verbose = verbose
        self.name = name
        self.storage = storage

    def fit(self, X: Any, y: Any = None, **params: Any) -> TunedSearchCV:
        """Search, then train the best candidate on all data. Ctrl-C ends the search and keeps what is complete.

        Args:
            X, y: the data; y is None for an estimator that needs none.
            params: sample weights, groups and the like, for the estimator, the splitter and the scorers.

        Raises:
            SpecError, SpaceError: a setting or a distribution breaks a rule.
            StudyExists: the storage has a study of this name. A search begins anew with each fit, and so with another name.
            NoCompletedTrial: no candidate has seen all folds.
        """
        self._check_settings()
        scorer = scorer_of(self)
        if y is None and requires_y(self.estimator):
            raise SpecError(f"{type(self.estimator).__name__} requires y to be passed, but the target y is None")
        X, y = indexable(X, y)
        routed = self._get_routed_params_for_fit(params_of(X, params=params))
        context = self._fit_context(X, y, scorer, routed)
        self.n_splits_ = len(context.splits)
        # The goals are the metric that refit names, or all metrics if it names none.
        names = named_scorers(scorer)
        if isinstance(self.refit, str) and (names is not None or callable(self.scoring)):
            goals = [f"mean_test_{self.refit}"]
        else:
            goals = [f"mean_test_{name}" for name in names or ["score"]]
        with self._study(goals) as study, Progress(enabled=self.verbose > 0) as progress:
            calls = self._calls(context)
            search = Search(study, calls, context, goals=goals, time_budget_s=in_seconds(self.time_budget_s))
            candidates = search.run(progress)
            self.results_ = study.results()
        self._conclude(candidates)
        self.scorer_ = names or scorer
        if self.refit:
            # Parameters may be estimators, which a fit would change.
            best = clone(context.estimator).set_params(**clone(self.best_params_, safe=False))
            begin = time.perf_counter()
            context.training.fit(best, context.X, context.y, context.fit_params)
            self.refit_time_ = time.perf_counter() - begin
            self.best_estimator_ = best
            if hasattr(best, "feature_names_in_"):
                self.feature_names_in_ = best.feature_names_in_
        return self

    def set_callbacks(self, *callbacks: Any) -> TunedSearchCV:
        """Refuse callbacks of scikit-learn, which would have to be called in the processes that fit.

        Raises:
            SpecError: there are any.
        """
        if callbacks:
            raise SpecError(
                f"TunedSearchCV calls no callbacks of scikit-learn, got {callbacks[0]!r}; set verbose=1 for its progress, "
                f"and look into results_ for its course"
            )
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags = copy.deepcopy(tags_of(self.estimator).target_tags)
        tags.array_api_support = False  # rows are selected and sent as numpy arrays
        return tags

    # -------------------------------------------------------------------------------------------- settings

    def _check_settings(self) -> None:
        if self.n_iter is not None:
            whole("n_iter", self.n_iter, least=1)
        whole("n_steps", self.n_steps, least=1)
        if self.n_jobs not in (None, -1):
            whole("n_jobs", self.n_jobs, least=1)
        if self.resources is not None:
            checked_bundle(self.resources)
        if self.time_budget_s is not None:
            positive("time_budget_s", in_seconds(self.time_budget_s))
        # A small grid needs neither, but a misspelt name is wrong all the same.
        _check_has_no_lineage(registry.make("sampler", self.sampler))
        if self.scheduler is not None:
            registry.make("scheduler", self.scheduler)
        if self.runtime not in SEARCH_RUNTIMES:
            raise SpecError(f"unknown runtime {self.runtime!r}; {nearest(str(self.runtime), SEARCH_RUNTIMES)}")
        if not isinstance(self.verbose, numbers.Integral):
            raise SpecError(f"verbose is a whole number, above 0 for a line of progress, got {self.verbose!r}")
        if self.error_score != "raise" and not isinstance(self.error_score, numbers.Real):
            raise SpecError(f"error_score is a number or 'raise', got {self.error_score!r}")

    def _fit_context(self, X: Any, y: Any, scorer: Any, routed: Any) -> FitContext:
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        splits = list(cv.split(X, y, **routed.splitter.split))
        promised = cv.get_n_splits(X, y, **routed.splitter.split)
        if len(splits) != promised:
            raise SpecError(
                f"cv.split and cv.get_n_splits return inconsistent results. Expected {promised} splits, got {len(splits)}"
            )
        if not splits:
            raise SpecError("No fits were performed. Was the CV iterator empty? Were there no candidates?")
        return FitContext(
            estimator=clone(self.estimator),
            X=X,
            y=y,
            splits=splits,
            scorer=scorer,
            fit_params=routed.estimator.fit,
            score_params=routed.scorer.score,
            error_score=self.error_score,
            return_train_score=self.return_train_score,
            training=make_training(self.steps, self.n_steps, self.estimator, y),
            config=get_config(),
        )

    def _study(self, goals: Sequence[str]) -> Study:
        """The study that suggests candidates: scikit-learn's own draws, a whole grid, or the sampler's choice."""
        space = search_space(self.param_distributions, self.random_state)
        sampler, num, points = self.sampler, self.n_iter, None
        if sampler == "random" and num is not None:
            points = sklearns_candidates(self.param_distributions, num, self.random_state)
        if points is not None:
            num = len(points)
        elif space.cardinality is not None and (num is None or space.cardinality <= num):
            if num is not None:
                warn_if_few(space.cardinality, num)
            sampler, num = "grid", space.cardinality
        elif num is None and self.time_budget_s is None:
            raise SpecError("a search needs an end: give n_iter or time_budget_s, or lists only")
        name = default_name(self) if self.name is None else self.name
        try:
            return Study(
                space,
                metric=list(goals),
                mode=["max"] * len(goals),
                sampler=sampler,
                scheduler=self.scheduler,
                num_trials=num,
                points_to_evaluate=points or (),
                seed=check_random_state(self.random_state).randint(_MAX_SEED),
                name=name,
                storage=self.storage,
                resume="never",  # the scores of single folds, which the table needs, are not stored
            )
        except StudyExists as error:
            raise StudyExists(
                f"each fit is a search of its own, and a study {name!r} exists in {self.storage}; set another name, or "
                f"remove that one with `raytune-hpo delete`"
            ) from error

    def _calls(self, context: FitContext) -> Calls:
        """The executor of parallel fits: threads of this process, or Ray."""
        if self.runtime == "local":
            num_slots = (os.cpu_count() or 1) if self.n_jobs == -1 else self.n_jobs or 1
            return LocalCalls(fit_and_score, context, num_slots)
        from raytune_hpo import cluster

        max_slots = None if self.n_jobs == -1 else self.n_jobs
        return cluster.start_calls(fit_and_score, context, resources=self.resources or {"cpu": 1}, max_slots=max_slots)

    def _conclude(self, candidates: Sequence[SearchCandidate]) -> None:
        """Set the attributes that scikit-learn's users read.

        Raises:
            NoCompletedTrial: no candidate has seen all folds.
            SpecError: ``refit`` is a function and chose a candidate that was stopped early.
        """
        is_judged = self.results_.spec.scheduler is not None  # also one that the sampler brings
        table = cv_results(self, candidates, self.n_splits_, is_judged=is_judged) if candidates else {}
        whole = {i for i, c in enumerate(candidates) if len(c.outcomes) == self.n_splits_ and c.status not in CUT_SHORT}
        if not whole:
            why = "give the search more time, or a scheduler that stops fewer"
            if any(c.status is Status.FAILED for c in candidates):
                why = (
                    "a score that is not finite ends a candidate where a scheduler judges: see scoring and error_score"
                )
            raise NoCompletedTrial(
                f"the best candidate must have seen all {self.n_splits_} folds, and none of {len(candidates)} has; {why}"
            )
        self.cv_results_ = table
        scores = next(iter(candidates[0].outcomes.values()))["test_scores"]
        self.multimetric_ = isinstance(scores, Mapping)
        if self.multimetric_ and callable(self.scoring):
            self._check_refit_for_multimetric(scores)
        if self.refit or not self.multimetric_:
            metric = self.refit if self.multimetric_ else "score"
            self.best_index_ = self._select_best_index(self.refit, metric, self.cv_results_)
            if self.best_index_ not in whole and is_judged:
                raise SpecError(
                    f"refit chooses a candidate that has seen all {self.n_splits_} folds, it chose {self.best_index_}, "
                    f"which has not; its mean score is NaN, which np.argmax takes for the largest and np.nanargmax does not"
                )
            self.best_params_ = self.cv_results_["params"][self.best_index_]
            if not callable(self.refit):
                self.best_score_ = self.cv_results_[f"mean_test_{metric}"][self.best_index_]


def _check_has_no_lineage(sampler: Any) -> None:
    """Refuse a sampler of training populations.

    Raises:
        SpecError: its trials continue from the checkpoints of others.
    """
    if isinstance(sampler, BringsScheduler) and isinstance(sampler.brings(), Segments):
        raise SpecError(
            f"a search tries independent candidates, and with sampler {type(sampler).__name__} trials continue from the "
            f"checkpoints of others; use another sampler, or hpo.Tuner with an objective that saves"
        )
